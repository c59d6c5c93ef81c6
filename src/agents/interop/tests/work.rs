//! How much work an import is, counted in rows that are read, so that a slow machine changes nothing.

use super::super::rows::ROWS_READ;
use super::super::testing::plan_of;

const TIME: &str = "\"timestamp\":\"2026-01-02T03:04:06.000Z\"";

fn head(session: usize) -> String {
    format!("{{\"type\":\"session\",\"version\":3,\"id\":\"p-{session}\",{TIME},\"cwd\":\"/\"}}\n")
}

fn says(id: usize, parent: usize) -> String {
    format!(
        "{{\"type\":\"message\",\"id\":\"e{id}\",\"parentId\":\"e{parent}\",{TIME},\"message\":{{\"role\":\"user\",\"content\":\"{id}\"}}}}\n"
    )
}

/// One session, with a branch for every five entries that leaves the one before it.
fn branches(entries: usize) -> String {
    let parent = |id: usize| if id.is_multiple_of(5) { id.saturating_sub(7) } else { id.saturating_sub(1) };
    head(0) + &(0..entries).map(|id| says(id, parent(id))).collect::<String>()
}

/// A rewind in each of many sessions that were joined into one file.
fn sessions(entries: usize) -> String {
    let session = |n: usize| {
        let parents = [0, 0, 1, 2, 1, 4, 5, 6];
        let says = |(id, parent)| says(8 * n + id, 8 * n + parent);
        head(n) + &parents.into_iter().enumerate().map(says).collect::<String>()
    };
    (0..entries / 8).map(session).collect()
}

fn rows_read(file: &str, branches: usize) -> usize {
    let before = ROWS_READ.get();
    assert!(plan_of("2026_p-0.jsonl", file).places().len() >= branches);
    ROWS_READ.get() - before
}

#[test]
fn the_work_of_an_import_grows_with_its_records_and_not_with_their_branches() {
    for (file, share) in [(branches as fn(usize) -> String, 6), (sessions, 5)] {
        for entries in [1_600, 16_000] {
            let rows = rows_read(&file(entries), entries / share);
            assert!(rows < 16 * entries, "{rows} rows were read for {entries} entries");
        }
    }
}
