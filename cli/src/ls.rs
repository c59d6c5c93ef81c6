//! `retold ls`

use clap::builder::{PossibleValuesParser, TypedValueParser};

use super::app::App;
use super::failure::Outcome;
use super::listing::{Page, left_out};
use super::named;
use super::outdated::outdated;
use super::span::{ago, amount, bar, of_phase, since};
use super::style::{BAD, DIM, NAME, PLAIN};
use super::table::{Cell, Table, cell};
use super::view::grouped;
use retold::agents::projections::sessions::{
    LabelTest, SessionMark, SessionPage, SessionQuery, SessionSort, SessionStatus,
};
use retold::agents::projections::{Board, Card, ConversationStatus};
use retold::event::{BranchName, NamePattern, Phase, Timestamp};
use retold::wire::SessionCard;

#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:
  retold ls                                    those in which something happened last come first
  retold ls --status running --since 1h        running, with an event in the last hour
  retold ls --sort tokens --limit 10           the ten that used the most tokens
  retold ls --label team=search --label prio   those with both labels, prio with any value
  retold ls --after run-7                      those that follow run-7 in the same order

Status and progress are those of the current branch, which is named if it is not main; everything else is that of all branches, each event counted once. AGE and LAST say how long ago the first and the newest event happened: a session that was imported today is as old as what is in it. With -o json those are first_occurred and last_occurred.")]
pub(super) struct Args {
    /// Only sessions with this status: created, running, paused, waiting, completed, failed, stopped, cancelled,
    /// deleted, abandoned, or none; repeat to add more
    #[arg(long, value_name = "PHASE")]
    status: Vec<SessionStatus>,
    /// Only sessions with an event of this source
    #[arg(long, value_name = "SOURCE")]
    source: Option<String>,
    /// Only sessions whose title matches this glob; * and ? are taken
    #[arg(long, value_name = "GLOB")]
    title: Option<NamePattern>,
    /// Sort by last, tokens, cost, events, errors (most first), age (oldest first) or name
    #[arg(long, value_name = "BY", default_value = "last", hide_possible_values = true, value_parser = sorts())]
    sort: SessionSort,
    /// Reverse the order
    #[arg(long)]
    reverse: bool,
    /// Only sessions in which something happened since this time, or in the last 90s, 15m, 1h 30m, 7d
    #[arg(long, value_name = "TIME|SPAN", value_parser = since)]
    since: Option<Timestamp>,
    /// Only sessions with this label, or with this value of it; repeat to require more
    #[arg(long, value_name = "KEY[=VALUE]")]
    label: Vec<LabelTest>,
    /// Go by when events were recorded, not by when they happened
    #[arg(long)]
    recorded: bool,
    #[command(flatten)]
    page: Page,
}

fn sorts() -> impl TypedValueParser<Value = SessionSort> {
    PossibleValuesParser::new(SessionSort::ALL.map(SessionSort::as_str))
        .try_map(|word| word.parse::<SessionSort>())
}

impl Args {
    fn query(&self, limit: usize) -> SessionQuery {
        let mut query = SessionQuery::new().sort(self.sort).limit(limit);
        for status in &self.status {
            query = query.status(*status);
        }
        for label in &self.label {
            query = query.label(label.clone());
        }
        if let Some(title) = &self.title {
            query = query.title(title.clone());
        }
        if let Some(source) = &self.source {
            query = query.source(source);
        }
        if let Some(since) = self.since {
            query = query.since(since);
        }
        if self.recorded {
            query = query.recorded();
        }
        if self.reverse { query.reverse() } else { query }
    }

    /// When the first and the newest event of a session happened, or were recorded.
    fn times(&self, card: &Card) -> (Timestamp, Option<Timestamp>) {
        match self.recorded {
            true => (card.info.created, card.info.last),
            false => (card.first.unwrap_or(card.info.created), card.last),
        }
    }
}

pub(super) fn run(args: &Args, app: &mut App) -> Outcome {
    let after = args.page.after.as_deref().map(str::parse::<SessionMark>).transpose()?;
    let store = app.reading()?;
    let mut query = args.query(args.page.limit(&app.out));
    if let Some(mark) = after {
        // A name may be given by its beginning.
        let is_name = args.page.after.as_deref() == Some(mark.session().as_str());
        let name = mark.session().as_str();
        let named: SessionMark =
            if is_name { named::session(&store, name, &mut app.out)?.into() } else { mark };
        query = query.after(named);
    }
    let catalogue = app.catalogue()?;
    // Before the projections are registered, which may begin to build them anew.
    let outdated = if app.out.is_table() { outdated(&store, &catalogue)? } else { None };
    let page = Board::new(&store, &catalogue)?.list(&query, |_| true)?;
    show(args, &page, app)?;
    if let Some(old) = outdated {
        app.out.note(old);
    }
    if let Some(last) = page.sessions.last() {
        let by_name = args.sort == SessionSort::Name && !args.reverse;
        let left = Some(page.left).filter(|left| *left == 0 || !by_name);
        left_out(page.sessions.len(), last.card.info.session.as_str(), left, &mut app.out);
    }
    Ok(())
}

fn show(args: &Args, page: &SessionPage, app: &mut App) -> Outcome {
    let out = &mut app.out;
    let mut cards = page.sessions.iter().map(|listed| &listed.card);
    if !out.is_table() {
        out.begin_list()?;
        return cards.try_for_each(|card| out.item(&SessionCard::from(card)));
    }
    if page.sessions.is_empty() {
        out.note(match (page.looked_at, &args.page.after) {
            // By name the sessions before it were not looked at.
            (_, Some(after)) => format!("no session that matches comes after {after}"),
            (0, None) => format!("{} has no sessions yet", app.store.display()),
            (n, None) => format!("none of {} sessions matches", grouped(n as u64)),
        });
        return Ok(());
    }
    let names =
        ["SESSION", "STATUS", "PROGRESS", "#EVENTS", "#TOKENS", "#USD", "#ERRORS", "#AGE", "#LAST", "TITLE"];
    let now = Timestamp::now();
    let mut table = Table::new(&names, out.width()).spare(&["AGE", "USD", "ERRORS", "EVENTS", "PROGRESS"]);
    for card in cards {
        let lines = table.row(row(card, args.times(card), now));
        out.lines(lines)?;
    }
    out.lines(table.lines())
}

fn row(card: &Card, (first, last): (Timestamp, Option<Timestamp>), now: Timestamp) -> Vec<Cell> {
    let some = |value: f64| cell(if value == 0.0 { String::new() } else { amount(value) });
    let name = match card.info.current == BranchName::main() {
        true => card.info.session.to_string(),
        false => format!("{}/{}", card.info.session, card.info.current),
    };
    let status = match (card.standing, card.phase) {
        (Some(ConversationStatus::Running), _) => cell("running").style(of_phase(Phase::Running)),
        (Some(ConversationStatus::Completed), _) => cell("completed").style(of_phase(Phase::Completed)),
        (Some(other), _) => cell(other.as_str()).style(DIM),
        (None, Some(phase)) => cell(phase).style(of_phase(phase)),
        (None, None) => cell("-").style(DIM),
    };
    let progress = card.fraction.map(|f| format!("{} {:>3.0}%", bar(f, 8), f * 100.0)).unwrap_or_default();
    vec![
        cell(name).style(NAME),
        status,
        cell(progress),
        cell(grouped(card.info.events)),
        some(card.tokens.round()),
        cell(if card.cost_usd == 0.0 { String::new() } else { format!("{:.2}", card.cost_usd) }),
        some(card.errors).style(if card.errors > 0.0 { BAD } else { PLAIN }),
        cell(ago(first, now)).style(DIM),
        cell(last.map(|t| ago(t, now)).unwrap_or_default()).style(DIM),
        about(card),
    ]
}

/// What went wrong, else what the session is about.
fn about(card: &Card) -> Cell {
    match (&card.why, &card.title) {
        (Some(why), _) if card.phase == Some(Phase::Failed) => cell(why).style(BAD),
        (_, Some(title)) => cell(title),
        (Some(why), None) => cell(why).style(DIM),
        (None, None) => cell(""),
    }
}
