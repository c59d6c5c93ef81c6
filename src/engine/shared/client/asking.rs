//! Calling an owner and waiting for its answer, from tasks and from threads.

use std::future::Future;
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::task::{Context, Poll, Wake, Waker};
use std::thread::Thread;

use bytes::Bytes;
use tokio::sync::oneshot;

use super::calls::{Answer, Begun, Unanswered, Waiting};
use super::link::{Link, Turn};
use super::listen::Listener;
use super::queue::{Caller, Load};
use crate::codec::link::{SentAnswer, SentAsk, number_message};
use crate::engine::commit::{Commit, Outcome};
use crate::engine::get::{Get, Got};
use crate::engine::shared::message::{ask_commit, ask_read, outcome, problem_of, read_got};
use crate::error::{Error, Result};
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

/// Waits for what the owner answers with this thread, inside a runtime or not.
pub(super) fn wait<T>(link: &Link, future: impl Future<Output = T>) -> T {
    // A task that blocks here gives no turn to its runtime, which would only then let it go on.
    let mut future = pin!(tokio::task::coop::unconstrained(future));
    let own = |waker: &Waker| waker.clone();
    // A thread that is ending has no locals any more.
    let waker = WAKER.try_with(own).unwrap_or_else(|_| Waker::from(Arc::new(Unpark(std::thread::current()))));
    let mut cx = Context::from_waker(&waker);
    let (mut turn, mut may_listen): (Option<Listener<'_>>, bool) = (None, true);
    loop {
        if let Poll::Ready(answer) = future.as_mut().poll(&mut cx) {
            return answer;
        }
        match &turn {
            Some(listening) => {
                may_listen = listening.listen();
                turn = turn.filter(|_| may_listen);
            }
            None => {
                turn = if may_listen { Listener::take(link) } else { None };
                // With a turn it looks again: the answer may have come before that.
                if turn.is_none() {
                    std::thread::park();
                }
            }
        }
    }
}

/// Waits until there is room for a call, and begins it.
struct Beginning<'a> {
    link: &'a Link,
    caller: Caller,
}

impl Drop for Beginning<'_> {
    fn drop(&mut self) {
        if self.caller.place.is_some() && self.link.process.is_this() {
            self.link.leave(&mut self.caller);
        }
    }
}

impl Future for Beginning<'_> {
    type Output = Result<Result<Begun, Unanswered>>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        self.link.process.check()?;
        let begun = lock(&self.link.table).begin(&mut self.caller, cx.waker());
        begun.map_or(Poll::Pending, |begun| Poll::Ready(Ok(begun)))
    }
}

/// Waits for the answer to a call, and forgets the call when nobody waits any more.
struct Asked<'a> {
    link: &'a Link,
    /// Of a call that nobody has to remember.
    call: Option<u64>,
    answer: oneshot::Receiver<Answer>,
}

impl Drop for Asked<'_> {
    fn drop(&mut self) {
        if let Some(call) = self.call
            && self.link.process.is_this()
        {
            self.link.forget(call);
        }
    }
}

impl Future for Asked<'_> {
    type Output = Result<Answer>;

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
    async fn ask(&self, message: impl FnOnce(u64) -> Vec<u8>, load: Load) -> Result<Answer> {
        let begun = Beginning { link: self, caller: Caller::new(load) }.await?;
        let (call, answer) = match begun {
            Ok(begun) => begun,
            Err(why) => return Ok(Err(why)),
        };
        let turn = match load {
            Load::Call => Turn::Soon,
            Load::Commit(_) => Turn::InOrder,
        };
        if !self.send(call, message(call), turn) {
            self.forget(call);
            return Ok(Err(Unanswered::Lost { sent: false }));
        }
        Asked { link: self, call: (load == Load::Call).then_some(call), answer }.await
    }

    /// Why a call that writes nothing has no answer.
    pub(super) fn unanswered(&self, why: Unanswered) -> Error {
        let owner = self.owner.pid;
        match why {
            Unanswered::Closed => Error::Closed { after: None },
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
        let answer = self.ask(|call| ask_read(call, get), Load::Call).await?;
        let message = answer.map_err(|why| self.unanswered(why))?;
        let answer = self.answered(&message)?;
        let got = read_got(&message, &answer).map_err(|e| self.misunderstood(e))?;
        got.ok_or_else(|| self.misunderstood(format!("{answer:?} does not answer {get:?}")))
    }

    /// What asks for nothing but a word.
    pub(super) async fn ask_plain(&self, ask: SentAsk<'_>) -> Result<Bytes> {
        let answer = self.ask(|call| ask.message(call, 16), Load::Call).await?;
        answer.map_err(|why| self.unanswered(why))
    }

    /// Tells the owner that nobody waits for the answer to a call any more. Whether it hears that does not matter.
    pub(super) fn give_up(&self, call: u64) {
        let nobody = || Waiting::One(oneshot::channel().0);
        self.call(nobody, |number| SentAsk::GiveUp(call).message(number, 16), Turn::Soon);
    }

    /// Asks the owner whether it is there. Whoever carries the bytes notices when it is not.
    pub(super) fn ping(&self) {
        let nobody = || Waiting::One(oneshot::channel().0);
        self.call(nobody, |number| SentAsk::Ping.message(number, 8), Turn::Soon);
    }

    pub(super) async fn commit(&self, commit: Commit) -> Result<Outcome> {
        self.process.check()?;
        // Encoded before it waits for room, so that what is refused is refused at once.
        let message = ask_commit(0, &commit)?;
        let answers = match commit {
            Commit::Append(_) => |outcome: &Outcome| matches!(outcome, Outcome::Appended(_)),
            Commit::Fork { .. } => |outcome: &Outcome| matches!(outcome, Outcome::Forked(_)),
            Commit::Records(_) => |outcome: &Outcome| matches!(outcome, Outcome::Written),
            Commit::Change(_) => |outcome: &Outcome| matches!(outcome, Outcome::Changed(_)),
        };
        let load = Load::Commit(message.len());
        let forgotten = self.told.forgotten();
        let answer = self.ask(|call| numbered(message, call), load).await?;
        let message = match answer {
            Ok(message) => message,
            Err(Unanswered::Lost { sent: true }) => return Err(self.unknown("ended before it answered")),
            Err(Unanswered::Silent { sent: true }) => {
                let reason = format!("has not answered for {} s", self.wait.as_secs());
                return Err(self.unknown(&reason));
            }
            Err(why) => return Err(self.unanswered(why)),
        };
        let outcome = self.outcome_in(&message)?;
        if !answers(&outcome) {
            return Err(self.unclear("it is that to another commit"));
        }
        match &outcome {
            Outcome::Appended(receipt) => {
                receipt.parts().iter().for_each(|part| self.told.reaches(part.last_position));
            }
            Outcome::Forked(branch) => self.told.keep_since(forgotten, branch),
            // The owner has said that there were changes, and they are asked for again.
            Outcome::Changed(_) | Outcome::Written => {}
        }
        Ok(outcome)
    }

    fn outcome_in(&self, message: &Bytes) -> Result<Outcome> {
        match SentAnswer::decode(message).map_err(|e| self.unclear(e))? {
            SentAnswer::Failed(problem) => Err(problem_of(problem).unwrap_or_else(|e| self.unclear(e))),
            SentAnswer::Leaving => Err(Error::OwnerLost { owner: self.owner.pid }),
            answer => {
                let outcome = outcome(&answer).map_err(|e| self.unclear(e))?;
                outcome.ok_or_else(|| self.unclear(format!("{answer:?} answers no commit")))
            }
        }
    }

    /// Of a commit, which most likely happened.
    fn unclear(&self, what: impl std::fmt::Display) -> Error {
        self.unknown(&format!("gave an answer that cannot be read: {what}"))
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
