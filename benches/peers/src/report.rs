//! Figures as lines of JSON and as a table.

use std::collections::BTreeMap;
use std::fmt::Write;

use serde_json::{Value, json};

use crate::measure::median;
use crate::work::{Figure, figure};

impl Figure {
    /// One object, one line.
    pub fn line(&self, peer: &str) -> String {
        let value = match self.value {
            large if large.abs() >= 1_000.0 => json!(large.round() as i64),
            small => json!((small * 1_000.0).round() / 1_000.0),
        };
        format!(
            "{{\"work\":{},\"peer\":{},\"value\":{value},\"unit\":{}}}",
            json!(self.work),
            json!(peer),
            json!(self.unit)
        )
    }
}

/// Reads such a line. Peers print as they please; what is no figure is passed over.
pub fn parse(line: &str) -> Option<(String, Figure)> {
    let value: Value = serde_json::from_str(line.strip_prefix('{').map(|_| line)?).ok()?;
    let text = |key: &str| value.get(key)?.as_str();
    let figure = figure(text("work")?, value.get("value")?.as_f64()?, text("unit")?);
    Some((text("peer")?.to_owned(), figure))
}

/// The rows of the table, in order, with what they say.
const ROWS: [(&str, &str); 28] = [
    ("W1", "single appends, 1 producer"),
    ("W2", "single appends, 64 producers"),
    ("W2-p99", "of these, p99"),
    ("W2-max", "of these, slowest"),
    ("W3", "batches of 1,000"),
    ("W4", "replay, first pass"),
    ("W4-second", "replay, second pass"),
    ("W4-cold", "replay, cold page cache"),
    ("W4-view", "replay, a view of each event"),
    ("W5", "acknowledged to delivered, p50"),
    ("W5-p99", "acknowledged to delivered, p99"),
    ("W5-task", "acknowledged to delivered to a task, p50"),
    ("W5-whole", "append called to delivered, p50"),
    ("W6", "on disk for an event, allocated"),
    ("W6-apparent", "on disk for an event, length of files"),
    ("W7", "reopen after closing"),
    ("W7-idle", "reopen after a kill while idle"),
    ("W7-busy", "reopen after a kill while writing"),
    ("W8", "peak memory while writing"),
    ("W9", "last 20 of a random session of 10,000"),
    ("W10", "64 producers over 10,000 sessions"),
    ("W10-p99", "of these, p99"),
    ("W10-max", "of these, slowest"),
    ("W11", "fork at the middle (others: copy)"),
    ("W11-read", "reading the fork"),
    ("W12", "append beside 10,000 idle followers"),
    ("W12-alone", "the same without them"),
    ("W12-wakes", "followers woken by it"),
];

/// All figures of all rounds.
#[derive(Default)]
pub struct Results(BTreeMap<(usize, String), (String, Vec<f64>)>);

impl Results {
    pub fn add(&mut self, peer: &str, figure: &Figure) {
        let Some(row) = ROWS.iter().position(|(work, _)| *work == figure.work) else { return };
        let values = self.0.entry((row, peer.to_owned())).or_insert((figure.unit.clone(), Vec::new()));
        values.1.push(figure.value);
    }

    fn median(&self, row: usize, peer: &str) -> Option<f64> {
        self.0.get(&(row, peer.to_owned())).map(|(_, values)| median(&mut values.clone()))
    }

    /// Medians, one object a line.
    pub fn lines(&self) -> String {
        let mut out = String::new();
        for ((row, peer), (unit, values)) in &self.0 {
            let figure = figure(ROWS[*row].0, median(&mut values.clone()), unit);
            writeln!(out, "{}", figure.line(peer)).unwrap();
        }
        out
    }

    /// A row for each work, a column for each peer: median, spread, and how many times better ours is.
    pub fn table(&self, peers: &[String]) -> String {
        let mut out = format!("| | work | unit | {} |\n", peers.join(" | "));
        writeln!(out, "|---|---|---|{}", "---:|".repeat(peers.len())).unwrap();
        for (row, (work, what)) in ROWS.iter().enumerate() {
            let Some(unit) = peers.iter().find_map(|p| self.0.get(&(row, p.clone()))).map(|v| &v.0) else {
                continue;
            };
            let cells: Vec<_> = peers.iter().map(|peer| self.cell(row, peer, unit)).collect();
            writeln!(out, "| {work} | {what} | {unit} | {} |", cells.join(" | ")).unwrap();
        }
        out
    }

    fn cell(&self, row: usize, peer: &str, unit: &str) -> String {
        let Some((_, values)) = self.0.get(&(row, peer.to_owned())) else { return "n/a".into() };
        let middle = median(&mut values.clone());
        let mut cell = short(middle);
        let (least, most) = values.iter().fold((f64::MAX, f64::MIN), |(a, b), v| (a.min(*v), b.max(*v)));
        if values.len() > 1 && middle > 0.0 {
            write!(cell, " ±{:.0}%", (most - least) / 2.0 / middle * 100.0).unwrap();
        }
        if let Some(ours) = self.median(row, "retold").filter(|_| peer != "retold") {
            let better = if unit == "ops/s" { ours / middle } else { middle / ours };
            if better.is_finite() {
                write!(cell, " ({better:.2}x)").unwrap();
            }
        }
        cell
    }
}

fn short(value: f64) -> String {
    match value {
        v if v >= 1e6 => format!("{:.2} M", v / 1e6),
        v if v >= 1e4 => format!("{:.0} k", v / 1e3),
        v if v >= 1e3 => format!("{:.1} k", v / 1e3),
        v if v >= 10.0 => format!("{v:.0}"),
        v => format!("{v:.1}"),
    }
}
