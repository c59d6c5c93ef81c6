//! Chains of backups taken at random moments of random lives of branches: what is restored of them is what a full backup of
//! that moment is, in events, branches, ids and records, and equals the plain model.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::time::Duration;

use proptest::prelude::*;
use proptest::sample::Index;
use redb::{ReadableDatabase, ReadableTable, TableDefinition};
use retold::store::recovery::{RestoreUntil, restore, restore_chain};
use retold::{BranchName, Error, NewEvent, Query, Store};

use crate::lifecycle::{Op, World, cases, op};
use crate::lives::{Model, NAMES, Outcome, address, event, outcome, same};
use crate::tables::Tables;

#[derive(Clone, Debug)]
enum Step {
    Op(Op),
    /// A record beside the events: a timer, or the current branch.
    Record(usize),
    /// A backup since one of the chain's, most often the last; of a copy that a kill could have left, or of the open store.
    /// Some are restored and compared at once.
    Backup {
        since: Index,
        last: bool,
        of_a_copy: bool,
        compared: bool,
    },
    /// The store is lost, and restored from the chain.
    Lost,
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        12 => op().prop_map(Step::Op),
        1 => (0..NAMES.len()).prop_map(Step::Record),
        5 => (any::<Index>(), [0.8, 0.3, 0.15].map(prop::bool::weighted))
            .prop_map(|(since, [last, of_a_copy, compared])| Step::Backup { since, last, of_a_copy, compared }),
        1 => Just(Step::Lost),
    ]
}

/// A backup: the files that are restored for it, and the model of then.
#[derive(Clone)]
struct Taken {
    chain: Vec<PathBuf>,
    model: Model,
}

struct Chains {
    world: World,
    model: Model,
    taken: Vec<Taken>,
    folder: tempfile::TempDir,
    files: usize,
    /// Those that the store goes on from begin here.
    begun: usize,
    /// The one that the store was restored from.
    began_as: Option<usize>,
    /// Events that are appended again to what was restored, and the part of it that is restored besides.
    again: Vec<u64>,
    pick: f64,
}

impl Chains {
    fn file(&mut self, what: &str) -> PathBuf {
        self.files += 1;
        self.folder.path().join(format!("{what}-{}.redb", self.files))
    }

    fn take(&mut self, since: Option<usize>, of_a_copy: bool, compared: bool) {
        if of_a_copy {
            self.world.store().maintenance().flush().unwrap();
            // What is only in the journal.
            self.world.done(&Op::Append { branch: 0, events: 2, expects_empty: false }, &mut self.model);
        }
        let (to, full) = (self.file("part"), self.file("full"));
        let killed = self.file("killed");
        let copy = of_a_copy.then(|| {
            std::fs::copy(self.world.path(), &killed).unwrap();
            Store::builder().read_only().exclusive().open(&killed).unwrap()
        });
        let store = copy.as_ref().unwrap_or(self.world.store());
        let mut chain = Vec::new();
        match since {
            None => drop(store.maintenance().backup(&to).unwrap()),
            Some(since) => {
                let earlier = &self.taken[since];
                chain.clone_from(&earlier.chain);
                let made = store.maintenance().backup_since(chain.last().unwrap(), &to).unwrap();
                assert_eq!(made.since.unwrap().get(), earlier.model.order.len() as u64);
                assert_eq!(made.position.get(), self.model.order.len() as u64);
            }
        }
        if compared {
            store.maintenance().backup(&full).unwrap();
        }
        drop(copy);
        chain.push(to);
        self.taken.push(Taken { chain, model: self.model.clone() });
        if compared {
            self.compare(&full);
        }
    }

    /// The store is in another file. It goes on from a backup only if it was restored from that one.
    fn moved(&mut self, is_restored: bool) {
        self.began_as = self.began_as.filter(|_| is_restored);
        let last = self.taken.len().checked_sub(1).filter(|last| *last >= self.begun);
        self.begun = self.taken.len();
        let Some(last) = last else { return };
        let (earlier, to) = (self.taken[last].chain.last().unwrap().clone(), self.file("refused"));
        let made = self.world.store().maintenance().backup_since(&earlier, &to);
        if self.began_as == Some(last) {
            made.unwrap();
            self.begun = last;
        } else {
            assert!(matches!(made, Err(Error::NotABase { .. })), "{made:?}");
            assert!(!to.exists());
        }
    }

    fn done(&mut self, step: &Step) {
        match step {
            Step::Op(op) => {
                let before = self.world.path();
                self.world.done(op, &mut self.model);
                if self.world.path() != before {
                    self.moved(matches!(op, Op::Restore));
                }
            }
            Step::Record(name) => {
                let store = self.world.store();
                let (session, branch) = ("s".parse().unwrap(), NAMES[*name].parse::<BranchName>().unwrap());
                let _ = store.set_current(&session, &branch);
                let _ = store.timers().schedule("s", NewEvent::new("late"), Duration::from_secs(99_999));
            }
            Step::Backup { since, last, of_a_copy, compared } => {
                let chain = self.begun..self.taken.len();
                let since = match chain.len() {
                    0 => None,
                    _ if *last => Some(chain.end - 1),
                    len => Some(chain.start + since.index(len)),
                };
                self.take(since, *of_a_copy, *compared);
            }
            Step::Lost => {
                if self.begun == self.taken.len() {
                    return;
                }
                let last = self.taken.last().unwrap().clone();
                self.world.moves(true, |_, _, to| {
                    restore_chain(&last.chain, to, RestoreUntil::End).unwrap();
                });
                let next = self.model.next;
                // The numbers that were lost are not given to other events.
                self.model = last.model;
                self.model.next = next;
                // Earlier ones of the chain are not what this store began with.
                self.begun = self.taken.len() - 1;
                self.began_as = Some(self.begun);
            }
        }
        same(self.world.store(), &self.model);
    }

    /// Restores the last one, and compares it with the full backup of that moment.
    fn compare(&mut self, full: &Path) {
        let taken = self.taken.last().unwrap().clone();
        let (to, of_full) = (self.file("to"), self.file("of-full"));
        let made = restore_chain(&taken.chain, &to, RestoreUntil::End).unwrap();
        restore(full, &of_full, RestoreUntil::End).unwrap();
        assert_eq!(made.position.get(), taken.model.order.len() as u64);
        assert_eq!(rows(&to), rows(&of_full));
        let store = opened(&to);
        same(&store, &taken.model);
        let report = store.maintenance().verify().unwrap();
        assert!(report.is_clean(), "{:?}", report.problems);
        let mut model = taken.model.clone();
        for number in self.again.iter().filter(|number| **number < taken.model.next) {
            // What was recorded once is known, or its id is free again.
            for name in 0..NAMES.len() {
                let found = store.append(address(name).as_str(), event(*number));
                let due = model.append(name, &[*number], false);
                let is_same = outcome(&found) == due || (found.is_ok() && due == Outcome::Repeated);
                assert!(is_same, "{number} to {name}: {found:?}, and not {due:?}");
            }
        }
        same(&store, &model);
        assert!(store.maintenance().verify().unwrap().is_clean());
        store.close().unwrap();
        let position = (self.pick * taken.model.order.len() as f64) as u64;
        let until = RestoreUntil::Position(position.into());
        let (part, part_of_full) = (self.file("part-to"), self.file("part-of-full"));
        let left = restore_chain(&taken.chain, &part, until).unwrap();
        let due = restore(full, &part_of_full, until).unwrap();
        assert_eq!((left.position, left.left_out), (due.position, due.left_out));
        let [left, due] = [part, part_of_full].map(|path| opened(&path));
        assert_eq!(shown(&left), shown(&due));
        assert!(left.maintenance().verify().unwrap().is_clean());
    }
}

fn opened(path: &Path) -> Store {
    Store::builder().sync(false).exclusive().open(path).unwrap()
}

/// Every event and branch that can be read.
fn shown(store: &Store) -> Vec<String> {
    let mut shown: Vec<String> = store
        .events(Query::all())
        .unwrap()
        .map(|event| event.unwrap())
        .map(|event| format!("{} {} {} {}", event.position(), event.address(), event.id(), event.recorded()))
        .collect();
    for session in store.sessions(None, 100).unwrap() {
        for branch in store.branches(&session.session).unwrap() {
            shown.push(format!("{branch:?}"));
        }
        shown.push(format!("{:?}", store.current(&session.session)));
    }
    shown.push(format!("{:?}", store.timers().list(1_000).unwrap()));
    shown
}

/// The rows that do not depend on how events are packed: branches, heads, records, and ids of what is not deleted.
fn rows(path: &Path) -> BTreeMap<(String, Vec<u8>), Vec<u8>> {
    const BYTES: [&str; 6] = ["current", "timers", "consumers", "letters", "schemas", "leases"];
    let tables = Tables::of(path);
    let txn = tables.db.begin_read().unwrap();
    let mut found = BTreeMap::new();
    for name in BYTES {
        let Ok(table) = txn.open_table(TableDefinition::<&[u8], &[u8]>::new(name)) else { continue };
        for row in table.iter().unwrap() {
            let (key, value) = row.unwrap();
            found.insert((name.to_owned(), key.value().to_vec()), value.value().to_vec());
        }
    }
    for name in ["lines", "heads"] {
        let table = txn.open_table(TableDefinition::<u64, &[u8]>::new(name)).unwrap();
        for row in table.iter().unwrap() {
            let (key, value) = row.unwrap();
            found.insert((name.to_owned(), key.value().to_be_bytes().to_vec()), value.value().to_vec());
        }
    }
    let table = txn.open_table(TableDefinition::<(&str, &str), u64>::new("branches")).unwrap();
    for row in table.iter().unwrap() {
        let (key, value) = row.unwrap();
        let key = format!("{:?}", key.value()).into_bytes();
        found.insert(("branches".to_owned(), key), value.value().to_be_bytes().to_vec());
    }
    found
}

proptest! {
    #![proptest_config(cases(6))]

    #[test]
    fn a_chain_of_backups_is_what_a_full_backup_of_its_last_moment_is(
        steps in prop::collection::vec(step(), 5..40),
        again in prop::collection::vec(0..60u64, 6),
        pick in 0.0..1.1f64,
    ) {
        let (world, folder) = (World::in_folder(), tempfile::tempdir().unwrap());
        let (model, taken) = (Model::default(), Vec::new());
        let mut chains =
            Chains { world, model, taken, folder, files: 0, begun: 0, began_as: None, again, pick };
        steps.iter().for_each(|step| chains.done(step));
        let last = (chains.begun < chains.taken.len()).then(|| chains.taken.len() - 1);
        chains.take(last, false, true);
    }
}
