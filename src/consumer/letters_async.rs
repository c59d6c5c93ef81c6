//! The async forms of what is done with dead letters.

use super::letter::Letter;
use super::owner::Owner;
use crate::error::Result;
use crate::event::Position;
use crate::store::Store;

impl Store {
    /// [`letters`](Self::letters) for tasks. Dropping the future changes nothing.
    ///
    /// # Errors
    /// As [`letters`](Self::letters).
    pub async fn letters_async(
        &self,
        owner: Option<&Owner>,
        after: Option<&Letter>,
        limit: usize,
    ) -> Result<Vec<Letter>> {
        let (owner, after) = (owner.cloned(), after.cloned());
        self.in_task(move |store| store.letters(owner.as_ref(), after.as_ref(), limit)).await
    }

    /// [`letter`](Self::letter) for tasks. Dropping the future changes nothing.
    ///
    /// # Errors
    /// As [`letter`](Self::letter).
    pub async fn letter_async(&self, owner: &Owner, position: impl Into<Position>) -> Result<Letter> {
        let (owner, position) = (owner.clone(), position.into());
        self.in_task(move |store| store.letter(&owner, position)).await
    }

    /// [`replay_letter`](Self::replay_letter) for tasks. Dropping the future does not stop what was begun.
    ///
    /// # Errors
    /// As [`replay_letter`](Self::replay_letter).
    pub async fn replay_letter_async(&self, owner: &Owner, position: impl Into<Position>) -> Result<()> {
        let (owner, position) = (owner.clone(), position.into());
        self.in_task(move |store| store.replay_letter(&owner, position)).await
    }

    /// [`replay_letters`](Self::replay_letters) for tasks. Dropping the future does not stop what was begun.
    ///
    /// # Errors
    /// As [`replay_letters`](Self::replay_letters).
    pub async fn replay_letters_async(&self, owner: &Owner) -> Result<usize> {
        let owner = owner.clone();
        self.in_task(move |store| store.replay_letters(&owner)).await
    }

    /// [`drop_letter`](Self::drop_letter) for tasks. Dropping the future does not stop what was begun.
    ///
    /// # Errors
    /// As [`drop_letter`](Self::drop_letter).
    pub async fn drop_letter_async(&self, owner: &Owner, position: impl Into<Position>) -> Result<()> {
        let (owner, position) = (owner.clone(), position.into());
        self.in_task(move |store| store.drop_letter(&owner, position)).await
    }

    /// [`drop_letters`](Self::drop_letters) for tasks. Dropping the future does not stop what was begun.
    ///
    /// # Errors
    /// As [`drop_letters`](Self::drop_letters).
    pub async fn drop_letters_async(&self, owner: &Owner) -> Result<usize> {
        let owner = owner.clone();
        self.in_task(move |store| store.drop_letters(&owner)).await
    }
}
