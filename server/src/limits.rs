//! Every bound of a server in one place.

use std::time::Duration;

/// Calls of the store that run at once: each has a thread while it runs.
pub(crate) const CALLS: usize = 128;
/// Those of one token: it leaves some to others, also when each of its calls takes long.
pub(crate) const CALLS_OF_A_TOKEN: usize = 64;
const _: () = assert!(CALLS_OF_A_TOKEN < CALLS);
/// Calls of one token that read much, at once: the others wait for them.
pub(crate) const READS: usize = CALLS_OF_A_TOKEN / 4;
/// Streams that read what was recorded at once: so many threads are left to calls.
pub(crate) const REPLAYS: usize = 64;
/// Header lines of a request.
pub(crate) const HEADER_LINES: usize = 100;
/// What hyper buffers of a request's body for each connection, besides its header.
pub(crate) const READ_BUFFER_BYTES: usize = 256 * 1024;
/// Connections that wait in the kernel until they are accepted.
pub(crate) const BACKLOG: u32 = 1_024;
/// How long accepting pauses when the process has no more file descriptors.
pub(crate) const ACCEPT_PAUSE: Duration = Duration::from_millis(100);
/// How long connections that are cut off may take to notice, and those that began a request to end it.
pub(crate) const LAST_WORDS: Duration = Duration::from_secs(1);
/// How long a connection that is one too many is told so.
pub(crate) const TURN_AWAY: Duration = Duration::from_secs(1);
/// Bytes that the other side takes at least within the time that it may be waited for.
pub(crate) const LEAST_TAKEN: usize = 16 * 1024;
/// How long a connection takes the rest of a body that was answered before it was read, and closes then.
pub(crate) const LINGER: Duration = Duration::from_secs(5);
/// Bytes of that rest.
pub(crate) const LINGER_BYTES: usize = 64 * 1024 * 1024;
/// Connections that are told that they are too many, at once; those beyond are closed without a word.
pub(crate) const TURNED_AWAY_AT_ONCE: usize = 64;

/// Items of a page that is asked for without a limit.
pub(crate) const PAGE: usize = 100;
/// Items of a page at the most.
pub(crate) const MAX_PAGE: usize = 1_000;

/// What a server takes on at most.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Limits {
    /// Bytes of a request's body.
    pub body_bytes: usize,
    /// Bytes of the bodies of all requests at work. One token has at most half of them.
    pub bodies_bytes: usize,
    /// Bytes of a request line with its headers.
    pub header_bytes: usize,
    /// How long a connection may take for a request line with its headers, and how long it may be idle between requests.
    pub header_time: Duration,
    /// How long a TLS handshake may take.
    pub handshake_time: Duration,
    /// How long a request may take until its answer begins. Streams go on after that.
    pub request_time: Duration,
    /// How long a connection may be waited for while it takes hardly any of the bytes that are to be sent. A peer that has
    /// vanished is noticed in about that time too.
    pub stall_time: Duration,
    /// How long requests may take to end after the server was asked to end.
    pub drain_time: Duration,
    /// How long a long poll of a stream waits for something new.
    pub long_poll_time: Duration,
    /// Connections at once.
    pub connections: usize,
    /// Requests per second of each token, unless the token has its own number; `None` for no bound.
    pub requests_per_second: Option<u32>,
    /// Streams of each token at once.
    pub streams: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            body_bytes: 16 * 1024 * 1024,
            bodies_bytes: 256 * 1024 * 1024,
            header_bytes: 32 * 1024,
            header_time: Duration::from_secs(10),
            handshake_time: Duration::from_secs(10),
            request_time: Duration::from_secs(30),
            stall_time: Duration::from_secs(30),
            drain_time: Duration::from_secs(10),
            long_poll_time: Duration::from_secs(20),
            connections: 1_024,
            requests_per_second: None,
            streams: 512,
        }
    }
}
