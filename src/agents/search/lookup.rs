//! What a segment knows of a query.

use std::borrow::Cow;

use super::disk::{List, Segment, Unusable};
use super::query::{Clause, TextQuery};
use super::request::SearchRequest;
use super::score::{Statistics, Weights};
use super::terms::{self, KIND, SESSION, WORD};
use crate::event::{Filter, Timestamp};
use crate::limits::SEARCH_KNOWN_TEXTS;

/// Texts of a segment, in order, each once.
type Docs = Vec<u32>;

/// Texts, in order, and how often each has what was looked for.
type Counted = Vec<(u32, u32)>;

/// What was found out while a segment's texts were counted: the texts of the clauses that are no single words.
#[derive(Default)]
pub(super) struct Known {
    clauses: Vec<Option<Counted>>,
}

/// Adds the texts of a segment to what is known of all.
pub(super) fn count(
    segment: &Segment,
    query: &TextQuery,
    statistics: &mut Statistics,
) -> Result<Known, Unusable> {
    statistics.texts += u64::from(segment.meta.texts);
    statistics.words += segment.meta.words;
    let mut known = Known::default();
    for (clause, with) in query.clauses().zip(&mut statistics.with) {
        let texts = match clause.words.as_slice() {
            [word] if !clause.is_prefix => {
                *with += segment.list(&terms::word(word))?.map_or(0, |list| u64::from(list.texts));
                None
            }
            _ => {
                let texts = of_clause(segment, clause)?;
                *with += texts.len() as u64;
                // Of very many it is cheaper to read them again than to keep them.
                (texts.len() <= SEARCH_KNOWN_TEXTS).then_some(texts)
            }
        };
        known.clauses.push(texts);
    }
    Ok(known)
}

/// The texts that are found, in order, and how well each fits.
pub(super) fn found(
    segment: &Segment,
    known: &Known,
    query: &TextQuery,
    request: &SearchRequest,
    weights: &Weights,
) -> Result<Vec<(u32, f32)>, Unusable> {
    let mut all: Option<Vec<(u32, f32)>> = None;
    let mut number = 0;
    for group in query.groups() {
        let mut scored: Vec<(u32, f32)> = Vec::new();
        for clause in group {
            let own: Cow<'_, [(u32, u32)]> = match known.clauses.get(number) {
                Some(Some(known)) => known.into(),
                _ => of_clause(segment, clause)?.into(),
            };
            let own = own.iter();
            let own = own.map(|(doc, count)| (*doc, weights.score(number, *count, segment.length(*doc))));
            scored =
                if scored.is_empty() { own.collect() } else { either(&scored, &own.collect::<Vec<_>>()) };
            number += 1;
        }
        all = Some(match all {
            Some(all) => both(&all, &scored),
            None => scored,
        });
    }
    let mut all = all.unwrap_or_default();
    for clause in query.unwanted() {
        let docs: Docs = of_clause(segment, clause)?.into_iter().map(|(doc, _)| doc).collect();
        keep_unless(&mut all, &docs);
    }
    if all.is_empty() {
        return Ok(all);
    }
    for docs in narrowings(segment, request)? {
        keep_if(&mut all, &docs);
    }
    if request.filter.has_times() {
        let rows = segment.rows()?;
        all.retain(|(doc, _)| {
            rows.get(*doc as usize).is_some_and(|row| may_take(&request.filter, row.seconds))
        });
    }
    Ok(all)
}

/// What a request looks at: each has the texts that it allows.
fn narrowings(segment: &Segment, request: &SearchRequest) -> Result<Vec<Docs>, Unusable> {
    let mut all = Vec::new();
    if let Some(session) = &request.session {
        all.push(union(segment, segment.list(&terms::session(session.as_str()))?)?);
    }
    if let Some(sessions) = &request.sessions {
        let mut lists = Vec::new();
        segment.each_with(&[SESSION], |term, list| {
            let name = std::str::from_utf8(term.get(1..).unwrap_or_default());
            lists.extend(name.is_ok_and(|name| sessions.matches(name)).then_some(list));
            Ok(())
        })?;
        all.push(union(segment, lists)?);
    }
    if !request.speakers.is_empty() {
        let mut lists = Vec::new();
        for speaker in &request.speakers {
            lists.extend(segment.list(&terms::speaker(*speaker))?);
        }
        all.push(union(segment, lists)?);
    }
    let (mut kinds, mut is_any) = (Vec::new(), true);
    segment.each_with(&[KIND], |term, list| {
        let kind = std::str::from_utf8(term.get(1..).unwrap_or_default());
        match kind.is_ok_and(|kind| request.filter.takes_kind(kind)) {
            true => kinds.push(list),
            false => is_any = false,
        }
        Ok(())
    })?;
    if !is_any {
        all.push(union(segment, kinds)?);
    }
    Ok(all)
}

/// Whether the filter may match something of this second.
fn may_take(filter: &Filter, seconds: u32) -> bool {
    if seconds == 0 || seconds == u32::MAX {
        return true;
    }
    let begin = i64::from(seconds) * 1_000_000;
    filter.may_match_between(Timestamp::from_micros(begin), Timestamp::from_micros(begin + 999_999))
}

/// The texts of any of these lists.
fn union(segment: &Segment, lists: impl IntoIterator<Item = List>) -> Result<Docs, Unusable> {
    let mut docs = Vec::new();
    let mut count = 0;
    for list in lists {
        segment.docs(list, |doc, _| docs.push(doc))?;
        count += 1;
    }
    if count > 1 {
        docs.sort_unstable();
        docs.dedup();
    }
    Ok(docs)
}

/// The texts that have a clause, and how often.
fn of_clause(segment: &Segment, clause: &Clause) -> Result<Counted, Unusable> {
    let Some((last, first)) = clause.words.split_last() else { return Ok(Vec::new()) };
    let lists = of_word(segment, last, clause.is_prefix)?;
    if first.is_empty() {
        return times(segment, &lists);
    }
    // Those of each word, and the texts that have all of them.
    let mut words = Vec::new();
    let mut docs: Option<Docs> = None;
    for lists in first.iter().map(|word| of_word(segment, word, false)).chain([Ok(lists)]) {
        let lists = lists?;
        let own = union(segment, lists.iter().copied())?;
        docs = Some(match docs {
            None => own,
            Some(mut docs) => {
                let mut has = Ahead::new(&own);
                docs.retain(|doc| has.has(*doc));
                docs
            }
        });
        if docs.as_ref().is_some_and(Vec::is_empty) {
            return Ok(Vec::new());
        }
        words.push(lists);
    }
    let docs = docs.unwrap_or_default();
    // Where the phrase begins, as far as its words were looked at.
    let mut begins: Option<Vec<u64>> = None;
    for (offset, lists) in (0..).zip(&words) {
        let mut own = Vec::new();
        for list in lists {
            let mut wanted = Ahead::new(&docs);
            segment.places(*list, |doc, places| {
                if wanted.has(doc) {
                    let begins = places.iter().filter_map(|place| place.checked_sub(offset));
                    own.extend(begins.map(|begin| u64::from(doc) << 32 | u64::from(begin)));
                }
            })?;
        }
        if lists.len() > 1 {
            own.sort_unstable();
        }
        begins = Some(match begins {
            None => own,
            Some(mut begins) => {
                let mut has = Ahead::new(&own);
                begins.retain(|begin| has.has(*begin));
                begins
            }
        });
    }
    let mut found: Counted = Vec::new();
    for begin in begins.unwrap_or_default() {
        let doc = (begin >> 32) as u32;
        match found.last_mut().filter(|(last, _)| *last == doc) {
            Some((_, count)) => *count += 1,
            None => found.push((doc, 1)),
        }
    }
    Ok(found)
}

/// Looks for numbers in a list, both in ascending order.
struct Ahead<'a, T>(&'a [T]);

impl<'a, T: Copy + Ord> Ahead<'a, T> {
    fn new(list: &'a [T]) -> Self {
        Self(list)
    }

    /// Whether the list has it. It is not below those that were asked for before.
    fn has(&mut self, wanted: T) -> bool {
        // In steps that double, so that a few numbers are soon found among many.
        let mut step = 1;
        while self.0.get(step).is_some_and(|there| *there <= wanted) {
            step *= 2;
        }
        let near = self.0.get(..self.0.len().min(step)).unwrap_or_default();
        self.0 = self.0.get(near.partition_point(|there| *there < wanted)..).unwrap_or_default();
        self.0.first() == Some(&wanted)
    }
}

fn keep_if(all: &mut Vec<(u32, f32)>, docs: &[u32]) {
    let mut docs = Ahead::new(docs);
    all.retain(|(doc, _)| docs.has(*doc));
}

fn keep_unless(all: &mut Vec<(u32, f32)>, docs: &[u32]) {
    let mut docs = Ahead::new(docs);
    all.retain(|(doc, _)| !docs.has(*doc));
}

/// The lists of a word, or of all words that begin so.
fn of_word(segment: &Segment, word: &str, is_prefix: bool) -> Result<Vec<List>, Unusable> {
    let mut term = Vec::new();
    terms::term(WORD, word.as_bytes(), &mut term);
    let mut lists = Vec::new();
    if is_prefix {
        segment.each_with(&term, |_, list| {
            lists.push(list);
            Ok(())
        })?;
    } else {
        lists.extend(segment.list(&term)?);
    }
    Ok(lists)
}

/// The texts of these lists, and how often they are in all of them.
fn times(segment: &Segment, lists: &[List]) -> Result<Counted, Unusable> {
    let mut found: Counted = Vec::new();
    for list in lists {
        segment.docs(*list, |doc, count| found.push((doc, count)))?;
    }
    if lists.len() > 1 {
        found.sort_unstable();
        found.dedup_by(|next, before| {
            let is_same = next.0 == before.0;
            if is_same {
                before.1 = before.1.saturating_add(next.1);
            }
            is_same
        });
    }
    Ok(found)
}

/// What both have, with the sum of their scores.
fn both(one: &[(u32, f32)], other: &[(u32, f32)]) -> Vec<(u32, f32)> {
    let mut others = other.iter().peekable();
    let with = |(doc, score): &(u32, f32)| {
        while others.next_if(|(next, _)| next < doc).is_some() {}
        others.next_if(|(next, _)| next == doc).map(|(_, more)| (*doc, score + more))
    };
    one.iter().filter_map(with).collect()
}

/// What one of them has, with the sum of their scores.
fn either(one: &[(u32, f32)], other: &[(u32, f32)]) -> Vec<(u32, f32)> {
    let mut all = Vec::with_capacity(one.len() + other.len());
    let mut others = other.iter().copied().peekable();
    for (doc, score) in one.iter().copied() {
        while let Some(before) = others.next_if(|(next, _)| *next < doc) {
            all.push(before);
        }
        let more = others.next_if(|(next, _)| *next == doc).map_or(0.0, |(_, more)| more);
        all.push((doc, score + more));
    }
    all.extend(others);
    all
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn looking_ahead_finds_what_is_there(
            list in prop::collection::btree_set(0_u32..300, 0..80),
            wanted in prop::collection::btree_set(0_u32..300, 0..80),
        ) {
            let sorted: Vec<u32> = list.iter().copied().collect();
            let mut ahead = Ahead::new(&sorted);
            let found: BTreeSet<u32> = wanted.iter().copied().filter(|wanted| ahead.has(*wanted)).collect();
            prop_assert_eq!(found, list.intersection(&wanted).copied().collect::<BTreeSet<u32>>());
        }
    }
}
