//! Tables for people: columns as wide as their content, the last one cut at the edge of the terminal. On a narrow
//! terminal, texts are shortened and less important columns dropped.

use anstyle::Style;
use unicode_width::{UnicodeWidthChar, UnicodeWidthStr};

use super::escape::push_visible;
use super::style::{HEADER, paint};

/// Rows that are measured before the first is shown; later ones may be wider.
const LOOK_AHEAD: usize = 200;
/// Maximum width of a cell that is not the last, on a terminal.
const WIDEST: usize = 40;
/// Width that a text keeps before columns are dropped, and its minimum.
const NARROW: [usize; 2] = [20, 10];
/// Columns with names that are pasted into the next command: they are never cut. A name that is longer than half the terminal
/// pushes the rest of its row to the right.
const WHOLE: [&str; 8] = ["SESSION", "BRANCH", "EVENT", "AT", "ID", "TOKEN", "NAME", "OWNER"];
/// Columns of times: one that is cut says nothing, so they are shown whole or dropped.
const TIMES: [&str; 9] =
    ["TIME", "RECORDED", "CREATED", "LAST EVENT", "WHEN", "DUE", "AGAIN AT", "SINCE", "EXPIRES"];
/// Width reserved for the last cell, if it needs it; and what it gets at least, or nothing.
const LAST: usize = 20;
const LEAST_LAST: usize = 8;
const GAP: &str = "  ";

#[derive(Clone, Debug, Default)]
pub(super) struct Cell {
    text: String,
    style: Style,
    /// The styles of its pieces, each up to this byte, if they are not all the same.
    pieces: Vec<(usize, Style)>,
}

pub(super) fn cell(text: impl ToString) -> Cell {
    Cell { text: clean(&text.to_string()), ..Cell::default() }
}

/// A cell that hangs in a tree, by lines that have to stay as they are.
pub(super) fn hung(stem: &str, text: impl ToString) -> Cell {
    Cell { text: format!("{stem}{}", clean(&text.to_string())), ..Cell::default() }
}

/// A cell of several styles. The texts are [`clean`].
pub(super) fn pieces(pieces: impl IntoIterator<Item = (String, Style)>) -> Cell {
    let mut cell = Cell::default();
    for (text, style) in pieces {
        cell.text.push_str(&text);
        cell.pieces.push((cell.text.len(), style));
    }
    cell
}

impl Cell {
    pub(super) fn style(mut self, style: Style) -> Self {
        self.style = style;
        self
    }

    pub(super) fn text(&self) -> &str {
        &self.text
    }

    /// As much of it as there is room for.
    fn painted(&self, shown: &str) -> String {
        if shown.is_empty() {
            return String::new();
        }
        if self.pieces.is_empty() {
            return paint(self.style, shown);
        }
        let (kept, end) = match shown.strip_suffix('…').filter(|_| shown != self.text) {
            Some(kept) => (kept, "…"),
            None => (shown, ""),
        };
        let (mut out, mut from) = (String::new(), 0);
        for (to, style) in &self.pieces {
            if let Some(piece) = kept.get(from..(*to).min(kept.len())).filter(|piece| !piece.is_empty()) {
                out.push_str(&paint(*style, piece));
            }
            from = *to;
        }
        out + end
    }
}

#[derive(Debug)]
pub(super) struct Table {
    names: Vec<String>,
    right: Vec<bool>,
    widths: Vec<usize>,
    rows: Vec<Vec<Cell>>,
    width: Option<usize>,
    /// Maximum width of a cell that is not the last, on a terminal.
    most: Vec<usize>,
    /// Names of columns that can be dropped, in that order.
    spare: &'static [&'static str],
    hidden: Vec<bool>,
    /// Columns that are useless when cut.
    whole: Vec<bool>,
    begun: bool,
}

impl Table {
    /// Columns with these names; a name that starts with `#` is for numbers, which are right-aligned. `width` is the terminal's.
    pub(super) fn new(names: &[&str], width: Option<usize>) -> Self {
        let right = names.iter().map(|n| n.starts_with('#')).collect();
        let names: Vec<String> = names.iter().map(|n| clean(n.trim_start_matches('#'))).collect();
        let widths = names.iter().map(|n| n.width()).collect();
        let (most, hidden) = (vec![WIDEST; names.len()], vec![false; names.len()]);
        let whole = names.iter().map(|name| WHOLE.contains(&name.as_str())).collect();
        Self { names, right, widths, rows: Vec::new(), width, most, spare: &[], hidden, whole, begun: false }
    }

    /// Sets the maximum width of a cell that is not the last, on a terminal.
    pub(super) fn widest(mut self, columns: usize) -> Self {
        self.most.fill(columns);
        self
    }

    /// Columns that are dropped, one after the other, on a terminal that is too narrow for all.
    pub(super) fn spare(mut self, names: &'static [&'static str]) -> Self {
        self.spare = names;
        self
    }

    /// The column of this name is never cut: its content is pasted into the next command.
    pub(super) fn whole(mut self, name: &str) -> Self {
        for ((column, most), whole) in self.names.iter().zip(&mut self.most).zip(&mut self.whole) {
            if column == name {
                (*most, *whole) = (usize::MAX, true);
            }
        }
        self
    }

    /// Adds a row, and returns the lines that can be shown now.
    pub(super) fn row(&mut self, cells: Vec<Cell>) -> Vec<String> {
        self.rows.push(cells);
        if self.rows.len() >= LOOK_AHEAD { self.lines() } else { Vec::new() }
    }

    /// The lines that were not shown yet.
    pub(super) fn lines(&mut self) -> Vec<String> {
        if self.rows.is_empty() {
            return Vec::new();
        }
        let rows = std::mem::take(&mut self.rows);
        for row in &rows {
            let limits = self.most.iter().zip(&self.whole);
            for ((width, (most, whole)), cell) in self.widths.iter_mut().zip(limits).zip(row) {
                let wide = cell.text.width();
                let room =
                    self.width.map_or(usize::MAX, |all| if *whole { (*most).max(all / 2) } else { *most });
                *width = (*width).max(wide.min(room));
            }
        }
        if let (Some(width), false) = (self.width, self.begun) {
            self.fit(width);
        }
        let mut lines = Vec::new();
        if !std::mem::replace(&mut self.begun, true) {
            let header: Vec<Cell> = self
                .names
                .iter()
                .map(|n| Cell { text: n.clone(), style: HEADER, ..Cell::default() })
                .collect();
            lines.push(self.line(&header));
        }
        lines.extend(rows.iter().map(|row| self.line(row)));
        lines
    }

    /// Makes the columns fit, as far as possible.
    fn fit(&mut self, room: usize) {
        let [wanted, least] = NARROW;
        self.shorten_texts(room, wanted);
        for name in self.spare {
            if self.all() <= room {
                break;
            }
            if let Some(hidden) =
                self.names.iter().position(|n| n == name).and_then(|i| self.hidden.get_mut(i))
            {
                *hidden = true;
            }
        }
        self.shorten_texts(room, least);
        let (Some(last), Some(name), Some(false), Some(false)) =
            (self.widths.last(), self.names.last(), self.whole.last(), self.hidden.last())
        else {
            return;
        };
        let left = room.saturating_sub(self.all() - (*last).min(LAST));
        let needed = if TIMES.contains(&name.as_str()) { *last } else { (*last).min(LEAST_LAST) };
        if left < needed
            && let Some(hidden) = self.hidden.last_mut()
        {
            *hidden = true;
        }
    }

    /// Width of the table.
    fn all(&self) -> usize {
        let last = self.names.len().saturating_sub(1);
        let shown = self.widths.iter().zip(&self.hidden).enumerate().filter(|(_, (_, hidden))| !**hidden);
        let wide = shown.map(|(i, (w, _))| if i == last { (*w).min(LAST) } else { *w + GAP.len() });
        wide.sum()
    }

    fn shorten_texts(&mut self, room: usize, least: usize) {
        let last = self.names.len().saturating_sub(1);
        while self.all() > room {
            let texts = self.widths.iter_mut().enumerate().filter(|(i, w)| {
                let is_text = self.right.get(*i) == Some(&false) && self.hidden.get(*i) == Some(&false);
                let is_time = self.names.get(*i).is_some_and(|name| TIMES.contains(&name.as_str()));
                let may = is_text && !is_time && self.whole.get(*i) == Some(&false);
                *i < last && may && **w > least
            });
            let Some((at, widest)) = texts.max_by_key(|(_, w)| **w) else { return };
            *widest -= 1;
            if let Some(most) = self.most.get_mut(at) {
                *most = *widest;
            }
        }
    }

    fn line(&self, cells: &[Cell]) -> String {
        let mut line = String::new();
        let mut used = 0;
        let last = self.names.len().saturating_sub(1);
        for (i, cell) in cells.iter().enumerate() {
            if self.hidden.get(i) == Some(&true) {
                continue;
            }
            let wide = self.widths.get(i).copied().unwrap_or_default();
            let room = match self.width {
                Some(_) if self.whole.get(i) == Some(&true) => usize::MAX,
                Some(width) if i == last => width.saturating_sub(used).max(1),
                Some(_) => wide,
                None => usize::MAX,
            };
            let text = shorten(&cell.text, room);
            let pad = wide.saturating_sub(text.width());
            let right = self.right.get(i).copied().unwrap_or_default();
            if right {
                line.push_str(&" ".repeat(pad));
            }
            line.push_str(&cell.painted(&text));
            if i < last {
                if !right {
                    line.push_str(&" ".repeat(pad));
                }
                line.push_str(GAP);
            }
            used += wide.max(text.width()) + GAP.len();
        }
        line.truncate(line.trim_end().len());
        line
    }
}

/// Hidden characters become visible; white space becomes one space.
pub(super) fn clean(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let mut space = false;
    for c in text.chars() {
        if c.is_whitespace() {
            space = true;
            continue;
        }
        if std::mem::take(&mut space) && !out.is_empty() {
            out.push(' ');
        }
        push_visible(c, &mut out);
    }
    out
}

/// At most this many columns, with `…` where something is cut.
pub(super) fn shorten(text: &str, room: usize) -> String {
    if text.len() <= room || text.width() <= room {
        return text.to_owned();
    }
    let mut out = String::new();
    let mut used = 1;
    for c in text.chars() {
        used += c.width().unwrap_or_default();
        if used > room {
            break;
        }
        out.push(c);
    }
    out.push('…');
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_taken_over_is_never_cut() {
        let id = "01a1fe85-a774-72e7-9678-16fbfc33e0c5";
        let row = || vec![cell(id), cell("2026-11-21T14:32:15Z"), cell("tool.errored"), cell(id)];
        let names = ["ID", "DUE", "TYPE", "TOKEN"];
        for width in [20, 60, 80] {
            let mut table = Table::new(&names, Some(width)).spare(&["DUE"]).whole("ID").whole("TOKEN");
            assert!(table.row(row()).is_empty());
            let lines = table.lines();
            assert_eq!(lines[1].matches(id).count(), 2, "{lines:?}");
        }
        let mut cut = Table::new(&["WHAT", "DUE", "TYPE", "WHY"], Some(60)).spare(&["DUE"]);
        assert!(cut.row(row()).is_empty());
        assert!(!cut.lines()[1].contains(id));
    }

    #[test]
    fn a_name_is_whole_at_any_width_and_the_others_stay_in_their_columns() {
        let long = "s".repeat(70);
        for width in [60, 100, 200] {
            let mut table =
                Table::new(&["SESSION", "STATUS", "#EVENTS", "WHY"], Some(width)).spare(&["STATUS"]);
            for name in ["short", "a-session-with-a-name-of-41-characters-xx", long.as_str()] {
                let _ = table.row(vec![cell(name), cell("running"), cell(7), cell("because ".repeat(40))]);
            }
            let lines: Vec<String> =
                table.lines().iter().map(|l| anstream::adapter::strip_str(l).to_string()).collect();
            assert!(
                lines[2].starts_with("a-session-with-a-name-of-41-characters-xx ")
                    && lines[3].starts_with(&long)
            );
            let number = |line: &str| line.find(" 7  because").unwrap();
            if width > 60 {
                assert_eq!(number(&lines[1]), number(&lines[2]));
            }
            assert!(lines[1].width() <= width, "{lines:?}");
        }
    }

    #[test]
    fn numbers_go_right_and_the_last_column_is_cut_at_the_edge() {
        let mut table = Table::new(&["#SEQ", "TYPE", "DATA"], Some(20));
        let _ = table.row(vec![cell(7), cell("a.b"), cell("0123456789abc")]);
        let _ = table.row(vec![cell(123), cell("a"), cell("x\n\ty\u{1b}[31m")]);
        let plain: Vec<String> =
            table.lines().iter().map(|l| anstream::adapter::strip_str(l).to_string()).collect();
        assert_eq!(plain, ["SEQ  TYPE  DATA", "  7  a.b   01234567…", "123  a     x y\\u{1b…"]);
    }

    #[test]
    fn on_a_narrow_terminal_texts_are_shortened_and_what_can_be_spared_is_left_out() {
        let shown = |width| {
            let names = ["SUBJECT", "PROGRESS", "#EVENTS", "WHY"];
            let mut table = Table::new(&names, Some(width)).spare(&["PROGRESS"]);
            let _ = table.row(vec![
                cell("a-session-with-a-long-name"),
                cell("12345678"),
                cell(7),
                cell("why not"),
            ]);
            let plain: Vec<String> =
                table.lines().iter().map(|l| anstream::adapter::strip_str(l).to_string()).collect();
            assert!(plain.iter().all(|l| l.width() <= width), "{plain:?}");
            plain
        };
        assert_eq!(shown(60)[1], "a-session-with-a-long-name  12345678       7  why not");
        assert_eq!(shown(47)[1], "a-session-with-a-lo…  12345678       7  why not");
        assert_eq!(shown(46)[1], "a-session-with-a-lo…       7  why not");
        assert_eq!(shown(38)[0], format!("SUBJECT{}EVENTS  WHY", " ".repeat(15)));
        assert_eq!(shown(30)[1], "a-session-wi…       7  why not");
    }

    #[test]
    fn times_are_whole_or_left_out_and_so_is_what_has_no_room() {
        let lines = |width: usize| -> Vec<String> {
            let mut table = Table::new(&["SESSION", "#EVENTS", "LAST EVENT"], Some(width));
            let _ = table.row(vec![cell("s".repeat(36)), cell(7), cell("2026-02-03T04:05:06Z")]);
            table.lines().iter().map(|l| anstream::adapter::strip_str(l).to_string()).collect()
        };
        assert!(lines(66)[1].ends_with("  2026-02-03T04:05:06Z"));
        assert_eq!(
            lines(65),
            [format!("SESSION{}EVENTS", " ".repeat(31)), format!("{}       7", "s".repeat(36))]
        );
        let mut table = Table::new(&["SESSION", "STATUS", "TITLE"], Some(50));
        let _ = table.row(vec![cell("s".repeat(36)), cell("running"), cell("what it is about")]);
        let shown = table.lines();
        assert!(!shown[0].contains("TITLE") && !shown[1].contains("what"), "{shown:?}");
        // Also where the last column is one that is dropped first.
        for width in 1..60 {
            let names = ["SESSION", "#EVENTS", "#BRANCHES", "LAST EVENT"];
            let mut table = Table::new(&names, Some(width)).spare(&["LAST EVENT", "BRANCHES", "EVENTS"]);
            let _ = table.row(vec![cell("s"), cell(7), cell(1), cell("2026-02-03T04:05:06Z")]);
            assert_eq!(table.lines().len(), 2, "{width}");
        }
    }

    #[test]
    fn a_cut_cell_keeps_the_styles_of_what_is_left() {
        let shown = |room: usize| {
            let cell = pieces([("same ".to_owned(), Style::new()), ("other".to_owned(), crate::style::BAD)]);
            crate::style::shown(&cell.painted(&shorten(&cell.text, room)))
        };
        let whole = shown(10);
        assert!(whole.starts_with("same ") && whole.contains("mother"), "{whole:?}");
        assert!(
            shown(8).contains("mot") && shown(8).ends_with('…') && !shown(8).contains("oth"),
            "{:?}",
            shown(8)
        );
        assert_eq!(shown(4), "sam…");
        let tree = hung("   └─ ", "a\nb");
        assert_eq!(tree.text(), "   └─ a b");
    }

    #[test]
    fn wide_characters_count_twice() {
        assert_eq!(shorten("日本語日本語", 6), "日本…");
        assert_eq!(shorten("日本語", 6), "日本語");
    }
}
