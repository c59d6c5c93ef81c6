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
        let (told, flag) = (std::sync::mpsc::channel(), asked.clone());
        let (ready, listening) = told;
        std::thread::spawn(move || {
            let Ok(runtime) = tokio::runtime::Builder::new_current_thread().enable_all().build() else {
                return;
            };
            runtime.block_on(async {
                // Listening starts with the first poll.
                let first = tokio::signal::ctrl_c();
                tokio::pin!(first);
                let waits = poll_once(&mut first).await;
                let _ = ready.send(());
                if waits && first.await.is_err() {
                    return;
                }
                flag.store(true, Ordering::Relaxed);
                if tokio::signal::ctrl_c().await.is_ok() {
                    std::process::exit(i32::from(Exit::Interrupted.code()));
                }
            });
        });
        // The thread may also end without a signal.
        let _ = listening.recv();
        Self(asked)
    }

    pub(super) fn is_asked(&self) -> bool {
        self.0.load(Ordering::Relaxed)
    }
}

/// Polls a future once. Returns whether it is still pending.
async fn poll_once<F: Future>(future: &mut std::pin::Pin<&mut F>) -> bool {
    std::future::poll_fn(|cx| std::task::Poll::Ready(future.as_mut().poll(cx).is_pending())).await
}

/// From now on Ctrl-C does nothing here: it is for a program that this one has started and waits for.
pub(super) fn ignore() {
    let (ready, listening) = std::sync::mpsc::channel();
    std::thread::spawn(move || {
        let Ok(runtime) = tokio::runtime::Builder::new_current_thread().enable_all().build() else { return };
        runtime.block_on(async {
            loop {
                let next = tokio::signal::ctrl_c();
                tokio::pin!(next);
                let waits = poll_once(&mut next).await;
                let _ = ready.send(());
                if waits && next.await.is_err() {
                    return;
                }
            }
        });
    });
    let _ = listening.recv();
}
