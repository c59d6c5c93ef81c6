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
        let tests: BTreeSet<Vec<String>> = rust
            .iter()
            .filter(|(path, _)| path.starts_with("src/"))
            .flat_map(|(path, source)| {
                let names = source.mods.iter().filter(|(_, _, test)| *test);
                names.map(|(name, _, _)| [module(path), vec![name.clone()]].concat())
            })
            .collect();
        let in_test = |path: &str| {
            let module = module(path);
            path.starts_with("src/") && tests.iter().any(|t| module.starts_with(t))
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
        let mut folders: Vec<_> = FOLDERS.iter().map(|name| (root.join(name), format!("{name}/"))).collect();
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

/// Where a file stands in its crate: `src/store/tail.rs` is `store::tail`, `src/store/mod.rs` is `store`.
pub(crate) fn module(path: &str) -> Vec<String> {
    let inside = ["src/", "tests/it/", "tests/tidy/"].iter().find_map(|root| path.strip_prefix(root));
    let inside = inside.unwrap_or(path).trim_end_matches(".rs");
    let mut names: Vec<String> = inside.split('/').map(str::to_owned).collect();
    if matches!(names.last().map(String::as_str), Some("mod" | "lib" | "main")) {
        names.pop();
    }
    names
}
