//! Single bits of a closed file turn over: every read gives the right events or an error, and ends.

use std::io::{BufRead, BufReader, Write};
use std::process::{Command, Stdio};
use std::sync::mpsc;
use std::time::Duration;

use retold::testkit::{Ask, Disk, Model};
use retold::{Address, Error, Event, EventId, Result, Store};

use crate::support::{Deed, Dice, check_everything, explained, numbered, soak};

fn settings() -> retold::Builder {
    Store::builder().settle_after(30, 20_000).settle_when_idle(Duration::from_secs(3_600))
}

/// Ids by the dice, like everything else: every process has the same file, but for its times and its secret.
fn id(dice: &mut Dice) -> EventId {
    EventId::from_uuid(uuid::Uuid::from_u64_pair(dice.roll(), dice.roll()))
}

fn closed_store() -> (Vec<u8>, Model) {
    let mut dice = Dice(11);
    let disk = Disk::new();
    // Flushed when the test says so, so that the chunks are always the same.
    let store = settings().settle_after(usize::MAX, usize::MAX).with_backend(disk.backend()).unwrap();
    let mut model = Model::new();
    for n in 0..24 {
        if n % 8 == 7 {
            store.settle().unwrap();
        }
        // Many small rows: what leads to the events takes more of the file than the events do.
        let deed = match Deed::draw(&mut dice, &model) {
            Deed::Append(mut parts, durability) => {
                for part in &mut parts {
                    part.events =
                        (0..1 + dice.under(4)).map(|_| numbered(n).with_id(id(&mut dice))).collect();
                }
                Deed::Append(parts, durability)
            }
            other => other,
        };
        deed.tell(&mut model);
        deed.perform(&store, &model).unwrap();
    }
    store.close().unwrap();
    drop(store);
    (disk.bytes(), model)
}

/// What one flip led to.
#[derive(Clone, Copy, Debug, Default)]
struct Outcome {
    refused: u32,
    right: u32,
}

/// Every read of every branch and of the whole, each event by its id. Panics on a wrong answer.
fn read_everything(store: &Store, model: &Model) -> Outcome {
    let mut outcome = Outcome::default();
    for ask in model.places().cloned().map(Ask::branch).chain([Ask::all()]) {
        for reverse in [false, true] {
            let ask = Ask { reverse, ..ask.clone() };
            let due = model.read(&ask).unwrap();
            let mut found: Vec<Event> = Vec::new();
            let mut failed: Option<Error> = None;
            match store.events(ask.query().unwrap()) {
                Err(e) => failed = Some(e),
                Ok(events) => {
                    for event in events {
                        match event {
                            Ok(event) => found.push(event),
                            Err(e) => failed = Some(e),
                        }
                    }
                }
            }
            // What was handed out is right; without an error it is all there is.
            assert!(found.len() <= due.len(), "{ask:?}: more events than there were");
            for (found, due) in found.iter().zip(&due) {
                assert!(due.is(found), "{ask:?}: {found:?} where {due:?} was due");
            }
            match failed {
                Some(_) => outcome.refused += 1,
                None => {
                    assert_eq!(found.len(), due.len(), "{ask:?}: events are missing without a word");
                    outcome.right += 1;
                }
            }
        }
    }
    for place in model.places() {
        match store.head(Address::from(place.clone())) {
            Ok(head) => assert_eq!(head.get(), model.head(place).unwrap(), "the head of {place}"),
            Err(_) => outcome.refused += 1,
        }
    }
    for told in model.order() {
        match store.get(told.event.id()) {
            Ok(event) => assert!(told.is(&event), "{event:?} where {told:?} was due"),
            Err(_) => outcome.refused += 1,
        }
    }
    outcome
}

fn flip(file: &[u8], model: &Model, bit: usize) -> Result<Outcome> {
    let mut file = file.to_vec();
    file[bit / 8] ^= 1 << (bit % 8);
    let disk = Disk::from_bytes(file);
    let store = settings().with_backend(disk.backend())?;
    let outcome = read_everything(&store, model);
    // The walk ends too, and whatever it says, it says it without falling over.
    let report = store.verify();
    if outcome.refused > 0 {
        assert!(!report.is_ok_and(|r| r.is_clean()), "reads fail where nothing is wrong");
    }
    Ok(outcome)
}

const RANGE: &str = "RETOLD_FLIPS";

#[test]
#[ignore = "the child process of the test below"]
fn the_reader_of_damaged_files() {
    let Ok(range) = std::env::var(RANGE) else { return };
    let (from, to) = range.split_once(' ').unwrap();
    let (from, to): (u64, u64) = (from.parse().unwrap(), to.parse().unwrap());
    // What redb asserts and we catch need not be told.
    let told = std::panic::take_hook();
    std::panic::set_hook(Box::new(move |info| {
        if info.location().is_none_or(|l| !l.file().contains("redb")) {
            told(info);
        }
    }));
    let (file, model) = closed_store();
    check_everything(&settings().with_backend(Disk::from_bytes(file.clone()).backend()).unwrap(), &model);
    // Most of the file is empty pages, where a flip is not seen: where something is written it is looked at.
    let written: Vec<usize> = (0..file.len()).filter(|i| file[*i] != 0).collect();
    for n in from..to {
        let mut dice = Dice(n);
        let byte = match dice.one_in(5) {
            true => dice.under(file.len() as u64) as usize,
            false => written[dice.under(written.len() as u64) as usize],
        };
        let bit = byte * 8 + dice.under(8) as usize;
        say(&format!("\nflip {n}\n"));
        match explained(&format!("flip {n}, bit {} of byte {byte}", bit % 8), || flip(&file, &model, bit)) {
            Ok(outcome) => say(&format!("outcome {} {}\n", outcome.right, outcome.refused)),
            Err(_) => say("closed\n"),
        }
    }
    say("done\n");
}

fn say(line: &str) {
    std::io::stdout().lock().write_all(line.as_bytes()).unwrap();
}

/// One child from this flip on: what it said, and whether it came to its end.
fn child(from: u64, to: u64, said: &mut dyn FnMut(&str)) -> bool {
    let mut child = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "bitflip::the_reader_of_damaged_files", "--include-ignored", "--nocapture"])
        .env(RANGE, format!("{from} {to}"))
        .env("RUST_BACKTRACE", "0")
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let lines = BufReader::new(child.stdout.take().unwrap()).lines();
    let (tell, hear) = mpsc::channel();
    let reader = std::thread::spawn(move || {
        for line in lines.map_while(Result::ok) {
            let _ = tell.send(line);
        }
    });
    let mut done = false;
    loop {
        match hear.recv_timeout(Duration::from_secs(60)) {
            Ok(line) => {
                done |= line == "done";
                said(&line);
            }
            Err(mpsc::RecvTimeoutError::Disconnected) => break,
            Err(mpsc::RecvTimeoutError::Timeout) => {
                child.kill().unwrap();
                panic!("a child that began with flip {from} hangs");
            }
        }
    }
    reader.join().unwrap();
    let status = child.wait().unwrap();
    assert!(status.success() || status.code().is_none(), "a wrong answer: {status}");
    done
}

#[test]
fn a_flipped_bit_is_an_error_and_never_a_wrong_event() {
    let flips = if soak() { 100_000 } else { 2_000 };
    let (mut right, mut refused, mut closed, mut deaths) = (0, 0, 0, Vec::new());
    let mut at = 0;
    while at < flips {
        let done = child(at, flips, &mut |line| match *line.split(' ').collect::<Vec<_>>() {
            ["flip", n] => at = n.parse().unwrap(),
            ["outcome", r, e] => {
                right += r.parse::<u64>().unwrap();
                refused += e.parse::<u64>().unwrap();
            }
            ["closed"] => closed += 1,
            _ => {}
        });
        if done {
            break;
        }
        deaths.push(at);
        at += 1;
    }
    let told =
        format!("{flips} flips: {right} reads were right, {refused} refused, {closed} files did not open");
    say(&format!("{told}; redb aborted at {deaths:?}\n"));
    assert!(refused > 0 && right > 0, "the flips hit nothing: {told}");
    // redb asserts inside of destructors too, and a panic there, on top of another, cannot be caught.
    assert!(deaths.len() as u64 <= 2 + flips / 2_000, "{told}; redb aborted at {deaths:?}");
}
