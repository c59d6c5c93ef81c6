//! Folders of upcasters: `migrations/NNNN_what/upcast.toml`, numbered from 0001.

use std::fs;
use std::io::{self, Read};
use std::path::{Path, PathBuf};

use serde::Deserialize;
use serde_json::Value;

use super::upcast::{Upcaster, Upcasts, upcasters_of};
use crate::error::{Error, Result};
use crate::event::Invalid;
use crate::limits::MAX_UPCAST_FILE_BYTES;

pub(super) const STEPS: &str = "upcast.toml";
const BEFORE: &str = "before.jsonl";
const AFTER: &str = "after.jsonl";

/// One folder of upcasters.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Migration {
    /// Its number.
    pub number: u32,
    /// The folder's name, `0003_tool_invoked_v2`.
    pub name: String,
    /// Its path.
    pub folder: PathBuf,
    /// Its upcasters.
    pub upcasters: Vec<Upcaster>,
}

/// The result of a folder's examples.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Evidence {
    /// It has none.
    None,
    /// This many examples, which all pass.
    Holds(usize),
    /// The first example that fails.
    Fails {
        /// Its line in `before.jsonl`, from 1.
        line: usize,
        /// The difference from `after.jsonl`.
        reason: String,
    },
}

impl Migration {
    /// Loads one folder, named `NNNN_what`.
    ///
    /// # Errors
    /// As [`load_migrations`].
    pub fn read(folder: &Path) -> Result<Self> {
        let wrong = |why: String| Invalid::new("upcast", format!("{}: {why}", folder.display()));
        let name = folder.file_name().unwrap_or_default().to_string_lossy().into_owned();
        let digits = name.split_once('_').filter(|(digits, what)| digits.len() == 4 && !what.is_empty());
        let number = digits
            .and_then(|(digits, _)| digits.parse::<u32>().ok())
            .ok_or_else(|| wrong("is not a migration; the name has to be like NNNN_what".into()))?;
        let file = folder.join(STEPS);
        if !file.is_file() {
            return Err(wrong(format!("has no {STEPS}; an application's migrations are upcasters")).into());
        }
        let upcasters = upcasters_of(&file.display().to_string(), &text(&file)?)?;
        Ok(Self { number, name, folder: folder.to_owned(), upcasters })
    }
}

/// Loads an application's folder of migrations. Only its subfolders count; each is named `NNNN_what` and holds an
/// `upcast.toml`, and the numbers are consecutive.
///
/// # Errors
/// [`Error::NotFound`] if there is no such folder, [`Error::Invalid`] with the file and the line,
/// [`Error::Storage`] if it cannot be read.
pub fn load_migrations(folder: &Path) -> Result<Vec<Migration>> {
    let entries = fs::read_dir(folder).map_err(|e| unread(folder, &e, "folder"))?;
    let mut folders: Vec<PathBuf> = Vec::new();
    for entry in entries {
        let entry = entry.map_err(|e| unread(folder, &e, "folder"))?;
        if entry.path().is_dir() && !entry.file_name().to_string_lossy().starts_with('.') {
            folders.push(entry.path());
        }
    }
    folders.sort();
    let mut migrations = Vec::new();
    for (due, folder) in (1u32..).zip(folders) {
        let migration = Migration::read(&folder)?;
        if migration.number != due {
            let why = format!("should have the number {due:04}; numbers are consecutive");
            return Err(Invalid::new("upcast", format!("{}: {why}", folder.display())).into());
        }
        migrations.push(migration);
    }
    Ok(migrations)
}

impl Upcasts {
    /// Loads the upcasters of an application's `migrations/`: a folder `NNNN_what` for each change, numbered from
    /// 0001, with an `upcast.toml` in it.
    ///
    /// # Errors
    /// As [`load_migrations`](crate::schema::load_migrations) and [`Upcasts::new`].
    pub fn from_dir(folder: impl AsRef<Path>) -> Result<Self> {
        let migrations = load_migrations(folder.as_ref())?;
        Self::new(migrations.into_iter().flat_map(|m| m.upcasters))
    }
}

fn unread(path: &Path, e: &io::Error, what: &'static str) -> Error {
    match e.kind() {
        io::ErrorKind::NotFound => Error::not_found(what, path.display()),
        _ => Error::storage(format!("{} cannot be read: {e}", path.display())),
    }
}

fn text(path: &Path) -> Result<String> {
    let file = fs::File::open(path).map_err(|e| unread(path, &e, "file"))?;
    let mut text = String::new();
    // One byte more than allowed: the parser reports the excess.
    let read = file.take(MAX_UPCAST_FILE_BYTES as u64 + 1).read_to_string(&mut text);
    read.map_err(|e| unread(path, &e, "file"))?;
    Ok(text)
}

/// One line of `before.jsonl` and `after.jsonl`: the parts of an event that an upcaster can change.
#[derive(Debug, PartialEq, Deserialize)]
struct Example {
    #[serde(rename = "type")]
    kind: String,
    version: u32,
    #[serde(default)]
    data: Value,
}

/// Runs the examples of a folder, if it has any, through its upcasters: each line of `before.jsonl` has to become
/// the same line of `after.jsonl`.
///
/// # Errors
/// [`Error::Storage`] if a file cannot be read, and as [`Upcasts::new`].
pub fn check_evidence(migration: &Migration) -> Result<Evidence> {
    let (before, after) = (migration.folder.join(BEFORE), migration.folder.join(AFTER));
    if !before.is_file() && !after.is_file() {
        return Ok(Evidence::None);
    }
    let (before, after) = (text(&before)?, text(&after)?);
    let upcasts = Upcasts::new(migration.upcasters.iter().cloned())?;
    let mut count = 0;
    let (mut before, mut after) = (before.lines(), after.lines());
    loop {
        let line = count + 1;
        let (old, new) = match (before.next(), after.next()) {
            (None, None) => return Ok(Evidence::Holds(count)),
            (Some(old), Some(new)) => (old, new),
            (Some(_), None) => {
                return Ok(Evidence::Fails { line, reason: format!("{AFTER} ends before it") });
            }
            (None, Some(_)) => {
                return Ok(Evidence::Fails { line, reason: format!("{BEFORE} ends before it") });
            }
        };
        if let Err(reason) = same(&upcasts, old, new) {
            return Ok(Evidence::Fails { line, reason });
        }
        count += 1;
    }
}

fn same(upcasts: &Upcasts, old: &str, new: &str) -> std::result::Result<(), String> {
    let read = |file: &str, line: &str| {
        serde_json::from_str::<Example>(line).map_err(|e| format!("{file} has no valid event there: {e}"))
    };
    let (mut old, new) = (read(BEFORE, old)?, read(AFTER, new)?);
    let payload = old.data.to_string();
    let shaped = upcasts.apply(&old.kind, old.version, payload.as_bytes(), true);
    let shaped = shaped.map_err(|s| format!("{} version {} is stuck: {}", s.kind, s.version, s.reason))?;
    if let Some(shaped) = shaped {
        (old.kind, old.version) = (shaped.kind.to_string(), shaped.version);
        if let Some(payload) = shaped.payload {
            old.data = serde_json::from_str(&payload).map_err(|e| e.to_string())?;
        }
    }
    if (&old.kind, old.version) != (&new.kind, new.version) {
        return Err(format!(
            "becomes {} version {}, not {} version {}",
            old.kind, old.version, new.kind, new.version
        ));
    }
    if old.data != new.data {
        return Err(format!("its data becomes {}, not {}", old.data, new.data));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn folder(files: &[(&str, &str)]) -> tempfile::TempDir {
        let dir = tempfile::tempdir().unwrap();
        for (name, text) in files {
            let path = dir.path().join(name);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, text).unwrap();
        }
        dir
    }

    const STEP: &str = "[[step]]\ntype = \"a\"\nversion = 1\ndo = [{ rename = \"/x\", to = \"y\" }]\n";

    #[test]
    fn folders_are_read_in_order_and_their_examples_hold() {
        let dir = folder(&[
            ("README.md", "words"),
            ("0001_a_v2/upcast.toml", STEP),
            ("0001_a_v2/before.jsonl", "{\"type\":\"a\",\"version\":1,\"data\":{\"x\":1}}\n"),
            ("0001_a_v2/after.jsonl", "{\"type\":\"a\",\"version\":2,\"data\":{\"y\":1}}\n"),
            ("0002_a_v3/upcast.toml", "[[step]]\ntype = \"a\"\nversion = 2\nto = \"b\"\n"),
        ]);
        let found = load_migrations(dir.path()).unwrap();
        assert_eq!(found.iter().map(|m| m.name.as_str()).collect::<Vec<_>>(), ["0001_a_v2", "0002_a_v3"]);
        assert_eq!(check_evidence(&found[0]).unwrap(), Evidence::Holds(1));
        assert_eq!(check_evidence(&found[1]).unwrap(), Evidence::None);
        let upcasts = Upcasts::from_dir(dir.path()).unwrap();
        let shaped = upcasts.apply("a", 1, b"{\"x\":1}", true).unwrap().unwrap();
        assert_eq!((&*shaped.kind, shaped.version, shaped.payload.as_deref()), ("b", 1, Some("{\"y\":1}")));
    }

    #[test]
    fn an_example_that_comes_out_otherwise_is_named() {
        let dir = folder(&[
            ("0001_a/upcast.toml", STEP),
            ("0001_a/before.jsonl", "{\"type\":\"a\",\"version\":1,\"data\":{\"x\":1}}\n"),
            ("0001_a/after.jsonl", "{\"type\":\"a\",\"version\":2,\"data\":{\"y\":2}}\n"),
        ]);
        let found = load_migrations(dir.path()).unwrap();
        let Evidence::Fails { line: 1, reason } = check_evidence(&found[0]).unwrap() else { panic!() };
        assert!(reason.contains("{\"y\":1}"), "{reason}");
    }

    #[test]
    fn a_folder_that_is_none_a_hole_and_a_missing_file_are_refused() {
        let told = |files: &[(&str, &str)]| load_migrations(folder(files).path()).unwrap_err().to_string();
        assert!(told(&[("next/upcast.toml", STEP)]).contains("NNNN_what"));
        assert!(told(&[("0002_a/upcast.toml", STEP)]).contains("should have the number 0001"));
        assert!(told(&[("0001_a/before.redb", "x")]).contains("has no upcast.toml"));
        let missing = load_migrations(Path::new("/nowhere/at/all")).unwrap_err();
        assert!(matches!(missing, Error::NotFound { what: "folder", .. }));
    }
}
