//! The pages of redb, read without redb: it believes what a damaged page says, loses everything behind it, and may abort the
//! process. Every page has a checksum in the page above it, so a damaged one is known, and one flipped bit of it is put right.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use redb::StorageBackend;
use xxhash_rust::xxh3::xxh3_128;

use crate::engine::problem::Problem;
use crate::limits::MAX_RECORD_BYTES;

pub(crate) const PAGE: u64 = 4_096;
/// The first bytes of a redb file.
const MAGIC: &[u8; 9] = b"redb\x1A\x0A\xA9\x0D\x0A";
/// Where the flags are, and those that are looked at.
const FLAGS: usize = 9;
const PRIMARY: u8 = 1;
/// Where the two states of the database are described.
const SLOTS: [usize; 2] = [64, 192];
const SLOT_BYTES: usize = 128;
/// Bytes of a slot that its checksum covers.
const SLOT_CHECKED: usize = 112;
const LEAF: u8 = 1;
const BRANCH: u8 = 2;
/// The largest page that anything of ours needs.
const MAX_PAGE_BYTES: u64 = (4 * MAX_RECORD_BYTES as u64).next_power_of_two();
/// A page that is larger is not searched for a flipped bit …
const MENDED_BYTES: usize = 16 * 1_024;
/// … nor is any after so many.
const MENDED_PAGES: usize = 64;
const MAX_DEPTH: u8 = 64;

/// How long keys and values are; `None` where each has its own length.
#[derive(Clone, Copy)]
pub(crate) struct Widths {
    pub(crate) key: Option<usize>,
    pub(crate) value: Option<usize>,
}

/// Where a tree begins.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Root {
    page: u64,
    checksum: u128,
    /// How many rows it has.
    pub(crate) rows: u64,
}

/// A row of a leaf.
pub(crate) struct FoundRow<'p> {
    pub(crate) key: &'p [u8],
    pub(crate) value: &'p [u8],
    /// Where the value is in the file, if it is there as it was read.
    pub(crate) at: Option<u64>,
    /// Every page that leads to it is what the page above it says. A row of another page may be an older one, though its own
    /// checksum is right.
    pub(crate) is_sound: bool,
}

/// One of the two states that a database has.
#[derive(Clone, Copy, Debug)]
pub(crate) struct State {
    pub(crate) tables: Option<Root>,
    /// redb's own tables: which pages are free, and which will be.
    pub(crate) system: Option<Root>,
    pub(crate) transaction: u64,
    pub(crate) is_primary: bool,
    pub(crate) is_sound: bool,
}

pub(crate) struct Pages {
    file: Arc<dyn StorageBackend>,
    /// Where the database begins in the file.
    base: u64,
    len: u64,
    region: u64,
    /// What became of pages that were searched for a flipped bit, by their number and their checksum.
    mended: HashMap<(u64, u128), Option<Vec<u8>>>,
}

impl Root {
    pub(crate) fn page(&self) -> u64 {
        self.page
    }

    pub(crate) fn checksum(&self) -> u128 {
        self.checksum
    }
}

impl Pages {
    pub(crate) fn new(file: Arc<dyn StorageBackend>, base: u64, len: u64) -> Self {
        // Regions of redb have no header since its third format, and their size is never another.
        Self { file, base, len, region: (1 << 20) * PAGE, mended: HashMap::new() }
    }

    /// Bytes of the file, as many as there are.
    pub(crate) fn bytes(&self, at: u64, len: u64) -> Option<Vec<u8>> {
        let (bytes, unreadable) = read_in_parts(&*self.file, at, len.min(self.len.checked_sub(at)?))?;
        unreadable.is_empty().then_some(bytes)
    }

    /// Both states, the one that redb would take first.
    pub(crate) fn states(&self) -> Vec<State> {
        let Some(header) = self.bytes(self.base, PAGE) else { return Vec::new() };
        let primary = usize::from(header.get(FLAGS).is_some_and(|flags| flags & PRIMARY != 0));
        let states = [primary, 1 - primary].into_iter().filter_map(|slot| {
            let at = SLOTS.get(slot).copied()?;
            let bytes = header.get(at..at + SLOT_BYTES)?;
            let bytes = match mend(bytes, &slot_is_sound) {
                Some(mended) => mended,
                None if slot_is_sound(bytes) => bytes.to_vec(),
                None => bytes.to_vec(),
            };
            Some(State {
                tables: (bytes.get(1) != Some(&0)).then(|| root_at(&bytes, 8)).flatten(),
                system: (bytes.get(2) != Some(&0)).then(|| root_at(&bytes, 40)).flatten(),
                transaction: word(&bytes, 104)?,
                is_primary: slot == primary,
                is_sound: slot_is_sound(&bytes),
            })
        });
        states.collect()
    }

    /// Whether redb's first bytes are there.
    pub(crate) fn has_magic(&self) -> bool {
        self.bytes(self.base, MAGIC.len() as u64).is_some_and(|bytes| bytes == MAGIC)
    }

    /// Where a page is, and its bytes; zeros where they cannot be read.
    fn page(&self, number: u64, damage: &mut Vec<Problem>) -> Option<(u64, Vec<u8>)> {
        let order = number >> 59;
        let size = page_bytes(number)?;
        let (index, region) = (number & (0xF_FFFF >> order), number >> 20 & 0xF_FFFF);
        let at =
            (region * self.region).checked_add(index.checked_mul(size)?)?.checked_add(self.base + PAGE)?;
        let (bytes, mut unreadable) = read_in_parts(&*self.file, at, size.min(self.len.checked_sub(at)?))?;
        damage.append(&mut unreadable);
        (bytes.len() >= 4).then_some((at, bytes))
    }

    /// Every row that is reached from a root, in order. Pages that cannot be read are said, with what lies behind them
    /// unknown. Rows of a damaged page come along as far as they can be told apart: whoever takes them has to check them.
    /// Answers whether every page was what it should be.
    pub(crate) fn walk(
        &mut self,
        root: Root,
        widths: Widths,
        damage: &mut Vec<Problem>,
        each: &mut dyn FnMut(FoundRow<'_>),
    ) -> bool {
        let mut seen = HashSet::new();
        let mut is_whole = true;
        // A page, its checksum, whether the page that says so is sound, and whether all pages above it are.
        let mut stack = vec![(root.page, root.checksum, (true, true), 0u8)];
        while let Some((number, checksum, (is_named, is_vouched), depth)) = stack.pop() {
            if depth > MAX_DEPTH || !seen.insert(number) {
                is_whole = false;
                continue;
            }
            let place = || format!("page {number:#x}");
            let Some((at, bytes)) = self.page(number, damage) else {
                damage.push(Problem::new(place(), "it lies outside the file"));
                is_whole = false;
                continue;
            };
            let is_right = |bytes: &[u8]| page_checksum(bytes, widths) == Some(checksum);
            let (mut bytes, mut at) = (bytes, Some(at));
            let mut is_sound = is_right(&bytes);
            if !is_sound
                && bytes.len() <= MENDED_BYTES
                && (self.mended.len() < MENDED_PAGES || self.mended.contains_key(&(number, checksum)))
            {
                let mended = self.mended.entry((number, checksum)).or_insert_with(|| mend(&bytes, &is_right));
                if let Some(mended) = mended {
                    damage.push(Problem::new(place(), "one bit of it was wrong and was put right"));
                    (bytes, at, is_sound) = (mended.clone(), None, true);
                }
            }
            if !is_sound {
                damage.push(Problem::new(place(), "its checksum is wrong"));
                is_whole = false;
                if !is_named {
                    continue;
                }
            }
            let is_vouched = is_sound && is_vouched;
            match bytes.first() {
                Some(&LEAF) => leaf_rows(&bytes, widths).for_each(|(key, value)| {
                    let at = at.map(|at| at + value.start as u64);
                    if let (Some(key), Some(value)) = (bytes.get(key), bytes.get(value)) {
                        each(FoundRow { key, value, at, is_sound: is_vouched });
                    }
                }),
                Some(&BRANCH) => {
                    let children = children(&bytes).into_iter().rev();
                    let above = (is_sound, is_vouched);
                    stack.extend(children.map(|(page, sum)| (page, sum, above, depth + 1)));
                }
                _ => {}
            }
        }
        is_whole
    }

    /// How many bytes the file had when this was made.
    pub(crate) fn len(&self) -> u64 {
        self.len
    }

    /// How many bytes of the file are the tables'.
    pub(crate) fn bytes_of_tables(&self) -> u64 {
        self.len.saturating_sub(self.base)
    }

    /// Page and checksum of all that an inner page leads to; nothing for a leaf. `None` when the page is not what the page above
    /// it says.
    pub(crate) fn inner(&self, number: u64, checksum: u128, widths: Widths) -> Option<Vec<(u64, u128)>> {
        let (_, bytes) = self.page(number, &mut Vec::new())?;
        match bytes.first() {
            Some(&LEAF) => Some(Vec::new()),
            Some(&BRANCH) if page_checksum(&bytes, widths) == Some(checksum) => Some(children(&bytes)),
            _ => None,
        }
    }

    /// The rows of a leaf. `None` when it is not what the page above it says.
    pub(crate) fn rows(
        &self,
        number: u64,
        checksum: u128,
        widths: Widths,
        each: &mut dyn FnMut(&[u8], &[u8]),
    ) -> Option<()> {
        let (_, bytes) = self.page(number, &mut Vec::new())?;
        if bytes.first() != Some(&LEAF) || page_checksum(&bytes, widths) != Some(checksum) {
            return None;
        }
        for (key, value) in leaf_rows(&bytes, widths) {
            each(bytes.get(key)?, bytes.get(value)?);
        }
        Some(())
    }

    /// Everything in the file that looks like a row of a leaf, in use or not: what its rows would be with keys and values of each of
    /// these widths. What cannot be read is stepped over.
    pub(crate) fn scan(&self, widths: &[Widths], each: &mut dyn FnMut(usize, FoundRow<'_>)) {
        let mut at = self.base + PAGE;
        while at < self.len {
            let page = self.bytes(at, PAGE).unwrap_or_default();
            if page.first() == Some(&LEAF) {
                for (n, widths) in widths.iter().enumerate() {
                    self.scan_leaf(at, &page, *widths, &mut |row| each(n, row));
                }
            }
            at += PAGE;
        }
    }

    /// The rows of what may be a leaf, of which this is the first page.
    fn scan_leaf(&self, at: u64, page: &[u8], widths: Widths, each: &mut dyn FnMut(FoundRow<'_>)) {
        let lists = usize::from(widths.key.is_none()) + usize::from(widths.value.is_none());
        let last = |rows: usize| Some(4 * (lists * rows).checked_sub(1)?);
        let end = rows_of(page).and_then(|rows| entry_end(page, 4 + last(rows)?));
        let end = end.map(|end| end as u64).filter(|end| *end > PAGE && *end <= MAX_PAGE_BYTES);
        let larger = end.and_then(|end| self.bytes(at, end));
        let page = larger.as_deref().unwrap_or(page);
        for (key, value) in leaf_rows(page, widths) {
            let place = at + value.start as u64;
            if let (Some(key), Some(value)) = (page.get(key), page.get(value)) {
                each(FoundRow { key, value, at: Some(place), is_sound: false });
            }
        }
    }
}

/// Reads, page by page where it cannot be read as a whole: what lies on a bad sector is zero, and named.
pub(crate) fn read_in_parts(file: &dyn StorageBackend, at: u64, len: u64) -> Option<(Vec<u8>, Vec<Problem>)> {
    let mut bytes = vec![0; usize::try_from(len).ok()?];
    let mut unreadable = Vec::new();
    if file.read(at, &mut bytes).is_ok() {
        return Some((bytes, unreadable));
    }
    bytes.fill(0);
    for (place, part) in (at..).step_by(PAGE as usize).zip(bytes.chunks_mut(PAGE as usize)) {
        if let Err(e) = file.read(place, part) {
            part.fill(0);
            unreadable.push(Problem::new(format!("byte {place}"), format!("it cannot be read: {e}")));
        }
    }
    Some((bytes, unreadable))
}

fn slot_is_sound(bytes: &[u8]) -> bool {
    let sums = bytes.split_at_checked(SLOT_CHECKED);
    sums.is_some_and(|(checked, sum)| xxh3_128(checked).to_le_bytes() == *sum)
}

/// The bytes with one bit put right; `None` when they are right, or more is wrong.
fn mend(bytes: &[u8], is_right: &dyn Fn(&[u8]) -> bool) -> Option<Vec<u8>> {
    if is_right(bytes) {
        return None;
    }
    let mut tried = bytes.to_vec();
    for at in 0..tried.len() {
        for bit in 0..8 {
            *tried.get_mut(at)? ^= 1 << bit;
            if is_right(&tried) {
                return Some(tried);
            }
            *tried.get_mut(at)? ^= 1 << bit;
        }
    }
    None
}

/// How many bytes a page has; `None` for one that is none of ours.
pub(crate) fn page_bytes(number: u64) -> Option<u64> {
    let order = u32::try_from(number >> 59).ok()?;
    PAGE.checked_shl(order).filter(|size| *size <= MAX_PAGE_BYTES)
}

/// The definition of a table, as redb's own tree of them has it.
pub(crate) fn definition(value: &[u8]) -> Option<Option<Root>> {
    match (value.first()?, value.get(9)?) {
        (3, 0) => Some(None),
        (3, 1) => Some(Some(root_at(value, 10)?)),
        _ => None,
    }
}

/// How long the keys and values of that table are.
pub(crate) fn widths(value: &[u8]) -> Option<Widths> {
    let width = |at: usize| match value.get(at)? {
        0 => Some(None),
        _ => Some(Some(value.get(at + 1..)?.first_chunk().copied().map(u32::from_le_bytes)? as usize)),
    };
    Some(Widths { key: width(42)?, value: width(47)? })
}

fn root_at(bytes: &[u8], at: usize) -> Option<Root> {
    let checksum = bytes.get(at + 8..at + 24)?.first_chunk().copied().map(u128::from_le_bytes)?;
    Some(Root { page: word(bytes, at)?, checksum, rows: word(bytes, at + 24)? })
}

fn word(bytes: &[u8], at: usize) -> Option<u64> {
    bytes.get(at..)?.first_chunk().copied().map(u64::from_le_bytes)
}

fn rows_of(page: &[u8]) -> Option<usize> {
    page.get(2..)?.first_chunk().copied().map(u16::from_le_bytes).map(usize::from)
}

fn entry_end(page: &[u8], at: usize) -> Option<usize> {
    page.get(at..)?.first_chunk().copied().map(u32::from_le_bytes).map(|end| end as usize)
}

/// What redb's checksum of a page would be.
fn page_checksum(page: &[u8], widths: Widths) -> Option<u128> {
    let rows = rows_of(page)?;
    let last = rows.checked_sub(1)?;
    let end = match *page.first()? {
        LEAF => match widths.value {
            None => entry_end(page, 4 + 4 * (if widths.key.is_none() { rows } else { 0 } + last))?,
            Some(width) => keys_end(page, widths, rows)? + width * rows,
        },
        BRANCH => {
            let keys = 8 + 24 * (rows + 1);
            match widths.key {
                Some(width) => keys + width * rows,
                None => entry_end(page, keys + 4 * last)?,
            }
        }
        _ => return None,
    };
    page.get(..end).map(xxh3_128)
}

/// Where the keys of a leaf begin.
fn keys_begin(widths: Widths, rows: usize) -> usize {
    let lists = usize::from(widths.key.is_none()) + usize::from(widths.value.is_none());
    4 + 4 * lists * rows
}

fn keys_end(page: &[u8], widths: Widths, rows: usize) -> Option<usize> {
    match widths.key {
        Some(width) => Some(keys_begin(widths, rows) + width * rows),
        None => entry_end(page, 4 + 4 * rows.checked_sub(1)?),
    }
}

type Span = std::ops::Range<usize>;

/// Keys and values of a leaf: those of which the bounds make sense.
fn leaf_rows(page: &[u8], widths: Widths) -> impl Iterator<Item = (Span, Span)> {
    let rows = rows_of(page).unwrap_or_default();
    let (begin, len) = (keys_begin(widths, rows), page.len());
    let values = keys_end(page, widths, rows).filter(|_| begin <= len);
    let key = move |n: usize| match widths.key {
        Some(width) => Some(begin + width * n..begin + width * (n + 1)),
        None => {
            let from = n.checked_sub(1).map_or(Some(begin), |before| entry_end(page, 4 + 4 * before));
            Some(from?..entry_end(page, 4 + 4 * n)?)
        }
    };
    let list = 4 + if widths.key.is_none() { 4 * rows } else { 0 };
    let value = move |values: usize, n: usize| match widths.value {
        Some(width) => Some(values + width * n..values + width * (n + 1)),
        None => {
            let from = n.checked_sub(1).map_or(Some(values), |before| entry_end(page, list + 4 * before));
            Some(from?..entry_end(page, list + 4 * n)?)
        }
    };
    let rows = (0..rows).filter_map(move |n| Some((key(n)?, value(values?, n)?)));
    rows.filter(move |(key, value)| {
        key.start <= key.end && key.end <= len && value.start <= value.end && value.end <= len
    })
}

/// Page and checksum of each child.
fn children(page: &[u8]) -> Vec<(u64, u128)> {
    let Some(count) = rows_of(page).map(|keys| keys + 1) else { return Vec::new() };
    let child = |n: usize| {
        let sum = page.get(8 + 16 * n..)?.first_chunk().copied().map(u128::from_le_bytes)?;
        Some((word(page, 8 + 16 * count + 8 * n)?, sum))
    };
    (0..count).map_while(child).collect()
}
