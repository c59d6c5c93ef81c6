//! The machine of a consumer in thousands of schedules: workers that acknowledge, refuse, take too long and go away, a
//! clock that runs on, a process that is killed and begins anew from its row. The driver is that of `actor.rs` without
//! its I/O; each known way to get it wrong is kept, and has to be caught.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::{Arc, LazyLock, PoisonError};

use shuttle::rand::{Rng, thread_rng};
use shuttle::sync::{Condvar, Mutex, MutexGuard, mpsc};
use shuttle::thread;

use crate::codec::LaneRow;
use crate::delivery::{Delay, Failed, Look, Machine, Resolved, Rules, Stale, Wanted, check, floor};
use crate::event::Place;
use crate::limits::MAX_CONSUMER_LANES;
use crate::testkit::{CONSUMER_SCHEDULES, caught, explore};

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Wrong {
    Nothing,
    /// Acknowledged out of order: the row says that everything up to the highest acknowledged event is done.
    HighestAck,
    /// Events are handed out before their deliveries are written.
    HandsOutFirst,
    /// Workers are answered before their acknowledgement is written.
    AnswersFirst,
    /// The append of `ack_with` is one commit, its acknowledgement another.
    AppendsApart,
    /// The row says what is unresolved, and not how often it was delivered.
    ForgetsDeliveries,
    /// Deliveries are numbered anew when the process begins anew.
    NumbersAgain,
    /// What is due is not looked for.
    ForgetsDeadlines,
}

const RULES: Rules = Rules {
    deadline: 100,
    max_deliveries: 3,
    max_in_flight: 3,
    max_open: MAX_CONSUMER_LANES,
    jitter: 0.0,
    backoff: 10,
    max_backoff: 15,
    longest: 1_000,
};
const WORKERS: usize = 3;
const EVENTS: usize = 8;
const CRASHES: usize = 2;

static PLACES: LazyLock<[std::sync::Arc<Place>; 3]> = LazyLock::new(|| {
    ["m", "n", "o"].map(|b| std::sync::Arc::new(Place::new("s".try_into().unwrap(), b.try_into().unwrap())))
});

/// An event of the store; its position is its index and one.
#[derive(Clone, Copy)]
struct Known {
    lane: usize,
    sequence: u64,
    wanted: bool,
}

/// What survives the process. It is changed as a whole: each change is a commit.
#[derive(Clone, Default)]
struct Durable {
    log: Vec<Known>,
    scanned: u64,
    next_delivery: u64,
    lanes: Vec<LaneRow>,
    acknowledged: BTreeSet<u64>,
    /// Position to: is it to be sent again?
    dead_letters: BTreeMap<u64, bool>,
    /// What workers appended together with their acknowledgement.
    effects: Vec<u64>,
}

impl Durable {
    fn is_resolved(&self, position: u64) -> bool {
        self.acknowledged.contains(&position) || self.dead_letters.contains_key(&position)
    }

    fn wanted(&self) -> impl Iterator<Item = (u64, Known)> + '_ {
        (1..).zip(self.log.iter().copied()).filter(|(_, e)| e.wanted)
    }
}

/// A delivery on its way to a worker. When the worker has gone it goes back. Its lock is not the explorer's: it may be
/// dropped anywhere.
struct Offer {
    position: u64,
    delivery: u64,
    deliveries: u32,
    dead_letter: bool,
    returned: Option<Arc<std::sync::Mutex<Vec<u64>>>>,
}

impl Drop for Offer {
    fn drop(&mut self) {
        if let Some(returned) = self.returned.take() {
            returned.lock().unwrap().push(self.delivery);
        }
    }
}

/// A delivery as its token names it: number and position.
type Named = (u64, u64);

type Reply<T> = mpsc::Sender<T>;

enum Call {
    Next(Reply<Option<Offer>>),
    Ack(Named, Reply<Result<(), Stale>>),
    AckWith(Named, Reply<Result<(), Stale>>),
    Nack(Named, Option<i64>, Reply<Result<(), Stale>>),
    Touch(Named, Reply<Result<(), Stale>>),
}

/// What the process is told.
#[derive(Default)]
struct Inbox {
    calls: VecDeque<Call>,
    news: bool,
    killed: bool,
    /// Workers that are not waiting for an event.
    busy: usize,
    ended: usize,
    appending: bool,
    now: i64,
}

struct World {
    durable: Mutex<Durable>,
    inbox: Mutex<Inbox>,
    wake: Condvar,
    /// Acknowledgements that workers were told of.
    answered: Mutex<BTreeSet<u64>>,
    /// The event that kills the process that is handed it, and how often it did.
    poison: Option<u64>,
    killed: Mutex<u32>,
    wrong: Wrong,
}

struct Killed;

/// Also after a panic: the first one is what is to be told.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// The process. Everything in it is gone when it is killed.
struct Actor<'a> {
    world: &'a World,
    machine: Machine<u64>,
    asking: VecDeque<Reply<Option<Offer>>>,
    dead_letters: BTreeMap<u64, bool>,
    acknowledged: Vec<u64>,
    effects: Vec<u64>,
    returned: Arc<std::sync::Mutex<Vec<u64>>>,
    crashes: &'a mut usize,
}

impl<'a> Actor<'a> {
    fn new(world: &'a World, crashes: &'a mut usize) -> Self {
        let mut row = lock(&world.durable).clone();
        match world.wrong {
            Wrong::ForgetsDeliveries => row.lanes.iter_mut().for_each(|lane| lane.head = None),
            Wrong::NumbersAgain => row.next_delivery = 1,
            _ => {}
        }
        let now = lock(&world.inbox).now;
        let mut machine = Machine::load(RULES, row.scanned, row.next_delivery.max(1), &row.lanes, now);
        for (position, _) in row.dead_letters.iter().filter(|(_, again)| **again) {
            let e = row.log[*position as usize - 1];
            machine.replay(&PLACES[e.lane], e.sequence, *position);
        }
        let (asking, dead_letters) = (VecDeque::new(), row.dead_letters);
        let returned = Arc::default();
        Self {
            world,
            machine,
            asking,
            dead_letters,
            acknowledged: vec![],
            effects: vec![],
            returned,
            crashes,
        }
    }

    /// The process may be killed here.
    fn danger(&mut self) -> Result<(), Killed> {
        if *self.crashes > 0 && thread_rng().gen_bool(0.03) {
            *self.crashes -= 1;
            return Err(Killed);
        }
        Ok(())
    }

    fn is_out(&self, (delivery, position): Named) -> Result<(), Stale> {
        let out = self.machine.is_out(delivery)?;
        if out == position { Ok(()) } else { Err(Stale::Never) }
    }

    fn finish(&mut self, named: Named) -> Result<(), Stale> {
        self.is_out(named)?;
        let resolved = self.machine.resolved(named.0)?;
        self.acknowledged.push(resolved.position);
        if resolved.again {
            self.dead_letters.remove(&resolved.position);
        }
        Ok(())
    }

    fn set_aside(&mut self, dead: &Resolved) {
        self.dead_letters.insert(dead.position, false);
    }

    /// One commit.
    fn save(&mut self) {
        let mut durable = lock(&self.world.durable);
        durable.acknowledged.extend(self.acknowledged.drain(..));
        durable.effects.append(&mut self.effects);
        durable.dead_letters.clone_from(&self.dead_letters);
        durable.next_delivery = self.machine.next_delivery();
        (durable.scanned, durable.lanes) = (self.machine.scanned(), self.machine.rows());
        if self.world.wrong == Wrong::Nothing {
            assert_eq!(check(durable.scanned, durable.next_delivery, &durable.lanes), Ok(()));
        }
        if self.world.wrong == Wrong::HighestAck {
            durable.scanned = durable.acknowledged.last().copied().unwrap_or(0).max(durable.scanned);
            durable.lanes.clear();
        }
        // The cursor has moved over nothing that is not resolved.
        let floor = durable.lanes.iter().map(floor).fold(durable.scanned, u64::min);
        let passed = durable.wanted().take_while(|(position, _)| *position <= floor);
        passed
            .for_each(|(position, _)| assert!(durable.is_resolved(position), "the cursor passed {position}"));
    }

    /// Looks and scans as it is asked to.
    fn pump(&mut self) {
        let log = lock(&self.world.durable).log.clone();
        loop {
            if let Some(look) = self.machine.look(self.asking.len()) {
                let until = look.until.min(look.after + 2);
                let there = |e: &Known| {
                    PLACES[e.lane] == look.place && e.sequence > look.after && e.sequence <= until
                };
                let found = (1..).zip(&log).filter(|(_, e)| e.wanted && there(e));
                let found = found.map(|(p, e)| (e.sequence, p, p)).collect();
                self.machine.found(&Look { until, ..look }, found);
            } else if self.machine.wants_more(self.asking.len())
                && let Some(e) = log.get(self.machine.scanned() as usize)
            {
                let position = self.machine.scanned() + 1;
                let wanted = if e.wanted { Wanted::Yes(Some(position)) } else { Wanted::No };
                self.machine.scan(&PLACES[e.lane], e.sequence, position, wanted);
            } else {
                return;
            }
        }
    }

    /// Everything that was asked for, in one commit, then the answers. `false` when there was nothing to do.
    fn turn(&mut self) -> Result<bool, Killed> {
        let (calls, now) = {
            let mut inbox = lock(&self.world.inbox);
            if inbox.killed {
                return Err(Killed);
            }
            inbox.news = false;
            (std::mem::take(&mut inbox.calls), inbox.now)
        };
        let returned = std::mem::take(&mut *self.returned.lock().unwrap());
        let mut worked = !calls.is_empty() || !returned.is_empty();
        let (mut answers, mut bound, mut offers) = (Vec::new(), Vec::new(), Vec::new());
        for call in calls {
            let (reply, answer) = match call {
                Call::Next(reply) => {
                    self.asking.push_back(reply);
                    continue;
                }
                Call::AckWith(named, reply) => {
                    if self.is_out(named).is_ok() {
                        let _ = self.machine.touch(named.0, now);
                    }
                    bound.push((named, reply));
                    continue;
                }
                Call::Ack(named, reply) => (reply, self.finish(named)),
                Call::Nack(named, delay, reply) => {
                    let delay = delay.map_or(Delay::Backoff(0.0), Delay::For);
                    let failed =
                        self.is_out(named).and_then(|()| self.machine.fail(named.0, now, delay, None));
                    if let Ok(Failed::Last(dead)) = &failed {
                        self.machine.resolved(named.0).unwrap();
                        self.set_aside(dead);
                    }
                    (reply, failed.map(drop))
                }
                Call::Touch(named, reply) => {
                    (reply, self.is_out(named).and_then(|()| self.machine.touch(named.0, now)))
                }
            };
            if self.world.wrong == Wrong::AnswersFirst {
                let _ = reply.send(answer);
                self.danger()?;
            } else {
                answers.push((reply, answer));
            }
        }
        returned.into_iter().for_each(|delivery| self.machine.give_back(delivery));
        if self.world.wrong != Wrong::ForgetsDeadlines {
            for dead in self.machine.expire(now) {
                worked = true;
                self.set_aside(&dead);
            }
        }
        while !self.asking.is_empty() {
            self.pump();
            let Some((taken, _)) = self.machine.take(now) else { break };
            worked = true;
            let Some(reply) = self.asking.pop_front() else { break };
            let (position, delivery, deliveries) = (taken.position, taken.delivery, taken.deliveries);
            let returned = Some(self.returned.clone());
            let dead_letter = taken.again;
            offers.push((reply, Offer { position, delivery, deliveries, dead_letter, returned }));
        }
        if self.world.wrong == Wrong::HandsOutFirst {
            offers.drain(..).for_each(|(reply, offer)| self.offer(&reply, offer));
        }
        self.danger()?;
        self.save();
        self.danger()?;
        for (reply, answer) in answers {
            let _ = reply.send(answer);
        }
        offers.into_iter().for_each(|(reply, offer)| self.offer(&reply, offer));
        for (named, reply) in bound {
            let answer = self.finish(named);
            if answer.is_ok() {
                self.effects.push(named.1);
                if self.world.wrong == Wrong::AppendsApart {
                    lock(&self.world.durable).effects.append(&mut self.effects);
                    self.danger()?;
                }
                self.save();
                self.danger()?;
            }
            let _ = reply.send(answer);
        }
        Ok(worked)
    }

    /// What holds whenever an event is handed out.
    fn offer(&mut self, reply: &Reply<Option<Offer>>, offer: Offer) {
        let durable = lock(&self.world.durable);
        let at = offer.position;
        let again = offer.dead_letter;
        assert!(again || !durable.acknowledged.contains(&at), "{at} was acknowledged");
        assert!(!lock(&self.world.answered).contains(&at), "{at} was acknowledged and answered");
        assert!(offer.deliveries <= RULES.max_deliveries, "{at} was delivered {} times", offer.deliveries);
        let e = durable.log[at as usize - 1];
        assert!(e.wanted, "{at} was not wanted");
        let early = |(p, b): &(u64, Known)| b.lane == e.lane && *p < at && !durable.is_resolved(*p);
        assert!(again || !durable.wanted().any(|b| early(&b)), "{at} came before its turn");
        drop(durable);
        let _ = reply.send(Some(offer));
    }

    fn is_done(&self) -> bool {
        let durable = lock(&self.world.durable);
        let done = durable.wanted().all(|(position, _)| durable.is_resolved(position));
        done && durable.dead_letters.values().all(|again| !again)
    }

    /// Until it is killed, or everything is resolved and nothing more comes.
    fn run(&mut self) -> Result<(), Killed> {
        let mut sent_again = false;
        loop {
            let worked = self.turn()?;
            let mut inbox = lock(&self.world.inbox);
            let returned = !self.returned.lock().unwrap().is_empty();
            if worked || inbox.news || inbox.killed || !inbox.calls.is_empty() || returned {
                continue;
            }
            if !inbox.appending && self.is_done() {
                if std::mem::replace(&mut sent_again, true) || self.dead_letters.is_empty() {
                    break;
                }
                drop(inbox);
                self.send_dead_letters_again();
                continue;
            }
            let due = self.machine.next_due().filter(|due| *due > inbox.now);
            let others = inbox.busy > 0 || inbox.appending;
            match due {
                Some(due) if !others || thread_rng().gen_bool(0.3) => inbox.now = due,
                _ => drop(self.world.wake.wait(inbox)),
            }
        }
        self.danger()?;
        self.save();
        Ok(())
    }

    fn send_dead_letters_again(&mut self) {
        let mut durable = lock(&self.world.durable);
        durable.dead_letters.values_mut().for_each(|again| *again = true);
        self.dead_letters.clone_from(&durable.dead_letters);
        let log = durable.log.clone();
        drop(durable);
        for position in self.dead_letters.keys() {
            let e = log[*position as usize - 1];
            self.machine.replay(&PLACES[e.lane], e.sequence, *position);
        }
    }
}

impl World {
    fn call(&self, call: Call) {
        lock(&self.inbox).calls.push_back(call);
        self.wake.notify_all();
    }

    /// Asks and waits for the answer; `None` when the process was killed.
    fn ask<T>(&self, call: impl FnOnce(Reply<T>) -> Call) -> Option<T> {
        let (reply, answer) = mpsc::channel();
        self.call(call(reply));
        answer.recv().ok()
    }

    fn append(&self) {
        for _ in 0..EVENTS {
            let mut durable = lock(&self.durable);
            let lane = thread_rng().gen_range(0..PLACES.len());
            let sequence = durable.log.iter().filter(|e| e.lane == lane).count() as u64 + 1;
            let wanted = thread_rng().gen_bool(0.8);
            durable.log.push(Known { lane, sequence, wanted });
            drop(durable);
            lock(&self.inbox).news = true;
            self.wake.notify_all();
        }
        lock(&self.inbox).appending = false;
        self.wake.notify_all();
    }

    fn set_busy(&self, change: isize) {
        let mut inbox = lock(&self.inbox);
        inbox.busy = inbox.busy.checked_add_signed(change).unwrap();
        drop(inbox);
        self.wake.notify_all();
    }

    fn work(&self) {
        loop {
            if thread_rng().gen_bool(0.1) {
                // Asks, and goes away before it is answered: what it was offered goes back.
                let (reply, answer) = mpsc::channel();
                self.call(Call::Next(reply));
                drop(answer);
                lock(&self.inbox).news = true;
                self.wake.notify_all();
            }
            let (reply, answer) = mpsc::channel();
            self.call(Call::Next(reply));
            self.set_busy(-1);
            let offer = answer.recv();
            self.set_busy(1);
            match offer {
                Ok(Some(mut offer)) => {
                    offer.returned = None;
                    self.handle((offer.delivery, offer.position), offer.dead_letter);
                }
                Ok(None) => break,
                Err(_) => {}
            }
        }
        lock(&self.inbox).ended += 1;
        self.wake.notify_all();
    }

    fn handle(&self, named: Named, dead_letter: bool) {
        let position = named.1;
        if self.poison == Some(position) && !dead_letter {
            let mut killed = lock(&self.killed);
            *killed += 1;
            assert!(*killed <= RULES.max_deliveries, "the process was killed once too often");
            drop(killed);
            lock(&self.inbox).killed = true;
            self.wake.notify_all();
            return;
        }
        match thread_rng().gen_range(0..10) {
            0 => drop(self.ask(|reply| Call::Nack(named, None, reply))),
            1 => drop(self.ask(|reply| Call::Nack(named, Some(0), reply))),
            2 => {}
            3..=5 => self.told(position, self.ask(|reply| Call::AckWith(named, reply))),
            6 => {
                let _ = self.ask(|reply| Call::Touch(named, reply));
                self.told(position, self.ask(|reply| Call::Ack(named, reply)));
            }
            _ => self.told(position, self.ask(|reply| Call::Ack(named, reply))),
        }
    }

    /// Everything is resolved: who asks is told so, until nobody does.
    fn end(&self) {
        loop {
            let mut inbox = lock(&self.inbox);
            let calls = std::mem::take(&mut inbox.calls);
            if calls.is_empty() {
                if inbox.ended == WORKERS {
                    return;
                }
                drop(self.wake.wait(inbox));
                continue;
            }
            drop(inbox);
            for call in calls {
                if let Call::Next(reply) = call {
                    let _ = reply.send(None);
                }
            }
        }
    }

    fn told(&self, position: u64, answer: Option<Result<(), Stale>>) {
        match answer {
            Some(Ok(())) => drop(lock(&self.answered).insert(position)),
            Some(Err(stale)) => assert_eq!(stale, Stale::Over, "{position} was delivered"),
            None => {}
        }
    }
}

fn life(wrong: Wrong) {
    let poison = thread_rng().gen_bool(0.3).then(|| thread_rng().gen_range(1..=EVENTS as u64));
    let inbox = Inbox { busy: WORKERS, appending: true, ..Inbox::default() };
    let world = Arc::new(World {
        durable: Mutex::default(),
        inbox: Mutex::new(inbox),
        wake: Condvar::new(),
        answered: Mutex::default(),
        poison,
        killed: Mutex::new(0),
        wrong,
    });
    let spawn = |work: fn(&World)| {
        let world = world.clone();
        thread::spawn(move || work(&world))
    };
    let mut others = vec![spawn(World::append)];
    others.extend((0..WORKERS).map(|_| spawn(World::work)));
    let mut crashes = CRASHES;
    while Actor::new(&world, &mut crashes).run().is_err() {
        // Who waits for an answer gets none.
        let mut inbox = lock(&world.inbox);
        let lost = std::mem::take(&mut inbox.calls);
        inbox.killed = false;
        drop(inbox);
        drop(lost);
    }
    world.end();
    others.into_iter().for_each(|other| other.join().unwrap());

    let durable = lock(&world.durable);
    for (position, _) in durable.wanted() {
        assert!(durable.is_resolved(position), "{position} was lost");
        let effects = durable.effects.iter().filter(|e| **e == position).count();
        assert!(effects <= 1, "{position} took effect {effects} times");
    }
    assert!(lock(&world.answered).iter().all(|p| durable.acknowledged.contains(p)));
    assert_eq!(durable.lanes, []);
}

#[test]
fn nothing_is_lost_and_only_the_unacknowledged_is_delivered_again_in_the_order_of_its_branch() {
    explore(CONSUMER_SCHEDULES, || life(Wrong::Nothing));
}

/// The known wrong orders, and what each is caught with.
#[test]
fn what_is_known_to_be_wrong_is_caught() {
    for (wrong, with) in [
        (Wrong::HighestAck, "the cursor passed"),
        (Wrong::HandsOutFirst, "before its turn"),
        (Wrong::AnswersFirst, "answered"),
        (Wrong::AppendsApart, "took effect"),
        (Wrong::ForgetsDeliveries, "once too often"),
        (Wrong::NumbersAgain, "was delivered"),
        (Wrong::ForgetsDeadlines, "deadlock"),
    ] {
        let text = caught(4_000, move || life(wrong));
        assert!(text.contains(with), "{wrong:?} was caught with: {text}");
    }
}
