//! Files that define users' types.

use std::fs::File;
use std::io::{ErrorKind, Read};
use std::path::Path;

use serde::Deserialize;

use crate::error::{Error, Result};
use crate::event::{Catalogue, Invalid, TypeSpec};
use crate::limits::MAX_TYPES_FILE_BYTES;

/// A whole file: `[[type]]` tables in TOML, a list `types` in JSON.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Types {
    #[serde(default, rename = "type", alias = "types")]
    types: Vec<TypeSpec>,
}

impl Catalogue {
    /// This catalogue with the types of a file: JSON if its name ends in `.json`, else TOML. See
    /// [`TypeSpec`] for the properties of a type, and `docs/catalogue.md` for an example.
    ///
    /// # Errors
    /// [`Error::NotFound`] if there is no such file, [`Error::TooLarge`] above [`MAX_TYPES_FILE_BYTES`],
    /// [`Error::Invalid`] with the file, line and column of what cannot be read, and as [`Catalogue::with`].
    pub fn with_file(&self, path: impl AsRef<Path>) -> Result<Self> {
        let path = path.as_ref();
        let name = path.display().to_string();
        let unread = |e: std::io::Error| match e.kind() {
            ErrorKind::NotFound => Error::not_found("file", &name),
            _ => Error::storage(format!("{name}: {e}")),
        };
        let mut text = String::new();
        let mut file = File::open(path).map_err(&unread)?.take(MAX_TYPES_FILE_BYTES as u64 + 1);
        match file.read_to_string(&mut text) {
            Err(e) if e.kind() == ErrorKind::InvalidData => {
                return Err(
                    Invalid::new("types", format!("of {name} cannot be read: it is not UTF-8")).into()
                );
            }
            read => read.map_err(&unread)?,
        };
        if text.len() > MAX_TYPES_FILE_BYTES {
            let (size, limit) = (text.len() as u64, MAX_TYPES_FILE_BYTES as u64);
            return Err(Error::TooLarge { what: name, size, limit });
        }
        let is_json = path.extension().is_some_and(|e| e.eq_ignore_ascii_case("json"));
        let types = if is_json { json(&text) } else { toml(&text) }.and_then(|t| self.with(t));
        types.map_err(|e| Invalid { reason: format!("{} (in {name})", e.reason), ..e }.into())
    }

    /// The built-in catalogue with the types of a file: see [`Catalogue::with_file`].
    ///
    /// # Errors
    /// As [`Catalogue::with_file`].
    pub fn from_file(path: impl AsRef<Path>) -> Result<Self> {
        Self::builtin().with_file(path)
    }
}

fn json(text: &str) -> Result<Vec<TypeSpec>, Invalid> {
    let read: Result<Types, _> = serde_json::from_str(text);
    read.map(|t| t.types).map_err(|e| Invalid::new("types", format!("cannot be read: {e}")))
}

#[cfg(not(feature = "toml"))]
fn toml(_: &str) -> Result<Vec<TypeSpec>, Invalid> {
    let reason = "are in TOML, which needs a build with the feature `toml`; JSON works without it";
    Err(Invalid::new("types", reason.to_owned()))
}

#[cfg(feature = "toml")]
fn toml(text: &str) -> Result<Vec<TypeSpec>, Invalid> {
    let read: Result<Types, toml::de::Error> = toml::from_str(text);
    read.map(|t| t.types).map_err(|e| {
        let before = e.span().and_then(|s| text.get(..s.start));
        let place = before.map(|b| {
            let column = b.rsplit('\n').next().map_or(0, |l| l.chars().count()) + 1;
            format!(" at line {} column {column}", b.matches('\n').count() + 1)
        });
        Invalid::new(
            "types",
            format!("cannot be read: {}{}", e.message().trim_end(), place.unwrap_or_default()),
        )
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::event::{Measure, Phase, TypeInfo};
    use serde_json::json;

    fn read(name: &str, text: impl AsRef<[u8]>) -> Result<Catalogue, String> {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join(name);
        std::fs::write(&path, text).unwrap();
        Catalogue::from_file(&path).map_err(|e| e.to_string().replace(&path.display().to_string(), name))
    }

    const TOML: &str = r#"
[[type]]
name = "parcel.shipped"
line = "A parcel left the house"
version = 2
aliases = ["ParcelShipped"]
schema = { type = "object", required = ["parcel"] }
example = { parcel = "p-7" }
[type.role]
entity = { kind = "parcel", id = ["/parcel", "/id"] }
phase = "running"
usage = [{ what = "parcels", mode = "delta" }, { what = "cost_usd", at = "/postage", mode = "delta" }]

[[type]]
pattern = "warehouse.**"
"#;

    #[test]
    fn toml_and_json_say_the_same() {
        let from_toml = read("types.toml", TOML).unwrap();
        let same: serde_json::Value = toml::from_str(TOML).unwrap();
        let from_json = read("types.json", json!({"types": same["type"]}).to_string()).unwrap();
        for catalogue in [from_toml, from_json] {
            let info = catalogue.find("parcel_shipped").unwrap();
            assert_eq!((info.name(), info.version(), info.domain()), ("parcel.shipped", 2, "parcel"));
            assert_eq!(info.schema().as_deref(), Some(&json!({"type": "object", "required": ["parcel"]})));
            assert_eq!(info.role().phase(&json!({})), Some(Phase::Running));
            assert_eq!(info.role().usage[0].what, Measure::Custom("parcels".into()));
            assert_eq!(catalogue.find("warehouse.a.b").map(TypeInfo::name), Some("warehouse.**"));
            assert!(catalogue.find("coder.started").is_some());
        }
    }

    #[test]
    fn a_bad_file_is_reported_with_its_place() {
        for (name, text, told) in [
            ("t.toml", "[[type]]\nname = \"a.b\"\nfase = 1\n", "types cannot be read: unknown field `fase`"),
            ("t.toml", "[[type]]\nname = \"a.b\"\nfase = 1\n", "at line 3 column 1 (in t.toml)"),
            ("t.toml", "[[type]\n", "at line 1 column"),
            (
                "t.json",
                "{\"types\": [{\"name\": 3}]}",
                "invalid type: integer `3`, expected a string at line 1 column",
            ),
            ("t.toml", "[[type]]\nname = \"a.b\"\nrole.phase = \"walking\"", "unknown variant `walking`"),
            ("t.toml", "[[type]]\nname = \"a.b\"\nrole.reason = \"why\"", "`why` is not a JSON pointer"),
            ("t.toml", "[[type]]\nline = \"x\"", "has neither a name nor a pattern"),
            (
                "t.toml",
                "[[type]]\nname = \"a.b\"\n[[type]]\nname = \"a.b\"",
                "already names `a.b` (in t.toml)",
            ),
        ] {
            let e = read(name, text).unwrap_err();
            assert!(e.contains(told), "{e}\n{told}");
        }
        assert!(read("t.toml", b"\xff").unwrap_err().contains("not UTF-8"));
        assert_eq!(
            Catalogue::from_file("/no/such.toml").unwrap_err().to_string(),
            "there is no file /no/such.toml"
        );
        let large = " ".repeat(MAX_TYPES_FILE_BYTES + 1);
        assert!(read("t.toml", large).unwrap_err().contains("the limit is"));
    }
}
