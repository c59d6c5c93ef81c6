//! Timers: events that are recorded later, once.

use axum::extract::State;
use retold::bus::timers::{Due, Timer, TimerMark};
use retold::error::Error;
use retold::event::{Address, BranchName, EventId, Invalid, SessionId};
use retold::store::Store;
use retold::wire::TimerView;
use serde::Deserialize;
use serde_json::json;
use serde_json::value::RawValue;
use utoipa::{IntoParams, ToSchema};
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::answer::{Answer, Items};
use super::asked::{Asked, Sent, limit, span};
use super::deliveries::event;
use crate::access::Access;
use crate::app::App;
use crate::input::{InPath, invalid};
use crate::problem::Problem;
use crate::tokens::Scope;

/// Timers that are read at once.
const LOOKED_AT: usize = 1_024;

pub(crate) fn routes() -> OpenApiRouter<App> {
    OpenApiRouter::new().routes(routes!(list, add)).routes(routes!(one, cancel))
}

/// A timer: an event, its branch, and one of `after` and `at`.
#[derive(Debug, Deserialize, ToSchema)]
#[schema(example = json!({"session": "run-7", "event": {"type": "run.timed_out"}, "after": "10m"}))]
#[serde(deny_unknown_fields)]
struct Make {
    /// The session.
    session: String,
    /// The branch; main unless it is given.
    branch: Option<String>,
    /// The event. Its id is the timer's: the same request again changes nothing.
    #[schema(value_type = Object)]
    event: Box<RawValue>,
    /// After this delay: seconds, or `10m`.
    after: Option<String>,
    /// At this time.
    at: Option<String>,
}

impl Make {
    fn due(&self) -> Result<Due, Problem> {
        match (&self.after, &self.at) {
            (Some(after), None) => Ok(Due::After(span("after", after)?)),
            (None, Some(at)) => Ok(Due::At(at.parse()?)),
            _ => Err(invalid("due", "is one of `after` and `at`: give one of them")),
        }
    }
}

/// A page of timers.
#[derive(Debug, Default, Deserialize, IntoParams)]
#[serde(default, deny_unknown_fields)]
#[into_params(parameter_in = Query)]
struct Listing {
    /// `next` of the page before. The timer that it came after may be gone.
    after: Option<String>,
    /// Timers of a page, 1 to 1000; 100 unless it is given.
    limit: Option<usize>,
}

/// List the timers: those that were refused, then the others, the next one first.
#[utoipa::path(get, path = "/v1/timers", tag = "timers", params(Listing), responses(
    (status = 200, description = "`timers`: as `retold timers ls -o json` has them; `next`: the `after` of the next page, or null",
        body = Object, content_type = "application/json"),
    (status = 400, description = "`after` is not the `next` of a page", body = Object, content_type = "application/problem+json"),
))]
async fn list(access: Access, app: State<App>, Asked(asked): Asked<Listing>) -> Result<Answer, Problem> {
    access.somewhere(Scope::Read)?;
    let limit = limit(asked.limit)?;
    let after = asked.after.as_deref().map(str::parse::<TimerMark>).transpose()?;
    app.call(move |store| page(store, &access, after, limit)).await
}

/// Timers of other sessions are passed over: they decide neither what is on a page nor where the next one begins.
fn page(store: &Store, access: &Access, after: Option<TimerMark>, limit: usize) -> Result<Answer, Problem> {
    let timers = store.timers();
    let (mut items, mut next) = (Items::new(limit), None);
    let mut rows = match after {
        Some(mark) => timers.list_after(&mark, LOOKED_AT)?,
        None => timers.list(LOOKED_AT)?,
    };
    while let Some(last) = rows.last().map(Timer::mark) {
        for timer in rows.into_iter().filter(|timer| access.may(Scope::Read, &timer.place.session)) {
            if items.is_full() {
                return items.named("timers", &next.map(|mark: TimerMark| mark.to_string()));
            }
            next = Some(timer.mark());
            items.push(&TimerView::from(&told(timer, access)))?;
        }
        rows = timers.list_after(&last, LOOKED_AT)?;
    }
    items.named("timers", &None::<String>)
}

/// Record an event later, exactly once.
///
/// It fires while a program runs the timers of the store; what came due in the meantime fires when one starts. Give the event an
/// id: without one, the same request again makes another timer.
#[utoipa::path(post, path = "/v1/timers", tag = "timers", request_body = Make, responses(
    (status = 200, description = "The timer, which was there: the same request was made before", body = Object, content_type = "application/json"),
    (status = 201, description = "The timer; `Location` says where it is", body = Object, content_type = "application/json"),
    (status = 400, description = "The event cannot be appended, the time is past, or the store takes no more timers", body = Object, content_type = "application/problem+json"),
    (status = 404, description = "There is no such branch", body = Object, content_type = "application/problem+json"),
    (status = 409, description = "The event is recorded, or its id has another timer", body = Object, content_type = "application/problem+json"),
))]
async fn add(access: Access, app: State<App>, Sent(sent): Sent<Make>) -> Result<Answer, Problem> {
    let session = SessionId::new(&sent.session)?;
    access.session(Scope::Append, &session)?;
    let branch = sent.branch.as_deref().map_or_else(|| Ok(BranchName::main()), BranchName::new)?;
    let (event, due) = (event(&sent.event)?, sent.due()?);
    let id = event.id();
    app.call(move |store| {
        let was_there = seen(store, &access, id)?.is_some();
        match store.timers().schedule(Address::new(session, branch), event, due) {
            // How many the others have is told to those who may read all.
            Err(Error::Invalid(invalid)) if invalid.field == "timers" => Err(full(&access, invalid)),
            // Where else the id is recorded is told to those who may read there.
            Err(Error::Duplicate { at, .. }) if !access.may(Scope::Read, at.session()) => Err(taken(id)),
            Err(Error::Exists { .. }) if seen(store, &access, id)?.is_none() => Err(taken(id)),
            Err(error) => Err(error.into()),
            Ok(timer) => {
                let answer = Answer::of(&TimerView::from(&told(timer, &access)))?;
                Ok(if was_there { answer } else { answer.created(format!("/v1/timers/{id}")) })
            }
        }
    })
    .await
}

fn full(access: &Access, known: Invalid) -> Problem {
    match access.everywhere(Scope::Read) {
        Ok(()) => known.into(),
        Err(_) => invalid("timers", "are as many as the store takes; try again when some have fired"),
    }
}

fn taken(id: EventId) -> Problem {
    Problem::new(axum::http::StatusCode::CONFLICT, "duplicate", format!("the id {id} is taken"))
        .with("id", id.to_string())
}

/// Why the store refused an event may be about another session: that is for those who may read all.
fn told(mut timer: Timer, access: &Access) -> Timer {
    if timer.refused.is_some() && access.everywhere(Scope::Read).is_err() {
        timer.refused = Some("the store refused the event".to_owned());
    }
    timer
}

/// A timer, if the token may read its session.
fn seen(store: &Store, access: &Access, id: EventId) -> Result<Option<Timer>, Problem> {
    match store.timers().get(id) {
        Err(Error::NotFound { .. }) => Ok(None),
        found => Ok(Some(found?).filter(|timer| access.may(Scope::Read, &timer.place.session))),
    }
}

/// Show a timer.
#[utoipa::path(get, path = "/v1/timers/{id}", tag = "timers",
    params(("id" = String, Path, description = "The id of the timer and of its event")),
    responses(
    (status = 200, description = "The timer", body = Object, content_type = "application/json"),
    (status = 404, description = "There is no such timer", body = Object, content_type = "application/problem+json"),
))]
async fn one(access: Access, app: State<App>, InPath(id): InPath<String>) -> Result<Answer, Problem> {
    access.somewhere(Scope::Read)?;
    let id: EventId = id.parse()?;
    app.call(move |store| {
        let timer = seen(store, &access, id)?.ok_or_else(|| Error::not_found("timer", id))?;
        Answer::of(&TimerView::from(&told(timer, &access)))
    })
    .await
}

/// Cancel a timer before it fires.
#[utoipa::path(delete, path = "/v1/timers/{id}", tag = "timers",
    params(("id" = String, Path, description = "The id of the timer and of its event")),
    responses(
    (status = 200, description = "It does not fire", body = Object, content_type = "application/json"),
    (status = 404, description = "There is no such timer; it may have fired", body = Object, content_type = "application/problem+json"),
))]
async fn cancel(access: Access, app: State<App>, InPath(id): InPath<String>) -> Result<Answer, Problem> {
    access.somewhere(Scope::Append)?;
    let id: EventId = id.parse()?;
    app.call(move |store| {
        let timer = seen(store, &access, id)?.ok_or_else(|| Error::not_found("timer", id))?;
        access.session(Scope::Append, &timer.place.session)?;
        store.timers().cancel(id)?;
        Answer::of(&json!({ "id": id.to_string(), "done": "cancelled" }))
    })
    .await
}
