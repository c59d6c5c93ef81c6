use std::fmt::Display;
use std::time::Duration;

use serde_json::Value;

use crate::error::Error;

/// What a handler may return: nothing, a JSON value for the publisher that awaits it, or a [`Result`] of either, with
/// any error that can be displayed.
pub trait IntoAnswer {
    /// The value, or why it failed.
    ///
    /// # Errors
    /// The handler's own error, as text.
    fn into_answer(self) -> Result<Value, String>;
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

impl<T: IntoAnswer, E: Display> IntoAnswer for Result<T, E> {
    fn into_answer(self) -> Result<Value, String> {
        self.map_err(|e| e.to_string())?.into_answer()
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
    /// The event is recorded, and could not be read back for this reason: whether the handler takes it, and what it
    /// answered, is unknown. It is not affected: handlers read for themselves.
    Unknown(Error),
}

impl Answer {
    /// Whether the handler succeeded.
    #[must_use]
    pub fn is_done(&self) -> bool {
        matches!(self, Self::Done(_))
    }
}
