//! `retold get`

use super::app::App;
use super::current::Shown;
use super::escape::push_json;
use super::failure::{Failure, Outcome};
use super::output::Out;
use super::style::{DIM, of_kind, paint};
use super::table::clean;
use retold::error::Error;
use retold::event::{Address, Event};
use retold::limits::MAX_INDENT;
use retold::store::Query;

#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:
  retold get run-7@12
  retold get run-7/retry@12 -o json
  retold get 0197c0de-0000-7000-8000-000000000001")]
pub(super) struct Args {
    /// SESSION[/BRANCH]@SEQ, or the event's id or its first 8 digits or more
    #[arg(value_name = "ADDRESS|EVENT_ID")]
    event: String,
    /// Without upcasting: as the event was appended
    #[arg(long)]
    raw: bool,
}

pub(super) fn run(args: &Args, app: &mut App) -> Outcome {
    let event = find(args, app)?;
    if !app.out.is_table() {
        return app.out.event(&event);
    }
    show(&event, &mut app.out)
}

fn find(args: &Args, app: &mut App) -> Result<Event, Failure> {
    if !args.event.contains('@') {
        let store = app.reading()?;
        let id = super::named::event(&store, &args.event)?;
        return Ok(if args.raw { store.get_raw(id)? } else { store.get(id)? });
    }
    let shown: Shown = args.event.parse()?;
    let store = app.reading()?;
    let address = shown.resolve(&store, &mut app.out)?;
    let at = address.sequence().unwrap_or_default();
    let place = Address::from(address.place().clone());
    let query = Query::branch(place)?.from(at).to(at).limit(1);
    let found = store.events(if args.raw { query.raw() } else { query })?.next();
    found.unwrap_or_else(|| Err(Error::not_found("event", &address))).map_err(Failure::from)
}

/// An event for people: its fields, then its payload.
pub(super) fn show(event: &Event, out: &mut Out) -> Outcome {
    for (name, value) in fields(event) {
        out.line(format!("{}  {value}", paint(DIM, format!("{name:>11}"))))?;
    }
    out.line(data(event))
}

fn fields(event: &Event) -> Vec<(&'static str, String)> {
    let mut fields = vec![
        ("event", event.address().to_string()),
        ("type", paint(of_kind(event.kind()), event.kind())),
        ("id", event.id().to_string()),
        ("position", event.position().to_string()),
        ("version", event.version().to_string()),
        ("time", event.occurred().to_string()),
        ("recorded", event.recorded().to_string()),
    ];
    let optional = [
        ("source", event.source().map(str::to_owned)),
        ("actor", event.actor().map(str::to_owned)),
        ("correlation", event.correlation().map(str::to_owned)),
        ("causation", event.causation().map(|c| c.to_string())),
        ("traceparent", event.trace().map(str::to_owned)),
        ("priority", Some(event.priority()).filter(|p| *p > 0).map(|p| p.to_string())),
    ];
    fields.extend(optional.into_iter().filter_map(|(name, value)| Some((name, clean(&value?)))));
    fields.extend(event.metadata().map(|(key, value)| ("metadata", clean(&format!("{key}={value}")))));
    fields
}

fn data(event: &Event) -> String {
    match std::str::from_utf8(event.payload()) {
        Ok(json) if event.is_json() => pretty(json),
        _ => format!("{} bytes of {}", event.payload().len(), clean(event.content_type())),
    }
}

/// JSON with one line per value, every key and number as written.
fn pretty(json: &str) -> String {
    let mut out = String::with_capacity(json.len() * 2);
    let (mut depth, mut text, mut escaped) = (0_usize, false, false);
    let mut chars = json.chars().filter(|c| text_or_ink(*c)).peekable();
    while let Some(c) = chars.next() {
        if text {
            text = escaped || c != '"';
            escaped = !escaped && c == '\\';
            push_json(c, &mut out);
            continue;
        }
        match c {
            ' ' => {}
            '"' => {
                text = true;
                out.push(c);
            }
            '{' | '[' => {
                out.push(c);
                while chars.next_if(|c| *c == ' ').is_some() {}
                match chars.next_if(|c| matches!(c, '}' | ']')) {
                    Some(close) => out.push(close),
                    None => {
                        depth += 1;
                        line(depth, &mut out);
                    }
                }
            }
            '}' | ']' => {
                depth = depth.saturating_sub(1);
                line(depth, &mut out);
                out.push(c);
            }
            ',' => {
                out.push(c);
                line(depth, &mut out);
            }
            ':' => out.push_str(": "),
            c => out.push(c),
        }
    }
    out
}

/// Newlines and tabs occur only between the values of JSON, where they mean nothing.
fn text_or_ink(c: char) -> bool {
    !matches!(c, '\n' | '\r' | '\t')
}

fn line(depth: usize, out: &mut String) {
    out.push('\n');
    // The indentation is capped: otherwise nesting makes the text grow quadratically.
    out.extend(std::iter::repeat_n("  ", depth.min(MAX_INDENT)));
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_payload_is_shown_value_by_value_and_as_it_was_written() {
        let json = "{\"b\":[1.10, {}, [ ]],\n\t\"a\":\"x, {y}\\\" z\",\"n\":12345678901234567890123}";
        let shown = "{\n  \"b\": [\n    1.10,\n    {},\n    []\n  ],\n  \"a\": \"x, {y}\\\" z\",\n  \"n\": \
                     12345678901234567890123\n}";
        assert_eq!(pretty(json), shown);
        assert_eq!(pretty("null"), "null");
    }

    #[test]
    fn deep_nesting_is_shown_in_bounded_space() {
        let json = format!("{}{}", "[".repeat(5_000), "]".repeat(5_000));
        assert!(pretty(&json).len() <= json.len() * (2 * MAX_INDENT + 2));
    }
}
