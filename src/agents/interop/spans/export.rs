//! Exports a branch as spans.

use std::io::Write;

use super::Spans;
use crate::agents::interop::export::ExportError;
use crate::event::Address;
use crate::limits::SPAN_GROUP;
use crate::store::{Query, Store};

/// Writes the spans of a branch as OTLP in JSON: requests of a bounded number of spans, one per line. Returns how many events
/// of the branch there were; `progress` is called with the number done so far.
///
/// # Errors
/// [`ExportError::Store`] for errors of reading; [`ExportError::Output`] when writing fails.
pub fn export_otlp(
    store: &Store,
    branch: &Address,
    with_content: bool,
    out: &mut dyn Write,
    progress: &mut dyn FnMut(u64),
) -> Result<u64, ExportError> {
    let spans = Spans::new(branch.place(), store.catalogue().clone());
    let mut spans = if with_content { spans.with_content() } else { spans };
    let mut done = 0;
    for event in store.events(Query::branch(branch)?)? {
        spans.push(&event?);
        if let Some(request) = spans.take_request(SPAN_GROUP) {
            writeln!(out, "{request}")?;
        }
        done += 1;
        progress(done);
    }
    spans.finish();
    if let Some(request) = spans.take_request(1) {
        writeln!(out, "{request}")?;
    }
    Ok(done)
}
