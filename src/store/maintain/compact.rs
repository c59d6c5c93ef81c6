//! Giving back the space that a store does not use any more.

use std::ops::ControlFlow;

use crate::engine::Compaction;
use crate::error::Result;
use crate::store::handle::store::Store;

pub(super) fn compact(store: &Store, mut progress: impl FnMut(u64, u64)) -> Result<Compaction> {
    store.inner().admin()?.compact(&mut |done, of| {
        progress(done, of);
        ControlFlow::Continue(())
    })
}
