use std::collections::BTreeSet;

use serde_json::{Map, Value};

use super::difference::{Difference, Verdict};
use super::fix::Fix;
use super::words::{
    EMPTY, TRUE, below, check_words, example, mentions_reference, no_schema, properties, reference, renamed,
    required, resolve, types,
};
use crate::event::Invalid;
use crate::limits::{MAX_SCHEMA_DEPTH, MAX_SCHEMA_PAIRS};

/// Keywords that do not affect which payloads fit.
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
/// Each is compared below.
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
/// Equal, removed, or undecidable.
const EXACT: [&str; 5] = ["pattern", "format", "multipleOf", "uniqueItems", "contentEncoding"];

pub(super) struct Walk<'a> {
    old: &'a Value,
    new: &'a Value,
    pub(super) found: Vec<Difference>,
    /// Pairs of references on the path to here: a recursive type is compared once.
    open: BTreeSet<(String, String)>,
    /// How many parts were compared: alternatives that refer to alternatives multiply.
    pairs: usize,
}

impl<'a> Walk<'a> {
    pub(super) fn new(old: &'a Value, new: &'a Value) -> Self {
        Self { old, new, found: Vec::new(), open: BTreeSet::new(), pairs: 0 }
    }

    fn tell(&mut self, path: &str, verdict: Verdict, what: impl Into<String>, fix: Option<Fix>) {
        self.found.push(Difference { path: path.to_owned(), verdict, what: what.into(), fix });
    }

    pub(super) fn compare(
        &mut self,
        path: &str,
        old: &'a Value,
        new: &'a Value,
        depth: usize,
    ) -> Result<(), Invalid> {
        self.pairs += 1;
        if self.pairs > MAX_SCHEMA_PAIRS {
            let reason = format!("has too many alternatives: the limit is {MAX_SCHEMA_PAIRS} pairs of parts");
            return Err(Invalid::new("schema", reason));
        }
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

    /// `anyOf` and `oneOf`: each old alternative has to fit one of the new. Returns whether that was all.
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
            let only = before.len() == 1 && after.len() == 1;
            if only || best.iter().all(|d| d.verdict == Verdict::Compatible) {
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

    /// Returns whether it makes sense to compare further.
    fn types(&mut self, path: &str, was: &Map<String, Value>, is: &Map<String, Value>) -> bool {
        let (before, after) = (types(was), types(is));
        let fits = |t: &&str| after.contains(*t) || (**t == *"integer" && after.contains("number"));
        let lost: Vec<&str> = before.iter().copied().filter(|t| !fits(t)).collect();
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
            return before.iter().any(fits) && was.contains_key("type");
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
            // A minimum length or count of 0 is no constraint.
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
                    let what = "was removed, and unknown fields are not allowed";
                    self.tell(&at, Verdict::Breaking, what, Some(fix));
                }
                None if others(is).is_object() => self.compare(&at, old, others(is), depth + 1)?,
                None => self.tell(&at, Verdict::Compatible, "is no longer described", None),
            }
        }
        for (name, new) in after.iter().filter(|(name, _)| !before.contains_key(*name)) {
            let at = below(path, name);
            if needs.contains(name.as_str()) {
                let fix = match renamed.iter().find(|(_, to)| to == name) {
                    Some(_) if strict => Fix::Nothing,
                    Some((from, to)) => Fix::Rename { from: below(path, from), to: to.clone() },
                    None => Fix::Default(example(self.new, new, 0)),
                };
                self.tell(&at, Verdict::Breaking, "is new and required", Some(fix));
            } else {
                self.tell(&at, Verdict::Compatible, "is new and optional", None);
            }
        }
        for name in needs.iter().filter(|n| !needed.contains(*n) && before.contains_key(**n)) {
            let at = below(path, name);
            let fix = after.get(*name).map(|new| Fix::Default(example(self.new, new, 0)));
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

fn told(found: &[Difference]) -> String {
    let breaking = found.iter().filter(|d| d.verdict != Verdict::Compatible);
    let all: Vec<String> =
        breaking.map(|d| format!("{} {}", if d.path.is_empty() { "it" } else { &d.path }, d.what)).collect();
    all.join("; ")
}
