//! What a server counts: requests, connections, bytes.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use axum::http::Method;

/// Upper bounds of the buckets of times, in seconds.
pub(crate) const BUCKETS: [f64; 13] =
    [0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0];

/// The counters of a server. Clones are the same ones.
#[derive(Clone, Debug, Default)]
pub(crate) struct Metrics {
    of: Arc<Of>,
}

#[derive(Debug, Default)]
struct Of {
    requests: Mutex<Requests>,
    connections: AtomicU64,
    accepted: AtomicU64,
    turned_away: AtomicU64,
    received: AtomicU64,
    sent: AtomicU64,
}

/// Requests by what they asked for. Routes are those of the server, so there is a bounded number.
#[derive(Clone, Debug, Default)]
pub(crate) struct Requests {
    /// By method, route and status.
    pub(crate) answered: BTreeMap<(&'static str, String, u16), u64>,
    /// By route.
    pub(crate) times: BTreeMap<String, Times>,
}

/// How long requests took until their answer began.
#[derive(Clone, Debug, Default)]
pub(crate) struct Times {
    /// Those of each bucket and not of the one before.
    pub(crate) buckets: [u64; BUCKETS.len()],
    pub(crate) count: u64,
    pub(crate) seconds: f64,
}

/// Figures of connections.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Connections {
    pub(crate) open: u64,
    pub(crate) accepted: u64,
    pub(crate) turned_away: u64,
    pub(crate) received: u64,
    pub(crate) sent: u64,
}

impl Metrics {
    /// A request was answered with this status.
    pub(crate) fn request(&self, method: &Method, route: &str, status: u16, took: Duration) {
        let mut requests = self.of.requests.lock().unwrap_or_else(PoisonError::into_inner);
        *requests.answered.entry((name(method), route.to_owned(), status)).or_default() += 1;
        if !requests.times.contains_key(route) {
            requests.times.insert(route.to_owned(), Times::default());
        }
        if let Some(times) = requests.times.get_mut(route) {
            times.add(took.as_secs_f64());
        }
    }

    /// The requests so far.
    pub(crate) fn requests(&self) -> Requests {
        self.of.requests.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// A connection was accepted, and lasts as long as what is returned.
    pub(crate) fn connection(&self) -> OpenConnection {
        self.of.accepted.fetch_add(1, Ordering::Relaxed);
        self.of.connections.fetch_add(1, Ordering::Relaxed);
        OpenConnection { of: self.of.clone() }
    }

    /// A connection was one too many.
    pub(crate) fn turned_away(&self) {
        self.of.turned_away.fetch_add(1, Ordering::Relaxed);
    }

    /// The connections so far.
    pub(crate) fn connections(&self) -> Connections {
        let of = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        Connections {
            open: of(&self.of.connections),
            accepted: of(&self.of.accepted),
            turned_away: of(&self.of.turned_away),
            received: of(&self.of.received),
            sent: of(&self.of.sent),
        }
    }
}

impl Times {
    fn add(&mut self, seconds: f64) {
        self.count += 1;
        self.seconds += seconds;
        if let Some((_, bucket)) = BUCKETS.iter().zip(&mut self.buckets).find(|(bound, _)| seconds <= **bound)
        {
            *bucket += 1;
        }
    }
}

/// A connection is open.
#[derive(Debug)]
pub(crate) struct OpenConnection {
    of: Arc<Of>,
}

impl OpenConnection {
    /// Bytes came.
    pub(crate) fn received(&self, bytes: usize) {
        self.of.received.fetch_add(bytes as u64, Ordering::Relaxed);
    }

    /// Bytes went.
    pub(crate) fn sent(&self, bytes: usize) {
        self.of.sent.fetch_add(bytes as u64, Ordering::Relaxed);
    }
}

impl Drop for OpenConnection {
    fn drop(&mut self) {
        self.of.connections.fetch_sub(1, Ordering::Relaxed);
    }
}

/// Methods that nobody has heard of are all called alike.
pub(crate) fn name(method: &Method) -> &'static str {
    match *method {
        Method::GET => "GET",
        Method::HEAD => "HEAD",
        Method::POST => "POST",
        Method::PUT => "PUT",
        Method::PATCH => "PATCH",
        Method::DELETE => "DELETE",
        Method::OPTIONS => "OPTIONS",
        _ => "OTHER",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn requests_are_counted_by_what_they_asked_for() {
        let metrics = Metrics::default();
        let method = Method::from_bytes(b"MADE-UP").unwrap();
        metrics.request(&method, "/v1/x", 200, Duration::from_millis(1));
        metrics.request(&method, "/v1/x", 200, Duration::from_secs(60));
        let requests = metrics.requests();
        assert_eq!(requests.answered[&("OTHER", "/v1/x".to_owned(), 200)], 2);
        let times = &requests.times["/v1/x"];
        assert_eq!((times.count, times.buckets[0], times.buckets.iter().sum::<u64>()), (2, 1, 1));
    }

    #[test]
    fn a_connection_is_open_until_it_is_dropped() {
        let metrics = Metrics::default();
        let one = metrics.connection();
        one.sent(3);
        one.received(2);
        let _other = metrics.connection();
        drop(one);
        let now = metrics.connections();
        assert_eq!((now.open, now.accepted, now.sent, now.received), (1, 2, 3, 2));
    }
}
