//! Bytes of the bodies of requests at work: how many there are, of all and of each token.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use axum::http::StatusCode;

use crate::problem::Problem;

/// The bodies of all requests at work. Clones are the same ones.
#[derive(Clone, Debug)]
pub(crate) struct Budget {
    most: usize,
    most_of_a_token: usize,
    used: Arc<Mutex<Used>>,
}

#[derive(Debug, Default)]
struct Used {
    all: usize,
    of: HashMap<String, usize>,
}

impl Budget {
    /// At most so many bytes, and half of them for one token; but always room for one body of `body_bytes`.
    pub(crate) fn new(most: usize, body_bytes: usize) -> Self {
        let most = most.max(body_bytes);
        Self { most, most_of_a_token: (most / 2).max(body_bytes), used: Arc::default() }
    }

    /// The share of a request of this token, which has nothing yet.
    pub(crate) fn share(&self, token: &str) -> Share {
        Share { of: Arc::new(Held { token: token.to_owned(), bytes: Mutex::new(0), budget: self.clone() }) }
    }

    fn lock(&self) -> MutexGuard<'_, Used> {
        self.used.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn take(&self, token: &str, bytes: usize) -> Result<(), Problem> {
        let mut used = self.lock();
        let own = used.of.get(token).copied().unwrap_or_default().saturating_add(bytes);
        if own > self.most_of_a_token {
            let detail = format!(
                "the requests of the token {token:?} have {} bytes of bodies at work, which is the most: wait for some of them",
                self.most_of_a_token
            );
            let problem = Problem::new(StatusCode::TOO_MANY_REQUESTS, "too-many-requests", detail);
            return Err(problem.retry_after(1));
        }
        let all = used.all.saturating_add(bytes);
        if all > self.most {
            let detail = "the server has no room for more bodies of requests: try again in a moment";
            return Err(Problem::new(StatusCode::SERVICE_UNAVAILABLE, "unavailable", detail).retry_after(1));
        }
        used.all = all;
        used.of.insert(token.to_owned(), own);
        Ok(())
    }

    fn give_back(&self, token: &str, bytes: usize) {
        let mut used = self.lock();
        used.all = used.all.saturating_sub(bytes);
        if let Some(own) = used.of.get_mut(token) {
            *own = own.saturating_sub(bytes);
            if *own == 0 {
                used.of.remove(token);
            }
        }
    }
}

/// What the body of a request takes, until the last clone is dropped.
#[derive(Clone, Debug)]
pub(crate) struct Share {
    of: Arc<Held>,
}

#[derive(Debug)]
struct Held {
    token: String,
    bytes: Mutex<usize>,
    budget: Budget,
}

impl Share {
    /// So many bytes more, if there is room.
    pub(crate) fn take(&self, bytes: usize) -> Result<(), Problem> {
        let mut held = self.of.bytes.lock().unwrap_or_else(PoisonError::into_inner);
        self.of.budget.take(&self.of.token, bytes)?;
        *held = held.saturating_add(bytes);
        Ok(())
    }
}

impl Drop for Held {
    fn drop(&mut self) {
        let bytes = *self.bytes.get_mut().unwrap_or_else(PoisonError::into_inner);
        self.budget.give_back(&self.token, bytes);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bodies_have_a_bound_in_common_and_each_token_half_of_it() {
        let budget = Budget::new(100, 10);
        let one = budget.share("one");
        one.take(30).unwrap();
        let more = budget.share("one");
        more.take(20).unwrap();
        assert_eq!(more.take(1).unwrap_err().name(), "too-many-requests");
        let other = budget.share("other");
        other.take(40).unwrap();
        let third = budget.share("third");
        third.take(10).unwrap();
        let refused = third.take(1).unwrap_err();
        assert_eq!((refused.status(), refused.name()), (StatusCode::SERVICE_UNAVAILABLE, "unavailable"));
        let still_at_work = one.clone();
        drop(one);
        third.take(1).unwrap_err();
        drop(still_at_work);
        third.take(30).unwrap();
        drop((more, other, third));
        let used = budget.lock();
        assert_eq!((used.all, used.of.len()), (0, 0));
    }

    #[test]
    fn there_is_always_room_for_one_body() {
        Budget::new(1, 10).share("one").take(10).unwrap();
    }
}
