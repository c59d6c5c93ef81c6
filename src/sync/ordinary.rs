//! What an ordinary build uses: std and tokio.

pub(crate) use std::sync::{Condvar, Mutex, MutexGuard, RwLock, RwLockReadGuard, RwLockWriteGuard, mpsc};
pub(crate) use std::thread;
pub(crate) use std::time::Instant;
pub(crate) use tokio::task_local;

/// Another task may run here.
#[inline]
pub(crate) fn point() {}

/// For the explorer, which polls one stream at a time.
pub(crate) struct StreamTurn;

/// See [`StreamTurn`].
#[inline]
pub(crate) fn stream_turn() -> StreamTurn {
    StreamTurn
}

macro_rules! fault {
    ($name:ident) => {
        false
    };
    ($name:ident, $wrong:block) => {};
}
pub(crate) use fault;

macro_rules! thread_flag {
    ($name:ident) => {
        std::thread_local! {
            static $name: std::cell::Cell<bool> = const { std::cell::Cell::new(false) };
        }
    };
}
pub(crate) use thread_flag;

/// tokio's clock, and the wall clock.
pub(crate) mod time {
    pub(crate) use super::super::steady::steady as steady_clock;
    pub(crate) use super::super::wall::{micros, wall_clock};
    pub(crate) use tokio::time::{Instant, Sleep, sleep, sleep_until, timeout, timeout_at};
}

/// Tasks of a tokio runtime.
pub(crate) mod task {
    use std::future::Future;

    use tokio::runtime::Handle;
    pub(crate) use tokio::task::{JoinError, JoinHandle};

    /// What runs tasks.
    #[derive(Clone, Debug)]
    pub(crate) struct Runtime(Handle);

    impl From<Handle> for Runtime {
        fn from(handle: Handle) -> Self {
            Self(handle)
        }
    }

    impl Runtime {
        /// The one that this is called in, if it is.
        pub(crate) fn current() -> Option<Self> {
            Handle::try_current().ok().map(Self)
        }

        pub(crate) fn spawn<T: Send + 'static>(
            &self,
            work: impl Future<Output = T> + Send + 'static,
        ) -> JoinHandle<T> {
            self.0.spawn(work)
        }

        pub(crate) fn is(&self, other: &Self) -> bool {
            self.0.id() == other.0.id()
        }

        /// Whether its tasks may have to wait for the caller: one of the current thread runs none of them while somebody
        /// outside a task is blocked on its handle.
        pub(crate) fn may_stand_still(&self) -> bool {
            self.0.runtime_flavor() == tokio::runtime::RuntimeFlavor::CurrentThread
                && tokio::task::try_id().is_none()
        }

        /// Runs what blocks on one of the threads that are for it.
        pub(crate) fn spawn_blocking<T: Send + 'static>(
            &self,
            work: impl FnOnce() -> T + Send + 'static,
        ) -> JoinHandle<T> {
            self.0.spawn_blocking(work)
        }

        /// Runs `work` as if a task of this runtime called it.
        pub(crate) fn inside<T>(&self, work: impl FnOnce() -> T) -> T {
            let _inside = self.0.enter();
            work()
        }
    }

    pub(crate) use tokio::task::spawn_blocking;
}
