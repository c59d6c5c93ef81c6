use std::time::Duration;

use serde::Serialize;
use serde_json::Value;

use crate::delivery::with_causes;

/// What a handler may return: nothing, or anything that can be serialized, for the publisher that awaits it. A value of your own
/// is returned in [`Json`], or in a [`Result`]; an error is kept with all its causes.
///
/// ```
/// # use retold::{Bus, Message, NewEvent, Store};
/// use retold::bus::Json;
/// #[derive(serde::Serialize)]
/// struct Found { hits: u32 }
///
/// # tokio::runtime::Runtime::new().unwrap().block_on(async {
/// # let bus = Bus::new(&Store::in_memory()?)?;
/// bus.on("step.*", |_: Message| async {})?;
/// bus.subscribe("tool.*").named("one").awaited().run(|_| async { Json(Found { hits: 1 }) })?;
/// bus.subscribe("tool.*").named("two").awaited().run(|_| async {
///     let hits = "2".parse()?;
///     Ok::<_, std::num::ParseIntError>(Found { hits })
/// })?;
/// let published = bus.publish("run-7", NewEvent::new("tool.invoked")).await?;
/// assert_eq!(published.answer("one").unwrap()["hits"], 1);
/// assert_eq!(published.answer("two").unwrap()["hits"], 2);
/// # bus.close().await?;
/// # Ok::<(), retold::Error>(())
/// # }).unwrap();
/// ```
pub trait IntoAnswer {
    /// The value, or why it failed.
    ///
    /// # Errors
    /// The handler's own error with its causes, as text, or why its value cannot be serialized.
    fn into_answer(self) -> Result<Value, String>;
}

/// A value that a handler answers with, as JSON.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(transparent)]
pub struct Json<T>(pub T);

fn serialized(value: impl Serialize) -> Result<Value, String> {
    serde_json::to_value(value).map_err(|e| format!("its answer cannot be written as JSON: {e}"))
}

impl IntoAnswer for () {
    fn into_answer(self) -> Result<Value, String> {
        Ok(Value::Null)
    }
}

impl IntoAnswer for Value {
    fn into_answer(self) -> Result<Value, String> {
        Ok(self)
    }
}

impl<T: Serialize> IntoAnswer for Json<T> {
    fn into_answer(self) -> Result<Value, String> {
        serialized(self)
    }
}

impl<T: Serialize, E: Into<Box<dyn std::error::Error + Send + Sync>>> IntoAnswer for Result<T, E> {
    fn into_answer(self) -> Result<Value, String> {
        self.map_err(|e| with_causes(&*e.into())).and_then(serialized)
    }
}

/// Why one call of a handler did not succeed.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Failure {
    /// It returned an error.
    #[error("{0}")]
    Failed(String),
    /// It panicked.
    #[error("it panicked: {0}")]
    Panicked(String),
    /// It timed out.
    #[error("it timed out after {0:?}")]
    TimedOut(Duration),
    /// The bus was closed, the handler unsubscribed, or its runtime shut down before it was done.
    #[error("it was stopped")]
    Stopped,
}

/// The result of an event at one awaited handler.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub enum Answer {
    /// It succeeded, with this value.
    Done(Value),
    /// It failed each time that it was called; this is the last failure.
    Failed {
        /// Why.
        failure: Failure,
        /// How often the event was delivered to it; a call that never started does not count.
        deliveries: u32,
    },
    /// The handler was gone before it reached the event.
    Gone,
    /// It did not finish within the time that publishers wait. It continues.
    Late,
}

impl Answer {
    /// Whether the handler succeeded.
    #[must_use]
    pub fn is_done(&self) -> bool {
        matches!(self, Self::Done(_))
    }
}
