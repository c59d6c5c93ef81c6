//! Tasks of a runtime, tokio's or the explorer's.

use std::any::Any;
use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll};

use tokio::runtime::Handle;
use tokio::sync::oneshot;

use super::switch::is_exploring;

/// What runs tasks.
#[derive(Clone, Debug)]
pub(crate) enum Runtime {
    Tokio(Handle),
    Explored,
}

#[derive(Debug)]
pub(crate) enum JoinHandle<T> {
    Tokio(tokio::task::JoinHandle<T>),
    Explored(shuttle::future::JoinHandle<T>),
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
        if is_exploring() { Some(Self::Explored) } else { Handle::try_current().ok().map(Self::Tokio) }
    }

    pub(crate) fn spawn<T: Send + 'static>(
        &self,
        work: impl Future<Output = T> + Send + 'static,
    ) -> JoinHandle<T> {
        match self {
            Self::Tokio(handle) => JoinHandle::Tokio(handle.spawn(work)),
            Self::Explored => JoinHandle::Explored(shuttle::future::spawn(work)),
        }
    }

    /// Runs what blocks on one of the threads that are for it.
    pub(crate) fn spawn_blocking<T: Send + 'static>(
        &self,
        work: impl FnOnce() -> T + Send + 'static,
    ) -> JoinHandle<T> {
        match self {
            Self::Tokio(handle) => JoinHandle::Tokio(handle.spawn_blocking(work)),
            Self::Explored => {
                let (done, is_done) = oneshot::channel();
                drop(shuttle::thread::spawn(move || drop(done.send(work()))));
                JoinHandle::Blocking(is_done)
            }
        }
    }

    pub(crate) fn is(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::Tokio(one), Self::Tokio(other)) => one.id() == other.id(),
            (Self::Explored, Self::Explored) => true,
            _ => false,
        }
    }

    /// Runs `work` as if a task of this runtime called it.
    pub(crate) fn inside<T>(&self, work: impl FnOnce() -> T) -> T {
        let _inside = match self {
            Self::Tokio(handle) => Some(handle.enter()),
            Self::Explored => None,
        };
        work()
    }
}

/// Runs what blocks on one of the threads that are for it.
pub(crate) fn spawn_blocking<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> JoinHandle<T> {
    let runtime = if is_exploring() { Runtime::Explored } else { Runtime::Tokio(Handle::current()) };
    runtime.spawn_blocking(work)
}

impl<T> JoinHandle<T> {
    /// What blocks cannot be stopped.
    pub(crate) fn abort(&self) {
        match self {
            Self::Tokio(task) => task.abort(),
            Self::Explored(task) => task.abort(),
            Self::Blocking(_) => {}
        }
    }

    pub(crate) fn is_finished(&self) -> bool {
        match self {
            Self::Tokio(task) => task.is_finished(),
            Self::Explored(task) => task.is_finished(),
            Self::Blocking(done) => !done.is_empty() || done.is_terminated(),
        }
    }
}

impl<T> Future for JoinHandle<T> {
    type Output = Result<T, JoinError>;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        match &mut *self {
            Self::Tokio(task) => Pin::new(task).poll(context).map_err(JoinError::Tokio),
            Self::Explored(task) => Pin::new(task).poll(context).map_err(|_| JoinError::Cancelled),
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
