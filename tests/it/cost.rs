//! What the work costs in operations on the disk. No clock is asked, so a change that makes it cost more is noticed on
//! any machine: each figure may grow by a twentieth, and has to be set anew here when it gets better.

use std::time::Duration;

use retold::testkit::Disk;
use retold::{NewEvent, Query, Store};

struct Cost {
    writes: u64,
    syncs: u64,
    bytes: u64,
}

fn now(disk: &Disk) -> Cost {
    Cost { writes: disk.writes(), syncs: disk.syncs(), bytes: disk.bytes_written() }
}

/// What the work costs, held against what it cost when it was last looked at.
fn costs(what: &str, disk: &Disk, due: Cost, work: impl FnOnce()) -> Vec<String> {
    let before = now(disk);
    work();
    let after = now(disk);
    let figures = [
        ("writes", after.writes - before.writes, due.writes),
        ("syncs", after.syncs - before.syncs, due.syncs),
        ("bytes", after.bytes - before.bytes, due.bytes),
    ];
    let off =
        figures.into_iter().filter(|(_, found, due)| *found > due + due / 20 || *found < due - due / 10);
    off.map(|(name, found, due)| format!("{what}: {found} {name}, and {due} are due")).collect()
}

fn event(n: u64) -> NewEvent {
    let words = ["the", "agent", "calls", "a", "tool", "and", "waits", "for", "its", "answer"];
    let text: Vec<&str> = (0..40).map(|i| words[((n * 7 + i * i * 3) % 10) as usize]).collect();
    NewEvent::new("tool.completed").data(serde_json::json!({ "n": n, "text": text.join(" ") }))
}

#[test]
fn an_append_is_one_write_and_one_sync_and_a_flush_writes_less_than_came() {
    let disk = Disk::new();
    let hour = Duration::from_secs(3_600);
    let settings = Store::builder().flush_when_idle(hour).note_when_idle(hour).journal_bytes(4 << 20);
    let store = settings.with_backend(disk.backend()).unwrap();
    (0..64).for_each(|s| drop(store.append(format!("s{s}").as_str(), event(s)).unwrap()));
    store.maintenance().flush().unwrap();

    let one = Cost { writes: 1_000, syncs: 1_000, bytes: 665_696 };
    let mut off = costs("1,000 appends of one producer", &disk, one, || {
        (0..1_000).for_each(|n| drop(store.append("s0", event(n)).unwrap()));
    });
    let flush = Cost { writes: 30, syncs: 2, bytes: 139_904 };
    off.extend(costs("their flush", &disk, flush, || store.maintenance().flush().unwrap()));

    let scattered = Cost { writes: 2_048, syncs: 2_048, bytes: 1_022_304 };
    off.extend(costs("2,048 appends over 64 sessions", &disk, scattered, || {
        (0..2_048).for_each(|n| drop(store.append(format!("s{}", n % 64).as_str(), event(n)).unwrap()));
    }));
    let flush = Cost { writes: 66, syncs: 2, bytes: 266_880 };
    off.extend(costs("their flush", &disk, flush, || store.maintenance().flush().unwrap()));

    let batch = Cost { writes: 5, syncs: 5, bytes: 1_518_896 };
    off.extend(costs("5 batches of 1,000", &disk, batch, || {
        for n in 0..5 {
            store.append("bulk", (0..1_000).map(|i| event(n * 1_000 + i)).collect::<Vec<_>>()).unwrap();
        }
    }));
    let nothing = Cost { writes: 0, syncs: 0, bytes: 0 };
    off.extend(costs("a replay", &disk, nothing, || {
        assert_eq!(store.events(Query::branch("bulk").unwrap()).unwrap().count(), 5_000);
    }));
    assert!(off.is_empty(), "{}", off.join("\n"));
}
