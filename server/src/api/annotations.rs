//! Labels of sessions, and notes on them: events of the branch `annotations`.

use std::collections::BTreeMap;

use axum::extract::State;
use retold::agents::projections::{Annotated, Annotations};
use retold::error::Error;
use retold::event::payload::Payload;
use retold::event::payload::session::{SessionLabelled, SessionNoted, SessionUnlabelled};
use retold::event::{NewEvent, SessionId};
use retold::wire::{Appended, LabelView};
use serde::Deserialize;
use utoipa::ToSchema;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::answer::{Answer, Items};
use super::asked::Sent;
use crate::access::Access;
use crate::app::App;
use crate::input::{InPath, in_path, invalid, session};
use crate::problem::Problem;
use crate::tokens::Scope;

pub(crate) fn routes() -> OpenApiRouter<App> {
    OpenApiRouter::new().routes(routes!(labels, label)).routes(routes!(notes, note))
}

/// What is changed of the labels.
#[derive(Debug, Default, Deserialize, ToSchema)]
#[serde(default, deny_unknown_fields)]
struct Change {
    /// Labels to set, by key; they replace the values that the keys have.
    #[schema(example = json!({"team": "search"}))]
    set: BTreeMap<String, String>,
    /// Keys of labels to remove.
    remove: Vec<String>,
    /// Who changes them.
    actor: Option<String>,
}

/// A note.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct Note {
    /// What it says.
    #[schema(example = "the cause is in normalize()")]
    text: String,
    /// Who writes it.
    actor: Option<String>,
}

fn by(event: NewEvent, actor: Option<&str>) -> NewEvent {
    match actor {
        Some(actor) => event.actor(actor.to_owned()),
        None => event,
    }
}

/// The labels of a session, of which there are 64 at the most.
#[utoipa::path(get, path = "/v1/sessions/{s}/labels", tag = "sessions",
    params(("s" = String, Path, description = "The session")),
    responses(
    (status = 200, description = "`labels`: as `retold label -o json` has them", body = Object, content_type = "application/json"),
    (status = 404, description = "There is no such session", body = Object, content_type = "application/problem+json"),
))]
async fn labels(access: Access, app: State<App>, InPath(name): InPath<String>) -> Result<Answer, Problem> {
    let session = session(&name)?;
    access.session(Scope::Read, &session)?;
    app.call(move |store| listed(&session, &Annotations::of(store, &session)?)).await
}

fn listed(session: &SessionId, annotated: &Annotated) -> Result<Answer, Problem> {
    let mut items = Items::new(usize::MAX);
    annotated.labels.iter().try_for_each(|(key, label)| items.push(&LabelView::new(session, key, label)))?;
    items.named("labels", &None::<String>)
}

/// Set and remove labels, in one commit.
#[utoipa::path(post, path = "/v1/sessions/{s}/labels", tag = "sessions",
    params(("s" = String, Path, description = "The session")),
    request_body = Change,
    responses(
    (status = 200, description = "`labels`: those that it has now", body = Object, content_type = "application/json"),
    (status = 404, description = "There is no such session, or it has no such label", body = Object, content_type = "application/problem+json"),
))]
async fn label(
    access: Access,
    app: State<App>,
    InPath(name): InPath<String>,
    Sent(sent): Sent<Change>,
) -> Result<Answer, Problem> {
    let session = session(&name)?;
    access.session(Scope::Append, &session)?;
    if let Some(key) = sent.remove.iter().find(|key| sent.set.contains_key(*key)) {
        return Err(invalid("remove", format!("the label {key} is both set and removed")));
    }
    app.call(move |store| {
        let known = Annotations::of(store, &session)?.labels;
        let mut events = Vec::new();
        for (key, value) in &sent.set {
            let event = SessionLabelled::new(key, value)?.event()?;
            if known.get(key).is_none_or(|label| label.value != *value) {
                events.push(by(event, sent.actor.as_deref()));
            }
        }
        let mut keys = sent.remove;
        keys.sort();
        keys.dedup();
        for key in keys {
            let event = SessionUnlabelled::new(key.clone())?.event()?;
            if !known.contains_key(&key) {
                return Err(Error::not_found("label", format!("{key} on {session}")).into());
            }
            events.push(by(event, sent.actor.as_deref()));
        }
        if !events.is_empty() {
            Annotations::write(store, &session, events)?;
        }
        listed(&session, &Annotations::of(store, &session)?)
    })
    .await
}

/// The latest notes on a session, oldest first, and how many there are.
#[utoipa::path(get, path = "/v1/sessions/{s}/notes", tag = "sessions",
    params(("s" = String, Path, description = "The session")),
    responses(
    (status = 200, description = "`notes`, and in `noted` how many were ever written", body = Object, content_type = "application/json"),
    (status = 404, description = "There is no such session", body = Object, content_type = "application/problem+json"),
))]
async fn notes(access: Access, app: State<App>, InPath(name): InPath<String>) -> Result<Answer, Problem> {
    let session = session(&name)?;
    access.session(Scope::Read, &session)?;
    app.call(move |store| {
        let annotated = Annotations::of(store, &session)?;
        Answer::of(&serde_json::json!({ "session": session.as_str(), "noted": annotated.noted, "notes": annotated.notes }))
    })
    .await
}

/// Write a note on a session.
#[utoipa::path(post, path = "/v1/sessions/{s}/notes", tag = "sessions",
    params(("s" = String, Path, description = "The session")),
    request_body = Note,
    responses(
    (status = 201, description = "Where the note is", body = Object, content_type = "application/json"),
    (status = 404, description = "There is no such session", body = Object, content_type = "application/problem+json"),
))]
async fn note(
    access: Access,
    app: State<App>,
    InPath(name): InPath<String>,
    Sent(sent): Sent<Note>,
) -> Result<Answer, Problem> {
    let session = session(&name)?;
    access.session(Scope::Append, &session)?;
    app.call(move |store| {
        let event = by(SessionNoted::new(sent.text)?.event()?, sent.actor.as_deref());
        let id = event.id();
        let receipt = Annotations::write(store, &session, vec![event])?;
        let placed = receipt.parts().first().ok_or_else(|| Error::not_found("note", id))?;
        let location = format!("/v1/sessions/{}/notes", in_path(session.as_str()));
        Answer::of(&Appended::new(placed, id, &receipt)).map(|answer| answer.created(location))
    })
    .await
}
