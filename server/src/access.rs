//! Who asks: the token of a request.

use std::borrow::Cow;
use std::sync::Arc;

use axum::extract::{FromRequestParts, Request, State};
use axum::http::request::Parts;
use axum::http::{HeaderMap, StatusCode, header};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use percent_encoding::percent_decode_str;
use retold::event::SessionId;

use crate::app::App;
use crate::asking::Asker;
use crate::problem::Problem;
use crate::tokens::{Scope, Token};

/// The token of a request. A handler that takes it answers 401 without one.
#[derive(Clone, Debug)]
pub(crate) struct Access {
    token: Arc<Token>,
}

impl Access {
    /// The token may do this in the session; told before it is looked whether there is such a session.
    pub(crate) fn session(&self, scope: Scope, session: &SessionId) -> Result<(), Problem> {
        if self.token.may(scope, session) {
            return Ok(());
        }
        let of = if self.token.scope >= scope { "in this session" } else { "" };
        Err(refused(&self.token, scope, of))
    }

    /// The token may do this with the stream of this path; told before it is looked whether there is one.
    pub(crate) fn stream(&self, scope: Scope, path: &str) -> Result<(), Problem> {
        if self.token.may_stream(scope, path) {
            return Ok(());
        }
        let of = if self.token.scope >= scope { "at this path" } else { "" };
        Err(refused(&self.token, scope, of))
    }

    /// The token may do this in all sessions.
    pub(crate) fn everywhere(&self, scope: Scope) -> Result<(), Problem> {
        if self.token.may_everywhere(scope) {
            return Ok(());
        }
        let of = if self.token.scope >= scope { "in all sessions" } else { "" };
        Err(refused(&self.token, scope, of))
    }

    /// The token may do this somewhere: what is answered is only what [`Access::may`] allows.
    pub(crate) fn somewhere(&self, scope: Scope) -> Result<(), Problem> {
        if self.token.scope >= scope { Ok(()) } else { Err(refused(&self.token, scope, "")) }
    }

    /// Whether the token may do this in the session.
    pub(crate) fn may(&self, scope: Scope, session: &SessionId) -> bool {
        self.token.may(scope, session)
    }

    /// The token.
    pub(crate) fn token(&self) -> &Arc<Token> {
        &self.token
    }
}

fn refused(token: &Token, scope: Scope, of: &str) -> Problem {
    Problem::forbidden(format!("the token {:?} may not {scope} {of}", token.name).trim_end().to_owned())
}

impl Access {
    /// That of a token, for tests of what may be read.
    #[cfg(test)]
    pub(crate) fn with(token: Token) -> Self {
        Self { token: Arc::new(token) }
    }

    /// Who asks, by the request's headers.
    fn of(headers: &HeaderMap, app: &App) -> Result<Self, Problem> {
        let secret = secret(headers)?;
        let token = app.tokens().find(secret.as_deref()).ok_or_else(|| {
            unauthorized(if secret.is_some() {
                "the server does not know this token"
            } else {
                "this server needs a token; write: Authorization: Bearer TOKEN"
            })
        })?;
        Ok(Self { token })
    }
}

/// What begins the subprotocol that has the secret of a WebSocket, percent-encoded: browsers send no other header along.
const SUBPROTOCOL: &str = "bearer.";

fn secret(headers: &HeaderMap) -> Result<Option<Cow<'_, str>>, Problem> {
    let mut all = headers.get_all(header::AUTHORIZATION).iter();
    let Some(value) = all.next() else { return Ok(secret_of_a_socket(headers)) };
    if all.next().is_some() {
        return Err(unauthorized("there is more than one Authorization header"));
    }
    let value = value.to_str().map_err(|_| unauthorized("the Authorization header is not text"))?;
    let (scheme, secret) = value.split_once(' ').unwrap_or((value, ""));
    if !scheme.eq_ignore_ascii_case("bearer") {
        return Err(unauthorized("write: Authorization: Bearer TOKEN"));
    }
    Ok(Some(secret.trim().into()))
}

/// The secret of a WebSocket that has none in a header of its own.
pub(crate) fn secret_of_a_socket(headers: &HeaderMap) -> Option<Cow<'_, str>> {
    let upgrade = headers.get(header::UPGRADE)?.to_str().ok()?;
    if !upgrade.eq_ignore_ascii_case("websocket") {
        return None;
    }
    let protocols = headers.get_all(header::SEC_WEBSOCKET_PROTOCOL).iter();
    let mut protocols = protocols.filter_map(|value| value.to_str().ok()).flat_map(|value| value.split(','));
    let secret = protocols.find_map(|protocol| protocol.trim().strip_prefix(SUBPROTOCOL))?;
    percent_decode_str(secret).decode_utf8().ok()
}

impl FromRequestParts<App> for Access {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, app: &App) -> Result<Self, Problem> {
        match parts.extensions.get::<Self>() {
            Some(known) => Ok(known.clone()),
            None => Self::of(&parts.headers, app),
        }
    }
}

/// Finds out who asks, and holds whoever asks too often. What needs no token is answered without one.
pub(crate) async fn identify(State(app): State<App>, mut request: Request, next: Next) -> Response {
    let Ok(access) = Access::of(request.headers(), &app) else { return next.run(request).await };
    if let Some(asker) = request.extensions().get::<Asker>() {
        asker.is(&access.token().name);
    }
    match app.rates().take(access.token()) {
        Ok(()) => {
            request.extensions_mut().insert(access);
            next.run(request).await
        }
        Err(problem) => problem.into_response(),
    }
}

fn unauthorized(detail: &str) -> Problem {
    Problem::new(StatusCode::UNAUTHORIZED, "unauthorized", detail)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn secret_in(headers: &[(&str, &str)]) -> Option<String> {
        let mut request = axum::http::Request::builder();
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        let (parts, ()) = request.body(()).unwrap().into_parts();
        secret(&parts.headers).unwrap().map(Cow::into_owned)
    }

    #[test]
    fn a_socket_of_a_browser_has_its_secret_among_its_subprotocols() {
        let upgrade = ("upgrade", "WebSocket");
        let protocols = ("sec-websocket-protocol", "cloudevents.json, bearer.a%2Fb%3D");
        assert_eq!(secret_in(&[upgrade, protocols]).as_deref(), Some("a/b="));
        assert_eq!(secret_in(&[protocols]), None);
        assert_eq!(secret_in(&[upgrade, ("sec-websocket-protocol", "cloudevents.json")]), None);
        assert_eq!(
            secret_in(&[upgrade, protocols, ("authorization", "bearer other")]).as_deref(),
            Some("other")
        );
    }
}
