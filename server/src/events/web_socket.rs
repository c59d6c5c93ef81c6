//! Live events over a WebSocket: several streams at once, filters that change, and as many events as were asked for.

use std::time::Duration;

use axum::extract::FromRequestParts;
use axum::extract::State;
use axum::extract::ws::rejection::WebSocketUpgradeRejection;
use axum::extract::ws::{CloseFrame, Message, WebSocket, WebSocketUpgrade, close_code};
use axum::http::{HeaderMap, Request as HttpRequest, StatusCode, header};
use axum::response::Response;
use tokio::time::{Instant, sleep_until};
use tokio_tungstenite::tungstenite;
use tokio_tungstenite::tungstenite::error::CapacityError;
use tokio_util::sync::CancellationToken;

use super::subscriptions::Subscriptions;
use super::web_messages::{Request, control, error, request};
use crate::access::{Access, secret_of_a_socket};
use crate::app::App;
use crate::limits::READ_BUFFER_BYTES;
use crate::problem::Problem;
use crate::tokens::Scope;

/// What is spoken.
const PROTOCOL: &str = "cloudevents.json";
/// Bytes of a client's message.
const MESSAGE_BYTES: usize = 64 * 1024;
/// How long a client that sent no token with its request may take to send one.
const AUTH_TIME: Duration = Duration::from_secs(10);
/// Silence after which a ping is sent.
const SILENCE: Duration = Duration::from_secs(10);
/// How long a client may leave a ping without an answer: then it is out of reach.
const OUT_OF_REACH: Duration = Duration::from_secs(20);
/// How long a client has to take the last words.
const FAREWELL: Duration = Duration::from_secs(2);

/// Live events over a WebSocket, subprotocol `cloudevents.json`.
#[utoipa::path(
    get, path = "/v1/live", tag = "events",
    description = "Messages are documented in the chapter on live streams.",
    responses(
        (status = 101, description = "Speaks `cloudevents.json`"),
        (status = 400, description = "No WebSocket, or one of another subprotocol"),
        (status = 401), (status = 426),
    ),
)]
pub(crate) async fn live(
    State(app): State<App>,
    access: Result<Access, Problem>,
    headers: HeaderMap,
    upgrade: Result<WebSocketUpgrade, WebSocketUpgradeRejection>,
) -> Result<Response, Problem> {
    let access = match access {
        Ok(access) => Some(access),
        Err(problem)
            if headers.contains_key(header::AUTHORIZATION) || secret_of_a_socket(&headers).is_some() =>
        {
            return Err(problem);
        }
        // The first message has to have one.
        Err(_) => None,
    };
    if let Some(access) = &access {
        access.somewhere(Scope::Read)?;
    }
    let upgrade = upgrade.map_err(|refused| {
        Problem::new(
            refused.status(),
            "no-websocket",
            format!("/v1/live is for WebSockets: {}", refused.body_text()),
        )
    })?;
    let upgrade = upgrade.protocols([PROTOCOL]).max_message_size(MESSAGE_BYTES).max_frame_size(MESSAGE_BYTES);
    if upgrade.selected_protocol().is_none() {
        let detail = format!("/v1/live speaks {PROTOCOL}: offer it as Sec-WebSocket-Protocol");
        return Err(Problem::new(StatusCode::BAD_REQUEST, "no-websocket", detail));
    }
    Ok(upgrade.on_upgrade(move |socket| async move { talk(app, access, socket).await }))
}

/// Why a conversation ends.
enum Ending {
    /// The client has left, or is out of reach.
    Left,
    /// It is told this. What it has sent meanwhile is taken: closing over it would take back what it is told.
    Close(u16, String),
    /// It is told this, and may be cut off: it sends more than can be taken.
    Cut(u16, String),
}

async fn talk(app: App, access: Option<Access>, mut socket: WebSocket) {
    // Before there is a token the server's end is the only one.
    let closing = app.closing().clone();
    let ending = match identified(&app, access, &mut socket, &closing).await {
        Ok(access) => match app.stream(access.token()) {
            Ok(permit) => {
                let ends = permit.ends().clone();
                let subscriptions = Subscriptions::default();
                let mut talk = Talk { app, access, socket: &mut socket, ends, subscriptions, pinged: None };
                talk.run().await
            }
            Err(problem) => Ending::Close(close_code::AGAIN, problem.detail().to_owned()),
        },
        Err(ending) => ending,
    };
    let (code, reason, is_heard) = match ending {
        Ending::Left => return,
        Ending::Close(code, reason) => (code, reason, true),
        Ending::Cut(code, reason) => (code, reason, false),
    };
    let reason: String = reason
        .chars()
        .scan(0, |bytes, c| {
            *bytes += c.len_utf8();
            // What fits into a control frame beside the code.
            (*bytes <= 123).then_some(c)
        })
        .collect();
    let last = Message::Close(Some(CloseFrame { code, reason: reason.into() }));
    // Whoever does not take it is gone.
    let _ = tokio::time::timeout(FAREWELL, async {
        socket.send(last).await?;
        while is_heard && matches!(socket.recv().await, Some(Ok(_))) {}
        Ok::<_, axum::Error>(())
    })
    .await;
}

/// Who speaks: by the request's header, or by the first message.
async fn identified(
    app: &App,
    access: Option<Access>,
    socket: &mut WebSocket,
    closing: &CancellationToken,
) -> Result<Access, Ending> {
    if let Some(access) = access {
        return Ok(access);
    }
    let late = sleep_until(Instant::now() + AUTH_TIME);
    let policy = |reason: &str| Ending::Close(close_code::POLICY, reason.to_owned());
    let first = tokio::select! {
        biased;
        () = closing.cancelled() => return Err(away()),
        first = first_text(socket) => first?,
        () = late => return Err(policy("no token came in time; the first message is {\"op\":\"auth\",\"token\":…}")),
    };
    let Ok(Request::Auth { token }) = request(&first) else {
        return Err(policy("this server needs a token; the first message is {\"op\":\"auth\",\"token\":…}"));
    };
    let header = HttpRequest::builder().header(header::AUTHORIZATION, format!("Bearer {token}")).body(());
    let Ok(asked) = header else { return Err(policy("the server does not know this token")) };
    let access = Access::from_request_parts(&mut asked.into_parts().0, app).await;
    let access = access.map_err(|problem| policy(problem.detail()))?;
    access.somewhere(Scope::Read).map_err(|problem| policy(problem.detail()))?;
    let taken = app.rates().take(access.token());
    taken.map_err(|problem| Ending::Close(close_code::AGAIN, problem.detail().to_owned()))?;
    let known = Message::text(control("authenticated", None, []));
    socket.send(known).await.map_err(|_| Ending::Left)?;
    Ok(access)
}

fn away() -> Ending {
    Ending::Close(close_code::AWAY, "the server is shutting down, or the token has changed".to_owned())
}

async fn first_text(socket: &mut WebSocket) -> Result<String, Ending> {
    loop {
        if let Some(text) = heard(socket).await? {
            return Ok(text);
        }
    }
}

/// What the client says: a text, or only that it is there. Dropping the future loses nothing.
async fn heard(socket: &mut WebSocket) -> Result<Option<String>, Ending> {
    match socket.recv().await {
        Some(Ok(Message::Text(text))) => Ok(Some(text.as_str().to_owned())),
        Some(Ok(Message::Binary(_))) => {
            let reason = "messages are JSON in text frames".to_owned();
            Err(Ending::Close(close_code::UNSUPPORTED, reason))
        }
        Some(Ok(Message::Ping(_) | Message::Pong(_))) => Ok(None),
        Some(Ok(Message::Close(_))) | None => Err(Ending::Left),
        Some(Err(error)) => Err(broken(error)),
    }
}

/// What is told of frames that are none.
fn broken(error: axum::Error) -> Ending {
    let error = error.into_inner();
    match error.downcast_ref::<tungstenite::Error>() {
        Some(tungstenite::Error::Protocol(why)) => Ending::Close(close_code::PROTOCOL, why.to_string()),
        Some(tungstenite::Error::Utf8(_)) => {
            Ending::Close(close_code::INVALID, "a text frame is not UTF-8".to_owned())
        }
        Some(tungstenite::Error::Capacity(why)) => {
            let reason = format!("a message has at most {MESSAGE_BYTES} bytes");
            match why {
                // It was refused before it came, and is buffered while the rest of it does.
                CapacityError::MessageTooLong { size, .. } if *size <= READ_BUFFER_BYTES => {
                    Ending::Close(close_code::SIZE, reason)
                }
                _ => Ending::Cut(close_code::SIZE, reason),
            }
        }
        _ => Ending::Left,
    }
}

struct Talk<'a> {
    app: App,
    access: Access,
    socket: &'a mut WebSocket,
    ends: CancellationToken,
    subscriptions: Subscriptions,
    /// When it was pinged, if nothing has come from it since.
    pinged: Option<Instant>,
}

enum Next {
    Asked(String),
    Message(String),
    Silence,
}

impl Talk<'_> {
    async fn run(&mut self) -> Ending {
        loop {
            match self.step().await {
                Ok(()) => {}
                Err(ending) => return ending,
            }
        }
    }

    async fn step(&mut self) -> Result<(), Ending> {
        let quiet = Instant::now() + SILENCE;
        let next = tokio::select! {
            biased;
            () = self.ends.cancelled() => {
                let end = control("end", None, [("reason", "closing".into())]);
                let _ = tokio::time::timeout(FAREWELL, self.socket.send(Message::text(end))).await;
                return Err(away());
            }
            heard = heard(self.socket) => {
                self.pinged = None;
                match heard? {
                    Some(text) => Next::Asked(text),
                    None => return Ok(()),
                }
            }
            message = self.subscriptions.next() => Next::Message(message),
            () = sleep_until(quiet) => Next::Silence,
        };
        match next {
            Next::Asked(text) => {
                let asked = request(&text).map_err(|reason| Ending::Close(close_code::INVALID, reason))?;
                let answer = self.answer(asked).await?;
                self.send(Message::text(answer)).await
            }
            Next::Message(message) => self.send(Message::text(message)).await,
            Next::Silence if self.pinged.is_some_and(|at| at.elapsed() >= OUT_OF_REACH) => Err(Ending::Left),
            Next::Silence => {
                self.pinged.get_or_insert_with(Instant::now);
                self.send(Message::Ping(bytes::Bytes::new())).await
            }
        }
    }

    /// A client that takes nothing holds up nobody but itself, and not the end of the server.
    async fn send(&mut self, message: Message) -> Result<(), Ending> {
        self.subscriptions.rest();
        tokio::select! {
            biased;
            sent = self.socket.send(message) => sent.map_err(broken),
            () = self.ends.cancelled() => Err(Ending::Left),
        }
    }

    async fn answer(&mut self, asked: Request) -> Result<String, Ending> {
        let (app, access) = (&self.app, &self.access);
        if let Err(problem) = app.rates().take(access.token()) {
            return Ok(error(asked.subscription(), &problem));
        }
        let (word, id, done) = match asked {
            Request::Auth { .. } => {
                let reason = "the token is known already".to_owned();
                return Err(Ending::Close(close_code::POLICY, reason));
            }
            Request::Subscribe(subscribe) => {
                let id = subscribe.id.clone();
                ("subscribed", id, self.subscriptions.add(app, access, subscribe).await)
            }
            Request::Filter { id, filter } => {
                let done = self.subscriptions.filter(app, &id, &filter);
                ("filtered", id, done)
            }
            Request::Credit { id, events } => {
                let done = self.subscriptions.credit(&id, events);
                ("credited", id, done)
            }
            Request::Unsubscribe { id } => {
                let done = self.subscriptions.remove(&id);
                ("unsubscribed", id, done)
            }
        };
        Ok(match done {
            Ok(()) => control(word, Some(&id), []),
            Err(problem) => error(Some(&id), &problem),
        })
    }
}
