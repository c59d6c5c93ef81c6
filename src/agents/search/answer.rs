//! The best of what an index has and of what came since. Each is read in the store before it counts.

use std::cmp::Ordering;
use std::collections::HashSet;
use std::sync::Arc;

use super::disk::{Segment, Snapshot, Unusable};
use super::failed::Failed;
use super::feed;
use super::hit::{Found, Hit, Snippet};
use super::lookup::{self, Known};
use super::query::TextQuery;
use super::request::SearchRequest;
use super::score::{Statistics, Weights, length_code};
use super::texts::{Text, texts_of};
use super::words::Words;
use crate::error::Error;
use crate::event::{Catalogue, Event, Position};
use crate::limits::{SEARCH_CANDIDATES, SEARCH_TAIL_BYTES};
use crate::store::Reader;

/// What is searched, and how.
pub(super) struct Asked<'a> {
    pub(super) reader: &'a Reader,
    pub(super) catalogue: &'a Catalogue,
    pub(super) request: &'a SearchRequest,
    pub(super) query: &'a TextQuery,
    /// What is beyond came later.
    pub(super) head: u64,
}

/// An answer, and what was noticed on the way.
pub(super) struct Answer {
    pub(super) found: Found,
    /// How many events an index has that are gone.
    pub(super) gone: usize,
    /// What came after the index is much to read.
    pub(super) is_behind: bool,
}

/// A text that fits.
#[derive(Clone, Copy, Debug)]
struct Candidate {
    score: f32,
    /// Later texts have higher ones.
    order: (usize, u64, u16),
    place: Place,
}

#[derive(Clone, Copy, Debug)]
enum Place {
    /// A text of a segment.
    Indexed { segment: usize, doc: u32 },
    /// Position and part.
    At(u64, u16),
}

impl Candidate {
    /// The best first; of equally good ones, the newest event, and of that the last part.
    fn best_first(&self, other: &Self) -> Ordering {
        other.score.total_cmp(&self.score).then(other.order.cmp(&self.order))
    }
}

/// The best so many of what was seen.
struct Best {
    all: Vec<Candidate>,
    count: usize,
    /// The worst of them, once there are so many.
    worst: Option<Candidate>,
    /// Others were worse.
    is_cut: bool,
}

impl Best {
    fn new(count: usize) -> Self {
        Self { all: Vec::new(), count, worst: None, is_cut: false }
    }

    fn add(&mut self, candidate: Candidate) {
        if self.worst.is_some_and(|worst| worst.best_first(&candidate).is_lt()) {
            self.is_cut = true;
            return;
        }
        self.all.push(candidate);
        if self.all.len() >= self.count.saturating_mul(2) {
            self.cut();
        }
    }

    fn cut(&mut self) {
        self.all.sort_unstable_by(Candidate::best_first);
        if self.all.len() > self.count {
            self.is_cut = true;
            self.all.truncate(self.count);
        }
        if self.all.len() == self.count {
            self.worst = self.all.last().copied();
        }
    }
}

/// Something that came after what an index has.
enum After<'a> {
    Text { event: &'a Event, part: u16, text: &'a Text, words: &'a Words, counts: &'a [u32] },
    Unread,
}

/// The answer from an index, if there is one, and from everything after it.
pub(super) fn answer(asked: &Asked<'_>, index: Option<&Snapshot>) -> Result<Answer, Failed> {
    let segments = index.map(|index| index.segments.as_slice()).unwrap_or_default();
    let reached = index.map_or(0, |index| index.manifest.reached);
    let mut statistics = Statistics::new(asked.query.clauses().count());
    let counted = segments.iter().map(|segment| lookup::count(segment, asked.query, &mut statistics));
    let known = counted.collect::<Result<Vec<Known>, Unusable>>()?;
    let (mut bytes, mut unread) = (0, index.map_or(0, |index| index.manifest.unread));
    asked.each_after(reached, |after| match after {
        After::Text { text, words, counts, .. } => {
            bytes += text.text.len();
            statistics.add(words.len(), counts);
        }
        After::Unread => unread += 1,
    })?;
    let weights = statistics.weights();
    let wanted = asked.request.offset.saturating_add(asked.request.limit).saturating_add(1);
    let mut count = SEARCH_CANDIDATES.max(wanted);
    loop {
        let best = asked.best(segments, &known, reached, &weights, count)?;
        let (found, gone) = asked.read(&best.all, segments, unread)?;
        if found.more || !best.is_cut {
            return Ok(Answer { found, gone, is_behind: bytes > SEARCH_TAIL_BYTES });
        }
        // Too many of them did not count.
        count = count.saturating_mul(8);
    }
}

impl Asked<'_> {
    /// The best so many texts of an index, and of what came after it.
    fn best(
        &self,
        segments: &[Arc<Segment>],
        known: &[Known],
        reached: u64,
        weights: &Weights,
        count: usize,
    ) -> Result<Best, Failed> {
        let mut best = Best::new(count);
        for (number, (segment, known)) in segments.iter().zip(known).enumerate() {
            for (doc, score) in lookup::found(segment, known, self.query, self.request, weights)? {
                let place = Place::Indexed { segment: number, doc };
                best.add(Candidate { score, order: (number, doc.into(), 0), place });
            }
        }
        self.each_after(reached, |after| {
            if let After::Text { event, part, text, words, counts } = after
                && self.query.is_met(words, counts)
                && self.takes(event, text)
            {
                let score = weights.total(counts, length_code(words.len()));
                let position = event.position().get();
                let order = (usize::MAX, position, part);
                best.add(Candidate { score, order, place: Place::At(position, part) });
            }
        })?;
        best.cut();
        Ok(best)
    }

    /// Each text that an index up to this position does not have.
    fn each_after(&self, reached: u64, mut take: impl FnMut(After<'_>)) -> Result<(), Failed> {
        let mut words = Words::default();
        feed::each(self.reader, reached.saturating_add(1), self.head, |met| {
            match met {
                feed::Met::Unread(_) => take(After::Unread),
                feed::Met::Event(event) => {
                    for (part, text) in (0..).zip(&texts_of(&event, self.catalogue)) {
                        words.read(&text.text);
                        let counts = self.query.counts(&words);
                        take(After::Text { event: &event, part, text, words: &words, counts: &counts });
                    }
                }
            }
            Ok(())
        })
    }

    /// Whether the request looks at a text of an event.
    fn takes(&self, event: &Event, text: &Text) -> bool {
        let speakers = &self.request.speakers;
        let sessions = &self.request.sessions;
        self.request.session.as_ref().is_none_or(|session| session == event.session())
            && sessions.as_ref().is_none_or(|sessions| sessions.matches(event.session().as_str()))
            && (speakers.is_empty() || text.speaker.is_some_and(|speaker| speakers.contains(&speaker)))
            && self.request.filter.takes(event)
    }

    /// Reads them in the store, and keeps those that are there and are what they were taken for. Answers also how many are gone.
    fn read(
        &self,
        candidates: &[Candidate],
        segments: &[Arc<Segment>],
        unread: u64,
    ) -> Result<(Found, usize), Failed> {
        let up_to = Position::new(self.head);
        let mut found = Found { hits: Vec::new(), more: false, up_to, unread };
        let (mut seen, mut gone, mut left_out) = (HashSet::new(), 0, 0);
        let mut words = Words::default();
        for candidate in candidates {
            let (position, part) = match candidate.place {
                Place::At(position, part) => (position, part),
                Place::Indexed { segment, doc } => {
                    let Some(segment) = segments.get(segment) else { continue };
                    let row = segment.row(doc)?;
                    (row.position, row.part)
                }
            };
            if seen.contains(&position) {
                continue;
            }
            let event = match feed::at(self.reader, position) {
                Ok(Some(event)) => event,
                Ok(None) => {
                    seen.insert(position);
                    gone += 1;
                    continue;
                }
                Err(e) if e.is_damage() || matches!(e, Error::Upcast { .. }) => {
                    seen.insert(position);
                    found.unread += 1;
                    continue;
                }
                Err(e) => return Err(e.into()),
            };
            let text = texts_of(&event, self.catalogue).into_iter().nth(part.into());
            let text = text.filter(|text| {
                words.read(&text.text);
                self.query.is_met(&words, &self.query.counts(&words))
            });
            let Some(text) = text else {
                if let Place::At(..) = candidate.place {
                    // Only an upcaster that says something else each time does that.
                    continue;
                }
                return Err(Unusable::new(format!("it does not say what is at position {position}")).into());
            };
            if !self.takes(&event, &text) {
                continue;
            }
            seen.insert(position);
            if left_out < self.request.offset {
                left_out += 1;
            } else if found.hits.len() >= self.request.limit {
                found.more = true;
                break;
            } else {
                let snippet = Snippet::of(self.query, &text.text, &words);
                found.hits.push(Hit { event, speaker: text.speaker, score: candidate.score, snippet });
            }
        }
        Ok((found, gone))
    }
}
