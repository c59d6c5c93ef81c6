//! Calls of the store that run at once, of all and of each token.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use crate::limits::{CALLS, CALLS_OF_A_TOKEN};

/// The calls there may be.
#[derive(Debug)]
pub(crate) struct Calls {
    all: Arc<Semaphore>,
    of: Mutex<HashMap<String, Arc<Semaphore>>>,
}

/// Allows one call, until it is dropped.
pub(crate) type CallPermit = (Option<OwnedSemaphorePermit>, OwnedSemaphorePermit);

impl Calls {
    pub(crate) fn new() -> Self {
        Self { all: Arc::new(Semaphore::new(CALLS)), of: Mutex::default() }
    }

    /// Waits until one more may run. `None` if there will be none, which does not happen.
    pub(crate) async fn permit(&self, token: Option<&str>) -> Option<CallPermit> {
        // First that of the token: who waits for its own calls keeps nobody else from any.
        let own = match token {
            Some(name) => Some(self.of(name).acquire_owned().await.ok()?),
            None => None,
        };
        Some((own, self.all.clone().acquire_owned().await.ok()?))
    }

    /// Forgets tokens that are no longer known. Their calls run on.
    pub(crate) fn keep(&self, is_known: impl Fn(&str) -> bool) {
        self.of.lock().unwrap_or_else(PoisonError::into_inner).retain(|name, _| is_known(name));
    }

    fn of(&self, token: &str) -> Arc<Semaphore> {
        let mut of = self.of.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(known) = of.get(token) {
            return known.clone();
        }
        of.entry(token.to_owned()).or_insert_with(|| Arc::new(Semaphore::new(CALLS_OF_A_TOKEN))).clone()
    }
}

#[cfg(test)]
mod tests {
    use futures_util::FutureExt;

    use super::*;

    // Without a runtime, which would have a task that takes many permits pause.
    #[test]
    fn a_token_leaves_calls_to_others() {
        let calls = Calls::new();
        let mut held = Vec::new();
        while let Some(permit) = calls.permit(Some("greedy")).now_or_never() {
            held.push(permit.unwrap());
        }
        assert_eq!(held.len(), CALLS_OF_A_TOKEN);
        let other = calls.permit(Some("other")).now_or_never().unwrap();
        assert!(calls.permit(None).now_or_never().is_some());
        held.pop();
        assert!(calls.permit(Some("greedy")).now_or_never().is_some());
        drop(other);
        calls.keep(|name| name == "greedy");
        assert_eq!(calls.of.lock().unwrap().len(), 1);
    }
}
