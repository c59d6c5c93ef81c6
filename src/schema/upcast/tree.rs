//! A payload, parsed only where an upcaster needs it. The rest is kept byte for byte: numbers keep every digit, texts
//! their escapes.

use std::borrow::Cow;
use std::fmt;

use serde::de::{Deserialize, DeserializeSeed, Deserializer, MapAccess, Visitor};
use serde_json::value::RawValue;

use super::pointer::Pointer;
use crate::event::pointer_item;

#[derive(Clone, Debug)]
pub(super) enum Tree<'a> {
    /// JSON text of one value, unparsed.
    Raw(&'a str),
    /// JSON text of one value that an upcaster produced.
    Made(String),
    Object(Vec<(Cow<'a, str>, Tree<'a>)>),
    Array(Vec<Tree<'a>>),
}

struct Fields<'a>(Vec<(Cow<'a, str>, Tree<'a>)>);

impl<'de> Deserialize<'de> for Fields<'de> {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        struct Read;
        impl<'de> Visitor<'de> for Read {
            type Value = Fields<'de>;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an object")
            }
            fn visit_map<M: MapAccess<'de>>(self, mut map: M) -> Result<Fields<'de>, M::Error> {
                let mut fields = Vec::new();
                while let Some(name) = map.next_key_seed(Name)? {
                    let value: &'de RawValue = map.next_value()?;
                    fields.push((name, Tree::Raw(value.get())));
                }
                Ok(Fields(fields))
            }
        }
        from.deserialize_map(Read)
    }
}

/// A name, borrowed where the text has it as it is.
struct Name;

impl<'de> DeserializeSeed<'de> for Name {
    type Value = Cow<'de, str>;
    fn deserialize<D: Deserializer<'de>>(self, from: D) -> Result<Self::Value, D::Error> {
        from.deserialize_str(self)
    }
}

impl<'de> Visitor<'de> for Name {
    type Value = Cow<'de, str>;
    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a name")
    }
    fn visit_borrowed_str<E>(self, name: &'de str) -> Result<Self::Value, E> {
        Ok(Cow::Borrowed(name))
    }
    fn visit_str<E>(self, name: &str) -> Result<Self::Value, E> {
        Ok(Cow::Owned(name.to_owned()))
    }
}

impl<'a> Tree<'a> {
    /// Whatever a value of JSON is in words.
    pub(super) fn sort(&self) -> &'static str {
        match self {
            Self::Object(_) => "an object",
            Self::Array(_) => "a list",
            Self::Raw(text) => sort_of(text),
            Self::Made(text) => sort_of(text),
        }
    }

    /// The text of a value that is neither an object nor a list.
    pub(super) fn scalar(&self) -> Option<&str> {
        let text = match self {
            Self::Raw(text) => text.trim(),
            Self::Made(text) => text.trim(),
            Self::Object(_) | Self::Array(_) => return None,
        };
        (!text.starts_with(['{', '['])).then_some(text)
    }

    /// Makes its fields or items reachable, if it has any.
    fn open(&mut self) -> Result<(), String> {
        let Self::Raw(text) = self else { return Ok(()) };
        let failed = |e: serde_json::Error| format!("it cannot be read as JSON: {e}");
        match text.trim_start().as_bytes().first() {
            Some(b'{') => *self = Self::Object(serde_json::from_str::<Fields<'a>>(text).map_err(failed)?.0),
            Some(b'[') => {
                let items: Vec<&'a RawValue> = serde_json::from_str(text).map_err(failed)?;
                *self = Self::Array(items.into_iter().map(|item| Self::Raw(item.get())).collect());
            }
            _ => {}
        }
        Ok(())
    }

    fn child(&mut self, name: &str) -> Result<Option<&mut Self>, String> {
        self.open()?;
        Ok(match self {
            // For a repeated name the last value counts, as everywhere.
            Self::Object(fields) => fields.iter_mut().rev().find(|(n, _)| n == name).map(|(_, value)| value),
            Self::Array(items) => pointer_item(name).and_then(|i| items.get_mut(i)),
            Self::Raw(_) | Self::Made(_) => None,
        })
    }

    fn descend(&mut self, parts: &[String]) -> Result<Option<&mut Self>, String> {
        let mut at = self;
        for part in parts {
            match at.child(part)? {
                Some(child) => at = child,
                None => return Ok(None),
            }
        }
        Ok(Some(at))
    }

    pub(super) fn get(&mut self, at: &Pointer) -> Result<Option<&mut Self>, String> {
        self.descend(at.parts())
    }

    /// Removes a value. Later items of a list move up.
    pub(super) fn take(&mut self, at: &Pointer) -> Result<Option<Self>, String> {
        let Some((parents, name)) = at.split() else {
            return Ok(Some(std::mem::replace(self, Self::Raw("null"))));
        };
        let Some(parent) = self.descend(parents)? else { return Ok(None) };
        parent.open()?;
        Ok(match parent {
            Self::Object(fields) => {
                let mut taken = None;
                for i in (0..fields.len()).rev() {
                    if fields.get(i).is_some_and(|(n, _)| n == name) {
                        let (_, value) = fields.remove(i);
                        taken = taken.or(Some(value));
                    }
                }
                taken
            }
            Self::Array(items) => pointer_item(name).filter(|i| *i < items.len()).map(|i| items.remove(i)),
            Self::Raw(_) | Self::Made(_) => None,
        })
    }

    /// Adds a value. Missing objects on the way are created.
    pub(super) fn put(&mut self, at: &Pointer, value: Self) -> Result<(), String> {
        let Some((parents, name)) = at.split() else {
            *self = value;
            return Ok(());
        };
        let mut holder = self;
        for part in parents {
            if holder.child(part)?.is_none() {
                holder.add(part, Self::Object(Vec::new()), at)?;
            }
            // It exists: found, or just created.
            holder = holder.child(part)?.ok_or_else(|| format!("{at} cannot be created"))?;
        }
        if holder.child(name)?.is_some() {
            return Err(format!("{at} already exists"));
        }
        holder.add(name, value, at)
    }

    fn add(&mut self, name: &str, value: Self, at: &Pointer) -> Result<(), String> {
        self.open()?;
        match self {
            Self::Object(fields) => fields.push((Cow::Owned(name.to_owned()), value)),
            Self::Array(items) if name == "-" || pointer_item(name) == Some(items.len()) => items.push(value),
            Self::Array(items) => {
                return Err(format!("{at}: `{name}` is not an index in a list of {}", items.len()));
            }
            other => return Err(format!("{at} cannot be set: what should hold it is {}", other.sort())),
        }
        Ok(())
    }

    /// Renames a field in place.
    pub(super) fn rename(&mut self, at: &Pointer, to: &str) -> Result<(), String> {
        let Some((parents, name)) = at.split() else { return Err("the whole payload has no name".into()) };
        let Some(parent) = self.descend(parents)? else { return Ok(()) };
        parent.open()?;
        let Self::Object(fields) = parent else { return Ok(()) };
        if name == to || !fields.iter().any(|(n, _)| n == name) {
            return Ok(());
        }
        if fields.iter().any(|(n, _)| n == to) {
            return Err(format!("{at} cannot be renamed: `{to}` already exists"));
        }
        fields.iter_mut().filter(|(n, _)| n == name).for_each(|(n, _)| *n = Cow::Owned(to.to_owned()));
        Ok(())
    }

    pub(super) fn write(&self, out: &mut String) {
        match self {
            Self::Raw(text) => out.push_str(text),
            Self::Made(text) => out.push_str(text),
            Self::Object(fields) => {
                out.push('{');
                for (i, (name, value)) in fields.iter().enumerate() {
                    if i > 0 {
                        out.push(',');
                    }
                    out.push_str(&quoted(name));
                    out.push(':');
                    value.write(out);
                }
                out.push('}');
            }
            Self::Array(items) => {
                out.push('[');
                for (i, item) in items.iter().enumerate() {
                    if i > 0 {
                        out.push(',');
                    }
                    item.write(out);
                }
                out.push(']');
            }
        }
    }
}

/// A text as JSON.
pub(super) fn quoted(text: &str) -> String {
    serde_json::Value::from(text).to_string()
}

fn sort_of(text: &str) -> &'static str {
    match text.trim_start().as_bytes().first() {
        Some(b'{') => "an object",
        Some(b'[') => "a list",
        Some(b'"') => "a text",
        Some(b't' | b'f') => "true or false",
        Some(b'n') => "null",
        _ => "a number",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(text: &str) -> Pointer {
        Pointer::parse(text).unwrap()
    }

    fn text(tree: &Tree<'_>) -> String {
        let mut out = String::new();
        tree.write(&mut out);
        out
    }

    #[test]
    fn what_is_not_looked_into_stays_byte_for_byte() {
        let json = r#"{"n":1.10e2,"big":123456789012345678901234567890,"o":{ "x" : "\u00e9" },"a":[1 ,2]}"#;
        let mut tree = Tree::Raw(json);
        tree.rename(&at("/a"), "list").unwrap();
        assert_eq!(text(&tree), json.replace("\"a\"", "\"list\""));
    }

    #[test]
    fn values_are_taken_and_put_along_pointers() {
        let mut tree = Tree::Raw(r#"{"a":{"b":[10,20]},"a2":1}"#);
        let taken = tree.take(&at("/a/b/0")).unwrap().unwrap();
        assert_eq!(text(&taken), "10");
        tree.put(&at("/x/y"), taken).unwrap();
        tree.put(&at("/a/b/-"), Tree::Raw("30")).unwrap();
        assert_eq!(text(&tree), r#"{"a":{"b":[20,30]},"a2":1,"x":{"y":10}}"#);
        assert!(tree.put(&at("/a2/b"), Tree::Raw("1")).unwrap_err().contains("a number"));
        assert!(tree.put(&at("/a2"), Tree::Raw("1")).unwrap_err().contains("already"));
        assert!(tree.put(&at("/a/b/7"), Tree::Raw("1")).is_err());
        assert!(tree.take(&at("/nowhere/at/all")).unwrap().is_none());
    }

    #[test]
    fn a_name_that_is_there_twice_means_its_last_value() {
        let mut tree = Tree::Raw(r#"{"a":1,"b":2,"a":3}"#);
        assert_eq!(text(&tree.take(&at("/a")).unwrap().unwrap()), "3");
        assert_eq!(text(&tree), r#"{"b":2}"#);
    }
}
