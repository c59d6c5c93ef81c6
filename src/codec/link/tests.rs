//! One example of every message, byte for byte, and what decoders do with bytes that are wrong. `golden.txt` is what any
//! reimplementation has to reproduce: its lines are never changed while its version is spoken, only added to.

use proptest::prelude::*;

use super::*;
use crate::codec::wire::Bounded;
use crate::limits::{SHARED_FRAME_BYTES, SHARED_MESSAGE_BYTES};

const VECTORS: &str = include_str!("golden.txt");

const PLACE: SentPlace<'static> = SentPlace { session: "run 7", branch: "日本" };
const RANGE: SentRange = SentRange { from: 1, to: u64::MAX, limit: 512, reverse: true };
const END: SentEnd = SentEnd { head: 70_002, position: 50, recorded: Some(-5) };
const ID: [u8; 16] = [7; 16];

fn branch() -> SentBranch<'static> {
    let main = SentPlace { branch: "main", ..PLACE };
    let own = SentSegment { branch: 300, place: PLACE, first: 70_001, last: u64::MAX };
    SentBranch {
        number: 300,
        place: PLACE,
        parent: Some(251),
        parent_name: Some("main"),
        fork: 70_000,
        created: 1_767_225_600_000_000,
        depth: 1,
        lineage: Bounded(vec![SentSegment { branch: 251, place: main, first: 1, last: 70_000 }, own]),
    }
}

fn full_branch() -> SentFullBranch<'static> {
    let attributes = SentAttributes {
        closed: Some(-1),
        expires: Some(1_767_225_600_000_000),
        idle: Some((300, 5)),
        deleted: None,
        incarnation: 2,
        truncated: 299,
    };
    SentFullBranch { branch: branch(), attributes }
}

fn events() -> SentEvents<'static> {
    let event = SentEvent { place: 0, sequence: 70_001, position: 41, recorded: -1, record: b"a record" };
    let events = vec![event, SentEvent { sequence: 70_002, position: 42, ..event }];
    SentEvents { places: Bounded(vec![PLACE]), events: Bounded(events) }
}

fn chunk() -> SentChunk<'static> {
    let table = vec![(41, 1_767_225_600_000_000, 3), (50, 1_767_225_600_000_001, 5)];
    SentChunk { branch: 300, first: 70_001, table: Bounded(table), body: b"onetwo-3" }
}

fn writes() -> SentWrites<'static> {
    let rows = vec![(3, &b"key"[..], Some(&b"value"[..])), (4, b"gone", None)];
    SentWrites { expected: Bounded(rows.clone()), rows: Bounded(rows), relaxed: true, by: u64::MAX }
}

fn asks() -> Vec<SentAsk<'static>> {
    let part = SentPart { place: PLACE, expect: SentExpect::Head(3), branch: None, count: 2 };
    let parts = vec![part, SentPart { expect: SentExpect::Empty, branch: Some(300), count: 1, ..part }];
    let appended = SentAppend {
        parts: Bounded(parts),
        records: Bounded(vec![b"one", b"two", b""]),
        relaxed: false,
        writes: writes(),
    };
    vec![
        SentAsk::Ping,
        SentAsk::Handover,
        SentAsk::Status,
        SentAsk::Append(appended.clone()),
        SentAsk::Fork(PLACE, Some(70_000), PLACE),
        SentAsk::Write(writes()),
        SentAsk::Branch(PLACE),
        SentAsk::BranchesOf("run 7"),
        SentAsk::Branches(Some("run 7"), 10),
        SentAsk::Sessions(None, 10_000),
        SentAsk::End(300, PLACE),
        SentAsk::Events(300, PLACE, RANGE),
        SentAsk::Pieces(300, PLACE, 1, 70_002),
        SentAsk::OfSession("run 7", RANGE),
        SentAsk::All(RANGE),
        SentAsk::Event(ID),
        SentAsk::Whose(41),
        SentAsk::Record(3, b"key"),
        SentAsk::EachRecord(3, Bounded(vec![b"key", b""])),
        SentAsk::Records { table: 3, prefix: b"k", after: Some(b"ka"), to: None, limit: 100, reverse: false },
        SentAsk::Flush,
        SentAsk::Verify,
        SentAsk::Figures,
        SentAsk::GiveUp(300),
        SentAsk::Backup("/runs.redb"),
        SentAsk::Compact,
        SentAsk::Change(Bounded(
            [
                (None, SentWhat::Close),
                (Some(300), SentWhat::Delete),
                (None, SentWhat::Truncate(300)),
                (None, SentWhat::Keep),
                (None, SentWhat::ExpireAt(1_767_225_600_000_000)),
                (None, SentWhat::ExpireUnused(86_400_000_000)),
                (Some(1), SentWhat::Lapse),
            ]
            .map(|(number, what)| SentChange { place: PLACE, number, head: number.map(|n| n + 1), what })
            .into(),
        )),
        SentAsk::Purge,
        SentAsk::DeadSpace,
        SentAsk::BackupSince("/runs-1.redb", "/runs-2.redb"),
        SentAsk::Ids(ID, [8; 16], 6),
        SentAsk::AppendForking(
            appended,
            Bounded(vec![SentFork { after: 1, parent: PLACE, at: 70_000, place: PLACE }]),
        ),
        SentAsk::Names(Some("run 7"), None, 64, 10_000),
        SentAsk::Copy,
        SentAsk::CopyPart(300),
    ]
}

fn problems() -> Vec<SentProblem<'static>> {
    vec![
        SentProblem::Conflict(PLACE, SentExpect::Any, 5),
        SentProblem::RecordChanged("a record"),
        SentProblem::NotFound("branch", "s/b"),
        SentProblem::Exists("branch", "s/b"),
        SentProblem::Invalid("data", "is too large"),
        SentProblem::Duplicate(ID, PLACE, Some(7)),
        SentProblem::Locked("a.redb"),
        SentProblem::OtherProcess(300),
        SentProblem::Corrupt("s/b@3", "its checksum is wrong"),
        SentProblem::TooLarge("a payload", 2, 1),
        SentProblem::Unknown("a sync failed"),
        SentProblem::Storage("the disk is full"),
        SentProblem::Upcast(PLACE, None, 9, "no way"),
        SentProblem::NewerFormat("a.redb", 9, 2),
        SentProblem::BadCursor("of another store"),
        SentProblem::Parked("counts", PLACE, Some(1), "it failed"),
        SentProblem::Differs("consumer", "c", "deadline", "1", "2"),
        SentProblem::NotDelivered("c", "it is late"),
        SentProblem::ReadOnly("a.redb"),
        SentProblem::Closed(Some("a sync failed")),
        SentProblem::OwnerLost(300),
        SentProblem::NoAnswer(300, 10),
        SentProblem::OtherProtocol(300, (3, 4), (1, 2)),
    ]
}

fn answers() -> Vec<SentAnswer<'static>> {
    let placed = SentPlaced { place: PLACE, first: 1, last: 2, first_position: 41, last_position: 42 };
    let failed = problems().into_iter().map(SentAnswer::Failed);
    let owner = SentOwner { pid: 300, program: "app", rank: 2, since: -1 };
    let client = SentPeer { pid: 301, uid: 1_000, program: "retold tail", rank: 0, since: 1, queued: 9 };
    let record = |value| (&b"key"[..], value);
    let problem = SentProblem::Corrupt("a record", "its checksum is wrong");
    failed
        .chain([
            SentAnswer::Leaving,
            SentAnswer::Heard,
            SentAnswer::Appended(Bounded(vec![placed]), true),
            SentAnswer::Forked(branch()),
            SentAnswer::Written,
            SentAnswer::Branch(Some(branch())),
            SentAnswer::Branches(Bounded(vec![(branch(), END)])),
            SentAnswer::Sessions(Bounded(vec!["run 7", "run 8"])),
            SentAnswer::End(END),
            SentAnswer::Events(events()),
            SentAnswer::Pieces(
                Bounded(vec![SentPiece::Packed(PLACE, chunk()), SentPiece::Events(events())]),
                Some(70_003),
            ),
            SentAnswer::Event(Some(events())),
            SentAnswer::Whose(Some((branch(), 70_001))),
            SentAnswer::Record(Some(b"value")),
            SentAnswer::EachRecord(Bounded(vec![None, Some(b"value")])),
            SentAnswer::Records(Bounded(vec![record(Ok(&b"value"[..])), record(Err(problem))])),
            SentAnswer::Flushed,
            SentAnswer::Progress(70_000, 70_002),
            SentAnswer::Report(SentReport {
                branches: 2,
                events: 70_002,
                chunks: 9,
                problems: Bounded(vec![("s/b@3", "its checksum is wrong")]),
            }),
            SentAnswer::Figures(SentFigures {
                sessions: 1,
                branches: 2,
                events: 70_002,
                in_journal: 3,
                chunks: 9,
                payload_bytes: 1 << 30,
                file_bytes: Some(1 << 31),
            }),
            SentAnswer::Status(SentStatus { owner, clients: Bounded(vec![client]) }),
            SentAnswer::BackedUp(70_000, 300),
            SentAnswer::Compacted(70_000, 300),
            SentAnswer::Changed(Bounded(vec![full_branch()])),
            SentAnswer::Purged(70_000, 1 << 30),
            SentAnswer::FullForked(full_branch()),
            SentAnswer::FullBranch(full_branch()),
            SentAnswer::FullBranches(Bounded(vec![(full_branch(), END)])),
            SentAnswer::FullEnd(SentFullEnd { end: END, first: 300, closed: true }),
            SentAnswer::FullWhose(full_branch(), 70_001),
            SentAnswer::Failed(SentProblem::BranchClosed(PLACE, 7)),
            SentAnswer::Failed(SentProblem::Deleted(PLACE, 7)),
            SentAnswer::Failed(SentProblem::Truncated(PLACE, 300)),
            SentAnswer::DeadSpace(None),
            SentAnswer::DeadSpace(Some(SentDeadSpace {
                file: 1 << 31,
                free: 1 << 30,
                unpurged: 300,
                is_partial: true,
            })),
            SentAnswer::Failed(SentProblem::NotABase("a.redb", "it is of another store")),
            SentAnswer::BackedUpSince(70_000, 300, 69_000),
            SentAnswer::Ids(Bounded(vec![ID, [8; 16]])),
            SentAnswer::Names(Bounded(vec!["main", "日本"]), true),
            SentAnswer::Copied(70_000, 300),
            SentAnswer::CopyPart(b"part of it"),
        ])
        .collect()
}

fn notices() -> Vec<SentNotice<'static>> {
    let births = Bounded(vec![branch()]);
    let changed = Bounded(vec![(u64::MAX, 0b100), (3, 0b1000_0001)]);
    vec![
        SentNotice::Alive,
        SentNotice::Leaving,
        SentNotice::Unseen(42),
        SentNotice::Committed { position: 42, births, events: events(), changed },
    ]
}

fn hello() -> SentHello<'static> {
    let hello = HelloBody { program: "retold tail", rank: 1, store: Some([3; 16]), wait: 10_000 };
    SentHello { oldest: 1, newest: 1, hello: Some(hello) }
}

fn greetings() -> Vec<SentGreeting<'static>> {
    let welcome = SentWelcome {
        pid: 300,
        program: "app",
        rank: 2,
        since: -1,
        payload_bytes: 1 << 24,
        committed: 42,
        store: [3; 16],
        opening: [4; 16],
        created: 1_767_225_600_000_000,
        format: 2,
        damage: Bounded(vec![("chunk 3", "its checksum is wrong")]),
        lacks: Some(("chunk 3", "its checksum is wrong")),
    };
    vec![
        SentGreeting::Welcome(1, Box::new(welcome)),
        SentGreeting::Protocol(3, 5),
        SentGreeting::OtherStore([9; 16]),
        SentGreeting::Busy(256),
        SentGreeting::Leaving,
    ]
}

/// Every message with its name.
fn all() -> Vec<(String, Vec<u8>)> {
    let named = |what: &'static str, messages: Vec<Vec<u8>>| {
        messages.into_iter().enumerate().map(move |(n, message)| (format!("{what}-{n}"), message))
    };
    let greetings = greetings().iter().map(SentGreeting::message).collect();
    named("hello", vec![hello().message()])
        .chain(named("greeting", greetings))
        .chain(named("ask", asks().into_iter().map(|ask| ask.message(5, 0)).collect()))
        .chain(named("answer", answers().into_iter().map(|answer| answer.message(5, 0)).collect()))
        .chain(named("notice", notices().into_iter().map(|notice| notice.message(0, 0)).collect()))
        .collect()
}

fn body(message: &[u8]) -> &[u8] {
    &message[LINK_HEADER..]
}

#[test]
fn every_message_is_what_it_was() {
    let hex = |bytes: &[u8]| data_encoding::HEXLOWER.encode(bytes);
    let now: Vec<String> = all().iter().map(|(name, bytes)| format!("{name} {}", hex(bytes))).collect();
    let other: Vec<&String> = now.iter().filter(|line| !VECTORS.lines().any(|old| old == *line)).collect();
    assert!(other.is_empty(), "these messages are now\n{}\n", now.join("\n"));
    assert_eq!(VECTORS.lines().count(), now.len());
}

#[test]
fn what_was_sent_is_what_comes() {
    let said = hello().message();
    assert_eq!(SentHello::decode(body(&said)).unwrap(), hello());
    for greeting in greetings() {
        assert_eq!(SentGreeting::decode(body(&greeting.message())).unwrap(), greeting);
    }
    for ask in asks() {
        assert_eq!(SentAsk::decode(body(&ask.clone().message(5, 0))).unwrap(), ask);
    }
    for answer in answers() {
        let message = answer.clone().message(5, 0);
        assert_eq!(SentAnswer::decode(body(&message)).unwrap(), answer);
        let progress = matches!(answer, SentAnswer::Progress(..));
        assert_eq!(SentAnswer::is_progress(body(&message)), progress);
    }
    for notice in notices() {
        assert_eq!(SentNotice::decode(body(&notice.clone().message(0, 0))).unwrap(), notice);
    }
    for (name, message) in all() {
        let head = LinkHead::decode(message.first_chunk().unwrap()).unwrap();
        let (len, call) = (body(&message).len() as u32, u64::from(name.starts_with('a')) * 5);
        assert_eq!(head, LinkHead { len, total: len, call }, "{name}");
    }
}

fn decode_any(bytes: &[u8]) {
    let _ = SentHello::decode(bytes);
    let _ = SentGreeting::decode(bytes);
    let _ = SentAsk::decode(bytes);
    let _ = SentAnswer::decode(bytes);
    let _ = SentNotice::decode(bytes);
}

#[test]
fn a_message_that_is_cut_off_or_longer_is_refused_and_one_that_is_changed_does_no_harm() {
    for (name, message) in all() {
        let whole = body(&message);
        let refused = |bytes: &[u8]| match name.split_once('-').unwrap().0 {
            "hello" => SentHello::decode(bytes).is_err(),
            "greeting" => SentGreeting::decode(bytes).is_err(),
            "ask" => SentAsk::decode(bytes).is_err(),
            "answer" => SentAnswer::decode(bytes).is_err(),
            _ => SentNotice::decode(bytes).is_err(),
        };
        for len in 0..whole.len() {
            assert!(refused(&whole[..len]), "{name} of {len} bytes was taken");
        }
        // Later releases may add to what is said first.
        let longer = [whole, &[0]].concat();
        let may_be_longer = ["hello-0", "greeting-0", "greeting-1"].contains(&name.as_str());
        assert_eq!(refused(&longer), !may_be_longer, "{name}");
        let mut changed = whole.to_vec();
        for at in 0..whole.len() {
            for with in 1..=255 {
                changed[at] ^= with;
                decode_any(&changed);
                changed[at] ^= with;
            }
        }
    }
}

#[test]
fn a_length_that_lies_is_refused_before_anything_is_allocated_for_it() {
    for lie in [&[252, 255, 255, 255, 255][..], &[253, 255, 255, 255, 255, 255, 255, 255, 255][..]] {
        for kind in 0..40 {
            for before in 0..40 {
                decode_any(&[&[kind][..], &vec![0; before], lie, &[0; 64]].concat());
            }
        }
    }
}

#[test]
fn a_header_of_an_impossible_length_is_refused() {
    let head = |len: usize, total: usize| {
        let head = LinkHead { len: len as u32, total: total as u32, call: 7 };
        LinkHead::decode(&head.encode()).map(|read| assert_eq!(read, head))
    };
    assert!(head(1, 1).is_ok() && head(SHARED_FRAME_BYTES, SHARED_MESSAGE_BYTES).is_ok());
    for (len, total) in [
        (0, 0),
        (0, 1),
        (2, 1),
        (SHARED_FRAME_BYTES + 1, SHARED_FRAME_BYTES + 1),
        (1, SHARED_MESSAGE_BYTES + 1),
        (u32::MAX as usize, u32::MAX as usize),
    ] {
        assert!(head(len, total).is_err(), "{len} of {total}");
    }
}

#[test]
fn a_client_of_another_version_is_told_apart_from_one_that_is_no_client() {
    let said = |oldest: u16, newest: u16| {
        let mut message = hello().message();
        message[LINK_HEADER + 8..LINK_HEADER + 10].copy_from_slice(&oldest.to_le_bytes());
        message[LINK_HEADER + 10..LINK_HEADER + 12].copy_from_slice(&newest.to_le_bytes());
        SentHello::decode(body(&message)).map(|hello| hello.hello.is_some())
    };
    assert_eq!((said(0, 0), said(2, 9), said(0, 1), said(1, 9)), (Ok(false), Ok(false), Ok(true), Ok(true)));
    assert!(said(5, 4).is_err());
    assert!(SentHello::decode(b"GET / HTTP/1.1\r\n").is_err());
}

proptest! {
    #[test]
    fn any_bytes_are_a_message_or_are_refused(bytes in prop::collection::vec(prop_oneof![0..=40u8, any::<u8>()], 0..200)) {
        decode_any(&bytes);
        if let Ok(ask) = SentAsk::decode(&bytes) {
            let again = ask.clone().message(0, 0);
            prop_assert_eq!(SentAsk::decode(body(&again)).unwrap(), ask);
        }
        if let Ok(answer) = SentAnswer::decode(&bytes) {
            let again = answer.clone().message(0, 0);
            prop_assert_eq!(SentAnswer::decode(body(&again)).unwrap(), answer);
        }
    }

    #[test]
    fn an_append_of_any_size_comes_back(
        records in prop::collection::vec(prop::collection::vec(any::<u8>(), 0..300), 0..40),
        session in "[a-zä]{1,40}", head: u64, relaxed: bool, by: u64,
    ) {
        let place = SentPlace { session: &session, branch: "main" };
        let part = SentPart { place, expect: SentExpect::Head(head), branch: None, count: records.len() as u32 };
        let writes = SentWrites { rows: Bounded(vec![]), expected: Bounded(vec![]), relaxed, by };
        let records = Bounded(records.iter().map(Vec::as_slice).collect());
        let ask = SentAsk::Append(SentAppend { parts: Bounded(vec![part]), records, relaxed, writes });
        let message = ask.clone().message(9, 0);
        prop_assert_eq!(SentAsk::decode(body(&message)).unwrap(), ask);
    }
}
