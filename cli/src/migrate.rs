//! `retold migrate`

use serde::Serialize;

use super::app::App;
use super::failure::{Failure, Outcome};
use super::progress::Progress;
use super::style::{BAD, DIM, GOOD, paint};
use super::table::clean;
use super::view::{count, grouped};
use retold::schema::{Evidence, check_evidence, load_migrations};
use retold::store::survey::{Becomes, Old, Survey};
use retold::wire::Exit;

#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:
  retold migrate                               upgrade the file to this release's format
  retold migrate --dry-run --migrations app/migrations
  retold migrate --check --migrations app/migrations

A store is upgraded to this release's format when it is opened for writing, and the old file is kept beside it; this \
verb does it now. Upcasters never change the file: every verb that is given the same --migrations reads old \
events in their newest shape. This verb tries the upcasters on every event, and on the examples in their folders.

The exit code is 7 if an event cannot be upcast or an example comes out differently; with --check it is 3 if the file \
has an earlier format.")]
pub(super) struct Args {
    /// Change nothing; print what would change
    #[arg(long, conflicts_with = "check")]
    dry_run: bool,
    /// Change nothing; report problems by the exit code
    #[arg(long)]
    check: bool,
}

#[derive(Debug, Serialize)]
struct Reported {
    store: String,
    format: u32,
    newest_format: u32,
    upgraded: bool,
    copy: Option<String>,
    events: u64,
    old: u64,
    stuck: u64,
    steps: Vec<Shape>,
    migrations: Vec<Folder>,
}

#[derive(Debug, Serialize)]
struct Shape {
    #[serde(rename = "type")]
    kind: String,
    version: u32,
    events: u64,
    becomes: Vec<New>,
    stuck: u64,
    #[serde(skip_serializing_if = "Option::is_none")]
    first_stuck: Option<Stuck>,
}

#[derive(Debug, Serialize)]
struct New {
    #[serde(rename = "type")]
    kind: String,
    version: u32,
    events: u64,
}

#[derive(Debug, Serialize)]
struct Stuck {
    at: String,
    reason: String,
}

#[derive(Debug, Serialize)]
struct Folder {
    number: u32,
    name: String,
    steps: usize,
    examples: usize,
    #[serde(skip_serializing_if = "Option::is_none")]
    fails: Option<String>,
}

pub(super) fn run(args: &Args, app: &mut App) -> Outcome {
    let migrations = folders(app)?;
    let only_look = args.dry_run || args.check;
    let store = if only_look { app.reading()? } else { app.changing()? };
    let mut progress = Progress::new(&app.out, "events", None);
    let survey = store.maintenance().survey(|done, total| {
        progress.total(total);
        progress.set(done);
    })?;
    drop(progress);
    let upgraded = store.maintenance().upgraded();
    let told = Reported {
        store: app.store.display().to_string(),
        format: upgraded.as_ref().map_or(survey.format, |u| u.from),
        newest_format: survey.newest_format,
        upgraded: upgraded.is_some(),
        copy: upgraded.map(|u| u.copy.display().to_string()),
        events: survey.events,
        old: survey.old_events(),
        stuck: survey.stuck_events(),
        steps: survey.old.iter().map(shape).collect(),
        migrations,
    };
    drop(store);
    if app.out.is_table() {
        show(&told, app)?;
    } else {
        app.out.document(&told)?;
    }
    verdict(&told, &survey, args.check)
}

fn verdict(told: &Reported, survey: &Survey, check: bool) -> Outcome {
    if told.stuck > 0 || told.migrations.iter().any(|m| m.fails.is_some()) {
        return Err(Failure::Reported(Exit::Invalid));
    }
    if check && survey.format != survey.newest_format {
        return Err(Failure::Reported(Exit::Conflict));
    }
    Ok(())
}

fn folders(app: &App) -> Result<Vec<Folder>, Failure> {
    let Some(folder) = &app.migrations else { return Ok(Vec::new()) };
    let mut folders = Vec::new();
    for migration in load_migrations(folder)? {
        let (examples, fails) = match check_evidence(&migration)? {
            Evidence::None => (0, None),
            Evidence::Holds(examples) => (examples, None),
            Evidence::Fails { line, reason } => (line, Some(format!("example {line} {reason}"))),
        };
        let steps = migration.upcasters.len();
        folders.push(Folder { number: migration.number, name: migration.name, steps, examples, fails });
    }
    Ok(folders)
}

fn shape(old: &Old) -> Shape {
    let new = |b: &Becomes| New { kind: b.kind.clone(), version: b.version, events: b.events };
    let stuck = |(at, reason): &(retold::event::Address, String)| Stuck {
        at: at.to_string(),
        reason: reason.clone(),
    };
    Shape {
        kind: old.kind.clone(),
        version: old.version,
        events: old.events,
        becomes: old.becomes.iter().map(new).collect(),
        stuck: old.stuck,
        first_stuck: old.first_stuck.as_ref().map(stuck),
    }
}

fn show(told: &Reported, app: &mut App) -> Outcome {
    let out = &mut app.out;
    let format = match (told.format == told.newest_format, told.upgraded) {
        (true, _) => paint(GOOD, format!("{}, the newest", told.format)),
        (false, true) => paint(GOOD, format!("{} became {}", told.format, told.newest_format)),
        (false, false) => format!("{} would become {}", told.format, told.newest_format),
    };
    out.line(format!("{}  {format}", paint(DIM, "format")))?;
    if let Some(copy) = &told.copy {
        out.line(format!("{}  {}", paint(DIM, "  copy"), clean(copy)))?;
    }
    for m in &told.migrations {
        let examples = match (&m.fails, m.examples) {
            (Some(why), _) => paint(BAD, clean(why)),
            (None, 0) => paint(DIM, "no examples"),
            (None, n) => paint(GOOD, format!("{} hold", count(n as u64, "example"))),
        };
        let upcasters = count(m.steps as u64, "upcaster");
        out.line(format!("{}  {}: {upcasters}, {examples}", paint(DIM, "folder"), clean(&m.name)))?;
    }
    let events = match (told.migrations.is_empty(), told.old) {
        (true, _) => format!("{}; no upcasters were given", grouped(told.events)),
        (false, 0) => format!("{}, none in an old shape", grouped(told.events)),
        (false, old) => format!("{}, {} in an old shape", grouped(told.events), grouped(old)),
    };
    out.line(format!("{}  {events}", paint(DIM, "events")))?;
    for s in &told.steps {
        for new in &s.becomes {
            let line = format!(
                "{} {} → {} {}: {}",
                s.kind,
                s.version,
                new.kind,
                new.version,
                count(new.events, "event")
            );
            out.line(format!("        {line}"))?;
        }
        if let Some(first) = &s.first_stuck {
            let line = format!(
                "{} {}: {} cannot be upcast; the first is {}, {}",
                s.kind,
                s.version,
                count(s.stuck, "event"),
                first.at,
                first.reason
            );
            out.line(format!("        {}", paint(BAD, clean(&line))))?;
        }
    }
    Ok(())
}
