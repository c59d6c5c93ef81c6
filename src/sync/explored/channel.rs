//! std's bounded channel.

/// What the library uses of `std::sync::mpsc`.
pub(crate) mod mpsc {
    use std::sync::Arc;
    use std::sync::mpsc::TrySendError;
    pub(crate) use std::sync::mpsc::{RecvError, SendError, TryRecvError};

    use crate::sync::explored::switch::{Waiting, is_exploring, point};

    /// The other side looks again, also when this one is gone.
    #[derive(Clone, Debug, Default)]
    struct Other(Arc<Waiting>);

    impl Drop for Other {
        fn drop(&mut self) {
            self.0.again();
        }
    }

    #[derive(Clone, Debug)]
    pub(crate) struct SyncSender<T> {
        inner: std::sync::mpsc::SyncSender<T>,
        waiting: Other,
    }

    #[derive(Debug)]
    pub(crate) struct Receiver<T> {
        inner: std::sync::mpsc::Receiver<T>,
        waiting: Other,
    }

    pub(crate) fn sync_channel<T>(bound: usize) -> (SyncSender<T>, Receiver<T>) {
        let (sender, receiver) = std::sync::mpsc::sync_channel(bound);
        let waiting = Other::default();
        (SyncSender { inner: sender, waiting: waiting.clone() }, Receiver { inner: receiver, waiting })
    }

    impl<T> SyncSender<T> {
        pub(crate) fn send(&self, value: T) -> Result<(), SendError<T>> {
            if !is_exploring() {
                return self.inner.send(value);
            }
            point();
            let mut value = Some(value);
            let sent = self.waiting.0.until(|| match self.inner.try_send(value.take()?) {
                Ok(()) => Some(Ok(())),
                Err(TrySendError::Disconnected(value)) => Some(Err(SendError(value))),
                Err(TrySendError::Full(back)) => {
                    value = Some(back);
                    None
                }
            });
            self.waiting.0.again();
            sent
        }
    }

    impl<T: 'static> IntoIterator for Receiver<T> {
        type Item = T;
        type IntoIter = Box<dyn Iterator<Item = T>>;

        fn into_iter(self) -> Self::IntoIter {
            Box::new(std::iter::from_fn(move || self.recv().ok()))
        }
    }

    impl<T> Receiver<T> {
        pub(crate) fn recv(&self) -> Result<T, RecvError> {
            if !is_exploring() {
                return self.inner.recv();
            }
            point();
            let received = self.waiting.0.until(|| match self.inner.try_recv() {
                Ok(value) => Some(Ok(value)),
                Err(TryRecvError::Disconnected) => Some(Err(RecvError)),
                Err(TryRecvError::Empty) => None,
            });
            self.waiting.0.again();
            received
        }
    }
}
