//! The order in which a session's branches are drawn: the newest event of a branch first, and its forks right above the event at which
//! they were made. Nothing here reads a store.

use std::collections::BTreeMap;

/// A branch as far as its events can be read.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Line {
    /// Its own events begin after this sequence.
    pub(super) base: u64,
    /// Its last sequence.
    pub(super) head: u64,
    /// The line that it was forked from, and the sequence there.
    pub(super) below: Option<(usize, u64)>,
    /// Its own events that can be read; [`Line::cover`] keeps them apart and in order.
    pub(super) parts: Vec<Part>,
    /// When something was recorded in it or in its forks last: the newest is drawn first.
    pub(super) newest: i64,
}

/// Events of a line that are read as events of a branch: of its own, or of one that inherits them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Part {
    pub(super) from: u64,
    pub(super) to: u64,
    /// That branch.
    pub(super) via: usize,
}

impl Line {
    /// The part that has an event.
    pub(super) fn part(&self, sequence: u64) -> Option<&Part> {
        self.parts.iter().find(|part| (part.from..=part.to).contains(&sequence))
    }

    /// Events of it can be read as those of another branch. What could be read before stays as it is.
    pub(super) fn cover(&mut self, from: u64, to: u64, via: usize) {
        let mut at = from.max(self.base + 1);
        let mut missing = Vec::new();
        for part in self.parts.iter().rev() {
            if part.from > at {
                missing.push(Part { from: at, to: to.min(part.from - 1), via });
            }
            at = at.max(part.to + 1);
        }
        missing.push(Part { from: at, to, via });
        self.parts.extend(missing.into_iter().filter(|part| part.from <= part.to));
        self.parts.sort_unstable_by_key(|part| std::cmp::Reverse(part.from));
        self.head = self.head.max(to);
    }

    /// What it is drawn as, the newest first: parts, and between them what was removed.
    fn pieces(&self) -> Vec<Piece> {
        let mut pieces = Vec::new();
        let mut next = self.head;
        for part in &self.parts {
            if part.to < next {
                pieces.push(Piece { from: part.to + 1, to: next, via: None });
            }
            pieces.push(Piece { from: part.from, to: part.to, via: Some(part.via) });
            next = part.from - 1;
        }
        if next > self.base {
            pieces.push(Piece { from: self.base + 1, to: next, via: None });
        }
        pieces
    }
}

#[derive(Clone, Copy, Debug)]
struct Piece {
    from: u64,
    to: u64,
    via: Option<usize>,
}

/// What comes next in the drawing, from its top to its bottom.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Step {
    /// Events of a line without a fork between them: `to` down to `from`.
    Run(Run),
    /// Events of a line that were removed.
    Gap { line: usize, from: u64, to: u64, is_tip: bool },
    /// A branch without events of its own, whose fork cannot be seen.
    Bare { line: usize },
    /// Nothing of a line is left: it joins another, or is the oldest.
    End { line: usize, into: Option<usize> },
}

/// Events that follow each other in a line.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Run {
    pub(super) line: usize,
    pub(super) from: u64,
    pub(super) to: u64,
    /// The branch that they are read as events of.
    pub(super) via: usize,
    /// It begins with the newest event of the line.
    pub(super) is_tip: bool,
    /// It ends with the first event of the line.
    pub(super) is_first: bool,
}

/// All lines, one after another.
#[derive(Debug)]
pub(super) struct Walk<'a> {
    lines: &'a [Line],
    /// Forks with events of their own, by the event that they were made at, the newest last.
    forks: BTreeMap<(usize, u64), Vec<usize>>,
    /// Lines that were forked from nothing that is shown, the first to be drawn last.
    roots: Vec<usize>,
    open: Vec<Open>,
}

/// A line that is being drawn.
#[derive(Debug)]
struct Open {
    line: usize,
    /// What is left of it, the next last.
    pieces: Vec<Piece>,
    /// Its forks at the next event that are still to be drawn.
    forks: Vec<usize>,
    /// The event whose forks were drawn last.
    forked: Option<u64>,
    has_begun: bool,
}

impl<'a> Walk<'a> {
    pub(super) fn new(lines: &'a [Line]) -> Self {
        let mut walk = Self { lines, forks: BTreeMap::new(), roots: Vec::new(), open: Vec::new() };
        for (at, line) in lines.iter().enumerate() {
            match visible(lines, line) {
                // Its name stands at that event.
                Some(_) if line.head <= line.base => {}
                Some(below) => walk.forks.entry(below).or_default().push(at),
                None => walk.roots.push(at),
            }
        }
        let age = |at: &usize| (lines.get(*at).map(|line| line.newest), std::cmp::Reverse(*at));
        walk.forks.values_mut().for_each(|forks| forks.sort_unstable_by_key(age));
        // The first line is that of main.
        walk.roots.sort_unstable_by_key(|at| (*at == 0, age(at)));
        walk
    }

    /// Lines without events of their own, by the event that they were made at.
    pub(super) fn empty(lines: &[Line]) -> BTreeMap<(usize, u64), Vec<usize>> {
        let mut empty: BTreeMap<(usize, u64), Vec<usize>> = BTreeMap::new();
        for (at, line) in lines.iter().enumerate().filter(|(_, line)| line.head <= line.base) {
            if let Some(below) = visible(lines, line) {
                empty.entry(below).or_default().push(at);
            }
        }
        empty
    }

    fn begin(&mut self, line: usize) {
        let mut pieces = self.lines.get(line).map(Line::pieces).unwrap_or_default();
        pieces.reverse();
        self.open.push(Open { line, pieces, forks: Vec::new(), forked: None, has_begun: false });
    }
}

/// The event that a line was forked at, if it is shown.
fn visible(lines: &[Line], line: &Line) -> Option<(usize, u64)> {
    line.below.filter(|(below, at)| lines.get(*below).is_some_and(|below| below.part(*at).is_some()))
}

impl Iterator for Walk<'_> {
    type Item = Step;

    fn next(&mut self) -> Option<Step> {
        loop {
            let Some(open) = self.open.last_mut() else {
                let root = self.roots.pop()?;
                self.begin(root);
                continue;
            };
            if let Some(fork) = open.forks.pop() {
                self.begin(fork);
                continue;
            }
            let line = open.line;
            let Some(piece) = open.pieces.last_mut() else {
                if !std::mem::replace(&mut open.has_begun, true) {
                    return Some(Step::Bare { line });
                }
                let into =
                    self.lines.get(line).and_then(|of| visible(self.lines, of)).map(|(below, _)| below);
                self.open.pop();
                return Some(Step::End { line, into });
            };
            let Piece { from, to, via } = *piece;
            let Some(via) = via else {
                open.pieces.pop();
                let is_tip = !std::mem::replace(&mut open.has_begun, true);
                return Some(Step::Gap { line, from, to, is_tip });
            };
            let mut forked = self.forks.range((line, from)..=(line, to)).rev();
            let mut fork = forked.next().map(|((_, at), forks)| (*at, forks));
            if fork.is_some_and(|(at, _)| at == to) {
                if open.forked != Some(to) {
                    open.forked = Some(to);
                    open.forks = fork.map(|(_, forks)| forks.clone()).unwrap_or_default();
                    continue;
                }
                fork = forked.next().map(|((_, at), forks)| (*at, forks));
            }
            let last = fork.map_or(from, |(at, _)| at + 1);
            if last > from {
                piece.to = last - 1;
            } else {
                open.pieces.pop();
            }
            let is_tip = !std::mem::replace(&mut open.has_begun, true);
            let is_first = self.lines.get(line).is_some_and(|of| last == of.base + 1);
            return Some(Step::Run(Run { line, from: last, to, via, is_tip, is_first }));
        }
    }
}
