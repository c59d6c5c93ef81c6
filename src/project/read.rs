//! Reading a state: the nearest earlier snapshot, in this branch or an ancestor, and the fold of what follows.
//! Snapshots only save time: the result never depends on how far the runner is.

use std::sync::Arc;

use super::apply::Fold;
use super::fold::{AnyState, Scope};
use super::generations::Generations;
use super::keys::{self, Built, Key, ParkedRow};
use super::session_key::{is_anew, session_of};
use crate::error::{Error, Result};
use crate::event::{Event, Position, SessionId};
use crate::limits::SNAPSHOT_SPACING;
use crate::store::{Branch, Range, Reader, Records, SidecarRange, SidecarTable};

/// Events that are read at once while folding: what lies between two snapshots.
const PAGE: usize = SNAPSHOT_SPACING as usize * 2;

/// A state, the sequence or position up to which it is folded, and how many events that took.
pub(super) struct Found {
    pub(super) state: AnyState,
    pub(super) at: u64,
    pub(super) folded: u64,
    /// The snapshot from which it was folded.
    pub(super) snapshot: Option<Snapshot>,
}

/// A stored state.
#[derive(Clone, Copy)]
pub(super) struct Snapshot {
    pub(super) at: u64,
    pub(super) bytes: usize,
    /// Whether it is the branch's own, not one of an ancestor. That of a session or a key always is.
    pub(super) is_own: bool,
}

impl Found {
    /// The sequence of the snapshot, if it is the branch's own.
    pub(super) fn own(&self) -> Option<u64> {
        self.snapshot.filter(|s| s.is_own).map(|s| s.at)
    }
}

/// Why there is no state.
#[derive(Debug)]
pub(super) enum Stop {
    Error(Error),
    /// An event could not be applied.
    Failed(Box<Event>, String),
    /// The runner found that out before.
    Parked(Box<ParkedRow>),
}

impl From<Error> for Stop {
    fn from(e: Error) -> Self {
        Self::Error(e)
    }
}

impl Stop {
    pub(super) fn failed(event: &Event, reason: String) -> Self {
        Self::Failed(Box::new(event.clone()), reason)
    }

    pub(super) fn told(self, fold: &Fold) -> Error {
        let parked = |at, reason| Error::Parked { projection: fold.name.clone(), at, reason };
        match self {
            Self::Error(e) => e,
            Self::Failed(event, reason) => parked(event.address(), reason),
            Self::Parked(row) => match row.at.parse() {
                Ok(at) => parked(at, row.reason),
                Err(e) => Error::corrupt(format!("a parked event of {}", fold.name), format!("{e}")),
            },
        }
    }
}

/// A page of at the most so many events. Where one of them cannot be read, a page that ends before it: so everything
/// up to it is seen. The error is told of a page of one.
pub(super) fn up_to_damage(
    most: &mut usize,
    mut page: impl FnMut(usize) -> Result<Vec<Event>>,
) -> Result<Vec<Event>> {
    loop {
        match page(*most) {
            Err(e) if e.is_damage() && *most > 1 => *most = most.div_ceil(2),
            read => return read,
        }
    }
}

/// The store, seen through one projection.
pub(super) struct Source<'a> {
    pub(super) reader: &'a Reader,
    pub(super) records: Records,
    pub(super) fold: &'a Fold,
    /// The generation that this code made, if there is one.
    pub(super) built: Option<Built>,
}

impl<'a> Source<'a> {
    /// What this code has made so far: a generation of other code is not read, so that no answer is wrong.
    pub(super) fn new(reader: &'a Reader, fold: &'a Fold) -> Result<Self> {
        let records = reader.records();
        let (current, next) = Generations::read(&records, &fold.name)?.built();
        let built = current.into_iter().chain(next).find(|b| fold.made(b));
        Ok(Self { reader, records, fold, built })
    }

    /// The same of one generation, whoever made it.
    pub(super) fn of(reader: &'a Reader, fold: &'a Fold, built: Built) -> Result<Self> {
        Ok(Self { reader, records: reader.records(), fold, built: Some(built) })
    }

    /// Whether the generation is still one of the projection's: then nothing of it was swept so far.
    pub(super) fn is_there(&self) -> Result<bool> {
        let Some(built) = &self.built else { return Ok(true) };
        let (current, next) = Generations::read(&self.records, &self.fold.name)?.built();
        // A number is given again after a rebuild that was cancelled: that one is behind what this one had read.
        let is_it = |b: Built| b.generation == built.generation && b.position >= built.position;
        Ok(current.into_iter().chain(next).any(is_it))
    }

    /// The state of a branch after the event with this sequence.
    pub(super) fn branch(&self, branch: &Branch, to: u64) -> Result<Found, Stop> {
        let mut found = self.nearest(branch, to)?;
        self.fold_on(branch, &mut found, to, |_, _| Ok(()))?;
        Ok(found)
    }

    /// Goes on with a state of a branch, telling of it after each event.
    pub(super) fn fold_on(
        &self,
        branch: &Branch,
        found: &mut Found,
        to: u64,
        mut tell: impl FnMut(&Event, &AnyState) -> Result<()>,
    ) -> Result<(), Stop> {
        while found.at < to {
            let range = Range { from: found.at + 1, to, limit: PAGE, reverse: false };
            let page = self.reader.page(branch, range)?;
            if page.is_empty() {
                return Err(Error::not_found("event", format!("{}@{}", branch.place, found.at + 1)).into());
            }
            for event in page {
                let sequence = event.sequence().get();
                if let Err(reason) = self.fold.step(&mut found.state, &event) {
                    return Err(Stop::failed(&event, reason));
                }
                found.at = sequence;
                found.folded += 1;
                tell(&event, &found.state)?;
            }
        }
        Ok(())
    }

    /// The nearest snapshot at or before a sequence; the state before the first event when there is none.
    pub(super) fn nearest(&self, branch: &Branch, to: u64) -> Result<Found> {
        let nothing = || Found { state: self.fold.fresh(), at: 0, folded: 0, snapshot: None };
        let Some(built) = &self.built else { return Ok(nothing()) };
        for segment in branch.lineage.iter().rev().filter(|s| s.first <= to) {
            let prefix = keys::states_of_branch(&self.fold.name, built.generation, segment.branch);
            let mut last = segment.last.min(to);
            // One that does not decode is passed over for the one before it.
            loop {
                let key = Key::Branch(segment.branch);
                let upto = keys::state(&self.fold.name, built.generation, &key, last);
                let rows = SidecarRange { to: Some(&upto), reverse: true, ..SidecarRange::under(&prefix, 1) };
                let Some(row) = self.records.rows(SidecarTable::Snapshots, &rows)?.pop() else { break };
                let Some(at) = keys::sequence_of(&row.key).filter(|at| (1..=last).contains(at)) else {
                    break;
                };
                let read = row.value.ok().and_then(|json| Some((self.fold.decode(&json)?, json.len())));
                if let Some((state, bytes)) = read {
                    let snapshot = Some(Snapshot { at, bytes, is_own: segment.branch == branch.number });
                    return Ok(Found { state, at, folded: 0, snapshot });
                }
                tracing::warn!(projection = self.fold.name, branch = %segment.place, at, "a snapshot is unreadable");
                last = at - 1;
            }
        }
        Ok(nothing())
    }

    /// The state of a session or a key after the event at this position.
    pub(super) fn keyed(&self, text: &str, to: u64) -> Result<Found, Stop> {
        if let Some(row) = self.parked(&Key::Text(text.to_owned()))?
            && row.position <= to
        {
            return Err(Stop::Parked(Box::new(row)));
        }
        self.keyed_from_snapshot(text, to)
    }

    /// The same whether or not the key is parked.
    pub(super) fn keyed_from_snapshot(&self, text: &str, to: u64) -> Result<Found, Stop> {
        let parked = self.parked(&Key::Text(text.to_owned()))?;
        let (mut found, known) = self.stored(text, parked.as_ref().map(|row| row.from))?;
        if found.at > to {
            found = Found { state: self.fold.fresh(), at: 0, folded: 0, snapshot: None };
        } else if known > found.at {
            // Nothing of this key lies between its snapshot and what the projection has read.
            found.at = known.min(to);
        }
        self.fold_key_on(text, &mut found, to, |_, _| Ok(()))?;
        Ok(found)
    }

    /// The snapshot of a key, and up to where it holds everything.
    pub(super) fn stored(&self, text: &str, limit: Option<u64>) -> Result<(Found, u64)> {
        let nothing = Found { state: self.fold.fresh(), at: 0, folded: 0, snapshot: None };
        let Some(built) = &self.built else { return Ok((nothing, 0)) };
        let read = limit.unwrap_or(built.position);
        let key = keys::state(&self.fold.name, built.generation, &Key::Text(text.to_owned()), 0);
        let row = match self.records.get(SidecarTable::Snapshots, &key) {
            // Of a session that was begun anew others may have read events, and not for this key.
            Ok(None) if self.fold.scope == Scope::Session && is_anew(text) => return Ok((nothing, 0)),
            Ok(None) if self.is_there()? => return Ok((nothing, read)),
            // Swept with its generation: it says nothing.
            Ok(None) => return Ok((nothing, 0)),
            Ok(Some(row)) => row,
            Err(e) if e.is_damage() => Vec::new(),
            Err(e) => return Err(e),
        };
        let parts = row.split_first_chunk::<8>();
        let state = parts.and_then(|(at, json)| Some((u64::from_be_bytes(*at), self.fold.decode(json)?)));
        match state {
            Some((at, state)) => {
                let snapshot = Some(Snapshot { at, bytes: row.len(), is_own: true });
                Ok((Found { state, at, folded: 0, snapshot }, read.max(at)))
            }
            None => {
                tracing::warn!(projection = self.fold.name, key = text, "a snapshot is unreadable");
                Ok((nothing, 0))
            }
        }
    }

    /// Goes on with the state of a session or a key, telling of it after each of its events.
    pub(super) fn fold_key_on(
        &self,
        text: &str,
        found: &mut Found,
        to: u64,
        mut tell: impl FnMut(&Event, &AnyState) -> Result<()>,
    ) -> Result<(), Stop> {
        let after = found.at;
        self.each_of(text, after, to, |event| {
            if let Err(reason) = self.fold.step(&mut found.state, event) {
                return Err(Stop::failed(event, reason));
            }
            found.folded += 1;
            found.at = event.position().get();
            Ok(tell(event, &found.state)?)
        })?;
        found.at = found.at.max(to);
        Ok(())
    }

    /// Every event of a session or a key, in global order.
    pub(super) fn each_of(
        &self,
        text: &str,
        after: u64,
        to: u64,
        mut take: impl FnMut(&Event) -> Result<(), Stop>,
    ) -> Result<(), Stop> {
        let session = match self.fold.scope {
            Scope::Session => Some(SessionId::new(session_of(text)).map_err(Error::from)?),
            _ => None,
        };
        let mut at = after;
        let mut most = if session.is_some() { PAGE * 4 } else { PAGE * 8 };
        while at < to {
            let page = up_to_damage(&mut most, |limit| match &session {
                Some(session) => {
                    self.reader.page_session(session, Position::new(at), Position::new(to), limit)
                }
                None => self.reader.page_all(Range { from: at + 1, to, limit, reverse: false }),
            })?;
            let Some(last) = page.last().map(|e| e.position().get()).filter(|last| *last <= to) else {
                break;
            };
            for event in &page {
                if session.is_some() || self.fold.text_key(event).as_deref() == Some(text) {
                    take(event)?;
                }
            }
            at = last;
        }
        Ok(())
    }

    /// Where this key is parked.
    pub(super) fn parked(&self, key: &Key) -> Result<Option<ParkedRow>> {
        let Some(built) = &self.built else { return Ok(None) };
        let key = keys::parking(&self.fold.name, built.generation, key);
        match self.records.get(SidecarTable::Checkpoints, &key) {
            Ok(row) => Ok(row.and_then(|json| serde_json::from_slice(&json).ok())),
            // The fold comes to the event itself.
            Err(e) if e.is_damage() => Ok(None),
            Err(e) => Err(e),
        }
    }

    /// Every session or key that is parked.
    pub(super) fn all_parked(&self) -> Result<Vec<String>> {
        let Some(built) = &self.built else { return Ok(Vec::new()) };
        let prefix = keys::parkings_of(&self.fold.name, built.generation);
        let rows = self.records.rows(SidecarTable::Checkpoints, &SidecarRange::under(&prefix, usize::MAX))?;
        let text = |key: Option<Key>| match key {
            Some(Key::Text(text)) => Some(text),
            _ => None,
        };
        Ok(rows
            .iter()
            .filter_map(|row| text(keys::parked_key(&self.fold.name, built.scope, &row.key)))
            .collect())
    }

    /// The branch with these names, and its head.
    pub(super) fn head(&self, address: &crate::event::Address) -> Result<(Arc<Branch>, u64)> {
        let branch = self.reader.branch(address.place())?;
        let head = self.reader.head(&branch)?.get();
        let to = address.sequence().map_or(head, |s| s.get());
        if to > head {
            return Err(Error::not_found("event", format!("{address}: the branch ends at {head}")));
        }
        Ok((branch, to))
    }
}
