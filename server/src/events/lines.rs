//! Events as lines of JSON: all that there are, one after another, in bounded memory.

use std::convert::Infallible;

use bytes::Bytes;
use futures_util::{FutureExt, Stream};
use retold::{Error, Query, Store};
use serde_json::json;

use super::asked::{Asked, From};
use super::feed::{Feed, bad_cursor};
use super::stuck;
use crate::access::Access;
use crate::app::App;
use crate::problem::Problem;
use crate::streams::StreamPermit;
use crate::tokens::Scope;

/// Bytes that are sent together.
const AT_ONCE: usize = 32 * 1024;

/// Looks whether there is what is asked for. Blocks.
pub(super) fn query(store: &Store, feed: &Feed, asked: &Asked) -> Result<Query, Problem> {
    if asked.cursor.is_some() {
        return Err(bad_cursor("lines are not paged: they come to the end by themselves"));
    }
    asked.line_limit()?;
    feed.check(store)?;
    let mut query = feed.query()?;
    query = match asked.from {
        None | Some(From::Start) => query,
        Some(From::Number(number)) => query.from(number),
        Some(From::End) => query.limit(0),
    };
    if let Some(to) = asked.to {
        query = query.to(to);
    }
    if asked.reverse {
        query = query.reverse();
    }
    // What is not there any more is told by the status.
    let first = store.events(query.clone().limit(1).raw())?.next();
    if let Some(Err(error @ (Error::Truncated { .. } | Error::Deleted { .. }))) = first {
        return Err(error.into());
    }
    if asked.raw {
        query = query.raw();
    }
    Ok(query.filter(asked.pick.filter()))
}

/// The lines. An event that can't be made new, and what ends them early, is a line `{"error": …}`.
pub(super) fn lines(
    app: App,
    query: Query,
    (feed, asked, access): (Feed, Asked, Access),
    permit: StreamPermit,
) -> impl Stream<Item = Result<Bytes, Infallible>> {
    async_stream::stream! {
        let mut events = app.store().stream(query);
        let mut left = asked.line_limit().unwrap_or_default();
        let mut out = Vec::new();
        while left > 0 {
            let next = match events.next().now_or_never() {
                Some(next) => next,
                None => {
                    if !out.is_empty() {
                        yield Ok(Bytes::from(std::mem::take(&mut out)));
                    }
                    tokio::select! {
                        biased;
                        () = permit.ends().cancelled() => {
                            yield Ok(error(&crate::streams::ends()).into());
                            return;
                        }
                        next = events.next() => next,
                    }
                }
            };
            match next {
                None => break,
                Some(Ok(event)) => {
                    if !access.may(Scope::Read, event.session()) || asked.pick.leaves_out(event.kind()) {
                        continue;
                    }
                    asked.form.write(&event, &mut out);
                    out.push(b'\n');
                    left -= 1;
                }
                Some(Err(Error::Upcast { at, .. })) if !access.may(Scope::Read, at.session()) => {}
                Some(Err(old @ Error::Upcast { .. })) => {
                    let pick = asked.pick.clone();
                    match app.call(move |store| stuck::told(store, &pick, old)).await {
                        Ok(None) => {}
                        Ok(Some(problem)) => {
                            out.extend(error(&problem));
                            left -= 1;
                        }
                        Err(problem) => {
                            out.extend(error(&problem));
                            break;
                        }
                    }
                }
                Some(Err(other)) => {
                    out.extend(error(&feed.problem(other, &access)));
                    break;
                }
            }
            if out.len() >= AT_ONCE {
                yield Ok(Bytes::from(std::mem::take(&mut out)));
            }
        }
        if !out.is_empty() {
            yield Ok(Bytes::from(out));
        }
    }
}

fn error(problem: &Problem) -> Vec<u8> {
    format!("{}\n", json!({ "error": problem.to_json() })).into_bytes()
}
