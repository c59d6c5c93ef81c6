//! Our own lines: what they contain, what they lack, and that they come back.

use super::super::testing::{drawn, event, events, fork, plan_of, recorded};
use super::super::*;

#[test]
fn our_own_lines_come_back_as_the_events_they_were() {
    let full = event("tool.invoked").source("runner").actor("me").correlation("c").priority(2).version(3);
    let full = full
        .meta("k", "v\n")
        .causation(crate::event::EventId::new())
        .trace("00-a-b-01")
        .json_text("{\n \"a\": 1}");
    for new in [full, event("a"), event("b.c").bytes("text/plain", "x\ny")] {
        let mut out = Vec::new();
        print(Format::Retold, &recorded("s/b", 4, &new), &mut out).unwrap();
        assert_eq!(out.iter().filter(|b| **b == b'\n').count(), 1);
        let plan = plan_of("x.jsonl", &out);
        let (place, back) = events(&plan).next().unwrap();
        assert_eq!((place.to_string().as_str(), plan.format), ("s/b", Format::Retold));
        let plain = |e: &crate::event::NewEvent| format!("{e:?}").replace("trusted: true", "trusted: false");
        assert_eq!(plain(back), plain(&new));
    }
}

#[test]
fn the_names_of_an_event_stand_in_their_order() {
    let new = event("tool.invoked").source("runner").priority(1).meta("k", "v").json_text("{ \"a\":\n1 }");
    let new = new.with_id("019bfc23-5c32-7791-ae30-aa4b590df541".parse().unwrap());
    let shown = json::to_string(&recorded("s/main", 4, &new), json::Style::Shown);
    assert_eq!(
        shown,
        r#"{"id":"019bfc23-5c32-7791-ae30-aa4b590df541","session":"s","branch":"main","sequence":4,"position":4,"type":"tool.invoked","version":1,"time":"2026-03-01T00:00:03.000000Z","recorded":"2026-03-01T00:00:03.000000Z","source":"runner","priority":1,"metadata":{"k":"v"},"data":{ "a": 1 }}"#
    );
}

#[test]
fn a_fork_line_makes_a_fork() {
    let (fork, new) = (fork(), event("a"));
    let mut out = Vec::new();
    print(Format::Retold, &recorded("s/main", 7, &new), &mut out).unwrap();
    print_fork(Format::Retold, &fork, &mut out).unwrap();
    print(Format::Retold, &recorded("s/alt", 8, &event("b")), &mut out).unwrap();
    assert_eq!(drawn(&plan_of("x", &out)), ["s/main: a", "s/alt < main", "s/alt: b"]);
    let text = String::from_utf8(out).unwrap();
    assert_eq!(parse_line(text.lines().nth(1).unwrap(), None).unwrap_err().field, "line");
}

#[test]
fn a_line_says_what_it_lacks() {
    for (line, field) in [
        ("", "line"),
        ("[]", "line"),
        ("{\"type\":", "line"),
        (r#"{"session":"s"}"#, "type"),
        (r#"{"type":"a"}"#, "session"),
        (r#"{"type":"a","session":"a/b"}"#, "session"),
        (r#"{"type":"a","session":5}"#, "session"),
        (r#"{"type":"a","session":"s","typo":1}"#, "event"),
        (r#"{"type":"a","session":"s","time":"soon"}"#, "time"),
        (r#"{"type":"a","session":"s","id":"1"}"#, "id"),
        (r#"{"type":"a","session":"s","causation":"1"}"#, "causation"),
        (r#"{"type":"a","session":"s","priority":256}"#, "priority"),
        (r#"{"type":"a","session":"s","version":-1}"#, "version"),
        (r#"{"type":"a","session":"s","metadata":{"a":1}}"#, "metadata"),
        (r#"{"type":"a","session":"s","data_base64":"!"}"#, "data_base64"),
        (r#"{"type":"a","session":"s","data":1,"data_base64":""}"#, "data"),
        (r#"{"type":"a","session":"s","data":1,"datacontenttype":"text/plain"}"#, "data"),
    ] {
        assert_eq!(parse_line(line, None).unwrap_err().field, field, "{line}");
    }
    let (place, new) = parse_line(r#"{"type":"a","data":null}"#, Some(&"d".try_into().unwrap())).unwrap();
    assert_eq!((place.to_string(), &*new.payload), ("d/main".to_owned(), &b"null"[..]));
}

#[test]
fn lines_without_ids_get_the_same_ones_again() {
    let file =
        "{\"type\":\"a\",\"session\":\"s\",\"data\":1}\n{\"type\":\"a\",\"session\":\"s\",\"data\":1}\n";
    let ids = |p: &Plan| events(p).map(|(_, e)| e.id).collect::<Vec<_>>();
    let (a, b) = (plan_of("x", file), plan_of("y", file));
    assert_eq!(ids(&a), ids(&b));
    assert_eq!((a.events(), a.duplicates), (2, 0));
}
