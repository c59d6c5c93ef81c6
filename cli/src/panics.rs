//! Panics. Those of the engine on a damaged file are caught by the library and returned as errors, so nothing is
//! printed for them; one that reaches the program is a bug, and is reported as one.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Mutex;

static LAST: Mutex<Option<String>> = Mutex::new(None);

/// Keeps the message of a panic, and prints it only on request, or where there is a log.
pub(super) fn install(verbose: bool, in_log: bool) {
    let default = std::panic::take_hook();
    std::panic::set_hook(Box::new(move |info| {
        let text = info.payload_as_str().unwrap_or("no message");
        let place = info.location().map(|l| format!(" ({}:{})", l.file(), l.line()));
        let message = format!("{text}{}", place.unwrap_or_default());
        if in_log {
            tracing::error!("a panic: {message}");
        } else if verbose {
            default(info);
        }
        if let Ok(mut last) = LAST.lock() {
            *last = Some(message);
        }
    }));
}

/// Runs the work, or returns what a bug report should contain.
pub(super) fn caught<T>(work: impl FnOnce() -> T) -> Result<T, String> {
    catch_unwind(AssertUnwindSafe(work)).map_err(|_| {
        let last = LAST.lock().ok().and_then(|mut last| last.take());
        format!(
            "retold {} has a bug: {}. Acknowledged events are safe. Please report this message with the command; -v \
             prints more",
            env!("CARGO_PKG_VERSION"),
            last.as_deref().unwrap_or("it panicked")
        )
    })
}
