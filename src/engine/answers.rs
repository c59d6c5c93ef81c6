//! One typed method for each question.

use std::sync::Arc;

use super::branch::Branch;
use super::get::{End, Get, Got, NamesFound, Range};
use super::pieces::Pieces;
use super::port::EngineReader;
use super::sidecar::{SidecarRange, SidecarRecord, SidecarTable};
use crate::error::{Error, Result};
use crate::event::{Event, EventId, MAIN, Place, Position, Sequence, SessionId};

/// Unwraps the kind of answer that a question has.
macro_rules! answer {
    ($got:expr, $kind:ident) => {
        match $got {
            Got::$kind(answer) => Ok(answer),
            other => Err(Error::storage(format!(
                concat!("a question for ", stringify!($kind), " was answered with {:?}"),
                other
            ))),
        }
    };
}

impl dyn EngineReader {
    /// The branch with these names.
    ///
    /// # Errors
    /// [`Error::Deleted`] for one that was deleted.
    pub(crate) fn branch(&self, place: &Place) -> Result<Arc<Branch>> {
        let named = self.last_named(place)?.ok_or_else(|| match place.branch.as_str() == MAIN {
            true => self.identity().not_found("session", &place.session),
            false => self.identity().not_found("branch", place),
        })?;
        named.is_there().map(|()| named)
    }

    /// The branch with these names, unless it is deleted.
    pub(crate) fn find(&self, place: &Place) -> Result<Option<Arc<Branch>>> {
        Ok(self.last_named(place)?.filter(|branch| branch.deleted().is_none()))
    }

    /// The branch that had these names last.
    pub(crate) fn last_named(&self, place: &Place) -> Result<Option<Arc<Branch>>> {
        answer!(self.read(&Get::Branch(place))?, Branch)
    }

    /// The branch that had these names last, if it is in memory.
    pub(crate) fn last_named_in_memory(&self, place: &Place) -> Result<Option<Arc<Branch>>> {
        match self.peek(&Get::Branch(place))? {
            Some(got) => answer!(got, Branch),
            None => Ok(None),
        }
    }

    pub(crate) fn end(&self, branch: &Branch) -> Result<End> {
        answer!(self.read(&Get::End(branch))?, End)
    }

    /// The last sequence of a branch, including inherited ones; zero when it is empty.
    pub(crate) fn head(&self, branch: &Branch) -> Result<Sequence> {
        self.end(branch).map(|end| Sequence::new(end.head))
    }

    /// Where a branch ends, if that is in memory.
    pub(crate) fn end_in_memory(&self, branch: &Branch) -> Result<Option<End>> {
        match self.peek(&Get::End(branch))? {
            Some(got) => answer!(got, End).map(Some),
            None => Ok(None),
        }
    }

    /// The event with this sequence of a branch, or else at this position, if it is in memory.
    pub(crate) fn event_in_memory(&self, branch: Option<&Branch>, number: u64) -> Result<Option<Event>> {
        let range = Range { from: number, to: number, limit: 1, reverse: false };
        let get = match branch {
            Some(branch) => Get::Events { branch, range },
            None => Get::All(range),
        };
        match self.peek(&get)? {
            Some(got) => Ok(answer!(got, Events)?.into_iter().next()),
            None => Ok(None),
        }
    }

    /// The branches of a session by name, each with its end; none when there is no such session.
    pub(crate) fn ends_of(&self, session: &SessionId) -> Result<Vec<(Arc<Branch>, End)>> {
        answer!(self.read(&Get::BranchesOf(session))?, Branches)
    }

    /// The same without the ends.
    pub(crate) fn branches_of(&self, session: &SessionId) -> Result<Vec<Arc<Branch>>> {
        Ok(self.ends_of(session)?.into_iter().map(|(branch, _)| branch).collect())
    }

    /// All branches of up to `limit` sessions after this one, by name.
    pub(crate) fn branches_after(
        &self,
        after: Option<&SessionId>,
        limit: usize,
    ) -> Result<Vec<(Arc<Branch>, End)>> {
        answer!(self.read(&Get::Branches { after, limit })?, Branches)
    }

    /// Up to `limit` names of sessions after this one.
    pub(crate) fn session_names(&self, after: Option<&SessionId>, limit: usize) -> Result<Vec<SessionId>> {
        answer!(self.read(&Get::Sessions { after, limit })?, Sessions)
    }

    /// Up to `limit` names of sessions, or of the branches of one, after this name, out of so many rows.
    pub(crate) fn some_names(
        &self,
        of: Option<&SessionId>,
        after: Option<&str>,
        limit: usize,
        rows: usize,
    ) -> Result<NamesFound> {
        answer!(self.read(&Get::Names { of, after, limit, rows })?, Names)
    }

    /// A page of a branch's history.
    pub(crate) fn page(&self, branch: &Branch, range: Range) -> Result<Vec<Event>> {
        answer!(self.read(&Get::Events { branch, range })?, Events)
    }

    /// The next pieces of a branch's history.
    pub(crate) fn pieces(&self, branch: &Branch, from: u64, to: u64) -> Result<Pieces> {
        answer!(self.read(&Get::Pieces { branch, from, to })?, Pieces)
    }

    /// A page of the global order, dense in positions.
    pub(crate) fn page_all(&self, range: Range) -> Result<Vec<Event>> {
        answer!(self.read(&Get::All(range))?, Events)
    }

    /// A page of all branches of one session, in global order: positions after `after` and up to `to`, of what is
    /// committed. Nothing that is committed later can then come before what the page holds.
    pub(crate) fn page_session(
        &self,
        session: &SessionId,
        after: Position,
        to: Position,
        limit: usize,
    ) -> Result<Vec<Event>> {
        self.of_session(session, Range { from: after.get() + 1, to: to.get(), limit, reverse: false })
    }

    /// The same in either direction.
    pub(crate) fn of_session(&self, session: &SessionId, range: Range) -> Result<Vec<Event>> {
        answer!(self.read(&Get::OfSession { session, range })?, Events)
    }

    /// The event with this id.
    pub(crate) fn by_id(&self, id: EventId) -> Result<Event> {
        let found = answer!(self.read(&Get::Event(id))?, Event)?;
        found.ok_or_else(|| self.identity().not_found("event", id))
    }

    /// Up to `limit` ids of events from one id to another, in their order.
    pub(crate) fn ids_between(&self, from: EventId, to: EventId, limit: usize) -> Result<Vec<EventId>> {
        answer!(self.read(&Get::Ids { from, to, limit })?, Ids)
    }

    /// The branch and sequence of an event, even if the event itself cannot be read.
    pub(crate) fn whose(&self, position: Position) -> Result<(Arc<Branch>, u64)> {
        let found = answer!(self.read(&Get::Whose(position))?, Whose)?;
        found.ok_or_else(|| Error::not_found("position", position))
    }

    pub(crate) fn record(&self, table: SidecarTable, key: &[u8]) -> Result<Option<Vec<u8>>> {
        answer!(self.read(&Get::Record { table, key })?, Record)
    }

    /// Several records of a table, in the order of these keys.
    pub(crate) fn each_record(&self, table: SidecarTable, keys: &[&[u8]]) -> Result<Vec<Option<Vec<u8>>>> {
        answer!(self.read(&Get::EachRecord { table, keys })?, EachRecord)
    }

    /// Records in the order of their keys, or in reverse.
    pub(crate) fn rows(&self, table: SidecarTable, range: &SidecarRange<'_>) -> Result<Vec<SidecarRecord>> {
        answer!(self.read(&Get::Records { table, range: range.clone() })?, Records)
    }
}
