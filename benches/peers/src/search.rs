//! Finding events by what they say: the index of retold beside one that tantivy makes of the same texts. Both read what they
//! found in the store, and show the part of the text that fits.

use std::path::Path;
use std::time::{Duration, Instant};

use retold::agents::search::SearchRequest;
use retold::{NewEvent, Position, Store};
use tantivy::collector::TopDocs;
use tantivy::query::QueryParser;
use tantivy::schema::{FAST, Field, INDEXED, Schema, TEXT, TantivyDocument};
use tantivy::snippet::SnippetGenerator;
use tantivy::{Index, IndexReader, ReloadPolicy};

use crate::driver::folder;
use crate::options::Options;

const EVENTS: f64 = 1_000_000.0;
const BATCH: u64 = 10_000;
const PAGE: usize = 1_000;
const VOCABULARY: u64 = 200_000;
const QUERIES: usize = 200;
/// What tantivy may use before it writes a segment. It takes no less than 15 MB.
const MEMORY: usize = 64 << 20;
/// As many as one page of an answer has.
const HITS: usize = 10;

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
    fn rank(&mut self) -> usize {
        let part = (self.roll() >> 11) as f64 / (1_u64 << 53) as f64;
        (VOCABULARY as f64).powf(part) as usize
    }
}

fn word(rank: u64) -> String {
    let mut dice = Dice(rank);
    let length = 2 + rank.ilog2() as usize / 2;
    (0..length).map(|_| char::from(b'a' + (dice.roll() % 26) as u8)).collect()
}

struct Texts {
    words: Vec<String>,
    events: u64,
}

impl Texts {
    fn of(&self, event: u64) -> String {
        let mut dice = Dice(event);
        let count = 20 + dice.roll() % 50;
        (0..count).map(|_| self.words[dice.rank()].as_str()).collect::<Vec<_>>().join(" ")
    }

    /// Queries of one kind, the same for both.
    fn queries(&self, kind: &str) -> Vec<String> {
        let mut dice = Dice(kind.len() as u64);
        let mut word = |low: u64| self.words[(low + dice.roll() % low) as usize].clone();
        let mut make = || match kind {
            "a rare word" => word(20_000),
            "two words" => format!("+{} +{}", word(100), word(100)),
            "the most frequent word" => self.words[1].clone(),
            "a phrase" => format!("\"{} {}\"", word(10), word(10)),
            _ => format!("{} OR {}", word(500), word(500)),
        };
        (0..QUERIES).map(|_| make()).collect()
    }
}

const KINDS: [&str; 5] =
    ["a rare word", "two words", "the most frequent word", "a phrase", "one word or another"];

/// What one of them gives.
struct Measured {
    rate: f64,
    share: f64,
    queries: Vec<(Duration, Duration)>,
}

pub fn search(options: &Options) {
    let root = folder(options);
    let events = ((EVENTS * options.scale) as u64).max(BATCH);
    let texts = Texts { words: (0..=VOCABULARY).map(|rank| word(rank + 1)).collect(), events };
    let store = Store::builder().sync(false).open(root.path().join("runs.redb")).unwrap();
    let mut bytes = 0;
    for begin in (0..events).step_by(BATCH as usize) {
        let batch = (begin..events.min(begin + BATCH)).map(|n| {
            let text = texts.of(n);
            bytes += text.len() as u64;
            NewEvent::new("message.user").data(serde_json::json!({ "text": text }))
        });
        store.append(format!("s{}", begin / BATCH % 100).as_str(), batch.collect::<Vec<_>>()).unwrap();
    }
    store.maintenance().flush().unwrap();
    let ours = retold(&store, &texts, bytes);
    let theirs = tantivy(&store, &texts, bytes, &root.path().join("tantivy"));
    println!("{events} events, {} bytes of text each", bytes / events);
    let ratio = |ours: f64, theirs: f64| format!("{:.2}x", ours / theirs);
    println!("| | retold | tantivy | |\n|---|---|---|---|");
    println!(
        "| events indexed | {:.0} k/s | {:.0} k/s | {} |",
        ours.rate / 1e3,
        theirs.rate / 1e3,
        ratio(ours.rate, theirs.rate)
    );
    println!(
        "| index / text | {:.0} % | {:.0} % | {} |",
        ours.share,
        theirs.share,
        ratio(ours.share, theirs.share)
    );
    for ((kind, own), other) in KINDS.iter().zip(&ours.queries).zip(&theirs.queries) {
        let ms = |time: Duration| time.as_secs_f64() * 1e3;
        println!(
            "| {kind}, p50 (p99) | {:.2} ({:.2}) ms | {:.2} ({:.2}) ms | {} |",
            ms(own.0),
            ms(own.1),
            ms(other.0),
            ms(other.1),
            ratio(ms(own.0), ms(other.0))
        );
    }
}

fn retold(store: &Store, texts: &Texts, bytes: u64) -> Measured {
    let search = store.search();
    let begun = Instant::now();
    search.update().unwrap();
    let rate = texts.events as f64 / begun.elapsed().as_secs_f64();
    let share = search.info().unwrap().unwrap().bytes as f64 * 100.0 / bytes as f64;
    let find = |query: &str| {
        // All words have to be there anyway.
        let found = search.find(&SearchRequest::new(query.replace('+', "")).limit(HITS)).unwrap();
        assert!(found.hits.iter().all(|hit| !hit.snippet.text.is_empty()));
    };
    Measured { rate, share, queries: timed(texts, &find) }
}

fn tantivy(store: &Store, texts: &Texts, bytes: u64, path: &Path) -> Measured {
    let mut schema = Schema::builder();
    let text = schema.add_text_field("text", TEXT);
    let position = schema.add_u64_field("position", FAST | INDEXED);
    std::fs::create_dir_all(path).unwrap();
    let index = Index::create_in_dir(path, schema.build()).unwrap();
    let begun = Instant::now();
    let mut writer = index.writer_with_num_threads::<TantivyDocument>(1, MEMORY).unwrap();
    let mut from = Position::new(1);
    loop {
        let page = store.read_all(from, PAGE).unwrap();
        let Some(last) = page.events.last() else { break };
        from = last.position().next();
        for event in &page.events {
            let mut document = TantivyDocument::new();
            document.add_text(text, said(event));
            document.add_u64(position, event.position().get());
            writer.add_document(document).unwrap();
        }
    }
    writer.commit().unwrap();
    writer.wait_merging_threads().unwrap();
    let rate = texts.events as f64 / begun.elapsed().as_secs_f64();
    let files = std::fs::read_dir(path).unwrap().map(|entry| entry.unwrap().metadata().unwrap().len());
    let share = files.sum::<u64>() as f64 * 100.0 / bytes as f64;
    let reader = index.reader_builder().reload_policy(ReloadPolicy::Manual).try_into().unwrap();
    let find = |query: &str| found(&reader, &index, store, text, query);
    Measured { rate, share, queries: timed(texts, &find) }
}

fn said(event: &retold::Event) -> String {
    event.json::<serde_json::Value>().unwrap()["text"].as_str().unwrap().to_owned()
}

fn found(reader: &IndexReader, index: &Index, store: &Store, text: Field, query: &str) {
    let searcher = reader.searcher();
    let query = QueryParser::for_index(index, vec![text]).parse_query(query).unwrap();
    let top = searcher.search(&query, &TopDocs::with_limit(HITS).order_by_score()).unwrap();
    let snippets = SnippetGenerator::create(&searcher, &*query, text).unwrap();
    for (_, address) in top {
        let column = searcher.segment_reader(address.segment_ord).fast_fields().u64("position").unwrap();
        let position = column.first(address.doc_id).unwrap();
        let page = store.read_all(Position::new(position), 1).unwrap();
        assert!(!snippets.snippet(&said(&page.events[0])).fragment().is_empty());
    }
}

/// Half of the queries of each kind took no longer, and 99 of 100.
fn timed(texts: &Texts, find: &dyn Fn(&str)) -> Vec<(Duration, Duration)> {
    let of_kind = |kind: &&str| {
        let mut times: Vec<Duration> = texts
            .queries(kind)
            .iter()
            .map(|query| {
                let begun = Instant::now();
                find(query);
                begun.elapsed()
            })
            .collect();
        times.sort_unstable();
        (times[QUERIES / 2], times[QUERIES * 99 / 100])
    };
    KINDS.iter().map(of_kind).collect()
}
