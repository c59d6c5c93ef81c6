//! How much work an import is, counted in rows that are read, so that a slow machine changes nothing.

use super::super::ahead::{Step, ahead};
use super::super::homes::{COMMITS, Homes};
use super::super::load::BATCH_STEPS;
use super::super::rows::ROWS_READ;
use super::super::sketch::Sketch;
use super::super::testing::{branches as branches_of, event, plan_of};
use super::super::{ExportScope, PlanStep, export_sources, load};
use crate::error::Error;
use crate::limits::MAX_FORK_DEPTH;
use crate::store::Store;

const TIME: &str = "\"timestamp\":\"2026-01-02T03:04:06.000Z\"";

fn head(session: usize) -> String {
    format!("{{\"type\":\"session\",\"version\":3,\"id\":\"p-{session}\",{TIME},\"cwd\":\"/\"}}\n")
}

fn says(id: usize, parent: usize) -> String {
    format!(
        "{{\"type\":\"message\",\"id\":\"e{id}\",\"parentId\":\"e{parent}\",{TIME},\"message\":{{\"role\":\"user\",\"content\":\"{id}\"}}}}\n"
    )
}

/// One session, with a branch for every five entries that leaves the one before it.
fn branches(entries: usize) -> String {
    let parent = |id: usize| if id.is_multiple_of(5) { id.saturating_sub(7) } else { id.saturating_sub(1) };
    head(0) + &(0..entries).map(|id| says(id, parent(id))).collect::<String>()
}

/// A rewind in each of many sessions that were joined into one file.
fn sessions(entries: usize) -> String {
    let session = |n: usize| {
        let parents = [0, 0, 1, 2, 1, 4, 5, 6];
        let says = |(id, parent)| says(8 * n + id, 8 * n + parent);
        head(n) + &parents.into_iter().enumerate().map(says).collect::<String>()
    };
    (0..entries / 8).map(session).collect()
}

fn rows_read(file: &str, branches: usize) -> usize {
    let before = ROWS_READ.get();
    assert!(plan_of("2026_p-0.jsonl", file).places().len() >= branches);
    ROWS_READ.get() - before
}

#[test]
fn the_work_of_an_import_grows_with_its_records_and_not_with_their_branches() {
    for (file, share) in [(branches as fn(usize) -> String, 6), (sessions, 5)] {
        for entries in [1_600, 16_000] {
            let rows = rows_read(&file(entries), entries / share);
            assert!(rows < 16 * entries, "{rows} rows were read for {entries} entries");
        }
    }
}

/// A session for each entry.
fn apart(entries: usize) -> String {
    (0..entries).map(|n| head(n) + &says(n, n)).collect()
}

#[test]
fn an_import_commits_by_its_size_and_not_by_its_branches_and_sessions() {
    for file in [branches(6_000), sessions(6_000), apart(3_000)] {
        let plan = plan_of("2026_p-0.jsonl", &file);
        let forks = plan.steps.iter().filter(|step| matches!(step, PlanStep::Fork { .. })).count();
        let steps = plan.events() + forks;
        let store = Store::in_memory().unwrap();
        let before = COMMITS.get();
        let loaded = load(&store, plan, &mut |_| {}).unwrap();
        assert!(loaded.branches > 700, "{}", loaded.branches);
        assert_eq!(COMMITS.get() - before, steps.div_ceil(BATCH_STEPS), "{steps} steps");
        assert!(store.maintenance().verify().unwrap().is_clean());
    }
}

#[cfg(all(unix, feature = "testkit"))]
#[test]
fn a_file_goes_into_a_store_on_a_disk_and_through_its_owner_as_into_memory() {
    use crate::testkit::{Disk, Sharing};
    for file in [branches(400), sessions(400)] {
        let plan = || plan_of("2026_p-0.jsonl", &file);
        let memory = Store::in_memory().unwrap();
        load(&memory, plan(), &mut |_| {}).unwrap();
        let disk = Disk::new();
        let owner = Store::builder().with_backend(disk.backend()).unwrap();
        let sharing = Sharing::of(&owner, None).unwrap();
        let client = sharing.client(Store::builder()).unwrap();
        let before = COMMITS.get();
        load(&client, plan(), &mut |_| {}).unwrap();
        assert_eq!(COMMITS.get() - before, 1);
        assert_eq!(branches_of(&memory), branches_of(&owner));
        owner.maintenance().flush().unwrap();
        assert!(owner.maintenance().verify().unwrap().is_clean());
        drop((client, sharing));
        owner.close().unwrap();
        let again = Store::builder().with_backend(disk.backend()).unwrap();
        assert_eq!(branches_of(&memory), branches_of(&again));
        assert_eq!(load(&again, plan(), &mut |_| {}).unwrap().new, 0);
    }
}

#[test]
fn a_file_that_is_imported_in_small_parts_has_the_same_branches() {
    for file in [branches(90), sessions(48)] {
        let whole = Store::in_memory().unwrap();
        load(&whole, plan_of("2026_p-0.jsonl", &file), &mut |_| {}).unwrap();
        // Each time, all but the last line is there.
        let grown = Store::in_memory().unwrap();
        let mut text = String::new();
        for line in file.lines() {
            text += &format!("{line}\n");
            load(&grown, plan_of("2026_p-0.jsonl", &text), &mut |_| {}).unwrap();
        }
        let histories = |store| {
            let all = branches_of(store).into_iter().map(|(_, ids)| ids).filter(|ids| !ids.is_empty());
            all.collect::<std::collections::BTreeSet<_>>()
        };
        assert_eq!(histories(&whole), histories(&grown));
    }
}

#[test]
fn steps_are_refused_as_a_whole_when_somebody_else_writes_to_their_branches() {
    let store = Store::in_memory().unwrap();
    let file = sessions(16);
    let sketch = Sketch::of(plan_of("2026_p-0.jsonl", &file)).unwrap();
    let homes = Homes::survey(&store, &sketch, &|_| bytes::Bytes::new()).unwrap();
    let steps: Vec<Step> = plan_of("2026_p-0.jsonl", &file)
        .steps
        .into_iter()
        .flat_map(|step| match step {
            PlanStep::Fork { place, .. } => vec![Step::Begin(place)],
            PlanStep::Append { place, events } => {
                events.into_iter().map(|event| Step::Append(place.clone(), Box::new(event))).collect()
            }
        })
        .collect();
    let planned = ahead(&store, &homes, &steps).unwrap().unwrap();
    store.append("p-1", event("a.b")).unwrap();
    let refused = store.append_batch(planned.batch);
    assert!(matches!(refused, Err(Error::Conflict { .. })), "{refused:?}");
    assert_eq!(branches_of(&store).len(), 1);
    // The import goes on all the same, after what was written.
    let loaded = load(&store, plan_of("2026_p-0.jsonl", &file), &mut |_| {}).unwrap();
    assert_eq!(loaded.new, plan_of("2026_p-0.jsonl", &file).events());
    assert_eq!(store.head("p-1").unwrap().get(), 1 + store.head("p-0").unwrap().get());
}

#[test]
fn branches_that_are_nested_deeper_than_a_store_takes_go_in_all_the_same() {
    // Each branch leaves the one before it after its first entry; what was written last follows the first of all.
    let nested: String =
        (1..=MAX_FORK_DEPTH + 2).map(|n| says(2 * n, 2 * n - 2) + &says(2 * n + 1, 2 * n)).collect();
    let file = head(0) + &says(0, 0) + &says(1, 0) + &nested + &says(1_000_000, 0);
    let store = Store::in_memory().unwrap();
    for new in [file.lines().count(), 0] {
        let loaded = load(&store, plan_of("2026_p-0.jsonl", &file), &mut |_| {}).unwrap();
        assert_eq!((loaded.new, loaded.notes.len()), (new, usize::from(new > 0)), "{:?}", loaded.notes);
    }
    let (files, _) = export_sources(&store, &ExportScope::All, &mut |_| {}).unwrap();
    assert!(files.len() == 1 && files[0].bytes == file.as_bytes());
}
