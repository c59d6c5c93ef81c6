//! Consumers of one open store: made, opened, begun anew, removed. Each has one task, shared by its workers.

use std::collections::HashMap;
use std::sync::{Arc, OnceLock, Weak};

use tokio::runtime::Handle;
use tokio::sync::{Mutex, mpsc};
use tokio::task::JoinHandle;

use super::actor::{Actor, Start};
use super::call::Call;
use super::config::ConsumerConfig;
use super::dead_letter_queue::DeadLetterQueue;
use super::handle::{Consumer, Worker};
use super::info::{config_of, key, read};
use super::owner::Owner;
use crate::codec::ConsumerRow;
use crate::error::{Error, Result};
use crate::event::{EventId, Timestamp};
use crate::follow::{Follow, Following, end_of};
use crate::limits::CONSUMER_CALLS;
use crate::store::{Observer, SidecarTable, SidecarWrites, Store, StoreHandle, unblocked};

/// The tasks of one store's consumers, by name.
#[derive(Debug, Default)]
struct Tasks(Mutex<HashMap<String, Running>>);

impl Observer for Tasks {}

#[derive(Debug)]
struct Running {
    worker: Weak<Worker>,
    calls: mpsc::WeakSender<Call>,
    ended: Arc<OnceLock<Error>>,
    task: JoinHandle<()>,
}

impl Running {
    fn worker(&self) -> Option<Arc<Worker>> {
        let worker = self.worker.upgrade().filter(|worker| !worker.calls.is_closed());
        worker.filter(|_| self.ended.get().is_none())
    }

    /// Ends the task and waits for it. One who stops waiting leaves an entry that is waited for by the next: there are
    /// never two tasks of one consumer.
    async fn end(&mut self, why: Error) {
        let _ = self.ended.set(why);
        if let Some(calls) = self.calls.upgrade() {
            let _ = calls.send(Call::End).await;
        }
        let _ = (&mut self.task).await;
    }
}

async fn row_of(handle: &StoreHandle, name: &str) -> Result<Option<ConsumerRow>> {
    let (handle, name) = (handle.clone(), name.to_owned());
    unblocked(move || read(&handle.reader()?.records(), &name)).await
}

async fn begun(handle: &StoreHandle, follow: Follow) -> Result<Following> {
    let handle = handle.clone();
    unblocked(move || handle.follow(follow)).await
}

async fn dead_letters_of(handle: &StoreHandle, owner: Owner, max: usize) -> Result<DeadLetterQueue> {
    let handle = handle.clone();
    unblocked(move || DeadLetterQueue::open(&handle, owner, max)).await
}

/// The consumer of this name, made with these settings when there is none.
pub(super) async fn open(store: &Store, name: &str, asked: Option<ConsumerConfig>) -> Result<Consumer> {
    if let Some(config) = &asked {
        config.check()?;
    }
    let owner = Owner::consumer(name)?;
    let handle = store.handle();
    if handle.read_only() {
        return Err(Error::ReadOnly { path: handle.name().to_owned() });
    }
    let tasks = handle.observer(Tasks::default)?;
    let mut tasks = tasks.0.lock().await;
    // Held, so that it does not end while its row is read.
    let running = tasks.get(name).and_then(Running::worker);
    // One that has no worker any more writes its last state first.
    if running.is_none()
        && let Some(old) = tasks.get_mut(name)
    {
        old.end(Error::Closed { after: None }).await;
        tasks.remove(name);
    }
    let row = row_of(&handle, name).await?;
    let (row, config, following) = match (row, asked) {
        (Some(row), asked) => {
            let config = config_of(name, &row)?;
            asked.map_or(Ok(()), |asked| asked.same_as(&config, name))?;
            if let Some(worker) = running {
                return Ok(Consumer(worker));
            }
            let following = begun(&handle, config.scope().after_position(row.scanned)).await?;
            (row, config, following)
        }
        (None, None) => return Err(Error::not_found("consumer", name)),
        (None, Some(config)) => {
            let since = config.waits_until();
            let following = begun(&handle, config.follow().raw()).await?;
            let row = ConsumerRow {
                id: *EventId::new().bytes(),
                created: Timestamp::now().micros(),
                settings: config.to_row(),
                since,
                scanned: following.begun(),
                next_delivery: 1,
                acknowledged: 0,
                set_aside: 0,
                lanes: Vec::new(),
            };
            let mut records = SidecarWrites::new();
            records.put(SidecarTable::Consumers, key(name), row.encode());
            handle.write_records_async(records).await?;
            (row, config, following)
        }
    };
    let runtime = Handle::try_current().map_err(|_| {
        Error::storage(format!("consumer {name} cannot be opened outside a tokio runtime: it has a task"))
    })?;
    let end = end_of(store)?;
    let dead_letter_queue = dead_letters_of(&handle, owner, config.max_dead_letters).await?;
    let (calls, incoming) = mpsc::channel(CONSUMER_CALLS);
    let ended = Arc::<OnceLock<Error>>::default();
    let (id, of) = (row.id, store.id());
    let start = Start {
        name: name.to_owned(),
        handle: handle.clone(),
        row,
        config,
        dead_letter_queue,
        following,
        end,
        calls: incoming,
        ended: ended.clone(),
    };
    let worker = Arc::new(Worker {
        process: handle.process().clone(),
        name: name.to_owned(),
        store: of,
        id,
        calls,
        ended: ended.clone(),
    });
    let task = runtime.spawn(Actor::new(start).run());
    let calls = worker.calls.downgrade();
    tasks.insert(name.to_owned(), Running { worker: Arc::downgrade(&worker), calls, ended, task });
    Ok(Consumer(worker))
}

pub(super) async fn reset(store: &Store, name: &str, config: ConsumerConfig) -> Result<()> {
    let consumer = open(store, name, None).await?;
    let handle = store.handle();
    let row = row_of(&handle, name).await?.ok_or_else(|| Error::not_found("consumer", name))?;
    let config = ConsumerConfig { begin: config.begin, ..config_of(name, &row)? };
    let since = config.waits_until();
    let following = Box::new(begun(&handle, config.follow().raw()).await?);
    consumer.0.ask(|reply| Call::Reset { following, since, reply }).await
}

pub(super) async fn remove(store: &Store, name: &str) -> Result<usize> {
    let owner = Owner::consumer(name)?;
    let handle = store.handle();
    let tasks = handle.observer(Tasks::default)?;
    let mut tasks = tasks.0.lock().await;
    // What has a task is there.
    if !tasks.contains_key(name) && row_of(&handle, name).await?.is_none() {
        return Err(Error::not_found("consumer", name));
    }
    if let Some(running) = tasks.get_mut(name) {
        running.end(Error::not_found("consumer", name)).await;
        tasks.remove(name);
    }
    let mut records = SidecarWrites::new();
    records.remove(SidecarTable::Consumers, key(name));
    let dead_letters = dead_letters_of(&handle, owner, usize::MAX).await?.clear(&mut records);
    handle.write_records_async(records).await?;
    Ok(dead_letters)
}
