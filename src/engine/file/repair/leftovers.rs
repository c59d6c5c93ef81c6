//! What lies in pages to which nothing leads: rows behind a page that is gone, and older ones that were replaced since.

use std::cmp::Reverse;
use std::collections::{BTreeMap, HashMap, HashSet};

use super::gaps::Gaps;
use super::placed::{PlacedRun, position_is_taken};
use super::salvage::{FoundEvents, NAMED, NUMBERED, PAIRS, found_chunk, number, pair};
use crate::codec::{BranchRow, Chunk, Meta, decode_record};
use crate::engine::file::tables::definitions::META_KEY;
use crate::engine::file::tables::pages::{FoundRow, Pages};
use crate::event::EventId;

/// A chunk that nothing leads to.
struct Leftover {
    branch: u64,
    events: FoundEvents,
    /// When its first event was recorded.
    recorded: i64,
}

/// All chunks and rows of branches in the file.
pub(super) struct Leftovers {
    chunks: Vec<Leftover>,
    pub(super) lines: BTreeMap<u64, Vec<BranchRow>>,
    /// The newest row that says which store it is.
    pub(super) meta: Option<Meta>,
}

impl Leftovers {
    pub(super) fn of(pages: &Pages) -> Self {
        let mut found = Self { chunks: Vec::new(), lines: BTreeMap::new(), meta: None };
        pages.scan(&[PAIRS, NUMBERED, NAMED], &mut |widths, row| match widths {
            0 => found.chunks.extend(leftover(&row)),
            1 => found.take_line(&row),
            _ => found.take_meta(&row),
        });
        found
    }

    fn take_line(&mut self, row: &FoundRow<'_>) {
        let number = number(row.key);
        if let Ok(line) = BranchRow::decode(number, row.value) {
            let rows = self.lines.entry(number).or_default();
            if !rows.contains(&line) {
                rows.push(line);
            }
        }
    }

    fn take_meta(&mut self, row: &FoundRow<'_>) {
        let found = (row.key == META_KEY.as_bytes()).then(|| Meta::decode(row.value).ok()).flatten();
        let is_newer = |found: &Meta| self.meta.as_ref().is_none_or(|known| known.flushed <= found.flushed);
        if let Some(found) = found.filter(is_newer) {
            self.meta = Some(found);
        }
    }
}

fn leftover(row: &FoundRow<'_>) -> Option<Leftover> {
    let key = pair(row.key);
    let chunk = Chunk::decode(row.value).ok().filter(|chunk| (chunk.branch(), chunk.last()) == key)?;
    let (_, recorded, _) = chunk.entry(chunk.first())?;
    Some(Leftover { branch: chunk.branch(), events: found_chunk(&chunk, row), recorded })
}

/// What is known of the events that are looked for.
pub(super) struct Known<'a> {
    pub(super) gaps: &'a Gaps,
    /// Branches that may have more events than those that are known, from this sequence on.
    pub(super) open: &'a dyn Fn(u64) -> Option<u64>,
    pub(super) ids: &'a HashMap<(u64, u64), EventId>,
    pub(super) positions: &'a HashMap<(u64, u64), u64>,
    /// Events that were found, by their positions.
    pub(super) placed: &'a [PlacedRun],
}

/// Events that were found in such pages.
pub(super) struct FoundAgain {
    pub(super) branch: u64,
    pub(super) events: FoundEvents,
    /// An index that can be read says that they are the right ones.
    pub(super) is_vouched: bool,
}

impl Leftovers {
    /// Chooses what closes gaps. Such a page may also hold what another history of the branch had, whose end was lost once: so
    /// whatever indexes can be read have to agree, positions have to fit, and of two that fit, the later counts.
    pub(super) fn choose(
        self,
        known: &Known<'_>,
        read: &dyn Fn(&FoundEvents) -> Option<Chunk>,
    ) -> Vec<FoundAgain> {
        let mut search = Search::new(known);
        let mut pieces = Vec::new();
        for Leftover { branch, events, recorded } in self.chunks {
            for (first, last) in search.wanted(branch, &events) {
                pieces.push((branch, FoundEvents { first, last, ..events.clone() }, recorded));
            }
        }
        let mut judged: Vec<_> = pieces
            .into_iter()
            .filter_map(|(branch, events, recorded)| {
                let is_vouched = is_vouched(known, branch, &events, &read(&events)?)?;
                Some((FoundAgain { branch, events, is_vouched }, recorded))
            })
            .collect();
        judged.sort_by_key(|(found, recorded)| Reverse((found.is_vouched, *recorded, found.events.last)));
        judged.into_iter().flat_map(|(found, _)| search.take(found, read)).collect()
    }
}

/// Whether an index says that these are the right events; `None` when one says that they are not.
fn is_vouched(known: &Known<'_>, branch: u64, events: &FoundEvents, chunk: &Chunk) -> Option<bool> {
    let mut is_vouched = false;
    for sequence in events.first..=events.last {
        let (position, _, record) = chunk.entry(sequence)?;
        if let Some(id) = known.ids.get(&(branch, sequence)) {
            if decode_record(record).ok()?.id() != *id {
                return None;
            }
            is_vouched = true;
        }
        if let Some(due) = known.positions.get(&(branch, sequence)) {
            if *due != position {
                return None;
            }
            is_vouched = true;
        }
    }
    Some(is_vouched)
}

struct Search<'a> {
    known: &'a Known<'a>,
    /// What is still looked for: first and last sequences.
    free: HashMap<u64, BTreeMap<u64, u64>>,
    /// Branch and sequence of events whose positions are known: the positions.
    fixed: BTreeMap<(u64, u64), (u64, u64)>,
    taken: HashSet<u64>,
}

impl<'a> Search<'a> {
    fn new(known: &'a Known<'a>) -> Self {
        let run = |placed: &PlacedRun| {
            let (first, last) = (placed.position, placed.end() - 1);
            ((placed.run.branch, placed.run.first), (first, last))
        };
        Self {
            known,
            free: HashMap::new(),
            fixed: known.placed.iter().map(run).collect(),
            taken: HashSet::new(),
        }
    }

    /// What of these sequences is still looked for.
    fn wanted(&mut self, branch: u64, events: &FoundEvents) -> Vec<(u64, u64)> {
        let known = self.known;
        let free = self.free.entry(branch).or_insert_with(|| {
            let open = (known.open)(branch).map(|from| (from, u64::MAX));
            known.gaps.of_branch(branch).iter().copied().chain(open).collect()
        });
        let overlapping = free.range(..=events.last).rev().take_while(|(_, last)| **last >= events.first);
        overlapping.map(|(first, last)| (events.first.max(*first), events.last.min(*last))).collect()
    }

    /// The part of it that nothing better has taken, if it fits in between what is known.
    fn take(&mut self, found: FoundAgain, read: &dyn Fn(&FoundEvents) -> Option<Chunk>) -> Vec<FoundAgain> {
        let (branch, is_vouched) = (found.branch, found.is_vouched);
        let Some(chunk) = read(&found.events) else { return Vec::new() };
        let mut taken = Vec::new();
        for (first, last) in self.wanted(branch, &found.events) {
            if self.fits(branch, (first, last), &chunk) {
                self.occupy(branch, (first, last), &chunk);
                let events = FoundEvents { first, last, ..found.events.clone() };
                taken.push(FoundAgain { branch, events, is_vouched });
            }
        }
        taken
    }

    fn fits(&self, branch: u64, (first, last): (u64, u64), chunk: &Chunk) -> bool {
        let position = |sequence| chunk.entry(sequence).map(|(position, ..)| position);
        let (Some(begin), Some(end)) = (position(first), position(last)) else { return false };
        let before = self.fixed.range((branch, 0)..(branch, first)).next_back();
        let after = self.fixed.range((branch, first)..=(branch, u64::MAX)).next();
        // What is still missing in between needs positions as well.
        let follows = |known: u64, (from, to): (u64, u64)| {
            begin > to && begin - to >= first.saturating_sub(known + (to - from))
        };
        before.is_none_or(|((_, known), at)| follows(*known, *at))
            && after.is_none_or(|((_, next), (after, _))| *after > end && after - end >= next - last)
            && (first..=last).filter_map(position).all(|position| {
                !self.taken.contains(&position) && !position_is_taken(self.known.placed, position)
            })
    }

    fn occupy(&mut self, branch: u64, (first, last): (u64, u64), chunk: &Chunk) {
        for sequence in first..=last {
            let Some((position, ..)) = chunk.entry(sequence) else { continue };
            self.taken.insert(position);
            self.fixed.insert((branch, sequence), (position, position));
        }
        let Some(free) = self.free.get_mut(&branch) else { return };
        let Some((begin, end)) = free.range(..=first).next_back().map(|(begin, end)| (*begin, *end)) else {
            return;
        };
        free.remove(&begin);
        if begin < first {
            free.insert(begin, first - 1);
        }
        if last < end {
            free.insert(last + 1, end);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::plan::{Branches, PlannedBranch, PlannedPart};
    use super::super::salvage::Source;
    use super::*;
    use crate::codec::{Attributes, ChunkBuilder, Run, encode_record};
    use crate::event::{BranchName, MAIN, NewEvent, Place, SessionId};

    const BRANCH: u64 = 5;

    fn id(of: u128) -> EventId {
        EventId::from_bytes(of.to_be_bytes())
    }

    /// A chunk of events from this sequence on, one for each position, of the history with this number.
    fn chunk(first: u64, positions: &[u64], history: u64) -> Vec<u8> {
        let mut chunk = ChunkBuilder::new(BRANCH, first);
        for (sequence, position) in (first..).zip(positions) {
            let event = NewEvent::new("a.b").with_id(id(u128::from(history) << 64 | u128::from(sequence)));
            let record = encode_record(&event, 9_999).unwrap().encoded().clone();
            chunk.push(*position, history as i64, record);
        }
        chunk.finish()
    }

    fn gaps(gaps: &[(u64, u64)]) -> Gaps {
        let parts = gaps.iter().map(|(first, last)| PlannedPart::Lost {
            first: *first,
            last: *last,
            positions: Vec::new(),
        });
        let place = Place::new(SessionId::new("s").unwrap(), BranchName::new(MAIN).unwrap());
        let row = BranchRow { place, parent: None, fork: 0, created: 0, attributes: Attributes::default() };
        let branch = PlannedBranch { row, shift: 0, parts: parts.collect(), dropped: Vec::new() };
        Gaps::of(&Branches::from([(BRANCH, branch)]))
    }

    fn chosen(
        chunks: &[Vec<u8>],
        gaps: &Gaps,
        ids: &[(u64, EventId)],
        positions: &[(u64, u64)],
    ) -> Vec<(u64, u64, u64, bool)> {
        let decoded: Vec<Chunk> = chunks.iter().map(|row| Chunk::decode(row).unwrap()).collect();
        let leftovers = decoded.iter().zip(0..).map(|(chunk, at)| {
            let source = Source::Chunk { at, len: 0 };
            let events = FoundEvents { first: chunk.first(), last: chunk.last(), source };
            Leftover { branch: BRANCH, events, recorded: chunk.entry(chunk.first()).unwrap().1 }
        });
        let leftovers = Leftovers { chunks: leftovers.collect(), lines: BTreeMap::new(), meta: None };
        let placed = [(1, 1, 3), (40, 10, 3)].map(|(position, first, count)| PlacedRun {
            position,
            run: Run { branch: BRANCH, first, count },
            recorded: (0, 0),
        });
        let known = Known {
            gaps,
            open: &|branch| (branch == BRANCH + 1).then_some(1),
            ids: &ids.iter().map(|(sequence, id)| ((BRANCH, *sequence), *id)).collect(),
            positions: &positions.iter().map(|(sequence, at)| ((BRANCH, *sequence), *at)).collect(),
            placed: &placed,
        };
        let at = |events: &FoundEvents| match events.source {
            Source::Chunk { at, .. } => at,
            _ => unreachable!(),
        };
        let read = |events: &FoundEvents| Chunk::decode(&chunks[at(events) as usize]).ok();
        let found = leftovers.choose(&known, &read).into_iter();
        let mut found: Vec<_> =
            found.map(|f| (f.events.first, f.events.last, at(&f.events), f.is_vouched)).collect();
        found.sort_unstable();
        found
    }

    #[test]
    fn only_what_is_missing_is_taken_and_each_event_once() {
        // 4 to 9 are lost; the chunks reach beyond, and overlap.
        let chunks = [chunk(2, &[2, 3, 10, 11, 12], 1), chunk(5, &[11, 12, 13, 14], 1)];
        let gaps = gaps(&[(4, 9)]);
        let found = chosen(&chunks, &gaps, &[], &[]);
        assert_eq!(found, [(4, 4, 0, false), (5, 8, 1, false)]);
    }

    #[test]
    fn of_two_histories_the_one_that_an_index_knows_counts_and_else_the_later() {
        let chunks = [chunk(4, &[10, 11], 7), chunk(4, &[20, 21], 8)];
        let gaps = gaps(&[(4, 5)]);
        assert_eq!(chosen(&chunks, &gaps, &[], &[]), [(4, 5, 1, false)]);
        let known = id(7 << 64 | 5);
        assert_eq!(chosen(&chunks, &gaps, &[(5, known)], &[]), [(4, 5, 0, true)]);
        assert_eq!(chosen(&chunks, &gaps, &[], &[(4, 10)]), [(4, 5, 0, true)]);
        assert_eq!(chosen(&chunks, &gaps, &[(4, id(9))], &[]), []);
    }

    #[test]
    fn what_lies_in_the_place_of_others_in_the_global_order_is_not_taken() {
        let gaps = gaps(&[(4, 5), (7, 8)]);
        for positions in [[2, 10], [10, 40], [10, 41], [10, 99]] {
            assert_eq!(chosen(&[chunk(4, &positions, 1)], &gaps, &[], &[]), [], "{positions:?}");
        }
        // Two that fit alone, and not beside each other.
        let chunks = [chunk(4, &[10, 11], 2), chunk(7, &[11, 12], 1)];
        assert_eq!(chosen(&chunks, &gaps, &[], &[]), [(4, 5, 0, false)]);
    }
}
