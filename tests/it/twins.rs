//! The file engine and the engine in maps, step by step: the same operations, the same answers, whatever flushes, reopenings
//! and crashes come between them on the side of the file.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::time::Duration;

use crate::machine::{End, Reference, State, Step, cut, machine_cases, of_session_paged, paged};
use crate::support::{check_everything, check_heads};
use proptest::prelude::*;
use proptest_state_machine::{ReferenceStateMachine, StateMachineTest, prop_state_machine};
use retold::testkit::{Ask, Cut, Disk, ModelPart};
use retold::{
    Address, BranchInfo, BranchName, Builder, Error, Event, Expect, NewEvent, Place, Placed, Query, Receipt,
    Record, Result, Sequence, Store,
};

/// A step, and whether the power of the file's disk fails amid it: at which part of the way, and what is left.
#[derive(Clone, Debug)]
struct Shaken {
    step: Step,
    crash: Option<(u16, Cut)>,
}

struct Steps;

impl ReferenceStateMachine for Steps {
    type State = State;
    type Transition = Shaken;

    fn init_state() -> BoxedStrategy<State> {
        Reference::init_state()
    }

    fn transitions(state: &State) -> BoxedStrategy<Shaken> {
        let crash = prop::option::weighted(0.2, (any::<u16>(), cut()));
        (Reference::transitions(state), crash).prop_map(|(step, crash)| Shaken { step, crash }).boxed()
    }

    fn apply(state: State, shaken: &Shaken) -> State {
        Reference::apply(state, &shaken.step)
    }
}

/// An event without the time at which its store recorded it.
type Seen = (String, u64, Record);

/// A branch without times.
type SeenBranch = (String, Option<(BranchName, Sequence)>, u64, u64, bool);

/// A session without times: name, head, current branch, events, branches, whether it has an event.
type SeenSession = (String, u64, BranchName, u64, u64, bool);

/// What two branches share, and what follows on each side.
type SeenDiff = (u64, Vec<[Option<Seen>; 2]>);

fn seen(event: &Event) -> Seen {
    (event.address().to_string(), event.position().get(), event.record().clone())
}

fn all_seen(events: &[Event]) -> Vec<Seen> {
    events.iter().map(seen).collect()
}

fn branch_seen(info: &BranchInfo) -> SeenBranch {
    (info.place.to_string(), info.parent.clone(), info.head.get(), info.events, info.last.is_some())
}

/// What a store answers to a step: everything but times, refusals word for word.
#[derive(Debug, PartialEq)]
enum Said {
    Nothing,
    Appended(Result<(Vec<Placed>, bool)>),
    Forked(Result<SeenBranch>),
    Done(Result<()>),
    Events(Result<Vec<Seen>>),
    Diff(Result<SeenDiff>),
    Current(Result<BranchName>),
    Branches(Result<Vec<SeenBranch>>),
    Sessions(Result<Vec<SeenSession>>),
}

fn appended(answer: Result<Receipt>) -> Said {
    Said::Appended(answer.map(|receipt| (receipt.parts().to_vec(), receipt.duplicate())))
}

fn events(answer: Result<Vec<Event>>) -> Said {
    Said::Events(answer.map(|events| all_seen(&events)))
}

fn diff(store: &Store, left: &Address, right: &Address) -> Result<SeenDiff> {
    let diff = store.diff(left, right)?;
    let pairs = diff.pairs.map(|pair| pair.map(|p| [p.left.as_ref().map(seen), p.right.as_ref().map(seen)]));
    Ok((diff.common.get(), pairs.collect::<Result<_>>()?))
}

fn said(store: &Store, step: &Step) -> Said {
    match step {
        Step::Append(parts) => appended(ModelPart::batch(parts).and_then(|batch| store.append_batch(batch))),
        Step::Promote(place) => appended(store.promote(Address::from(place.clone()))),
        Step::Fork { parent, at, name } => {
            let address = at.iter().fold(Address::from(parent.clone()), |address, n| address.at(*n));
            Said::Forked(store.fork(address, name.as_str()).map(|info| branch_seen(&info)))
        }
        Step::SetCurrent(place) => Said::Done(store.set_current(&place.session, &place.branch)),
        Step::Read(ask) => {
            events(ask.query().and_then(|query| store.events(query)).and_then(Iterator::collect))
        }
        Step::Pages { ask, page } => events(paged(store, ask, *page)),
        Step::OfSession { session, from, to, reverse, page } => {
            events(of_session_paged(store, session, (*from, *to), *reverse, *page))
        }
        Step::Get(id) => events(store.get(*id).map(|event| vec![event])),
        Step::Diff(left, right) => Said::Diff(diff(store, left, right)),
        Step::Current(session) => Said::Current(store.current(session)),
        Step::Branches(session) => {
            Said::Branches(store.branches(session).map(|all| all.iter().map(branch_seen).collect()))
        }
        Step::Sessions { after, limit } => {
            Said::Sessions(store.sessions(after.as_ref(), *limit).map(|all| {
                let one = |s: retold::SessionInfo| {
                    (s.session.to_string(), s.head.get(), s.current, s.events, s.branches, s.last.is_some())
                };
                all.into_iter().map(one).collect()
            }))
        }
        Step::Flush => Said::Done(store.maintenance().flush()),
        Step::Reopen(_) => Said::Nothing,
    }
}

struct Twins {
    memory: Store,
    /// `None` only between two openings.
    file: Option<Store>,
    disk: Disk,
    settings: Builder,
}

impl Twins {
    fn new() -> Self {
        let settings = Store::builder().flush_after(23, 6_000).flush_when_idle(Duration::from_secs(3_600));
        let disk = Disk::new();
        let file = settings.clone().with_backend(disk.backend()).unwrap();
        Self { memory: settings.clone().in_memory().unwrap(), file: Some(file), disk, settings }
    }

    fn file(&self) -> &Store {
        self.file.as_ref().unwrap()
    }

    fn open(&mut self, left: Vec<u8>) {
        self.disk = Disk::from_bytes(left);
        self.file = Some(self.settings.clone().with_backend(self.disk.backend()).unwrap());
    }

    fn reopen(&mut self, end: &End) {
        let store = self.file.take().unwrap();
        let left = match end {
            End::Kill => self.disk.bytes(),
            End::Power(cut) => self.disk.moment(self.disk.operations()).cut(cut),
            End::Close | End::Drop => {
                if matches!(end, End::Close) {
                    store.close().unwrap();
                }
                drop(store);
                self.disk.bytes()
            }
        };
        self.open(left);
    }

    /// The power failed at some part of the way from this operation of the disk to the last.
    fn crash(&mut self, begun: usize, part: u16, cut: &Cut) {
        let way = self.disk.operations() - begun;
        let at = begun + way * usize::from(part) / usize::from(u16::MAX);
        let left = self.disk.moment(at).cut(cut);
        drop(self.file.take());
        self.open(left);
    }

    fn take(&mut self, shaken: &Shaken) {
        let Shaken { step, crash } = shaken;
        let mut begun = self.disk.operations();
        let (found, due) = (said(self.file(), step), said(&self.memory, step));
        assert_eq!(found, due, "{step:?}: the file and the maps");
        if let Step::Reopen(end) = step {
            self.reopen(end);
            begun = 0;
        }
        if let Some((part, cut)) = crash {
            self.crash(begun, *part, cut);
            self.again(step, &due);
        }
    }

    /// What a crash fell into is there as a whole or not at all: asked for again, it is where it is in the maps.
    fn again(&self, step: &Step, due: &Said) {
        let is_write =
            matches!(step, Step::Append(_) | Step::Promote(_) | Step::Fork { .. } | Step::SetCurrent(_));
        if !is_write {
            return;
        }
        match (said(self.file(), step), due) {
            (Said::Appended(Ok((found, _))), Said::Appended(Ok((due, _)))) => assert_eq!(found, *due),
            (Said::Forked(Err(Error::Exists { .. })), Said::Forked(Ok(_))) => {}
            (found, due) => assert_eq!(found, *due, "{step:?}: after a crash"),
        }
    }

    /// Everything that was recorded, in the order of both.
    fn same_events(&self) {
        let all =
            |store: &Store| store.events(Query::all()).unwrap().collect::<Result<Vec<Event>>>().unwrap();
        let (file, memory) = (all(self.file()), all(&self.memory));
        assert_eq!(all_seen(&file), all_seen(&memory));
        assert!(file.is_sorted_by_key(Event::recorded) && memory.is_sorted_by_key(Event::recorded));
    }
}

impl StateMachineTest for Twins {
    type SystemUnderTest = Self;
    type Reference = Steps;

    fn init_test(_: &State) -> Self {
        Self::new()
    }

    fn apply(mut twins: Self, _: &State, shaken: Shaken) -> Self {
        twins.take(&shaken);
        twins
    }

    fn check_invariants(twins: &Self, state: &State) {
        check_heads(twins.file(), &state.model);
        check_heads(&twins.memory, &state.model);
    }

    fn teardown(mut twins: Self, state: State) {
        twins.same_events();
        check_everything(&twins.memory, &state.model);
        check_everything(twins.file(), &state.model);
        twins.reopen(&End::Close);
        twins.same_events();
        check_everything(twins.file(), &state.model);
    }
}

#[test]
fn a_file_that_has_lost_an_event_is_told_from_the_maps() {
    let append = |kind: &'static str| {
        let place = Place::new("s".parse().unwrap(), BranchName::main());
        let part = ModelPart { place, expect: Expect::Any, events: vec![NewEvent::new(kind)] };
        Shaken { step: Step::Append(vec![part]), crash: None }
    };
    let read = Shaken { step: Step::Read(Ask::all()), crash: None };
    let mut twins = Twins::new();
    twins.take(&append("a"));
    let before = twins.disk.bytes();
    twins.take(&append("b"));
    twins.take(&read);
    drop(twins.file.take());
    twins.open(before);
    assert!(catch_unwind(AssertUnwindSafe(|| twins.take(&read))).is_err());
    assert!(catch_unwind(AssertUnwindSafe(|| twins.same_events())).is_err());
}

prop_state_machine! {
    #![proptest_config(machine_cases(60))]
    #[test]
    fn the_file_and_the_maps_answer_alike_through_flushes_reopenings_and_crashes(sequential 1..60 => Twins);
}
