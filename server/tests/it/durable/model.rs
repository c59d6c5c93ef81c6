//! Random requests to a few streams are answered as by a plain model of them.

use std::collections::HashMap;

use proptest::prelude::*;

use super::{JSON, TEXT, at};
use crate::harness::{Answer, Ask, Served};

const PATHS: [&str; 3] = ["a", "b/c", "d"];

#[derive(Clone, Debug)]
enum Step {
    Put {
        path: usize,
        json: bool,
        closed: bool,
        data: Vec<u8>,
    },
    Fork {
        path: usize,
        from: usize,
        at: Option<usize>,
        sub: u64,
        closed: bool,
    },
    Post {
        path: usize,
        json: bool,
        data: Vec<u8>,
        closes: bool,
        seq: Option<u8>,
        producer: Option<(u8, u64, u64)>,
    },
    Delete {
        path: usize,
    },
    Read {
        path: usize,
        at: usize,
    },
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let path = 0..PATHS.len();
    let data = || prop::collection::vec(0_u8..10, 0..4);
    let rarely = || prop::bool::weighted(0.1);
    let mostly_text = || prop::bool::weighted(0.4);
    let step = prop_oneof![
        2 => (path.clone(), mostly_text(), rarely(), data())
            .prop_map(|(path, json, closed, data)| Step::Put { path, json, closed, data }),
        2 => (path.clone(), path.clone(), prop::option::of(0_usize..8), 0_u64..3, rarely())
            .prop_map(|(path, from, at, sub, closed)| Step::Fork { path, from, at, sub, closed }),
        6 => (path.clone(), mostly_text(), data(), rarely(), prop::option::weighted(0.2, 0_u8..9),
            prop::option::weighted(0.5, (0_u8..2, 0_u64..2, 0_u64..4)))
            .prop_map(|(path, json, data, closes, seq, producer)| Step::Post { path, json, data, closes, seq, producer }),
        1 => path.clone().prop_map(|path| Step::Delete { path }),
        3 => (path, 0_usize..9).prop_map(|(path, at)| Step::Read { path, at }),
    ];
    prop::collection::vec(step, 1..40)
}

/// A stream as it is to be.
#[derive(Clone, Debug, Default)]
struct Stream {
    json: bool,
    /// What was appended at once, or each message.
    units: Vec<String>,
    /// Offsets that were given, and how many units came before each.
    marks: Vec<(String, usize)>,
    closed: Option<Option<(u8, u64, u64)>>,
    producers: HashMap<u8, (u64, u64)>,
    seq: Option<String>,
    /// The stream it is of, by number; where it leaves, and how much it has after that.
    fork: Option<(usize, usize, String, u64)>,
    alive: bool,
}

#[derive(Debug, Default)]
struct Model {
    streams: Vec<Stream>,
    paths: HashMap<usize, usize>,
}

enum At {
    Nothing,
    Gone,
    Live(usize),
}

impl Model {
    fn at(&self, path: usize) -> At {
        match self.paths.get(&path) {
            Some(of) if self.streams[*of].alive => At::Live(*of),
            Some(of) if self.is_held(*of) => At::Gone,
            _ => At::Nothing,
        }
    }

    fn is_held(&self, of: usize) -> bool {
        let forks =
            self.streams.iter().enumerate().filter(|(_, s)| s.fork.as_ref().is_some_and(|f| f.0 == of));
        forks.into_iter().any(|(n, stream)| stream.alive || self.is_held(n))
    }

    fn begin(&mut self, path: usize, stream: Stream) {
        self.paths.insert(path, self.streams.len());
        self.streams.push(stream);
    }
}

/// A body, and the units that it is. Messages are numbers, bytes are letters.
fn body(json: bool, data: &[u8]) -> (String, Vec<String>) {
    if json {
        let units: Vec<String> = data.iter().map(u8::to_string).collect();
        return (format!("[{}]", units.join(",")), units);
    }
    let text: String = data.iter().map(|n| char::from(b'a' + n)).collect();
    (text.clone(), if text.is_empty() { vec![] } else { vec![text] })
}

fn shown(json: bool, units: &[String]) -> String {
    if json { format!("[{}]", units.join(",")) } else { units.concat() }
}

fn content_type(json: bool) -> &'static str {
    if json { JSON } else { TEXT }
}

fn closing(ask: Ask, closes: bool) -> Ask {
    if closes { ask.header("stream-closed", "true") } else { ask }
}

struct Run {
    served: Served,
    model: Model,
}

impl Run {
    async fn step(&mut self, step: &Step) {
        match step {
            Step::Put { path, json, closed, data } => self.put(*path, *json, *closed, data).await,
            Step::Fork { path, from, at, sub, closed } => self.fork(*path, *from, *at, *sub, *closed).await,
            Step::Post { .. } => self.post(step).await,
            Step::Delete { path } => self.delete(*path).await,
            Step::Read { path, at } => self.read(*path, *at).await,
        }
    }

    async fn put(&mut self, path: usize, json: bool, closed: bool, data: &[u8]) {
        let (text, units) = body(json, data);
        let ask = closing(self.served.ask("PUT", &at(PATHS[path])), closed);
        let answer = ask.body(content_type(json), text).send().await;
        match self.model.at(path) {
            At::Live(of) => {
                let of = &self.model.streams[of];
                let is_same = of.json == json && of.closed.is_some() == closed && of.fork.is_none();
                assert_eq!(answer.status, if is_same { 200 } else { 409 }, "{}", answer.text());
            }
            At::Gone => assert_eq!(answer.status, 409),
            At::Nothing => {
                assert_eq!(answer.status, 201, "{}", answer.text());
                let marks = vec![(answer.next(), units.len())];
                let closed = closed.then_some(None);
                self.model
                    .begin(path, Stream { json, units, marks, closed, alive: true, ..Stream::default() });
            }
        }
    }

    async fn fork(&mut self, path: usize, from: usize, cut: Option<usize>, sub: u64, closed: bool) {
        let source = self.model.at(from);
        // An offset of the source, or of nothing; the beginning if there is none.
        let mark = cut.map(|n| match &source {
            At::Live(of) => self.model.streams[*of].marks.get(n).cloned().unwrap_or(("-1".to_owned(), 0)),
            _ => ("-1".to_owned(), 0),
        });
        let sub = if mark.is_some() { sub } else { 0 };
        let mut ask = self.served.ask("PUT", &at(PATHS[path])).header("stream-forked-from", &at(PATHS[from]));
        if let Some((offset, _)) = &mark {
            ask = ask.header("stream-fork-offset", offset).header("stream-fork-sub-offset", &sub.to_string());
        }
        let answer = closing(ask, closed).send().await;
        let begins = |offset: &str| offset.parse::<u64>().unwrap_or(1).max(1);
        match (self.model.at(path), source) {
            (At::Live(of), _) => {
                let of = &self.model.streams[of];
                let is_same_fork = of.fork.as_ref().is_some_and(|(_, path, offset, was)| {
                    let is_at = mark.as_ref().is_none_or(|(given, _)| begins(given) == begins(offset));
                    *path == from && is_at && *was == sub
                });
                let is_same = is_same_fork && of.closed.is_some() == closed;
                assert_eq!(answer.status, if is_same { 200 } else { 409 }, "{}", answer.text());
            }
            (At::Gone, _) | (At::Nothing, At::Gone) => assert_eq!(answer.status, 409, "{}", answer.text()),
            (At::Nothing, At::Nothing) => assert_eq!(answer.status, 404, "{}", answer.text()),
            (At::Nothing, At::Live(number)) => {
                let of = self.model.streams[number].clone();
                let (offset, mut count) = mark.unwrap_or_else(|| (of_end(&of), of.units.len()));
                let mut rest = None;
                let is_within = if of.json {
                    count += sub as usize;
                    count <= of.units.len()
                } else if sub > 0 {
                    match of.units.get(count) {
                        Some(unit) if unit.len() == sub as usize => {
                            count += 1;
                            true
                        }
                        Some(unit) if unit.len() > sub as usize => {
                            rest = Some(unit[..sub as usize].to_owned());
                            true
                        }
                        _ => false,
                    }
                } else {
                    true
                };
                if !is_within {
                    assert_eq!(answer.status, 400, "{}", answer.text());
                    return;
                }
                assert_eq!(answer.status, 201, "{}", answer.text());
                let mut units = of.units[..count].to_vec();
                let mut marks: Vec<_> =
                    of.marks.iter().filter(|(_, before)| *before <= count).cloned().collect();
                // One that leaves where the source was empty has no offset of later.
                marks.retain(|(mark, before)| *before < count || *mark <= offset);
                units.extend(rest);
                marks.push((answer.next(), units.len()));
                let fork = Some((number, from, offset, sub));
                let closed = closed.then_some(None);
                self.model.begin(
                    path,
                    Stream { json: of.json, units, marks, closed, fork, alive: true, ..Stream::default() },
                );
            }
        }
    }

    async fn post(&mut self, step: &Step) {
        let Step::Post { path, json, data, closes, seq, producer } = step else { return };
        let (text, units) = if data.is_empty() { (String::new(), vec![]) } else { body(*json, data) };
        let mut ask = closing(self.served.ask("POST", &at(PATHS[*path])), *closes);
        if let Some(seq) = seq {
            ask = ask.header("stream-seq", &seq.to_string());
        }
        if let Some((id, epoch, number)) = producer {
            ask = ask.header("producer-id", &id.to_string()).header("producer-epoch", &epoch.to_string());
            ask = ask.header("producer-seq", &number.to_string());
        }
        let answer = ask.body(content_type(*json), text).send().await;
        let of = match self.model.at(*path) {
            At::Nothing => return assert_eq!(answer.status, 404),
            At::Gone => return assert_eq!(answer.status, 410),
            At::Live(of) => &mut self.model.streams[of],
        };
        if let Some(by) = &of.closed {
            let is_again =
                producer.is_some() && *by == *producer || producer.is_none() && units.is_empty() && *closes;
            assert_eq!(answer.status, if is_again { 204 } else { 409 }, "{}", answer.text());
            return assert_eq!(answer.header("stream-closed"), Some("true"));
        }
        let due = if units.is_empty() && !closes {
            400
        } else if !units.is_empty() && of.json != *json {
            409
        } else {
            turn(of, *producer).unwrap_or_else(|| {
                let seq = seq.map(|seq| seq.to_string());
                if seq.as_ref().is_some_and(|seq| of.seq.as_ref().is_some_and(|last| seq <= last)) {
                    return 409;
                }
                of.seq = seq.or(of.seq.take());
                if let Some((id, epoch, number)) = *producer {
                    of.producers.insert(id, (epoch, number));
                }
                of.units.extend(units.clone());
                of.marks.push((answer.next(), of.units.len()));
                of.closed = closes.then_some(*producer);
                if producer.is_some() && !units.is_empty() { 200 } else { 204 }
            })
        };
        assert_eq!(answer.status, due, "{}", answer.text());
    }

    async fn delete(&mut self, path: usize) {
        let answer = self.served.delete(&at(PATHS[path])).await;
        match self.model.at(path) {
            At::Nothing => assert_eq!(answer.status, 404),
            At::Gone => assert_eq!(answer.status, 410),
            At::Live(of) => {
                assert_eq!(answer.status, 204);
                self.model.streams[of].alive = false;
            }
        }
    }

    async fn read(&mut self, path: usize, from: usize) {
        let of = match self.model.at(path) {
            At::Nothing => return assert_eq!(self.served.get(&at(PATHS[path])).await.status, 404),
            At::Gone => return assert_eq!(self.served.get(&at(PATHS[path])).await.status, 410),
            At::Live(of) => &self.model.streams[of],
        };
        let (offset, before) = of.marks.get(from).cloned().unwrap_or(("-1".to_owned(), 0));
        let answer: Answer = self.served.read_from(PATHS[path], &offset).await;
        assert_eq!(
            (answer.status, answer.text()),
            (200, shown(of.json, &of.units[before..]).as_str()),
            "{offset}"
        );
        assert_eq!(answer.header("stream-closed").is_some(), of.closed.is_some());
        assert_eq!(answer.header("stream-up-to-date"), Some("true"));
    }
}

fn of_end(of: &Stream) -> String {
    of.marks.last().map(|(offset, _)| offset.clone()).unwrap_or_default()
}

/// What a producer is told, unless its request is the next one.
fn turn(of: &Stream, producer: Option<(u8, u64, u64)>) -> Option<u16> {
    let (id, epoch, number) = producer?;
    let Some((last_epoch, last)) = of.producers.get(&id).copied() else {
        return (number != 0).then_some(409);
    };
    match epoch.cmp(&last_epoch) {
        std::cmp::Ordering::Less => Some(403),
        std::cmp::Ordering::Greater => (number != 0).then_some(400),
        std::cmp::Ordering::Equal if number <= last => Some(204),
        std::cmp::Ordering::Equal => (number != last + 1).then_some(409),
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 48, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn streams_are_what_the_model_says(steps in steps()) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(async {
            let mut run = Run { served: Served::open().await, model: Model::default() };
            for step in &steps {
                run.step(step).await;
            }
            for path in 0..PATHS.len() {
                for from in 0..9 {
                    run.read(path, from).await;
                }
            }
            run.served.stop().await;
        });
    }
}
