//! The steps of a plan one by one, as small rows. The events themselves are stored elsewhere.

use std::collections::{BTreeSet, HashMap};
use std::io;

use crate::event::{EventId, Place};

use super::rows::{Row, Rows, Words, id_of, words_of};
use super::spool::Planned;

/// A step of a plan before the steps are joined.
#[derive(Clone, Debug)]
pub(crate) struct Entry {
    /// Entries of lower order come first.
    pub(crate) order: u64,
    /// The record that it comes from; 0 for none.
    pub(crate) ordinal: usize,
    /// Its number in its branch, if the record has one.
    pub(crate) sequence: Option<u64>,
    /// The branch, as a number for [`Entries::place`].
    pub(crate) place: u32,
    pub(crate) item: Item,
}

#[derive(Clone, Debug)]
pub(crate) enum Item {
    Fork { parent: u32, at: Option<EventId> },
    Event(Planned),
}

/// The kinds of items in a row.
const FORK: u64 = 0;
const FORK_AT: u64 = 1;
const EVENT: u64 = 2;

impl Row for Entry {
    const WORDS: usize = 8;

    fn words(&self) -> Words {
        let (kind, id, rest) = match &self.item {
            Item::Fork { parent, at } => {
                (at.map_or(FORK, |_| FORK_AT), at.map_or((0, 0), words_of), u64::from(*parent))
            }
            Item::Event(planned) => (EVENT, words_of(planned.id()), planned.at()),
        };
        let place = kind << 32 | u64::from(self.place);
        // The largest number stands for none: nothing comes after it.
        let sequence = self.sequence.unwrap_or(u64::MAX);
        [self.order, self.ordinal as u64, sequence, place, id.0, id.1, rest, 0]
    }

    fn of([order, ordinal, sequence, place, high, low, rest, _]: Words) -> Self {
        let id = id_of(high, low);
        let item = match place >> 32 {
            EVENT => Item::Event(Planned::new(id, rest)),
            kind => Item::Fork { parent: rest as u32, at: (kind == FORK_AT).then_some(id) },
        };
        let sequence = Some(sequence).filter(|n| *n != u64::MAX);
        Self { order, ordinal: ordinal as usize, sequence, place: place as u32, item }
    }
}

/// Entries, and the branches that they belong to.
#[derive(Debug, Default)]
pub(crate) struct Entries {
    rows: Rows<Entry>,
    places: Vec<Place>,
    numbers: HashMap<Place, u32>,
    /// The branches that have entries.
    used: BTreeSet<u32>,
    events: usize,
    /// The highest order so far, and whether a lower one came after it.
    order: u64,
    is_unsorted: bool,
}

impl Entries {
    pub(crate) fn new(may_spill: bool) -> Self {
        Self { rows: Rows::new(may_spill), ..Self::default() }
    }

    /// The number of a branch.
    pub(crate) fn number(&mut self, place: &Place) -> u32 {
        if let Some(number) = self.numbers.get(place) {
            return *number;
        }
        let number = u32::try_from(self.places.len()).unwrap_or(u32::MAX);
        self.places.push(place.clone());
        self.numbers.insert(place.clone(), number);
        number
    }

    /// The branch with this number.
    pub(crate) fn place(&self, number: u32) -> io::Result<&Place> {
        self.places.get(number as usize).ok_or_else(|| io::Error::other("a temporary file has changed"))
    }

    pub(crate) fn places(&self) -> BTreeSet<&Place> {
        self.used.iter().filter_map(|number| self.places.get(*number as usize)).collect()
    }

    /// Adds an entry, and returns its index.
    pub(crate) fn push(&mut self, entry: Entry) -> io::Result<usize> {
        let index = self.rows.len();
        self.is_unsorted |= entry.order < self.order;
        self.order = self.order.max(entry.order);
        self.used.insert(entry.place);
        self.events += usize::from(matches!(entry.item, Item::Event(_)));
        self.rows.push(entry)?;
        Ok(index)
    }

    pub(crate) fn get(&self, index: usize) -> io::Result<Option<Entry>> {
        self.rows.get(index)
    }

    /// Replaces an entry with another one of the same branch.
    pub(crate) fn set(&mut self, index: usize, entry: Entry) -> io::Result<()> {
        self.rows.set(index, entry)
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = io::Result<Entry>> + '_ {
        self.rows.iter()
    }

    /// The number of events among them.
    pub(crate) fn events(&self) -> usize {
        self.events
    }

    pub(crate) fn may_spill(&self) -> bool {
        self.rows.may_spill()
    }

    /// Sorts by order. Entries of the same order stay as they are: a fork comes before its first event.
    pub(crate) fn sort(&mut self) -> io::Result<()> {
        if !std::mem::take(&mut self.is_unsorted) {
            return Ok(());
        }
        let mut orders = Vec::with_capacity(self.rows.len());
        for (index, entry) in self.iter().enumerate() {
            orders.push((entry?.order, index));
        }
        orders.sort_unstable();
        let mut sorted = Rows::new(self.may_spill());
        for (_, index) in orders {
            if let Some(entry) = self.rows.get(index)? {
                sorted.push(entry)?;
            }
        }
        self.rows = sorted;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn entries_come_back_in_their_order() {
        let place = |n: usize| Place::new("s".try_into().unwrap(), format!("b{n}").try_into().unwrap());
        for may_spill in [false, true] {
            let mut entries = Entries::new(may_spill);
            let mut want = Vec::new();
            for n in 0..10_000usize {
                let number = entries.number(&place(n % 3));
                let item = match n % 4 {
                    0 => Item::Fork { parent: 1, at: None },
                    1 => Item::Fork { parent: 2, at: Some(EventId::new()) },
                    _ => Item::Event(Planned::new(EventId::new(), n as u64)),
                };
                let sequence = (n % 5 > 0).then_some(n as u64 % 5);
                let entry = Entry { order: (n as u64 * 7) % 100, ordinal: n, sequence, place: number, item };
                want.push((entry.order, n, format!("{entry:?}")));
                assert_eq!(entries.push(entry).unwrap(), n);
            }
            entries.sort().unwrap();
            want.sort();
            let got: Vec<String> = entries.iter().map(|e| format!("{:?}", e.unwrap())).collect();
            assert!(got.iter().eq(want.iter().map(|(_, _, text)| text)));
            assert_eq!((entries.events(), entries.places().len()), (5_000, 3));
            assert_eq!(entries.place(1).unwrap(), &place(1));
        }
    }
}
