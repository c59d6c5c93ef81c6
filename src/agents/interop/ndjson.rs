//! Records of no known format, one per line or in an array, with a [`Mapping`](super::Mapping) that says where the
//! fields of an event are in them.
//!
//! A field that is not mapped, or not in a record, has a default: the session is named after the file, the type is
//! `ndjson.record`, and the record is identified by its text, the equal ones by their order.
//!
//! A number is the text that was written: `7`, `7.0` and `7e0` are three ids, and the same as those in quotes. Other
//! programs write one number in one way, and no conversion makes two long ids one.

use std::borrow::Cow;

use crate::event::{BranchName, EventId, Invalid, NewEvent, Place, SessionId, check_kind};

use super::builder::Draft;
use super::fields::{Fields, string};
use super::input::Input;
use super::mapping::{MappedField, Mapping};
use super::sketch::Sketch;
use super::source::Body;
use super::{ids, names, source, times};

/// The type of a record that names none.
const RECORD: &str = "ndjson.record";

/// Any object will do; the format is never detected.
pub(crate) fn is_record(_: &Fields<'_>) -> bool {
    true
}

pub(crate) fn parse(input: &Input<'_>) -> Result<Sketch, Invalid> {
    let mut plan = input.builder();
    let mut unnamed = ids::Occurrences::default();
    let fallbacks = input.sessions()?;
    let none = Mapping::default();
    let mapping = input.options.map.as_ref().unwrap_or(&none);
    for ref piece in input.pieces() {
        let Some(fallback) = fallbacks.get(piece.run) else { continue };
        let text = input.text(piece);
        let read = text.as_deref().map_err(Clone::clone).and_then(|text| {
            let record = Mapped { mapping, fields: Fields::parse(text)? };
            let session =
                record.session(input.options.session.as_ref(), fallback).map_err(|e| e.to_string())?;
            Ok((text, record, session))
        });
        match read {
            Ok((text, record, session)) => {
                let mut event = record.event(&session);
                event.id = match record.word(MappedField::Id) {
                    Some(id) => event_id(&session, &id),
                    None => unnamed.next(event_id(&session, text)),
                };
                let time = record.find(MappedField::Time).and_then(times::of_json);
                let place = Place::new(session, BranchName::main());
                plan.push(piece, piece.ordinal as u64, &place, Draft::new(event, time, Body::Record));
            }
            Err(reason) => plan.skip(piece, reason),
        }
    }
    Ok(plan.finish())
}

struct Mapped<'a> {
    mapping: &'a Mapping,
    fields: Fields<'a>,
}

impl<'a> Mapped<'a> {
    fn find(&self, field: MappedField) -> Option<&'a str> {
        self.mapping.find(field, &self.fields)
    }

    /// A text that is not empty, a number or a boolean, as text.
    fn word(&self, field: MappedField) -> Option<Cow<'a, str>> {
        let value = self.find(field)?;
        match value.as_bytes().first()? {
            b'{' | b'[' => None,
            b'"' => string(value).filter(|text| !text.is_empty()),
            _ => Some(Cow::Borrowed(value)),
        }
    }

    fn label(&self, field: MappedField) -> String {
        self.word(field).map_or_else(String::new, |word| names::label(&word))
    }

    fn session(&self, asked: Option<&SessionId>, fallback: &SessionId) -> Result<SessionId, Invalid> {
        match (asked, self.word(MappedField::Session)) {
            (None, Some(name)) => names::session(&name),
            _ => Ok(fallback.clone()),
        }
    }

    fn event(&self, session: &SessionId) -> NewEvent {
        let mut event =
            NewEvent::new(self.word(MappedField::Type).map_or(Cow::Borrowed(RECORD), |name| kind(&name)));
        event.source = match self.label(MappedField::Source) {
            source if source.is_empty() => "ndjson".into(),
            source => source.into(),
        };
        event.actor = self.label(MappedField::Actor).into();
        event.correlation = self.label(MappedField::Correlation).into();
        event.causation = self.word(MappedField::Causation).map(|id| event_id(session, &id));
        if let Some(id) = self.word(MappedField::Id) {
            event.metadata.insert(source::ID.to_owned(), names::label(&id));
        }
        event
    }
}

/// A type of the catalogue in any spelling, else the name in ours.
fn kind(name: &str) -> Cow<'static, str> {
    if let Some(known) = names::known(name) {
        return known;
    }
    let ours = name
        .split(['.', '/', ':'])
        .filter(|part| !part.is_empty())
        .map(names::snake)
        .collect::<Vec<_>>()
        .join(".");
    match check_kind(&ours) {
        Ok(()) => Cow::Owned(ours),
        Err(_) => Cow::Borrowed(RECORD),
    }
}

fn event_id(session: &SessionId, id: &str) -> EventId {
    ids::derived(ids::NDJSON, &[session.as_str().as_bytes(), id.as_bytes()])
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;

    use crate::agents::interop::testing::{drawn, events, restored};
    use crate::agents::interop::{Format, Options, Plan, parse};

    fn plan(map: &str, file: &str) -> Plan {
        let map = (!map.is_empty()).then(|| map.parse().unwrap());
        let options = Options::default().format(Some(Format::Ndjson)).map(map);
        parse("log.ndjson", &Bytes::copy_from_slice(file.as_bytes()), &options).unwrap()
    }

    const MAP: &str = "session=/run/id,type=/event,time=/ts,id=/uid,causation=/parent,actor=/who";

    #[test]
    fn fields_come_from_where_the_mapping_says() {
        let file = concat!(
            r#"{"run":{"id":7},"event":"ToolInvoked","ts":1772569904.604,"uid":"a","who":"mara"}"#,
            "\n",
            r#"{"run":{"id":"x/1"},"event":"Order.Placed","ts":"2026-03-03T20:31:45Z","uid":"b","parent":"a"}"#,
            "\r\n",
            r#"{"run":{"id":7},"event":"","uid":"c","parent":"a"}"#,
        );
        let plan = plan(MAP, file);
        let drawn = drawn(&plan);
        assert_eq!((&*drawn[0], &*drawn[2]), ("7/main: tool.invoked", "7/main: ndjson.record"));
        assert!(drawn[1].starts_with("x-1-") && drawn[1].ends_with("/main: order.placed"), "{drawn:?}");
        let all: Vec<_> = events(&plan).map(|(_, e)| e).collect();
        assert_eq!((all[2].causation, &*all[0].actor), (Some(all[0].id), "mara"));
        assert_eq!((all[0].occurred.micros(), plan.timeless), (1_772_569_904_604_000, 1));
        assert_eq!(restored(&plan), file);
    }

    #[test]
    fn without_a_mapping_nothing_is_refused() {
        let file = "{\"a\":1}\n{\"a\":1}\n[{\"b\":2}]\n7\nhello\n{\"c\":\n";
        let plan = plan("", file);
        assert_eq!((plan.events(), plan.duplicates), (3, 0));
        let lines: Vec<usize> = plan.skipped.iter().map(|s| s.line).collect();
        assert_eq!(lines, [4, 5, 6]);
    }

    #[test]
    fn a_record_again_is_a_duplicate_and_another_with_its_id_is_not() {
        let line = |n: u32| format!("{{\"uid\":\"a\",\"n\":{n}}}\n");
        let plan = plan(MAP, &[line(1), line(1), line(2)].concat());
        assert_eq!((plan.events(), plan.duplicates), (2, 1));
    }

    #[test]
    fn a_number_is_an_id_as_it_is_written() {
        let ids = [
            "18446744073709551616",
            "18446744073709551617",
            "340282366920938463463374607431768211456.5",
            "7",
            "7.0",
            "7e0",
            "-0",
            "true",
        ];
        let file: String = ids.map(|id| format!("{{\"uid\":{id}}}\n")).concat();
        let read = plan(MAP, &file);
        assert_eq!((read.events(), read.duplicates, read.skipped.len()), (ids.len(), 0, 0));
        let noted: Vec<_> = events(&read).map(|(_, e)| &*e.metadata["source.id"]).collect();
        assert_eq!(noted, ids);
        // In quotes they are the same ids, and a cause is found in either form.
        let quoted = plan(MAP, "{\"uid\":\"7.0\"}\n{\"uid\":8,\"parent\":7.0}\n");
        let (all, quoted): (Vec<_>, Vec<_>) = (events(&read).collect(), events(&quoted).collect());
        assert_eq!((quoted[0].1.id, quoted[1].1.causation), (all[4].1.id, Some(all[4].1.id)));
    }

    #[test]
    fn of_two_members_with_one_name_the_last_one_counts() {
        let file = r#"{"uid":"a","event":"x.a","uid":"b","run":{"id":1},"run":{"id":2,"id":3}}"#;
        let plan = plan(MAP, file);
        assert_eq!(drawn(&plan), ["3/main: x.a"]);
        assert_eq!(events(&plan).next().unwrap().1.metadata["source.id"], "b");
        assert_eq!(restored(&plan), file);
    }

    #[test]
    fn a_record_that_is_nested_too_deeply_is_named_and_nothing_in_it_is_taken_for_a_record() {
        let nested = |levels: usize| {
            let (open, close) = ("{\"a\":".repeat(levels - 1), "}".repeat(levels - 1));
            format!("{{\"uid\":{levels},\"x\":{open}[]{close}}}\n")
        };
        let most = crate::limits::MAX_JSON_DEPTH - 1;
        for (levels, fits) in [(most - 1, true), (most, true), (most + 1, false), (100_000, false)] {
            let file = nested(1) + &nested(levels) + &nested(2);
            let plan = plan(MAP, &file);
            assert_eq!((plan.events(), plan.skipped.len()), (2 + usize::from(fits), usize::from(!fits)));
            if !fits {
                assert_eq!(plan.skipped[0].line, 2);
                assert!(plan.skipped[0].reason.contains("128 levels"), "{}", plan.skipped[0].reason);
            }
        }
    }

    #[test]
    fn what_is_in_a_broken_record_is_not_a_record() {
        for (file, events) in [
            ("{\"a\":{\"b\":1},\"c\n{\"d\":1}\n", 1),
            ("{\"d\":1}\n{\"a\":{\"b\":1},", 1),
            ("[{\"d\":1},{\"a\":{\"b\":1},\"c\"]", 1),
            ("{\"a\":{\"b\":1}}{\"d\":1}\n", 2),
        ] {
            let plan = plan(MAP, file);
            assert_eq!(plan.events(), events, "{file}");
        }
    }
}
