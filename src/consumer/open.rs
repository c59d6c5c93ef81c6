//! Consumers of one open store: made, opened, begun anew, removed. Each has one task, shared by its workers.

use std::collections::HashMap;
use std::sync::{Arc, OnceLock, Weak};

use tokio::sync::{Mutex, mpsc, watch};

use super::actor::{Actor, Start};
use super::alarm::Alarm;
use super::call::Call;
use super::config::ConsumerConfig;
use super::driven::Driven;
use super::handle::{Consumer, Worker};
use super::info::config_of;
use super::kept::Kept;
use super::start::{begun, writer};
use crate::codec::ConsumerRow;
use crate::delivery::{DeadLetterQueue, Owner};
use crate::error::{Error, Result};
use crate::event::{EventId, Position, Timestamp};
use crate::follow::end_of;
use crate::limits::CONSUMER_CALLS;
use crate::store::{Observer, SidecarTable, SidecarTables, SidecarWrites, Store, StoreHandle, unblocked};
use crate::sync::task::Runtime;

/// The tasks of one store's consumers, by name.
#[derive(Debug, Default)]
struct Tasks {
    by_name: Mutex<HashMap<String, Running>>,
    /// Sent when another handle has changed what consumers keep.
    beside: watch::Sender<()>,
}

impl Observer for Tasks {
    fn changed_beside(&self, tables: SidecarTables) {
        if tables.has(SidecarTable::Consumers) {
            self.beside.send_replace(());
        }
    }
}

#[derive(Debug)]
struct Running {
    worker: Weak<Worker>,
    calls: mpsc::WeakSender<Call>,
    ended: Arc<OnceLock<Error>>,
    /// Weak, so that it goes with its last worker when nobody goes on with it.
    driven: Weak<Driven>,
}

impl Running {
    fn worker(&self) -> Option<Arc<Worker>> {
        let worker = self.worker.upgrade().filter(|worker| !worker.calls.is_closed());
        worker.filter(|_| self.ended.get().is_none())
    }

    /// Ends the task and waits for it. One who stops waiting leaves an entry that is waited for by the next: there are
    /// never two tasks of one consumer.
    async fn end(&self, why: Error) {
        let _ = self.ended.set(why);
        let Some(driven) = self.driven.upgrade() else { return };
        if let Some(calls) = self.calls.upgrade() {
            let _ = driven.until(calls.send(Call::End)).await;
        }
        driven.ended().await;
    }
}

async fn kept(handle: &StoreHandle, name: &str) -> Result<Option<Kept>> {
    let (handle, name) = (handle.clone(), name.to_owned());
    unblocked(move || Kept::read(&handle.reader()?.records(), &name)).await
}

async fn dead_letters_of(handle: &StoreHandle, owner: Owner, max: usize) -> Result<DeadLetterQueue> {
    let handle = handle.clone();
    unblocked(move || DeadLetterQueue::open(&handle, owner, max)).await
}

/// Ends the task of a consumer that another handle has removed.
async fn end_of_removed(tasks: &mut HashMap<String, Running>, name: &str) {
    if let Some(running) = tasks.get_mut(name) {
        running.end(Error::not_found("consumer", name)).await;
        tasks.remove(name);
    }
}

/// Makes a consumer that begins after this position.
async fn made(handle: &StoreHandle, name: &str, config: &ConsumerConfig, scanned: u64) -> Result<Kept> {
    let (reader, begins) = (handle.reader()?, Position::new(scanned));
    let mark = match scanned {
        0 => None,
        _ => unblocked(move || reader.mark_at(begins)).await?,
    };
    let row = ConsumerRow {
        id: *EventId::new().bytes(),
        created: Timestamp::now().micros(),
        settings: config.to_row(),
        turn: 0,
        writer: 0,
        since: config.waits_until(),
        scanned,
        mark,
        next_delivery: 1,
        acknowledged: 0,
        set_aside: 0,
        lanes: 0,
    };
    let (mut kept, mut records) = (Kept::new(name, row.clone()), SidecarWrites::new());
    let next = kept.write(&row, Vec::new(), writer(), &mut records);
    handle.write_records_async(records).await?;
    kept.written(next);
    Ok(kept)
}

/// Whether the last event that a consumer has scanned is still there.
async fn check_mark(handle: &StoreHandle, name: &str, row: &ConsumerRow) -> Result<()> {
    let Some(mark) = row.mark else { return Ok(()) };
    let (reader, scanned) = (handle.reader()?, Position::new(row.scanned));
    match unblocked(move || reader.has_seen(scanned, mark)).await? {
        true => Ok(()),
        false => Err(Error::Diverged { what: format!("consumer {name}"), at: format!("position {scanned}") }),
    }
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
    let (mut running_tasks, beside) = (tasks.by_name.lock().await, tasks.beside.subscribe());
    let tasks = &mut *running_tasks;
    // Held, so that it does not end while its row is read.
    let mut running = tasks.get(name).and_then(Running::worker);
    // One that has no worker any more writes its last state first.
    if running.is_none()
        && let Some(old) = tasks.get_mut(name)
    {
        old.end(Error::Closed { after: None }).await;
        tasks.remove(name);
    }
    let mut found = kept(&handle, name).await?;
    let (kept, config, following) = loop {
        match (found, &asked) {
            (Some(kept), asked) => {
                let config = config_of(name, &kept.row)?;
                asked.as_ref().map_or(Ok(()), |asked| asked.same_as(&config, name))?;
                match running {
                    Some(worker) if worker.id == kept.row.id => return Ok(Consumer(worker)),
                    // Another handle has removed it, and made one of the same name.
                    Some(_) => end_of_removed(tasks, name).await,
                    None => {}
                }
                check_mark(&handle, name, &kept.row).await?;
                let following = begun(&handle, config.scope().after_position(kept.row.scanned)).await?;
                break (kept, config, following);
            }
            (None, None) => return Err(Error::not_found("consumer", name)),
            (None, Some(config)) => {
                if running.take().is_some() {
                    end_of_removed(tasks, name).await;
                }
                let following = begun(&handle, config.follow().raw()).await?;
                match made(&handle, name, config, following.begun()).await {
                    Ok(kept) => break (kept, config.clone(), following),
                    // Another process was first: it has the settings of that one.
                    Err(Error::RecordChanged { .. }) => found = self::kept(&handle, name).await?,
                    Err(error) => return Err(error),
                }
            }
        }
    };
    let runtime = Runtime::current().ok_or_else(|| {
        Error::storage(format!("consumer {name} cannot be opened outside a tokio runtime: it has a task"))
    })?;
    let end = end_of(store)?;
    let dead_letter_queue = dead_letters_of(&handle, owner, config.max_dead_letters).await?;
    let (calls, incoming) = mpsc::channel(CONSUMER_CALLS);
    let ended = Arc::<OnceLock<Error>>::default();
    let (id, of, alarm) = (kept.row.id, store.id(), Alarm::default());
    let start = Start {
        name: name.to_owned(),
        handle: handle.clone(),
        kept,
        config,
        dead_letter_queue,
        following,
        end,
        beside,
        calls: incoming,
        ended: ended.clone(),
        alarm: alarm.clone(),
    };
    let driven = Driven::start(&runtime, alarm, Actor::new(start).run());
    let worker = Arc::new(Worker {
        process: handle.process().clone(),
        name: name.to_owned(),
        handle: handle.clone(),
        store: of,
        id,
        calls,
        ended: ended.clone(),
        driven: driven.clone(),
    });
    let calls = worker.calls.downgrade();
    tasks.insert(
        name.to_owned(),
        Running { worker: Arc::downgrade(&worker), calls, ended, driven: Arc::downgrade(&driven) },
    );
    Ok(Consumer(worker))
}

pub(super) async fn reset(store: &Store, name: &str, config: ConsumerConfig) -> Result<()> {
    let consumer = open(store, name, None).await?;
    let handle = store.handle();
    let found = kept(&handle, name).await?.ok_or_else(|| Error::not_found("consumer", name))?;
    let config = ConsumerConfig { begin: config.begin, ..config_of(name, &found.row)? };
    let since = config.waits_until();
    let begin = begun(&handle, config.follow().raw()).await?.begun();
    consumer.0.ask(|reply| Call::Reset { begin, since, reply }).await
}

pub(super) async fn remove(store: &Store, name: &str) -> Result<usize> {
    let owner = Owner::consumer(name)?;
    let handle = store.handle();
    let tasks = handle.observer(Tasks::default)?;
    let mut tasks = tasks.by_name.lock().await;
    if let Some(running) = tasks.get_mut(name) {
        running.end(Error::not_found("consumer", name)).await;
        tasks.remove(name);
    }
    let queue = dead_letters_of(&handle, owner, usize::MAX).await?;
    loop {
        let (at, of, cleared) = (handle.clone(), name.to_owned(), queue.clone());
        let (found, dead_letters, records) = unblocked(move || {
            let (reader, mut records) = (at.reader()?, SidecarWrites::new());
            let dead_letters = cleared.clear(&reader, &mut records)?;
            // Last, so that little time is left for another handle to be first.
            let found = Kept::remove(&reader.records(), &of, &mut records)?;
            Ok((found, dead_letters, records))
        })
        .await?;
        if !found {
            return Err(Error::not_found("consumer", name));
        }
        match handle.write_records_async(records).await {
            // Another process has a worker of it, and was first.
            Err(Error::RecordChanged { .. }) => {}
            written => {
                queue.changed();
                return written.map(|()| dead_letters);
            }
        }
    }
}
