//! Ctrl-C for verbs that have something to finish first.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use retold::wire::Exit;

/// Whether Ctrl-C was pressed.
#[derive(Clone, Debug)]
pub(super) struct Interrupt(Arc<AtomicBool>);

impl Interrupt {
    /// From now on Ctrl-C only sets this flag. A second one ends the program immediately.
    pub(super) fn listen() -> Self {
        let asked = Arc::new(AtomicBool::new(false));
        let flag = asked.clone();
        at_each(move || {
            if flag.swap(true, Ordering::Relaxed) {
                std::process::exit(i32::from(Exit::Interrupted.code()));
            }
        });
        Self(asked)
    }

    pub(super) fn is_asked(&self) -> bool {
        self.0.load(Ordering::Relaxed)
    }
}

/// From now on Ctrl-C does nothing here: it is for a program that this one has started and waits for.
pub(super) fn ignore() {
    at_each(|| {});
}

/// From now on this is what Ctrl-C does.
fn at_each(mut told: impl FnMut() + Send + 'static) {
    let (ready, listening) = std::sync::mpsc::channel();
    std::thread::spawn(move || {
        let Ok(runtime) = tokio::runtime::Builder::new_current_thread().enable_all().build() else { return };
        runtime.block_on(async {
            loop {
                let next = tokio::signal::ctrl_c();
                tokio::pin!(next);
                // Listening starts with the first poll.
                let waits = poll_once(&mut next).await;
                let _ = ready.send(());
                if waits && next.await.is_err() {
                    return;
                }
                told();
            }
        });
    });
    // The thread may also end without a signal.
    let _ = listening.recv();
}

/// Polls a future once. Returns whether it is still pending.
async fn poll_once<F: Future>(future: &mut std::pin::Pin<&mut F>) -> bool {
    std::future::poll_fn(|cx| std::task::Poll::Ready(future.as_mut().poll(cx).is_pending())).await
}
