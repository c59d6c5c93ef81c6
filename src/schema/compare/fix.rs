//! How an old value may become a new one.

use serde_json::Value;

/// What may make an old value new.
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
    /// Every old value with one that there is.
    Values(Vec<(Value, Value)>),
    /// Done by the fix of another difference.
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
