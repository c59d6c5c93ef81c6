//! Running blocking work for async tasks.

use std::sync::Arc;

use crate::error::{Error, Result};
use crate::sync::task::Runtime;
use crate::sync::{Mutex, lock};

/// Runs what blocks on tokio's blocking threads. Outside a runtime it runs where it is: there is no worker that
/// others need.
pub(crate) async fn unblocked<T: Send + 'static>(
    work: impl FnOnce() -> Result<T> + Send + 'static,
) -> Result<T> {
    let Some(mut runtime) = Runtime::current() else { return work() };
    let work = Arc::new(Mutex::new(Some(work)));
    loop {
        let waiting = work.clone();
        let run = move || {
            let work = lock(&waiting).take();
            work.map(|work| work())
        };
        let stopped = match runtime.spawn_blocking(run).await {
            Ok(Some(result)) => return result,
            Ok(None) => return Err(Error::storage("it was begun twice")),
            Err(stopped) => stopped,
        };
        // A runtime that ends drops what has not begun. Whoever polls this now may have another one; that one has no
        // threads for it any more.
        let left = lock(&work).take();
        match (Runtime::current(), left) {
            (Some(now), Some(left)) if !now.is(&runtime) => {
                *lock(&work) = Some(left);
                runtime = now;
            }
            (_, Some(left)) => return left(),
            (_, None) => {
                return Err(Error::storage(format!("it was stopped with its runtime: {stopped}")));
            }
        }
    }
}
