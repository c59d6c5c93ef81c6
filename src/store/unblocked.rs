//! Running blocking work for async tasks.

use crate::error::{Error, Result};
use crate::sync::task::Runtime;

/// Runs what blocks on tokio's blocking threads. Outside a runtime it runs where it is: there is no worker that
/// others need.
pub(crate) async fn unblocked<T: Send + 'static>(
    work: impl FnOnce() -> Result<T> + Send + 'static,
) -> Result<T> {
    match Runtime::current() {
        None => work(),
        Some(runtime) => match runtime.spawn_blocking(work).await {
            Ok(result) => result,
            Err(e) => Err(Error::storage(format!("it was stopped with its runtime: {e}"))),
        },
    }
}
