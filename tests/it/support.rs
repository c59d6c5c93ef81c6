//! What several tests share: dice, deeds to do with a store, and the comparison of a whole store with the model.

use std::path::Path;
use std::sync::Arc;

use retold::testkit::{Ask, Model, ModelEvent, ModelPart};
use retold::{
    Address, Batch, BranchName, Builder, Durability, Event, Expect, NewEvent, Place, Query, Result, Store,
    Timestamp,
};

/// Whether the long forms were asked for.
pub(crate) fn soak() -> bool {
    std::env::var_os("RETOLD_SOAK").is_some()
}

/// A folder for many files that need not outlive the machine: in memory, where there is such a place, so that a sync costs
/// nothing.
pub(crate) fn quick_dir() -> tempfile::TempDir {
    let in_memory = Path::new("/dev/shm");
    match tempfile::tempdir_in(in_memory) {
        Ok(dir) if cfg!(target_os = "linux") => dir,
        _ => tempfile::tempdir().unwrap(),
    }
}

/// A store on the file engine, whose file is memory.
pub(crate) fn on_memory(settings: Builder) -> Store {
    settings.with_backend(Box::new(redb::backends::InMemoryBackend::new())).unwrap()
}

/// The store at a path that was closed: its file is free once whoever still reads has ended.
pub(crate) async fn reopened(path: &std::path::Path) -> Store {
    let begun = std::time::Instant::now();
    loop {
        match Store::open(path) {
            Ok(store) => return store,
            Err(retold::Error::Locked { .. }) if begun.elapsed().as_secs() < 120 => {
                tokio::task::yield_now().await;
            }
            Err(e) => panic!("{e}"),
        }
    }
}

/// SplitMix64, so that a failure can be run again from its seed.
#[derive(Clone, Debug)]
pub(crate) struct Dice(pub(crate) u64);

impl Dice {
    pub(crate) fn roll(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        z ^ (z >> 31)
    }

    pub(crate) fn under(&mut self, bound: u64) -> u64 {
        self.roll() % bound.max(1)
    }

    pub(crate) fn one_in(&mut self, n: u64) -> bool {
        self.under(n) == 0
    }
}

/// Something that a store is asked to do and that succeeds when nothing is broken.
#[derive(Clone, Debug)]
pub(crate) enum Deed {
    Append(Vec<ModelPart>, Durability),
    Fork { parent: Place, at: u64, name: BranchName },
    Flush,
}

impl Deed {
    /// A deed that fits what is there.
    pub(crate) fn draw(dice: &mut Dice, model: &Model) -> Self {
        let places: Vec<Place> = model.places().cloned().collect();
        match dice.under(12) {
            0 if !places.is_empty() => {
                let parent = places[dice.under(places.len() as u64) as usize].clone();
                let at = dice.under(model.head(&parent).unwrap() + 1);
                Self::Fork { parent, at, name: BranchName::new(format!("b{}", places.len())).unwrap() }
            }
            1 => Self::Flush,
            _ => {
                let parts = if dice.one_in(4) { 1 + dice.under(4) } else { 1 };
                let relaxed = dice.one_in(5);
                let parts = (0..parts).map(|_| part(dice, &places)).collect();
                Self::Append(parts, if relaxed { Durability::Relaxed } else { Durability::Durable })
            }
        }
    }

    pub(crate) fn is_relaxed(&self) -> bool {
        matches!(self, Self::Append(_, Durability::Relaxed))
    }

    pub(crate) fn tell(&self, model: &mut Model) {
        match self {
            Self::Append(parts, _) => drop(model.append(parts).unwrap()),
            Self::Fork { parent, at, name } => drop(model.fork(parent, Some(*at), name).unwrap()),
            Self::Flush => {}
        }
    }

    /// Does it. What the store answers has to be what `after`, the model that was told of it, has.
    pub(crate) fn perform(&self, store: &Store, after: &Model) -> Result<()> {
        match self {
            Self::Append(parts, durability) => {
                let receipt = store.append_batch(ModelPart::batch(parts)?.durability(*durability))?;
                for (part, placed) in parts.iter().zip(receipt.parts()) {
                    let (first, last) = (part.events.first().unwrap(), part.events.last().unwrap());
                    let due = (after.get(first.id()).unwrap(), after.get(last.id()).unwrap());
                    assert_eq!(placed.place, part.place);
                    let sequences = (placed.first.get(), placed.last.get());
                    assert_eq!(sequences, (due.0.sequence, due.1.sequence), "{}", placed.place);
                    let positions = (placed.first_position.get(), placed.last_position.get());
                    assert_eq!(positions, (due.0.position, due.1.position), "{}", placed.place);
                }
                Ok(())
            }
            Self::Fork { parent, at, name } => {
                let address = Address::from(parent.clone()).at(*at);
                match store.fork(address, name.as_str()) {
                    Ok(info) => assert_eq!(info.parent, Some((parent.branch.clone(), (*at).into()))),
                    Err(retold::Error::Exists { .. }) => {}
                    Err(e) => return Err(e),
                }
                Ok(())
            }
            Self::Flush => store.maintenance().flush(),
        }
    }
}

fn part(dice: &mut Dice, places: &[Place]) -> ModelPart {
    let place = if places.is_empty() || dice.one_in(5) {
        Place::new(format!("s{}", dice.under(6)).parse().unwrap(), BranchName::main())
    } else {
        places[dice.under(places.len() as u64) as usize].clone()
    };
    let count = if dice.one_in(12) { 32 + dice.under(40) } else { 1 + dice.under(4) };
    ModelPart { place, expect: Expect::Any, events: (0..count).map(|_| event(dice)).collect() }
}

/// An event whose payload is small, mostly.
pub(crate) fn event(dice: &mut Dice) -> NewEvent {
    let size = if dice.one_in(40) { dice.under(30_000) } else { dice.under(200) };
    let text = format!("\"{:016x}{}\"", dice.roll(), "x".repeat(size as usize));
    NewEvent::new("step.done").json_text(text).occurred(Timestamp::from_micros(dice.under(1_000) as i64))
}

/// One event whose payload is this number.
pub(crate) fn numbered(n: u64) -> NewEvent {
    NewEvent::new("step.done").json_text(n.to_string())
}

/// The number of a [`numbered`] event.
pub(crate) fn number(event: &Event) -> u64 {
    std::str::from_utf8(event.payload()).unwrap().parse().unwrap()
}

/// The numbers of all events of a branch.
pub(crate) fn numbers(store: &Store, address: &str) -> Vec<u64> {
    let events = store.events(Query::branch(address).unwrap()).unwrap();
    events.map(|event| number(&event.unwrap())).collect()
}

pub(crate) fn batch(address: &str, events: Vec<NewEvent>) -> Batch {
    Batch::new().add(address, Expect::Any, events).unwrap()
}

pub(crate) fn same_events(found: &[Event], due: &[Arc<ModelEvent>]) {
    let numbers = |events: &[Event]| events.iter().map(|e| e.address().to_string()).collect::<Vec<_>>();
    assert_eq!(found.len(), due.len(), "{:?} where {due:?} was due", numbers(found));
    for (found, due) in found.iter().zip(due) {
        assert!(due.is(found), "{found:?} where {due:?} was due");
    }
}

pub(crate) fn check_heads(store: &Store, model: &Model) {
    assert_eq!(store.committed().get(), model.committed());
    for place in model.places() {
        let address = Address::from(place.clone());
        assert_eq!(store.head(&address).unwrap().get(), model.head(place).unwrap(), "{place}");
        assert_eq!(store.ancestry(&address).unwrap(), model.ancestry(place).unwrap(), "{place}");
    }
}

pub(crate) fn check_everything(store: &Store, model: &Model) {
    check_heads(store, model);
    for ask in model.places().cloned().map(Ask::branch).chain([Ask::all()]) {
        for reverse in [false, true] {
            let ask = Ask { reverse, ..ask.clone() };
            let found: Result<Vec<Event>> = store.events(ask.query().unwrap()).unwrap().collect();
            same_events(&found.unwrap(), &model.read(&ask).unwrap());
        }
    }
    let report = store.maintenance().verify().unwrap();
    assert!(report.is_clean(), "{:?}", report.problems);
    assert_eq!(report.events, model.committed());
}

/// How many branches a store has.
pub(crate) fn branches(store: &Store) -> u64 {
    store.sessions(None, 1_000).unwrap().iter().map(|s| s.branches).sum()
}

/// Says what was being done when it panics.
pub(crate) fn explained<T>(what: &str, work: impl FnOnce() -> T) -> T {
    struct Teller<'a>(&'a str);
    impl Drop for Teller<'_> {
        fn drop(&mut self) {
            if std::thread::panicking() {
                eprintln!("this failed: {}", self.0);
            }
        }
    }
    let _teller = Teller(what);
    work()
}

/// An error with a cause, which its own text does not tell.
#[derive(Debug)]
pub(crate) struct Unsent(pub(crate) std::io::Error);

impl std::fmt::Display for Unsent {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("the mail was not sent")
    }
}

impl std::error::Error for Unsent {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        Some(&self.0)
    }
}

/// Runs the rest of this test in a process that has a disk of so many MiB for itself; `name` is that of the test.
pub(crate) fn on_small_disk(name: &str, mib: u32, test: impl FnOnce(&Path)) {
    const AT: &str = "RETOLD_TEST_SMALL_DISK";
    if let Some(disk) = std::env::var_os(AT) {
        return test(Path::new(&disk));
    }
    if !cfg!(target_os = "linux") {
        return;
    }
    let dir = tempfile::tempdir().unwrap();
    let (disk, program) = (dir.path().display(), std::env::current_exe().unwrap());
    let mounted = format!(
        "mount -t tmpfs -o size={mib}m none '{disk}' || exit 77; exec '{}' --exact {name}",
        program.display()
    );
    let ran = std::process::Command::new("unshare")
        .args(["-rm", "sh", "-c", &mounted])
        .env(AT, dir.path())
        .output();
    match ran {
        Ok(ran) if ran.status.success() => {}
        Ok(ran)
            if ran.status.code() == Some(77) || String::from_utf8_lossy(&ran.stderr).contains("unshare") =>
        {
            println!("skipped: no disk of {mib} MiB can be mounted here");
        }
        Ok(ran) => panic!("{}{}", String::from_utf8_lossy(&ran.stdout), String::from_utf8_lossy(&ran.stderr)),
        Err(error) => println!("skipped: unshare cannot be run: {error}"),
    }
}

/// Is set when this goes, so that threads that wait for it end when an assertion fails.
pub(crate) struct SetOnDrop<'a>(pub(crate) &'a std::sync::atomic::AtomicBool);

impl Drop for SetOnDrop<'_> {
    fn drop(&mut self) {
        self.0.store(true, std::sync::atomic::Ordering::SeqCst);
    }
}

/// Appends two events that belong together, again and again until it is told to stop.
pub(crate) fn append_pairs(store: &Store, session: &str, done: &std::sync::atomic::AtomicBool) {
    let mut n = 0;
    while !done.load(std::sync::atomic::Ordering::Relaxed) {
        n += 2;
        store.append(session, vec![numbered(n - 1), numbered(n)]).unwrap();
    }
}

/// No pair of these sessions was cut, and nothing before it is missing.
pub(crate) fn pairs_are_whole(store: &Store, sessions: &[&str]) {
    for session in sessions {
        let found = store.head(*session).map_or(0, |head| head.get());
        assert!(found.is_multiple_of(2));
        if found > 0 {
            assert_eq!(numbers(store, session), (1..=found).collect::<Vec<_>>());
        }
    }
}
