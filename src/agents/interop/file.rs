//! A file imported without holding it, in one call or in its steps: read, named, written.

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
    /// The store, or what is in the file.
    #[error(transparent)]
    Store(#[from] Error),
    /// The file.
    #[error(transparent)]
    Input(#[from] io::Error),
}

/// Where a file is: what the session of records that name none is called after.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Location {
    /// Its absolute path; nothing for what is no file.
    pub path: Option<String>,
    /// Another file of the same run has the same name, so that the name alone does not do.
    pub is_shared: bool,
    /// It is one of several in its folder that are called by [numbers](super::is_numbered). With one record in it, it is a
    /// part of what the folder holds.
    pub is_numbered: bool,
}

/// A file that was read, and of which nothing is written yet: the steps of [`load_file`], for a front end that says
/// something between them.
///
/// ```
/// use std::ops::ControlFlow;
/// use retold::agents::interop::{Content, FileImport, Location, Naming, Options};
///
/// let line = r#"{"id":1,"timestamp":"2026-01-01T00:00:00","source":"user","action":"message"}"#;
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
    /// Reads a file. What is broken in it is reported, and the rest is there all the same.
    ///
    /// # Errors
    /// [`ImportError::Input`] when it cannot be read, [`ImportError::Store`] with [`Error::Invalid`] when no format is
    /// given and none can be told from the content.
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

    /// Records in the file, the broken and the repeated ones too.
    #[must_use]
    pub fn records(&self) -> usize {
        self.sketch.plan.records
    }

    /// Records that are left out, and why.
    #[must_use]
    pub fn skipped(&self) -> &[Skipped] {
        &self.sketch.plan.skipped
    }

    /// Events in the file.
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

    /// What is to be told of it when nothing is written.
    #[must_use]
    pub fn unwritten(self) -> Loaded {
        let plan = self.sketch.plan;
        Loaded { records: plan.records, skipped: plan.skipped, notes: plan.notes, ..Loaded::default() }
    }

    /// With the session of records that name none, unless [`Options::session`] names it: called after the file, with its
    /// folder in front where the store has another file's session of that name. Beside it, the other file that this one
    /// was found to be, by its records: it goes on with that one's session.
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
        // What has no place of its own is told apart by where it went.
        self.sketch.plan.origin.path = match (&at.path, self.sessions().first()) {
            (None, Some(session)) => format!("{} ({session})", self.name),
            _ => path,
        };
        Ok((self, known_as))
    }

    /// Appends what the store does not have. `progress` is told the number of events done, and says whether to go on.
    /// Where it does not, what was appended stays, and importing the file again goes on from there.
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

/// Imports a file. However large it is, only a part of it is in memory at any time: it is read twice, and what is known of
/// its records waits in a temporary file. Otherwise as [`parse`](super::parse) and [`load`](super::load), with one thing
/// more: records that name no session go to one that is called after the file, with its folder in front where the
/// store has another file's session of that name.
///
/// `progress` is told the number of events done, and says whether to go on. Where it does not, what was appended stays, and
/// importing the file again goes on from there.
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
/// let line = r#"{"id":1,"timestamp":"2026-01-01T00:00:00","source":"user","action":"message"}"#;
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
    let told = |e: io::Error| match e.kind() {
        io::ErrorKind::NotFound => Error::not_found("file", path.display()),
        _ => Error::storage(format!("{}: {e}", path.display())),
    };
    let failed = |e: ImportError| match e {
        ImportError::Store(e) => e,
        ImportError::Input(e) => told(e),
    };
    let real = path.canonicalize().map_err(told)?.to_string_lossy().into_owned();
    let content = Content::disk(File::open(path).map_err(told)?).map_err(told)?;
    let read = FileImport::read(&real, content, options).map_err(failed)?;
    let at = Location { path: Some(real), ..Location::default() };
    let (named, _) = read.named(store, &mut Naming::of(store)?, &at).map_err(failed)?;
    named.load(store, progress).map_err(failed)
}
