//! `retold label`

use std::collections::BTreeMap;

use super::app::App;
use super::failure::{Failure, Outcome};
use super::select::pair;
use super::span::ago;
use super::style::{DIM, NAME};
use super::table::{Table, cell};
use retold::agents::projections::{Annotated, Annotations};
use retold::error::Error;
use retold::event::payload::Payload;
use retold::event::payload::session::{SessionLabelled, SessionUnlabelled};
use retold::event::{Invalid, NewEvent, SessionId, Timestamp};
use retold::wire::LabelView;

#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:
  retold label run-7                          list its labels
  retold label run-7 team=search prio=high    set two
  retold label run-7 --remove prio
  retold ls --label team=search               the sessions that have one

Labels belong to the session, not to one of its branches. Each change is an event in the branch `annotations`, so it \
does not disturb whoever appends to main, works after main was closed, and does not count as activity of the session.")]
pub(super) struct Args {
    /// The session
    #[arg(value_name = "SESSION")]
    session: String,
    /// A label to set; it replaces the value that the key has
    #[arg(value_name = "KEY=VALUE", value_parser = pair)]
    set: Vec<(String, String)>,
    /// Remove the label with this key; repeatable
    #[arg(long, value_name = "KEY")]
    remove: Vec<String>,
    /// The person, agent or service that changes the labels
    #[arg(long, value_name = "ACTOR")]
    actor: Option<String>,
}

pub(super) fn run(args: &Args, app: &mut App) -> Outcome {
    let session = SessionId::new(&args.session)?;
    if args.set.is_empty() && args.remove.is_empty() {
        let annotated = Annotations::of(&app.reading()?, &session)?;
        return show(&session, &annotated, app);
    }
    // Everything is checked before the store is opened.
    let (set, removed) = changes(args)?;
    let store = app.changing()?;
    let known = Annotations::of(&store, &session)?.labels;
    let mut events: Vec<NewEvent> = Vec::new();
    for label in set.values() {
        if known.get(&label.key).is_none_or(|known| known.value != label.value) {
            events.push(label.event()?);
        }
    }
    for label in &removed {
        if !known.contains_key(&label.key) {
            return Err(Error::not_found("label", format!("{} on {session}", label.key)).into());
        }
        events.push(label.event()?);
    }
    if !events.is_empty() {
        Annotations::write(&store, &session, by(events, args.actor.as_deref()))?;
    }
    let annotated = Annotations::of(&store, &session)?;
    store.close()?;
    show(&session, &annotated, app)
}

/// Events of an actor, if one is named.
pub(super) fn by(events: Vec<NewEvent>, actor: Option<&str>) -> Vec<NewEvent> {
    let named = |event: NewEvent| match actor {
        Some(actor) => event.actor(actor.to_owned()),
        None => event,
    };
    events.into_iter().map(named).collect()
}

type Changes = (BTreeMap<String, SessionLabelled>, Vec<SessionUnlabelled>);

/// Of several values for a key the last counts.
fn changes(args: &Args) -> Result<Changes, Failure> {
    let labels = args.set.iter().map(|(key, value)| SessionLabelled::new(key, value));
    let set = labels
        .map(|label| label.map(|label| (label.key.clone(), label)))
        .collect::<Result<BTreeMap<_, _>, Invalid>>()?;
    let mut keys = args.remove.clone();
    keys.sort();
    keys.dedup();
    if let Some(key) = keys.iter().find(|key| set.contains_key(*key)) {
        return Err(Failure::Usage(format!("the label {key} is both set and removed")));
    }
    let removed = keys.into_iter().map(SessionUnlabelled::new).collect::<Result<_, _>>()?;
    Ok((set, removed))
}

fn show(session: &SessionId, annotated: &Annotated, app: &mut App) -> Outcome {
    let out = &mut app.out;
    if !out.is_table() {
        out.begin_list()?;
        let mut labels = annotated.labels.iter();
        return labels.try_for_each(|(key, label)| out.item(&LabelView::new(session, key, label)));
    }
    if annotated.labels.is_empty() {
        out.note(format!("{session} has no labels"));
        return Ok(());
    }
    let now = Timestamp::now();
    let mut table = Table::new(&["KEY", "VALUE", "#SET", "BY"], out.width()).whole("KEY");
    for (key, label) in &annotated.labels {
        let lines = table.row(vec![
            cell(key).style(NAME),
            cell(&label.value),
            cell(ago(label.time, now)).style(DIM),
            cell(label.by.as_deref().unwrap_or_default()).style(DIM),
        ]);
        out.lines(lines)?;
    }
    out.lines(table.lines())
}
