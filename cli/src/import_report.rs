//! The report of imported files.

use super::app::App;
use super::failure::Outcome;
use super::style::{GOOD, NAME, NOTICE};
use super::table::{Table, cell};
use super::view::grouped;
use retold::agents::interop::{Format, Loaded};
use retold::wire::Imported;

/// The files of one import, one row or document each.
#[derive(Default)]
pub(super) struct Files {
    table: Option<Table>,
    begun: bool,
}

impl Files {
    pub(super) fn finish(mut self, app: &mut App) -> Outcome {
        if !self.begun && !app.out.is_table() {
            app.out.begin_list()?;
        }
        self.table.as_mut().map_or(Ok(()), |table| app.out.lines(table.lines()))
    }
}

/// Reports the result of one file.
pub(super) fn report(
    app: &mut App,
    files: &mut Files,
    name: &str,
    format: Option<Format>,
    sessions: Vec<String>,
    loaded: &Loaded,
) -> Outcome {
    for note in &loaded.notes {
        app.out.note(format!("{name}: {note}"));
    }
    if let Some(changed) = loaded.changed.filter(|c| !c.is_growth()) {
        let n = |n: usize| grouped(n as u64);
        let place = match (changed.inserted, changed.new) {
            (0, _) => String::new(),
            (inserted, new) if inserted == new => " before older ones".to_owned(),
            (inserted, _) => format!(" ({} of them before older ones)", n(inserted)),
        };
        let gone = if changed.gone > 0 { "; events of missing records are kept" } else { "" };
        app.out.note(format!(
            "{name}: changed since import {}: {} new{place}, {} moved, {} gone{gone}",
            changed.since,
            n(changed.new),
            n(changed.moved),
            n(changed.gone),
        ));
    }
    let out = &mut app.out;
    if !out.is_table() {
        if !std::mem::replace(&mut files.begun, true) {
            out.begin_list()?;
        }
        return out.item(&Imported::new(name, format, sessions, loaded));
    }
    match loaded.timeless {
        0 => {}
        1 => out.note(format!("{name}: 1 event has no time; it gets the time of this import")),
        n => out.note(format!("{name}: {n} events have no time; they get the time of this import")),
    }
    let table = files.table.get_or_insert_with(|| {
        let names = [
            "FILE",
            "FORMAT",
            "#RECORDS",
            "#EVENTS",
            "#NEW",
            "#DUPLICATES",
            "#BRANCHES",
            "#SKIPPED",
            "SESSION",
        ];
        Table::new(&names, out.width())
    });
    let number = |n: usize| cell(grouped(n as u64));
    let session = match sessions.as_slice() {
        [one] => one.clone(),
        many => format!("{} sessions", many.len()),
    };
    let skipped = number(loaded.skipped.len());
    let lines = table.row(vec![
        cell(name),
        cell(format.map_or("lines", Format::name)),
        number(loaded.records),
        number(loaded.new + loaded.duplicates),
        if loaded.new > 0 { number(loaded.new).style(GOOD) } else { number(0) },
        number(loaded.duplicates),
        number(loaded.branches),
        if loaded.skipped.is_empty() { skipped } else { skipped.style(NOTICE) },
        cell(session).style(NAME),
    ]);
    out.lines(lines)
}
