//! Programs that use the store from other machines: the step from HTTP to the shared protocol of the library.
//!
//! Whoever is let in may do everything, as a process beside the store's file may. So it takes a token that may do everything.

use std::pin::pin;
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use axum::Extension;
use axum::extract::{Request, State};
use axum::http::{HeaderMap, HeaderName, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use hyper::upgrade::OnUpgrade;
use hyper_util::rt::TokioIo;
use retold::store::remote::RemoteHost;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use crate::access::Access;
use crate::app::App;
use crate::problem::Problem;
use crate::streams::StreamPermit;
use crate::tokens::Scope;

/// What is spoken after the upgrade. The number is that of how the protocol begins; its version is agreed on in there.
const PROTOCOL: &str = "retold-frames/1";
/// How the server calls itself to programs.
const PROGRAM: &str = "retold serve";
/// How long programs have to take the answers to what was begun, when the server ends.
const FAREWELL: Duration = Duration::from_secs(2);

/// The route, with its documentation.
pub(crate) fn routes() -> OpenApiRouter<App> {
    OpenApiRouter::new().routes(routes!(engine)).layer(Extension(Remote::default()))
}

/// All connections of programs.
#[derive(Clone, Default)]
pub(crate) struct Remote {
    host: Arc<OnceLock<Arc<RemoteHost>>>,
}

/// The shared protocol: the whole store, for programs that use the library or `retold --store URL`.
#[utoipa::path(
    get, path = "/v1/engine", tag = "store",
    description = "An upgrade to `retold-frames/1`, which docs/shared-protocol.md documents. The token has to be one of scope \
                   `admin` for all sessions.",
    responses(
        (status = 101, description = "Speaks `retold-frames/1`"),
        (status = 401), (status = 403), (status = 426, description = "No upgrade, or one to something else"), (status = 429),
    ),
)]
pub(crate) async fn engine(
    State(app): State<App>,
    access: Access,
    Extension(remote): Extension<Remote>,
    request: Request,
) -> Response {
    remote.upgraded(app, &access, request).unwrap_or_else(|problem| {
        let is_upgrade = problem.status() == StatusCode::UPGRADE_REQUIRED;
        let mut response = problem.into_response();
        if is_upgrade {
            response.headers_mut().insert(header::UPGRADE, HeaderValue::from_static(PROTOCOL));
        }
        response
    })
}

impl Remote {
    fn upgraded(self, app: App, access: &Access, mut request: Request) -> Result<Response, Problem> {
        access.everywhere(Scope::Admin)?;
        if request.uri().query().is_some() {
            return Err(Problem::bad_request("/v1/engine takes no parameters"));
        }
        let asks = names(request.headers(), &header::CONNECTION, "upgrade")
            && names(request.headers(), &header::UPGRADE, PROTOCOL);
        // What is no HTTP/1.1 cannot be upgraded.
        let upgrade = request.extensions_mut().remove::<OnUpgrade>().filter(|_| asks).ok_or_else(|| {
            let detail = format!(
                "/v1/engine is for programs of retold: Connection: Upgrade, Upgrade: {PROTOCOL}; a proxy in between has to pass both on"
            );
            Problem::new(StatusCode::UPGRADE_REQUIRED, "no-upgrade", detail)
        })?;
        let permit = app.stream(access.token())?;
        tokio::spawn(self.talk(app, permit, upgrade));
        let upgrades = [
            (header::CONNECTION, HeaderValue::from_static("upgrade")),
            (header::UPGRADE, HeaderValue::from_static(PROTOCOL)),
        ];
        Ok((StatusCode::SWITCHING_PROTOCOLS, upgrades).into_response())
    }

    /// Serves a program until it ends, or the server does, or its token is no longer what it was.
    async fn talk(self, app: App, permit: StreamPermit, upgrade: OnUpgrade) {
        let connection = match upgrade.await {
            Ok(connection) => TokioIo::new(connection),
            Err(error) => return tracing::debug!(%error, "a program has left before it was let in"),
        };
        let host = self.host.get_or_init(|| Arc::new(RemoteHost::new(app.store(), PROGRAM)));
        let mut serving = pin!(host.serve(connection));
        tokio::select! {
            served = &mut serving => {
                if let Err(error) = served {
                    tracing::debug!(%error, "a program of another machine cannot be served");
                }
                return;
            }
            () = permit.ends().cancelled() => {}
        }
        if app.closing().is_cancelled() {
            // The first one tells all of them; they look for the next server, and lose nothing.
            let leaving = host.clone();
            let drained = tokio::task::spawn_blocking(move || leaving.drain(FAREWELL));
            let _ = tokio::time::timeout(FAREWELL, serving).await;
            let _ = drained.await;
        }
    }
}

/// Whether one of a header's words is this one.
fn names(headers: &HeaderMap, of: &HeaderName, word: &str) -> bool {
    let values = headers.get_all(of).iter().filter_map(|value| value.to_str().ok());
    values.flat_map(|value| value.split(',')).any(|one| one.trim().eq_ignore_ascii_case(word))
}
