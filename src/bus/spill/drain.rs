//! Draining the spill into the store: in order, and exactly once by event id.

use std::io::{self, BufRead, BufReader, Read};

use super::aside::Aside;
use crate::bus::line;
use crate::error::{Error, Result};
use crate::event::{Expect, NewEvent, Place};
use crate::limits::{SPILL_GROUP, SPILL_GROUP_BYTES};
use crate::store::{Batch, Durability, StoreHandle};

/// The result of draining a spill.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Drained {
    /// Events that were recorded.
    pub recorded: u64,
    /// Events that were already recorded: their commit had an unknown outcome, or an earlier drain was interrupted.
    pub known: u64,
    /// Lines that are not an event, or that the store refused: moved to the file `….refused`, with the reasons.
    pub set_aside: u64,
}

/// Reads lines to the end of the file, and appends their events.
pub(super) struct Drain<'a> {
    handle: &'a StoreHandle,
    aside: &'a mut Aside,
    group: Vec<Waiting>,
    bytes: usize,
    /// The store could not be written.
    pub(super) at_the_store: bool,
    pub(super) done: Drained,
}

struct Waiting {
    number: u64,
    line: Vec<u8>,
    place: Place,
    event: NewEvent,
}

impl<'a> Drain<'a> {
    pub(super) fn new(handle: &'a StoreHandle, aside: &'a mut Aside) -> Self {
        Self { handle, aside, group: Vec::new(), bytes: 0, at_the_store: false, done: Drained::default() }
    }

    /// Drains everything. `longest` is the maximum length of a line.
    pub(super) fn take(
        &mut self,
        file: impl Read,
        longest: u64,
        failed: impl Fn(io::Error) -> Error,
    ) -> Result<()> {
        let mut lines = BufReader::with_capacity(64 * 1_024, file);
        for number in 1.. {
            let mut line = Vec::new();
            (&mut lines).take(longest + 1).read_until(b'\n', &mut line).map_err(&failed)?;
            if line.is_empty() {
                break;
            }
            let is_whole = line.pop_if(|last| *last == b'\n').is_some();
            if !is_whole && line.len() as u64 > longest {
                return Err(failed(io::Error::other(format!(
                    "line {number} has more than {longest} bytes, more than any event; move the file away"
                ))));
            }
            self.line(number, line, is_whole)?;
        }
        self.flush()
    }

    fn line(&mut self, number: u64, line: Vec<u8>, is_whole: bool) -> Result<()> {
        if line.trim_ascii().is_empty() {
            return Ok(());
        }
        match line::parse(&line) {
            Ok((place, event)) => {
                self.bytes += line.len();
                self.group.push(Waiting { number, line, place, event });
            }
            Err(_) if !is_whole => {
                self.flush()?;
                let reason = "it ends early: it was being written when its writer was stopped";
                self.aside.keep(number, &line, reason)?;
            }
            Err(e) => {
                // Those before it first, so that moved lines keep their order too.
                self.flush()?;
                self.aside.keep(number, &line, &e.to_string())?;
            }
        }
        match self.group.len() >= SPILL_GROUP || self.bytes >= SPILL_GROUP_BYTES {
            true => self.flush(),
            false => Ok(()),
        }
    }

    fn flush(&mut self) -> Result<()> {
        let group = std::mem::take(&mut self.group);
        self.bytes = 0;
        if group.is_empty() {
            return Ok(());
        }
        match self.append(&group) {
            // One by one, to find those already recorded and the one that is refused.
            Err(e) if e.is_refusal() => group.into_iter().try_for_each(|one| self.one(one)),
            appended => appended,
        }
    }

    fn one(&mut self, one: Waiting) -> Result<()> {
        match self.append(std::slice::from_ref(&one)) {
            Err(e) if e.is_refusal() => self.aside.keep(one.number, &one.line, &e.to_string()),
            appended => appended,
        }
    }

    fn append(&mut self, group: &[Waiting]) -> Result<()> {
        // The spill is removed when they are recorded, so a store that is relaxed by default has to sync here.
        let mut batch = Batch::new().durability(Durability::Durable);
        for one in group.chunk_by(|a, b| a.place == b.place) {
            let Some(first) = one.first() else { continue };
            let events: Vec<NewEvent> = one.iter().map(|w| w.event.clone()).collect();
            batch = batch.add(first.place.clone(), Expect::Any, events)?;
        }
        let appended = self.handle.append(batch);
        self.at_the_store |= appended.as_ref().is_err_and(|e| !e.is_refusal());
        let known = appended?.duplicate();
        *(if known { &mut self.done.known } else { &mut self.done.recorded }) += group.len() as u64;
        Ok(())
    }
}
