//! The timeline in the terminal: a bar for each entity.

use anstyle::Style;
use unicode_width::UnicodeWidthStr;

use super::chart::{Chart, label};
use super::scale::lasted;
use super::tree::LEVEL;
use crate::app::App;
use crate::failure::Outcome;
use crate::span::wrapped;
use crate::stem::fitted;
use crate::style::{BAD, DIM, GOOD, HEADER, NAME, NOTICE, PLAIN, paint};
use crate::table::shorten;
use retold::event::{Phase, Timestamp};
use retold::project::Lasting;

/// Width when there is no terminal.
const WIDTH: usize = 110;
/// Maximum width of the labels on a terminal that is not very wide, and minimum width of the bars.
const LABEL: usize = 34;
const LEAST: usize = 16;
/// Width of a tick's label with the gap after it.
const TICK: usize = 10;

pub(super) fn draw(chart: &Chart<'_>, app: &mut App) -> Outcome {
    let width = app.out.width().unwrap_or(WIDTH);
    let ends: Vec<(String, Style)> = chart.rows.iter().map(|row| end(row.entity)).collect();
    let wide = |texts: &mut dyn Iterator<Item = usize>| texts.max().unwrap_or_default();
    let after = wide(&mut ends.iter().map(|(text, _)| text.width()));
    let room = LABEL.max(width / 4).min(width.saturating_sub(after + LEAST + 4)).max(8);
    // A deep tree leaves room for what hangs in it.
    let stems: Vec<String> =
        chart.rows.iter().map(|row| fitted(&row.stem, LEVEL, Some(room * 3 / 2))).collect();
    let rows = || chart.rows.iter().zip(&stems);
    let labels: Vec<String> = rows().map(|(row, stem)| format!("{stem}{}", label(row.entity))).collect();
    let before = wide(&mut labels.iter().map(|l| l.width())).min(room);
    let bars = width.saturating_sub(before + after + 4).max(LEAST);

    app.out.line(format!("{}  {}", paint(HEADER, &chart.title), paint(DIM, chart.subtitle())))?;
    app.out.line(paint(DIM, format!("{:before$}  {}", "", axis(chart, bars)).trim_end()))?;
    if !chart.timeline.warnings().is_empty() {
        let mut cells = vec![(' ', PLAIN); bars];
        for warning in chart.timeline.warnings().iter().filter(|w| chart.scale.shows(w.at, w.at)) {
            put(&mut cells, column(chart, warning.at, bars), '▲', NOTICE);
        }
        app.out.line(format!("{}  {}", paint(NOTICE, pad("warnings", before)), painted(&cells)))?;
    }
    for (((row, stem), label), (end, style)) in rows().zip(labels).zip(ends) {
        let bar = painted(&cells(chart, row.entity, bars));
        let label = pad(&label, before);
        let label = match label.strip_prefix(stem) {
            Some(rest) => format!("{}{rest}", paint(DIM, stem)),
            None => label,
        };
        app.out.line(format!("{label}  {bar}  {}", paint(style, end)))?;
    }
    legend(chart, app);
    Ok(())
}

fn legend(chart: &Chart<'_>, app: &mut App) {
    let signs = [
        "╌ created",
        "█ running",
        "▒ paused",
        "░ waiting",
        "✓ completed",
        "✗ failed",
        "■ stopped",
        "○ cancelled",
        "× deleted",
    ];
    let mut text = wrapped(&signs, app.out.width());
    if chart.others > 0 {
        text = format!("{} shorter ones not shown: --limit 0 shows all\n{text}", chart.others);
    }
    if chart.timeline.left_out() > 0 {
        text = format!("{} events of other entities not shown\n{text}", chart.timeline.left_out());
    }
    app.out.note(paint(DIM, text));
}

fn pad(text: &str, columns: usize) -> String {
    let text = shorten(text, columns);
    let gap = columns.saturating_sub(text.width());
    text + &" ".repeat(gap)
}

/// The labels of the ticks, each at its time.
fn axis(chart: &Chart<'_>, bars: usize) -> String {
    let mut line = String::new();
    for (at, name) in chart.scale.ticks(bars / TICK, bars as f64) {
        let gap = (at as usize).saturating_sub(line.width());
        // There may be no space for the last label.
        if line.width() + gap + 1 + name.width() <= bars {
            line += &" ".repeat(gap);
            line += &format!("╵{name}");
        }
    }
    line
}

fn column(chart: &Chart<'_>, time: Timestamp, bars: usize) -> usize {
    (chart.scale.at(time, bars as f64) as usize).min(bars.saturating_sub(1))
}

fn put(cells: &mut [(char, Style)], at: usize, sign: char, style: Style) {
    if let Some(cell) = cells.get_mut(at) {
        *cell = (sign, style);
    }
}

fn cells(chart: &Chart<'_>, entity: &Lasting, bars: usize) -> Vec<(char, Style)> {
    let mut cells = vec![(' ', PLAIN); bars];
    let shown = entity.spans.iter().enumerate().filter(|(_, s)| chart.scale.shows(s.from, s.to));
    for (n, span) in shown {
        let (first, last) = (column(chart, span.from, bars), column(chart, span.to, bars));
        let style = of_phase(span.phase, entity.outcome(n));
        for at in first..=last {
            put(&mut cells, at, sign(span.phase), style);
        }
    }
    cells
}

fn painted(cells: &[(char, Style)]) -> String {
    let mut line = String::new();
    for run in cells.chunk_by(|a, b| a.1 == b.1) {
        let text: String = run.iter().map(|(c, _)| *c).collect();
        let style = run.first().map_or(PLAIN, |(_, style)| *style);
        line += &paint(style, text);
    }
    line
}

fn sign(phase: Phase) -> char {
    match phase {
        Phase::Created => '╌',
        Phase::Running => '█',
        Phase::Paused => '▒',
        Phase::Waiting => '░',
        Phase::Completed => '✓',
        Phase::Failed => '✗',
        Phase::Stopped => '■',
        Phase::Cancelled => '○',
        Phase::Deleted => '×',
        _ => '?',
    }
}

/// Active phases have the color of their outcome.
fn of_phase(phase: Phase, outcome: Option<Phase>) -> Style {
    match (phase, outcome) {
        (Phase::Created | Phase::Deleted, _) => DIM,
        (_, Some(Phase::Completed)) => GOOD,
        (_, Some(Phase::Failed)) => BAD,
        (_, Some(Phase::Stopped | Phase::Cancelled)) => NOTICE,
        _ => NAME,
    }
}

fn end(entity: &Lasting) -> (String, Style) {
    let phase = entity.spans.last().map_or(Phase::Created, |s| s.phase);
    let time = if entity.micros() > 0 { format!(" {}", lasted(entity.micros())) } else { String::new() };
    (format!("{phase}{time}"), of_phase(phase, entity.end()))
}
