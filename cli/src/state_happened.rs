//! A state as of when things happened, over several branches: each up to its last event that had happened by then. That is what the
//! states of the branches themselves are made of at that time, so that both tell of the same events.

use std::collections::{BTreeMap, BTreeSet};

use retold::error::{Error, Result};
use retold::event::{Address, Event, Filter, Place, SessionId, Timestamp};
use retold::project::{DynProjection, Scope};
use retold::store::{BranchInfo, Query, Store};
use serde_json::Value;

/// The state, and the position of the last event in it; `None` when nothing had happened yet.
pub(super) fn happened(
    store: &Store,
    projection: &dyn DynProjection,
    of: &str,
    time: Timestamp,
) -> Result<Option<(Value, u64)>> {
    let is_key = projection.scope() == Scope::Key;
    let query = if is_key { Query::all() } else { Query::session(of.parse::<Address>()?.session().clone())? };
    let mut cuts = Cuts { store, time, sessions: BTreeSet::new(), until: BTreeMap::new(), last: 0 };
    let mut last = 0;
    if let Some(session) = of.parse::<Address>().ok().filter(|_| !is_key) {
        cuts.session(session.session())?;
        last = cuts.last;
    }
    let mut state = projection.fresh();
    for event in store.events(query.filter(projection.interests()))? {
        let event = event?;
        if (is_key && projection.key(&event).as_deref() != Some(of)) || !cuts.take(&event)? {
            continue;
        }
        projection.apply(&mut state, &event).map_err(|why| Error::Parked {
            projection: projection.name().to_owned(),
            at: event.address(),
            reason: why.to_string(),
        })?;
        last = last.max(event.position().get());
    }
    let json =
        projection.encode(&state).map_err(|why| retold::event::Invalid::new("state", why.to_string()))?;
    let state = serde_json::from_slice(&json)
        .map_err(|e| retold::event::Invalid::new("state", format!("is not JSON: {e}")))?;
    Ok(Some((state, last)).filter(|_| last > 0))
}

/// How far each branch had come by a time.
struct Cuts<'a> {
    store: &'a Store,
    time: Timestamp,
    /// Those that were looked at.
    sessions: BTreeSet<SessionId>,
    /// The last own event of each branch that any branch had read by then.
    until: BTreeMap<Place, u64>,
    /// The position of the last of them all.
    last: u64,
}

impl Cuts<'_> {
    fn take(&mut self, event: &Event) -> Result<bool> {
        self.session(event.session())?;
        Ok(self.until.get(&**event.place()).is_some_and(|until| event.sequence().get() <= *until))
    }

    fn session(&mut self, session: &SessionId) -> Result<()> {
        if !self.sessions.insert(session.clone()) {
            return Ok(());
        }
        let branches = match self.store.branches(session) {
            // It was deleted meanwhile.
            Err(Error::NotFound { .. } | Error::Deleted { .. }) => return Ok(()),
            found => found?,
        };
        branches.iter().try_for_each(|branch| self.branch(branch))
    }

    fn branch(&mut self, branch: &BranchInfo) -> Result<()> {
        let address = Address::from(branch.place.clone());
        let Some(last) = last_by(self.store, &address, self.time)? else { return Ok(()) };
        self.last = self.last.max(last.position().get());
        let until = last.sequence().get();
        let lines = self.store.ancestry(address)?;
        for (at, (name, first)) in lines.iter().enumerate() {
            let end = lines.get(at + 1).map_or(u64::MAX, |(_, next)| next.get().saturating_sub(1));
            if first.get() <= until {
                let place = Place::new(branch.place.session.clone(), name.clone());
                let known = self.until.entry(place).or_default();
                *known = (*known).max(until.min(end));
            }
        }
        Ok(())
    }
}

/// The last event of a branch, in its order, that had happened by a time.
pub(super) fn last_by(store: &Store, address: &Address, time: Timestamp) -> Result<Option<Event>> {
    let by_then = Filter::new().until(Timestamp::from_micros(time.micros().saturating_add(1)));
    let query = Query::branch(address.clone())?.reverse().limit(1).filter(by_then);
    store.events(query)?.next().transpose()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use retold::agents::projections;
    use retold::event::{Catalogue, NewEvent};

    fn event(second: i64) -> NewEvent {
        NewEvent::new("step.done").occurred(Timestamp::from_micros(second))
    }

    fn counted(store: &Store, name: &str, of: &str, time: i64) -> Option<u64> {
        let all = projections::all(Catalogue::builtin());
        let projection = all.iter().find(|p| p.name() == name).unwrap();
        let then = happened(store, &**projection, of, Timestamp::from_micros(time)).unwrap();
        then.map(|(state, _)| state["events"].as_u64().unwrap_or_default())
    }

    #[test]
    fn what_another_branch_recorded_later_brings_nothing_of_the_future() {
        let store = Store::in_memory().unwrap();
        store.append("s", (1..=10).map(event).collect::<Vec<_>>()).unwrap();
        store.fork("s@2", "b").unwrap();
        // Recorded after all of main, as an import does it.
        store.append("s/b", (3..=5).map(event).collect::<Vec<_>>()).unwrap();
        // Five of main, three of b.
        assert_eq!(counted(&store, "stats", "s", 5), Some(8));
        assert_eq!(counted(&store, "stats", "s", 99), Some(13));
        assert_eq!(counted(&store, "stats", "s", 0), None);
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(48))]

        /// Beside a plain fold: every event that some branch has read up to its last one that had happened by then.
        #[test]
        fn a_session_has_what_its_branches_have(
            appends in proptest::collection::vec((0..4usize, 0..12i64, any::<prop::sample::Index>()), 1..20),
            time in -1..13i64,
        ) {
            let store = Store::in_memory().unwrap();
            store.append("s", event(5)).unwrap();
            for (at, second, fork) in &appends {
                let address = if *at == 0 { "s".to_owned() } else { format!("s/b{at}") };
                if store.head(address.as_str()).is_err() {
                    let head = store.head("s").unwrap().get() as usize;
                    store.fork(format!("s@{}", fork.index(head + 1)).as_str(), &format!("b{at}")).unwrap();
                }
                store.append(address.as_str(), event(*second)).unwrap();
            }
            let mut due: BTreeSet<u64> = BTreeSet::new();
            for branch in store.branches(&SessionId::new("s").unwrap()).unwrap() {
                let query = Query::branch(Address::from(branch.place)).unwrap();
                let events: Vec<Event> = store.events(query).unwrap().map(Result::unwrap).collect();
                let count = events.iter().rposition(|e| e.occurred().micros() <= time).map_or(0, |at| at + 1);
                due.extend(events[..count].iter().map(|event| event.position().get()));
            }
            let of_session = counted(&store, "stats", "s", time);
            prop_assert_eq!(of_session, Some(due.len() as u64).filter(|count| *count > 0));
        }
    }
}
