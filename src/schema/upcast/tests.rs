//! Files, sets and chains together.

use proptest::prelude::*;
use serde_json::{Value, json};

use super::*;
use crate::event::Filter;

fn set(text: &str) -> Upcasts {
    Upcasts::from_toml("upcast.toml", text).unwrap()
}

fn refused(text: &str) -> String {
    Upcasts::from_toml("upcast.toml", text).unwrap_err().to_string()
}

fn shaped(upcasts: &Upcasts, kind: &str, version: u32, payload: &Value) -> (String, u32, Value) {
    match upcasts.apply(kind, version, payload.to_string().as_bytes(), true).unwrap() {
        None => (kind.to_owned(), version, payload.clone()),
        Some(s) => {
            let made = s.payload.map_or(payload.clone(), |p| serde_json::from_str(&p).unwrap());
            (s.kind.to_string(), s.version, made)
        }
    }
}

const EVERY: &str = r#"
[[step]]
type = "job.progress"
version = 1
do = [
  { rename = "/pct", to = "fraction" },
  { convert = "/fraction", divide = 100 },
  { default = "/stage", value = { name = "unknown", since = 1.5 } },
  { remove = "/debug" },
  { move = "/tokens", to = "/usage/tokens" },
  { convert = "/count", to = "integer" },
  { convert = "/state", values = { ok = "done", err = "failed" }, otherwise = "open" },
  { wrap = "/file", list = true },
  { wrap = "/who", key = "name" },
]

[[step]]
type = "job.ended"
version = 3
to_version = 2
split = { by = "/state", cases = { done = "job.completed", failed = "job.errored" }, otherwise = "job.ended_otherwise" }
do = [{ remove = "/state" }]

[[step]]
type = ["job.held", "job.blocked"]
version = 1
to = "job.paused"
mark = "/was"
"#;

#[test]
fn every_operation_does_what_its_name_says() {
    let upcasts = set(EVERY);
    let old = json!({"pct": 50, "debug": [1], "tokens": 7, "count": "12", "state": "ok", "file": "a", "who": "ann"});
    let new = json!({
        "fraction": 0.5, "stage": {"name": "unknown", "since": 1.5}, "usage": {"tokens": 7}, "count": 12,
        "state": "done", "file": ["a"], "who": {"name": "ann"},
    });
    assert_eq!(shaped(&upcasts, "job.progress", 1, &old), ("job.progress".into(), 2, new));
    // What is not there is left out, unless it has a default.
    let (_, _, empty) = shaped(&upcasts, "job.progress", 1, &json!({}));
    assert_eq!(empty, json!({"stage": {"name": "unknown", "since": 1.5}}));
    assert_eq!(upcasts.apply("job.progress", 2, b"{}", true), Ok(None));
}

#[test]
fn a_type_is_split_by_a_value_and_types_are_merged_into_one() {
    let upcasts = set(EVERY);
    let ended = |state: Value| shaped(&upcasts, "job.ended", 3, &json!({"state": state, "n": 1}));
    assert_eq!(ended(json!("done")), ("job.completed".into(), 2, json!({"n": 1})));
    assert_eq!(ended(json!("failed")), ("job.errored".into(), 2, json!({"n": 1})));
    assert_eq!(ended(json!("lost")), ("job.ended_otherwise".into(), 2, json!({"n": 1})));
    assert_eq!(ended(json!(null)).0, "job.ended_otherwise");
    for kind in ["job.held", "job.blocked"] {
        assert_eq!(shaped(&upcasts, kind, 1, &json!({})), ("job.paused".into(), 1, json!({"was": kind})));
    }
}

#[test]
fn a_step_that_cannot_be_taken_says_where_and_why() {
    let upcasts = set(
        "[[step]]\ntype = \"a\"\nversion = 1\n[[step]]\ntype = \"a\"\nversion = 2\ndo = [{ convert = \"/n\", to = \"number\" }]",
    );
    let stuck = upcasts.apply("a", 1, br#"{"n":"many"}"#, true).unwrap_err();
    assert_eq!((&*stuck.kind, stuck.version), ("a", 2));
    assert_eq!(stuck.reason, "/n is \"many\", not a number");
    let stuck = upcasts.apply("a", 1, b"\x00", false).unwrap_err();
    assert_eq!(stuck.reason, "its payload is not JSON");
    // A step that only renames needs no look at the payload.
    let renamed = set("[[step]]\ntype = \"a\"\nversion = 1\nto = \"b\"");
    let shaped = renamed.apply("a", 1, b"\x00", false).unwrap().unwrap();
    assert_eq!((&*shaped.kind, shaped.version, shaped.payload), ("b", 1, None));
}

#[test]
fn a_function_may_fail_or_panic_and_only_that_event_is_stuck() {
    let step = Upcaster::new("a", 1).function(1, |payload| match payload.as_u64() {
        Some(0) => panic!("none at all"),
        Some(n) => Ok(json!({"n": n})),
        None => Err("is no number".into()),
    });
    let upcasts = Upcasts::new([step]).unwrap();
    assert_eq!(shaped(&upcasts, "a", 1, &json!(3)), ("a".into(), 2, json!({"n": 3})));
    assert_eq!(upcasts.apply("a", 1, b"true", true).unwrap_err().reason, "is no number");
    let panicked = upcasts.apply("a", 1, b"0", true).unwrap_err().reason;
    assert_eq!(panicked, "the upcaster's function panicked: none at all");
}

#[test]
fn what_does_not_fit_together_is_refused_with_file_and_line() {
    let step = |kind: &str, version: u32, more: &str| {
        format!("[[step]]\ntype = \"{kind}\"\nversion = {version}\n{more}\n")
    };
    let circle =
        [step("a", 1, "to = \"b\""), step("b", 1, "to = \"c\""), step("c", 1, "to = \"a\"")].concat();
    let told = refused(&circle);
    assert!(told.contains("form a cycle: ") && told.contains("a version 1 → b version 1"), "{told}");
    assert!(told.starts_with("upcast upcast.toml:"), "{told}");
    let told = refused(&[step("a", 1, ""), step("a", 1, "")].concat());
    assert_eq!(told, "upcast upcast.toml:5: there is already an upcaster from a version 1, at upcast.toml:1");
    let told = refused(&[step("a", 1, ""), step("a", 3, "")].concat());
    assert!(told.contains("one is missing"), "{told}");
    let told = refused(&[step("a", 1, "to = \"z\""), step("a", 3, "")].concat());
    assert!(told.contains("none from version 2"), "{told}");
    let told = refused(&step("a", 1, "to = \"a\"\nto_version = 3"));
    assert!(told.contains("goes to the next version or to another type"), "{told}");
    assert!(refused(&step("A b", 1, "")).contains("not a dotted name"));
    assert!(refused(&step("a", 1, "to = \"B\"")).contains("not a dotted name"));
}

#[test]
fn what_cannot_be_read_is_refused_with_its_line_and_the_nearest_name() {
    let with = |op: &str| refused(&format!("[[step]]\ntype = \"a\"\nversion = 1\ndo = [\n  {op}\n]"));
    assert_eq!(
        with("{ renam = \"/x\", to = \"y\" }"),
        "upcast upcast.toml:5: there is no operation `renam`; did you mean `rename`?"
    );
    assert!(with("{ explode = \"/x\" }").contains("there are rename, default, remove, move, convert, wrap"));
    assert!(with("{ rename = \"/x\", too = \"y\" }").contains("has no `too`; did you mean `to`?"));
    assert!(with("{ rename = \"/x\" }").contains("needs `to`"));
    assert!(with("{ rename = \"x\", to = \"y\" }").contains("not a JSON pointer"));
    assert!(with("{ rename = 3, to = \"y\" }").contains("is a text, not a number"));
    assert!(with("{ convert = \"/x\" }").contains("needs `values`"));
    assert!(with("{ convert = \"/x\", to = \"numbr\" }").contains("did you mean `number`?"));
    assert!(with("{ convert = \"/x\", divide = 0 }").contains("divided by 0"));
    assert!(with("{ convert = \"/x\", multiply = inf }").contains("is a number"));
    assert!(with("{ move = \"/a\", to = \"/a/b\" }").contains("into itself"));
    assert!(with("{ wrap = \"/a\" }").contains("needs `key`"));
    assert!(with("3").contains("an operation is a table"));
    assert_eq!(
        refused("[[step]]\ntype = \"a\"\nverson = 1"),
        "upcast upcast.toml:3: a step has no `verson`; did you mean `version`?"
    );
    assert!(refused("[[step]]\ntype = \"a\"").contains("a step needs `version`"));
    assert!(refused("[[step]]\ntype = \"a\"\nversion = -1").contains("a whole number from 0 on"));
    assert!(refused("[[step]\n").starts_with("upcast upcast.toml:1: is not TOML: "));
    assert!(refused("").contains("has no `[[step]]`"));
    let split = "[[step]]\ntype = \"a\"\nversion = 1\nsplit = { by = \"/x\", cases = {} }";
    assert!(refused(split).contains("which value leads to which type"));
    let deep = format!(
        "[[step]]\ntype = \"a\"\nversion = 1\ndo = [{{ default = \"/x\", value = {}{} }}]",
        "[".repeat(60),
        "]".repeat(60)
    );
    assert!(refused(&deep).contains("deep"), "{}", refused(&deep));
}

#[test]
fn a_fingerprint_is_the_same_for_the_same_steps_and_says_which_interests_they_touch() {
    let a = set("[[step]]\ntype = \"a.x\"\nversion = 1\nto = \"b.y\"\n[[step]]\ntype = \"c\"\nversion = 1");
    let same = set(
        "# in another order\n[[step]]\nversion = 1\ntype = \"c\"\n[[step]]\ntype = \"a.x\"\nversion = 1\nto = \"b.y\"",
    );
    let other = set(
        "[[step]]\ntype = \"a.x\"\nversion = 1\nto = \"b.y\"\n[[step]]\ntype = \"c\"\nversion = 1\ndo = [{ remove = \"/x\" }]",
    );
    assert_eq!(a.fingerprint(), same.fingerprint());
    assert_ne!(a.fingerprint(), other.fingerprint());
    // A golden value: projections that were built yesterday are not rebuilt today.
    assert_eq!(a.fingerprint(), 862_698_001_708_097_853);
    let only = |glob: &str| Filter::new().pattern(glob.parse().unwrap());
    for glob in ["a.**", "b.**", "a.x"] {
        assert_eq!(a.fingerprint_for(&only(glob)), other.fingerprint_for(&only(glob)), "{glob}");
        assert_ne!(a.fingerprint_for(&only(glob)), 0);
    }
    assert_ne!(a.fingerprint_for(&only("c")), other.fingerprint_for(&only("c")));
    assert_eq!(a.fingerprint_for(&only("d")), 0);
    assert_ne!(a.fingerprint_for(&Filter::new()), 0);
    let function =
        |revision| Upcasts::new([Upcaster::new("a", 1).function(revision, Ok)]).unwrap().fingerprint();
    assert_eq!(function(1), function(1));
    assert_ne!(function(1), function(2));
}

/// Any JSON, with names that the operations below go for.
fn values() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        any::<f64>().prop_map(Value::from),
        "[a-c0-9.e-]{0,6}".prop_map(Value::from),
        "\\PC{0,8}".prop_map(Value::from),
    ];
    leaf.prop_recursive(4, 32, 5, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..4).prop_map(Value::from),
            prop::collection::btree_map("[a-d]|\\PC{0,3}", inner, 0..5)
                .prop_map(|m| Value::Object(m.into_iter().collect())),
        ]
    })
}

fn pointers() -> impl Strategy<Value = String> {
    prop::collection::vec("[a-d]|[0-2]|-", 0..3)
        .prop_map(|parts| parts.iter().map(|p| format!("/{p}")).collect())
}

fn operations() -> impl Strategy<Value = String> {
    let at = || pointers();
    prop_oneof![
        (at(), "[a-e]").prop_map(|(a, to)| format!("{{ rename = \"{a}\", to = \"{to}\" }}")),
        at().prop_map(|a| format!("{{ default = \"{a}\", value = {{ x = [1, 2.5, \"t\"] }} }}")),
        at().prop_map(|a| format!("{{ remove = \"{a}\" }}")),
        (at(), at()).prop_map(|(a, b)| format!("{{ move = \"{a}\", to = \"{b}\" }}")),
        (at(), prop::sample::select(vec!["number", "integer", "string", "boolean"]))
            .prop_map(|(a, to)| format!("{{ convert = \"{a}\", to = \"{to}\" }}")),
        (at(), -9i64..9).prop_map(|(a, n)| format!("{{ convert = \"{a}\", multiply = {n} }}")),
        (at(), 1i64..9).prop_map(|(a, n)| format!("{{ convert = \"{a}\", divide = {n}.5 }}")),
        at().prop_map(|a| format!("{{ convert = \"{a}\", values = {{ a = 1 }}, otherwise = [] }}")),
        at().prop_map(|a| format!("{{ wrap = \"{a}\", key = \"c\" }}")),
        at().prop_map(|a| format!("{{ wrap = \"{a}\", list = true }}")),
    ]
}

fn file(chain: &[Vec<String>], only: Option<usize>) -> String {
    let steps = chain.iter().enumerate().filter(|(i, _)| only.is_none_or(|o| o == *i));
    steps
        .map(|(i, ops)| format!("[[step]]\ntype = \"t\"\nversion = {}\ndo = [{}]\n", i + 1, ops.join(", ")))
        .collect()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2_000))]

    #[test]
    fn a_chain_is_its_steps_one_after_the_other(
        payload in values(),
        chain in prop::collection::vec(prop::collection::vec(operations(), 0..4), 1..5),
    ) {
        let Ok(whole) = Upcasts::from_toml("t", &file(&chain, None)) else { return Ok(()) };
        let text = payload.to_string();
        let mut by_steps = Ok(text.clone());
        for i in 0..chain.len() {
            let one = set(&file(&chain, Some(i)));
            by_steps = by_steps.and_then(|text: String| {
                one.apply("t", i as u32 + 1, text.as_bytes(), true).map(|s| s.unwrap().payload.unwrap_or(text))
            });
        }
        let at_once = whole.apply("t", 1, text.as_bytes(), true).map(|s| s.unwrap().payload.unwrap_or(text));
        prop_assert_eq!(&at_once, &by_steps);
        if let Ok(made) = at_once {
            serde_json::from_str::<serde::de::IgnoredAny>(&made).unwrap();
        }
    }

    #[test]
    fn no_payload_and_no_file_makes_it_panic(
        payload in prop::collection::vec(any::<u8>(), 0..40),
        json: bool,
        text in "[\\PC\n]{0,80}",
    ) {
        let _ = set(EVERY).apply("job.progress", 1, &payload, json);
        let _ = set(EVERY).apply("job.ended", 3, &payload, json);
        let _ = Upcasts::from_toml("t", &text);
        let _ = Upcasts::from_toml("t", &format!("[[step]]\ntype = \"t\"\nversion = 1\ndo = [{text}]"));
    }

    #[test]
    fn json_that_no_operation_touches_stays_as_it_is(payload in values()) {
        let step = set("[[step]]\ntype = \"t\"\nversion = 1\ndo = [{ remove = \"/nobody/has/this\" }]");
        let text = payload.to_string();
        let made = step.apply("t", 1, text.as_bytes(), true).unwrap().unwrap();
        prop_assert_eq!(made.payload.unwrap(), text);
    }
}
