//! The async forms of what is asked of a projection, and done with it.

use std::cmp::Ordering;
use std::sync::Arc;

use super::fold::{DynProjection, Projection};
use super::history::{Change, History};
use super::signal::Retried;
use super::task::Rebuild;
use super::view::{Projected, Reading};
use crate::error::{Error, Result};
use crate::event::{Address, SessionId, Timestamp};
use crate::follow::ReadStream;
use crate::store::{Store, unblocked};

impl Store {
    /// [`project`](Self::project) for tasks: it is waited for the thread that keeps projections up. Dropping the future
    /// does not stop what was begun.
    ///
    /// # Errors
    /// As [`project`](Self::project).
    pub async fn project_async<P: Projection>(&self, projection: P) -> Result<Projected<P::State>> {
        self.in_task(move |store| store.project(projection)).await
    }

    /// [`project_dyn`](Self::project_dyn) for tasks. Dropping the future does not stop what was begun.
    ///
    /// # Errors
    /// As [`project`](Self::project).
    pub async fn project_dyn_async(
        &self,
        projection: impl Into<Arc<dyn DynProjection>>,
    ) -> Result<Projected<serde_json::Value>> {
        let projection = projection.into();
        self.in_task(move |store| store.project_dyn(projection)).await
    }
}

impl<S: Send + 'static> Projected<S> {
    /// [`state`](Self::state) for tasks: what has to be folded is folded on a thread that may block. Dropping the future
    /// changes nothing.
    ///
    /// # Errors
    /// As [`state`](Self::state).
    pub async fn state_async<A>(&self, address: A) -> Result<S>
    where
        A: TryInto<Address>,
        Error: From<A::Error>,
    {
        let address: Address = address.try_into()?;
        self.in_task(move |projected| state(projected, address)).await
    }

    /// [`read`](Self::read) as an async function. Dropping the future changes nothing; a read in progress continues, and
    /// keeps the store open until it ends.
    ///
    /// # Errors
    /// As [`read`](Self::read).
    pub async fn read_async<A>(&self, address: A) -> Result<Reading<S>>
    where
        A: TryInto<Address>,
        Error: From<A::Error>,
    {
        let address: Address = address.try_into()?;
        self.in_task(move |projected| read(projected, address)).await
    }

    /// [`state_of`](Self::state_of) as an async function. Dropping the future changes nothing; a read in progress continues, and
    /// keeps the store open until it ends.
    ///
    /// # Errors
    /// As [`state_of`](Self::state_of).
    pub async fn state_of_async(&self, key: &str) -> Result<S> {
        let key = key.to_owned();
        self.in_task(move |projected| projected.state_of(&key)).await
    }

    /// [`read_of`](Self::read_of) as an async function. Dropping the future changes nothing; a read in progress continues, and
    /// keeps the store open until it ends.
    ///
    /// # Errors
    /// As [`read_of`](Self::read_of).
    pub async fn read_of_async(&self, key: &str) -> Result<Reading<S>> {
        let key = key.to_owned();
        self.in_task(move |projected| projected.read_of(&key)).await
    }

    /// [`state_at`](Self::state_at) for tasks. Dropping the future changes nothing; a read that was begun goes on, and
    /// keeps the store open until it ends.
    ///
    /// # Errors
    /// As [`state_at`](Self::state_at).
    pub async fn state_at_async<A>(&self, address: A, time: Timestamp) -> Result<Reading<S>>
    where
        A: TryInto<Address>,
        Error: From<A::Error>,
    {
        let address: Address = address.try_into()?;
        self.in_task(move |projected| state_at(projected, address, time)).await
    }

    /// [`state_of_at`](Self::state_of_at) for tasks. Dropping the future changes nothing; a read that was begun goes on, and
    /// keeps the store open until it ends.
    ///
    /// # Errors
    /// As [`state_of_at`](Self::state_of_at).
    pub async fn state_of_at_async(&self, key: &str, time: Timestamp) -> Result<Reading<S>> {
        let key = key.to_owned();
        self.in_task(move |projected| projected.state_of_at(&key, time)).await
    }

    /// [`last_good`](Self::last_good) for tasks. Dropping the future changes nothing; a read that was begun goes on, and
    /// keeps the store open until it ends.
    ///
    /// # Errors
    /// As [`last_good`](Self::last_good).
    pub async fn last_good_async<A>(&self, address: A) -> Result<Reading<S>>
    where
        A: TryInto<Address>,
        Error: From<A::Error>,
    {
        let address: Address = address.try_into()?;
        self.in_task(move |projected| last_good(projected, address)).await
    }

    /// [`diff_state`](Self::diff_state) for tasks. Dropping the future changes nothing; a read that was begun goes on, and
    /// keeps the store open until it ends.
    ///
    /// # Errors
    /// As [`diff_state`](Self::diff_state).
    pub async fn diff_state_async<A, B>(&self, a: A, b: B) -> Result<serde_json::Value>
    where
        A: TryInto<Address>,
        B: TryInto<Address>,
        Error: From<A::Error> + From<B::Error>,
    {
        let (a, b): (Address, Address) = (a.try_into()?, b.try_into()?);
        self.in_task(move |projected| diff_state(projected, a, b)).await
    }

    /// [`history`](Self::history) for tasks. Its changes are folded as they are asked for: in a task they are asked for
    /// with [`into_stream`](History::into_stream). Dropping the future changes nothing.
    ///
    /// # Errors
    /// As [`history`](Self::history).
    pub async fn history_async<A>(&self, address: A) -> Result<History<S>>
    where
        A: TryInto<Address>,
        Error: From<A::Error>,
    {
        let address: Address = address.try_into()?;
        self.in_task(move |projected| history(projected, address)).await
    }

    /// [`history_of`](Self::history_of) for tasks, with [`into_stream`](History::into_stream) as with
    /// [`history_async`](Self::history_async). Dropping the future changes nothing.
    ///
    /// # Errors
    /// As [`history_of`](Self::history_of).
    pub async fn history_of_async(&self, key: &str) -> Result<History<S>> {
        let key = key.to_owned();
        self.in_task(move |projected| projected.history_of(&key)).await
    }

    /// [`list`](Self::list) for tasks; the filter is called on the thread that reads. Dropping the future changes nothing; a read that was begun goes on, and
    /// keeps the store open until it ends.
    ///
    /// # Errors
    /// As [`list`](Self::list).
    pub async fn list_async(
        &self,
        filter: impl FnMut(&Reading<S>) -> bool + Send + 'static,
    ) -> Result<Vec<Reading<S>>> {
        self.in_task(move |projected| projected.list(filter)).await
    }

    /// [`top`](Self::top) for tasks; the filter and the order are called on the thread that reads. Dropping the future
    /// changes nothing; a read that was begun goes on, and keeps the store open until it ends.
    ///
    /// # Errors
    /// As [`list`](Self::list).
    pub async fn top_async(
        &self,
        limit: usize,
        filter: impl FnMut(&Reading<S>) -> bool + Send + 'static,
        compare: impl FnMut(&Reading<S>, &Reading<S>) -> Ordering + Send + 'static,
    ) -> Result<Vec<Reading<S>>> {
        self.in_task(move |projected| projected.top(limit, filter, compare)).await
    }

    /// [`list_after`](Self::list_after) for tasks; the predicate is called on the thread that reads. Dropping the future changes
    /// nothing; a read that was begun goes on, and keeps the store open until it ends.
    ///
    /// # Errors
    /// As [`list_after`](Self::list_after).
    pub async fn list_after_async(
        &self,
        after: Option<&str>,
        limit: usize,
        sessions: impl FnMut(&SessionId) -> bool + Send + 'static,
    ) -> Result<Vec<Reading<S>>> {
        let after = after.map(str::to_owned);
        self.in_task(move |projected| projected.list_after(after.as_deref(), limit, sessions)).await
    }

    /// [`lag`](Self::lag) for tasks. Dropping the future changes nothing; a read that was begun goes on, and
    /// keeps the store open until it ends.
    ///
    /// # Errors
    /// As [`lag`](Self::lag).
    pub async fn lag_async(&self) -> Result<u64> {
        self.in_task(move |projected| projected.lag()).await
    }

    /// [`catch_up`](Self::catch_up) for tasks. Dropping the future does not stop what was begun: a thread of the
    /// runtime waits until it has caught up.
    ///
    /// # Errors
    /// As [`catch_up`](Self::catch_up).
    pub async fn catch_up_async(&self) -> Result<()> {
        self.in_task(move |projected| projected.catch_up()).await
    }

    /// [`rebuild`](Self::rebuild) for tasks. Dropping the future does not stop what was begun.
    ///
    /// # Errors
    /// As [`rebuild`](Self::rebuild).
    pub async fn rebuild_async(&self) -> Result<Rebuild> {
        self.in_task(move |projected| projected.rebuild()).await
    }

    /// [`retry`](Self::retry) for tasks. Dropping the future does not stop what was begun.
    ///
    /// # Errors
    /// As [`retry`](Self::retry).
    pub async fn retry_async(&self) -> Result<Retried> {
        self.in_task(move |projected| projected.retry()).await
    }

    /// [`retry_of`](Self::retry_of) for tasks. Dropping the future does not stop what was begun.
    ///
    /// # Errors
    /// As [`retry_of`](Self::retry_of).
    pub async fn retry_of_async(&self, of: &str) -> Result<Retried> {
        let of = of.to_owned();
        self.in_task(move |projected| projected.retry_of(&of)).await
    }

    async fn in_task<T: Send + 'static>(
        &self,
        work: impl FnOnce(&Self) -> Result<T> + Send + 'static,
    ) -> Result<T> {
        self.store.handle().process().check()?;
        let projected = self.clone();
        unblocked(move || work(&projected)).await
    }
}

impl<S: Send + 'static> History<S> {
    /// The same changes for tasks: folded on a thread that may block.
    ///
    /// ```
    /// # use retold::project::{ApplyError, Projection};
    /// # use retold::{Event, NewEvent, Store};
    /// # struct Count;
    /// # impl Projection for Count {
    /// #     type State = u64;
    /// #     fn name(&self) -> &str { "count" }
    /// #     fn apply(&self, count: &mut u64, _: &Event) -> Result<(), ApplyError> { *count += 1; Ok(()) }
    /// # }
    /// # tokio::runtime::Runtime::new().unwrap().block_on(async {
    /// let store = Store::in_memory()?;
    /// store.append_async("run-7", [NewEvent::new("run.started"), NewEvent::new("tool.invoked")]).await?;
    /// let count = store.project_async(Count).await?;
    /// let mut history = count.history_async("run-7").await?.into_stream();
    /// assert_eq!(history.next().await.unwrap()?.state, 1);
    /// assert_eq!(history.next().await.unwrap()?.state, 2);
    /// assert!(history.next().await.is_none());
    /// # Ok::<(), retold::Error>(())
    /// # }).unwrap();
    /// ```
    pub fn into_stream(self) -> ReadStream<Change<S>> {
        ReadStream::of(self.process().clone(), self, |change| change.event.record().encoded().len())
    }
}

// Where an address is converted by its caller, the compiler takes that conversion for the one that is asked for here.

fn state<S>(projected: &Projected<S>, address: Address) -> Result<S> {
    projected.state(address)
}

fn read<S>(projected: &Projected<S>, address: Address) -> Result<Reading<S>> {
    projected.read(address)
}

fn state_at<S>(projected: &Projected<S>, address: Address, time: Timestamp) -> Result<Reading<S>> {
    projected.state_at(address, time)
}

fn last_good<S>(projected: &Projected<S>, address: Address) -> Result<Reading<S>> {
    projected.last_good(address)
}

fn diff_state<S>(projected: &Projected<S>, a: Address, b: Address) -> Result<serde_json::Value> {
    projected.diff_state(a, b)
}

fn history<S>(projected: &Projected<S>, address: Address) -> Result<History<S>> {
    projected.history(address)
}
