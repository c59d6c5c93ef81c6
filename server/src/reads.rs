//! Reads that look at much: a token has so many of them at once, and the others wait. So whoever asks again and again for what takes
//! long leaves threads to those who do not.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use crate::limits::READS;
use crate::tokens::Token;

/// The long reads of all tokens.
#[derive(Clone, Debug, Default)]
pub(crate) struct Reads {
    of: Arc<Mutex<HashMap<String, Arc<Semaphore>>>>,
}

impl Reads {
    /// Waits until the token may read; `None` never comes.
    pub(crate) async fn permit(&self, token: &Token) -> Option<OwnedSemaphorePermit> {
        let of = {
            let mut all = self.of.lock().unwrap_or_else(PoisonError::into_inner);
            all.entry(token.name.clone()).or_insert_with(|| Arc::new(Semaphore::new(READS))).clone()
        };
        of.acquire_owned().await.ok()
    }

    /// Forgets tokens that are no longer known.
    pub(crate) fn keep(&self, is_known: impl Fn(&str) -> bool) {
        self.of.lock().unwrap_or_else(PoisonError::into_inner).retain(|name, _| is_known(name));
    }
}

#[cfg(test)]
mod tests {
    use futures_util::FutureExt;

    use super::*;
    use crate::tokens::Scope;

    #[tokio::test]
    async fn a_token_that_reads_much_waits_for_itself_and_not_for_others() {
        let reads = Reads::default();
        let one = Token::new("one", Scope::Read);
        let mut held = Vec::new();
        while let Some(permit) = reads.permit(&one).now_or_never() {
            held.push(permit.unwrap());
        }
        assert_eq!(held.len(), READS);
        assert!(reads.permit(&Token::new("other", Scope::Read)).now_or_never().is_some());
        held.pop();
        assert!(reads.permit(&one).now_or_never().is_some());
        reads.keep(|name| name != "one");
        assert!(reads.permit(&one).now_or_never().is_some());
    }
}
