//! Getting to the server of a remote store.

use std::os::unix::net::UnixStream;
use std::sync::Arc;
use std::sync::mpsc::{RecvTimeoutError, channel};
use std::time::{Duration, Instant};

use super::carry::carry;
use super::dialer::Dialer;
use crate::error::{Error, Result};
use crate::limits::OWNER_PAUSE_MS;
use crate::panics::caught;

const LOOK: Duration = Duration::from_millis(OWNER_PAUSE_MS);

/// A socket whose other end is carried to the server, by a thread of its own, for as long as both last. Blocks until there is a
/// connection; at most so long, and only while it `is_wanted`.
///
/// # Errors
/// Those of the dialer, and [`Error::Unreachable`].
pub(crate) fn dial(
    dialer: &Arc<dyn Dialer>,
    within: Duration,
    is_wanted: &dyn Fn() -> bool,
) -> Result<UnixStream> {
    let unreachable = |reason: String| Error::Unreachable { store: dialer.name(), reason };
    let cannot = |e: std::io::Error| Error::storage(format!("a connection cannot be made: {e}"));
    let (own, near) = UnixStream::pair().map_err(cannot)?;
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().map_err(cannot)?;
    let (tell, told) = channel();
    let dials = dialer.clone();
    let life = move || {
        let carried = caught(|| {
            runtime.block_on(async {
                let far = match tokio::time::timeout(within, dials.dial()).await {
                    Ok(Ok(far)) => far,
                    Ok(Err(e)) => return drop(tell.send(Some(e))),
                    Err(_) => return,
                };
                if tell.send(None).is_ok()
                    && let Err(error) = carry(near, far).await
                {
                    tracing::debug!(%error, store = dials.name(), "a connection to the server has ended");
                }
            });
        });
        if let Err(panic) = carried {
            tracing::error!(panic, "a panic ends the connection to the server of a store");
        }
        // A name that is still looked up is not waited for.
        runtime.shutdown_background();
    };
    std::thread::Builder::new().name("retold-carrying".into()).spawn(life).map_err(cannot)?;
    let begun = Instant::now();
    loop {
        match told.recv_timeout(LOOK) {
            Ok(None) => return Ok(own),
            Ok(Some(error)) => return Err(error),
            Err(RecvTimeoutError::Timeout) if is_wanted() && begun.elapsed() < within + LOOK => {}
            Err(RecvTimeoutError::Timeout) if !is_wanted() => return Err(Error::Closed { after: None }),
            Err(_) => return Err(unreachable(format!("it has not answered within {} s", seconds(within)))),
        }
    }
}

/// At least one.
fn seconds(of: Duration) -> u64 {
    of.as_secs().max(1)
}
