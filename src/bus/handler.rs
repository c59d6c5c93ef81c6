//! The user's code, and one call of it.

use std::any::Any;
use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use serde_json::Value;
use tokio::runtime::Handle;
use tokio::task::{JoinError, JoinHandle};
use tokio::time::timeout;

use super::answer::{Failure, IntoAnswer};
use super::current;
use super::heard::Heard;
use crate::limits::STUCK_GRACE_MS;

type Called = Result<Value, String>;
type Future_ = Pin<Box<dyn Future<Output = Called> + Send>>;

/// What is called.
#[derive(Clone)]
pub(super) enum Handler {
    Async(Arc<dyn Fn(Heard) -> Future_ + Send + Sync>),
    Blocking(Arc<dyn Fn(Heard) -> Called + Send + Sync>),
}

impl fmt::Debug for Handler {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Async(_) => "Async",
            Self::Blocking(_) => "Blocking",
        })
    }
}

/// How a call ended.
#[derive(Debug)]
pub(super) enum Ended {
    Done(Value),
    Failed(Failure),
    /// Its time is over and it runs on; the handle is ready when it has really ended.
    Stuck(Failure, JoinHandle<Called>),
}

impl Handler {
    pub(super) fn new<F, R>(call: impl Fn(Heard) -> F + Send + Sync + 'static) -> Self
    where
        F: Future<Output = R> + Send + 'static,
        R: IntoAnswer,
    {
        Self::Async(Arc::new(move |heard| {
            let future = call(heard);
            Box::pin(async move { future.await.into_answer() })
        }))
    }

    pub(super) fn blocking<R: IntoAnswer>(call: impl Fn(Heard) -> R + Send + Sync + 'static) -> Self {
        Self::Blocking(Arc::new(move |heard| call(heard).into_answer()))
    }

    pub(super) fn is_blocking(&self) -> bool {
        matches!(self, Self::Blocking(_))
    }

    /// Calls it, in a task of its own: what it does to its thread, or to itself, ends there.
    pub(super) async fn call(&self, runtime: &Handle, heard: Heard, time: Duration) -> Ended {
        let (mut task, grace) = match self {
            Self::Async(call) => {
                let (call, cause) = (call.clone(), heard.clone());
                // The user's function runs inside the future, where a panic is caught.
                let task = runtime.spawn(current::scope(cause, async move { call(heard).await }));
                (task, Duration::from_millis(STUCK_GRACE_MS))
            }
            Self::Blocking(call) => {
                let call = call.clone();
                let work = move || current::sync_scope(heard.clone(), || call(heard));
                (runtime.spawn_blocking(work), Duration::ZERO)
            }
        };
        if let Ok(ended) = timeout(time, &mut task).await {
            return settled(ended, time);
        }
        task.abort();
        match timeout(grace, &mut task).await {
            Ok(ended) => settled(ended, time),
            Err(_) => Ended::Stuck(Failure::TimedOut(time), task),
        }
    }
}

fn settled(ended: Result<Called, JoinError>, time: Duration) -> Ended {
    match ended {
        Ok(Ok(value)) => Ended::Done(value),
        Ok(Err(error)) => Ended::Failed(Failure::Failed(error)),
        Err(e) if e.is_cancelled() => Ended::Failed(Failure::TimedOut(time)),
        Err(e) => Ended::Failed(Failure::Panicked(said(&*e.into_panic()))),
    }
}

/// What a panic said.
fn said(panic: &(dyn Any + Send)) -> String {
    let text = panic.downcast_ref::<&str>().copied();
    let text = text.or_else(|| panic.downcast_ref::<String>().map(String::as_str));
    text.unwrap_or("something that is no text").to_owned()
}
