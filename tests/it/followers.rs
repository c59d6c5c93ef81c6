//! Ten thousand followers of ten thousand sessions: who is woken, and what one of them can cost the others.

use std::future::Future;
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::task::{Context, Poll, Wake, Waker};

use retold::{Batch, Expect, Follow, Followed, Following, Store};

use crate::support::{number, numbered};

const FOLLOWERS: u64 = 10_000;

/// Wake-ups are counted, not timed: a follower that is woken without need costs as much as one that is late.
#[derive(Default)]
struct Count {
    own: AtomicU64,
    all: Arc<AtomicU64>,
}

impl Wake for Count {
    fn wake(self: Arc<Self>) {
        self.own.fetch_add(1, Ordering::SeqCst);
        self.all.fetch_add(1, Ordering::SeqCst);
    }
}

struct Follower {
    following: Following,
    count: Arc<Count>,
}

impl Follower {
    fn new(store: &Store, follow: Follow, all: &Arc<AtomicU64>) -> Self {
        let count = Arc::new(Count { own: AtomicU64::new(0), all: all.clone() });
        Self { following: store.follow(follow).unwrap(), count }
    }

    /// The numbers of what it delivers until it waits. There is no runtime, so it reads where it is polled.
    fn drain(&mut self) -> Vec<u64> {
        let waker = Waker::from(self.count.clone());
        let mut found = Vec::new();
        loop {
            let mut next = pin!(self.following.next());
            match next.as_mut().poll(&mut Context::from_waker(&waker)) {
                Poll::Pending => return found,
                Poll::Ready(None) => return found,
                Poll::Ready(Some(Ok(Followed::Event { event, .. }))) => found.push(number(&event)),
                Poll::Ready(Some(item)) => drop(item.unwrap()),
            }
        }
    }

    fn woken(&self) -> u64 {
        self.count.own.load(Ordering::SeqCst)
    }
}

fn name(n: u64) -> String {
    format!("session-{n:05}")
}

#[test]
fn an_append_wakes_the_one_follower_of_its_session_and_no_other() {
    let store = Store::builder().flush_after(1_000, 1 << 20).in_memory().unwrap();
    let all = Arc::new(AtomicU64::new(0));
    let mut followers: Vec<Follower> = (0..FOLLOWERS)
        .map(|n| {
            let follow =
                if n % 2 == 0 { Follow::branch(name(n)).unwrap() } else { Follow::session(name(n)).unwrap() };
            Follower::new(&store, follow, &all)
        })
        .collect();
    assert!(followers.iter_mut().all(|f| f.drain().is_empty()));

    for n in (0..FOLLOWERS).step_by(37) {
        let before = all.load(Ordering::SeqCst);
        store.append(name(n).as_str(), numbered(n)).unwrap();
        assert_eq!(all.load(Ordering::SeqCst) - before, 1);
        let follower = &mut followers[n as usize];
        assert_eq!((follower.woken(), follower.drain()), (1, vec![n]));
    }
    // An append to a session that nobody follows wakes nobody, one over three sessions wakes three.
    let before = all.load(Ordering::SeqCst);
    store.append("nobody", numbered(0)).unwrap();
    assert_eq!(all.load(Ordering::SeqCst), before);
    let three = [1, 2, 3]
        .iter()
        .fold(Batch::new(), |batch, n| batch.add(name(*n).as_str(), Expect::Any, [numbered(*n)]).unwrap());
    store.append_batch(three).unwrap();
    assert_eq!(all.load(Ordering::SeqCst) - before, 3);

    // A follower that is gone is not there to be woken; its neighbours are.
    let gone = followers.split_off(FOLLOWERS as usize / 2);
    drop(gone);
    let before = all.load(Ordering::SeqCst);
    store.append(name(FOLLOWERS - 1).as_str(), numbered(0)).unwrap();
    assert_eq!(all.load(Ordering::SeqCst), before);
    store.append(name(10).as_str(), numbered(10)).unwrap();
    assert_eq!((all.load(Ordering::SeqCst) - before, followers[10].drain()), (1, vec![10]));
}

#[test]
fn one_that_stops_costs_the_others_nothing_and_receives_everything_when_it_goes_on() {
    const EVENTS: u64 = 5_000;
    let store = Store::builder().flush_after(300, 1 << 20).in_memory().unwrap();
    let all = Arc::new(AtomicU64::new(0));
    let everything = || Follower::new(&store, Follow::all(), &all);
    let (mut stopped, mut never_polled, mut busy) = (everything(), everything(), everything());
    let mut same_session = Follower::new(&store, Follow::session("s").unwrap(), &all);
    let mut stopped_there = Follower::new(&store, Follow::session("s").unwrap(), &all);
    for follower in [&mut stopped, &mut stopped_there, &mut busy, &mut same_session] {
        follower.drain();
    }
    for n in 1..=EVENTS {
        store.append("s", numbered(n)).unwrap();
        // One wake-up for each event, and each event at once: whoever stopped holds up nobody.
        assert_eq!((busy.woken(), busy.drain()), (n, vec![n]));
        assert_eq!((same_session.woken(), same_session.drain()), (n, vec![n]));
    }
    // Whoever stopped was called once, and not again while it did not come.
    assert_eq!((stopped.woken(), stopped_there.woken(), never_polled.woken()), (1, 1, 0));
    for follower in [&mut stopped, &mut stopped_there, &mut never_polled] {
        assert!(follower.drain().into_iter().eq(1..=EVENTS));
    }
    store.append("s", numbered(EVENTS + 1)).unwrap();
    for follower in [&mut stopped, &mut stopped_there, &mut never_polled] {
        assert_eq!(follower.drain(), [EVENTS + 1]);
    }
}
