//! Work on the file that says how far it is.

use std::sync::atomic::{AtomicU64, Ordering};
use std::thread;
use std::time::Duration;

use super::progress::Progress;

/// Between two looks at how far it is.
const LOOK: Duration = Duration::from_millis(100);

/// The work has a thread of its own: one that waits for a terminal would keep others out of the file meanwhile.
pub(super) fn watched<T: Send>(
    mut progress: Progress,
    work: impl FnOnce(&mut dyn FnMut(u64, u64)) -> T + Send,
) -> T {
    let (done, total) = (AtomicU64::new(0), AtomicU64::new(0));
    let drawing = thread::current();
    thread::scope(|scope| {
        let work = scope.spawn(|| {
            let outcome = work(&mut |now, of| {
                total.store(of, Ordering::Relaxed);
                done.store(now, Ordering::Relaxed);
            });
            drawing.unpark();
            outcome
        });
        while !work.is_finished() {
            progress.total(total.load(Ordering::Relaxed));
            progress.set(done.load(Ordering::Relaxed));
            thread::park_timeout(LOOK);
        }
        work.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic))
    })
}
