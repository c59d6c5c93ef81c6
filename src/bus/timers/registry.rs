//! Timers in the store: made, listed, cancelled and fired, one of these at a time.

use std::collections::HashSet;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Weak};

use tokio::sync::Notify;
use tracing::{info, warn};

use super::clock::{Clock, Machine, Now};
use super::deleted::{is_first, is_for_what_is_deleted};
use super::mark::TimerMark;
use super::page::page;
use super::row::{Family, INDEX, NO_BRANCH, Row, index_key, key, last_key};
use super::running::Running;
use super::schedule::Pending;
use super::timer::{Due, Timer};
use crate::error::{Error, Result};
use crate::event::{EventId, Expect, Invalid, MAIN, NewEvent, Place, Timestamp};
use crate::limits::{MAX_TIMER_DAYS, MAX_TIMERS, TIMER_GROUP};
use crate::store::{
    Batch, Observer, Records, SidecarRange, SidecarTable, SidecarTables, SidecarWrites, StoreHandle,
};
use crate::sync::time::micros;
use crate::sync::{Mutex, MutexGuard, fault, lock};

/// Index rows that are counted at once.
const COUNT_PAGE: usize = 8_192;

/// What all handles of one open store share.
#[derive(Debug)]
pub(super) struct Registry {
    /// Held from the look at the rows to the commit that changes them, which expects them as they were seen: a timer is fired
    /// or cancelled, never both, also by another process.
    rows: Mutex<Rowed>,
    /// Another handle has changed rows since they were counted.
    is_behind: AtomicBool,
    pub(super) clock: Arc<dyn Clock>,
    /// There is a nearer timer than before.
    pub(super) sooner: Notify,
    pub(super) running: Mutex<Weak<Running>>,
}

#[derive(Debug, Default)]
struct Rowed {
    /// Timers that there are, once they were counted.
    count: Option<usize>,
    /// Rows that cannot be read, and were told of.
    unreadable: HashSet<Vec<u8>>,
}

/// What one look has done.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct NextLook {
    pub(super) fired: u64,
    pub(super) refused: u64,
    pub(super) pending: Pending,
}

impl Observer for Registry {
    fn changed_beside(&self, tables: SidecarTables) {
        if tables.has(SidecarTable::Timers) {
            self.is_behind.store(true, Ordering::Release);
            if !fault!(DeafToOthers) {
                self.sooner.notify_one();
            }
        }
    }
}

impl Registry {
    pub(super) fn of(handle: &StoreHandle) -> Result<Arc<Self>> {
        handle.observer(|| Self::with(Arc::new(Machine)))
    }

    pub(super) fn with(clock: Arc<dyn Clock>) -> Self {
        Self {
            rows: Mutex::default(),
            is_behind: AtomicBool::new(false),
            clock,
            sooner: Notify::new(),
            running: Mutex::default(),
        }
    }

    /// The time that decides what is due.
    fn time(&self) -> Now {
        let now = self.clock.now();
        fault!(FiresEarly, {
            return Now { wall: now.wall + 5_000, steady: now.steady + 5_000 };
        });
        now
    }

    fn rows(&self) -> MutexGuard<'_, Rowed> {
        let mut rows = lock(&self.rows);
        if self.is_behind.swap(false, Ordering::AcqRel) {
            rows.count = None;
        }
        rows
    }

    /// Makes a timer. One that is there already, for the same event, is answered as it is.
    pub(super) fn add(
        &self,
        handle: &StoreHandle,
        place: Place,
        event: NewEvent,
        when: Due,
    ) -> Result<Timer> {
        let now = self.clock.now();
        let (family, due) = due(when, now)?;
        let event = event.occurred(Timestamp::from_micros(due));
        let made = Timestamp::from_micros(now.wall);
        let row = Row { family, due, made, branch: None, place, event, refused: None };
        handle.check(Batch::new().add(row.place.clone(), Expect::Any, row.event.clone())?)?;
        // Before anything is looked at: a timer of this event may be firing.
        let mut rows = self.rows();
        loop {
            match self.make(handle, &row, &mut rows) {
                // Another process has made one of this event.
                Err(Error::RecordChanged { .. }) => {}
                made => break made,
            }
        }
    }

    fn make(&self, handle: &StoreHandle, row: &Row, rows: &mut Rowed) -> Result<Timer> {
        let reader = handle.reader()?;
        let branch = match reader.branch(&row.place) {
            Err(Error::NotFound { .. }) if row.place.branch.as_str() == MAIN => None,
            other => Some(other?),
        };
        let row = &Row { branch: Some(branch.as_ref().map_or(NO_BRANCH, |b| b.number)), ..row.clone() };
        match reader.by_id(row.event.id) {
            Err(Error::NotFound { .. }) => {}
            found => return Err(Error::Duplicate { id: row.event.id, at: found?.address() }),
        }
        let view = reader.records();
        if let Some(key) = view.get(SidecarTable::Timers, &index_key(row.event.id))? {
            return known(&view, &key, row.clone(), branch.is_some_and(|branch| is_first(&branch)));
        }
        let count = match rows.count {
            Some(count) => count,
            None => *rows.count.insert(count(&view)?),
        };
        if count >= MAX_TIMERS {
            let reason =
                format!("are {count} in this store, which is the limit; cancel some, or let some fire");
            return Err(Invalid::new("timers", reason).into());
        }
        let mut records = SidecarWrites::new();
        records.expect(SidecarTable::Timers, index_key(row.event.id), None);
        records.put(SidecarTable::Timers, index_key(row.event.id), row.key());
        records.put(SidecarTable::Timers, row.key(), row.encode()?);
        handle.write_records(records)?;
        rows.count = Some(count + 1);
        if !fault!(SleepsThrough) {
            self.sooner.notify_one();
        }
        Ok(row.clone().into())
    }

    /// Up to `limit` timers after a mark.
    pub(super) fn list(
        &self,
        handle: &StoreHandle,
        after: Option<&TimerMark>,
        limit: usize,
    ) -> Result<Vec<Timer>> {
        let rows = page(&handle.reader()?.records(), after, limit)?;
        Ok(rows.into_iter().map(Timer::from).collect())
    }

    /// Takes timers of deleted branches out of a group: an append would begin another branch under the name.
    fn refuse_deleted(
        &self,
        handle: &StoreHandle,
        rows: &mut Rowed,
        group: &mut Vec<Row>,
        look: &mut NextLook,
    ) -> Result<()> {
        let reader = handle.reader()?;
        let mut left = Vec::with_capacity(group.len());
        for row in group.drain(..) {
            match is_for_what_is_deleted(&reader, &row) {
                Ok(Some(error)) => match refuse(handle, &row, &error) {
                    Ok(()) => look.refused += 1,
                    // Another process has fired or cancelled it.
                    Err(Error::RecordChanged { .. }) => rows.count = None,
                    Err(e) => return Err(e),
                },
                Ok(None) => left.push(row),
                // Appending to it finds the damage, and says so.
                Err(e) if e.is_damage() => left.push(row),
                Err(e) => return Err(e),
            }
        }
        *group = left;
        Ok(())
    }

    pub(super) fn get(&self, handle: &StoreHandle, id: EventId) -> Result<Timer> {
        let view = handle.reader()?.records();
        let mut key = index(&view, id)?;
        loop {
            if let Some(value) = view.get(SidecarTable::Timers, &key)? {
                return Row::decode(&key, &value).map(Timer::from);
            }
            // It was refused meanwhile, and lies elsewhere; or it is gone.
            let other = index(&view, id)?;
            if other == key {
                return Err(Error::not_found("timer", id));
            }
            key = other;
        }
    }

    pub(super) fn cancel(&self, handle: &StoreHandle, id: EventId) -> Result<()> {
        let mut rows = self.rows();
        loop {
            let key = index(&handle.reader()?.records(), id)?;
            let mut records = SidecarWrites::new();
            if !fault!(CancelsBlindly) {
                records.expect(SidecarTable::Timers, index_key(id), Some(key.clone()));
            }
            records.remove(SidecarTable::Timers, index_key(id));
            records.remove(SidecarTable::Timers, key);
            match handle.write_records(records) {
                // It was fired, cancelled or refused meanwhile.
                Err(Error::RecordChanged { .. }) => {}
                written => break written?,
            }
        }
        rows.count = rows.count.map(|count| count.saturating_sub(1));
        Ok(())
    }

    /// Fires everything that is due, group by group.
    pub(super) fn fire(&self, handle: &StoreHandle) -> Result<NextLook> {
        let mut look = NextLook::default();
        loop {
            let mut rows = self.rows();
            let (now, view) = (self.time(), handle.reader()?.records());
            let mut group = rows.due(&view, Family::At, now.wall)?;
            group.extend(rows.due(&view, Family::After, now.steady)?);
            if group.is_empty() {
                let (at, after) =
                    (next(&view, Family::At, now.wall)?, next(&view, Family::After, now.steady)?);
                look.pending = Pending { at, after };
                return Ok(look);
            }
            group.sort_by_key(|row| (row.due, row.event.id));
            group.truncate(TIMER_GROUP);
            let before = look.fired;
            self.refuse_deleted(handle, &mut rows, &mut group, &mut look)?;
            if group.is_empty() {
                continue;
            }
            match append(handle, &group) {
                Ok(()) => look.fired += group.len() as u64,
                // One of them is refused, is gone, or its branch is damaged: the others are not to wait for it.
                Err(e) if e.is_refusal() || e.is_damage() => {
                    for row in &group {
                        match fire_one(handle, row) {
                            Ok(true) => look.fired += 1,
                            Ok(false) => look.refused += 1,
                            // Another process has fired or cancelled it.
                            Err(Error::RecordChanged { .. }) => rows.count = None,
                            Err(error @ Error::Corrupt { .. }) => rows.passed_over(row.key(), &error),
                            Err(e) => return Err(e),
                        }
                    }
                }
                Err(e) => return Err(e),
            }
            // Refused ones stay, and count.
            let fired = usize::try_from(look.fired - before).unwrap_or(usize::MAX);
            rows.count = rows.count.map(|count| count.saturating_sub(fired));
        }
    }
}

impl Rowed {
    /// A timer that does not fire, because it is damaged.
    fn passed_over(&mut self, key: Vec<u8>, error: &Error) {
        if self.unreadable.insert(key) {
            warn!(%error, "a timer cannot be read and does not fire; cancel it by its id");
        }
    }

    /// Rows of a family that are due. One that cannot be read is told of once, and the others are not to wait for it.
    fn due(&mut self, view: &Records, family: Family, now: i64) -> Result<Vec<Row>> {
        let to = last_key(family, now);
        let (mut found, mut after) = (Vec::new(), None::<Vec<u8>>);
        while found.len() < TIMER_GROUP {
            let page = SidecarRange {
                after: after.as_deref(),
                to: Some(&to),
                ..SidecarRange::under(family.prefix(), TIMER_GROUP - found.len())
            };
            let page = view.rows(SidecarTable::Timers, &page)?;
            let Some(last) = page.last() else { break };
            after = Some(last.key.clone());
            for record in page {
                if self.unreadable.contains(&record.key) {
                    continue;
                }
                match record.value.and_then(|value| Row::decode(&record.key, &value)) {
                    Ok(row) => found.push(row),
                    Err(error) => self.passed_over(record.key, &error),
                }
            }
        }
        Ok(found)
    }
}

/// When a timer is due, by which clock.
fn due(when: Due, now: Now) -> Result<(Family, i64)> {
    let longest = MAX_TIMER_DAYS * 24 * 3_600 * 1_000_000;
    let (family, due, from) = match when {
        Due::At(time) => (Family::At, time.micros(), now.wall),
        Due::After(delay) => {
            let delay = micros(delay);
            (Family::After, now.steady.saturating_add(delay), now.steady)
        }
    };
    if due < from {
        let (due, now) = (Timestamp::from_micros(due), Timestamp::from_micros(from));
        let reason =
            format!("is {due}, which is past (it is {now}); append the event, or give a time that comes");
        return Err(Invalid::new("timer", reason).into());
    }
    if due.saturating_sub(from) > longest {
        let reason = format!("is more than {MAX_TIMER_DAYS} days ahead, which is the most");
        return Err(Invalid::new("timer", reason).into());
    }
    Ok((family, due))
}

/// The answer to a timer whose event has one already. `is_first`: it is asked for on the first branch of that name.
fn known(view: &Records, key: &[u8], asked: Row, is_first: bool) -> Result<Timer> {
    let id = asked.event.id;
    let Some(value) = view.get(SidecarTable::Timers, key)? else {
        let is_broken = index(view, id).is_ok_and(|index| index == key);
        return Err(match is_broken {
            true => {
                Error::corrupt(format!("timer {id}"), "what leads to its row is there, and the row is not")
            }
            // It was fired or cancelled meanwhile.
            false => Error::RecordChanged { record: format!("timer {id}") },
        });
    };
    let there = Row::decode(key, &value)?;
    // A delay that is asked for again begins later; it is the same timer all the same.
    let same_time = match asked.family {
        Family::After => there.family != Family::At,
        family => there.family != Family::After && there.due == asked.due && family == Family::At,
    };
    // One that was made before its session began is for the first branch that has the name.
    let is_same = there.branch.is_none() || (is_first && there.branch == Some(NO_BRANCH));
    let asked = Row {
        branch: if is_same { there.branch } else { asked.branch },
        family: there.family,
        due: there.due,
        made: there.made,
        refused: there.refused.clone(),
        ..asked
    };
    let asked = Row { event: asked.event.clone().occurred(there.event.occurred), ..asked };
    if same_time && asked.encode()? == value {
        return Ok(there.into());
    }
    Err(Error::Exists { what: "timer", name: id.to_string() })
}

fn index(view: &Records, id: EventId) -> Result<Vec<u8>> {
    view.get(SidecarTable::Timers, &index_key(id))?.ok_or_else(|| Error::not_found("timer", id))
}

fn count(view: &Records) -> Result<usize> {
    let (mut count, mut after) = (0, None::<Vec<u8>>);
    loop {
        let rows = SidecarRange { after: after.as_deref(), ..SidecarRange::under(INDEX, COUNT_PAGE) };
        let page = view.rows(SidecarTable::Timers, &rows)?;
        count += page.len();
        match page.into_iter().next_back() {
            Some(last) => after = Some(last.key),
            None => return Ok(count),
        }
    }
}

/// When the first of a family is due that is not yet.
fn next(view: &Records, family: Family, now: i64) -> Result<Option<i64>> {
    let after = last_key(family, now);
    let page = view.rows(
        SidecarTable::Timers,
        &SidecarRange { after: Some(&after), ..SidecarRange::under(family.prefix(), 1) },
    )?;
    Ok(page.first().and_then(|record| super::row::parse_key(&record.key)).map(|(_, due, _)| due))
}

/// Fires a timer, or keeps it as refused: then it is `false`.
fn fire_one(handle: &StoreHandle, row: &Row) -> Result<bool> {
    match append(handle, std::slice::from_ref(row)) {
        Ok(()) => Ok(true),
        Err(changed @ Error::RecordChanged { .. }) => {
            let (reader, id) = (handle.reader()?, row.event.id);
            let keys = [&index_key(id)[..], &row.key()];
            let [index, value] = reader.records().get_all(SidecarTable::Timers, keys)?;
            if index != Some(row.key()) {
                let reason = "its row is there, and what leads to it is not";
                let is_broken = value.is_some();
                return Err(if is_broken { Error::corrupt(format!("timer {id}"), reason) } else { changed });
            }
            match reader.by_id(id) {
                Ok(_) => {}
                Err(Error::NotFound { .. }) => return Err(changed),
                Err(error) => return Err(error),
            }
            // Somebody has appended its event without it.
            let mut records = SidecarWrites::new();
            take_away(row, &mut records);
            handle.write_records(records).map(|()| true)
        }
        Err(e) if e.is_refusal() => refuse(handle, row, &e).map(|()| false),
        Err(e) => Err(e),
    }
}

/// Records the events of timers and takes their rows away, all or nothing.
fn append(handle: &StoreHandle, group: &[Row]) -> Result<()> {
    let (mut batch, mut records) = (Batch::new(), SidecarWrites::new());
    for row in group {
        let branch = row.branch.filter(|number| *number != NO_BRANCH);
        batch = batch.add(row.place.clone(), Expect::Any, row.event.clone())?.only_number(branch);
        take_away(row, &mut records);
    }
    fault!(FiresApart, {
        handle.append(batch)?;
        crate::sync::point();
        return handle.write_records(records);
    });
    handle.append(batch.records(records)).map(|_| ())
}

/// Removes a timer that is still as it was seen.
fn take_away(row: &Row, records: &mut SidecarWrites) {
    let index = index_key(row.event.id);
    records.expect(SidecarTable::Timers, index.clone(), Some(row.key()));
    records.remove(SidecarTable::Timers, index);
    records.remove(SidecarTable::Timers, row.key());
}

/// Keeps a timer whose event the store does not take, out of the way of the others.
fn refuse(handle: &StoreHandle, row: &Row, reason: &Error) -> Result<()> {
    let id = row.event.id;
    warn!(%id, place = %row.place, error = %reason, "the event of a timer is refused; the timer is kept, with the reason");
    let refused = Row { family: Family::Refused, refused: Some(reason.to_string()), ..row.clone() };
    let mut records = SidecarWrites::new();
    records.expect(SidecarTable::Timers, index_key(id), Some(row.key()));
    records.remove(SidecarTable::Timers, row.key());
    records.put(SidecarTable::Timers, key(Family::Refused, row.due, id), refused.encode()?);
    records.put(SidecarTable::Timers, index_key(id), refused.key());
    handle.write_records(records)?;
    info!(%id, "kept as refused");
    Ok(())
}
