//! `retold state-diff`

use super::app::App;
use super::diff_cells::Side;
use super::failure::Outcome;
use super::named;
use super::projections::find;
use super::style::{BAD, DIM, GOOD, NAME, paint};
use super::table::{clean, shorten};
use super::text_diff::{Piece, compared, in_context};
use anstyle::Style;
use retold::event::Address;
use serde_json::Value;
use unicode_width::UnicodeWidthStr;

#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:
  retold state-diff counts run-7@10 run-7@20
  retold state-diff counts run-7 run-7/retry

With -o json, it is a JSON Patch (RFC 6902) that turns the first state into the second.")]
pub(super) struct Args {
    /// The projection's name
    #[arg(value_name = "PROJECTION")]
    projection: String,
    /// The first state, SESSION[/BRANCH][@SEQ]
    #[arg(value_name = "A")]
    a: String,
    /// The second state
    #[arg(value_name = "B")]
    b: String,
}

pub(super) fn run(args: &Args, app: &mut App) -> Outcome {
    let projection = find(&args.projection, app)?;
    args.a.parse::<Address>()?;
    args.b.parse::<Address>()?;
    let store = app.reading()?;
    let a = named::address(&store, &args.a, &mut app.out)?;
    let b = named::address(&store, &args.b, &mut app.out)?;
    let states = store.project_dyn(projection)?;
    let patch = states.diff_state(&a, &b)?;
    if !app.out.is_table() {
        return app.out.document(&patch);
    }
    let steps = patch.as_array().map(Vec::as_slice).unwrap_or_default();
    if steps.is_empty() {
        return app.out.line(paint(DIM, "the states are the same"));
    }
    let (old, new) = (states.read(&a)?.state, states.read(&b)?.state);
    let has_colors = app.out.has_colors();
    let (mut before, mut removed) = ("", 0_usize);
    for step in steps {
        let path = step.get("path").and_then(|p| p.as_str()).unwrap_or_default();
        // Items that go all have the place of the first: each makes the next one take it.
        let is_removal = step.get("op").and_then(|op| op.as_str()) == Some("remove");
        removed = if is_removal && path == before { removed + 1 } else { 0 };
        before = if is_removal { path } else { "" };
        let path = &moved(path, removed);
        let (sign, style) = match step.get("op").and_then(|op| op.as_str()) {
            Some("add") => ("+", GOOD),
            Some("remove") => ("-", BAD),
            _ => ("~", NAME),
        };
        let room = app.out.width().map_or(usize::MAX, |width| width.saturating_sub(path.width() + 3).max(20));
        let value = changed((old.pointer(path), new.pointer(path)), room, has_colors);
        app.out.line(format!("{} {} {value}", paint(style, sign), clean(path)))?;
    }
    Ok(())
}

/// The place of an item so many further on.
fn moved(path: &str, by: usize) -> String {
    match path.rsplit_once('/').map(|(list, at)| (list, at.parse::<usize>())) {
        Some((list, Ok(at))) if by > 0 => format!("{list}/{}", at.saturating_add(by)),
        _ => path.to_owned(),
    }
}

/// A value that has changed, on one line: the words of a text that did, else both values.
fn changed(values: (Option<&Value>, Option<&Value>), room: usize, has_colors: bool) -> String {
    let marked = |(text, style): (String, Style)| paint(style, text);
    match values {
        (Some(Value::String(old)), Some(Value::String(new))) => {
            let (old, new) = (clean(old), clean(new));
            let Some(parts) = compared(&old, &new) else { return arrow(&old, &new, room) };
            let mut pieces: Vec<Piece> = Vec::new();
            let mut sides = Vec::new();
            for part in parts {
                if part.is_same {
                    pieces.push((old.get(part.old).unwrap_or_default().to_owned(), false));
                    sides.push(None);
                    continue;
                }
                for (side, text) in [(Side::Old, old.get(part.old)), (Side::New, new.get(part.new))] {
                    if let Some(text) = text.filter(|text| !text.is_empty()) {
                        pieces.push((text.to_owned(), true));
                        sides.push(Some(side));
                    }
                }
            }
            let pieces = in_context(pieces, room).into_iter().zip(sides);
            pieces
                .map(|((text, _), side)| {
                    side.map_or(text.clone(), |side| marked(side.marked(&text, has_colors)))
                })
                .collect()
        }
        (Some(old), Some(new)) => arrow(&clean(&old.to_string()), &clean(&new.to_string()), room),
        (Some(value), None) | (None, Some(value)) => shorten(&clean(&value.to_string()), room),
        (None, None) => String::new(),
    }
}

fn arrow(old: &str, new: &str, room: usize) -> String {
    let half = if room == usize::MAX { room } else { room.saturating_sub(3) / 2 };
    format!("{} → {}", shorten(old, half), shorten(new, half))
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn what_has_changed_is_told_on_one_line() {
        let told = |old: &Value, new: &Value, room| changed((Some(old), Some(new)), room, false);
        assert_eq!(told(&json!(2), &json!(3), usize::MAX), "2 → 3");
        assert_eq!(told(&json!("red"), &json!("green"), usize::MAX), "red → green");
        let texts = (json!("it fails in a test of the login"), json!("it fails in a build of the login"));
        assert_eq!(told(&texts.0, &texts.1, usize::MAX), "it fails in a [-test-]{+build+} of the login");
        let long = "and so on ".repeat(20);
        let texts = (json!(format!("{long}here {long}")), json!(format!("{long}there {long}")));
        assert_eq!(told(&texts.0, &texts.1, 60), "…so on and so on [-here-]{+there+} and so on and s…");
        let lists = (json!(vec![1; 90]), json!(vec![2; 90]));
        assert!(told(&lists.0, &lists.1, 40).chars().count() <= 40);
        assert_eq!([moved("/a/2", 0), moved("/a/2", 2), moved("/a", 3)], ["/a/2", "/a/4", "/a"]);
        assert_eq!(changed((None, Some(&json!({"a": 1}))), 40, false), "{\"a\":1}");
    }
}
