//! A bounded map that evicts what was not used recently.

use std::collections::HashMap;
use std::fmt;
use std::hash::Hash;
use std::sync::PoisonError;
use std::sync::atomic::{AtomicBool, Ordering};

use crate::sync::RwLock;

/// A bounded number of entries. When it is full, a hand goes around and evicts the first entry that was not used
/// since its last pass (CLOCK), so that a lookup needs only a read lock.
pub(crate) struct Cache<K, V> {
    inner: RwLock<Inner<K, V>>,
}

struct Inner<K, V> {
    slots: Vec<Slot<K, V>>,
    index: HashMap<K, usize>,
    hand: usize,
    capacity: usize,
}

struct Slot<K, V> {
    key: K,
    value: V,
    asked: AtomicBool,
}

impl<K: Clone + Eq + Hash, V: Clone> Cache<K, V> {
    /// With this capacity, at least one.
    pub(crate) fn new(capacity: usize) -> Self {
        let (slots, index) = (Vec::new(), HashMap::new());
        Self { inner: RwLock::new(Inner { slots, index, hand: 0, capacity: capacity.max(1) }) }
    }

    pub(crate) fn get(&self, key: &K) -> Option<V> {
        let inner = self.inner.read().unwrap_or_else(PoisonError::into_inner);
        let slot = inner.slots.get(*inner.index.get(key)?)?;
        // Written only if it changes: a cache line that all readers write to is slow.
        if !slot.asked.load(Ordering::Relaxed) {
            slot.asked.store(true, Ordering::Relaxed);
        }
        Some(slot.value.clone())
    }

    /// Inserts it, evicting another entry if the cache is full.
    pub(crate) fn insert(&self, key: K, value: V) {
        self.inner.write().unwrap_or_else(PoisonError::into_inner).insert(key, value);
    }
}

impl<K, V> Cache<K, V> {
    /// Removes every entry.
    pub(crate) fn clear(&self) {
        let mut inner = self.inner.write().unwrap_or_else(PoisonError::into_inner);
        let emptied = (std::mem::take(&mut inner.slots), std::mem::take(&mut inner.index));
        inner.hand = 0;
        drop(inner);
        drop(emptied);
    }
}

impl<K: Clone + Eq + Hash, V> Inner<K, V> {
    fn insert(&mut self, key: K, value: V) {
        if let Some(slot) = self.index.get(&key).and_then(|at| self.slots.get_mut(*at)) {
            slot.value = value;
            return;
        }
        let new = Slot { key: key.clone(), value, asked: AtomicBool::new(false) };
        if self.slots.len() < self.capacity {
            self.index.insert(key, self.slots.len());
            self.slots.push(new);
            return;
        }
        let at = self.not_asked_for();
        if let Some(slot) = self.slots.get_mut(at) {
            self.index.remove(&slot.key);
            *slot = new;
            self.index.insert(key, at);
        }
    }

    /// The next slot to evict. Ends after two rounds at the latest, since the first clears every mark.
    fn not_asked_for(&mut self) -> usize {
        loop {
            let at = self.hand;
            self.hand = (at + 1) % self.slots.len().max(1);
            let was_asked = self.slots.get_mut(at).is_some_and(|slot| std::mem::take(slot.asked.get_mut()));
            if !was_asked {
                return at;
            }
        }
    }
}

impl<K, V> fmt::Debug for Cache<K, V> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let inner = self.inner.read().unwrap_or_else(PoisonError::into_inner);
        write!(f, "Cache({} of {})", inner.slots.len(), inner.capacity)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_kept_is_found_and_a_second_value_takes_the_place_of_the_first() {
        let cache = Cache::new(8);
        cache.insert("a", 1);
        cache.insert("b", 2);
        cache.insert("a", 3);
        assert_eq!((cache.get(&"a"), cache.get(&"b"), cache.get(&"c")), (Some(3), Some(2), None));
    }

    #[test]
    fn there_are_never_more_than_there_is_room_for() {
        for capacity in [0, 1, 2, 7] {
            let cache = Cache::new(capacity);
            for n in 0..100_u32 {
                cache.insert(n, n);
                assert_eq!(cache.get(&n), Some(n), "what came last is there, with room for {capacity}");
            }
            let found = (0..100).filter(|n| cache.get(n).is_some()).count();
            assert_eq!(found, capacity.max(1));
            let inner = cache.inner.read().unwrap();
            assert_eq!((inner.slots.len(), inner.index.len()), (found, found));
        }
    }

    #[test]
    fn what_is_asked_for_stays_while_others_go() {
        let cache = Cache::new(4);
        (0..4).for_each(|n| cache.insert(n, n));
        for n in 4..100 {
            assert_eq!(cache.get(&0), Some(0), "before {n}");
            cache.insert(n, n);
        }
        assert_eq!(cache.get(&0), Some(0));
        assert_eq!(cache.get(&1), None);
    }
}
