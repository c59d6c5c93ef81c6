//! The sources, put over each other.

use std::collections::HashMap;
use std::ffi::OsString;
use std::path::{Path, PathBuf};

use config::Source;

use super::Settings;
use super::find;
use super::table::{self, KEYS, PREFIX};
use super::value::{Origin, checked, default};
use crate::error::Result;
use crate::event::Invalid;

/// The variable that names the file.
const FILE_VARIABLE: &str = "RETOLD_CONFIG";

/// Where settings are to come from: the file, then the environment, then what the caller gives. Each wins over those
/// before it.
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
    /// From the nearest `retold.toml` and the environment.
    ///
    /// # Errors
    /// As [`Loader::load`].
    pub fn load() -> Result<Self> {
        Self::loader().load()
    }

    /// From where is to be said.
    pub fn loader() -> Loader {
        Loader::default()
    }
}

impl Loader {
    /// This file, which has to be there. Unless said it is the one that `RETOLD_CONFIG` names, or `retold.toml` in the
    /// current folder or the nearest one above it that has one.
    pub fn file(mut self, path: impl Into<PathBuf>) -> Self {
        self.file = File::At(path.into());
        self
    }

    /// No file.
    pub fn no_file(mut self) -> Self {
        self.file = File::None;
        self
    }

    /// Looks for the file from this folder upwards, instead of from the current one.
    pub fn from_folder(mut self, folder: impl Into<PathBuf>) -> Self {
        self.file = File::Find(Some(folder.into()));
        self
    }

    /// These variables instead of those of the process.
    pub fn environment<K: Into<OsString>, V: Into<OsString>>(
        mut self,
        variables: impl IntoIterator<Item = (K, V)>,
    ) -> Self {
        self.environment = Some(variables.into_iter().map(|(k, v)| (k.into(), v.into())).collect());
        self
    }

    /// A value that wins over all others, as it would be written in the file.
    pub fn set(mut self, key: impl Into<String>, value: impl ToString) -> Self {
        self.given.push((key.into(), value.to_string()));
        self
    }

    /// Reads and checks everything.
    ///
    /// # Errors
    /// [`Error::Invalid`](crate::Error::Invalid) for a key that does not exist, with the one that was probably meant,
    /// and for a value that is none of its key, with the place; [`Error::NotFound`](crate::Error::NotFound) for a file
    /// that was named and is not there.
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
        let mut builder = config::Config::builder();
        let mut lines = HashMap::new();
        if let Some(path) = &file {
            let text = find::read(path)?;
            lines = keys_of(path, &text)?;
            builder = builder.add_source(config::File::from_str(&text, config::FileFormat::Toml));
        }
        let known = known(&variables)?;
        let of_variables = config::Environment::with_prefix("RETOLD").source(Some(known));
        builder = builder.add_source(of_variables.ignore_empty(true));
        for (key, value) in &self.given {
            if table::find(key).is_none() {
                return Err(no_such_key(key, "given").into());
            }
            builder = builder.set_override(key, value.clone()).map_err(|e| refused(&e))?;
        }
        let merged = builder.build().and_then(|merged| merged.collect()).map_err(|e| refused(&e))?;
        let origin = |name: &str| {
            if self.given.iter().any(|(key, _)| key == name) {
                return Origin::Given;
            }
            let variable = format!("{PREFIX}{}", name.to_uppercase());
            match (variables.contains_key(&variable), lines.get(name), &file) {
                (false, Some(line), Some(path)) => Origin::File(path.clone(), *line),
                _ => Origin::Environment(variable),
            }
        };
        let values = KEYS.iter().map(|key| match merged.get(key.name) {
            Some(value) => checked(key, value, origin(key.name)),
            None => Ok(default(key)),
        });
        Ok(Settings { values: values.collect::<Result<_, Invalid>>()?, file })
    }

    /// Our variables that are set.
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

/// Those variables that set a key. Others may be somebody else's, unless they look like a slip of the finger.
fn known(variables: &HashMap<String, String>) -> Result<HashMap<String, String>, Invalid> {
    let mut known = HashMap::new();
    for (name, value) in variables {
        let key = name.trim_start_matches(PREFIX).to_lowercase();
        let found = table::find(&key);
        if found.is_some_and(|key| key.variable() == *name) {
            known.insert(name.clone(), value.clone());
        } else if name != FILE_VARIABLE
            && let Some(near) = found.or_else(|| table::nearest(&key))
        {
            let reason = format!("has no variable {name}; did you mean {}?", near.variable());
            return Err(Invalid::new("configuration", reason));
        }
    }
    Ok(known)
}

/// The keys of a file with their lines.
fn keys_of(path: &Path, text: &str) -> Result<HashMap<String, usize>, Invalid> {
    let line_of = |at: usize| text.get(..at).map_or(1, |before| before.matches('\n').count() + 1);
    let table: HashMap<toml::Spanned<String>, toml::Value> = toml::from_str(text).map_err(|e| {
        let line = e.span().map(|span| format!(", line {}", line_of(span.start))).unwrap_or_default();
        let reason = format!("in {}{line} is not TOML: {}", path.display(), e.message().trim());
        Invalid::new("configuration", reason)
    })?;
    let mut lines: Vec<(usize, String)> =
        table.into_keys().map(|key| (line_of(key.span().start), key.into_inner())).collect();
    lines.sort();
    match lines.iter().find(|(_, key)| table::find(key).is_none()) {
        Some((line, key)) => Err(no_such_key(key, &format!("{}, line {line}", path.display()))),
        None => Ok(lines.into_iter().map(|(line, key)| (key, line)).collect()),
    }
}

fn no_such_key(key: &str, place: &str) -> Invalid {
    let reason = format!("has no key `{}` ({place}){}", key.escape_debug(), table::suggestion(key));
    Invalid::new("configuration", reason)
}

fn refused(e: &config::ConfigError) -> Invalid {
    Invalid::new("configuration", format!("cannot be read: {e}"))
}
