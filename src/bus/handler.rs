//! The user's code, and one call of it.

use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use serde_json::Value;
use tokio::sync::oneshot;

use super::answer::{Failure, IntoAnswer};
use super::current;
use super::message::Message;
use crate::limits::STUCK_GRACE_MS;
use crate::panics::said;
use crate::sync::task::{JoinError, JoinHandle, Runtime};
use crate::sync::time::timeout;

type Called = Result<Value, String>;
type Future_ = Pin<Box<dyn Future<Output = Called> + Send>>;

/// What is called.
#[derive(Clone)]
pub(super) enum Handler {
    Async(Arc<dyn Fn(Message) -> Future_ + Send + Sync>),
    Blocking(Arc<dyn Fn(Message) -> Called + Send + Sync>),
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
    /// Its runtime has ended: neither the handler nor the event is to blame.
    Stopped {
        /// Whether the handler had been entered.
        begun: bool,
    },
    /// It timed out and keeps running; the handle is ready when it has really ended.
    Stuck(Failure, JoinHandle<Called>),
}

impl Handler {
    pub(super) fn new<F, R>(call: impl Fn(Message) -> F + Send + Sync + 'static) -> Self
    where
        F: Future<Output = R> + Send + 'static,
        R: IntoAnswer,
    {
        Self::Async(Arc::new(move |message| {
            let future = call(message);
            Box::pin(async move { future.await.into_answer() })
        }))
    }

    pub(super) fn blocking<R: IntoAnswer>(call: impl Fn(Message) -> R + Send + Sync + 'static) -> Self {
        Self::Blocking(Arc::new(move |message| call(message).into_answer()))
    }

    pub(super) fn is_blocking(&self) -> bool {
        matches!(self, Self::Blocking(_))
    }

    /// Calls it in its own task, which contains panics. The timeout starts when the handler is entered: waiting for a
    /// thread of the runtime does not count.
    pub(super) async fn call(&self, runtime: &Runtime, message: Message, time: Duration) -> Ended {
        let (enter, entered) = oneshot::channel();
        let (mut task, grace) = match self {
            Self::Async(call) => {
                let (call, cause) = (call.clone(), message.clone());
                // The user's function runs inside the future, where a panic is caught.
                let work = async move {
                    let _ = enter.send(());
                    call(message).await
                };
                let task = runtime.spawn(current::scope(cause, work));
                (task, Duration::from_millis(STUCK_GRACE_MS))
            }
            Self::Blocking(call) => {
                let call = call.clone();
                let work = move || {
                    let _ = enter.send(());
                    current::sync_scope(message.clone(), || call(message))
                };
                (runtime.spawn_blocking(work), Duration::ZERO)
            }
        };
        // The runtime drops a task that it will not start, and the sender with it.
        let begun = entered.await.is_ok();
        if let Ok(ended) = timeout(time, &mut task).await {
            return resolved(ended, Ended::Stopped { begun });
        }
        task.abort();
        match timeout(grace, &mut task).await {
            Ok(ended) => resolved(ended, Ended::Failed(Failure::TimedOut(time))),
            Err(_) => Ended::Stuck(Failure::TimedOut(time), task),
        }
    }
}

/// The outcome of a call, also of a cancelled one.
fn resolved(ended: Result<Called, JoinError>, cancelled: Ended) -> Ended {
    match ended {
        Ok(Ok(value)) => Ended::Done(value),
        Ok(Err(error)) => Ended::Failed(Failure::Failed(error)),
        Err(e) if e.is_cancelled() => cancelled,
        Err(e) => Ended::Failed(Failure::Panicked(said(&*e.into_panic()))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::event::NewEvent;
    use crate::store::{Query, Store};
    use std::sync::mpsc;

    fn message() -> Message {
        let store = Store::in_memory().unwrap();
        store.append("s", NewEvent::new("a.b")).unwrap();
        Message::recorded(store.events(Query::branch("s").unwrap()).unwrap().next().unwrap().unwrap())
    }

    fn runtime() -> tokio::runtime::Runtime {
        tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap()
    }

    #[test]
    fn a_call_that_its_runtime_never_began_is_stopped_and_not_late() {
        let (ours, theirs) = (runtime(), runtime());
        let handle = Runtime::from(theirs.handle().clone());
        theirs.shutdown_background();
        let never = || serde_json::json!("called");
        for handler in [Handler::new(move |_| async move { never() }), Handler::blocking(move |_| never())] {
            let ended = ours.block_on(handler.call(&handle, message(), Duration::from_secs(60)));
            assert!(matches!(ended, Ended::Stopped { begun: false }), "{ended:?}");
        }
    }

    #[test]
    fn a_call_that_ends_with_its_runtime_is_stopped_and_not_late() {
        let (ours, theirs) = (runtime(), runtime());
        let handle = Runtime::from(theirs.handle().clone());
        let (enter, entered) = oneshot::channel();
        let enter = std::sync::Mutex::new(Some(enter));
        let handler = Handler::new(move |_| {
            let entered = enter.lock().unwrap().take().map(|enter| enter.send(()));
            async move {
                assert!(entered.is_some());
                std::future::pending::<()>().await;
            }
        });
        let ended = ours.block_on(async {
            let call = handler.call(&handle, message(), Duration::from_secs(60));
            let shut = async {
                entered.await.unwrap();
                theirs.shutdown_background();
            };
            tokio::join!(call, shut).0
        });
        assert!(matches!(ended, Ended::Stopped { begun: true }), "{ended:?}");
    }

    #[test]
    fn the_time_of_a_call_begins_when_the_handler_is_entered() {
        let message = message();
        let mut builder = tokio::runtime::Builder::new_current_thread();
        let runtime = builder.enable_all().start_paused(true).max_blocking_threads(1).build().unwrap();
        runtime.block_on(async {
            let (release, released) = mpsc::channel::<()>();
            let busy = tokio::task::spawn_blocking(move || released.recv());
            let handler = Handler::blocking(|_| serde_json::json!("called"));
            let (handle, time) = (Runtime::current().unwrap(), Duration::from_millis(30));
            let mut call = std::pin::pin!(handler.call(&handle, message, time));
            for _ in 0..10 {
                tokio::select! {
                    biased;
                    ended = &mut call => panic!("it has not been called, and {ended:?}"),
                    () = tokio::time::advance(time) => {}
                }
            }
            release.send(()).unwrap();
            assert!(matches!(call.await, Ended::Done(value) if value == "called"));
            busy.await.unwrap().unwrap();
        });
    }
}
