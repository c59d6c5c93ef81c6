//! Streams that last: how many a token has at once, and when they have to end.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use axum::http::StatusCode;
use tokio_util::sync::CancellationToken;

use crate::problem::Problem;
use crate::tokens::Token;

/// The streams of all tokens.
#[derive(Clone, Debug)]
pub(crate) struct Streams {
    most: usize,
    closing: CancellationToken,
    of: Arc<Mutex<HashMap<String, OfToken>>>,
}

/// The streams of a token. Those that were ended leave a new entry for the next ones, or none.
#[derive(Debug)]
struct OfToken {
    open: usize,
    ends: CancellationToken,
}

impl Streams {
    /// At most so many for each token; all end once `closing` is cancelled.
    pub(crate) fn new(most: usize, closing: CancellationToken) -> Self {
        Self { most, closing, of: Arc::default() }
    }

    /// One more, unless the token has too many or the server ends.
    pub(crate) fn permit(&self, token: &Token) -> Result<StreamPermit, Problem> {
        if self.closing.is_cancelled() {
            return Err(ends());
        }
        let mut of = self.lock();
        let entry = of
            .entry(token.name.clone())
            .or_insert_with(|| OfToken { open: 0, ends: self.closing.child_token() });
        if entry.open >= self.most {
            let detail = format!(
                "the token {:?} has {} streams, which is the most: end one first",
                token.name, self.most
            );
            return Err(
                Problem::new(StatusCode::TOO_MANY_REQUESTS, "too-many-streams", detail).retry_after(1)
            );
        }
        entry.open += 1;
        let ends = entry.ends.clone();
        drop(of);
        Ok(StreamPermit { name: token.name.clone(), ends, streams: self.clone() })
    }

    /// Ends the streams of these tokens.
    pub(crate) fn end(&self, names: impl IntoIterator<Item = String>) {
        let mut of = self.lock();
        for name in names {
            if let Some(ended) = of.remove(&name) {
                ended.ends.cancel();
            }
        }
    }

    /// How many there are.
    pub(crate) fn open(&self) -> usize {
        self.lock().values().map(|of| of.open).sum()
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<String, OfToken>> {
        self.of.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The server ends, or is about to.
pub(crate) fn ends() -> Problem {
    let detail = "the server is shutting down; try again in a moment";
    Problem::new(StatusCode::SERVICE_UNAVAILABLE, "closing", detail).retry_after(1)
}

/// Allows one stream of a token, until it is dropped.
#[derive(Debug)]
pub(crate) struct StreamPermit {
    name: String,
    ends: CancellationToken,
    streams: Streams,
}

impl StreamPermit {
    /// Is cancelled when the stream has to end, because the server does or its token is no longer what it was.
    pub(crate) fn ends(&self) -> &CancellationToken {
        &self.ends
    }
}

impl Drop for StreamPermit {
    fn drop(&mut self) {
        let mut of = self.streams.lock();
        // The streams of an entry that was ended are not those of the entry that is there now. Entries are ended under the lock.
        if self.ends.is_cancelled() {
            return;
        }
        if let Some(entry) = of.get_mut(&self.name) {
            entry.open = entry.open.saturating_sub(1);
            if entry.open == 0 {
                of.remove(&self.name);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_has_so_many_streams_and_no_more() {
        let streams = Streams::new(2, CancellationToken::new());
        let token = Token::local();
        let first = streams.permit(&token).unwrap();
        let _second = streams.permit(&token).unwrap();
        assert_eq!(streams.permit(&token).unwrap_err().name(), "too-many-streams");
        let other = Token { name: "other".to_owned(), ..Token::local() };
        streams.permit(&other).unwrap();
        drop(first);
        let _third = streams.permit(&token).unwrap();
        assert_eq!(streams.open(), 2);
    }

    #[test]
    fn streams_end_with_their_token_and_with_the_server() {
        let closing = CancellationToken::new();
        let streams = Streams::new(1, closing.clone());
        let old = streams.permit(&Token::local()).unwrap();
        streams.end(["local".to_owned()]);
        assert!(old.ends().is_cancelled());
        let new = streams.permit(&Token::local()).unwrap();
        drop(old);
        assert!(streams.permit(&Token::local()).is_err(), "the old one gave back what the new one has");
        assert!(!new.ends().is_cancelled());
        closing.cancel();
        assert!(new.ends().is_cancelled());
        assert_eq!(streams.permit(&Token::local()).unwrap_err().name(), "closing");
    }
}
