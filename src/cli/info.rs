//! `retold info`

use super::App;
use super::failure::Outcome;
use super::style::{DIM, paint};
use super::view::grouped;
use crate::wire::Figures;

#[derive(Debug, clap::Args)]
pub(super) struct Args {}

pub(super) fn run(_: &Args, app: &mut App) -> Outcome {
    let info = app.reading()?.info()?;
    if !app.out.is_table() {
        return app.out.document(&Figures::from(&info));
    }
    let rows = [
        ("store", info.path.clone()),
        ("id", info.id.to_string()),
        ("created", info.created.to_string()),
        ("format", info.format.to_string()),
        ("size", info.file_bytes.map(size).unwrap_or_default()),
        ("payloads", size(info.payload_bytes)),
        ("sessions", grouped(info.sessions)),
        ("branches", grouped(info.branches)),
        ("events", format!("{} ({} in the journal)", grouped(info.events), grouped(info.in_journal))),
        ("chunks", grouped(info.chunks)),
        ("position", grouped(info.committed.get())),
    ];
    rows.into_iter()
        .try_for_each(|(name, value)| app.out.line(format!("{}  {value}", paint(DIM, format!("{name:>8}")))))
}

/// Bytes for people.
fn size(bytes: u64) -> String {
    let mut value = bytes as f64;
    for unit in ["B", "KiB", "MiB", "GiB"] {
        if value < 1_024.0 {
            return if unit == "B" { format!("{bytes} B") } else { format!("{value:.1} {unit}") };
        }
        value /= 1_024.0;
    }
    format!("{value:.1} TiB")
}
