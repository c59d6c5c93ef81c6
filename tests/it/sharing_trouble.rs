//! One store and several processes, in trouble that passes: an owner that stands still or whose disk is full, a child that
//! keeps the file, readers that read all the time, a check that takes long. When it is over, everything goes on.

use std::fs::File;
use std::os::unix::fs::FileExt;
use std::path::Path;
use std::process::Command;
use std::sync::mpsc::{Receiver, Sender, channel};
use std::time::Duration;

use retold::agents::projections::Counts;
use retold::bus::{Bus, Message};
use retold::{ConsumerConfig, Error, Follow, Followed, NewEvent, Store};

use crate::peer::Peer;
use crate::sharing::{builder, event, name_of, names, owner_pid, place, record, refused, soon, until};
use crate::support::Dice;

fn owner_of(store: &Store) -> Option<u32> {
    store.maintenance().info().ok()?.owner.map(|owner| owner.pid)
}

/// Appends it again and again, with its id.
fn append(store: &Store, event: &NewEvent) {
    until("the store", || match store.append("s", event.clone()) {
        Ok(_) => true,
        // Also when the disk of its owner is full: another may be the next.
        Err(e) if e.is_retryable() || matches!(e, Error::Storage { .. }) => false,
        Err(e) => panic!("{e}"),
    });
}

#[test]
fn an_owner_that_stood_still_ends_no_projection_handler_or_follower_of_others() {
    let (_dir, path) = place();
    let mut peer = Peer::with(&path, "");
    let store = soon().open(&path).unwrap();
    let states = store.project(Counts).unwrap();
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
    let (handled, of_handler) = channel();
    let bus = runtime.block_on(async { Bus::new(&store).unwrap() });
    let handler = runtime.block_on(async {
        bus.subscribe("step.done").named("handler").run(move |message: Message| {
            let name: serde_json::Value = message.json().unwrap();
            let told = handled.send(name["name"].as_str().unwrap().to_owned());
            async move { told.map_err(|e| e.to_string()) }
        })
    });
    let _handler = handler.unwrap();
    let mut follow = store.follow(Follow::all()).unwrap().blocking();
    append(&store, &event("first"));
    states.catch_up().unwrap();
    assert_eq!(of_handler.recv().unwrap(), "first");
    peer.signal("STOP");
    let second = event("second");
    assert!(store.append("s", second.clone()).is_err());
    let failed = states.catch_up().unwrap_err();
    assert!(failed.is_retryable() && !matches!(failed, Error::Closed { .. }), "{failed:?}");
    peer.signal("CONT");
    append(&store, &second);
    until("the projections", || states.catch_up().is_ok());
    assert_eq!(states.state("s").unwrap().events, 2);
    assert_eq!(of_handler.recv().unwrap(), "second");
    assert_eq!(followed(&mut follow, 2), ["first", "second"]);
    // It is as good as new.
    assert_eq!(peer.ask("append s third"), "3");
    states.catch_up().unwrap();
    assert_eq!(states.state("s").unwrap().events, 3);
    assert_eq!(of_handler.recv().unwrap(), "third");
    assert_eq!(followed(&mut follow, 1), ["third"]);
}

#[test]
fn a_consumer_of_a_client_goes_on_when_the_owner_does() {
    let (_dir, path) = place();
    let peer = Peer::with(&path, "");
    let store = soon().open(&path).unwrap();
    let deadline = Duration::from_millis(200);
    let config = ConsumerConfig::new().deadline(deadline).backoff(Duration::ZERO, Duration::ZERO);
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(async {
        let consumer = store.consumers().open("c", config).await.unwrap();
        append(&store, &event("first"));
        let delivery = consumer.next().await.unwrap();
        peer.signal("STOP");
        let failed = delivery.ack().await.unwrap_err();
        assert!(failed.is_retryable() && !matches!(failed, Error::Closed { .. }), "{failed:?}");
        peer.signal("CONT");
        append(&store, &event("second"));
        // Whether the first one was acknowledged after all, the owner knows; the second one comes in any case.
        loop {
            match consumer.next().await {
                Ok(delivery) => {
                    let name = name_of(delivery.event());
                    match delivery.ack().await {
                        Ok(()) if name == "second" => break,
                        Ok(()) | Err(Error::NotDelivered { .. }) => {}
                        Err(e) => assert!(e.is_retryable(), "{e:?}"),
                    }
                }
                Err(e) => assert!(e.is_retryable() && !matches!(e, Error::Closed { .. }), "{e:?}"),
            }
        }
        until("the last ack", || {
            store.consumers().info("c").is_ok_and(|info| info.outstanding.is_empty() && info.lag == 0)
        });
    });
}

/// So many events more; what could not be read at the moment is read later.
fn followed(follow: &mut retold::follow::BlockingFollowing, count: usize) -> Vec<String> {
    let mut seen = Vec::new();
    while seen.len() < count {
        match follow.next().unwrap() {
            Ok(Followed::Event { event, .. }) => seen.push(name_of(&event)),
            Ok(_) => {}
            Err(e) => assert!(e.is_retryable() && !matches!(e, Error::Closed { .. }), "{e:?}"),
        }
    }
    seen
}

/// What a consumer delivers and takes an acknowledgement for, each once, until this one.
async fn consumed(store: Store, until: &str) -> Vec<String> {
    let consumer = store.consumers().open("c", ConsumerConfig::new()).await.unwrap();
    let mut seen: Vec<String> = Vec::new();
    while seen.last().is_none_or(|last| last != until) {
        let acknowledged = match consumer.next().await {
            Ok(delivery) => {
                let name = name_of(delivery.event());
                delivery.ack().await.map(|()| name)
            }
            Err(e) => Err(e),
        };
        match acknowledged {
            Ok(name) if seen.contains(&name) => {}
            Ok(name) => seen.push(name),
            // It is delivered again.
            Err(Error::NotDelivered { .. }) => {}
            Err(e) => assert!(e.is_retryable() && !matches!(e, Error::Closed { .. }), "{e:?}"),
        }
    }
    seen
}

#[test]
fn an_opening_that_fails_is_told_to_who_calls_and_ends_nobody_who_waits() {
    let (_dir, path) = place();
    let peer = Peer::with(&path, "");
    let store = soon().open(&path).unwrap();
    let states = store.project(Counts).unwrap();
    let mut follow = store.follow(Follow::all()).unwrap().blocking();
    append(&store, &event("first"));
    states.catch_up().unwrap();
    assert_eq!(followed(&mut follow, 1), ["first"]);
    // The owner ends, and its file cannot be read for a while.
    peer.signal("STOP");
    let file = File::options().read(true).write(true).open(&path).unwrap();
    let mut good = [0; 4_096];
    file.read_exact_at(&mut good, 0).unwrap();
    file.write_all_at(&[0xAB; 4_096], 0).unwrap();
    peer.kill();
    until("the end of patience", || matches!(store.head("s"), Err(Error::Locked { .. })));
    let second = event("second");
    let failed = store.append("s", second.clone()).unwrap_err();
    assert!(matches!(failed, Error::Locked { .. }), "{failed:?}");
    let failed = states.catch_up().unwrap_err();
    assert!(failed.is_retryable() && !matches!(failed, Error::Closed { .. }), "{failed:?}");
    file.write_all_at(&good, 0).unwrap();
    append(&store, &second);
    assert_eq!(followed(&mut follow, 1), ["second"]);
    until("the projection", || states.catch_up().is_ok());
    assert_eq!(states.state("s").unwrap().events, 2);
}

#[test]
fn an_owner_whose_disk_is_full_leaves_the_store_to_others() {
    let (_dir, path) = place();
    // What is beyond this size of a file cannot be written.
    let mut peer = Peer::begin_in_shell("trap '' XFSZ; ulimit -f 40960; exec \"$0\" \"$@\"");
    assert_eq!(peer.open(&path, ""), "ok");
    // Whatever goes on in the owner's process, and in this one, goes on when another owns the store.
    assert_eq!(peer.ask("project"), "ok");
    let store = soon().open(&path).unwrap();
    let states = store.project(Counts).unwrap();
    let mut follow = store.follow(Follow::all()).unwrap().blocking();
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
    let consumed = runtime.spawn(consumed(store.clone(), "last"));
    assert_eq!(owner_of(&store), Some(peer.pid()));
    let large = |n: u64| {
        // It does not compress well.
        let mut dice = Dice(n);
        let text: String = (0..60_000).map(|_| format!("{:016x}", dice.roll())).collect();
        NewEvent::new("step.done").data(serde_json::json!({ "name": n.to_string(), "text": text }))
    };
    let mut count = 0;
    until("the end of the owner's disk", || {
        append(&store, &large(count));
        count += 1;
        owner_of(&store) == Some(std::process::id())
    });
    append(&store, &event("last"));
    let wanted: Vec<String> = (0..count).map(|n| n.to_string()).chain(["last".to_owned()]).collect();
    assert_eq!(names(&store), wanted);
    assert_eq!(followed(&mut follow, wanted.len()), wanted);
    assert_eq!(runtime.block_on(consumed).unwrap(), wanted);
    until("the states", || match states.catch_up() {
        Ok(()) => true,
        Err(e) if e.is_retryable() && !matches!(e, Error::Closed { .. }) => false,
        Err(e) => panic!("{e}"),
    });
    assert_eq!(states.state("s").unwrap().events, wanted.len() as u64);
    assert_eq!(peer.ask("projected s"), wanted.len().to_string());
    assert!(store.maintenance().verify().unwrap().is_clean());
    // The one that failed is a client like any other.
    assert_eq!(peer.ask("append s thanks"), (count + 2).to_string());
}

/// Lets a check of everything begin, and go on.
fn at_the_gate(begun: &Sender<()>, gate: &Receiver<()>) -> impl FnMut(u64, u64) {
    let mut first = true;
    move |_, _| {
        if std::mem::take(&mut first) {
            begun.send(()).unwrap();
            gate.recv().unwrap();
        }
    }
}

#[test]
fn a_check_of_everything_ends_when_the_store_is_handed_over_and_is_made_by_the_next_owner() {
    let (_dir, path) = place();
    let store = builder(&["cli"]).open(&path).unwrap();
    for n in 0..100 {
        store.append("s", event(&n.to_string())).unwrap();
    }
    store.maintenance().flush().unwrap();
    let (begun, has_begun) = channel();
    let (open, gate) = channel();
    let mut peer = std::thread::scope(|scope| {
        let check = scope.spawn(|| {
            let (begun, gate) = (begun, gate);
            store.maintenance().verify_with(at_the_gate(&begun, &gate))
        });
        has_begun.recv().unwrap();
        let mut peer = Peer::with(&path, "");
        open.send(()).unwrap();
        until("the application's turn", || peer.ask("owner").starts_with(&owner_pid(&peer)));
        let report = check.join().unwrap().unwrap();
        assert!(report.is_clean() && report.events == 100, "{report:?}");
        peer
    });
    assert_eq!(peer.ask("append s more"), "101");
}

#[test]
fn a_check_of_everything_ends_when_its_store_is_closed() {
    let (_dir, path) = place();
    let store = builder(&[]).open(&path).unwrap();
    for n in 0..100 {
        store.append("s", event(&n.to_string())).unwrap();
    }
    store.maintenance().flush().unwrap();
    let (begun, has_begun) = channel();
    let (open, gate) = channel();
    std::thread::scope(|scope| {
        let check = scope.spawn(|| {
            let (begun, gate) = (begun, gate);
            store.maintenance().verify_with(at_the_gate(&begun, &gate))
        });
        has_begun.recv().unwrap();
        store.close().unwrap();
        open.send(()).unwrap();
        assert_eq!(check.join().unwrap().unwrap_err(), Error::Closed { after: None });
    });
    assert_eq!(Peer::with(&path, "exclusive").ask("head s"), "100");
}

#[test]
fn an_opening_that_fails_while_the_store_is_away_is_not_counted() {
    let (_dir, path) = place();
    let mut peer = Peer::with(&path, "");
    assert_eq!(peer.ask("append s first"), "1");
    let child = peer.ask("fork");
    let store = soon().open(&path).unwrap();
    peer.kill();
    // The child has the file.
    until("the end of patience", || matches!(store.head("s"), Err(Error::Locked { .. })));
    let told = refused(soon().open(&path));
    assert!(told.contains("a child that it forked"), "{told}");
    refused(soon().read_only().open(&path));
    // One that waits for the store can be closed all the same.
    let waiting = Peer::begin();
    assert!(Command::new("kill").args(["-KILL", &child]).status().unwrap().success());
    until("the store", || store.head("s").is_ok());
    append(&store, &event("second"));
    store.close().unwrap();
    drop(waiting);
    // Nothing of it is left.
    assert_eq!(Peer::with(&path, "exclusive").ask("head s"), "2");
}

#[test]
fn a_store_that_is_looked_for_can_be_closed() {
    let (_dir, path) = place();
    let mut peer = Peer::with(&path, "");
    assert_eq!(peer.ask("append s first"), "1");
    let child = peer.ask("fork");
    let store = builder(&[]).open(&path).unwrap();
    peer.kill();
    let begun = std::time::Instant::now();
    store.close().unwrap();
    assert!(begun.elapsed() < Duration::from_secs(60), "it waited for the file");
    assert!(Command::new("kill").args(["-KILL", &child]).status().unwrap().success());
    assert_eq!(Peer::with(&path, "").ask("head s"), "1");
}

#[test]
fn readers_that_read_all_the_time_let_a_writer_in() {
    let (_dir, path) = place();
    let store = builder(&[]).open(&path).unwrap();
    store.append("s", event("first")).unwrap();
    store.close().unwrap();
    let mut readers: Vec<Peer> = (0..3).map(|_| Peer::with(&path, "read-only")).collect();
    readers.iter_mut().for_each(|reader| assert_eq!(reader.ask("read for ever"), "ok"));
    let store = builder(&[]).wait(Duration::from_secs(10)).exclusive().open(&path).unwrap();
    store.append("s", event("second")).unwrap();
    store.close().unwrap();
    assert_eq!(readers[0].ask("head s"), "2");
}

#[test]
fn who_does_not_wait_is_let_in_or_refused_at_once() {
    let (_dir, path) = place();
    let mut peer = Peer::with(&path, "");
    let store = builder(&[]).wait(Duration::ZERO).open(&path).unwrap();
    store.append("s", event("first")).unwrap();
    assert_eq!(peer.ask("head s"), "1");
    store.close().unwrap();
    drop(peer);
    let _alone = Peer::with(&path, "exclusive");
    refused(builder(&[]).wait(Duration::ZERO).open(&path));
}

/// A folder that nothing can be written to, until it is dropped.
struct ReadOnlyFolder<'a>(&'a Path);

impl<'a> ReadOnlyFolder<'a> {
    fn of(path: &'a Path) -> Option<Self> {
        let mount = |args: &[&str]| {
            let done = Command::new("mount").args(args).arg(path).output();
            done.is_ok_and(|done| done.status.success())
        };
        let bound = mount(&["--bind", path.to_str()?]);
        let folder = bound.then_some(Self(path))?;
        mount(&["-o", "remount,ro,bind"]).then_some(folder)
    }
}

impl Drop for ReadOnlyFolder<'_> {
    fn drop(&mut self) {
        let _ = Command::new("umount").arg("-l").arg(self.0).output();
    }
}

#[test]
fn on_a_read_only_file_system_a_store_is_read_by_any_number_of_processes() {
    let (dir, path) = place();
    let store = builder(&[]).open(&path).unwrap();
    store.append("s", event("first")).unwrap();
    store.close().unwrap();
    let Some(_folder) = ReadOnlyFolder::of(dir.path()) else {
        println!("skipped: nothing can be mounted here");
        return;
    };
    let mut peer = Peer::with(&path, "read-only");
    let store = builder(&["read-only"]).open(&path).unwrap();
    assert_eq!((names(&store), peer.ask("head s")), (vec!["first".to_owned()], "1".to_owned()));
    assert_eq!(store.maintenance().info().unwrap().owner, None);
    let told = soon().open(&path).unwrap_err();
    assert!(told.to_string().contains("Read-only file system"), "{told}");
    assert!(!record(&path).exists());
}
