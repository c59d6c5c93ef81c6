//! The store against the reference model: every answer, over any sequence of calls, flushes, reopenings and kills.

use std::time::Duration;

use crate::machine::{Answer, End, Reference, State, Step, machine_cases, of_session_paged, paged};
use crate::support::{check_everything, check_heads, same_events};
use proptest_state_machine::{StateMachineTest, prop_state_machine};
use retold::testkit::{Disk, Model, ModelAppended, ModelBranch, ModelPart, ModelSession};
use retold::{
    Address, BranchInfo, BranchName, Builder, Error, Event, Expect, NewEvent, Place, Receipt, Result, Store,
};

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
        let settings = self.settings.clone();
        let store = self.store.take().unwrap();
        self.store = Some(match &mut self.medium {
            Medium::Maps => store,
            Medium::Disk(disk) => {
                let left = match &end {
                    End::Kill => Some(disk.bytes()),
                    End::Power(cut) => Some(disk.moment(disk.operations()).cut(cut)),
                    End::Close | End::Drop => None,
                };
                finish(store, &end);
                *disk = Disk::from_bytes(left.unwrap_or_else(|| disk.bytes()));
                settings.with_backend(disk.backend()).unwrap()
            }
            Medium::File { folder, number } => {
                let old = folder.path().join(format!("{number}.redb"));
                let is_killed = matches!(end, End::Kill | End::Power(_));
                if is_killed {
                    *number += 1;
                }
                let new = folder.path().join(format!("{number}.redb"));
                if is_killed {
                    // An idle flush may write while the file is copied, which no kill could show: keep it away.
                    store.maintenance().flush().unwrap();
                    std::fs::copy(&old, &new).unwrap();
                }
                finish(store, &end);
                settings.open_only().open(new).unwrap()
            }
        });
    }
}

fn finish(store: Store, end: &End) {
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
        (Step::OfSession { session, from, to, reverse, page }, Answer::Events(due)) => {
            let found = of_session_paged(store, &session, (from, to), reverse, page);
            if let Some((found, due)) = same_error(found, due) {
                same_events(&found, &due);
            }
        }
        (Step::SetCurrent(place), Answer::Chosen(due)) => {
            same_error(store.set_current(&place.session, &place.branch), due);
        }
        (Step::Current(session), Answer::Current(due)) => {
            assert_eq!(store.current(&session).unwrap(), due);
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

prop_state_machine! {
    #![proptest_config(machine_cases(60))]
    #[test]
    fn in_plain_maps_every_answer_is_that_of_the_model(sequential 1..60 => InMaps);
}

prop_state_machine! {
    #![proptest_config(machine_cases(60))]
    #[test]
    fn on_a_disk_in_memory_every_answer_is_that_of_the_model(sequential 1..60 => OnDisk);
}

prop_state_machine! {
    #![proptest_config(machine_cases(24))]
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
