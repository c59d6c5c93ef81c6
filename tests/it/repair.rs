//! A damaged file becomes a sound store: what is in it is as it was, what is not is listed, and the damaged file stays as it is.

use std::collections::BTreeMap;
use std::path::Path;
use std::time::Duration;

use retold::store::recovery::{LOST_EVENT, Lost, Repaired, RestoreUntil, repair, restore};
use retold::testkit::{Disk, Model};
use retold::{Address, Batch, ConsumerConfig, Error, Event, Expect, NewEvent, Place, Query, Result, Store};

use crate::bitflip::{Bits, Given, consumers, count, dead_letters, given, runtime, settings, timers};
use crate::support::{Deed, Dice, check_everything, explained, numbered, soak};

/// A folder for one damaged file after another.
struct Bench(tempfile::TempDir);

impl Bench {
    fn new() -> Self {
        Self(tempfile::tempdir().unwrap())
    }

    /// Repairs a file with these bytes, which stays as it is, and opens the result.
    fn repaired(&self, bytes: &[u8]) -> Result<(Repaired, Store)> {
        let (damaged, out) = (self.0.path().join("damaged.redb"), self.0.path().join("repaired.redb"));
        let _ = std::fs::remove_file(&out);
        std::fs::write(&damaged, bytes).unwrap();
        let repaired = repair(&damaged, &out);
        assert!(std::fs::read(&damaged).unwrap() == bytes, "the damaged file was written to");
        match repaired {
            Ok(repaired) => Ok((repaired, Store::builder().sync(false).exclusive().open(&out)?)),
            Err(error) => {
                assert!(!out.exists(), "half a store was left behind");
                Err(error)
            }
        }
    }
}

/// How many events a repair says are lost.
fn lost_events(repaired: &Repaired) -> u64 {
    let each = repaired.lost.iter().map(|lost| match lost {
        Lost::Events { first, last, .. } => last.get() - first.get() + 1,
        Lost::Strays { events, .. } => *events,
        Lost::End { first, last } => last.get() - first.get() + 1,
        _ => 0,
    });
    each.sum()
}

fn is_listed(repaired: &Repaired, event: &Event) -> bool {
    repaired.lost.iter().any(|lost| match lost {
        Lost::Events { place, first, last } => {
            *place == **event.place() && (*first..=*last).contains(&event.sequence())
        }
        Lost::Strays { place, .. } => *place == **event.place(),
        _ => false,
    })
}

/// Every event of the store is what it was, or stands for one that is listed as lost; and there is one for each.
fn check(repaired: &Repaired, store: &Store, model: &Model) {
    let report = store.maintenance().verify().unwrap();
    assert!(report.is_clean(), "{:?}", report.problems);
    let moved: BTreeMap<Place, ()> = repaired
        .lost
        .iter()
        .filter_map(|lost| match lost {
            Lost::Branch { now: Some(now), .. } => Some((now.clone(), ())),
            _ => None,
        })
        .collect();
    let (mut kept, mut recorded) = (0, retold::Timestamp::from_micros(0));
    let due: BTreeMap<u64, _> = model.order().iter().map(|told| (told.position, told)).collect();
    for event in store.events(Query::all()).unwrap() {
        let event = event.unwrap();
        // A restore to a time, or to a position, searches for it.
        assert!(recorded <= event.recorded() && event.recorded().micros() > 0, "{event:?}");
        recorded = event.recorded();
        if event.kind() == LOST_EVENT {
            assert!(is_listed(repaired, &event), "{event:?} is not listed");
            let was = due[&event.position().get()];
            assert!(store.get(was.event.id()).is_err(), "{was:?} is there, and said to be lost");
            continue;
        }
        kept += 1;
        let told = due[&event.position().get()];
        match moved.contains_key(&**event.place()) {
            true => assert_eq!((event.id(), event.payload()), (told.event.id(), &told.event.payload()[..])),
            false => assert!(told.is(&event), "{event:?} where {told:?} was due"),
        }
        assert_eq!(store.get(event.id()).unwrap().position(), event.position());
    }
    assert_eq!(kept, repaired.events);
    let unnamed = repaired.lost.iter().any(|lost| matches!(lost, Lost::Commits { .. } | Lost::Identity));
    match unnamed {
        // Nobody knows how many events the last commits had.
        true => assert!(kept + lost_events(repaired) <= model.committed()),
        false => assert_eq!(kept + lost_events(repaired), model.committed(), "{:?}", repaired.lost),
    }
    let is_whole = kept == model.committed() && is_complete(store, model);
    assert!(is_whole || !repaired.lost.is_empty(), "something is missing without a word");
}

fn is_complete(store: &Store, model: &Model) -> bool {
    model.places().all(|place| store.head(Address::from(place.clone())).is_ok())
}

/// Records are as they were, unless some of their table are said to be lost.
fn check_beside(repaired: &Repaired, store: &Store, given: &Given) {
    let is_lost = |name: &str| {
        repaired.lost.iter().any(|lost| match lost {
            Lost::Records { table, .. } => *table == name,
            Lost::Commits { .. } | Lost::Identity | Lost::Tables => true,
            _ => false,
        })
    };
    let same = |table: &str, found: Result<Vec<String>>, due: &[String]| {
        assert!(is_lost(table) || found.unwrap() == due, "{table}: {:?}", repaired.lost);
    };
    same("consumers", consumers(store), &given.beside.consumers);
    same("letters", dead_letters(store), &given.beside.dead_letters);
    same("timers", timers(store), &given.beside.timers);
    for (place, due) in &given.beside.counts {
        if let Ok(head) = store.head(place.as_str())
            && !repaired.lost.iter().any(|lost| matches!(lost, Lost::Branch { .. }))
        {
            // States that were kept have seen the events that are lost.
            assert!(head.get() <= *due && count(store, place).unwrap() <= *due, "{place}");
        }
    }
}

fn tried(bench: &Bench, given: &Given, file: &[u8]) -> Option<Repaired> {
    match bench.repaired(file) {
        Ok((repaired, store)) => {
            check(&repaired, &store, &given.model);
            check_beside(&repaired, &store, given);
            store.append("after", numbered(1)).unwrap();
            store.close().unwrap();
            Some(repaired)
        }
        Err(Error::Corrupt { .. }) => None,
        Err(error) => panic!("{error}"),
    }
}

fn flips(kind: &str, most: u64) {
    let (bench, given) = (Bench::new(), given());
    let bits = Bits::of(kind, &given);
    let mut lost = 0;
    for n in 0..bits.limit(most) {
        let bit = bits.draw(n, &mut Dice(n), &given.file);
        let mut file = given.file.clone();
        file[bit / 8] ^= 1 << (bit % 8);
        explained(&format!("flip {n} of {kind}, bit {} of byte {}", bit % 8, bit / 8), || {
            let repaired = tried(&bench, &given, &file).expect("one bit makes no file unreadable");
            lost += u32::from(!repaired.lost.is_empty());
        });
    }
    // The checksum of a page says which bit has turned, so that it can be turned back.
    assert_eq!(lost, 0, "{kind}");
}

#[test]
fn one_flipped_bit_costs_nothing() {
    flips("written", if soak() { 2_000 } else { 80 });
    flips("keys", if soak() { 600 } else { 30 });
}

#[test]
fn nor_does_one_in_what_leads_to_a_table_or_in_the_head_of_a_page() {
    let step = if soak() { u64::MAX } else { 40 };
    flips("roots", step);
    flips("heads of pages", step);
}

#[test]
fn what_was_overwritten_is_lost_and_listed_and_all_else_is_kept() {
    let (bench, given) = (Bench::new(), given());
    let (mut lost, mut whole, mut unreadable) = (0, 0, 0);
    let tables = u64::from_le_bytes(given.file[24..32].try_into().unwrap()) as usize;
    let pages = (tables..given.file.len()).step_by(4_096).chain([0, 12_288]);
    for page in pages {
        for (begin, len) in [(0, 4_096), (512, 512)] {
            let mut file = given.file.clone();
            if file[page + begin..page + begin + len].iter().all(|byte| *byte == 0) {
                continue;
            }
            file[page + begin..page + begin + len].fill(0);
            explained(&format!("{len} bytes at {}", page + begin), || match tried(&bench, &given, &file) {
                None => unreadable += 1,
                Some(repaired) if repaired.lost.is_empty() => whole += 1,
                Some(_) => lost += 1,
            });
        }
    }
    assert!(lost >= 3 && whole > 5 && unreadable == 0, "{lost} {whole} {unreadable}");
}

#[test]
fn a_page_that_is_lost_with_the_header_makes_no_file_unreadable() {
    let bench = Bench::new();
    let (mut file, model) = killed();
    file[..56].fill(0);
    let tables = (12_288..file.len()).step_by(4_096).find(|at| file[*at..].starts_with(b"redb")).unwrap();
    let is_used = |page: &usize| file[*page..*page + 4_096].iter().any(|byte| *byte != 0);
    let pages: Vec<usize> = (tables..file.len()).step_by(4_096).filter(is_used).collect();
    for page in pages.iter().step_by(if soak() { 1 } else { 1 + pages.len() / 8 }) {
        let mut file = file.clone();
        file[*page + 64..*page + 4_096].fill(0);
        explained(&format!("the page at {page}"), || {
            let (repaired, store) = bench.repaired(&file).unwrap();
            check(&repaired, &store, &model);
        });
    }
}

#[test]
fn a_hole_before_a_commit_without_events_is_said_though_nothing_says_what_is_in_the_tables() {
    let mut file = killed_after(|store| {
        store.append("s", numbered(1)).unwrap();
        store.append("s", numbered(2)).unwrap();
        store.timers().schedule("s", NewEvent::new("t.x"), Duration::from_secs(99_999)).unwrap();
        store.append("s", numbered(3)).unwrap();
    });
    spoil(&mut file, 1);
    let tables = u64::from_le_bytes(file[24..32].try_into().unwrap()) as usize;
    file[tables..].fill(0);
    let (repaired, store) = Bench::new().repaired(&file).unwrap();
    assert!(repaired.lost.contains(&Lost::Commits { first: 2, last: 2 }), "{:?}", repaired.lost);
    assert!(repaired.lost.contains(&Lost::Tables), "{:?}", repaired.lost);
    assert_eq!(store.timers().list(9).unwrap().len(), 1);
}

#[test]
fn garbage_all_over_the_file_neither_hangs_nor_makes_up_an_event() {
    let (bench, given) = (Bench::new(), given());
    for seed in 0..if soak() { 400 } else { 20 } {
        let mut dice = Dice(seed);
        let mut file = given.file.clone();
        for _ in 0..1 + dice.under(12) {
            let at = dice.under(file.len() as u64) as usize;
            let len = (1 + dice.under(6_000) as usize).min(file.len() - at);
            file[at..at + len].iter_mut().for_each(|byte| *byte = dice.roll() as u8);
        }
        explained(&format!("seed {seed}"), || tried(&bench, &given, &file));
    }
}

#[test]
fn a_file_that_was_cut_off_gives_what_is_left_of_it() {
    let (bench, given) = (Bench::new(), given());
    let mut kept = 0;
    for part in 1..12 {
        let file = &given.file[..given.file.len() * part / 12];
        explained(&format!("{part} of 12 parts"), || {
            kept += tried(&bench, &given, file).map_or(0, |repaired| repaired.events);
        });
    }
    assert!(kept > 0);
}

/// A store that was killed: some events in the tables, the rest in the journal.
fn killed() -> (Vec<u8>, Model) {
    let mut dice = Dice(5);
    let disk = Disk::new();
    let store = settings().with_backend(disk.backend()).unwrap();
    let mut model = Model::new();
    for n in 0..60 {
        let deed = Deed::draw(&mut dice, &model);
        deed.tell(&mut model);
        deed.perform(&store, &model).unwrap();
        if n == 30 {
            store.maintenance().flush().unwrap();
        }
    }
    let file = disk.bytes();
    std::mem::forget(store);
    (file, model)
}

#[test]
fn what_is_only_in_the_journal_is_kept_and_so_is_what_lies_behind_a_hole_in_it() {
    let (file, model) = killed();
    let bench = Bench::new();
    let (repaired, store) = bench.repaired(&file).unwrap();
    assert!(repaired.lost.is_empty() && repaired.damage.is_empty(), "{repaired:?}");
    check_everything(&store, &model);
    store.close().unwrap();
    let entries = entries(&file);
    let mut behind = 0;
    let number = |at: usize| u64::from_le_bytes(file[at + 8..at + 16].try_into().unwrap());
    // One after which nothing proves that it was acknowledged cannot be told from one that was being written.
    let proves = |at: &&usize| file[**at + 4] & 1 == 1;
    let proven = entries.iter().filter(proves).map(|at| number(*at)).max().unwrap();
    for at in entries.iter().filter(|at| number(**at) < proven) {
        let mut damaged = file.clone();
        damaged[*at + 50] ^= 4;
        explained(&format!("the entry at {at}"), || {
            let (repaired, store) = bench.repaired(&damaged).unwrap();
            check(&repaired, &store, &model);
            let missing = repaired.lost.iter().any(|lost| matches!(lost, Lost::Commits { .. }));
            behind += u32::from(missing && repaired.position.get() == model.committed());
            store.close().unwrap();
        });
    }
    assert!(behind > 3, "{behind} of {}", entries.len());
}

#[test]
fn a_lost_header_costs_neither_tables_nor_journal() {
    let (mut file, model) = killed();
    file[..56].fill(0xAA);
    let (repaired, store) = Bench::new().repaired(&file).unwrap();
    assert!(repaired.lost.is_empty(), "{:?}", repaired.lost);
    assert!(repaired.damage[0].to_string().contains("tables were found"), "{:?}", repaired.damage);
    check_everything(&store, &model);
}

/// Where each commit of the journal is, in the order of their numbers.
fn entries(file: &[u8]) -> Vec<usize> {
    let is_entry = |at: &usize| file[*at..*at + 4] == *b"rtj1";
    let mut entries: Vec<usize> = (12_288..file.len() - 4).step_by(16).filter(is_entry).collect();
    entries.sort_by_key(|at| u64::from_le_bytes(file[at + 8..at + 16].try_into().unwrap()));
    entries
}

/// Damages the commit of the journal with this place among the others.
fn spoil(file: &mut [u8], commit: usize) {
    let at = entries(file)[commit];
    file[at + 50] ^= 4;
}

/// The file of a store that was killed after this.
fn killed_after(deeds: impl FnOnce(&Store)) -> Vec<u8> {
    let disk = Disk::new();
    let store = settings().with_backend(disk.backend()).unwrap();
    deeds(&store);
    let file = disk.bytes();
    std::mem::forget(store);
    file
}

#[test]
fn a_fork_of_an_event_that_is_lost_at_the_end_of_its_branch_is_kept() {
    for more in [false, true] {
        let mut file = killed_after(|store| {
            store.append("s", (1..=3).map(numbered).collect::<Vec<_>>()).unwrap();
            store.append("s", numbered(4)).unwrap();
            store.fork("s@4", "b").unwrap();
            if more {
                store.append("t", numbered(5)).unwrap();
            }
        });
        spoil(&mut file, 1);
        let bench = Bench::new();
        let (repaired, store) = bench.repaired(&file).unwrap();
        assert!(store.maintenance().verify().unwrap().is_clean());
        assert_eq!(store.head("s/b").unwrap().get(), 4, "{repaired:?}");
        let lost: Vec<_> = store.events(Query::branch("s/b").unwrap()).unwrap().collect();
        assert_eq!(lost[3].as_ref().unwrap().kind(), LOST_EVENT);
        assert!(lost_events(&repaired) == 1 && repaired.lost.len() == 2, "{:?}", repaired.lost);
        store.append("s/b", numbered(5)).unwrap();
    }
}

#[test]
fn a_current_branch_that_is_lost_is_that_of_its_session_no_more() {
    let mut file = killed_after(|store| {
        store.append("s", (1..=3).map(numbered).collect::<Vec<_>>()).unwrap();
        store.fork("s@2", "b").unwrap();
        store.set_current(&"s".parse().unwrap(), &"b".parse().unwrap()).unwrap();
        store.append("t", numbered(4)).unwrap();
    });
    spoil(&mut file, 1);
    let bench = Bench::new();
    let (repaired, store) = bench.repaired(&file).unwrap();
    assert!(store.maintenance().verify().unwrap().is_clean());
    assert_eq!(store.current(&"s".parse().unwrap()).unwrap().as_str(), "main");
    let is_current = |lost: &Lost| matches!(lost, Lost::Records { table: "current", rows: 1 });
    assert!(repaired.lost.iter().any(is_current), "{:?}", repaired.lost);
}

/// What a commit that is too large for the journal makes of a record is in the tables alone, and the journal still has how the
/// record was before.
#[test]
fn a_record_that_was_changed_past_the_journal_is_as_it_was_left() {
    let file = killed_after(|store| {
        store.append("s", (1..=4).map(numbered).collect::<Vec<_>>()).unwrap();
        let config = ConsumerConfig::new().session("s").unwrap();
        runtime().block_on(async {
            let consumer = store.consumers().open("c", config).await.unwrap();
            for _ in 0..2 {
                consumer.next().await.unwrap().ack().await.unwrap();
            }
            store.maintenance().flush_async().await.unwrap();
            let large = NewEvent::new("large").data(serde_json::json!("x".repeat(300 << 10)));
            let answer = Batch::new().add("answer", Expect::Any, large).unwrap();
            consumer.next().await.unwrap().ack_with(answer).await.unwrap();
        });
    });
    let bench = Bench::new();
    let (repaired, store) = bench.repaired(&file).unwrap();
    assert!(repaired.lost.is_empty(), "{:?}", repaired.lost);
    assert_eq!(store.consumers().info("c").unwrap().ack_floor.get(), 3);
    assert!(store.maintenance().verify().unwrap().is_clean());
}

#[test]
fn with_nothing_that_leads_to_the_tables_their_pages_and_the_journal_still_give_every_event() {
    let (mut file, model) = killed();
    let tables = u64::from_le_bytes(file[24..32].try_into().unwrap()) as usize;
    file[tables..tables + 4_096].fill(0);
    let (repaired, store) = Bench::new().repaired(&file).unwrap();
    check(&repaired, &store, &model);
    assert_eq!(repaired.events, model.committed(), "{:?}", repaired.lost);
    assert!(!repaired.lost.contains(&Lost::Identity) && repaired.lost.contains(&Lost::Tables));
}

#[test]
fn a_hole_in_a_journal_that_nothing_proves_is_said() {
    let file = killed_after(|store| {
        for n in 1..=6 {
            store.append("s", numbered(n)).unwrap();
        }
    });
    let mut damaged = file.clone();
    spoil(&mut damaged, 3);
    damaged[..56].fill(0xAA);
    let (repaired, store) = Bench::new().repaired(&damaged).unwrap();
    assert_eq!(store.head("s").unwrap().get(), 3);
    assert!(repaired.lost.contains(&Lost::Commits { first: 4, last: 6 }), "{:?}", repaired.lost);
}

/// A store whose branches have been written to for long, and was then put into a file in one go.
fn backed_up(dir: &Path) -> (Vec<u8>, Model) {
    let store = Store::builder().sync(false).exclusive().open(dir.join("runs.redb")).unwrap();
    let (mut dice, mut model) = (Dice(21), Model::new());
    while model.committed() < if soak() { 6_000 } else { 2_000 } {
        let deed = Deed::draw(&mut dice, &model);
        deed.tell(&mut model);
        deed.perform(&store, &model).unwrap();
    }
    let backup = dir.join("backup.redb");
    store.maintenance().backup(&backup).unwrap();
    (std::fs::read(backup).unwrap(), model)
}

#[test]
fn a_page_that_is_lost_costs_no_more_than_what_was_in_it() {
    let bench = Bench::new();
    let (file, model) = backed_up(bench.0.path());
    let tables = u64::from_le_bytes(file[24..32].try_into().unwrap()) as usize;
    let pages: Vec<usize> = (tables..file.len())
        .step_by(4_096)
        .filter(|page| file[*page..*page + 4_096].iter().any(|b| *b != 0))
        .collect();
    let step = 1 + pages.len() / if soak() { 70 } else { 7 };
    let (mut most, mut none) = (0, 0);
    for page in pages.iter().step_by(step).chain(&pages[..3]) {
        let mut file = file.clone();
        file[*page..*page + 4_096].fill(0);
        explained(&format!("the page at {page} of {}", file.len()), || {
            let (repaired, store) = bench.repaired(&file).unwrap();
            check(&repaired, &store, &model);
            let lost = model.committed() - repaired.events;
            (most, none) = (most.max(lost), none + u32::from(lost == 0));
            store.close().unwrap();
        });
    }
    assert!(most > 0 && most < model.committed() / 4 && none > 0, "{most} of {}, {none}", model.committed());
}

/// The file of a store before and after it was written to, and what is in it in the end.
fn rewritten() -> (Vec<u8>, Vec<u8>, Given) {
    let mut given = given();
    let before = given.file.clone();
    let disk = Disk::from_bytes(before.clone());
    let store = settings().with_backend(disk.backend()).unwrap();
    let mut dice = Dice(12);
    for _ in 0..20 {
        let deed = Deed::draw(&mut dice, &given.model);
        deed.tell(&mut given.model);
        deed.perform(&store, &given.model).unwrap();
    }
    let more = runtime().block_on(async {
        let consumer = store.consumers().open_existing("work").await.unwrap();
        for _ in 0..6 {
            consumer.next().await.unwrap().ack().await.unwrap();
        }
        consumer.close().await;
        store.timers().schedule("timed", NewEvent::new("t.x"), Duration::from_secs(200_000)).unwrap()
    });
    store
        .timers()
        .cancel(store.timers().list(9).unwrap().iter().find(|t| t.id != more.id).unwrap().id)
        .unwrap();
    given.beside.consumers = consumers(&store).unwrap();
    given.beside.dead_letters = dead_letters(&store).unwrap();
    given.beside.timers = timers(&store).unwrap();
    for (place, due) in &mut given.beside.counts {
        *due = store.head(place.as_str()).unwrap().get();
    }
    store.close().unwrap();
    drop(store);
    given.file = disk.bytes();
    let after = given.file.clone();
    (before, after, given)
}

#[test]
fn a_write_that_never_arrived_is_said() {
    let bench = Bench::new();
    let (before, after, given) = rewritten();
    let tables = u64::from_le_bytes(after[24..32].try_into().unwrap()) as usize;
    let changed = (tables..before.len().min(after.len()))
        .step_by(4_096)
        .filter(|page| before[*page..*page + 4_096] != after[*page..*page + 4_096]);
    let mut said = 0;
    for page in changed {
        let mut file = after.clone();
        file[page..page + 4_096].copy_from_slice(&before[page..page + 4_096]);
        explained(&format!("the page at {page} is what it was before"), || {
            let repaired = tried(&bench, &given, &file).expect("one page makes no file unreadable");
            said += u32::from(!repaired.lost.is_empty());
        });
    }
    assert!(said > 0);
}

#[test]
fn a_repaired_store_is_restored_to_any_position_like_another() {
    let (mut file, model) = killed();
    for at in entries(&file).iter().rev().skip(2).step_by(3).take(4) {
        file[at + 50] ^= 4;
    }
    let bench = Bench::new();
    let (repaired, store) = bench.repaired(&file).unwrap();
    check(&repaired, &store, &model);
    let times: Vec<_> = store.events(Query::all()).unwrap().map(|event| event.unwrap().recorded()).collect();
    store.close().unwrap();
    let from = bench.0.path().join("repaired.redb");
    for position in (1..times.len()).step_by(times.len() / 9) {
        let to = bench.0.path().join(format!("restored{position}.redb"));
        let restored = restore(&from, &to, RestoreUntil::Position((position as u64).into())).unwrap();
        // Events of one commit have one time, and a commit is not cut in two.
        let due = times[..position].iter().filter(|time| **time < times[position]).count();
        assert_eq!(restored.position.get(), due as u64);
        let again = Store::open(&to).unwrap();
        assert!(again.maintenance().verify().unwrap().is_clean());
    }
}

#[test]
fn what_is_no_store_or_is_in_use_or_would_be_overwritten_is_refused() {
    let bench = Bench::new();
    let dir = bench.0.path();
    let (path, out) = (dir.join("runs.redb"), dir.join("out.redb"));
    assert!(matches!(repair(&path, &out), Err(Error::NotFound { .. })));
    assert!(matches!(repair(dir, &out), Err(Error::Invalid(_))));
    std::fs::write(&path, "").unwrap();
    assert!(matches!(repair(&path, &out), Err(Error::Invalid(_))));
    std::fs::write(&path, "not a store").unwrap();
    assert!(matches!(repair(&path, &out), Err(Error::Corrupt { .. })));
    std::fs::write(&path, vec![7; 100_000]).unwrap();
    assert!(matches!(repair(&path, &out), Err(Error::Corrupt { .. })));
    std::fs::remove_file(&path).unwrap();
    let store = Store::builder().flush_when_idle(Duration::from_secs(3_600)).open(&path).unwrap();
    store.append("s", NewEvent::new("a.b")).unwrap();
    assert!(matches!(repair(&path, &out), Err(Error::Locked { .. })));
    store.close().unwrap();
    std::fs::write(&out, "mine").unwrap();
    assert!(matches!(repair(&path, &out), Err(Error::Exists { .. })));
    assert_eq!(std::fs::read(&out).unwrap(), b"mine");
    let names: Vec<_> = std::fs::read_dir(dir).unwrap().map(|e| e.unwrap().file_name()).collect();
    assert!(!names.iter().any(|name| Path::new(name).extension().is_some_and(|e| e == "new")), "{names:?}");
}

#[test]
fn files_of_earlier_formats_are_repaired_into_this_one() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("migrations");
    let dir = tempfile::tempdir().unwrap();
    let old = dir.path().join("old.redb");
    std::fs::copy(folder.join("0002_journal_in_front/before.redb"), &old).unwrap();
    let due = Store::builder().read_only().exclusive().open(&old).unwrap();
    let events = |store: &Store| -> Vec<String> {
        store.events(Query::all()).unwrap().map(|e| format!("{:?}", e.unwrap())).collect()
    };
    let due_events = events(&due);
    due.close().unwrap();
    let out = dir.path().join("out.redb");
    let repaired = repair(&old, &out).unwrap();
    assert!(repaired.lost.is_empty(), "{:?}", repaired.lost);
    assert_eq!(events(&Store::open(&out).unwrap()), due_events);
}
