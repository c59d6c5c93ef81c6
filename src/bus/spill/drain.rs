//! Draining the spill into the store: in order, and exactly once by event id.

use std::collections::HashSet;
use std::io::{self, BufRead, BufReader, Read};

use super::aside::Aside;
use super::rest::Rest;
use super::space::left_for;
use crate::bus::line;
use crate::error::{Error, Result};
use crate::event::{Expect, NewEvent, Place};
use crate::limits::{SPILL_GROUP, SPILL_GROUP_BYTES, SPILL_SPARE_BYTES};
use crate::store::{Batch, Durability, StoreHandle};
use tracing::warn;

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
    /// Events that stay in the spill, because their branch is damaged.
    pub held: u64,
}

/// Reads lines to the end of the file, and appends their events.
pub(super) struct Drain<'a> {
    handle: &'a StoreHandle,
    aside: &'a mut Aside,
    rest: &'a mut Rest,
    group: Vec<DrainedLine>,
    bytes: usize,
    /// The store could not be written.
    pub(super) at_the_store: bool,
    pub(super) done: Drained,
    /// Branches to which nothing can be appended: their lines stay, in order.
    pub(super) damaged: HashSet<Place>,
}

struct DrainedLine {
    number: u64,
    line: Vec<u8>,
    place: Place,
    event: NewEvent,
}

impl<'a> Drain<'a> {
    pub(super) fn new(handle: &'a StoreHandle, aside: &'a mut Aside, rest: &'a mut Rest) -> Self {
        Self {
            handle,
            aside,
            rest,
            group: Vec::new(),
            bytes: 0,
            at_the_store: false,
            done: Drained::default(),
            damaged: HashSet::new(),
        }
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
            // Those of its branch that came before are held: the group in which one failed was gone through.
            Ok((place, event)) if self.damaged.contains(&place) => {
                self.hold(&DrainedLine { number, line, place, event })?;
            }
            Ok((place, event)) => {
                self.bytes += line.len();
                self.group.push(DrainedLine { number, line, place, event });
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
            // One by one, to find those already recorded and the one that is refused, or whose branch is damaged.
            Err(e) if e.is_refusal() || e.is_damage() => group.into_iter().try_for_each(|one| self.one(one)),
            appended => appended,
        }
    }

    fn one(&mut self, one: DrainedLine) -> Result<()> {
        if self.damaged.contains(&one.place) {
            return self.hold(&one);
        }
        match self.append(std::slice::from_ref(&one)) {
            Err(e) if e.is_refusal() => self.aside.keep(one.number, &one.line, &e.to_string()),
            Err(error) if error.is_damage() => {
                warn!(place = %one.place, %error, "a branch is damaged: what the spill has for it stays there");
                self.damaged.insert(one.place.clone());
                self.hold(&one)
            }
            appended => appended,
        }
    }

    /// The event waits for its branch, and no other does.
    fn hold(&mut self, one: &DrainedLine) -> Result<()> {
        self.done.held += 1;
        self.rest.keep(&one.line)
    }

    /// A store that fills its disk takes nothing more until it is opened again, so one stops before.
    fn has_room(&mut self, group: &[DrainedLine]) -> Result<()> {
        let bytes: usize = group.iter().map(|one| one.line.len()).sum();
        let needed = SPILL_SPARE_BYTES + 4 * bytes as u64;
        let left = self.handle.path().and_then(left_for).filter(|left| *left < needed);
        left.map_or(Ok(()), |left| {
            self.at_the_store = true;
            let name = self.handle.name();
            let reason =
                format!("the disk of {name} has {left} bytes left: what is in the spill waits for {needed}");
            Err(Error::storage(reason))
        })
    }

    /// The branch that these events are for: an append would begin a session anew that was deleted while they waited here.
    fn meant(&self, place: &Place) -> Result<Option<u64>> {
        match self.handle.reader()?.last_named(place) {
            Ok(Some(branch)) => branch.is_there().map(|()| Some(branch.number)),
            Ok(None) => Ok(None),
            // The append finds the damage, and says so.
            Err(e) if e.is_damage() => Ok(None),
            Err(e) => Err(e),
        }
    }

    fn batch(&self, group: &[DrainedLine]) -> Result<Batch> {
        // The spill is removed when they are recorded, so a store that is relaxed by default has to sync here.
        let mut batch = Batch::new().durability(Durability::Durable);
        for one in group.chunk_by(|a, b| a.place == b.place) {
            let Some(first) = one.first() else { continue };
            let events: Vec<NewEvent> = one.iter().map(|w| w.event.clone()).collect();
            batch =
                batch.add(first.place.clone(), Expect::Any, events)?.only_number(self.meant(&first.place)?);
        }
        Ok(batch)
    }

    fn append(&mut self, group: &[DrainedLine]) -> Result<()> {
        self.has_room(group)?;
        let appended = self.batch(group).and_then(|batch| self.handle.append(batch));
        self.at_the_store |= appended.as_ref().is_err_and(|e| !e.is_refusal() && !e.is_damage());
        let known = appended?.duplicate();
        *(if known { &mut self.done.known } else { &mut self.done.recorded }) += group.len() as u64;
        Ok(())
    }
}
