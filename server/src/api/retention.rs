//! Retention: which sessions are over a limit, and their end. Nothing happens by itself.

use axum::extract::State;
use retold::event::NamePattern;
use retold::lifecycle::RetentionPolicy;
use retold::wire::RetiredView;
use serde::Deserialize;
use utoipa::ToSchema;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::answer::Answer;
use super::asked::{Sent, span};
use crate::access::Access;
use crate::app::App;
use crate::bounds::unhurried;
use crate::input::invalid;
use crate::problem::Problem;
use crate::tokens::Scope;

pub(crate) fn routes() -> OpenApiRouter<App> {
    OpenApiRouter::new().routes(unhurried(routes!(retain)))
}

/// What is kept: at least one limit. All that are given apply.
#[derive(Debug, Default, Deserialize, ToSchema)]
#[serde(default, deny_unknown_fields)]
struct Policy {
    /// Only sessions whose name matches this glob, with `*` and `?`.
    #[schema(example = "nightly-*")]
    sessions: Option<String>,
    /// Delete sessions whose latest event is older than this: `90d`.
    #[schema(example = "90d")]
    max_age: Option<String>,
    /// Keep this many of the newest sessions.
    max_sessions: Option<u64>,
    /// Keep the newest sessions up to this many bytes of events. Reads the whole store.
    max_bytes: Option<u64>,
    /// Keep this many of the latest events of each branch.
    max_events: Option<u64>,
    /// Say what would be removed, and change nothing.
    dry_run: bool,
}

impl Policy {
    fn policy(&self) -> Result<RetentionPolicy, Problem> {
        let mut policy = RetentionPolicy::new();
        let has_limit = self.max_age.is_some()
            || [self.max_sessions, self.max_bytes, self.max_events].iter().any(Option::is_some);
        if !has_limit {
            return Err(invalid(
                "retention",
                "has no limit: give max_age, max_sessions, max_bytes or max_events",
            ));
        }
        let max_age = self.max_age.as_deref().map(|age| span("max_age", age)).transpose()?;
        // What an empty variable of a template leaves behind.
        if [self.max_sessions, self.max_bytes, self.max_events].contains(&Some(0))
            || max_age.is_some_and(|age| age.is_zero())
        {
            let most = "max_age, max_sessions, max_bytes and max_events are more than 0";
            return Err(invalid("retention", format!("would keep nothing: {most}")));
        }
        if let Some(names) = &self.sessions {
            policy = policy.sessions(NamePattern::new(names)?);
        }
        if let Some(age) = max_age {
            policy = policy.max_age(age);
        }
        if let Some(sessions) = self.max_sessions {
            policy = policy.max_sessions(sessions);
        }
        if let Some(bytes) = self.max_bytes {
            policy = policy.max_bytes(bytes);
        }
        if let Some(events) = self.max_events {
            policy = policy.max_events(events);
        }
        Ok(policy)
    }
}

/// Delete what is over the limits of a policy. Sessions with a lease are kept.
#[utoipa::path(post, path = "/v1/retention", tag = "store", request_body = Policy, responses(
    (status = 200, description = "What was removed, as `retold retain -o json` has it", body = Object, content_type = "application/json"),
    (status = 400, description = "There is no limit, or one would keep nothing", body = Object, content_type = "application/problem+json"),
))]
async fn retain(access: Access, app: State<App>, Sent(sent): Sent<Policy>) -> Result<Answer, Problem> {
    access.everywhere(Scope::Admin)?;
    let policy = sent.policy()?;
    app.call(move |store| {
        let lifecycle = store.lifecycle();
        let retired =
            if sent.dry_run { lifecycle.preview_retention(&policy)? } else { lifecycle.retain(&policy)? };
        Answer::of(&RetiredView::new(&retired, sent.dry_run))
    })
    .await
}
