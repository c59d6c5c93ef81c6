//! Flush, figures and verification, for engines that manage their own storage.

use super::case::{CaseOutcome, Stop, cases};
use super::checks::{crashed, empty, equal, everything, holds, in_tasks, numbered, reopened, run_of};
use super::home::{Capability, Home};
use crate::store::{Builder, Store};

cases! { "maintenance":
    figures_count_what_is_stored,
    verify_finds_nothing_wrong,
    a_flush_changes_nothing_a_reader_sees,
    verify_finds_nothing_wrong_after_reopening,
    verify_finds_nothing_wrong_after_a_crash,
}

fn maintained(home: &dyn Home) -> CaseOutcome {
    if home.has_maintenance() { Ok(()) } else { Err(Stop::Lacks(Capability::Maintenance)) }
}

fn fill(store: &Store) -> CaseOutcome {
    store.append("s", run_of(10..40))?;
    store.fork("s@20", "b")?;
    store.append("s/b", run_of(10..15))?;
    store.append("t", numbered(10))?;
    Ok(())
}

fn verified(store: &Store, branches: u64) -> CaseOutcome {
    let report = store.maintenance().verify()?;
    equal("problems", report.problems.len(), 0)?;
    equal("what was looked at", (report.branches, report.events), (branches, store.committed().get()))
}

fn figures_count_what_is_stored(home: &mut dyn Home) -> CaseOutcome {
    maintained(home)?;
    let store = empty(home)?;
    let info = store.maintenance().info()?;
    equal(
        "of an empty store",
        (info.sessions, info.branches, info.events, info.payload_bytes),
        (0, 0, 0, 0),
    )?;
    fill(&store)?;
    for _ in 0..2 {
        let info = store.maintenance().info()?;
        equal("what there is", (info.sessions, info.branches, info.events), (2, 3, 36))?;
        equal("bytes of payloads", info.payload_bytes, 2 * 36)?;
        equal("committed", info.committed, store.committed())?;
        equal("whose they are", (info.id, info.created), (store.id(), store.created()))?;
        store.maintenance().flush()?;
    }
    equal("what a flush leaves in a journal", store.maintenance().info()?.in_journal, 0)
}

fn verify_finds_nothing_wrong(home: &mut dyn Home) -> CaseOutcome {
    maintained(home)?;
    let store = empty(home)?;
    verified(&store, 0)?;
    fill(&store)?;
    store.maintenance().flush()?;
    verified(&store, 3)?;
    let mut reported = Vec::new();
    let report = store.maintenance().verify_with(|seen, of| reported.push((seen, of)))?;
    equal("events", report.events, store.committed().get())?;
    holds("it never reports more than there is", reported.iter().all(|(seen, of)| seen <= of))
}

fn a_flush_changes_nothing_a_reader_sees(home: &mut dyn Home) -> CaseOutcome {
    maintained(home)?;
    let store = empty(home)?;
    fill(&store)?;
    let before = everything(&store)?;
    store.maintenance().flush()?;
    equal("events stored", everything(&store)?, before.clone())?;
    in_tasks(async {
        store.append_async("s", numbered(50)).await?;
        store.maintenance().flush_async().await?;
        store.maintenance().flush_async().await?;
        Ok(())
    })?;
    let after = everything(&store)?;
    equal("what was there", after.get(..before.len()).unwrap_or_default(), &*before)?;
    equal("what is new", after.len(), before.len() + 1)
}

fn verify_finds_nothing_wrong_after_reopening(home: &mut dyn Home) -> CaseOutcome {
    maintained(home)?;
    let settings = Builder::new();
    let store = home.create(settings.clone())?;
    fill(&store)?;
    let store = reopened(home, store, &settings)?;
    verified(&store, 3)?;
    equal("events", store.maintenance().info()?.events, 36)?;
    let store = reopened(home, store, &settings.read_only())?;
    verified(&store, 3)?;
    equal("events, read-only", store.maintenance().info()?.events, 36)
}

fn verify_finds_nothing_wrong_after_a_crash(home: &mut dyn Home) -> CaseOutcome {
    maintained(home)?;
    let settings = Builder::new();
    let store = home.create(settings.clone())?;
    fill(&store)?;
    let found = crashed(home, &settings)?;
    found.maintenance().flush()?;
    verified(&found, 3)?;
    equal("events", found.maintenance().info()?.events, 36)
}
