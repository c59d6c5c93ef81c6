//! What searching costs: events indexed a second, a query, and the size of the index.
//!
//! `cargo bench --bench search` runs it; `-- --quick` is a short form whose figures mean nothing, `--events N` says how many events
//! there are. Texts are of words as natural language has them: a few of them often, many of them seldom.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, missing_docs, reason = "a program for people")]

use std::time::{Duration, Instant};

use retold::agents::search::SearchRequest;
use retold::{NewEvent, Store};

const BATCH: u64 = 10_000;
const VOCABULARY: u64 = 200_000;

/// SplitMix64.
struct Dice(u64);

impl Dice {
    fn roll(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        z ^ (z >> 31)
    }

    /// The rank of a word: the higher, the rarer, as Zipf has it.
    fn rank(&mut self) -> u64 {
        let part = (self.roll() >> 11) as f64 / (1_u64 << 53) as f64;
        (VOCABULARY as f64).powf(part) as u64
    }
}

/// The word of a rank.
fn word(rank: u64) -> String {
    let mut dice = Dice(rank);
    let length = 2 + rank.ilog2() as usize / 2;
    (0..length).map(|_| char::from(b'a' + (dice.roll() % 26) as u8)).collect()
}

fn text(dice: &mut Dice, words: &[String]) -> String {
    let count = 20 + dice.roll() % 50;
    (0..count).map(|_| words[dice.rank() as usize].as_str()).collect::<Vec<_>>().join(" ")
}

fn percentile(times: &mut [Duration], part: f64) -> Duration {
    times.sort_unstable();
    times[((times.len() - 1) as f64 * part) as usize]
}

fn main() {
    let args: Vec<String> = std::env::args().collect();
    let is_quick = args.iter().any(|arg| arg == "--quick");
    let given = args.iter().skip_while(|arg| *arg != "--events").nth(1);
    let events = given.map_or(if is_quick { 20_000 } else { 1_000_000 }, |n| n.parse().unwrap());
    let dir = tempfile::tempdir().unwrap();
    let store = Store::builder().sync(false).open(dir.path().join("runs.redb")).unwrap();
    let words: Vec<String> = (0..=VOCABULARY).map(|rank| word(rank + 1)).collect();
    let (mut dice, mut bytes) = (Dice(7), 0);
    for begin in (0..events).step_by(BATCH as usize) {
        let batch = (begin..events.min(begin + BATCH)).map(|_| {
            let text = text(&mut dice, &words);
            bytes += text.len();
            NewEvent::new("message.user").data(serde_json::json!({ "text": text }))
        });
        store.append(format!("s{}", begin / BATCH % 100).as_str(), batch.collect::<Vec<_>>()).unwrap();
    }
    store.maintenance().flush().unwrap();
    let search = store.search();
    let begun = Instant::now();
    search.update().unwrap();
    let took = begun.elapsed();
    let info = search.info().unwrap().unwrap();
    println!("{events} events, {} bytes of text each", bytes as u64 / events);
    println!("indexed   {:>9.0} events a second", events as f64 / took.as_secs_f64());
    println!("index     {:>9.1} % of the text", info.bytes as f64 * 100.0 / bytes as f64);

    let rounds = if is_quick { 20 } else { 200 };
    let two = |dice: &mut Dice, low: u64| {
        let mut word = || words[(low + dice.roll() % low) as usize].clone();
        (word(), word())
    };
    type Make<'a> = &'a dyn Fn(&mut Dice) -> String;
    let queries: [(&str, Make<'_>); 6] = [
        ("a rare word", &|dice| two(dice, 20_000).0),
        ("two words", &|dice| {
            let (one, other) = two(dice, 100);
            format!("{one} {other}")
        }),
        ("the most frequent word", &|_| words[1].clone()),
        ("a phrase", &|dice| {
            let (one, other) = two(dice, 10);
            format!("\"{one} {other}\"")
        }),
        ("a beginning", &|dice| format!("{}*", &two(dice, 1_000).0[..3])),
        ("one or another, not a third", &|dice| {
            let (one, other) = two(dice, 500);
            format!("{one} OR {other} -{}", words[2])
        }),
    ];
    for (name, make) in queries {
        let mut times: Vec<Duration> = (0..rounds)
            .map(|_| {
                let request = SearchRequest::new(make(&mut dice));
                let begun = Instant::now();
                search.find(&request).unwrap();
                begun.elapsed()
            })
            .collect();
        let (p50, p99) = (percentile(&mut times, 0.5), percentile(&mut times, 0.99));
        println!("{name:<28} p50 {:>8.2} ms   p99 {:>8.2} ms", ms(p50), ms(p99));
    }
}

fn ms(time: Duration) -> f64 {
    time.as_secs_f64() * 1_000.0
}
