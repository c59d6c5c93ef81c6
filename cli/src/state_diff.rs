//! `retold state-diff`

use super::app::App;
use super::failure::Outcome;
use super::named;
use super::projections::find;
use super::style::{BAD, DIM, GOOD, NAME, paint};
use super::table::clean;
use retold::event::Address;

#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:
  retold state-diff counts run-7@10 run-7@20
  retold state-diff counts run-7 run-7/retry

With -o json, it is a JSON Patch (RFC 6902) that turns the first state into the second.")]
pub(super) struct Args {
    /// The projection's name
    #[arg(value_name = "PROJECTION")]
    projection: String,
    /// The first state, SESSION[/BRANCH][@SEQ]
    #[arg(value_name = "A")]
    a: String,
    /// The second state
    #[arg(value_name = "B")]
    b: String,
}

pub(super) fn run(args: &Args, app: &mut App) -> Outcome {
    let projection = find(&args.projection, app)?;
    args.a.parse::<Address>()?;
    args.b.parse::<Address>()?;
    let store = app.reading()?;
    let a = named::address(&store, &args.a, &mut app.out)?;
    let b = named::address(&store, &args.b, &mut app.out)?;
    let states = store.project_dyn(projection)?;
    let patch = states.diff_state(&a, &b)?;
    if !app.out.is_table() {
        return app.out.document(&patch);
    }
    let steps = patch.as_array().map(Vec::as_slice).unwrap_or_default();
    if steps.is_empty() {
        return app.out.line(paint(DIM, "the states are the same"));
    }
    for step in steps {
        let part = |name: &str| step.get(name).map(ToString::to_string).unwrap_or_default();
        let path = step.get("path").and_then(|p| p.as_str()).unwrap_or_default();
        let (sign, style) = match step.get("op").and_then(|op| op.as_str()) {
            Some("add") => ("+", GOOD),
            Some("remove") => ("-", BAD),
            _ => ("~", NAME),
        };
        app.out.line(format!("{} {} {}", paint(style, sign), clean(path), clean(&part("value"))))?;
    }
    Ok(())
}
