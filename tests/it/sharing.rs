//! One store and several processes: whoever has the file shares it, and another goes on when it ends.

use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use retold::agents::projections::Counts;
use retold::store::Rank;
use retold::testkit::conformance::{self, Capability, Home};
use retold::{Builder, Error, Event, Expect, Follow, Followed, NewEvent, Query, Store};

use crate::peer::{Peer, serve};

/// Longer than anything here takes.
const LONG: Duration = Duration::from_secs(120);

pub(crate) fn builder(words: &[&str]) -> Builder {
    let how = Store::builder().wait(LONG).sync(false);
    words.iter().fold(how, |how, word| match *word {
        "cli" => how.rank(Rank::Cli),
        "serve" => how.rank(Rank::Serve),
        "exclusive" => how.exclusive(),
        "read-only" => how.read_only(),
        "soon" => how.wait(Duration::from_millis(300)),
        "" => how,
        other => panic!("{other}"),
    })
}

pub(crate) fn event(name: &str) -> NewEvent {
    NewEvent::new("step.done").data(serde_json::json!({ "name": name }))
}

fn shown<T>(result: retold::Result<T>, show: impl FnOnce(T) -> String) -> String {
    result.map_or_else(|e| format!("error: {e}"), show)
}

#[test]
#[ignore = "another process of the tests below"]
fn another_process() {
    let mut store: Option<Store> = None;
    let mut states = None;
    serve(|words| match words {
        ["open", path, how @ ..] => shown(builder(how).open(path), |opened| {
            store = Some(opened);
            "ok".into()
        }),
        ["append", session, name] => {
            shown(store.as_ref().unwrap().append(*session, event(name)), |receipt| receipt.last().to_string())
        }
        ["head", session] => shown(store.as_ref().unwrap().head(*session), |head| head.to_string()),
        ["owner"] => shown(store.as_ref().unwrap().maintenance().info(), |info| {
            info.owner
                .map_or_else(|| "nobody".into(), |owner| format!("{} {}", owner.pid, owner.clients.len()))
        }),
        ["fork"] => match fork::fork() {
            Ok(fork::Fork::Child) => {
                // It does nothing but have what it was born with, until it is killed.
                std::thread::sleep(LONG);
                std::process::exit(0);
            }
            Ok(fork::Fork::Parent(pid)) => pid.to_string(),
            Err(e) => panic!("{e}"),
        },
        ["beside"] => {
            // A second handle of this process, which goes again.
            shown(builder(&[]).open(path_of(store.as_ref().unwrap())), |other| other.committed().to_string())
        }
        ["read", "for", "ever"] => {
            let store = store.clone().unwrap();
            std::thread::spawn(move || {
                // What cannot be read at the moment is read later.
                loop {
                    if let Ok(events) = store.events(Query::all()) {
                        events.for_each(drop);
                    }
                }
            });
            "ok".into()
        }
        ["project"] => shown(store.as_ref().unwrap().project(Counts), |projection| {
            states = Some(projection);
            "ok".into()
        }),
        ["projected", session] => {
            let states = states.as_ref().unwrap();
            // What passes ends no projection.
            until("the states", || match states.catch_up() {
                Ok(()) => true,
                Err(e) if e.is_retryable() && !matches!(e, Error::Closed { .. }) => false,
                Err(e) => panic!("{e}"),
            });
            shown(states.state(*session), |state| state.events.to_string())
        }
        ["compact"] => shown(store.as_ref().unwrap().maintenance().compact(), |_| "ok".into()),
        ["dead"] => shown(store.as_ref().unwrap().lifecycle().dead_space(), |dead| {
            dead.map_or_else(String::new, |dead| format!("{} {} {}", dead.file, dead.free, dead.unpurged))
        }),
        ["close"] => shown(store.take().unwrap().close(), |()| "ok".into()),
        other => panic!("{other:?}"),
    });
}

fn path_of(store: &Store) -> PathBuf {
    store.maintenance().info().unwrap().path.into()
}

/// A folder, and the path of a store in it.
pub(crate) fn place() -> (tempfile::TempDir, PathBuf) {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("runs.redb");
    (dir, path)
}

pub(crate) fn until(what: &str, mut is_so: impl FnMut() -> bool) {
    let begun = Instant::now();
    while !is_so() {
        assert!(begun.elapsed() < LONG, "{what} does not come");
        std::thread::yield_now();
    }
}

/// The hidden files beside a store: record and socket.
fn beside(path: &Path) -> Vec<String> {
    let entries = fs::read_dir(path.parent().unwrap()).unwrap().map(|e| e.unwrap().file_name());
    let mut names: Vec<String> = entries.map(|name| name.into_string().unwrap()).collect();
    names.retain(|name| name.starts_with(".retold."));
    names.sort();
    names
}

pub(crate) fn record(path: &Path) -> PathBuf {
    path.with_file_name(format!(".retold.{:x}.owner", fs::metadata(path).unwrap().ino()))
}

/// Changes one member of the owner record.
fn amend(path: &Path, member: &str, value: serde_json::Value) {
    let record = record(path);
    let mut json: serde_json::Value = serde_json::from_slice(&fs::read(&record).unwrap()).unwrap();
    json[member] = value;
    fs::write(&record, json.to_string()).unwrap();
}

pub(crate) fn refused(result: retold::Result<Store>) -> String {
    match result {
        Err(e @ (Error::Locked { .. } | Error::NoAnswer { .. } | Error::OtherProtocol { .. })) => {
            e.to_string()
        }
        other => panic!("{other:?}"),
    }
}

pub(crate) fn soon() -> Builder {
    builder(&["soon"])
}

/// The names of all events, in global order.
pub(crate) fn names(store: &Store) -> Vec<String> {
    store.events(Query::all()).unwrap().map(|event| name_of(&event.unwrap())).collect()
}

pub(crate) fn name_of(event: &Event) -> String {
    let data: serde_json::Value = event.json().unwrap();
    data["name"].as_str().unwrap().to_owned()
}

/// Stores that another process owns.
struct Elsewhere {
    folder: tempfile::TempDir,
    made: u32,
    owner: Option<Peer>,
}

impl Elsewhere {
    fn path(&self) -> PathBuf {
        self.folder.path().join(format!("{}.redb", self.made))
    }

    fn opened(&mut self, settings: Builder) -> retold::Result<Store> {
        let owner = Peer::with(&self.path(), "");
        self.owner = Some(owner);
        settings.wait(LONG).open(self.path())
    }
}

impl Home for Elsewhere {
    fn create(&mut self, settings: Builder) -> retold::Result<Store> {
        self.made += 1;
        self.opened(settings)
    }

    fn reopen(&mut self, settings: Builder) -> retold::Result<Option<Store>> {
        if let Some(mut owner) = self.owner.take() {
            assert_eq!(owner.ask("close"), "ok");
        }
        self.opened(settings.open_only()).map(Some)
    }
}

#[test]
fn a_store_that_another_process_owns_passes_every_case() {
    let folder = tempfile::tempdir().unwrap();
    let conformance = conformance::run(&mut Elsewhere { folder, made: 0, owner: None });
    println!("opened beside its owner: {conformance}");
    assert!(conformance.is_clean(), "{conformance}");
    assert!(conformance.skipped.iter().all(|(_, missing)| *missing == Capability::Crash));
}

#[test]
fn two_processes_read_follow_and_append_to_one_store() {
    let (_dir, path) = place();
    let store = builder(&[]).open(&path).unwrap();
    store.append("s", event("first")).unwrap();
    let mut peer = Peer::with(&path, "");
    assert_eq!(peer.ask("head s"), "1");
    let mut follow = store.follow(Follow::all()).unwrap().blocking();
    assert_eq!(peer.ask("append s second"), "2");
    store.append_if("s", Expect::Head(2.into()), event("third")).unwrap();
    assert_eq!(peer.ask("head s"), "3");
    let mut seen = Vec::new();
    while seen.len() < 3 {
        if let Followed::Event { event, .. } = follow.next().unwrap().unwrap() {
            seen.push(name_of(&event));
        }
    }
    assert_eq!(seen, ["first", "second", "third"]);
    let owner = store.maintenance().info().unwrap().owner.unwrap();
    assert_eq!((owner.pid, owner.rank), (std::process::id(), Rank::Application));
    assert_eq!(owner.clients.iter().map(|client| client.pid).collect::<Vec<_>>(), [peer.pid()]);
    assert_eq!(peer.ask("owner"), format!("{} 1", std::process::id()));
    // A follower keeps the file for as long as it may read what was committed.
    drop(follow);
    store.close().unwrap();
    // Whoever is left takes it over.
    assert_eq!(peer.ask("append s fourth"), "4");
    assert_eq!(peer.ask("owner"), format!("{} 0", peer.pid()));
    let store = builder(&[]).open(&path).unwrap();
    assert_eq!(names(&store), ["first", "second", "third", "fourth"]);
    assert_eq!(peer.ask("close"), "ok");
    store.append("s", event("fifth")).unwrap();
    store.close().unwrap();
    assert_eq!(beside(&path), [""; 0]);
}

#[test]
fn a_second_opening_in_one_process_is_the_same_store() {
    let (dir, path) = place();
    let first = builder(&[]).open(&path).unwrap();
    let link = dir.path().join("link");
    std::os::unix::fs::symlink(&path, &link).unwrap();
    let second = builder(&["read-only"]).open(&link).unwrap();
    let third = builder(&[]).open(&path).unwrap();
    first.append("s", event("first")).unwrap();
    assert_eq!((second.head("s").unwrap(), third.head("s").unwrap()), (1.into(), 1.into()));
    assert!(matches!(second.append("s", event("x")), Err(Error::ReadOnly { .. })));
    first.close().unwrap();
    assert!(matches!(first.append("s", event("x")), Err(Error::Closed { after: None })));
    assert_eq!(third.append("s", event("second")).unwrap().last(), 2.into());
    assert_eq!(second.head("s").unwrap(), 2.into());
    third.close().unwrap();
    assert_eq!(second.head("s").unwrap(), 2.into());
    assert_eq!(beside(&path).len(), 2);
    second.close().unwrap();
    assert_eq!(beside(&path), [""; 0]);
    assert_eq!(names(&builder(&[]).open(&path).unwrap()), ["first", "second"]);
}

#[test]
fn an_exclusive_store_is_shared_with_nobody() {
    let (_dir, path) = place();
    let mut peer = Peer::with(&path, "exclusive");
    for how in [soon(), soon().exclusive(), soon().read_only()] {
        let told = refused(how.open(&path));
        assert!(told.contains("it was opened exclusively"), "{told}");
        assert!(told.contains(&format!("process {}", peer.pid())), "{told}");
    }
    assert_eq!(peer.ask("append s first"), "1");
    assert_eq!(peer.ask("close"), "ok");
    let store = builder(&[]).open(&path).unwrap();
    assert!(peer.open(&path, "exclusive soon").contains("is in use by another process"));
    assert!(matches!(soon().exclusive().open(&path), Err(Error::Locked { .. })));
    assert_eq!(names(&store), ["first"]);
}

#[test]
fn what_a_killed_owner_left_is_in_nobodys_way() {
    let (_dir, path) = place();
    let mut peer = Peer::with(&path, "");
    assert_eq!(peer.ask("append s first"), "1");
    peer.kill();
    assert_eq!(beside(&path).len(), 2);
    // The record's process may be gone, have another start, or be this very one.
    for pid in [None, Some(1), Some(std::process::id())] {
        if let Some(pid) = pid {
            amend(&path, "pid", pid.into());
        }
        let store = builder(&["soon"]).open(&path).unwrap();
        assert_eq!(names(&store), ["first"]);
        assert_eq!(store.maintenance().info().unwrap().owner.unwrap().pid, std::process::id());
        // Killed, as far as the files show.
        let left = fs::read(record(&path)).unwrap();
        store.close().unwrap();
        fs::write(record(&path), left).unwrap();
    }
    amend(&path, "host", serde_json::json!({ "boot": "an earlier one", "name": "", "pids": "" }));
    drop(builder(&["soon"]).open(&path).unwrap());
    fs::write(record(&path), "{ half").unwrap();
    drop(builder(&["soon"]).open(&path).unwrap());
    assert_eq!(beside(&path), [""; 0]);
}

#[test]
fn an_owner_of_another_start_of_the_machine_is_not_taken_over() {
    let (_dir, path) = place();
    let mut peer = Peer::with(&path, "");
    amend(&path, "host", serde_json::json!({ "boot": "another", "name": "another", "pids": "" }));
    let told = refused(soon().open(&path));
    assert!(told.contains("before this machine was started") || told.contains("on another has it"), "{told}");
    assert_eq!(peer.ask("append s first"), "1");
}

#[test]
fn a_stopped_owner_is_named_and_is_not_taken_over() {
    let (_dir, path) = place();
    let mut peer = Peer::with(&path, "");
    peer.signal("STOP");
    for how in [soon(), soon().read_only()] {
        let told = refused(how.open(&path));
        assert!(told.contains(&format!("process {}", peer.pid())) && told.contains("stopped"), "{told}");
    }
    peer.signal("CONT");
    let store = soon().open(&path).unwrap();
    assert_eq!(peer.ask("append s first"), "1");
    // Calls of a client honour its patience too.
    peer.signal("STOP");
    let told = store.append("s", event("x")).unwrap_err();
    assert!(matches!(told, Error::NoAnswer { .. } | Error::Unknown { .. }), "{told}");
    peer.signal("CONT");
    until("the owner's answer", || store.head("s").is_ok());
}

#[test]
fn a_child_that_an_owner_forked_keeps_the_file_and_is_told_of() {
    let (_dir, path) = place();
    let mut peer = Peer::with(&path, "");
    assert_eq!(peer.ask("append s first"), "1");
    let child = peer.ask("fork");
    // The parent serves on.
    let store = builder(&[]).open(&path).unwrap();
    assert_eq!(store.head("s").unwrap(), 1.into());
    store.close().unwrap();
    peer.kill();
    let told = refused(soon().open(&path));
    assert!(told.contains("a child that it forked"), "{told}");
    assert!(std::process::Command::new("kill").args(["-KILL", &child]).status().unwrap().success());
    assert_eq!(names(&builder(&[]).open(&path).unwrap()), ["first"]);
}

#[test]
fn a_path_of_two_hundred_bytes_is_shared_too() {
    let dir = tempfile::tempdir().unwrap();
    let folder = dir.path().join("x".repeat(100)).join("y".repeat(100));
    fs::create_dir_all(&folder).unwrap();
    let path = folder.join("runs.redb");
    let runtime = tempfile::tempdir().unwrap();
    let mut peer = Peer::begin_with(|command| {
        command.env("XDG_RUNTIME_DIR", runtime.path());
    });
    assert_eq!(peer.open(&path, ""), "ok");
    let store = builder(&[]).open(&path).unwrap();
    store.append("s", event("first")).unwrap();
    assert_eq!(peer.ask("head s"), "1");
    assert_eq!(beside(&path).len(), 1);
    assert_eq!(fs::read_dir(runtime.path().join("retold")).unwrap().count(), 1);
    drop(store);
    assert_eq!(peer.ask("close"), "ok");
    assert_eq!(fs::read_dir(runtime.path().join("retold")).unwrap().count(), 0);
}

#[test]
fn where_no_socket_can_be_made_it_is_said_why() {
    let dir = tempfile::tempdir().unwrap();
    let folder = dir.path().join("x".repeat(100));
    fs::create_dir_all(&folder).unwrap();
    let path = folder.join("runs.redb");
    let mut peer = Peer::begin_with(|command| {
        let nowhere = dir.path().join("nowhere");
        command.env("XDG_RUNTIME_DIR", &nowhere).env("TMPDIR", &nowhere);
    });
    assert_eq!(peer.open(&path, ""), "ok");
    assert_eq!(peer.ask("append s first"), "1");
    let told = refused(soon().open(&path));
    assert!(told.contains("too long for a socket") && told.contains("nowhere"), "{told}");
    assert_eq!(peer.ask("close"), "ok");
    assert_eq!(names(&builder(&[]).open(&path).unwrap()), ["first"]);
}

#[test]
fn the_socket_of_another_store_is_not_used() {
    let (_dir, path) = place();
    let (_other_dir, other) = place();
    let mut peer = Peer::with(&path, "");
    let mut second = Peer::with(&other, "");
    let socket = other.with_file_name(format!(".retold.{:x}.sock", fs::metadata(&other).unwrap().ino()));
    amend(&path, "socket", socket.to_str().unwrap().into());
    let told = refused(soon().open(&path));
    assert!(told.contains("another store"), "{told}");
    assert_eq!(
        (peer.ask("append s a"), second.ask("head s")),
        ("1".into(), "error: there is no session s".into())
    );
}

#[test]
fn a_file_that_is_deleted_or_renamed_under_its_owner_leads_to_nobody_else() {
    let (dir, path) = place();
    let mut peer = Peer::with(&path, "");
    assert_eq!(peer.ask("append s first"), "1");
    // Renamed: the same file, and the same owner, which records nothing where nobody would look for it.
    let renamed = dir.path().join("renamed.redb");
    fs::rename(&path, &renamed).unwrap();
    let store = builder(&[]).open(&renamed).unwrap();
    assert_eq!(store.head("s").unwrap(), 1.into());
    let told = peer.ask("append s lost");
    assert!(told.contains("deleted, renamed or replaced"), "{told}");
    assert!(store.append("s", event("lost")).is_err());
    store.close().unwrap();
    // A new file at the old path: another store, with an owner of its own.
    let new = builder(&[]).open(&path).unwrap();
    assert_eq!(new.committed().get(), 0);
    new.append("t", event("other")).unwrap();
    assert!(peer.ask("append s lost").contains("deleted, renamed or replaced"));
    // Deleted: its owner says so, can still be read, and takes nothing of others with it.
    fs::remove_file(&renamed).unwrap();
    assert!(peer.ask("append s lost").contains("deleted, renamed or replaced"));
    assert_eq!(peer.ask("head s"), "1");
    assert!(matches!(soon().open_only().open(&renamed), Err(Error::NotFound { .. })));
    assert_eq!(peer.ask("close"), "ok");
    assert_eq!(beside(&path).len(), 2);
    let mut third = Peer::with(&path, "");
    assert_eq!(third.ask("head t"), "1");
}

#[test]
fn a_reader_that_does_nothing_is_in_no_writers_way() {
    let (_dir, path) = place();
    let mut peer = Peer::with(&path, "");
    assert_eq!(peer.ask("append s first"), "1");
    let reader = builder(&["read-only"]).open(&path).unwrap();
    let mut follow = reader.follow(Follow::all()).unwrap().blocking();
    assert_eq!(reader.head("s").unwrap(), 1.into());
    assert_eq!(peer.ask("close"), "ok");
    // Nobody owns it: it is read all the same.
    assert_eq!(reader.head("s").unwrap(), 1.into());
    assert_eq!(reader.maintenance().info().unwrap().owner, None);
    assert_eq!(beside(&path), [""; 0]);
    // And somebody may come to own it, even exclusively for a moment.
    assert_eq!(peer.open(&path, "exclusive"), "ok");
    assert_eq!(peer.ask("append s second"), "2");
    assert_eq!(peer.ask("close"), "ok");
    let mut seen = Vec::new();
    while seen.len() < 2 {
        if let Followed::Event { event, .. } = follow.next().unwrap().unwrap() {
            seen.push(name_of(&event));
        }
    }
    assert_eq!(seen, ["first", "second"]);
    assert!(matches!(reader.append("s", event("x")), Err(Error::ReadOnly { .. })));
}

#[test]
fn an_application_takes_a_store_over_from_a_command() {
    let (_dir, path) = place();
    let mut cli = Peer::with(&path, "cli");
    assert_eq!(cli.ask("append s first"), "1");
    let mut serve = Peer::with(&path, "serve");
    until("the server's turn", || cli.ask("owner") == format!("{} 1", serve.pid()));
    let store = builder(&[]).open(&path).unwrap();
    until("this process's turn", || cli.ask("owner") == format!("{} 2", std::process::id()));
    assert_eq!((cli.ask("append s second"), serve.ask("append s third")), ("2".into(), "3".into()));
    store.append("s", event("fourth")).unwrap();
    assert_eq!(names(&store), ["first", "second", "third", "fourth"]);
    // Another application does not take it from this one.
    let mut second = Peer::with(&path, "");
    assert_eq!(second.ask("owner"), format!("{} 3", std::process::id()));
}

#[test]
fn when_the_owner_is_killed_another_goes_on_and_followers_miss_nothing() {
    let (_dir, path) = place();
    let mut owner = Peer::with(&path, "");
    // Of lower rank than the others, so that one of them is the next owner.
    let store = builder(&["cli"]).open(&path).unwrap();
    let mut follow = store.follow(Follow::all()).unwrap().blocking();
    let mut seen = Vec::new();
    for round in 1..=3 {
        assert_eq!(owner.ask(&format!("append s {round}")), (2 * round - 1).to_string());
        let next = Peer::with(&path, "");
        owner.kill();
        // One that was under way when the owner was lost is unknown; one that begins now waits for the next owner.
        let appended = event(&format!("own {round}"));
        until("an owner", || store.append("s", appended.clone()).is_ok());
        while seen.len() < 2 * round {
            if let Followed::Event { event, .. } = follow.next().unwrap().unwrap() {
                seen.push(name_of(&event));
            }
        }
        owner = next;
        let pid = owner_pid(&owner);
        until("the next owner", || owner.ask("owner").starts_with(&pid));
    }
    assert_eq!(seen, ["1", "own 1", "2", "own 2", "3", "own 3"]);
    // Nobody but this process is left.
    owner.kill();
    until("this process's turn", || {
        let info = store.maintenance().info();
        info.is_ok_and(|info| info.owner.is_some_and(|owner| owner.pid == std::process::id()))
    });
    assert_eq!(names(&store).len(), 6);
    assert!(store.maintenance().verify().unwrap().is_clean());
}

pub(crate) fn owner_pid(peer: &Peer) -> String {
    format!("{} ", peer.pid())
}

#[test]
fn processes_of_another_user_do_not_share_a_store() {
    use std::os::unix::fs::PermissionsExt;
    use std::os::unix::process::CommandExt;
    if fs::metadata("/proc/self").map_or(true, |meta| meta.uid() != 0) {
        // Only root can be somebody else.
        return;
    }
    let (dir, path) = place();
    let store = builder(&[]).open(&path).unwrap();
    fs::set_permissions(dir.path(), fs::Permissions::from_mode(0o777)).unwrap();
    fs::set_permissions(&path, fs::Permissions::from_mode(0o666)).unwrap();
    fs::set_permissions(record(&path), fs::Permissions::from_mode(0o644)).unwrap();
    let socket = record(&path).with_extension("sock");
    fs::set_permissions(&socket, fs::Permissions::from_mode(0o777)).unwrap();
    let program = std::env::current_exe().unwrap();
    let copy = dir.path().join("program");
    fs::copy(program, &copy).unwrap();
    let mut child = std::process::Command::new(copy);
    child.args(["--exact", "sharing::another_user", "--include-ignored", "--nocapture"]);
    let out = child.env("RETOLD_OF_ROOT", &path).uid(65_534).gid(65_534).output().unwrap();
    let out = String::from_utf8_lossy(&out.stdout).into_owned();
    // Root is let in by anybody, and lets nobody in.
    assert!(out.contains("= ") && !out.contains("= ok"), "{out}");
    assert!(
        out.contains("only processes of one user") || out.contains("of user") || out.contains("another user"),
        "{out}"
    );
    assert_eq!(store.append("s", event("first")).unwrap().last(), 1.into());
}

#[test]
#[ignore = "the other process of the test above"]
fn another_user() {
    let Some(path) = std::env::var_os("RETOLD_OF_ROOT") else { return };
    println!("\n= {}", shown(soon().open(path), |_| "ok".into()));
}
