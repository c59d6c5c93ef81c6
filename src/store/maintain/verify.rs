//! Walking everything that is stored, and saying what does not agree.

use std::ops::ControlFlow;

use crate::engine::Report;
use crate::error::Result;
use crate::store::handle::store::Store;

pub(super) fn verify(store: &Store, mut progress: impl FnMut(u64, u64)) -> Result<Report> {
    let reader = store.reader()?;
    let mut report = store.inner().admin()?.verify(&mut |done, of| {
        progress(done, of);
        ControlFlow::Continue(())
    })?;
    if let Err(e) = reader.verify_current(&mut report) {
        report.error("current branches", e);
    }
    Ok(report)
}
