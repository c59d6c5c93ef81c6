//! Imports a file without holding all of it in memory, in one call or in steps: read, name, write.

use std::collections::BTreeSet;
use std::fs::File;
use std::io;
use std::ops::ControlFlow;
use std::path::Path;

use crate::error::{Error, Result};
use crate::event::SessionId;
use crate::store::Store;

use super::content::Content;
use super::formats::sketch_of;
use super::load::{Loaded, load_from};
use super::naming::{Naming, of_file, of_folder};
use super::plan::Skipped;
use super::sketch::Sketch;
use super::{Format, Options};

/// Why a file was not imported.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ImportError {
    /// An error of the store, or of the file's content.
    #[error(transparent)]
    Store(#[from] Error),
    /// The file could not be read.
    #[error(transparent)]
    Input(#[from] io::Error),
}

/// Where a file is. It gives the session of records that name none its name.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Location {
    /// The absolute path; `None` if it is not a file.
    pub path: Option<String>,
    /// Another file of the same run has the same name, so that the name alone is ambiguous.
    pub is_shared: bool,
    /// It is one of several in its folder that are named by [numbers](super::is_numbered). If it has a single record,
    /// it is a part of what the folder holds.
    pub is_numbered: bool,
}

/// A file that was read, with nothing written yet: the steps of [`load_file`], for a front end that reports between
/// them.
///
/// ```
/// use std::ops::ControlFlow;
/// use retold::agents::interop::{Content, FileImport, Location, Naming, Options};
///
/// let line = r#"{"id":1,"timestamp":"2026-01-01T00:00:00","source":"user","action":"message","args":{}}"#;
/// let content = Content::memory(line.into());
/// let read = FileImport::read("run.jsonl", content, &Options::default())?;
/// assert_eq!((read.records(), read.events()), (1, 1));
/// let store = retold::Store::in_memory()?;
/// let (named, _) = read.named(&store, &mut Naming::of(&store)?, &Location::default())?;
/// assert_eq!(named.sessions(), ["run"]);
/// let loaded = named.load(&store, &mut |_| ControlFlow::Continue(()))?;
/// assert_eq!(loaded.new, 1);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub struct FileImport {
    name: String,
    content: Content,
    options: Options,
    sketch: Sketch,
}

impl FileImport {
    /// Reads a file. Broken records are reported, and the rest is read all the same.
    ///
    /// # Errors
    /// [`ImportError::Input`] when it cannot be read, [`ImportError::Store`] with [`Error::Invalid`] when no format
    /// is given and none can be detected.
    pub fn read(name: &str, content: Content, options: &Options) -> std::result::Result<Self, ImportError> {
        let sketch = sketch_of(name, &content, options);
        content.unwatch();
        content.fault()?;
        let sketch = sketch.map_err(Error::from)?;
        Ok(Self { name: name.to_owned(), content, options: options.clone(), sketch })
    }

    /// The format that was read.
    #[must_use]
    pub fn format(&self) -> Format {
        self.sketch.plan.format
    }

    /// Records in the file, including broken and repeated ones.
    #[must_use]
    pub fn records(&self) -> usize {
        self.sketch.plan.records
    }

    /// Records that were skipped, and why.
    #[must_use]
    pub fn skipped(&self) -> &[Skipped] {
        &self.sketch.plan.skipped
    }

    /// The number of events in the file.
    #[must_use]
    pub fn events(&self) -> usize {
        self.sketch.events()
    }

    /// The sessions of its events.
    #[must_use]
    pub fn sessions(&self) -> Vec<String> {
        let names: BTreeSet<&SessionId> = self.sketch.places().into_iter().map(|p| &p.session).collect();
        names.into_iter().map(ToString::to_string).collect()
    }

    /// The report on it when nothing is written.
    #[must_use]
    pub fn unwritten(self) -> Loaded {
        let plan = self.sketch.plan;
        Loaded { records: plan.records, skipped: plan.skipped, notes: plan.notes, ..Loaded::default() }
    }

    /// Chooses the session of records that name none, unless [`Options::session`] gives it: the file's name, with its
    /// folder in front if the store has another file's session of that name. Also returns the other file that this
    /// one turned out to be, by its records; it then continues that file's session.
    ///
    /// # Errors
    /// [`ImportError::Input`] when the file cannot be read; those of [`Store::get_raw`].
    pub fn named(
        mut self,
        store: &Store,
        naming: &mut Naming,
        at: &Location,
    ) -> std::result::Result<(Self, Option<String>), ImportError> {
        let path = at.path.clone().unwrap_or_else(|| self.name.clone());
        let mut known_as = None;
        // A fork of a fork belongs to the session that both come from.
        let families = naming.families(&self.sketch.plan.origin.parents);
        if !families.is_empty() {
            self.options.families = families;
            self.sketch = sketch_of(&self.name, &self.content, &self.options).map_err(Error::from)?;
            self.content.fault()?;
        }
        if self.options.session.is_none() {
            let is_part = at.is_numbered && self.records() == 1;
            let folder = || Path::new(&path).parent().map(|p| p.to_string_lossy().into_owned());
            let owner = if is_part { folder() } else { at.path.clone() };
            let candidates = if is_part { of_folder(&path) } else { of_file(&path, at.is_shared) };
            let content = &self.content;
            let mut again = |home: SessionId| {
                let options = Options { home: Some(home), ..self.options.clone() };
                Ok(sketch_of(&self.name, content, &options)?)
            };
            let read = |range| content.bytes(range);
            let names = (owner.as_deref(), candidates.as_slice());
            let named = naming.choose(store, names, self.sketch, &read, &mut again);
            content.fault()?;
            let named = named?;
            self.sketch = named.sketch;
            known_as = named.known_as.filter(|other| Some(other) != owner.as_ref());
            self.sketch.plan.origin.owner = owner;
        }
        // What has no path is identified by the session it went to.
        self.sketch.plan.origin.path = match (&at.path, self.sessions().first()) {
            (None, Some(session)) => format!("{} ({session})", self.name),
            _ => path,
        };
        if self.format() == Format::Pi {
            naming.note_family(&self.sketch.plan.origin.path, &self.sessions())?;
        }
        Ok((self, known_as))
    }

    /// Appends what the store does not have. `progress` is called with the number of events done, and decides whether
    /// to continue. After a stop, what was appended stays, and importing the file again continues from there.
    ///
    /// # Errors
    /// [`ImportError::Input`] when the file cannot be read; those of [`Store::append`] and [`Store::fork`].
    pub fn load(
        self,
        store: &Store,
        progress: &mut dyn FnMut(usize) -> ControlFlow<()>,
    ) -> std::result::Result<Loaded, ImportError> {
        let content = &self.content;
        let read = |range| content.bytes(range);
        let loaded = load_from(store, self.sketch, (content.len(), &read), progress);
        content.fault()?;
        Ok(loaded?)
    }
}

/// Imports a file. However large it is, only a part of it is in memory at any time: it is read twice, and what is
/// known about its records is in a temporary file. Otherwise it works like [`parse`](super::parse) and
/// [`load`](super::load), with one difference: records that name no session go to one that is named after the file,
/// with its folder in front if the store has another file's session of that name.
///
/// `progress` is called with the number of events done, and decides whether to continue. After a stop, what was
/// appended stays, and importing the file again continues from there.
///
/// # Errors
/// [`Error::NotFound`] when there is no such file, [`Error::Storage`] when it cannot be read, [`Error::Invalid`] when it
/// has no known format; those of [`Store::append`] and [`Store::fork`].
///
/// ```
/// use std::ops::ControlFlow;
/// use retold::agents::interop::{Options, load_file};
///
/// # let dir = std::env::temp_dir().join(format!("retold-doc-{}", std::process::id()));
/// # std::fs::create_dir_all(&dir)?;
/// # let path = dir.join("run.jsonl");
/// let line = r#"{"id":1,"timestamp":"2026-01-01T00:00:00","source":"user","action":"message","args":{}}"#;
/// std::fs::write(&path, line)?;
/// let store = retold::Store::in_memory()?;
/// let loaded = load_file(&store, &path, &Options::default(), &mut |_| ControlFlow::Continue(()))?;
/// assert_eq!((loaded.records, loaded.new), (1, 1));
/// # std::fs::remove_dir_all(&dir)?;
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub fn load_file(
    store: &Store,
    path: &Path,
    options: &Options,
    progress: &mut dyn FnMut(usize) -> ControlFlow<()>,
) -> Result<Loaded> {
    let explained = |e: io::Error| match e.kind() {
        io::ErrorKind::NotFound => Error::not_found("file", path.display()),
        _ => Error::storage(format!("{}: {e}", path.display())),
    };
    let failed = |e: ImportError| match e {
        ImportError::Store(e) => e,
        ImportError::Input(e) => explained(e),
    };
    let real = path.canonicalize().map_err(explained)?.to_string_lossy().into_owned();
    let content = Content::disk(File::open(path).map_err(explained)?).map_err(explained)?;
    let read = FileImport::read(&real, content, options).map_err(failed)?;
    let at = Location { path: Some(real), ..Location::default() };
    let (named, _) = read.named(store, &mut Naming::of(store)?, &at).map_err(failed)?;
    named.load(store, progress).map_err(failed)
}
