//! One stream at a time. `async-stream` hands items over through a variable of the thread, which all tasks of the explorer
//! share: another stream that is polled in between would get them.

use std::cell::Cell;

use shuttle_engine::runtime::task::TaskId;

use super::switch::{Waiting, is_exploring, me};

std::thread_local! {
    static HOLDER: Cell<Option<TaskId>> = const { Cell::new(None) };
    static WAITING: Waiting = const { Waiting::new() };
}

/// While it lives, no other task polls a stream.
pub(crate) struct StreamTurn {
    is_held: bool,
}

pub(crate) fn stream_turn() -> StreamTurn {
    // A stream within a stream has the turn.
    if !is_exploring() || HOLDER.get() == Some(me()) {
        return StreamTurn { is_held: false };
    }
    WAITING.with(|waiting| {
        waiting.until(|| {
            let is_free = HOLDER.get().is_none();
            is_free.then(|| HOLDER.set(Some(me())))
        });
    });
    StreamTurn { is_held: true }
}

pub(super) fn everybodys_turn() {
    HOLDER.set(None);
}

impl Drop for StreamTurn {
    fn drop(&mut self) {
        if self.is_held {
            HOLDER.set(None);
            WAITING.with(Waiting::again);
        }
    }
}
