//! What was in which phase, from when to when.

use axum::extract::State;
use retold::agents::detail_of;
use retold::error::Error;
use retold::event::{Address, Event, Timestamp, parse_span};
use retold::project::Timeline;
use retold::store::{Query, Store};
use retold::wire::TimelineView;
use serde::Deserialize;
use utoipa::IntoParams;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::answer::Answer;
use super::asked::{Asked, at};
use super::branches::shown;
use crate::access::Access;
use crate::app::App;
use crate::input::{InPath, branch, invalid, session};
use crate::problem::Problem;
use crate::tokens::Scope;

pub(crate) fn routes() -> OpenApiRouter<App> {
    OpenApiRouter::new().routes(routes!(of_session)).routes(routes!(of_branch))
}

/// Which part of a timeline.
#[derive(Debug, Default, Deserialize, IntoParams)]
#[serde(default, deny_unknown_fields)]
#[into_params(parameter_in = Query)]
struct Part {
    /// Begin here: at a time, a span after the first event (`+90s`, of which the `+` is `%2B` in an address), or the event with a sequence.
    from: Option<String>,
    /// End here: the same.
    to: Option<String>,
    /// The last sequence that is looked at; the head unless it is given.
    sequence: Option<u64>,
}

/// Where a part begins or ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Edge {
    Time(Timestamp),
    /// Microseconds after the first event.
    After(i64),
    Sequence(u64),
}

impl Edge {
    fn of(name: &'static str, text: &str) -> Result<Self, Problem> {
        if let Some(span) = text.strip_prefix('+') {
            let span = parse_span(span).map_err(|e| invalid(name, e.reason))?;
            return Ok(Self::After(i64::try_from(span.as_micros()).unwrap_or(i64::MAX)));
        }
        if let Ok(sequence) = text.parse::<u64>() {
            return Ok(Self::Sequence(sequence));
        }
        text.parse().map(Self::Time).map_err(|_| {
            let what = "not a time such as 2026-02-03T04:05:06Z, a span after the first event such as +90s, or a sequence";
            invalid(name, format!("`{text}` is {what}"))
        })
    }
}

/// An edge, and when the event happened that it names.
#[derive(Debug)]
struct Noted {
    name: &'static str,
    edge: Edge,
    time: Option<Timestamp>,
}

impl Noted {
    fn of(name: &'static str, text: Option<&str>) -> Result<Option<Self>, Problem> {
        text.map(|text| Edge::of(name, text).map(|edge| Self { name, edge, time: None })).transpose()
    }

    fn take(&mut self, event: &Event) {
        if self.edge == Edge::Sequence(event.sequence().get()) {
            self.time = Some(event.occurred());
        }
    }

    fn when(&self, first: Timestamp) -> Result<Timestamp, Problem> {
        match self.edge {
            Edge::Time(time) => Ok(time),
            Edge::After(micros) => Ok(Timestamp::from_micros(first.micros().saturating_add(micros))),
            Edge::Sequence(n) => self.time.ok_or_else(|| {
                invalid(self.name, format!("is {n}, and there is no event with this sequence"))
            }),
        }
    }
}

/// Draw the current branch of a session as a timeline of its tasks and tools.
#[utoipa::path(get, path = "/v1/sessions/{s}/timeline", tag = "sessions",
    params(("s" = String, Path, description = "The session"), Part),
    responses(
    (status = 200, description = "Entities with their phases, as `retold timeline -o json` has them", body = Object, content_type = "application/json"),
    (status = 404, description = "There is no such session", body = Object, content_type = "application/problem+json"),
))]
async fn of_session(
    access: Access,
    app: State<App>,
    InPath(name): InPath<String>,
    Asked(asked): Asked<Part>,
) -> Result<Answer, Problem> {
    let session = session(&name)?;
    access.session(Scope::Read, &session)?;
    app.read(access.token().clone(), move |store| {
        timeline(store, shown(store, session, None, asked.sequence)?, &asked)
    })
    .await
}

/// Draw a branch as a timeline of its tasks and tools.
#[utoipa::path(get, path = "/v1/sessions/{s}/branches/{b}/timeline", tag = "branches",
    params(("s" = String, Path, description = "The session"), ("b" = String, Path, description = "The branch"), Part),
    responses(
    (status = 200, description = "Entities with their phases, as `retold timeline -o json` has them", body = Object, content_type = "application/json"),
    (status = 404, description = "There is no such branch", body = Object, content_type = "application/problem+json"),
))]
async fn of_branch(
    access: Access,
    app: State<App>,
    InPath((s, b)): InPath<(String, String)>,
    Asked(asked): Asked<Part>,
) -> Result<Answer, Problem> {
    let branch = branch(&s, &b)?;
    access.session(Scope::Read, branch.session())?;
    app.read(access.token().clone(), move |store| timeline(store, at(branch, asked.sequence), &asked)).await
}

fn timeline(store: &Store, address: Address, asked: &Part) -> Result<Answer, Problem> {
    let (mut from, mut to) =
        (Noted::of("from", asked.from.as_deref())?, Noted::of("to", asked.to.as_deref())?);
    let head = store.head(Address::from(address.place().clone()))?;
    if address.sequence().is_some_and(|sequence| head < sequence) {
        return Err(Error::not_found("event", address).into());
    }
    let mut timeline = Timeline::new(store.catalogue().clone()).detailed(detail_of);
    for event in store.events(Query::branch(address.clone())?)? {
        let event = event?;
        timeline.take(&event);
        from.iter_mut().chain(&mut to).for_each(|edge| edge.take(&event));
    }
    timeline.close();
    let part = timeline.range().map(|whole| part(whole, from.as_ref(), to.as_ref())).transpose()?.flatten();
    Answer::of(&TimelineView::within(address.to_string(), &timeline, part))
}

/// The part of the whole that is shown; `None` for all of it.
fn part(
    (first, last): (Timestamp, Timestamp),
    from: Option<&Noted>,
    to: Option<&Noted>,
) -> Result<Option<(Timestamp, Timestamp)>, Problem> {
    if from.is_none() && to.is_none() {
        return Ok(None);
    }
    let from = from.map_or(Ok(first), |edge| edge.when(first))?;
    let to = to.map_or(Ok(last.max(from)), |edge| edge.when(first))?;
    if from > to {
        return Err(invalid("from", format!("is {from}, after the end at {to}")));
    }
    Ok(Some((from, to)))
}
