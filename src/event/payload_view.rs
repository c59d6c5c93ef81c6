//! A payload that is looked into by several tests, and read once.

use std::cell::OnceCell;

use serde_json::value::RawValue;

use super::pointer::Pointer;
use super::raw_json::Level;
use super::record::Record;

#[cfg(test)]
thread_local! {
    /// Payloads that were read on this thread.
    pub(crate) static PAYLOADS_READ: std::cell::Cell<usize> = const { std::cell::Cell::new(0) };
}

/// The payload of a record, for everybody who tests it. It is read when the first one does.
#[derive(Debug)]
pub(crate) struct PayloadView<'r> {
    record: &'r Record,
    read: OnceCell<Option<(&'r RawValue, Level<'r>)>>,
}

impl<'r> PayloadView<'r> {
    pub(crate) fn of(record: &'r Record) -> Self {
        Self { record, read: OnceCell::new() }
    }

    pub(crate) fn record(&self) -> &'r Record {
        self.record
    }

    fn read(&self) -> Option<&(&'r RawValue, Level<'r>)> {
        let read = || {
            if !self.record.is_json() {
                return None;
            }
            #[cfg(test)]
            PAYLOADS_READ.set(PAYLOADS_READ.get() + 1);
            let text = std::str::from_utf8(self.record.payload()).ok()?;
            let whole = serde_json::from_str(text).ok()?;
            Some((whole, Level::of(whole)))
        };
        self.read.get_or_init(read).as_ref()
    }

    /// What is at this place; with `*`, everything that is. Nothing for what is not JSON.
    pub(super) fn find(&self, at: &Pointer) -> Vec<&'r RawValue> {
        self.read().map(|(whole, top)| found(whole, top, at)).unwrap_or_default()
    }
}

/// What is at a place of a value, whose first level is `top`.
pub(super) fn found<'v>(whole: &'v RawValue, top: &Level<'v>, at: &Pointer) -> Vec<&'v RawValue> {
    let mut parts = at.parts();
    let step = |level: &Level<'v>, part: Option<&str>| match part {
        Some(name) => level.get(name).into_iter().collect(),
        None => level.all(),
    };
    let mut found = match parts.next() {
        Some(first) => step(top, first),
        None => vec![whole],
    };
    for part in parts {
        found = found.into_iter().flat_map(|value| step(&Level::of(value), part)).collect();
    }
    found
}
