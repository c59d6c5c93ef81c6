//! Where letters lie, and what can be done with them. A letter is one row; that it was sent again is a second one, so
//! that nobody has to read a row to change it.

use std::collections::{BTreeSet, HashMap};
use std::pin::pin;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::task::{Context, Waker};

use tokio::sync::Notify;

use super::letter::Letter;
use super::owner::Owner;
use crate::error::{Error, Result};
use crate::event::Position;
use crate::limits::MAX_LISTING;
use crate::store::{
    Observer, SidecarRange, SidecarTable, SidecarView, SidecarWrites, Store, StoreHandle, lock,
};

const LETTER: u8 = b'l';
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
    Ok(view.get(SidecarTable::Letters, &key(AGAIN, owner, position))?.is_some())
}

fn read(view: &SidecarView, owner: &Owner, position: u64) -> Result<Option<Letter>> {
    let Some(row) = view.get(SidecarTable::Letters, &key(LETTER, owner, position))? else { return Ok(None) };
    let again = is_again(view, owner, position)?;
    Letter::from_row(owner.clone(), position, again, &row).map(Some)
}

fn positions(view: &SidecarView, sort: u8, owner: &Owner) -> Result<BTreeSet<u64>> {
    let rows = view.rows(SidecarTable::Letters, &SidecarRange::under(&under(sort, owner), usize::MAX))?;
    Ok(rows.iter().filter_map(|row| named(&row.key)).map(|(_, position)| position).collect())
}

/// What is known in memory of the letters of one owner.
#[derive(Debug, Default)]
struct Known {
    /// Their positions, once they were counted.
    positions: Mutex<Option<BTreeSet<u64>>>,
    /// Rung when letters were sent again.
    bell: Notify,
    pushed_out: AtomicU64,
    warned: AtomicBool,
}

/// The letters of all owners of one open store.
#[derive(Debug, Default)]
struct Office(Mutex<HashMap<Owner, Arc<Known>>>);

impl Observer for Office {}

impl Office {
    fn known(desk: &StoreHandle, owner: &Owner) -> Result<Arc<Known>> {
        let office = desk.observer(Self::default)?;
        let mut known = lock(&office.0);
        if known.len() == known.capacity() {
            // Nobody has them, and they are counted again when somebody does.
            known.retain(|_, known| Arc::strong_count(known) > 1);
        }
        Ok(known.entry(owner.clone()).or_default().clone())
    }
}

/// The letters of one owner, for the one who writes them. All of them share what is known of an owner, so the bound
/// holds whoever drops and sends again.
#[derive(Clone, Debug)]
pub(crate) struct Letterbox {
    desk: StoreHandle,
    owner: Owner,
    known: Arc<Known>,
    max: usize,
}

impl Letterbox {
    /// Counts what is there. At most `max` letters are kept: one more pushes out the one with the lowest position.
    pub(crate) fn open(desk: &StoreHandle, owner: Owner, max: usize) -> Result<Self> {
        let known = Office::known(desk, &owner)?;
        {
            let mut there = lock(&known.positions);
            if there.is_none() {
                *there = Some(positions(&desk.reader()?.marks()?, LETTER, &owner)?);
            }
        }
        Ok(Self { desk: desk.clone(), owner, known, max: max.max(1) })
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

    /// Sets an event aside, with these marks. A letter that is there, also one that was sent again, is replaced.
    pub(crate) fn put(&self, marks: &mut SidecarWrites, letter: &Letter) {
        let position = letter.position.get();
        let mut there = lock(&self.known.positions);
        let there = there.get_or_insert_default();
        there.insert(position);
        marks.put(SidecarTable::Letters, key(LETTER, &self.owner, position), letter.to_row());
        marks.remove(SidecarTable::Letters, key(AGAIN, &self.owner, position));
        while there.len() > self.max {
            let Some(oldest) = there.iter().copied().find(|p| *p != position) else { break };
            there.remove(&oldest);
            self.remove(marks, oldest);
            self.known.pushed_out.fetch_add(1, Ordering::Relaxed);
            if !self.known.warned.swap(true, Ordering::Relaxed) {
                let (owner, max) = (&self.owner, self.max);
                tracing::warn!(%owner, max, "the letters are full: each new one pushes out the oldest");
            }
        }
    }

    /// Takes a letter away, with these marks: it was handled after all. `false` when there is none.
    pub(crate) fn take(&self, marks: &mut SidecarWrites, position: Position) -> bool {
        let there = lock(&self.known.positions).as_mut().is_some_and(|p| p.remove(&position.get()));
        if there {
            self.remove(marks, position.get());
        }
        there
    }

    /// The marks that were to take it away were refused with their append.
    pub(crate) fn keep(&self, position: Position) {
        lock(&self.known.positions).get_or_insert_default().insert(position.get());
    }

    fn remove(&self, marks: &mut SidecarWrites, position: u64) {
        marks.remove(SidecarTable::Letters, key(LETTER, &self.owner, position));
        marks.remove(SidecarTable::Letters, key(AGAIN, &self.owner, position));
    }

    /// Takes all away, with these marks, and says how many there were.
    pub(crate) fn clear(&self, marks: &mut SidecarWrites) -> usize {
        let there = lock(&self.known.positions).take().unwrap_or_default();
        there.iter().for_each(|position| self.remove(marks, *position));
        *lock(&self.known.positions) = Some(BTreeSet::new());
        there.len()
    }

    /// Those that were sent again and not handled yet, in the order of their positions.
    pub(crate) fn again(&self) -> Result<Vec<Letter>> {
        self.sent_again(&mut SidecarWrites::new())
    }

    /// [`again`](Self::again) for the one who writes them: one that was handled while it was sent again leaves nothing,
    /// with these marks.
    pub(crate) fn sent_again(&self, marks: &mut SidecarWrites) -> Result<Vec<Letter>> {
        let view = self.desk.reader()?.marks()?;
        let mut letters = Vec::new();
        for position in positions(&view, AGAIN, &self.owner)? {
            match read(&view, &self.owner, position)? {
                Some(letter) => letters.push(letter),
                None => marks.remove(SidecarTable::Letters, key(AGAIN, &self.owner, position)),
            }
        }
        Ok(letters)
    }

    /// Whether this one was sent again and not handled yet, now.
    pub(crate) fn is_again(&self, position: Position) -> Result<bool> {
        is_again(&self.desk.reader()?.marks()?, &self.owner, position.get())
    }

    /// SidecarWrites may not have been written: what is there is counted anew when it is opened again.
    pub(crate) fn forget(&self) {
        *lock(&self.known.positions) = None;
    }

    /// Whether letters were sent again since it was asked or waited for last.
    pub(crate) fn has_rung(&self) -> bool {
        pin!(self.known.bell.notified()).poll(&mut Context::from_waker(Waker::noop())).is_ready()
    }

    /// Resolves when letters of the owner were sent again since it was waited for last.
    pub(crate) async fn rung(&self) {
        self.known.bell.notified().await;
    }
}

impl Store {
    /// Dead letters: of one owner or of all, after the given one, `limit` at the most (10,000 in one call). They come
    /// by owner, consumers first, and by position: pass the last letter of one page to get the next.
    ///
    /// # Errors
    /// [`Error::Closed`], [`Error::Corrupt`].
    pub fn letters(
        &self,
        owner: Option<&Owner>,
        after: Option<&Letter>,
        limit: usize,
    ) -> Result<Vec<Letter>> {
        let view = self.reader()?.marks()?;
        let prefix = owner.map_or_else(|| vec![LETTER], |owner| under(LETTER, owner));
        let after = after.map(|letter| key(LETTER, &letter.owner, letter.position.get()));
        let limit = limit.min(MAX_LISTING);
        let rows = view.rows(
            SidecarTable::Letters,
            &SidecarRange { after: after.as_deref(), ..SidecarRange::under(&prefix, limit) },
        )?;
        rows.into_iter()
            .map(|row| {
                let (owner, position) = named(&row.key).ok_or_else(|| {
                    Error::corrupt(format!("letter {}", row.key.escape_ascii()), "its key names no owner")
                })?;
                let again = is_again(&view, &owner, position)?;
                Letter::from_row(owner, position, again, &row.value?)
            })
            .collect()
    }

    /// One dead letter, by its owner and the position of its event.
    ///
    /// # Errors
    /// [`Error::NotFound`]; [`Error::Closed`], [`Error::Corrupt`].
    pub fn letter(&self, owner: &Owner, position: impl Into<Position>) -> Result<Letter> {
        let position = position.into();
        read(&self.reader()?.marks()?, owner, position.get())?.ok_or_else(|| no_letter(owner, position))
    }

    /// Sends a letter back to its owner, who is given the event again, with its deliveries counted from zero. A
    /// consumer gets it before those events of its branch that it was not given yet, a handler when its bus runs.
    /// It stays a letter until it has been handled; sending it twice is sending it once.
    ///
    /// # Errors
    /// [`Error::NotFound`]; else as [`append`](Self::append).
    pub fn replay_letter(&self, owner: &Owner, position: impl Into<Position>) -> Result<()> {
        let letter = self.letter(owner, position)?;
        self.replay(owner, [letter.position.get()].into())
    }

    /// [`replay_letter`](Self::replay_letter) for all letters of an owner, in one transaction. Answers with how many
    /// there are.
    ///
    /// # Errors
    /// As [`append`](Self::append).
    pub fn replay_letters(&self, owner: &Owner) -> Result<usize> {
        let all = positions(&self.reader()?.marks()?, LETTER, owner)?;
        let count = all.len();
        self.replay(owner, all).map(|()| count)
    }

    fn replay(&self, owner: &Owner, positions: BTreeSet<u64>) -> Result<()> {
        let desk = self.handle();
        let mut marks = SidecarWrites::new();
        positions.iter().for_each(|p| marks.put(SidecarTable::Letters, key(AGAIN, owner, *p), Vec::new()));
        desk.mark(marks)?;
        // A permit stays when nobody waits just now.
        Office::known(&desk, owner)?.bell.notify_one();
        Ok(())
    }

    /// Throws a letter away. The event itself stays where it is.
    ///
    /// # Errors
    /// [`Error::NotFound`]; else as [`append`](Self::append).
    pub fn drop_letter(&self, owner: &Owner, position: impl Into<Position>) -> Result<()> {
        let letter = self.letter(owner, position)?;
        let desk = self.handle();
        let letterbox = Letterbox::open(&desk, owner.clone(), usize::MAX)?;
        let mut marks = SidecarWrites::new();
        letterbox.take(&mut marks, letter.position);
        desk.mark(marks)
    }

    /// Throws all letters of an owner away. Answers with how many there were.
    ///
    /// # Errors
    /// As [`append`](Self::append).
    pub fn drop_letters(&self, owner: &Owner) -> Result<usize> {
        let desk = self.handle();
        let mut marks = SidecarWrites::new();
        let count = Letterbox::open(&desk, owner.clone(), usize::MAX)?.clear(&mut marks);
        desk.mark(marks).map(|()| count)
    }
}

fn no_letter(owner: &Owner, position: Position) -> Error {
    Error::not_found("letter", format!("{position} of {owner}"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::event::{EventId, Timestamp};

    fn owner(name: &str) -> Owner {
        name.parse().unwrap()
    }

    fn letter(of: &str, position: u64) -> Letter {
        Letter {
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

    fn put(store: &Store, max: usize, letter: &Letter) -> Letterbox {
        let letterbox = Letterbox::open(&store.handle(), letter.owner.clone(), max).unwrap();
        let mut marks = SidecarWrites::new();
        letterbox.put(&mut marks, letter);
        store.handle().mark(marks).unwrap();
        letterbox
    }

    fn there(store: &Store, of: Option<&str>) -> Vec<String> {
        let owner = of.map(owner);
        let all = store.letters(owner.as_ref(), None, 100).unwrap();
        all.iter()
            .map(|l| format!("{} {}{}", l.owner, l.position, if l.again { " again" } else { "" }))
            .collect()
    }

    #[test]
    fn owners_that_are_gone_are_not_remembered() {
        let store = Store::in_memory().unwrap();
        let keep = Letterbox::open(&store.handle(), Owner::handler("keep").unwrap(), 10).unwrap();
        for n in 0..10_000 {
            Letterbox::open(&store.handle(), Owner::handler(format!("h-{n}")).unwrap(), 10).unwrap();
        }
        let office = store.handle().observer(Office::default).unwrap();
        assert!(lock(&office.0).len() < 1_000, "{}", lock(&office.0).len());
        assert!(Arc::ptr_eq(&keep.known, &Office::known(&store.handle(), keep.owner()).unwrap()));
    }

    #[test]
    fn letters_are_listed_by_owner_and_position_and_page_by_page() {
        let store = Store::in_memory().unwrap();
        assert_eq!(there(&store, None), [""; 0]);
        // One owner's name begins another's.
        for (of, position) in [("handler:a", 3), ("ab", 700), ("ab", 2), ("a", 9)] {
            put(&store, 10, &letter(of, position));
        }
        let all = ["consumer:a 9", "consumer:ab 2", "consumer:ab 700", "handler:a 3"];
        assert_eq!(there(&store, None), all);
        assert_eq!(there(&store, Some("a")), all[..1]);
        assert_eq!(there(&store, Some("ab")), all[1..3]);
        let second = store.letter(&owner("ab"), 2).unwrap();
        assert_eq!(second, letter("ab", 2));
        let rest = store.letters(None, Some(&second), 1).unwrap();
        assert_eq!(rest, [letter("ab", 700)]);
        assert!(matches!(store.letter(&owner("ab"), 3), Err(Error::NotFound { what: "letter", .. })));
    }

    #[test]
    fn one_letter_too_many_pushes_out_the_oldest_of_its_owner() {
        let store = Store::in_memory().unwrap();
        put(&store, 2, &letter("b", 1));
        for position in [5, 3, 4, 4] {
            put(&store, 2, &letter("a", position));
        }
        let letterbox = put(&store, 2, &letter("a", 1));
        assert_eq!(there(&store, None), ["consumer:a 1", "consumer:a 5", "consumer:b 1"]);
        assert_eq!((letterbox.len(), letterbox.pushed_out()), (2, 2));
    }

    #[test]
    fn what_is_sent_again_stays_until_it_is_taken_and_what_is_dropped_is_gone() {
        let store = Store::in_memory().unwrap();
        for position in 1..=4 {
            put(&store, 9, &letter("a", position));
        }
        store.replay_letter(&owner("a"), 3).unwrap();
        store.replay_letter(&owner("a"), 1).unwrap();
        store.drop_letter(&owner("a"), 1).unwrap();
        let letterbox = Letterbox::open(&store.handle(), owner("a"), 9).unwrap();
        assert!(!letterbox.has(1.into()) && letterbox.has(3.into()));
        assert_eq!(there(&store, None), ["consumer:a 2", "consumer:a 3 again", "consumer:a 4"]);
        assert_eq!(letterbox.again().unwrap(), [Letter { again: true, ..letter("a", 3) }]);
        // It failed once more.
        put(&store, 9, &letter("a", 3));
        assert_eq!(letterbox.again().unwrap(), []);
        assert_eq!(store.replay_letters(&owner("a")), Ok(3));
        let mut marks = SidecarWrites::new();
        assert!(letterbox.take(&mut marks, 2.into()) && !letterbox.take(&mut marks, 2.into()));
        store.handle().mark(marks).unwrap();
        assert_eq!(there(&store, None), ["consumer:a 3 again", "consumer:a 4 again"]);
        assert_eq!(store.drop_letters(&owner("a")), Ok(2));
        assert_eq!((there(&store, None).len(), letterbox.len()), (0, 0));
        let missing = store.replay_letter(&owner("a"), 3);
        assert!(matches!(missing, Err(Error::NotFound { .. })));
        assert!(store.verify().unwrap().is_clean());
    }

    #[test]
    fn one_that_was_handled_while_it_was_sent_again_leaves_nothing() {
        let store = Store::in_memory().unwrap();
        let letterbox = put(&store, 9, &letter("a", 1));
        let mut marks = SidecarWrites::new();
        letterbox.take(&mut marks, 1.into());
        store.handle().mark(marks).unwrap();
        assert!(!letterbox.has_rung());
        store.replay(&owner("a"), [1].into()).unwrap();
        assert!(letterbox.has_rung() && !letterbox.has_rung());
        let left = || positions(&store.reader().unwrap().marks().unwrap(), AGAIN, &owner("a")).unwrap().len();
        assert_eq!(left(), 1);
        let mut marks = SidecarWrites::new();
        assert_eq!(letterbox.sent_again(&mut marks).unwrap(), []);
        store.handle().mark(marks).unwrap();
        assert_eq!(left(), 0);
    }

    #[test]
    fn what_was_not_written_is_not_counted_once_it_is_forgotten() {
        let store = Store::in_memory().unwrap();
        let letterbox = put(&store, 9, &letter("a", 1));
        let mut never_written = SidecarWrites::new();
        letterbox.put(&mut never_written, &letter("a", 2));
        letterbox.take(&mut never_written, 1.into());
        letterbox.forget();
        let letterbox = Letterbox::open(&store.handle(), owner("a"), 9).unwrap();
        assert!(letterbox.has(1.into()) && !letterbox.has(2.into()));
    }

    #[test]
    fn letters_outlive_the_store_and_a_long_error_is_cut() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("letters.redb");
        let store = Store::open(&path).unwrap();
        put(&store, 9, &Letter { error: "ü".repeat(2_000), ..letter("a", 1) });
        store.replay_letters(&owner("a")).unwrap();
        store.close().unwrap();
        let store = Store::open(&path).unwrap();
        assert_eq!(there(&store, None), ["consumer:a 1 again"]);
        assert_eq!(store.letter(&owner("a"), 1).unwrap().error, "ü".repeat(512));
        assert_eq!(Letterbox::open(&store.handle(), owner("a"), 9).unwrap().len(), 1);
    }
}
