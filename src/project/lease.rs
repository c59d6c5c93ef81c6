//! The lease on a projection's states. Of all handles that have the store open, one writes the states that the same code
//! would fold: the one that holds the lease of the projection's name and version.
//!
//! A lease is two records. The first says who holds it and how often it was taken; it is written when the lease is taken,
//! and every write of the holder expects it to be as it was written then. So a holder that was stopped for a while, and has
//! lost the lease meanwhile, can write nothing. The second says until when, and is written along with what the holder
//! writes anyway: a renewal does not disturb other writes of the holder that are on their way.
//!
//! No answer depends on a clock. It decides only when somebody else may take over what the holder does not do.

use std::collections::HashMap;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::keys::{LeaseKeys, to_json};
use super::row::Row;
use crate::error::{Error, Result};
use crate::event::{EventId, Timestamp};
use crate::store::{Records, SidecarTable, SidecarWrites, StoreHandle};
use crate::sync::time::micros;

/// Who has taken a lease.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
struct HolderRow {
    /// Made anew for each taking.
    holder: String,
    /// How often it was taken.
    fence: u64,
    /// Which opening of the storage the holder has a handle on.
    opening: String,
}

/// For how long.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
struct TermRow {
    fence: u64,
    /// Microseconds since the epoch; nothing when it was released.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    until: Option<i64>,
}

/// How a lease stands, for somebody who would take it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Standing {
    /// Nobody has it: it was never taken, it was released, or its holder went down with the storage.
    Free,
    /// Its time is over. Its holder may be there, and have had nothing to write.
    Lapsed,
    Held {
        until: Timestamp,
    },
}

/// The records of a lease as they were read.
#[derive(Clone, Debug)]
pub(super) struct Stored {
    keys: LeaseKeys,
    holder: Row,
    term: Row,
}

impl Stored {
    pub(super) fn read(records: &Records, keys: LeaseKeys) -> Result<Self> {
        let [holder, term] = Row::all(records, [&keys.holder, &keys.term])?;
        Ok(Self { keys, holder, term })
    }

    /// How it stands at this time by the clock of the machine, in this opening of the storage.
    pub(super) fn standing(
        &self,
        opening: EventId,
        seen: &mut Seen,
        now: Timestamp,
        span: Duration,
    ) -> Standing {
        let holder = self.holder.json::<HolderRow>().filter(|row| row.opening == opening.to_string());
        let term = self.term.json::<TermRow>();
        let until = holder.zip(term).filter(|(holder, term)| holder.fence == term.fence);
        let Some(until) = until.and_then(|(_, term)| term.until) else {
            seen.0.remove(&self.keys.term);
            return Standing::Free;
        };
        let until = seen.believed(&self.keys.term, Timestamp::from_micros(until), now, span);
        if now < until { Standing::Held { until } } else { Standing::Lapsed }
    }

    fn fence(&self) -> u64 {
        self.holder.json::<HolderRow>().map_or(0, |row| row.fence)
    }

    /// Takes these records away, if they still are as they were read.
    pub(super) fn remove(&self, records: &mut SidecarWrites) {
        for (row, key) in [(&self.holder, &self.keys.holder), (&self.term, &self.keys.term)] {
            row.expected_by(records, key.clone());
            records.remove(SidecarTable::Checkpoints, key.clone());
        }
    }
}

/// Since when terms of others were seen. A clock that was set back leaves terms that lie far ahead: none is believed for
/// longer than a lease lasts.
#[derive(Debug, Default)]
pub(super) struct Seen(HashMap<Vec<u8>, (Timestamp, Timestamp)>);

impl Seen {
    fn believed(&mut self, key: &[u8], until: Timestamp, now: Timestamp, span: Duration) -> Timestamp {
        let since = match self.0.get(key) {
            Some((term, since)) if *term == until => (*since).min(now),
            _ => now,
        };
        self.0.insert(key.to_vec(), (until, since));
        until.min(after(since, span))
    }
}

/// A lease that was taken through this handle. It may have been lost since: then a write says so.
#[derive(Debug)]
pub(super) struct Lease {
    keys: LeaseKeys,
    /// The holder's record as this one wrote it.
    mark: Vec<u8>,
    fence: u64,
    span: Duration,
    /// The term that was written last, in microseconds since the epoch.
    until: AtomicI64,
}

impl Lease {
    /// Takes a lease that was read, and may be taken. `None` when another was faster.
    pub(super) fn take(
        handle: &StoreHandle,
        stored: &Stored,
        opening: EventId,
        now: Timestamp,
        span: Duration,
    ) -> Result<Option<Self>> {
        let Stored { keys, holder, term } = stored;
        let fence = stored.fence().saturating_add(1);
        let row = HolderRow { holder: EventId::new().to_string(), fence, opening: opening.to_string() };
        let mark = to_json(&row);
        let until = after(now, span);
        let lease = Self { keys: keys.clone(), mark, fence, span, until: AtomicI64::new(until.micros()) };
        let mut records = SidecarWrites::new();
        holder.expected_by(&mut records, keys.holder.clone());
        term.expected_by(&mut records, keys.term.clone());
        records.put(SidecarTable::Checkpoints, keys.holder.clone(), lease.mark.clone());
        lease.put_term(&mut records, Some(until));
        match fenced(handle.write_records(records.relaxed())) {
            Ok(()) => Ok(Some(lease)),
            Err(Error::RecordChanged { .. }) => Ok(None),
            Err(e) => Err(e),
        }
    }

    /// Whether it is this one that was read.
    pub(super) fn is_in(&self, stored: &Stored) -> bool {
        matches!(&stored.holder, Row::Read(holder) if *holder == self.mark)
    }

    /// Lets a commit happen only while this lease is held.
    pub(super) fn guard(&self, records: &mut SidecarWrites) {
        records.expect(SidecarTable::Checkpoints, self.keys.holder.clone(), Some(self.mark.clone()));
    }

    /// [`guard`](Self::guard), and a new term when it is time for one.
    pub(super) fn guard_and_renew(&self, records: &mut SidecarWrites, now: Timestamp) {
        self.guard(records);
        if self.is_due(now) {
            let until = after(now, self.span);
            self.until.store(until.micros(), Ordering::Relaxed);
            self.put_term(records, Some(until));
        }
    }

    /// Writes what is guarded by it, and perhaps by more.
    ///
    /// # Errors
    /// [`Error::RecordChanged`] when something is no longer as expected; those of writing.
    pub(super) fn write(
        &self,
        handle: &StoreHandle,
        mut records: SidecarWrites,
        now: Timestamp,
    ) -> Result<()> {
        if records.is_empty() {
            return Ok(());
        }
        self.guard_and_renew(&mut records, now);
        fenced(handle.write_records(records))
    }

    /// A new term alone, when it is time for one.
    pub(super) fn renew(&self, handle: &StoreHandle, now: Timestamp) -> Result<()> {
        if !self.is_due(now) {
            return Ok(());
        }
        let mut records = SidecarWrites::new();
        self.guard_and_renew(&mut records, now);
        fenced(handle.write_records(records.relaxed()))
    }

    /// Less than half of its time is left, or more than all of it: the clock was set back.
    fn is_due(&self, now: Timestamp) -> bool {
        let until = Timestamp::from_micros(self.until.load(Ordering::Relaxed));
        until < after(now, self.span / 2) || until > after(now, self.span)
    }

    /// From when on a new term is due.
    pub(super) fn due_at(&self) -> Timestamp {
        let half = micros(self.span / 2);
        Timestamp::from_micros(self.until.load(Ordering::Relaxed).saturating_sub(half))
    }

    /// Lets others have it. One that was lost is not its own to release.
    pub(super) fn release(&self, handle: &StoreHandle) -> Result<()> {
        let mut records = SidecarWrites::new();
        self.guard(&mut records);
        self.put_term(&mut records, None);
        match fenced(handle.write_records(records.relaxed())) {
            Err(Error::RecordChanged { .. }) => Ok(()),
            released => released,
        }
    }

    fn put_term(&self, records: &mut SidecarWrites, until: Option<Timestamp>) {
        let row = TermRow { fence: self.fence, until: until.map(Timestamp::micros) };
        records.put(SidecarTable::Checkpoints, self.keys.term.clone(), to_json(&row));
    }
}

/// This time after a moment.
pub(super) fn after(moment: Timestamp, time: Duration) -> Timestamp {
    Timestamp::from_micros(moment.micros().saturating_add(micros(time)))
}

/// An expected record that cannot be read is not as it was: it is looked at again, and written over.
pub(super) fn fenced(written: Result<()>) -> Result<()> {
    written.map_err(|error| match error {
        Error::Corrupt { place, .. } => Error::RecordChanged { record: place },
        error => error,
    })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::project::keys;
    use crate::store::Store;

    const SPAN: Duration = Duration::from_millis(1_000);

    fn ms(ms: i64) -> Timestamp {
        Timestamp::from_micros(ms * 1_000)
    }

    fn keys() -> LeaseKeys {
        keys::lease("steps", b"v1")
    }

    /// A process with the store open: what it has seen of the lease, and what it believes to hold.
    struct Process {
        handle: StoreHandle,
        seen: Seen,
        lease: Option<Lease>,
    }

    impl Process {
        fn of(store: &Store) -> Self {
            Self { handle: store.handle(), seen: Seen::default(), lease: None }
        }

        fn read(&self) -> Stored {
            Stored::read(&self.handle.reader().unwrap().records(), keys()).unwrap()
        }

        fn standing(&mut self, now: i64) -> Standing {
            let opening = self.handle.opening();
            self.read().standing(opening, &mut self.seen, ms(now), SPAN)
        }

        /// Takes what was read, as it was read.
        fn take_read(&mut self, stored: &Stored, now: i64) -> bool {
            let opening = self.handle.opening();
            let taken = Lease::take(&self.handle, stored, opening, ms(now), SPAN).unwrap();
            let is_taken = taken.is_some();
            self.lease = taken.or(self.lease.take());
            is_taken
        }

        fn take(&mut self, now: i64) -> bool {
            match self.standing(now) {
                Standing::Held { .. } => false,
                Standing::Free | Standing::Lapsed => self.take_read(&self.read(), now),
            }
        }

        /// Writes something, and says whether it was written.
        fn write(&self, what: &str, now: i64) -> bool {
            let mut records = SidecarWrites::new();
            records.put(SidecarTable::Snapshots, b"what".to_vec(), what.as_bytes().to_vec());
            match self.lease.as_ref().unwrap().write(&self.handle, records, ms(now)) {
                Ok(()) => true,
                Err(Error::RecordChanged { .. }) => false,
                Err(e) => panic!("{e}"),
            }
        }

        fn fence(&self) -> u64 {
            self.lease.as_ref().unwrap().fence
        }
    }

    fn written(store: &Store) -> Option<String> {
        let row = store.reader().unwrap().records().get(SidecarTable::Snapshots, b"what").unwrap();
        row.map(|row| String::from_utf8(row).unwrap())
    }

    #[test]
    fn one_of_two_takes_it_and_the_other_does_when_it_is_released() {
        let store = Store::in_memory().unwrap();
        let (mut one, mut other) = (Process::of(&store), Process::of(&store));
        assert_eq!(one.standing(0), Standing::Free);
        assert!(one.take(0) && !other.take(1));
        assert_eq!(other.standing(999), Standing::Held { until: ms(1_000) });
        assert!(one.write("one", 10));
        one.lease.as_ref().unwrap().release(&one.handle).unwrap();
        assert_eq!(other.standing(11), Standing::Free);
        assert!(other.take(11) && other.write("other", 12));
        assert_eq!([one.fence(), other.fence()], [1, 2]);
        // What is not its own any more it cannot release, nor write by.
        one.lease.as_ref().unwrap().release(&one.handle).unwrap();
        assert!(!one.write("one", 13) && other.write("again", 13));
        assert_eq!(written(&store).as_deref(), Some("again"));
    }

    #[test]
    fn a_holder_that_was_stopped_for_long_writes_nothing_once_another_has_taken_over() {
        let store = Store::in_memory().unwrap();
        let (mut one, mut other) = (Process::of(&store), Process::of(&store));
        assert!(one.take(0));
        assert_eq!(other.standing(1_000), Standing::Lapsed);
        // Its time is over, and still nobody else has it: a write that renews it brings it back.
        assert!(one.write("late", 5_000));
        assert_eq!(other.standing(5_999), Standing::Held { until: ms(6_000) });
        assert!(!other.take(5_999) && other.take(6_000));
        assert!(!one.write("too late", 6_001));
        assert_eq!((written(&store).as_deref(), other.fence()), (Some("late"), 2));
        assert!(other.write("next", 6_002));
    }

    #[test]
    fn of_those_who_saw_it_lapse_one_takes_it_and_a_renewal_comes_first() {
        let store = Store::in_memory().unwrap();
        let (mut one, mut other, mut third) = (Process::of(&store), Process::of(&store), Process::of(&store));
        assert!(one.take(0));
        let (seen, as_seen) = (other.read(), third.read());
        assert!(other.take_read(&seen, 1_000) && !third.take_read(&as_seen, 1_000));
        let seen = third.read();
        assert!(other.write("renewed", 1_900));
        assert!(!third.take_read(&seen, 2_000), "it was renewed after it was read");
        assert_eq!(third.standing(2_000), Standing::Held { until: ms(2_900) });
    }

    #[test]
    fn it_is_renewed_with_what_is_written_when_half_of_its_time_is_over() {
        let store = Store::in_memory().unwrap();
        let (mut one, mut other) = (Process::of(&store), Process::of(&store));
        assert!(one.take(0));
        for (now, until) in [(100, 1_000), (500, 1_000), (501, 1_501), (900, 1_501), (1_400, 2_400)] {
            assert!(one.write("on", now));
            assert_eq!(other.standing(now), Standing::Held { until: ms(until) });
        }
        assert_eq!(one.lease.as_ref().unwrap().due_at(), ms(1_900));
        one.lease.as_ref().unwrap().renew(&one.handle, ms(1_899)).unwrap();
        assert_eq!(other.standing(1_899), Standing::Held { until: ms(2_400) });
        one.lease.as_ref().unwrap().renew(&one.handle, ms(1_901)).unwrap();
        assert_eq!(other.standing(1_901), Standing::Held { until: ms(2_901) });
    }

    #[test]
    fn a_clock_that_is_set_back_holds_nobody_up_for_longer_than_a_lease_lasts() {
        let store = Store::in_memory().unwrap();
        let (mut one, mut other) = (Process::of(&store), Process::of(&store));
        assert!(one.take(1_000_000));
        // An hour back. What lies in the future is believed from now on for the time that a lease lasts.
        assert_eq!(other.standing(-2_600_000), Standing::Held { until: ms(-2_599_000) });
        assert_eq!(other.standing(-2_599_001), Standing::Held { until: ms(-2_599_000) });
        // Its holder writes: it is renewed by the new clock, and believed anew.
        assert!(one.write("on", -2_599_001));
        assert_eq!(other.standing(-2_599_000), Standing::Held { until: ms(-2_598_001) });
        // Back once more while it is waited for.
        assert_eq!(other.standing(-9_000_000), Standing::Held { until: ms(-8_999_000) });
        assert_eq!(other.standing(-8_999_000), Standing::Lapsed);
        assert!(other.take(-8_999_000) && !one.write("gone", 0));
    }

    #[test]
    fn a_lease_of_an_earlier_opening_holds_nobody_up() {
        let dir = tempfile::tempdir().unwrap();
        let open = || Store::builder().sync(false).open(dir.path().join("s.redb")).unwrap();
        let store = open();
        let mut one = Process::of(&store);
        assert!(one.take(0));
        drop(one);
        // As after a kill: nobody has released it.
        store.close().unwrap();
        let store = open();
        let mut other = Process::of(&store);
        assert_eq!(other.standing(1), Standing::Free);
        assert!(other.take(1));
        assert_eq!(other.fence(), 2);
    }

    #[test]
    fn what_cannot_be_read_of_it_is_written_over() {
        let store = Store::in_memory().unwrap();
        let (mut one, mut other) = (Process::of(&store), Process::of(&store));
        assert!(one.take(0));
        let mut records = SidecarWrites::new();
        records.put(SidecarTable::Checkpoints, keys().holder, b"no holder".to_vec());
        store.write_records(records).unwrap();
        assert!(!one.write("one", 1));
        assert_eq!(other.standing(1), Standing::Free);
        assert!(other.take(1) && other.write("other", 2));
        let damaged = Stored { keys: keys(), holder: Row::Damaged, term: Row::Damaged };
        assert!(one.take_read(&damaged, 3) && !other.write("other", 3));
    }

    /// What one of three processes does, or the clock.
    #[derive(Clone, Debug)]
    enum Deed {
        Take(usize),
        /// Reads, lets another one do something, and takes what it has read.
        TakeLate(usize, usize),
        Write(usize),
        Release(usize),
        Clock(i64),
    }

    fn deed() -> impl Strategy<Value = Deed> {
        prop_oneof![
            (0..3usize).prop_map(Deed::Take),
            (0..3usize, 0..3usize).prop_map(|(one, other)| Deed::TakeLate(one, other)),
            (0..3usize).prop_map(Deed::Write),
            (0..3usize).prop_map(Deed::Release),
            (-3_000..2_000i64).prop_map(Deed::Clock),
            (0..700i64).prop_map(Deed::Clock),
        ]
    }

    /// A lease as one would explain it: how often it was taken, and until when it is held; a term that is too far off is
    /// believed for one span after it was first seen.
    #[derive(Default)]
    struct Model {
        taken: u64,
        until: Option<i64>,
        /// By process: the taking that it believes to be its own.
        own: [u64; 3],
        seen: [Option<(i64, i64)>; 3],
    }

    impl Model {
        fn is_free_for(&mut self, who: usize, now: i64) -> bool {
            let Some(until) = self.until else {
                self.seen[who] = None;
                return true;
            };
            let since = match self.seen[who] {
                Some((term, since)) if term == until => since.min(now),
                _ => now,
            };
            self.seen[who] = Some((until, since));
            now >= until.min(since + 1_000)
        }

        fn take(&mut self, who: usize, now: i64) {
            self.taken += 1;
            (self.own[who], self.until) = (self.taken, Some(now + 1_000));
        }

        fn write(&mut self, who: usize, now: i64) -> bool {
            let holds = self.own[who] == self.taken;
            if holds && self.until.is_none_or(|until| until < now + 500 || until > now + 1_000) {
                self.until = Some(now + 1_000);
            }
            holds
        }
    }

    proptest! {
        #[test]
        fn whatever_three_processes_and_the_clock_do_only_the_last_that_took_it_writes(
            deeds in prop::collection::vec(deed(), 1..60)
        ) {
            let store = Store::in_memory().unwrap();
            let mut processes = [Process::of(&store), Process::of(&store), Process::of(&store)];
            let (mut model, mut now, mut last) = (Model::default(), 10_000, None);
            for (n, deed) in deeds.into_iter().enumerate() {
                match deed {
                    Deed::Take(who) => {
                        let may = model.is_free_for(who, now);
                        prop_assert_eq!(processes[who].take(now), may);
                        if may {
                            model.take(who, now);
                            prop_assert_eq!(processes[who].fence(), model.taken);
                        }
                    }
                    Deed::TakeLate(who, other) => {
                        let may = model.is_free_for(who, now);
                        let seen = match processes[who].standing(now) {
                            Standing::Held { .. } => None,
                            Standing::Free | Standing::Lapsed => Some(processes[who].read()),
                        };
                        prop_assert_eq!(seen.is_some(), may);
                        let before = (model.taken, model.until);
                        let others_may = model.is_free_for(other, now);
                        prop_assert_eq!(processes[other].take(now), others_may);
                        if others_may {
                            model.take(other, now);
                        }
                        if let Some(seen) = seen {
                            let is_as_read = before == (model.taken, model.until);
                            prop_assert_eq!(processes[who].take_read(&seen, now), is_as_read);
                            if is_as_read {
                                model.take(who, now);
                            }
                        }
                    }
                    Deed::Write(who) if processes[who].lease.is_some() => {
                        let what = n.to_string();
                        let may = model.write(who, now);
                        prop_assert_eq!(processes[who].write(&what, now), may);
                        if may {
                            last = Some(what);
                        }
                    }
                    Deed::Release(who) if processes[who].lease.is_some() => {
                        let lease = processes[who].lease.take().unwrap();
                        lease.release(&processes[who].handle).unwrap();
                        if std::mem::take(&mut model.own[who]) == model.taken {
                            model.until = None;
                        }
                    }
                    Deed::Clock(by) => now += by,
                    Deed::Write(_) | Deed::Release(_) => {}
                }
                prop_assert_eq!(written(&store), last.clone());
            }
        }
    }
}
