//! Followers on an engine that does not tell of every commit, as one whose store others write, too.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::task::Poll;
use std::time::Duration;

use crate::engine::{Committed, Engine, EngineLayer, SidecarTable, SidecarTables, Watcher, open_in_memory};
use crate::event::NewEvent;
use crate::follow::{BlockingFollowing, Follow, Followed};
use crate::store::{Builder, Observer, Store};

/// What becomes of a commit's hint.
#[derive(Clone, Copy, Debug)]
enum Hint {
    Told,
    LeftOut,
    /// That there was one, and nothing more.
    Unseen,
}

/// The engine in memory, whose hints go by a script, again and again.
#[derive(Debug)]
struct Forgetful {
    engine: Arc<dyn Engine>,
    script: &'static [Hint],
    /// The engine below does not keep them.
    watchers: Mutex<Vec<Arc<dyn Watcher>>>,
}

#[derive(Debug)]
struct Forgetting {
    watcher: Arc<dyn Watcher>,
    script: &'static [Hint],
    commits: AtomicUsize,
}

impl Watcher for Forgetting {
    fn committed(&self, commit: &Committed<'_>) {
        match self.script[self.commits.fetch_add(1, Ordering::Relaxed) % self.script.len()] {
            Hint::Told => self.watcher.committed(commit),
            Hint::LeftOut => {}
            Hint::Unseen => self.watcher.committed(&Committed::new(&[], &[], &[])),
        }
    }

    fn closed(&self) {
        self.watcher.closed();
    }
}

impl EngineLayer for Forgetful {
    fn below(&self) -> &dyn Engine {
        &*self.engine
    }

    fn watch(&self, watcher: &Arc<dyn Watcher>) {
        let (watcher, commits) = (watcher.clone(), AtomicUsize::new(0));
        let forgetting: Arc<dyn Watcher> = Arc::new(Forgetting { watcher, script: self.script, commits });
        self.engine.watch(&forgetting);
        self.watchers.lock().unwrap().push(forgetting);
    }
}

fn store(script: &'static [Hint]) -> Store {
    let (engine, watchers) = (open_in_memory(false), Mutex::default());
    Builder::new().on(Arc::new(Forgetful { engine, script, watchers })).unwrap()
}

fn append(store: &Store, address: &str) {
    store.append(address, NewEvent::new("a.b")).unwrap();
}

/// A follower that waits for what is new.
fn waiting(store: &Store, follow: Follow) -> BlockingFollowing {
    let mut following = store.follow(follow.wait_for_start()).unwrap().blocking();
    assert_eq!(next(&mut following), None);
    following
}

/// The position of the next event, none when it has caught up.
fn next(following: &mut BlockingFollowing) -> Option<u64> {
    match following.next_within(Duration::from_secs(60)) {
        Poll::Ready(Some(item)) => item.map(Followed::event).unwrap().map(|event| event.position().get()),
        other => panic!("{other:?}"),
    }
}

/// Lets it come to where it waits for a hint.
fn settle(following: &mut BlockingFollowing) {
    assert!(following.next_within(Duration::ZERO).is_pending());
}

fn every_scope() -> [Follow; 3] {
    [Follow::branch("s").unwrap(), Follow::session("s").unwrap(), Follow::all()]
}

#[test]
fn what_was_left_out_is_read_when_a_later_commit_is_told() {
    for follow in every_scope() {
        let store = store(&[Hint::Told, Hint::Told, Hint::LeftOut]);
        let mut following = waiting(&store, follow);
        append(&store, "s");
        append(&store, "s");
        assert_eq!((next(&mut following), next(&mut following)), (Some(1), Some(2)));
        settle(&mut following);
        append(&store, "s");
        append(&store, "s");
        assert_eq!((next(&mut following), next(&mut following)), (Some(3), Some(4)));
    }
}

#[test]
fn what_was_left_out_is_read_when_a_commit_of_another_session_is_told() {
    for follow in every_scope() {
        let store = store(&[Hint::Told, Hint::LeftOut, Hint::Told]);
        let mut following = waiting(&store, follow);
        append(&store, "s");
        assert_eq!(next(&mut following), Some(1));
        settle(&mut following);
        append(&store, "s");
        append(&store, "t");
        assert_eq!(next(&mut following), Some(2));
    }
}

#[test]
fn an_unseen_commit_is_read_at_once() {
    for follow in every_scope() {
        let store = store(&[Hint::Unseen]);
        let mut following = waiting(&store, follow);
        for position in 1..=5 {
            settle(&mut following);
            append(&store, "s");
            assert_eq!(next(&mut following), Some(position));
        }
    }
}

#[derive(Debug, Default)]
struct Changed(Mutex<Vec<SidecarTables>>);

impl Observer for Changed {
    fn changed_beside(&self, tables: SidecarTables) {
        self.0.lock().unwrap().push(tables);
    }
}

#[test]
fn an_unseen_commit_may_have_changed_every_record() {
    let store = store(&[Hint::Unseen, Hint::Told]);
    let changed = store.handle().observer(Changed::default).unwrap();
    append(&store, "s");
    append(&store, "s");
    let told = changed.0.lock().unwrap();
    assert_eq!(told.len(), 1);
    assert!(SidecarTable::ALL.into_iter().all(|table| told[0].has(table)));
}

#[test]
fn a_fork_that_was_unseen_is_found_by_who_waits_for_it() {
    let store = store(&[Hint::Told, Hint::Unseen]);
    append(&store, "s");
    let mut following = waiting(&store, Follow::branch("s/b").unwrap());
    store.fork("s@1", "b").unwrap();
    assert_eq!(next(&mut following), Some(1));
}

#[test]
fn commits_of_two_sessions_that_are_all_told_are_followed_as_they_come() {
    let store = store(&[Hint::Told]);
    let mut following = waiting(&store, Follow::session("s").unwrap());
    for position in [1, 3, 5] {
        settle(&mut following);
        append(&store, "s");
        append(&store, "t");
        assert_eq!(next(&mut following), Some(position));
    }
}
