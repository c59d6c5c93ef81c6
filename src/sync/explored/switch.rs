//! Whether this thread explores, and how a task of the explorer blocks. The explorer runs its tasks one at a time, all on
//! the thread that explores, so what a thread knows of itself is enough, and a lock of std is never waited for.

use std::cell::Cell;
use std::sync::{Mutex, MutexGuard, PoisonError};

use shuttle_engine::runtime::execution::ExecutionState;
use shuttle_engine::runtime::task::TaskId;
use shuttle_engine::runtime::thread;

std::thread_local! {
    static EXPLORING: Cell<bool> = const { Cell::new(false) };
}

pub(crate) fn is_exploring() -> bool {
    EXPLORING.get()
}

/// Runs `work` with this thread exploring.
pub(crate) fn exploring<T>(work: impl FnOnce() -> T) -> T {
    struct Before(bool);
    impl Drop for Before {
        fn drop(&mut self) {
            EXPLORING.set(self.0);
        }
    }
    let _before = Before(EXPLORING.replace(true));
    work()
}

/// Another task may run here.
pub(crate) fn point() {
    if is_exploring() {
        thread::switch();
    }
}

pub(super) fn me() -> TaskId {
    ExecutionState::me()
}

/// Until somebody calls [`unblock`]. A task that is woken meanwhile stays blocked, and remembers it.
pub(super) fn block() {
    ExecutionState::with(|state| state.current_mut().block(false));
    thread::switch();
}

pub(super) fn unblock(task: TaskId) {
    ExecutionState::with(|state| {
        if let Some(task) = state.try_get_mut(task)
            && task.blocked()
        {
            task.unblock();
        }
    });
}

/// Tasks that wait for the same thing.
#[derive(Debug, Default)]
pub(super) struct Waiting(Mutex<Vec<TaskId>>);

impl Waiting {
    pub(super) const fn new() -> Self {
        Self(Mutex::new(Vec::new()))
    }

    fn all(&self) -> MutexGuard<'_, Vec<TaskId>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Tries until there is something. What it tries must not switch.
    pub(super) fn until<T>(&self, mut attempt: impl FnMut() -> Option<T>) -> T {
        loop {
            if let Some(done) = attempt() {
                return done;
            }
            self.all().push(me());
            block();
            // Somebody else may have woken it.
            self.all().retain(|task| *task != me());
        }
    }

    /// Has everyone try again.
    pub(super) fn again(&self) {
        let all = std::mem::take(&mut *self.all());
        all.into_iter().for_each(unblock);
    }
}

/// Has everyone try again when it is dropped.
#[derive(Debug)]
pub(super) struct Again<'a>(pub(super) &'a Waiting);

impl Drop for Again<'_> {
    fn drop(&mut self) {
        if is_exploring() {
            self.0.again();
        }
    }
}
