//! A row of the log as a line for people.

use anstyle::Style;
use unicode_width::UnicodeWidthStr;

use super::forest::Forest;
use super::lanes::{Cell, Signs};
use super::rows::{EventRow, Row};
use super::walk::Part;
use crate::style::{BAD, DIM, PLAIN, of_branch, of_kind, paint};
use crate::table::{clean, shorten};
use crate::view::{count, grouped, short};
use retold::event::Address;
use retold::event::roles::Speaker;

/// Columns from which on there is room for times.
const WITH_TIMES: usize = 80;
/// Lanes that are drawn when there is no terminal.
const MOST_LANES: usize = 64;

/// How rows are drawn.
pub(super) struct Pen {
    signs: Option<Signs>,
    width: Option<usize>,
    /// Lanes that there is room for.
    lanes: usize,
    graph: usize,
    /// Width of the addresses, and whether they name the session.
    address: usize,
    names_session: bool,
    has_times: bool,
    by_recording: bool,
}

impl Pen {
    /// For a terminal of this width. `lanes` are the most that are side by side.
    pub(super) fn new(
        forest: &Forest,
        signs: Option<Signs>,
        lanes: usize,
        width: Option<usize>,
        by_recording: bool,
    ) -> Self {
        let room = width.map_or(MOST_LANES, |width| (width / 8).max(4));
        let graph = match signs {
            Some(_) if lanes > room => 2 * (room + 1),
            Some(_) => 2 * lanes,
            None => 0,
        };
        let parts = forest.lines.iter().flat_map(|line| &line.parts);
        let named = parts.filter_map(|part: &Part| forest.address(part, part.to));
        let wide = |is_whole| named.clone().map(|a| shown(&a, is_whole).width()).max().unwrap_or_default();
        let share = width.map_or(usize::MAX, |width| width * 2 / 5);
        let names_session = wide(true) <= share;
        Self {
            signs,
            width,
            lanes: room,
            graph,
            address: wide(names_session).min(share),
            names_session,
            has_times: width.is_none_or(|width| width >= WITH_TIMES),
            by_recording,
        }
    }

    /// The line of a row, with what it says of addresses and times.
    pub(super) fn draw(&self, row: &Row, forest: &Forest) -> Option<String> {
        let (lanes, address, texts) = match row {
            Row::Event(event) => (&event.lanes, self.event(event), said(event, forest)),
            Row::Stuck { lanes, error } => (lanes, self.beside(), vec![(BAD, error.to_string())]),
            Row::Many { lanes, from, to } => {
                let text = format!("… {}, {from} to {to}", count(to + 1 - from, "event"));
                (lanes, self.beside(), vec![(DIM, text)])
            }
            Row::Removed { lanes, from, to, tips } => {
                let mut texts = labels(tips, forest);
                let text = match to - from {
                    0 => format!("event {from} was removed"),
                    _ => format!("events {} to {} were removed", grouped(*from), grouped(*to)),
                };
                texts.push((DIM, text));
                (lanes, self.beside(), texts)
            }
            Row::Bare { lanes, line } => {
                let mut texts = labels(&[*line], forest);
                texts.push((DIM, "no events".to_owned()));
                (lanes, self.beside(), texts)
            }
            Row::Join { lanes } => {
                self.signs?;
                return Some(self.graph(lanes, forest).trim_end().to_owned());
            }
        };
        let before = self.graph + address.iter().map(|(_, text)| text.width()).sum::<usize>();
        let mut room = self.width.map_or(usize::MAX, |width| width.saturating_sub(before).max(1));
        let mut line = self.graph(lanes, forest);
        line.extend(address.iter().map(|(style, text)| paint(*style, text)));
        for (at, (style, text)) in texts.iter().enumerate() {
            if at > 0 && room > 1 {
                line.push(' ');
                room -= 1;
            }
            let text = shorten(&clean(text), room);
            room = room.saturating_sub(text.width());
            line.push_str(&paint(*style, text));
            if room == 0 {
                break;
            }
        }
        Some(line)
    }

    /// The lanes, as wide as in every row. When there are too many, the last ones are drawn: it is there that something happens.
    fn graph(&self, lanes: &[Cell], forest: &Forest) -> String {
        let Some(signs) = self.signs else { return String::new() };
        let hidden = lanes.len().saturating_sub(self.lanes);
        let mut graph = String::new();
        let mut used = 0;
        if hidden > 0 {
            graph.push_str(&paint(DIM, signs.more()));
            used = signs.more().width();
        }
        for (glyph, line) in lanes.iter().skip(hidden) {
            let (sign, style) = (signs.of(*glyph), color(*line, forest));
            let drawn = sign.trim_end();
            if !drawn.is_empty() {
                graph.push_str(&paint(style, drawn));
            }
            graph.push_str(&" ".repeat(sign.width() - drawn.width()));
            used += sign.width();
        }
        graph + &" ".repeat(self.graph.saturating_sub(used))
    }

    fn event(&self, row: &EventRow) -> Vec<(Style, String)> {
        let address = shown(&row.address, self.names_session);
        let gap = " ".repeat(self.address.saturating_sub(address.width()) + 2);
        let mut texts = vec![(PLAIN, address + &gap)];
        if self.has_times {
            let time = if self.by_recording { row.event.recorded() } else { row.event.occurred() };
            texts.push((DIM, short(time) + "  "));
        }
        texts
    }

    /// What is not an event has no address and no time.
    fn beside(&self) -> Vec<(Style, String)> {
        vec![(PLAIN, " ".repeat(self.address + 2))]
    }
}

/// What an event says, behind the names of the branches that end with it.
fn said(row: &EventRow, forest: &Forest) -> Vec<(Style, String)> {
    let mut texts = labels(&row.tips, forest);
    texts.push((of_kind(row.event.kind()), row.event.kind().to_owned()));
    if let Some(from) = promoted_from(row) {
        texts.push((DIM, format!("(promoted from {from})")));
    }
    let is_prompt = row.readable.speaker == Some(Speaker::User);
    texts.push((if is_prompt { PLAIN.bold() } else { PLAIN }, row.readable.summary.clone()));
    texts.retain(|(_, text)| !text.is_empty());
    texts
}

/// The event that one is a copy of.
pub(super) fn promoted_from(row: &EventRow) -> Option<&str> {
    row.event.metadata().find(|(key, _)| *key == "promoted_from").map(|(_, from)| from)
}

/// An address as it can be given to another verb, or without its session, where there is no room for it.
fn shown(address: &Address, names_session: bool) -> String {
    let whole = clean(&address.to_string());
    match whole.split_once('/') {
        Some((_, branch)) if !names_session => branch.to_owned(),
        _ => whole,
    }
}

/// Names of lines, each with what is special about it.
fn labels(tips: &[usize], forest: &Forest) -> Vec<(Style, String)> {
    let label = |line: &usize| {
        let name = forest.names.get(*line)?;
        let marks: String = name.marks.iter().map(|mark| format!(", {mark}")).collect();
        Some((color(*line, forest).bold(), format!("({}{marks})", name.branch)))
    };
    tips.iter().filter_map(label).collect()
}

fn color(line: usize, forest: &Forest) -> Style {
    if forest.names.get(line).is_some_and(|name| name.is_deleted) {
        return DIM;
    }
    of_branch(line)
}
