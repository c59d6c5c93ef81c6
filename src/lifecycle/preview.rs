//! What would go if branches were deleted or truncated: nothing is changed.

use std::sync::Arc;

use crate::error::{Error, Result};
use crate::event::{Address, Sequence, SessionId};
use crate::limits::MAX_PAGE;
use crate::store::{Branch, Kept, KeptOf, Range, Reader, Store};

/// What is to be removed.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Removal {
    /// A branch, by [`delete`](super::BranchLifecycle::delete).
    Branch(Address),
    /// A session, by [`delete_session`](super::BranchLifecycle::delete_session).
    Session(SessionId),
    /// The events of a branch before this sequence, by [`truncate`](super::BranchLifecycle::truncate).
    Before(Address, Sequence),
}

/// What would go.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct RemovalPreview {
    /// Branches that would be deleted.
    pub branches: u64,
    /// Events that nobody would have any more, and a purge would remove.
    pub events: u64,
    /// Bytes of those, as they were appended.
    pub bytes: u64,
    /// Events that only forks would still have.
    pub inherited: u64,
}

/// Why an address that names an event is refused.
pub(super) const DELETED: &str = "only a whole branch can be deleted";
pub(super) const TRUNCATED: &str = "name the branch, and give the first sequence that is to stay separately";

pub(super) fn preview(store: &Store, removal: &Removal) -> Result<RemovalPreview> {
    let reader = store.reader()?;
    let (session, named) = match removal {
        Removal::Session(session) => (session, None),
        Removal::Branch(address) => (address.session(), Some((address, DELETED))),
        Removal::Before(address, _) => (address.session(), Some((address, TRUNCATED))),
    };
    let mut others = reader.branches_of(session)?;
    let going: Vec<Arc<Branch>> = match named {
        Some((address, branch_only)) => vec![reader.branch(address.branch_only(branch_only)?)?],
        None if others.is_empty() => return Err(store.inner().identity().not_found("session", session)),
        None => others.clone(),
    };
    others.retain(|other| going.iter().all(|branch| branch.number != other.number));
    let mut kept = KeptOf::default();
    others.iter().for_each(|branch| kept.add(branch));
    let mut would_go = RemovalPreview::default();
    for branch in &going {
        let head = reader.head(branch)?.get();
        let upto = match removal {
            Removal::Before(address, before) => {
                let upto = before.get().saturating_sub(1);
                if upto > head {
                    let address = address.clone().at(upto);
                    return Err(Error::not_found("event", format!("{address}: the branch ends at {head}")));
                }
                upto
            }
            _ => {
                would_go.branches += 1;
                head
            }
        };
        count(&reader, branch, upto, kept.of(branch.number), &mut would_go)?;
    }
    Ok(would_go)
}

/// Counts own events of a branch up to this sequence.
fn count(
    reader: &Reader,
    branch: &Branch,
    upto: u64,
    kept: Kept,
    would_go: &mut RemovalPreview,
) -> Result<()> {
    let mut from = branch.first().max(branch.fork + 1);
    while from <= upto {
        let page = reader.page(branch, Range { from, to: upto, limit: MAX_PAGE, reverse: false })?;
        let Some(last) = page.last() else { return Ok(()) };
        from = last.sequence().next().get();
        for event in &page {
            match kept.has(event.sequence().get()) {
                true => would_go.inherited += 1,
                false => {
                    would_go.events += 1;
                    would_go.bytes += event.record().encoded().len() as u64;
                }
            }
        }
    }
    Ok(())
}
