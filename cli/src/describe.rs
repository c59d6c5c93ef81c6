//! `retold describe`

use super::annotations::{labels, notes};
use super::app::App;
use super::branches::{LEVEL, named, tree};
use super::current::Shown;
use super::failure::Outcome;
use super::span::{ago, amount, bar, of_phase, span, sparks, wrapped};
use super::stem::fitted;
use super::style::{BAD, DIM, HEADER, NAME, NOTICE, paint};
use super::table::{Table, cell, clean, hung, shorten};
use super::view::{Events, View, count, grouped, of_branch, short};
use retold::agents::projections::{Annotated, Board, Figures, Glance, Life, Stats, Track, Used};
use retold::event::{Address, BranchName, Event, Phase, Sequence, Timestamp};
use retold::limits::MAX_PAGE;
use retold::store::{BranchInfo, Query};
use retold::wire::Described;

/// Rows of each section, so that all fit on one screen.
const ROWS: usize = 8;

#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:
  retold describe run-7               now
  retold describe run-7/retry@12      a branch after one of its events")]
pub(super) struct Args {
    /// SESSION[/BRANCH][@SEQ]; without a branch, the current one
    #[arg(value_name = "ADDRESS")]
    address: Shown,
    /// How many of the latest events to show
    #[arg(long, value_name = "N", default_value_t = ROWS)]
    events: usize,
}

pub(super) fn run(args: &Args, app: &mut App) -> Outcome {
    let store = app.reading()?;
    let board = Board::new(&store, &app.catalogue()?)?;
    let address = args.address.resolve(&store, &mut app.out)?;
    let place = Address::from(address.place().clone());
    let head = match address.sequence() {
        Some(sequence) => sequence,
        None => store.head(&place)?,
    };
    let at = place.clone().at(head);
    let glance = board.glance(&at)?;
    let figures = store.project(Stats::of_sessions())?.state(at.session().as_str())?;
    let branches = store.branches(at.session())?;
    let current = store.current(at.session())?;
    let spent = board.spent(at.session())?;
    let annotated = board.annotated(at.session())?;
    let shown = args.events.min(MAX_PAGE);
    let first = Sequence::new(head.get().saturating_sub(shown as u64) + 1);
    let last: Vec<Event> = match shown.min(head.get() as usize) {
        0 => Vec::new(),
        n => store.events(Query::branch(place.clone())?.from(first).limit(n))?.collect::<Result<_, _>>()?,
    };
    if !app.out.is_table() {
        let described = Described::new(&at, &glance, &spent, &figures, (&branches, &current), &last)
            .annotated(&annotated);
        return app.out.document(&described);
    }
    let view = of_branch(&store, &place)?;
    Screen { app, now: Timestamp::now(), spent, current, annotated }
        .show(&at, &glance, &figures, &branches, &last, view)
}

/// Columns of the label before a line, with the gap.
const INDENT: usize = 11;

struct Screen<'a> {
    app: &'a mut App,
    now: Timestamp,
    /// Of the whole session, across its branches.
    spent: Used,
    /// The session's current branch.
    current: BranchName,
    /// Labels and notes.
    annotated: Annotated,
}

impl Screen<'_> {
    fn show(
        &mut self,
        at: &Address,
        glance: &Glance,
        figures: &Figures,
        branches: &[BranchInfo],
        last: &[Event],
        view: View,
    ) -> Outcome {
        self.head(at, &glance.lifecycle.session, figures)?;
        self.annotations()?;
        if let Some(track) = &glance.progress.session {
            self.progress(track)?;
        }
        self.phases(&glance.lifecycle.session)?;
        self.entities(glance)?;
        self.resources(glance)?;
        self.anomalies(glance)?;
        self.branches(branches)?;
        if !last.is_empty() {
            self.title("LAST EVENTS")?;
            let catalogue = self.app.catalogue()?;
            let mut events = Events::new(&mut self.app.out, view, catalogue)?;
            last.iter().try_for_each(|event| events.event(event))?;
            events.flush()?;
        }
        Ok(())
    }

    fn line(&mut self, name: &str, text: impl std::fmt::Display) -> Outcome {
        self.app.out.line(format!("{}  {text}", paint(DIM, format!("{name:>9}"))))
    }

    /// Side by side, or stacked on a narrow terminal.
    fn pieces(&mut self, name: &str, pieces: &[String]) -> Outcome {
        let room = self.app.out.width().map(|width| width.saturating_sub(INDENT));
        let text = wrapped(pieces, room);
        text.lines().enumerate().try_for_each(|(n, line)| self.line(if n == 0 { name } else { "" }, line))
    }

    fn title(&mut self, text: &str) -> Outcome {
        self.app.out.line("")?;
        self.app.out.line(paint(HEADER, text))
    }

    fn table(&mut self, names: &[&str], rows: Vec<Vec<super::table::Cell>>) -> Outcome {
        let mut table = Table::new(names, self.app.out.width());
        for row in rows {
            let lines = table.row(row);
            self.app.out.lines(lines)?;
        }
        self.app.out.lines(table.lines())
    }

    fn head(&mut self, at: &Address, life: &Life, figures: &Figures) -> Outcome {
        self.line("session", paint(NAME, at))?;
        let status = match life.phase {
            Some(phase) => {
                let since = format!("since {}, {}", short(life.since), ago(life.since, self.now));
                let by = life.by.as_ref().map(|by| format!(", by {by}")).unwrap_or_default();
                format!("{} {}", paint(of_phase(phase), phase), paint(DIM, clean(&format!("{since}{by}"))))
            }
            None => paint(DIM, "unknown (no lifecycle events yet)"),
        };
        self.line("status", status)?;
        let width = self.app.out.width().map_or(160, |w| w.saturating_sub(11));
        for (name, text) in [("reason", &life.reason), ("error", &life.error)] {
            if let Some(text) = text {
                self.line(name, shorten(&clean(text), width))?;
            }
        }
        if let Some(us) = life.completed_after_us {
            let since = if life.restarts > 0 { " since it last began" } else { "" };
            self.line("took", format!("{}{}", span(us), paint(DIM, since)))?;
        }
        let often = [(life.restarts, "restart"), (life.failures, "failure")];
        let often: Vec<String> =
            often.iter().filter(|(n, _)| *n > 0).map(|(n, what)| count(*n, what)).collect();
        if !often.is_empty() {
            self.line("", paint(NOTICE, often.join(", ")))?;
        }
        if let (Some(first), Some(newest)) = (figures.first, figures.newest) {
            let of = format!("{}, {} to {}", grouped(figures.events), short(first), short(newest));
            self.line("events", of)?;
            let rate = figures.per_minute(self.now.max(newest));
            let width = span(figures.chart.width.unsigned_abs().saturating_mul(1_000_000));
            let columns = sparks(figures.chart.counts.iter());
            let said = paint(DIM, format!("{width} each, now {rate:.1} per minute"));
            self.pieces("", &[columns, said])?;
        }
        Ok(())
    }

    fn annotations(&mut self) -> Outcome {
        let room = self.app.out.width().map_or(160, |w| w.saturating_sub(INDENT));
        let notes = notes(&self.annotated, self.now, room);
        self.pieces("labels", &labels(&self.annotated))?;
        let mut notes = notes.iter().enumerate();
        notes.try_for_each(|(n, note)| self.line(if n == 0 { "notes" } else { "" }, note))
    }

    fn progress(&mut self, track: &Track) -> Outcome {
        if let Some(fraction) = track.fraction {
            let left = track.left_at(self.now).map(|us| match us {
                0 => "overdue".to_owned(),
                us => format!("about {} left", span(us)),
            });
            let parts: Vec<String> =
                [left, track.stage.clone(), track.description.clone()].into_iter().flatten().collect();
            let share = format!("{} {:.0}%", bar(fraction, 30), fraction * 100.0);
            self.line("progress", format!("{share}  {}", paint(DIM, clean(&parts.join(", ")))))?;
        } else if let Some(stage) = &track.stage {
            self.line("stage", clean(stage))?;
        }
        if track.reached > 0 {
            let last: Vec<&str> = track.milestones.iter().rev().take(4).map(|m| m.name.as_str()).collect();
            let names: Vec<&str> = last.into_iter().rev().collect();
            let more = track.reached - names.len() as u64;
            let before = if more > 0 { format!("{more} before, ") } else { String::new() };
            self.line("reached", clean(&format!("{before}{}", names.join(", "))))?;
        }
        Ok(())
    }

    fn phases(&mut self, life: &Life) -> Outcome {
        // Time stops when an entity has ended.
        let until = if life.has_ended() { life.since } else { self.now };
        let spent: Vec<String> = Phase::ALL
            .iter()
            .filter_map(|phase| Some((phase, life.spent(*phase, until))).filter(|(_, us)| *us > 0))
            .map(|(phase, us)| format!("{} {}", paint(of_phase(*phase), phase), span(us)))
            .collect();
        self.pieces("time in", &spent)
    }

    fn entities(&mut self, glance: &Glance) -> Outcome {
        let lives = &glance.lifecycle;
        if lives.kinds.is_empty() {
            return Ok(());
        }
        self.title("ENTITIES")?;
        let rows = lives.kinds.iter().map(|(kind, tally)| {
            let phases = tally.phases.iter().map(|(phase, n)| format!("{} {phase}", grouped(*n)));
            let phases: Vec<String> = phases.collect();
            vec![
                cell(kind).style(NAME),
                cell(grouped(tally.lives)),
                cell(tally.mean_completion_us().map(span).unwrap_or_default()),
                cell(tally.slowest_us.map(span).unwrap_or_default()),
                cell(if tally.restarts > 0 { grouped(tally.restarts) } else { String::new() }),
                cell(phases.join(", ")),
            ]
        });
        self.table(&["KIND", "#COUNT", "#MEAN", "#SLOWEST", "#RESTARTS", "NOW"], rows.collect())?;
        let mut open: Vec<(&String, &String, &Life)> = lives
            .entities
            .iter()
            .flat_map(|(kind, of)| of.iter().map(move |(id, life)| (kind, id, life)))
            .filter(|(_, _, life)| !life.has_ended() || life.phase == Some(Phase::Failed))
            .collect();
        open.sort_by_key(|(_, _, life)| std::cmp::Reverse(life.sequence));
        if open.is_empty() {
            return Ok(());
        }
        self.title("ACTIVE OR FAILED")?;
        let rows = open.iter().take(ROWS).map(|(kind, id, life)| {
            let track = glance.progress.entities.get(*kind).and_then(|of| of.get(*id));
            let share = track.and_then(|t| t.fraction).map(|f| format!("{:.0}%", f * 100.0));
            let name = life.name.as_deref().filter(|name| name != id);
            let why = life.error.as_deref().or(life.reason.as_deref()).or(name).unwrap_or_default();
            vec![
                cell(format!("{kind} {id}")).style(NAME),
                life.phase.map_or(cell(""), |phase| cell(phase).style(of_phase(phase))),
                cell(share.unwrap_or_default()),
                cell(ago(life.since, self.now)).style(DIM),
                cell(why),
            ]
        });
        let rows: Vec<_> = rows.collect();
        self.table(&["ENTITY", "STATUS", "#DONE", "#SINCE", "WHY"], rows)?;
        self.more(open.len(), ROWS)
    }

    fn more(&mut self, all: usize, shown: usize) -> Outcome {
        match all.saturating_sub(shown) {
            0 => Ok(()),
            n => self.app.out.line(paint(DIM, format!("… and {} more", grouped(n as u64)))),
        }
    }

    fn resources(&mut self, glance: &Glance) -> Outcome {
        let used = &glance.resource;
        if used.measures.is_empty() && self.spent.measures.is_empty() {
            return Ok(());
        }
        self.title("USED")?;
        let rows = used.measures.iter().map(|(measure, a)| {
            let by: Vec<String> = used
                .models
                .iter()
                .filter_map(|(model, of)| Some(format!("{model} {}", amount(of.get(measure)?.sum))))
                .collect();
            vec![
                cell(measure).style(NAME),
                cell(amount(a.sum)),
                cell(amount(a.last)),
                cell(amount(a.peak)),
                cell(amount(a.mean)),
                cell(by.join(", ")).style(DIM),
            ]
        });
        if !used.measures.is_empty() {
            self.table(&["MEASURE", "#SUM", "#LAST", "#PEAK", "#MEAN", "BY MODEL"], rows.collect())?;
        }
        let all = &self.spent;
        if all.tokens() == used.tokens() && all.sum("cost_usd") == used.sum("cost_usd") {
            return Ok(());
        }
        let cost = all.measures.get("cost_usd").map(|cost| format!(", {:.2} USD", cost.sum));
        let tokens = format!("{} tokens{}", amount(all.tokens()), cost.unwrap_or_default());
        self.app.out.line(paint(DIM, format!("all branches together: {tokens}")))
    }

    fn anomalies(&mut self, glance: &Glance) -> Outcome {
        let lives = &glance.lifecycle;
        if lives.odd == 0 {
            return Ok(());
        }
        self.title("ANOMALIES")?;
        let rows = lives.anomalies.iter().rev().take(ROWS).map(|odd| {
            vec![
                cell(&odd.at).style(NAME),
                cell(&odd.kind).style(BAD),
                cell(format!("{} {}", odd.entity, odd.id)),
                cell(&odd.why),
            ]
        });
        self.table(&["EVENT", "TYPE", "ENTITY", "WHY"], rows.collect())?;
        self.more(usize::try_from(lives.odd).unwrap_or(usize::MAX), ROWS)
    }

    fn branches(&mut self, branches: &[BranchInfo]) -> Outcome {
        if branches.len() < 2
            && branches.iter().all(|b| b.closed.is_none() && b.expires.is_none() && !b.parent_deleted)
        {
            return Ok(());
        }
        self.title("BRANCHES")?;
        let width = self.app.out.width();
        let rows = tree(branches).into_iter().take(ROWS).map(|(stem, branch)| {
            let from = branch.parent.as_ref().map(|(_, at)| format!("@{at}")).unwrap_or_default();
            vec![
                hung(&fitted(&stem, LEVEL, width), named(branch, &self.current)).style(NAME),
                cell(from),
                cell(branch.head),
                cell(branch.last.map(|t| ago(t, self.now)).unwrap_or_default()).style(DIM),
            ]
        });
        let rows = rows.collect();
        self.table(&["BRANCH", "#FROM", "#HEAD", "#LAST"], rows)?;
        self.more(branches.len(), ROWS)
    }
}
