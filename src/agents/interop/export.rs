//! Exports what a store holds, in a format that other programs or another store can import.

use std::collections::{BTreeMap, HashSet};
use std::io::{self, Write};

use crate::error::{Error, Result};
use crate::event::{Address, MAIN, Place, Sequence, SessionId};
use crate::store::{BranchInfo, Query, Store};

use super::imports::{Import, Kept, imports};
use super::{Files, Forked, Format, SourceFile, print, print_fork, source};

/// What to export.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ExportScope {
    /// The whole store, in global order.
    All,
    /// All branches of a session, one after the other, parents before their children.
    Session(SessionId),
    /// The history of one branch, inherited events included.
    Branch(Address),
}

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
    let mut announced: HashSet<Place> = HashSet::new();
    for query in queries(store, scope)? {
        for event in store.events(how(query))? {
            let event = event?;
            line.clear();
            if !matches!(scope, ExportScope::Branch(_)) {
                announce(store, format, event.place(), &mut announced, &mut line)?;
            }
            print(format, &event, &mut line).map_err(Error::from)?;
            out.write_all(&line)?;
            done += 1;
            progress(done);
        }
    }
    // Branches without own events have not come up yet.
    line.clear();
    for branch in forks(store, scope)? {
        announce(store, format, &branch.place, &mut announced, &mut line)?;
    }
    out.write_all(&line)?;
    Ok(done)
}

/// Writes where a branch begins, unless that was written before. Its ancestors come first; they need not have own
/// events.
fn announce(
    store: &Store,
    format: Format,
    place: &Place,
    announced: &mut HashSet<Place>,
    out: &mut Vec<u8>,
) -> Result<()> {
    let mut chain = Vec::new();
    let mut next = Some(place.clone());
    while let Some(place) = next.take().filter(|p| p.branch.as_str() != MAIN && announced.insert(p.clone())) {
        let branch = store.branch(Address::from(place))?;
        next = branch.parent.as_ref().map(|(p, _)| Place::new(branch.place.session.clone(), p.clone()));
        chain.push(branch);
    }
    for branch in chain.iter().rev() {
        print_fork(format, &forked(store, branch)?, out)?;
    }
    Ok(())
}

/// The files that imported events came from, each as of its last import, and the number of events that came from no
/// file. For a session, these are the files with events of it. `progress` is called with the number of events done.
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
    let (mut latest, mut known) = (BTreeMap::new(), HashSet::new());
    if !matches!(scope, ExportScope::Branch(_)) {
        for import in imports(store)? {
            if !matches!(scope, ExportScope::Session(session) if !import.is_of(session)) {
                known.extend(import.events(&view)?);
                latest.insert(import.path.clone(), import);
            }
        }
    }
    for query in queries(store, scope)? {
        // Files are restored as they came, without upcasting.
        for event in store.events(query.raw())? {
            let event = event?;
            if !known.contains(&event.id()) {
                files.add(&event);
            }
            done += 1;
            progress(done);
        }
    }
    let unsourced = files.unsourced();
    let mut out = files.finish();
    let names = source::distinct(latest.keys().map(String::as_str), out.iter().map(|f| f.name.clone()));
    for (import, name) in latest.values().zip(names) {
        out.push(put_together(store, import, name)?);
    }
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

fn queries(store: &Store, scope: &ExportScope) -> Result<Vec<Query>> {
    match scope {
        ExportScope::All => Ok(vec![Query::all()]),
        ExportScope::Branch(address) => Ok(vec![Query::branch(address)?]),
        ExportScope::Session(session) => {
            let own = |branch: BranchInfo| {
                let first = branch.parent.map_or(Sequence::ZERO, |(_, at)| at).next();
                Ok(Query::branch(Address::from(branch.place))?.from(first))
            };
            by_age(store.branches(session)?).into_iter().map(own).collect()
        }
    }
}

/// The forked branches of an export, parents before their children.
fn forks(store: &Store, scope: &ExportScope) -> Result<Vec<BranchInfo>> {
    let mut branches = Vec::new();
    match scope {
        ExportScope::Branch(_) => {}
        ExportScope::Session(session) => branches = store.branches(session)?,
        ExportScope::All => {
            let mut after = None;
            loop {
                let page = store.sessions(after.as_ref(), crate::limits::MAX_LISTING)?;
                let Some(last) = page.last() else { break };
                after = Some(last.session.clone());
                for session in page.iter().filter(|s| s.branches > 1) {
                    branches.extend(store.branches(&session.session)?);
                }
            }
        }
    }
    branches.retain(|b| b.parent.is_some());
    Ok(by_age(branches))
}

/// Oldest first, and children after their parents.
fn by_age(mut branches: Vec<BranchInfo>) -> Vec<BranchInfo> {
    branches.sort_by(|a, b| {
        (&a.place.session, a.created, a.parent.is_some()).cmp(&(
            &b.place.session,
            b.created,
            b.parent.is_some(),
        ))
    });
    let mut sorted: Vec<BranchInfo> = Vec::with_capacity(branches.len());
    let mut there: HashSet<Place> = HashSet::new();
    // If two branches were created in the same microsecond, the one whose parent is there goes first.
    while !branches.is_empty() {
        let ready = |b: &BranchInfo| match &b.parent {
            None => true,
            Some((parent, _)) => there.contains(&Place::new(b.place.session.clone(), parent.clone())),
        };
        let next = branches.iter().position(ready).unwrap_or(0);
        let branch = branches.remove(next);
        there.insert(branch.place.clone());
        sorted.push(branch);
    }
    sorted
}

fn forked(store: &Store, branch: &BranchInfo) -> Result<Forked> {
    let main = || crate::event::BranchName::main();
    let (parent, at) = branch.parent.clone().unwrap_or_else(|| (main(), Sequence::ZERO));
    let event = match at {
        Sequence::ZERO => None,
        _ => {
            let from = Address::new(branch.place.session.clone(), parent.clone());
            let page = store.read(&Query::branch(from.at(at))?.reverse().limit(1).raw())?;
            page.events.first().map(|e| e.id())
        }
    };
    Ok(Forked { place: branch.place.clone(), parent, at, event })
}
