//! The handle to the dead letters of a store.

use super::dead_letter::DeadLetter;
use super::dead_letter_queue::{discard, discard_all, get, list, replay, replay_all};
use super::owner::Owner;
use crate::error::Result;
use crate::event::Position;
use crate::store::Store;

/// The dead letters of a store: listed, sent back to their owners, discarded.
///
/// A clone of the store, so it keeps the store open as any other does, and can be moved into a thread or a task.
///
/// ```
/// # use retold::{ConsumerConfig, NewEvent, Owner, Store};
/// # tokio::runtime::Runtime::new().unwrap().block_on(async {
/// let store = Store::in_memory()?;
/// store.append("run-7", NewEvent::new("mail.requested"))?;
/// let mailer = store.consumers().open("mailer", ConsumerConfig::new()).await?;
/// mailer.next().await?.park("no such host").await?;
///
/// let (dead_letters, owner) = (store.dead_letters(), Owner::consumer("mailer")?);
/// let found = dead_letters.list_async(Some(&owner), None, 10).await?;
/// assert_eq!(found[0].error, "no such host");
/// dead_letters.replay_async(&owner, found[0].position).await?;
/// mailer.next().await?.ack().await?;
/// assert!(dead_letters.list_async(None, None, 10).await?.is_empty());
/// # Ok::<(), retold::Error>(())
/// # }).unwrap();
/// ```
#[derive(Clone, Debug)]
pub struct DeadLetters {
    store: Store,
}

impl Store {
    /// The dead letters: events that consumers and handlers could not handle.
    #[must_use]
    pub fn dead_letters(&self) -> DeadLetters {
        DeadLetters { store: self.clone() }
    }
}

impl DeadLetters {
    /// Dead letters: of one owner or of all, after the given one, `limit` at the most (10,000 in one call). They come
    /// by owner, consumers first, and by position: pass the last dead letter of one page to get the next.
    ///
    /// # Errors
    /// [`Error::Closed`](crate::Error::Closed), [`Error::Corrupt`](crate::Error::Corrupt).
    pub fn list(
        &self,
        owner: Option<&Owner>,
        after: Option<&DeadLetter>,
        limit: usize,
    ) -> Result<Vec<DeadLetter>> {
        list(&self.store, owner, after.map(place), limit)
    }

    /// [`list`](Self::list) for tasks. Dropping the future changes nothing; a read that was begun goes on, and
    /// keeps the store open until it ends.
    ///
    /// # Errors
    /// As [`list`](Self::list).
    pub async fn list_async(
        &self,
        owner: Option<&Owner>,
        after: Option<&DeadLetter>,
        limit: usize,
    ) -> Result<Vec<DeadLetter>> {
        let (owner, after) = (owner.cloned(), after.cloned());
        self.store.in_task(move |store| list(store, owner.as_ref(), after.as_ref().map(place), limit)).await
    }

    /// [`list`](Self::list), after the place of a dead letter that need not be there any more: of one that was replayed or discarded
    /// while a listing goes on.
    ///
    /// # Errors
    /// As [`list`](Self::list).
    pub fn list_after(
        &self,
        owner: Option<&Owner>,
        after: (&Owner, Position),
        limit: usize,
    ) -> Result<Vec<DeadLetter>> {
        list(&self.store, owner, Some(after), limit)
    }

    /// [`list_after`](Self::list_after) for tasks. Dropping the future changes nothing; a read that was begun goes on, and
    /// keeps the store open until it ends.
    ///
    /// # Errors
    /// As [`list`](Self::list).
    pub async fn list_after_async(
        &self,
        owner: Option<&Owner>,
        after: (&Owner, Position),
        limit: usize,
    ) -> Result<Vec<DeadLetter>> {
        let (owner, (last, position)) = (owner.cloned(), (after.0.clone(), after.1));
        self.store.in_task(move |store| list(store, owner.as_ref(), Some((&last, position)), limit)).await
    }

    /// One dead letter, by its owner and the position of its event.
    ///
    /// # Errors
    /// [`Error::NotFound`](crate::Error::NotFound); [`Error::Closed`](crate::Error::Closed),
    /// [`Error::Corrupt`](crate::Error::Corrupt).
    pub fn get(&self, owner: &Owner, position: impl Into<Position>) -> Result<DeadLetter> {
        get(&self.store, owner, position.into())
    }

    /// [`get`](Self::get) for tasks. Dropping the future changes nothing; a read that was begun goes on, and
    /// keeps the store open until it ends.
    ///
    /// # Errors
    /// As [`get`](Self::get).
    pub async fn get_async(&self, owner: &Owner, position: impl Into<Position>) -> Result<DeadLetter> {
        let (owner, position) = (owner.clone(), position.into());
        self.store.in_task(move |store| get(store, &owner, position)).await
    }

    /// Sends a dead letter back to its owner, who is given the event again, with its deliveries counted from zero. A
    /// consumer gets it before those events of its branch that it was not given yet, a handler when its bus runs.
    /// It stays a dead letter until it has been handled; sending it twice is sending it once.
    ///
    /// # Errors
    /// [`Error::NotFound`](crate::Error::NotFound); else as [`append`](Store::append).
    pub fn replay(&self, owner: &Owner, position: impl Into<Position>) -> Result<()> {
        replay(&self.store, owner, position.into())
    }

    /// [`replay`](Self::replay) for tasks. Dropping the future does not stop what was begun.
    ///
    /// # Errors
    /// As [`replay`](Self::replay).
    pub async fn replay_async(&self, owner: &Owner, position: impl Into<Position>) -> Result<()> {
        let (owner, position) = (owner.clone(), position.into());
        self.store.in_task(move |store| replay(store, &owner, position)).await
    }

    /// [`replay`](Self::replay) for all dead letters of an owner, in one transaction. Answers with how many there are.
    ///
    /// # Errors
    /// As [`append`](Store::append).
    pub fn replay_all(&self, owner: &Owner) -> Result<usize> {
        replay_all(&self.store, owner)
    }

    /// [`replay_all`](Self::replay_all) for tasks. Dropping the future does not stop what was begun.
    ///
    /// # Errors
    /// As [`replay_all`](Self::replay_all).
    pub async fn replay_all_async(&self, owner: &Owner) -> Result<usize> {
        let owner = owner.clone();
        self.store.in_task(move |store| replay_all(store, &owner)).await
    }

    /// Throws a dead letter away. The event itself stays where it is.
    ///
    /// # Errors
    /// [`Error::NotFound`](crate::Error::NotFound); else as [`append`](Store::append).
    pub fn discard(&self, owner: &Owner, position: impl Into<Position>) -> Result<()> {
        discard(&self.store, owner, position.into())
    }

    /// [`discard`](Self::discard) for tasks. Dropping the future does not stop what was begun.
    ///
    /// # Errors
    /// As [`discard`](Self::discard).
    pub async fn discard_async(&self, owner: &Owner, position: impl Into<Position>) -> Result<()> {
        let (owner, position) = (owner.clone(), position.into());
        self.store.in_task(move |store| discard(store, &owner, position)).await
    }

    /// Throws all dead letters of an owner away. Answers with how many there were.
    ///
    /// # Errors
    /// As [`append`](Store::append).
    pub fn discard_all(&self, owner: &Owner) -> Result<usize> {
        discard_all(&self.store, owner)
    }

    /// [`discard_all`](Self::discard_all) for tasks. Dropping the future does not stop what was begun.
    ///
    /// # Errors
    /// As [`discard_all`](Self::discard_all).
    pub async fn discard_all_async(&self, owner: &Owner) -> Result<usize> {
        let owner = owner.clone();
        self.store.in_task(move |store| discard_all(store, &owner)).await
    }
}

fn place(dead_letter: &DeadLetter) -> (&Owner, Position) {
    (&dead_letter.owner, dead_letter.position)
}
