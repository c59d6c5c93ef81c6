//! Where dead letters lie, and what can be done with them. A dead letter is one row; that it was sent again is a second one, so
//! that nobody has to read a row to change it.

use std::collections::{BTreeSet, HashMap};
use std::pin::pin;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::task::{Context, Waker};

use tokio::sync::Notify;

use super::dead_letter::DeadLetter;
use super::owner::Owner;
use crate::error::{Error, Result};
use crate::event::Position;
use crate::limits::MAX_LISTING;
use crate::store::{
    Observer, SidecarRange, SidecarTable, SidecarView, SidecarWrites, Store, StoreHandle, lock,
};

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

fn is_again(view: &SidecarView, owner: &Owner, position: u64) -> Result<bool> {
    Ok(view.get(SidecarTable::DeadLetters, &key(AGAIN, owner, position))?.is_some())
}

fn read(view: &SidecarView, owner: &Owner, position: u64) -> Result<Option<DeadLetter>> {
    let Some(row) = view.get(SidecarTable::DeadLetters, &key(DEAD_LETTER, owner, position))? else {
        return Ok(None);
    };
    let again = is_again(view, owner, position)?;
    DeadLetter::from_row(owner.clone(), position, again, &row).map(Some)
}

fn positions(view: &SidecarView, sort: u8, owner: &Owner) -> Result<BTreeSet<u64>> {
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
    pushed_out: AtomicU64,
    warned: AtomicBool,
}

/// The dead letters of all owners of one open store.
#[derive(Debug, Default)]
struct DeadLetterQueues(Mutex<HashMap<Owner, Arc<Known>>>);

impl Observer for DeadLetterQueues {}

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
        let known = DeadLetterQueues::known(handle, &owner)?;
        {
            let mut there = lock(&known.positions);
            if there.is_none() {
                *there = Some(positions(&handle.reader()?.records()?, DEAD_LETTER, &owner)?);
            }
        }
        Ok(Self { handle: handle.clone(), owner, known, max: max.max(1) })
    }

    pub(crate) fn owner(&self) -> &Owner {
        &self.owner
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

    /// Takes a dead letter away, with these records: it was handled after all. `false` when there is none.
    pub(crate) fn take(&self, records: &mut SidecarWrites, position: Position) -> bool {
        let there = lock(&self.known.positions).as_mut().is_some_and(|p| p.remove(&position.get()));
        if there {
            self.remove(records, position.get());
        }
        there
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
    pub(crate) fn clear(&self, records: &mut SidecarWrites) -> usize {
        let there = lock(&self.known.positions).take().unwrap_or_default();
        there.iter().for_each(|position| self.remove(records, *position));
        *lock(&self.known.positions) = Some(BTreeSet::new());
        there.len()
    }

    /// Those that were sent again and not handled yet, in the order of their positions.
    pub(crate) fn again(&self) -> Result<Vec<DeadLetter>> {
        self.sent_again(&mut SidecarWrites::new())
    }

    /// [`again`](Self::again) for the one who writes them: one that was handled while it was sent again leaves nothing,
    /// with these records.
    pub(crate) fn sent_again(&self, records: &mut SidecarWrites) -> Result<Vec<DeadLetter>> {
        let view = self.handle.reader()?.records()?;
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
        is_again(&self.handle.reader()?.records()?, &self.owner, position.get())
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

impl Store {
    /// Dead letters: of one owner or of all, after the given one, `limit` at the most (10,000 in one call). They come
    /// by owner, consumers first, and by position: pass the last dead letter of one page to get the next.
    ///
    /// # Errors
    /// [`Error::Closed`], [`Error::Corrupt`].
    pub fn dead_letters(
        &self,
        owner: Option<&Owner>,
        after: Option<&DeadLetter>,
        limit: usize,
    ) -> Result<Vec<DeadLetter>> {
        let view = self.reader()?.records()?;
        let prefix = owner.map_or_else(|| vec![DEAD_LETTER], |owner| under(DEAD_LETTER, owner));
        let after = after.map(|dead_letter| key(DEAD_LETTER, &dead_letter.owner, dead_letter.position.get()));
        let limit = limit.min(MAX_LISTING);
        let rows = view.rows(
            SidecarTable::DeadLetters,
            &SidecarRange { after: after.as_deref(), ..SidecarRange::under(&prefix, limit) },
        )?;
        rows.into_iter()
            .map(|row| {
                let (owner, position) = named(&row.key).ok_or_else(|| {
                    Error::corrupt(
                        format!("dead letter {}", row.key.escape_ascii()),
                        "its key names no owner",
                    )
                })?;
                let again = is_again(&view, &owner, position)?;
                DeadLetter::from_row(owner, position, again, &row.value?)
            })
            .collect()
    }

    /// One dead letter, by its owner and the position of its event.
    ///
    /// # Errors
    /// [`Error::NotFound`]; [`Error::Closed`], [`Error::Corrupt`].
    pub fn dead_letter(&self, owner: &Owner, position: impl Into<Position>) -> Result<DeadLetter> {
        let position = position.into();
        read(&self.reader()?.records()?, owner, position.get())?
            .ok_or_else(|| no_dead_letter(owner, position))
    }

    /// Sends a dead letter back to its owner, who is given the event again, with its deliveries counted from zero. A
    /// consumer gets it before those events of its branch that it was not given yet, a handler when its bus runs.
    /// It stays a dead letter until it has been handled; sending it twice is sending it once.
    ///
    /// # Errors
    /// [`Error::NotFound`]; else as [`append`](Self::append).
    pub fn replay_dead_letter(&self, owner: &Owner, position: impl Into<Position>) -> Result<()> {
        let dead_letter = self.dead_letter(owner, position)?;
        self.replay(owner, [dead_letter.position.get()].into())
    }

    /// [`replay_dead_letter`](Self::replay_dead_letter) for all dead letters of an owner, in one transaction. Answers with how many
    /// there are.
    ///
    /// # Errors
    /// As [`append`](Self::append).
    pub fn replay_dead_letters(&self, owner: &Owner) -> Result<usize> {
        let all = positions(&self.reader()?.records()?, DEAD_LETTER, owner)?;
        let count = all.len();
        self.replay(owner, all).map(|()| count)
    }

    fn replay(&self, owner: &Owner, positions: BTreeSet<u64>) -> Result<()> {
        let handle = self.handle();
        let mut records = SidecarWrites::new();
        positions
            .iter()
            .for_each(|p| records.put(SidecarTable::DeadLetters, key(AGAIN, owner, *p), Vec::new()));
        handle.write_records(records)?;
        // A permit stays when nobody waits just now.
        DeadLetterQueues::known(&handle, owner)?.wake.notify_one();
        Ok(())
    }

    /// Throws a dead letter away. The event itself stays where it is.
    ///
    /// # Errors
    /// [`Error::NotFound`]; else as [`append`](Self::append).
    pub fn drop_dead_letter(&self, owner: &Owner, position: impl Into<Position>) -> Result<()> {
        let dead_letter = self.dead_letter(owner, position)?;
        let handle = self.handle();
        let dead_letter_queue = DeadLetterQueue::open(&handle, owner.clone(), usize::MAX)?;
        let mut records = SidecarWrites::new();
        dead_letter_queue.take(&mut records, dead_letter.position);
        handle.write_records(records)
    }

    /// Throws all dead letters of an owner away. Answers with how many there were.
    ///
    /// # Errors
    /// As [`append`](Self::append).
    pub fn drop_dead_letters(&self, owner: &Owner) -> Result<usize> {
        let handle = self.handle();
        let mut records = SidecarWrites::new();
        let count = DeadLetterQueue::open(&handle, owner.clone(), usize::MAX)?.clear(&mut records);
        handle.write_records(records).map(|()| count)
    }
}

fn no_dead_letter(owner: &Owner, position: Position) -> Error {
    Error::not_found("dead letter", format!("{position} of {owner}"))
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
        let all = store.dead_letters(owner.as_ref(), None, 100).unwrap();
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
        assert!(Arc::ptr_eq(&keep.known, &DeadLetterQueues::known(&store.handle(), keep.owner()).unwrap()));
    }

    #[test]
    fn dead_letters_are_listed_by_owner_and_position_and_page_by_page() {
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
        let second = store.dead_letter(&owner("ab"), 2).unwrap();
        assert_eq!(second, dead_letter("ab", 2));
        let rest = store.dead_letters(None, Some(&second), 1).unwrap();
        assert_eq!(rest, [dead_letter("ab", 700)]);
        assert!(matches!(
            store.dead_letter(&owner("ab"), 3),
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
        store.replay_dead_letter(&owner("a"), 3).unwrap();
        store.replay_dead_letter(&owner("a"), 1).unwrap();
        store.drop_dead_letter(&owner("a"), 1).unwrap();
        let dead_letter_queue = DeadLetterQueue::open(&store.handle(), owner("a"), 9).unwrap();
        assert!(!dead_letter_queue.has(1.into()) && dead_letter_queue.has(3.into()));
        assert_eq!(there(&store, None), ["consumer:a 2", "consumer:a 3 again", "consumer:a 4"]);
        assert_eq!(dead_letter_queue.again().unwrap(), [DeadLetter { again: true, ..dead_letter("a", 3) }]);
        // It failed once more.
        put(&store, 9, &dead_letter("a", 3));
        assert_eq!(dead_letter_queue.again().unwrap(), []);
        assert_eq!(store.replay_dead_letters(&owner("a")), Ok(3));
        let mut records = SidecarWrites::new();
        assert!(
            dead_letter_queue.take(&mut records, 2.into()) && !dead_letter_queue.take(&mut records, 2.into())
        );
        store.handle().write_records(records).unwrap();
        assert_eq!(there(&store, None), ["consumer:a 3 again", "consumer:a 4 again"]);
        assert_eq!(store.drop_dead_letters(&owner("a")), Ok(2));
        assert_eq!((there(&store, None).len(), dead_letter_queue.len()), (0, 0));
        let missing = store.replay_dead_letter(&owner("a"), 3);
        assert!(matches!(missing, Err(Error::NotFound { .. })));
        assert!(store.verify().unwrap().is_clean());
    }

    #[test]
    fn one_that_was_handled_while_it_was_sent_again_leaves_nothing() {
        let store = Store::in_memory().unwrap();
        let dead_letter_queue = put(&store, 9, &dead_letter("a", 1));
        let mut records = SidecarWrites::new();
        dead_letter_queue.take(&mut records, 1.into());
        store.handle().write_records(records).unwrap();
        assert!(!dead_letter_queue.has_rung());
        store.replay(&owner("a"), [1].into()).unwrap();
        assert!(dead_letter_queue.has_rung() && !dead_letter_queue.has_rung());
        let left =
            || positions(&store.reader().unwrap().records().unwrap(), AGAIN, &owner("a")).unwrap().len();
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
    fn dead_letters_outlive_the_store_and_a_long_error_is_cut() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("dead letters.redb");
        let store = Store::open(&path).unwrap();
        put(&store, 9, &DeadLetter { error: "ü".repeat(2_000), ..dead_letter("a", 1) });
        store.replay_dead_letters(&owner("a")).unwrap();
        store.close().unwrap();
        let store = Store::open(&path).unwrap();
        assert_eq!(there(&store, None), ["consumer:a 1 again"]);
        assert_eq!(store.dead_letter(&owner("a"), 1).unwrap().error, "ü".repeat(512));
        assert_eq!(DeadLetterQueue::open(&store.handle(), owner("a"), 9).unwrap().len(), 1);
    }
}
