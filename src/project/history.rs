//! The history of a state: the state after each event that changed it.

use std::collections::VecDeque;
use std::fmt;
use std::sync::Arc;

use super::apply::Fold;
use super::fold::AnyState;
use super::read::{Source, Stop};
use super::session_key::session_of;
use super::view::{Projected, Reading, Shown, Target};
use crate::error::{Error, Result};
use crate::event::{Address, Event, Position, SessionId};
use crate::limits::DEFAULT_PAGE;
use crate::store::{Process, Range, Reader};

/// An event and the state after it.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct Change<S> {
    /// The event.
    pub event: Event,
    /// The state after it.
    pub state: S,
}

/// An iterator over changes that reads page by page. Ends after the first error.
#[must_use]
pub struct History<S> {
    reader: Reader,
    fold: Arc<Fold>,
    shown: Shown<S>,
    target: Target,
    /// The last sequence or position that was folded; `None` after an error.
    at: Option<u64>,
    state: AnyState,
    json: Vec<u8>,
    found: VecDeque<Change<S>>,
    failed: Option<Error>,
}

impl<S> fmt::Debug for History<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("History").field("of", &self.fold).field("at", &self.at).finish_non_exhaustive()
    }
}

impl<S> Projected<S> {
    /// The state after each event that changed it, from the first event to the address, in bounded memory.
    ///
    /// # Errors
    /// As [`state`](Self::state). An event that cannot be applied is the last item.
    pub fn history<A>(&self, address: A) -> Result<History<S>>
    where
        A: TryInto<Address>,
        Error: From<A::Error>,
    {
        let reader = self.store.reader()?;
        let target = self.target(&Source::new(&reader, &self.fold)?, &address.try_into()?)?;
        Ok(self.history_to(reader, target))
    }

    /// [`history`](Self::history) of a key.
    ///
    /// # Errors
    /// As [`state_of`](Self::state_of).
    pub fn history_of(&self, key: &str) -> Result<History<S>> {
        let reader = self.store.reader()?;
        let target = self.key_target(&Source::new(&reader, &self.fold)?, key)?;
        Ok(self.history_to(reader, target))
    }

    fn history_to(&self, reader: Reader, target: Target) -> History<S> {
        let state = self.fold.fresh();
        let json = self.fold.encode(&state).unwrap_or_default();
        let (fold, shown) = (self.fold.clone(), self.shown);
        History {
            reader,
            fold,
            shown,
            target,
            at: Some(0),
            state,
            json,
            found: VecDeque::new(),
            failed: None,
        }
    }
}

impl<S> History<S> {
    pub(super) fn process(&self) -> &Process {
        self.reader.process()
    }

    /// The next events of the target, and where the page ends; `None` at the end.
    fn page(&self, at: u64) -> Result<Option<(Vec<Event>, u64)>> {
        let (page, to) = match &self.target {
            Target::Branch(_, to) | Target::Text(_, to) if at >= *to => return Ok(None),
            Target::Branch(branch, to) => {
                let range = Range { from: at + 1, to: *to, limit: DEFAULT_PAGE, reverse: false };
                let page = self.reader.page(branch, range)?;
                let last = page.last().map(|e| e.sequence().get());
                (page, last)
            }
            Target::Text(text, to) if self.fold.scope == super::fold::Scope::Session => {
                let (after, to) = (Position::new(at), Position::new(*to));
                let session = SessionId::new(session_of(text))?;
                let page = self.reader.page_session(&session, after, to, DEFAULT_PAGE)?;
                let page: Vec<Event> = page.into_iter().filter(|e| e.position() <= to).collect();
                let last = page.last().map(|e| e.position().get());
                (page, last)
            }
            Target::Text(text, to) => {
                let range = Range { from: at + 1, to: *to, limit: DEFAULT_PAGE, reverse: false };
                let mut page = self.reader.page_all(range)?;
                let last = page.last().map(|e| e.position().get());
                page.retain(|e| self.fold.text_key(e).as_deref() == Some(text));
                (page, last)
            }
        };
        Ok(to.map(|to| (page, to)))
    }

    fn fold_page(&mut self, events: Vec<Event>) -> Result<()> {
        for event in events {
            match self.fold.step(&mut self.state, &event) {
                Ok(true) => {}
                Ok(false) => continue,
                Err(reason) => return Err(Stop::failed(&event, reason).told(&self.fold)),
            }
            let json = self.fold.encode(&self.state).map_err(|r| Stop::failed(&event, r).told(&self.fold))?;
            if json != self.json {
                let state = (self.shown)(&self.fold, self.fold.copy(&self.state))?;
                self.found.push_back(Change { event, state });
                self.json = json;
            }
        }
        Ok(())
    }
}

impl<S> Iterator for History<S> {
    type Item = Result<Change<S>>;

    fn next(&mut self) -> Option<Self::Item> {
        loop {
            if let Some(change) = self.found.pop_front() {
                return Some(Ok(change));
            }
            if let Some(error) = self.failed.take() {
                return Some(Err(error));
            }
            let at = self.at.take()?;
            let folded = match self.page(at) {
                Ok(None) => return None,
                Ok(Some((events, to))) => self.fold_page(events).map(|()| to),
                Err(e) => Err(e),
            };
            match folded {
                Ok(to) => self.at = Some(to),
                // What was changed before the error comes first.
                Err(e) => self.failed = Some(e),
            }
        }
    }
}

impl<S> Projected<S> {
    /// The last good state: the state before an event that cannot be applied, or the state of the address itself if
    /// there is none.
    ///
    /// # Errors
    /// As [`state`](Self::state), [`Error::Parked`] excepted.
    pub fn last_good<A>(&self, address: A) -> Result<Reading<S>>
    where
        A: TryInto<Address>,
        Error: From<A::Error>,
    {
        let reader = self.store.reader()?;
        let source = Source::new(&reader, &self.fold)?;
        let target = self.target(&source, &address.try_into()?)?;
        let reading = self.good(&source, &target)?;
        self.show(reading)
    }
}
