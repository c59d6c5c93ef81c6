//! A server for a test, and a client that speaks HTTP/1.1 to it, a connection for each request.
#![allow(dead_code, reason = "each file of tests uses what it needs")]

use std::net::SocketAddr;

use bytes::Bytes;
use http_body_util::{BodyExt, Full};
use hyper::body::Incoming;
use hyper::client::conn::http1::SendRequest;
use hyper::{HeaderMap, Method, Request, Response};
use hyper_util::rt::TokioIo;
use retold::Store;
use retold_server::{App, Config, Limits, Scope, Server, Token, Tokens};
use serde_json::Value;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;
use tokio_util::task::AbortOnDropHandle;

/// How long a test waits for what has to come. Nothing waits for it to pass.
pub(crate) const PATIENCE: std::time::Duration = std::time::Duration::from_secs(20);

/// What has to come, in time.
pub(crate) async fn soon<T>(what: impl Future<Output = T>) -> T {
    tokio::time::timeout(PATIENCE, what).await.expect("it has to come")
}

/// A server that runs.
pub(crate) struct Served {
    pub(crate) store: Store,
    pub(crate) address: SocketAddr,
    pub(crate) app: App,
    config: Config,
    shutdown: CancellationToken,
    running: JoinHandle<()>,
}

impl Served {
    /// For everybody, on a store in memory.
    pub(crate) async fn open() -> Self {
        Self::with(Store::in_memory().unwrap(), Config::new(Tokens::open())).await
    }

    /// For those with these tokens: secret, scope, and the pattern of its sessions ("" for all).
    pub(crate) async fn start(tokens: &[(&str, Scope, &str)]) -> Self {
        Self::with(Store::in_memory().unwrap(), Config::new(tokens_of(tokens))).await
    }

    /// As `config` says, at a free port of loopback.
    pub(crate) async fn with(store: Store, mut config: Config) -> Self {
        config.listen = vec![SocketAddr::from(([127, 0, 0, 1], 0))];
        Self::run(store, config).await
    }

    /// For everybody, with limits of its own.
    pub(crate) async fn limited(change: impl FnOnce(&mut Limits)) -> Self {
        let mut config = Config::new(Tokens::open());
        change(&mut config.limits);
        Self::with(Store::in_memory().unwrap(), config).await
    }

    async fn run(store: Store, mut config: Config) -> Self {
        let server = Server::bind(store.clone(), config.clone()).await.unwrap();
        let address = server.local_addrs()[0];
        config.listen = vec![address];
        let app = server.app().clone();
        let shutdown = CancellationToken::new();
        let running = tokio::spawn(server.run(shutdown.clone().cancelled_owned()));
        Self { store, address, app, config, shutdown, running }
    }

    /// Asks the server to end, and does not wait.
    pub(crate) fn end(&self) {
        self.shutdown.cancel();
    }

    /// Ends the server, and waits until it has. The store stays open.
    pub(crate) async fn stop(self) -> Store {
        self.shutdown.cancel();
        soon(self.running).await.unwrap();
        self.store
    }

    /// Ends the server and starts another one at the same address, on the same store.
    pub(crate) async fn restart(self) -> Self {
        let config = self.config.clone();
        let store = self.stop().await;
        Self::run(store, config).await
    }

    /// `http://127.0.0.1:PORT`
    pub(crate) fn base(&self) -> String {
        format!("http://{}", self.address)
    }

    /// What comes back for these bytes, until the server ends the connection.
    pub(crate) async fn raw(&self, bytes: &[u8]) -> String {
        let mut stream = self.connect().await;
        stream.write_all(bytes).await.unwrap();
        rest(&mut stream).await
    }

    /// Waits until the server has so many connections.
    pub(crate) async fn connections(&self, count: u64) {
        let mut now = u64::MAX;
        soon(async {
            while now != count {
                now = self.app.connections();
                tokio::task::yield_now().await;
            }
        })
        .await;
    }

    pub(crate) async fn connect(&self) -> TcpStream {
        TcpStream::connect(self.address).await.unwrap()
    }

    /// A request, to be filled in.
    pub(crate) fn ask(&self, method: &str, path: &str) -> Ask {
        let request = Request::builder().method(Method::from_bytes(method.as_bytes()).unwrap()).uri(path);
        let request = request.body(Full::new(Bytes::new())).unwrap();
        Ask { address: self.address, request }
    }

    pub(crate) async fn get(&self, path: &str) -> Answer {
        self.ask("GET", path).send().await
    }

    /// With an `Accept` header.
    pub(crate) async fn get_as(&self, path: &str, content_type: &str) -> Answer {
        self.ask("GET", path).header("accept", content_type).send().await
    }

    pub(crate) async fn post(&self, path: &str, json: &Value) -> Answer {
        self.ask("POST", path).json(json).send().await
    }

    pub(crate) async fn put(&self, path: &str, json: &Value) -> Answer {
        self.ask("PUT", path).json(json).send().await
    }

    pub(crate) async fn delete(&self, path: &str) -> Answer {
        self.ask("DELETE", path).send().await
    }

    /// Server-sent events at `path`.
    pub(crate) async fn sse(&self, path: &str) -> Sse {
        self.ask("GET", path).sse().await
    }
}

/// What comes until the other side ends the connection, in whichever way.
pub(crate) async fn rest(stream: &mut (impl AsyncRead + Unpin)) -> String {
    let mut all = Vec::new();
    // A reset ends it too.
    let _ = soon(stream.read_to_end(&mut all)).await;
    String::from_utf8_lossy(&all).into_owned()
}

/// Tokens by secret, scope and pattern ("" for all sessions). A token is called like its secret.
pub(crate) fn tokens_of(tokens: &[(&str, Scope, &str)]) -> Tokens {
    let of = |(secret, scope, sessions): &(&str, Scope, &str)| {
        let token = Token::new(*secret, *scope);
        let token = match *sessions {
            "" => token,
            pattern => token.sessions(retold::event::NamePattern::new(pattern).unwrap()),
        };
        ((*secret).to_owned(), token)
    };
    Tokens::of(tokens.iter().map(of).collect())
}

/// A request.
pub(crate) struct Ask {
    address: SocketAddr,
    request: Request<Full<Bytes>>,
}

impl Ask {
    /// With `Authorization: Bearer SECRET`.
    pub(crate) fn token(self, secret: &str) -> Self {
        self.header("authorization", &format!("Bearer {secret}"))
    }

    pub(crate) fn header(mut self, name: &str, value: &str) -> Self {
        let name = hyper::header::HeaderName::from_bytes(name.as_bytes()).unwrap();
        self.request.headers_mut().append(name, value.parse().unwrap());
        self
    }

    pub(crate) fn json(self, value: &Value) -> Self {
        self.body("application/json", value.to_string())
    }

    pub(crate) fn body(self, content_type: &str, body: impl Into<Bytes>) -> Self {
        let mut with = self.header("content-type", content_type);
        *with.request.body_mut() = Full::new(body.into());
        with
    }

    /// The answer, with its whole body.
    pub(crate) async fn send(self) -> Answer {
        soon(async {
            let (response, _open) = self.response().await;
            let (head, body) = response.into_parts();
            let body = body.collect().await.unwrap().to_bytes();
            Answer { status: head.status.as_u16(), headers: head.headers, body }
        })
        .await
    }

    /// The answer as server-sent events.
    pub(crate) async fn sse(self) -> Sse {
        let (response, open) = soon(self.header("accept", "text/event-stream").response()).await;
        let status = response.status().as_u16();
        assert_eq!(status, 200, "{:?}", response.into_body().collect().await.unwrap().to_bytes());
        Sse { body: response.into_body(), text: Vec::new(), _open: open }
    }

    /// The answer, its body still to come; the connection lives as long as what is returned with it.
    pub(crate) async fn response(mut self) -> (Response<Incoming>, Open) {
        if !self.request.headers().contains_key("host") {
            let host = self.address.to_string().parse().unwrap();
            self.request.headers_mut().insert("host", host);
        }
        let stream = TcpStream::connect(self.address).await.unwrap();
        let (mut sender, connection) =
            hyper::client::conn::http1::handshake(TokioIo::new(stream)).await.unwrap();
        let task = tokio::spawn(async move { connection.with_upgrades().await.ok() });
        let response = sender.send_request(self.request).await.unwrap();
        (response, Open { _sender: sender, _task: AbortOnDropHandle::new(task) })
    }
}

/// A connection that is open: dropped, it is cut.
pub(crate) struct Open {
    _sender: SendRequest<Full<Bytes>>,
    _task: AbortOnDropHandle<Option<()>>,
}

/// A whole answer.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) headers: HeaderMap,
    pub(crate) body: Bytes,
}

impl Answer {
    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name).map(|value| value.to_str().unwrap())
    }

    pub(crate) fn text(&self) -> &str {
        std::str::from_utf8(&self.body).unwrap()
    }

    #[track_caller]
    pub(crate) fn json(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap_or_else(|e| panic!("{e}: {:?}", self.text()))
    }

    /// The name of its problem, which has its status.
    #[track_caller]
    pub(crate) fn problem(&self) -> String {
        assert_eq!(self.header("content-type"), Some("application/problem+json"), "{self:?}");
        let document = self.json();
        assert_eq!(document["status"], self.status, "{document}");
        document["type"].as_str().unwrap().strip_prefix("urn:retold:problem:").unwrap().to_owned()
    }
}

/// One frame of server-sent events. A comment is a frame that has nothing but `comment`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Frame {
    pub(crate) event: String,
    pub(crate) id: Option<String>,
    pub(crate) data: String,
    pub(crate) retry: Option<u64>,
    pub(crate) comment: Option<String>,
}

impl Frame {
    #[track_caller]
    pub(crate) fn json(&self) -> Value {
        serde_json::from_str(&self.data).unwrap_or_else(|e| panic!("{e}: {:?}", self.data))
    }
}

/// Server-sent events of an answer.
pub(crate) struct Sse {
    body: Incoming,
    text: Vec<u8>,
    _open: Open,
}

impl Sse {
    /// The next frame, comments too; `None` at the end of the stream.
    pub(crate) async fn frame(&mut self) -> Option<Frame> {
        loop {
            if let Some(end) = self.text.windows(2).position(|two| two == b"\n\n") {
                let text: Vec<u8> = self.text.drain(..end + 2).collect();
                return Some(parse(std::str::from_utf8(&text).unwrap()));
            }
            let more = soon(self.body.frame()).await?.ok()?;
            if let Some(data) = more.data_ref() {
                self.text.extend_from_slice(data);
            }
        }
    }

    /// The next frame that is not a comment and not only a `retry`; `None` at the end of the stream.
    pub(crate) async fn next(&mut self) -> Option<Frame> {
        loop {
            let frame = self.frame().await?;
            if !frame.event.is_empty() || !frame.data.is_empty() {
                return Some(frame);
            }
        }
    }
}

fn parse(text: &str) -> Frame {
    let mut frame = Frame::default();
    let mut data = Vec::new();
    for line in text.lines().filter(|line| !line.is_empty()) {
        let (field, value) = line.split_once(':').unwrap_or((line, ""));
        let value = value.strip_prefix(' ').unwrap_or(value).to_owned();
        match field {
            "" => frame.comment = Some(value),
            "event" => frame.event = value,
            "id" => frame.id = Some(value),
            "data" => data.push(value),
            "retry" => frame.retry = value.parse().ok(),
            other => panic!("{other:?} is no field of server-sent events: {text:?}"),
        }
    }
    frame.data = data.join("\n");
    frame
}
