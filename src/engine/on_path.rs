//! Whether this thread is on the writer's path, where waiting for the writer would be a deadlock.

use std::cell::Cell;

use crate::sync::thread_flag;

thread_flag!(ON_PATH);

/// While it lives, this thread is on the writer's path.
pub(crate) struct OnPath {
    before: bool,
}

impl OnPath {
    pub(crate) fn enter() -> Self {
        Self { before: ON_PATH.replace(true) }
    }
}

impl Drop for OnPath {
    fn drop(&mut self) {
        ON_PATH.set(self.before);
    }
}

/// `false` once the thread's locals are gone: it is ending, and writes nothing.
pub(crate) fn is_on_path() -> bool {
    ON_PATH.try_with(Cell::get).unwrap_or(false)
}

#[cfg(test)]
mod tests {
    use std::future::Future;
    use std::pin::pin;
    use std::sync::mpsc::{Receiver, Sender, channel};
    use std::sync::{Arc, Mutex};
    use std::task::{Context, Poll, Wake, Waker};

    use crate::event::NewEvent;
    use crate::store::Store;

    /// Drops its handle when it is woken, after all others are gone.
    struct Last {
        store: Mutex<Option<Store>>,
        alone: Mutex<Receiver<()>>,
        done: Mutex<Sender<()>>,
    }

    impl Wake for Last {
        fn wake(self: Arc<Self>) {
            let store = self.store.lock().unwrap().take();
            if store.is_some() {
                self.alone.lock().unwrap().recv().unwrap();
                drop(store);
                self.done.lock().unwrap().send(()).unwrap();
            }
        }
    }

    #[test]
    fn the_last_handle_may_go_in_a_waker_on_the_writers_thread() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("last.redb");
        let store = Store::open(&path).unwrap();
        let (tell_alone, alone) = channel();
        let (tell_done, done) = channel();
        let last = Last {
            store: Mutex::new(Some(store.clone())),
            alone: Mutex::new(alone),
            done: Mutex::new(tell_done),
        };
        let waker = Waker::from(Arc::new(last));
        {
            let append = async move { store.append_async("s", NewEvent::new("a.b")).await };
            let mut append = pin!(append);
            let polled = append.as_mut().poll(&mut Context::from_waker(&waker));
            assert!(matches!(polled, Poll::Pending | Poll::Ready(Ok(_))));
        }
        tell_alone.send(()).unwrap();
        done.recv().unwrap();
        // It closes on a thread of its own; until then the file is in use.
        let store = loop {
            match Store::open(&path) {
                Ok(store) => break store,
                Err(crate::error::Error::Locked { .. }) => std::thread::yield_now(),
                Err(e) => panic!("{e}"),
            }
        };
        assert_eq!(store.head("s").unwrap().get(), 1);
    }
}
