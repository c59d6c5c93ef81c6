//! What the store keeps about every import: which file it was, and how the file is assembled from events and from
//! bytes that belong to no event. The latest import, and every earlier one, can be restored byte for byte.
//!
//! | key | value |
//! |---|---|
//! | `i`, number | the import, as JSON; which lists its pieces |
//! | `l`, file, number | empty: the imports of one file |
//! | `p`, hash | a piece of a layout |
//!
//! `number` is a `u64`, big-endian. A piece is found by the hash of its bytes, and ends after an event whose id says
//! so: a file that has grown, or has new lines in front, shares its pieces with what it was.

use std::collections::{HashMap, HashSet};
use std::ops::Range;

use bytes::Bytes;
use serde::{Deserialize, Serialize};

use crate::error::{Error, Result};
use crate::event::{EventId, SessionId, Timestamp};
use crate::limits::{IMPORT_PIECE_BYTES, IMPORT_PIECE_EVENTS, MAX_IMPORT_LOOSE_BYTES, MAX_LISTING};
use crate::store::{Records, SidecarRange, SidecarTable, SidecarWrites, Store};

use super::layout::{Layout, Part};
use super::plan::Origins;
use super::sketch::lost;
use super::{Format, ids};

/// An imported file.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Import {
    /// The number of the import in this store, from 1.
    pub number: u64,
    /// When it was imported.
    pub time: Timestamp,
    /// The file, as it was given or found.
    pub path: String,
    /// Its format.
    pub format: String,
    /// The sessions that its events are in.
    pub sessions: Vec<String>,
    /// The number of records, including broken and repeated ones.
    pub records: usize,
    /// The file's size in bytes.
    pub bytes: usize,
    /// How it differs from the previous import of the same file; `None` for the first.
    pub changed: Option<Changed>,
    /// The session of records that name none.
    pub(crate) home: Option<String>,
    /// The file or folder that this session belongs to.
    pub(crate) owner: Option<String>,
    pieces: Vec<String>,
}

/// How a file differs from its previous import.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Changed {
    /// The number of the previous import.
    pub since: u64,
    /// Records that are new.
    pub new: usize,
    /// New records that come before an old one.
    pub inserted: usize,
    /// Old records that have moved.
    pub moved: usize,
    /// Records that are gone. Their events stay.
    pub gone: usize,
}

impl Changed {
    /// Whether the file has only been appended to.
    #[must_use]
    pub fn is_growth(&self) -> bool {
        self.moved == 0 && self.gone == 0 && self.inserted == 0
    }
}

#[derive(Serialize, Deserialize)]
struct Wire {
    layout: u8,
    time: i64,
    path: String,
    format: String,
    home: Option<String>,
    owner: Option<String>,
    sessions: Vec<String>,
    records: usize,
    bytes: usize,
    changed: Option<Changed>,
    pieces: Vec<String>,
}

/// The only layout so far.
const LAYOUT: u8 = 1;
/// Tags in a piece: bytes with their length, an event, an event after one newline.
const BYTES: u8 = 0;
const EVENT: u8 = 1;
const EVENT_AFTER_NEWLINE: u8 = 2;

/// Every import of a store, oldest first.
///
/// # Errors
/// [`Error::Corrupt`], [`Error::Closed`].
pub fn imports(store: &Store) -> Result<Vec<Import>> {
    let view = store.reader()?.records();
    let mut all = Vec::new();
    let mut after: Option<Vec<u8>> = None;
    loop {
        let rows = SidecarRange { after: after.as_deref(), ..SidecarRange::under(b"i", MAX_LISTING) };
        let page = view.rows(SidecarTable::Imports, &rows)?;
        let Some(last) = page.last() else { return Ok(all) };
        after = Some(last.key.clone());
        for record in page {
            all.push(decode(&record.key, &record.value?)?);
        }
    }
}

/// The import with this number.
///
/// # Errors
/// [`Error::NotFound`].
pub fn import(store: &Store, number: u64) -> Result<Import> {
    find(&store.reader()?.records(), number)
}

fn find(view: &Records, number: u64) -> Result<Import> {
    let key = [&b"i"[..], &number.to_be_bytes()].concat();
    match view.get(SidecarTable::Imports, &key)? {
        Some(row) => decode(&key, &row),
        None => Err(Error::not_found("import", number)),
    }
}

/// The latest import of a file.
fn latest(view: &Records, path: &str) -> Result<Option<Import>> {
    let prefix = file_key(path);
    let rows = SidecarRange { reverse: true, ..SidecarRange::under(&prefix, 1) };
    let Some(record) = view.rows(SidecarTable::Imports, &rows)?.pop() else { return Ok(None) };
    let number = record.key.get(prefix.len()..).and_then(|n| n.try_into().ok()).map(u64::from_be_bytes);
    number.map(|n| find(view, n)).transpose()
}

fn file_key(path: &str) -> Vec<u8> {
    [&b"l"[..], ids::derived(ids::IMPORTS, &[path.as_bytes()]).bytes()].concat()
}

fn decode(key: &[u8], row: &[u8]) -> Result<Import> {
    let bad = |what: String| Error::corrupt(format!("import {}", key.escape_ascii()), what);
    let number = key.get(1..).and_then(|n| n.try_into().ok()).map(u64::from_be_bytes);
    let number = number.ok_or_else(|| bad("has a key of another length".into()))?;
    let wire: Wire = serde_json::from_slice(row).map_err(|e| bad(e.to_string()))?;
    if wire.layout != LAYOUT {
        return Err(bad(format!("has layout {}; a newer release wrote it", wire.layout)));
    }
    Ok(Import {
        number,
        time: Timestamp::from_micros(wire.time),
        path: wire.path,
        format: wire.format,
        sessions: wire.sessions,
        records: wire.records,
        bytes: wire.bytes,
        changed: wire.changed,
        home: wire.home,
        owner: wire.owner,
        pieces: wire.pieces,
    })
}

/// A completed import, to be recorded.
pub(super) struct Done<'a> {
    pub(super) origin: &'a Origins,
    pub(super) format: Format,
    pub(super) sessions: Vec<String>,
    pub(super) records: usize,
    pub(super) bytes: usize,
}

/// Records an import whose events are in the store. Returns its number and how the file has changed; `None` when the
/// file is unchanged, or the import cannot be recorded.
pub(super) fn note(
    store: &Store,
    done: &Done<'_>,
    read: &dyn Fn(Range<usize>) -> Bytes,
) -> Result<Option<(u64, Option<Changed>)>> {
    let layout = &done.origin.layout;
    if !layout.is_source() || layout.loose_bytes() > MAX_IMPORT_LOOSE_BYTES {
        return Ok(None);
    }
    loop {
        match try_note(store, done, read) {
            // Another import has taken the number, and may be of this file.
            Err(Error::RecordChanged { .. }) => {}
            noted => return noted,
        }
    }
}

fn try_note(
    store: &Store,
    done: &Done<'_>,
    read: &dyn Fn(Range<usize>) -> Bytes,
) -> Result<Option<(u64, Option<Changed>)>> {
    let layout = &done.origin.layout;
    let view = store.reader()?.records();
    let before = latest(&view, &done.origin.path)?;
    let mut writer = Pieces {
        store,
        view: &view,
        records: SidecarWrites::new(),
        open: vec![LAYOUT],
        events: 0,
        names: Vec::new(),
    };
    writer.layout(layout, read)?;
    let (mut records, pieces) = (writer.records, writer.names);
    if before.as_ref().is_some_and(|b| b.pieces == pieces) {
        return Ok(None);
    }
    let changed = before.as_ref().map(|before| compare(&view, before, layout)).transpose()?;
    let number = 1 + last_number(&view)?;
    let wire = Wire {
        layout: LAYOUT,
        time: Timestamp::now().micros(),
        path: done.origin.path.clone(),
        format: done.format.name().to_owned(),
        home: done.origin.home.as_ref().map(ToString::to_string),
        owner: done.origin.owner.clone(),
        sessions: done.sessions.clone(),
        records: done.records,
        bytes: done.bytes,
        changed,
        pieces,
    };
    let row =
        serde_json::to_vec(&wire).map_err(|e| Error::storage(format!("an import cannot be noted: {e}")))?;
    let key = number.to_be_bytes();
    records.put(SidecarTable::Imports, [&file_key(&done.origin.path), &key[..]].concat(), Vec::new());
    let own = [&b"i"[..], &key].concat();
    records.expect(SidecarTable::Imports, own.clone(), None);
    records.put(SidecarTable::Imports, own, row);
    store.handle().write_records(records)?;
    Ok(Some((number, changed)))
}

fn last_number(view: &Records) -> Result<u64> {
    let rows = SidecarRange { reverse: true, ..SidecarRange::under(b"i", 1) };
    let last = view.rows(SidecarTable::Imports, &rows)?.pop();
    let number = last.and_then(|m| m.key.get(1..)?.try_into().ok()).map(u64::from_be_bytes);
    Ok(number.unwrap_or(0))
}

/// Cuts a layout into pieces and stores those that are new.
struct Pieces<'a> {
    store: &'a Store,
    view: &'a Records,
    records: SidecarWrites,
    open: Vec<u8>,
    events: usize,
    names: Vec<String>,
}

impl Pieces<'_> {
    fn layout(&mut self, layout: &Layout, read: &dyn Fn(Range<usize>) -> Bytes) -> Result<()> {
        let mut newline = false;
        for part in layout.parts() {
            match part.map_err(|e| lost(&e))? {
                Part::Bytes(range) => {
                    let bytes = if range.len() == 1 { read(range.clone()) } else { Bytes::new() };
                    newline = bytes == "\n";
                    if !newline {
                        self.bytes(range, read)?;
                    }
                }
                Part::Event(id, _) => {
                    self.open.push(if newline { EVENT_AFTER_NEWLINE } else { EVENT });
                    self.open.extend_from_slice(id.bytes());
                    self.events += 1;
                    newline = false;
                    let [.., a, b] = id.bytes();
                    let says_so = u16::from_be_bytes([*a, *b]) % IMPORT_PIECE_EVENTS == 0;
                    self.close(if says_so { 0 } else { IMPORT_PIECE_BYTES })?;
                }
            }
        }
        if newline {
            self.open.extend_from_slice(&[BYTES, 0, 0, 0, 1, b'\n']);
        }
        self.close(1)
    }

    fn bytes(&mut self, mut range: Range<usize>, read: &dyn Fn(Range<usize>) -> Bytes) -> Result<()> {
        while !range.is_empty() {
            let end = range.end.min(range.start + IMPORT_PIECE_BYTES);
            let bytes = read(range.start..end);
            self.open.push(BYTES);
            self.open.extend_from_slice(&u32::try_from(bytes.len()).unwrap_or_default().to_be_bytes());
            self.open.extend_from_slice(&bytes);
            range.start = end;
            self.close(IMPORT_PIECE_BYTES)?;
        }
        Ok(())
    }

    /// Ends the piece if it has this many bytes.
    fn close(&mut self, at: usize) -> Result<()> {
        if self.open.len() <= at.max(1) {
            return Ok(());
        }
        let piece = std::mem::replace(&mut self.open, vec![LAYOUT]);
        let name = ids::derived(ids::IMPORTS, &[b"piece", &piece]);
        let key = piece_key(name);
        if self.view.get(SidecarTable::Imports, &key)?.is_none() {
            self.records.put(SidecarTable::Imports, key, piece);
        }
        self.names.push(name.to_string());
        // Pieces that nothing refers to yet are harmless.
        if self.records.bytes() > 64 * IMPORT_PIECE_BYTES {
            self.store.handle().write_records(std::mem::take(&mut self.records))?;
        }
        Ok(())
    }
}

fn piece_key(name: EventId) -> Vec<u8> {
    [&b"p"[..], name.bytes()].concat()
}

/// A stored part of a file.
pub(super) enum Kept {
    Bytes(Vec<u8>),
    Event(EventId),
}

impl Import {
    /// The last part of its path.
    #[must_use]
    pub fn file_name(&self) -> &str {
        super::names::file_name(&self.path)
    }

    /// Passes on the parts of the file, in order.
    pub(super) fn parts(&self, view: &Records, each: &mut dyn FnMut(Kept) -> Result<()>) -> Result<()> {
        for name in &self.pieces {
            let bad = |what: &str| Error::corrupt(format!("piece {name} of import {}", self.number), what);
            let id: EventId = name.parse().map_err(|_| bad("has an invalid name"))?;
            let piece = view.get(SidecarTable::Imports, &piece_key(id))?.ok_or_else(|| bad("is missing"))?;
            let mut rest =
                piece.strip_prefix(&[LAYOUT]).ok_or_else(|| bad("has a layout that is not known"))?;
            while let Some((tag, more)) = rest.split_first() {
                rest = match tag {
                    &BYTES => {
                        let (len, more) = more.split_first_chunk::<4>().ok_or_else(|| bad("breaks off"))?;
                        let len = u32::from_be_bytes(*len) as usize;
                        let (bytes, more) = more.split_at_checked(len).ok_or_else(|| bad("breaks off"))?;
                        each(Kept::Bytes(bytes.to_vec()))?;
                        more
                    }
                    &EVENT | &EVENT_AFTER_NEWLINE => {
                        let (id, more) = more.split_first_chunk::<16>().ok_or_else(|| bad("breaks off"))?;
                        if *tag == EVENT_AFTER_NEWLINE {
                            each(Kept::Bytes(b"\n".to_vec()))?;
                        }
                        each(Kept::Event(EventId::from_bytes(*id)))?;
                        more
                    }
                    _ => return Err(bad("has a part that is not known")),
                };
            }
        }
        Ok(())
    }

    /// The ids of its events, in the order of the file.
    pub(super) fn events(&self, view: &Records) -> Result<Vec<EventId>> {
        let mut all = Vec::new();
        self.parts(view, &mut |part| {
            if let Kept::Event(id) = part {
                all.push(id);
            }
            Ok(())
        })?;
        Ok(all)
    }

    pub(crate) fn is_of(&self, session: &SessionId) -> bool {
        self.sessions.iter().any(|s| s == session.as_str())
    }
}

fn compare(view: &Records, before: &Import, layout: &Layout) -> Result<Changed> {
    let old = before.events(view)?;
    let mut new = Vec::new();
    for part in layout.parts() {
        if let Part::Event(id, _) = part.map_err(|e| lost(&e))? {
            new.push(id);
        }
    }
    Ok(Changed { since: before.number, ..differences(&old, &new) })
}

fn differences(old: &[EventId], new: &[EventId]) -> Changed {
    let same = old.iter().zip(new).take_while(|(a, b)| a == b).count();
    let (old, new) = (old.get(same..).unwrap_or_default(), new.get(same..).unwrap_or_default());
    let at: HashMap<EventId, usize> = old.iter().enumerate().map(|(i, id)| (*id, i)).collect();
    let here: HashSet<EventId> = new.iter().copied().collect();
    let gone = at.keys().filter(|id| !here.contains(id)).count();
    let fresh = here.iter().filter(|id| !at.contains_key(id)).count();
    let mut seen = HashSet::new();
    let order: Vec<usize> =
        new.iter().filter(|id| seen.insert(**id)).filter_map(|id| at.get(id).copied()).collect();
    let last_known = new.iter().rposition(|id| at.contains_key(id)).unwrap_or(0);
    let front: HashSet<&EventId> = new.get(..last_known).unwrap_or_default().iter().collect();
    let inserted = front.into_iter().filter(|id| !at.contains_key(*id)).count();
    Changed { since: 0, new: fresh, inserted, moved: order.len() - longest_rising(&order), gone }
}

/// The length of the longest increasing subsequence.
fn longest_rising(list: &[usize]) -> usize {
    let mut ends: Vec<usize> = Vec::new();
    for n in list {
        let at = ends.partition_point(|e| e < n);
        match ends.get_mut(at) {
            Some(end) => *end = *n,
            None => ends.push(*n),
        }
    }
    ends.len()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_moved_is_what_left_the_longest_order_that_stayed() {
        let id = |n: u8| ids::derived(ids::IMPORTS, &[&[n]]);
        let list = |ns: &[u8]| ns.iter().map(|n| id(*n)).collect::<Vec<_>>();
        for (old, new, want) in [
            (&[1, 2, 3][..], &[1, 2, 3, 4][..], (0, 0, 1, 0)),
            (&[1, 2, 3], &[9, 1, 2, 3], (0, 0, 1, 1)),
            (&[1, 2, 3], &[1, 9, 2, 3, 8], (0, 0, 2, 1)),
            (&[1, 2, 3, 4], &[1, 4], (0, 2, 0, 0)),
            (&[1, 2, 3, 4], &[4, 1, 2, 3], (1, 0, 0, 0)),
            (&[1, 2, 3, 4], &[4, 3, 2, 1], (3, 0, 0, 0)),
            (&[1, 1, 2], &[2, 1, 1], (1, 0, 0, 0)),
            (&[], &[], (0, 0, 0, 0)),
        ] {
            let c = differences(&list(old), &list(new));
            assert_eq!((c.moved, c.gone, c.new, c.inserted), want, "{old:?} {new:?}");
        }
    }
}
