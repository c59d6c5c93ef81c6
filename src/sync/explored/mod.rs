//! What the library's own tests use: std's and tokio's until an exploration runs on this thread, the explorer's then.

mod channel;
mod clock;
mod condvar;
mod faults;
mod instant;
mod local;
mod lock;
mod runtimes;
mod streams;
mod switch;
pub(crate) mod task;
pub(crate) mod thread;
pub(crate) mod time;

pub(crate) use channel::mpsc;
pub(crate) use clock::{Patient, begin, hurry, in_vain, no_later_than};
pub(crate) use condvar::Condvar;
pub(crate) use faults::{fault, injected, is_injected, vary};
pub(crate) use instant::Instant;
pub(crate) use local::{TaskLocal, ThreadFlag, task_local, thread_flag};
pub(crate) use lock::{Mutex, MutexGuard, RwLock, RwLockReadGuard, RwLockWriteGuard};
pub(crate) use runtimes::{end_runtimes, runtimes};
pub(crate) use streams::stream_turn;
pub(crate) use switch::{exploring, point};
