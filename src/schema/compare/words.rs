//! The meaning of single keywords of a schema.

use std::collections::BTreeSet;
use std::sync::LazyLock;

use serde_json::{Map, Value};

use crate::event::Invalid;
use crate::limits::MAX_SCHEMA_DEPTH;

/// Nesting of objects in a made-up example, since a recursive type has to end.
const EXAMPLE_DEPTH: usize = 4;
/// Fields of each of them.
const EXAMPLE_FIELDS: usize = 16;
pub(super) const TYPES: [&str; 7] = ["null", "boolean", "object", "array", "number", "string", "integer"];

pub(super) static TRUE: Value = Value::Bool(true);
pub(super) static EMPTY: LazyLock<Map<String, Value>> = LazyLock::new(Map::new);

pub(super) fn no_schema(path: &str, why: &str) -> Invalid {
    let at = if path.is_empty() { String::new() } else { format!(" at `{path}`") };
    Invalid::new("schema", format!("is not a JSON Schema{at}: it {why}"))
}

pub(super) fn reference(schema: &Value) -> &str {
    schema.get("$ref").and_then(Value::as_str).unwrap_or_default()
}

/// Equal texts may refer to different definitions.
pub(super) fn mentions_reference(schema: &Value) -> bool {
    match schema {
        Value::Object(map) => map.contains_key("$ref") || map.values().any(mentions_reference),
        Value::Array(items) => items.iter().any(mentions_reference),
        _ => false,
    }
}

pub(super) fn resolve<'a>(root: &'a Value, schema: &'a Value, path: &str) -> Result<&'a Value, Invalid> {
    let mut at = schema;
    for _ in 0..=MAX_SCHEMA_DEPTH {
        let name = reference(at);
        if name.is_empty() {
            return Ok(at);
        }
        let local = name.strip_prefix('#').filter(|rest| rest.is_empty() || rest.starts_with('/'));
        at = local
            .and_then(|pointer| root.pointer(pointer))
            .ok_or_else(|| no_schema(path, &format!("refers to `{name}`, which is not in it")))?;
    }
    Err(no_schema(path, "has references that go in a circle"))
}

pub(super) fn check_words(path: &str, schema: &Map<String, Value>) -> Result<(), Invalid> {
    let names: Vec<&Value> = match schema.get("type") {
        None => Vec::new(),
        Some(Value::Array(names)) => names.iter().collect(),
        Some(name) => vec![name],
    };
    match names.into_iter().find(|n| !n.as_str().is_some_and(|n| TYPES.contains(&n))) {
        Some(other) => Err(no_schema(path, &format!("has the unknown type {other}"))),
        None => Ok(()),
    }
}

pub(super) fn types(schema: &Map<String, Value>) -> BTreeSet<&str> {
    match schema.get("type") {
        Some(Value::String(name)) => BTreeSet::from([name.as_str()]),
        Some(Value::Array(names)) => names.iter().filter_map(Value::as_str).collect(),
        // An integer is a number.
        _ => TYPES.into_iter().filter(|t| *t != "integer").collect(),
    }
}

pub(super) fn properties<'a>(
    path: &str,
    schema: &'a Map<String, Value>,
) -> Result<&'a Map<String, Value>, Invalid> {
    match schema.get("properties") {
        None => Ok(&*EMPTY),
        Some(Value::Object(properties)) => Ok(properties),
        Some(_) => Err(no_schema(path, "has `properties` that are not an object")),
    }
}

pub(super) fn required<'a>(path: &str, schema: &'a Map<String, Value>) -> Result<BTreeSet<&'a str>, Invalid> {
    match schema.get("required") {
        None => Ok(BTreeSet::new()),
        Some(Value::Array(names)) => Ok(names.iter().filter_map(Value::as_str).collect()),
        Some(_) => Err(no_schema(path, "has `required` that is not a list")),
    }
}

pub(super) fn below(path: &str, name: &str) -> String {
    format!("{path}/{}", name.replace('~', "~0").replace('/', "~1"))
}

/// Removed fields, each with a new one that is similar: it may have been renamed.
pub(super) fn renamed(before: &Map<String, Value>, after: &Map<String, Value>) -> Vec<(String, String)> {
    let mut pairs: Vec<(String, String)> = Vec::new();
    for (from, old) in before.iter().filter(|(name, _)| !after.contains_key(*name)) {
        let free = |name: &str| !before.contains_key(name) && !pairs.iter().any(|(_, to)| to == name);
        if let Some((to, _)) = after.iter().find(|(name, new)| free(name) && alike(old, new)) {
            pairs.push((from.clone(), to.clone()));
        }
    }
    pairs
}

/// Of the same type, as far as both state one.
pub(super) fn alike(old: &Value, new: &Value) -> bool {
    old.get("type").is_some() && old.get("type") == new.get("type")
}

/// A possible default for a field that old payloads do not have; an object gets its required fields.
pub(super) fn example(root: &Value, schema: &Value, depth: usize) -> Value {
    let schema = resolve(root, schema, "").unwrap_or(schema);
    let listed = || schema.get("enum").and_then(Value::as_array).and_then(|v| v.first());
    if let Some(value) = schema.get("default").or_else(|| schema.get("const")).or_else(listed) {
        return value.clone();
    }
    let name = schema.as_object().map(types).unwrap_or_default();
    let has = |t: &str| name.contains(t);
    match () {
        () if has("string") => Value::from(""),
        () if has("integer") || has("number") => Value::from(0),
        () if has("boolean") => Value::from(false),
        () if has("array") => Value::Array(Vec::new()),
        () if depth >= EXAMPLE_DEPTH => Value::Object(Map::new()),
        () => {
            let needed = schema.get("required").and_then(Value::as_array).into_iter().flatten();
            let field = |name: &str| {
                let schema = schema.get("properties").and_then(|p| p.get(name)).unwrap_or(&TRUE);
                (name.to_owned(), example(root, schema, depth + 1))
            };
            Value::Object(needed.filter_map(Value::as_str).take(EXAMPLE_FIELDS).map(field).collect())
        }
    }
}
