//! The store against the reference model: every answer, over any sequence of calls, flushes, reopenings and kills.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use crate::support::{check_everything, check_heads, same_events};
use proptest::prelude::*;
use proptest::sample::select;
use proptest_state_machine::{ReferenceStateMachine, StateMachineTest, prop_state_machine};
use retold::testkit::{
    Ask, Disk, Model, ModelAppended, ModelBranch, ModelEvent, ModelPart, ModelSession, strategies,
};
use retold::{
    Address, BranchInfo, BranchName, Builder, Error, Event, EventId, Expect, NewEvent, Place, Receipt,
    Result, SessionId, Store,
};

#[derive(Clone, Debug)]
enum Step {
    Append(Vec<ModelPart>),
    Fork { parent: Place, at: Option<u64>, name: BranchName },
    Promote(Place),
    Read(Ask),
    Pages { ask: Ask, page: usize },
    Get(EventId),
    Diff(Address, Address),
    Branches(SessionId),
    Sessions { after: Option<SessionId>, limit: usize },
    Flush,
    Reopen(End),
}

#[derive(Clone, Copy, Debug)]
enum End {
    Close,
    Drop,
    Kill,
}

type DiffAnswer = (u64, Vec<(Option<Arc<ModelEvent>>, Option<Arc<ModelEvent>>)>);

#[derive(Clone, Debug)]
enum Answer {
    Nothing,
    ModelAppended(Result<ModelAppended>),
    Forked(Result<ModelBranch>),
    Events(Result<Vec<Arc<ModelEvent>>>),
    Event(Result<Arc<ModelEvent>>),
    Diff(Result<DiffAnswer>),
    Branches(Result<Vec<ModelBranch>>),
    Sessions(Vec<ModelSession>),
}

#[derive(Clone, Debug)]
struct State {
    model: Model,
    /// What was appended, to be tried again.
    appends: Vec<Vec<ModelPart>>,
    answer: Answer,
}

struct Reference;

fn existing(model: &Model) -> BoxedStrategy<Place> {
    let places: Vec<Place> = model.places().cloned().collect();
    if places.is_empty() {
        return strategies::place().boxed();
    }
    prop_oneof![5 => select(places).boxed(), 1 => strategies::place().boxed()].boxed()
}

fn part(model: &Model) -> BoxedStrategy<ModelPart> {
    let heads: HashMap<Place, u64> = model.places().map(|p| (p.clone(), model.head(p).unwrap())).collect();
    let place = prop_oneof![
        3 => existing(model),
        1 => strategies::session().prop_map(|s| Place::new(s, BranchName::main())),
    ];
    let expect = prop_oneof![5 => Just(None), 1 => Just(Some(-1)), 3 => Just(Some(0)), 1 => Just(Some(1))];
    (place, expect, strategies::events())
        .prop_map(move |(place, expect, events)| {
            let head = heads.get(&place).copied().unwrap_or(0);
            let expect = match expect {
                None => Expect::Any,
                Some(-1) => Expect::Empty,
                Some(more) => Expect::Head((head + more as u64).into()),
            };
            ModelPart { place, expect, events }
        })
        .boxed()
}

/// What was appended before, as it was or with something changed.
fn again(appends: Vec<Vec<ModelPart>>) -> BoxedStrategy<Vec<ModelPart>> {
    (select(appends), 0..8, strategies::event(), any::<prop::sample::Index>())
        .prop_map(|(mut parts, change, event, index)| {
            let at = index.index(parts.len());
            let events = &mut parts[at].events;
            let one = index.index(events.len());
            match change {
                0 => events[one] = event.with_id(events[one].id()),
                1 => events.push(event),
                2 => events.insert(one, event),
                3 => events.reverse(),
                4 => drop(events.drain(..one)),
                5 => parts[at].place = Place::new("t".parse().unwrap(), BranchName::main()),
                _ => {}
            }
            parts
        })
        .boxed()
}

impl ReferenceStateMachine for Reference {
    type State = State;
    type Transition = Step;

    fn init_state() -> BoxedStrategy<State> {
        Just(State { model: Model::new(), appends: Vec::new(), answer: Answer::Nothing }).boxed()
    }

    fn transitions(state: &State) -> BoxedStrategy<Step> {
        let model = &state.model;
        let any = existing(model);
        let committed = model.committed();
        let ids: Vec<EventId> = model.order().iter().map(|told| told.event.id()).collect();
        let old_id = if ids.is_empty() { strategies::id().boxed() } else { select(ids).boxed() };
        let append = prop::collection::vec(part(model), 1..4);
        let append = match state.appends.is_empty() {
            true => append.boxed(),
            false => prop_oneof![4 => append, 1 => again(state.appends.clone())].boxed(),
        };
        let ask = prop_oneof![
            3 => any.clone().prop_flat_map(|p| strategies::ask(Some(p), 30)),
            1 => strategies::ask(None, committed),
        ];
        let fork = (any.clone(), prop::option::of(0u64..30), strategies::branch());
        let at = prop::option::of(0u64..30);
        let address = |(place, at): (Place, Option<u64>)| match at {
            Some(n) => Address::from(place).at(n),
            None => Address::from(place),
        };
        let sides = (any.clone(), at.clone(), prop_oneof![3 => Just(None), 1 => any.clone().prop_map(Some)]);
        let diff = (sides, strategies::branch(), at).prop_map(move |((left, n, other), branch, m)| {
            let right = other.unwrap_or_else(|| Place::new(left.session.clone(), branch));
            Step::Diff(address((left, n)), address((right, m)))
        });
        prop_oneof![
            10 => append.prop_map(Step::Append),
            4 => fork.prop_map(|(parent, at, name)| Step::Fork { parent, at, name }),
            2 => any.clone().prop_map(Step::Promote),
            5 => ask.clone().prop_map(Step::Read),
            2 => (ask, 1usize..9).prop_map(|(ask, page)| Step::Pages { ask, page }),
            2 => prop_oneof![4 => old_id, 1 => strategies::id()].prop_map(Step::Get),
            2 => diff,
            1 => strategies::session().prop_map(Step::Branches),
            1 => (prop::option::of(strategies::session()), 0usize..5)
                .prop_map(|(after, limit)| Step::Sessions { after, limit }),
            2 => Just(Step::Flush),
            1 => select(vec![End::Close, End::Drop, End::Kill]).prop_map(Step::Reopen),
        ]
        .boxed()
    }

    fn apply(mut state: State, step: &Step) -> State {
        let model = &mut state.model;
        state.answer = match step {
            Step::Append(parts) => {
                let answer = model.append(parts);
                if answer.is_ok() {
                    state.appends.push(parts.clone());
                }
                Answer::ModelAppended(answer)
            }
            Step::Fork { parent, at, name } => Answer::Forked(model.fork(parent, *at, name)),
            Step::Promote(place) => Answer::ModelAppended(model.promote(place)),
            Step::Read(ask) | Step::Pages { ask, .. } => Answer::Events(model.read(ask)),
            Step::Get(id) => Answer::Event(model.get(*id).cloned()),
            Step::Diff(left, right) => Answer::Diff(model.diff(left, right)),
            Step::Branches(session) => Answer::Branches(model.branches(session)),
            Step::Sessions { after, limit } => Answer::Sessions(model.sessions(after.as_ref(), *limit)),
            Step::Flush | Step::Reopen(_) => Answer::Nothing,
        };
        state
    }
}

/// Where the bytes of the store under test are.
enum Medium {
    Disk(Disk),
    /// The engine in plain maps, which ends with its process.
    Maps,
    File {
        folder: tempfile::TempDir,
        number: u32,
    },
}

struct Sut {
    /// `None` only between two openings.
    store: Option<Store>,
    medium: Medium,
    settings: Builder,
}

impl Sut {
    fn in_maps() -> Self {
        let store = Store::in_memory().unwrap();
        Self { store: Some(store), medium: Medium::Maps, settings: Store::builder() }
    }

    fn on_a_disk_in_memory() -> Self {
        let settings = Store::builder().flush_after(23, 6_000).flush_when_idle(Duration::from_secs(3_600));
        let disk = Disk::new();
        let store = settings.clone().with_backend(disk.backend()).unwrap();
        Self { store: Some(store), medium: Medium::Disk(disk), settings }
    }

    /// Flushes at its own moments too, whenever nothing is appended.
    fn on_file() -> Self {
        let settings = Store::builder().sync(false).flush_after(200, 1 << 20);
        let settings = settings.flush_when_idle(Duration::from_micros(300));
        let folder = tempfile::tempdir().unwrap();
        let store = settings.clone().open(folder.path().join("0.redb")).unwrap();
        Self { store: Some(store), medium: Medium::File { folder, number: 0 }, settings }
    }

    fn store(&self) -> &Store {
        self.store.as_ref().unwrap()
    }

    fn reopen(&mut self, end: End) {
        if matches!(self.medium, Medium::Maps) {
            return;
        }
        let settings = self.settings.clone();
        let store = self.store.take().unwrap();
        self.store = Some(match &mut self.medium {
            Medium::Maps => store,
            Medium::Disk(disk) => {
                let killed = disk.bytes();
                finish(store, end);
                *disk = Disk::from_bytes(if matches!(end, End::Kill) { killed } else { disk.bytes() });
                settings.with_backend(disk.backend()).unwrap()
            }
            Medium::File { folder, number } => {
                let old = folder.path().join(format!("{number}.redb"));
                if matches!(end, End::Kill) {
                    *number += 1;
                }
                let new = folder.path().join(format!("{number}.redb"));
                if matches!(end, End::Kill) {
                    // An idle flush may write while the file is copied, which no kill could show: keep it away.
                    store.maintenance().flush().unwrap();
                    std::fs::copy(&old, &new).unwrap();
                }
                finish(store, end);
                settings.open_only().open(new).unwrap()
            }
        });
    }
}

fn finish(store: Store, end: End) {
    if matches!(end, End::Close) {
        store.close().unwrap();
    }
    drop(store);
}

fn same_error<T: std::fmt::Debug, U: std::fmt::Debug>(found: Result<T>, due: Result<U>) -> Option<(T, U)> {
    match (found, due) {
        (Ok(found), Ok(due)) => Some((found, due)),
        (Err(found), Err(due)) => {
            assert_eq!(std::mem::discriminant(&found), std::mem::discriminant(&due), "{found} / {due}");
            if matches!(due, Error::Conflict { .. } | Error::Exists { .. }) {
                assert_eq!(found, due);
            }
            None
        }
        (found, due) => panic!("answered {found:?}, where {due:?} was due"),
    }
}

fn same_branch(found: &BranchInfo, due: &ModelBranch) {
    assert_eq!((&found.place, &found.parent), (&due.place, &due.parent));
    assert_eq!((found.head, found.events), (due.head, due.events));
    assert_eq!(found.last.is_some(), found.events > 0);
}

fn same_receipt(found: Result<Receipt>, due: Result<ModelAppended>, model: &Model) {
    if let Err(Error::Duplicate { id, at }) = &found {
        let told = model.get(*id).unwrap();
        assert_eq!((at.place(), at.sequence().unwrap().get()), (&told.place, told.sequence));
    }
    if let Some((found, due)) = same_error(found, due) {
        assert_eq!((found.parts(), found.duplicate()), (&*due.parts, due.duplicate));
    }
}

/// All events of a query in pages of this size.
fn paged(store: &Store, ask: &Ask, size: usize) -> Result<Vec<Event>> {
    let mut events = Vec::new();
    let mut left = ask.limit.unwrap_or(usize::MAX);
    let mut next = Some(ask.query()?);
    while let Some(query) = next.take() {
        let page = store.read(&query.limit(size.min(left)))?;
        left -= page.events.len();
        events.extend(page.events);
        next = page.next.filter(|_| left > 0);
    }
    Ok(events)
}

fn check(sut: &mut Sut, state: &State, step: Step) {
    let store = sut.store();
    let answer = state.answer.clone();
    match (step, answer) {
        (Step::Append(parts), Answer::ModelAppended(due)) => {
            same_receipt(ModelPart::batch(&parts).and_then(|b| store.append_batch(b)), due, &state.model);
        }
        (Step::Promote(place), Answer::ModelAppended(due)) => {
            same_receipt(store.promote(Address::from(place)), due, &state.model);
        }
        (Step::Fork { parent, at, name }, Answer::Forked(due)) => {
            let address = Address::from(parent);
            let address = at.into_iter().fold(address, |a, n| a.at(n));
            if let Some((found, due)) = same_error(store.fork(address, name.as_str()), due) {
                same_branch(&found, &due);
            }
        }
        (Step::Read(ask), Answer::Events(due)) => {
            let found = match ask.limit {
                // An iterator that may give nothing does not look.
                Some(0) => paged(store, &ask, 1),
                _ => ask.query().and_then(|q| store.events(q)).and_then(Iterator::collect),
            };
            if let Some((found, due)) = same_error::<Vec<Event>, _>(found, due) {
                same_events(&found, &due);
            }
        }
        (Step::Pages { ask, page }, Answer::Events(due)) => {
            if let Some((found, due)) = same_error(paged(store, &ask, page), due) {
                same_events(&found, &due);
            }
        }
        (Step::Get(id), Answer::Event(due)) => {
            if let Some((found, due)) = same_error(store.get(id), due) {
                same_events(&[found], &[due]);
            }
        }
        (Step::Diff(left, right), Answer::Diff(due)) => {
            if let Some((found, (common, pairs))) = same_error(store.diff(&left, &right), due) {
                assert_eq!(found.common.get(), common);
                let found: Vec<_> = found.pairs.collect::<Result<_>>().unwrap();
                assert_eq!(found.len(), pairs.len());
                for (pair, (left, right)) in found.iter().zip(&pairs) {
                    same_events(pair.left.as_slice(), left.as_slice());
                    same_events(pair.right.as_slice(), right.as_slice());
                }
            }
        }
        (Step::Branches(session), Answer::Branches(due)) => {
            if let Some((found, due)) = same_error(store.branches(&session), due) {
                assert_eq!(found.len(), due.len());
                found.iter().zip(&due).for_each(|(f, d)| same_branch(f, d));
            }
        }
        (Step::Sessions { after, limit }, Answer::Sessions(due)) => {
            let found = store.sessions(after.as_ref(), limit).unwrap();
            let found: Vec<_> = found
                .into_iter()
                .map(|s| ModelSession {
                    session: s.session,
                    head: s.head,
                    events: s.events,
                    branches: s.branches,
                })
                .collect();
            assert_eq!(found, due);
        }
        (Step::Flush, Answer::Nothing) => store.maintenance().flush().unwrap(),
        (Step::Reopen(end), Answer::Nothing) => sut.reopen(end),
        (step, answer) => panic!("{step:?} and {answer:?}"),
    }
}

macro_rules! machine {
    ($name:ident, $init:expr) => {
        struct $name;

        impl StateMachineTest for $name {
            type SystemUnderTest = Sut;
            type Reference = Reference;

            fn init_test(_: &State) -> Sut {
                $init
            }

            fn apply(mut sut: Sut, state: &State, step: Step) -> Sut {
                check(&mut sut, state, step);
                sut
            }

            fn check_invariants(sut: &Sut, state: &State) {
                check_heads(sut.store(), &state.model);
            }

            fn teardown(mut sut: Sut, state: State) {
                check_everything(sut.store(), &state.model);
                sut.reopen(End::Close);
                check_everything(sut.store(), &state.model);
            }
        }
    };
}

machine!(InMaps, Sut::in_maps());
machine!(OnDisk, Sut::on_a_disk_in_memory());
machine!(OnFile, Sut::on_file());

fn cases(short: u32) -> ProptestConfig {
    let cases = if std::env::var_os("RETOLD_SOAK").is_some() { short * 50 } else { short };
    ProptestConfig { cases, max_shrink_iters: 4_000, failure_persistence: None, ..ProptestConfig::default() }
}

prop_state_machine! {
    #![proptest_config(cases(60))]
    #[test]
    fn in_plain_maps_every_answer_is_that_of_the_model(sequential 1..60 => InMaps);
}

prop_state_machine! {
    #![proptest_config(cases(60))]
    #[test]
    fn on_a_disk_in_memory_every_answer_is_that_of_the_model(sequential 1..60 => OnDisk);
}

prop_state_machine! {
    #![proptest_config(cases(24))]
    #[test]
    fn on_a_file_with_idle_flushes_every_answer_is_that_of_the_model(sequential 1..60 => OnFile);
}

#[test]
fn the_model_itself_refuses_and_repeats_as_the_store_says_it_does() {
    let mut model = Model::new();
    let main = Place::new("s".parse().unwrap(), BranchName::main());
    let event = NewEvent::new("a");
    let part = |expect| [ModelPart { place: main.clone(), expect, events: vec![event.clone()] }];
    let first = model.append(&part(Expect::Empty)).unwrap();
    assert!(!first.duplicate);
    assert!(model.append(&part(Expect::Empty)).unwrap().duplicate);
    let other = [ModelPart { place: main.clone(), expect: Expect::Empty, events: vec![NewEvent::new("a")] }];
    assert!(matches!(model.append(&other), Err(Error::Conflict { .. })));
    assert_eq!(model.committed(), 1);
}
