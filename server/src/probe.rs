//! Whether the store can be used: asked by anybody, and so looked at by one at a time, and not more than once a second.

use std::time::Duration;

use retold::event::{Address, BranchName, Sequence, SessionId};
use retold::{Error, Expect, NewEvent, Store};
use tokio::sync::Mutex;
use tokio::time::{Instant, timeout};

/// How long an answer holds.
const HOLDS: Duration = Duration::from_secs(1);
/// How long a look may take.
const LONGEST: Duration = Duration::from_secs(5);

/// The latest look.
#[derive(Debug, Default)]
pub(crate) struct Probe {
    latest: Mutex<Option<(Instant, bool)>>,
}

impl Probe {
    /// Whether the store can be read and written. Calls of the store that are at work do not hold it up.
    pub(crate) async fn is_usable(&self, store: &Store) -> bool {
        let Ok(mut latest) = timeout(LONGEST, self.latest.lock()).await else { return false };
        if let Some((at, is_usable)) = *latest
            && at.elapsed() < HOLDS
        {
            return is_usable;
        }
        let store = store.clone();
        let looked = tokio::task::spawn_blocking(move || usable(&store));
        let is_usable = match timeout(LONGEST, looked).await {
            Ok(Ok(Ok(()))) => true,
            Ok(Ok(Err(error))) => {
                tracing::warn!(%error, "the store can't be used");
                false
            }
            Ok(Err(_)) | Err(_) => {
                tracing::warn!("the store did not answer in time");
                false
            }
        };
        *latest = Some((Instant::now(), is_usable));
        is_usable
    }
}

/// Reads, and asks for an append that can't be: it goes all the way to the one who writes, and is refused there.
fn usable(store: &Store) -> retold::Result<()> {
    store.session_names(None, 1)?;
    let probe = Address::new(SessionId::new("ready")?, BranchName::main());
    match store.append_if(probe, Expect::Head(Sequence::MAX), NewEvent::new("system.heartbeat")) {
        Ok(_) | Err(Error::Conflict { .. } | Error::BranchClosed { .. } | Error::Deleted { .. }) => Ok(()),
        Err(error) => Err(error),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn a_look_holds_for_a_second() {
        let store = Store::in_memory().unwrap();
        let probe = Probe::default();
        assert!(probe.is_usable(&store).await);
        store.close().unwrap();
        assert!(probe.is_usable(&store).await);
        tokio::time::advance(HOLDS).await;
        assert!(!probe.is_usable(&store).await);
    }
}
