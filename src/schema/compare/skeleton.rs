//! The draft of an `upcast.toml` that two schemas suggest.

use std::fmt::Write;

use serde_json::Value;

use super::difference::{Difference, Verdict};
use super::fix::Fix;

pub(super) fn write(differences: &[Difference], kind: &str, version: u32) -> String {
    let mut out = String::new();
    let _ = writeln!(out, "# A guess from two schemas: review every line before you use it.");
    let _ = writeln!(out, "[[step]]\ntype = {}\nversion = {version}\ndo = [", text(kind));
    for difference in differences.iter().filter(|d| d.verdict != Verdict::Compatible) {
        let place = if difference.path.is_empty() { "the payload" } else { &difference.path };
        let _ = writeln!(out, "  # {place}: {}", one_line(&difference.what));
        match line(difference) {
            Some(line) => {
                let _ = writeln!(out, "  {line},");
            }
            None if difference.fix == Some(Fix::Nothing) => {}
            None => {
                let _ = writeln!(out, "  # (nothing could be guessed; a function can do it)");
            }
        }
    }
    out.push_str("]\n");
    out
}

fn line(difference: &Difference) -> Option<String> {
    let at = &difference.path;
    // An operation names one place, not every item of a list.
    if at.split('/').any(|part| part == "*") {
        return None;
    }
    let at = text(at);
    Some(match difference.fix.as_ref()? {
        Fix::Rename { from, to } => format!("{{ rename = {}, to = {} }}", text(from), text(to)),
        Fix::Default(value) => format!("{{ default = {at}, value = {} }}", toml(value)?),
        Fix::Remove if difference.path.is_empty() => return None,
        Fix::Remove => format!("{{ remove = {at} }}"),
        Fix::Convert(to) => format!("{{ convert = {at}, to = {} }}", text(to)),
        Fix::List => format!("{{ wrap = {at}, list = true }}"),
        Fix::Values(pairs) => {
            let pair = |(old, new): &(Value, Value)| Some(format!("{} = {}", text(&plain(old)), toml(new)?));
            let pairs = pairs.iter().map(pair).collect::<Option<Vec<_>>>()?;
            format!("{{ convert = {at}, values = {{ {} }} }}", pairs.join(", "))
        }
        Fix::Nothing => return None,
    })
}

fn plain(value: &Value) -> String {
    value.as_str().map_or_else(|| value.to_string(), str::to_owned)
}

fn one_line(text: &str) -> String {
    text.chars().map(|c| if c.is_control() { ' ' } else { c }).collect()
}

/// A TOML basic string: its escapes are those of JSON, except for DEL.
fn text(text: &str) -> String {
    Value::from(text).to_string().replace('\u{7f}', "\\u007F")
}

/// A JSON value in TOML, which has no `null`.
fn toml(value: &Value) -> Option<String> {
    Some(match value {
        Value::Null => return None,
        Value::Bool(_) | Value::Number(_) => value.to_string(),
        Value::String(s) => text(s),
        Value::Array(items) => {
            format!("[{}]", items.iter().map(toml).collect::<Option<Vec<_>>>()?.join(", "))
        }
        Value::Object(fields) => {
            let pair = |(name, value): (&String, &Value)| Some(format!("{} = {}", text(name), toml(value)?));
            format!("{{ {} }}", fields.iter().map(pair).collect::<Option<Vec<_>>>()?.join(", "))
        }
    })
}
