//! What belongs to a task or to a thread. The explorer's tasks share a thread, so each has its own while exploring.

use std::cell::{Cell, RefCell};
use std::future::Future;
use std::pin::pin;

use shuttle::thread::LocalKey;
use std::future::poll_fn;

use super::switch::is_exploring;

/// A value for as long as a future runs.
pub(crate) struct TaskLocal<T: 'static> {
    pub(crate) tokio: &'static tokio::task::LocalKey<T>,
    pub(crate) explored: &'static LocalKey<RefCell<Option<T>>>,
}

/// The value is not there.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Missing;

/// Has the value of before again when it is dropped.
struct Within<T: 'static>(&'static LocalKey<RefCell<Option<T>>>, Option<T>);

impl<T: 'static> Within<T> {
    fn enter(key: &'static LocalKey<RefCell<Option<T>>>, value: T) -> Self {
        Self(key, key.with(|slot| slot.replace(Some(value))))
    }
}

impl<T: 'static> Drop for Within<T> {
    fn drop(&mut self) {
        let before = self.1.take();
        let _ = self.0.try_with(|slot| slot.replace(before));
    }
}

impl<T: Clone + 'static> TaskLocal<T> {
    pub(crate) fn try_with<R>(&'static self, look: impl FnOnce(&T) -> R) -> Result<R, Missing> {
        if is_exploring() {
            let value = self.explored.try_with(|slot| slot.borrow().clone()).ok().flatten();
            return value.map(|value| look(&value)).ok_or(Missing);
        }
        self.tokio.try_with(look).map_err(|_| Missing)
    }

    pub(crate) async fn scope<F: Future>(&'static self, value: T, work: F) -> F::Output {
        if is_exploring() {
            let mut work = pin!(work);
            return poll_fn(|context| {
                let _within = Within::enter(self.explored, value.clone());
                work.as_mut().poll(context)
            })
            .await;
        }
        self.tokio.scope(value, work).await
    }

    pub(crate) fn sync_scope<R>(&'static self, value: T, work: impl FnOnce() -> R) -> R {
        if is_exploring() {
            let _within = Within::enter(self.explored, value);
            return work();
        }
        self.tokio.sync_scope(value, work)
    }
}

macro_rules! task_local {
    (static $name:ident: $value:ty;) => {
        static $name: $crate::sync::TaskLocal<$value> = {
            tokio::task_local! {
                static TOKIO: $value;
            }
            shuttle::thread_local! {
                static EXPLORED: std::cell::RefCell<Option<$value>> = std::cell::RefCell::new(None);
            }
            $crate::sync::TaskLocal { tokio: &TOKIO, explored: &EXPLORED }
        };
    };
}
pub(crate) use task_local;

/// A flag of this thread.
pub(crate) struct ThreadFlag {
    pub(crate) std: &'static std::thread::LocalKey<Cell<bool>>,
    pub(crate) explored: &'static LocalKey<Cell<bool>>,
}

impl ThreadFlag {
    pub(crate) fn replace(&'static self, value: bool) -> bool {
        if is_exploring() { self.explored.with(|flag| flag.replace(value)) } else { self.std.replace(value) }
    }

    pub(crate) fn set(&'static self, value: bool) {
        self.replace(value);
    }

    pub(crate) fn try_with<R>(&'static self, look: impl FnOnce(&Cell<bool>) -> R) -> Result<R, Missing> {
        if is_exploring() {
            self.explored.try_with(look).map_err(|_| Missing)
        } else {
            self.std.try_with(look).map_err(|_| Missing)
        }
    }
}

macro_rules! thread_flag {
    ($name:ident) => {
        static $name: $crate::sync::ThreadFlag = {
            std::thread_local! {
                static STD: std::cell::Cell<bool> = const { std::cell::Cell::new(false) };
            }
            shuttle::thread_local! {
                static EXPLORED: std::cell::Cell<bool> = std::cell::Cell::new(false);
            }
            $crate::sync::ThreadFlag { std: &STD, explored: &EXPLORED }
        };
    };
}
pub(crate) use thread_flag;
