//! The files to import: folders are walked, and names are sorted with their numbers in numeric order.

use std::cmp::Ordering;
use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};

use super::failure::Failure;
use super::unpack::plain_name;
use retold::agents::interop::{Location, is_numbered};
use retold::error::Error;
use retold::limits::MAX_FOLDER_DEPTH;

/// Extensions of the files that are imported from a folder, compressed or not.
const ENDINGS: [&str; 3] = ["json", "jsonl", "ndjson"];

/// The folder of a conversation that has a file for each event, and the one that has them again, many a file.
const EVENTS: &str = "events";
const EVENT_COPIES: &str = "event_cache";

/// A file to import.
#[derive(Clone, Debug)]
pub(super) struct Given {
    /// Its path as given, or as found in a given folder.
    pub(super) name: String,
    /// Its real path.
    pub(super) at: Location,
}

/// The files, in the order in which they are read, and the failures of those that cannot be listed.
pub(super) fn expand(args: &[String]) -> (Vec<Given>, Vec<Failure>) {
    let (mut found, mut failures) = (Vec::new(), Vec::new());
    for arg in args {
        let path = Path::new(arg);
        if arg == "-" || !path.is_dir() {
            found.push(given(arg));
            continue;
        }
        let before = found.len();
        if let Err(e) = walk(path, MAX_FOLDER_DEPTH, &mut found) {
            failures.push(e);
        } else if found.len() == before {
            let name = format!("{arg}: a .json, .jsonl or .ndjson file");
            failures.push(Error::NotFound { what: "in the folder", name }.into());
        }
    }
    leave_out_packed(&mut found);
    for run in found.chunk_by_mut(|a, b| folder(a) == folder(b)) {
        run.sort_by(|a, b| natural(&a.name, &b.name));
    }
    let mut numbered: BTreeMap<Option<PathBuf>, usize> = BTreeMap::new();
    let mut folders: BTreeMap<String, BTreeSet<Option<PathBuf>>> = BTreeMap::new();
    for file in &found {
        *numbered.entry(folder(file)).or_default() += usize::from(is_numbered(&file.name));
        folders.entry(file_name(file)).or_default().insert(folder(file));
    }
    for file in &mut found {
        file.at.is_shared = folders.get(&file_name(file)).is_some_and(|f| f.len() > 1);
        file.at.is_numbered = is_numbered(&file.name) && numbered.get(&folder(file)).is_some_and(|n| *n > 1);
    }
    (found, failures)
}

fn given(name: &str) -> Given {
    let is_file = name != "-" && fs::metadata(name).is_ok_and(|m| m.is_file());
    let path = if is_file { fs::canonicalize(name).ok() } else { None };
    let path = path.map(|p| p.to_string_lossy().into_owned());
    Given { name: name.to_owned(), at: Location { path, ..Location::default() } }
}

fn folder(file: &Given) -> Option<PathBuf> {
    file.at.path.as_ref().and_then(|p| Path::new(p).parent()).map(Path::to_owned)
}

/// The name without its extension, which is the same for a compressed file and the one that it was packed from.
fn file_name(file: &Given) -> String {
    let path = file.at.path.as_ref().unwrap_or(&file.name);
    Path::new(plain_name(path).unwrap_or(path))
        .file_stem()
        .map_or_else(String::new, |n| n.to_string_lossy().into_owned())
}

/// Leaves out compressed files that are given with those that they were packed from, as a pattern in a shell gives them.
fn leave_out_packed(found: &mut Vec<Given>) {
    let plain: BTreeSet<String> = found.iter().filter_map(|file| file.at.path.clone()).collect();
    found.retain(|file| {
        let packed_from = file.at.path.as_deref().and_then(plain_name);
        packed_from.is_none_or(|from| !plain.contains(from))
    });
}

fn walk(path: &Path, depth: usize, found: &mut Vec<Given>) -> Result<(), Failure> {
    let failed = |e| Failure::file(path.display(), e);
    let mut entries = Vec::new();
    for entry in fs::read_dir(path).map_err(failed)? {
        entries.push(entry.map_err(failed)?);
    }
    entries.sort_by(|a, b| natural(&a.file_name().to_string_lossy(), &b.file_name().to_string_lossy()));
    let (mut folders, mut files) = (Vec::new(), Vec::new());
    for entry in entries {
        let (path, kind) = (entry.path(), entry.file_type().map_err(failed)?);
        if entry.file_name().to_string_lossy().starts_with('.') {
            continue;
        }
        // A link to a folder may lead back to its own parent.
        if kind.is_dir() {
            folders.push(path);
        } else if path.is_file() && is_imported(&path) {
            files.push(path);
        }
    }
    if folders.iter().any(|folder| holds_events(folder)) {
        // What else is beside them is the state of the program that wrote them, and copies of events.
        files.clear();
        folders.retain(|folder| !is_called(folder, EVENT_COPIES));
    }
    found.extend(files.iter().map(|path| given(&path.to_string_lossy())));
    match depth.checked_sub(1) {
        Some(depth) => folders.iter().try_for_each(|folder| walk(folder, depth, found)),
        None if folders.is_empty() => Ok(()),
        None => Err(Failure::Usage(format!("{} has folders nested too deeply", path.display()))),
    }
}

/// Whether a file of a folder is imported. Beside the file that it was packed from, a compressed one is a leftover.
fn is_imported(path: &Path) -> bool {
    let name = path.to_string_lossy();
    let plain = plain_name(&name).map(Path::new);
    let is_known = |path: &Path| {
        path.extension().is_some_and(|e| ENDINGS.iter().any(|known| e.eq_ignore_ascii_case(known)))
    };
    is_known(plain.unwrap_or(path)) && plain.is_none_or(|plain| !plain.is_file())
}

/// Whether a folder has a file for each event of a conversation of OpenHands.
fn holds_events(folder: &Path) -> bool {
    let is_event = |entry: &fs::DirEntry| {
        let path = entry.path();
        path.extension().is_some_and(|e| e == "json") && is_numbered(&path.to_string_lossy())
    };
    is_called(folder, EVENTS)
        && fs::read_dir(folder).is_ok_and(|mut all| all.any(|e| e.is_ok_and(|e| is_event(&e))))
}

fn is_called(folder: &Path, name: &str) -> bool {
    folder.file_name().is_some_and(|is| is == name)
}

/// Natural order of names: 2 before 10.
fn natural(a: &str, b: &str) -> Ordering {
    let (mut a, mut b) = (a, b);
    loop {
        let digits = |s: &str| s.find(|c: char| !c.is_ascii_digit()).unwrap_or(s.len());
        let (n, m) = (digits(a), digits(b));
        let order = if n > 0 && m > 0 {
            let ((x, rest_a), (y, rest_b)) = (a.split_at(n), b.split_at(m));
            (a, b) = (rest_a, rest_b);
            let (x, y) = (x.trim_start_matches('0'), y.trim_start_matches('0'));
            x.len().cmp(&y.len()).then_with(|| x.cmp(y)).then_with(|| n.cmp(&m))
        } else {
            let (mut c, mut d) = (a.chars(), b.chars());
            let (x, y) = (c.next(), d.next());
            (a, b) = (c.as_str(), d.as_str());
            if x.is_none() && y.is_none() {
                return Ordering::Equal;
            }
            x.cmp(&y)
        };
        if order != Ordering::Equal {
            return order;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_in_names_count_as_numbers() {
        let mut names = vec!["e10", "e9", "e009", "e", "d11", "e9b", "f", "10", "9"];
        names.sort_by(|a, b| natural(a, b));
        assert_eq!(names, ["9", "10", "d11", "e", "e9", "e9b", "e009", "e10", "f"]);
    }
}
