//! One page of a listing.

use std::cmp::Ordering;

use super::mark::SessionMark;
use super::query::SessionQuery;
use super::sort::SessionSort;
use crate::agents::projections::{Board, Card};
use crate::error::{Error, Result};
use crate::event::{Invalid, SessionId};
use crate::limits::MAX_LISTING;
use crate::store::{SessionInfo, Store};

/// A session of a listing.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct ListedSession {
    /// What is known about it.
    pub card: Card,
    /// Its place, after which the listing goes on.
    pub mark: SessionMark,
}

/// A page of a listing.
#[derive(Clone, Debug, Default, PartialEq)]
#[non_exhaustive]
pub struct SessionPage {
    /// Its sessions. One that was deleted meanwhile is left out.
    pub sessions: Vec<ListedSession>,
    /// Where the next page begins, if there is one.
    pub next: Option<SessionMark>,
    /// How many sessions come after this page. By name the rest is not looked at: then it is how many are known of.
    pub left: usize,
    /// How many sessions were looked at.
    pub looked_at: usize,
}

/// A session that is wanted, with what was needed of it so far.
struct Found {
    info: SessionInfo,
    mark: SessionMark,
    card: Option<Card>,
}

impl Board {
    /// A page of the sessions that a predicate takes: nothing of the others is read, nor counted.
    ///
    /// Whatever happens while pages are read, a session whose rank stays as it is comes once. One that gets another rank meanwhile
    /// may come twice, or, when it has moved before the page, only once the listing begins anew.
    ///
    /// # Errors
    /// [`Error::NotFound`] if it goes on after the name of a session that is not there; [`Error::Invalid`] if it goes on after a
    /// place in another order; otherwise as [`card`](Self::card).
    pub fn list(
        &self,
        query: &SessionQuery,
        mut sessions: impl FnMut(&SessionId) -> bool,
    ) -> Result<SessionPage> {
        let store = self.store();
        let after = query.after.as_ref().map(|mark| self.place(query, mark, &mut sessions)).transpose()?;
        let limit = query.limit.unwrap_or(usize::MAX);
        let (mut found, mut left, mut looked_at) = (Vec::new(), 0, 0);
        let forward = query.is_forward_by_name();
        let mut last = after.as_ref().filter(|_| forward).map(|mark| mark.session().clone());
        'pages: loop {
            let page = store.sessions(last.as_ref(), MAX_LISTING)?;
            let Some(end) = page.last() else { break };
            last = Some(end.session.clone());
            for info in page.into_iter().filter(|info| sessions(&info.session)) {
                looked_at += 1;
                let Some(session) = self.wanted(query, info)? else { continue };
                let is_before = |mark: &SessionMark| query.compare(&session.mark, mark) != Ordering::Greater;
                if after.as_ref().is_some_and(is_before) {
                    continue;
                }
                found.push(session);
                if forward && found.len() > limit {
                    break 'pages;
                }
            }
            left += first(&mut found, query, limit);
        }
        left += first(&mut found, query, limit);
        let next = found.last().map(|last| last.mark.clone()).filter(|_| left > 0);
        let mut page = SessionPage { sessions: Vec::with_capacity(found.len()), next, left, looked_at };
        for Found { info, mark, card } in found {
            let card = card.map_or_else(|| there(self.card(&info)), |card| Ok(Some(card)))?;
            page.sessions.extend(card.map(|card| ListedSession { card, mark }));
        }
        Ok(page)
    }

    /// The place after which a page begins: as it was told, or that of a session that is named.
    fn place(
        &self,
        query: &SessionQuery,
        mark: &SessionMark,
        sessions: &mut dyn FnMut(&SessionId) -> bool,
    ) -> Result<SessionMark> {
        if mark.sort() == query.sort {
            return Ok(mark.clone());
        }
        if mark.sort() != SessionSort::Name {
            let reason = format!("is a place in the order `{}`, not `{}`", mark.sort(), query.sort);
            return Err(Invalid::new("after", reason).into());
        }
        let none = || Error::not_found("session", mark.session());
        if !sessions(mark.session()) {
            return Err(none());
        }
        // Whether it is wanted or not.
        let info = there(self.store().session(mark.session()))?.ok_or_else(none)?;
        let card = if query.ranks_by_card() { Some(self.card(&info)?) } else { None };
        let figures = if query.ranks_by_happening() {
            Some(there(or_nothing(self.figures(&info.session)))?.ok_or_else(none)?)
        } else {
            None
        };
        Ok(query.mark(&info, query.times(&info, figures.as_ref()), card.as_ref()))
    }

    /// The session with its place; `None` when it is not wanted, or was deleted meanwhile.
    fn wanted(&self, query: &SessionQuery, info: SessionInfo) -> Result<Option<Found>> {
        let mut figures = None;
        if query.needs_figures() {
            let Some(known) = there(or_nothing(self.figures(&info.session)))? else { return Ok(None) };
            if let Some(source) = &query.source
                && !known.has_source(self.store(), &info.session, source)?
            {
                return Ok(None);
            }
            figures = Some(known);
        }
        let times = query.times(&info, figures.as_ref());
        if query.since.is_some_and(|since| times.1 < Some(since)) {
            return Ok(None);
        }
        let mut card = None;
        if query.needs_card() {
            let Some(known) = there(self.card(&info))?.filter(|card| query.takes(card)) else {
                return Ok(None);
            };
            card = Some(known);
        }
        let mark = query.mark(&info, times, card.as_ref());
        Ok(Some(Found { info, mark, card }))
    }

    fn store(&self) -> &Store {
        &self.stats.store
    }
}

/// Leaves the first so many, and says how many went.
fn first(found: &mut Vec<Found>, query: &SessionQuery, count: usize) -> usize {
    found.sort_by(|a, b| query.compare(&a.mark, &b.mark));
    let went = found.len().saturating_sub(count);
    found.truncate(count);
    went
}

/// `None` for what was deleted meanwhile.
fn there<T>(found: Result<T>) -> Result<Option<T>> {
    match found {
        Err(Error::NotFound { .. } | Error::Deleted { .. }) => Ok(None),
        found => found.map(Some),
    }
}

/// Nothing for what is truncated, or cannot be folded: one session must not hide the others.
fn or_nothing<T: Default>(found: Result<T>) -> Result<T> {
    match found {
        Err(Error::Truncated { .. } | Error::Parked { .. }) => Ok(T::default()),
        found => found,
    }
}
