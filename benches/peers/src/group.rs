//! Group commit for the peers that have none: one writer's thread takes whatever waits, writes it with one sync, and
//! wakes all whom it concerns with one system call.

use std::collections::HashMap;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

/// A row with its place.
pub struct Entry<T> {
    pub session: u64,
    pub sequence: u64,
    pub row: T,
}

/// What writes a group and syncs it.
pub trait Sink<T>: Send + 'static {
    /// The last sequence of a session that was not written to since opening.
    fn head(&mut self, session: u64) -> u64;
    /// Writes all of it, durably. In what order the rows come back does not matter.
    fn write(&mut self, rows: &mut Vec<Entry<T>>);
}

/// The heads of the sessions: sequences are given by the store, as retold does.
#[derive(Default)]
pub struct Heads(HashMap<u64, u64>);

impl Heads {
    pub fn next(&mut self, session: u64, look: impl FnOnce(u64) -> u64) -> u64 {
        let head = self.0.entry(session).or_insert_with(|| look(session));
        *head += 1;
        *head
    }
}

struct Filling<T> {
    rows: Vec<Entry<T>>,
    appends: usize,
    batch: u32,
    /// The writer waits: only then is it worth a system call to wake it.
    asleep: bool,
    closed: bool,
}

struct Shared<T> {
    filling: Mutex<Filling<T>>,
    some: Condvar,
    /// The last batch that was written, of the even and of the odd ones: those who wait for the next batch are not
    /// woken by this one.
    done: [AtomicU32; 2],
}

impl<T> Shared<T> {
    fn filling(&self) -> MutexGuard<'_, Filling<T>> {
        self.filling.lock().unwrap()
    }
}

pub struct Group<T> {
    shared: Arc<Shared<T>>,
    thread: Option<JoinHandle<()>>,
}

impl<T: Send + 'static> Group<T> {
    pub fn new(sink: impl Sink<T>) -> Self {
        let filling = Filling { rows: Vec::new(), appends: 0, batch: 0, asleep: false, closed: false };
        let shared = Arc::new(Shared {
            filling: Mutex::new(filling),
            some: Condvar::new(),
            done: [AtomicU32::new(u32::MAX - 1), AtomicU32::new(u32::MAX)],
        });
        let own = shared.clone();
        let thread = std::thread::spawn(move || write_groups(&own, sink));
        Self { shared, thread: Some(thread) }
    }

    /// Adds rows to the group that is filling, and waits until it is on the disk.
    pub fn append(&self, session: u64, rows: impl IntoIterator<Item = T>) {
        let mut filling = self.shared.filling();
        filling.rows.extend(rows.into_iter().map(|row| Entry { session, sequence: 0, row }));
        filling.appends += 1;
        let batch = filling.batch;
        let wake = std::mem::take(&mut filling.asleep);
        drop(filling);
        if wake {
            self.shared.some.notify_one();
        }
        let done = &self.shared.done[batch as usize % 2];
        loop {
            let seen = done.load(Ordering::Acquire);
            if seen.wrapping_sub(batch).cast_signed() >= 0 {
                return;
            }
            atomic_wait::wait(done, seen);
        }
    }
}

impl<T> Drop for Group<T> {
    fn drop(&mut self) {
        self.shared.filling().closed = true;
        self.shared.some.notify_one();
        if let Some(thread) = self.thread.take() {
            thread.join().unwrap();
        }
    }
}

fn write_groups<T: Send>(shared: &Shared<T>, mut sink: impl Sink<T>) {
    let mut heads = Heads::default();
    let mut rows = Vec::new();
    let (mut last_group, mut last_commit) = (0, Duration::ZERO);
    loop {
        // Producers that were just answered come back within microseconds; writing without them makes two syncs of
        // one. The same patience as retold's.
        let start = Instant::now();
        while last_group > 1 && shared.filling().appends < last_group && start.elapsed() < last_commit / 4 {
            std::thread::yield_now();
        }
        let batch = {
            let mut filling = shared.filling();
            while filling.rows.is_empty() {
                if filling.closed {
                    return;
                }
                filling.asleep = true;
                filling = shared.some.wait(filling).unwrap();
            }
            filling.asleep = false;
            std::mem::swap(&mut filling.rows, &mut rows);
            last_group = std::mem::take(&mut filling.appends);
            filling.batch = filling.batch.wrapping_add(1);
            filling.batch.wrapping_sub(1)
        };
        let start = Instant::now();
        for entry in &mut rows {
            entry.sequence = heads.next(entry.session, |session| sink.head(session));
        }
        sink.write(&mut rows);
        last_commit = start.elapsed();
        let done = &shared.done[batch as usize % 2];
        done.store(batch, Ordering::Release);
        atomic_wait::wake_all(done);
        rows.clear();
    }
}
