//! Durable consumers: made, looked at, begun anew, removed. They are of the whole store, so all needs a token for all sessions.

use axum::extract::State;
use axum::http::StatusCode;
use retold::consumer::{ConsumerConfig, ConsumerInfo};
use retold::error::Error;
use retold::event::Pattern;
use retold::follow::Cursor;
use retold::wire::ConsumerView;
use serde::{Deserialize, Serialize};
use serde_json::json;
use utoipa::ToSchema;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::answer::{Answer, Items};
use super::asked::{Asked, Sent, limit, span};
use super::branches::Names;
use crate::access::Access;
use crate::app::App;
use crate::input::{InPath, in_path, invalid, past};
use crate::problem::Problem;
use crate::tokens::Scope;

pub(crate) fn routes() -> OpenApiRouter<App> {
    OpenApiRouter::new().routes(routes!(list)).routes(routes!(one, put, remove)).routes(routes!(reset))
}

/// Where a consumer begins: at most one of these; the start unless one is given.
#[derive(Debug, Default, Deserialize, Serialize, ToSchema)]
#[serde(default, deny_unknown_fields)]
struct Begin {
    /// `start`, `end`, or a position to start after.
    from: Option<String>,
    /// With the first event recorded at or after this time, or this long ago.
    since: Option<String>,
    /// Where a live stream of everything, or of the same session, ended.
    cursor: Option<String>,
}

impl Begin {
    fn of(&self, config: ConsumerConfig) -> Result<ConsumerConfig, Problem> {
        match (self.from.as_deref(), &self.since, &self.cursor) {
            (None | Some("start"), None, None) => Ok(config),
            (Some("end"), None, None) => Ok(config.from_end()),
            (Some(n), None, None) => match n.parse::<u64>() {
                Ok(position) => Ok(config.after_position(position)),
                Err(_) => Err(invalid("from", format!("`{n}` is not `start`, `end` or a position"))),
            },
            (None, Some(since), None) => Ok(config.since(past("since", since)?)),
            (None, None, Some(cursor)) => Ok(config.cursor(cursor.parse::<Cursor>()?)),
            _ => Err(invalid("begin", "is one of `from`, `since` and `cursor`: give one of them")),
        }
    }
}

/// The settings of a consumer. Spans are seconds or have a unit: `90s`, `10m`.
#[derive(Debug, Default, Deserialize, ToSchema)]
#[serde(default, deny_unknown_fields)]
struct Settings {
    /// Where it begins; counts only when it is made.
    begin: Begin,
    /// Only events of this session.
    session: Option<String>,
    /// Only types that match one of these globs.
    #[schema(example = json!(["mail.*"]))]
    types: Vec<String>,
    /// No types that match one of these globs.
    except: Vec<String>,
    /// Only events of at least this priority.
    priority: u8,
    /// The ack deadline of a delivery; 30 s unless it is given.
    deadline: Option<String>,
    /// How often an event is delivered before it is a dead letter; 5 unless it is given.
    max_deliveries: Option<u32>,
    /// How many deliveries may be out at once; 256 unless it is given.
    max_in_flight: Option<usize>,
    /// The backoff after an event's first failure; 1 s unless it is given.
    backoff: Option<String>,
    /// The maximum of the backoff; 60 s unless it is given.
    max_backoff: Option<String>,
    /// How many dead letters are kept; 10000 unless it is given.
    max_dead_letters: Option<usize>,
}

impl Settings {
    fn config(&self) -> Result<ConsumerConfig, Problem> {
        let mut config = self.begin.of(ConsumerConfig::new())?;
        if let Some(session) = &self.session {
            config = config.session(session.as_str())?;
        }
        for glob in &self.types {
            config = config.pattern(Pattern::new(glob)?);
        }
        for glob in &self.except {
            config = config.except(Pattern::new(glob)?);
        }
        config = config.priority_at_least(self.priority);
        if let Some(deadline) = &self.deadline {
            config = config.deadline(span("deadline", deadline)?);
        }
        if let Some(deliveries) = self.max_deliveries {
            config = config.max_deliveries(deliveries);
        }
        if let Some(events) = self.max_in_flight {
            config = config.max_in_flight(events);
        }
        if let Some(dead_letters) = self.max_dead_letters {
            config = config.max_dead_letters(dead_letters);
        }
        let (first, most) = config.backoffs();
        let given = |name, text: &Option<String>| text.as_deref().map(|text| span(name, text)).transpose();
        let first = given("backoff", &self.backoff)?.unwrap_or(first);
        Ok(config.backoff(first, given("max_backoff", &self.max_backoff)?.unwrap_or(most)))
    }
}

/// List the consumers with their progress.
#[utoipa::path(get, path = "/v1/consumers", tag = "consumers", params(Names), responses(
    (status = 200, description = "`consumers`: as `retold consumer ls -o json` has them; `next`: the `after` of the next page, or null",
        body = Object, content_type = "application/json"),
))]
async fn list(access: Access, app: State<App>, Asked(asked): Asked<Names>) -> Result<Answer, Problem> {
    access.everywhere(Scope::Read)?;
    let limit = limit(asked.limit)?;
    app.call(move |store| {
        let mut infos = store.consumers().list()?;
        infos.sort_by(|a, b| a.name.cmp(&b.name));
        let mut rest = infos.iter().filter(|info| asked.is_after(&info.name)).peekable();
        let (mut items, mut next) = (Items::new(limit), None);
        while let Some(info) = rest.next() {
            items.push(&ConsumerView::from(info))?;
            if items.is_full() {
                next = rest.peek().map(|_| &info.name);
                break;
            }
        }
        items.named("consumers", &next)
    })
    .await
}

fn shown(info: &ConsumerInfo) -> Result<Answer, Problem> {
    Answer::of(&ConsumerView::from(info))
}

/// Show a consumer: its settings, how far it is, and what is out.
#[utoipa::path(get, path = "/v1/consumers/{c}", tag = "consumers",
    params(("c" = String, Path, description = "The consumer", example = "mailer")),
    responses(
    (status = 200, description = "As `retold consumer show -o json` has it", body = Object, content_type = "application/json"),
    (status = 404, description = "There is no such consumer", body = Object, content_type = "application/problem+json"),
))]
async fn one(access: Access, app: State<App>, InPath(name): InPath<String>) -> Result<Answer, Problem> {
    access.everywhere(Scope::Read)?;
    app.call(move |store| shown(&store.consumers().info(&name)?)).await
}

/// Make a consumer. The same settings again change nothing; others are refused.
#[utoipa::path(put, path = "/v1/consumers/{c}", tag = "consumers",
    params(("c" = String, Path, description = "The consumer", example = "mailer")),
    request_body = Settings,
    responses(
    (status = 200, description = "It is there with these settings", body = Object, content_type = "application/json"),
    (status = 201, description = "It was made", body = Object, content_type = "application/json"),
    (status = 409, description = "It is there with other settings", body = Object, content_type = "application/problem+json"),
))]
async fn put(
    access: Access,
    State(app): State<App>,
    InPath(name): InPath<String>,
    Sent(sent): Sent<Settings>,
) -> Result<Answer, Problem> {
    access.everywhere(Scope::Admin)?;
    let (config, consumers) = (sent.config()?, app.store().consumers());
    let is_new = match consumers.info_async(&name).await {
        Err(Error::NotFound { .. }) => true,
        found => found.map(|_| false)?,
    };
    drop(consumers.open(&name, config).await?);
    let answer = shown(&consumers.info_async(&name).await?)?;
    Ok(if is_new { answer.created(format!("/v1/consumers/{}", in_path(&name))) } else { answer })
}

/// Remove a consumer and its dead letters.
#[utoipa::path(delete, path = "/v1/consumers/{c}", tag = "consumers",
    params(("c" = String, Path, description = "The consumer", example = "mailer")),
    responses(
    (status = 200, description = "It is gone, with so many dead letters", body = Object, content_type = "application/json"),
    (status = 404, description = "There is no such consumer", body = Object, content_type = "application/problem+json"),
))]
async fn remove(
    access: Access,
    State(app): State<App>,
    InPath(name): InPath<String>,
) -> Result<Answer, Problem> {
    access.everywhere(Scope::Admin)?;
    let dead_letters = app.store().consumers().remove(&name).await?;
    Answer::of(&json!({ "name": name, "dead_letters": dead_letters }))
}

/// Begin a consumer anew. What is out can't be resolved any more, and dead letters stay.
#[utoipa::path(post, path = "/v1/consumers/{c}/reset", tag = "consumers",
    params(("c" = String, Path, description = "The consumer", example = "mailer")),
    request_body = Begin,
    responses(
    (status = 200, description = "The consumer", body = Object, content_type = "application/json"),
    (status = 404, description = "There is no such consumer", body = Object, content_type = "application/problem+json"),
))]
async fn reset(
    access: Access,
    State(app): State<App>,
    InPath(name): InPath<String>,
    Sent(sent): Sent<Begin>,
) -> Result<Answer, Problem> {
    access.everywhere(Scope::Admin)?;
    let consumers = app.store().consumers();
    consumers.reset(&name, sent.of(ConsumerConfig::new())?).await?;
    Ok(shown(&consumers.info_async(&name).await?)?.status(StatusCode::OK))
}
