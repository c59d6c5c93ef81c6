//! The storage fails at the nth write or sync: the append says so, nothing more is written, and a new opening finds
//! whole appends only.

use std::time::Duration;

use retold::testkit::{Cut, Disk, DiskOperation, Fault, Model};
use retold::{Error, Store};

use crate::support::{Deed, Dice, branches, check_everything, explained, numbered, soak};

fn settings() -> retold::Builder {
    Store::builder().flush_after(20, 6_000).flush_when_idle(Duration::from_secs(3_600))
}

/// `false` when the fault did not strike: there were not so many operations.
fn strike(seed: u64, fault: Fault) -> bool {
    let mut dice = Dice(seed);
    let disk = Disk::new();
    let store = settings().with_backend(disk.backend()).unwrap();
    let mut model = Model::new();
    let mut log: Vec<(Deed, Model)> = Vec::new();
    let mut failed = None;
    for n in 0..30 {
        if n == 5 {
            disk.arm(fault);
        }
        let mut deed = Deed::draw(&mut dice, &model);
        if let Deed::Append(_, durability) = &mut deed {
            *durability = retold::Durability::Durable;
        }
        let mut after = model.clone();
        deed.tell(&mut after);
        match (deed.perform(&store, &after), &failed) {
            (Ok(()), None) => model = after.clone(),
            (Err(Error::Unknown { .. } | Error::Storage { .. }), None) => failed = Some(log.len()),
            (Err(Error::Closed { after: Some(_) }), Some(_)) => {}
            (answer, failed) => panic!("{deed:?} was answered {answer:?}, after {failed:?}"),
        }
        if failed.is_none_or(|n| n == log.len()) {
            log.push((deed, after));
        }
    }
    if !disk.disarm() {
        return false;
    }
    let Some(failed) = failed else {
        // It struck what nobody was told of, for instance while a file was trimmed.
        return true;
    };
    for told in model.order() {
        // Reads may fail now, but never with another event.
        match store.get(told.event.id()) {
            Ok(event) => assert!(told.is(&event)),
            Err(e) => assert!(!matches!(e, Error::NotFound { .. }), "{e}"),
        }
    }
    assert!(matches!(store.close(), Err(Error::Closed { after: Some(_) })));
    drop(store);
    let power_cut = disk.moment(disk.operations());
    let seed = dice.roll();
    for file in [
        disk.bytes(),
        power_cut.cut(&Cut::Nothing),
        power_cut.cut(&Cut::Some { seed }),
        power_cut.cut(&Cut::Torn { seed, sector: 512 }),
    ] {
        let disk = Disk::from_bytes(file);
        let store = settings().with_backend(disk.backend()).unwrap();
        let there = (store.committed().get(), branches(&store));
        let of = |m: &Model| (m.committed(), m.places().count() as u64);
        let found = if there == of(&model) { &model } else { &log[failed].1 };
        assert_eq!(there, of(found), "the failed append is there by half");
        check_everything(&store, found);
        // Tried again, each is there once.
        for (deed, after) in &log {
            deed.perform(&store, after).unwrap();
        }
        check_everything(&store, &log[failed].1);
    }
    true
}

fn sweep(operation: DiskOperation, step: u64) {
    for for_good in [false, true] {
        for seed in 0..if soak() { 60 } else { 1 } {
            let mut after = seed % step;
            loop {
                let fault = Fault::once(operation, after);
                let fault = if for_good { fault.for_good() } else { fault };
                if !explained(&format!("seed {seed}, {fault:?}"), || strike(seed, fault)) {
                    break;
                }
                after += step;
            }
        }
    }
}

#[test]
fn a_failed_write_is_told_once_and_leaves_no_half_append() {
    sweep(DiskOperation::Write, if soak() { 1 } else { 9 });
}

#[test]
fn a_failed_sync_is_told_once_and_leaves_no_half_append() {
    sweep(DiskOperation::Sync, 1);
}

#[test]
fn a_file_that_cannot_grow_is_told_once_and_leaves_no_half_append() {
    sweep(DiskOperation::SetLen, 1);
}

#[test]
fn a_read_that_fails_is_an_error_and_not_an_answer() {
    for after in 0..40 {
        let mut dice = Dice(after);
        let disk = Disk::new();
        let store = settings().cache_bytes(0).with_backend(disk.backend()).unwrap();
        let mut model = Model::new();
        for _ in 0..40 {
            let deed = Deed::draw(&mut dice, &model);
            deed.tell(&mut model);
            deed.perform(&store, &model).unwrap();
        }
        store.maintenance().flush().unwrap();
        disk.arm(Fault::once(DiskOperation::Read, after));
        for told in model.order() {
            match store.get(told.event.id()) {
                Ok(event) => assert!(told.is(&event)),
                Err(e) => assert!(matches!(e, Error::Storage { .. } | Error::Closed { .. }), "{e}"),
            }
        }
    }
}

#[test]
fn a_diff_ends_at_its_first_error() {
    let mut struck = 0;
    for after in 0..30 {
        let disk = Disk::new();
        let store = settings().cache_bytes(0).with_backend(disk.backend()).unwrap();
        store.append("s", numbered(0)).unwrap();
        store.fork("s", "b").unwrap();
        for branch in ["s", "s/b"] {
            store.append(branch, (0..1_200).map(numbered).collect::<Vec<_>>()).unwrap();
        }
        store.maintenance().flush().unwrap();
        let Ok(diff) = store.diff("s", "s/b") else { continue };
        disk.arm(Fault::once(DiskOperation::Read, after));
        let pairs: Vec<_> = diff.pairs.collect();
        let whole = |pair: &retold::Result<retold::Pair>| {
            pair.as_ref().is_ok_and(|p| p.left.is_some() && p.right.is_some())
        };
        if disk.disarm() {
            struck += 1;
            let (last, before) = pairs.split_last().unwrap();
            assert!(last.is_err() && before.iter().all(whole));
        }
    }
    assert!(struck > 5);
}
