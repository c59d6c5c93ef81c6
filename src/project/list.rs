//! Listing current states: which runs are running, which used the most tokens.

use std::cmp::Ordering;
use std::collections::BTreeMap;

use super::fold::{AnyState, Scope};
use super::keys;
use super::read::{Found, Source, Stop};
use super::session_key::{key_of, session_of};
use super::view::{Projected, Reading, Target};
use crate::error::{Error, Result};
use crate::event::SessionId;
use crate::limits::PROJECT_PAGE;
use crate::store::{Range, Reader, SidecarRange, SidecarTable};

/// Sessions or rows that are looked at in one go.
const LISTED: usize = 256;

/// How often a listing is begun when a rebuild ends meanwhile.
const ATTEMPTS: usize = 8;

impl<S> Projected<S> {
    /// The current states that a filter takes, in the order of branches, sessions or keys.
    ///
    /// # Errors
    /// Those of reading. Where the projection is parked, the item says so and has the last good state.
    pub fn list(&self, mut filter: impl FnMut(&Reading<S>) -> bool) -> Result<Vec<Reading<S>>> {
        for _ in 0..ATTEMPTS {
            let mut found = Vec::new();
            let whole = self.each(|reading| {
                if filter(&reading) {
                    found.push(reading);
                }
                Ok(())
            })?;
            if whole {
                return Ok(found);
            }
        }
        Err(self.always_rebuilt())
    }

    /// The first so many of the current states that a filter takes, in an order of the caller's. Never has more than
    /// twice as many in memory.
    ///
    /// # Errors
    /// As [`list`](Self::list).
    pub fn top(
        &self,
        limit: usize,
        mut filter: impl FnMut(&Reading<S>) -> bool,
        mut compare: impl FnMut(&Reading<S>, &Reading<S>) -> Ordering,
    ) -> Result<Vec<Reading<S>>> {
        for _ in 0..ATTEMPTS {
            let mut found: Vec<Reading<S>> = Vec::new();
            let whole = self.each(|reading| {
                if filter(&reading) {
                    found.push(reading);
                }
                if found.len() > limit.saturating_mul(2) {
                    found.sort_by(&mut compare);
                    found.truncate(limit);
                }
                Ok(())
            })?;
            if whole {
                found.sort_by(&mut compare);
                found.truncate(limit);
                return Ok(found);
            }
        }
        Err(self.always_rebuilt())
    }

    fn always_rebuilt(&self) -> Error {
        Error::storage(format!("the projection {} was rebuilt each time that it was listed", self.fold.name))
    }

    /// `false` when a rebuild ended meanwhile: some states may not have been shown.
    fn each(&self, mut take: impl FnMut(Reading<S>) -> Result<()>) -> Result<bool> {
        if self.fold.scope == Scope::Key {
            return self.each_key(&mut take);
        }
        let reader = self.store.reader()?;
        let mut last = None;
        loop {
            let sessions = reader.session_names(last.as_ref(), LISTED)?;
            let source = Source::new(&reader, &self.fold)?;
            for session in &sessions {
                for target in self.targets(&reader, session)? {
                    take(self.show(self.good(&source, &target)?)?)?;
                }
            }
            match sessions.into_iter().next_back() {
                Some(session) => last = Some(session),
                None => return Ok(true),
            }
        }
    }

    /// What a session has states of: itself, or its branches, in the order of their names.
    pub(super) fn targets(&self, reader: &Reader, session: &SessionId) -> Result<Vec<Target>> {
        if self.fold.scope == Scope::Session {
            return Ok(vec![Target::Text(key_of(reader, session)?, reader.committed().get())]);
        }
        let branches = reader.branches_of(session)?.into_iter();
        branches.map(|branch| Ok(Target::Branch(branch.clone(), reader.head(&branch)?.get()))).collect()
    }

    /// Keys that have a snapshot, with those that came after it.
    fn each_key(&self, take: &mut dyn FnMut(Reading<S>) -> Result<()>) -> Result<bool> {
        let reader = self.store.reader()?;
        let source = Source::new(&reader, &self.fold)?;
        let to = reader.committed().get();
        let mut newer: BTreeMap<String, Found> = BTreeMap::new();
        let mut at = source.built.as_ref().map_or(0, |built| built.position);
        let mut bad: BTreeMap<String, String> = BTreeMap::new();
        for key in source.all_parked()? {
            let reading = self.good(&source, &Target::Text(key.clone(), to))?;
            let found =
                Found { state: reading.state, at: reading.at, folded: reading.folded, snapshot: None };
            bad.extend(reading.parked.map(|why| (key.clone(), why)));
            newer.insert(key, found);
        }
        while at < to {
            let page = reader.page_all(Range { from: at + 1, to, limit: PROJECT_PAGE, reverse: false })?;
            let Some(last) = page.last() else { break };
            at = last.position().get();
            for event in &page {
                let Some(key) = self.fold.text_key(event) else { continue };
                if bad.contains_key(&key) {
                    continue;
                }
                let found = match newer.entry(key.clone()) {
                    std::collections::btree_map::Entry::Occupied(found) => found.into_mut(),
                    std::collections::btree_map::Entry::Vacant(free) => {
                        let before = event.position().get() - 1;
                        free.insert(self.known(&source, &key, before)?)
                    }
                };
                // Its state is newer than the page: it was retried, or written, meanwhile.
                if event.position().get() <= found.at {
                    continue;
                }
                let before = self.fold.copy(&found.state);
                if let Err(reason) = self.fold.step(&mut found.state, event) {
                    found.state = before;
                    bad.insert(key, format!("{}: {reason}", event.address()));
                }
                found.folded += 1;
                found.at = found.at.max(event.position().get());
            }
        }
        let stored = source.built.as_ref().map(|built| keys::states_of(&self.fold.name, built.generation));
        let mut after: Option<Vec<u8>> = None;
        while let Some(prefix) = &stored {
            let rows = SidecarRange { after: after.as_deref(), ..SidecarRange::under(prefix, LISTED) };
            let found = source.records.rows(SidecarTable::Snapshots, &rows)?;
            let Some(last) = found.last() else { break };
            after = Some(last.key.clone());
            for row in &found {
                let Some(key) = keys::text_of(&self.fold.name, &row.key) else { continue };
                // Those that are not done with yet and come before it in the order.
                while let Some(entry) = newer.first_entry().filter(|e| e.key().as_str() < key) {
                    let (of, found) = entry.remove_entry();
                    take(self.listed(of, found, to, &bad)?)?;
                }
                match newer.remove(key) {
                    Some(found) => take(self.listed(key.to_owned(), found, to, &bad)?)?,
                    None => take(self.listed(key.to_owned(), self.known(&source, key, to)?, to, &bad)?)?,
                }
            }
        }
        newer.into_iter().try_for_each(|(of, found)| take(self.listed(of, found, to, &bad)?))?;
        source.is_there()
    }

    /// The stored state of a key, which has no event between what the projection has read and this position. One that
    /// was written meanwhile may be newer: what is listed is what is there now.
    fn known(&self, source: &Source<'_>, key: &str, to: u64) -> Result<Found> {
        let (found, known) = source.stored(key, None)?;
        match found.at > to || source.built.as_ref().is_none_or(|built| known >= built.position) {
            true => Ok(found),
            // Its snapshot is unreadable.
            false => source.keyed_from_snapshot(key, to).map_err(|stop| stop.told(&self.fold)),
        }
    }

    fn listed(
        &self,
        of: String,
        found: Found,
        at: u64,
        bad: &BTreeMap<String, String>,
    ) -> Result<Reading<S>> {
        let (parked, at) = (bad.get(&of).cloned(), at.max(found.at));
        self.show(Reading { of, at, state: found.state, folded: found.folded, parked })
    }

    /// The state of a target, or the last good one with why it is not a later one.
    pub(super) fn good(&self, source: &Source<'_>, target: &Target) -> Result<Reading<AnyState>> {
        let reading = |of: String, found: Found, parked: Option<Error>| Reading {
            of,
            at: found.at,
            state: found.state,
            folded: found.folded,
            parked: parked.map(|e| e.to_string()),
        };
        let told = |stop: Stop| stop.told(&self.fold);
        match target {
            Target::Branch(branch, to) => {
                let of = branch.place.to_string();
                match source.branch(branch, *to) {
                    Ok(found) => Ok(reading(of, found, None)),
                    Err(Stop::Failed(event, reason)) => {
                        let found = source.branch(branch, event.sequence().get() - 1).map_err(told)?;
                        Ok(reading(of, found, Some(told(Stop::Failed(event, reason)))))
                    }
                    Err(stop) => Err(told(stop)),
                }
            }
            Target::Text(text, to) => {
                let of = match self.fold.scope {
                    Scope::Session => session_of(text).to_owned(),
                    _ => text.clone(),
                };
                let (before, why) = match source.keyed(text, *to) {
                    Ok(found) => return Ok(reading(of, found, None)),
                    Err(Stop::Failed(event, reason)) => {
                        (event.position().get() - 1, Stop::Failed(event, reason))
                    }
                    Err(Stop::Parked(row)) => (row.position - 1, Stop::Parked(row)),
                    Err(stop) => return Err(told(stop)),
                };
                let found = source.keyed_from_snapshot(text, before).map_err(told)?;
                Ok(reading(of, found, Some(told(why))))
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicBool, Ordering::SeqCst};
    use std::sync::{Arc, Mutex};

    use crate::event::{Event, NewEvent};
    use crate::project::{ApplyError, Projection, Scope};
    use crate::store::Store;

    #[derive(Default)]
    struct Knobs {
        broken: AtomicBool,
        armed: AtomicBool,
        projected: Mutex<Option<crate::project::Projected<u64>>>,
    }

    struct ByKind(Arc<Knobs>);

    impl Projection for ByKind {
        type State = u64;
        fn name(&self) -> &str {
            "by_kind"
        }
        fn scope(&self) -> Scope {
            Scope::Key
        }
        fn key(&self, event: &Event) -> Option<String> {
            if event.kind() == "key.c" && self.0.armed.swap(false, SeqCst) {
                self.0.broken.store(false, SeqCst);
                let projected = self.0.projected.lock().unwrap().clone().unwrap();
                assert_eq!(projected.retry().unwrap().mended, 2);
            }
            Some(event.kind().to_owned())
        }
        fn apply(&self, count: &mut u64, event: &Event) -> Result<(), ApplyError> {
            if self.0.broken.load(SeqCst) && event.kind() != "key.c" {
                return Err(ApplyError::new("broken"));
            }
            *count += 1;
            Ok(())
        }
    }

    #[test]
    fn a_key_that_came_while_a_listing_went_on_has_its_own_state() {
        let store = Store::in_memory().unwrap();
        let keys = store.project(ByKind(Arc::default())).unwrap();
        store.append("s", (0..300).map(|n| NewEvent::new(format!("k.n{n:03}"))).collect::<Vec<_>>()).unwrap();
        keys.catch_up().unwrap();
        let mut first = true;
        let listed = keys
            .list(|_| {
                if std::mem::take(&mut first) {
                    store.append("s", NewEvent::new("zz.new")).unwrap();
                    keys.catch_up().unwrap();
                }
                true
            })
            .unwrap();
        let new: Vec<_> = listed.iter().filter(|r| r.of == "zz.new").collect();
        assert!(new.iter().all(|r| r.state == 1));
    }

    #[test]
    fn what_is_retried_while_a_listing_goes_on_is_folded_once() {
        let store = Store::in_memory().unwrap();
        let knobs = Arc::<Knobs>::default();
        let keys = store.project(ByKind(knobs.clone())).unwrap();
        *knobs.projected.lock().unwrap() = Some(keys.clone());
        let append = |kind: &'static str| drop(store.append("s", NewEvent::new(kind)).unwrap());
        let _ = ["key.a", "key.b"].map(append);
        keys.catch_up().unwrap();
        knobs.broken.store(true, SeqCst);
        let _ = ["key.c", "key.a", "key.b"].map(append);
        keys.catch_up().unwrap();
        append("key.b");
        knobs.armed.store(true, SeqCst);
        let listed = keys.list(|_| true).unwrap();
        *knobs.projected.lock().unwrap() = None;
        assert!(!knobs.armed.load(SeqCst));
        assert_eq!(listed.iter().find(|r| r.of == "key.b").unwrap().state, 3);
    }
}
