//! The calls of a client: those that wait for their answer, and those that wait for room.

use std::collections::HashMap;
use std::task::Waker;
use std::time::{Duration, Instant};

use bytes::Bytes;
use tokio::sync::{mpsc, oneshot};

use super::hello::Lost;
use super::queue::{CallQueue, Caller, Load, Room};
use crate::limits::{SHARED_CALLS, SHARED_CLIENT_BYTES};
use crate::panics::caught;

/// Why a call has no answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Unanswered {
    /// The owner is gone. Whether anything of the call had been sent.
    Lost { sent: bool },
    /// The owner has said nothing for so long. Whether anything of the call had been sent.
    Silent { sent: bool },
    /// The engine was closed before it began.
    Closed,
}

pub(super) type Answer = Result<Bytes, Unanswered>;

/// Who waits for an answer.
#[derive(Debug)]
pub(super) enum Waiting {
    One(oneshot::Sender<Answer>),
    /// For progress, then the answer.
    Several(mpsc::UnboundedSender<Answer>),
}

/// An answer on its way. It wakes whoever waits, who may do anything: no lock is held meanwhile.
#[derive(Debug)]
#[must_use = "somebody waits for it"]
pub(super) struct Answered(Waiting, Answer);

impl Answered {
    pub(super) fn deliver(self) {
        let Self(waiting, answer) = self;
        // Whoever waited may have gone. What wakes one may panic, and others wait as well.
        let delivered = caught(|| match waiting {
            Waiting::One(waits) => drop(waits.send(answer)),
            Waiting::Several(waits) => drop(waits.send(answer)),
        });
        complain(delivered);
    }
}

/// Wakes those who wait for room, with no lock held.
pub(super) fn wake(woken: Vec<Waker>) {
    woken.into_iter().for_each(|waker| complain(caught(|| waker.wake())));
}

fn complain(woken: Result<(), String>) {
    if let Err(panic) = woken {
        tracing::error!(panic, "what waits for the owner of the store panicked when it was woken");
    }
}

/// A call that has begun: its number, and where its answer comes.
pub(super) type Begun = (u64, oneshot::Receiver<Answer>);

#[derive(Debug)]
struct Call {
    waiting: Waiting,
    load: Load,
    since: Instant,
}

/// What is under way, and thereby how much room there is. Only the link's thread and whoever gives up a call of their own take
/// calls out, so there is room again whether those who wait for their answers are polled or not.
#[derive(Debug)]
pub(super) struct CallTable {
    next: u64,
    calls: HashMap<u64, Call>,
    commits: usize,
    /// Of commits.
    bytes: usize,
    queue: CallQueue,
    lost: Option<Lost>,
    /// No commit begins any more.
    closed: bool,
    heard: Instant,
}

impl CallTable {
    pub(super) fn new() -> Self {
        Self {
            next: 1,
            calls: HashMap::new(),
            commits: 0,
            bytes: 0,
            queue: CallQueue::default(),
            lost: None,
            closed: false,
            heard: Instant::now(),
        }
    }

    pub(super) fn lost(&self) -> Option<Lost> {
        self.lost
    }

    /// Begins a call. `None` when it has to wait for room: then this wakes it once there may be some.
    pub(super) fn begin(&mut self, caller: &mut Caller, waker: &Waker) -> Option<Result<Begun, Unanswered>> {
        let room = self.room();
        let refused = match caller.load {
            _ if self.lost.is_some() => Some(Unanswered::Lost { sent: false }),
            Load::Commit(_) if self.closed => Some(Unanswered::Closed),
            _ if self.queue.is_late(caller) => Some(Unanswered::Silent { sent: false }),
            // Where nothing is under way nobody would tell of room.
            _ if room.has(caller.load) && (self.calls.is_empty() || self.queue.is_turn_of(caller, room)) => {
                None
            }
            _ => {
                self.queue.wait(caller, waker);
                return None;
            }
        };
        self.queue.leave(caller);
        Some(match refused {
            Some(why) => Err(why),
            None => {
                let (answered, answer) = oneshot::channel();
                Ok((self.add(Waiting::One(answered), caller.load, caller.since), answer))
            }
        })
    }

    /// Begins a call whether there is room or not. `None` when nobody would answer it.
    pub(super) fn begin_at_once(&mut self, waiting: impl FnOnce() -> Waiting) -> Option<u64> {
        match self.lost {
            Some(_) => None,
            None => Some(self.add(waiting(), Load::Call, Instant::now())),
        }
    }

    fn room(&self) -> Room {
        Room {
            places: SHARED_CALLS.saturating_sub(self.calls.len()),
            bytes: SHARED_CLIENT_BYTES.saturating_sub(self.bytes),
        }
    }

    fn add(&mut self, waiting: Waiting, load: Load, since: Instant) -> u64 {
        let call = self.next;
        self.next += 1;
        if let Load::Commit(bytes) = load {
            self.commits += 1;
            self.bytes += bytes;
        }
        self.calls.insert(call, Call { waiting, load, since });
        call
    }

    fn remove(&mut self, call: u64) -> Option<Call> {
        let removed = self.calls.remove(&call)?;
        self.removed(removed.load);
        Some(removed)
    }

    fn removed(&mut self, load: Load) {
        if let Load::Commit(bytes) = load {
            self.commits -= 1;
            self.bytes -= bytes;
        }
        self.queue.changed();
    }

    /// Gives up waiting for room.
    pub(super) fn leave(&mut self, caller: &mut Caller) {
        self.queue.leave(caller);
    }

    /// Those who wait for room and have to look again.
    pub(super) fn woken(&mut self) -> Vec<Waker> {
        let room = self.room();
        self.queue.woken(room)
    }

    /// Somebody who was woken may never look: the next ones are woken as well.
    pub(super) fn look_again(&mut self) {
        if !self.queue.is_empty() {
            self.queue.changed();
        }
    }

    /// No commit begins any more.
    pub(super) fn close(&mut self) {
        self.closed = true;
        self.queue.changed_for_all();
    }

    /// Whether nothing will be committed any more.
    pub(super) fn is_settled(&self) -> bool {
        self.closed && self.commits == 0
    }

    /// The owner has said something.
    pub(super) fn heard(&mut self) {
        self.heard = Instant::now();
    }

    /// Whether one call waits, and no other.
    pub(super) fn is_alone(&self) -> bool {
        self.calls.len() == 1 && self.queue.is_empty() && self.lost.is_none()
    }

    /// A number that grows with every call.
    pub(super) fn begun(&self) -> u64 {
        self.next
    }

    /// Whether any call waits.
    pub(super) fn is_waiting(&self) -> bool {
        !self.calls.is_empty() || !self.queue.is_empty()
    }

    /// How long the owner has said nothing.
    pub(super) fn silence(&self) -> Duration {
        self.heard.elapsed()
    }

    /// Takes the answer to a call; nobody minds one that is not waited for any more.
    pub(super) fn answer(&mut self, call: u64, message: Bytes, last: bool) -> Option<Answered> {
        match self.calls.get(&call).map(|call| &call.waiting) {
            Some(Waiting::Several(waits)) if !last => {
                Some(Answered(Waiting::Several(waits.clone()), Ok(message)))
            }
            _ => self.remove(call).map(|call| Answered(call.waiting, Ok(message))),
        }
    }

    /// Forgets a call that nobody waits for any more.
    pub(super) fn forget(&mut self, call: u64) {
        self.remove(call);
    }

    /// The owner is leaving or gone. The first word of it counts, but for one: who leaves is gone in the end.
    pub(super) fn lose(&mut self, lost: Lost) -> bool {
        let first = self.lost.is_none();
        self.lost.get_or_insert(lost);
        self.queue.changed_for_all();
        first
    }

    /// Ends all calls; `unsent` takes one back of which nothing was sent.
    pub(super) fn end(&mut self, mut unsent: impl FnMut(u64) -> bool) -> Vec<Answered> {
        let calls = std::mem::take(&mut self.calls);
        calls.values().for_each(|call| self.removed(call.load));
        let ended = calls
            .into_iter()
            .map(|(number, call)| Answered(call.waiting, Err(Unanswered::Lost { sent: !unsent(number) })));
        ended.collect()
    }

    /// Ends the calls that have waited for so long, while the owner said nothing.
    pub(super) fn expire(&mut self, wait: Duration, mut unsent: impl FnMut(u64) -> bool) -> Vec<Answered> {
        if self.heard.elapsed() < wait {
            return Vec::new();
        }
        self.queue.expire(wait);
        let over: Vec<(u64, Call)> = self.calls.extract_if(|_, call| call.since.elapsed() >= wait).collect();
        over.iter().for_each(|(_, call)| self.removed(call.load));
        let over = over
            .into_iter()
            .map(|(number, call)| Answered(call.waiting, Err(Unanswered::Silent { sent: !unsent(number) })));
        over.collect()
    }
}

#[cfg(test)]
mod tests {
    use std::collections::VecDeque;
    use std::sync::Arc;
    use std::sync::atomic::{AtomicUsize, Ordering};
    use std::task::Wake;

    use super::*;

    const MIB: usize = 1 << 20;
    const DAY: Duration = Duration::from_secs(86_400);

    /// Counts how often it was woken.
    #[derive(Default)]
    struct Bell(AtomicUsize);

    impl Wake for Bell {
        fn wake(self: Arc<Self>) {
            self.0.fetch_add(1, Ordering::Relaxed);
        }
    }

    /// One who calls.
    struct One {
        caller: Caller,
        bell: Arc<Bell>,
        answer: Option<Result<Begun, Unanswered>>,
    }

    impl One {
        fn new(load: Load) -> Self {
            Self { caller: Caller::new(load), bell: Arc::default(), answer: None }
        }

        /// Whether it has begun, or was refused.
        fn looks(&mut self, table: &mut CallTable) -> bool {
            self.answer = table.begin(&mut self.caller, &Waker::from(self.bell.clone()));
            self.answer.is_some()
        }

        fn number(&self) -> u64 {
            match &self.answer {
                Some(Ok((number, _))) => *number,
                other => panic!("{other:?}"),
            }
        }

        fn refused(&self) -> Option<Unanswered> {
            self.answer.as_ref().and_then(|answer| answer.as_ref().err().copied())
        }

        fn woken(&self) -> usize {
            self.bell.0.load(Ordering::Relaxed)
        }
    }

    fn commit() -> One {
        One::new(Load::Commit(MIB))
    }

    /// A table without room, and those who have it.
    fn full(table: &mut CallTable) -> Vec<One> {
        let begun = (0..SHARED_CLIENT_BYTES / MIB).map(|_| {
            let mut one = commit();
            assert!(one.looks(table));
            one
        });
        begun.collect()
    }

    fn answers(table: &mut CallTable, number: u64) {
        table.answer(number, Bytes::new(), true).unwrap().deliver();
        wake(table.woken());
    }

    #[test]
    fn there_is_room_again_when_an_answer_is_there_whoever_takes_it() {
        let mut table = CallTable::new();
        let under_way = full(&mut table);
        let mut next = commit();
        assert!(!next.looks(&mut table) && !next.looks(&mut table));
        assert_eq!(next.woken(), 0);
        // Its future is never polled again.
        answers(&mut table, under_way[3].number());
        assert_eq!(next.woken(), 1);
        assert!(next.looks(&mut table));
        // What takes no bytes has had room all the time.
        assert!(One::new(Load::Call).looks(&mut table));
    }

    #[test]
    fn one_that_was_woken_and_never_looks_keeps_nothing_from_others() {
        let mut table = CallTable::new();
        let under_way = full(&mut table);
        let (mut stuck, mut other) = (commit(), commit());
        assert!(!stuck.looks(&mut table) && !other.looks(&mut table));
        answers(&mut table, under_way[0].number());
        assert_eq!((stuck.woken(), other.woken()), (1, 0));
        // The next answer wakes as many as there is room for all the same.
        answers(&mut table, under_way[1].number());
        assert!(other.woken() == 1 && other.looks(&mut table));
        // One who comes now lets the stuck one look first, until something else ends.
        let mut late = commit();
        assert!(!late.looks(&mut table));
        for one in under_way.iter().skip(2) {
            answers(&mut table, one.number());
        }
        assert!(late.woken() == 1 && late.looks(&mut table));
        answers(&mut table, late.number());
        answers(&mut table, other.number());
        // Where nothing is under way nobody is let look first.
        assert!(commit().looks(&mut table));
        assert_eq!(stuck.woken(), 1, "it has not looked since");
    }

    #[test]
    fn one_that_never_looks_keeps_others_waiting_no_longer_than_until_the_next_look() {
        let mut table = CallTable::new();
        let under_way = full(&mut table);
        let mut stuck: Vec<One> = (0..100).map(|_| commit()).collect();
        let mut other = commit();
        assert!(stuck.iter_mut().all(|one| !one.looks(&mut table)) && !other.looks(&mut table));
        under_way.iter().for_each(|one| answers(&mut table, one.number()));
        // Nothing is under way any more whose answer could wake it.
        let mut looks = 0;
        while other.woken() == 0 {
            table.look_again();
            wake(table.woken());
            looks += 1;
            assert!(looks < 100, "it is never woken");
        }
        assert!(other.looks(&mut table));
    }

    #[test]
    fn one_that_was_woken_and_gives_up_leaves_its_turn_to_the_next() {
        let mut table = CallTable::new();
        let under_way = full(&mut table);
        let (mut first, mut second) = (commit(), commit());
        assert!(!first.looks(&mut table) && !second.looks(&mut table));
        answers(&mut table, under_way[0].number());
        assert_eq!((first.woken(), second.woken()), (1, 0));
        table.leave(&mut first.caller);
        wake(table.woken());
        assert!(second.woken() == 1 && second.looks(&mut table));
    }

    #[test]
    fn each_of_thousands_that_wait_is_woken_once() {
        let mut table = CallTable::new();
        let mut under_way: VecDeque<One> = full(&mut table).into();
        let mut waits: VecDeque<One> = (0..5_000).map(|_| commit()).collect();
        assert!(waits.iter_mut().all(|one| !one.looks(&mut table)));
        while let Some(answered) = under_way.pop_front() {
            answers(&mut table, answered.number());
            if let Some(mut next) = waits.pop_front() {
                assert!(next.woken() == 1 && next.looks(&mut table), "not the oldest");
                under_way.push_back(next);
            }
            assert!(waits.front().is_none_or(|next| next.woken() == 0), "there is no room for it");
        }
        assert!(waits.is_empty());
    }

    #[test]
    fn a_read_waits_for_no_bytes_and_not_for_commits_that_do() {
        let mut table = CallTable::new();
        let under_way = full(&mut table);
        let mut waits = commit();
        assert!(!waits.looks(&mut table));
        let mut reads: Vec<One> = (under_way.len()..SHARED_CALLS).map(|_| One::new(Load::Call)).collect();
        assert!(reads.iter_mut().all(|read| read.looks(&mut table)), "it waits for a commit's room");
        // There is no place any more.
        let (mut read, mut other) = (One::new(Load::Call), One::new(Load::Call));
        assert!(!read.looks(&mut table) && !other.looks(&mut table));
        answers(&mut table, reads[0].number());
        assert_eq!((read.woken(), other.woken(), waits.woken()), (1, 0, 0));
        assert!(read.looks(&mut table));
        // A commit that wants nothing but a place, and came first, is let look before a read that comes.
        answers(&mut table, under_way[0].number());
        assert_eq!((waits.woken(), other.woken()), (1, 0));
        assert!(!One::new(Load::Call).looks(&mut table));
        assert!(waits.looks(&mut table));
    }

    #[test]
    fn who_comes_while_others_wait_does_not_overtake_them() {
        let mut table = CallTable::new();
        let mut under_way = full(&mut table);
        let mut waits: Vec<One> = (0..4).map(|_| commit()).collect();
        assert!(waits.iter_mut().all(|one| !one.looks(&mut table)));
        // Each whose commit is answered comes again at once, before those who are woken have looked.
        for _ in 0..4 {
            let answered = under_way.remove(0);
            answers(&mut table, answered.number());
            let mut again = commit();
            assert!(!again.looks(&mut table), "it overtakes");
            let mut first = waits.remove(0);
            assert!(first.looks(&mut table));
            under_way.push(first);
            waits.push(again);
        }
        assert_eq!(under_way.len(), SHARED_CLIENT_BYTES / MIB);
    }

    #[test]
    fn a_large_commit_waits_no_longer_than_a_small_one() {
        let mut table = CallTable::new();
        let under_way = full(&mut table);
        let mut large = One::new(Load::Commit(100 * MIB));
        assert!(!large.looks(&mut table));
        answers(&mut table, under_way[0].number());
        assert!(large.looks(&mut table));
    }

    #[test]
    fn as_many_calls_begin_as_there_may_be_and_one_that_is_forgotten_makes_room() {
        let mut table = CallTable::new();
        let calls: Vec<One> = (0..SHARED_CALLS)
            .map(|_| {
                let mut one = One::new(Load::Call);
                assert!(one.looks(&mut table));
                one
            })
            .collect();
        let mut next = One::new(Load::Call);
        assert!(!next.looks(&mut table));
        table.forget(calls[7].number());
        wake(table.woken());
        assert!(next.woken() == 1 && next.looks(&mut table));
    }

    #[test]
    fn the_wait_for_room_is_part_of_the_wait_for_an_answer() {
        let mut table = CallTable::new();
        let under_way = full(&mut table);
        let mut waits = commit();
        assert!(!waits.looks(&mut table));
        assert!(table.expire(DAY, |_| false).is_empty());
        wake(table.woken());
        assert_eq!(waits.woken(), 0);
        let expired = table.expire(Duration::ZERO, |_| false);
        assert_eq!(expired.len(), under_way.len());
        wake(table.woken());
        assert!(waits.woken() == 1 && waits.looks(&mut table));
        assert_eq!(waits.refused(), Some(Unanswered::Silent { sent: false }));
        assert!(!table.is_waiting());
    }

    #[test]
    fn a_closed_table_begins_no_commit_and_is_settled_when_the_last_is_answered() {
        let mut table = CallTable::new();
        let under_way = full(&mut table);
        let mut waits = commit();
        assert!(!waits.looks(&mut table));
        table.close();
        wake(table.woken());
        assert!(waits.woken() == 1 && waits.looks(&mut table));
        assert_eq!(waits.refused(), Some(Unanswered::Closed));
        assert!(One::new(Load::Call).looks(&mut table), "what was closed can still be read");
        for one in &under_way {
            assert!(!table.is_settled());
            answers(&mut table, one.number());
        }
        assert!(table.is_settled());
    }

    #[test]
    fn who_waits_for_room_hears_that_the_owner_is_lost() {
        let mut table = CallTable::new();
        let under_way = full(&mut table);
        let mut waits = commit();
        assert!(!waits.looks(&mut table));
        assert!(table.lose(Lost::Leaving));
        wake(table.woken());
        assert!(waits.woken() == 1 && waits.looks(&mut table));
        assert_eq!(waits.refused(), Some(Unanswered::Lost { sent: false }));
        assert!(!table.lose(Lost::Gone));
        assert_eq!(table.end(|_| false).len(), under_way.len());
        table.close();
        assert!(table.is_settled() && !table.is_waiting());
    }

    #[test]
    fn one_who_gives_up_waiting_is_forgotten() {
        let mut table = CallTable::new();
        let under_way = full(&mut table);
        let mut waits = commit();
        assert!(!waits.looks(&mut table));
        table.leave(&mut waits.caller);
        answers(&mut table, under_way[0].number());
        assert_eq!(waits.woken(), 0);
        assert!(commit().looks(&mut table), "nobody is let look first");
    }
}
