//! `retold ls`

use std::cmp::Reverse;

use super::app::App;
use super::failure::Outcome;
use super::label::{Wanted as WantedLabel, has_all, wanted};
use super::span::{ago, amount, bar, of_phase, since};
use super::style::{BAD, DIM, NAME, PLAIN};
use super::table::{Cell, Table, cell};
use super::view::grouped;
use retold::agents::projections::{Board, Card};
use retold::event::{BranchName, Phase, Timestamp};
use retold::limits::MAX_LISTING;
use retold::store::SessionInfo;
use retold::wire::SessionCard;

#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:
  retold ls                                    most recently written first
  retold ls --status running --since 1h        running, with an event in the last hour
  retold ls --sort tokens --limit 10           the ten that used the most tokens
  retold ls --label team=search --label prio   those with both labels, prio with any value

Status and progress are those of the current branch, which is named if it is not main; tokens, cost and errors are those of all branches together.")]
pub(super) struct Args {
    /// Only sessions in this phase: created, running, paused, waiting, completed, failed, stopped, cancelled,
    /// deleted, or none; repeat to add more
    #[arg(long, value_name = "PHASE", value_parser = phase)]
    status: Vec<Wanted>,
    /// Sort by last, tokens, cost, events, errors (most first), age (oldest first) or name
    #[arg(long, value_name = "BY", default_value = "last", hide_possible_values = true)]
    sort: Sort,
    /// Reverse the order
    #[arg(long)]
    reverse: bool,
    /// Only sessions with an event since this time, or for this long: 90s, 15m, 1h 30m, 7d
    #[arg(long, value_name = "TIME|SPAN", value_parser = since)]
    since: Option<Timestamp>,
    /// Only sessions with this label, or with this value of it; repeat to require more
    #[arg(long, value_name = "KEY[=VALUE]", value_parser = wanted)]
    label: Vec<WantedLabel>,
    /// At most this many
    #[arg(long, value_name = "N")]
    limit: Option<usize>,
}

/// A phase, or that it is unknown.
type Wanted = Option<Phase>;

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
    let names = || Phase::ALL.map(Phase::as_str).join(", ");
    Phase::of_word(word).map(Some).ok_or_else(|| format!("not a phase; use one of {}, none", names()))
}

pub(super) fn run(args: &Args, app: &mut App) -> Outcome {
    let store = app.reading()?;
    let board = Board::new(&store, &app.catalogue()?)?;
    let mut cards: Vec<Card> = Vec::new();
    let mut last: Option<SessionInfo> = None;
    let mut all = 0usize;
    loop {
        let page = store.sessions(last.as_ref().map(|s| &s.session), MAX_LISTING)?;
        all += page.len();
        for info in page.iter().filter(|info| args.since.is_none_or(|since| info.last >= Some(since))) {
            let card = board.card(info)?;
            let is_recent = args.since.is_none_or(|since| card.info.last >= Some(since));
            let has_status = args.status.is_empty() || args.status.contains(&card.phase);
            if is_recent && has_status && has_all(&card.labels, &args.label) {
                cards.push(card);
            }
        }
        match page.into_iter().next_back() {
            Some(info) => last = Some(info),
            None => break,
        }
    }
    sort(&mut cards, args.sort);
    if args.reverse {
        cards.reverse();
    }
    cards.truncate(args.limit.unwrap_or(usize::MAX));
    show(&cards, all, app)
}

fn sort(cards: &mut [Card], by: Sort) {
    let most = |cards: &mut [Card], key: fn(&Card) -> f64| {
        cards.sort_by(|a, b| key(b).total_cmp(&key(a)));
    };
    match by {
        Sort::Last => cards.sort_by_key(|c| Reverse(c.info.last)),
        Sort::Tokens => most(cards, |c| c.tokens),
        Sort::Cost => most(cards, |c| c.cost_usd),
        Sort::Errors => most(cards, |c| c.errors),
        Sort::Events => cards.sort_by_key(|c| Reverse(c.info.events)),
        Sort::Age => cards.sort_by_key(|c| c.info.created),
        // Unsorted.
        Sort::Name => {}
    }
}

fn show(cards: &[Card], all: usize, app: &mut App) -> Outcome {
    let out = &mut app.out;
    if !out.is_table() {
        out.begin_list()?;
        return cards.iter().try_for_each(|card| out.item(&SessionCard::from(card)));
    }
    if cards.is_empty() {
        out.note(match all {
            0 => format!("{} has no sessions yet", app.store.display()),
            n => format!("none of {} sessions matches", grouped(n as u64)),
        });
        return Ok(());
    }
    let names =
        ["SESSION", "STATUS", "PROGRESS", "#EVENTS", "#TOKENS", "#USD", "#ERRORS", "#AGE", "#LAST", "WHY"];
    let now = Timestamp::now();
    let mut table = Table::new(&names, out.width()).spare(&["AGE", "USD", "ERRORS", "EVENTS", "PROGRESS"]);
    for card in cards {
        let lines = table.row(row(card, now));
        out.lines(lines)?;
    }
    out.lines(table.lines())
}

fn row(card: &Card, now: Timestamp) -> Vec<Cell> {
    let some = |value: f64| cell(if value == 0.0 { String::new() } else { amount(value) });
    let name = match card.info.current == BranchName::main() {
        true => card.info.session.to_string(),
        false => format!("{}/{}", card.info.session, card.info.current),
    };
    let status = card.phase.map_or(cell("-").style(DIM), |p| cell(p).style(of_phase(p)));
    let progress = card.fraction.map(|f| format!("{} {:>3.0}%", bar(f, 8), f * 100.0)).unwrap_or_default();
    vec![
        cell(name).style(NAME),
        status,
        cell(progress),
        cell(grouped(card.info.events)),
        some(card.tokens.round()),
        cell(if card.cost_usd == 0.0 { String::new() } else { format!("{:.2}", card.cost_usd) }),
        some(card.errors).style(if card.errors > 0.0 { BAD } else { PLAIN }),
        cell(ago(card.info.created, now)).style(DIM),
        cell(card.info.last.map(|t| ago(t, now)).unwrap_or_default()).style(DIM),
        cell(card.why.clone().unwrap_or_default()).style(DIM),
    ]
}
