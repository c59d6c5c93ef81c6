//! What an export writes, in order: where branches begin, and events.

use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::sync::Arc;

use crate::error::{Error, Result};
use crate::event::{Address, BranchName, Event, MAIN, Place, Sequence, SessionId};
use crate::store::{Branch, Query, Store};

use super::Forked;

/// What to export.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ExportScope {
    /// The whole store, in global order. What a branch inherits from one that was deleted comes before its own events.
    All,
    /// All branches of a session, one after the other, parents before their children.
    Session(SessionId),
    /// The history of one branch, inherited events included.
    Branch(Address),
}

/// A step of an export.
pub(super) enum Step {
    /// Where a branch begins; before its first event.
    Fork(Forked),
    Event(Event),
}

/// Visits what is to be exported. `how`: in which shape events are read.
pub(super) fn walk<E: From<Error>>(
    store: &Store,
    scope: &ExportScope,
    how: &dyn Fn(Query) -> Query,
    visit: &mut dyn FnMut(Step) -> Result<(), E>,
) -> Result<(), E> {
    let mut walk = Walk { store, how, visit };
    match scope {
        ExportScope::Branch(address) => {
            for event in store.events(how(Query::branch(address)?))? {
                (walk.visit)(Step::Event(event?))?;
            }
            Ok(())
        }
        ExportScope::Session(session) => walk.session(session),
        ExportScope::All => walk.all(),
    }
}

/// Where a branch begins in an export.
struct Beginning {
    branch: Arc<Branch>,
    /// The branch that it forks from, and the last sequence that it shares with that; none of `main`.
    parent: Option<(BranchName, u64)>,
    /// The first sequence that is written under its own name.
    from: u64,
    is_told: bool,
}

impl Beginning {
    /// Whether there is nothing to say of it but its own events.
    fn is_plain(&self) -> bool {
        self.parent.is_none() && self.from > self.branch.fork
    }
}

/// Where the branches of a session begin: each forks from one that is there and has what it inherits, or else has that
/// for its own.
fn beginnings(mut branches: Vec<Arc<Branch>>) -> Vec<Beginning> {
    // Every import begins with main. A parent is older than its children.
    branches.sort_by_key(|branch| (branch.place.branch.as_str() != MAIN, branch.number));
    let mut begun: Vec<Beginning> = Vec::with_capacity(branches.len());
    for branch in branches {
        let (parent, from) = match branch.place.branch.as_str() {
            MAIN => (None, branch.first()),
            _ => {
                let (parent, at) = shared(&branch, &begun);
                (Some((parent, at)), (at + 1).max(branch.first()))
            }
        };
        begun.push(Beginning { branch, parent, from, is_told: false });
    }
    begun
}

/// The branch with the longest history that this one shares, and its length; `main` and 0 if there is none.
fn shared(branch: &Branch, begun: &[Beginning]) -> (BranchName, u64) {
    let whole = Sequence::new(u64::MAX);
    let (mut parent, mut best) = (BranchName::main(), 0);
    for other in begun.iter().map(|beginning| &beginning.branch) {
        let at = Branch::common((branch, whole), (other, whole)).get();
        // What was truncated of either is not there to fork from.
        let is_there = at >= branch.first() && at >= other.first();
        let is_parent = branch.parent == Some(other.number);
        if (is_there && (at > best || at == best && is_parent))
            || (is_parent && best == 0 && branch.fork == 0)
        {
            (parent, best) = (other.place.branch.clone(), at);
        }
    }
    (parent, best)
}

struct Walk<'a, E> {
    store: &'a Store,
    how: &'a dyn Fn(Query) -> Query,
    visit: &'a mut dyn FnMut(Step) -> Result<(), E>,
}

impl<E: From<Error>> Walk<'_, E> {
    fn beginnings(&self, session: &SessionId) -> Result<Vec<Beginning>> {
        Ok(beginnings(self.store.reader()?.branches_of(session)?))
    }

    fn session(&mut self, session: &SessionId) -> Result<(), E> {
        let mut begun = self.beginnings(session)?;
        if begun.is_empty() {
            return Err(self.store.inner().identity().not_found("session", session).into());
        }
        for i in 0..begun.len() {
            self.begin(&mut begun, i)?;
            let Some(Beginning { branch, from, .. }) = begun.get(i) else { break };
            let own = (*from).max(branch.fork + 1);
            let query = Query::branch(Address::from((*branch.place).clone()))?.from(own);
            for event in self.store.events((self.how)(query))? {
                (self.visit)(Step::Event(event?))?;
            }
        }
        Ok(())
    }

    fn all(&mut self) -> Result<(), E> {
        // Of most sessions there is nothing to remember.
        let mut sessions: HashMap<SessionId, Vec<Beginning>> = HashMap::new();
        for event in self.store.events((self.how)(Query::all()))? {
            let event = event?;
            let place = event.place();
            let begun = match sessions.entry(place.session.clone()) {
                Entry::Occupied(known) => known.into_mut(),
                Entry::Vacant(new) => new.insert(self.memorable(&place.session)?),
            };
            let found = |begun: &[Beginning]| begun.iter().position(|b| b.branch.place == *place);
            if found(begun).is_none() && place.branch.as_str() != MAIN {
                // It has begun meanwhile.
                let known = |b: &Beginning| begun.iter().any(|old| old.branch.number == b.branch.number);
                let mut now = self.beginnings(&place.session)?;
                now.retain(|new| !known(new));
                begun.extend(now);
            }
            if let Some(i) = found(begun) {
                self.begin(begun, i)?;
                if begun.get(i).is_some_and(|beginning| event.sequence().get() < beginning.from) {
                    // A branch that shares it has it.
                    continue;
                }
            }
            (self.visit)(Step::Event(event))?;
        }
        // Branches without events of their own have not come up yet.
        let mut after: Option<SessionId> = None;
        loop {
            let page = self.store.sessions(after.as_ref(), crate::limits::MAX_LISTING)?;
            let Some(last) = page.last() else { return Ok(()) };
            after = Some(last.session.clone());
            for info in page {
                let mut begun = match sessions.remove(&info.session) {
                    Some(known) => known,
                    None => self.memorable(&info.session)?,
                };
                (0..begun.len()).try_for_each(|i| self.begin(&mut begun, i))?;
            }
        }
    }

    /// Where the branches of a session begin, if there is anything to say of it.
    fn memorable(&self, session: &SessionId) -> Result<Vec<Beginning>> {
        let begun = self.beginnings(session)?;
        Ok(if begun.iter().all(Beginning::is_plain) { Vec::new() } else { begun })
    }

    /// Says where a branch begins, with the events that it inherits from what is not there, unless that was said before. What it
    /// forks from comes first.
    fn begin(&mut self, begun: &mut [Beginning], i: usize) -> Result<(), E> {
        let mut chain = Vec::new();
        let mut next = Some(i);
        while let Some((i, beginning)) = next.and_then(|i| Some((i, begun.get_mut(i)?))) {
            if std::mem::replace(&mut beginning.is_told, true) {
                break;
            }
            chain.push(i);
            let parent = beginning.parent.as_ref().map(|(name, _)| name.clone());
            next = parent.and_then(|name| begun.iter().position(|b| b.branch.place.branch == name));
        }
        for beginning in chain.iter().rev().filter_map(|i| begun.get(*i)) {
            self.tell(beginning)?;
        }
        Ok(())
    }

    fn tell(&mut self, beginning: &Beginning) -> Result<(), E> {
        let Beginning { branch, parent, from, .. } = beginning;
        let address = Address::from((*branch.place).clone());
        if let Some((parent, at)) = parent {
            let event = match at {
                0 => None,
                // The branch has it, whatever has become of its parent.
                at => {
                    let query = Query::branch(address.clone())?.from(*at).to(*at).raw();
                    self.store.read(&query)?.events.first().map(|event| event.id())
                }
            };
            let (place, at) = ((*branch.place).clone(), Sequence::new(*at));
            (self.visit)(Step::Fork(Forked { place, parent: parent.clone(), at, event }))?;
        }
        if *from <= branch.fork {
            let query = Query::branch(address)?.from(*from).to(branch.fork);
            for event in self.store.events((self.how)(query))? {
                (self.visit)(Step::Event(as_own(&event?, &branch.place)))?;
            }
        }
        Ok(())
    }
}

/// An inherited event as if it were the branch's own.
fn as_own(event: &Event, place: &Arc<Place>) -> Event {
    let record = event.record().clone();
    Event::new(place.clone(), event.sequence(), event.position(), event.recorded(), record)
}
