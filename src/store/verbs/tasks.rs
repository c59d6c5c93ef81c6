//! The async forms of verbs that only read: the same arguments and results, read on a blocking thread.

use crate::error::{Error, Result};
use crate::event::{Address, BranchName, Event, EventId, IdPrefix, Position, Sequence, SessionId};
use crate::store::handle::listing::{BranchInfo, SessionInfo};
use crate::store::handle::store::Store;
use crate::store::unblocked::unblocked;
use crate::store::verbs::query::{Page, Query};

impl Store {
    /// Runs what blocks where that is allowed.
    pub(crate) async fn in_task<T: Send + 'static>(
        &self,
        work: impl FnOnce(&Self) -> Result<T> + Send + 'static,
    ) -> Result<T> {
        self.inner().process().check()?;
        let store = self.clone();
        unblocked(move || work(&store)).await
    }

    /// [`read`](Self::read) as an async function. Dropping the future changes nothing; a read in progress continues, and
    /// keeps the store open until it ends.
    ///
    /// # Errors
    /// As [`read`](Self::read).
    pub async fn read_async(&self, query: &Query) -> Result<Page> {
        let query = query.clone();
        self.in_task(move |store| store.read(&query)).await
    }

    /// [`read_all`](Self::read_all) as an async function. Dropping the future changes nothing; a read in progress continues, and
    /// keeps the store open until it ends.
    ///
    /// # Errors
    /// As [`read_all`](Self::read_all).
    pub async fn read_all_async(&self, from: Position, limit: usize) -> Result<Page> {
        self.in_task(move |store| store.read_all(from, limit)).await
    }

    /// [`head`](Self::head) as an async function. Dropping the future changes nothing; a read in progress continues, and
    /// keeps the store open until it ends.
    ///
    /// ```
    /// # use retold::{NewEvent, Store};
    /// # tokio::runtime::Runtime::new().unwrap().block_on(async {
    /// let store = Store::in_memory()?;
    /// store.append_async("run-7", NewEvent::new("run.started")).await?;
    /// assert_eq!(store.head_async("run-7").await?.get(), 1);
    /// # Ok::<(), retold::Error>(())
    /// # }).unwrap();
    /// ```
    ///
    /// # Errors
    /// As [`head`](Self::head).
    pub async fn head_async<A>(&self, address: A) -> Result<Sequence>
    where
        A: TryInto<Address>,
        Error: From<A::Error>,
    {
        let address: Address = address.try_into()?;
        self.in_task(move |store| head(store, address)).await
    }

    /// [`get`](Self::get) as an async function. Dropping the future changes nothing; a read in progress continues, and
    /// keeps the store open until it ends.
    ///
    /// # Errors
    /// As [`get`](Self::get).
    pub async fn get_async(&self, id: EventId) -> Result<Event> {
        self.in_task(move |store| store.get(id)).await
    }

    /// [`get_raw`](Self::get_raw) as an async function. Dropping the future changes nothing; a read in progress continues, and
    /// keeps the store open until it ends.
    ///
    /// # Errors
    /// As [`get_raw`](Self::get_raw).
    pub async fn get_raw_async(&self, id: EventId) -> Result<Event> {
        self.in_task(move |store| store.get_raw(id)).await
    }

    /// [`ids`](Self::ids) as an async function. Dropping the future changes nothing; a read in progress continues, and
    /// keeps the store open until it ends.
    ///
    /// # Errors
    /// As [`ids`](Self::ids).
    pub async fn ids_async(&self, prefix: &IdPrefix, limit: usize) -> Result<Vec<EventId>> {
        let prefix = *prefix;
        self.in_task(move |store| store.ids(&prefix, limit)).await
    }

    /// [`sessions`](Self::sessions) as an async function. Dropping the future changes nothing; a read in progress continues, and
    /// keeps the store open until it ends.
    ///
    /// # Errors
    /// As [`sessions`](Self::sessions).
    pub async fn sessions_async(&self, after: Option<&SessionId>, limit: usize) -> Result<Vec<SessionInfo>> {
        let after = after.cloned();
        self.in_task(move |store| store.sessions(after.as_ref(), limit)).await
    }

    /// [`session`](Self::session) as an async function. Dropping the future changes nothing; a read in progress continues, and
    /// keeps the store open until it ends.
    ///
    /// # Errors
    /// As [`session`](Self::session).
    pub async fn session_async(&self, session: &SessionId) -> Result<SessionInfo> {
        let session = session.clone();
        self.in_task(move |store| store.session(&session)).await
    }

    /// [`session_names`](Self::session_names) as an async function. Dropping the future changes nothing; a read in progress
    /// continues, and keeps the store open until it ends.
    ///
    /// # Errors
    /// As [`session_names`](Self::session_names).
    pub async fn session_names_async(
        &self,
        after: Option<&SessionId>,
        limit: usize,
    ) -> Result<Vec<SessionId>> {
        let after = after.cloned();
        self.in_task(move |store| store.session_names(after.as_ref(), limit)).await
    }

    /// [`branches`](Self::branches) as an async function. Dropping the future changes nothing; a read in progress continues, and
    /// keeps the store open until it ends.
    ///
    /// # Errors
    /// As [`branches`](Self::branches).
    pub async fn branches_async(&self, session: &SessionId) -> Result<Vec<BranchInfo>> {
        let session = session.clone();
        self.in_task(move |store| store.branches(&session)).await
    }

    /// [`branch`](Self::branch) as an async function. Dropping the future changes nothing; a read in progress continues, and
    /// keeps the store open until it ends.
    ///
    /// # Errors
    /// As [`branch`](Self::branch).
    pub async fn branch_async<A>(&self, address: A) -> Result<BranchInfo>
    where
        A: TryInto<Address>,
        Error: From<A::Error>,
    {
        let address: Address = address.try_into()?;
        self.in_task(move |store| branch(store, address)).await
    }

    /// [`ancestry`](Self::ancestry) as an async function. Dropping the future changes nothing; a read in progress continues, and
    /// keeps the store open until it ends.
    ///
    /// # Errors
    /// As [`ancestry`](Self::ancestry).
    pub async fn ancestry_async<A>(&self, address: A) -> Result<Vec<(BranchName, Sequence)>>
    where
        A: TryInto<Address>,
        Error: From<A::Error>,
    {
        let address: Address = address.try_into()?;
        self.in_task(move |store| ancestry(store, address)).await
    }

    /// [`current`](Self::current) as an async function. Dropping the future changes nothing; a read in progress continues, and
    /// keeps the store open until it ends.
    ///
    /// # Errors
    /// As [`current`](Self::current).
    pub async fn current_async(&self, session: &SessionId) -> Result<BranchName> {
        let session = session.clone();
        self.in_task(move |store| store.current(&session)).await
    }
}

// Where an address is converted by its caller, the compiler takes that conversion for the one that is asked for here.

fn head(store: &Store, address: Address) -> Result<Sequence> {
    store.head(address)
}

fn branch(store: &Store, address: Address) -> Result<BranchInfo> {
    store.branch(address)
}

fn ancestry(store: &Store, address: Address) -> Result<Vec<(BranchName, Sequence)>> {
    store.ancestry(address)
}
