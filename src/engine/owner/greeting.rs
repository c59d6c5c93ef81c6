//! Waiting for an owner to say who it is. Whoever closes the store ends the wait: the other end may be one that never says
//! anything, such as a child that an owner has left behind with its socket.

use std::net::Shutdown;
use std::os::unix::net::UnixStream;
use std::sync::Arc;

use crate::engine::shared::{self, ConnectError, Hello, SharedEngine};
use crate::sync::{Mutex, lock};

#[derive(Debug, Default)]
struct State {
    /// What is waited for.
    stream: Option<UnixStream>,
    is_over: bool,
}

/// See the module.
#[derive(Debug, Default)]
pub(super) struct Greeting(Mutex<State>);

impl Greeting {
    /// An engine on the store of whoever is at the other end. Blocks until it has said who it is, or this is [over](Self::end).
    pub(super) fn with(&self, stream: UnixStream, hello: Hello) -> Result<Arc<SharedEngine>, ConnectError> {
        {
            let mut state = lock(&self.0);
            if state.is_over {
                return Err(ConnectError::Lost { owner: 0, reason: "the store is being closed".to_owned() });
            }
            // Without a second handle it is waited for to the end.
            state.stream = stream.try_clone().ok();
        }
        let connected = shared::connect(stream, hello);
        lock(&self.0).stream = None;
        connected
    }

    /// Nobody waits any more.
    pub(super) fn end(&self) {
        let mut state = lock(&self.0);
        state.is_over = true;
        if let Some(stream) = state.stream.take() {
            let _ = stream.shutdown(Shutdown::Both);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::io::Read;
    use std::time::{Duration, Instant};

    use super::*;
    use crate::engine::shared::Reach;

    fn hello() -> Hello {
        Hello {
            program: "test".to_owned(),
            rank: 0,
            store: None,
            name: "runs".to_owned(),
            path: None,
            read_only: false,
            wait: Duration::from_secs(600),
            reach: Reach::Local,
        }
    }

    #[test]
    fn one_that_says_nothing_is_not_waited_for_when_it_is_over() {
        let (greeting, begun) = (Greeting::default(), Instant::now());
        let (ours, mut theirs) = UnixStream::pair().unwrap();
        std::thread::scope(|scope| {
            let waiting = scope.spawn(|| greeting.with(ours, hello()).map(drop));
            // It has said something, so it waits for an answer.
            theirs.read_exact(&mut [0; 8]).unwrap();
            greeting.end();
            assert!(matches!(waiting.join().unwrap(), Err(ConnectError::Lost { .. })));
        });
        assert!(begun.elapsed() < Duration::from_secs(300), "it was waited for");
        // Nor does another wait begin.
        let (ours, _theirs) = UnixStream::pair().unwrap();
        assert!(matches!(greeting.with(ours, hello()), Err(ConnectError::Lost { .. })));
    }
}
