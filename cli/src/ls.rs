//! `retold ls`

use std::cmp::Reverse;

use super::app::App;
use super::failure::Outcome;
use super::label::{Wanted as WantedLabel, has_all, wanted};
use super::listing::{Page, left_out};
use super::named;
use super::outdated::outdated;
use super::span::{ago, amount, bar, of_phase, since};
use super::style::{BAD, DIM, NAME, PLAIN};
use super::table::{Cell, Table, cell};
use super::view::grouped;
use retold::agents::projections::{Board, Card, ConversationStatus};
use retold::error::{Error, Result};
use retold::event::{BranchName, NamePattern, Phase, SessionId, Timestamp};
use retold::limits::MAX_LISTING;
use retold::store::{SessionInfo, Store};
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
    #[arg(long, value_name = "PHASE", value_parser = phase)]
    status: Vec<Wanted>,
    /// Only sessions with an event of this source
    #[arg(long, value_name = "SOURCE")]
    source: Option<String>,
    /// Only sessions whose title matches this glob; * and ? are taken
    #[arg(long, value_name = "GLOB")]
    title: Option<NamePattern>,
    /// Sort by last, tokens, cost, events, errors (most first), age (oldest first) or name
    #[arg(long, value_name = "BY", default_value = "last", hide_possible_values = true)]
    sort: Sort,
    /// Reverse the order
    #[arg(long)]
    reverse: bool,
    /// Only sessions in which something happened since this time, or in the last 90s, 15m, 1h 30m, 7d
    #[arg(long, value_name = "TIME|SPAN", value_parser = since)]
    since: Option<Timestamp>,
    /// Only sessions with this label, or with this value of it; repeat to require more
    #[arg(long, value_name = "KEY[=VALUE]", value_parser = wanted)]
    label: Vec<WantedLabel>,
    /// Go by when events were recorded, not by when they happened
    #[arg(long)]
    recorded: bool,
    #[command(flatten)]
    page: Page,
}

/// The word of a status, or that it is unknown.
type Wanted = Option<&'static str>;

#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
enum Sort {
    Last,
    Tokens,
    Cost,
    Events,
    Errors,
    Age,
    Name,
}

fn phase(word: &str) -> Result<Wanted, String> {
    if word == "none" {
        return Ok(None);
    }
    let abandoned = ConversationStatus::Abandoned.as_str();
    if word == abandoned {
        return Ok(Some(abandoned));
    }
    let names = || Phase::ALL.map(Phase::as_str).join(", ");
    let known = Phase::of_word(word).map(|phase| Some(phase.as_str()));
    known.ok_or_else(|| format!("not a status; use one of {}, {abandoned}, none", names()))
}

/// A session before it is known whether it is shown.
struct Listed {
    info: SessionInfo,
    first: Timestamp,
    last: Option<Timestamp>,
    /// What was needed of it so far.
    card: Option<Card>,
}

impl Args {
    /// Whether all sessions need a card, which costs more than their times.
    fn needs_cards(&self) -> bool {
        !self.status.is_empty()
            || !self.label.is_empty()
            || self.title.is_some()
            || matches!(self.sort, Sort::Tokens | Sort::Cost | Sort::Errors)
    }

    /// Whether it has to be known of all sessions when things happened.
    fn needs_times(&self) -> bool {
        !self.recorded && (self.since.is_some() || matches!(self.sort, Sort::Last | Sort::Age))
    }

    /// The session with what it is listed by, and whether it is.
    fn listed(&self, info: SessionInfo, store: &Store, board: &Board) -> Result<(Listed, bool)> {
        let mut listed = Listed { first: info.created, last: info.last, card: None, info };
        let mut is_wanted = true;
        if self.needs_times() || self.source.is_some() {
            let figures = match board.figures(&listed.info.session) {
                // It was deleted meanwhile.
                Err(Error::NotFound { .. } | Error::Deleted { .. }) => return Ok((listed, false)),
                found => found?,
            };
            if let Some(source) = &self.source {
                is_wanted = figures.has_source(store, &listed.info.session, source)?;
            }
            if self.needs_times() {
                (listed.first, listed.last) = (figures.first.unwrap_or(listed.first), figures.newest);
            }
        }
        is_wanted &= self.since.is_none_or(|since| listed.last >= Some(since));
        if self.needs_cards() {
            let card = board.card(&listed.info)?;
            is_wanted &= self.status.is_empty() || self.status.contains(&card.status());
            is_wanted &= has_all(&card.labels, &self.label);
            is_wanted &= self
                .title
                .as_ref()
                .is_none_or(|glob| card.title.as_deref().is_some_and(|title| glob.matches(title)));
            listed.card = Some(card);
        }
        Ok((listed, is_wanted))
    }
}

pub(super) fn run(args: &Args, app: &mut App) -> Outcome {
    args.page.after.as_deref().map(SessionId::new).transpose()?;
    let store = app.reading()?;
    let after =
        args.page.after.as_deref().map(|after| named::session(&store, after, &mut app.out)).transpose()?;
    let catalogue = app.catalogue()?;
    // Before the projections are registered, which may begin to build them anew.
    let outdated = if app.out.is_table() { outdated(&store, &catalogue)? } else { None };
    let board = Board::new(&store, &catalogue)?;
    let mut found: Vec<Listed> = Vec::new();
    let mut last: Option<SessionId> = None;
    let mut all = 0usize;
    loop {
        let page = store.sessions(last.as_ref(), MAX_LISTING)?;
        all += page.len();
        let Some(end) = page.last().map(|info| info.session.clone()) else { break };
        last = Some(end);
        for info in page {
            // The one after which the page begins says where that is, whether it is wanted or not.
            let is_after = after.as_ref() == Some(&info.session);
            let (listed, is_wanted) = args.listed(info, &store, &board)?;
            if is_wanted || is_after {
                found.push(listed);
            }
        }
    }
    sort(&mut found, args.sort);
    if args.reverse {
        found.reverse();
    }
    let from = match after {
        None => 0,
        Some(after) => match found.iter().position(|listed| listed.info.session == after) {
            Some(at) => at + 1,
            // The pages would begin again.
            None => return Err(Error::not_found("session", after).into()),
        },
    };
    let mut found = found.split_off(from);
    let more = found.len().saturating_sub(args.page.limit(&app.out));
    found.truncate(found.len() - more);
    for listed in &mut found {
        let card = match listed.card.take() {
            Some(card) => card,
            None => board.card(&listed.info)?,
        };
        if !args.recorded {
            (listed.first, listed.last) = (card.first.unwrap_or(listed.first), card.last);
        } else {
            // Labels and notes that were added later do not count.
            listed.last = card.info.last;
        }
        listed.card = Some(card);
    }
    show(&found, all, app)?;
    if let Some(old) = outdated {
        app.out.note(old);
    }
    if let Some(last) = found.last() {
        left_out(found.len(), last.info.session.as_str(), Some(more), &mut app.out);
    }
    Ok(())
}

fn sort(found: &mut [Listed], by: Sort) {
    let most = |found: &mut [Listed], key: fn(&Card) -> f64| {
        let of = |listed: &Listed| listed.card.as_ref().map_or(0.0, key);
        found.sort_by(|a, b| of(b).total_cmp(&of(a)));
    };
    match by {
        Sort::Last => found.sort_by_key(|listed| Reverse(listed.last)),
        Sort::Tokens => most(found, |c| c.tokens),
        Sort::Cost => most(found, |c| c.cost_usd),
        Sort::Errors => most(found, |c| c.errors),
        Sort::Events => found.sort_by_key(|listed| Reverse(listed.info.events)),
        Sort::Age => found.sort_by_key(|listed| listed.first),
        // Unsorted.
        Sort::Name => {}
    }
}

fn show(found: &[Listed], all: usize, app: &mut App) -> Outcome {
    let out = &mut app.out;
    let cards = || found.iter().filter_map(|listed| Some((listed, listed.card.as_ref()?)));
    if !out.is_table() {
        out.begin_list()?;
        return cards().try_for_each(|(_, card)| out.item(&SessionCard::from(card)));
    }
    if found.is_empty() {
        out.note(match all {
            0 => format!("{} has no sessions yet", app.store.display()),
            n => format!("none of {} sessions matches", grouped(n as u64)),
        });
        return Ok(());
    }
    let names =
        ["SESSION", "STATUS", "PROGRESS", "#EVENTS", "#TOKENS", "#USD", "#ERRORS", "#AGE", "#LAST", "TITLE"];
    let now = Timestamp::now();
    let mut table = Table::new(&names, out.width()).spare(&["AGE", "USD", "ERRORS", "EVENTS", "PROGRESS"]);
    for (listed, card) in cards() {
        let lines = table.row(row(listed, card, now));
        out.lines(lines)?;
    }
    out.lines(table.lines())
}

fn row(listed: &Listed, card: &Card, now: Timestamp) -> Vec<Cell> {
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
        cell(ago(listed.first, now)).style(DIM),
        cell(listed.last.map(|t| ago(t, now)).unwrap_or_default()).style(DIM),
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
