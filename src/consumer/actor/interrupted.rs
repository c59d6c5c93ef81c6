//! A store that cannot be had at the moment: whoever asks is told so, and the consumer goes on when it is back.

use std::time::Duration;

use super::{Actor, refuse};
use crate::error::{Error, Result};
use crate::limits::FOLLOW_AGAIN_MS;
use crate::sync::time::Instant;

const PAUSE: Duration = Duration::from_millis(FOLLOW_AGAIN_MS);

impl Actor {
    /// Waits until the store can be read again, and begins anew with what is stored: whether what was decided last is, nobody
    /// knows.
    ///
    /// # Errors
    /// Why it does not go on.
    pub(super) async fn interrupted(&mut self, first: Error) -> Result<()> {
        tracing::warn!(consumer = self.name, error = %first, "a consumer waits for the store");
        let mut error = first;
        loop {
            // For whoever was being answered.
            self.interruptions.send_replace(Some(error.clone()));
            self.asking.drain(..).for_each(|(_, reply)| drop(reply.send(Err(error.clone()))));
            while let Some(call) = self.inbox.pop_front().or_else(|| self.calls.try_recv().ok()) {
                refuse(call, &error);
            }
            tokio::select! {
                _ = self.end.changed() => {}
                () = self.alarm.at(Some(Instant::now() + PAUSE)) => {}
            }
            if *self.end.borrow() {
                return Err(error);
            }
            match self.reload(true).await {
                Err(again) if again.is_passing() => error = again,
                // It was closed after the error that is known.
                Err(Error::Closed { .. }) => return Err(error),
                reloaded => return reloaded,
            }
        }
    }
}
