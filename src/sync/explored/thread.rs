//! Threads.

use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

pub(crate) use std::thread::{Result, available_parallelism, scope};

use super::clock::{self, Alarm};
use super::switch::{Waiting, is_exploring, me, point};

#[derive(Debug, Default)]
pub(crate) struct Builder {
    name: Option<String>,
}

#[derive(Debug)]
pub(crate) enum JoinHandle<T> {
    Std(std::thread::JoinHandle<T>),
    Explored(shuttle::thread::JoinHandle<T>),
}

#[derive(Clone, Debug)]
pub(crate) enum Thread {
    Std(std::thread::Thread),
    Explored(shuttle::thread::ThreadId, Arc<Parking>),
}

/// Where a thread of the explorer parks. The explorer's own lot would also wake it for nothing, which hides lost wake-ups.
#[derive(Debug, Default)]
pub(crate) struct Parking {
    token: AtomicBool,
    waiting: Waiting,
}

shuttle::thread_local! {
    static PARKING: Arc<Parking> = Arc::default();
}

impl Parking {
    pub(super) fn park(&self, over: impl Fn() -> bool) {
        point();
        self.waiting.until(|| (self.token.swap(false, Ordering::SeqCst) || over()).then_some(()));
    }

    pub(super) fn unpark(&self) {
        self.token.store(true, Ordering::SeqCst);
        self.waiting.again();
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum ThreadId {
    Std(std::thread::ThreadId),
    Explored(shuttle::thread::ThreadId),
}

impl Builder {
    pub(crate) fn new() -> Self {
        Self::default()
    }

    pub(crate) fn name(self, name: String) -> Self {
        Self { name: Some(name) }
    }

    pub(crate) fn spawn<T: Send + 'static>(
        self,
        work: impl FnOnce() -> T + Send + 'static,
    ) -> io::Result<JoinHandle<T>> {
        if is_exploring() {
            let named = |name| shuttle::thread::Builder::new().name(name);
            let builder = self.name.map_or_else(shuttle::thread::Builder::new, named);
            return builder.spawn(work).map(JoinHandle::Explored);
        }
        let named = |name| std::thread::Builder::new().name(name);
        let builder = self.name.map_or_else(std::thread::Builder::new, named);
        builder.spawn(work).map(JoinHandle::Std)
    }
}

impl<T> JoinHandle<T> {
    pub(crate) fn join(self) -> Result<T> {
        match self {
            Self::Std(thread) => thread.join(),
            Self::Explored(thread) => thread.join(),
        }
    }

    pub(crate) fn thread(&self) -> Thread {
        match self {
            Self::Std(thread) => Thread::Std(thread.thread().clone()),
            // Nobody unparks one that it waits for.
            Self::Explored(thread) => Thread::Explored(thread.thread().id(), Arc::default()),
        }
    }
}

impl Thread {
    pub(crate) fn id(&self) -> ThreadId {
        match self {
            Self::Std(thread) => ThreadId::Std(thread.id()),
            Self::Explored(id, _) => ThreadId::Explored(*id),
        }
    }

    pub(crate) fn unpark(&self) {
        match self {
            Self::Std(thread) => thread.unpark(),
            Self::Explored(_, parking) => {
                point();
                parking.unpark();
            }
        }
    }
}

pub(crate) fn current() -> Thread {
    if is_exploring() {
        Thread::Explored(shuttle::thread::current().id(), PARKING.with(Clone::clone))
    } else {
        Thread::Std(std::thread::current())
    }
}

pub(crate) fn park() {
    if is_exploring() { PARKING.with(Clone::clone).park(|| false) } else { std::thread::park() }
}

pub(crate) fn park_timeout(time: Duration) {
    if is_exploring() {
        let (parking, at) = (PARKING.with(Clone::clone), clock::now().saturating_add(time));
        let _alarm = clock::alarm(at, Alarm::Unblock(me()));
        parking.park(|| clock::now() >= at);
    } else {
        std::thread::park_timeout(time);
    }
}

pub(crate) fn yield_now() {
    if is_exploring() {
        clock::tick();
        shuttle::thread::yield_now();
    } else {
        std::thread::yield_now();
    }
}
