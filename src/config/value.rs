//! A value of a key, and where it came from.

use std::fmt;
use std::path::{Path, PathBuf};

use serde::ser::{Serialize, SerializeStruct, Serializer};
use toml::Value;

use super::table::{Key, Takes};
use crate::event::Invalid;

/// Where a value came from. Later variants override earlier ones.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Origin {
    /// Not set anywhere.
    Default,
    /// The settings file, with the line.
    File(PathBuf, usize),
    /// This environment variable.
    Environment(String),
    /// The caller: in code, or on the command line.
    Given,
}

impl Origin {
    fn sort(&self) -> &'static str {
        match self {
            Self::Default => "default",
            Self::File(..) => "file",
            Self::Environment(_) => "environment",
            Self::Given => "given",
        }
    }
}

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Default => f.write_str("default"),
            Self::File(path, line) => write!(f, "{}, line {line}", path.display()),
            Self::Environment(name) => f.write_str(name),
            Self::Given => f.write_str("command line"),
        }
    }
}

/// The value of one key.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Setting {
    /// The key.
    pub key: &'static Key,
    /// Where its value came from.
    pub origin: Origin,
    pub(super) plain: Plain,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Plain {
    Number(u64),
    Word(&'static str),
    Flag(bool),
    Path(Option<PathBuf>),
}

impl fmt::Display for Setting {
    /// The value as it would be written.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.plain {
            Plain::Number(n) => write!(f, "{n}"),
            Plain::Word(word) => f.write_str(word),
            Plain::Flag(on) => write!(f, "{on}"),
            Plain::Path(Some(path)) => write!(f, "{}", path.display()),
            Plain::Path(None) => f.write_str("none"),
        }
    }
}

impl Serialize for Setting {
    fn serialize<S: Serializer>(&self, s: S) -> Result<S::Ok, S::Error> {
        let mut out = s.serialize_struct("Setting", 6)?;
        out.serialize_field("key", self.key.name)?;
        match &self.plain {
            Plain::Number(n) => out.serialize_field("value", n)?,
            Plain::Word(word) => out.serialize_field("value", word)?,
            Plain::Flag(on) => out.serialize_field("value", on)?,
            Plain::Path(path) => {
                out.serialize_field("value", &path.as_ref().map(|p| p.display().to_string()))?
            }
        }
        out.serialize_field("from", self.origin.sort())?;
        let place = (self.origin != Origin::Default).then(|| self.origin.to_string());
        out.serialize_field("place", &place)?;
        out.serialize_field("takes", &self.key.range())?;
        out.serialize_field("default", &self.key.default())?;
        out.end()
    }
}

/// Checks the value of a key as a source has it.
pub(super) fn checked(key: &'static Key, value: &Value, origin: Origin) -> Result<Setting, Invalid> {
    let said = match value {
        Value::String(text) => text.clone(),
        Value::Array(_) | Value::Table(_) => "a list or a table".to_owned(),
        Value::Integer(n) => n.to_string(),
        Value::Float(n) => n.to_string(),
        Value::Boolean(on) => on.to_string(),
        Value::Datetime(time) => time.to_string(),
    };
    let bad = |origin: &Origin| {
        let reason = format!("is `{}` ({origin}); it has to be {}", said.escape_debug(), key.range());
        Invalid::new(key.name, reason)
    };
    let plain = match key.takes {
        Takes::Number { least, most, .. } => {
            let number = said.trim().replace('_', "").parse::<u64>().ok();
            number.filter(|n| (least..=most).contains(n)).map(Plain::Number)
        }
        Takes::Word(words) => words.iter().find(|word| **word == said).map(|word| Plain::Word(word)),
        Takes::Flag(_) => match &*said {
            "true" | "1" | "yes" | "on" => Some(Plain::Flag(true)),
            "false" | "0" | "no" | "off" => Some(Plain::Flag(false)),
            _ => None,
        },
        Takes::Path(_) => {
            let text = value.as_str().filter(|text| !text.is_empty());
            // A path in a file is relative to that file; the URL of a store is none.
            text.map(|text| match &origin {
                Origin::File(file, _) if !(key.name == "store" && is_url(text)) => {
                    file.parent().unwrap_or(Path::new("")).join(text)
                }
                _ => text.into(),
            })
            .map(|path| Plain::Path(Some(path)))
        }
    };
    match plain {
        Some(plain) => Ok(Setting { key, origin, plain }),
        None => Err(bad(&origin)),
    }
}

/// Whether what names a store is the URL of its server, and not the path of a file.
#[must_use]
pub fn is_url(store: &str) -> bool {
    let scheme = store.split_once("://").map(|(scheme, _)| scheme);
    scheme.is_some_and(|scheme| ["http", "https"].iter().any(|known| scheme.eq_ignore_ascii_case(known)))
}

/// The default of a key.
pub(super) fn default(key: &'static Key) -> Setting {
    let plain = match key.takes {
        Takes::Number { default, .. } => Plain::Number(default),
        Takes::Word(words) => Plain::Word(words.first().copied().unwrap_or_default()),
        Takes::Flag(on) => Plain::Flag(on),
        Takes::Path(path) => Plain::Path(path.map(PathBuf::from)),
    };
    Setting { key, origin: Origin::Default, plain }
}
