//! The subscriptions of a connection, which take turns.

use std::task::{Context, Poll, ready};

use axum::http::StatusCode;
use retold::Timestamp;

use super::pick::PickText;
use super::watch::{Told, Watch};
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
    watch: Watch,
    /// Events that may still be sent; `None` for any number.
    credit: Option<u64>,
    /// An event that waits for credit. What comes after it is not read.
    held: Option<Told>,
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
        let (feed, begin) = asked.feed()?;
        if self.all.iter().any(|one| one.id == asked.id) {
            let detail = format!("there is a subscription {:?} already; end it first", asked.id);
            return Err(Problem::new(StatusCode::CONFLICT, "exists", detail));
        }
        if self.all.len() >= MOST {
            let detail = format!("a connection has at most {MOST} subscriptions; end one first");
            return Err(Problem::new(StatusCode::TOO_MANY_REQUESTS, "too-many-streams", detail));
        }
        let permit = app.stream(access.token())?;
        let watch = Watch::open(app, feed, access.clone(), &asked.filter, begin, asked.raw).await?;
        let Subscribe { id, credit, .. } = asked;
        self.all.push(Subscription { id, watch, credit, held: None, _permit: permit });
        Ok(())
    }

    /// Another filter, for what was not looked at yet.
    pub(super) fn filter(&mut self, app: &App, id: &str, filter: &PickText) -> Result<(), Problem> {
        let pick = filter.pick(app.store().catalogue(), Timestamp::now())?;
        let one = self.find(id)?;
        one.watch.set_pick(pick);
        if let Some(Told::Event { event, .. }) = &one.held
            && !one.watch.takes(event)
        {
            one.held = None;
        }
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

    /// Lets others read, until these are asked again.
    pub(super) fn rest(&mut self) {
        self.all.iter_mut().for_each(|one| one.watch.rest());
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
            let Poll::Ready(told) = one.poll(cx) else { continue };
            self.turn = turn + 1;
            let message = one.message(&told);
            if matches!(told, Told::Failed(_) | Told::End(_)) {
                self.all.remove(turn);
            }
            return Poll::Ready(message);
        }
        Poll::Pending
    }
}

impl Subscription {
    /// What may be sent. An event without credit is held back; what is no event needs none.
    fn poll(&mut self, cx: &mut Context<'_>) -> Poll<Told> {
        let told = match self.held.take() {
            Some(held) => held,
            None => match ready!(self.watch.poll_told(cx)) {
                Some(told) => told,
                // It was ended by the last message.
                None => return Poll::Pending,
            },
        };
        if matches!(told, Told::Event { .. }) && self.credit == Some(0) {
            self.held = Some(told);
            return Poll::Pending;
        }
        Poll::Ready(told)
    }

    fn message(&mut self, told: &Told) -> String {
        let id = Some(self.id.as_str());
        match told {
            Told::Event { event: of, id: cursor } => {
                self.credit = self.credit.map(|credit| credit.saturating_sub(1));
                event(of, &self.id, cursor)
            }
            Told::Gap { first, id: cursor } => {
                control("gap", id, [("first", (*first).into()), ("cursor", cursor.as_str().into())])
            }
            Told::CaughtUp { id: cursor } => control("caught-up", id, [("cursor", cursor.as_str().into())]),
            Told::Stuck(problem) => error(id, problem),
            Told::Failed(problem) => {
                control("end", id, [("reason", "failed".into()), ("problem", problem.to_json())])
            }
            Told::End(ended) => control("end", id, [("reason", ended.reason().into())]),
        }
    }
}
