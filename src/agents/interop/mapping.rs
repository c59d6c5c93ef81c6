//! Which members of a user's own records are the fields of an event.

use std::fmt;
use std::str::FromStr;

use serde_json::value::RawValue;

use crate::event::{Invalid, Pointer, pointer_item};

use super::fields::Fields;

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
    /// The value of a field in a record, as JSON text: a number is what was written, however many digits it has.
    pub(crate) fn find<'v>(&self, field: MappedField, record: &Fields<'v>) -> Option<&'v str> {
        let mut at = self.0.iter().filter(|(of, _)| *of == field);
        at.find_map(|(_, pointer)| {
            let parts: Vec<Option<&str>> = pointer.parts().collect();
            follow_members(record, &parts).filter(|value| *value != "null")
        })
    }
}

fn follow_members<'v>(f: &Fields<'v>, parts: &[Option<&str>]) -> Option<&'v str> {
    let (part, rest) = parts.split_first()?;
    let member = |name: &str| follow(f.raw(name)?.get(), rest);
    match part {
        Some(name) => member(name),
        None => f.iter().find_map(|(name, _)| member(name)),
    }
}

fn follow<'v>(value: &'v str, parts: &[Option<&str>]) -> Option<&'v str> {
    let Some((part, rest)) = parts.split_first() else { return Some(value) };
    match value.as_bytes().first()? {
        b'{' => follow_members(&Fields::parse(value).ok()?, parts),
        b'[' => {
            let items: Vec<&'v RawValue> = serde_json::from_str(value).ok()?;
            match part {
                Some(name) => follow(items.get(pointer_item(name)?)?.get(), rest),
                None => items.into_iter().find_map(|item| follow(item.get(), rest)),
            }
        }
        _ => None,
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
    }

    #[test]
    fn a_value_is_found_as_it_is_written() {
        let record =
            r#"{"a":null,"b":7.50e3,"c":[{"x":1},{"y":[2, 3]}],"d":{"k/1":"t"},"b2":"u","e":1,"\u0065":2}"#;
        let f = Fields::parse(record).unwrap();
        for (map, want) in [
            ("id=/a, id=/b", Some("7.50e3")),
            ("id=/c/1/y", Some("[2, 3]")),
            ("id=/c/*/y/1", Some("3")),
            ("id=/*/k~11", Some("\"t\"")),
            ("id=/c/01", None),
            ("id=/c/7", None),
            ("id=/b/x", None),
            // Of two members with one name the last one counts, also if one is spelled with an escape.
            ("id=/e", Some("2")),
        ] {
            let mapping: Mapping = map.parse().unwrap();
            assert_eq!(mapping.find(MappedField::Id, &f), want, "{map}");
        }
    }
}
