//! A client and an owner of a test's own making, which does what an owner may do at the worst moment.

use std::io::{Read, Write};
use std::ops::ControlFlow;
use std::os::unix::net::UnixStream;
use std::sync::Arc;
use std::sync::mpsc::{Receiver, Sender, channel};
use std::task::{Context, Poll, Waker};
use std::thread;
use std::time::{Duration, Instant};

use super::{Hello, Lost, SharedEngine, connect};
use crate::codec::Bounded;
use crate::codec::link::{LINK_HEADER, LinkHead, SentAnswer, SentAsk, SentGreeting, SentNotice, SentWelcome};
use crate::engine::commit::{Commit, Outcome};
use crate::engine::port::{Engine, Submitted};
use crate::engine::sidecar::SidecarWrites;
use crate::engine::watch::{Committed, Watcher};
use crate::error::{Error, Result};
use crate::sync::{Mutex, lock};

const LIMIT: Duration = Duration::from_secs(60);

fn frame(stream: &mut UnixStream) -> Option<(u64, Vec<u8>)> {
    let mut header = [0; LINK_HEADER];
    stream.read_exact(&mut header).ok()?;
    let head = LinkHead::decode(&header).unwrap();
    let mut body = vec![0; head.len as usize];
    stream.read_exact(&mut body).ok()?;
    Some((head.call, body))
}

fn welcome(pid: u32) -> Vec<u8> {
    let welcome = SentWelcome {
        pid,
        program: "owner",
        rank: 0,
        since: 0,
        payload_bytes: 1 << 20,
        committed: 0,
        store: [1; 16],
        opening: [2; 16],
        created: 0,
        format: 2,
        damage: Bounded(vec![]),
        lacks: None,
    };
    SentGreeting::Welcome(1, Box::new(welcome)).message()
}

/// A client of an owner that lets it in, calls itself this and then does as it likes.
fn client_of(pid: u32, wait: Duration, then: impl FnOnce(UnixStream) + Send + 'static) -> Arc<SharedEngine> {
    let (own, mut other) = UnixStream::pair().unwrap();
    thread::spawn(move || {
        other.set_read_timeout(Some(LIMIT)).unwrap();
        frame(&mut other).unwrap();
        other.write_all(&welcome(pid)).unwrap();
        then(other);
    });
    connect(own, Hello { wait, ..Hello::new("client", "a.redb") }).unwrap()
}

/// Until the other end hangs up.
fn listen(mut stream: UnixStream) {
    let _ = std::io::copy(&mut stream, &mut std::io::sink());
}

fn records() -> Commit {
    Commit::Records(SidecarWrites::new())
}

fn written(outcome: &Result<Outcome>) -> bool {
    matches!(outcome, Ok(Outcome::Written))
}

/// Looks at a future once, and never again unless it is looked at.
fn look(future: &mut Submitted<'_>) -> Poll<Result<Outcome>> {
    future.as_mut().poll(&mut Context::from_waker(Waker::noop()))
}

fn in_time<T: Send + 'static>(what: impl FnOnce() -> T + Send + 'static) -> T {
    let (tell, told) = channel();
    thread::spawn(move || tell.send(what()));
    told.recv_timeout(LIMIT).expect("in time")
}

fn lost(engine: &SharedEngine) -> Receiver<Lost> {
    let (tell, told) = channel();
    engine.on_lost(move |lost| tell.send(lost).unwrap());
    told
}

/// Holds the thread of a client's engine while it is told of something.
#[derive(Debug)]
struct Holds(Mutex<(Sender<()>, Receiver<()>)>);

impl Watcher for Holds {
    fn committed(&self, _: &Committed<'_>) {
        let held = lock(&self.0);
        held.0.send(()).unwrap();
        let _ = held.1.recv();
    }

    fn closed(&self) {}
}

#[derive(Debug)]
struct Panics;

impl Watcher for Panics {
    fn committed(&self, _: &Committed<'_>) {
        panic!("on purpose");
    }

    fn closed(&self) {}
}

#[test]
fn an_owner_is_told_when_nobody_waits_for_its_walk_any_more() {
    let (tell, told) = channel();
    let client = client_of(std::process::id(), LIMIT, move |mut stream| {
        let (call, body) = frame(&mut stream).unwrap();
        assert_eq!(SentAsk::decode(&body).unwrap(), SentAsk::Verify);
        stream.write_all(&SentAnswer::Progress(1, 10).message(call, 24)).unwrap();
        let (_, body) = frame(&mut stream).unwrap();
        tell.send((SentAsk::decode(&body).unwrap() == SentAsk::GiveUp(call), call)).unwrap();
        listen(stream);
    });
    let ended = client.admin().unwrap().verify(&mut |_, _| ControlFlow::Break(()));
    assert_eq!(ended.unwrap_err(), Error::Closed { after: None });
    assert!(told.recv_timeout(LIMIT).unwrap().0);
}

#[test]
fn what_an_owner_answered_before_it_hung_up_counts_though_nothing_more_can_be_written() {
    for round in 0..300 {
        let (tell, asked) = channel();
        let engine = client_of(1, LIMIT, move |mut stream| {
            let (call, _) = frame(&mut stream).unwrap();
            tell.send(()).unwrap();
            stream.write_all(&SentAnswer::Written.message(call, 8)).unwrap();
        });
        let first = thread::spawn({
            let engine = engine.clone();
            move || engine.commit(records())
        });
        asked.recv_timeout(LIMIT).unwrap();
        // Calls that find out by writing, while the answer is on its way.
        let start = Instant::now();
        while engine.lost().is_none() {
            let _ = look(&mut engine.submit(records()));
            assert!(start.elapsed() < LIMIT, "the end is not noticed");
        }
        let outcome = first.join().unwrap();
        assert!(written(&outcome), "round {round}: {outcome:?}");
    }
}

#[test]
fn a_call_of_which_nothing_could_be_sent_is_known_not_to_be_written() {
    let (tell, told) = channel();
    let (go, held) = channel();
    let (ended, when_ended) = channel();
    let (begin, begun) = channel();
    let engine = client_of(1, LIMIT, move |mut stream| {
        begun.recv_timeout(LIMIT).unwrap();
        stream.write_all(&SentNotice::Unseen(1).message(0, 8)).unwrap();
        drop(stream);
        ended.send(()).unwrap();
    });
    let watcher: Arc<dyn Watcher> = Arc::new(Holds(Mutex::new((tell, held))));
    engine.watch(&watcher);
    begin.send(()).unwrap();
    told.recv_timeout(LIMIT).unwrap();
    when_ended.recv_timeout(LIMIT).unwrap();
    // Its owner has hung up, and the client's own thread is held: nobody has noticed. The first finds out.
    let mut first = engine.submit(records());
    assert!(look(&mut first).is_pending());
    for _ in 0..3 {
        let outcome = look(&mut engine.submit(records()));
        assert!(matches!(outcome, Poll::Ready(Err(Error::OwnerLost { owner: 1 }))), "{outcome:?}");
    }
    drop(go);
    let gone = lost(&engine);
    assert_eq!(gone.recv_timeout(LIMIT), Ok(Lost::Gone));
    // Not a byte of it was sent either.
    let start = Instant::now();
    let outcome = loop {
        assert!(start.elapsed() < LIMIT, "it has no answer");
        if let Poll::Ready(outcome) = look(&mut first) {
            break outcome;
        }
    };
    assert!(matches!(outcome, Err(Error::OwnerLost { owner: 1 })), "{outcome:?}");
    drop(first);
    engine.close().unwrap();
}

#[test]
fn nobody_waits_for_ever_when_one_who_is_told_panics() {
    let engine = client_of(1, LIMIT, |mut stream| {
        frame(&mut stream).unwrap();
        stream.write_all(&SentNotice::Unseen(1).message(0, 8)).unwrap();
        listen(stream);
    });
    let watcher: Arc<dyn Watcher> = Arc::new(Panics);
    engine.watch(&watcher);
    let told = lost(&engine);
    let outcome = in_time({
        let engine = engine.clone();
        move || engine.commit(records())
    });
    assert!(matches!(outcome, Err(Error::Unknown { .. })), "{outcome:?}");
    assert_eq!(told.recv_timeout(LIMIT), Ok(Lost::Gone));
    let outcome = engine.commit(records());
    assert!(matches!(outcome, Err(Error::OwnerLost { .. })), "{outcome:?}");
    in_time(move || engine.close()).unwrap();
}

#[test]
fn an_owner_whose_number_means_nothing_here_is_not_taken_for_dead() {
    let wait = Duration::from_millis(50);
    // As that of a process in another container.
    let engine = client_of(999_999_999, wait, listen);
    let told = lost(&engine);
    assert!(told.recv_timeout(wait * 12).is_err(), "its process lives");
    assert_eq!(engine.lost(), None);
}

#[test]
fn what_a_later_release_says_is_a_hint_to_look() {
    let engine = client_of(1, LIMIT, |mut stream| {
        let (call, _) = frame(&mut stream).unwrap();
        for unknown in [&[200, 1, 2][..], &[3, 255], &[2, 7, 9, 9]] {
            let head = LinkHead { len: unknown.len() as u32, total: unknown.len() as u32, call: 0 };
            stream.write_all(&[&head.encode()[..], unknown].concat()).unwrap();
        }
        stream.write_all(&SentAnswer::Written.message(call, 8)).unwrap();
        listen(stream);
    });
    let (tell, told) = channel();
    let (go, held) = channel::<()>();
    drop(go);
    let watcher: Arc<dyn Watcher> = Arc::new(Holds(Mutex::new((tell, held))));
    engine.watch(&watcher);
    assert!(written(&engine.commit(records())));
    assert_eq!((told.try_iter().count(), engine.lost()), (3, None));
}

#[test]
fn an_answer_to_a_commit_that_cannot_be_read_leaves_open_whether_it_was_written() {
    // An unknown kind, half an answer, an unknown error, the answer to a read, that to another commit.
    for answer in [&[200][..], &[4, 1], &[0, 200, 1], &[9, 1, 1, 1], &[3, 0, 0]] {
        let engine = client_of(1, LIMIT, move |mut stream| {
            let (call, _) = frame(&mut stream).unwrap();
            let head = LinkHead { len: answer.len() as u32, total: answer.len() as u32, call };
            stream.write_all(&[&head.encode()[..], answer].concat()).unwrap();
            listen(stream);
        });
        let outcome = engine.commit(records());
        assert!(matches!(outcome, Err(Error::Unknown { .. })), "{answer:?}: {outcome:?}");
    }
}
