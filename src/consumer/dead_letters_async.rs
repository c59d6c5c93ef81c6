//! The async forms of what is done with dead letters.

use super::dead_letter::DeadLetter;
use super::owner::Owner;
use crate::error::Result;
use crate::event::Position;
use crate::store::Store;

impl Store {
    /// [`dead_letters`](Self::dead_letters) for tasks. Dropping the future changes nothing; a read that was begun goes on, and
    /// keeps the store open until it ends.
    ///
    /// # Errors
    /// As [`dead_letters`](Self::dead_letters).
    pub async fn dead_letters_async(
        &self,
        owner: Option<&Owner>,
        after: Option<&DeadLetter>,
        limit: usize,
    ) -> Result<Vec<DeadLetter>> {
        let (owner, after) = (owner.cloned(), after.cloned());
        self.in_task(move |store| store.dead_letters(owner.as_ref(), after.as_ref(), limit)).await
    }

    /// [`dead_letter`](Self::dead_letter) for tasks. Dropping the future changes nothing; a read that was begun goes on, and
    /// keeps the store open until it ends.
    ///
    /// # Errors
    /// As [`dead_letter`](Self::dead_letter).
    pub async fn dead_letter_async(
        &self,
        owner: &Owner,
        position: impl Into<Position>,
    ) -> Result<DeadLetter> {
        let (owner, position) = (owner.clone(), position.into());
        self.in_task(move |store| store.dead_letter(&owner, position)).await
    }

    /// [`replay_dead_letter`](Self::replay_dead_letter) for tasks. Dropping the future does not stop what was begun.
    ///
    /// # Errors
    /// As [`replay_dead_letter`](Self::replay_dead_letter).
    pub async fn replay_dead_letter_async(&self, owner: &Owner, position: impl Into<Position>) -> Result<()> {
        let (owner, position) = (owner.clone(), position.into());
        self.in_task(move |store| store.replay_dead_letter(&owner, position)).await
    }

    /// [`replay_dead_letters`](Self::replay_dead_letters) for tasks. Dropping the future does not stop what was begun.
    ///
    /// # Errors
    /// As [`replay_dead_letters`](Self::replay_dead_letters).
    pub async fn replay_dead_letters_async(&self, owner: &Owner) -> Result<usize> {
        let owner = owner.clone();
        self.in_task(move |store| store.replay_dead_letters(&owner)).await
    }

    /// [`drop_dead_letter`](Self::drop_dead_letter) for tasks. Dropping the future does not stop what was begun.
    ///
    /// # Errors
    /// As [`drop_dead_letter`](Self::drop_dead_letter).
    pub async fn drop_dead_letter_async(&self, owner: &Owner, position: impl Into<Position>) -> Result<()> {
        let (owner, position) = (owner.clone(), position.into());
        self.in_task(move |store| store.drop_dead_letter(&owner, position)).await
    }

    /// [`drop_dead_letters`](Self::drop_dead_letters) for tasks. Dropping the future does not stop what was begun.
    ///
    /// # Errors
    /// As [`drop_dead_letters`](Self::drop_dead_letters).
    pub async fn drop_dead_letters_async(&self, owner: &Owner) -> Result<usize> {
        let owner = owner.clone();
        self.in_task(move |store| store.drop_dead_letters(&owner)).await
    }
}
