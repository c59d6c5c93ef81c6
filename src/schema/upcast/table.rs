//! Tables of a TOML file; errors name the line.

use toml::Spanned;
use toml::de::{DeInteger, DeTable, DeValue};

use super::convert::Number;
use super::near::suggestion;
use super::pointer::Pointer;
use crate::event::Invalid;

/// A file and its text.
#[derive(Clone, Copy, Debug)]
pub(super) struct Source<'a> {
    pub(super) name: &'a str,
    pub(super) text: &'a str,
}

impl Source<'_> {
    /// Where something starts, as `file:line`.
    pub(super) fn place(self, offset: usize) -> String {
        let before = self.text.as_bytes().get(..offset).unwrap_or(self.text.as_bytes());
        let line = before.iter().filter(|b| **b == b'\n').count() + 1;
        format!("{}:{line}", self.name)
    }

    pub(super) fn refused(self, offset: usize, reason: impl std::fmt::Display) -> Invalid {
        Invalid::new("upcast", format!("{}: {reason}", self.place(offset)))
    }
}

type Value<'a> = Spanned<DeValue<'a>>;

#[derive(Clone, Copy, Debug)]
pub(super) struct Table<'a> {
    pub(super) source: Source<'a>,
    pub(super) start: usize,
    what: &'static str,
    entries: &'a DeTable<'a>,
}

impl<'a> Table<'a> {
    /// A table with only these keys.
    pub(super) fn new(
        source: Source<'a>,
        start: usize,
        what: &'static str,
        entries: &'a DeTable<'a>,
        names: &[&str],
    ) -> Result<Self, Invalid> {
        for key in entries.keys() {
            let name: &str = key.get_ref();
            if !names.contains(&name) {
                let reason = format!("{what} has no `{name}`; {}", suggestion(name, names));
                return Err(source.refused(key.span().start, reason));
            }
        }
        Ok(Self { source, start, what, entries })
    }

    /// The table under a name, or in a list.
    pub(super) fn of(
        source: Source<'a>,
        value: &'a Value<'a>,
        what: &'static str,
        names: &[&str],
    ) -> Result<Self, Invalid> {
        let start = value.span().start;
        match value.get_ref() {
            DeValue::Table(entries) => Self::new(source, start, what, entries, names),
            other => Err(source.refused(start, format!("{what} is a table, not {}", sort(other)))),
        }
    }

    pub(super) fn get(&self, name: &str) -> Option<&'a Value<'a>> {
        self.entries.get(name)
    }

    pub(super) fn refused(&self, reason: impl std::fmt::Display) -> Invalid {
        self.source.refused(self.start, reason)
    }

    fn wrong(&self, value: &Value<'_>, name: &str, wanted: &str) -> Invalid {
        let reason = format!("`{name}` is {wanted}, not {}", sort(value.get_ref()));
        self.source.refused(value.span().start, reason)
    }

    pub(super) fn needed(&self, name: &str) -> Result<&'a Value<'a>, Invalid> {
        self.get(name).ok_or_else(|| self.refused(format!("{} needs `{name}`", self.what)))
    }

    pub(super) fn text(&self, name: &str) -> Result<Option<&'a str>, Invalid> {
        match self.get(name) {
            None => Ok(None),
            Some(value) => {
                value.get_ref().as_str().map(Some).ok_or_else(|| self.wrong(value, name, "a text"))
            }
        }
    }

    pub(super) fn needed_text(&self, name: &str) -> Result<&'a str, Invalid> {
        self.needed(name)?;
        Ok(self.text(name)?.unwrap_or_default())
    }

    pub(super) fn pointer(&self, name: &str) -> Result<Option<Pointer>, Invalid> {
        let Some(text) = self.text(name)? else { return Ok(None) };
        let start = self.get(name).map_or(self.start, |v| v.span().start);
        Pointer::parse(text).map(Some).map_err(|e| self.source.refused(start, e))
    }

    pub(super) fn needed_pointer(&self, name: &str) -> Result<Pointer, Invalid> {
        self.needed(name)?;
        Ok(self.pointer(name)?.unwrap_or_default())
    }

    pub(super) fn version(&self, name: &str) -> Result<Option<u32>, Invalid> {
        let Some(value) = self.get(name) else { return Ok(None) };
        let number = value.get_ref().as_integer().and_then(whole).and_then(|n| u32::try_from(n).ok());
        number.map(Some).ok_or_else(|| self.wrong(value, name, "a version, a whole number from 0 on"))
    }

    pub(super) fn number(&self, name: &str) -> Result<Option<Number>, Invalid> {
        let Some(value) = self.get(name) else { return Ok(None) };
        let number = match value.get_ref() {
            DeValue::Integer(n) => whole(n).map(Number::Whole),
            DeValue::Float(x) => x.as_str().parse().ok().filter(|x: &f64| x.is_finite()).map(Number::Real),
            _ => None,
        };
        number.map(Some).ok_or_else(|| self.wrong(value, name, "a number"))
    }

    pub(super) fn flag(&self, name: &str) -> Result<bool, Invalid> {
        match self.get(name) {
            None => Ok(false),
            Some(value) => value.get_ref().as_bool().ok_or_else(|| self.wrong(value, name, "true or false")),
        }
    }

    pub(super) fn list(&self, name: &str) -> Result<Vec<&'a Value<'a>>, Invalid> {
        match self.get(name) {
            None => Ok(Vec::new()),
            Some(value) => match value.get_ref() {
                DeValue::Array(items) => Ok(items.iter().collect()),
                _ => Err(self.wrong(value, name, "a list")),
            },
        }
    }

    /// One text or a list of them.
    pub(super) fn texts(&self, name: &str) -> Result<Vec<&'a str>, Invalid> {
        let value = self.needed(name)?;
        if let Some(text) = value.get_ref().as_str() {
            return Ok(vec![text]);
        }
        let items = self.list(name)?;
        items
            .into_iter()
            .map(|i| i.get_ref().as_str().ok_or_else(|| self.wrong(i, name, "a list of texts")))
            .collect()
    }

    /// The keys of a free-form table, with their values.
    pub(super) fn pairs(&self, name: &str) -> Result<Option<Vec<(&'a str, &'a Value<'a>)>>, Invalid> {
        match self.get(name) {
            None => Ok(None),
            Some(value) => match value.get_ref() {
                DeValue::Table(entries) => {
                    let pairs = entries.iter().map(|(key, value)| (&**key.get_ref(), value));
                    Ok(Some(pairs.collect()))
                }
                _ => Err(self.wrong(value, name, "a table")),
            },
        }
    }

    /// The JSON text of any value.
    pub(super) fn json(&self, value: &Value<'_>) -> Result<String, Invalid> {
        json(value.get_ref(), 0)
            .map(|v| v.to_string())
            .map_err(|why| self.source.refused(value.span().start, why))
    }
}

fn whole(n: &DeInteger<'_>) -> Option<i64> {
    i64::from_str_radix(n.as_str(), n.radix()).ok()
}

fn json(value: &DeValue<'_>, depth: usize) -> Result<serde_json::Value, String> {
    use serde_json::Value as Json;
    if depth > crate::limits::MAX_POINTER_PARTS {
        return Err("a value is nested too deeply".into());
    }
    Ok(match value {
        DeValue::String(text) => Json::from(&**text),
        DeValue::Integer(n) => Json::from(whole(n).ok_or("a whole number of more than 64 bits")?),
        DeValue::Float(x) => {
            let x: f64 = x.as_str().parse().map_err(|_| "a number that cannot be read")?;
            serde_json::Number::from_f64(x).map(Json::Number).ok_or("JSON has no infinity and no NaN")?
        }
        DeValue::Boolean(b) => Json::from(*b),
        DeValue::Datetime(time) => Json::from(time.to_string()),
        DeValue::Array(items) => {
            items.iter().map(|i| json(i.get_ref(), depth + 1)).collect::<Result<Vec<_>, _>>()?.into()
        }
        DeValue::Table(entries) => {
            let field = |(k, v): (&Spanned<toml::de::DeString<'_>>, &Value<'_>)| {
                Ok::<_, String>((k.get_ref().to_string(), json(v.get_ref(), depth + 1)?))
            };
            Json::Object(entries.iter().map(field).collect::<Result<_, _>>()?)
        }
    })
}

fn sort(value: &DeValue<'_>) -> &'static str {
    match value {
        DeValue::String(_) => "a text",
        DeValue::Integer(_) | DeValue::Float(_) => "a number",
        DeValue::Boolean(_) => "true or false",
        DeValue::Datetime(_) => "a time",
        DeValue::Array(_) => "a list",
        DeValue::Table(_) => "a table",
    }
}
