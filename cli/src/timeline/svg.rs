//! The timeline as a picture.

use std::fmt::Write;

use super::chart::{Chart, label};
use super::scale::lasted;
use super::tree::Row;
use crate::table::{clean, shorten};
use retold::event::Phase;
use retold::project::PhaseSpan;

const WIDTH: f64 = 1_200.0;
const LEFT: f64 = 260.0;
const RIGHT: f64 = 150.0;
const TOP: f64 = 92.0;
const ROW: f64 = 24.0;
const BAR: f64 = 14.0;
const BOTTOM: f64 = 52.0;
/// Maximum characters of a label.
const LABEL: usize = 36;
/// Width of a level of the tree, how many levels are told apart, and the characters that a level takes from a label.
const INDENT: f64 = 14.0;
const LEVELS: usize = 8;
const INDENT_CHARS: usize = 2;
/// Maximum characters of the title.
const TITLE: usize = 100;

const STYLE: &str = "text{font-family:system-ui,-apple-system,'Segoe UI',Roboto,'DejaVu Sans',sans-serif;font-size:12px;fill:#1f2328}\
.title{font-size:18px;font-weight:600}.dim{fill:#656d76}.end{fill:#656d76;font-size:11px}.tick{fill:#656d76;font-size:11px}\
.grid{stroke:#d8dee4;stroke-width:1}.stripe{fill:#f6f8fa}\
.tree{fill:none;stroke:#afb8c1;stroke-width:1}";

/// The whole document.
pub(super) fn draw(chart: &Chart<'_>) -> String {
    let warned = !chart.timeline.warnings().is_empty();
    let rows = chart.rows.len() + usize::from(warned);
    let bottom = TOP + rows as f64 * ROW;
    let height = bottom + BOTTOM;
    let mut out = String::new();
    let title = escaped(&format!("{}: {}", chart.title, chart.subtitle()));
    // Writing to a string does not fail.
    let _ = write!(
        out,
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {WIDTH} {height}\" width=\"{WIDTH}\" \
         height=\"{height}\" role=\"img\"><title>{title}</title><style>{STYLE}</style><defs>{}</defs>\
         <rect width=\"{WIDTH}\" height=\"{height}\" fill=\"#ffffff\"/>",
        hatches()
    );
    text(&mut out, 20.0, 32.0, "title", &shorten(&chart.title, TITLE));
    text(&mut out, 20.0, 52.0, "dim", &chart.subtitle());
    for row in (0..rows).step_by(2) {
        let y = TOP + row as f64 * ROW;
        let _ = write!(out, "<rect class=\"stripe\" y=\"{y}\" width=\"{WIDTH}\" height=\"{ROW}\"/>");
    }
    axis(&mut out, chart, bottom);
    let mut y = TOP;
    if warned {
        warnings(&mut out, chart, y);
        y += ROW;
    }
    for (at, shown) in chart.rows.iter().enumerate() {
        elbow(&mut out, shown, at, y);
        row(&mut out, chart, shown, y);
        y += ROW;
    }
    legend(&mut out, chart, bottom + 34.0);
    out += "</svg>\n";
    out
}

fn x(chart: &Chart<'_>, time: retold::event::Timestamp) -> f64 {
    LEFT + chart.scale.at(time, WIDTH - LEFT - RIGHT)
}

fn axis(out: &mut String, chart: &Chart<'_>, bottom: f64) {
    for (at, name) in chart.scale.ticks(9, WIDTH - LEFT - RIGHT) {
        let x = LEFT + at;
        let top = TOP - 6.0;
        let _ =
            write!(out, "<line class=\"grid\" x1=\"{x:.1}\" y1=\"{top}\" x2=\"{x:.1}\" y2=\"{bottom}\"/>");
        let _ = write!(
            out,
            "<text class=\"tick\" x=\"{x:.1}\" y=\"{}\" text-anchor=\"middle\">{name}</text>",
            top - 5.0
        );
    }
}

fn warnings(out: &mut String, chart: &Chart<'_>, y: f64) {
    text(out, 20.0, y + 16.0, "dim", "warnings");
    for warning in chart.timeline.warnings().iter().filter(|w| chart.scale.shows(w.at, w.at)) {
        let (x, y) = (x(chart, warning.at), y + ROW / 2.0);
        let _ = write!(
            out,
            "<path d=\"M{x:.1} {:.1}l6 11h-12z\" fill=\"#d4a72c\"><title>{}</title></path>",
            y - 6.0,
            escaped(&clean(&warning.kind))
        );
    }
}

/// Where the label of a level begins.
fn indent(depth: usize) -> f64 {
    20.0 + depth.min(LEVELS) as f64 * INDENT
}

/// The line from an entity to the one that it is inside.
fn elbow(out: &mut String, shown: &Row<'_>, at: usize, y: f64) {
    let Some(above) = shown.above else { return };
    let x = indent(shown.depth.saturating_sub(1)) + 4.0;
    let (top, middle) = (y - at.saturating_sub(above) as f64 * ROW + ROW - 4.0, y + ROW / 2.0);
    let _ = write!(out, "<path class=\"tree\" d=\"M{x} {top:.1}V{middle:.1}h7\"/>");
}

fn row(out: &mut String, chart: &Chart<'_>, shown: &Row<'_>, y: f64) {
    let entity = shown.entity;
    let name = label(entity);
    let room = LABEL.saturating_sub(shown.depth.min(LEVELS) * INDENT_CHARS);
    text(out, indent(shown.depth), y + 16.0, "", &shorten(&name, room));
    let spans = || entity.spans.iter().enumerate().filter(|(_, s)| chart.scale.shows(s.from, s.to));
    for (n, span) in spans().filter(|(_, s)| !s.phase.is_final()) {
        bar(out, chart, &name, entity.outcome(n), *span, y);
    }
    for (_, span) in spans().filter(|(_, s)| s.phase.is_final()) {
        let _ = write!(
            out,
            "<circle cx=\"{:.1}\" cy=\"{}\" r=\"5.5\" fill=\"{}\" stroke=\"#ffffff\" stroke-width=\"1.5\"/>",
            x(chart, span.to),
            y + ROW / 2.0,
            colour(Some(span.phase))
        );
    }
    let phase = entity.spans.last().map_or("", |s| s.phase.as_str());
    let time = if entity.micros() > 0 { format!(" · {}", lasted(entity.micros())) } else { String::new() };
    text(out, WIDTH - RIGHT + 16.0, y + 16.0, "end", &format!("{phase}{time}"));
}

fn bar(out: &mut String, chart: &Chart<'_>, name: &str, outcome: Option<Phase>, span: PhaseSpan, y: f64) {
    let (from, to) = (x(chart, span.from), x(chart, span.to));
    let colour = colour(outcome);
    let (tall, fill, opacity) = match span.phase {
        Phase::Created => (3.0, "#afb8c1".to_owned(), 1.0),
        Phase::Waiting => (BAR, format!("url(#wait-{})", colour.trim_start_matches('#')), 1.0),
        Phase::Paused => (BAR, colour.to_owned(), 0.3),
        _ => (BAR, colour.to_owned(), 1.0),
    };
    let seconds = u64::try_from(span.to.micros().saturating_sub(span.from.micros())).unwrap_or_default();
    let told = escaped(&format!("{name}: {} for {}", span.phase, lasted(seconds)));
    let _ = write!(
        out,
        "<rect x=\"{from:.1}\" y=\"{:.1}\" width=\"{:.1}\" height=\"{tall}\" rx=\"{}\" fill=\"{fill}\" \
         fill-opacity=\"{opacity}\"><title>{told}</title></rect>",
        y + (ROW - tall) / 2.0,
        (to - from).max(2.0),
        if tall < BAR { 1.5 } else { 3.0 },
    );
}

const OUTCOMES: [(Option<Phase>, &str); 6] = [
    (None, "open"),
    (Some(Phase::Completed), "completed"),
    (Some(Phase::Failed), "failed"),
    (Some(Phase::Stopped), "stopped"),
    (Some(Phase::Cancelled), "cancelled"),
    (Some(Phase::Deleted), "deleted"),
];

fn colour(outcome: Option<Phase>) -> &'static str {
    match outcome {
        Some(Phase::Completed) => "#2da44e",
        Some(Phase::Failed) => "#cf222e",
        Some(Phase::Stopped) => "#8250df",
        Some(Phase::Cancelled) => "#bc4c00",
        Some(Phase::Deleted) => "#6e7781",
        _ => "#218bff",
    }
}

fn hatches() -> String {
    let hatch = |colour: &str| {
        let id = colour.trim_start_matches('#');
        format!(
            "<pattern id=\"wait-{id}\" width=\"6\" height=\"6\" patternUnits=\"userSpaceOnUse\" \
             patternTransform=\"rotate(45)\"><rect width=\"6\" height=\"6\" fill=\"{colour}\" \
             fill-opacity=\"0.15\"/><rect width=\"2\" height=\"6\" fill=\"{colour}\"/></pattern>"
        )
    };
    OUTCOMES.iter().map(|(outcome, _)| hatch(colour(*outcome))).collect()
}

fn legend(out: &mut String, chart: &Chart<'_>, y: f64) {
    let mut x = LEFT;
    let mut next = |out: &mut String, sign: String, name: &str| {
        let _ = write!(out, "<g transform=\"translate({x} {})\">{sign}</g>", y - 11.0);
        text(out, x + 30.0, y, "dim", name);
        x += 48.0 + name.len() as f64 * 7.0;
    };
    let block = |fill: &str, opacity: f64| {
        format!("<rect width=\"24\" height=\"12\" rx=\"3\" fill=\"{fill}\" fill-opacity=\"{opacity}\"/>")
    };
    next(
        out,
        "<rect y=\"4.5\" width=\"24\" height=\"3\" rx=\"1.5\" fill=\"#afb8c1\"/>".to_owned(),
        "created",
    );
    for (outcome, name) in OUTCOMES {
        next(out, block(colour(outcome), 1.0), name);
    }
    next(out, block(colour(None), 0.3), "paused");
    next(out, block("url(#wait-218bff)", 1.0), "waiting");
    if chart.others > 0 {
        let more = format!("{} shorter ones not shown", chart.others);
        text(out, 20.0, y, "dim", &more);
    }
}

fn text(out: &mut String, x: f64, y: f64, class: &str, text: &str) {
    let class = if class.is_empty() { String::new() } else { format!(" class=\"{class}\"") };
    let _ = write!(out, "<text{class} x=\"{x}\" y=\"{y}\">{}</text>", escaped(text));
}

fn escaped(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;").replace('"', "&quot;")
}
