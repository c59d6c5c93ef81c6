//! Bodies of requests: read once it is known that the token may send one, in time, and as many as there is room for.

use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll, ready};

use axum::body::{Body, Bytes};
use axum::extract::{MatchedPath, Request, State};
use axum::http::StatusCode;
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use hyper::body::{Frame, SizeHint};

use crate::access::Access;
use crate::app::App;
use crate::asking::Asking;
use crate::problem::Problem;
use crate::tokens::Scope;

/// Routes that are asked with a body, and change nothing.
const QUESTIONS: [&str; 1] = ["/v1/types/{t}/validate"];

/// Answers a request whose body is watched. Whatever a handler makes of a body that broke off, the reason is known here.
pub(crate) async fn bodies(State(app): State<App>, request: Request, next: Next) -> Response {
    let Some(access) = request.extensions().get::<Access>().cloned() else {
        // Who is not known may ask, and send nothing.
        return next.run(request.map(|_| Body::empty())).await;
    };
    let route = request.extensions().get::<MatchedPath>();
    let is_question = route.is_some_and(|route| QUESTIONS.contains(&route.as_str()));
    let scope = if is_question { Scope::Read } else { Scope::Append };
    let name = access.token().name.as_str();
    let asking = Asking { token: name.into(), body: app.budget().share(name) };
    let read = Arc::new(Mutex::new(Read::Not));
    let watched = |body| Watched { body, access, scope, asking: asking.clone(), read: read.clone() };
    let request = request.map(|body| Body::new(watched(body)));
    let response = asking.clone().scope(next.run(request)).await;
    let read = std::mem::replace(&mut *read.lock().unwrap_or_else(PoisonError::into_inner), Read::Not);
    match read {
        Read::Refused(problem) => problem.into_response(),
        Read::Some if response.status() == StatusCode::GATEWAY_TIMEOUT => too_slow().into_response(),
        _ => response,
    }
}

fn too_slow() -> Problem {
    let detail = "the body did not come in time, and nothing was done: send less at once";
    Problem::new(StatusCode::REQUEST_TIMEOUT, "slow-body", detail)
}

/// How much of a body was read.
#[derive(Debug)]
enum Read {
    Not,
    Some,
    All,
    Refused(Problem),
}

/// A body whose bytes are counted as they come.
#[derive(Debug)]
struct Watched {
    body: Body,
    access: Access,
    scope: Scope,
    asking: Asking,
    read: Arc<Mutex<Read>>,
}

impl Watched {
    fn note(&self, read: Read) {
        *self.read.lock().unwrap_or_else(PoisonError::into_inner) = read;
    }

    fn refuse(&self, problem: Problem) -> Poll<Option<Result<Frame<Bytes>, axum::Error>>> {
        let error = axum::Error::new(std::io::Error::other(problem.detail().to_owned()));
        self.note(Read::Refused(problem));
        Poll::Ready(Some(Err(error)))
    }
}

impl hyper::body::Body for Watched {
    type Data = Bytes;
    type Error = axum::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, axum::Error>>> {
        if let Err(problem) = self.access.somewhere(self.scope) {
            return self.refuse(problem);
        }
        self.note(Read::Some);
        let frame = ready!(Pin::new(&mut self.body).poll_frame(cx));
        match &frame {
            Some(Ok(frame)) => {
                let bytes = frame.data_ref().map_or(0, Bytes::len);
                if let Err(problem) = self.asking.body.take(bytes) {
                    return self.refuse(problem);
                }
                if self.body.is_end_stream() {
                    self.note(Read::All);
                }
            }
            Some(Err(_)) | None => self.note(Read::All),
        }
        Poll::Ready(frame)
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use axum::Router;
    use axum::http::header;
    use axum::middleware::from_fn_with_state;
    use axum::routing::post;
    use futures_util::StreamExt;
    use futures_util::stream;
    use retold::Store;
    use tower::ServiceExt;

    use super::*;
    use crate::access::identify;
    use crate::bounds::bounds;
    use crate::limits::Limits;
    use crate::tokens::{Token, Tokens};

    fn app() -> App {
        let mut limits = Limits::default();
        (limits.body_bytes, limits.bodies_bytes) = (100, 300);
        let all = [("reads", Scope::Read), ("appends", Scope::Append), ("other", Scope::Append)];
        let tokens = all.map(|(name, scope)| (name.to_owned(), Token::new(name, scope)));
        App::new(Store::in_memory().unwrap(), Tokens::of(tokens.into()), limits)
    }

    fn routes(app: &App) -> Router {
        let length = || post(|body: Bytes| async move { body.len().to_string() });
        let slow = |body: Bytes| async move {
            tokio::time::sleep(Duration::from_secs(20)).await;
            body.len().to_string()
        };
        Router::new()
            .route("/length", length())
            .route("/slow", post(slow))
            .route("/v1/types/{t}/validate", length())
            .layer(from_fn_with_state(app.clone(), bounds))
            .layer(from_fn_with_state(app.clone(), bodies))
            .layer(from_fn_with_state(app.clone(), identify))
    }

    async fn told(app: &App, path: &str, token: &str, body: Body) -> (u16, String) {
        let request =
            axum::http::Request::post(path).header(header::AUTHORIZATION, format!("Bearer {token}"));
        let response = routes(app).oneshot(request.body(body).unwrap()).await.unwrap();
        let status = response.status().as_u16();
        let text = axum::body::to_bytes(response.into_body(), usize::MAX).await.unwrap();
        (status, String::from_utf8(text.to_vec()).unwrap())
    }

    /// A body of which nothing may be read.
    fn forbidden() -> Body {
        let never =
            stream::poll_fn(|_| -> Poll<Option<Result<Bytes, std::io::Error>>> { panic!("it was read") });
        Body::from_stream(never)
    }

    /// So many bytes, and then nothing for ever.
    fn unfinished(bytes: usize) -> Body {
        let some = stream::iter([Ok::<_, std::io::Error>(Bytes::from(vec![b'x'; bytes]))]);
        Body::from_stream(some.chain(stream::pending()))
    }

    #[tokio::test]
    async fn the_body_of_who_may_not_send_one_is_not_read() {
        let app = app();
        let (status, text) = told(&app, "/length", "reads", forbidden()).await;
        assert_eq!(status, 403, "{text}");
        assert!(text.contains("may not append"), "{text}");
        assert_eq!(told(&app, "/length", "unknown", forbidden()).await, (200, "0".to_owned()));
        assert_eq!(told(&app, "/length", "appends", Body::from("abc")).await, (200, "3".to_owned()));
        assert_eq!(told(&app, "/v1/types/x/validate", "reads", Body::from("abc")).await.0, 200);
    }

    #[tokio::test(start_paused = true)]
    async fn a_body_that_comes_too_slowly_is_told_so() {
        let began = tokio::time::Instant::now();
        let (status, text) = told(&app(), "/length", "appends", unfinished(10)).await;
        assert_eq!((status, text.contains("slow-body")), (408, true), "{text}");
        assert_eq!(began.elapsed(), Limits::default().request_time);
    }

    #[tokio::test(start_paused = true)]
    async fn bodies_at_work_have_a_bound_in_common() {
        let app = app();
        let slow = |token| told(&app, "/slow", token, Body::from(vec![b'x'; 100]));
        let later = async {
            tokio::time::sleep(Duration::from_secs(10)).await;
            // Half of all that there may be, less than one more: the token has to wait, and others do not.
            let own = told(&app, "/length", "appends", Body::from(vec![b'x'; 51])).await;
            let other = told(&app, "/slow", "other", Body::from(vec![b'x'; 100])).await;
            (own, other)
        };
        let (first, (own, other)) = tokio::join!(slow("appends"), later);
        assert_eq!((first.0, other.0), (200, 200));
        assert_eq!((own.0, own.1.contains("too-many-requests")), (429, true), "{}", own.1);
        assert_eq!(slow("appends").await.0, 200, "what was done leaves its room");
    }
}
