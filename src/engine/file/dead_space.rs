//! How much of a file a purge and a compaction would give back. redb's own figures walk every page, and without a bound where a
//! page is damaged. Here the inner pages of the tables are read, which say how large those below them are, and of large tables
//! some of them; every one is checked.

use std::collections::{BTreeMap, HashMap};

use redb::{ReadOnlyTable, TableHandle};

use super::read::file_reader::FileReader;
use super::redb_errors::guarded;
use super::tables::definitions::{EVENTS, HEADS, IDS, LINES, ORDER};
use super::tables::lookup;
use super::tables::opened::Snapshot;
use super::tables::pages::{PAGE, Pages, Root, Widths, definition, page_bytes};
use crate::codec::{BranchRow, Chunk};
use crate::engine::dead_space::DeadSpace;
use crate::error::Result;
use crate::limits::{
    DEAD_SPACE_BRANCHES, DEAD_SPACE_CHUNKS, DEAD_SPACE_CHUNKS_OF_A_BRANCH, DEAD_SPACE_DEPTH,
    DEAD_SPACE_PAGES, DEAD_SPACE_TABLES,
};

/// `None` where that cannot be said, since the file is damaged.
pub(crate) fn dead_space(reader: &FileReader) -> Result<Option<DeadSpace>> {
    let found = guarded(|| {
        // What the journal says of branches comes first: it may be in the tables by then.
        let changed = changed(reader)?;
        let txn = reader.db.begin_read()?;
        let Some((file, free)) = free(&txn) else { return Ok(None) };
        let mut dead = DeadSpace { file, free, ..DeadSpace::default() };
        if reader.contents.has_changes() {
            (dead.unpurged, dead.is_partial) = unpurged(&txn, changed)?;
        }
        Ok(Some(dead))
    });
    match found {
        Err(e) if e.is_damage() => Ok(None),
        found => found,
    }
}

/// Bytes of the file, and of those behind the journal that no table uses. The file grows meanwhile: both are of one moment.
fn free(txn: &Snapshot) -> Option<(u64, u64)> {
    let pages = txn.pages()?;
    let used = used(&pages)?;
    Some((pages.len(), pages.bytes_of_tables().saturating_sub(used.saturating_add(PAGE))))
}

/// Bytes of the pages of all tables. A state that is written meanwhile keeps the pages of the one before.
fn used(pages: &Pages) -> Option<u64> {
    // It may be written while it is read.
    let mut states = (0..3).filter_map(|_| pages.states().into_iter().next());
    let state = states.find(|state| state.is_sound)?;
    let Some(tables) = state.tables else { return Some(0) };
    let mut total = 0;
    let mut roots = Vec::new();
    // The tree of the tables is a page, or a few.
    let mut level = vec![(tables.page(), tables.checksum())];
    for _ in 0..DEAD_SPACE_DEPTH {
        let mut below = Vec::new();
        for (page, checksum) in level {
            total += page_bytes(page)?;
            let found = pages.inner(page, checksum, Widths { key: None, value: None })?;
            if found.is_empty() {
                pages.rows(page, checksum, Widths { key: None, value: None }, &mut |name, value| {
                    roots.push((String::from_utf8_lossy(name).into_owned(), definition(value)));
                })?;
            }
            below.extend(found);
        }
        if below.is_empty() {
            break;
        }
        if below.len() > DEAD_SPACE_PAGES || roots.len() > DEAD_SPACE_TABLES {
            return None;
        }
        level = below;
    }
    for (name, root) in roots.into_iter().take(DEAD_SPACE_TABLES) {
        if let Some(root) = root? {
            total = total.saturating_add(tree(pages, root, key_width(&name))?);
        }
    }
    Some(total)
}

fn key_width(table: &str) -> Option<usize> {
    match table {
        _ if table == EVENTS.name() || table == IDS.name() => Some(16),
        _ if [LINES.name(), HEADS.name(), ORDER.name()].contains(&table) => Some(8),
        _ => None,
    }
}

/// About how many bytes the pages of a tree have. Its leaves are all equally deep.
fn tree(pages: &Pages, root: Root, key: Option<usize>) -> Option<u64> {
    let (mut level, mut total) = (vec![(root.page(), root.checksum())], page_bytes(root.page())?);
    // How many pages one of this level stands for, and how many more are read.
    let (mut weight, mut left) = (1.0, DEAD_SPACE_PAGES);
    for _ in 0..DEAD_SPACE_DEPTH {
        let step = level.len().div_ceil(left.max(1)).max(1);
        let (mut below, mut looked) = (Vec::new(), 0_usize);
        for (page, checksum) in level.iter().step_by(step) {
            let found = pages.inner(*page, *checksum, Widths { key, value: None })?;
            if found.is_empty() {
                return Some(total);
            }
            below.extend(found);
            (looked, left) = (looked + 1, left.saturating_sub(1));
        }
        weight *= level.len() as f64 / looked.max(1) as f64;
        let bytes = below.iter().map(|(page, _)| page_bytes(*page)).sum::<Option<u64>>()?;
        total = total.saturating_add((bytes as f64 * weight) as u64);
        level = below;
    }
    None
}

/// Branches of which something has become that is only in the journal, and those that are.
fn changed(reader: &FileReader) -> Result<BTreeMap<u64, BranchRow>> {
    let mut changed = BTreeMap::new();
    for layer in reader.contents.tail()?.layers() {
        let branches = layer.births().chain(layer.changes());
        changed.extend(branches.map(|branch| (branch.number, branch.row())));
    }
    Ok(changed)
}

/// About how many bytes of chunks a purge would remove, and whether not everything was looked at.
fn unpurged(txn: &Snapshot, changed: BTreeMap<u64, BranchRow>) -> Result<(u64, bool)> {
    let mut rows = BTreeMap::new();
    for row in lookup::rows(&lookup::open(txn, LINES)?, 0..)?.take(DEAD_SPACE_BRANCHES) {
        let (number, row) = row?;
        let number = number.value();
        // One that cannot be read is kept.
        if let Ok(row) = BranchRow::decode(number, row.value()) {
            rows.insert(number, row);
        }
    }
    let mut is_partial = rows.len() >= DEAD_SPACE_BRANCHES;
    let end = rows.last_key_value().filter(|_| is_partial).map_or(u64::MAX, |(last, _)| *last);
    rows.extend(changed.into_iter().take_while(|(number, _)| *number <= end));
    let kept = kept(&rows);
    let events = lookup::open(txn, EVENTS)?;
    let (mut bytes, mut left) = (0_u64, DEAD_SPACE_CHUNKS);
    for (number, row) in &rows {
        if row.attributes.deleted.is_none() && row.attributes.truncated <= row.fork {
            continue;
        }
        // Before what is kept, and behind it.
        let ranges = match kept.get(number) {
            Some((first, last)) => {
                [Some((0, first.saturating_sub(1))), last.checked_add(1).map(|n| (n, u64::MAX))]
            }
            None => [Some((0, u64::MAX)), None],
        };
        for (from, to) in ranges.into_iter().flatten() {
            if left == 0 {
                is_partial = true;
                break;
            }
            let (more, seen) = chunks(&events, *number, (from, to), left.min(DEAD_SPACE_CHUNKS_OF_A_BRANCH))?;
            (bytes, left) = (bytes.saturating_add(more), left - seen);
        }
    }
    Ok((bytes, is_partial))
}

/// About how many bytes the chunks of a branch have that lie between two sequences, and how many of them were looked at. The rest
/// is taken to be like those.
fn chunks(
    events: &ReadOnlyTable<(u64, u64), &'static [u8]>,
    branch: u64,
    (from, to): (u64, u64),
    most: usize,
) -> Result<(u64, usize)> {
    let range = (branch, from)..=(branch, to);
    let (mut bytes, mut seen, mut sequences) = (0_u64, 0, 0..0);
    for row in lookup::rows(events, range.clone())?.take(most) {
        let (key, value) = row?;
        let (last, value) = (key.value().1, value.value());
        seen += 1;
        if seen == 1 {
            let Ok(chunk) = Chunk::decode(value) else { continue };
            sequences = chunk.first()..last;
            // A chunk is removed as a whole.
            if chunk.first() < from {
                continue;
            }
        }
        (bytes, sequences.end) = (bytes + value.len() as u64, last);
    }
    let end = lookup::rows(events, range)?.next_back().transpose()?.map_or(0, |(key, _)| key.value().1);
    let (known, rest) =
        (sequences.end.saturating_sub(sequences.start).max(1), end.saturating_sub(sequences.end));
    let more = u128::from(bytes) * u128::from(rest) / u128::from(known);
    Ok((bytes.saturating_add(u64::try_from(more).unwrap_or(u64::MAX)), seen))
}

/// The first and the last sequence that each branch or one of its forks shows; nothing for those of which nobody shows any.
fn kept(rows: &BTreeMap<u64, BranchRow>) -> HashMap<u64, (u64, u64)> {
    let mut kept: HashMap<u64, (u64, u64)> = HashMap::new();
    // A parent has a smaller number than its forks.
    for (number, row) in rows.iter().rev() {
        if row.attributes.deleted.is_none() {
            let shown = (row.attributes.truncated.saturating_add(1), u64::MAX);
            kept.entry(*number).and_modify(|kept| *kept = hull(*kept, shown)).or_insert(shown);
        }
        let Some((parent, (first, last))) = row.parent.zip(kept.get(number).copied()) else { continue };
        if first <= row.fork {
            let inherited = (first, last.min(row.fork));
            kept.entry(parent).and_modify(|kept| *kept = hull(*kept, inherited)).or_insert(inherited);
        }
    }
    kept
}

fn hull(one: (u64, u64), other: (u64, u64)) -> (u64, u64) {
    (one.0.min(other.0), one.1.max(other.1))
}
