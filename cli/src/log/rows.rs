//! The rows of the log: events with their lanes, and in between what is left out. Events are read a page at a time.

use std::collections::BTreeMap;

use retold::agents::readable::Readable;
use retold::error::Error;
use retold::event::roles::Speaker;
use retold::event::{Address, Catalogue, Event};
use retold::store::{Query, Store};

use super::forest::Forest;
use super::lanes::{Cell, Glyph, Lanes};
use super::walk::{Part, Run, Step, Walk};
use crate::failure::{Failure, Outcome};

/// Events that are always shown at the end of a branch.
const AT_THE_TIP: usize = 3;
/// So few are shown rather than counted.
const FEW: usize = 3;

/// A row, from the top to the bottom.
pub(super) enum Row {
    /// Boxed: the others are small.
    Event(Box<EventRow>),
    /// An event that no upcaster can bring to its newest shape.
    Stuck { lanes: Vec<Cell>, error: Error },
    /// Events that are not shown one by one.
    Many { lanes: Vec<Cell>, from: u64, to: u64 },
    /// Events that were removed.
    Removed { lanes: Vec<Cell>, from: u64, to: u64, tips: Vec<usize> },
    /// A branch that has nothing to show.
    Bare { lanes: Vec<Cell>, line: usize },
    /// A line ends in the one that it was forked from.
    Join { lanes: Vec<Cell> },
}

pub(super) struct EventRow {
    pub(super) lanes: Vec<Cell>,
    pub(super) line: usize,
    pub(super) event: Event,
    /// What somebody reads it as.
    pub(super) address: Address,
    pub(super) readable: Readable,
    /// The lines that end with it.
    pub(super) tips: Vec<usize>,
}

/// Which rows are wanted.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Wanted {
    /// Each event has its row.
    pub(super) all: bool,
    /// So many events.
    pub(super) limit: Option<usize>,
    /// Those after this event of a line.
    pub(super) after: Option<(usize, u64)>,
}

/// Where the rows ended.
#[derive(Debug, Default)]
pub(super) struct Ended {
    pub(super) shown: usize,
    pub(super) last: Option<Address>,
    pub(super) more: bool,
}

/// The most lanes that are side by side.
pub(super) fn lanes(forest: &Forest) -> usize {
    let mut lanes = Lanes::default();
    let mut most = 0;
    for step in Walk::new(&forest.lines) {
        most = most.max(match step {
            Step::Run(Run { line, .. }) | Step::Gap { line, .. } | Step::Bare { line } => {
                lanes.row(line, Glyph::Pass).len()
            }
            Step::End { line, into } => lanes.end(line, into).map_or(0, |cells| cells.len()),
        });
    }
    most
}

/// Gives each row to `each`.
pub(super) fn rows(
    store: &Store,
    forest: &Forest,
    catalogue: &Catalogue,
    mut wanted: Wanted,
    each: &mut dyn FnMut(Row) -> Outcome,
) -> Result<Ended, Failure> {
    let empty = Walk::empty(&forest.lines);
    let mut drawing = Drawing {
        store,
        forest,
        catalogue,
        wanted,
        empty,
        lanes: Lanes::default(),
        ended: Ended::default(),
        each,
    };
    for step in Walk::new(&forest.lines) {
        let is_before = wanted.after.is_some();
        match step {
            Step::Run(mut run) => {
                if let Some((line, at)) = wanted.after {
                    let is_here = run.line == line && (run.from..=run.to).contains(&at);
                    // What comes after it has the lanes of what is not shown.
                    drawing.lanes.row(run.line, Glyph::Pass);
                    if is_here {
                        wanted.after = None;
                    }
                    if !is_here || at == run.from {
                        continue;
                    }
                    (run.to, run.is_tip) = (at - 1, false);
                }
                drawing.run(run)?;
            }
            Step::Gap { line, from, to, is_tip } => {
                let lanes = drawing.lanes.row(line, Glyph::Many);
                let tips = if is_tip { vec![line] } else { Vec::new() };
                drawing.aside(is_before, Row::Removed { lanes, from, to, tips })?;
            }
            Step::Bare { line } => {
                let lanes = drawing.lanes.row(line, Glyph::Many);
                drawing.aside(is_before, Row::Bare { lanes, line })?;
            }
            Step::End { line, into } => {
                if let Some(lanes) =
                    drawing.lanes.end(line, into).filter(|_| !is_before && !drawing.is_full())
                {
                    (drawing.each)(Row::Join { lanes })?;
                }
            }
        }
        if drawing.ended.more {
            break;
        }
    }
    Ok(drawing.ended)
}

struct Drawing<'a> {
    store: &'a Store,
    forest: &'a Forest,
    catalogue: &'a Catalogue,
    wanted: Wanted,
    /// Branches without events of their own, by the event at which they were forked.
    empty: BTreeMap<(usize, u64), Vec<usize>>,
    lanes: Lanes,
    ended: Ended,
    each: &'a mut dyn FnMut(Row) -> Outcome,
}

/// Events that may be counted rather than shown.
#[derive(Default)]
struct Held {
    /// All of them while they are few.
    events: Vec<Event>,
    newest: u64,
    count: usize,
}

impl Drawing<'_> {
    fn is_full(&self) -> bool {
        self.wanted.limit.is_some_and(|limit| self.ended.shown >= limit)
    }

    /// A row that is no event.
    fn aside(&mut self, is_before: bool, row: Row) -> Outcome {
        if is_before {
            return Ok(());
        }
        self.ended.more = self.is_full();
        if self.ended.more { Ok(()) } else { (self.each)(row) }
    }

    fn run(&mut self, run: Run) -> Outcome {
        let part = Part { from: run.from, to: run.to, via: run.via };
        let Some(first) = self.forest.address(&part, run.to) else { return Ok(()) };
        let query = Query::branch(first)?.from(run.from).reverse();
        let mut held = Held::default();
        for (at, event) in self.store.events(query)?.enumerate() {
            let event = match event {
                Ok(event) => event,
                Err(error @ Error::Upcast { .. }) => {
                    self.release(&run, &mut held)?;
                    let lanes = self.lanes.row(run.line, Glyph::Event);
                    self.aside(false, Row::Stuck { lanes, error })?;
                    continue;
                }
                Err(e) => return Err(e.into()),
            };
            let sequence = event.sequence().get();
            let is_kept = self.wanted.all
                || at == 0
                || (run.is_tip && at < AT_THE_TIP)
                || (run.is_first && sequence == run.from)
                || self.empty.contains_key(&(run.line, sequence))
                || is_prompt(&event, self.catalogue);
            if is_kept {
                self.release(&run, &mut held)?;
                self.event(&run, event)?;
            } else {
                held.newest = held.newest.max(sequence);
                held.count += 1;
                if held.count <= FEW {
                    held.events.push(event);
                }
            }
            if self.ended.more {
                return Ok(());
            }
        }
        self.release(&run, &mut held)
    }

    /// Shows what was held back.
    fn release(&mut self, run: &Run, held: &mut Held) -> Outcome {
        let Held { events, newest, count } = std::mem::take(held);
        if count > FEW {
            let from = (newest + 1).saturating_sub(count as u64);
            let lanes = self.lanes.row(run.line, Glyph::Many);
            return self.aside(false, Row::Many { lanes, from, to: newest });
        }
        events.into_iter().try_for_each(|event| self.event(run, event))
    }

    fn event(&mut self, run: &Run, event: Event) -> Outcome {
        self.ended.more |= self.is_full();
        if self.ended.more {
            return Ok(());
        }
        let sequence = event.sequence().get();
        let part = Part { from: run.from, to: run.to, via: run.via };
        let address = self.forest.address(&part, sequence).unwrap_or_else(|| event.address());
        let is_tip = self.forest.lines.get(run.line).is_some_and(|line| run.is_tip && sequence == line.head);
        let mut tips = if is_tip { vec![run.line] } else { Vec::new() };
        tips.extend(self.empty.get(&(run.line, sequence)).into_iter().flatten());
        self.ended.shown += 1;
        self.ended.last = Some(address.clone());
        let readable = Readable::of(&event, self.catalogue);
        let lanes = self.lanes.row(run.line, Glyph::Event);
        (self.each)(Row::Event(Box::new(EventRow { lanes, line: run.line, event, address, readable, tips })))
    }
}

/// Whether somebody asked for something: that tells the parts of a session apart.
fn is_prompt(event: &Event, catalogue: &Catalogue) -> bool {
    if catalogue.role(event.kind()).is_none_or(|role| role.message.is_none()) {
        return false;
    }
    let readable = Readable::of(event, catalogue);
    readable
        .parts
        .iter()
        .any(|part| part.speaker == Speaker::User && !part.is_injected() && !part.text.trim().is_empty())
}
