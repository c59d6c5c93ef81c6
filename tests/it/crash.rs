//! The power fails at any moment, in any way; what was acknowledged is there, and nothing is that was not appended.

use std::time::Duration;

use retold::testkit::{Cut, Disk, Model, Moment};
use retold::{Builder, Store};

use crate::support::{Deed, Dice, branches, check_everything, check_heads, soak};

/// One deed, and between which moments it was asked for and acknowledged to be durable.
struct Done {
    deed: Deed,
    asked: usize,
    durable: usize,
    /// The model after it.
    after: Model,
}

struct Run {
    disk: Disk,
    settings: Builder,
    /// The moment at which the store was there.
    created: usize,
    done: Vec<Done>,
}

fn settings(dice: &mut Dice) -> Builder {
    Store::builder()
        .flush_after(1 + dice.under(60) as usize, 400 + dice.under(20_000) as usize)
        .flush_when_idle(Duration::from_secs(3_600))
        .two_phase(dice.one_in(4))
        .fast_recovery(dice.one_in(3))
}

fn run(dice: &mut Dice, deeds: usize) -> Run {
    let (disk, settings) = (Disk::new(), settings(dice));
    let store = settings.clone().with_backend(disk.backend()).unwrap();
    let created = disk.operations();
    let mut model = Model::new();
    let mut done: Vec<Done> = Vec::new();
    for _ in 0..deeds {
        let deed = Deed::draw(dice, &model);
        let asked = disk.operations();
        deed.tell(&mut model);
        deed.perform(&store, &model).unwrap();
        let now = disk.operations();
        let durable = if deed.is_relaxed() { usize::MAX } else { now };
        if durable == now {
            // The sync of a durable append takes the relaxed ones before it along.
            done.iter_mut().filter(|d| d.durable == usize::MAX).for_each(|d| d.durable = now);
        }
        done.push(Done { deed, asked, durable, after: model.clone() });
    }
    drop(store);
    Run { disk, settings, created, done }
}

fn cut(dice: &mut Dice, moment: &Moment) -> Cut {
    let seed = dice.roll();
    match dice.under(8) {
        0 => Cut::Nothing,
        1 => Cut::Everything,
        2 | 3 => Cut::First {
            writes: dice.under(moment.unsynced() as u64 + 1) as usize,
            bytes: 512 * dice.under(16) as usize,
        },
        4 | 5 => Cut::Some { seed },
        6 => Cut::Torn { seed, sector: 512 },
        _ => Cut::Torn { seed, sector: 4_096 },
    }
}

/// How many of the deeds the store has: as many as were durable, no more than were asked for, none by half.
fn deeds_in(store: &Store, done: &[Done], moment: usize) -> usize {
    let sure = done.iter().rposition(|d| d.durable <= moment).map_or(0, |i| i + 1);
    let asked = done.iter().take_while(|d| d.asked < moment).count();
    let (events, lines) = (store.committed().get(), branches(store));
    let fits = |n: &usize| match n.checked_sub(1).map(|i| &done[i].after) {
        None => (events, lines) == (0, 0),
        Some(model) => model.committed() == events && model.places().count() as u64 == lines,
    };
    (sure..=asked.max(sure))
        .find(fits)
        .unwrap_or_else(|| panic!("{events} events and {lines} branches are no state from {sure} to {asked}"))
}

fn check_after_cut(file: Vec<u8>, run: &Run, moment: usize) -> (Disk, Store, usize) {
    let disk = Disk::from_bytes(file);
    let store = run.settings.clone().with_backend(disk.backend()).unwrap();
    let n = deeds_in(&store, &run.done, moment);
    match n.checked_sub(1) {
        None => check_heads(&store, &Model::new()),
        Some(last) => check_everything(&store, &run.done[last].after),
    }
    (disk, store, n)
}

fn cut_and_reopen(seed: u64, deeds: usize, cuts: usize) {
    let mut dice = Dice(seed);
    let run = run(&mut dice, deeds);
    let (syncs, end) = (run.disk.sync_points(), run.disk.operations());
    let last = &run.done.last().unwrap().after;
    for _ in 0..cuts {
        let moment = match dice.one_in(4) {
            true => syncs[dice.under(syncs.len() as u64) as usize].max(run.created),
            false => run.created + dice.under((end - run.created) as u64 + 1) as usize,
        };
        let state = run.disk.moment(moment);
        let how = cut(&mut dice, &state);
        let told = format!("seed {seed}, {how:?} at {moment} of {}..{end}", run.created);
        let (disk, store, n) =
            crate::support::explained(&told, || check_after_cut(state.cut(&how), &run, moment));
        if dice.one_in(3) {
            // The power fails again while the store is repaired, or just after.
            drop(store);
            let again = disk.moment(dice.under(disk.operations() as u64 + 1) as usize);
            let how = cut(&mut dice, &again);
            let file = again.cut(&how);
            let told = format!("{told}, then {how:?}");
            let n_again = crate::support::explained(&told, || check_after_cut(file, &run, moment).2);
            assert!(n_again == n || n_again < n && n_again >= sure(&run, moment), "{told}: {n_again} of {n}");
        } else {
            // Every caller tries again what it had not heard of, with the same ids.
            crate::support::explained(&told, || {
                for done in &run.done {
                    done.deed.perform(&store, &done.after).unwrap();
                }
                check_everything(&store, last);
            });
        }
    }
}

fn sure(run: &Run, moment: usize) -> usize {
    run.done.iter().rposition(|d| d.durable <= moment).map_or(0, |i| i + 1)
}

#[test]
fn a_power_cut_at_any_moment_takes_nothing_that_was_acknowledged() {
    let (runs, deeds, cuts) = if soak() { (400, 150, 100) } else { (16, 40, 20) };
    for seed in 0..runs {
        cut_and_reopen(seed, deeds, cuts);
    }
}
