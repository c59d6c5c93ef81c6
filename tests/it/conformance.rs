//! The suite that every engine passes, on each engine; and that it fails where an engine does.

use std::path::PathBuf;

use retold::testkit::conformance::{self, Capability, CaseOutcome, Conformance, Home, Stop, cases};
use retold::testkit::{Cut, Disk};
use retold::{Builder, NewEvent, Result, Store};

/// The engine in plain maps.
struct InMemory;

impl Home for InMemory {
    fn create(&mut self, settings: Builder) -> Result<Store> {
        settings.in_memory()
    }
}

/// The file engine, on a file.
struct OnFile {
    folder: tempfile::TempDir,
    made: u32,
}

impl OnFile {
    fn new() -> Self {
        Self { folder: tempfile::tempdir().unwrap(), made: 0 }
    }

    fn path(&self) -> PathBuf {
        self.folder.path().join(format!("{}.redb", self.made))
    }
}

impl Home for OnFile {
    fn create(&mut self, settings: Builder) -> Result<Store> {
        self.made += 1;
        settings.create_only().open(self.path())
    }

    fn reopen(&mut self, settings: Builder) -> Result<Option<Store>> {
        settings.open_only().open(self.path()).map(Some)
    }
}

/// The file engine, on a disk whose power can fail: of what is not synced, the crashes leave nothing, everything, and
/// some of it, in turn.
#[derive(Default)]
struct OnDisk {
    disk: Disk,
    crashes: u64,
}

impl OnDisk {
    fn cut(&mut self) -> Cut {
        self.crashes += 1;
        match self.crashes % 4 {
            0 => Cut::Nothing,
            1 => Cut::Everything,
            2 => Cut::Some { seed: self.crashes },
            _ => Cut::Torn { seed: self.crashes, sector: 512 },
        }
    }
}

impl Home for OnDisk {
    fn create(&mut self, settings: Builder) -> Result<Store> {
        self.disk = Disk::new();
        settings.with_backend(self.disk.backend())
    }

    fn reopen(&mut self, settings: Builder) -> Result<Option<Store>> {
        // A lock that the system gives a file is not there: a copy keeps the handles of before apart.
        self.disk = Disk::from_bytes(self.disk.bytes());
        settings.with_backend(self.disk.backend()).map(Some)
    }

    fn crash(&mut self, settings: Builder) -> Result<Option<Store>> {
        let left = self.disk.moment(self.disk.operations()).cut(&self.cut());
        self.disk = Disk::from_bytes(left);
        settings.with_backend(self.disk.backend()).map(Some)
    }
}

fn shown(engine: &str, conformance: &Conformance) {
    println!("{engine}: {conformance}");
    let (passed, skipped) = (conformance.passed.len(), conformance.skipped.len());
    assert!(conformance.is_clean(), "{engine}: {conformance}");
    assert_eq!(passed + skipped, cases().len());
}

fn skipped_for(conformance: &Conformance) -> Vec<Capability> {
    let mut missing: Vec<Capability> = conformance.skipped.iter().map(|(_, missing)| *missing).collect();
    missing.sort_unstable_by_key(ToString::to_string);
    missing.dedup();
    missing
}

#[test]
fn the_engine_in_memory_passes_every_case_but_those_of_reopening() {
    let conformance = conformance::run(&mut InMemory);
    shown("in memory", &conformance);
    assert_eq!(skipped_for(&conformance), [Capability::Crash, Capability::Reopen]);
}

#[test]
fn the_file_engine_passes_every_case_on_a_file_but_those_of_crashes() {
    let conformance = conformance::run(&mut OnFile::new());
    shown("on a file", &conformance);
    assert_eq!(skipped_for(&conformance), [Capability::Crash]);
}

#[test]
fn the_file_engine_passes_every_case_on_a_disk_that_loses_power() {
    let conformance = conformance::run(&mut OnDisk::default());
    shown("on a disk that loses power", &conformance);
    assert_eq!(skipped_for(&conformance), []);
}

#[test]
fn every_case_has_a_name_of_its_own() {
    let mut names: Vec<&str> = cases().iter().map(|case| case.name).collect();
    let all = names.len();
    names.sort_unstable();
    names.dedup();
    assert_eq!(names.len(), all);
}

fn outcome(name: &str, home: &mut dyn Home) -> CaseOutcome {
    cases().iter().find(|case| case.name == name).expect(name).run(home)
}

/// How a home that should pass fails.
fn failure(name: &str, home: &mut dyn Home) -> String {
    match outcome(name, home) {
        Err(Stop::Failed(what)) => what,
        other => panic!("{name}: {other:?}, where it had to fail"),
    }
}

/// The file engine, with something wrong about it.
struct Wrong {
    disk: OnDisk,
    fault: Planted,
}

#[derive(Clone, Copy, PartialEq)]
enum Planted {
    /// A store that was closed is opened empty.
    LosesWhatWasClosed,
    /// A store that was closed lacks its end.
    LosesTheEnd,
    /// A crash takes what was acknowledged shortly before it.
    LosesWhatWasAcknowledged,
    /// A store that is opened to be read can be written.
    IgnoresReadOnly,
    /// What is made is the store of before.
    SharesOneStore,
    /// A store that is made is not empty.
    IsUsedByAnother,
    /// It panics.
    Panics,
}

/// The latest synced moment of a disk that has fewer events than the disk itself.
fn shortened(disk: &Disk) -> Disk {
    let committed = |bytes: Vec<u8>| {
        let store = Builder::new().with_backend(Disk::from_bytes(bytes).backend());
        store.map_or(0, |store| store.committed().get())
    };
    let now = committed(disk.bytes());
    let moments = disk.sync_points().into_iter().rev();
    let mut left = moments.map(|at| disk.moment(at).cut(&Cut::Nothing));
    let earlier = left.find(|bytes| committed(bytes.clone()) < now);
    Disk::from_bytes(earlier.unwrap_or_else(|| disk.bytes()))
}

impl Home for Wrong {
    fn create(&mut self, settings: Builder) -> Result<Store> {
        match self.fault {
            Planted::SharesOneStore if self.disk.disk.operations() > 0 => {
                let reopened = self.disk.reopen(settings)?;
                reopened.map_or_else(Store::in_memory, Ok)
            }
            Planted::IsUsedByAnother => {
                let store = self.disk.create(settings)?;
                store.append("somebody", NewEvent::new("a"))?;
                Ok(store)
            }
            Planted::Panics => panic!("out of order"),
            _ => self.disk.create(settings),
        }
    }

    fn reopen(&mut self, settings: Builder) -> Result<Option<Store>> {
        match self.fault {
            Planted::LosesWhatWasClosed => self.disk.create(settings).map(Some),
            Planted::LosesTheEnd => {
                self.disk.disk = shortened(&self.disk.disk);
                self.disk.reopen(settings)
            }
            Planted::IgnoresReadOnly => self.disk.reopen(Builder::new()),
            _ => self.disk.reopen(settings),
        }
    }

    fn crash(&mut self, settings: Builder) -> Result<Option<Store>> {
        if self.fault == Planted::LosesWhatWasAcknowledged {
            self.disk.disk = shortened(&self.disk.disk);
            return self.disk.reopen(settings);
        }
        self.disk.crash(settings)
    }
}

#[test]
fn the_suite_fails_where_an_engine_does() {
    for (fault, case, says) in [
        (Planted::LosesWhatWasClosed, "reopening::a_store_is_the_same_when_it_is_opened_again", "contents"),
        (Planted::LosesWhatWasClosed, "duplicates::retries_are_deduplicated_after_reopening", "the receipt"),
        (Planted::LosesWhatWasClosed, "records::records_survive_reopening", "the current branch"),
        (Planted::LosesWhatWasClosed, "timers::timers_fire_after_reopening", "timers fired"),
        (Planted::LosesTheEnd, "reopening::a_store_is_the_same_when_it_is_opened_again", "contents"),
        (Planted::LosesWhatWasAcknowledged, "reopening::acknowledged_appends_survive_a_crash", "contents"),
        (
            Planted::LosesWhatWasAcknowledged,
            "durability::a_durable_append_makes_the_relaxed_ones_before_it_durable",
            "events stored",
        ),
        (
            Planted::IgnoresReadOnly,
            "reopening::a_read_only_store_reads_everything_and_refuses_writes",
            "it succeeded",
        ),
        (Planted::SharesOneStore, "follow::a_cursor_of_another_store_or_branch_is_refused", "it succeeded"),
        (
            Planted::IsUsedByAnother,
            "append::an_append_goes_to_the_end_of_its_branch_and_returns_where",
            "committed at first",
        ),
        (Planted::Panics, "append::a_large_event_comes_back_whole", "it panicked: out of order"),
    ] {
        let what = failure(case, &mut Wrong { disk: OnDisk::default(), fault });
        assert!(what.contains(says), "{case}: {what}");
    }
}

#[test]
fn a_home_that_loses_what_was_closed_fails_every_case_that_looks_for_it() {
    let fault = Planted::LosesWhatWasClosed;
    let conformance = conformance::run(&mut Wrong { disk: OnDisk::default(), fault });
    assert!(!conformance.is_clean());
    let failed: Vec<&str> = conformance.failed.iter().map(|(name, _)| *name).collect();
    // Nothing else has failed, and the report names each with what it found.
    let looks = |name: &str| name.contains("reopen") || name.contains("again") || name.starts_with("closing");
    assert!(
        failed.len() >= 12 && failed.iter().all(|name| looks(name) || name.starts_with("durability")),
        "{failed:?}"
    );
    let text = conformance.to_string();
    assert!(failed.iter().all(|name| text.contains(&format!("FAILED {name}: "))), "{text}");
}
