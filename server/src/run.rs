//! A server from its start to its end: it listens, answers, and drains when it is asked to end.

use std::fmt;
use std::future::Future;
use std::io;
use std::net::SocketAddr;

use axum::Router;
use axum::extract::DefaultBodyLimit;
use axum::middleware::{from_fn, from_fn_with_state};
use retold::Store;
use tokio::net::TcpListener;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use crate::access::identify;
use crate::app::App;
use crate::bodies::bodies;
use crate::bounds::bounds;
use crate::config::{Config, Unfit};
use crate::connection::Ends;
use crate::guard::{Guard, guard};
use crate::limits::LAST_WORDS;
use crate::listen::{Accepting, bind};
use crate::observe::observe;
use crate::router::router;
use crate::spans;
use crate::tls::Tls;

/// A server that listens. It serves while [`Server::run`] runs. The store stays open: who opened it closes it.
pub struct Server {
    app: App,
    guard: Guard,
    tls: Option<Tls>,
    listeners: Vec<TcpListener>,
    addresses: Vec<SocketAddr>,
}

impl Server {
    /// Listens as `config` says.
    ///
    /// # Errors
    ///
    /// [`ServeError::Unfit`] if it may not be started like this, [`ServeError::Tls`] if its certificate can't be used, and
    /// [`ServeError::Listen`] if an address can't be had.
    pub async fn bind(store: Store, config: Config) -> Result<Self, ServeError> {
        config.check()?;
        let tls = config.tls.clone().map(Tls::new).transpose().map_err(ServeError::Tls)?;
        let guard = Guard::new(&config);
        let mut listeners = Vec::new();
        let mut addresses = Vec::new();
        for &address in &config.listen {
            let failed = |source| ServeError::Listen { address, source };
            let listener = bind(address, &config.listen).map_err(failed)?;
            addresses.push(listener.local_addr().map_err(failed)?);
            listeners.push(listener);
        }
        let app = App::new(store, config.tokens, config.limits);
        if tls.is_some() {
            app.set_https();
        }
        Ok(Self { app, guard, tls, listeners, addresses })
    }

    /// Where it listens, with the ports that the system chose.
    pub fn local_addrs(&self) -> &[SocketAddr] {
        &self.addresses
    }

    /// The certificate that it shows, if it speaks HTTPS.
    pub fn tls(&self) -> Option<&Tls> {
        self.tls.as_ref()
    }

    /// What its requests need: for tokens that change.
    pub fn app(&self) -> &App {
        &self.app
    }

    /// Serves until `shutdown`: then it takes no further request, ends streams, and waits for requests at work. Dropped before
    /// that, it ends everything at once.
    pub async fn run(self, shutdown: impl Future<Output = ()> + Send) {
        let Self { app, guard, tls, listeners, .. } = self;
        let ends = Ends { closing: app.closing().clone(), abort: CancellationToken::new() };
        let routes = layered(app.clone(), guard);
        serve_all(Accepting::new(app, routes, tls, ends), listeners, shutdown).await;
    }
}

/// Accepts until `shutdown`, and then waits for what is at work, as long as that may take.
async fn serve_all(
    accepting: Accepting,
    listeners: Vec<TcpListener>,
    shutdown: impl Future<Output = ()> + Send,
) {
    let _guards = (accepting.ends.closing.clone().drop_guard(), accepting.ends.abort.clone().drop_guard());
    let mut listening = JoinSet::new();
    for listener in listeners {
        listening.spawn(accepting.clone().run(listener));
    }
    shutdown.await;
    accepting.ends.closing.cancel();
    while listening.join_next().await.is_some() {}
    let open = &accepting.open;
    open.close();
    if tokio::time::timeout(accepting.app.limits().drain_time, open.wait()).await.is_err() {
        tracing::warn!(connections = open.len(), "what does not end in time is cut off");
        accepting.ends.abort.cancel();
        let _ = tokio::time::timeout(LAST_WORDS, open.wait()).await;
    }
}

impl fmt::Debug for Server {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Server").field("addresses", &self.addresses).finish_non_exhaustive()
    }
}

/// The routes, with what is done for all of them. The last one here comes first.
fn layered(app: App, of: Guard) -> Router {
    router(app.clone())
        // Bodies have a bound of their own, which holds for all handlers.
        .layer(DefaultBodyLimit::disable())
        .layer(from_fn_with_state(app.clone(), bounds))
        .layer(from_fn_with_state(app.clone(), bodies))
        .layer(from_fn_with_state(app.clone(), identify))
        .layer(from_fn_with_state(of, guard))
        .layer(from_fn_with_state(app, observe))
        .layer(from_fn(spans::request))
}

/// Why a server does not start.
#[derive(Debug)]
#[non_exhaustive]
pub enum ServeError {
    /// It may not be started like this.
    Unfit(Unfit),
    /// Its certificate or its key can't be used.
    Tls(io::Error),
    /// An address can't be had.
    Listen {
        /// The address.
        address: SocketAddr,
        /// Why.
        source: io::Error,
    },
}

impl fmt::Display for ServeError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Unfit(unfit) => unfit.fmt(f),
            Self::Tls(source) => source.fmt(f),
            Self::Listen { address, source } => write!(f, "cannot listen at {address}: {source}"),
        }
    }
}

impl std::error::Error for ServeError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            Self::Unfit(_) => None,
            Self::Tls(source) | Self::Listen { source, .. } => Some(source),
        }
    }
}

impl From<Unfit> for ServeError {
    fn from(unfit: Unfit) -> Self {
        Self::Unfit(unfit)
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::time::Duration;

    use axum::routing::get;
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    use tokio::net::TcpStream;
    use tokio::sync::Notify;

    use super::*;
    use crate::limits::Limits;
    use crate::tokens::Tokens;

    /// A server whose `/slow` says that it began, and answers once it may.
    struct Slow {
        address: SocketAddr,
        began: Arc<Notify>,
        may: Arc<Notify>,
        end: CancellationToken,
        running: tokio::task::JoinHandle<()>,
    }

    /// What has to come, in time.
    async fn soon<T>(what: impl Future<Output = T>) -> T {
        tokio::time::timeout(Duration::from_secs(20), what).await.expect("it has to come")
    }

    async fn slow(drain_time: Duration) -> Slow {
        let (began, may, end) = (Arc::new(Notify::new()), Arc::new(Notify::new()), CancellationToken::new());
        let (begins, allowed) = (began.clone(), may.clone());
        let routes = Router::new().route(
            "/slow",
            get(move || async move {
                begins.notify_one();
                allowed.notified().await;
                "done"
            }),
        );
        let limits = Limits { drain_time, ..Limits::default() };
        let app = App::new(Store::in_memory().unwrap(), Tokens::open(), limits);
        let listener = bind(SocketAddr::from(([127, 0, 0, 1], 0)), &[]).unwrap();
        let address = listener.local_addr().unwrap();
        let ends = Ends { closing: app.closing().clone(), abort: CancellationToken::new() };
        let accepting = Accepting::new(app, routes, None, ends);
        let running = tokio::spawn(serve_all(accepting, vec![listener], end.clone().cancelled_owned()));
        Slow { address, began, may, end, running }
    }

    async fn asked(slow: &Slow) -> TcpStream {
        let mut stream = TcpStream::connect(slow.address).await.unwrap();
        stream.write_all(b"GET /slow HTTP/1.1\r\nHost: localhost\r\n\r\n").await.unwrap();
        soon(slow.began.notified()).await;
        stream
    }

    async fn rest(mut stream: TcpStream) -> String {
        let mut text = String::new();
        let _ = soon(stream.read_to_string(&mut text)).await;
        text
    }

    #[tokio::test]
    async fn requests_at_work_are_answered_before_a_server_ends() {
        let slow = slow(Duration::from_secs(60)).await;
        let stream = asked(&slow).await;
        slow.end.cancel();
        // It no longer listens as soon as it was asked to end, and goes on with what it has.
        soon(async { while TcpStream::connect(slow.address).await.is_ok() {} }).await;
        assert!(!slow.running.is_finished());
        slow.may.notify_one();
        let said = rest(stream).await;
        assert!(said.starts_with("HTTP/1.1 200 OK\r\n") && said.ends_with("done"), "{said}");
        assert!(said.contains("connection: close"), "{said}");
        soon(slow.running).await.unwrap();
    }

    #[tokio::test]
    async fn requests_that_do_not_end_are_cut_off() {
        let slow = slow(Duration::from_millis(50)).await;
        let stream = asked(&slow).await;
        slow.end.cancel();
        soon(slow.running).await.unwrap();
        assert_eq!(rest(stream).await, "");
    }
}
