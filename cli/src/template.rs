//! `--format`: one line per event, with fields in braces.

use std::str::FromStr;

use retold::agents::readable::Readable;
use retold::event::roles::Pointer;
use retold::event::{Catalogue, Event};
use serde_json::Value;

/// A line with places for the fields of an event.
#[derive(Clone, Debug)]
pub(super) struct Template(Vec<Piece>);

#[derive(Clone, Debug)]
enum Piece {
    Text(String),
    Field(Field),
    Payload(Pointer),
}

/// What a template can name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Field {
    Address,
    Session,
    Branch,
    Sequence,
    Position,
    Id,
    Type,
    Time,
    Recorded,
    Source,
    Actor,
    Correlation,
    Causation,
    Priority,
    Summary,
    Speaker,
    Text,
    Tool,
    Model,
    Tokens,
    Cost,
    Data,
}

const FIELDS: [(&str, Field); 22] = [
    ("address", Field::Address),
    ("session", Field::Session),
    ("branch", Field::Branch),
    ("sequence", Field::Sequence),
    ("position", Field::Position),
    ("id", Field::Id),
    ("type", Field::Type),
    ("time", Field::Time),
    ("recorded", Field::Recorded),
    ("source", Field::Source),
    ("actor", Field::Actor),
    ("correlation", Field::Correlation),
    ("causation", Field::Causation),
    ("priority", Field::Priority),
    ("summary", Field::Summary),
    ("speaker", Field::Speaker),
    ("text", Field::Text),
    ("tool", Field::Tool),
    ("model", Field::Model),
    ("tokens", Field::Tokens),
    ("cost", Field::Cost),
    ("data", Field::Data),
];

impl FromStr for Template {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let mut pieces = Vec::new();
        let mut plain = String::new();
        let mut chars = text.chars().peekable();
        while let Some(c) = chars.next() {
            match c {
                '{' if chars.next_if_eq(&'{').is_some() => plain.push('{'),
                '}' if chars.next_if_eq(&'}').is_some() => plain.push('}'),
                '{' => {
                    let mut name = String::new();
                    loop {
                        match chars.next() {
                            Some('}') => break,
                            Some(c) => name.push(c),
                            None => return Err(format!("`{{{name}` has no closing brace; {{{{ is a brace")),
                        }
                    }
                    if !plain.is_empty() {
                        pieces.push(Piece::Text(std::mem::take(&mut plain)));
                    }
                    pieces.push(place(&name)?);
                }
                '\\' => match chars.next_if(|c| matches!(c, 't' | 'n' | '\\')) {
                    Some('t') => plain.push('\t'),
                    Some('n') => plain.push('\n'),
                    Some(c) => plain.push(c),
                    None => plain.push('\\'),
                },
                c => plain.push(c),
            }
        }
        if !plain.is_empty() {
            pieces.push(Piece::Text(plain));
        }
        Ok(Self(pieces))
    }
}

fn place(name: &str) -> Result<Piece, String> {
    if name.starts_with('/') {
        return Pointer::new(name).map(Piece::Payload).map_err(|e| e.to_string());
    }
    match FIELDS.iter().find(|(known, _)| *known == name) {
        Some((_, field)) => Ok(Piece::Field(*field)),
        None => {
            let names: Vec<&str> = FIELDS.iter().map(|(name, _)| *name).collect();
            Err(format!(
                "`{name}` is not a field; use one of {}, or a JSON Pointer such as /tool",
                names.join(", ")
            ))
        }
    }
}

impl Template {
    /// The line of an event. What an event does not have is empty.
    pub(super) fn fill(&self, event: &Event, catalogue: &Catalogue) -> String {
        let is_read = |piece: &Piece| {
            use Field::{Cost, Model, Speaker, Summary, Text, Tokens, Tool};
            matches!(piece, Piece::Field(Summary | Speaker | Text | Tool | Model | Tokens | Cost))
        };
        let readable = self.0.iter().any(is_read).then(|| Readable::of(event, catalogue));
        let needs_payload = self.0.iter().any(|piece| matches!(piece, Piece::Payload(_)));
        let payload: Option<Value> =
            needs_payload.then(|| serde_json::from_slice(event.payload()).unwrap_or_default());
        let mut line = String::new();
        for piece in &self.0 {
            match piece {
                Piece::Text(text) => line.push_str(text),
                Piece::Field(field) => line.push_str(&value(*field, event, readable.as_ref())),
                Piece::Payload(pointer) => {
                    line.push_str(
                        &payload.as_ref().and_then(|p| pointer.find(p)).map(plain).unwrap_or_default(),
                    );
                }
            }
        }
        line
    }
}

fn plain(value: &Value) -> String {
    match value {
        Value::Null => String::new(),
        Value::String(text) => text.clone(),
        other => other.to_string(),
    }
}

fn value(field: Field, event: &Event, readable: Option<&Readable>) -> String {
    let own = |text: Option<&str>| text.unwrap_or_default().to_owned();
    let number = |number: Option<f64>| number.map(|n| n.to_string()).unwrap_or_default();
    let spent = readable.map(|readable| &readable.usage);
    match field {
        Field::Address => event.address().to_string(),
        Field::Session => event.session().to_string(),
        Field::Branch => event.branch().to_string(),
        Field::Sequence => event.sequence().to_string(),
        Field::Position => event.position().to_string(),
        Field::Id => event.id().to_string(),
        Field::Type => event.kind().to_owned(),
        Field::Time => event.occurred().to_string(),
        Field::Recorded => event.recorded().to_string(),
        Field::Source => own(event.source()),
        Field::Actor => own(event.actor()),
        Field::Correlation => own(event.correlation()),
        Field::Causation => event.causation().map(|id| id.to_string()).unwrap_or_default(),
        Field::Priority => event.priority().to_string(),
        Field::Summary => readable.map(|readable| readable.summary.clone()).unwrap_or_default(),
        Field::Speaker => readable.and_then(|r| r.speaker).map(|s| s.to_string()).unwrap_or_default(),
        Field::Text => {
            let texts = readable.into_iter().flat_map(|r| &r.parts).map(|part| part.text.as_str());
            texts.collect::<Vec<_>>().join("\n")
        }
        Field::Tool => {
            let named = readable.into_iter().flat_map(|r| &r.parts).find_map(|part| part.tool.clone());
            named.unwrap_or_default()
        }
        Field::Model => own(spent.and_then(|spent| spent.model.as_deref())),
        Field::Tokens => number(spent.and_then(|s| match (s.input, s.output) {
            (None, None) => s.tokens,
            (read, written) => Some(read.unwrap_or_default() + written.unwrap_or_default()),
        })),
        Field::Cost => number(spent.and_then(|spent| spent.cost_usd)),
        Field::Data => String::from_utf8_lossy(event.payload()).into_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use retold::event::NewEvent;
    use retold::store::{Query, Store};

    fn filled(template: &str) -> String {
        let store = Store::in_memory().unwrap();
        let data = serde_json::json!({"tool": "grep", "args": {"pattern": "a\tb"}, "n": 3});
        store.append("s", NewEvent::new("tool.invoked").data(data).actor("mara")).unwrap();
        let event = store.events(Query::branch("s").unwrap()).unwrap().next().unwrap().unwrap();
        template.parse::<Template>().unwrap().fill(&event, Catalogue::builtin())
    }

    #[test]
    fn a_line_has_what_it_names() {
        assert_eq!(filled("{address} {type} {summary}"), "s/main@1 tool.invoked grep a b");
        assert_eq!(filled("{{{sequence}}}\\t{actor}\\\\{source}|"), "{1}\tmara\\|");
        assert_eq!(filled("{/n} {/args/pattern} {/none}{/args}"), "3 a\tb {\"pattern\":\"a\\tb\"}");
        assert_eq!(filled("{speaker} {tool} {model}{tokens}{cost}"), "tool_call grep ");
        assert_eq!(filled(""), "");
        assert_eq!(filled("\\x"), "\\x");
    }

    #[test]
    fn every_field_can_be_named_and_others_are_refused() {
        for (name, _) in FIELDS {
            let _ = filled(&format!("{{{name}}}"));
        }
        for (template, why) in [
            ("{", "closing brace"),
            ("{x", "closing brace"),
            ("{adress}", "`adress` is not a field"),
            ("{/a~}", "`/a~`"),
            ("{}", "`` is not"),
        ] {
            let refused = template.parse::<Template>().unwrap_err();
            assert!(refused.contains(why), "{template}: {refused}");
        }
    }
}
