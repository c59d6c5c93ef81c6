//! `retold types`

use serde_json::Value;

mod coverage;

use super::app::App;
use super::failure::Outcome;
use super::role_words::role_words;
use super::style::{DIM, GOOD, HEADER, NAME, NOTICE, of_kind, paint};
use super::table::{Table, cell, shorten};
use super::view::count;
use retold::error::Error;
use retold::event::roles::Role;
use retold::event::{Catalogue, TypeInfo};
use retold::wire::Type;

/// Width of the labels before the facts about a type.
const MARGIN: usize = 8;

#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:
  retold types
  retold types --domain coder
  retold types tool.invoked
  retold types PLAN_CREATED -o json
  retold --types ours.toml types --domain parcel
  retold types --coverage")]
pub(super) struct Args {
    /// A type to explain, by any of its names [default: list all]
    #[arg(value_name = "TYPE")]
    name: Option<String>,
    /// Only types of this domain
    #[arg(long, value_name = "DOMAIN", conflicts_with = "name")]
    domain: Option<String>,
    /// Show which types were emitted in the store, how often and when last, and which never were
    #[arg(long, conflicts_with = "name")]
    coverage: bool,
}

pub(super) fn run(args: &Args, app: &mut App) -> Outcome {
    let catalogue = app.catalogue()?;
    if args.coverage {
        return coverage::show(&catalogue, args.domain.as_deref(), app);
    }
    match &args.name {
        Some(name) => {
            let Some(info) = catalogue.find(name) else {
                let near = catalogue.nearest(name).map(|n| format!("; did you mean {n}?"));
                return Err(Error::not_found("type", format!("{name}{}", near.unwrap_or_default())).into());
            };
            match app.out.is_table() {
                true => explain(info, app),
                false => app.out.document(&Type::whole(info)),
            }
        }
        None => list(&catalogue, args.domain.as_deref(), app),
    }
}

fn list(catalogue: &Catalogue, domain: Option<&str>, app: &mut App) -> Outcome {
    let domains: Vec<&str> =
        catalogue.domains().into_iter().filter(|d| domain.is_none_or(|asked| asked == *d)).collect();
    if let (true, Some(asked)) = (domains.is_empty(), domain) {
        return Err(Error::not_found("domain", asked).into());
    }
    let of = |domain: &str| catalogue.types().filter(|t| t.domain() == domain).collect::<Vec<_>>();
    let out = &mut app.out;
    if !out.is_table() {
        out.begin_list()?;
        return domains.iter().flat_map(|d| of(d)).try_for_each(|info| out.item(&Type::from(info)));
    }
    let mut table = Table::new(&["TYPE", "SAYS", "MEANS"], out.width());
    let mut known = 0;
    for (at, domain) in domains.iter().enumerate() {
        let types = of(domain);
        known += types.len();
        if at > 0 {
            let lines = table.row(vec![]);
            out.lines(lines)?;
        }
        for info in types {
            let lines = table.row(vec![
                cell(info.name()).style(of_kind(info.name())),
                cell(says(info.role())).style(NOTICE),
                cell(info.line()),
            ]);
            out.lines(lines)?;
        }
    }
    out.lines(table.lines())?;
    let text = format!(
        "{} in {}; `retold types TYPE` explains one",
        count(known as u64, "type"),
        count(domains.len() as u64, "domain")
    );
    out.note(paint(DIM, text));
    Ok(())
}

/// What a type tells projections, in a word or two.
fn says(role: &Role) -> String {
    let phase = role.fixed_phase.map(|p| p.to_string());
    let status = (!role.status.is_empty() && role.fixed_phase.is_none()).then(|| "its status".to_owned());
    let rest = [
        (role.progress.is_some(), "progress"),
        (role.alert.is_some(), "alert"),
        (role.usage.iter().any(|f| !f.at.is_empty()), "usage"),
    ];
    let rest = rest.into_iter().filter(|(has, _)| *has).map(|(_, word)| word.to_owned());
    phase.into_iter().chain(status).chain(rest).collect::<Vec<_>>().join(", ")
}

fn explain(info: &TypeInfo, app: &mut App) -> Outcome {
    let out = &mut app.out;
    out.line(format!(
        "{}  {}",
        paint(of_kind(info.name()).bold(), info.name()),
        paint(DIM, format!("{}, version {}", info.domain(), info.version()))
    ))?;
    if !info.line().is_empty() {
        out.line(info.line())?;
    }
    let mut facts: Vec<(&str, String)> = Vec::new();
    if info.pattern().is_some() {
        facts.push(("types", "all types that match this pattern and have no entry of their own".into()));
    }
    let aliases: Vec<&str> = info.aliases().collect();
    if !aliases.is_empty() {
        facts.push(("also", format!("{}, in any spelling", aliases.join(", "))));
    }
    facts.extend(role_words(info.role()));
    if !facts.is_empty() {
        out.line("")?;
    }
    let mut before = "";
    for (name, text) in facts {
        let margin = if name == before { "" } else { name };
        let room = out.width().map_or(usize::MAX, |w| w.saturating_sub(MARGIN + 2).max(MARGIN));
        out.line(format!("{}  {}", paint(DIM, format!("{margin:>MARGIN$}")), shorten(&text, room)))?;
        before = name;
    }
    let schema = info.schema();
    if let Some(members) = schema.as_ref().and_then(|s| s.get("properties")).and_then(Value::as_object) {
        heading("members", app)?;
        let required = |name: &str| {
            let listed = schema.as_ref().and_then(|s| s.get("required")).and_then(Value::as_array);
            listed.is_some_and(|l| l.iter().any(|r| r == name))
        };
        let mut table = Table::new(&["NAME", "HOLDS", "", "MEANS"], app.out.width());
        for (name, schema) in members {
            let has_to = if required(name) { cell("required").style(GOOD) } else { cell("") };
            let text = schema.get("description").and_then(Value::as_str).unwrap_or_default();
            let row = vec![
                cell(name).style(NAME),
                cell(holds(schema)),
                has_to,
                if text.is_empty() { cell("") } else { cell(text).style(DIM) },
            ];
            let lines = table.row(row);
            app.out.lines(lines)?;
        }
        app.out.lines(table.lines())?;
    }
    if let Some(example) = info.example() {
        heading("example", app)?;
        pretty(example, app)?;
    }
    if let Some(schema) = &schema {
        heading("schema", app)?;
        pretty(schema, app)?;
    }
    Ok(())
}

fn heading(text: &str, app: &mut App) -> Outcome {
    app.out.line("")?;
    app.out.line(paint(HEADER, text))
}

fn pretty(value: &Value, app: &mut App) -> Outcome {
    let mut text = String::new();
    lay_out(value, 0, &mut text);
    app.out.line(text)
}

/// JSON for people: what fits on a line is on one line.
fn lay_out(value: &Value, indent: usize, out: &mut String) {
    const WIDE: usize = 76;
    let short = value.to_string();
    let parts: Vec<(String, &Value)> = match value {
        _ if short.len() + indent <= WIDE => Vec::new(),
        Value::Object(members) => {
            members.iter().map(|(k, v)| (format!("{}: ", Value::from(k.as_str())), v)).collect()
        }
        Value::Array(items) => items.iter().map(|v| (String::new(), v)).collect(),
        _ => Vec::new(),
    };
    if parts.is_empty() {
        return out.push_str(&short);
    }
    let (open, close) = if value.is_object() { ('{', '}') } else { ('[', ']') };
    out.push(open);
    for (at, (name, part)) in parts.iter().enumerate() {
        out.push_str(if at == 0 { "\n" } else { ",\n" });
        out.push_str(&" ".repeat(indent + 2));
        out.push_str(name);
        lay_out(part, indent + 2, out);
    }
    out.push('\n');
    out.push_str(&" ".repeat(indent));
    out.push(close);
}

/// The kinds of value that a member's schema allows.
fn holds(schema: &Value) -> String {
    let word = |t: &Value| match t.as_str()? {
        "null" => None,
        "string" => Some("text".to_owned()),
        "integer" => Some("whole number".to_owned()),
        "boolean" => Some("true or false".to_owned()),
        "array" => Some("list".to_owned()),
        other => Some(other.to_owned()),
    };
    let words: Vec<String> = match schema.get("type") {
        Some(Value::Array(all)) => all.iter().filter_map(word).collect(),
        Some(one) => word(one).into_iter().collect(),
        None => Vec::new(),
    };
    if words.is_empty() { "anything".to_owned() } else { words.join(" or ") }
}
