//! Serving the store over HTTP.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::time::Duration;

use bytesize::ByteSize;
use clap::value_parser;
use retold::error::Error;
use retold::event::parse_span;
use retold::store::{Rank, Store};
use retold::wire::Exit;
use retold_server::{Config, Limits, ServeError, Server, Tls, TlsFiles, Tokens};
use serde_json::json;
use tokio::sync::oneshot;

use super::app::App;
use super::failure::{Failure, Outcome};
use super::remote::file_only;
use super::signals::Signals;
use super::style::{NOTICE, paint};

/// How long closing the store may take after a second signal.
const LAST_MOMENT: Duration = Duration::from_secs(1);

#[derive(Debug, clap::Args)]
#[command(
    after_help = "Beyond this machine it serves only those with a token of --tokens, unless --insecure is given. \
    The file is TOML, and not readable by others:\n\n  [[token]]\n  name = \"ci\"\n  secret_file = \"ci.secret\"   \
    # or secret = \"…\", or hash = \"sha256:…\"\n  scope = \"append\"            # read, append or admin\n  sessions = \
    \"build-*\"        # all without it\n\nSIGHUP reads it, and the certificate, again. Ctrl-C and SIGTERM end the server: streams are ended, requests \
    at work are waited for; a second Ctrl-C waits for nothing."
)]
pub(super) struct Args {
    /// Address to listen at; repeat for several
    #[arg(long, value_name = "ADDR:PORT", default_value = "127.0.0.1:7878")]
    listen: Vec<SocketAddr>,
    /// File of tokens: who may do what
    #[arg(long, value_name = "FILE")]
    tokens: Option<PathBuf>,
    /// Serve whoever reaches it, from other machines too, without tokens
    #[arg(long, conflicts_with = "tokens")]
    insecure: bool,
    /// A name that the server is called by, besides localhost and its addresses; repeat for several
    #[arg(long, value_name = "NAME")]
    host: Vec<String>,
    /// A web page's origin that may call the server from a browser; repeat for several
    #[arg(long, value_name = "ORIGIN")]
    allow_origin: Vec<String>,
    /// Certificates in PEM, the server's own first: serves HTTPS
    #[arg(long, value_name = "FILE", requires = "tls_key")]
    tls_cert: Option<PathBuf>,
    /// The private key of the certificate, in PEM
    #[arg(long, value_name = "FILE", requires = "tls_cert")]
    tls_key: Option<PathBuf>,
    /// Folder for the backups that clients with an admin token may make; without it they may make none
    #[arg(long, value_name = "DIR")]
    backups: Option<PathBuf>,
    /// Connections at once [default: 1024]
    #[arg(long, hide_short_help = true, value_name = "N", value_parser = value_parser!(u32).range(1..))]
    max_connections: Option<u32>,
    /// Streams of each token at once [default: 512]
    #[arg(long, hide_short_help = true, value_name = "N", value_parser = value_parser!(u32).range(1..))]
    max_streams: Option<u32>,
    /// Requests per second of each token that has no number of its own [default: no limit]
    #[arg(long, hide_short_help = true, value_name = "N", value_parser = value_parser!(u32).range(1..))]
    max_rate: Option<u32>,
    /// Size of a request's body [default: 16 MiB]
    #[arg(long, hide_short_help = true, value_name = "SIZE")]
    max_body: Option<ByteSize>,
    /// Size of the bodies of all requests at work; one token has half of it [default: 256 MiB]
    #[arg(long, hide_short_help = true, value_name = "SIZE")]
    max_bodies: Option<ByteSize>,
    /// How long a long poll of a stream waits for something new, at most 25s [default: 20s]
    #[arg(long, hide_short_help = true, value_name = "SPAN", value_parser = long_poll)]
    max_long_poll: Option<Duration>,
    /// Log requests, and whatever else is said on stderr, as JSON: one document per line
    #[arg(long)]
    log_json: bool,
    /// Send traces, metrics and logs to an OpenTelemetry collector, by OTLP over HTTP; needs a program built with the feature
    /// otel, which also does as the OTEL_EXPORTER_OTLP_* variables say
    #[arg(long, hide_short_help = true, value_name = "URL")]
    otlp: Option<String>,
}

impl Args {
    /// Whether the log is JSON.
    pub(super) fn logs_json(&self) -> bool {
        self.log_json
    }

    /// The collector that telemetry is sent to.
    pub(super) fn collector(&self) -> Option<&str> {
        self.otlp.as_deref()
    }

    fn config(self, tokens: Tokens) -> Config {
        let mut config = Config::new(tokens);
        config.listen = self.listen;
        config.insecure = self.insecure;
        config.hosts = self.host;
        config.origins = self.allow_origin;
        config.tls =
            self.tls_cert.zip(self.tls_key).map(|(certificates, key)| TlsFiles { certificates, key });
        let number = |given: Option<u32>, otherwise: usize| {
            given.map_or(otherwise, |n| usize::try_from(n).unwrap_or(usize::MAX))
        };
        let mut limits = Limits::default();
        limits.connections = number(self.max_connections, limits.connections);
        limits.streams = number(self.max_streams, limits.streams);
        limits.requests_per_second = self.max_rate;
        let bytes = |size: ByteSize| usize::try_from(size.as_u64()).unwrap_or(usize::MAX);
        limits.body_bytes = self.max_body.map_or(limits.body_bytes, bytes);
        limits.bodies_bytes = self.max_bodies.map_or(limits.bodies_bytes, bytes);
        limits.long_poll_time = self.max_long_poll.unwrap_or(limits.long_poll_time);
        config.limits = limits;
        config
    }
}

/// Shorter than a request may take, so that it is answered.
fn long_poll(text: &str) -> Result<Duration, String> {
    let span = parse_span(text).map_err(|e| e.to_string())?;
    let most = Duration::from_secs(25);
    if span.is_zero() || span > most {
        Err("is to be more than nothing and at most 25s".into())
    } else {
        Ok(span)
    }
}

pub(super) fn run(args: Args, app: &mut App) -> Outcome {
    file_only(&app.store, "serve")?;
    let (path, backups) = (args.tokens.clone(), args.backups.clone());
    let tokens = path.as_deref().map_or_else(|| Ok(Tokens::open()), tokens)?;
    let config = args.config(tokens);
    // Before the store is made: what is wrong leaves nothing behind.
    config.check().map_err(|unfit| Failure::Usage(unfit.to_string()))?;
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()
        .map_err(|e| Failure::Io { what: "the runtime".into(), source: e })?;
    let store = app.builder()?.rank(Rank::Serve).open(&app.store)?;
    let listened = {
        let _in_runtime = runtime.enter();
        Signals::listen(path.is_some() || config.tls.is_some())
    };
    let (served, closed) = match listened {
        Err(source) => (Err(Failure::Io { what: "signals".into(), source }), store.close().map(Some)),
        Ok(mut signals) => {
            let served =
                runtime.block_on(serve(&store, config, (path.as_deref(), backups), app, &mut signals));
            app.telemetry.close();
            // Calls that nobody waits for any more end with the store.
            let at_once = matches!(served, Ok(Ended::AtOnce));
            let closed = runtime.block_on(close(&store, &mut signals, at_once));
            (served, closed)
        }
    };
    runtime.shutdown_background();
    served?;
    if closed?.is_none() {
        // To let go of it would wait for it.
        std::mem::forget(store);
        app.out.say("the store was still being closed; what was acknowledged is durable");
        return Err(Failure::Reported(Exit::Failed));
    }
    Ok(())
}

/// How a server ended.
enum Ended {
    /// What was at work was waited for.
    Drained,
    /// A second signal came first.
    AtOnce,
}

/// Closes the store. `None` if that takes longer than somebody wants to wait.
async fn close(store: &Store, signals: &mut Signals, at_once: bool) -> Result<Option<()>, Error> {
    tokio::select! {
        closed = store.close_async() => closed.map(Some),
        () = signals.ends() => Ok(None),
        () = tokio::time::sleep(LAST_MOMENT), if at_once => Ok(None),
    }
}

fn tokens(path: &Path) -> Result<Tokens, Failure> {
    Tokens::from_file(path).map_err(|bad| Failure::Usage(bad.to_string()))
}

async fn serve(
    store: &Store,
    config: Config,
    (path, backups): (Option<&Path>, Option<PathBuf>),
    app: &mut App,
    signals: &mut Signals,
) -> Result<Ended, Failure> {
    let server = Server::bind(store.clone(), config).await.map_err(failed)?;
    if let Some(folder) = backups {
        server.app().allow_backups(folder);
    }
    app.telemetry.measure(server.app());
    told(&server, app)?;
    let (served, tls) = (server.app().clone(), server.tls().cloned());
    let (end, ended) = oneshot::channel::<()>();
    let mut running = tokio::spawn(server.run(async {
        // Dropped is ended as well.
        let _ = ended.await;
    }));
    loop {
        tokio::select! {
            done = &mut running => return ended_with(done),
            reload = signals.is_reload() => {
                if !reload {
                    break;
                }
                read_again(path, &served, tls.as_ref(), app);
            }
        }
    }
    drop(end);
    tokio::select! {
        done = &mut running => ended_with(done),
        () = signals.ends() => {
            running.abort();
            Ok(Ended::AtOnce)
        }
    }
}

/// What can't be read leaves what is known.
fn read_again(path: Option<&Path>, served: &retold_server::App, tls: Option<&Tls>, app: &mut App) {
    match path.map(tokens) {
        None => {}
        Some(Ok(tokens)) => {
            let count = tokens.len();
            served.set_tokens(tokens);
            app.out.note(format!("{count} token{} from now on", if count == 1 { "" } else { "s" }));
        }
        Some(Err(failure)) => app.out.failure(&failure),
    }
    match tls.map(Tls::reload) {
        None => {}
        Some(Ok(())) => app.out.note("the certificate was read again"),
        Some(Err(source)) => app.out.failure(&Failure::Io { what: "TLS".into(), source }),
    }
}

fn ended_with(done: Result<(), tokio::task::JoinError>) -> Result<Ended, Failure> {
    done.map(|()| Ended::Drained).map_err(|e| Failure::Io { what: "the server".into(), source: e.into() })
}

fn failed(error: ServeError) -> Failure {
    match error {
        ServeError::Unfit(unfit) => Failure::Usage(unfit.to_string()),
        ServeError::Tls(source) => Failure::Io { what: "TLS".into(), source },
        ServeError::Listen { address, source } => {
            Failure::Io { what: format!("listening at {address}"), source }
        }
        other => Failure::Io { what: "the server".into(), source: std::io::Error::other(other) },
    }
}

/// One line that says where it is.
fn told(server: &Server, app: &mut App) -> Outcome {
    let scheme = if server.tls().is_some() { "https" } else { "http" };
    let urls: Vec<String> = server.local_addrs().iter().map(|at| format!("{scheme}://{at}")).collect();
    if server.app().tokens().are_open()
        && server.local_addrs().iter().any(|at| !at.ip().to_canonical().is_loopback())
    {
        app.out.say(format!(
            "{} whoever reaches {} can read and change the store",
            paint(NOTICE, "warning:"),
            urls.join(", ")
        ));
    }
    let store = app.store.display().to_string();
    if app.out.is_table() {
        app.out.line(format!("serving {store} at {}", urls.join(" and ")))?;
    } else {
        app.out.item(&json!({ "serving": store, "urls": urls }))?;
    }
    // Whoever started this waits for the line.
    app.out.flush()
}
