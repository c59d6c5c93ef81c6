//! `retold get`

use super::App;
use super::failure::Outcome;
use super::style::{DIM, of_kind, paint};
use super::table::clean;
use crate::event::{Event, EventId};

#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// The event's id
    #[arg(value_name = "EVENT_ID")]
    id: String,
}

pub(super) fn run(args: &Args, app: &mut App) -> Outcome {
    let id: EventId = args.id.parse()?;
    let event = app.reading()?.get(id)?;
    if !app.out.is_table() {
        return app.out.event(&event);
    }
    for (name, value) in fields(&event) {
        app.out.line(format!("{}  {value}", paint(DIM, format!("{name:>11}"))))?;
    }
    app.out.line(data(&event))
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
    match event.json::<serde_json::Value>() {
        Ok(value) if event.is_json() => {
            // Escapes what a terminal would obey.
            serde_json::to_string_pretty(&value).unwrap_or_default()
        }
        _ => format!("{} bytes of {}", event.payload().len(), clean(event.content_type())),
    }
}
