//! The machine and the wake-ups of this module in thousands of schedules, over a small store: a writer, a flusher,
//! followers that come early, late, and go. The driver is that of `stream.rs` without its I/O; each way to get it wrong
//! that is known is kept, and has to be caught.

use std::sync::{Arc, LazyLock};

use shuttle::future::block_on;
use shuttle::rand::{Rng, thread_rng};
use shuttle::sync::atomic::{AtomicU8, Ordering};
use shuttle::sync::{Condvar, Mutex};
use shuttle::thread;
use tokio::sync::broadcast::error::RecvError;

use super::machine::{FollowOrder, FollowStep, Input, Machine};
use super::wake::{Subscription, WakeFrame, Wakes};
use crate::codec::encode_record;
use crate::event::{Event, NewEvent, Place, Position, Record, Sequence, SessionId, Timestamp};
use crate::limits::FOLLOW_BUFFER;
use crate::store::Observer;
use crate::testkit::{FOLLOW_SCHEDULES, caught, explore};

/// What is changed about the driver, or about the store's way to read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Wrong {
    Nothing,
    ReadBeforeSubscribe,
    FirstCursor,
    FramesUnchecked,
    LagIgnored,
    FlushedBeforeTail,
    WakesBeforeItCanBeRead,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum FollowScope {
    All,
    Session,
    Branch,
}

impl FollowScope {
    fn order(self) -> FollowOrder {
        if self == Self::Session { FollowOrder::Increasing } else { FollowOrder::Dense }
    }

    fn has(self, event: &Event) -> bool {
        match self {
            Self::All => true,
            Self::Session => event.session().as_str() == "a",
            Self::Branch => event.session().as_str() == "a" && event.branch().as_str() == "main",
        }
    }

    fn number(self, event: &Event) -> u64 {
        if self == Self::Branch { event.sequence().get() } else { event.position().get() }
    }

    fn session(self) -> Option<SessionId> {
        (self != Self::All).then(|| PLACES[0].session.clone())
    }
}

static PLACES: LazyLock<[Arc<Place>; 3]> = LazyLock::new(|| {
    ["a", "a/b", "c"]
        .map(|address| Arc::new(address.parse::<crate::event::Address>().unwrap().place().clone()))
});
static RECORD: LazyLock<Record> =
    LazyLock::new(|| encode_record(&NewEvent::new("step.done"), 1_024).unwrap());
const PAGE: usize = 3;

/// What is committed and not yet flushed, and what the store knows of itself.
#[derive(Default)]
struct Tail {
    events: Vec<Event>,
    /// Everything that was ever committed: what the followers are due.
    log: Vec<Event>,
    committed: u64,
    heads: [u64; 3],
}

impl Tail {
    fn add(&mut self, new: &[Event]) {
        self.events.extend_from_slice(new);
        self.log.extend_from_slice(new);
    }
}

struct World {
    tail: Mutex<Tail>,
    flushed: Mutex<Vec<Event>>,
    wakes: Arc<Wakes>,
    /// Events that each follower has delivered, and whether it has ended.
    seen: Mutex<Vec<Vec<u64>>>,
    progress: Condvar,
    point: AtomicU8,
    wrong: Wrong,
}

impl World {
    fn new(wrong: Wrong, followers: usize) -> Arc<Self> {
        Arc::new(Self {
            tail: Mutex::default(),
            flushed: Mutex::default(),
            wakes: Arc::default(),
            seen: Mutex::new(vec![Vec::new(); followers]),
            progress: Condvar::new(),
            point: AtomicU8::new(0),
            wrong,
        })
    }

    /// A place where another may run: the locks of `Wakes` are not the explorer's.
    fn point(&self) {
        self.point.load(Ordering::SeqCst);
    }

    /// The events of one commit, readable from here on.
    fn commit(&self, tail: &mut Tail, place: Option<usize>) -> Vec<Event> {
        let count = thread_rng().gen_range(1..=3u64);
        let new: Vec<Event> = (0..count)
            .map(|_| {
                let at = place.unwrap_or_else(|| thread_rng().gen_range(0..PLACES.len()));
                tail.committed += 1;
                tail.heads[at] += 1;
                let (sequence, position) = (Sequence::new(tail.heads[at]), Position::new(tail.committed));
                Event::new(PLACES[at].clone(), sequence, position, Timestamp::from_micros(0), RECORD.clone())
            })
            .collect();
        tail.add(&new);
        new
    }

    fn write(&self, commits: usize) {
        for _ in 0..commits {
            if thread_rng().gen_bool(0.1) {
                // More than a channel holds, while nobody gets to run; all but the first are of one branch.
                let mut tail = self.tail.lock().unwrap();
                let place = thread_rng().gen_range(0..PLACES.len());
                for n in 0..=FOLLOW_BUFFER {
                    let new = self.commit(&mut tail, (n > 0).then_some(place));
                    self.wakes.send(&new);
                }
            } else if self.wrong == Wrong::WakesBeforeItCanBeRead {
                let mut next = Tail::default();
                {
                    let tail = self.tail.lock().unwrap();
                    (next.committed, next.heads) = (tail.committed, tail.heads);
                }
                let new = self.commit(&mut next, None);
                self.wakes.send(&new);
                self.point();
                let mut tail = self.tail.lock().unwrap();
                tail.add(&new);
                (tail.committed, tail.heads) = (next.committed, next.heads);
            } else {
                let new = self.commit(&mut self.tail.lock().unwrap(), None);
                self.point();
                self.wakes.send(&new);
            }
        }
    }

    fn flush(&self) {
        let moved = {
            let tail = self.tail.lock().unwrap();
            let count = thread_rng().gen_range(0..=tail.events.len());
            tail.events[..count].to_vec()
        };
        self.flushed.lock().unwrap().extend_from_slice(&moved);
        self.tail.lock().unwrap().events.drain(..moved.len());
    }

    fn committed(&self, scope: FollowScope) -> u64 {
        let tail = self.tail.lock().unwrap();
        if scope == FollowScope::Branch { tail.heads[0] } else { tail.committed }
    }

    /// The tail first, then what is flushed: what flushes in between is in both.
    fn page(&self, scope: FollowScope, after: u64, to: u64) -> Vec<Event> {
        let ours = |e: &&Event| scope.has(e) && scope.number(e) > after && scope.number(e) <= to;
        let tail = || self.tail.lock().unwrap().events.iter().filter(ours).cloned().collect::<Vec<_>>();
        let flushed = || self.flushed.lock().unwrap().iter().filter(ours).cloned().collect::<Vec<_>>();
        let (flushed, tail) = if self.wrong == Wrong::FlushedBeforeTail {
            let flushed = flushed();
            (flushed, tail())
        } else {
            let tail = tail();
            (flushed(), tail)
        };
        let first = tail.first().map_or(u64::MAX, |e| e.position().get());
        let old = flushed.into_iter().filter(|e| e.position().get() < first);
        old.chain(tail).take(PAGE).collect()
    }

    fn deliver(&self, follower: usize, number: u64) {
        self.seen.lock().unwrap()[follower].push(number);
        self.progress.notify_all();
    }

    fn due(&self, scope: FollowScope) -> Vec<u64> {
        let tail = self.tail.lock().unwrap();
        tail.log.iter().filter(|e| scope.has(e)).map(|e| scope.number(e)).collect()
    }

    /// Until every follower has what it is due. Nothing more is committed, so nothing else will wake it.
    fn wait_until_all_is_delivered(&self, due: &[Vec<u64>]) {
        let mut seen = self.seen.lock().unwrap();
        while seen.iter().zip(due).any(|(seen, due)| seen.len() < due.len()) {
            seen = self.progress.wait(seen).unwrap();
        }
    }
}

/// The driver, step by step as `stream.rs` has it. Leaves after so many events.
fn follow(world: &World, me: usize, scope: FollowScope, leaves_after: usize) {
    let subscribe = || {
        world.point();
        world.wakes.subscribe(scope.session())
    };
    let mut subscription: Option<Subscription> = (world.wrong != Wrong::ReadBeforeSubscribe).then(subscribe);
    let mut machine = Machine::new(scope.order(), 0);
    let (mut step, mut told, mut left, mut first_noted) = (FollowStep::Note, 0, leaves_after, None);
    loop {
        let input = match step {
            FollowStep::Note => {
                let noted = world.committed(scope);
                first_noted.get_or_insert(noted);
                Input::Noted(noted)
            }
            FollowStep::Read { after, to } => {
                let page = world.page(scope, after, to);
                let empty = page.is_empty();
                for event in page {
                    let number = scope.number(&event);
                    if machine.take(number).expect("a page continues what was scanned") {
                        world.deliver(me, number);
                        left -= 1;
                        if left == 0 {
                            return;
                        }
                    }
                }
                Input::PageEnded { empty }
            }
            FollowStep::TellCaughtUp => {
                told += 1;
                Input::Told
            }
            FollowStep::Wait => {
                let subscription = subscription.get_or_insert_with(subscribe);
                match wait(subscription) {
                    Err(RecvError::Lagged(_)) if world.wrong == Wrong::LagIgnored => continue,
                    Err(RecvError::Closed) => Input::Closed,
                    Err(RecvError::Lagged(_)) | Ok(WakeFrame { events: None, .. }) => Input::Woken,
                    Ok(WakeFrame { after, events: Some(events) }) => {
                        let ours: Vec<u64> =
                            events.iter().filter(|e| scope.has(e)).map(|e| scope.number(e)).collect();
                        let Some(first) = ours.first() else { continue };
                        let unchecked = matches!(world.wrong, Wrong::FramesUnchecked | Wrong::FirstCursor);
                        if !unchecked && !machine.continues(*first, after) {
                            Input::Woken
                        } else {
                            for number in ours {
                                let takes = match world.wrong {
                                    Wrong::FramesUnchecked => true,
                                    Wrong::FirstCursor => first_noted.is_none_or(|noted| number > noted),
                                    _ => machine.take(number).expect("a frame continues what was scanned"),
                                };
                                if takes {
                                    world.deliver(me, number);
                                    left -= 1;
                                    if left == 0 {
                                        return;
                                    }
                                }
                            }
                            continue;
                        }
                    }
                }
            }
            FollowStep::End => break,
        };
        step = machine.next(input).expect("the store keeps its promises");
    }
    assert_eq!(told, 1, "catching up is told once");
}

fn wait(subscription: &mut Subscription) -> Result<WakeFrame, RecvError> {
    match &mut subscription.receiver {
        None => Err(RecvError::Closed),
        Some(receiver) => block_on(receiver.recv()),
    }
}

/// A store's life: a writer and a flusher, three followers of three kinds, one that leaves and one that comes in its
/// place, then the end. `quiet` waits for everything to be delivered before the end, which would wake everybody.
fn life(wrong: Wrong) {
    const WHO: [(FollowScope, usize); 5] = [
        (FollowScope::All, usize::MAX),
        (FollowScope::Session, usize::MAX),
        (FollowScope::Branch, usize::MAX),
        (FollowScope::Session, 2),
        (FollowScope::Session, usize::MAX),
    ];
    let world = World::new(wrong, WHO.len());
    let spawn = |me: usize| {
        let (world, (scope, leaves_after)) = (world.clone(), WHO[me]);
        thread::spawn(move || follow(&world, me, scope, leaves_after))
    };
    let mut followers: Vec<_> = (0..3).map(spawn).collect();
    let leaver = world.clone();
    followers.push(thread::spawn(move || {
        follow(&leaver, 3, WHO[3].0, WHO[3].1);
        follow(&leaver, 4, WHO[4].0, WHO[4].1);
    }));
    let writer = thread::spawn({
        let world = world.clone();
        move || world.write(5)
    });
    let flusher = thread::spawn({
        let world = world.clone();
        move || (0..2).for_each(|_| world.flush())
    });
    let quiet = thread_rng().gen_bool(0.5);
    writer.join().unwrap();
    let mut due: Vec<Vec<u64>> = WHO.iter().map(|(scope, _)| world.due(*scope)).collect();
    due[3].truncate(WHO[3].1);
    if quiet && due[3].len() == WHO[3].1 {
        world.wait_until_all_is_delivered(&due);
    }
    world.wakes.closed();
    followers.into_iter().for_each(|f| f.join().unwrap());
    flusher.join().unwrap();
    assert_eq!(*world.seen.lock().unwrap(), due, "each event once, in order, without a hole");
}

#[test]
fn every_event_is_delivered_once_in_order_and_the_end_comes() {
    explore(FOLLOW_SCHEDULES, || life(Wrong::Nothing));
}

/// The known wrong orders, and what each is caught with.
#[test]
fn what_is_known_to_be_wrong_is_caught() {
    for (wrong, with) in [
        (Wrong::ReadBeforeSubscribe, "deadlock"),
        (Wrong::FirstCursor, "each event once"),
        (Wrong::FramesUnchecked, "each event once"),
        (Wrong::LagIgnored, "deadlock"),
        (Wrong::FlushedBeforeTail, "each event once"),
        (Wrong::WakesBeforeItCanBeRead, "deadlock"),
    ] {
        let text = caught(4_000, move || life(wrong));
        assert!(text.contains(with), "{wrong:?} was caught with: {text}");
    }
}
