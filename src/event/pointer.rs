use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Deserializer, Serialize, Serializer};
use serde_json::Value;

use super::{Invalid, pointer_item, pointer_parts};
use crate::limits::{MAX_POINTERS, MAX_ROLE_POINTER_BYTES};

/// A place in a JSON payload: a JSON Pointer (RFC 6901), in which one part may be `*`, which matches any member of an
/// object or item of a list.
///
/// ```
/// use retold::event::roles::Pointer;
/// let at: Pointer = "/usage/*/tokens".parse()?;
/// let payload = serde_json::json!({"usage": [{"tokens": 3}, {"tokens": 4}]});
/// assert_eq!(at.find(&payload), Some(&serde_json::json!(3)));
/// assert_eq!(at.find_all(&payload).len(), 2);
/// # Ok::<(), retold::Invalid>(())
/// ```
#[derive(Clone, PartialEq, Eq, Hash)]
pub struct Pointer {
    text: Box<str>,
    steps: Box<[PathStep]>,
}

#[derive(Clone, PartialEq, Eq, Hash)]
enum PathStep {
    To(Box<str>),
    Each,
}

impl From<String> for PathStep {
    fn from(part: String) -> Self {
        if part == "*" { Self::Each } else { Self::To(part.into()) }
    }
}

impl Pointer {
    /// Parses a pointer.
    ///
    /// # Errors
    /// [`Invalid`] with the field `pointer` for text that is neither empty nor begins with `/`, for `~` without `0` or
    /// `1` after it, and for a second `*`.
    pub fn new(text: &str) -> Result<Self, Invalid> {
        let bad = |why: &str| Err(Invalid::new("pointer", format!("`{}` {why}", text.escape_debug())));
        if text.len() > MAX_ROLE_POINTER_BYTES {
            let reason = format!("has {} bytes; the limit is {MAX_ROLE_POINTER_BYTES}", text.len());
            return Err(Invalid::new("pointer", reason));
        }
        let steps: Vec<PathStep> = match pointer_parts(text) {
            Ok(parts) => parts.into_iter().map(PathStep::from).collect(),
            Err(why) => return bad(&why),
        };
        if steps.iter().filter(|s| **s == PathStep::Each).count() > 1 {
            return bad("has more than one `*`");
        }
        Ok(Self { text: text.into(), steps: steps.into() })
    }

    /// The value at this place; for a pointer with `*`, the first match.
    #[must_use]
    pub fn find<'v>(&self, payload: &'v Value) -> Option<&'v Value> {
        if !self.steps.contains(&PathStep::Each) {
            return follow(payload, &self.steps);
        }
        self.find_all(payload).into_iter().next().map(|(_, value)| value)
    }

    /// All matches, each with what `*` matched: a member's key or an item's index. Without `*` there is at most one,
    /// with an empty name.
    #[must_use]
    pub fn find_all<'v>(&self, payload: &'v Value) -> Vec<(String, &'v Value)> {
        let Some(at) = self.steps.iter().position(|s| *s == PathStep::Each) else {
            return self.find(payload).map(|v| (String::new(), v)).into_iter().collect();
        };
        let (before, rest) = self.steps.split_at(at);
        let after = rest.get(1..).unwrap_or_default();
        let found = |name: String, value| follow(value, after).map(|v| (name, v));
        match follow(payload, before) {
            Some(Value::Array(items)) => {
                items.iter().enumerate().filter_map(|(i, v)| found(i.to_string(), v)).collect()
            }
            Some(Value::Object(members)) => members.iter().filter_map(|(k, v)| found(k.clone(), v)).collect(),
            _ => Vec::new(),
        }
    }

    /// The value when `*` matches `name`.
    #[must_use]
    pub fn find_for<'v>(&self, payload: &'v Value, name: &str) -> Option<&'v Value> {
        self.steps.iter().try_fold(payload, |value, step| match step {
            PathStep::To(to) => member(value, to),
            PathStep::Each => member(value, name),
        })
    }

    /// Its parts, in order; `None` is `*`.
    pub(crate) fn parts(&self) -> impl Iterator<Item = Option<&str>> {
        self.steps.iter().map(|step| match step {
            PathStep::To(to) => Some(&**to),
            PathStep::Each => None,
        })
    }

    /// The pointer as written.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.text
    }
}

/// Follows parts without a `*`.
fn follow<'v>(value: &'v Value, steps: &[PathStep]) -> Option<&'v Value> {
    steps.iter().try_fold(value, |value, step| match step {
        PathStep::To(to) => member(value, to),
        PathStep::Each => None,
    })
}

fn member<'v>(value: &'v Value, name: &str) -> Option<&'v Value> {
    match value {
        Value::Object(members) => members.get(name),
        Value::Array(items) => items.get(pointer_item(name)?),
        _ => None,
    }
}

impl FromStr for Pointer {
    type Err = Invalid;
    fn from_str(s: &str) -> Result<Self, Invalid> {
        Self::new(s)
    }
}

impl fmt::Display for Pointer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

impl fmt::Debug for Pointer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(&self.text, f)
    }
}

impl Serialize for Pointer {
    fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        to.serialize_str(&self.text)
    }
}

impl<'de> Deserialize<'de> for Pointer {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        let text = String::deserialize(from)?;
        Self::new(&text).map_err(serde::de::Error::custom)
    }
}

/// Pointers that are tried in order; the first with a usable value counts. In TOML and JSON, one text or a list of
/// texts.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct Pointers(Box<[Pointer]>);

impl Pointers {
    /// Parses pointers, in the order in which they will be tried.
    ///
    /// # Errors
    /// As [`Pointer::new`], and for more than 32.
    pub fn new<T: AsRef<str>>(texts: &[T]) -> Result<Self, Invalid> {
        if texts.len() > MAX_POINTERS {
            return Err(Invalid::new(
                "pointer",
                format!("has {} alternatives; the limit is {MAX_POINTERS}", texts.len()),
            ));
        }
        texts.iter().map(|t| Pointer::new(t.as_ref())).collect::<Result<_, _>>().map(Self)
    }

    /// Whether there are none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The pointers, in the order in which they are tried.
    pub fn iter(&self) -> impl Iterator<Item = &Pointer> {
        self.0.iter()
    }

    /// The first value that exists and is not `null`.
    #[must_use]
    pub fn find<'v>(&self, payload: &'v Value) -> Option<&'v Value> {
        self.0.iter().filter_map(|p| p.find(payload)).find(|v| !v.is_null())
    }

    /// The first text that exists and is not empty. A number or a boolean is converted.
    #[must_use]
    pub fn text(&self, payload: &Value) -> Option<String> {
        self.0.iter().filter_map(|p| p.find(payload)).find_map(text)
    }

    /// The first number. A text counts if it is just a number.
    #[must_use]
    pub fn number(&self, payload: &Value) -> Option<f64> {
        self.0.iter().filter_map(|p| p.find(payload)).find_map(number)
    }
}

pub(super) fn text(value: &Value) -> Option<String> {
    match value {
        Value::String(s) if !s.is_empty() => Some(s.clone()),
        Value::Number(n) => Some(n.to_string()),
        Value::Bool(b) => Some(b.to_string()),
        _ => None,
    }
}

pub(super) fn number(value: &Value) -> Option<f64> {
    let n = match value {
        Value::Number(n) => n.as_f64(),
        Value::String(s) => s.parse().ok(),
        _ => None,
    };
    n.filter(|n| n.is_finite())
}

impl Serialize for Pointers {
    fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        match &*self.0 {
            [one] => one.serialize(to),
            many => many.serialize(to),
        }
    }
}

impl<'de> Deserialize<'de> for Pointers {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        from.deserialize_any(OneOrMany)
    }
}

struct OneOrMany;

impl<'de> serde::de::Visitor<'de> for OneOrMany {
    type Value = Pointers;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a JSON pointer such as \"/usage/tokens\", or a list of them")
    }

    fn visit_str<E: serde::de::Error>(self, text: &str) -> Result<Pointers, E> {
        Pointers::new(&[text]).map_err(E::custom)
    }

    fn visit_seq<A: serde::de::SeqAccess<'de>>(self, mut list: A) -> Result<Pointers, A::Error> {
        let mut texts: Vec<String> = Vec::new();
        while let Some(text) = list.next_element()? {
            texts.push(text);
        }
        Pointers::new(&texts).map_err(serde::de::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn the_first_that_is_usable_counts() {
        let at = Pointers::new(&["/a", "/b/0", "/c"]).unwrap();
        assert_eq!(at.text(&json!({"a": null, "b": [""], "c": 7})).as_deref(), Some("7"));
        assert_eq!(at.number(&json!({"a": "x", "b": ["12"]})), Some(12.0));
        assert_eq!(at.text(&json!(["a"])), None);
    }

    #[test]
    fn escapes_are_those_of_rfc_6901() {
        let payload = json!({"a/b": {"m~n": 1}, "": 2});
        assert_eq!(Pointer::new("/a~1b/m~0n").unwrap().find(&payload), Some(&json!(1)));
        assert_eq!(Pointer::new("/").unwrap().find(&payload), Some(&json!(2)));
        assert_eq!(Pointer::new("").unwrap().find(&payload), Some(&payload));
    }

    #[test]
    fn a_star_names_what_it_stands_for() {
        let payload = json!({"m": {"x": {"n": 1}, "y": {}, "z": {"n": 3}}});
        let at = Pointer::new("/m/*/n").unwrap();
        assert_eq!(at.find_all(&payload), [("x".to_owned(), &json!(1)), ("z".to_owned(), &json!(3))]);
        assert_eq!(at.find_for(&payload, "z"), Some(&json!(3)));
    }

    #[test]
    fn what_is_no_pointer_is_refused() {
        for bad in ["a", "a/b", "/a~2", "/~", "/~~01", "/*/*"] {
            assert!(Pointer::new(bad).is_err(), "{bad:?} was taken");
        }
        for bad in ["3", "[1]", "\"a\"", "{}"] {
            assert!(serde_json::from_str::<Pointers>(bad).is_err(), "{bad} was taken");
        }
        let one: Pointers = serde_json::from_str("\"/a\"").unwrap();
        let many: Pointers = serde_json::from_str("[\"/a\",\"/b\"]").unwrap();
        assert_eq!(serde_json::to_string(&one).unwrap(), "\"/a\"");
        assert_eq!(serde_json::to_string(&many).unwrap(), "[\"/a\",\"/b\"]");
    }
}
