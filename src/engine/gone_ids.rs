//! How many ids of removed events a search may meet.

use crate::error::{Error, Result};
use crate::event::Invalid;
use crate::limits::NAME_ROWS;

/// Counts ids of events that are not there any more, and stay in the index until the store is purged.
#[derive(Debug, Default)]
pub(crate) struct GoneIds(usize);

impl GoneIds {
    /// One more was met.
    ///
    /// # Errors
    /// [`Error::Invalid`] when that is too many.
    pub(crate) fn count(&mut self) -> Result<()> {
        self.0 += 1;
        if self.0 <= NAME_ROWS {
            return Ok(());
        }
        let reason = format!(
            "begins like those of more than {NAME_ROWS} removed events; more digits of it are needed, or the store has to be \
             purged"
        );
        Err(Error::Invalid(Invalid::new("id", reason)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::event::{EventId, IdPrefix, NewEvent};
    use crate::store::Store;
    use crate::testkit::Disk;

    fn id(n: u128) -> EventId {
        EventId::from_bytes((0x0199_0000_0000_0000_0000_0000_0000_0000 | n).to_be_bytes())
    }

    #[test]
    fn so_many_removed_events_are_passed_over_and_no_more() {
        for store in
            [Store::in_memory().unwrap(), Store::builder().with_backend(Disk::new().backend()).unwrap()]
        {
            let events = |ids: std::ops::Range<usize>| -> Vec<NewEvent> {
                ids.map(|n| NewEvent::new("a.b").with_id(id(n as u128))).collect()
            };
            store.append("gone", events(0..NAME_ROWS)).unwrap();
            store.append("there", events(NAME_ROWS + 1..NAME_ROWS + 3)).unwrap();
            store.lifecycle().delete("gone").unwrap();
            let prefix: IdPrefix = "01990000".parse().unwrap();
            for _ in 0..2 {
                assert_eq!(store.ids(&prefix, 5).unwrap().len(), 2);
                store.maintenance().flush().unwrap();
            }
            store.append("also", events(NAME_ROWS..NAME_ROWS + 1)).unwrap();
            store.lifecycle().delete("also").unwrap();
            for _ in 0..2 {
                let refused = store.ids(&prefix, 5).unwrap_err();
                assert!(refused.to_string().contains("more digits"), "{refused}");
                store.maintenance().flush().unwrap();
            }
            let longer: IdPrefix = id(NAME_ROWS as u128 + 1).to_string().parse().unwrap();
            assert_eq!(store.ids(&longer, 5).unwrap(), [id(NAME_ROWS as u128 + 1)]);
        }
    }

    #[test]
    fn removed_events_after_those_that_are_found_do_not_count() {
        for (store, is_flushed) in [
            (Store::in_memory().unwrap(), false),
            (Store::builder().with_backend(Disk::new().backend()).unwrap(), false),
            (Store::builder().with_backend(Disk::new().backend()).unwrap(), true),
        ] {
            let events = |ids: std::ops::Range<usize>| -> Vec<NewEvent> {
                ids.map(|n| NewEvent::new("a.b").with_id(id(n as u128))).collect()
            };
            store.append("gone", events(2..NAME_ROWS + 3)).unwrap();
            if is_flushed {
                store.maintenance().flush().unwrap();
            }
            store.append("there", events(0..2)).unwrap();
            store.lifecycle().delete("gone").unwrap();
            let prefix: IdPrefix = "01990000".parse().unwrap();
            for _ in 0..2 {
                assert_eq!(store.ids(&prefix, 1).unwrap(), [id(0)]);
                assert_eq!(store.ids(&prefix, 2).unwrap(), [id(0), id(1)]);
                assert!(store.ids(&prefix, 3).is_err());
                store.maintenance().flush().unwrap();
            }
        }
    }
}
