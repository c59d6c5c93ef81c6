//! Where dead letters lie, and what can be done with them. A dead letter is one row; that it was sent again is a second one, so
//! that nobody has to read a row to change it.

use std::collections::{BTreeSet, HashMap};
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::task::{Context, Waker};

use tokio::sync::Notify;

use super::dead_letter::DeadLetter;
use super::machine::Resolved;
use super::owner::Owner;
use crate::error::{Error, Result};
use crate::event::{Event, Position, Timestamp};
use crate::limits::MAX_LISTING;
use crate::store::{
    Observer, Reader, Records, SidecarRange, SidecarTable, SidecarTables, SidecarWrites, Store, StoreHandle,
};
use crate::sync::{Mutex, lock};

const DEAD_LETTER: u8 = b'l';
const AGAIN: u8 = b'a';

fn under(sort: u8, owner: &Owner) -> Vec<u8> {
    [vec![sort], owner.key()].concat()
}

fn key(sort: u8, owner: &Owner, position: u64) -> Vec<u8> {
    [under(sort, owner), position.to_be_bytes().to_vec()].concat()
}

/// The owner and the position in a key.
fn named(key: &[u8]) -> Option<(Owner, u64)> {
    let (rest, position) = key.split_last_chunk()?;
    let (zero, rest) = rest.split_last()?;
    let owner = Owner::from_key(rest.get(1..)?)?;
    (*zero == 0).then_some((owner, u64::from_be_bytes(*position)))
}

fn is_again(view: &Records, owner: &Owner, position: u64) -> Result<bool> {
    Ok(view.get(SidecarTable::DeadLetters, &key(AGAIN, owner, position))?.is_some())
}

fn read(view: &Records, owner: &Owner, position: u64) -> Result<Option<DeadLetter>> {
    let Some(row) = view.get(SidecarTable::DeadLetters, &key(DEAD_LETTER, owner, position))? else {
        return Ok(None);
    };
    let again = is_again(view, owner, position)?;
    DeadLetter::from_row(owner.clone(), position, again, &row).map(Some)
}

fn positions(view: &Records, sort: u8, owner: &Owner) -> Result<BTreeSet<u64>> {
    let rows = view.rows(SidecarTable::DeadLetters, &SidecarRange::under(&under(sort, owner), usize::MAX))?;
    Ok(rows.iter().filter_map(|row| named(&row.key)).map(|(_, position)| position).collect())
}

/// What is known in memory of the dead letters of one owner.
#[derive(Debug, Default)]
struct Known {
    /// Their positions, once they were counted.
    positions: Mutex<Option<BTreeSet<u64>>>,
    /// Rung when dead letters were sent again.
    wake: Notify,
    /// Another handle has changed dead letters since they were counted.
    is_behind: AtomicBool,
    /// Those who have changed the positions, and have not written it yet.
    writing: AtomicUsize,
    /// How often the positions were changed.
    edits: AtomicU64,
    pushed_out: AtomicU64,
    warned: AtomicBool,
}

impl Known {
    /// What is known may be wrong: whoever waits counts again.
    fn changed(&self) {
        self.is_behind.store(true, Ordering::Release);
        self.wake.notify_one();
    }
}

/// The dead letters of all owners of one open store.
#[derive(Debug, Default)]
struct DeadLetterQueues(Mutex<HashMap<Owner, Arc<Known>>>);

impl Observer for DeadLetterQueues {
    fn changed_beside(&self, tables: SidecarTables) {
        if tables.has(SidecarTable::DeadLetters) {
            lock(&self.0).values().for_each(|known| known.changed());
        }
    }
}

/// What was changed in memory is on its way to the store, until this is dropped.
#[derive(Debug)]
#[must_use]
pub(crate) struct Writing(Arc<Known>);

impl Drop for Writing {
    fn drop(&mut self) {
        let last = self.0.writing.fetch_sub(1, Ordering::AcqRel) == 1;
        if last && self.0.is_behind.load(Ordering::Acquire) {
            // What was not counted for it can be counted now.
            self.0.wake.notify_one();
        }
    }
}

impl DeadLetterQueues {
    fn known(handle: &StoreHandle, owner: &Owner) -> Result<Arc<Known>> {
        let queues = handle.observer(Self::default)?;
        let mut known = lock(&queues.0);
        if known.len() == known.capacity() {
            // Nobody has them, and they are counted again when somebody does.
            known.retain(|_, known| Arc::strong_count(known) > 1);
        }
        Ok(known.entry(owner.clone()).or_default().clone())
    }
}

/// The dead letters of one owner, for the one who writes them. All of them share what is known of an owner, so the bound
/// holds whoever drops and sends again.
#[derive(Clone, Debug)]
pub(crate) struct DeadLetterQueue {
    handle: StoreHandle,
    owner: Owner,
    known: Arc<Known>,
    max: usize,
}

impl DeadLetterQueue {
    /// Counts what is there. At most `max` dead letters are kept: one more pushes out the one with the lowest position.
    pub(crate) fn open(handle: &StoreHandle, owner: Owner, max: usize) -> Result<Self> {
        let queue = Self::uncounted(handle, owner, max)?;
        queue.count(&handle.reader()?)?;
        Ok(queue)
    }

    /// [`open`](Self::open) without a read: nothing else is to be asked of it before [`count`](Self::count).
    pub(crate) fn uncounted(handle: &StoreHandle, owner: Owner, max: usize) -> Result<Self> {
        let known = DeadLetterQueues::known(handle, &owner)?;
        Ok(Self { handle: handle.clone(), owner, known, max: max.max(1) })
    }

    /// Counts what is there, unless that is known.
    pub(crate) fn count(&self, reader: &Reader) -> Result<()> {
        let known = &self.known;
        while lock(&known.positions).is_none() || known.is_behind.load(Ordering::Acquire) {
            let edits = known.edits.load(Ordering::Acquire);
            known.is_behind.store(false, Ordering::Release);
            let found = positions(&reader.records(), DEAD_LETTER, &self.owner)?;
            let mut there = lock(&known.positions);
            let is_quiet =
                known.writing.load(Ordering::Acquire) == 0 && known.edits.load(Ordering::Acquire) == edits;
            if there.is_none() || is_quiet {
                *there = Some(found);
                continue;
            }
            // What is on its way to the store was not there yet: it is counted when that has ended.
            known.is_behind.store(true, Ordering::Release);
            break;
        }
        Ok(())
    }

    /// Counts what is there: what was changed and not written is dropped.
    pub(crate) fn recount(&self, reader: &Reader) -> Result<()> {
        self.known.is_behind.store(false, Ordering::Release);
        let found = positions(&reader.records(), DEAD_LETTER, &self.owner)?;
        *lock(&self.known.positions) = Some(found);
        Ok(())
    }

    /// Dead letters were changed elsewhere than by whoever keeps their positions: they are counted again.
    pub(crate) fn changed(&self) {
        self.known.changed();
    }

    /// For the time from a change to the end of its write.
    pub(crate) fn writing(&self) -> Writing {
        self.known.writing.fetch_add(1, Ordering::AcqRel);
        Writing(self.known.clone())
    }

    /// How many are stored, counted if need be.
    pub(crate) fn stored(handle: &StoreHandle, owner: Owner) -> Result<usize> {
        let reader = handle.reader()?;
        let queue = Self::uncounted(handle, owner, usize::MAX)?;
        let known = lock(&queue.known.positions).as_ref().map(BTreeSet::len);
        match known {
            Some(known) if !queue.known.is_behind.load(Ordering::Acquire) => Ok(known),
            _ => Ok(positions(&reader.records(), DEAD_LETTER, &queue.owner)?.len()),
        }
    }

    /// How many there are.
    pub(crate) fn len(&self) -> usize {
        lock(&self.known.positions).as_ref().map_or(0, BTreeSet::len)
    }

    /// How many were pushed out since the store was opened.
    pub(crate) fn pushed_out(&self) -> u64 {
        self.known.pushed_out.load(Ordering::Relaxed)
    }

    pub(crate) fn has(&self, position: Position) -> bool {
        lock(&self.known.positions).as_ref().is_some_and(|there| there.contains(&position.get()))
    }

    /// Sets an event aside, with these records. A dead letter that is there, also one that was sent again, is replaced.
    pub(crate) fn put(&self, records: &mut SidecarWrites, dead_letter: &DeadLetter) {
        let position = dead_letter.position.get();
        let mut there = lock(&self.known.positions);
        self.known.edits.fetch_add(1, Ordering::AcqRel);
        let there = there.get_or_insert_default();
        there.insert(position);
        records.put(SidecarTable::DeadLetters, key(DEAD_LETTER, &self.owner, position), dead_letter.to_row());
        records.remove(SidecarTable::DeadLetters, key(AGAIN, &self.owner, position));
        while there.len() > self.max {
            let Some(oldest) = there.iter().copied().find(|p| *p != position) else { break };
            there.remove(&oldest);
            self.remove(records, oldest);
            self.known.pushed_out.fetch_add(1, Ordering::Relaxed);
            if !self.known.warned.swap(true, Ordering::Relaxed) {
                let (owner, max) = (&self.owner, self.max);
                tracing::warn!(%owner, max, "the dead letters are full: each new one pushes out the oldest");
            }
        }
    }

    /// Sets aside an event that was given up, with these records. One that was sent again and was discarded meanwhile stays
    /// discarded: `false`. Reads for one that was sent again, and so blocks.
    pub(crate) fn bury(
        &self,
        records: &mut SidecarWrites,
        event: &Event,
        dead: &Resolved,
        error: String,
        now: Timestamp,
    ) -> Result<bool> {
        let dead_letter = DeadLetter::of(self.owner.clone(), event, dead, error, now);
        if dead.again {
            return Ok(self.has(dead_letter.position) && self.put_again(records, &dead_letter)?);
        }
        self.put(records, &dead_letter);
        Ok(true)
    }

    /// Takes a dead letter away, with these records: it was handled after all. `false` when there is none.
    pub(crate) fn take(&self, records: &mut SidecarWrites, position: Position) -> bool {
        let mut known = lock(&self.known.positions);
        self.known.edits.fetch_add(1, Ordering::AcqRel);
        let there = known.as_mut().is_some_and(|known| known.remove(&position.get()));
        drop(known);
        if there {
            self.remove(records, position.get());
        }
        there
    }

    /// [`take`](Self::take) for one that was sent again, which is there whatever is known of it.
    pub(crate) fn take_again(&self, records: &mut SidecarWrites, position: Position) {
        if !self.take(records, position) {
            self.remove(records, position.get());
        }
    }

    /// [`put`](Self::put) for one that was sent again and failed again, unless it is discarded meanwhile. `false` when it is.
    fn put_again(&self, records: &mut SidecarWrites, dead_letter: &DeadLetter) -> Result<bool> {
        let key = key(DEAD_LETTER, &self.owner, dead_letter.position.get());
        let row = self.handle.reader()?.records().get(SidecarTable::DeadLetters, &key)?;
        let is_there = row.is_some();
        if is_there {
            records.expect(SidecarTable::DeadLetters, key, row);
            self.put(records, dead_letter);
        }
        Ok(is_there)
    }

    /// The records that were to take it away were refused with their append.
    pub(crate) fn keep(&self, position: Position) {
        lock(&self.known.positions).get_or_insert_default().insert(position.get());
    }

    fn remove(&self, records: &mut SidecarWrites, position: u64) {
        records.remove(SidecarTable::DeadLetters, key(DEAD_LETTER, &self.owner, position));
        records.remove(SidecarTable::DeadLetters, key(AGAIN, &self.owner, position));
    }

    /// Takes all away, with these records, and says how many there were.
    pub(crate) fn clear(&self, reader: &Reader, records: &mut SidecarWrites) -> Result<usize> {
        let mut all = positions(&reader.records(), DEAD_LETTER, &self.owner)?;
        let mut known = lock(&self.known.positions);
        self.known.edits.fetch_add(1, Ordering::AcqRel);
        // One may be on its way to the store.
        all.extend(known.replace(BTreeSet::new()).unwrap_or_default());
        drop(known);
        all.iter().for_each(|position| self.remove(records, *position));
        Ok(all.len())
    }

    /// Those that were sent again and not handled yet, in the order of their positions.
    pub(crate) fn again(&self) -> Result<Vec<DeadLetter>> {
        self.sent_again(&mut SidecarWrites::new())
    }

    /// [`again`](Self::again) for the one who writes them: one that was handled while it was sent again leaves nothing,
    /// with these records.
    pub(crate) fn sent_again(&self, records: &mut SidecarWrites) -> Result<Vec<DeadLetter>> {
        let reader = self.handle.reader()?;
        self.count(&reader)?;
        let view = reader.records();
        let mut dead_letters = Vec::new();
        for position in positions(&view, AGAIN, &self.owner)? {
            match read(&view, &self.owner, position)? {
                Some(dead_letter) => dead_letters.push(dead_letter),
                None => records.remove(SidecarTable::DeadLetters, key(AGAIN, &self.owner, position)),
            }
        }
        Ok(dead_letters)
    }

    /// Whether this one was sent again and not handled yet, now.
    pub(crate) fn is_again(&self, position: Position) -> Result<bool> {
        is_again(&self.handle.reader()?.records(), &self.owner, position.get())
    }

    /// Records may not have been written: what is there is counted anew when it is opened again.
    pub(crate) fn forget(&self) {
        *lock(&self.known.positions) = None;
    }

    /// Whether dead letters were sent again since it was asked or waited for last.
    pub(crate) fn has_rung(&self) -> bool {
        pin!(self.known.wake.notified()).poll(&mut Context::from_waker(Waker::noop())).is_ready()
    }

    /// Resolves when dead letters of the owner were sent again since it was waited for last.
    pub(crate) async fn rung(&self) {
        self.known.wake.notified().await;
    }
}

pub(super) fn list(
    store: &Store,
    owner: Option<&Owner>,
    after: Option<(&Owner, Position)>,
    limit: usize,
) -> Result<Vec<DeadLetter>> {
    let view = store.reader()?.records();
    let prefix = owner.map_or_else(|| vec![DEAD_LETTER], |owner| under(DEAD_LETTER, owner));
    let after = after.map(|(owner, position)| key(DEAD_LETTER, owner, position.get()));
    let rows = view.rows(
        SidecarTable::DeadLetters,
        &SidecarRange { after: after.as_deref(), ..SidecarRange::under(&prefix, limit.min(MAX_LISTING)) },
    )?;
    rows.into_iter()
        .map(|row| {
            let (owner, position) = named(&row.key).ok_or_else(|| {
                Error::corrupt(format!("dead letter {}", row.key.escape_ascii()), "its key names no owner")
            })?;
            let again = is_again(&view, &owner, position)?;
            DeadLetter::from_row(owner, position, again, &row.value?)
        })
        .collect()
}

pub(super) fn get(store: &Store, owner: &Owner, position: Position) -> Result<DeadLetter> {
    read(&store.reader()?.records(), owner, position.get())?
        .ok_or_else(|| Error::not_found("dead letter", format!("{position} of {owner}")))
}

pub(super) fn replay(store: &Store, owner: &Owner, position: Position) -> Result<()> {
    let handle = store.handle();
    while_there(&handle, owner, position, |records| {
        records.put(SidecarTable::DeadLetters, key(AGAIN, owner, position.get()), Vec::new());
    })?;
    // A permit stays when nobody waits just now.
    DeadLetterQueues::known(&handle, owner)?.wake.notify_one();
    Ok(())
}

/// Writes these records while the dead letter is as it is now: one that was handled or failed again meanwhile is looked at anew.
fn while_there(
    handle: &StoreHandle,
    owner: &Owner,
    position: Position,
    write: impl Fn(&mut SidecarWrites),
) -> Result<()> {
    let key = key(DEAD_LETTER, owner, position.get());
    loop {
        let row = handle.reader()?.records().get(SidecarTable::DeadLetters, &key)?;
        let Some(row) = row else {
            return Err(Error::not_found("dead letter", format!("{position} of {owner}")));
        };
        let mut records = SidecarWrites::new();
        records.expect(SidecarTable::DeadLetters, key.clone(), Some(row));
        write(&mut records);
        match handle.write_records(records) {
            Err(Error::RecordChanged { .. }) => {}
            written => return written,
        }
    }
}

pub(super) fn replay_all(store: &Store, owner: &Owner) -> Result<usize> {
    let all = positions(&store.reader()?.records(), DEAD_LETTER, owner)?;
    let count = all.len();
    send_back(store, owner, all).map(|()| count)
}

fn send_back(store: &Store, owner: &Owner, positions: BTreeSet<u64>) -> Result<()> {
    let handle = store.handle();
    let mut records = SidecarWrites::new();
    positions.iter().for_each(|p| records.put(SidecarTable::DeadLetters, key(AGAIN, owner, *p), Vec::new()));
    handle.write_records(records)?;
    // A permit stays when nobody waits just now.
    DeadLetterQueues::known(&handle, owner)?.wake.notify_one();
    Ok(())
}

/// Discards dead letters of handlers whose names begin with `begin` and not with `but`: all but the last `keep`, in the
/// order of names and positions. Answers with how many. No such handler may be running.
pub(crate) fn discard_oldest(handle: &StoreHandle, begin: &str, but: &str, keep: usize) -> Result<usize> {
    // Of their key, everything but the zero at its end.
    let mut prefix = under(DEAD_LETTER, &Owner::handler(begin)?);
    prefix.pop();
    let view = handle.reader()?.records();
    let rows = view.rows(SidecarTable::DeadLetters, &SidecarRange::under(&prefix, usize::MAX))?;
    let all = rows.iter().filter_map(|row| named(&row.key));
    let all: Vec<(Owner, u64)> = all.filter(|(owner, _)| !owner.name().starts_with(but)).collect();
    let oldest = all.len().saturating_sub(keep);
    let mut records = SidecarWrites::new();
    for (owner, position) in all.iter().take(oldest) {
        records.remove(SidecarTable::DeadLetters, key(DEAD_LETTER, owner, *position));
        records.remove(SidecarTable::DeadLetters, key(AGAIN, owner, *position));
    }
    handle.write_records(records)?;
    for (owner, _) in all.iter().take(oldest) {
        *lock(&DeadLetterQueues::known(handle, owner)?.positions) = None;
    }
    Ok(oldest)
}

pub(super) fn discard(store: &Store, owner: &Owner, position: Position) -> Result<()> {
    let handle = store.handle();
    let dead_letter_queue = DeadLetterQueue::open(&handle, owner.clone(), usize::MAX)?;
    let _writing = dead_letter_queue.writing();
    while_there(&handle, owner, position, |records| dead_letter_queue.remove(records, position.get()))?;
    dead_letter_queue.changed();
    Ok(())
}

pub(super) fn discard_all(store: &Store, owner: &Owner) -> Result<usize> {
    let handle = store.handle();
    let mut records = SidecarWrites::new();
    let dead_letter_queue = DeadLetterQueue::open(&handle, owner.clone(), usize::MAX)?;
    let _writing = dead_letter_queue.writing();
    let count = dead_letter_queue.clear(&handle.reader()?, &mut records)?;
    let written = handle.write_records(records);
    dead_letter_queue.changed();
    written.map(|()| count)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::event::{EventId, Timestamp};

    fn owner(name: &str) -> Owner {
        name.parse().unwrap()
    }

    fn dead_letter(of: &str, position: u64) -> DeadLetter {
        DeadLetter {
            owner: owner(of),
            position: position.into(),
            at: format!("run/main@{position}").parse().unwrap(),
            id: EventId::from_bytes([position as u8; 16]),
            kind: "a.b".into(),
            error: "no such host".into(),
            deliveries: 5,
            first: Timestamp::from_micros(1),
            last: Timestamp::from_micros(2),
            again: false,
        }
    }

    fn put(store: &Store, max: usize, dead_letter: &DeadLetter) -> DeadLetterQueue {
        let dead_letter_queue =
            DeadLetterQueue::open(&store.handle(), dead_letter.owner.clone(), max).unwrap();
        let mut records = SidecarWrites::new();
        dead_letter_queue.put(&mut records, dead_letter);
        store.handle().write_records(records).unwrap();
        dead_letter_queue
    }

    fn there(store: &Store, of: Option<&str>) -> Vec<String> {
        let owner = of.map(owner);
        let all = store.dead_letters().list(owner.as_ref(), None, 100).unwrap();
        all.iter()
            .map(|l| format!("{} {}{}", l.owner, l.position, if l.again { " again" } else { "" }))
            .collect()
    }

    #[test]
    fn owners_that_are_gone_are_not_remembered() {
        let store = Store::in_memory().unwrap();
        let keep = DeadLetterQueue::open(&store.handle(), Owner::handler("keep").unwrap(), 10).unwrap();
        for n in 0..10_000 {
            DeadLetterQueue::open(&store.handle(), Owner::handler(format!("h-{n}")).unwrap(), 10).unwrap();
        }
        let queues = store.handle().observer(DeadLetterQueues::default).unwrap();
        assert!(lock(&queues.0).len() < 1_000, "{}", lock(&queues.0).len());
        assert!(Arc::ptr_eq(&keep.known, &DeadLetterQueues::known(&store.handle(), &keep.owner).unwrap()));
    }

    #[test]
    fn letters_are_listed_by_owner_and_position_and_page_by_page() {
        let store = Store::in_memory().unwrap();
        assert_eq!(there(&store, None), [""; 0]);
        // One owner's name begins another's.
        for (of, position) in [("handler:a", 3), ("ab", 700), ("ab", 2), ("a", 9)] {
            put(&store, 10, &dead_letter(of, position));
        }
        let all = ["consumer:a 9", "consumer:ab 2", "consumer:ab 700", "handler:a 3"];
        assert_eq!(there(&store, None), all);
        assert_eq!(there(&store, Some("a")), all[..1]);
        assert_eq!(there(&store, Some("ab")), all[1..3]);
        let second = store.dead_letters().get(&owner("ab"), 2).unwrap();
        assert_eq!(second, dead_letter("ab", 2));
        let rest = store.dead_letters().list(None, Some(&second), 1).unwrap();
        assert_eq!(rest, [dead_letter("ab", 700)]);
        assert!(matches!(
            store.dead_letters().get(&owner("ab"), 3),
            Err(Error::NotFound { what: "dead letter", .. })
        ));
    }

    #[test]
    fn one_letter_too_many_pushes_out_the_oldest_of_its_owner() {
        let store = Store::in_memory().unwrap();
        put(&store, 2, &dead_letter("b", 1));
        for position in [5, 3, 4, 4] {
            put(&store, 2, &dead_letter("a", position));
        }
        let dead_letter_queue = put(&store, 2, &dead_letter("a", 1));
        assert_eq!(there(&store, None), ["consumer:a 1", "consumer:a 5", "consumer:b 1"]);
        assert_eq!((dead_letter_queue.len(), dead_letter_queue.pushed_out()), (2, 2));
    }

    #[test]
    fn what_is_sent_again_stays_until_it_is_taken_and_what_is_dropped_is_gone() {
        let store = Store::in_memory().unwrap();
        for position in 1..=4 {
            put(&store, 9, &dead_letter("a", position));
        }
        store.dead_letters().replay(&owner("a"), 3).unwrap();
        store.dead_letters().replay(&owner("a"), 1).unwrap();
        store.dead_letters().discard(&owner("a"), 1).unwrap();
        let dead_letter_queue = DeadLetterQueue::open(&store.handle(), owner("a"), 9).unwrap();
        assert!(!dead_letter_queue.has(1.into()) && dead_letter_queue.has(3.into()));
        assert_eq!(there(&store, None), ["consumer:a 2", "consumer:a 3 again", "consumer:a 4"]);
        assert_eq!(dead_letter_queue.again().unwrap(), [DeadLetter { again: true, ..dead_letter("a", 3) }]);
        // It failed once more.
        put(&store, 9, &dead_letter("a", 3));
        assert_eq!(dead_letter_queue.again().unwrap(), []);
        assert_eq!(store.dead_letters().replay_all(&owner("a")), Ok(3));
        let mut records = SidecarWrites::new();
        assert!(
            dead_letter_queue.take(&mut records, 2.into()) && !dead_letter_queue.take(&mut records, 2.into())
        );
        store.handle().write_records(records).unwrap();
        assert_eq!(there(&store, None), ["consumer:a 3 again", "consumer:a 4 again"]);
        assert_eq!(store.dead_letters().discard_all(&owner("a")), Ok(2));
        assert_eq!((there(&store, None).len(), dead_letter_queue.len()), (0, 0));
        let missing = store.dead_letters().replay(&owner("a"), 3);
        assert!(matches!(missing, Err(Error::NotFound { .. })));
        assert!(store.maintenance().verify().unwrap().is_clean());
    }

    #[test]
    fn one_that_was_handled_while_it_was_sent_again_leaves_nothing() {
        let store = Store::in_memory().unwrap();
        let dead_letter_queue = put(&store, 9, &dead_letter("a", 1));
        let mut records = SidecarWrites::new();
        dead_letter_queue.take(&mut records, 1.into());
        store.handle().write_records(records).unwrap();
        assert!(!dead_letter_queue.has_rung());
        send_back(&store, &owner("a"), [1].into()).unwrap();
        assert!(dead_letter_queue.has_rung() && !dead_letter_queue.has_rung());
        let left = || positions(&store.reader().unwrap().records(), AGAIN, &owner("a")).unwrap().len();
        assert_eq!(left(), 1);
        let mut records = SidecarWrites::new();
        assert_eq!(dead_letter_queue.sent_again(&mut records).unwrap(), []);
        store.handle().write_records(records).unwrap();
        assert_eq!(left(), 0);
    }

    #[test]
    fn what_was_not_written_is_not_counted_once_it_is_forgotten() {
        let store = Store::in_memory().unwrap();
        let dead_letter_queue = put(&store, 9, &dead_letter("a", 1));
        let mut never_written = SidecarWrites::new();
        dead_letter_queue.put(&mut never_written, &dead_letter("a", 2));
        dead_letter_queue.take(&mut never_written, 1.into());
        dead_letter_queue.forget();
        let dead_letter_queue = DeadLetterQueue::open(&store.handle(), owner("a"), 9).unwrap();
        assert!(dead_letter_queue.has(1.into()) && !dead_letter_queue.has(2.into()));
    }

    #[test]
    fn letters_outlive_the_store_and_a_long_error_is_cut() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("dead letters.redb");
        let store = Store::open(&path).unwrap();
        put(&store, 9, &DeadLetter { error: "ü".repeat(2_000), ..dead_letter("a", 1) });
        store.dead_letters().replay_all(&owner("a")).unwrap();
        store.close().unwrap();
        let store = Store::open(&path).unwrap();
        assert_eq!(there(&store, None), ["consumer:a 1 again"]);
        assert_eq!(store.dead_letters().get(&owner("a"), 1).unwrap().error, "ü".repeat(512));
        assert_eq!(DeadLetterQueue::open(&store.handle(), owner("a"), 9).unwrap().len(), 1);
    }
}
