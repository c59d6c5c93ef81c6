use proptest::prelude::*;
use serde_json::{Map, json};

use super::words::TYPES;
use super::*;
use crate::schema::Upcasts;

fn told(old: &Value, new: &Value) -> Vec<(String, Verdict)> {
    compare_schemas(old, new).unwrap().differences.into_iter().map(|d| (d.path, d.verdict)).collect()
}

fn object(properties: Value, required: Value) -> Value {
    json!({"type": "object", "properties": properties, "required": required})
}

#[test]
fn what_old_payloads_do_not_have_or_may_not_have_any_more_breaks() {
    use Verdict::{Breaking, Compatible, Undecided};
    let one = |old: Value, new: Value| {
        told(&object(json!({"a": old}), json!([])), &object(json!({"a": new}), json!([])))
    };
    for (old, new, verdict) in [
        (json!({"type": "integer"}), json!({"type": "number"}), Some(Compatible)),
        (json!({"type": "number"}), json!({"type": "integer"}), Some(Breaking)),
        (json!({"type": "string"}), json!({"type": ["string", "null"]}), Some(Compatible)),
        (json!({"type": ["string", "null"]}), json!({"type": "string"}), Some(Breaking)),
        (json!({}), json!({"type": "string"}), Some(Breaking)),
        (json!({"type": "string"}), json!({}), None),
        (json!({"enum": ["x"]}), json!({"enum": ["x", "y"]}), Some(Compatible)),
        (json!({"enum": ["x", "y"]}), json!({"const": "x"}), Some(Breaking)),
        (json!({"minimum": 1}), json!({"minimum": 2}), Some(Breaking)),
        (json!({"minimum": 2}), json!({"minimum": 1}), Some(Compatible)),
        (json!({"maxLength": 5}), json!({"maxLength": 4}), Some(Breaking)),
        (json!({}), json!({"minLength": 0}), Some(Compatible)),
        (json!({"pattern": "a"}), json!({"pattern": "b"}), Some(Undecided)),
        (json!({"pattern": "a"}), json!({}), Some(Compatible)),
        (json!({"type": "string", "description": "x"}), json!({"type": "string"}), None),
        (json!({"if": true}), json!({"if": false}), Some(Undecided)),
        (json!(true), json!(false), Some(Breaking)),
        (
            json!({"anyOf": [{"type": "string"}, {"type": "null"}]}),
            json!({"type": ["null", "string"]}),
            Some(Compatible),
        ),
        (
            json!({"type": "string"}),
            json!({"anyOf": [{"type": "null"}, {"type": "string"}]}),
            Some(Compatible),
        ),
        (json!({"oneOf": [{"const": 1}, {"const": 2}]}), json!({"oneOf": [{"const": 1}]}), Some(Breaking)),
    ] {
        let found = one(old.clone(), new.clone());
        assert_eq!(found.iter().map(|(_, v)| *v).max(), verdict, "{old} to {new}: {found:?}");
    }
}

#[test]
fn fields_are_told_apart_by_who_needs_them() {
    use Verdict::{Breaking, Compatible};
    let text = json!({"type": "string"});
    let old = object(json!({"a": text, "b": text, "gone": {"type": "integer"}}), json!(["a"]));
    let new = object(json!({"a": text, "b": text, "c": text, "d": {"type": "boolean"}}), json!(["b", "d"]));
    let due =
        [("/a", Compatible), ("/b", Breaking), ("/c", Compatible), ("/d", Breaking), ("/gone", Compatible)];
    assert_eq!(told(&old, &new), due.map(|(p, v)| (p.to_owned(), v)));
    let mut strict = new.clone();
    strict["additionalProperties"] = json!(false);
    let found = told(&old, &strict);
    assert!(
        found.contains(&("/gone".into(), Breaking)) && found.contains(&(String::new(), Breaking)),
        "{found:?}"
    );
}

#[test]
fn references_are_followed_also_those_of_a_type_that_contains_itself() {
    let list = |n: &str| {
        json!({"$ref": "#/$defs/node", "$defs": {"node": {
        "type": "object", "properties": {"next": {"$ref": "#/$defs/node"}, "n": {"type": n}}}}})
    };
    assert_eq!(told(&list("integer"), &list("string")), [("/n".to_owned(), Verdict::Breaking)]);
    assert_eq!(told(&list("string"), &list("string")), []);
    let items = |n: &str| json!({"type": "array", "items": {"type": n}});
    assert_eq!(told(&items("string"), &items("null")), [("/*".to_owned(), Verdict::Breaking)]);
}

#[test]
fn what_is_no_schema_is_refused_with_its_place() {
    for (bad, why) in [
        (json!(3), "neither an object"),
        (json!({"type": "text"}), "unknown type"),
        (json!({"$ref": "other.json"}), "not in it"),
        (json!({"$ref": "#"}), "circle"),
        (json!({"properties": []}), "not an object"),
        (json!({"required": "a"}), "not a list"),
    ] {
        let told = compare_schemas(&bad, &json!({"type": "string", "minLength": 1})).unwrap_err().to_string();
        let same = compare_schemas(&json!({"minLength": 1}), &bad).unwrap_err().to_string();
        assert!(told.contains(why) && same.contains(why), "{told}");
    }
}

#[test]
fn the_skeleton_is_a_step_that_makes_old_payloads_new() {
    let old = object(
        json!({"pct": {"type": "integer"}, "ms": {"type": "string"}, "state": {"enum": ["ok", "err"]}, "tag": {"type": "string"}, "x": {"type": "null"}}),
        json!([]),
    );
    let mut new = object(
        json!({"percent": {"type": "integer"}, "ms": {"type": "number"}, "state": {"enum": ["ok", "failed"]},
               "tag": {"type": "array"}, "who": {"type": "string", "default": "nobody \"1\""}}),
        json!(["percent", "who"]),
    );
    new["additionalProperties"] = json!(false);
    let diff = compare_schemas(&old, &new).unwrap();
    let text = diff.upcast("job.done", 1);
    let upcasts = Upcasts::from_toml("upcast.toml", &text).unwrap_or_else(|e| panic!("{e}\n{text}"));
    let before = json!({"pct": 5, "ms": "1.5", "state": "err", "tag": "t", "x": null});
    let made = upcasts.apply("job.done", 1, before.to_string().as_bytes(), true).unwrap().unwrap();
    let after: Value = serde_json::from_str(&made.payload.unwrap()).unwrap();
    let due = json!({"percent": 5, "ms": 1.5, "state": "ok", "tag": ["t"], "who": "nobody \"1\""});
    assert_eq!(after, due, "{text}");
    assert!(!diff.is_compatible());
}

#[test]
fn a_default_that_is_made_up_has_what_its_schema_needs_and_ends() {
    let node = json!({"type": "object", "properties": {"n": {"type": "integer"}, "next": {"$ref": "#/properties/list"}}, "required": ["n", "next"]});
    let new = object(json!({"list": node}), json!(["list"]));
    let text = compare_schemas(&json!({"type": "object"}), &new).unwrap().upcast("a", 1);
    let upcasts = Upcasts::from_toml("t", &text).unwrap();
    let made = upcasts.apply("a", 1, b"{}", true).unwrap().unwrap().payload.unwrap();
    let made: Value = serde_json::from_str(&made).unwrap();
    assert_eq!((&made["list"]["n"], &made["list"]["next"]["n"]), (&json!(0), &json!(0)));
}

#[test]
fn alternatives_that_multiply_are_refused() {
    let defs: Map<String, Value> = (0..40)
        .map(|n| {
            let next = json!({"$ref": format!("#/$defs/{}", n + 1)});
            (n.to_string(), json!({"anyOf": [next, next]}))
        })
        .chain([("40".to_owned(), json!({"type": "string"}))])
        .collect();
    let old = json!({"$ref": "#/$defs/0", "$defs": defs});
    let mut new = old.clone();
    new["$defs"]["40"] = json!({"type": "null"});
    assert!(compare_schemas(&old, &new).unwrap_err().to_string().contains("too many alternatives"));
}

fn schemas() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(json!({})),
        any::<bool>().prop_map(Value::from),
        Just(json!(7)),
        Just(json!({"$ref": "#"})),
        Just(json!({"$ref": "#/properties/a"})),
        Just(json!({"enum": [1, "a", null]})),
        prop::sample::select(TYPES.to_vec()).prop_map(|t| json!({"type": t})),
        (-3i64..3).prop_map(|n| json!({"minimum": n, "maxItems": n})),
    ];
    leaf.prop_recursive(4, 24, 4, |inner| {
        prop_oneof![
            (prop::collection::btree_map("[abc\\PC]", inner.clone(), 0..4), any::<bool>(), any::<bool>()).prop_map(|(p, o, r)| {
                let required = if r { vec!["a", "z"] } else { vec![] };
                json!({"type": "object", "properties": p, "additionalProperties": o, "required": required})
            }),
            inner.clone().prop_map(|i| json!({"type": "array", "items": i})),
            prop::collection::vec(inner, 0..3).prop_map(|a| json!({"anyOf": a})),
        ]
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(1_000))]

    #[test]
    fn no_schema_makes_it_panic_and_every_skeleton_is_a_file_of_steps(old in schemas(), new in schemas()) {
        if let Ok(diff) = compare_schemas(&old, &new) {
            let text = diff.upcast("a.b", 1);
            prop_assert!(Upcasts::from_toml("t", &text).is_ok(), "{}\n{:?}", text, Upcasts::from_toml("t", &text));
        }
        if let Ok(same) = compare_schemas(&old, &old) {
            prop_assert!(same.is_compatible(), "{:?}", same);
        }
    }
}
