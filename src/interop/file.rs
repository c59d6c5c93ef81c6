//! A file imported without holding it.

use std::fs::File;
use std::io;
use std::ops::ControlFlow;
use std::path::Path;

use crate::error::{Error, Result};
use crate::event::SessionId;
use crate::store::Store;

use super::content::Content;
use super::load::{Loaded, load_from};
use super::naming::{Naming, of_file};
use super::{Options, sketch_of};

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
/// use retold::interop::{Options, load_file};
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
    let real = path.canonicalize().map_err(told)?.to_string_lossy().into_owned();
    let content = Content::disk(File::open(path).map_err(told)?).map_err(told)?;
    let read = |range| content.bytes(range);
    let first = sketch_of(&real, &content, options);
    content.fault().map_err(told)?;
    let mut found = first?;
    if options.session.is_none() {
        let mut again = |home: SessionId| {
            let options = Options { home: Some(home), ..options.clone() };
            Ok(sketch_of(&real, &content, &options)?)
        };
        let names = of_file(&real, false);
        let mut naming = Naming::of(store)?;
        found = naming.choose(store, (Some(&real), &names), found, &read, &mut again)?.sketch;
        content.fault().map_err(told)?;
        found.plan.origin.owner = Some(real.clone());
    }
    let loaded = load_from(store, found, (content.len(), &read), progress);
    content.fault().map_err(told)?;
    loaded
}
