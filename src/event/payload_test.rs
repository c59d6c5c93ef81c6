//! A test of one place in a payload, as people write it.

use std::cmp::Ordering;
use std::fmt;
use std::str::FromStr;

use serde_json::Value;
use serde_json::value::RawValue;

use super::Invalid;
use super::payload_view::{PayloadView, found};
use super::pointer::Pointer;
use super::raw_json::{Level, is_same, is_within, order, text};
use crate::limits::MAX_JSON_DEPTH;

/// A question about the payload of an event: `/tool == "cargo"`. [`Filter::payload`](super::Filter::payload) takes it.
///
/// It is a [JSON Pointer](super::roles::Pointer), in which one part may be `*`, and usually an operator and a value:
///
/// | | matches when |
/// |---|---|
/// | `/tool` | there is something at this place, if only `null` |
/// | `/tool == "cargo"`, `/tool != cargo` | it is the same, or is not; a place with nothing is not the same as anything |
/// | `/ms < 500`, `<=`, `>`, `>=` | it is a number and compares so with a number, or a text with a text, character by character |
/// | `/error ~ timeout` | it is a text that contains this one |
///
/// The value is JSON; anything else is taken as text, so that simple words need no quotes. Numbers are compared as numbers,
/// exactly, however many digits they have: `1` is `1.0`, and less than `1e400`. One whose exponent does not fit into 64 bits is not
/// compared: only `!=` matches it. Half of a surrogate pair, as in `"\ud800"`, is a character of its own. With `*`, one match of many is enough, and `!=` says that
/// none is the same. A pointer that contains an operator is written as a JSON string. Only JSON payloads have anything in them.
///
/// ```
/// use retold::event::finding::PayloadTest;
/// use retold::{Filter, NewEvent, Query, Store};
/// let store = Store::in_memory()?;
/// for ms in [120, 850] {
///     store.append("run-7", NewEvent::new("tool.completed").data(serde_json::json!({"ms": ms})))?;
/// }
/// let slow: PayloadTest = "/ms > 500".parse()?;
/// let slow = Query::branch("run-7")?.filter(Filter::new().payload(slow));
/// assert_eq!(store.read(&slow)?.events.len(), 1);
/// # Ok::<(), retold::Error>(())
/// ```
#[derive(Clone, PartialEq, Eq)]
pub struct PayloadTest {
    at: Pointer,
    holds: Holds,
}

#[derive(Clone, PartialEq, Eq)]
enum Holds {
    Exists,
    Is(Given),
    IsNot(Given),
    Less(Given),
    AtMost(Given),
    More(Given),
    AtLeast(Given),
    Contains(Given),
}

/// A value as it was given.
#[derive(Clone)]
struct Given(Box<RawValue>);

impl PartialEq for Given {
    fn eq(&self, other: &Self) -> bool {
        self.0.get() == other.0.get()
    }
}

impl Eq for Given {}

impl fmt::Display for Given {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.0.get())
    }
}

/// The operators, those that begin with another first.
const OPERATORS: [&str; 7] = ["==", "!=", "<=", ">=", "<", ">", "~"];

impl PayloadTest {
    /// Parses a test.
    ///
    /// # Errors
    /// [`Invalid`] with the field `where`: for text that does not begin with a pointer, and for an operator that is unknown or has
    /// no value it can compare with.
    pub fn new(text: &str) -> Result<Self, Invalid> {
        let bad = |why: &str| Err(Invalid::new("where", format!("`{}` {why}", text.escape_debug())));
        let (at, rest) = match pointer_of(text.trim()) {
            Ok(parts) => parts,
            Err(why) => return bad(why),
        };
        let at = match Pointer::new(&at) {
            Ok(at) => at,
            Err(e) => return bad(&format!("begins with no JSON pointer: {}", e.reason)),
        };
        if rest.is_empty() {
            return Ok(Self { at, holds: Holds::Exists });
        }
        let Some(operator) = OPERATORS.iter().find(|operator| rest.starts_with(**operator)) else {
            return bad(
                "has an unknown operator after the pointer; there are ==, !=, <, <=, >, >= and ~ (contains)",
            );
        };
        let value = rest.get(operator.len()..).unwrap_or_default().trim();
        if value.is_empty() {
            return bad(&format!("has no value after {operator}; an empty text is written \"\""));
        }
        let value = match value_of(value) {
            Ok(value) => Given(value),
            Err(why) => return bad(&format!("has a value that begins as JSON and is none: {why}")),
        };
        let has_order = value.0.get().starts_with(|c: char| matches!(c, '"' | '-' | '0'..='9'));
        let holds = match *operator {
            "==" => Holds::Is(value),
            "!=" => Holds::IsNot(value),
            "~" if value.0.get().starts_with('"') => Holds::Contains(value),
            "~" => Holds::Contains(Given(as_text(value.0.get()))),
            _ if !has_order => {
                return bad(&format!("compares with {value}; {operator} takes a number or a text"));
            }
            "<" => Holds::Less(value),
            "<=" => Holds::AtMost(value),
            ">" => Holds::More(value),
            _ => Holds::AtLeast(value),
        };
        Ok(Self { at, holds })
    }

    /// Whether it matches a payload.
    #[must_use]
    pub fn matches(&self, payload: &Value) -> bool {
        let Ok(payload) = serde_json::value::to_raw_value(payload) else { return false };
        self.holds_of(&found(&payload, &Level::of(&payload), &self.at))
    }

    fn holds_of(&self, found: &[&RawValue]) -> bool {
        let any = |test: &dyn Fn(&RawValue) -> bool| found.iter().any(|value| test(value));
        let ordered = |with: &Given, holds: fn(Ordering) -> bool| {
            any(&|value| order(value, &with.0).is_some_and(holds))
        };
        match &self.holds {
            Holds::Exists => !found.is_empty(),
            Holds::Is(with) => any(&|value| is_same(value, &with.0)),
            Holds::IsNot(with) => !any(&|value| is_same(value, &with.0)),
            Holds::Less(with) => ordered(with, Ordering::is_lt),
            Holds::AtMost(with) => ordered(with, Ordering::is_le),
            Holds::More(with) => ordered(with, Ordering::is_gt),
            Holds::AtLeast(with) => ordered(with, Ordering::is_ge),
            Holds::Contains(part) => any(&|value| contains(value, &part.0)),
        }
    }
}

/// Whether a payload passes all tests. It is read only if there is one. What is not JSON has nothing in it, so that
/// nothing is the same as anything.
pub(super) fn pass(tests: &[PayloadTest], payload: &PayloadView<'_>) -> bool {
    tests.iter().all(|test| test.holds_of(&payload.find(&test.at)))
}

/// Whether a text contains another.
fn contains(value: &RawValue, part: &RawValue) -> bool {
    let (Some(value), Some(part)) = (text(value), text(part)) else { return false };
    match (std::str::from_utf8(&value.0), std::str::from_utf8(&part.0)) {
        (Ok(value), Ok(part)) => value.contains(part),
        _ => part.0.is_empty() || value.0.windows(part.0.len()).any(|window| *window == *part.0),
    }
}

/// The pointer at the beginning, and what follows it.
fn pointer_of(text: &str) -> Result<(String, &str), &'static str> {
    if text.starts_with('"') {
        let mut parts = serde_json::Deserializer::from_str(text).into_iter::<String>();
        let Some(Ok(pointer)) = parts.next() else { return Err("begins with a quote that does not end") };
        let rest = text.get(parts.byte_offset()..).unwrap_or_default();
        return Ok((pointer, rest.trim_start()));
    }
    if !text.starts_with('/') {
        return Err("does not begin with a JSON pointer, as in `/tool == \"cargo\"`");
    }
    let mut end = text.len();
    for (at, c) in text.char_indices() {
        let rest = text.get(at..).unwrap_or_default();
        // A tilde is part of a pointer, too: as an operator it stands alone.
        let is_operator = match c {
            '~' => text.get(..at).is_some_and(|before| before.ends_with(char::is_whitespace)),
            '!' => rest.starts_with("!="),
            c => matches!(c, '=' | '<' | '>'),
        };
        if is_operator {
            end = at;
            break;
        }
    }
    let (pointer, rest) = text.split_at(end);
    Ok((pointer.trim_end().to_owned(), rest))
}

/// JSON, or a text without quotes.
fn value_of(text: &str) -> Result<Box<RawValue>, String> {
    match serde_json::from_str::<Box<RawValue>>(text) {
        Ok(value) if is_within(&value, MAX_JSON_DEPTH) => Ok(value),
        Ok(_) => Err(format!("it is nested more than {MAX_JSON_DEPTH} levels deep")),
        Err(e) if text.starts_with(['"', '{', '[']) => Err(e.to_string()),
        Err(_) => Ok(as_text(text)),
    }
}

/// A text as JSON.
fn as_text(text: &str) -> Box<RawValue> {
    serde_json::value::to_raw_value(text).unwrap_or_default()
}

impl FromStr for PayloadTest {
    type Err = Invalid;
    fn from_str(s: &str) -> Result<Self, Invalid> {
        Self::new(s)
    }
}

impl fmt::Display for PayloadTest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let at = self.at.as_str();
        let is_plain =
            at.starts_with('/') && !at.contains(['=', '<', '>', '!']) && !at.contains(char::is_whitespace);
        match is_plain {
            true => f.write_str(at)?,
            false => write!(f, "{}", Value::from(at))?,
        }
        match &self.holds {
            Holds::Exists => Ok(()),
            Holds::Is(value) => write!(f, " == {value}"),
            Holds::IsNot(value) => write!(f, " != {value}"),
            Holds::Less(value) => write!(f, " < {value}"),
            Holds::AtMost(value) => write!(f, " <= {value}"),
            Holds::More(value) => write!(f, " > {value}"),
            Holds::AtLeast(value) => write!(f, " >= {value}"),
            Holds::Contains(part) => write!(f, " ~ {part}"),
        }
    }
}

impl fmt::Debug for PayloadTest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::event::{NewEvent, PAYLOADS_READ};
    use proptest::prelude::*;
    use serde_json::json;

    fn holds(test: &str, payload: &Value) -> bool {
        PayloadTest::new(test).unwrap().matches(payload)
    }

    #[test]
    fn a_test_reads_as_people_write_it() {
        let payload = json!({
            "tool": "cargo", "args": ["test", "--all"], "ms": 850, "rate": 1.0, "none": null,
            "error": {"text": "a timeout of 30 s", "a=b": true}, "at": "2026-02-03",
        });
        for test in [
            "/tool",
            "/none",
            "  /tool  ",
            "/tool == \"cargo\"",
            "/tool==cargo",
            "/tool != rustc",
            "/missing != anything",
            "/ms > 500",
            "/ms>=850",
            "/ms == 850.0",
            "/rate == 1",
            "/rate <= 1",
            "/none == null",
            "/args/0 == test",
            "/args/* == --all",
            "/args/* != nothing",
            "/args == [\"test\", \"--all\"]",
            "/error/text ~ timeout",
            "/error/text ~ \"of 30 s\"",
            "/error/text ~ 30",
            "\"/error/a=b\" == true",
            "\"/error/a=b\"",
            "/at >= 2026-02",
            "/at < \"2026-03\"",
            "/error == {\"a=b\": true, \"text\": \"a timeout of 30 s\"}",
        ] {
            assert!(holds(test, &payload), "{test}");
        }
        for test in [
            "/missing",
            "/missing == null",
            "/missing < 1",
            "/tool == rust",
            "/tool != cargo",
            "/tool > 5",
            "/ms > \"500\"",
            "/ms < 850",
            "/args/* != test",
            "/args/*/deep",
            "/args ~ test",
            "/error/text ~ Timeout",
            "/ms == \"850\"",
        ] {
            assert!(!holds(test, &payload), "{test}");
        }
    }

    #[test]
    fn large_numbers_are_compared_exactly() {
        let payload = json!({"n": 9_007_199_254_740_993_u64, "m": u64::MAX, "i": i64::MIN});
        assert!(holds("/n > 9007199254740992", &payload) && !holds("/n == 9007199254740992", &payload));
        assert!(holds("/m == 18446744073709551615", &payload) && holds("/i < 0", &payload));
    }

    fn holds_in(test: &str, payload: &str) -> bool {
        let new = NewEvent::new("a.b").json_text(payload.to_owned());
        let record = crate::codec::encode_record(&new, 1 << 20).unwrap();
        pass(&[PayloadTest::new(test).unwrap()], &PayloadView::of(&record))
    }

    #[test]
    fn what_has_no_value_in_rust_is_compared_as_it_is_written() {
        let payload = r#"{"half":"a\ud800b","big":1e400,"small":-1e-400,"wide":1e99999999999999999999,"\udfff":1,"tool":"cargo"}"#;
        for test in [
            "/tool == cargo",
            "/half ~ a",
            "/half ~ b",
            r#"/half == "\u0061\uD800b""#,
            r#"/half ~ "\ud800""#,
            "/half > a",
            "/half != ab",
            "/big > 1e399",
            "/big == 10e399",
            "/big < 1e401",
            "/small < 0",
            "/small > -1",
            "/wide",
            "/wide != 1",
            "/* == cargo",
        ] {
            assert!(holds_in(test, payload), "{test}");
        }
        for test in
            ["/half == ab", "/half ~ \"\u{fffd}\"", "/big == 1e401", "/wide == 1", "/wide > 1", "/wide < 1"]
        {
            assert!(!holds_in(test, payload), "{test}");
        }
        let deep = format!("{{\"a\":{}1{},\"b\":2}}", "[".repeat(5_000), "]".repeat(5_000));
        assert!(holds_in("/b == 2", &deep) && holds_in("/a/0/0", &deep) && !holds_in("/a == [1]", &deep));
        let test = format!("/a == {}1{}", "[".repeat(5_000), "]".repeat(5_000));
        assert!(PayloadTest::new(&test).unwrap_err().reason.contains("levels deep"));
    }

    #[test]
    fn what_is_not_json_has_nothing_in_it() {
        let new = NewEvent::new("a.b").bytes("text/plain", "{\"a\":1}");
        let record = crate::codec::encode_record(&new, 100).unwrap();
        for (test, due) in [("/a", false), ("/a == 1", false), ("/a != 1", true), ("\"\"", false)] {
            assert_eq!(pass(&[PayloadTest::new(test).unwrap()], &PayloadView::of(&record)), due, "{test}");
        }
    }

    #[test]
    fn several_tests_read_a_payload_once() {
        let record =
            crate::codec::encode_record(&NewEvent::new("a.b").json_text("{\"a\":1,\"b\":2}"), 100).unwrap();
        let tests = ["/a == 1", "/b > 1", "/c != 1"].map(|test| PayloadTest::new(test).unwrap());
        let (view, before) = (PayloadView::of(&record), PAYLOADS_READ.get());
        assert!(pass(&[], &view));
        assert_eq!(PAYLOADS_READ.get(), before);
        assert!(pass(&tests, &view) && pass(&tests, &view));
        assert_eq!(PAYLOADS_READ.get(), before + 1);
    }

    #[test]
    fn what_is_no_test_is_refused_with_the_reason() {
        for (bad, why) in [
            ("", "does not begin with a JSON pointer"),
            ("tool == 1", "does not begin with a JSON pointer"),
            ("/tool = 1", "unknown operator"),
            ("/tool ==", "no value after =="),
            ("/tool == \"open", "begins as JSON"),
            ("/tool < [1]", "takes a number or a text"),
            ("/tool >= null", "takes a number or a text"),
            ("/a~2 == 1", "no JSON pointer"),
            ("/*/* == 1", "more than one `*`"),
            ("\"/open == 1", "quote that does not end"),
        ] {
            let e = PayloadTest::new(bad).unwrap_err();
            assert!(e.field == "where" && e.reason.contains(why), "{bad}: {e}");
        }
    }

    /// Every value with the parts of its path, the plain way.
    fn places(value: &Value, path: &[String], all: &mut Vec<(Vec<String>, Value)>) {
        all.push((path.to_vec(), value.clone()));
        let parts: Vec<(String, &Value)> = match value {
            Value::Array(items) => items.iter().enumerate().map(|(n, v)| (n.to_string(), v)).collect(),
            Value::Object(members) => members.iter().map(|(k, v)| (k.clone(), v)).collect(),
            _ => Vec::new(),
        };
        for (part, value) in parts {
            places(value, &[path, &[part]].concat(), all);
        }
    }

    fn leaf() -> impl Strategy<Value = Value> {
        prop_oneof![
            Just(Value::Null),
            any::<bool>().prop_map(Value::from),
            (-3i64..4).prop_map(Value::from),
            (-3i64..4).prop_map(|n| Value::from(n as f64 / 2.0)),
            "[ab]{0,3}".prop_map(Value::from),
        ]
    }

    fn payload() -> impl Strategy<Value = Value> {
        leaf().prop_recursive(3, 24, 4, |inner| {
            prop_oneof![
                prop::collection::vec(inner.clone(), 0..4).prop_map(Value::from),
                prop::collection::btree_map("[ab0]", inner, 0..4)
                    .prop_map(|m| Value::Object(m.into_iter().collect())),
            ]
        })
    }

    proptest! {
        #[test]
        fn it_says_what_a_plain_search_of_the_payload_says(
            payload in payload(),
            path in prop::collection::vec("[ab0]", 1..4),
            star in prop::option::of(0usize..4),
            operator in prop::sample::select(&["", "==", "!=", "<", "<=", ">", ">=", "~"][..]),
            value in leaf(),
        ) {
            let wanted: Vec<Option<&str>> = path
                .iter()
                .enumerate()
                .map(|(n, part)| (star != Some(n)).then_some(part.as_str()))
                .collect();
            let pointer: String = wanted.iter().map(|part| format!("/{}", part.unwrap_or("*"))).collect();
            let has_order = value.is_number() || value.is_string();
            let text = if operator.is_empty() { pointer } else { format!("{pointer} {operator} {value}") };
            let test = PayloadTest::new(&text);
            if matches!(operator, "<" | "<=" | ">" | ">=") && !has_order {
                prop_assert!(test.is_err());
                return Ok(());
            }
            let test = test.unwrap();
            let mut all = Vec::new();
            places(&payload, &[], &mut all);
            let is_there = |path: &[String]| {
                path.len() == wanted.len()
                    && path.iter().zip(&wanted).all(|(part, wanted)| wanted.is_none_or(|w| w == part))
            };
            let found: Vec<&Value> = all.iter().filter(|(path, _)| is_there(path)).map(|(_, v)| v).collect();
            let compared = |v: &Value| match (v.as_f64(), value.as_f64(), v.as_str(), value.as_str()) {
                (Some(a), Some(b), _, _) => a.partial_cmp(&b),
                (_, _, Some(a), Some(b)) => Some(a.cmp(b)),
                _ => None,
            };
            let same = |v: &Value| *v == value || compared(v) == Some(Ordering::Equal);
            let any = |test: &dyn Fn(&Value) -> bool| found.iter().any(|v| test(v));
            let due = match operator {
                "" => !found.is_empty(),
                "==" => any(&same),
                "!=" => !any(&same),
                "<" => any(&|v| compared(v) == Some(Ordering::Less)),
                "<=" => any(&|v| matches!(compared(v), Some(Ordering::Less | Ordering::Equal))),
                ">" => any(&|v| compared(v) == Some(Ordering::Greater)),
                ">=" => any(&|v| matches!(compared(v), Some(Ordering::Greater | Ordering::Equal))),
                _ => {
                    let text = value.as_str().map_or_else(|| value.to_string(), str::to_owned);
                    any(&|v| v.as_str().is_some_and(|v| v.contains(&text)))
                }
            };
            prop_assert_eq!(test.matches(&payload), due, "{}", test);
            prop_assert_eq!(holds_in(&text, &payload.to_string()), due, "{}", test);
            prop_assert_eq!(PayloadTest::new(&test.to_string()).unwrap(), test);
        }
    }
}
