//! The store in plain maps: what every answer has to be, written as simply as possible.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use super::want::Ask;
use crate::error::{Error, Result};
use crate::event::{
    Address, BranchName, Event, EventId, Expect, Invalid, MAIN, NewEvent, Place, Position, Sequence,
    SessionId,
};
use crate::store::{Batch, Placed};

/// One part of an append: events for one branch on one condition.
#[derive(Clone, Debug)]
pub struct ModelPart {
    /// The branch.
    pub place: Place,
    /// The condition.
    pub expect: Expect,
    /// The events.
    pub events: Vec<NewEvent>,
}

impl ModelPart {
    /// The same append as a batch for the store.
    ///
    /// # Errors
    /// As [`Batch::add`].
    pub fn batch(parts: &[Self]) -> Result<Batch> {
        parts.iter().try_fold(Batch::new(), |batch, part| {
            batch.add(Address::from(part.place.clone()), part.expect, part.events.clone())
        })
    }
}

/// An event of the model, with its place.
#[derive(Clone, Debug)]
pub struct ModelEvent {
    /// The branch that recorded it.
    pub place: Place,
    /// Its number there.
    pub sequence: u64,
    /// Its number in the store.
    pub position: u64,
    /// What was appended.
    pub event: NewEvent,
}

impl ModelEvent {
    /// Whether the store's event is this one in everything that the caller gave. The recorded time is the store's.
    #[must_use]
    pub fn is(&self, found: &Event) -> bool {
        let e = &self.event;
        let text = |t: &str| (!t.is_empty()).then(|| t.to_owned());
        let content_type = text(&e.content_type).unwrap_or_else(|| "application/json".to_owned());
        *found.place().as_ref() == self.place
            && found.sequence().get() == self.sequence
            && found.position().get() == self.position
            && (found.id(), found.kind(), found.version()) == (e.id, &*e.kind, e.version)
            && (found.occurred(), found.priority()) == (e.occurred, e.priority)
            && found.causation() == e.causation
            && found.source().map(str::to_owned) == text(&e.source)
            && found.actor().map(str::to_owned) == text(&e.actor)
            && found.correlation().map(str::to_owned) == text(&e.correlation)
            && found.trace().map(str::to_owned) == text(&e.trace)
            && found.content_type() == content_type
            && found.metadata().eq(e.metadata.iter().map(|(k, v)| (k.as_str(), v.as_str())))
            && found.payload() == &*e.payload
    }

    fn says_the_same(&self, other: &NewEvent) -> bool {
        let a = &self.event;
        // A retry may have another timestamp.
        (a.id, &a.kind, a.version, a.priority) == (other.id, &other.kind, other.version, other.priority)
            && (&a.source, &a.actor, &a.correlation) == (&other.source, &other.actor, &other.correlation)
            && (&a.trace, &a.content_type, a.causation)
                == (&other.trace, &other.content_type, other.causation)
            && (&a.metadata, &a.payload) == (&other.metadata, &other.payload)
    }
}

/// The acknowledgement of an append.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ModelAppended {
    /// Where the events are, one entry per part.
    pub parts: Vec<Placed>,
    /// The events were recorded before.
    pub duplicate: bool,
}

/// A branch in a listing of the model.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ModelBranch {
    /// Its session and name.
    pub place: Place,
    /// Where it was forked from.
    pub parent: Option<(BranchName, Sequence)>,
    /// Its last sequence.
    pub head: Sequence,
    /// The number of events that it owns.
    pub events: u64,
}

/// A session in a listing of the model.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ModelSession {
    /// Its id.
    pub session: SessionId,
    /// The head of `main`.
    pub head: Sequence,
    /// The number of events in all its branches.
    pub events: u64,
    /// The number of branches.
    pub branches: u64,
}

#[derive(Clone, Debug, Default)]
struct Line {
    parent: Option<(Place, u64)>,
    own: Vec<Arc<ModelEvent>>,
}

/// The reference model: maps and a list.
#[derive(Clone, Debug, Default)]
pub struct Model {
    lines: BTreeMap<Place, Line>,
    order: Vec<Arc<ModelEvent>>,
    ids: HashMap<EventId, Arc<ModelEvent>>,
}

type Pairs = Vec<(Option<Arc<ModelEvent>>, Option<Arc<ModelEvent>>)>;

impl Model {
    /// An empty store.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// The last position.
    #[must_use]
    pub fn committed(&self) -> u64 {
        self.order.len() as u64
    }

    /// Every event, in global order.
    #[must_use]
    pub fn order(&self) -> &[Arc<ModelEvent>] {
        &self.order
    }

    /// Every branch.
    pub fn places(&self) -> impl Iterator<Item = &Place> {
        self.lines.keys()
    }

    fn line(&self, place: &Place) -> Result<&Line> {
        self.lines.get(place).ok_or_else(|| {
            let main = place.branch == BranchName::main();
            if main { Error::not_found("session", &place.session) } else { Error::not_found("branch", place) }
        })
    }

    /// The history of a branch, inherited events included.
    ///
    /// # Errors
    /// [`Error::NotFound`].
    pub fn history(&self, place: &Place) -> Result<Vec<Arc<ModelEvent>>> {
        let line = self.line(place)?;
        let mut history = match &line.parent {
            Some((parent, fork)) => self.history(parent)?.into_iter().take(*fork as usize).collect(),
            None => Vec::new(),
        };
        history.extend(line.own.iter().cloned());
        Ok(history)
    }

    /// The last sequence of a branch.
    ///
    /// # Errors
    /// [`Error::NotFound`].
    pub fn head(&self, place: &Place) -> Result<u64> {
        Ok(self.history(place)?.len() as u64)
    }

    /// The event with this id.
    ///
    /// # Errors
    /// [`Error::NotFound`].
    pub fn get(&self, id: EventId) -> Result<&Arc<ModelEvent>> {
        self.ids.get(&id).ok_or_else(|| Error::not_found("event", id))
    }

    /// An append: all of it or nothing.
    ///
    /// # Errors
    /// As those of the store.
    pub fn append(&mut self, parts: &[ModelPart]) -> Result<ModelAppended> {
        let all: Vec<&NewEvent> = parts.iter().flat_map(|p| &p.events).collect();
        if all.is_empty() || parts.iter().any(|p| p.events.is_empty()) {
            return Err(Invalid::new("events", "is empty").into());
        }
        all.iter().try_for_each(|e| e.check())?;
        if (1..all.len()).any(|i| all.iter().take(i).any(|e| all.get(i).is_some_and(|f| e.id == f.id))) {
            return Err(Invalid::new("id", "appears twice").into());
        }
        let known: Vec<&Arc<ModelEvent>> = all.iter().filter_map(|e| self.ids.get(&e.id)).collect();
        if let Some(first) = known.first() {
            return self.retried(parts).ok_or_else(|| Error::Duplicate {
                id: first.event.id,
                at: Address::from(first.place.clone()).at(first.sequence),
            });
        }
        // On a copy, so that a refusal changes nothing.
        let mut next = self.clone();
        let placed = parts.iter().map(|part| next.append_part(part)).collect::<Result<_>>()?;
        *self = next;
        Ok(ModelAppended { parts: placed, duplicate: false })
    }

    fn append_part(&mut self, part: &ModelPart) -> Result<Placed> {
        let main = Place::new(part.place.session.clone(), BranchName::main());
        if part.place == main {
            self.lines.entry(main).or_default();
        } else if part.expect.is_of_a_new_branch() && !self.lines.contains_key(&part.place) {
            self.lines.entry(main.clone()).or_default();
            self.lines.insert(part.place.clone(), Line { parent: Some((main, 0)), own: Vec::new() });
        }
        let head = self.head(&part.place).map_err(|_| Error::not_found("branch", &part.place))?;
        if !part.expect.holds(Sequence::new(head)) {
            let (place, expected, actual) = (part.place.clone(), part.expect, Sequence::new(head));
            return Err(Error::Conflict { place, expected, actual });
        }
        let first = self.order.len() as u64 + 1;
        for (i, event) in part.events.iter().enumerate() {
            let recorded = Arc::new(ModelEvent {
                place: part.place.clone(),
                sequence: head + 1 + i as u64,
                position: first + i as u64,
                event: event.clone(),
            });
            self.ids.insert(event.id, recorded.clone());
            self.order.push(recorded.clone());
            if let Some(line) = self.lines.get_mut(&part.place) {
                line.own.push(recorded);
            }
        }
        let more = part.events.len() as u64;
        Ok(placed(&part.place, (head + 1, first), (head + more, first + more - 1)))
    }

    /// The first receipt, if every event is where it was then, with the same content.
    fn retried(&self, parts: &[ModelPart]) -> Option<ModelAppended> {
        let mut again = Vec::new();
        for part in parts {
            let found: Option<Vec<&Arc<ModelEvent>>> =
                part.events.iter().map(|e| self.ids.get(&e.id)).collect();
            let found = found?;
            let here =
                found.iter().zip(&part.events).all(|(t, e)| t.place == part.place && t.says_the_same(e));
            let dense = found.is_sorted_by(|a, b| a.sequence + 1 == b.sequence);
            let (first, last) = (found.first()?, found.last()?);
            if !here || !dense {
                return None;
            }
            let ends = ((first.sequence, first.position), (last.sequence, last.position));
            again.push(placed(&part.place, ends.0, ends.1));
        }
        Some(ModelAppended { parts: again, duplicate: true })
    }

    /// A fork at a sequence, or at the head.
    ///
    /// # Errors
    /// [`Error::NotFound`], [`Error::Exists`].
    pub fn fork(&mut self, parent: &Place, at: Option<u64>, name: &BranchName) -> Result<ModelBranch> {
        let begins = at == Some(0) && parent.branch.as_str() == MAIN && !self.lines.contains_key(parent);
        if begins && *name != parent.branch {
            self.lines.insert(parent.clone(), Line { parent: None, own: Vec::new() });
        } else if begins {
            return Err(Error::Exists { what: "branch", name: parent.to_string() });
        }
        let head = self.head(parent)?;
        let at = at.unwrap_or(head);
        if at > head {
            return Err(Error::not_found("event", at));
        }
        let place = Place::new(parent.session.clone(), name.clone());
        if self.lines.contains_key(&place) {
            return Err(Error::Exists { what: "branch", name: place.to_string() });
        }
        self.lines.insert(place.clone(), Line { parent: Some((parent.clone(), at)), own: Vec::new() });
        self.branch(&place)
    }

    /// Appends the events that a branch owns to its parent.
    ///
    /// # Errors
    /// As those of the store.
    pub fn promote(&mut self, place: &Place) -> Result<ModelAppended> {
        let line = self.line(place)?;
        let Some((parent, fork)) = line.parent.clone() else {
            return Err(Invalid::new("branch", "was not forked").into());
        };
        let target = parent.to_string();
        let copies = line.own.iter().map(|recorded| {
            let id = EventId::derived(recorded.event.id.uuid(), target.as_bytes());
            let from = Address::from(recorded.place.clone()).at(recorded.sequence).to_string();
            recorded.event.clone().with_id(id).meta("promoted_from", from)
        });
        let events: Vec<NewEvent> = copies.collect();
        if events.is_empty() {
            return Err(Invalid::new("branch", "has no events of its own").into());
        }
        self.append(&[ModelPart { place: parent, expect: Expect::Head(Sequence::new(fork)), events }])
    }

    /// The events of a read, all of them up to its limit.
    ///
    /// # Errors
    /// [`Error::NotFound`].
    pub fn read(&self, ask: &Ask) -> Result<Vec<Arc<ModelEvent>>> {
        let mut events: Vec<Arc<ModelEvent>> = match &ask.place {
            Some(place) => self.history(place)?,
            None => self.order.clone(),
        };
        events.retain(|recorded| {
            let number = if ask.place.is_some() { recorded.sequence } else { recorded.position };
            (ask.from..=ask.to).contains(&number) && ask.want.takes(&recorded.event)
        });
        if ask.reverse {
            events.reverse();
        }
        events.truncate(ask.limit.unwrap_or(usize::MAX));
        Ok(events)
    }

    /// Compares two branches of one session, each up to a sequence or its head: the last common sequence, and what
    /// follows.
    ///
    /// # Errors
    /// [`Error::NotFound`], [`Error::Invalid`].
    pub fn diff(&self, left: &Address, right: &Address) -> Result<(u64, Pairs)> {
        if left.session() != right.session() {
            return Err(Invalid::new("address", "two sessions").into());
        }
        let side = |a: &Address| {
            let mut history = self.history(a.place())?;
            history.truncate(a.sequence().map_or(usize::MAX, |n| n.get() as usize));
            Ok::<_, Error>(history)
        };
        let (left, right) = (side(left)?, side(right)?);
        let common = left.iter().zip(&right).take_while(|(a, b)| a.event.id == b.event.id).count();
        let pair = |i: usize| (left.get(i).cloned(), right.get(i).cloned());
        let pairs = (common..left.len().max(right.len())).map(pair).collect();
        Ok((common as u64, pairs))
    }

    /// One branch, as in a listing.
    ///
    /// # Errors
    /// [`Error::NotFound`].
    pub fn branch(&self, place: &Place) -> Result<ModelBranch> {
        let line = self.line(place)?;
        Ok(ModelBranch {
            place: place.clone(),
            parent: line.parent.as_ref().map(|(p, at)| (p.branch.clone(), Sequence::new(*at))),
            head: Sequence::new(self.head(place)?),
            events: line.own.len() as u64,
        })
    }

    /// All branches of a session, by name.
    ///
    /// # Errors
    /// [`Error::NotFound`].
    pub fn branches(&self, session: &SessionId) -> Result<Vec<ModelBranch>> {
        let own = self.lines.keys().filter(|p| p.session == *session);
        let found: Vec<ModelBranch> = own.map(|p| self.branch(p)).collect::<Result<_>>()?;
        if found.is_empty() { Err(Error::not_found("session", session)) } else { Ok(found) }
    }

    /// Up to `limit` sessions after this one, by name.
    #[must_use]
    pub fn sessions(&self, after: Option<&SessionId>, limit: usize) -> Vec<ModelSession> {
        let mut found: BTreeMap<&SessionId, ModelSession> = BTreeMap::new();
        for (place, line) in self.lines.iter().filter(|(p, _)| after.is_none_or(|a| p.session > *a)) {
            let session = place.session.clone();
            let new = || ModelSession { session, head: Sequence::ZERO, events: 0, branches: 0 };
            let info = found.entry(&place.session).or_insert_with(new);
            info.branches += 1;
            info.events += line.own.len() as u64;
            if place.branch == BranchName::main() {
                info.head = Sequence::new(line.own.len() as u64);
            }
        }
        found.into_values().take(limit).collect()
    }

    /// The branches through which a branch is read, each with the first sequence that it owns.
    ///
    /// # Errors
    /// [`Error::NotFound`].
    pub fn ancestry(&self, place: &Place) -> Result<Vec<(BranchName, Sequence)>> {
        let line = self.line(place)?;
        let mut lines: Vec<(BranchName, Sequence)> = Vec::new();
        for recorded in self.history(place)? {
            if lines.last().is_none_or(|(name, _)| *name != recorded.place.branch) {
                lines.push((recorded.place.branch.clone(), Sequence::new(recorded.sequence)));
            }
        }
        if line.own.is_empty() {
            let fork = line.parent.as_ref().map_or(0, |(_, at)| *at);
            lines.push((place.branch.clone(), Sequence::new(fork + 1)));
        }
        Ok(lines)
    }
}

fn placed(place: &Place, first: (u64, u64), last: (u64, u64)) -> Placed {
    Placed {
        place: place.clone(),
        first: Sequence::new(first.0),
        last: Sequence::new(last.0),
        first_position: Position::new(first.1),
        last_position: Position::new(last.1),
    }
}
