//! Where lanes are found by what they wait for.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use super::lane::{Item, Lane, Turn};
use super::rules::NEVER;
use crate::event::Place;

/// Under what a lane is found.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Marks {
    /// The position of a head that can be delivered.
    ready: Option<u64>,
    /// The position behind which the next event has to be looked for.
    hungry: Option<u64>,
    /// When a head that is in flight or waits is due.
    due: Option<i64>,
    /// The delivery that is in flight.
    out: Option<u64>,
    /// The delivery that is late.
    late: Option<u64>,
}

impl Marks {
    pub(super) fn of<T: Item>(lane: &Lane<T>) -> Self {
        let none = Self::default();
        let Some(head) = &lane.head else {
            let rest = lane.rest.filter(|_| !lane.is_looked_for);
            return Self { hungry: rest.map(|rest| rest.after_position), ..none };
        };
        match head.turn {
            Turn::Ready => Self { ready: Some(head.position), ..none },
            Turn::Waiting { due } => Self { due: Some(due), ..none },
            Turn::Out { delivery, due } => {
                Self { due: Some(due).filter(|due| *due < NEVER), out: Some(delivery), ..none }
            }
            Turn::Late { delivery, .. } => Self { ready: Some(head.position), late: Some(delivery), ..none },
            Turn::GivenUp { delivery } => Self { out: Some(delivery), ..none },
        }
    }

    /// Whether somebody has something to do for the lane.
    pub(super) fn wants_somebody(&self) -> bool {
        self.ready.is_some() || self.hungry.is_some()
    }
}

#[derive(Clone, Debug, Default)]
pub(super) struct Index {
    /// Heads that can be delivered, oldest first.
    pub(super) ready: BTreeSet<(u64, Arc<Place>)>,
    /// Heads that are in flight or wait, by when that ends.
    pub(super) due: BTreeSet<(i64, Arc<Place>)>,
    pub(super) out: BTreeMap<u64, Arc<Place>>,
    /// Deliveries whose deadline has passed, and whose event was not redelivered yet.
    pub(super) late: BTreeMap<u64, Arc<Place>>,
    /// Lanes whose next event is not known, those furthest behind first.
    pub(super) hungry: BTreeSet<(u64, Arc<Place>)>,
}

impl Index {
    pub(super) fn changes(&mut self, place: &Arc<Place>, from: Marks, to: Marks) {
        fn set<K: Ord>(
            set: &mut BTreeSet<(K, Arc<Place>)>,
            place: &Arc<Place>,
            from: Option<K>,
            to: Option<K>,
        ) {
            if from == to {
                return;
            }
            from.map(|key| set.remove(&(key, place.clone())));
            to.map(|key| set.insert((key, place.clone())));
        }
        fn name(map: &mut BTreeMap<u64, Arc<Place>>, place: &Arc<Place>, from: Option<u64>, to: Option<u64>) {
            if from == to {
                return;
            }
            from.map(|key| map.remove(&key));
            to.map(|key| map.insert(key, place.clone()));
        }
        set(&mut self.ready, place, from.ready, to.ready);
        set(&mut self.hungry, place, from.hungry, to.hungry);
        set(&mut self.due, place, from.due, to.due);
        name(&mut self.out, place, from.out, to.out);
        name(&mut self.late, place, from.late, to.late);
    }
}
