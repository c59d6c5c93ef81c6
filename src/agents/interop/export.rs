//! Exports what a store holds, in a format that other programs or another store can import.

use std::collections::{BTreeMap, HashSet};
use std::io::{self, Write};

use crate::error::{Error, Result};
use crate::event::{EventId, Filter};
use crate::store::{Query, Store};

use super::imports::{Import, Kept, imports};
use super::walk::{ExportScope, Step, walk};
use super::{Files, Format, SourceFile, print, print_fork, source};

/// Why an export ended early.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ExportError {
    /// The store, or the request.
    #[error(transparent)]
    Store(#[from] Error),
    /// The output.
    #[error(transparent)]
    Output(#[from] io::Error),
}

/// Writes events as lines, each fork before the branch's first own event. Returns the number of events. `progress` is
/// called with the number of events done. Events have their newest shape; [`export_raw`] writes what is stored.
///
/// # Errors
/// [`ExportError::Store`] for errors of reading, and for a format that can only be read; [`ExportError::Output`] when
/// writing fails.
pub fn export(
    store: &Store,
    scope: &ExportScope,
    format: Format,
    out: &mut dyn Write,
    progress: &mut dyn FnMut(u64),
) -> std::result::Result<u64, ExportError> {
    write(store, scope, format, out, progress, &|query| query)
}

/// [`export`] of events as they were appended, without upcasting, for copying a store.
///
/// # Errors
/// As [`export`].
pub fn export_raw(
    store: &Store,
    scope: &ExportScope,
    format: Format,
    out: &mut dyn Write,
    progress: &mut dyn FnMut(u64),
) -> std::result::Result<u64, ExportError> {
    write(store, scope, format, out, progress, &Query::raw)
}

/// [`export`] of the events that a filter takes, for other programs: what is left of a branch has holes, so it is no copy of it.
///
/// # Errors
/// As [`export`].
pub fn export_filtered(
    store: &Store,
    scope: &ExportScope,
    format: Format,
    filter: &Filter,
    out: &mut dyn Write,
    progress: &mut dyn FnMut(u64),
) -> std::result::Result<u64, ExportError> {
    write(store, scope, format, out, progress, &|query| query.filter(filter.clone()))
}

fn write(
    store: &Store,
    scope: &ExportScope,
    format: Format,
    out: &mut dyn Write,
    progress: &mut dyn FnMut(u64),
    how: &dyn Fn(Query) -> Query,
) -> std::result::Result<u64, ExportError> {
    let mut done = 0;
    let mut line = Vec::new();
    walk(store, scope, how, &mut |step| {
        line.clear();
        match &step {
            Step::Fork(fork) => print_fork(format, fork, &mut line).map_err(Error::from)?,
            Step::Event(event) => print(format, event, &mut line).map_err(Error::from)?,
        }
        out.write_all(&line)?;
        if let Step::Event(_) = step {
            done += 1;
            progress(done);
        }
        Ok::<(), ExportError>(())
    })?;
    Ok(done)
}

/// The files that imported events came from, each as of its last import, and the number of events that came from no
/// file. For a session, these are the files with events of it. Of a file of which events were deleted or truncated, it is what the
/// others have of it. `progress` is called with the number of events done.
///
/// # Errors
/// As [`Store::read`].
pub fn export_sources(
    store: &Store,
    scope: &ExportScope,
    progress: &mut dyn FnMut(u64),
) -> Result<(Vec<SourceFile>, usize)> {
    let mut files = Files::default();
    let mut done = 0;
    let view = store.reader()?.records();
    let mut latest: BTreeMap<String, (Import, HashSet<EventId>)> = BTreeMap::new();
    if !matches!(scope, ExportScope::Branch(_)) {
        for import in imports(store)? {
            if !matches!(scope, ExportScope::Session(session) if !import.is_of(session)) {
                let mut ids = latest.remove(&import.path).map(|(_, ids)| ids).unwrap_or_default();
                ids.extend(import.events(&view)?);
                latest.insert(import.path.clone(), (import, ids));
            }
        }
    }
    let (mut whole, mut known) = (Vec::new(), HashSet::new());
    for (path, (import, ids)) in latest {
        match put_together(store, &import, String::new()) {
            Ok(file) => {
                known.extend(ids);
                whole.push((path, file));
            }
            // Some of it was deleted or truncated: the rest is given back as far as its events say.
            Err(Error::NotFound { .. }) => {}
            Err(e) => return Err(e),
        }
    }
    // Files are restored as they came, without upcasting.
    walk(store, scope, &Query::raw, &mut |step| {
        if let Step::Event(event) = step {
            if !known.contains(&event.id()) {
                files.add(&event);
            }
            done += 1;
            progress(done);
        }
        Ok::<(), Error>(())
    })?;
    let unsourced = files.unsourced();
    let mut out = files.finish();
    let taken: Vec<String> = out.iter().map(|f| f.name.clone()).collect();
    let names = source::distinct(whole.iter().map(|(path, _)| path.as_str()), taken.into_iter());
    out.extend(whole.into_iter().zip(names).map(|((_, file), name)| SourceFile { name, ..file }));
    out.sort_by(|a, b| a.name.cmp(&b.name));
    Ok((out, unsourced))
}

/// A file as it was in the import with this number.
///
/// # Errors
/// [`Error::NotFound`] when there was no such import; those of [`Store::read`].
pub fn export_import(store: &Store, number: u64) -> Result<SourceFile> {
    let import = super::import(store, number)?;
    let name = source::safe(import.file_name());
    put_together(store, &import, name)
}

fn put_together(store: &Store, import: &Import, name: String) -> Result<SourceFile> {
    let view = store.reader()?.records();
    let mut bytes = Vec::with_capacity(import.bytes);
    import.parts(&view, &mut |part| {
        match part {
            Kept::Bytes(part) => bytes.extend_from_slice(&part),
            Kept::Event(id) => source::write_body(store.get_raw(id)?.record(), &mut bytes),
        }
        Ok(())
    })?;
    Ok(SourceFile { name, bytes, records: import.records })
}
