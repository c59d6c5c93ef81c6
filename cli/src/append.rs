//! `retold append`

use std::fs::File;
use std::io::{self, Read};

use super::app::App;
use super::append_lines;
use super::failure::{Failure, Outcome};
use super::near;
use super::output::Out;
use super::select::{pair, time};
use super::style::{DIM, NAME, NOTICE, paint};
use retold::error::Error;
use retold::event::{Address, EventId, Expect, Invalid, NewEvent, Sequence, SessionId};
use retold::limits::MAX_PAYLOAD_BYTES;
use retold::store::leases::FencingToken;
use retold::store::{Batch, Placed, Store};
use retold::wire::Appended;

#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:
  retold append run-7 run.started --data '{\"goal\": \"fix the build\"}'
  retold append run-7 tool.completed --data @result.json --expect 12
  echo '{\"n\": 1}' | retold append run-7/retry step.done --data @-
  retold append --ndjson events.jsonl

When it returns, the event is on the disk. Running it again with the same --id records nothing twice.")]
#[command(override_usage = "retold append [OPTIONS] <SESSION[/BRANCH]> <TYPE>
       retold append [OPTIONS] [SESSION] --ndjson <FILE|->")]
pub(super) struct Args {
    /// The branch to append to; with --ndjson, the session for lines that name none
    #[arg(value_name = "SESSION[/BRANCH]", required_unless_present = "ndjson")]
    address: Option<String>,
    /// The event's type, for example `tool.completed`
    #[arg(value_name = "TYPE", required_unless_present = "ndjson", conflicts_with = "ndjson")]
    kind: Option<String>,
    /// The payload: JSON, or @FILE, or @- for standard input [default: null]
    #[arg(short, long, value_name = "JSON|@FILE|@-", conflicts_with = "ndjson", allow_hyphen_values = true)]
    data: Option<String>,
    /// Append only if the branch's head is this: any, empty, or a sequence
    #[arg(long, value_name = "any|empty|N", conflicts_with = "ndjson")]
    expect: Option<String>,
    /// The event's id, which makes it safe to run the command again
    #[arg(long, value_name = "UUID", conflicts_with = "ndjson")]
    id: Option<String>,
    /// The component that writes the event
    #[arg(long, value_name = "SOURCE", conflicts_with = "ndjson")]
    source: Option<String>,
    /// The person, agent or service that acted
    #[arg(long, value_name = "ACTOR", conflicts_with = "ndjson")]
    actor: Option<String>,
    /// Ties the event to related ones
    #[arg(long, value_name = "ID", conflicts_with = "ndjson")]
    correlation: Option<String>,
    /// The id of the event that caused it
    #[arg(long, value_name = "UUID", conflicts_with = "ndjson")]
    causation: Option<String>,
    /// 0 to 255; higher is more urgent
    #[arg(long, value_name = "0-255", conflicts_with = "ndjson")]
    priority: Option<u8>,
    /// Version of the payload's schema
    #[arg(long = "version", value_name = "N", conflicts_with = "ndjson")]
    schema: Option<u32>,
    /// A metadata entry; repeatable
    #[arg(long, value_name = "KEY=VALUE", value_parser = pair, conflicts_with = "ndjson")]
    meta: Vec<(String, String)>,
    /// Append only while this token, from `retold lease acquire`, is the latest of its session
    #[arg(long, value_name = "TOKEN", conflicts_with = "ndjson")]
    lease: Option<FencingToken>,
    /// When the event happened [default: now]
    #[arg(long, value_name = "RFC3339", conflicts_with = "ndjson")]
    time: Option<String>,
    /// Append every line of a file, or of standard input: recorded events or CloudEvents, as JSON. Lines with an id
    /// are deduplicated
    #[arg(long, value_name = "FILE|-")]
    ndjson: Option<String>,
}

pub(super) fn run(args: Args, app: &mut App) -> Outcome {
    if let Some(file) = &args.ndjson {
        return append_lines::run(file, args.address.as_deref(), app);
    }
    // Everything is read and checked before a store is opened or created.
    let address: Address = args.address.as_deref().unwrap_or_default().parse::<Address>()?;
    let expect = args.expect.as_deref().map_or(Ok(Expect::Any), str::parse)?;
    let lease = args.lease.clone();
    let event = event(args)?;
    event.check()?;
    let id = event.id();
    let batch = lease.iter().fold(Batch::new(), Batch::fenced).add(address, expect, event)?;
    let store = app.writing()?;
    let receipt = append_lines::appended(&store, &batch, app.wait)?;
    let begun = |placed: &&Placed| !receipt.duplicate() && placed.first == Sequence::new(1);
    // Names are not looked up for a warning that nobody sees.
    if let Some(placed) = receipt.parts().first().filter(begun).filter(|_| !app.out.quiet) {
        warn_of_a_slip(&store, &placed.place.session, &mut app.out);
    }
    store.close()?;
    let Some(placed) = receipt.parts().first() else { return Ok(()) };
    if app.out.is_table() {
        let place = paint(NAME, format!("{}@{}", placed.place, placed.last));
        let known = if receipt.duplicate() { "already recorded, " } else { "" };
        return app.out.line(format!(
            "{place}  {}",
            paint(DIM, format!("{known}position {}, id {id}", placed.last_position))
        ));
    }
    app.out.document(&Appended::new(placed, id, &receipt))
}

/// Says so when the session that has just begun may be another one with a slip in its name.
fn warn_of_a_slip(store: &Store, session: &SessionId, out: &mut Out) {
    // It is recorded: what goes wrong here does not matter.
    if let Ok(Some(other)) = near::mistyped(store, session) {
        let text = format!("{session} is a new session; did you mean {other}, which differs in one letter?");
        out.note(format!("{} {text}", paint(NOTICE, "warning:")));
    }
}

fn event(args: Args) -> Result<NewEvent, Failure> {
    let mut event = NewEvent::new(args.kind.unwrap_or_default());
    if let Some(data) = args.data {
        event = event.json_text(payload(data)?);
    }
    if let Some(id) = args.id {
        event = event.with_id(id.parse()?);
    }
    if let Some(source) = args.source {
        event = event.source(source);
    }
    if let Some(actor) = args.actor {
        event = event.actor(actor);
    }
    if let Some(correlation) = args.correlation {
        event = event.correlation(correlation);
    }
    if let Some(cause) = args.causation {
        let cause: EventId = cause.parse().map_err(|e: Invalid| Invalid::new("causation", e.reason))?;
        event = event.causation(cause);
    }
    if let Some(priority) = args.priority {
        event = event.priority(priority);
    }
    if let Some(version) = args.schema {
        event = event.version(version);
    }
    for (key, value) in args.meta {
        event = event.meta(key, value);
    }
    if let Some(at) = args.time {
        event = event.occurred(time("time", &at)?);
    }
    Ok(event)
}

/// The newline that an editor or `echo` adds at the end is not part of the payload.
pub(super) fn payload(data: String) -> Result<Vec<u8>, Failure> {
    let mut bytes = match data.strip_prefix('@') {
        None => data.into_bytes(),
        Some("-") => read(io::stdin().lock(), "standard input")?,
        Some(path) => read(File::open(path).map_err(|e| Failure::file(path, e))?, path)?,
    };
    bytes.truncate(bytes.trim_ascii_end().len());
    Ok(bytes)
}

fn read(from: impl Read, name: &str) -> Result<Vec<u8>, Failure> {
    let mut bytes = Vec::new();
    let limit = MAX_PAYLOAD_BYTES as u64;
    from.take(limit + 1).read_to_end(&mut bytes).map_err(|e| Failure::file(name, e))?;
    if bytes.len() as u64 > limit {
        let what = format!("the input from {name}");
        return Err(Error::TooLarge { what, size: bytes.len() as u64, limit }.into());
    }
    Ok(bytes)
}
