//! Fresh ids: UUIDv7 that ascend within a process, with few requests for random bytes. The first 60 variable bits are
//! one number that all threads increment without a lock: a lock would be held forever in the child of a fork(2) that
//! happened while another thread had it.

use std::cell::RefCell;
use std::hash::{BuildHasher, RandomState};
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{SystemTime, UNIX_EPOCH};

use uuid::{Builder, Uuid};

/// Random bytes fetched at once: asking the system for each id would cost more than everything else about it.
const POOL: usize = 1_024;
/// The counter within a millisecond (RFC 9562, section 6.2, method 1) fills the 12 bits before the variant.
const COUNTER_BITS: u32 = 12;

/// The milliseconds and the counter of the last id, as one number.
static LAST: AtomicU64 = AtomicU64::new(0);

thread_local! {
    static RANDOM: RefCell<Pool> = const { RefCell::new(Pool::new()) };
}

/// A fresh id, above all that this process has had.
pub(super) fn uuid() -> Uuid {
    // An exiting thread no longer has a pool.
    let random = RANDOM.try_with(|pool| pool.borrow_mut().take());
    id(raise(&LAST, now()), random.unwrap_or_else(|_| Pool::new().take()))
}

fn now() -> u64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    u64::try_from(since.as_millis()).unwrap_or(u64::MAX)
}

/// Raises `last` to the start of the millisecond `now`, or by one: a clock that stands still or goes back does not
/// stop it, and an exhausted counter borrows from the next millisecond.
fn raise(last: &AtomicU64, now: u64) -> u64 {
    let next = |last: u64| last.saturating_add(1).max(now << COUNTER_BITS);
    let mut seen = last.load(Ordering::Relaxed);
    loop {
        match last.compare_exchange_weak(seen, next(seen), Ordering::Relaxed, Ordering::Relaxed) {
            Ok(_) => return next(seen),
            Err(other) => seen = other,
        }
    }
}

fn id(number: u64, random: [u8; 8]) -> Uuid {
    let [.., c0, c1] = (number & ((1 << COUNTER_BITS) - 1)).to_be_bytes();
    let [r0, r1, r2, r3, r4, r5, r6, r7] = random;
    let tail = [c0, c1, r0, r1, r2, r3, r4, r5, r6, r7];
    Builder::from_unix_timestamp_millis(number >> COUNTER_BITS, &tail).into_uuid()
}

struct Pool {
    bytes: [u8; POOL],
    used: usize,
    /// A child made by fork(2) must not generate the same numbers as its parent.
    #[cfg(unix)]
    forks: Option<forkguard::atfork::Guard>,
}

impl Pool {
    const fn new() -> Self {
        Self {
            bytes: [0; POOL],
            used: POOL,
            #[cfg(unix)]
            forks: None,
        }
    }

    fn take(&mut self) -> [u8; 8] {
        self.forget_the_parent();
        loop {
            let next = self.used + 8;
            if let Some(bytes) = self.bytes.get(self.used..next).and_then(|b| b.first_chunk()) {
                self.used = next;
                return *bytes;
            }
            self.fill();
        }
    }

    fn fill(&mut self) {
        self.used = 0;
        if getrandom::fill(&mut self.bytes).is_err() {
            // A system without random bytes has at least those that seed hash maps.
            let keys = RandomState::new();
            for (n, chunk) in self.bytes.chunks_mut(8).enumerate() {
                let bytes = keys.hash_one((n, now(), std::process::id())).to_ne_bytes();
                chunk.iter_mut().zip(bytes).for_each(|(to, byte)| *to = byte);
            }
        }
    }

    #[cfg(unix)]
    fn forget_the_parent(&mut self) {
        if let Some(forks) = &mut self.forks {
            if forks.detected_fork() {
                self.used = POOL;
            }
        } else {
            self.used = POOL;
            self.forks = forkguard::atfork::Guard::try_new().ok();
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
        let (last, mut pool) = (AtomicU64::new(0), Pool::new());
        let clock = [1_000, 1_000, 1_001, 500, 500, 1_001, 2_000, 0, 3_000];
        let found: Vec<Uuid> = clock.iter().map(|now| id(raise(&last, *now), pool.take())).collect();
        assert!(found.is_sorted_by(|a, b| a < b), "{found:?}");
        let millis = found.iter().map(|id| id.as_u128() >> 80).collect::<Vec<_>>();
        assert_eq!(millis, [1_000, 1_000, 1_001, 1_001, 1_001, 1_001, 2_000, 2_000, 3_000]);
        for id in found {
            assert_eq!((id.get_version_num(), id.get_variant()), (7, uuid::Variant::RFC4122));
        }
    }

    #[test]
    fn a_clock_before_1970_gives_ids_that_ascend_and_differ_between_processes() {
        let (one, other) = (AtomicU64::new(0), AtomicU64::new(0));
        let (mut ours, mut theirs) = (Pool::new(), Pool::new());
        let draw = |last: &AtomicU64, pool: &mut Pool| id(raise(last, 0), pool.take());
        let found: Vec<Uuid> = (0..100).map(|_| draw(&one, &mut ours)).collect();
        assert!(found.is_sorted_by(|a, b| a < b), "{found:?}");
        assert!((0..100).all(|_| !found.contains(&draw(&other, &mut theirs))));
    }

    #[test]
    fn a_counter_that_is_used_up_borrows_from_the_next_millisecond() {
        let (last, mut pool) = (AtomicU64::new(0), Pool::new());
        let found: Vec<Uuid> = (0..5_000).map(|_| id(raise(&last, 7), pool.take())).collect();
        assert!(found.is_sorted_by(|a, b| a < b));
        let millis = |n: usize| found[n].as_u128() >> 80;
        assert_eq!((millis(0), millis(4_095), millis(4_096), millis(4_999)), (7, 7, 8, 8));
    }

    #[test]
    fn ids_of_many_threads_differ_and_ascend_over_all_of_them() {
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
        assert_eq!(all.iter().map(|id| id.as_u128() >> 64).collect::<HashSet<_>>().len(), 40_000);
        assert!(all.iter().all(|id| *id < uuid()));
    }

    #[test]
    fn the_pool_is_filled_anew_and_gives_no_byte_twice() {
        let mut pool = Pool::new();
        let found: HashSet<[u8; 8]> = (0..2 * POOL / 8).map(|_| pool.take()).collect();
        assert_eq!(found.len(), 2 * POOL / 8);
    }
}
