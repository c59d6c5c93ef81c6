//! The difference between two JSON documents as JSON Patch (RFC 6902).

use serde_json::{Map, Value, json};

use crate::event::pointer_part;

/// The operations that turn the first document into the second, in order. Members are compared by name, and items by
/// index.
pub(crate) fn patch(from: &Value, to: &Value) -> Value {
    let mut operations = Vec::new();
    compare(from, to, &mut String::new(), &mut operations);
    Value::Array(operations)
}

fn compare(from: &Value, to: &Value, path: &mut String, out: &mut Vec<Value>) {
    match (from, to) {
        (Value::Object(from), Value::Object(to)) => members(from, to, path, out),
        (Value::Array(from), Value::Array(to)) => items(from, to, path, out),
        _ if from == to => {}
        _ => out.push(json!({"op": "replace", "path": path, "value": to})),
    }
}

fn members(from: &Map<String, Value>, to: &Map<String, Value>, path: &mut String, out: &mut Vec<Value>) {
    for (name, new) in to {
        within(path, &pointer_part(name), |path| match from.get(name) {
            Some(old) => compare(old, new, path, out),
            None => out.push(json!({"op": "add", "path": path, "value": new})),
        });
    }
    for name in from.keys().filter(|name| !to.contains_key(*name)) {
        within(path, &pointer_part(name), |path| out.push(json!({"op": "remove", "path": path})));
    }
}

fn items(from: &[Value], to: &[Value], path: &mut String, out: &mut Vec<Value>) {
    for (at, (old, new)) in from.iter().zip(to).enumerate() {
        within(path, &at.to_string(), |path| compare(old, new, path, out));
    }
    for (at, new) in to.iter().enumerate().skip(from.len()) {
        within(path, &at.to_string(), |path| out.push(json!({"op": "add", "path": path, "value": new})));
    }
    // Each one that goes makes the next one take its place.
    for _ in to.len()..from.len() {
        within(path, &to.len().to_string(), |path| out.push(json!({"op": "remove", "path": path})));
    }
}

fn within(path: &mut String, part: &str, what: impl FnOnce(&mut String)) {
    let before = path.len();
    path.push('/');
    path.push_str(part);
    what(path);
    path.truncate(before);
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn each_sort_of_difference_has_its_operation() {
        for (from, to, want) in [
            (json!(1), json!(1), json!([])),
            (json!({"a": 1}), json!(null), json!([{"op": "replace", "path": "", "value": null}])),
            (json!({"a": 1}), json!({"a": 2}), json!([{"op": "replace", "path": "/a", "value": 2}])),
            (
                json!([1, 2, 3]),
                json!([1]),
                json!([{"op": "remove", "path": "/1"}, {"op": "remove", "path": "/1"}]),
            ),
            (json!([1]), json!([1, 2]), json!([{"op": "add", "path": "/1", "value": 2}])),
            (
                json!({"a/b": 1, "c~d": {"": 1}}),
                json!({"c~d": {"": 2}, "e": 3}),
                json!([
                    {"op": "replace", "path": "/c~0d/", "value": 2},
                    {"op": "add", "path": "/e", "value": 3},
                    {"op": "remove", "path": "/a~1b"},
                ]),
            ),
        ] {
            assert_eq!(patch(&from, &to), want, "{from} to {to}");
        }
    }

    fn documents() -> impl Strategy<Value = Value> {
        let leaf =
            prop_oneof![Just(Value::Null), (0..3).prop_map(Value::from), "[ab]?".prop_map(Value::from)];
        leaf.prop_recursive(4, 32, 4, |inner| {
            let names = prop_oneof![Just(""), Just("a"), Just("b"), Just("~"), Just("/x~1")];
            prop_oneof![
                prop::collection::vec(inner.clone(), 0..4).prop_map(Value::from),
                prop::collection::btree_map(names.prop_map(str::to_owned), inner, 0..4)
                    .prop_map(|map| Value::Object(map.into_iter().collect())),
            ]
        })
    }

    proptest! {
        #[test]
        fn a_patch_makes_the_first_document_into_the_second(from in documents(), to in documents()) {
            let operations: json_patch::Patch = serde_json::from_value(patch(&from, &to)).unwrap();
            let mut document = from.clone();
            json_patch::patch(&mut document, &operations).unwrap();
            prop_assert_eq!(&document, &to);
            prop_assert_eq!(serde_json::to_value(json_patch::diff(&from, &to)).unwrap(), patch(&from, &to));
        }
    }
}
