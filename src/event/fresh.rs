//! Fresh ids: UUIDv7 that ascend within a process, from few calls for random bytes.

use std::hash::{BuildHasher, RandomState};
use std::sync::{Mutex, PoisonError};
use std::time::{SystemTime, UNIX_EPOCH};

use uuid::{Builder, Uuid};

/// Random bytes that are fetched at once: asking the system for those of each id costs more than all else about it.
const POOL: usize = 1_024;
/// The counter within a millisecond (RFC 9562, section 6.2, method 1) has 42 bits, and begins below half of them.
const COUNTER_BITS: u32 = 42;

static IDS: Mutex<Ids> = Mutex::new(Ids::new());

/// A fresh id, above all that this process has had.
pub(super) fn uuid() -> Uuid {
    IDS.lock().unwrap_or_else(PoisonError::into_inner).next(now())
}

fn now() -> u64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    u64::try_from(since.as_millis()).unwrap_or(u64::MAX)
}

struct Ids {
    millis: u64,
    counter: u64,
    pool: [u8; POOL],
    used: usize,
    /// A child made by fork(2) must not go on with its parent's numbers.
    #[cfg(unix)]
    forks: Option<forkguard::atfork::Guard>,
}

impl Ids {
    const fn new() -> Self {
        Self {
            millis: 0,
            counter: 0,
            pool: [0; POOL],
            used: POOL,
            #[cfg(unix)]
            forks: None,
        }
    }

    fn next(&mut self, now: u64) -> Uuid {
        self.forget_the_parent();
        // A clock that stands still or goes back does not: the counter goes on.
        if now > self.millis {
            self.millis = now;
            self.counter = self.seed();
        } else {
            self.counter += 1;
            if self.counter >> COUNTER_BITS > 0 {
                self.millis += 1;
                self.counter = self.seed();
            }
        }
        let [b0, b1, b2, b3] = self.random();
        // 12 bits of the counter before the version's neighbour, 30 behind the variant, then what is random.
        let (high, low) = (self.counter >> 30, self.counter & 0x3fff_ffff);
        let [.., h0, h1] = high.to_be_bytes();
        let [.., l0, l1, l2, l3] = low.to_be_bytes();
        Builder::from_unix_timestamp_millis(self.millis, &[h0, h1, l0, l1, l2, l3, b0, b1, b2, b3])
            .into_uuid()
    }

    fn seed(&mut self) -> u64 {
        let (high, low) = (u32::from_be_bytes(self.random()), u32::from_be_bytes(self.random()));
        ((u64::from(high) << 32) | u64::from(low)) >> (64 - (COUNTER_BITS - 1))
    }

    fn random(&mut self) -> [u8; 4] {
        loop {
            let next = self.used + 4;
            if let Some(bytes) = self.pool.get(self.used..next).and_then(|b| b.first_chunk::<4>()) {
                self.used = next;
                return *bytes;
            }
            self.fill();
        }
    }

    fn fill(&mut self) {
        self.used = 0;
        if getrandom::fill(&mut self.pool).is_err() {
            // A system that has none gives at least what it seeds hash maps with.
            for (n, chunk) in self.pool.chunks_mut(8).enumerate() {
                let bytes = RandomState::new().hash_one((n, self.millis, self.counter)).to_ne_bytes();
                chunk.iter_mut().zip(bytes).for_each(|(to, byte)| *to = byte);
            }
        }
    }

    #[cfg(unix)]
    fn forget_the_parent(&mut self) {
        let Some(forks) = &mut self.forks else {
            self.forks = forkguard::atfork::Guard::try_new().ok();
            return;
        };
        if forks.detected_fork() {
            self.used = POOL;
            self.counter = self.seed();
        }
    }

    #[cfg(not(unix))]
    fn forget_the_parent(&mut self) {}
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::HashSet;

    #[test]
    fn ids_ascend_whatever_the_clock_does() {
        let mut ids = Ids::new();
        let clock = [1_000, 1_000, 1_001, 500, 500, 1_001, 2_000, 0, 3_000];
        let found: Vec<Uuid> = clock.iter().map(|now| ids.next(*now)).collect();
        assert!(found.is_sorted_by(|a, b| a < b), "{found:?}");
        let millis = found.iter().map(|id| id.as_u128() >> 80).collect::<Vec<_>>();
        assert_eq!(millis, [1_000, 1_000, 1_001, 1_001, 1_001, 1_001, 2_000, 2_000, 3_000]);
        for id in found {
            assert_eq!((id.get_version_num(), id.get_variant()), (7, uuid::Variant::RFC4122));
        }
    }

    #[test]
    fn a_counter_that_is_used_up_borrows_from_the_next_millisecond() {
        let mut ids = Ids::new();
        let before = ids.next(7);
        ids.counter = (1 << COUNTER_BITS) - 2;
        let (last, after) = (ids.next(7), ids.next(7));
        assert!(before < last && last < after);
        assert_eq!((last.as_u128() >> 80, after.as_u128() >> 80), (7, 8));
    }

    #[test]
    fn ids_of_many_threads_differ_and_ascend_in_each() {
        let all: Vec<Uuid> = std::thread::scope(|scope| {
            let threads: Vec<_> =
                (0..4).map(|_| scope.spawn(|| (0..10_000).map(|_| uuid()).collect::<Vec<_>>())).collect();
            threads
                .into_iter()
                .flat_map(|thread| {
                    let ids = thread.join().unwrap();
                    assert!(ids.is_sorted_by(|a, b| a < b));
                    ids
                })
                .collect()
        });
        assert_eq!(all.iter().collect::<HashSet<_>>().len(), 40_000);
    }

    #[test]
    fn the_pool_is_filled_anew_and_gives_no_byte_twice() {
        let mut ids = Ids::new();
        let found: HashSet<[u8; 4]> = (0..2 * POOL / 4).map(|_| ids.random()).collect();
        // 512 draws of 32 bits: two that are alike come once in 30,000 runs; three pairs never.
        assert!(found.len() > 2 * POOL / 4 - 3, "{}", found.len());
    }
}
