//! The subscriptions of a connection, which take turns.

use std::task::{Context, Poll};

use axum::http::StatusCode;

use super::feed::Feed;
use super::pick::PickText;
use super::watch::{Begin, Told, Watch};
use super::web_messages::{Subscribe, control, error, event};
use crate::access::Access;
use crate::app::App;
use crate::problem::Problem;
use crate::streams::StreamPermit;

/// Subscriptions of one connection.
const MOST: usize = 32;

/// A subscription.
struct Subscription {
    id: String,
    feed: Feed,
    watch: Watch,
    /// Where it is: a new filter goes on from here.
    at: Begin,
    raw: bool,
    /// Events that may still be sent; `None` for any number.
    credit: Option<u64>,
    /// Counted among the streams of the token.
    _permit: StreamPermit,
}

/// Those of one connection.
#[derive(Default)]
pub(super) struct Subscriptions {
    all: Vec<Subscription>,
    /// Whose turn it is.
    turn: usize,
}

impl Subscriptions {
    /// Begins one.
    pub(super) async fn add(&mut self, app: &App, access: &Access, asked: Subscribe) -> Result<(), Problem> {
        let (feed, at) = asked.feed()?;
        if self.all.iter().any(|one| one.id == asked.id) {
            let detail = format!("there is a subscription {:?} already; end it first", asked.id);
            return Err(Problem::new(StatusCode::CONFLICT, "exists", detail));
        }
        if self.all.len() >= MOST {
            let detail = format!("a connection has at most {MOST} subscriptions; end one first");
            return Err(Problem::new(StatusCode::TOO_MANY_REQUESTS, "too-many-streams", detail));
        }
        let permit = app.stream(access.token())?;
        let pick = asked.filter.pick(app.store().catalogue())?;
        let watch =
            Watch::open(app.store(), feed.clone(), access.clone(), pick, at.clone(), asked.raw).await?;
        let Subscribe { id, credit, raw, .. } = asked;
        self.all.push(Subscription { id, feed, watch, at, raw, credit, _permit: permit });
        Ok(())
    }

    /// Another filter, for what comes after the last event that was sent.
    pub(super) async fn filter(
        &mut self,
        app: &App,
        access: &Access,
        id: &str,
        filter: &PickText,
    ) -> Result<(), Problem> {
        let pick = filter.pick(app.store().catalogue())?;
        let one = self.find(id)?;
        let (feed, at) = (one.feed.clone(), one.at.clone());
        one.watch = Watch::open(app.store(), feed, access.clone(), pick, at, one.raw).await?;
        Ok(())
    }

    /// So many events more. One without a bound stays so.
    pub(super) fn credit(&mut self, id: &str, events: u64) -> Result<(), Problem> {
        let one = self.find(id)?;
        one.credit = one.credit.map(|credit| credit.saturating_add(events));
        Ok(())
    }

    /// Ends one.
    pub(super) fn remove(&mut self, id: &str) -> Result<(), Problem> {
        self.find(id)?;
        self.all.retain(|one| one.id != id);
        Ok(())
    }

    fn find(&mut self, id: &str) -> Result<&mut Subscription, Problem> {
        self.all
            .iter_mut()
            .find(|one| one.id == id)
            .ok_or_else(|| Problem::not_found(format!("there is no subscription {id:?} here")))
    }

    /// The next message of any of them. Dropping the future loses nothing.
    pub(super) async fn next(&mut self) -> String {
        std::future::poll_fn(|cx| self.poll_message(cx)).await
    }

    fn poll_message(&mut self, cx: &mut Context<'_>) -> Poll<String> {
        let count = self.all.len();
        for step in 0..count {
            let turn = (self.turn + step) % count;
            let Some(one) = self.all.get_mut(turn) else { continue };
            // What can't be sent is not read either.
            if one.credit == Some(0) {
                continue;
            }
            let Poll::Ready(told) = one.watch.poll_told(cx) else { continue };
            self.turn = turn + 1;
            let message = one.message(told.as_ref());
            if told.is_none() {
                self.all.remove(turn);
            }
            return Poll::Ready(message);
        }
        Poll::Pending
    }
}

impl Subscription {
    fn message(&mut self, told: Option<&Told>) -> String {
        let id = Some(self.id.as_str());
        match told {
            Some(Told::Event { event: of, id: cursor }) => {
                self.at = Begin::Cursor(cursor.clone());
                self.credit = self.credit.map(|credit| credit.saturating_sub(1));
                event(of, &self.id, cursor)
            }
            Some(Told::Gap { first, id: cursor }) => {
                self.at = Begin::Cursor(cursor.clone());
                control("gap", id, [("first", (*first).into()), ("cursor", cursor.as_str().into())])
            }
            Some(Told::CaughtUp { id: Some(cursor) }) => {
                self.at = Begin::Cursor(cursor.clone());
                control("caught-up", id, [("cursor", cursor.as_str().into())])
            }
            Some(Told::CaughtUp { id: None }) => control("caught-up", id, []),
            Some(Told::Stuck(problem) | Told::Failed(problem)) => error(id, problem),
            None => control("end", id, [("reason", "closed".into())]),
        }
    }
}
