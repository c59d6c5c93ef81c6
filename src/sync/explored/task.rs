//! Tasks of a runtime, tokio's or the explorer's.

use std::any::Any;
use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll};

use tokio::runtime::Handle;
use tokio::sync::oneshot;

use super::runtimes::{self, RuntimeTask, block_in, enter, here};
use super::switch::is_exploring;

/// What runs tasks.
#[derive(Clone, Debug)]
pub(crate) enum Runtime {
    Tokio(Handle),
    Explored(usize),
}

#[derive(Debug)]
pub(crate) enum JoinHandle<T> {
    Tokio(tokio::task::JoinHandle<T>),
    Explored(shuttle::future::JoinHandle<Option<T>>),
    /// Its runtime had ended.
    Ended,
    Blocking(oneshot::Receiver<T>),
}

#[derive(Debug)]
pub(crate) enum JoinError {
    Tokio(tokio::task::JoinError),
    Cancelled,
}

impl From<Handle> for Runtime {
    fn from(handle: Handle) -> Self {
        Self::Tokio(handle)
    }
}

impl Runtime {
    /// The one that this is called in, if it is.
    pub(crate) fn current() -> Option<Self> {
        if is_exploring() {
            Some(Self::Explored(here()))
        } else {
            Handle::try_current().ok().map(Self::Tokio)
        }
    }

    pub(crate) fn spawn<T: Send + 'static>(
        &self,
        work: impl Future<Output = T> + Send + 'static,
    ) -> JoinHandle<T> {
        match self {
            Self::Tokio(handle) => JoinHandle::Tokio(handle.spawn(work)),
            Self::Explored(runtime) => match RuntimeTask::of(*runtime, work) {
                Some(task) => JoinHandle::Explored(shuttle::future::spawn(task)),
                None => JoinHandle::Ended,
            },
        }
    }

    /// Runs what blocks on one of the threads that are for it.
    pub(crate) fn spawn_blocking<T: Send + 'static>(
        &self,
        work: impl FnOnce() -> T + Send + 'static,
    ) -> JoinHandle<T> {
        match self {
            Self::Tokio(handle) => JoinHandle::Tokio(handle.spawn_blocking(work)),
            Self::Explored(runtime) => {
                let (runtime, (done, is_done)) = (*runtime, oneshot::channel());
                drop(shuttle::thread::spawn(move || {
                    if let Some(result) = block_in(runtime, work) {
                        drop(done.send(result));
                    }
                }));
                JoinHandle::Blocking(is_done)
            }
        }
    }

    pub(crate) fn is(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::Tokio(one), Self::Tokio(other)) => one.id() == other.id(),
            (Self::Explored(one), Self::Explored(other)) => one == other,
            _ => false,
        }
    }

    /// Whether its tasks may have to wait for the caller.
    pub(crate) fn may_stand_still(&self) -> bool {
        match self {
            Self::Tokio(handle) => {
                handle.runtime_flavor() == tokio::runtime::RuntimeFlavor::CurrentThread
                    && tokio::task::try_id().is_none()
            }
            Self::Explored(_) => false,
        }
    }

    /// Another one of the explorer. It ends when a model [ends](Self::end) it.
    pub(crate) fn another() -> Self {
        Self::Explored(runtimes::another())
    }

    fn explored(&self) -> usize {
        match self {
            Self::Explored(runtime) => *runtime,
            Self::Tokio(_) => panic!("a runtime of tokio cannot be explored"),
        }
    }

    /// Drops its tasks, and waits until they are gone.
    pub(crate) fn end(&self) {
        runtimes::end(self.explored());
    }

    /// Nobody runs it from now on; or somebody does again.
    pub(crate) fn stand_still(&self, stands_still: bool) {
        runtimes::stand_still(self.explored(), stands_still);
    }

    /// Runs `work` as if a task of this runtime called it.
    pub(crate) fn inside<T>(&self, work: impl FnOnce() -> T) -> T {
        match self {
            Self::Tokio(handle) => {
                let _inside = handle.enter();
                work()
            }
            Self::Explored(runtime) => {
                let _inside = enter(*runtime);
                work()
            }
        }
    }
}

/// Runs what blocks on one of the threads that are for it.
pub(crate) fn spawn_blocking<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> JoinHandle<T> {
    let runtime = if is_exploring() { Runtime::Explored(here()) } else { Runtime::Tokio(Handle::current()) };
    runtime.spawn_blocking(work)
}

impl<T> JoinHandle<T> {
    /// What blocks cannot be stopped.
    pub(crate) fn abort(&self) {
        match self {
            Self::Tokio(task) => task.abort(),
            Self::Explored(task) => task.abort(),
            Self::Blocking(_) | Self::Ended => {}
        }
    }

    pub(crate) fn is_finished(&self) -> bool {
        match self {
            Self::Tokio(task) => task.is_finished(),
            Self::Explored(task) => task.is_finished(),
            Self::Blocking(done) => !done.is_empty() || done.is_terminated(),
            Self::Ended => true,
        }
    }
}

impl<T> Future for JoinHandle<T> {
    type Output = Result<T, JoinError>;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        match &mut *self {
            Self::Tokio(task) => Pin::new(task).poll(context).map_err(JoinError::Tokio),
            Self::Explored(task) => {
                Pin::new(task).poll(context).map(|done| done.ok().flatten().ok_or(JoinError::Cancelled))
            }
            Self::Ended => Poll::Ready(Err(JoinError::Cancelled)),
            Self::Blocking(done) => Pin::new(done).poll(context).map_err(|_| JoinError::Cancelled),
        }
    }
}

impl JoinError {
    pub(crate) fn is_cancelled(&self) -> bool {
        match self {
            Self::Tokio(error) => error.is_cancelled(),
            Self::Cancelled => true,
        }
    }

    pub(crate) fn into_panic(self) -> Box<dyn Any + Send> {
        match self {
            Self::Tokio(error) => error.into_panic(),
            Self::Cancelled => Box::new("it was cancelled"),
        }
    }
}

impl fmt::Display for JoinError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Tokio(error) => error.fmt(f),
            Self::Cancelled => f.write_str("it was cancelled"),
        }
    }
}
