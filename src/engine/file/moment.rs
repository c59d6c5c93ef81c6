//! One moment for several reads: what readers see changes only between a begin and an end.

use std::sync::atomic::{AtomicU64, Ordering, fence};
use std::sync::{Mutex, MutexGuard};

use crate::engine::sync::lock;
use crate::error::Result;

/// How often several reads are tried beside a writer before they make it wait.
const TRIES: usize = 8;

/// Odd while something becomes visible.
#[derive(Debug, Default)]
pub(crate) struct Moment {
    count: AtomicU64,
    changing: Mutex<()>,
}

/// While it lives, something becomes visible.
#[derive(Debug)]
pub(crate) struct Change<'a> {
    moment: &'a Moment,
    _changing: MutexGuard<'a, ()>,
}

impl Drop for Change<'_> {
    fn drop(&mut self) {
        self.moment.count.fetch_add(1, Ordering::Release);
    }
}

impl Moment {
    /// Waits for readers that could not read beside the writer.
    pub(crate) fn change(&self) -> Change<'_> {
        let changing = lock(&self.changing);
        self.count.fetch_add(1, Ordering::AcqRel);
        Change { moment: self, _changing: changing }
    }

    /// What was read while nothing changed.
    pub(crate) fn one<T>(&self, mut read: impl FnMut() -> Result<T>) -> Result<T> {
        for _ in 0..TRIES {
            let before = self.count.load(Ordering::Acquire);
            if before % 2 == 1 {
                break;
            }
            let found = read()?;
            fence(Ordering::Acquire);
            if self.count.load(Ordering::Relaxed) == before {
                return Ok(found);
            }
        }
        let _still = lock(&self.changing);
        read()
    }
}

#[cfg(test)]
mod tests {
    use std::cell::Cell;

    use super::*;

    #[test]
    fn what_changed_meanwhile_is_read_again_and_at_last_nothing_may_change() {
        let (moment, reads) = (Moment::default(), Cell::new(0));
        let read = |changes: usize| {
            reads.set(reads.get() + 1);
            if reads.get() <= changes {
                drop(moment.change());
            }
            Ok(reads.get())
        };
        assert_eq!(moment.one(|| read(2)).unwrap(), 3);
        reads.set(0);
        // Under the lock a change would wait: it comes before.
        assert_eq!(moment.one(|| read(TRIES)).unwrap(), TRIES + 1);
    }

    #[test]
    fn a_reader_waits_for_a_change_that_goes_on() {
        let moment = Moment::default();
        let seen = AtomicU64::new(0);
        let change = moment.change();
        std::thread::scope(|threads| {
            let reader = threads.spawn(|| moment.one(|| Ok(seen.load(Ordering::Relaxed))));
            seen.store(7, Ordering::Relaxed);
            drop(change);
            assert_eq!(reader.join().unwrap().unwrap(), 7);
        });
    }
}
