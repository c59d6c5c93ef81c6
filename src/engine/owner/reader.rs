//! Readers of a store whose engine may change under them: each read goes to the engine of the moment, and is made again on
//! the next one when that is lost.

use std::sync::Arc;

use super::seats::{Inside, Seats};
use crate::engine::get::{Get, Got};
use crate::engine::identity::Identity;
use crate::engine::port::EngineReader;
use crate::engine::process::Process;
use crate::error::{Error, Result};
use crate::event::{EventId, Position};
use crate::sync::{Mutex, lock};

/// A reader of the engine of one epoch. The owner takes it away before it hands over: it would keep the file locked.
#[derive(Debug, Default)]
pub(crate) struct Slot(Mutex<Option<(u64, Arc<dyn EngineReader>)>>);

impl Slot {
    pub(crate) fn take(&self) {
        // Dropped outside the lock: the last reader closes a file.
        let taken = lock(&self.0).take();
        drop(taken);
    }

    fn get(&self) -> Option<(u64, Arc<dyn EngineReader>)> {
        lock(&self.0).clone()
    }

    fn forget(&self, epoch: u64) {
        let taken = lock(&self.0).take_if(|(of, _)| *of == epoch);
        drop(taken);
    }
}

#[derive(Debug)]
pub(crate) struct SharingReader {
    pub(crate) process: Process,
    pub(crate) identity: Arc<Identity>,
    pub(crate) seats: Arc<Seats>,
    pub(crate) slot: Arc<Slot>,
}

impl SharingReader {
    /// Takes a reader of the engine of the moment, so that it can be read beyond the end of the store. Does not wait for an
    /// engine: the first read does.
    pub(crate) fn begin(&self) -> Result<()> {
        let inside = match self.seats.enter(None) {
            Ok(Some(inside)) => inside,
            Err(e @ Error::Closed { .. }) => return Err(e),
            Ok(None) | Err(_) => return Ok(()),
        };
        match inside.seated.engine.reader() {
            Ok(reader) => self.keep(&inside, &reader),
            Err(e) if self.is_of_the_past(inside.seated.epoch, &e) => {}
            Err(e) => return Err(e),
        }
        Ok(())
    }

    /// The reader to ask; from another engine than that of the epoch `past`.
    fn current(&self, mut past: Option<u64>) -> Result<(u64, Arc<dyn EngineReader>)> {
        loop {
            if let Some(found) = self.slot.get().filter(|(epoch, _)| past != Some(*epoch)) {
                return Ok(found);
            }
            let inside = self.seats.wait(past)?;
            let epoch = inside.seated.epoch;
            match inside.seated.engine.reader() {
                Ok(reader) => {
                    self.keep(&inside, &reader);
                    return Ok((epoch, reader));
                }
                Err(e) if self.is_of_the_past(epoch, &e) => past = Some(epoch),
                Err(e) => return Err(e),
            }
        }
    }

    /// Keeps a reader for the next read, but not one of an engine that was left meanwhile: nobody would take it away.
    fn keep(&self, inside: &Inside<'_>, reader: &Arc<dyn EngineReader>) {
        *lock(&self.slot.0) = Some((inside.seated.epoch, reader.clone()));
        if inside.is_over() {
            self.slot.forget(inside.seated.epoch);
        }
    }

    /// Whether an error says no more than that the engine of this epoch is gone.
    fn is_of_the_past(&self, epoch: u64, error: &Error) -> bool {
        match error {
            Error::OwnerLost { .. } => true,
            // What the storage could not do as it failed, the next one can.
            Error::Closed { .. } | Error::Storage { .. } => {
                !self.seats.is_closed() && self.seats.now().is_none_or(|seated| seated.epoch != epoch)
            }
            _ => false,
        }
    }
}

impl EngineReader for SharingReader {
    fn identity(&self) -> &Identity {
        &self.identity
    }

    fn process(&self) -> &Process {
        &self.process
    }

    fn opening(&self) -> Option<EventId> {
        self.process.is_this().then(|| self.seats.now()).flatten().map(|seated| seated.engine.opening())
    }

    fn committed(&self) -> Position {
        if !self.process.is_this() {
            return Position::ZERO;
        }
        match self.seats.now() {
            Some(seated) => seated.engine.committed(),
            // It can be read though the store is closed.
            None => {
                let own = self.slot.get().map_or(Position::ZERO, |(_, reader)| reader.committed());
                own.max(self.seats.committed())
            }
        }
    }

    fn read(&self, get: &Get<'_>) -> Result<Got> {
        self.process.check()?;
        self.seats.read();
        let mut past = None;
        loop {
            let (epoch, reader) = self.current(past)?;
            match reader.read(get) {
                Err(e) if self.is_of_the_past(epoch, &e) => {
                    self.slot.forget(epoch);
                    past = Some(epoch);
                }
                answer => return answer,
            }
        }
    }

    fn peek(&self, get: &Get<'_>) -> Result<Option<Got>> {
        self.process.check()?;
        let Some((_, reader)) = self.slot.get() else { return Ok(None) };
        match reader.peek(get) {
            Err(Error::OwnerLost { .. } | Error::Closed { .. }) => Ok(None),
            answer => answer,
        }
    }
}
