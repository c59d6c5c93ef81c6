//! A store that cannot be had at the moment: whoever asks is told so, and the consumer goes on when it is back.

use std::time::Duration;

use tokio::sync::mpsc::error::TryRecvError;

use super::super::call::{Call, refuse};
use super::Actor;
use crate::error::{Error, Result};
use crate::limits::FOLLOW_AGAIN_MS;
use crate::sync::time::Instant;

const PAUSE: Duration = Duration::from_millis(FOLLOW_AGAIN_MS);

impl Actor {
    /// Waits until the store can be read again, and begins anew with what is stored: whether what was decided last is, nobody
    /// knows. One that is asked to end meanwhile does: its deliveries end with their deadline, and what was skipped is skipped
    /// again.
    ///
    /// # Errors
    /// Why it does not go on.
    pub(super) async fn interrupted(&mut self, first: Error) -> Result<()> {
        tracing::warn!(consumer = self.name, error = %first, "a consumer waits for the store");
        let mut error = first;
        loop {
            self.hear();
            self.asking.drain(..).for_each(|(_, reply)| drop(reply.send(Err(error.clone()))));
            self.inbox.drain(..).for_each(|call| refuse(call, &error));
            if !self.ends {
                tokio::select! {
                    _ = self.end.changed() => {}
                    () = self.alarm.at(Some(Instant::now() + PAUSE)) => {}
                }
                self.hear();
            }
            if self.ends || *self.end.borrow() {
                return Err(Error::Closed { after: None });
            }
            match self.reload(true).await {
                Err(again) if again.is_passing() => error = again,
                reloaded => {
                    self.is_known();
                    return reloaded;
                }
            }
        }
    }

    /// Takes what it was asked for meanwhile, and notices when nobody is left who asks.
    fn hear(&mut self) {
        loop {
            match self.calls.try_recv() {
                Ok(Call::End) | Err(TryRecvError::Disconnected) => self.ends = true,
                Ok(call) => self.inbox.push_back(call),
                Err(TryRecvError::Empty) => break,
            }
            if self.ends {
                break;
            }
        }
        self.ends |= self.inbox.iter().any(|call| matches!(call, Call::End));
    }
}
