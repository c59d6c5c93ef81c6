//! Two events side by side: what differs is marked.

use anstyle::Style;
use serde_json::Value;

use super::style::{BAD, GOOD, NAME, PLAIN, of_kind};
use super::table::{Cell, clean, pieces, shorten};
use super::text_diff::{Piece, compared, in_context};
use super::view::summary;
use retold::event::{Catalogue, Event};
use retold::store::diff::Pair;

/// Places of a payload that are shown when the summaries are the same.
const PLACES: usize = 3;

/// How cells are made.
pub(super) struct Marking<'a> {
    /// Columns of a cell.
    pub(super) room: Option<usize>,
    pub(super) has_colors: bool,
    pub(super) catalogue: &'a Catalogue,
}

/// Which side of a comparison.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Side {
    Old,
    New,
}

impl Side {
    /// A text that only this side has: colored, or in the brackets that `wdiff` and `git diff --word-diff` use.
    pub(super) fn marked(self, text: &str, has_colors: bool) -> (String, Style) {
        match (self, has_colors) {
            (Self::Old, true) => (text.to_owned(), BAD.bold()),
            (Self::New, true) => (text.to_owned(), GOOD.bold()),
            (Self::Old, false) => (format!("[-{text}-]"), PLAIN),
            (Self::New, false) => (format!("{{+{text}+}}"), PLAIN),
        }
    }
}

impl Marking<'_> {
    /// The cells of both sides.
    pub(super) fn cells(&self, pair: &Pair) -> (Cell, Cell) {
        if let (Some(left), Some(right)) = (&pair.left, &pair.right)
            && left.kind() == right.kind()
            && let Some((old, new)) = self.partly(left, right)
        {
            return (self.cell(left, old, Side::Old), self.cell(right, new, Side::New));
        }
        (self.whole(pair.left.as_ref()), self.whole(pair.right.as_ref()))
    }

    fn whole(&self, event: Option<&Event>) -> Cell {
        let Some(event) = event else { return Cell::default() };
        let text = format!("{} {}", event.kind(), summary(event, self.catalogue).text());
        pieces([(shorten(text.trim_end(), self.room.unwrap_or(usize::MAX)), kind_style(event))])
    }

    /// What two events of a type say, when that differs in part.
    fn partly(&self, left: &Event, right: &Event) -> Option<(Vec<Piece>, Vec<Piece>)> {
        if left.payload() == right.payload() {
            return None;
        }
        let (old, new) = (summary(left, self.catalogue), summary(right, self.catalogue));
        if old.text() != new.text() {
            return both(old.text(), new.text());
        }
        let old: Value = serde_json::from_slice(left.payload()).ok()?;
        let new: Value = serde_json::from_slice(right.payload()).ok()?;
        let (mut olds, mut news): (Vec<Piece>, Vec<Piece>) = Default::default();
        for place in differing(&old, &new) {
            for (side, value) in [(&mut olds, place.old), (&mut news, place.new)] {
                let comma = if side.is_empty() { "" } else { ", " };
                let is_there = if value.is_some() { " " } else { " is missing" };
                side.push((format!("{comma}{}{is_there}", clean(&place.at)), false));
            }
            let (old, new) = (place.old.map(shown), place.new.map(shown));
            let parts = old.as_deref().zip(new.as_deref()).and_then(|(old, new)| both(old, new));
            let (old_pieces, new_pieces) = parts.unwrap_or_else(|| {
                let whole = |text: Option<String>| text.map(|text| (text, true)).into_iter().collect();
                (whole(old), whole(new))
            });
            olds.extend(old_pieces);
            news.extend(new_pieces);
        }
        Some((olds, news)).filter(|(olds, _)| !olds.is_empty())
    }

    fn cell(&self, event: &Event, said: Vec<Piece>, side: Side) -> Cell {
        let kind = format!("{} ", event.kind());
        let room = self.room.map_or(usize::MAX, |room| room.saturating_sub(kind.chars().count()));
        let marked = said.into_iter().map(|(text, differs)| match differs {
            true => (side.marked(&text, self.has_colors), true),
            false => ((text, PLAIN), false),
        });
        let (texts, styles): (Vec<Piece>, Vec<Style>) =
            marked.map(|((text, style), differs)| ((text, differs), style)).unzip();
        let cut = in_context(texts, room).into_iter().map(|(text, _)| text).zip(styles);
        pieces(std::iter::once((kind, kind_style(event))).chain(cut))
    }
}

/// Outcomes have colors; names of types alone would color every row.
fn kind_style(event: &Event) -> Style {
    let style = of_kind(event.kind());
    if style == NAME { PLAIN } else { style }
}

/// The pieces of two texts that differ in part.
fn both(old: &str, new: &str) -> Option<(Vec<Piece>, Vec<Piece>)> {
    let parts = compared(old, new)?;
    let pieces = |text: &str, is_old: bool| -> Vec<Piece> {
        let of = |part: &super::text_diff::Compared| if is_old { part.old.clone() } else { part.new.clone() };
        let all = parts.iter().filter_map(|part| Some((text.get(of(part))?.to_owned(), !part.is_same)));
        all.filter(|(text, _)| !text.is_empty()).collect()
    };
    Some((pieces(old, true), pieces(new, false)))
}

/// A place at which two payloads differ.
struct Place<'a> {
    at: String,
    old: Option<&'a Value>,
    new: Option<&'a Value>,
}

/// The first places at which they differ, as deep as can be.
fn differing<'a>(old: &'a Value, new: &'a Value) -> Vec<Place<'a>> {
    let mut places = Vec::new();
    let mut open = vec![Place { at: String::new(), old: Some(old), new: Some(new) }];
    while let Some(Place { at, old, new }) = open.pop() {
        if places.len() == PLACES {
            break;
        }
        if old == new {
            continue;
        }
        let mut inner = Vec::new();
        match (old, new) {
            (Some(Value::Object(a)), Some(Value::Object(b))) => {
                let added = b.keys().filter(|name| !a.contains_key(*name));
                for name in a.keys().chain(added) {
                    let part = name.replace('~', "~0").replace('/', "~1");
                    inner.push(Place { at: format!("{at}/{part}"), old: a.get(name), new: b.get(name) });
                }
            }
            (Some(Value::Array(a)), Some(Value::Array(b))) => {
                for i in 0..a.len().max(b.len()) {
                    inner.push(Place { at: format!("{at}/{i}"), old: a.get(i), new: b.get(i) });
                }
            }
            _ => places.push(Place { at, old, new }),
        }
        // The first comes next.
        open.extend(inner.into_iter().rev());
    }
    places
}

/// A value on one line: a text without its quotes.
fn shown(value: &Value) -> String {
    match value {
        Value::String(text) => clean(text),
        other => clean(&other.to_string()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use retold::event::NewEvent;
    use retold::store::Store;
    use serde_json::json;

    fn told(room: Option<usize>, kind: &str, left: &Value, right: &Value) -> [String; 2] {
        let store = Store::in_memory().unwrap();
        store.append("s", NewEvent::new("a")).unwrap();
        store.fork("s", "b").unwrap();
        store.append("s", NewEvent::new(kind.to_owned()).data(left.clone())).unwrap();
        store.append("s/b", NewEvent::new(kind.to_owned()).data(right.clone())).unwrap();
        let pair = store.diff("s", "s/b").unwrap().pairs.next().unwrap().unwrap();
        let marking = Marking { room, has_colors: false, catalogue: Catalogue::builtin() };
        let (left, right) = marking.cells(&pair);
        [left.text().to_owned(), right.text().to_owned()]
    }

    fn call(command: &str) -> Value {
        json!({"tool": "Bash", "args": {"command": command}})
    }

    #[test]
    fn the_words_that_differ_are_marked() {
        let sides = told(None, "tool.invoked", &call("cargo test --workspace"), &call("cargo test --lib"));
        assert_eq!(
            sides,
            ["tool.invoked Bash cargo test --[-workspace-]", "tool.invoked Bash cargo test --{+lib+}"]
        );
        let sides = told(None, "tool.invoked", &call("cargo test"), &call("ls -la /var/lib/postgres"));
        assert!(sides.iter().all(|side| !side.contains('[') && !side.contains('{')), "{sides:?}");
        let same = told(None, "tool.invoked", &call("ls"), &call("ls"));
        assert_eq!(same, ["tool.invoked Bash ls", "tool.invoked Bash ls"]);
    }

    #[test]
    fn the_part_that_differs_is_seen_on_a_narrow_terminal_too() {
        let text =
            |name: &str| format!("{} {name} {}", "one and the same ".repeat(6), "over and over ".repeat(6));
        let [left, right] = told(Some(60), "tool.invoked", &call(&text("this")), &call(&text("that")));
        assert!(left.contains("[-this-]") && right.contains("{+that+}"), "{left} {right}");
        assert!(unicode_width::UnicodeWidthStr::width(left.as_str()) <= 64, "{left}");
    }

    #[test]
    fn what_the_summary_leaves_out_is_told_by_its_place() {
        let with = |more: Value| json!({"tool": "Bash", "args": {"command": "ls", "a/b": more}});
        let sides =
            told(None, "tool.invoked", &with(json!([1, {"c": "x y z"}])), &with(json!([1, {"c": "x q z"}])));
        assert_eq!(sides[0], "tool.invoked /args/a~1b/1/c x [-y-] z");
        assert_eq!(sides[1], "tool.invoked /args/a~1b/1/c x {+q+} z");
        let sides = told(None, "tool.invoked", &with(json!([1])), &with(json!([1, 2])));
        assert_eq!(sides[0], "tool.invoked /args/a~1b/1 is missing");
        assert_eq!(sides[1], "tool.invoked /args/a~1b/1 {+2+}");
    }
}
