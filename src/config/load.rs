//! Loading settings: each source overrides those before it.

use std::collections::HashMap;
use std::ffi::OsString;
use std::path::{Path, PathBuf};

use toml::Value;

use super::Settings;
use super::find;
use super::table::{self, KEYS, PREFIX};
use super::value::{Origin, checked, default};
use crate::error::Result;
use crate::event::Invalid;

/// The variable that names the settings file.
const FILE_VARIABLE: &str = "RETOLD_CONFIG";

/// Where settings come from: the file, then the environment, then the caller. Each overrides those before it.
#[derive(Clone, Debug)]
#[must_use]
pub struct Loader {
    file: File,
    environment: Option<Vec<(OsString, OsString)>>,
    given: Vec<(String, String)>,
}

#[derive(Clone, Debug)]
enum File {
    Find(Option<PathBuf>),
    At(PathBuf),
    None,
}

impl Default for Loader {
    fn default() -> Self {
        Self { file: File::Find(None), environment: None, given: Vec::new() }
    }
}

impl Settings {
    /// Loads settings from the nearest `retold.toml` and the environment.
    ///
    /// # Errors
    /// As [`Loader::load`].
    pub fn load() -> Result<Self> {
        Self::loader().load()
    }

    /// Starts a loader, which chooses the sources.
    pub fn loader() -> Loader {
        Loader::default()
    }
}

impl Loader {
    /// Reads this file, which must exist. By default it is the one named by `RETOLD_CONFIG`, or else `retold.toml` in the
    /// current folder or the nearest folder above it that has one.
    pub fn file(mut self, path: impl Into<PathBuf>) -> Self {
        self.file = File::At(path.into());
        self
    }

    /// Reads no file.
    pub fn no_file(mut self) -> Self {
        self.file = File::None;
        self
    }

    /// Searches for the file from this folder upward, instead of from the current one.
    pub fn from_folder(mut self, folder: impl Into<PathBuf>) -> Self {
        self.file = File::Find(Some(folder.into()));
        self
    }

    /// Uses these environment variables instead of those of the process.
    pub fn environment<K: Into<OsString>, V: Into<OsString>>(
        mut self,
        variables: impl IntoIterator<Item = (K, V)>,
    ) -> Self {
        self.environment = Some(variables.into_iter().map(|(k, v)| (k.into(), v.into())).collect());
        self
    }

    /// Sets a value that overrides all others, as it would be written in the file.
    pub fn set(mut self, key: impl Into<String>, value: impl ToString) -> Self {
        self.given.push((key.into(), value.to_string()));
        self
    }

    /// Reads and checks everything.
    ///
    /// # Errors
    /// [`Error::Invalid`](crate::Error::Invalid) for an unknown key, with the key that was probably meant, and for a value
    /// that its key does not accept, with its place; [`Error::NotFound`](crate::Error::NotFound) if the named file does
    /// not exist.
    pub fn load(self) -> Result<Settings> {
        let variables = self.variables()?;
        let file = match (&self.file, variables.get(FILE_VARIABLE)) {
            (File::None, _) => None,
            (File::At(path), _) => Some(path.clone()),
            (File::Find(_), Some(path)) => Some(path.into()),
            (File::Find(Some(folder)), None) => find::upward(folder)?,
            (File::Find(None), None) => match std::env::current_dir() {
                Ok(folder) => find::upward(&folder)?,
                Err(_) => None,
            },
        };
        let file = file.map(|path| std::path::absolute(&path).unwrap_or(path));
        // Each source overrides those before it.
        let mut said = HashMap::new();
        if let Some(path) = &file {
            said.extend(of_file(path, &find::read(path)?)?);
        }
        said.extend(of_environment(variables)?);
        said.extend(of_caller(self.given)?);
        let values = KEYS.iter().map(|key| match said.remove(key.name) {
            Some((value, origin)) => checked(key, &value, origin),
            None => Ok(default(key)),
        });
        Ok(Settings { values: values.collect::<Result<_, Invalid>>()?, file })
    }

    /// Those of our variables that are set.
    fn variables(&self) -> Result<HashMap<String, String>, Invalid> {
        let all = self.environment.clone().unwrap_or_else(|| std::env::vars_os().collect());
        let mut found = HashMap::new();
        for (name, value) in all {
            let Some(name) = name.to_str().filter(|name| name.starts_with(PREFIX)) else { continue };
            if value.is_empty() {
                continue;
            }
            let value = value.into_string().map_err(|_| {
                Invalid::new(
                    "configuration",
                    format!("cannot take {name} from the environment: it is not UTF-8"),
                )
            })?;
            found.insert(name.to_owned(), value);
        }
        Ok(found)
    }
}

/// A key, and its value in a source.
type Said = (&'static str, (Value, Origin));

/// The variables that set a key. Others may belong to another program, unless they look like a typo or were renamed.
fn of_environment(variables: HashMap<String, String>) -> Result<Vec<Said>, Invalid> {
    let mut said = Vec::new();
    for (name, value) in variables {
        let key = name.trim_start_matches(PREFIX).to_lowercase();
        let found = table::find(&key);
        if let Some(key) = found.filter(|key| key.variable() == name) {
            said.push((key.name, (value.into(), Origin::Environment(name))));
        } else if let Some(key) = table::renamed(&key) {
            let reason = format!("has no variable {name}; it is now called {}", key.variable());
            return Err(Invalid::new("configuration", reason));
        } else if name != FILE_VARIABLE
            && let Some(near) = found.or_else(|| table::nearest(&key))
        {
            let reason = format!("has no variable {name}; did you mean {}?", near.variable());
            return Err(Invalid::new("configuration", reason));
        }
    }
    Ok(said)
}

fn of_caller(given: Vec<(String, String)>) -> Result<Vec<Said>, Invalid> {
    let said = |(name, value): (String, String)| match table::find(&name) {
        Some(key) => Ok((key.name, (value.into(), Origin::Given))),
        None => Err(no_such_key(&name, "given")),
    };
    given.into_iter().map(said).collect()
}

/// The keys of a file, each with its line.
fn of_file(path: &Path, text: &str) -> Result<Vec<Said>, Invalid> {
    let line_of = |at: usize| text.get(..at).map_or(1, |before| before.matches('\n').count() + 1);
    let table: HashMap<toml::Spanned<String>, Value> = toml::from_str(text).map_err(|e| {
        let line = e.span().map(|span| format!(", line {}", line_of(span.start))).unwrap_or_default();
        let reason = format!("in {}{line} is not TOML: {}", path.display(), e.message().trim());
        Invalid::new("configuration", reason)
    })?;
    let mut rows: Vec<_> =
        table.into_iter().map(|(key, value)| (line_of(key.span().start), key, value)).collect();
    // The first mistake in the file is the one that is reported.
    rows.sort_by_key(|(line, ..)| *line);
    let said = |(line, name, value): (usize, toml::Spanned<String>, Value)| match table::find(name.get_ref())
    {
        Some(key) => Ok((key.name, (value, Origin::File(path.to_owned(), line)))),
        None => Err(no_such_key(name.get_ref(), &format!("{}, line {line}", path.display()))),
    };
    rows.into_iter().map(said).collect()
}

fn no_such_key(key: &str, place: &str) -> Invalid {
    let reason = format!("has no key `{}` ({place}){}", key.escape_debug(), table::suggestion(key));
    Invalid::new("configuration", reason)
}
