//! What an idle follower costs in memory, and an import. A program of its own: its allocator counts.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::alloc::System;
use std::future::Future;
use std::pin::pin;
use std::sync::{Mutex, PoisonError};
use std::task::{Context, Poll, Waker};

use cap::Cap;
use retold::{Follow, Followed, Following, NewEvent, Store};

#[global_allocator]
static HEAP: Cap<System> = Cap::new(System, usize::MAX);

/// What is counted is the whole program's: one test at a time.
static ALONE: Mutex<()> = Mutex::new(());

const FOLLOWERS: usize = 10_000;
const BYTES_EACH: usize = 4_096;

fn name(n: usize) -> String {
    format!("session-{n:05}")
}

/// Polls a follower until it waits.
fn rest(following: &mut Following) {
    let mut told = false;
    loop {
        let mut next = pin!(following.next());
        match next.as_mut().poll(&mut Context::from_waker(Waker::noop())) {
            Poll::Pending => return assert!(told, "it waits, and did not say that it has caught up"),
            Poll::Ready(item) => {
                let item = item.unwrap().unwrap();
                told |= matches!(item, Followed::CaughtUp { .. });
            }
        }
    }
}

/// No runtime: a follower then does its reading where it is polled, so all of it is done when it waits.
fn idle(store: &Store, follow: impl Fn(String) -> Follow) -> (usize, usize) {
    let before = HEAP.allocated();
    let mut all = Vec::with_capacity(FOLLOWERS);
    for n in 0..FOLLOWERS {
        let mut following = store.follow(follow(name(n))).unwrap();
        rest(&mut following);
        all.push(following);
    }
    let held = HEAP.allocated().saturating_sub(before);
    drop(all);
    (held / FOLLOWERS, HEAP.allocated().saturating_sub(before))
}

#[test]
fn an_idle_follower_holds_less_than_four_kibibytes_and_leaves_nothing() {
    let _alone = ALONE.lock().unwrap_or_else(PoisonError::into_inner);
    let store = Store::in_memory().unwrap();
    for n in 0..FOLLOWERS {
        store.append(name(n).as_str(), NewEvent::new("run.started")).unwrap();
    }
    store.maintenance().flush().unwrap();
    // The caches of the store fill up before anything is counted.
    idle(&store, |session| Follow::branch(session).unwrap());
    for (what, follow) in [
        ("a branch", (|s| Follow::branch(s).unwrap()) as fn(String) -> Follow),
        ("a branch, from its end", |s| Follow::branch(s).unwrap().from_end()),
        ("a session", |s| Follow::session(s).unwrap()),
        ("a session that is not there yet", |s| Follow::session(format!("later-{s}")).unwrap()),
        ("everything", |_| Follow::all().from_end()),
    ] {
        let (each, left) = idle(&store, follow);
        println!("{what}: {each} bytes a follower, {left} bytes left when all are gone");
        assert!(each < BYTES_EACH, "{what}: {each} bytes a follower");
        assert!(left < 64 * FOLLOWERS, "{what}: {left} bytes are left");
    }
}

#[test]
fn a_follower_that_stops_does_not_hold_what_was_committed_since() {
    let _alone = ALONE.lock().unwrap_or_else(PoisonError::into_inner);
    let folder = tempfile::tempdir().unwrap();
    let store = Store::builder().cache_bytes(1 << 20).open(folder.path().join("s.redb")).unwrap();
    let mut stopped: Vec<Following> =
        (0..100).map(|n| store.follow(Follow::session(name(n)).unwrap()).unwrap()).collect();
    stopped.iter_mut().for_each(rest);
    for n in 0..100 {
        for size in [1 << 20, 100, 300_000, 10] {
            let event = NewEvent::new("step.done").bytes("text/plain", vec![b'x'; size]);
            store.append(name(n).as_str(), event).unwrap();
        }
    }
    store.maintenance().flush().unwrap();
    let before = HEAP.allocated();
    drop(stopped);
    let each = before.saturating_sub(HEAP.allocated()) / 100;
    println!("{each} bytes a follower that stopped");
    assert!(each < BYTES_EACH + 2_048, "{each} bytes a follower that stopped");
}

/// A record a line, each of about two kilobytes.
fn transcript(path: &std::path::Path, records: usize) -> usize {
    use std::io::Write;
    let mut file = std::io::BufWriter::new(std::fs::File::create(path).unwrap());
    let words = "word ".repeat(360);
    let mut bytes = 0;
    for n in 0..records {
        let parent = if n == 0 { "null".to_owned() } else { format!("\"{:032x}\"", n - 1) };
        let line = format!(
            "{{\"sessionId\":\"s\",\"uuid\":\"{n:032x}\",\"parentUuid\":{parent},\"type\":\"user\",\"message\":{{\"content\":\"{words}\"}}}}\n"
        );
        file.write_all(line.as_bytes()).unwrap();
        bytes += line.len();
    }
    file.flush().unwrap();
    bytes
}

#[test]
fn an_import_holds_a_part_of_its_file() {
    let _alone = ALONE.lock().unwrap_or_else(PoisonError::into_inner);
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("t.jsonl");
    let bytes = transcript(&path, 40_000);
    let store = Store::builder().cache_bytes(1 << 20).open(folder.path().join("s.redb")).unwrap();
    let before = HEAP.allocated();
    let mut most = 0;
    let loaded = retold::agents::interop::load_file(
        &store,
        &path,
        &retold::agents::interop::Options::default(),
        &mut |_| {
            most = most.max(HEAP.allocated().saturating_sub(before));
            std::ops::ControlFlow::Continue(())
        },
    );
    assert_eq!(loaded.unwrap().new, 40_000);
    println!("{most} bytes for a file of {bytes}");
    assert!(most < bytes * 7 / 10, "{most} bytes for a file of {bytes}");
}
