//! `retold types --coverage`

use crate::app::App;
use crate::failure::Outcome;
use crate::style::{DIM, GOOD, HEADER, NOTICE, of_kind, paint};
use crate::table::{Table, cell};
use crate::view::{count, grouped, short};
use retold::agents::projections::{Coverage, CoverageReport, Covered};
use retold::error::Error;
use retold::event::Catalogue;
use retold::wire::TypeCoverage;

pub(super) fn show(catalogue: &Catalogue, domain: Option<&str>, app: &mut App) -> Outcome {
    let known = catalogue.domains();
    if let Some(asked) = domain.filter(|asked| !known.contains(asked)) {
        return Err(Error::not_found("domain", asked).into());
    }
    let mut report = app.reading()?.project(Coverage)?.coverage(catalogue)?;
    if let Some(asked) = domain {
        report.types.retain(|t| t.domain == asked);
        report.unknown.clear();
    }
    if !app.out.is_table() {
        app.out.begin_list()?;
        let all = report.types.iter().map(|t| (t, true)).chain(report.unknown.iter().map(|t| (t, false)));
        return all.into_iter().try_for_each(|(t, known)| app.out.item(&TypeCoverage::new(t, known)));
    }
    emitted(&report, app)?;
    never(&report, app)?;
    let (emitted, all) = (report.emitted() as u64, report.types.len() as u64);
    let mut text = format!("{} of {} emitted", grouped(emitted), count(all, "type"));
    if !report.unknown.is_empty() {
        text += &format!("; {} not in the catalogue", count(report.unknown.len() as u64, "type"));
    }
    app.out.note(paint(DIM, text));
    Ok(())
}

fn emitted(report: &CoverageReport, app: &mut App) -> Outcome {
    let mut table = Table::new(&["TYPE", "#EVENTS", "LAST"], app.out.width());
    let known = report.types.iter().filter(|t| t.events > 0).map(|t| (t, ""));
    for (covered, note) in known.chain(report.unknown.iter().map(|t| (t, ", not in the catalogue"))) {
        let last = covered.last.map(short).unwrap_or_default();
        let lines = table.row(vec![
            cell(&covered.name).style(of_kind(&covered.name)),
            cell(grouped(covered.events)),
            cell(format!("{last}{note}")).style(if note.is_empty() { DIM } else { NOTICE }),
        ]);
        app.out.lines(lines)?;
    }
    app.out.lines(table.lines())
}

/// One line per domain, since missing types are looked up by domain.
fn never(report: &CoverageReport, app: &mut App) -> Outcome {
    if report.never().next().is_none() {
        return app.out.line(paint(GOOD, "Every type was emitted."));
    }
    let gap = if report.emitted() + report.unknown.len() > 0 { "\n" } else { "" };
    app.out.line(format!("{gap}{}", paint(HEADER, "NEVER")))?;
    let mut rows: Vec<(&str, Vec<&Covered>)> = Vec::new();
    for covered in report.never() {
        match rows.last_mut().filter(|(domain, _)| *domain == covered.domain) {
            Some((_, types)) => types.push(covered),
            None => rows.push((&covered.domain, vec![covered])),
        }
    }
    let wide = rows.iter().map(|(domain, _)| domain.len()).max().unwrap_or_default();
    for (domain, types) in rows {
        let room = app.out.width().map_or(usize::MAX, |width| width.saturating_sub(wide + 2));
        let mut before = domain;
        for line in wrapped(types.iter().map(|t| t.name.as_str()), room) {
            let line = paint(NOTICE, line);
            app.out.line(format!("{}  {line}", paint(DIM, format!("{before:wide$}"))))?;
            before = "";
        }
    }
    Ok(())
}

/// Words wrapped to lines of this width; a longer word gets its own line.
fn wrapped<'a>(words: impl Iterator<Item = &'a str>, room: usize) -> Vec<String> {
    let mut lines: Vec<String> = Vec::new();
    for word in words {
        match lines.last_mut().filter(|line| line.len() + 1 + word.len() <= room) {
            Some(line) => *line += &format!(" {word}"),
            None => lines.push(word.to_owned()),
        }
    }
    lines
}
