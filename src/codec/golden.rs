//! One example of every layout, byte for byte, and how decoders handle bytes that are slightly wrong. `golden.txt` is
//! what any reimplementation of this module has to reproduce: its lines are never changed, only added to.

use bytes::Bytes;

use super::*;
use crate::event::{EventId, NewEvent, Place, Record, Timestamp};

const VECTORS: &str = include_str!("golden.txt");

fn golden(name: &str) -> Bytes {
    let line = VECTORS.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(' '));
    let hex = line.unwrap_or_default();
    data_encoding::HEXLOWER.decode(hex.as_bytes()).unwrap().into()
}

fn small() -> NewEvent {
    NewEvent::new("a.b").with_id(EventId::from_bytes([7; 16])).occurred(Timestamp::from_micros(-1))
}

fn full() -> NewEvent {
    small()
        .with_id(EventId::from_bytes(*b"0123456789abcdef"))
        .version(300)
        .occurred(Timestamp::from_micros(1_767_225_600_000_000))
        .priority(200)
        .causation(EventId::from_bytes([9; 16]))
        .source("runner")
        .actor("ann")
        .correlation("run-7")
        .trace("00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01")
        .meta("b", "2")
        .meta("a", "ü")
        .bytes("text/plain", "payload \0\u{1F980}")
}

fn record(event: &NewEvent) -> Record {
    encode_record(event, 1 << 20).unwrap()
}

fn branch_row() -> BranchRow {
    let place = Place::new("run 7".parse().unwrap(), "日本".parse().unwrap());
    let attributes = Attributes::default();
    BranchRow { place, parent: Some(251), fork: 70_000, created: 1_767_225_600_000_000, attributes }
}

/// With everything that may have become of it.
fn ended_branch() -> BranchRow {
    let mut others = Extras::default();
    others.set(300, Some(b"later".to_vec()));
    let attributes = Attributes {
        content_type: Some("text/plain".into()),
        closed: Some(1_767_225_600_000_001),
        expires: Some(1_767_225_600_000_002),
        idle: Some(IdleRow { after: 60_000_000, used: 1_767_225_600_000_003 }),
        deleted: Some(-5),
        incarnation: 2,
        truncated: 69_000,
        others,
    };
    BranchRow { attributes, ..branch_row() }
}

fn frame() -> Vec<u8> {
    let mut frame = FrameBuilder::new();
    frame.birth(300, &branch_row());
    frame.event(1, 5, record(&small()).encoded().clone());
    frame.event(300, 70_001, record(&full()).encoded().clone());
    frame.change(251, &ended_branch());
    frame.beside(3, b"key", Some(b"value"));
    frame.beside(7, b"gone", None);
    frame.finish(41, 1_767_225_600_000_001)
}

fn chunk() -> Vec<u8> {
    let mut chunk = ChunkBuilder::new(300, 70_001);
    chunk.push(41, 1_767_225_600_000_001, record(&small()).encoded().clone());
    chunk.push(50, 1_767_225_600_000_000, record(&full()).encoded().clone());
    chunk.finish()
}

/// Repetitive enough to be worth compressing.
fn packed() -> Vec<u8> {
    let mut chunk = ChunkBuilder::new(7, 1);
    for n in 1..=20 {
        chunk.push(n, 1_767_225_600_000_000, record(&small()).encoded().clone());
    }
    chunk.finish()
}

const RUNS: [Run; 2] =
    [Run { branch: 1, first: 5, count: 1 }, Run { branch: 300, first: 70_001, count: 100_000 }];
const HEAD: HeadRow = HeadRow { head: 70_002, position: 50, recorded: -5 };

/// As the second format has it.
fn second_meta() -> Meta {
    Meta {
        format: 2,
        flushed: 49,
        next_branch: 301,
        journal: JournalMark { at: 4_096, next: 260, chain: u64::MAX - 1 },
        counts: StoreCounts { sessions: 3, branches: 300, payload_bytes: 70_000 },
        ..Meta::new([3; 16], 1_767_225_600_000_000)
    }
}

fn meta() -> Meta {
    let mut others = Extras::default();
    others.set(1, Some(b"later".to_vec()));
    let features = Features { compatible: 1, read_only: 2, incompatible: 4 };
    let tables = vec![("events".to_owned(), 30), ("timers".to_owned(), 70_000)];
    Meta { format: 3, features, tables, others, ..second_meta() }
}

fn label() -> BackupLabel {
    let since = BackupBase { id: [8; 16], position: 40, name: "runs-1.redb".into() };
    BackupLabel { id: [7; 16], line: 70_000, last: Some((49, u64::MAX - 1)), since: Some(since) }
}

fn labelled_meta() -> Meta {
    let mut meta = meta();
    label().stick(&mut meta);
    meta
}

const HEADER: FileHeader =
    FileHeader { layout: HeaderLayout::JournalFirst, journal: 4_096, tables: 135_168, secret: [5; 16] };
const HEADER_NOW: FileHeader =
    FileHeader { layout: HeaderLayout::LastCommitFirst, journal: 12_288, ..HEADER };
const LAST_COMMIT: LastCommit = LastCommit { number: 260, chain: u64::MAX - 1 };

fn dead_letter() -> DeadLetterRow {
    DeadLetterRow {
        place: branch_row().place,
        sequence: 70_002,
        id: EventId::from_bytes([7; 16]),
        kind: "a.b".into(),
        error: "no such host".into(),
        deliveries: 5,
        first: 1_767_225_600_000_000,
        last: -1,
    }
}

fn consumer() -> ConsumerRow {
    let place = branch_row().place;
    let settings = SettingsRow {
        session: Some(place.session.clone()),
        types: vec!["a.**".into(), "b".into()],
        except: vec!["a.c".into()],
        priority: 200,
        deadline: 30_000_000,
        max_deliveries: 5,
        max_in_flight: 256,
        backoff: 1_000_000,
        max_backoff: 60_000_000,
        max_dead_letters: 10_000,
    };
    ConsumerRow {
        mark: None,
        id: [9; 16],
        created: 1_767_225_600_000_000,
        settings,
        turn: 0,
        writer: 0,
        since: None,
        scanned: 70_000,
        next_delivery: 301,
        acknowledged: 299,
        set_aside: 1,
        lanes: 2,
    }
}

fn lanes() -> Vec<LaneRow> {
    let place = branch_row().place;
    let head = DeliveredRow {
        sequence: 70_003,
        position: 51,
        deliveries: 2,
        first: -7,
        again: true,
        delivery: Some(300),
        due: 1_767_225_630_000_000,
    };
    vec![
        LaneRow { place: place.clone(), rest: Some((70_002, 50, 70_010)), head: Some(head) },
        LaneRow { place, rest: None, head: Some(DeliveredRow { delivery: None, ..head }) },
    ]
}

fn header() -> ConsumerRow {
    ConsumerRow { turn: 900, writer: u64::MAX, ..waiting() }
}

fn marked() -> ConsumerRow {
    ConsumerRow { mark: Some(77_001), ..header() }
}

fn waiting() -> ConsumerRow {
    ConsumerRow { since: Some(1_767_225_600_000_001), ..consumer() }
}

const TOKEN: TokenParts =
    TokenParts { store: [3; 16], consumer: [9; 16], delivery: 300, position: 51, mark: None };
const MARKED_TOKEN: TokenParts = TokenParts { mark: Some(77_000), ..TOKEN };
const CURSOR: CursorParts = CursorParts { store: [3; 16], branch: Some(300), scanned: u64::MAX, mark: None };
const MARKED_CURSOR: CursorParts = CursorParts { mark: Some(u64::MAX - 7), ..CURSOR };

#[test]
fn every_layout_is_what_it_was() {
    let now: [(&str, Vec<u8>); 27] = [
        ("record-small", record(&small()).encoded().to_vec()),
        ("record-full", record(&full()).encoded().to_vec()),
        ("frame-3", frame()),
        ("chunk", chunk()),
        ("chunk-packed", packed()),
        ("order", encode_order(41, &RUNS)),
        ("branch-3", branch_row().encode(300)),
        ("branch-3-ended", ended_branch().encode(300)),
        ("head", HEAD.encode(300)),
        ("meta-3", meta().encode()),
        ("meta-3-label", labelled_meta().encode()),
        ("cursor", CURSOR.encode()),
        ("cursor-3", MARKED_CURSOR.encode()),
        ("entry", encode_entry(&[3; 16], 260, u64::MAX - 1, true, b"a frame").0),
        ("header", HEADER.encode().to_vec()),
        ("header-2", HEADER_NOW.encode().to_vec()),
        ("last-commit", LAST_COMMIT.encode(&[3; 16]).to_vec()),
        ("mark", encode_sidecar_row(3, b"key", b"value")),
        ("letter", dead_letter().encode()),
        ("consumer", consumer().encode_whole(&lanes())),
        ("consumer-since", waiting().encode_whole(&lanes())),
        ("consumer-header", header().encode()),
        ("consumer-marked", marked().encode()),
        ("consumer-lane", lanes()[0].encode()),
        ("consumer-lane-waits", lanes()[1].encode()),
        ("token", TOKEN.encode()),
        ("token-3", MARKED_TOKEN.encode()),
    ];
    let hex = |bytes: &[u8]| data_encoding::HEXLOWER.encode(bytes);
    let other: Vec<String> = now
        .iter()
        .filter(|(name, bytes)| golden(name) != *bytes)
        .map(|(name, bytes)| format!("{name} {}", hex(bytes)))
        .collect();
    assert!(other.is_empty(), "these layouts are now\n{}\n", other.join("\n"));
}

#[test]
fn what_was_written_is_read_back() {
    for event in [small(), full()] {
        let read = decode_record(record(&event).encoded().clone()).unwrap();
        assert_eq!((read.id(), read.kind(), read.version()), (event.id, "a.b", event.version));
        assert_eq!((read.occurred(), read.priority()), (event.occurred, event.priority));
        assert_eq!((read.causation(), read.payload()), (event.causation, &*event.payload));
        assert_eq!(read.source().unwrap_or_default(), event.source);
        assert_eq!(read.trace().unwrap_or_default(), event.trace);
        assert_eq!(read.is_json(), event.content_type.is_empty());
        assert!(read.metadata().eq(event.metadata.iter().map(|(k, v)| (k.as_str(), v.as_str()))));
    }
    let records = [record(&small()).encoded().clone(), record(&full()).encoded().clone()];
    for (name, has_more) in [("frame", false), ("frame-3", true)] {
        let read = Frame::decode(&golden(name)).unwrap();
        assert_eq!((read.first_position, read.recorded), (41, 1_767_225_600_000_001));
        assert_eq!(read.births, [Birth { number: 300, row: branch_row() }]);
        assert_eq!(read.runs, [RUNS[0], Run { count: 1, ..RUNS[1] }]);
        assert_eq!(read.events, records);
        let record = |table, key, value| FrameRecord { table, key: Bytes::from_static(key), value };
        let beside = [record(3, b"key", Some(Bytes::from_static(b"value"))), record(7, b"gone", None)];
        let changes = [Birth { number: 251, row: ended_branch() }];
        let more = usize::from(has_more);
        assert_eq!((&read.changes[..], &read.beside[..]), (&changes[..more], &beside[..2 * more]));
    }
    let read = Chunk::decode(&golden("chunk")).unwrap();
    assert_eq!((read.branch(), read.first(), read.last()), (300, 70_001, 70_002));
    let [first, second] = records;
    let entries = [(41, 1_767_225_600_000_001, first), (50, 1_767_225_600_000_000, second)];
    assert_eq!(read.entries().collect::<Vec<_>>(), entries);
    assert_eq!((read.entry(70_000), read.entry(70_003), read.entry(0)), (None, None, None));
    let read = Chunk::decode(&golden("chunk-packed")).unwrap();
    assert_eq!((read.first(), read.last(), read.count()), (1, 20, 20));
    assert_eq!(read.entry(20).unwrap().2, record(&small()).encoded());
    assert_eq!(decode_order(41, &golden("order")).unwrap(), RUNS);
    assert_eq!(BranchRow::decode(300, &golden("branch")).unwrap(), branch_row());
    assert_eq!(BranchRow::decode(300, &golden("branch-3")).unwrap(), branch_row());
    assert_eq!(BranchRow::decode(300, &golden("branch-3-ended")).unwrap(), ended_branch());
    assert_eq!(HeadRow::decode(300, &golden("head")).unwrap(), HEAD);
    // The rows of the first two formats are read as far as they go.
    let first =
        Meta { format: 1, flushed: 49, next_branch: 301, ..Meta::new([3; 16], 1_767_225_600_000_000) };
    for (format, name, meta) in [(1, "meta", first), (2, "meta-2", second_meta()), (3, "meta-3", meta())] {
        assert_eq!(Meta::decode(&golden(name)).unwrap(), meta);
        assert_eq!(Meta::format(&golden(name)).unwrap(), format);
    }
    let labelled = Meta::decode(&golden("meta-3-label")).unwrap();
    assert_eq!(BackupLabel::of(&labelled).unwrap(), Some((label(), true)));
    let head = decode_entry(&[3; 16], &golden("entry")).unwrap();
    assert_eq!((head.number, head.previous, head.synced, head.len), (260, u64::MAX - 1, true, 7));
    assert_eq!(FileHeader::decode(golden("header").as_ref().try_into().unwrap()), Ok(HEADER));
    assert_eq!(FileHeader::decode(golden("header-2").as_ref().try_into().unwrap()), Ok(HEADER_NOW));
    let last = LastCommit::decode(&[3; 16], golden("last-commit").as_ref().try_into().unwrap());
    assert_eq!(last, Some(LAST_COMMIT));
    assert_eq!(CursorParts::decode(&golden("cursor")).unwrap(), CURSOR);
    assert_eq!(CursorParts::decode(&golden("cursor-3")).unwrap(), MARKED_CURSOR);
    assert_eq!(decode_sidecar_row(3, b"key", &golden("mark")).unwrap(), b"value");
    assert_eq!(DeadLetterRow::decode(&golden("letter")).unwrap(), dead_letter());
    assert_eq!(ConsumerRow::decode(&golden("consumer")).unwrap(), (consumer(), lanes()));
    assert_eq!(ConsumerRow::decode(&golden("consumer-since")).unwrap(), (waiting(), lanes()));
    assert_eq!(ConsumerRow::decode(&golden("consumer-header")).unwrap(), (header(), vec![]));
    assert_eq!(ConsumerRow::decode(&golden("consumer-marked")).unwrap(), (marked(), vec![]));
    for (name, lane) in ["consumer-lane", "consumer-lane-waits"].into_iter().zip(lanes()) {
        assert_eq!(LaneRow::decode(lane.place.clone(), &golden(name)).unwrap(), lane);
    }
    assert_eq!(TokenParts::decode(&golden("token")).unwrap(), TOKEN);
    assert_eq!(TokenParts::decode(&golden("token-3")).unwrap(), MARKED_TOKEN);
}

type Decoder = fn(&Bytes) -> Result<(), Malformed>;

/// Every sealed layout with its decoder under the right key.
const SEALED: [(&str, Decoder); 18] = [
    ("frame", |b| Frame::decode(b).map(drop)),
    ("frame-3", |b| Frame::decode(b).map(drop)),
    ("chunk", |b| Chunk::decode(b).map(drop)),
    ("chunk-packed", |b| Chunk::decode(b).map(drop)),
    ("order", |b| decode_order(41, b).map(drop)),
    ("branch", |b| BranchRow::decode(300, b).map(drop)),
    ("branch-3", |b| BranchRow::decode(300, b).map(drop)),
    ("branch-3-ended", |b| BranchRow::decode(300, b).map(drop)),
    ("head", |b| HeadRow::decode(300, b).map(drop)),
    ("meta-2", |b| Meta::decode(b).map(drop)),
    ("meta-3", |b| Meta::decode(b).map(drop)),
    ("meta-3-label", |b| Meta::decode(b).map(drop)),
    ("meta", |b| Meta::decode(b).map(drop)),
    ("cursor", |b| CursorParts::decode(b).map(drop)),
    ("cursor-3", |b| CursorParts::decode(b).map(drop)),
    ("mark", |b| decode_sidecar_row(3, b"key", b).map(drop)),
    ("token", |b| TokenParts::decode(b).map(drop)),
    ("token-3", |b| TokenParts::decode(b).map(drop)),
];

/// The same bytes with one of them flipped.
fn changed(bytes: &[u8], at: usize, with: u8) -> Bytes {
    let mut bytes = bytes.to_vec();
    bytes[at] ^= with;
    bytes.into()
}

#[test]
fn a_sealed_row_is_refused_when_anything_of_it_is_cut_off_added_or_flipped() {
    for (name, decode) in SEALED {
        let whole = golden(name);
        decode(&whole).unwrap();
        for len in 0..whole.len() {
            assert!(decode(&whole.slice(..len)).is_err(), "{name} of {len} bytes was taken");
        }
        assert!(decode(&[&whole[..], &[0]].concat().into()).is_err(), "{name} and a byte was taken");
        for bit in 0..whole.len() * 8 {
            let flipped = changed(&whole, bit / 8, 1 << (bit % 8));
            assert!(decode(&flipped).is_err(), "{name} with bit {bit} flipped was taken");
        }
    }
}

#[test]
fn no_row_is_read_as_another_kind_or_under_another_key() {
    for (name, _) in SEALED {
        let kind = name.split('-').next().unwrap();
        for (other, decode) in SEALED.iter().filter(|(other, _)| !other.starts_with(kind)) {
            assert!(decode(&golden(name)).is_err(), "{name} was taken for {other}");
        }
    }
    for key in [0, 1, 299, 301, 300 << 8, u64::MAX] {
        assert!(BranchRow::decode(key, &golden("branch")).is_err());
        assert!(BranchRow::decode(key, &golden("branch-3")).is_err());
        assert!(HeadRow::decode(key, &golden("head")).is_err());
        assert!(decode_order(key, &golden("order")).is_err());
    }
    for (table, key) in [(2, &b"key"[..]), (3, b"kez"), (3, b"")] {
        assert!(decode_sidecar_row(table, key, &golden("mark")).is_err());
    }
}

/// Calls every getter of a record, none of which may panic.
fn question(record: &Record) {
    let texts = [record.source(), record.actor(), record.correlation(), record.trace()];
    let len: usize = texts.iter().flatten().map(|t| t.len()).sum();
    let whole = len + record.kind().len() + record.payload().len() + record.content_type().len();
    assert!(whole <= record.encoded().len() + crate::event::JSON.len());
    assert_eq!(record.payload_bytes(), record.payload());
    assert!(record.metadata().all(|(k, v)| record.meta(k) == Some(v)));
}

#[test]
fn a_record_that_is_cut_off_is_refused_and_one_that_is_changed_does_no_harm() {
    for name in ["record-small", "record-full"] {
        let whole = golden(name);
        for len in 0..whole.len() {
            assert!(decode_record(whole.slice(..len)).is_err(), "{name} of {len} bytes was taken");
        }
        assert!(decode_record([&whole[..], &[0]].concat().into()).is_err());
        for at in 0..whole.len() {
            for with in 1..=255 {
                if let Ok(record) = decode_record(changed(&whole, at, with)) {
                    question(&record);
                }
            }
        }
    }
}

/// Bodies of sidecar records have no checksum of their own.
#[test]
fn a_sidecar_body_that_is_cut_off_or_longer_is_refused_and_one_that_is_changed_does_no_harm() {
    let rows: [(&str, Decoder); 4] = [
        ("letter", |b| DeadLetterRow::decode(b).map(drop)),
        ("consumer", |b| ConsumerRow::decode(b).map(drop)),
        ("consumer-header", |b| ConsumerRow::decode(b).map(drop)),
        ("consumer-lane", |b| LaneRow::decode(branch_row().place, b).map(drop)),
    ];
    for (name, decode) in rows {
        let whole = golden(name);
        for len in 0..whole.len() {
            assert!(decode(&whole.slice(..len)).is_err(), "{name} of {len} bytes was taken");
        }
        assert!(decode(&[&whole[..], &[0]].concat().into()).is_err(), "{name} and a byte was taken");
        for at in 0..whole.len() {
            for with in 1..=255 {
                let _ = decode(&changed(&whole, at, with));
            }
        }
    }
}

/// A changed body under a valid checksum: decoders see this only if somebody crafted it.
#[test]
fn a_row_that_was_changed_before_it_was_sealed_does_no_harm() {
    use super::seal::{Layout, SealKind, close_as};
    let kinds = [
        ("frame", SealKind::Frame, 0),
        ("chunk", SealKind::Chunk, 0),
        ("order", SealKind::Order, 41),
        ("branch", SealKind::Branch, 300),
        ("head", SealKind::Head, 300),
        ("meta", SealKind::Meta, 0),
        ("cursor", SealKind::Cursor, 0),
    ];
    for (name, decode) in SEALED {
        let kind = name.split('-').next().unwrap();
        let Some((_, kind, key)) = kinds.into_iter().find(|(named, ..)| *named == kind) else { continue };
        let layout = if name.contains("-3") { Layout::Second } else { Layout::First };
        let whole = golden(name);
        for at in 9..whole.len() {
            for with in 1..=255 {
                let _ = decode(&close_as(layout, kind, key, changed(&whole, at, with).into()).into());
            }
            let cut = close_as(layout, kind, key, whole.slice(..at).to_vec());
            assert!(decode(&cut.into()).is_err(), "{name} of {at} bytes was taken");
        }
    }
}

#[test]
fn a_length_that_lies_is_refused_before_anything_is_allocated_for_it() {
    use super::seal::{Layout, SealKind, close, close_as, open};
    // Lengths of 4 GiB and of 2^64-1 where a list, a text or a count is expected.
    for lie in [&[252, 255, 255, 255, 255][..], &[253, 255, 255, 255, 255, 255, 255, 255, 255][..]] {
        for before in 0..40 {
            let body = [&vec![0; before][..], lie, &[0; 64][..]].concat();
            let sealed = |kind| -> Bytes { close(kind, [open(0), body.clone()].concat()).into() };
            for kind in [SealKind::Frame, SealKind::Branch, SealKind::Meta] {
                let now: Bytes = close_as(Layout::Second, kind, 0, [open(0), body.clone()].concat()).into();
                let _ = (Frame::decode(&now), BranchRow::decode(0, &now), Meta::decode(&now));
            }
            let _ = Frame::decode(&sealed(SealKind::Frame));
            let _ = Chunk::decode(&sealed(SealKind::Chunk));
            let _ = decode_order(0, &sealed(SealKind::Order));
            let _ = BranchRow::decode(0, &sealed(SealKind::Branch));
            let _ = decode_record([&[1][..], &body].concat().into());
        }
    }
}

#[test]
fn the_halves_of_a_chunk_hold_what_the_whole_held() {
    let mut whole = ChunkBuilder::new(3, 11);
    for n in 0..7 {
        whole.push(100 + n * n, 5 - n as i64, record(&small()).encoded().clone());
    }
    let read = |chunk: &ChunkBuilder| Chunk::decode(&chunk.finish()).unwrap();
    let all: Vec<_> = read(&whole).entries().collect();
    let (a, b) = whole.split();
    assert_eq!((a.count(), b.count(), read(&b).first()), (4, 3, 15));
    assert_eq!(read(&a).entries().chain(read(&b).entries()).collect::<Vec<_>>(), all);
}

#[test]
fn a_packed_body_that_claims_more_than_it_holds_is_refused() {
    for claim in [u32::MAX, 1 << 28, 3_000] {
        let mut out = super::seal::open(16);
        out.extend_from_slice(&[1, 7, 1, 20]);
        super::wire::put(claim, &mut out);
        out.extend_from_slice(&[0x10, b'x']);
        let bytes = super::seal::close(super::seal::SealKind::Chunk, out);
        assert!(Chunk::decode(&bytes).is_err(), "{claim}");
    }
}
