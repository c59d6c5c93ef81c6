//! Single bits of a closed file turn over: every read gives the right events or an error, and ends.

use std::io::Write;
use std::sync::mpsc;
use std::time::Duration;

use retold::testkit::{Ask, Disk, Model};
use retold::{Address, Error, Event, Result, Store};

use crate::support::{Deed, Dice, check_everything, explained, numbered, soak};

fn settings() -> retold::Builder {
    Store::builder().settle_after(30, 20_000).settle_when_idle(Duration::from_secs(3_600))
}

fn closed_store() -> (Vec<u8>, Model) {
    let mut dice = Dice(11);
    let disk = Disk::new();
    let store = settings().with_backend(disk.backend()).unwrap();
    let mut model = Model::new();
    for n in 0..24 {
        // Many small rows: what leads to the events takes more of the file than the events do.
        let deed = match Deed::draw(&mut dice, &model) {
            Deed::Append(mut parts, durability) => {
                for part in &mut parts {
                    part.events = (0..1 + dice.under(4)).map(|_| numbered(n)).collect();
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
    wrong: u32,
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
                None if found.len() == due.len() => outcome.right += 1,
                None => {
                    assert_eq!(found.len(), due.len(), "{ask:?}: events are missing without a word");
                    outcome.wrong += 1;
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

#[test]
fn a_flipped_bit_is_an_error_and_never_a_wrong_event() {
    let (file, model) = closed_store();
    check_everything(&settings().with_backend(Disk::from_bytes(file.clone()).backend()).unwrap(), &model);
    // Most of the file is empty pages, where a flip is not seen: where something is written it is looked at.
    let written: Vec<usize> = (0..file.len()).filter(|i| file[*i] != 0).collect();
    let flips = if soak() { 200_000 } else { 2_000 };
    let (said, hear) = mpsc::channel();
    let worker = std::thread::spawn(move || {
        let mut dice = Dice(13);
        let mut seen = Outcome::default();
        let mut closed = 0;
        for _ in 0..flips {
            let byte = match dice.one_in(5) {
                true => dice.under(file.len() as u64) as usize,
                false => written[dice.under(written.len() as u64) as usize],
            };
            let bit = byte * 8 + dice.under(8) as usize;
            said.send(bit).unwrap();
            match explained(&format!("bit {} of byte {byte}", bit % 8), || flip(&file, &model, bit)) {
                Ok(outcome) => {
                    seen.right += outcome.right;
                    seen.refused += outcome.refused;
                }
                Err(_) => closed += 1,
            }
        }
        (seen, closed)
    });
    let mut at = 0;
    loop {
        match hear.recv_timeout(Duration::from_secs(60)) {
            Ok(bit) => at = bit,
            Err(mpsc::RecvTimeoutError::Disconnected) => break,
            Err(mpsc::RecvTimeoutError::Timeout) => panic!("bit {} of byte {} hangs", at % 8, at / 8),
        }
    }
    let (seen, closed) = worker.join().unwrap();
    let _ = writeln!(std::io::stderr(), "{flips} flips: {seen:?}, {closed} did not open");
    assert!(seen.refused > 0 && seen.right > 0, "the flips hit nothing: {seen:?}");
}
