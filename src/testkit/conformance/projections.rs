//! States equal a plain fold from the start, whatever was stored, lost or rebuilt in between.

use super::case::{CaseOutcome, Stop, cases};
use super::checks::{
    crashed, empty, equal, everything, holds, number, numbered, numbers, read, refused, reopened, run_of,
};
use super::home::Home;
use crate::error::{Error, Result};
use crate::event::{Event, NewEvent};
use crate::project::{ApplyError, Emit, Projected, Projection, Scope};
use crate::store::{Builder, Query, Store};

cases! { "projections":
    the_state_at_any_address_is_a_fold_up_to_it,
    the_state_of_a_session_is_a_fold_of_its_branches_together,
    the_state_of_a_session_that_begins_again_has_what_is_left,
    the_state_of_a_key_is_a_fold_over_all_sessions,
    a_key_has_its_state_while_states_are_being_built,
    a_rebuild_gives_the_same_states,
    a_raised_event_is_recorded_once,
    states_are_exact_after_reopening,
    another_version_is_rebuilt_after_reopening,
    states_are_exact_after_a_crash,
}

/// Lists what it has folded, in order, so that any two different folds differ in it.
#[derive(Clone)]
struct Folded {
    name: String,
    scope: Scope,
    version: u32,
    raises: bool,
}

impl Folded {
    fn by(scope: Scope) -> Self {
        let by = match scope {
            Scope::Branch => "branch",
            Scope::Session => "session",
            Scope::Key => "key",
        };
        Self { name: format!("conformance_by_{by}"), scope, version: 1, raises: false }
    }
}

impl Projection for Folded {
    type State = Vec<u64>;

    fn name(&self) -> &str {
        &self.name
    }

    fn version(&self) -> u32 {
        self.version
    }

    fn scope(&self) -> Scope {
        self.scope
    }

    fn key(&self, event: &Event) -> Option<String> {
        key(event)
    }

    fn apply(&self, folded: &mut Vec<u64>, event: &Event) -> Result<(), ApplyError> {
        folded.push(event.json::<u64>()? * u64::from(self.version));
        Ok(())
    }

    fn reacts(&self) -> bool {
        self.raises
    }

    fn react(&self, _: &Vec<u64>, after: &Vec<u64>, event: &Event) -> Vec<Emit> {
        let is_third = after.len() == 3 && event.kind() == "step.done";
        let raised = || Emit::new("third", NewEvent::new("step.counted").json_text("3"));
        is_third.then(raised).into_iter().collect()
    }
}

/// Three keys, and events without one.
fn key(event: &Event) -> Option<String> {
    match number(event).ok()? % 4 {
        3 => None,
        n => Some(format!("key-{n}")),
    }
}

/// Two sessions; one has a fork of a fork.
fn fill(store: &Store) -> Result<()> {
    store.append("s", run_of(0..6))?;
    store.fork("s@4", "b")?;
    store.append("s/b", run_of(10..15))?;
    store.fork("s/b@7", "c")?;
    store.append("t", run_of(20..24))?;
    store.append("s/c", run_of(30..33))?;
    store.append("s", run_of(40..43))?;
    Ok(())
}

/// Every state of every branch, session and key equals the fold of what is read.
fn states(store: &Store, version: u32) -> CaseOutcome {
    let of = |scope| store.project(Folded { version, ..Folded::by(scope) });
    states_of(store, &of(Scope::Branch)?, &of(Scope::Session)?, &of(Scope::Key)?, u64::from(version))
}

fn states_of(
    store: &Store,
    by_branch: &Projected<Vec<u64>>,
    by_session: &Projected<Vec<u64>>,
    by_key: &Projected<Vec<u64>>,
    times: u64,
) -> CaseOutcome {
    let folded = |events: &[Event]| -> Result<Vec<u64>, Stop> {
        Ok(numbers(events)?.into_iter().map(|n| n * times).collect())
    };
    for info in store.sessions(None, 100)? {
        for branch in store.branches(&info.session)? {
            let address = branch.place.to_string();
            let due = folded(&read(store, Query::branch(address.as_str())?)?)?;
            equal(&address, by_branch.state(address.as_str())?, due.clone())?;
            for n in 0..=due.len() {
                let at = format!("{address}@{n}");
                equal(&at, &*by_branch.state(at.as_str())?, due.get(..n).unwrap_or_default())?;
            }
            refused!(
                by_branch.state(format!("{address}@{}", due.len() + 1).as_str()),
                Error::NotFound { .. }
            );
        }
        let due = folded(&read(store, Query::session(&info.session)?)?)?;
        equal("of a session", by_session.state(info.session.as_str())?, due)?;
    }
    let all = everything(store)?;
    for name in ["key-0", "key-1", "key-2"] {
        let with: Vec<Event> = all.iter().filter(|e| key(e).as_deref() == Some(name)).cloned().collect();
        equal(name, by_key.state_of(name)?, folded(&with)?)?;
    }
    refused!(by_key.state_of("key-3"), Error::NotFound { .. });
    Ok(())
}

fn the_state_at_any_address_is_a_fold_up_to_it(home: &mut dyn Home) -> CaseOutcome {
    let store = home.create(Builder::new().flush_after(8, 1 << 20))?;
    fill(&store)?;
    let by_branch = store.project(Folded::by(Scope::Branch))?;
    equal("a fork of a fork", by_branch.state("s/c")?, vec![0, 1, 2, 3, 10, 11, 12, 30, 31, 32])?;
    states(&store, 1)?;
    // Again with stored snapshots, and then with more appends after them.
    by_branch.catch_up()?;
    equal("how late it is", by_branch.lag()?, 0)?;
    states(&store, 1)?;
    store.append("s/c", run_of(50..53))?;
    states(&store, 1)
}

fn the_state_of_a_session_is_a_fold_of_its_branches_together(home: &mut dyn Home) -> CaseOutcome {
    let store = empty(home)?;
    let by_session = store.project(Folded::by(Scope::Session))?;
    store.append("s", run_of(1..=2))?;
    store.fork("s@1", "b")?;
    store.append("s/b", numbered(3))?;
    store.append("t", numbered(4))?;
    store.append("s", numbered(5))?;
    for _ in 0..2 {
        equal("the session", by_session.state("s")?, vec![1, 2, 3, 5])?;
        equal("the other", by_session.state("t")?, vec![4])?;
        by_session.catch_up()?;
    }
    Ok(())
}

fn the_state_of_a_session_that_begins_again_has_what_is_left(home: &mut dyn Home) -> CaseOutcome {
    let (session, other) = ("s".try_into()?, "t".try_into()?);
    for behind in [false, true] {
        let store = empty(home)?;
        let mut sessions = store.project(Folded::by(Scope::Session))?;
        let settle = |sessions: &Projected<Vec<u64>>| if behind { Ok(()) } else { sessions.catch_up() };
        store.append("s", run_of(1..=3))?;
        store.fork("s@1", "b")?;
        store.append("s/b", numbered(4))?;
        store.append("t", run_of(5..=6))?;
        settle(&sessions)?;
        equal("a session", sessions.state("s")?, vec![1, 2, 3, 4])?;
        // One of two branches is deleted: what it had is in the state, and what is left once another begins in its place.
        store.append("t", numbered(7))?;
        store.fork("t", "b")?;
        store.append("t/b", numbered(8))?;
        settle(&sessions)?;
        store.lifecycle().delete("t")?;
        store.append("t", numbered(9))?;
        equal("what is left", sessions.state("t")?, vec![8, 9])?;
        settle(&sessions)?;
        store.append("t/b", numbered(10))?;
        settle(&sessions)?;
        equal("what is left", sessions.state("t")?, vec![8, 9, 10])?;
        // All are deleted.
        store.lifecycle().delete_session(&session)?;
        refused!(sessions.state("s"), Error::NotFound { .. });
        store.append("s", run_of(11..=12))?;
        equal("a new one", sessions.state("s")?, vec![11, 12])?;
        settle(&sessions)?;
        store.append("s", numbered(13))?;
        let is_right = |sessions: &Projected<Vec<u64>>| -> CaseOutcome {
            equal("a new one", sessions.state("s")?, vec![11, 12, 13])?;
            equal("what is left", sessions.state("t")?, vec![8, 9, 10])?;
            let changes: Vec<u64> = sessions
                .history("s")?
                .map(|change| Ok(change?.state.last().copied().unwrap_or_default()))
                .collect::<Result<_>>()?;
            equal("its history", changes, vec![11, 12, 13])?;
            let listed = sessions.list(|_| true)?;
            let listed: Vec<(&str, usize)> =
                listed.iter().map(|reading| (reading.of.as_str(), reading.state.len())).collect();
            equal("the listing", listed, vec![("s", 3), ("t", 3)])
        };
        is_right(&sessions)?;
        sessions.catch_up()?;
        is_right(&sessions)?;
        if home.has_maintenance() {
            store.lifecycle().purge()?;
            is_right(&sessions)?;
        }
        sessions.rebuild()?.wait()?;
        is_right(&sessions)?;
        let store = match reopened(home, store, &Builder::new()) {
            Ok(store) => store,
            Err(Stop::Lacks(_)) => continue,
            Err(stop) => return Err(stop),
        };
        sessions = store.project(Folded::by(Scope::Session))?;
        is_right(&sessions)?;
        // And once more.
        store.lifecycle().delete_session(&session)?;
        store.lifecycle().delete_session(&other)?;
        holds("nothing is listed", sessions.list(|_| true)?.is_empty())?;
        store.append("s", numbered(14))?;
        equal("another new one", sessions.state("s")?, vec![14])?;
        sessions.catch_up()?;
        equal("another new one", sessions.state("s")?, vec![14])?;
    }
    Ok(())
}

fn the_state_of_a_key_is_a_fold_over_all_sessions(home: &mut dyn Home) -> CaseOutcome {
    let store = empty(home)?;
    let by_key = store.project(Folded::by(Scope::Key))?;
    store.append("s", run_of([0, 1, 3, 4]))?;
    store.append("t", run_of([8, 5]))?;
    for _ in 0..2 {
        equal("a key", by_key.state_of("key-0")?, vec![0, 4, 8])?;
        equal("another", by_key.state_of("key-1")?, vec![1, 5])?;
        refused!(by_key.state_of("key-2"), Error::NotFound { .. });
        by_key.catch_up()?;
    }
    let mut listed: Vec<String> = by_key.list(|_| true)?.into_iter().map(|reading| reading.of).collect();
    listed.sort_unstable();
    equal("keys", listed, vec!["key-0".to_owned(), "key-1".to_owned()])
}

fn a_key_has_its_state_while_states_are_being_built(home: &mut dyn Home) -> CaseOutcome {
    let store = empty(home)?;
    store.append("s", run_of(0..60))?;
    let due: Vec<u64> = (0..60).filter(|n| n % 4 == 1).collect();
    for round in 0..40 {
        let name = format!("conformance_built_{round}");
        let by_key = store.project(Folded { name, ..Folded::by(Scope::Key) })?;
        // Queried continuously, from before the first snapshot until after the last.
        loop {
            let is_built = by_key.rebuilding().is_none() && by_key.lag()? == 0;
            equal("the key", by_key.state_of("key-1")?, due.clone())?;
            if is_built {
                break;
            }
        }
    }
    Ok(())
}

fn a_rebuild_gives_the_same_states(home: &mut dyn Home) -> CaseOutcome {
    let store = empty(home)?;
    fill(&store)?;
    let all = [Scope::Branch, Scope::Session, Scope::Key].map(|scope| store.project(Folded::by(scope)));
    for projected in all {
        let projected = projected?;
        projected.catch_up()?;
        let rebuild = projected.rebuild()?;
        holds("it is built to its end", rebuild.wait()?)?;
        projected.catch_up()?;
    }
    states(&store, 1)?;
    let versions: Vec<Option<u32>> =
        store.projections().list()?.into_iter().map(|info| info.version).collect();
    equal("projections", versions, vec![Some(1); 3])
}

fn raised(store: &Store) -> Result<usize> {
    Ok(everything(store)?.iter().filter(|e| e.kind() == "step.counted").count())
}

fn a_raised_event_is_recorded_once(home: &mut dyn Home) -> CaseOutcome {
    let store = empty(home)?;
    let projected = store.project(Folded { raises: true, ..Folded::by(Scope::Branch) })?;
    store.append("s", run_of(1..=5))?;
    store.append("t", run_of(1..=2))?;
    projected.catch_up()?;
    equal("what was raised", raised(&store)?, 1)?;
    holds("a rebuild is built to its end", projected.rebuild()?.wait()?)?;
    projected.catch_up()?;
    equal("what was raised after a rebuild", raised(&store)?, 1)?;
    store.append("t", numbered(3))?;
    projected.catch_up()?;
    equal("what was raised for the other", raised(&store)?, 2)
}

fn states_are_exact_after_reopening(home: &mut dyn Home) -> CaseOutcome {
    let settings = Builder::new();
    let mut store = home.create(settings.clone())?;
    fill(&store)?;
    states(&store, 1)?;
    for _ in 0..2 {
        store = reopened(home, store, &settings)?;
        states(&store, 1)?;
        store.append("s/b", run_of(60..63))?;
    }
    let store = reopened(home, store, &settings.read_only())?;
    states(&store, 1)
}

fn another_version_is_rebuilt_after_reopening(home: &mut dyn Home) -> CaseOutcome {
    let settings = Builder::new();
    let store = home.create(settings.clone())?;
    fill(&store)?;
    store.project(Folded::by(Scope::Branch))?.catch_up()?;
    let other = Folded { version: 2, ..Folded::by(Scope::Branch) };
    refused!(store.project(other.clone()), Error::Exists { .. });
    let store = reopened(home, store, &settings)?;
    states(&store, 2)?;
    store.project(other)?.catch_up()?;
    states(&store, 2)
}

fn states_are_exact_after_a_crash(home: &mut dyn Home) -> CaseOutcome {
    let settings = Builder::new();
    let store = home.create(settings.clone())?;
    fill(&store)?;
    states(&store, 1)?;
    let found = crashed(home, &settings)?;
    states(&found, 1)?;
    store.project(Folded::by(Scope::Branch))?.catch_up()?;
    found.append("s/c", run_of(70..75))?;
    let found = crashed(home, &settings)?;
    states(&found, 1)
}
