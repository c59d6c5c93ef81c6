use std::borrow::Cow;
use std::fmt;

use serde::de::{Deserialize, DeserializeSeed, Deserializer, MapAccess, Visitor};
use serde_json::value::RawValue;

/// The members of a JSON object, each as JSON text. If a name occurs twice, the last one counts, as in most readers.
/// A derived struct would refuse such a record, but it is not ours to refuse.
#[derive(Clone, Debug, Default)]
pub(crate) struct Fields<'a>(Vec<(Cow<'a, str>, &'a RawValue)>);

impl<'a> Fields<'a> {
    pub(crate) fn parse(text: &'a str) -> Result<Self, String> {
        serde_json::from_str(text).map_err(|e| {
            if text.trim_start().starts_with('{') || e.is_syntax() || e.is_eof() {
                format!("is not JSON: {}", position_free(&e))
            } else {
                "is not a JSON object".to_owned()
            }
        })
    }

    pub(crate) fn raw(&self, name: &str) -> Option<&'a RawValue> {
        self.0.iter().rev().find(|(n, _)| n == name).map(|(_, v)| *v)
    }

    /// The member's JSON text, unless it is absent or null.
    pub(crate) fn value(&self, name: &str) -> Option<&'a str> {
        self.raw(name).map(RawValue::get).filter(|v| *v != "null")
    }

    pub(crate) fn has(&self, name: &str) -> bool {
        self.value(name).is_some()
    }

    /// A string member.
    pub(crate) fn text(&self, name: &str) -> Option<Cow<'a, str>> {
        string(self.value(name)?)
    }

    /// A string member that is not empty.
    pub(crate) fn word(&self, name: &str) -> Option<Cow<'a, str>> {
        self.text(name).filter(|t| !t.is_empty())
    }

    /// A string, a number or a boolean, as text.
    pub(crate) fn scalar(&self, name: &str) -> Option<Cow<'a, str>> {
        let value = self.value(name)?;
        match value.as_bytes().first() {
            Some(b'{' | b'[') | None => None,
            Some(b'"') => string(value).filter(|t| !t.is_empty()),
            Some(_) => Some(Cow::Borrowed(value)),
        }
    }

    pub(crate) fn is_true(&self, name: &str) -> bool {
        self.value(name) == Some("true")
    }

    /// A member that is an object; empty when it is something else.
    pub(crate) fn object(&self, name: &str) -> Fields<'a> {
        self.value(name).and_then(|v| Fields::parse(v).ok()).unwrap_or_default()
    }

    /// A member that is a list; empty when it is something else.
    pub(crate) fn list(&self, name: &str) -> Vec<&'a RawValue> {
        self.value(name).and_then(|v| serde_json::from_str(v).ok()).unwrap_or_default()
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = (&str, &'a RawValue)> {
        self.0.iter().map(|(n, v)| (&**n, *v))
    }
}

/// The text of a JSON string.
pub(crate) fn string(json: &str) -> Option<Cow<'_, str>> {
    serde_json::from_str::<Name<'_>>(json).ok().map(|n| n.0)
}

/// serde's message without "at line 1 column n": the caller knows the line of the file.
fn position_free(e: &serde_json::Error) -> String {
    let message = e.to_string();
    match message.split_once(" at line ") {
        Some((what, _)) => format!("{what} at column {}", e.column()),
        None => message,
    }
}

/// A string that is borrowed where it has no escapes.
struct Name<'a>(Cow<'a, str>);

struct NameVisitor;

impl<'de> Visitor<'de> for NameVisitor {
    type Value = Name<'de>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a string")
    }

    fn visit_borrowed_str<E>(self, v: &'de str) -> Result<Name<'de>, E> {
        Ok(Name(Cow::Borrowed(v)))
    }

    fn visit_str<E>(self, v: &str) -> Result<Name<'de>, E> {
        Ok(Name(Cow::Owned(v.to_owned())))
    }
}

impl<'de> Deserialize<'de> for Name<'de> {
    fn deserialize<D: Deserializer<'de>>(d: D) -> Result<Self, D::Error> {
        d.deserialize_str(NameVisitor)
    }
}

struct NameSeed;

impl<'de> DeserializeSeed<'de> for NameSeed {
    type Value = Cow<'de, str>;

    fn deserialize<D: Deserializer<'de>>(self, d: D) -> Result<Cow<'de, str>, D::Error> {
        Name::deserialize(d).map(|n| n.0)
    }
}

struct FieldsVisitor;

impl<'de> Visitor<'de> for FieldsVisitor {
    type Value = Fields<'de>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a JSON object")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Fields<'de>, A::Error> {
        let mut all = Vec::new();
        while let Some(name) = map.next_key_seed(NameSeed)? {
            all.push((name, map.next_value::<&'de RawValue>()?));
        }
        Ok(Fields(all))
    }
}

impl<'de> Deserialize<'de> for Fields<'de> {
    fn deserialize<D: Deserializer<'de>>(d: D) -> Result<Self, D::Error> {
        d.deserialize_map(FieldsVisitor)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn members_are_read_as_they_stand() {
        let f = Fields::parse(r#" {"a": 1.50, "t":"x\ny", "b":true, "n":null, "a":"2", "o":{"k":[1, 2]}} "#)
            .unwrap();
        assert_eq!(f.scalar("a").unwrap(), "2");
        assert_eq!(f.text("t").unwrap(), "x\ny");
        assert!(f.is_true("b") && !f.has("n") && f.text("b").is_none());
        assert_eq!(f.object("o").list("k").len(), 2);
        assert_eq!(f.scalar("o"), None);
    }

    #[test]
    fn what_is_wrong_is_said_without_a_line_number() {
        assert_eq!(Fields::parse("[1]").unwrap_err(), "is not a JSON object");
        let e = Fields::parse(r#"{"a":"#).unwrap_err();
        assert!(e.starts_with("is not JSON: ") && e.contains("column") && !e.contains("line"), "{e}");
        assert!(Fields::parse("nonsense").unwrap_err().starts_with("is not JSON"));
    }
}
