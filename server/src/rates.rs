//! Requests per second of each token: a bucket that fills steadily and holds the requests of one second.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use axum::http::StatusCode;
use tokio::time::Instant;

use crate::problem::Problem;
use crate::tokens::Token;

/// The buckets of all tokens.
#[derive(Clone, Debug)]
pub(crate) struct Rates {
    per_second: Option<u32>,
    buckets: Arc<Mutex<HashMap<String, Bucket>>>,
}

#[derive(Debug)]
struct Bucket {
    left: f64,
    at: Instant,
}

impl Rates {
    /// `per_second` is for tokens that have no number of their own.
    pub(crate) fn new(per_second: Option<u32>) -> Self {
        Self { per_second, buckets: Arc::default() }
    }

    /// Takes one request out of the token's bucket.
    pub(crate) fn take(&self, token: &Token) -> Result<(), Problem> {
        let Some(per_second) = token.requests_per_second.or(self.per_second) else { return Ok(()) };
        let most = f64::from(per_second.max(1));
        let now = Instant::now();
        let mut buckets = self.buckets.lock().unwrap_or_else(PoisonError::into_inner);
        let bucket = buckets.entry(token.name.clone()).or_insert(Bucket { left: most, at: now });
        bucket.left = (bucket.left + now.duration_since(bucket.at).as_secs_f64() * most).min(most);
        bucket.at = now;
        if bucket.left < 1.0 {
            let detail = format!("the token {:?} may send {most} requests per second", token.name);
            return Err(
                Problem::new(StatusCode::TOO_MANY_REQUESTS, "too-many-requests", detail).retry_after(1)
            );
        }
        bucket.left -= 1.0;
        Ok(())
    }

    /// Forgets tokens that are no longer known.
    pub(crate) fn keep(&self, is_known: impl Fn(&str) -> bool) {
        self.buckets.lock().unwrap_or_else(PoisonError::into_inner).retain(|name, _| is_known(name));
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::tokens::Scope;

    #[tokio::test(start_paused = true)]
    async fn a_token_sends_so_many_requests_a_second() {
        let rates = Rates::new(Some(10));
        let token = Token::new("one", Scope::Read);
        let taken = |token: &Token| (0..100).take_while(|_| rates.take(token).is_ok()).count();
        assert_eq!(taken(&token), 10);
        assert_eq!(taken(&Token::new("other", Scope::Read)), 10);
        tokio::time::advance(Duration::from_millis(310)).await;
        assert_eq!(taken(&token), 3);
        tokio::time::advance(Duration::from_secs(3600)).await;
        assert_eq!(taken(&token), 10);
        let own = Token { requests_per_second: Some(2), ..Token::new("own", Scope::Read) };
        assert_eq!(taken(&own), 2);
        assert_eq!(rates.take(&own).unwrap_err().status(), StatusCode::TOO_MANY_REQUESTS);
        rates.keep(|name| name != "own");
        assert_eq!(taken(&own), 2);
    }

    #[test]
    fn without_a_number_there_is_no_bound() {
        let rates = Rates::new(None);
        assert!((0..10_000).all(|_| rates.take(&Token::local()).is_ok()));
    }
}
