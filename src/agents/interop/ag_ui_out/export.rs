//! Exports a branch as an event stream of AG-UI.

use std::io::Write;

use super::AgUi;
use crate::agents::interop::export::ExportError;
use crate::event::{Address, Filter};
use crate::store::{Query, Store};

/// Writes the events of a branch as events of AG-UI, one per line, and returns how many events of the branch that were.
/// `progress` is called with the number done so far.
///
/// # Errors
/// [`ExportError::Store`] for errors of reading; [`ExportError::Output`] when writing fails.
pub fn export_ag_ui(
    store: &Store,
    branch: &Address,
    filter: &Filter,
    out: &mut dyn Write,
    progress: &mut dyn FnMut(u64),
) -> Result<u64, ExportError> {
    let mut stream = AgUi::new(branch.place(), store.catalogue().clone());
    let mut done = 0;
    for event in store.events(Query::branch(branch)?.filter(filter.clone()))? {
        write(&stream.push(&event?), out)?;
        done += 1;
        progress(done);
    }
    write(&stream.finish(), out)?;
    Ok(done)
}

fn write(lines: &[String], out: &mut dyn Write) -> std::io::Result<()> {
    lines.iter().try_for_each(|line| writeln!(out, "{line}"))
}
