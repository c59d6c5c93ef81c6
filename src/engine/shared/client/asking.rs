//! Calling an owner and waiting for its answer, from tasks and from threads.

use std::future::Future;
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::task::{Context, Poll, Wake, Waker};
use std::thread::Thread;

use bytes::Bytes;
use tokio::sync::oneshot;

use super::calls::{Unanswered, UnderWay, Waiting};
use super::link::{Link, Turn};
use crate::codec::link::{SentAnswer, SentAsk, number_message};
use crate::engine::commit::{Commit, Outcome};
use crate::engine::get::{Get, Got};
use crate::engine::shared::message::{ask_commit, ask_read, outcome, problem_of, read_got};
use crate::error::{Error, Result};
use crate::limits::SHARED_CLIENT_BYTES;
use crate::sync::lock;

struct Unpark(Thread);

impl Wake for Unpark {
    fn wake(self: Arc<Self>) {
        self.0.unpark();
    }

    fn wake_by_ref(self: &Arc<Self>) {
        self.0.unpark();
    }
}

thread_local! {
    static WAKER: Waker = Waker::from(Arc::new(Unpark(std::thread::current())));
}

/// Waits for a future with this thread, inside a runtime or not.
pub(super) fn wait<T>(future: impl Future<Output = T>) -> T {
    // A task that blocks here gives no turn to its runtime, which would only then let it go on.
    let mut future = pin!(tokio::task::coop::unconstrained(future));
    let own = |waker: &Waker| waker.clone();
    // A thread that is ending has no locals any more.
    let waker = WAKER.try_with(own).unwrap_or_else(|_| Waker::from(Arc::new(Unpark(std::thread::current()))));
    let mut cx = Context::from_waker(&waker);
    loop {
        match future.as_mut().poll(&mut cx) {
            Poll::Ready(answer) => return answer,
            Poll::Pending => std::thread::park(),
        }
    }
}

/// Waits for the answer to a call, and forgets the call when nobody waits any more.
struct Asked<'a> {
    link: &'a Link,
    /// Of a call that nobody has to remember.
    call: Option<u64>,
    answer: oneshot::Receiver<Result<Bytes, Unanswered>>,
}

impl Drop for Asked<'_> {
    fn drop(&mut self) {
        if let Some(call) = self.call
            && self.link.process.is_this()
        {
            lock(&self.link.table).forget(call);
        }
    }
}

impl Future for Asked<'_> {
    type Output = Result<Result<Bytes, Unanswered>>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        // In a forked child nobody will answer.
        self.link.process.check()?;
        Pin::new(&mut self.answer)
            .poll(cx)
            .map(|answer| Ok(answer.unwrap_or(Err(Unanswered::Lost { sent: true }))))
    }
}

impl Link {
    /// Calls the owner. Once the message is sent, the call is carried out even if this is dropped.
    async fn ask(
        &self,
        message: impl FnOnce(u64) -> Vec<u8>,
        commit: Option<UnderWay>,
    ) -> Result<Result<Bytes, Unanswered>> {
        self.process.check()?;
        let _turn = self.calls.acquire().await;
        self.process.check()?;
        let (answered, answer) = oneshot::channel();
        let (turn, waiting, is_read) = match commit {
            None => (Turn::Soon, Waiting::One(answered), true),
            Some(under_way) => (Turn::InOrder, Waiting::Commit(answered, under_way), false),
        };
        match self.call(|| waiting, message, turn) {
            Some(call) => Asked { link: self, call: is_read.then_some(call), answer }.await,
            None => Ok(Err(Unanswered::Lost { sent: false })),
        }
    }

    /// Why a call that writes nothing has no answer.
    pub(super) fn unanswered(&self, why: Unanswered) -> Error {
        let owner = self.owner.pid;
        match why {
            Unanswered::Lost { .. } => Error::OwnerLost { owner },
            Unanswered::Silent { .. } => Error::NoAnswer { owner, seconds: self.wait.as_secs() },
        }
    }

    pub(super) fn misunderstood(&self, what: impl std::fmt::Display) -> Error {
        let owner = self.owner.pid;
        Error::storage(format!(
            "the answer of process {owner}, which holds the store, cannot be read: {what}"
        ))
    }

    /// Takes an answer that is no error.
    pub(super) fn answered<'a>(&self, message: &'a Bytes) -> Result<SentAnswer<'a>> {
        match SentAnswer::decode(message).map_err(|e| self.misunderstood(e))? {
            SentAnswer::Failed(problem) => Err(problem_of(problem).unwrap_or_else(|e| self.misunderstood(e))),
            SentAnswer::Leaving => Err(Error::OwnerLost { owner: self.owner.pid }),
            answer => Ok(answer),
        }
    }

    pub(super) async fn read(&self, get: &Get<'_>) -> Result<Got> {
        let answer = self.ask(|call| ask_read(call, get), None).await?;
        let message = answer.map_err(|why| self.unanswered(why))?;
        let answer = self.answered(&message)?;
        let got = read_got(&message, &answer).map_err(|e| self.misunderstood(e))?;
        got.ok_or_else(|| self.misunderstood(format!("{answer:?} does not answer {get:?}")))
    }

    /// What asks for nothing but a word.
    pub(super) async fn ask_plain(&self, ask: SentAsk<'_>) -> Result<Bytes> {
        let answer = self.ask(|call| ask.message(call, 16), None).await?;
        answer.map_err(|why| self.unanswered(why))
    }

    pub(super) async fn commit(&self, commit: Commit, under_way: UnderWay) -> Result<Outcome> {
        self.process.check()?;
        // Encoded before it waits for room, so that what is refused is refused at once.
        let message = ask_commit(0, &commit)?;
        drop(commit);
        let count = message.len().min(SHARED_CLIENT_BYTES) as u32;
        let _room = self.bytes.acquire_many(count).await;
        let answer = self.ask(|call| numbered(message, call), Some(under_way)).await?;
        let message = match answer {
            Ok(message) => message,
            Err(Unanswered::Lost { sent: true }) => return Err(self.unknown("ended before it answered")),
            Err(Unanswered::Silent { sent: true }) => {
                let reason = format!("has not answered for {} s", self.wait.as_secs());
                return Err(self.unknown(&reason));
            }
            Err(why) => return Err(self.unanswered(why)),
        };
        let answer = self.answered(&message)?;
        let outcome = outcome(&answer).map_err(|e| self.misunderstood(e))?;
        let outcome = outcome.ok_or_else(|| self.misunderstood(format!("{answer:?} answers no commit")))?;
        match &outcome {
            Outcome::Appended(receipt) => {
                receipt.parts().iter().for_each(|part| self.told.reaches(part.last_position));
            }
            Outcome::Forked(branch) => self.told.keep(branch),
            Outcome::Written => {}
        }
        Ok(outcome)
    }

    fn unknown(&self, what: &str) -> Error {
        let owner = self.owner.pid;
        Error::Unknown { reason: format!("process {owner}, which holds the store, {what}") }
    }
}

/// The message with the number of its call.
fn numbered(mut message: Vec<u8>, call: u64) -> Vec<u8> {
    number_message(&mut message, call);
    message
}
