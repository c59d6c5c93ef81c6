//! The async forms of reading a state.

use super::view::{Projected, Reading};
use crate::error::{Error, Result};
use crate::event::Address;
use crate::store::unblocked;

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

    async fn in_task<T: Send + 'static>(
        &self,
        work: impl FnOnce(&Self) -> Result<T> + Send + 'static,
    ) -> Result<T> {
        self.store.handle().process().check()?;
        let projected = self.clone();
        unblocked(move || work(&projected)).await
    }
}

// Where an address is converted by its caller, the compiler takes that conversion for the one that is asked for here.

fn state<S>(projected: &Projected<S>, address: Address) -> Result<S> {
    projected.state(address)
}

fn read<S>(projected: &Projected<S>, address: Address) -> Result<Reading<S>> {
    projected.read(address)
}
