//! Backups, made into the folder that the server was started with.

use std::path::{Path, PathBuf};

use axum::extract::State;
use axum::http::StatusCode;
use retold::error::Error;
use retold::wire::BackupView;
use serde::Deserialize;
use serde_json::{Map, Value};
use utoipa::ToSchema;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::answer::Answer;
use super::asked::Sent;
use crate::access::Access;
use crate::app::App;
use crate::bounds::unhurried;
use crate::input::invalid;
use crate::problem::Problem;
use crate::tokens::Scope;

/// Bytes of the name of a file.
const NAME_BYTES: usize = 128;

pub(crate) fn routes() -> OpenApiRouter<App> {
    OpenApiRouter::new().routes(unhurried(routes!(backup)))
}

/// What the new file is called.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct Backup {
    /// Its name in the folder of backups: letters, digits, `-`, `_` and `.`. There must be no such file.
    #[schema(example = "runs-2026-11-28.redb")]
    name: String,
    /// Write only what is new since this backup of the same folder.
    since: Option<String>,
}

/// A file of the folder: one that can't be anywhere else.
fn file(folder: &Path, name: &'static str, text: &str) -> Result<PathBuf, Problem> {
    let is_plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.');
    if text.is_empty() || text.len() > NAME_BYTES || text.starts_with('.') || !text.chars().all(is_plain) {
        let what = "use 1 to 128 letters, digits, `-`, `_` and `.`, and begin with none of the dots";
        return Err(invalid(name, format!("`{}` is not a name of a backup; {what}", text.escape_debug())));
    }
    Ok(folder.join(text))
}

/// Make a backup while the store is in use. It is checked before the answer comes.
#[utoipa::path(post, path = "/v1/backup", tag = "store", request_body = Backup, responses(
    (status = 201, description = "The `name`, the `position` up to which it goes, and its size", body = Object, content_type = "application/json"),
    (status = 400, description = "A name can't be used, or `since` is no base of a backup of this store", body = Object, content_type = "application/problem+json"),
    (status = 403, description = "The server was started without a folder of backups", body = Object, content_type = "application/problem+json"),
    (status = 404, description = "There is no backup `since`", body = Object, content_type = "application/problem+json"),
    (status = 409, description = "There is a file of this name", body = Object, content_type = "application/problem+json"),
))]
async fn backup(access: Access, State(app): State<App>, Sent(sent): Sent<Backup>) -> Result<Answer, Problem> {
    access.everywhere(Scope::Admin)?;
    let Some(folder) = app.backups() else {
        return Err(Problem::forbidden(
            "the server makes no backups: it was started without a folder for them",
        ));
    };
    let to = file(folder, "name", &sent.name)?;
    let since = sent.since.as_deref().map(|since| file(folder, "since", since)).transpose()?;
    app.call(move |store| {
        let made = store.maintenance().backup_with(&to, since.as_deref(), |_, _| {});
        let made = made.map_err(|error| named(error, &sent, since.as_deref()))?;
        let text = Answer::of(&BackupView::from(&made))?;
        let mut members: Map<String, Value> = serde_json::from_str(text.text()).unwrap_or_default();
        // Where the folder is concerns who started the server.
        members.remove("path");
        members.insert("name".to_owned(), sent.name.into());
        Ok::<_, Problem>(Answer::of(&members)?.status(StatusCode::CREATED))
    })
    .await
}

/// What went wrong, with the names of the request in place of paths.
fn named(error: Error, sent: &Backup, since: Option<&Path>) -> Problem {
    let is_of = |path: &Path| error.to_string().contains(&path.display().to_string());
    let detail = match (&error, &sent.since) {
        (Error::Exists { .. }, _) => format!("there is already a file {}; give another name", sent.name),
        (Error::NotFound { .. }, Some(name)) => format!("there is no backup {name}"),
        (Error::Storage { .. } | Error::Locked { .. }, _) => return error.into(),
        // Whatever is wrong with that file.
        (_, Some(name)) if since.is_some_and(is_of) => {
            let detail = format!("{name} is not a base for a backup of this store; make a full one");
            return Problem::new(StatusCode::BAD_REQUEST, "not-a-base", detail);
        }
        _ => return error.into(),
    };
    Problem::from(error).detailed(detail)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_backup_stays_in_its_folder() {
        let folder = Path::new("/backups");
        assert_eq!(file(folder, "name", "a-1.redb").unwrap(), folder.join("a-1.redb"));
        for bad in
            ["", ".", "..", "../a", "a/b", "/etc/a", ".hidden", "a\\b", "a b", "a\0", "ü", &"a".repeat(129)]
        {
            assert_eq!(file(folder, "name", bad).unwrap_err().name(), "invalid", "{bad:?}");
        }
    }
}
