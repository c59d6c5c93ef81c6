//! Suggestions for converting old values to new ones.

use serde_json::Value;

/// A suggested conversion of an old value.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Fix {
    Rename {
        from: String,
        to: String,
    },
    Default(Value),
    Remove,
    Convert(&'static str),
    List,
    /// Every old value with one that exists.
    Values(Vec<(Value, Value)>),
    /// Covered by the fix of another difference.
    Nothing,
}

impl Eq for Fix {}

impl Fix {
    /// From one type to the only other one.
    pub(super) fn of_types(old: &str, new: &str, count: usize) -> Option<Self> {
        let single = |t: &str| matches!(t, "string" | "number" | "integer" | "boolean");
        match new {
            "string" if count == 1 && single(old) => Some(Self::Convert("string")),
            "integer" if count == 1 && single(old) => Some(Self::Convert("integer")),
            "number" if count == 1 && single(old) => Some(Self::Convert("number")),
            "boolean" if count == 1 && single(old) => Some(Self::Convert("boolean")),
            "array" if count == 1 => Some(Self::List),
            _ => None,
        }
    }
}
