//! `retold append --ndjson`: every line is an event. Refused lines are reported, the others are appended.

use std::collections::BTreeSet;
use std::fs::File;
use std::io::{self, BufRead, BufReader, Read};
use std::thread::sleep;
use std::time::{Duration, Instant};

use super::app::App;
use super::failure::{Failure, Outcome};
use super::import_report::{Files, report};
use super::open::is_passing;
use super::output::Out;
use super::progress::Progress;
use retold::agents::interop::{Loaded, Skipped, parse_line};
use retold::error::Result;
use retold::event::{Expect, NewEvent, Place, SessionId};
use retold::limits::MAX_RECORD_BYTES;
use retold::store::{Batch, Receipt, Store};
use retold::wire::{Exit, Imported};

/// Lines in one append, and bytes after which it is submitted.
const BATCH_LINES: usize = 2_000;
const BATCH_BYTES: usize = 8 << 20;
/// The pause before a batch is sent again.
const PAUSE: Duration = Duration::from_millis(50);
/// Bytes of the longest line: the largest record in base64, plus its names.
const MAX_LINE_BYTES: u64 = 2 * MAX_RECORD_BYTES as u64;

pub(super) fn run(file: &str, session: Option<&str>, app: &mut App) -> Outcome {
    let session = session.map(SessionId::new).transpose()?;
    let name = if file == "-" { "standard input" } else { file };
    let (open, total): (Box<dyn Read>, _) = if file == "-" {
        (unbuffered_input().map_err(|e| Failure::file(name, e))?, None)
    } else {
        let open = File::open(file).map_err(|e| Failure::file(file, e))?;
        let bytes = open.metadata().map(|m| m.len()).ok();
        (Box::new(open), bytes)
    };
    let from = Input { lines: BufReader::with_capacity(1 << 20, open), may_pause: total.is_none() };
    let store = app.writing()?;
    let progress = Progress::new(&app.out, "bytes", total);
    let mut lines = Lines {
        store: &store,
        wait: app.wait,
        name,
        out: &mut app.out,
        waiting: Vec::new(),
        loaded: Loaded::default(),
        places: BTreeSet::new(),
        progress,
    };
    let taken = take(from, session.as_ref(), &mut lines);
    let sent = taken.and_then(|()| lines.flush().map_err(Failure::from));
    let (mut loaded, places) = (lines.loaded, lines.places);
    drop(lines.progress);
    loaded.skipped.sort_by_key(|s| s.line);
    store.close()?;
    loaded.branches = places.len();
    let sessions: BTreeSet<String> = places.into_iter().map(|p| p.session.to_string()).collect();
    let sessions = sessions.into_iter().collect();
    if app.out.is_table() {
        let mut files = Files::default();
        report(app, &mut files, name, None, sessions, &loaded)?;
        files.finish(app)?;
    } else {
        app.out.document(&Imported::new(name, None, sessions, &loaded))?;
    }
    sent?;
    if loaded.skipped.is_empty() { Ok(()) } else { Err(Failure::Reported(Exit::Invalid)) }
}

/// Where lines come from.
struct Input {
    lines: BufReader<Box<dyn Read>>,
    /// The next line may come at any time, as from a pipe: those that are here do not wait for it.
    may_pause: bool,
}

/// Standard input, of which nothing is held back: what has arrived is to be recorded.
#[cfg(unix)]
fn unbuffered_input() -> io::Result<Box<dyn Read>> {
    use std::os::fd::AsFd;
    Ok(Box::new(File::from(io::stdin().as_fd().try_clone_to_owned()?)))
}

#[cfg(not(unix))]
fn unbuffered_input() -> io::Result<Box<dyn Read>> {
    Ok(Box::new(io::stdin()))
}

fn take(mut from: Input, session: Option<&SessionId>, lines: &mut Lines<'_>) -> Outcome {
    let (mut line, mut number, mut bytes, mut end) = (Vec::new(), 0, 0, 0);
    loop {
        line.clear();
        if from.may_pause && !from.lines.buffer().contains(&b'\n') {
            lines.flush()?;
            bytes = 0;
        }
        let read = (&mut from.lines).take(MAX_LINE_BYTES).read_until(b'\n', &mut line);
        let read = read.map_err(|e| Failure::file(lines.name, e))?;
        if read == 0 {
            return Ok(());
        }
        number += 1;
        let byte = end + 1;
        end += read;
        lines.progress.add(read as u64);
        if read as u64 == MAX_LINE_BYTES && line.last() != Some(&b'\n') {
            lines.skip((number, byte), format!("is longer than {MAX_LINE_BYTES} bytes"));
            end += skip_rest(&mut from.lines).map_err(|e| Failure::file(lines.name, e))?;
            continue;
        }
        if line.trim_ascii().is_empty() {
            continue;
        }
        let parsed = std::str::from_utf8(&line)
            .map_err(|_| "is not UTF-8".to_owned())
            .and_then(|text| parse_line(text, session).map_err(|e| e.to_string()))
            .and_then(|(place, event)| event.check().map(|()| (place, event)).map_err(|e| e.to_string()));
        match parsed {
            Err(reason) => lines.skip((number, byte), reason),
            Ok((place, event)) => {
                bytes += line.len();
                lines.waiting.push(Line { number, byte, place, event });
            }
        }
        if lines.waiting.len() >= BATCH_LINES || bytes >= BATCH_BYTES {
            lines.flush()?;
            bytes = 0;
        }
    }
}

fn skip_rest(from: &mut impl BufRead) -> io::Result<usize> {
    let mut skipped = 0;
    loop {
        let found = from.fill_buf()?;
        let (used, end) = match found.iter().position(|b| *b == b'\n') {
            Some(at) => (at + 1, true),
            None => (found.len(), found.is_empty()),
        };
        from.consume(used);
        skipped += used;
        if end {
            return Ok(skipped);
        }
    }
}

struct Line {
    number: usize,
    byte: usize,
    place: Place,
    event: NewEvent,
}

struct Lines<'a> {
    store: &'a Store,
    wait: Duration,
    name: &'a str,
    out: &'a mut Out,
    waiting: Vec<Line>,
    loaded: Loaded,
    /// Branches that events were appended to.
    places: BTreeSet<Place>,
    progress: Progress,
}

/// Appends a batch, and again when the process that had the store went away meanwhile: its ids are the same, so it is
/// recorded once.
pub(super) fn appended(store: &Store, batch: &Batch, wait: Duration) -> Result<Receipt> {
    let begun = Instant::now();
    loop {
        match store.append_batch(batch.clone()) {
            Err(e) if is_passing(&e) && begun.elapsed() < wait => sleep(PAUSE),
            done => return done,
        }
    }
}

impl Lines<'_> {
    fn skip(&mut self, (line, byte): (usize, usize), reason: String) {
        self.loaded.records += 1;
        self.progress.aside(|| self.out.say(format!("{}:{line}: {reason}", self.name)));
        self.loaded.skipped.push(Skipped::new(line, byte, reason));
    }

    fn flush(&mut self) -> Result<()> {
        let waiting = std::mem::take(&mut self.waiting);
        self.send(&waiting)
    }

    /// Lines are appended together. If the store refuses a batch, it is split in halves, down to the offending line.
    fn send(&mut self, lines: &[Line]) -> Result<()> {
        let mut batch = Batch::new();
        for run in lines.chunk_by(|a, b| a.place == b.place) {
            let Some(first) = run.first() else { continue };
            let events: Vec<NewEvent> = run.iter().map(|l| l.event.clone()).collect();
            batch = batch.add(retold::event::Address::from(first.place.clone()), Expect::Any, events)?;
        }
        if lines.is_empty() {
            return Ok(());
        }
        match (appended(self.store, &batch, self.wait), lines) {
            (Ok(receipt), _) => {
                self.loaded.records += lines.len();
                let count =
                    if receipt.duplicate() { &mut self.loaded.duplicates } else { &mut self.loaded.new };
                *count += lines.len();
                self.places.extend(lines.iter().map(|l| l.place.clone()));
                Ok(())
            }
            (Err(e), [line]) if e.is_refusal() => {
                self.skip((line.number, line.byte), e.to_string());
                Ok(())
            }
            (Err(e), lines) if e.is_refusal() => {
                let (left, right) = lines.split_at(lines.len() / 2);
                self.send(left)?;
                self.send(right)
            }
            (Err(e), _) => Err(e),
        }
    }
}
