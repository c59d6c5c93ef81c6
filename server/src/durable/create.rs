//! Making streams: new ones, forks, and those that are there already as they are asked for.

use axum::http::StatusCode;
use bytes::Bytes;
use retold::{Batch, Error, Expect, Receipt};

use super::asked::{NewFork, NewStream};
use super::directory::{Directory, Entry, Found, Live};
use super::fork::{Cut, cut};
use super::payloads::{created, essence, events, forked, messages};
use super::record::{ClosedBy, ForkedFrom, StreamRow, encoded, fork_key, stream_key};
use super::refusals::busy;
use crate::problem::Problem;

/// How often it is tried again because others have changed what it relies on.
const TRIES: u32 = 16;

/// The stream that is there now.
#[derive(Debug)]
pub(super) struct Put {
    /// It was not there before.
    pub(super) is_new: bool,
    pub(super) content_type: String,
    /// The offset after everything that it has.
    pub(super) end: u64,
    pub(super) is_closed: bool,
}

/// Makes a stream, or finds it as it is asked for. Blocks.
pub(super) fn put(of: &Directory, path: &str, asked: &NewStream, body: &Bytes) -> Result<Put, Problem> {
    for _ in 0..TRIES {
        let before = match of.find(path)? {
            Found::Live(live) => return known(&live, asked),
            Found::Gone => {
                let detail = "the stream at this path was deleted, and its forks still need it: delete them first, or take another path";
                return Err(Problem::new(StatusCode::CONFLICT, "deleted", detail));
            }
            Found::Nothing(before) => before,
        };
        let made = match &asked.fork {
            None => new(of, path, before.as_deref(), asked, body),
            Some(fork) => new_fork(of, path, before.as_deref(), asked, fork, body),
        };
        match made {
            Ok(made) => return finished(of, before.as_deref(), made),
            // Somebody else made it, or closed the source of the fork.
            Err(Refused::Store(Error::RecordChanged { .. })) => {}
            Err(Refused::Store(error)) => return Err(error.into()),
            Err(Refused::Asked(problem)) => return Err(problem),
        }
    }
    Err(busy())
}

/// Why nothing was made.
enum Refused {
    Store(Error),
    Asked(Problem),
}

impl From<Error> for Refused {
    fn from(error: Error) -> Self {
        Self::Store(error)
    }
}

impl From<retold::Invalid> for Refused {
    fn from(invalid: retold::Invalid) -> Self {
        Self::Store(invalid.into())
    }
}

impl From<Problem> for Refused {
    fn from(problem: Problem) -> Self {
        Self::Asked(problem)
    }
}

fn differs(what: &str) -> Problem {
    let detail = format!("there is a stream at this path already, with another {what}");
    Problem::new(StatusCode::CONFLICT, "exists", detail)
}

/// The stream that is there, if it is as asked for.
fn known(live: &Live, asked: &NewStream) -> Result<Put, Problem> {
    let row = &live.entry.row;
    let is_fork = asked.fork.is_some();
    // A fork has what it does not say from its source.
    let is_same = |given: bool, same: bool| same || (is_fork && !given);
    let content_type = essence(&asked.own_type()) == essence(&row.content_type);
    if !is_same(asked.content_type.is_some(), content_type) {
        return Err(differs("Content-Type"));
    }
    let expires = asked.ttl == row.ttl && asked.expires == row.expires;
    if !is_same(asked.ttl.is_some() || asked.expires.is_some(), expires) {
        return Err(differs("time to live"));
    }
    if asked.is_closed != live.is_closed() {
        return Err(differs("state: one of the two is closed"));
    }
    let is_same_fork = match (&asked.fork, &row.fork) {
        (None, None) => true,
        (Some(asked), Some(row)) => asked.is_of(row),
        _ => false,
    };
    if !is_same_fork {
        return Err(differs("source"));
    }
    Ok(Put {
        is_new: false,
        content_type: row.content_type.clone(),
        end: live.end(),
        is_closed: live.is_closed(),
    })
}

/// What was made: its record, and the offset after everything that it has.
type Made = (StreamRow, u64);

fn new(
    of: &Directory,
    path: &str,
    before: Option<&Entry>,
    asked: &NewStream,
    body: &Bytes,
) -> Result<Made, Refused> {
    let content_type = asked.own_type();
    let first = created(path, &content_type);
    let data = messages(&content_type, body)?;
    let all = std::iter::once(first).chain(events(&content_type, data));
    let mut row = StreamRow::new(content_type.clone());
    (row.ttl, row.expires) = (asked.ttl, asked.expires);
    row.closed = asked.is_closed.then(ClosedBy::default);
    let batch = Batch::new().add(&row.address()?, Expect::Empty, all.collect::<Vec<_>>())?;
    let key = stream_key(path);
    let changes = of.sidecar().changes().expect(&key, before.map(|of| of.stored.clone()));
    let receipt = of.store().append_batch(batch.sidecar(changes.put(&key, encoded(&row)))?)?;
    Ok((row, receipt.last().get()))
}

fn new_fork(
    of: &Directory,
    path: &str,
    before: Option<&Entry>,
    asked: &NewStream,
    fork: &NewFork,
    body: &Bytes,
) -> Result<Made, Refused> {
    let from = fork.path()?;
    let source = match of.find(from)? {
        Found::Live(source) => source,
        Found::Gone => return Err(source_deleted().into()),
        Found::Nothing(_) => {
            return Err(Problem::not_found("there is no stream to be forked at that path").into());
        }
    };
    let row = &source.entry.row;
    if asked.content_type.as_ref().is_some_and(|given| essence(given) != essence(&row.content_type)) {
        let detail =
            format!("the source has the Content-Type {}, and so has each fork of it", row.content_type);
        return Err(Problem::new(StatusCode::CONFLICT, "type-differs", detail).into());
    }
    let Cut { asked: at, after, rest } = cut(of.store(), &source, fork)?;
    let record =
        ForkedFrom { path: from.to_owned(), incarnation: row.incarnation.clone(), at, sub: fork.sub };
    let mut new = StreamRow::fork_of(row, record);
    (new.ttl, new.expires) = match (asked.ttl, asked.expires) {
        (None, None) => (row.ttl, row.expires),
        given => given,
    };
    new.closed = asked.is_closed.then(ClosedBy::default);
    let data = rest.into_iter().chain(messages(&row.content_type, body)?).collect();
    let all = std::iter::once(forked(path, from)).chain(events(&row.content_type, data));
    let parent = row.address()?.at(after);
    let batch = Batch::new().fork(&parent, new.branch())?.add(
        &new.address()?,
        Expect::Head(after.into()),
        all.collect::<Vec<_>>(),
    )?;
    let key = stream_key(path);
    let changes = of
        .sidecar()
        .changes()
        .expect(stream_key(from), Some(source.entry.stored.clone()))
        .expect(&key, before.map(|of| of.stored.clone()))
        .put(&key, encoded(&new))
        .put(fork_key(&row.incarnation, &new.incarnation), path);
    let appended = of.store().append_batch(batch.sidecar(changes)?);
    let receipt: Receipt = match appended {
        // It went in this moment.
        Err(Error::Deleted { .. } | Error::NotFound { .. }) => return Err(source_deleted().into()),
        other => other?,
    };
    Ok((new, receipt.last().get()))
}

fn source_deleted() -> Problem {
    Problem::new(
        StatusCode::CONFLICT,
        "deleted",
        "the stream to be forked was deleted; only its forks are left",
    )
}

/// What else belongs to a stream that was just made. Until then nobody has its offsets.
fn finished(of: &Directory, before: Option<&Entry>, (row, end): Made) -> Result<Put, Problem> {
    of.set_expiry(&row)?;
    if row.closed.is_some() {
        of.close(&row)?;
    }
    if let Some(before) = before {
        // The stream that had this path before is gone for good: so may be those that it was forked from.
        if let Some(source) = of.forget(&before.row)? {
            of.clear(source)?;
        }
    }
    Ok(Put { is_new: true, is_closed: row.closed.is_some(), content_type: row.content_type, end })
}
