//! The repository as the checks see it: paths and texts, nothing else.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::path::Path;

use crate::source::Source;

/// A broken rule and its place.
#[derive(Clone, Debug)]
pub(crate) struct Finding {
    pub(crate) file: String,
    pub(crate) line: usize,
    pub(crate) rule: &'static str,
    pub(crate) what: String,
}

impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}: [{}] {}", self.file, self.line, self.rule, self.what)
    }
}

/// The packages beside the library. A folder of this name need not be there.
pub(crate) const FRONT_ENDS: [&str; 4] = ["cli", "server", "mcp", "tui"];

#[derive(Default)]
pub(crate) struct Tree {
    /// Every file by its path from the root, `/` between the parts. Files that are not text have a placeholder.
    pub(crate) files: BTreeMap<String, String>,
    pub(crate) rust: BTreeMap<String, Source>,
}

impl Tree {
    pub(crate) fn new(files: impl IntoIterator<Item = (String, String)>) -> Self {
        let files: BTreeMap<_, _> = files.into_iter().collect();
        let is_rust = |path: &str| path.ends_with(".rs");
        let parse = |path: &str, text: &str, test| Source::parse(text, &module(path), test);
        let rust: BTreeMap<String, Source> = files
            .iter()
            .filter(|(path, _)| is_rust(path))
            .map(|(path, text)| (path.clone(), parse(path, text, false)))
            .collect();
        // Files that a `#[cfg(test)] mod name;` line names, and what lies below them.
        let tests: BTreeSet<(String, Vec<String>)> = rust
            .iter()
            .filter_map(|(path, source)| Some((source_root(path)?.to_owned(), path, source)))
            .flat_map(|(root, path, source)| {
                let names = source.mods.iter().filter(|(_, _, test)| *test);
                names.map(move |(name, _, _)| (root.clone(), [module(path), vec![name.clone()]].concat()))
            })
            .collect();
        let in_test = |path: &str| {
            let module = module(path);
            let root = source_root(path);
            tests.iter().any(|(of, test)| root == Some(of.as_str()) && module.starts_with(test))
        };
        let rust = rust
            .into_iter()
            .map(|(path, source)| match files.get(&path) {
                Some(text) if in_test(&path) => (path.clone(), parse(&path, text, true)),
                _ => (path, source),
            })
            .collect();
        Self { files, rust }
    }

    /// Reads what the checks are about from the repository at `root`.
    pub(crate) fn read(root: &Path) -> std::io::Result<Self> {
        const FOLDERS: [&str; 6] = ["src", "tests", "examples", "benches", "migrations", "docs"];
        let mut files = Vec::new();
        let names = FOLDERS.iter().chain(&FRONT_ENDS);
        let mut folders: Vec<_> = names.map(|name| (root.join(name), format!("{name}/"))).collect();
        folders.retain(|(folder, _)| folder.is_dir());
        while let Some((folder, prefix)) = folders.pop() {
            for entry in std::fs::read_dir(&folder)? {
                let entry = entry?;
                let name = entry.file_name().to_string_lossy().into_owned();
                let path = format!("{prefix}{name}");
                let kind = entry.file_type()?;
                if kind.is_dir() && name != "target" {
                    folders.push((entry.path(), format!("{path}/")));
                } else if kind.is_file() {
                    let bytes = std::fs::read(entry.path())?;
                    files.push((path, String::from_utf8(bytes).unwrap_or_else(|_| "not text".into())));
                }
            }
        }
        Ok(Self::new(files))
    }

    /// The sources of the library and of every front end.
    pub(crate) fn sources(&self) -> impl Iterator<Item = (&str, &Source)> {
        self.rust.iter().filter(|(path, _)| source_root(path).is_some()).map(|(p, s)| (p.as_str(), s))
    }

    pub(crate) fn under<'a>(&'a self, folder: &'a str) -> impl Iterator<Item = (&'a str, &'a Source)> {
        self.rust.iter().filter(move |(path, _)| path.starts_with(folder)).map(|(p, s)| (p.as_str(), s))
    }

    pub(crate) fn has(&self, path: &str) -> bool {
        self.files.contains_key(path)
    }

    pub(crate) fn has_folder(&self, folder: &str) -> bool {
        self.files.keys().any(|path| path.starts_with(folder))
    }
}

/// The front end that a file is part of, if it is no part of the library.
pub(crate) fn front_end(path: &str) -> Option<&'static str> {
    let (folder, _) = path.split_once('/')?;
    FRONT_ENDS.into_iter().find(|name| *name == folder)
}

/// The folder of a package's sources that a file lies in.
fn source_root(path: &str) -> Option<&str> {
    let package = front_end(path).map_or(0, |name| name.len() + 1);
    path.get(package..)?.starts_with("src/").then(|| path.get(..package + 4)).flatten()
}

/// Where a file stands in its crate: `src/store/tail.rs` is `store::tail`, `src/store/mod.rs` is `store`.
pub(crate) fn module(path: &str) -> Vec<String> {
    let path = front_end(path).and_then(|name| path.get(name.len() + 1..)).unwrap_or(path);
    let inside = ["src/", "tests/it/", "tests/tidy/"].iter().find_map(|root| path.strip_prefix(root));
    let inside = inside.unwrap_or(path).trim_end_matches(".rs");
    let mut names: Vec<String> = inside.split('/').map(str::to_owned).collect();
    if matches!(names.last().map(String::as_str), Some("mod" | "lib" | "main")) {
        names.pop();
    }
    names
}
