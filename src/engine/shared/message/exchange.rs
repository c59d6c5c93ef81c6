//! What both sides make of the messages of the other, whatever is in them, for a fuzzer.

use bytes::Bytes;

use super::{
    Look, Takes, commit_of, dead_space_of, failed, figures_of, got_message, noticed, outcome,
    outcome_message, problem_of, read_got, read_of, report_of,
};
use crate::codec::link::{LINK_HEADER, SentAnswer, SentAsk};
use crate::engine::durability::Durability;
use crate::engine::get::Got;
use crate::engine::port::{Engine, EngineReader};
use crate::limits::MAX_PAYLOAD_BYTES;

const TAKES: Takes = Takes { payload_bytes: MAX_PAYLOAD_BYTES, least: Durability::Durable };

/// Takes each message as the owner of this store does, then as its client. How many calls were carried out.
pub(crate) fn exchange(engine: &dyn Engine, messages: &[Bytes]) -> usize {
    let Ok(reader) = engine.reader() else { return 0 };
    let mut done = 0;
    for message in messages {
        if let Ok(ask) = SentAsk::decode(message) {
            done += usize::from(owner(engine, &*reader, message, &ask));
        }
        client(message);
    }
    done
}

/// Whether the call was carried out. The client takes the answer.
fn owner(engine: &dyn Engine, reader: &dyn EngineReader, message: &Bytes, ask: &SentAsk<'_>) -> bool {
    let _ = read_of(reader, ask, Look::InMemory);
    let answer = match commit_of(message, ask, TAKES) {
        Some(Ok(commit)) => outcome_message(1, &engine.commit(commit)),
        Some(Err(e)) => failed(1, &e),
        None => match read_of(reader, ask, Look::Everywhere) {
            Ok(None) => return false,
            Ok(Some(got)) => got_message(1, &Ok(got)),
            Err(e) => failed(1, &e),
        },
    };
    let answer = Bytes::from(answer).slice(LINK_HEADER..);
    client(&answer);
    !matches!(SentAnswer::decode(&answer), Ok(SentAnswer::Failed(_)) | Err(_))
}

/// Everything that a client does with what it is told, as an answer and as a notice.
fn client(message: &Bytes) {
    let _ = noticed(message);
    let Ok(answer) = SentAnswer::decode(message) else { return };
    let _ = outcome(&answer);
    if let Ok(Some(Got::Pieces(pieces))) = read_got(message, &answer) {
        pieces.list.into_iter().flatten().for_each(drop);
    }
    match answer {
        SentAnswer::Failed(problem) => drop(problem_of(problem)),
        SentAnswer::Report(report) => drop(report_of(&report)),
        SentAnswer::Figures(figures) => drop(figures_of(&figures)),
        SentAnswer::DeadSpace(dead) => drop(dead.map(|dead| dead_space_of(&dead))),
        _ => {}
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::codec::Bounded;
    use crate::codec::link::{
        SentAppend, SentExpect, SentFork, SentNotice, SentPart, SentPlace, SentProblem, SentRange, SentWrites,
    };
    use crate::engine::memory::open;
    use crate::event::NewEvent;
    use crate::store::Builder;

    fn body(message: Vec<u8>) -> Bytes {
        Bytes::from(message).slice(LINK_HEADER..)
    }

    /// Calls of every kind, answers and notices, all as they should be.
    fn messages() -> Vec<Bytes> {
        let engine = open(false);
        let store = Builder::new().on(engine.clone()).unwrap();
        store
            .append("s", (0..3).map(|_| NewEvent::new("a.b").bytes("x/y", "1")).collect::<Vec<_>>())
            .unwrap();
        let reader = engine.reader().unwrap();
        let range = || SentRange { from: 1, to: u64::MAX, limit: 10, reverse: false };
        let place = SentPlace { session: "s", branch: "main" };
        let Ok(Some(Got::Events(events))) = read_of(&*reader, &SentAsk::All(range()), Look::Everywhere)
        else {
            panic!("it reads")
        };
        let writes =
            || SentWrites { rows: Bounded(vec![]), expected: Bounded(vec![]), relaxed: false, by: 1 };
        let append = SentAppend {
            parts: Bounded(vec![SentPart { place, expect: SentExpect::Any, branch: None, count: 3 }]),
            records: Bounded(events.iter().map(|event| &**event.record().encoded()).collect()),
            relaxed: false,
            writes: writes(),
        };
        let fork = SentPlace { session: "s", branch: "b" };
        let asks = [
            SentAsk::AppendForking(
                append.clone(),
                Bounded(vec![SentFork {
                    after: 1,
                    parent: place,
                    at: 2,
                    place: SentPlace { branch: "c", ..place },
                }]),
            ),
            SentAsk::Append(append),
            SentAsk::Fork(place, Some(2), fork),
            SentAsk::Write(writes()),
            SentAsk::Branch(fork),
            SentAsk::Events(1, place, range()),
            SentAsk::Pieces(1, place, 1, 3),
            SentAsk::OfSession("s", range()),
            SentAsk::All(range()),
            SentAsk::BranchesOf("s"),
        ];
        let mut all: Vec<Bytes> = asks.into_iter().map(|ask| body(ask.message(1, 0))).collect();
        let branch = reader.find(events[0].place()).unwrap().unwrap();
        let pieces = crate::engine::get::Get::Pieces { branch: &branch, from: 1, to: 3 };
        all.push(body(got_message(1, &reader.read(&pieces))));
        all.push(body(SentAnswer::Failed(SentProblem::Storage("it is full")).message(1, 0)));
        all.push(body(SentNotice::Unseen(7).message(0, 0)));
        all
    }

    #[test]
    fn messages_as_they_should_be_are_carried_out() {
        assert_eq!(exchange(&*open(false), &messages()), 10);
    }

    proptest! {
        #[test]
        fn whatever_a_peer_sends_is_taken_or_refused(
            spoiled in prop::collection::vec((any::<prop::sample::Index>(), any::<prop::sample::Index>(), any::<u8>()), 1..8),
            cut in any::<prop::sample::Index>(),
        ) {
            let mut all: Vec<Vec<u8>> = messages().into_iter().map(|message| message.to_vec()).collect();
            for (which, at, byte) in spoiled {
                let message = which.get_mut(&mut all);
                if !message.is_empty() {
                    *at.get_mut(message) = byte;
                }
            }
            let shorter = cut.get_mut(&mut all);
            shorter.pop();
            exchange(&*open(false), &all.into_iter().map(Bytes::from).collect::<Vec<_>>());
        }

        #[test]
        fn whatever_bytes_a_peer_sends_are_taken_or_refused(bytes in prop::collection::vec(prop_oneof![0..30u8, any::<u8>()], 0..200)) {
            exchange(&*open(false), &[Bytes::from(bytes)]);
        }
    }
}
