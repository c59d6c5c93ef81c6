//! Comparing two branches of a session.

use super::events::Events;
use super::query::Query;
use crate::engine::{Branch, Process};
use crate::error::{Error, Result};
use crate::event::{Address, Event, Invalid, Sequence};
use crate::store::handle::reader::Reader;
use crate::store::handle::store::Store;

/// Two branches side by side.
#[derive(Debug)]
#[non_exhaustive]
pub struct Diff {
    /// The last sequence up to which both share their events.
    pub common: Sequence,
    /// The head of the first branch.
    pub left: Sequence,
    /// The head of the second branch.
    pub right: Sequence,
    /// The events after that, pair by pair.
    pub pairs: Pairs,
}

/// The events with the same sequence in both branches; one side is missing after the shorter one's head.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Pair {
    /// The sequence.
    pub sequence: Sequence,
    /// The first branch's event.
    pub left: Option<Event>,
    /// The second branch's event.
    pub right: Option<Event>,
}

impl Pair {
    /// Whether both sides exist with the same type and payload. They are still two events.
    #[must_use]
    pub fn is_alike(&self) -> bool {
        match (&self.left, &self.right) {
            (Some(a), Some(b)) => a.kind() == b.kind() && a.payload() == b.payload(),
            _ => false,
        }
    }
}

/// An iterator that reads both branches page by page. Ends after the first error, except [`Error::Upcast`].
#[derive(Debug)]
#[must_use]
pub struct Pairs {
    reader: Reader,
    next: Sequence,
    queries: (Query, Query),
    left: Events,
    right: Events,
    failed: bool,
}

impl Pairs {
    /// Begins with this sequence, if it comes later: the events before it are not read.
    pub fn from(mut self, first: impl Into<Sequence>) -> Self {
        let first = first.into();
        if first > self.next {
            let side = |query: &Query| Events::new(self.reader.clone(), query.clone().from(first));
            (self.left, self.right) = (side(&self.queries.0), side(&self.queries.1));
            self.next = first;
        }
        self
    }

    pub(crate) fn process(&self) -> &Process {
        self.reader.process()
    }
}

impl Iterator for Pairs {
    type Item = Result<Pair>;

    fn next(&mut self) -> Option<Self::Item> {
        // One side alone would look like the shorter one's end.
        if self.failed {
            return None;
        }
        let (left, right) = (self.left.next(), self.right.next());
        if left.is_none() && right.is_none() {
            return None;
        }
        let sequence = self.next;
        self.next = sequence.next();
        let pair = left.transpose().and_then(|left| Ok(Pair { sequence, left, right: right.transpose()? }));
        // An event that cannot be upcast leaves both sides aligned.
        self.failed = pair.as_ref().is_err_and(|e| !matches!(e, Error::Upcast { .. }));
        Some(pair)
    }
}

impl Store {
    /// Compares two branches of one session, each up to its address's sequence or its head.
    ///
    /// ```
    /// # use retold::{NewEvent, Store};
    /// let store = Store::in_memory()?;
    /// store.append("s", [NewEvent::new("run.started"), NewEvent::new("tool.errored")])?;
    /// store.fork("s@1", "retry")?;
    /// store.append("s/retry", NewEvent::new("tool.completed"))?;
    /// let diff = store.diff("s", "s/retry")?;
    /// assert_eq!(diff.common.get(), 1);
    /// assert_eq!(diff.pairs.count(), 1);
    /// # Ok::<(), retold::Error>(())
    /// ```
    ///
    /// # Errors
    /// [`Error::Invalid`] for branches of different sessions, [`Error::NotFound`].
    pub fn diff<A, B>(&self, left: A, right: B) -> Result<Diff>
    where
        A: TryInto<Address>,
        B: TryInto<Address>,
        Error: From<A::Error> + From<B::Error>,
    {
        let (left, right) = (left.try_into()?, right.try_into()?);
        if left.session() != right.session() {
            let reason = format!("{} and {} are branches of different sessions", left.place(), right.place());
            return Err(Invalid::new("address", reason).into());
        }
        let reader = self.reader()?;
        let find = |a: &Address| {
            let branch = reader.branch(a.place())?;
            let head = reader.head(&branch)?;
            Ok::<_, Error>((branch, a.sequence().map_or(head, |n| n.min(head))))
        };
        let ((a, left_head), (b, right_head)) = (find(&left)?, find(&right)?);
        let common = Branch::common((&a, left_head), (&b, right_head));
        let side = |address: &Address, head: Sequence| {
            let query = Query::branch(Address::from(address.place().clone()))?;
            Ok::<_, Error>(query.from(common.next()).to(head))
        };
        let queries = (side(&left, left_head)?, side(&right, right_head)?);
        let pairs = Pairs {
            next: common.next(),
            left: self.events(queries.0.clone())?,
            right: self.events(queries.1.clone())?,
            queries,
            reader,
            failed: false,
        };
        Ok(Diff { common, left: left_head, right: right_head, pairs })
    }

    /// [`diff`](Self::diff) for tasks. Its pairs are read as they are asked for: in a task they are asked for with
    /// [`into_stream`](Pairs::into_stream). Dropping the future changes nothing.
    ///
    /// # Errors
    /// As [`diff`](Self::diff).
    pub async fn diff_async<A, B>(&self, left: A, right: B) -> Result<Diff>
    where
        A: TryInto<Address>,
        B: TryInto<Address>,
        Error: From<A::Error> + From<B::Error>,
    {
        let (left, right): (Address, Address) = (left.try_into()?, right.try_into()?);
        self.in_task(move |store| diff(store, left, right)).await
    }
}

// Where an address is converted by its caller, the compiler takes that conversion for the one that is asked for here.
fn diff(store: &Store, left: Address, right: Address) -> Result<Diff> {
    store.diff(left, right)
}
