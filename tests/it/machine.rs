//! Steps that a store can take, drawn so that they meet, with what the model answers to each: for the machines that compare a
//! store with the model, and two engines with each other.

use std::collections::HashMap;
use std::sync::Arc;

use proptest::prelude::*;
use proptest::sample::select;
use proptest_state_machine::ReferenceStateMachine;
use retold::testkit::{
    Ask, Cut, Model, ModelAppended, ModelBranch, ModelEvent, ModelPart, ModelSession, strategies,
};
use retold::{Address, BranchName, Event, EventId, Expect, Page, Place, Query, Result, SessionId, Store};

#[derive(Clone, Debug)]
pub(crate) enum Step {
    Append(Vec<ModelPart>),
    Fork { parent: Place, at: Option<u64>, name: BranchName },
    Promote(Place),
    Read(Ask),
    Pages { ask: Ask, page: usize },
    OfSession { session: SessionId, from: u64, to: u64, reverse: bool, page: usize },
    Get(EventId),
    Diff(Address, Address),
    SetCurrent(Place),
    Current(SessionId),
    Branches(SessionId),
    Sessions { after: Option<SessionId>, limit: usize },
    Flush,
    Reopen(End),
}

/// How a store ends before it is opened again.
#[derive(Clone, Debug)]
pub(crate) enum End {
    Close,
    Drop,
    Kill,
    /// The power fails, and of what is not synced this is left.
    Power(Cut),
}

pub(crate) type DiffAnswer = (u64, Vec<(Option<Arc<ModelEvent>>, Option<Arc<ModelEvent>>)>);

#[derive(Clone, Debug)]
pub(crate) enum Answer {
    Nothing,
    ModelAppended(Result<ModelAppended>),
    Forked(Result<ModelBranch>),
    Events(Result<Vec<Arc<ModelEvent>>>),
    Event(Result<Arc<ModelEvent>>),
    Diff(Result<DiffAnswer>),
    Chosen(Result<()>),
    Current(BranchName),
    Branches(Result<Vec<ModelBranch>>),
    Sessions(Vec<ModelSession>),
}

#[derive(Clone, Debug)]
pub(crate) struct State {
    pub(crate) model: Model,
    /// What was appended, to be tried again.
    appends: Vec<Vec<ModelPart>>,
    pub(crate) answer: Answer,
    current: HashMap<SessionId, BranchName>,
}

pub(crate) struct Reference;

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

/// What of the unsynced writes is left when the power fails.
pub(crate) fn cut() -> BoxedStrategy<Cut> {
    prop_oneof![
        2 => Just(Cut::Nothing),
        1 => Just(Cut::Everything),
        1 => any::<u64>().prop_map(|seed| Cut::Some { seed }),
        2 => any::<u64>().prop_map(|seed| Cut::Torn { seed, sector: 512 }),
    ]
    .boxed()
}

fn of_session(
    model: &Model,
    session: &SessionId,
    from: u64,
    to: u64,
    reverse: bool,
) -> Result<Vec<Arc<ModelEvent>>> {
    model.branches(session)?;
    let of = |told: &&Arc<ModelEvent>| told.place.session == *session && (from..=to).contains(&told.position);
    let mut events: Vec<Arc<ModelEvent>> = model.order().iter().filter(of).cloned().collect();
    if reverse {
        events.reverse();
    }
    Ok(events)
}

impl ReferenceStateMachine for Reference {
    type State = State;
    type Transition = Step;

    fn init_state() -> BoxedStrategy<State> {
        Just(State {
            model: Model::new(),
            appends: Vec::new(),
            answer: Answer::Nothing,
            current: HashMap::new(),
        })
        .boxed()
    }

    fn transitions(state: &State) -> BoxedStrategy<Step> {
        let model = &state.model;
        let existing = existing(model);
        let committed = model.committed();
        let ids: Vec<EventId> = model.order().iter().map(|told| told.event.id()).collect();
        let old_id = if ids.is_empty() { strategies::id().boxed() } else { select(ids).boxed() };
        let append = prop::collection::vec(part(model), 1..4);
        let append = match state.appends.is_empty() {
            true => append.boxed(),
            false => prop_oneof![4 => append, 1 => again(state.appends.clone())].boxed(),
        };
        let ask = prop_oneof![
            3 => existing.clone().prop_flat_map(|p| strategies::ask(Some(p), 30)),
            1 => strategies::ask(None, committed),
        ];
        let fork = (existing.clone(), prop::option::of(0u64..30), strategies::branch());
        let at = prop::option::of(0u64..30);
        let address = |(place, at): (Place, Option<u64>)| match at {
            Some(n) => Address::from(place).at(n),
            None => Address::from(place),
        };
        let sides = (
            existing.clone(),
            at.clone(),
            prop_oneof![3 => Just(None), 1 => existing.clone().prop_map(Some)],
        );
        let diff = (sides, strategies::branch(), at).prop_map(move |((left, n, other), branch, m)| {
            let right = other.unwrap_or_else(|| Place::new(left.session.clone(), branch));
            Step::Diff(address((left, n)), address((right, m)))
        });
        let ends = (strategies::number(committed), strategies::number(committed));
        let of_session = (strategies::session(), ends, any::<bool>(), 1usize..9);
        let of_session = of_session.prop_map(|(session, (from, to), reverse, page)| Step::OfSession {
            session,
            from,
            to,
            reverse,
            page,
        });
        prop_oneof![
            10 => append.prop_map(Step::Append),
            4 => fork.prop_map(|(parent, at, name)| Step::Fork { parent, at, name }),
            2 => existing.clone().prop_map(Step::Promote),
            5 => ask.clone().prop_map(Step::Read),
            2 => (ask, 1usize..9).prop_map(|(ask, page)| Step::Pages { ask, page }),
            2 => prop_oneof![4 => old_id, 1 => strategies::id()].prop_map(Step::Get),
            2 => diff,
            2 => of_session,
            1 => existing.prop_map(Step::SetCurrent),
            1 => strategies::session().prop_map(Step::Current),
            1 => strategies::session().prop_map(Step::Branches),
            1 => (prop::option::of(strategies::session()), 0usize..5)
                .prop_map(|(after, limit)| Step::Sessions { after, limit }),
            2 => Just(Step::Flush),
            1 => prop_oneof![
                3 => select(vec![End::Close, End::Drop, End::Kill]),
                2 => cut().prop_map(End::Power),
            ]
            .prop_map(Step::Reopen),
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
            Step::Promote(place) => {
                let answer = model.promote(place);
                let parent = model.branch(place).ok().and_then(|branch| branch.parent);
                // The current branch hands that on to its parent, which has all of it now.
                if let (Ok(_), Some((parent, _)), Some(current)) =
                    (&answer, parent, state.current.get_mut(&place.session))
                    && *current == place.branch
                {
                    *current = parent;
                }
                Answer::ModelAppended(answer)
            }
            Step::Read(ask) | Step::Pages { ask, .. } => Answer::Events(model.read(ask)),
            Step::Get(id) => Answer::Event(model.get(*id).cloned()),
            Step::Diff(left, right) => Answer::Diff(model.diff(left, right)),
            Step::OfSession { session, from, to, reverse, .. } => {
                Answer::Events(of_session(model, session, *from, *to, *reverse))
            }
            Step::SetCurrent(place) => Answer::Chosen(model.branch(place).map(|_| {
                state.current.insert(place.session.clone(), place.branch.clone());
            })),
            Step::Current(session) => {
                Answer::Current(state.current.get(session).cloned().unwrap_or_else(BranchName::main))
            }
            Step::Branches(session) => Answer::Branches(model.branches(session)),
            Step::Sessions { after, limit } => Answer::Sessions(model.sessions(after.as_ref(), *limit)),
            Step::Flush | Step::Reopen(_) => Answer::Nothing,
        };
        state
    }
}

/// All events of a query in pages of this size.
pub(crate) fn paged(store: &Store, ask: &Ask, size: usize) -> Result<Vec<Event>> {
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

/// All events of a session between two positions, in pages of this size.
pub(crate) fn of_session_paged(
    store: &Store,
    session: &SessionId,
    (from, to): (u64, u64),
    reverse: bool,
    size: usize,
) -> Result<Vec<Event>> {
    let query = Query::session(session)?.from(from).to(to).limit(size);
    let mut next = Some(if reverse { query.reverse() } else { query });
    let mut events = Vec::new();
    while let Some(query) = next.take() {
        let Page { events: page, next: rest, .. } = store.read(&query)?;
        events.extend(page);
        next = rest;
    }
    Ok(events)
}

pub(crate) fn machine_cases(short: u32) -> ProptestConfig {
    let cases = if std::env::var_os("RETOLD_SOAK").is_some() { short * 50 } else { short };
    ProptestConfig { cases, max_shrink_iters: 4_000, failure_persistence: None, ..ProptestConfig::default() }
}
