//! What a token is told of a stream: nothing of events that it may not read, neither that they are there nor how many.
//!
//! The store is followed without a filter, and what is wanted is picked here: so the filter can change on the way, and what was
//! passed over moves the cursor too.

use std::pin::Pin;
use std::task::{Context, Poll, ready};

use futures_util::Stream;
use retold::{Cursor, Error, Event, Followed, Following};

use super::asked::From;
use super::feed::Feed;
use super::line_cursor::{LineCursors, LinePlace};
use super::pick::{Pick, PickText};
use super::stuck;
use super::turn::Turn;
use crate::access::Access;
use crate::app::App;
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
    /// All that was recorded before was told.
    CaughtUp {
        id: String,
    },
    /// An event that can't be told, and the stream goes on.
    Stuck(Problem),
    /// The stream ends with this: it is not all that there is.
    Failed(Problem),
    /// The stream ends.
    End(Ended),
}

/// Why a stream ends that has not failed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Ended {
    /// The branch was closed, and all of it was told.
    Closed,
    /// The server ends, or its store was closed: there may be more.
    Closing,
}

impl Ended {
    pub(super) fn reason(self) -> &'static str {
        match self {
            Self::Closed => "closed",
            Self::Closing => "closing",
        }
    }
}

/// Looks something up before the stream goes on; what is to be told of it, if anything.
type Aside = Pin<Box<dyn Future<Output = Option<Told>> + Send>>;

/// A stream for a token.
pub(super) struct Watch {
    app: App,
    following: Following,
    aside: Option<Aside>,
    feed: Feed,
    access: Access,
    pick: Pick,
    cursors: LineCursors,
    is_narrow: bool,
    /// To read what was recorded; nothing once it has caught up.
    turn: Option<Turn>,
    /// After what was looked at last, whether it was told or not.
    at: Option<Cursor>,
    /// The last cursor that the reader has.
    told_at: Option<Cursor>,
    is_over: bool,
}

impl Watch {
    /// Begins to follow.
    pub(super) async fn open(
        app: &App,
        feed: Feed,
        access: Access,
        text: &PickText,
        begin: Begin,
        raw: bool,
    ) -> Result<Self, Problem> {
        feed.allowed(&access)?;
        let store = app.store();
        let cursors = LineCursors::of(app.cursor_key(), store.id(), &feed, access.token());
        let is_narrow = feed.is_narrow(access.token());
        let place = match &begin {
            Begin::From(_) => None,
            Begin::Cursor(cursor) => Some(cursors.read(cursor)?),
        };
        let began = place.and_then(|place| place.began).unwrap_or_else(retold::Timestamp::now);
        let pick = text.pick(store.catalogue(), began)?;
        let mut follow = feed.follow()?;
        follow = match (begin, place, &feed) {
            (_, Some(place), _) => follow.cursor(place.cursor),
            (Begin::From(From::End), ..) => follow.from_end(),
            (Begin::From(From::Number(number)), _, Feed::Branch(_)) => follow.after(number.saturating_sub(1)),
            (Begin::From(From::Number(number)), ..) => follow.after_position(number.saturating_sub(1)),
            (Begin::From(From::Start) | Begin::Cursor(_), ..) => follow.from_start(),
        };
        if is_narrow {
            // To be refused beyond the end would tell where that is.
            follow = follow.wait_for_start();
        }
        if raw {
            follow = follow.raw();
        }
        let of = feed.clone();
        app.call(move |store| of.check(store)).await?;
        let following = store.follow_async(follow).await.map_err(|error| feed.problem(error, &access))?;
        Ok(Self {
            app: app.clone(),
            following,
            aside: None,
            feed,
            access,
            pick,
            cursors,
            is_narrow,
            turn: Some(Turn::new(app.replays())),
            at: None,
            told_at: None,
            is_over: false,
        })
    }

    /// Another filter for what comes next.
    pub(super) fn set_pick(&mut self, pick: Pick) {
        self.pick = pick;
    }

    /// Whether an event is for this token, and wanted.
    pub(super) fn takes(&self, event: &Event) -> bool {
        self.access.may(Scope::Read, event.session()) && self.pick.takes(event)
    }

    /// What comes next. Dropping the future loses nothing.
    pub(super) async fn next(&mut self) -> Option<Told> {
        std::future::poll_fn(|cx| self.poll_told(cx)).await
    }

    /// The next, or `None` after the last one.
    pub(super) fn poll_told(&mut self, cx: &mut Context<'_>) -> Poll<Option<Told>> {
        let told = self.poll_any(cx);
        if told.is_ready() {
            self.rest();
        }
        told
    }

    /// Lets others read, until this one is polled again.
    pub(super) fn rest(&mut self) {
        if let Some(turn) = &mut self.turn {
            turn.rest();
        }
    }

    fn poll_any(&mut self, cx: &mut Context<'_>) -> Poll<Option<Told>> {
        for _ in 0..IN_A_ROW {
            let told = if let Some(aside) = &mut self.aside {
                let told = ready!(aside.as_mut().poll(cx));
                self.aside = None;
                told
            } else if self.is_over {
                return Poll::Ready(None);
            } else {
                if let Some(turn) = &mut self.turn {
                    ready!(turn.poll(cx));
                }
                match ready!(Pin::new(&mut self.following).poll_next(cx)) {
                    Some(item) => self.told(item),
                    None => {
                        self.aside = Some(self.ended());
                        None
                    }
                }
            };
            if let Some(told) = told {
                self.is_over = matches!(told, Told::Failed(_) | Told::End(_));
                return Poll::Ready(Some(told));
            }
        }
        self.rest();
        cx.waker().wake_by_ref();
        Poll::Pending
    }

    fn told(&mut self, item: Result<Followed, Error>) -> Option<Told> {
        match item {
            Ok(Followed::Event { event, cursor }) => {
                self.at = Some(cursor);
                self.takes(&event).then(|| Told::Event { event: Box::new(event), id: self.id(cursor) })
            }
            Ok(Followed::CaughtUp { cursor }) => {
                self.at = Some(cursor);
                self.turn = None;
                Some(Told::CaughtUp { id: self.id(cursor) })
            }
            Ok(Followed::Gap { first, cursor }) => {
                self.at = Some(cursor);
                (!self.is_narrow).then(|| Told::Gap { first, id: self.id(cursor) })
            }
            // Notices of a later release.
            Ok(_) => None,
            Err(Error::Upcast { ref at, .. }) if !self.access.may(Scope::Read, at.session()) => None,
            Err(error @ Error::Upcast { .. }) => {
                self.aside = Some(self.stuck(error));
                None
            }
            // It is tried again, after a pause, by the store.
            Err(Error::Locked { .. } | Error::OwnerLost { .. } | Error::NoAnswer { .. }) => None,
            Err(error) => Some(Told::Failed(self.feed.problem(error, &self.access))),
        }
    }

    fn id(&mut self, cursor: Cursor) -> String {
        self.told_at = Some(cursor);
        self.cursors.write(LinePlace { cursor, began: self.pick.began() })
    }

    /// A cursor for a reader that was told nothing for a while. For a token of some sessions there always is one: that there is
    /// none would tell that nobody appends.
    pub(super) fn idle(&mut self) -> Option<String> {
        let at = self.at.filter(|at| self.is_narrow || self.told_at != Some(*at))?;
        Some(self.id(at))
    }

    /// Tells of an event that can't be made new, if it is asked for.
    fn stuck(&self, error: Error) -> Aside {
        let (app, pick) = (self.app.clone(), self.pick.clone());
        let (feed, access) = (self.feed.clone(), self.access.clone());
        Box::pin(async move {
            let told = app.call(move |store| {
                let told = stuck::told(store, &pick, error);
                told.map_err(|error| feed.problem(error, &access))
            });
            match told.await {
                Ok(told) => told.map(Told::Stuck),
                Err(problem) => Some(Told::Failed(problem)),
            }
        })
    }

    /// Looks why there is no more: a branch may be closed, the others only end with the store.
    fn ended(&self) -> Aside {
        let (app, feed) = (self.app.clone(), self.feed.clone());
        Box::pin(async move {
            let Feed::Branch(address) = feed else { return Some(Told::End(Ended::Closing)) };
            let branch = app.call(move |store| store.branch(&address)).await;
            let is_closed = branch.is_ok_and(|branch| branch.closed.is_some());
            Some(Told::End(if is_closed { Ended::Closed } else { Ended::Closing }))
        })
    }
}
