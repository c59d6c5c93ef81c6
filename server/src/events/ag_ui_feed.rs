//! The frames of an AG-UI stream. Each has an id, so that a reader goes on in the middle of what an event becomes.

use std::convert::Infallible;

use bytes::Bytes;
use futures_util::{FutureExt, Stream};
use retold::agents::interop::AgUi;
use retold::agents::projections;
use retold::event::Pattern;
use retold::{Address, Error, Event, Filter, Query, Sequence, Store};
use tokio::time::{Instant, sleep_until};

use super::sse::{AT_ONCE, SILENCE};
use super::watch::{Ended, Told, Watch};
use crate::problem::Problem;
use crate::streams::StreamPermit;

/// Stands for the cursor before the first event.
pub(super) const START: &str = "start";
/// Stands after the cursor of the last event, once the end was told.
pub(super) const END: &str = "end";

/// What is told.
#[derive(Debug)]
pub(super) struct Telling {
    pub(super) address: Address,
    /// The projection whose state goes along.
    pub(super) state: Option<String>,
    pub(super) begins_with_messages: bool,
}

/// Where a reader goes on.
#[derive(Debug)]
pub(super) struct Resumed {
    /// After this event; without it at the beginning.
    pub(super) cursor: Option<String>,
    /// So many events of AG-UI of the next one were told.
    pub(super) told: usize,
    /// The end was told too.
    pub(super) is_over: bool,
}

enum Next {
    Told(Option<Told>),
    Silence,
    Closing,
}

/// The frames of a stream. A reader that is slow is waited for, and reads on from the store.
pub(super) fn frames(
    store: Store,
    mut watch: Watch,
    telling: Telling,
    resumed: Option<Resumed>,
    permit: StreamPermit,
) -> impl Stream<Item = Result<Bytes, Infallible>> {
    async_stream::stream! {
        yield Ok(Bytes::from_static(b"retry: 1000\n\n"));
        let mut teller = Teller::new(store, telling, resumed);
        loop {
            let quiet = Instant::now() + SILENCE;
            let next = tokio::select! {
                biased;
                () = permit.ends().cancelled() => Next::Closing,
                told = watch.next() => Next::Told(told),
                () = sleep_until(quiet) => Next::Silence,
            };
            watch.rest();
            let mut next = match next {
                Next::Told(told) => told,
                Next::Silence => {
                    yield Ok(Bytes::from_static(b":\n\n"));
                    continue;
                }
                Next::Closing => return,
            };
            // What is there already goes with it.
            let mut out = Vec::new();
            let mut is_over = false;
            loop {
                is_over |= next.is_none();
                // What was told before may be long.
                let took = tokio::select! {
                    biased;
                    () = permit.ends().cancelled() => None,
                    took = teller.take(next, &mut out) => Some(took),
                };
                let Some(took) = took else { return };
                if let Err(problem) = took {
                    comment(problem.detail(), &mut out);
                    is_over = true;
                }
                if is_over || out.len() >= AT_ONCE {
                    break;
                }
                match watch.next().now_or_never() {
                    Some(more) => next = more,
                    None => break,
                }
            }
            // It may take long to send this.
            watch.rest();
            if !out.is_empty() {
                yield Ok(Bytes::from(out));
            }
            if is_over {
                return;
            }
        }
    }
}

/// Makes frames of what is told of a branch.
struct Teller {
    store: Store,
    telling: Telling,
    /// Without it, what was told to the reader before is not known yet.
    stream: Option<AgUi>,
    /// The id of the latest event, or [`START`].
    before: String,
    /// Events of AG-UI that the reader has of the next event.
    skip: usize,
    /// Everything is withheld until all that is recorded was read.
    is_withheld: bool,
    is_over: bool,
}

impl Teller {
    fn new(store: Store, telling: Telling, resumed: Option<Resumed>) -> Self {
        let is_withheld = telling.begins_with_messages;
        let (before, skip, is_over) = match resumed {
            Some(Resumed { cursor, told, is_over }) => (cursor, told, is_over),
            None => (None, 0, false),
        };
        let mut teller =
            Self { store, telling, stream: None, before: START.to_owned(), skip, is_withheld, is_over };
        match before {
            Some(cursor) => teller.before = cursor,
            None => teller.stream = teller.fresh(),
        }
        teller
    }

    fn fresh(&self) -> Option<AgUi> {
        let catalogue = self.store.catalogue();
        let stream = AgUi::new(self.telling.address.place(), catalogue.clone());
        let stream = if self.is_withheld { stream.remember() } else { stream };
        let Some(name) = &self.telling.state else { return Some(stream) };
        let projection = projections::all(catalogue).into_iter().find(|known| known.name() == name);
        stream.state(projection?).ok()
    }

    /// Adds the frames of what is told, `None` at the end.
    async fn take(&mut self, told: Option<Told>, out: &mut Vec<u8>) -> Result<(), Problem> {
        match told {
            Some(Told::Event { event, id }) => self.event(&event, id, out).await?,
            Some(Told::CaughtUp { .. }) => {
                if std::mem::take(&mut self.is_withheld)
                    && let Some(stream) = &self.stream
                {
                    let lines = stream.begin();
                    // In the middle of it there is nothing to go on from.
                    for (n, line) in lines.iter().enumerate() {
                        let id = (n + 1 == lines.len() && self.before != START).then_some(&*self.before);
                        frame(id, line, out);
                    }
                }
                comment("caught up", out);
            }
            Some(Told::Gap { first, .. }) => {
                comment(&format!("events before {first} were removed before they could be told"), out);
            }
            Some(Told::Stuck(problem) | Told::Failed(problem)) => comment(problem.detail(), out),
            Some(Told::End(Ended::Closed)) if !self.is_over => {
                let lines = self.known(None).await?.finish();
                for (n, line) in lines.iter().enumerate() {
                    let is_last = n + 1 == lines.len() && self.before != START;
                    let id = is_last.then(|| format!("{}.{END}", self.before));
                    frame(id.as_deref(), line, out);
                }
            }
            // A server that ends leaves it as it is.
            Some(Told::End(_)) | None => {}
        }
        Ok(())
    }

    async fn event(&mut self, event: &Event, id: String, out: &mut Vec<u8>) -> Result<(), Problem> {
        let lines = self.known(Some(event.sequence())).await?.push(event);
        let skip = std::mem::take(&mut self.skip);
        if !self.is_withheld {
            for (n, line) in lines.iter().enumerate().skip(skip) {
                match n + 1 == lines.len() {
                    true => frame(Some(&id), line, out),
                    false => frame(Some(&format!("{}.{}", self.before, n + 1)), line, out),
                }
            }
        }
        self.before = id;
        Ok(())
    }

    /// The stream as it is before this event: what was told before is read again, as far as it counts.
    async fn known(&mut self, before: Option<Sequence>) -> Result<&mut AgUi, Problem> {
        if self.stream.is_none() {
            let mut stream =
                self.fresh().ok_or_else(|| crate::input::invalid("state", "is no projection"))?;
            let last = before.map(|before| before.get().saturating_sub(1));
            if last != Some(0) {
                let mut query = Query::branch(self.telling.address.clone())?;
                if let Some(last) = last {
                    query = query.to(last);
                }
                if self.telling.state.is_none()
                    && let Some(from) = self.restart(last).await?
                {
                    query = query.from(from.get());
                }
                let mut events = self.store.stream(query);
                while let Some(event) = events.next().await {
                    match event {
                        Ok(event) => drop(stream.push(&event)),
                        // The reader was told of it.
                        Err(Error::Upcast { .. }) => {}
                        Err(error) => return Err(error.into()),
                    }
                }
            }
            return Ok(self.stream.insert(stream));
        }
        self.stream.as_mut().ok_or_else(|| crate::input::invalid("state", "is no projection"))
    }

    /// The last event up to here after which nothing counts that came before.
    async fn restart(&self, last: Option<u64>) -> Result<Option<Sequence>, Error> {
        let runs = Filter::new().pattern_in(Pattern::new(AgUi::RESTART)?, self.store.catalogue());
        let mut query = Query::branch(self.telling.address.clone())?.filter(runs).reverse().limit(1);
        if let Some(last) = last {
            query = query.to(last);
        }
        let mut events = self.store.stream(query);
        match events.next().await {
            Some(Ok(event)) => Ok(Some(event.sequence())),
            Some(Err(Error::Upcast { .. })) | None => Ok(None),
            Some(Err(error)) => Err(error),
        }
    }
}

fn frame(id: Option<&str>, line: &str, out: &mut Vec<u8>) {
    if let Some(id) = id {
        out.extend_from_slice(format!("id: {id}\n").as_bytes());
    }
    out.extend_from_slice(b"data: ");
    out.extend_from_slice(line.as_bytes());
    out.extend_from_slice(b"\n\n");
}

/// Clients of AG-UI take every frame for an event of theirs, so all else is a comment.
fn comment(text: &str, out: &mut Vec<u8>) {
    out.extend_from_slice(format!(": {}\n\n", text.replace(['\r', '\n'], " ")).as_bytes());
}
