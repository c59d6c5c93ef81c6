//! The machine against a reference that knows every event and looks through all of them each time.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use proptest::prelude::*;

use super::lane::{Item, check, floor};
use super::machine::{Failed, Look, Machine, Next, Resolved, Stale, Taken, Wanted};
use super::rules::{Delay, NEVER, Rules};
use crate::codec::{DeliveredRow, LaneRow};
use crate::event::Place;
use crate::limits::{
    AT_HAND_BYTES, AT_HAND_EVENTS, AT_HAND_LANE_EVENTS, EPHEMERAL_BYTES, EPHEMERAL_LANES_EVENTS,
    MAX_CONSUMER_LANES,
};

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

/// A position stands for its event. Few of them fit into what is at hand.
impl Item for u64 {
    fn bytes(&self) -> usize {
        AT_HAND_BYTES / 4
    }
}

/// One that weighs nothing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Light(u64);

impl Item for Light {
    fn bytes(&self) -> usize {
        0
    }
}

impl<T: Item> Machine<T> {
    /// Everything up to here is resolved.
    fn floor(&self) -> u64 {
        self.rows().iter().map(floor).fold(self.scanned(), u64::min)
    }

    fn in_flight(&self) -> usize {
        let out = |row: &LaneRow| row.head.is_some_and(|head| head.delivery.is_some());
        self.rows().iter().filter(|row| out(row)).count()
    }
}

fn place(lane: usize) -> Arc<Place> {
    Arc::new(Place::new("s".try_into().unwrap(), format!("b{lane}").try_into().unwrap()))
}

#[derive(Clone, Copy, Debug, PartialEq)]
enum Is {
    Open,
    Out {
        delivery: u64,
        due: i64,
    },
    /// Its deadline has passed, and it was not delivered again yet.
    Late {
        delivery: u64,
    },
    Waiting {
        due: i64,
    },
    Done,
    Dead,
    /// A dead letter that was sent again.
    Again,
}

impl Is {
    /// The delivery that can be resolved.
    fn named(self) -> Option<u64> {
        match self {
            Self::Out { delivery, .. } | Self::Late { delivery } => Some(delivery),
            _ => None,
        }
    }
}

#[derive(Clone, Debug)]
struct Known {
    lane: usize,
    sequence: u64,
    wanted: bool,
    is: Is,
    dead_letter: bool,
    deliveries: u32,
}

/// All events, by position from 1 on.
#[derive(Default)]
struct Reference {
    events: Vec<Known>,
    next_delivery: u64,
}

impl Reference {
    /// The event whose turn it is in each lane: the one that was delivered, else the oldest.
    fn heads(&self) -> BTreeMap<usize, usize> {
        let mut heads: BTreeMap<usize, usize> = BTreeMap::new();
        let begun = |e: &Known| e.deliveries > 0 && matches!(e.is, Is::Open | Is::Again | Is::Late { .. });
        let out = |e: &Known| matches!(e.is, Is::Out { .. } | Is::Waiting { .. }) || begun(e);
        for rank in [true, false] {
            for (i, e) in self.events.iter().enumerate().filter(|(_, e)| e.wanted) {
                let unresolved = !matches!(e.is, Is::Done | Is::Dead);
                if unresolved && out(e) == rank {
                    heads.entry(e.lane).or_insert(i);
                }
            }
        }
        heads
    }

    /// Hands out an event whose turn it is in its lane: which lane comes first is the machine's choice. It has to
    /// hand out something when anything can be.
    fn take(&mut self, now: i64, chosen: Option<u64>) -> Option<Taken> {
        let out = self.events.iter().filter(|e| matches!(e.is, Is::Out { .. })).count();
        let ready = |i: &usize| matches!(self.events[*i].is, Is::Open | Is::Again | Is::Late { .. });
        let mut ready: Vec<usize> = self.heads().into_values().filter(ready).collect();
        ready.sort_unstable();
        let chosen = ready.iter().copied().find(|i| chosen == Some(*i as u64 + 1));
        let i = chosen.or(ready.first().copied()).filter(|_| out < RULES.max_in_flight)?;
        self.next_delivery += 1;
        let e = &mut self.events[i];
        e.deliveries += 1;
        e.is = Is::Out { delivery: self.next_delivery, due: now + RULES.deadline };
        let (position, delivery, deliveries) = (i as u64 + 1, self.next_delivery, e.deliveries);
        let (sequence, again) = (e.sequence, e.dead_letter);
        Some(Taken { place: place(e.lane), sequence, position, deliveries, delivery, again })
    }

    fn out(&mut self, delivery: u64) -> Option<&mut Known> {
        self.events.iter_mut().find(|e| e.is.named() == Some(delivery))
    }

    fn fail(e: &mut Known, now: i64, delay: i64) -> bool {
        e.is = match (e.deliveries >= RULES.max_deliveries, delay) {
            (true, _) => Is::Dead,
            (false, 0) if e.dead_letter => Is::Again,
            (false, 0) => Is::Open,
            (false, delay) => Is::Waiting { due: now + delay },
        };
        e.is == Is::Dead
    }

    fn expire(&mut self, now: i64) -> BTreeSet<u64> {
        let mut dead = BTreeSet::new();
        for (i, e) in self.events.iter_mut().enumerate() {
            if let Is::Waiting { due } = e.is
                && due <= now
            {
                e.is = if e.dead_letter { Is::Again } else { Is::Open };
            }
            if let Is::Out { due, delivery } = e.is
                && due <= now
            {
                e.is = Is::Late { delivery };
                if e.deliveries >= RULES.max_deliveries {
                    e.is = Is::Dead;
                    dead.insert(i as u64 + 1);
                }
            }
        }
        dead
    }

    /// Everything before the first event that is not resolved; dead letters do not hold it back.
    fn floor(&self) -> u64 {
        let open = |e: &Known| e.wanted && !e.dead_letter && !matches!(e.is, Is::Done | Is::Dead);
        self.events.iter().position(open).unwrap_or(self.events.len()) as u64
    }
}

#[derive(Clone, Debug)]
enum Op {
    Append { lane: usize, wanted: bool },
    Take,
    Ack(usize),
    Nack(usize, Option<i64>),
    Park(usize),
    Touch(usize),
    GiveBack(usize),
    Replay(usize),
    Later(i64),
    Reload,
    Forge(u64),
}

fn ops() -> impl Strategy<Value = Vec<Op>> {
    let op = prop_oneof![
        6 => (0usize..4, prop::bool::weighted(0.8)).prop_map(|(lane, wanted)| Op::Append { lane, wanted }),
        8 => Just(Op::Take),
        4 => (0usize..6).prop_map(Op::Ack),
        3 => (0usize..6, prop_oneof![Just(None), (0i64..40).prop_map(Some)]).prop_map(|(i, d)| Op::Nack(i, d)),
        1 => (0usize..6).prop_map(Op::Park),
        1 => (0usize..6).prop_map(Op::Touch),
        2 => (0usize..6).prop_map(Op::GiveBack),
        2 => (0usize..6).prop_map(Op::Replay),
        4 => (1i64..120).prop_map(Op::Later),
        2 => Just(Op::Reload),
        1 => (0u64..40).prop_map(Op::Forge),
    ];
    prop::collection::vec(op, 1..120)
}

struct Pair {
    reference: Reference,
    machine: Machine<u64>,
    now: i64,
}

impl Pair {
    /// What the driver does between two calls: looks and scans as far as it is asked to.
    fn pump(&mut self) {
        let asked = 1 + self.reference.events.len() % 3;
        loop {
            if let Some(look) = self.machine.look(asked) {
                let events = self.reference.events.iter().enumerate();
                let range = look.after + 1..=look.until.min(look.after + 2);
                let seen = events.filter(|(_, e)| place(e.lane) == look.place && range.contains(&e.sequence));
                let wanted = seen.filter(|(_, e)| e.wanted).map(|(i, e)| (e.sequence, i as u64 + 1));
                let found = wanted.map(|(sequence, position)| (sequence, position, position)).collect();
                self.machine.found(&Look { until: *range.end(), ..look }, found);
            } else if self.machine.wants_more(asked)
                && let Some(e) = self.reference.events.get(self.machine.scanned() as usize)
            {
                let position = self.machine.scanned() + 1;
                // Not all of them are given.
                let item = Some(position).filter(|position| position % 5 > 0);
                let wanted = if e.wanted { Wanted::Yes(item) } else { Wanted::No };
                self.machine.scan(&place(e.lane), e.sequence, position, wanted);
            } else {
                return;
            }
        }
    }

    /// What is handed out with a delivery is its event.
    fn take(&mut self) -> Option<Taken> {
        let (taken, item) = self.machine.take(self.now)?;
        assert!(item.is_none_or(|item| item == taken.position), "{taken:?} comes with {item:?}");
        Some(taken)
    }

    fn expire(&mut self) {
        let dead: BTreeSet<u64> = self.machine.expire(self.now).iter().map(|s| s.position).collect();
        assert_eq!(dead, self.reference.expire(self.now));
    }

    /// A delivery that is out, or one that is not.
    fn pick(&self, i: usize) -> u64 {
        let mut out: Vec<u64> = Vec::new();
        for e in &self.reference.events {
            out.extend(e.is.named());
        }
        out.get(i).copied().unwrap_or(i as u64)
    }

    fn is_right(&self, delivery: u64, answer: Result<u64, Stale>) -> bool {
        let out = self.reference.events.iter().position(|e| e.is.named() == Some(delivery));
        match (out, answer) {
            (Some(i), Ok(position)) => position == i as u64 + 1,
            (None, Err(Stale::Over)) => delivery > 0 && delivery <= self.reference.next_delivery,
            (None, Err(Stale::Never)) => delivery == 0 || delivery > self.reference.next_delivery,
            _ => false,
        }
    }

    fn step(&mut self, op: &Op) {
        self.pump();
        match op {
            Op::Append { lane, wanted } => {
                let sequence = self.reference.events.iter().filter(|e| e.lane == *lane).count() as u64 + 1;
                let (lane, wanted) = (*lane, *wanted);
                let known = Known { lane, sequence, wanted, is: Is::Open, dead_letter: false, deliveries: 0 };
                self.reference.events.push(known);
            }
            Op::Take => {
                let taken = self.take();
                assert_eq!(taken, self.reference.take(self.now, taken.as_ref().map(|t| t.position)));
            }
            Op::Ack(i) | Op::Park(i) => {
                let delivery = self.pick(*i);
                let resolved = self.machine.resolved(delivery);
                assert!(self.is_right(delivery, resolved.clone().map(|s| s.position)), "{resolved:?}");
                if let (Some(e), Ok(resolved)) = (self.reference.out(delivery), resolved) {
                    e.is = if matches!(op, Op::Ack(_)) { Is::Done } else { Is::Dead };
                    let Resolved { sequence, deliveries, again, .. } = resolved;
                    assert_eq!((sequence, deliveries, again), (e.sequence, e.deliveries, e.dead_letter));
                    if e.is == Is::Done {
                        e.dead_letter = false;
                    }
                }
            }
            Op::Nack(i, delay) => {
                let (delivery, now) = (self.pick(*i), self.now);
                let position = self.machine.is_out(delivery);
                assert!(self.is_right(delivery, position));
                let given = delay.map_or(Delay::Backoff(0.5), Delay::For);
                // Who has the event may give it back.
                let item = position.ok().filter(|position| position % 2 == 0);
                let failed = self.machine.fail(delivery, now, given, item);
                let Some(e) = self.reference.out(delivery) else { return assert!(failed.is_err()) };
                // 10 after the first delivery, then 15 at the most.
                let delay = delay.unwrap_or(if e.deliveries == 1 { 10 } else { 15 });
                assert_eq!(matches!(failed, Ok(Failed::Last(_))), Reference::fail(e, now, delay));
                if let Ok(Failed::Last(dead)) = failed {
                    // Its branch waits until that is recorded.
                    assert_eq!(self.machine.is_out(delivery), position);
                    assert_eq!(self.machine.resolved(delivery), Ok(dead));
                }
            }
            Op::Touch(i) => {
                let (delivery, now) = (self.pick(*i), self.now);
                let touched = self.machine.touch(delivery, now);
                match self.reference.out(delivery) {
                    Some(e) => e.is = Is::Out { delivery, due: now + RULES.deadline },
                    None => assert!(touched.is_err()),
                }
            }
            Op::GiveBack(i) => {
                let delivery = self.pick(*i);
                let given_back = self.machine.give_back(delivery);
                match self.reference.out(delivery) {
                    Some(e) => {
                        assert_eq!(given_back, Ok(()));
                        e.deliveries -= 1;
                        e.is = if e.dead_letter { Is::Again } else { Is::Open };
                    }
                    None => assert!(given_back.is_err()),
                }
            }
            Op::Replay(i) => {
                let mut dead = self.reference.events.iter_mut().enumerate().filter(|(_, e)| e.is == Is::Dead);
                let Some((i, e)) = dead.nth(*i) else { return };
                (e.is, e.dead_letter, e.deliveries) = (Is::Again, true, 0);
                let (place, sequence) = (place(e.lane), e.sequence);
                // Said twice, as the driver does when it is rung twice.
                for _ in 0..2 {
                    self.machine.replay(&place, sequence, i as u64 + 1);
                }
            }
            Op::Later(time) => self.now += time,
            Op::Reload => {
                let (scanned, next) = (self.machine.scanned(), self.machine.next_delivery());
                let rows = self.machine.rows();
                self.machine = Machine::load(RULES, scanned, next, &rows, self.now);
                for (i, e) in self.reference.events.iter().enumerate() {
                    if e.dead_letter && !matches!(e.is, Is::Done | Is::Dead) {
                        self.machine.replay(&place(e.lane), e.sequence, i as u64 + 1);
                    }
                }
            }
            Op::Forge(delivery) => {
                let answer = self.machine.is_out(*delivery);
                assert!(self.is_right(*delivery, answer));
            }
        }
        self.expire();
        self.pump();
        let named = self.reference.events.iter().filter(|e| e.is.named().is_some()).count();
        assert_eq!(self.machine.in_flight(), named);
        let rows = self.machine.rows();
        assert_eq!(check(self.machine.scanned(), self.machine.next_delivery(), &rows), Ok(()));
        // A look that found nothing wanted says so only once it is made.
        assert!(self.machine.floor() <= self.reference.floor());
    }

    /// Whatever happened, everything comes to its end: workers that acknowledge all get all.
    fn finish(mut self) {
        let mut last: BTreeMap<Arc<Place>, u64> = BTreeMap::new();
        for _ in 0..10_000 {
            self.pump();
            self.now += 7;
            self.expire();
            self.pump();
            let Some(taken) = self.take() else {
                if self.machine.next_due().is_none() {
                    break;
                }
                continue;
            };
            assert_eq!(Some(&taken), self.reference.take(self.now, Some(taken.position)).as_ref());
            let e = self.reference.out(taken.delivery).unwrap();
            if !e.dead_letter {
                let before = last.insert(taken.place.clone(), taken.sequence);
                assert!(before.is_none_or(|before| before < taken.sequence), "out of order");
            }
            e.is = Is::Done;
            self.machine.resolved(taken.delivery).unwrap();
        }
        let open = self.reference.events.iter().find(|e| e.wanted && !matches!(e.is, Is::Done | Is::Dead));
        assert!(open.is_none(), "{open:?} was lost");
        self.pump();
        assert_eq!(self.machine.floor(), self.reference.events.len() as u64);
        assert_eq!(self.machine.rows(), []);
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(3_000))]
    #[test]
    fn the_machine_does_what_one_would_who_knows_every_event(ops in ops()) {
        let machine = Machine::load(RULES, 0, 1, &[], 0);
        let mut pair = Pair { reference: Reference::default(), machine, now: 0 };
        for op in &ops {
            pair.step(op);
        }
        pair.finish();
    }
}

fn scanned(machine: &mut Machine<Light>, lane: usize, sequence: u64) -> bool {
    let position = machine.scanned() + 1;
    machine.scan(&place(lane), sequence, position, Wanted::Yes(Some(Light(position)))).begins
}

fn took<T: Item>(machine: &mut Machine<T>, now: i64) -> Taken {
    machine.take(now).unwrap().0
}

#[test]
fn a_stuck_branch_holds_back_itself_and_takes_two_numbers_whatever_waits_in_it() {
    let mut machine = Machine::new(RULES, 0);
    scanned(&mut machine, 0, 1);
    let stuck = took(&mut machine, 0);
    for n in 0..50_000 {
        scanned(&mut machine, n % 2, n as u64 / 2 + if n % 2 == 0 { 2 } else { 1 });
        if n % 2 == 1 {
            let taken = took(&mut machine, 0);
            assert_eq!(taken.place, place(1));
            machine.resolved(taken.delivery).unwrap();
        }
    }
    assert_eq!((machine.rows().len(), machine.floor()), (1, 0));
    let (_, after, until) = (0, 0, 25_001);
    assert_eq!(machine.rows()[0].rest.map(|(a, _, u)| (a, u)), Some((after, until)));
    assert_eq!(machine.held(), AT_HAND_LANE_EVENTS);
    machine.resolved(stuck.delivery).unwrap();
    assert_eq!(machine.floor(), 1);
}

#[test]
fn it_looks_no_further_while_too_many_branches_wait() {
    let rules = Rules { max_in_flight: usize::MAX, ..RULES };
    let mut machine = Machine::new(rules, 0);
    let mut lanes = 0;
    while machine.wants_more(usize::MAX) {
        scanned(&mut machine, lanes, 1);
        lanes += 1;
    }
    assert_eq!(lanes, MAX_CONSUMER_LANES);
    while machine.take(0).is_some() {}
    assert_eq!((machine.in_flight(), machine.wants_more(1)), (lanes, false));
    machine.resolved(1).unwrap();
    assert!(machine.wants_more(1));
}

#[test]
fn nothing_is_due_later_than_the_clock_allows_after_it_was_set_back() {
    let mut machine = Machine::new(RULES, 0);
    scanned(&mut machine, 0, 1);
    let now = 1_000_000;
    machine.take(now).unwrap();
    let machine = Machine::<Light>::load(RULES, 1, 2, &machine.rows(), 50);
    assert_eq!(machine.next_due(), Some(50 + RULES.deadline));
}

#[test]
fn a_late_delivery_is_good_until_its_event_is_given_to_another() {
    let rules = Rules { max_in_flight: 1, ..RULES };
    let mut machine = Machine::new(rules, 0);
    scanned(&mut machine, 0, 1);
    let first = took(&mut machine, 0);
    assert_eq!(machine.expire(rules.deadline), []);
    assert_eq!((machine.is_out(first.delivery), machine.next_due()), (Ok(1), None));
    // Also after a restart; and it takes no room from others.
    let mut machine = Machine::<Light>::load(rules, 1, 2, &machine.rows(), rules.deadline);
    assert_eq!(machine.expire(rules.deadline), []);
    let mut acknowledged = machine.clone();
    assert_eq!(acknowledged.resolved(first.delivery).map(|s| s.position), Ok(1));
    assert!(acknowledged.take(rules.deadline).is_none());
    let second = took(&mut machine, rules.deadline);
    assert_eq!((second.position, second.deliveries), (1, 2));
    assert_eq!(machine.resolved(first.delivery), Err(Stale::Over));
    // The last delivery ends with its deadline.
    machine.fail(second.delivery, 200, Delay::For(0), None).unwrap();
    let third = took(&mut machine, 200);
    assert_eq!(machine.expire(300).len(), 1);
    assert_eq!(machine.resolved(third.delivery), Err(Stale::Over));
}

#[test]
fn lanes_that_cannot_be_are_named_and_numbers_at_their_end_are_taken() {
    let end = u64::MAX;
    let head = DeliveredRow {
        sequence: end,
        position: end,
        deliveries: 1,
        first: 0,
        again: false,
        delivery: Some(end - 1),
        due: 9,
    };
    let rest = Some((end - 1, end, end));
    let lane = LaneRow { place: (*place(0)).clone(), rest, head: Some(head) };
    assert_eq!(check(end, end, std::slice::from_ref(&lane)), Ok(()));
    let mut machine = Machine::<Light>::load(RULES, end, end, std::slice::from_ref(&lane), 0);
    machine.give_back(end - 1).unwrap();
    assert_eq!(took(&mut machine, 0).deliveries, 1);
    machine.resolved(end).unwrap();
    assert_eq!(machine.rows(), []);

    let with = |head: DeliveredRow| LaneRow { head: Some(head), ..lane.clone() };
    let other = LaneRow { place: (*place(1)).clone(), ..lane.clone() };
    for (scanned, next, lanes, reason) in [
        (end, end, vec![lane.clone(), other], "cannot have started"),
        (end, end - 1, vec![lane.clone()], "cannot have started"),
        (end, end, vec![with(DeliveredRow { delivery: Some(0), ..head })], "cannot have started"),
        (end, end, vec![with(DeliveredRow { deliveries: 0, ..head })], "cannot have delivered"),
        (end, end, vec![with(DeliveredRow { sequence: 0, ..head })], "cannot have delivered"),
        (end - 1, end, vec![LaneRow { rest: None, ..lane.clone() }], "cannot have delivered"),
        (end - 1, end, vec![lane.clone()], "impossible backlog"),
        (end, end, vec![LaneRow { rest: Some((7, 0, 7)), ..lane.clone() }], "impossible backlog"),
    ] {
        let told = check(scanned, next, &lanes).unwrap_err();
        assert!(told.contains(reason), "{told}");
    }
}

/// A machine in memory, as a handler has it.
fn rules_in_memory(max_deliveries: u32) -> Rules {
    Rules { deadline: NEVER, max_in_flight: usize::MAX, max_open: usize::MAX, max_deliveries, ..RULES }
}

fn in_memory(max_deliveries: u32) -> Machine<Light> {
    Machine::new(rules_in_memory(max_deliveries), 0)
}

fn next(machine: &mut Machine<Light>) -> (Taken, Option<Light>) {
    match machine.next(0) {
        Next::Deliver(taken, item) => (taken, item),
        other => panic!("{other:?} instead of a delivery"),
    }
}

#[test]
fn somebody_is_called_once_for_a_branch_that_was_idle() {
    let mut machine = in_memory(3);
    assert!(scanned(&mut machine, 0, 1));
    // Whoever comes takes them one after the other.
    assert!(!scanned(&mut machine, 0, 2) && scanned(&mut machine, 1, 1));
    let (first, item) = next(&mut machine);
    assert_eq!((first.position, item), (1, Some(Light(1))));
    assert!(!scanned(&mut machine, 0, 3));
    assert_eq!(machine.put(&place(0), Light(99)), Some(false));
    assert_eq!(machine.put(&place(2), Light(98)), Some(true));
    machine.resolved(first.delivery).unwrap();
    // What has no number comes before anything of another branch, and behind what was there in its own.
    let mut order = Vec::new();
    while let Next::Deliver(taken, item) = machine.next(0) {
        order.push(item.unwrap().0);
        machine.resolved(taken.delivery).unwrap();
    }
    assert_eq!(order, [98, 2, 3, 4, 99]);
    assert_eq!((machine.lanes(), machine.held()), (0, 0));
}

#[test]
fn a_branch_waits_until_it_is_recorded_that_an_event_was_given_up() {
    let mut machine = in_memory(2);
    for n in 1..=3 {
        scanned(&mut machine, 0, n);
    }
    let (first, _) = next(&mut machine);
    let again = machine.fail(first.delivery, 0, Delay::Backoff(0.0), Some(Light(1)));
    assert_eq!(again, Ok(Failed::Again { due: RULES.backoff }));
    assert!(matches!(machine.next(0), Next::Nothing));
    assert_eq!(machine.expire(RULES.backoff), []);
    let (second, item) = next(&mut machine);
    assert_eq!((second.deliveries, item), (2, Some(Light(1))));
    let Ok(Failed::Last(dead)) = machine.fail(second.delivery, 0, Delay::Backoff(0.0), None) else {
        panic!()
    };
    assert_eq!((dead.position, dead.deliveries), (1, 2));
    assert!(matches!(machine.next(0), Next::Nothing));
    // What comes meanwhile is held up, whatever is delivered then.
    assert!(machine.scan(&place(0), 4, 4, Wanted::Yes(Some(Light(4)))).is_held_up);
    machine.resolved(second.delivery).unwrap();
    let (third, _) = next(&mut machine);
    assert_eq!(machine.give_up(third.delivery).map(|dead| dead.deliveries), Ok(1));
    assert!(matches!(machine.next(0), Next::Nothing));
    machine.resolved(third.delivery).unwrap();
    assert_eq!(next(&mut machine).0.position, 3);
}

#[test]
fn a_branch_has_at_hand_no_more_than_its_part_and_the_rest_is_looked_for_by_one() {
    let mut machine = in_memory(3);
    for n in 1..=1_000 {
        scanned(&mut machine, 0, n);
    }
    assert_eq!(machine.held(), AT_HAND_LANE_EVENTS);
    assert_eq!(machine.put(&place(0), Light(0)), None);
    let mut order = Vec::new();
    loop {
        match machine.next(0) {
            Next::Deliver(taken, item) => {
                order.push(taken.sequence);
                assert_eq!(item, Some(Light(taken.position)));
                machine.resolved(taken.delivery).unwrap();
            }
            Next::Look(look) => {
                assert!(matches!(machine.next(0), Next::Nothing), "two look for the same");
                let until = look.until.min(look.after + 100);
                let found = (look.after + 1..=until).map(|n| (n, n, Light(n))).collect();
                machine.found(&Look { until, ..look }, found);
                assert!(machine.held() <= AT_HAND_LANE_EVENTS);
            }
            Next::Nothing => break,
        }
    }
    assert_eq!(order, (1..=1_000).collect::<Vec<_>>());
    assert_eq!((machine.lanes(), machine.held()), (0, 0));
}

#[test]
fn many_branches_have_at_hand_together_what_their_bound_says() {
    let mut machine = in_memory(3);
    let mut lanes = 0;
    while machine.has_room() {
        assert!(scanned(&mut machine, lanes, 1));
        lanes += 1;
    }
    assert_eq!((lanes, machine.held()), (AT_HAND_EVENTS, AT_HAND_EVENTS));
    let (first, _) = next(&mut machine);
    machine.resolved(first.delivery).unwrap();
    assert!(machine.has_room());
    let out = next(&mut machine).0;
    assert_eq!(machine.leave().len(), AT_HAND_EVENTS - 2);
    assert_eq!((machine.lanes(), machine.held()), (1, 1));
    assert_eq!(machine.resolved(out.delivery).map(|r| r.position), Ok(2));
    assert_eq!(machine.lanes(), 0);
}

#[test]
fn what_a_refused_write_was_to_resolve_is_as_it_was() {
    let mut machine = Machine::<Light>::load(RULES, 0, 1, &[], 0);
    for n in 1..=3 {
        scanned(&mut machine, 0, n);
    }
    let taken = took(&mut machine, 0);
    let rows = machine.rows();
    let before = machine.before(taken.delivery).unwrap();
    machine.resolved(taken.delivery).unwrap();
    assert_ne!(machine.rows(), rows);
    machine.restore(before);
    assert_eq!((machine.rows(), machine.held()), (rows, 3));
    assert_eq!(machine.is_out(taken.delivery), Ok(1));
    machine.resolved(taken.delivery).unwrap();
    assert_eq!(machine.take(0).map(|(taken, item)| (taken.position, item)), Some((2, Some(Light(2)))));
}

#[test]
fn a_large_event_in_backoff_leaves_other_branches_their_room() {
    let mut machine = Machine::<u64>::new(rules_in_memory(3), 0);
    let scan = |machine: &mut Machine<u64>, lane, sequence| {
        let position = machine.scanned() + 1;
        machine.scan(&place(lane), sequence, position, Wanted::Yes(Some(position)))
    };
    for lane in 0..5 {
        scan(&mut machine, lane, 1);
        let Next::Deliver(taken, item) = machine.next(0) else { panic!("nothing to deliver") };
        machine.fail(taken.delivery, 0, Delay::Backoff(0.0), item).unwrap();
    }
    assert!(scan(&mut machine, 9, 1).is_kept);
    assert!(scan(&mut machine, 9, 2).is_kept, "others in backoff take up what is for those behind a head");
}

#[test]
fn what_comes_behind_a_failed_event_is_held_up_also_when_that_is_ready_again() {
    let mut machine = in_memory(3);
    scanned(&mut machine, 0, 1);
    let (taken, item) = next(&mut machine);
    machine.fail(taken.delivery, 0, Delay::For(0), item).unwrap();
    let after = machine.scan(&place(0), 2, 2, Wanted::Yes(Some(Light(2))));
    assert!(after.is_held_up);
}

#[test]
fn a_branch_that_is_looked_for_is_there_until_the_look_is_over() {
    let mut machine = in_memory(3);
    for n in 1..=AT_HAND_LANE_EVENTS as u64 + 1 {
        scanned(&mut machine, 0, n);
    }
    let look = loop {
        match machine.next(0) {
            Next::Deliver(taken, _) => drop(machine.resolved(taken.delivery)),
            Next::Look(look) => break look,
            Next::Nothing => panic!("there is more"),
        }
    };
    machine.leave();
    assert_eq!(machine.lanes(), 1);
    machine.found(&look, Vec::new());
    assert_eq!(machine.lanes(), 0);
}

#[test]
fn a_dead_letter_that_was_given_up_again_can_be_replayed_before_its_branch_goes_on() {
    let mut machine = in_memory(1);
    machine.replay(&place(0), 1, 1);
    let (taken, _) = next(&mut machine);
    machine.replay(&place(0), 1, 1);
    machine.give_up(taken.delivery).unwrap();
    machine.replay(&place(0), 1, 1);
    machine.resolved(taken.delivery).unwrap();
    let again = next(&mut machine).0;
    machine.resolved(again.delivery).unwrap();
    assert!(matches!(machine.next(0), Next::Nothing));
}

#[test]
fn a_dead_letter_of_an_event_whose_turn_is_yet_to_come_is_delivered_with_it() {
    let mut machine = in_memory(1);
    for n in 1..=40 {
        scanned(&mut machine, 0, n);
    }
    let (first, _) = next(&mut machine);
    // The one that is being delivered, one at hand, and one that is not.
    for n in [1, 2, 40] {
        assert!(!machine.replay(&place(0), n, n));
    }
    // It is given up now: that is another failure.
    machine.give_up(first.delivery).unwrap();
    machine.replay(&place(0), 1, 1);
    machine.resolved(first.delivery).unwrap();
    let mut order = Vec::new();
    loop {
        match machine.next(0) {
            Next::Deliver(taken, _) => {
                order.push((taken.position, taken.again));
                machine.resolved(taken.delivery).unwrap();
            }
            Next::Look(look) => {
                let found = (look.after + 1..=look.until).map(|n| (n, n, Light(n))).collect();
                machine.found(&look, found);
            }
            Next::Nothing => break,
        }
    }
    let due: Vec<_> = std::iter::once((1, true)).chain((2..=40).map(|n| (n, false))).collect();
    assert_eq!(order, due);
}

/// What has no number weighs, too.
#[derive(Clone, Copy, Debug)]
struct Heavy(usize);

impl Item for Heavy {
    fn bytes(&self) -> usize {
        self.0
    }
}

#[test]
fn what_has_no_number_has_a_bound_over_all_branches() {
    let mut machine = Machine::<Heavy>::new(rules_in_memory(1), 0);
    let kept = (0..10_000).filter(|n| machine.put(&place(*n), Heavy(0)).is_some()).count();
    assert_eq!(kept, EPHEMERAL_LANES_EVENTS);
    let resolve = |machine: &mut Machine<Heavy>| {
        while let Next::Deliver(taken, item) = machine.next(0) {
            item.unwrap();
            machine.resolved(taken.delivery).unwrap();
        }
    };
    resolve(&mut machine);
    // One fits, whatever it weighs; while it is delivered there is room for others.
    assert_eq!(machine.put(&place(0), Heavy(2 * EPHEMERAL_BYTES)), Some(true));
    assert_eq!(machine.put(&place(1), Heavy(1)), None);
    let Next::Deliver(large, _) = machine.next(0) else { panic!("nothing to deliver") };
    let quarter = EPHEMERAL_BYTES / 4;
    let kept = (1..10).filter(|n| machine.put(&place(*n), Heavy(quarter)).is_some()).count();
    assert_eq!(kept, 4);
    machine.resolved(large.delivery).unwrap();
    assert_eq!(machine.put(&place(0), Heavy(quarter)), None);
    machine.leave();
    assert_eq!(machine.put(&place(0), Heavy(quarter)), Some(true));
    resolve(&mut machine);
    assert_eq!((machine.lanes(), machine.held()), (0, 0));
}

#[test]
fn a_clock_before_1970_delays_and_expires_like_any_other() {
    let now = -1_000_000_000;
    let mut machine = Machine::<Light>::load(RULES, 0, 1, &[], now);
    scanned(&mut machine, 0, 1);
    let first = took(&mut machine, now);
    assert_eq!(machine.next_due(), Some(now + RULES.deadline));
    let again = machine.fail(first.delivery, now, Delay::Backoff(0.0), None);
    assert_eq!(again, Ok(Failed::Again { due: now + RULES.backoff }));
    let rows = machine.rows();
    let encoded = rows[0].encode();
    let rows = [LaneRow::decode(rows[0].place.clone(), &encoded).unwrap()];
    let mut machine = Machine::<Light>::load(RULES, 1, 2, &rows, now);
    assert!(machine.take(now).is_none());
    assert_eq!(machine.expire(now + RULES.backoff), []);
    let second = took(&mut machine, now + RULES.backoff);
    assert_eq!((second.position, second.deliveries), (1, 2));
    let resolved = machine.resolved(second.delivery).unwrap();
    assert_eq!(resolved.first, now);
}
