//! Lanes of the graph: one for each line that is being drawn, side by side. A line is drawn right of the one that it was forked from,
//! and ends beside it, so that no lane ever crosses another.

/// What stands in a lane.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Glyph {
    /// A line that goes on.
    Pass,
    Event,
    /// Several events on one row, or events that were removed.
    Many,
    /// Another line ends here, in the lane on the right.
    Fork,
    /// The line ends in the lane on the left.
    Turn,
}

/// A lane of a row, and the line that it belongs to.
pub(super) type Cell = (Glyph, usize);

/// The lines that are open, from the left to the right.
#[derive(Clone, Debug, Default)]
pub(super) struct Lanes {
    open: Vec<usize>,
}

impl Lanes {
    /// The row of an event of a line, which gets a lane when it has none.
    pub(super) fn row(&mut self, line: usize, glyph: Glyph) -> Vec<Cell> {
        if self.open.last() != Some(&line) {
            self.open.push(line);
        }
        let mut cells: Vec<Cell> = self.open.iter().map(|line| (Glyph::Pass, *line)).collect();
        if let Some(last) = cells.last_mut() {
            last.0 = glyph;
        }
        cells
    }

    /// Ends a line, which was drawn last. The row that leads it into the lane on its left, if the line that it was forked from has
    /// one; else that line goes on in its lane.
    pub(super) fn end(&mut self, line: usize, into: Option<usize>) -> Option<Vec<Cell>> {
        self.open.pop_if(|last| *last == line)?;
        let into = into?;
        if self.open.last() != Some(&into) {
            self.open.push(into);
            return None;
        }
        let mut cells = self.row(into, Glyph::Fork);
        cells.push((Glyph::Turn, line));
        Some(cells)
    }
}

/// How glyphs are drawn.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Signs {
    Unicode,
    Ascii,
}

impl Signs {
    /// A glyph, two columns wide.
    pub(super) fn of(self, glyph: Glyph) -> &'static str {
        match (self, glyph) {
            (Self::Unicode, Glyph::Pass) => "│ ",
            (Self::Unicode, Glyph::Event) => "● ",
            (Self::Unicode, Glyph::Many) => "┆ ",
            (Self::Unicode, Glyph::Fork) => "├─",
            (Self::Unicode, Glyph::Turn) => "╯ ",
            (Self::Ascii, Glyph::Pass) => "| ",
            (Self::Ascii, Glyph::Event) => "* ",
            (Self::Ascii, Glyph::Many) => ": ",
            (Self::Ascii, Glyph::Fork) => "|/",
            (Self::Ascii, Glyph::Turn) => "  ",
        }
    }

    /// Lanes on the left that there is no room for.
    pub(super) fn more(self) -> &'static str {
        match self {
            Self::Unicode => "… ",
            Self::Ascii => ". ",
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::super::walk::{Line, Step, Walk};
    use super::*;
    use proptest::prelude::*;

    /// A drawn row: its lanes, and the event or events that it stands for.
    type Drawn = (Vec<Cell>, Option<(usize, u64)>);

    fn drawn(lines: &[Line]) -> Vec<Drawn> {
        let mut lanes = Lanes::default();
        let mut rows = Vec::new();
        for step in Walk::new(lines) {
            match step {
                Step::Run(run) => {
                    let events = (run.from..=run.to).rev();
                    rows.extend(events.map(|n| (lanes.row(run.line, Glyph::Event), Some((run.line, n)))));
                }
                Step::Gap { line, .. } | Step::Bare { line } => {
                    rows.push((lanes.row(line, Glyph::Many), None))
                }
                Step::End { line, into } => rows.extend(lanes.end(line, into).map(|cells| (cells, None))),
            }
        }
        assert!(lanes.open.is_empty());
        rows
    }

    /// Lines that were forked from earlier ones, of which some have lost their first events or all of them.
    fn lines() -> impl Strategy<Value = Vec<Line>> {
        let line = (any::<prop::sample::Index>(), any::<prop::sample::Index>(), 0..5u64, 0..3u64, 0..4i64);
        proptest::collection::vec(line, 1..12).prop_map(|seeds| {
            let mut lines: Vec<Line> = Vec::new();
            for (at, (parent, fork, own, lost, newest)) in seeds.into_iter().enumerate() {
                let mut below = None;
                // One in four or so is forked from nothing.
                if at > 0 && newest > 0 {
                    let mut parent = parent.index(at);
                    let fork = fork.index(lines[parent].head as usize + 1) as u64;
                    while let Some((next, _)) = lines[parent].below.filter(|_| fork <= lines[parent].base) {
                        parent = next;
                    }
                    below = Some((parent, fork)).filter(|(_, fork)| *fork > 0);
                }
                let base = below.map_or(0, |(_, fork)| fork);
                let mut line = Line { base, head: base + own, below, parts: Vec::new(), newest };
                line.cover(base + 1 + lost, base + own, at);
                line.head = base + own;
                lines.push(line);
            }
            lines
        })
    }

    fn is_shown(lines: &[Line], below: Option<(usize, u64)>) -> bool {
        below.is_some_and(|(line, at)| lines[line].parts.iter().any(|p| p.from <= at && at <= p.to))
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(256))]

        #[test]
        fn every_event_is_drawn_once_and_every_fork_leads_to_its_event(lines in lines()) {
            let rows = drawn(&lines);
            let events: Vec<(usize, u64)> = rows.iter().filter_map(|(_, event)| *event).collect();
            let all: BTreeSet<(usize, u64)> = lines.iter().enumerate()
                .flat_map(|(at, line)| line.parts.iter().flat_map(move |p| (p.from..=p.to).map(move |n| (at, n))))
                .collect();
            prop_assert_eq!(events.len(), all.len());
            prop_assert_eq!(events.iter().copied().collect::<BTreeSet<_>>(), all);
            let row_of = |event: (usize, u64)| rows.iter().position(|(_, shown)| *shown == Some(event)).unwrap();
            let lane_of = |row: usize| rows[row].0.iter().position(|(g, _)| *g == Glyph::Event).unwrap();
            for (at, line) in lines.iter().enumerate() {
                let own: Vec<u64> = events.iter().filter(|(of, _)| *of == at).map(|(_, n)| *n).collect();
                prop_assert!(own.is_sorted_by(|a, b| a > b), "newest first: {own:?}");
                let (Some(last), true) = (own.last(), is_shown(&lines, line.below)) else { continue };
                // Down from its last row, by what is drawn alone.
                let target = row_of(line.below.unwrap());
                let (mut row, start) = (row_of((at, *last)), row_of((at, *last)));
                let mut lane = lane_of(start);
                while row < target {
                    row += 1;
                    match rows[row].0.get(lane).map(|(glyph, _)| *glyph) {
                        Some(Glyph::Turn) => {
                            lane -= 1;
                            prop_assert_eq!(rows[row].0[lane].0, Glyph::Fork);
                        }
                        Some(Glyph::Event) => prop_assert!(row == target, "another event is in the way"),
                        Some(_) => {}
                        None => prop_assert!(false, "the lane ends before the fork"),
                    }
                }
                prop_assert_eq!(lane, lane_of(target));
            }
            for (cells, _) in &rows {
                let turns = cells.iter().filter(|(glyph, _)| *glyph == Glyph::Turn).count();
                prop_assert!(turns <= 1 && cells.iter().rev().skip(2).all(|(glyph, _)| *glyph == Glyph::Pass));
            }
        }

        /// What is covered is what was covered, and nothing twice.
        #[test]
        fn parts_lie_apart(ranges in proptest::collection::vec((0..30u64, 0..30u64), 0..8)) {
            let mut line = Line { base: 3, ..Line::default() };
            let mut model = BTreeSet::new();
            for (via, (from, to)) in ranges.iter().enumerate() {
                line.cover(*from, *to, via);
                model.extend((*from.max(&4)..=*to).collect::<Vec<_>>());
            }
            let covered: Vec<u64> = line.parts.iter().flat_map(|p| (p.from..=p.to).rev()).collect();
            prop_assert_eq!(covered, model.into_iter().rev().collect::<Vec<_>>());
        }
    }

    #[test]
    fn many_forks_and_deep_forks_are_drawn_as_people_know_it() {
        let line = |base, head, below| {
            let mut line = Line { base, head, below, ..Line::default() };
            line.cover(base + 1, head, 0);
            line
        };
        let text = |lines: &[Line], signs: Signs| -> Vec<String> {
            let row = |(cells, event): &Drawn| {
                let graph: String = cells.iter().map(|(glyph, _)| signs.of(*glyph)).collect();
                let event = event.map(|(line, n)| format!("{line}@{n}")).unwrap_or_default();
                format!("{graph} {event}").trim_end().to_owned()
            };
            drawn(lines).iter().map(row).collect()
        };
        // Two forks at one event, one of which was forked itself, and one at the head.
        let lines =
            [line(0, 3, None), line(1, 2, Some((0, 1))), line(1, 3, Some((0, 1))), line(2, 3, Some((2, 2)))];
        let due = [
            "●  0@3",
            "●  0@2",
            "│ ●  1@2",
            "├─╯",
            "│ ●  2@3",
            "│ │ ●  3@3",
            "│ ├─╯",
            "│ ●  2@2",
            "├─╯",
            "●  0@1",
        ];
        assert_eq!(text(&lines, Signs::Unicode), due);
        let ascii = [
            "*  0@3",
            "*  0@2",
            "| *  1@2",
            "|/",
            "| *  2@3",
            "| | *  3@3",
            "| |/",
            "| *  2@2",
            "|/",
            "*  0@1",
        ];
        assert_eq!(text(&lines, Signs::Ascii), ascii);
        // Who forks at the head goes on in its lane.
        let lines = [line(0, 1, None), line(1, 2, Some((0, 1))), line(1, 2, Some((0, 1)))];
        assert_eq!(text(&lines, Signs::Unicode), ["●  1@2", "│ ●  2@2", "├─╯", "●  0@1"]);
    }
}
