//! Whether payloads of an old JSON Schema can be read as those of a new one.
//!
//! What cannot be decided from the two texts counts as not compatible: better a step too many than an event that
//! nobody can read.

use std::collections::BTreeSet;
use std::sync::LazyLock;

use serde_json::{Map, Value};

use super::skeleton::{self, Fix};
use crate::event::Invalid;
use crate::limits::MAX_SCHEMA_DEPTH;

/// What a difference means for payloads that were written under the old schema.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Verdict {
    /// All of them fit the new one.
    Compatible,
    /// Whether they do cannot be told.
    Undecided,
    /// Some of them do not.
    Breaking,
}

/// One difference.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Difference {
    /// Where in a payload: a JSON pointer, with `*` for every item of a list and `""` for the whole.
    pub path: String,
    /// What it means.
    pub verdict: Verdict,
    /// What has changed, as a clause.
    pub what: String,
    pub(super) fix: Option<Fix>,
}

/// Two schemas side by side.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct SchemaDiff {
    /// What differs, in the order of the paths.
    pub differences: Vec<Difference>,
}

impl SchemaDiff {
    /// Whether every payload of the old schema is one of the new.
    #[must_use]
    pub fn is_compatible(&self) -> bool {
        self.differences.iter().all(|d| d.verdict == Verdict::Compatible)
    }

    /// The file of an event step that makes old payloads new, as far as that can be guessed: every guess is to be
    /// looked at, and what could not be guessed stands in it as a comment.
    #[must_use]
    pub fn upcast(&self, kind: &str, version: u32) -> String {
        skeleton::write(&self.differences, kind, version)
    }
}

/// Compares two JSON Schemas, as schemars and people write them: types, properties, items, enumerations, alternatives,
/// bounds, local references. Annotations do not count.
///
/// ```
/// use retold::schema::{Verdict, compare_schemas};
/// use serde_json::json;
/// let old = json!({"type": "object", "properties": {"ms": {"type": "integer"}}});
/// let new = json!({"type": "object", "properties": {"ms": {"type": "integer"}, "tool": {"type": "string"}}, "required": ["tool"]});
/// let diff = compare_schemas(&old, &new)?;
/// assert_eq!((diff.differences[0].path.as_str(), diff.differences[0].verdict), ("/tool", Verdict::Breaking));
/// # Ok::<(), retold::Invalid>(())
/// ```
///
/// # Errors
/// [`Invalid`] for one that is no schema, or that is nested more deeply than [`MAX_SCHEMA_DEPTH`].
pub fn compare_schemas(old: &Value, new: &Value) -> Result<SchemaDiff, Invalid> {
    let mut walk = Walk { old, new, found: Vec::new(), open: BTreeSet::new() };
    walk.compare("", old, new, 0)?;
    let mut differences = walk.found;
    differences.sort_by(|a, b| (&a.path, b.verdict).cmp(&(&b.path, a.verdict)));
    differences.dedup();
    Ok(SchemaDiff { differences })
}

/// Says nothing about which payloads fit.
const NOTES: [&str; 14] = [
    "$schema",
    "$id",
    "$anchor",
    "$comment",
    "$defs",
    "definitions",
    "title",
    "description",
    "default",
    "examples",
    "deprecated",
    "readOnly",
    "writeOnly",
    "$vocabulary",
];
/// Each is looked at below.
const KNOWN: [&str; 26] = [
    "$ref",
    "type",
    "properties",
    "required",
    "additionalProperties",
    "items",
    "prefixItems",
    "enum",
    "const",
    "anyOf",
    "oneOf",
    "minimum",
    "exclusiveMinimum",
    "minLength",
    "minItems",
    "minProperties",
    "maximum",
    "exclusiveMaximum",
    "maxLength",
    "maxItems",
    "maxProperties",
    "pattern",
    "format",
    "multipleOf",
    "uniqueItems",
    "contentEncoding",
];
const LOWER: [&str; 5] = ["minimum", "exclusiveMinimum", "minLength", "minItems", "minProperties"];
const UPPER: [&str; 5] = ["maximum", "exclusiveMaximum", "maxLength", "maxItems", "maxProperties"];
/// Equal, gone, or not to be told.
const EXACT: [&str; 5] = ["pattern", "format", "multipleOf", "uniqueItems", "contentEncoding"];
const TYPES: [&str; 7] = ["null", "boolean", "object", "array", "number", "string", "integer"];

struct Walk<'a> {
    old: &'a Value,
    new: &'a Value,
    found: Vec<Difference>,
    /// Pairs of references on the way here: a type that contains itself is compared once.
    open: BTreeSet<(String, String)>,
}

impl<'a> Walk<'a> {
    fn tell(&mut self, path: &str, verdict: Verdict, what: impl Into<String>, fix: Option<Fix>) {
        self.found.push(Difference { path: path.to_owned(), verdict, what: what.into(), fix });
    }

    fn compare(&mut self, path: &str, old: &'a Value, new: &'a Value, depth: usize) -> Result<(), Invalid> {
        if depth > MAX_SCHEMA_DEPTH {
            let reason = format!("is nested more deeply than {MAX_SCHEMA_DEPTH} levels at `{path}`");
            return Err(Invalid::new("schema", reason));
        }
        let pair = (reference(old).to_owned(), reference(new).to_owned());
        let follows = !pair.0.is_empty() || !pair.1.is_empty();
        if follows && !self.open.insert(pair.clone()) {
            return Ok(());
        }
        let (was, is) = (resolve(self.old, old, path)?, resolve(self.new, new, path)?);
        let done = self.compare_resolved(path, was, is, depth);
        if follows {
            self.open.remove(&pair);
        }
        done
    }

    fn compare_resolved(
        &mut self,
        path: &str,
        old: &'a Value,
        new: &'a Value,
        depth: usize,
    ) -> Result<(), Invalid> {
        let (was, is) = match (old, new) {
            (_, Value::Bool(true)) | (Value::Bool(false), _) => return Ok(()),
            (_, Value::Bool(false)) => {
                self.tell(path, Verdict::Breaking, "nothing is allowed there any more", Some(Fix::Remove));
                return Ok(());
            }
            (Value::Bool(true), Value::Object(is)) => (&*EMPTY, is),
            (Value::Object(was), Value::Object(is)) => (was, is),
            _ => return Err(no_schema(path, "is neither an object nor true or false")),
        };
        for schema in [was, is] {
            check_words(path, schema)?;
            properties(path, schema)?;
            required(path, schema)?;
        }
        if was == is && reference(old).is_empty() && !mentions_reference(old) {
            return Ok(());
        }
        if self.alternatives(path, (old, was), (new, is), depth)? {
            return Ok(());
        }
        if !self.types(path, was, is) {
            return Ok(());
        }
        self.values(path, was, is);
        self.bounds(path, was, is);
        self.fields(path, was, is, depth)?;
        self.items(path, was, is, depth)?;
        let words: BTreeSet<&String> = was.keys().chain(is.keys()).collect();
        for word in words.into_iter().filter(|w| !KNOWN.contains(&w.as_str()) && !NOTES.contains(&w.as_str()))
        {
            if was.get(word) != is.get(word) {
                let verdict = if is.contains_key(word) { Verdict::Undecided } else { Verdict::Compatible };
                self.tell(path, verdict, format!("`{word}` has changed"), None);
            }
        }
        Ok(())
    }

    /// `anyOf` and `oneOf`: each old alternative has to fit one of the new. Answers whether that was all.
    fn alternatives(
        &mut self,
        path: &str,
        (old, was): (&'a Value, &'a Map<String, Value>),
        (new, is): (&'a Value, &'a Map<String, Value>),
        depth: usize,
    ) -> Result<bool, Invalid> {
        let list = |map: &'a Map<String, Value>| {
            ["anyOf", "oneOf"].iter().find_map(|w| map.get(*w)).and_then(Value::as_array)
        };
        let (before, after) = (list(was), list(is));
        if before.is_none() && after.is_none() {
            return Ok(false);
        }
        let one = |schema| vec![schema];
        let before: Vec<&'a Value> = before.map_or_else(|| one(old), |b| b.iter().collect());
        let after: Vec<&'a Value> = after.map_or_else(|| one(new), |a| a.iter().collect());
        for (n, alternative) in before.iter().enumerate() {
            let mut best: Option<Vec<Difference>> = None;
            for candidate in &after {
                let outer = std::mem::take(&mut self.found);
                let result = self.compare(path, alternative, candidate, depth + 1);
                let found = std::mem::replace(&mut self.found, outer);
                result?;
                let breaking =
                    |found: &[Difference]| found.iter().filter(|d| d.verdict != Verdict::Compatible).count();
                if best.as_ref().is_none_or(|b| breaking(&found) < breaking(b)) {
                    best = Some(found);
                }
            }
            let best = best.unwrap_or_default();
            if best.iter().all(|d| d.verdict == Verdict::Compatible) {
                self.found.extend(best);
            } else if before.len() == 1 && after.len() == 1 {
                self.found.extend(best);
            } else {
                let what = format!("alternative {} fits none of the new ones: {}", n + 1, told(&best));
                self.tell(path, Verdict::Breaking, what, None);
            }
        }
        if after.len() > before.len() {
            self.tell(path, Verdict::Compatible, "there are more alternatives", None);
        }
        Ok(true)
    }

    /// Answers whether it makes sense to look further.
    fn types(&mut self, path: &str, was: &Map<String, Value>, is: &Map<String, Value>) -> bool {
        let (before, after) = (types(was), types(is));
        let fits = |t: &&str| after.contains(*t) || (**t == *"integer" && after.contains("number"));
        let lost: Vec<&str> = before.iter().copied().filter(|t| !fits(&t)).collect();
        if !lost.is_empty() {
            let to = || after.iter().copied().collect::<Vec<_>>().join(" or ");
            let fix = match (before.len() - usize::from(before.contains("null")), after.iter().next()) {
                (1, Some(new)) => Fix::of_types(lost.first().copied().unwrap_or_default(), new, after.len()),
                _ => None,
            };
            let what = match was.contains_key("type") {
                true => format!("{} is not allowed any more, it is {} now", lost.join(" and "), to()),
                false => format!("anything was allowed, it is {} now", to()),
            };
            self.tell(path, Verdict::Breaking, what, fix);
            return before.iter().any(|t| fits(&t)) && was.contains_key("type");
        }
        let more: Vec<&str> = after.iter().copied().filter(|t| !before.contains(t)).collect();
        if !more.is_empty() && is.contains_key("type") {
            self.tell(path, Verdict::Compatible, format!("{} is allowed too", more.join(" and ")), None);
        }
        true
    }

    fn values(&mut self, path: &str, was: &Map<String, Value>, is: &Map<String, Value>) {
        let list =
            |map: &Map<String, Value>| match (map.get("enum").and_then(Value::as_array), map.get("const")) {
                (Some(values), _) => Some(values.clone()),
                (None, Some(one)) => Some(vec![one.clone()]),
                (None, None) => None,
            };
        match (list(was), list(is)) {
            (Some(before), Some(after)) => {
                let lost: Vec<Value> = before.iter().filter(|v| !after.contains(v)).cloned().collect();
                if !lost.is_empty() {
                    let names: Vec<String> = lost.iter().map(Value::to_string).collect();
                    let what = format!("{} is not allowed any more", names.join(", "));
                    let kept = |v: &Value| after.iter().find(|a| *a == v).or(after.first()).cloned();
                    let pairs = before.iter().filter_map(|v| Some((v.clone(), kept(v)?))).collect();
                    self.tell(path, Verdict::Breaking, what, Some(Fix::Values(pairs)));
                } else if after.len() > before.len() {
                    self.tell(path, Verdict::Compatible, "more values are allowed", None);
                }
            }
            (None, Some(_)) => {
                self.tell(path, Verdict::Breaking, "only certain values are allowed now", None)
            }
            (Some(_), None) => {
                self.tell(path, Verdict::Compatible, "every value of its type is allowed", None)
            }
            (None, None) => {}
        }
    }

    fn bounds(&mut self, path: &str, was: &Map<String, Value>, is: &Map<String, Value>) {
        let words = LOWER.iter().map(|w| (*w, 1.0)).chain(UPPER.iter().map(|w| (*w, -1.0)));
        for (word, sign) in words {
            let (before, after) = (was.get(word), is.get(word));
            if before == after {
                continue;
            }
            let number = |v: Option<&Value>| v.and_then(Value::as_f64).map(|x| x * sign);
            let shown = |v: Option<&Value>| v.map_or("none".to_owned(), Value::to_string);
            let narrower = match (number(before), number(after)) {
                (Some(b), Some(a)) => a > b,
                (None, Some(_)) => true,
                _ => false,
            };
            // A length or a count of 0 is no bound.
            let nothing = sign > 0.0 && !word.contains("imum") && number(after) == Some(0.0);
            let verdict = if narrower && !nothing { Verdict::Breaking } else { Verdict::Compatible };
            self.tell(path, verdict, format!("`{word}` was {}, is {}", shown(before), shown(after)), None);
        }
        for word in EXACT.iter().filter(|w| was.get(**w) != is.get(**w)) {
            let verdict = if is.contains_key(*word) { Verdict::Undecided } else { Verdict::Compatible };
            self.tell(path, verdict, format!("`{word}` has changed"), None);
        }
    }

    fn fields(
        &mut self,
        path: &str,
        was: &'a Map<String, Value>,
        is: &'a Map<String, Value>,
        depth: usize,
    ) -> Result<(), Invalid> {
        let (before, after) = (properties(path, was)?, properties(path, is)?);
        let (needed, needs) = (required(path, was)?, required(path, is)?);
        let others = |map: &'a Map<String, Value>| map.get("additionalProperties").unwrap_or(&TRUE);
        let strict = *others(is) == Value::Bool(false);
        let renamed = renamed(before, after);
        for (name, old) in before {
            let at = below(path, name);
            match after.get(name) {
                Some(new) => self.compare(&at, old, new, depth + 1)?,
                None if strict => {
                    let to = renamed.iter().find(|(from, _)| from == name).map(|(_, to)| to.clone());
                    let fix = to.map_or(Fix::Remove, |to| Fix::Rename { from: at.clone(), to });
                    let what = "is gone, and unknown fields are not allowed";
                    self.tell(&at, Verdict::Breaking, what, Some(fix));
                }
                None if others(is).is_object() => self.compare(&at, old, others(is), depth + 1)?,
                None => self.tell(&at, Verdict::Compatible, "is not described any more", None),
            }
        }
        for (name, new) in after.iter().filter(|(name, _)| !before.contains_key(*name)) {
            let at = below(path, name);
            if needs.contains(name.as_str()) {
                let fix = match renamed.iter().find(|(_, to)| to == name) {
                    Some(_) if strict => Fix::Nothing,
                    Some((from, to)) => Fix::Rename { from: below(path, from), to: to.clone() },
                    None => Fix::Default(example(self.new, new)),
                };
                self.tell(&at, Verdict::Breaking, "is new and required", Some(fix));
            } else {
                self.tell(&at, Verdict::Compatible, "is new and optional", None);
            }
        }
        for name in needs.iter().filter(|n| !needed.contains(*n) && before.contains_key(**n)) {
            let at = below(path, name);
            let fix = after.get(*name).map(|new| Fix::Default(example(self.new, new)));
            self.tell(&at, Verdict::Breaking, "was optional and is required", fix);
        }
        for name in needed.iter().filter(|n| !needs.contains(*n) && after.contains_key(**n)) {
            let at = below(path, name);
            self.tell(&at, Verdict::Compatible, "was required and is optional", None);
        }
        match (others(was), others(is)) {
            (a, b) if a == b => {}
            (Value::Bool(true), Value::Bool(false)) => {
                self.tell(path, Verdict::Breaking, "unknown fields are not allowed any more", None);
            }
            (_, Value::Bool(true)) | (Value::Bool(false), _) => {
                self.tell(path, Verdict::Compatible, "more unknown fields are allowed", None);
            }
            (a, b) => self.compare(&format!("{path}/*"), a, b, depth + 1)?,
        }
        Ok(())
    }

    fn items(
        &mut self,
        path: &str,
        was: &'a Map<String, Value>,
        is: &'a Map<String, Value>,
        depth: usize,
    ) -> Result<(), Invalid> {
        if was.get("prefixItems") != is.get("prefixItems") {
            let list = |map: &'a Map<String, Value>| map.get("prefixItems").and_then(Value::as_array);
            let (before, after) = (list(was).into_iter().flatten(), list(is).into_iter().flatten());
            let both = list(was).map_or(0, Vec::len).max(list(is).map_or(0, Vec::len));
            let (mut before, mut after) = (before, after);
            for n in 0..both {
                let (old, new) = (before.next().unwrap_or(&TRUE), after.next().unwrap_or(&TRUE));
                self.compare(&format!("{path}/{n}"), old, new, depth + 1)?;
            }
        }
        let item = |map: &'a Map<String, Value>| map.get("items").unwrap_or(&TRUE);
        match (item(was), item(is)) {
            (a, b) if a == b && !mentions_reference(a) => Ok(()),
            (a, b) => self.compare(&format!("{path}/*"), a, b, depth + 1),
        }
    }
}

static TRUE: Value = Value::Bool(true);
static EMPTY: LazyLock<Map<String, Value>> = LazyLock::new(Map::new);

fn no_schema(path: &str, why: &str) -> Invalid {
    let at = if path.is_empty() { String::new() } else { format!(" at `{path}`") };
    Invalid::new("schema", format!("is no JSON Schema{at}: it {why}"))
}

fn reference(schema: &Value) -> &str {
    schema.get("$ref").and_then(Value::as_str).unwrap_or_default()
}

/// Equal texts may refer to definitions that differ.
fn mentions_reference(schema: &Value) -> bool {
    match schema {
        Value::Object(map) => map.contains_key("$ref") || map.values().any(mentions_reference),
        Value::Array(items) => items.iter().any(mentions_reference),
        _ => false,
    }
}

fn resolve<'a>(root: &'a Value, schema: &'a Value, path: &str) -> Result<&'a Value, Invalid> {
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

fn check_words(path: &str, schema: &Map<String, Value>) -> Result<(), Invalid> {
    let names: Vec<&Value> = match schema.get("type") {
        None => Vec::new(),
        Some(Value::Array(names)) => names.iter().collect(),
        Some(name) => vec![name],
    };
    match names.into_iter().find(|n| !n.as_str().is_some_and(|n| TYPES.contains(&n))) {
        Some(other) => Err(no_schema(path, &format!("has the type {other}, which there is not"))),
        None => Ok(()),
    }
}

fn types(schema: &Map<String, Value>) -> BTreeSet<&str> {
    match schema.get("type") {
        Some(Value::String(name)) => BTreeSet::from([name.as_str()]),
        Some(Value::Array(names)) => names.iter().filter_map(Value::as_str).collect(),
        // A whole number is a number.
        _ => TYPES.into_iter().filter(|t| *t != "integer").collect(),
    }
}

fn properties<'a>(path: &str, schema: &'a Map<String, Value>) -> Result<&'a Map<String, Value>, Invalid> {
    match schema.get("properties") {
        None => Ok(&*EMPTY),
        Some(Value::Object(properties)) => Ok(properties),
        Some(_) => Err(no_schema(path, "has `properties` that are no object")),
    }
}

fn required<'a>(path: &str, schema: &'a Map<String, Value>) -> Result<BTreeSet<&'a str>, Invalid> {
    match schema.get("required") {
        None => Ok(BTreeSet::new()),
        Some(Value::Array(names)) => Ok(names.iter().filter_map(Value::as_str).collect()),
        Some(_) => Err(no_schema(path, "has `required` that is no list")),
    }
}

fn below(path: &str, name: &str) -> String {
    format!("{path}/{}", name.replace('~', "~0").replace('/', "~1"))
}

/// Fields that are gone, each with one that is new and alike: it may have another name, no more.
fn renamed(before: &Map<String, Value>, after: &Map<String, Value>) -> Vec<(String, String)> {
    let mut pairs: Vec<(String, String)> = Vec::new();
    for (from, old) in before.iter().filter(|(name, _)| !after.contains_key(*name)) {
        let free = |name: &str| !before.contains_key(name) && !pairs.iter().any(|(_, to)| to == name);
        if let Some((to, _)) = after.iter().find(|(name, new)| free(name) && alike(old, new)) {
            pairs.push((from.clone(), to.clone()));
        }
    }
    pairs
}

/// Of the same type, as far as both say one.
fn alike(old: &Value, new: &Value) -> bool {
    old.get("type").is_some() && old.get("type") == new.get("type")
}

/// A value that may do for a field that an old payload does not have.
fn example(root: &Value, schema: &Value) -> Value {
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
        () => Value::Object(Map::new()),
    }
}

fn told(found: &[Difference]) -> String {
    let breaking = found.iter().filter(|d| d.verdict != Verdict::Compatible);
    let all: Vec<String> =
        breaking.map(|d| format!("{} {}", if d.path.is_empty() { "it" } else { &d.path }, d.what)).collect();
    all.join("; ")
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::json;

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
            (
                json!({"oneOf": [{"const": 1}, {"const": 2}]}),
                json!({"oneOf": [{"const": 1}]}),
                Some(Breaking),
            ),
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
        let new =
            object(json!({"a": text, "b": text, "c": text, "d": {"type": "boolean"}}), json!(["b", "d"]));
        let due = [
            ("/a", Compatible),
            ("/b", Breaking),
            ("/c", Compatible),
            ("/d", Breaking),
            ("/gone", Compatible),
        ];
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
            (json!({"type": "text"}), "there is not"),
            (json!({"$ref": "other.json"}), "not in it"),
            (json!({"$ref": "#"}), "circle"),
            (json!({"properties": []}), "no object"),
            (json!({"required": "a"}), "no list"),
        ] {
            let told =
                compare_schemas(&bad, &json!({"type": "string", "minLength": 1})).unwrap_err().to_string();
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
}
