//! `retold schema diff`

use std::fs::File;
use std::io::Read;
use std::path::{Path, PathBuf};

use serde::Serialize;
use serde_json::Value;

use super::app::App;
use super::failure::{Failure, Outcome};
use super::style::{BAD, GOOD, NOTICE, paint};
use super::table::{Table, cell, clean};
use retold::event::{Invalid, check_kind};
use retold::limits::MAX_SCHEMA_BYTES;
use retold::schema::{Difference, Verdict, compare_schemas};
use retold::wire::Exit;

#[derive(Debug, clap::Args)]
#[command(subcommand_value_name = "VERB", subcommand_help_heading = "Verbs")]
pub(super) struct Args {
    #[command(subcommand)]
    verb: Verb,
}

#[derive(Debug, clap::Subcommand)]
enum Verb {
    /// Compare two JSON Schemas of a payload: can payloads of the old one be read as the new one?
    Diff(Diff),
}

#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:
  retold schema diff tool-1.json tool-2.json
  retold schema diff tool-1.json tool-2.json --type tool.invoked --upcast 0003_tool_invoked_v2/upcast.toml

The exit code is 3 if they are not compatible. Then an upcaster is suggested, which brings old payloads to the new \
shape: review every line before you use it.")]
struct Diff {
    /// The schema of stored events
    #[arg(value_name = "OLD")]
    old: PathBuf,
    /// The schema of new events
    #[arg(value_name = "NEW")]
    new: PathBuf,
    /// The type they belong to
    #[arg(long = "type", value_name = "TYPE", default_value = "my.event")]
    kind: String,
    /// The version of the old schema
    #[arg(long, value_name = "N", default_value = "1")]
    from_version: u32,
    /// Where to write the suggested upcaster; the file must not exist [default: print it]
    #[arg(long, value_name = "FILE")]
    upcast: Option<PathBuf>,
}

#[derive(Debug, Serialize)]
struct Reported<'a> {
    compatible: bool,
    differences: Vec<One<'a>>,
    upcast: Option<&'a str>,
}

#[derive(Debug, Serialize)]
struct One<'a> {
    path: &'a str,
    verdict: &'static str,
    what: &'a str,
}

pub(super) fn run(args: &Args, app: &mut App) -> Outcome {
    let Verb::Diff(args) = &args.verb;
    check_kind(&args.kind)?;
    let (old, new) = (schema(&args.old)?, schema(&args.new)?);
    let diff = compare_schemas(&old, &new)?;
    let compatible = diff.is_compatible();
    let upcast = (!compatible).then(|| diff.upcast(&args.kind, args.from_version));
    if let (Some(path), Some(text)) = (&args.upcast, &upcast) {
        let created =
            File::create_new(path).and_then(|mut file| std::io::Write::write_all(&mut file, text.as_bytes()));
        created.map_err(|e| Failure::file(path.display(), e))?;
    }
    if app.out.is_table() {
        show(&diff.differences, upcast.as_deref().filter(|_| args.upcast.is_none()), app)?;
    } else {
        let one = |d: &'_ Difference| (d.path.clone(), name(d.verdict), d.what.clone());
        let all: Vec<_> = diff.differences.iter().map(one).collect();
        let differences = all.iter().map(|(path, verdict, what)| One { path, verdict, what }).collect();
        app.out.document(&Reported { compatible, differences, upcast: upcast.as_deref() })?;
    }
    if compatible { Ok(()) } else { Err(Failure::Reported(Exit::Conflict)) }
}

fn show(differences: &[Difference], upcast: Option<&str>, app: &mut App) -> Outcome {
    if differences.is_empty() {
        return app.out.line(paint(GOOD, "compatible: nothing differs"));
    }
    let mut table = Table::new(&["PATH", "VERDICT", "WHAT"], app.out.width());
    let mut lines = Vec::new();
    for d in differences {
        let style = match d.verdict {
            Verdict::Compatible => GOOD,
            Verdict::Undecided => NOTICE,
            Verdict::Breaking => BAD,
        };
        let path = if d.path.is_empty() { "(all)" } else { d.path.as_str() };
        lines.extend(table.row(vec![cell(path), cell(name(d.verdict)).style(style), cell(&d.what)]));
    }
    lines.extend(table.lines());
    app.out.lines(lines)?;
    let verdict = match upcast {
        None if differences.iter().all(|d| d.verdict == Verdict::Compatible) => paint(GOOD, "compatible"),
        _ => paint(BAD, "not compatible: old events need an upcaster"),
    };
    app.out.line(format!("\n{verdict}"))?;
    match upcast {
        Some(text) => {
            app.out.line("")?;
            text.lines().try_for_each(|line| app.out.line(clean_indented(line)))
        }
        None => Ok(()),
    }
}

fn clean_indented(line: &str) -> String {
    let indent = line.len() - line.trim_start().len();
    format!("{}{}", " ".repeat(indent), clean(line))
}

fn name(verdict: Verdict) -> &'static str {
    match verdict {
        Verdict::Compatible => "compatible",
        Verdict::Undecided => "undecided",
        Verdict::Breaking => "breaking",
    }
}

fn schema(path: &Path) -> Result<Value, Failure> {
    let failed = |e| Failure::file(path.display(), e);
    let mut text = Vec::new();
    let file = File::open(path).map_err(failed)?;
    file.take(MAX_SCHEMA_BYTES as u64 + 1).read_to_end(&mut text).map_err(failed)?;
    if text.len() > MAX_SCHEMA_BYTES {
        let reason = format!("{} has more than {MAX_SCHEMA_BYTES} bytes", path.display());
        return Err(Invalid::new("schema", reason).into());
    }
    serde_json::from_slice(&text)
        .map_err(|e| Invalid::new("schema", format!("{} is not JSON: {e}", path.display())).into())
}
