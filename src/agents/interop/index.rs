//! Finds rows of a list by key without storing the keys again: eight bytes per row.

use std::hash::{BuildHasher, Hash, RandomState};

/// The numbers of rows, by the hashes of their keys. Only the list knows whether a row has the key.
#[derive(Debug, Default)]
pub(crate) struct Index {
    /// A part of the hash, and the number of the row plus one; 0 when empty.
    slots: Vec<u64>,
    len: usize,
    hasher: RandomState,
}

impl Index {
    /// The first row with this key for which `read` returns something.
    pub(crate) fn find<T>(&self, key: impl Hash, mut read: impl FnMut(usize) -> Option<T>) -> Option<T> {
        let tag = self.tag(key);
        self.probe(tag).find_map(|slot| if slot >> 32 == tag { read(row_of(slot)) } else { None })
    }

    /// Adds a row. `false` if there are more than can be counted here.
    pub(crate) fn insert(&mut self, key: impl Hash, row: usize) -> bool {
        let Some(number) = row.checked_add(1).and_then(|n| u32::try_from(n).ok()) else { return false };
        // At most three quarters are used, so that a search is short, and ends.
        if (self.len + 1) * 4 > self.slots.len() * 3 {
            let slots = vec![0; (self.slots.len() * 2).max(64)];
            let old = std::mem::replace(&mut self.slots, slots);
            old.into_iter().filter(|slot| *slot != 0).for_each(|slot| self.put(slot));
        }
        self.put(self.tag(key) << 32 | u64::from(number));
        self.len += 1;
        true
    }

    fn put(&mut self, slot: u64) {
        let (mut at, mask) = (slot >> 32, self.slots.len() as u64 - 1);
        while let Some(place) = self.slots.get_mut((at & mask) as usize) {
            if *place == 0 {
                *place = slot;
                return;
            }
            at += 1;
        }
    }

    /// The slots where a row with this tag may be.
    fn probe(&self, tag: u64) -> impl Iterator<Item = u64> + '_ {
        let mask = (self.slots.len() as u64).saturating_sub(1);
        let slot = move |at: u64| self.slots.get((at & mask) as usize).copied();
        (tag..).map_while(slot).take_while(|slot| *slot != 0)
    }

    fn tag(&self, key: impl Hash) -> u64 {
        self.hasher.hash_one(key) >> 32
    }
}

fn row_of(slot: u64) -> usize {
    (slot & u64::from(u32::MAX)) as usize - 1
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_row_is_found_by_its_key_and_no_other() {
        let mut index = Index::default();
        assert_eq!(index.find(1u64, Some), None);
        let keys: Vec<u64> = (0..10_000).map(|n| n % 9_000).collect();
        for (row, key) in keys.iter().enumerate() {
            assert!(index.insert(key, row));
        }
        let find = |key: u64| index.find(key, |row| (keys[row] == key).then_some(row));
        for key in 0..9_000 {
            assert_eq!(find(key), Some(key as usize));
        }
        assert_eq!(find(9_000), None);
        let mut all = Vec::new();
        assert_eq!(
            index.find(5u64, |row| {
                if keys[row] == 5 {
                    all.push(row)
                }
                None::<()>
            }),
            None
        );
        assert_eq!(all, [5, 9_005]);
        assert!(!index.insert(1, u32::MAX as usize));
    }
}
