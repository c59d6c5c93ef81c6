//! Which members of a user's own records are the fields of an event.

use std::fmt;
use std::str::FromStr;

use crate::event::{Invalid, Pointer};

/// Where the fields of an event are in records of no known format, as JSON Pointers.
///
/// ```
/// use retold::agents::interop::Mapping;
/// let mapping: Mapping = "session=/run/id,type=/event,time=/ts,id=/uid,causation=/parent".parse()?;
/// assert_eq!(mapping.to_string(), "session=/run/id,type=/event,time=/ts,id=/uid,causation=/parent");
/// assert!("kind=/event".parse::<Mapping>().is_err());
/// # Ok::<(), retold::Invalid>(())
/// ```
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Mapping(Vec<(MappedField, Pointer)>);

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum MappedField {
    Session,
    Type,
    Time,
    Id,
    Causation,
    Correlation,
    Actor,
    Source,
}

impl MappedField {
    const ALL: [(&str, Self); 8] = [
        ("session", Self::Session),
        ("type", Self::Type),
        ("time", Self::Time),
        ("id", Self::Id),
        ("causation", Self::Causation),
        ("correlation", Self::Correlation),
        ("actor", Self::Actor),
        ("source", Self::Source),
    ];
}

impl Mapping {
    /// The value of a field in a record.
    pub(crate) fn find<'v>(
        &self,
        field: MappedField,
        record: &'v serde_json::Value,
    ) -> Option<&'v serde_json::Value> {
        let mut at = self.0.iter().filter(|(of, _)| *of == field);
        at.find_map(|(_, pointer)| pointer.find(record).filter(|value| !value.is_null()))
    }
}

impl FromStr for Mapping {
    type Err = Invalid;

    fn from_str(s: &str) -> Result<Self, Invalid> {
        let mut all = Vec::new();
        for part in s.split(',').map(str::trim).filter(|part| !part.is_empty()) {
            let bad = |reason: String| Invalid::new("map", format!("`{}` {reason}", part.escape_debug()));
            let (name, at) = part.split_once('=').ok_or_else(|| bad("is not FIELD=/POINTER".to_owned()))?;
            let field = MappedField::ALL.iter().find(|(known, _)| *known == name.trim());
            let (_, field) = field.ok_or_else(|| {
                let names = MappedField::ALL.map(|(name, _)| name).join(", ");
                bad(format!("names no field of an event; there are {names}"))
            })?;
            all.push((*field, Pointer::new(at.trim()).map_err(|e| bad(e.reason))?));
        }
        if all.is_empty() {
            return Err(Invalid::new("map", "is empty; for example session=/run/id,type=/event,time=/ts"));
        }
        Ok(Self(all))
    }
}

impl fmt::Display for Mapping {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let name = |field| MappedField::ALL.iter().find(|(_, of)| *of == field).map_or("", |(name, _)| name);
        let parts: Vec<String> = self.0.iter().map(|(field, at)| format!("{}={at}", name(*field))).collect();
        f.write_str(&parts.join(","))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_mapping_that_cannot_be_read_says_which_part_and_why() {
        for (text, why) in [
            ("", "for example"),
            ("session", "FIELD=/POINTER"),
            ("kind=/a", "session, type, time"),
            ("id=a", "`id=a`"),
            ("id=/a~2", "`id=/a~2`"),
        ] {
            let e = text.parse::<Mapping>().unwrap_err();
            assert!(e.field == "map" && e.to_string().contains(why), "{text}: {e}");
        }
        let twice: Mapping = "id=/a, id=/b".parse().unwrap();
        assert_eq!(
            twice.find(MappedField::Id, &serde_json::json!({"a": null, "b": 7})),
            Some(&serde_json::json!(7))
        );
    }
}
