//! `retold imports`

use super::app::App;
use super::failure::Outcome;
use super::style::{DIM, NAME};
use super::table::{Table, cell};
use super::view::{grouped, short};
use retold::agents::interop::{Import, imports};
use retold::wire;

#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:
  retold imports
  retold imports transcript.jsonl
  retold export --to source --import 3

An import is listed if the file was new or had changed. Each version can be exported again.")]
pub(super) struct Args {
    /// Only imports of files whose path ends with this
    #[arg(value_name = "FILE")]
    file: Option<String>,
}

pub(super) fn run(args: &Args, app: &mut App) -> Outcome {
    let store = app.reading()?;
    let ends = |import: &Import| {
        args.file.as_ref().is_none_or(|file| {
            let rest = import.path.strip_suffix(file.trim_start_matches("./"));
            rest.is_some_and(|rest| rest.is_empty() || rest.ends_with(['/', '\\']) || file.starts_with('/'))
        })
    };
    let all: Vec<Import> = imports(&store)?.into_iter().filter(ends).collect();
    let out = &mut app.out;
    if !out.is_table() {
        out.begin_list()?;
        return all.iter().try_for_each(|import| out.item(&wire::ImportRow::from(import)));
    }
    let names =
        ["#IMPORT", "WHEN", "FORMAT", "#RECORDS", "#BYTES", "#NEW", "#MOVED", "#GONE", "SESSION", "FILE"];
    let mut table =
        Table::new(&names, out.width()).spare(&["BYTES", "WHEN", "GONE", "MOVED", "NEW", "FORMAT"]);
    for import in &all {
        let changed = |n: fn(&retold::agents::interop::Changed) -> usize| match &import.changed {
            Some(changed) => cell(grouped(n(changed) as u64)),
            None => cell("").style(DIM),
        };
        let session = match import.sessions.as_slice() {
            [one] => one.clone(),
            many => format!("{} sessions", many.len()),
        };
        let row = vec![
            cell(import.number.to_string()),
            cell(short(import.time)),
            cell(import.format.clone()),
            cell(grouped(import.records as u64)),
            cell(grouped(import.bytes as u64)),
            changed(|c| c.new),
            changed(|c| c.moved),
            changed(|c| c.gone),
            cell(session).style(NAME),
            cell(import.path.clone()),
        ];
        let lines = table.row(row);
        out.lines(lines)?;
    }
    out.lines(table.lines())
}
