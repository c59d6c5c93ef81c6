//! The handle to the durable consumers of a store.

use super::config::ConsumerConfig;
use super::handle::Consumer;
use super::info::{ConsumerInfo, info, list};
use super::open::{open, remove, reset};
use crate::error::Result;
use crate::store::Store;

/// The durable consumers of a store: opened, listed, reset and removed.
///
/// A consumer has a task, so what makes or changes one is async only, and has no suffix.
///
/// A clone of the store, so it keeps the store open as any other does, and can be moved into a thread or a task.
///
/// ```
/// # use retold::{ConsumerConfig, NewEvent, Store};
/// # tokio::runtime::Runtime::new().unwrap().block_on(async {
/// let store = Store::in_memory()?;
/// store.append("run-7", NewEvent::new("mail.requested"))?;
/// let consumers = store.consumers();
/// let mailer = consumers.open("mailer", ConsumerConfig::new().pattern("mail.*".parse()?)).await?;
/// let delivery = mailer.next().await?;
/// assert_eq!(delivery.event().kind(), "mail.requested");
/// delivery.ack().await?;
/// assert_eq!(consumers.info_async("mailer").await?.acknowledged, 1);
/// consumers.remove("mailer").await?;
/// assert!(consumers.list_async().await?.is_empty());
/// # Ok::<(), retold::Error>(())
/// # }).unwrap();
/// ```
#[derive(Clone, Debug)]
pub struct Consumers {
    store: Store,
}

impl Store {
    /// The durable consumers: places in the order of events that outlive the process, from which workers are handed
    /// events at least once.
    #[must_use]
    pub fn consumers(&self) -> Consumers {
        Consumers { store: self.clone() }
    }
}

impl Consumers {
    /// Makes a durable consumer, or opens the one of this name. See [`Consumer`].
    ///
    /// # Cancellation
    /// Dropping the future leaves the consumer made, or not made; open it again to know.
    ///
    /// # Errors
    /// [`Error::Differs`](crate::Error::Differs) when it is there with another setting;
    /// [`Error::Invalid`](crate::Error::Invalid) for a name or setting out of its range;
    /// [`Error::BadCursor`](crate::Error::BadCursor) for a beginning that is beyond the head, or a cursor of another
    /// store; [`Error::ReadOnly`](crate::Error::ReadOnly), [`Error::Closed`](crate::Error::Closed);
    /// [`Error::Storage`](crate::Error::Storage) outside a tokio runtime.
    pub async fn open(&self, name: &str, config: ConsumerConfig) -> Result<Consumer> {
        open(&self.store, name, Some(config)).await
    }

    /// Opens a durable consumer with the settings that it was made with.
    ///
    /// # Errors
    /// [`Error::NotFound`](crate::Error::NotFound); else as [`open`](Self::open).
    pub async fn open_existing(&self, name: &str) -> Result<Consumer> {
        open(&self.store, name, None).await
    }

    /// All durable consumers, by name.
    ///
    /// # Errors
    /// [`Error::Closed`](crate::Error::Closed), [`Error::Corrupt`](crate::Error::Corrupt).
    pub fn list(&self) -> Result<Vec<ConsumerInfo>> {
        list(&self.store)
    }

    /// [`list`](Self::list) for tasks. Dropping the future changes nothing; a read that was begun goes on, and
    /// keeps the store open until it ends.
    ///
    /// # Errors
    /// As [`list`](Self::list).
    pub async fn list_async(&self) -> Result<Vec<ConsumerInfo>> {
        self.store.in_task(list).await
    }

    /// One durable consumer, as it is recorded.
    ///
    /// # Errors
    /// [`Error::NotFound`](crate::Error::NotFound); [`Error::Closed`](crate::Error::Closed),
    /// [`Error::Corrupt`](crate::Error::Corrupt).
    pub fn info(&self, name: &str) -> Result<ConsumerInfo> {
        info(&self.store, name)
    }

    /// [`info`](Self::info) for tasks. Dropping the future changes nothing; a read that was begun goes on, and
    /// keeps the store open until it ends.
    ///
    /// # Errors
    /// As [`info`](Self::info).
    pub async fn info_async(&self, name: &str) -> Result<ConsumerInfo> {
        let name = name.to_owned();
        self.store.in_task(move |store| info(store, &name)).await
    }

    /// Begins a consumer anew, where a new one with this beginning would begin; of `config` only that counts. What is
    /// out cannot be resolved any more, and dead letters stay.
    ///
    /// # Errors
    /// [`Error::NotFound`](crate::Error::NotFound); [`Error::BadCursor`](crate::Error::BadCursor); else as
    /// [`open`](Self::open).
    pub async fn reset(&self, name: &str, config: ConsumerConfig) -> Result<()> {
        reset(&self.store, name, config).await
    }

    /// Removes a consumer and its dead letters. Its workers are told [`Error::NotFound`](crate::Error::NotFound).
    /// Answers with how many dead letters there were.
    ///
    /// # Errors
    /// [`Error::NotFound`](crate::Error::NotFound); else as [`append`](Store::append).
    pub async fn remove(&self, name: &str) -> Result<usize> {
        remove(&self.store, name).await
    }
}
