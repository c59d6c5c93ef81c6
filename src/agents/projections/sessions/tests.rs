use std::collections::BTreeSet;

use proptest::prelude::*;
use serde_json::json;

use super::{LabelTest, SessionMark, SessionQuery, SessionSort, SessionStatus};
use crate::agents::projections::Board;
use crate::error::Error;
use crate::event::{Catalogue, NewEvent, SessionId, Timestamp};
use crate::store::Store;

fn at(second: i64) -> Timestamp {
    Timestamp::from_micros(1_700_000_000_000_000 + second * 1_000_000)
}

/// Something happens in a session, and costs so many tokens.
fn happen(store: &Store, session: &str, second: i64, tokens: u64) {
    let usage = json!({"provider": "acme", "model": "m", "input_tokens": tokens});
    store.append(session, NewEvent::new("coder.api_call").data(usage).occurred(at(second))).unwrap();
}

fn board(store: &Store) -> Board {
    Board::new(store, Catalogue::builtin()).unwrap()
}

fn all(_: &SessionId) -> bool {
    true
}

fn names(board: &Board, query: &SessionQuery) -> Vec<String> {
    let page = board.list(query, all).unwrap();
    page.sessions.iter().map(|listed| listed.card.info.session.to_string()).collect()
}

#[test]
fn each_order_has_its_first_session_and_can_be_reversed() {
    let store = Store::in_memory().unwrap();
    happen(&store, "a", 10, 5);
    happen(&store, "b", 30, 1);
    happen(&store, "c", 20, 9);
    happen(&store, "c", 21, 1);
    let board = board(&store);
    for (sort, due) in [
        (SessionSort::Last, ["b", "c", "a"]),
        (SessionSort::Tokens, ["c", "a", "b"]),
        (SessionSort::Events, ["c", "a", "b"]),
        (SessionSort::Age, ["a", "c", "b"]),
        (SessionSort::Name, ["a", "b", "c"]),
        // All alike.
        (SessionSort::Cost, ["a", "b", "c"]),
        (SessionSort::Errors, ["a", "b", "c"]),
    ] {
        let query = SessionQuery::new().sort(sort);
        assert_eq!(names(&board, &query), due, "{sort}");
        // A name alone says where the page begins, also of a session that is not wanted.
        let after = query.clone().after("c".parse().unwrap()).since(at(25));
        let place = |name| due.iter().position(|other| *other == name);
        let is_after = place("b") > place("c");
        assert_eq!(names(&board, &after), if is_after { vec!["b"] } else { vec![] }, "{sort}");
        let reversed: Vec<&str> = due.into_iter().rev().collect();
        assert_eq!(names(&board, &query.reverse()), reversed, "{sort}");
    }
}

#[test]
fn pages_neither_repeat_nor_skip_those_that_stay_where_they_are() {
    for sort in SessionSort::ALL {
        for reverse in [false, true] {
            let store = Store::in_memory().unwrap();
            for n in 0..9 {
                happen(&store, &format!("s{n}"), (n * 7) % 9, n as u64 % 3);
            }
            let board = board(&store);
            let query = SessionQuery::new().sort(sort).limit(2);
            let mut query = if reverse { query.reverse() } else { query };
            let (mut seen, mut moved) = (Vec::new(), BTreeSet::new());
            for round in 0.. {
                let page = board.list(&query, all).unwrap();
                seen.extend(page.sessions.iter().map(|listed| listed.mark.session().to_string()));
                let Some(next) = page.next else { break };
                // The one at the end of the page, which says where the next one begins, moves or goes.
                let name = next.session().to_string();
                if round % 2 == 0 {
                    happen(&store, &name, 100 + round, 50);
                } else {
                    store.lifecycle().delete_session(next.session()).unwrap();
                }
                moved.insert(name);
                query = query.after(next.to_string().parse().unwrap());
            }
            let stayed = seen.iter().filter(|name| !moved.contains(*name));
            assert_eq!(stayed.clone().count(), stayed.collect::<BTreeSet<_>>().len(), "{sort} {seen:?}");
            let seen: BTreeSet<String> = seen.into_iter().collect();
            assert_eq!(seen.len(), 9, "{sort} {seen:?}");
        }
    }
}

#[test]
fn what_may_not_be_seen_is_not_counted_nor_a_place() {
    let store = Store::in_memory().unwrap();
    for (n, name) in (0..).zip(["a", "b", "hidden", "hidden-2"]) {
        happen(&store, name, n, 1);
    }
    let board = board(&store);
    let mine = |session: &SessionId| !session.as_str().starts_with("hidden");
    let page = board.list(&SessionQuery::new().limit(1), mine).unwrap();
    assert_eq!((page.left, page.looked_at, page.sessions.len()), (1, 2, 1));
    assert_eq!(page.next.unwrap().session().as_str(), "b");
    let told = |after: &str| {
        let query = SessionQuery::new().after(after.parse().unwrap());
        board.list(&query, mine).unwrap_err().to_string()
    };
    assert_eq!(told("hidden").replace("hidden", "none"), told("none"));
    let other = SessionQuery::new().sort(SessionSort::Tokens).limit(1);
    let mark = board.list(&other, mine).unwrap().next.unwrap();
    let refused = board.list(&SessionQuery::new().after(mark), mine);
    assert!(matches!(refused, Err(Error::Invalid(_))), "{refused:?}");
}

#[test]
fn a_status_or_a_label_that_is_none_is_said() {
    for (word, good) in [("none", true), ("abandoned", true), ("in_progress", true), ("asleep", false)] {
        assert_eq!(word.parse::<SessionStatus>().is_ok(), good, "{word}");
    }
    for (text, good) in [("team", true), ("team=search", true), ("team=", true), ("=x", false), ("", false)] {
        assert_eq!(text.parse::<LabelTest>().is_ok(), good, "{text}");
    }
}

proptest! {
    #[test]
    fn a_mark_is_what_it_is_printed_as(sort in 0..SessionSort::ALL.len(), rank: f64, name in "[a-z :.-]{3,9}") {
        let sort = SessionSort::ALL[sort];
        let rank = if sort == SessionSort::Name { 0.0 } else { rank };
        let mark = SessionMark::new(sort, rank, SessionId::new(name).unwrap());
        prop_assert_eq!(mark.to_string().parse::<SessionMark>().unwrap().to_string(), mark.to_string());
    }

    #[test]
    fn what_is_no_mark_is_refused(text in "[a-z]{0,3}@[a-z0-9:@]{0,20}") {
        prop_assert!(text.parse::<SessionMark>().is_err());
    }
}
