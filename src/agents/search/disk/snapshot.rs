//! An index as it is at some moment. It stays as it is while others write.

use std::sync::Arc;

use super::folder::Folder;
use super::manifest::Manifest;
use super::segment::Segment;
use super::unusable::Unusable;

/// Between reading the manifest and opening its segments another process may have replaced both, so often at the most.
const ROUNDS: usize = 4;

#[derive(Debug)]
pub(crate) struct Snapshot {
    pub(crate) manifest: Manifest,
    pub(crate) segments: Vec<Arc<Segment>>,
    /// The manifest as it was written.
    bytes: Vec<u8>,
}

impl Snapshot {
    /// What the folder has now; `None` where there is no index. What is open already is not opened again.
    pub(crate) fn open(folder: &Folder, known: Option<&Arc<Self>>) -> Result<Option<Arc<Self>>, Unusable> {
        let mut rounds = 0;
        loop {
            let Some((bytes, manifest)) = folder.manifest()? else { return Ok(None) };
            if let Some(known) = known.filter(|known| known.bytes == bytes) {
                return Ok(Some(known.clone()));
            }
            rounds += 1;
            match Self::of(folder, bytes, manifest, known) {
                Err(_) if rounds < ROUNDS => {}
                opened => return opened.map(Some),
            }
        }
    }

    fn of(
        folder: &Folder,
        bytes: Vec<u8>,
        manifest: Manifest,
        known: Option<&Arc<Self>>,
    ) -> Result<Arc<Self>, Unusable> {
        let open = |name: &str| {
            let segments = known.map(|known| known.segments.as_slice()).unwrap_or_default();
            segments.iter().find(|segment| segment.meta.name == name).cloned()
        };
        let segments = manifest.segments.iter().map(|meta| match open(&meta.name) {
            Some(segment) => Ok(segment),
            None => Segment::open(folder.path(), meta.clone()).map(Arc::new),
        });
        let segments = segments.collect::<Result<_, Unusable>>()?;
        Ok(Arc::new(Self { manifest, segments, bytes }))
    }

    /// One that was just written.
    pub(super) fn written(manifest: Manifest, segments: Vec<Arc<Segment>>, bytes: Vec<u8>) -> Arc<Self> {
        Arc::new(Self { manifest, segments, bytes })
    }
}
