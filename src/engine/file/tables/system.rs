//! redb's own tables, which say what pages are free. redb believes them: a page that one of them names wrongly is written over, and
//! one that cannot be ends the process, since redb panics once more while it is unwound.

use super::pages::{Pages, Widths, definition, widths};
use crate::engine::problem::Problem;

/// What is wrong with them, if anything is.
pub(crate) fn system_damage(pages: &mut Pages) -> Option<Problem> {
    let Some(state) = pages.states().into_iter().next() else {
        return Some(Problem::new("the file's first page", "it cannot be read"));
    };
    let root = state.system?;
    let mut damage = Vec::new();
    let mut tables = Vec::new();
    pages.walk(root, Widths { key: None, value: None }, &mut damage, &mut |row| {
        tables.push(definition(row.value).zip(widths(row.value)));
    });
    for table in tables {
        match table {
            Some((Some(root), widths)) => {
                pages.walk(root, widths, &mut damage, &mut |_| {});
            }
            Some((None, _)) => {}
            None => damage.push(Problem::new("a table of free pages", "its description is wrong")),
        }
    }
    damage.into_iter().next()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::codec::FileHeader;
    use crate::engine::file::disk::layout::read_header;
    use crate::error::Result;
    use crate::event::NewEvent;
    use crate::store::{Query, Store};
    use crate::testkit::Disk;
    use std::ops::Range;
    use std::sync::Arc;
    use std::time::Duration;

    fn opened(bytes: Vec<u8>, is_read_only: bool) -> Result<Store> {
        let settings = Store::builder().flush_after(usize::MAX, usize::MAX);
        let settings = settings.flush_when_idle(Duration::from_secs(3_600));
        let settings = if is_read_only { settings.read_only() } else { settings };
        settings.with_backend(Disk::from_bytes(bytes).backend())
    }

    fn append(store: &Store) -> Result<()> {
        store.append("s", NewEvent::new("a.b").data(serde_json::json!(vec![7; 900])))?;
        store.maintenance().flush()
    }

    /// A store that was closed, and where the rows of redb's own tables have their values.
    fn file() -> (Vec<u8>, Vec<Range<usize>>) {
        let disk = Disk::new();
        let store = Store::builder().with_backend(disk.backend()).unwrap();
        (0..5).for_each(|_| append(&store).unwrap());
        store.close().unwrap();
        let bytes = disk.bytes();
        let header = FileHeader::decode(&read_header(&*disk.backend()).unwrap()).unwrap();
        let disk: Arc<dyn redb::StorageBackend> = Arc::from(Disk::from_bytes(bytes.clone()).backend());
        let mut pages = Pages::new(disk, header.tables, bytes.len() as u64);
        let root = pages.states()[0].system.unwrap();
        let (mut roots, mut values) = (Vec::new(), Vec::new());
        let text = Widths { key: None, value: None };
        assert!(pages.walk(root, text, &mut Vec::new(), &mut |row| {
            roots.extend(definition(row.value).unwrap().zip(widths(row.value)));
        }));
        for (root, widths) in roots {
            assert!(pages.walk(root, widths, &mut Vec::new(), &mut |row| {
                let at = row.at.unwrap() as usize;
                values.push(at..at + row.value.len());
            }));
        }
        (bytes, values)
    }

    #[test]
    fn what_is_wrong_with_the_free_pages_is_said_and_never_believed() {
        let (bytes, values) = file();
        assert!(values.len() > 3, "{values:?}");
        append(&opened(bytes.clone(), false).unwrap()).unwrap();
        for value in values {
            // Pages far behind the end, and pages that are in use.
            for wrong in [0xFF, 0] {
                let mut damaged = bytes.clone();
                damaged[value.clone()].fill(wrong);
                if damaged == bytes {
                    continue;
                }
                let reader = opened(damaged.clone(), true);
                if let Ok(reader) = &reader {
                    assert_eq!(reader.events(Query::all()).unwrap().count(), 5);
                    let said = reader.maintenance().damage();
                    assert!(said.iter().any(|found| found.to_string().contains("checksum")), "{said:?}");
                }
                // On closing it writes nothing.
                drop(reader);
                let refused = opened(damaged, false).unwrap_err();
                assert!(refused.is_damage(), "{refused}");
            }
        }
    }
}
