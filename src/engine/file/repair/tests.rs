//! Repair from a disk with sectors that cannot be read.

use std::io;
use std::ops::Range;
use std::sync::Arc;

use redb::StorageBackend;

use super::source::DamagedFile;
use super::work::Repair;
use crate::event::NewEvent;
use crate::store::Store;
use crate::testkit::Disk;

/// A file of which some bytes cannot be read.
#[derive(Debug)]
struct BadDisk {
    bytes: Vec<u8>,
    bad: Range<u64>,
}

impl StorageBackend for BadDisk {
    fn len(&self) -> io::Result<u64> {
        Ok(self.bytes.len() as u64)
    }

    fn read(&self, offset: u64, out: &mut [u8]) -> io::Result<()> {
        let end = offset + out.len() as u64;
        if offset < self.bad.end && self.bad.start < end {
            return Err(io::Error::from_raw_os_error(5));
        }
        let bytes = self.bytes.get(offset as usize..end as usize);
        out.copy_from_slice(bytes.ok_or(io::ErrorKind::UnexpectedEof)?);
        Ok(())
    }

    fn set_len(&self, _: u64) -> io::Result<()> {
        unreachable!()
    }

    fn sync_data(&self) -> io::Result<()> {
        unreachable!()
    }

    fn write(&self, _: u64, _: &[u8]) -> io::Result<()> {
        unreachable!()
    }
}

/// Some events in the tables, and some in the journal; and how many there are.
fn file() -> (Vec<u8>, u64) {
    let disk = Disk::new();
    let settings = Store::builder().flush_after(usize::MAX, usize::MAX);
    let store =
        settings.flush_when_idle(std::time::Duration::from_secs(3_600)).with_backend(disk.backend()).unwrap();
    for n in 0..400 {
        store
            .append(format!("s{}", n % 7).as_str(), NewEvent::new("a.b").data(serde_json::json!(vec![n; 20])))
            .unwrap();
        if n == 350 {
            store.maintenance().flush().unwrap();
        }
    }
    let file = disk.bytes();
    std::mem::forget(store);
    (file, 400)
}

/// How many events are found, and what is said.
fn planned(bytes: &[u8], bad: Range<u64>) -> (u64, String) {
    let disk = BadDisk { bytes: bytes.to_vec(), bad };
    let file = DamagedFile::over(Arc::new(disk), "the file", false).unwrap();
    let mut repair = Repair::of(file, "the file").unwrap();
    repair.plan("the file").unwrap();
    repair.found_events()
}

#[test]
fn a_sector_that_cannot_be_read_costs_what_is_on_it_and_is_said() {
    let (bytes, all) = file();
    assert_eq!(planned(&bytes, 0..0), (all, String::new()));
    let sectors = (0..bytes.len() as u64).step_by(4_096);
    let is_used = |at: &u64| bytes[*at as usize..].iter().take(4_096).any(|byte| *byte != 0);
    let (mut most, mut costs) = (0, 0);
    for at in sectors.filter(is_used) {
        let (found, said) = planned(&bytes, at..at + 512);
        assert!(said.contains("cannot be read") || found == all, "{at}: {found} {said}");
        (most, costs) = (most.max(all - found), costs + u32::from(found < all));
    }
    assert!(most < all / 3 && costs > 0, "{most} {costs}");
}
