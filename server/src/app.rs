//! What every request needs.

use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, OnceLock, PoisonError, RwLock};

use axum::http::StatusCode;
use retold::Store;
use tokio::sync::Semaphore;
use tokio_util::sync::CancellationToken;

use crate::asking::Asking;
use crate::budget::Budget;
use crate::calls::Calls;
use crate::kept_key::{Key, kept};
use crate::limits::{Limits, REPLAYS};
use crate::metrics::Metrics;
use crate::probe::Probe;
use crate::problem::Problem;
use crate::rates::Rates;
use crate::reads::Reads;
use crate::streams::{StreamPermit, Streams};
use crate::tokens::{Token, Tokens};
use crate::turns::Turns;

/// A store that is served. Clones are the same one.
#[derive(Clone, Debug)]
pub struct App {
    of: Arc<Of>,
}

#[derive(Debug)]
struct Of {
    store: Store,
    tokens: RwLock<Arc<Tokens>>,
    limits: Limits,
    streams: Streams,
    rates: Rates,
    reads: Reads,
    metrics: Metrics,
    calls: Calls,
    budget: Budget,
    replays: Arc<Semaphore>,
    closing: CancellationToken,
    backups: OnceLock<PathBuf>,
    cursor_key: OnceLock<Key>,
    probe: Probe,
    turns: Turns,
    swept: Mutex<Option<Vec<u8>>>,
    is_https: OnceLock<()>,
}

impl App {
    /// Serves `store` to whoever has one of `tokens`, within `limits`.
    pub fn new(store: Store, tokens: Tokens, limits: Limits) -> Self {
        let closing = CancellationToken::new();
        let streams = Streams::new(limits.streams, closing.clone());
        let rates = Rates::new(limits.requests_per_second);
        let budget = Budget::new(limits.bodies_bytes, limits.body_bytes);
        let replays = Arc::new(Semaphore::new(REPLAYS));
        let tokens = RwLock::new(Arc::new(tokens));
        let metrics = Metrics::default();
        Self {
            of: Arc::new(Of {
                store,
                tokens,
                limits,
                streams,
                rates,
                reads: Reads::default(),
                metrics,
                calls: Calls::new(),
                budget,
                replays,
                closing,
                backups: OnceLock::new(),
                cursor_key: OnceLock::new(),
                probe: Probe::default(),
                turns: Turns::default(),
                swept: Mutex::default(),
                is_https: OnceLock::new(),
            }),
        }
    }

    /// The store. Its verbs without `_async` block: see [`App::call`].
    pub fn store(&self) -> &Store {
        &self.of.store
    }

    /// Who may do what.
    pub fn tokens(&self) -> Arc<Tokens> {
        self.of.tokens.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Other tokens from now on. Streams of a token that is gone, or may do something else now, end.
    pub fn set_tokens(&self, tokens: Tokens) {
        let tokens = Arc::new(tokens);
        let before = {
            let mut now = self.of.tokens.write().unwrap_or_else(PoisonError::into_inner);
            std::mem::replace(&mut *now, tokens.clone())
        };
        self.of.streams.end(before.changed(&tokens));
        let names = tokens.names();
        self.of.rates.keep(|name| names.contains(name));
        self.of.calls.keep(|name| names.contains(name));
        self.of.reads.keep(|name| names.contains(name));
    }

    /// What the server takes on at most.
    pub fn limits(&self) -> &Limits {
        &self.of.limits
    }

    /// Lets those who may all make backups into this folder. Without it they are refused; the first call counts.
    pub fn allow_backups(&self, folder: PathBuf) {
        let _ = self.of.backups.set(folder);
    }

    /// Where backups are made.
    pub(crate) fn backups(&self) -> Option<&Path> {
        self.of.backups.get().map(PathBuf::as_path)
    }

    /// Is cancelled once the server ends. A stream asks its permit, which ends with its token too.
    pub fn closing(&self) -> &CancellationToken {
        &self.of.closing
    }

    /// Open connections.
    pub fn connections(&self) -> u64 {
        self.of.metrics.connections().open
    }

    /// How often each token asks.
    pub(crate) fn rates(&self) -> &Rates {
        &self.of.rates
    }

    /// The bodies of requests at work.
    pub(crate) fn budget(&self) -> &Budget {
        &self.of.budget
    }

    /// What is counted.
    pub(crate) fn metrics(&self) -> &Metrics {
        &self.of.metrics
    }

    /// Whether the store can be used, as far as is known.
    pub(crate) fn probe(&self) -> &Probe {
        &self.of.probe
    }

    /// Who writes to a stream at the moment.
    pub(crate) fn turns(&self) -> &Turns {
        &self.of.turns
    }

    /// The last record of a stream that was looked at to be removed.
    pub(crate) fn swept(&self) -> Option<Vec<u8>> {
        self.of.swept.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// It is this one now.
    pub(crate) fn set_swept(&self, last: Option<Vec<u8>>) {
        *self.of.swept.lock().unwrap_or_else(PoisonError::into_inner) = last;
    }

    /// Its connections are encrypted.
    pub(crate) fn set_https(&self) {
        let _ = self.of.is_https.set(());
    }

    /// Whether its connections are encrypted.
    pub(crate) fn is_https(&self) -> bool {
        self.of.is_https.get().is_some()
    }

    /// The streams there are.
    pub(crate) fn streams(&self) -> &Streams {
        &self.of.streams
    }

    /// What cursors are sealed with. The first time it is read from a small file.
    pub(crate) fn cursor_key(&self) -> &Key {
        self.of.cursor_key.get_or_init(|| kept(self.of.store.path()))
    }

    /// Allows to read what was recorded, for streams that have not caught up.
    pub(crate) fn replays(&self) -> Arc<Semaphore> {
        self.of.replays.clone()
    }

    /// Allows a stream, which keeps the permit as long as it lasts.
    pub(crate) fn stream(&self, token: &Arc<Token>) -> Result<StreamPermit, Problem> {
        let permit = self.of.streams.permit(token)?;
        // Changed since the request came: the streams of the old token have been ended without this one.
        if !self.tokens().is_current(token) {
            let detail = "the tokens of the server have changed; try again";
            return Err(Problem::new(StatusCode::SERVICE_UNAVAILABLE, "unavailable", detail).retry_after(1));
        }
        Ok(permit)
    }

    /// Calls a verb that blocks. If the request is dropped, the verb runs to its end and nobody hears of it.
    ///
    /// # Errors
    ///
    /// What the call answers; a panic in it is a problem too.
    pub async fn call<T, E>(
        &self,
        run: impl FnOnce(&Store) -> Result<T, E> + Send + 'static,
    ) -> Result<T, Problem>
    where
        T: Send + 'static,
        Problem: From<E>,
        E: Send + 'static,
    {
        self.called(run, ()).await
    }

    /// Calls a verb that may read much. A token has so many of them at once, also when nobody waits for them any more.
    ///
    /// # Errors
    /// As [`call`](Self::call).
    pub(crate) async fn read<T, E>(
        &self,
        token: Arc<Token>,
        run: impl FnOnce(&Store) -> Result<T, E> + Send + 'static,
    ) -> Result<T, Problem>
    where
        T: Send + 'static,
        Problem: From<E>,
        E: Send + 'static,
    {
        let permit = self.of.reads.permit(&token).await;
        self.called(run, permit).await
    }

    /// What is kept is kept until the call ends.
    async fn called<T, E>(
        &self,
        run: impl FnOnce(&Store) -> Result<T, E> + Send + 'static,
        kept: impl Send + 'static,
    ) -> Result<T, Problem>
    where
        T: Send + 'static,
        Problem: From<E>,
        E: Send + 'static,
    {
        let of = self.of.clone();
        // Goes along: also when nobody waits for the call any more, it has what was sent for it.
        let asking = Asking::now();
        let token = asking.as_ref().map(|asking| &*asking.token);
        let permit = of.calls.permit(token).await.ok_or_else(failed)?;
        let done = tokio::task::spawn_blocking(move || {
            let _held = (permit, asking, kept);
            run(&of.store)
        });
        done.await.map_err(|_| failed())?.map_err(Problem::from)
    }
}

fn failed() -> Problem {
    Problem::new(
        StatusCode::INTERNAL_SERVER_ERROR,
        "internal",
        "the request ended in an error of the server; its log has more",
    )
}
