//! What a token is told of a stream: nothing of events that it may not read, neither that they are there nor how many.

use std::pin::Pin;
use std::task::{Context, Poll};

use futures_util::Stream;
use retold::{Error, Event, Followed, Following, Store};
use serde_json::json;

use super::asked::From;
use super::feed::Feed;
use super::line_cursor::LineCursors;
use super::pick::Pick;
use crate::access::Access;
use crate::problem::Problem;
use crate::tokens::Scope;

/// Events in a row that are passed over before others have their turn.
const IN_A_ROW: usize = 256;

/// Where a stream begins.
#[derive(Clone, Debug)]
pub(super) enum Begin {
    From(From),
    Cursor(String),
}

/// What is told, each with the cursor that goes on after it.
#[derive(Clone, Debug)]
pub(super) enum Told {
    Event {
        event: Box<Event>,
        id: String,
    },
    /// Events were removed before they were told; `first` is the first that may be left.
    Gap {
        first: u64,
        id: String,
    },
    /// All that was recorded before was told. Without a cursor where that would count what others append.
    CaughtUp {
        id: Option<String>,
    },
    /// An event that can't be told, and the stream goes on.
    Stuck(Problem),
    /// The stream ends with this.
    Failed(Problem),
}

/// A stream for a token.
#[derive(Debug)]
pub(super) struct Watch {
    following: Following,
    feed: Feed,
    access: Access,
    pick: Pick,
    cursors: LineCursors,
    is_narrow: bool,
    is_over: bool,
}

impl Watch {
    /// Begins to follow.
    pub(super) async fn open(
        store: &Store,
        feed: Feed,
        access: Access,
        pick: Pick,
        begin: Begin,
        raw: bool,
    ) -> Result<Self, Problem> {
        feed.allowed(&access)?;
        let cursors = LineCursors::of(&feed);
        let is_narrow = feed.is_narrow(access.token());
        let mut follow = feed.follow()?.filter(pick.filter());
        follow = match (begin, &feed) {
            (Begin::From(From::Start), _) => follow.from_start(),
            (Begin::From(From::End), _) => follow.from_end(),
            (Begin::From(From::Number(number)), Feed::Branch(_)) => follow.after(number.saturating_sub(1)),
            (Begin::From(From::Number(number)), _) => follow.after_position(number.saturating_sub(1)),
            (Begin::Cursor(cursor), _) => follow.cursor(cursors.read(&cursor)?),
        };
        if is_narrow {
            // To be refused beyond the end would tell where that is.
            follow = follow.wait_for_start();
        }
        if raw {
            follow = follow.raw();
        }
        let following = store.follow_async(follow).await.map_err(|error| feed.problem(error, &access))?;
        Ok(Self { following, feed, access, pick, cursors, is_narrow, is_over: false })
    }

    /// What comes next. Dropping the future loses nothing.
    pub(super) async fn next(&mut self) -> Option<Told> {
        std::future::poll_fn(|cx| self.poll_told(cx)).await
    }

    /// The next, or `None` at the end: when the branch or the store is closed, or after a failure.
    pub(super) fn poll_told(&mut self, cx: &mut Context<'_>) -> Poll<Option<Told>> {
        if self.is_over {
            return Poll::Ready(None);
        }
        for _ in 0..IN_A_ROW {
            match Pin::new(&mut self.following).poll_next(cx) {
                Poll::Pending => return Poll::Pending,
                Poll::Ready(None) => {
                    self.is_over = true;
                    return Poll::Ready(None);
                }
                Poll::Ready(Some(item)) => {
                    if let Some(told) = self.told(item) {
                        return Poll::Ready(Some(told));
                    }
                }
            }
        }
        cx.waker().wake_by_ref();
        Poll::Pending
    }

    fn told(&mut self, item: Result<Followed, Error>) -> Option<Told> {
        match item {
            Ok(Followed::Event { event, cursor }) => {
                let may = self.access.may(Scope::Read, event.session());
                let is_told = may && !self.pick.leaves_out(event.kind());
                is_told.then(|| Told::Event { event: Box::new(event), id: self.cursors.write(cursor) })
            }
            Ok(Followed::CaughtUp { cursor }) => {
                Some(Told::CaughtUp { id: (!self.is_narrow).then(|| self.cursors.write(cursor)) })
            }
            Ok(Followed::Gap { first, cursor }) => {
                (!self.is_narrow).then(|| Told::Gap { first, id: self.cursors.write(cursor) })
            }
            // Notices of a later release.
            Ok(_) => None,
            Err(Error::Upcast { at, .. }) if !self.access.may(Scope::Read, at.session()) => None,
            Err(error @ Error::Upcast { .. }) => Some(Told::Stuck(stuck(error))),
            // It is tried again, after a pause, by the store.
            Err(Error::Locked { .. } | Error::OwnerLost { .. } | Error::NoAnswer { .. }) => None,
            Err(error) => {
                self.is_over = true;
                Some(Told::Failed(self.feed.problem(error, &self.access)))
            }
        }
    }
}

/// The problem of an event that can't be made new, with its place.
pub(super) fn stuck(error: Error) -> Problem {
    let Error::Upcast { at, position, .. } = &error else { return error.into() };
    let place = [
        ("session", json!(at.session().as_str())),
        ("branch", json!(at.branch().as_str())),
        ("sequence", json!(at.sequence().map(retold::Sequence::get))),
        ("position", json!(position.get())),
    ];
    place.into_iter().fold(Problem::from(error), |problem, (name, value)| problem.with(name, value))
}
