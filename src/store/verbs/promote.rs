//! Promoting a branch to its parent.

use crate::engine::Range;
use crate::engine::Receipt;
use crate::engine::SidecarWrites;
use crate::error::{Error, Result};
use crate::event::{Address, Event, EventId, Expect, Invalid, NewEvent, Place, Sequence};
use crate::limits::{MAX_BATCH_BYTES, MAX_BATCH_EVENTS, MAX_METADATA_BYTES, MAX_METADATA_ENTRIES, MAX_PAGE};
use crate::store::append::batch::Batch;
use crate::store::handle::store::Store;
use crate::store::unblocked::unblocked;
use crate::store::verbs::current::current_record;

/// The metadata key under which a promoted event names its original.
const PROMOTED_FROM: &str = "promoted_from";

impl Store {
    /// Appends a branch's own events to the branch it was forked from, if that has no new events since the fork. The
    /// branch itself does not change. The parent's new events have the same content, under ids derived from the
    /// originals, so promoting again is a retry; their metadata `promoted_from` holds the address of the original, if
    /// it fits. If the branch was the [current](Self::current) one of its session, its parent becomes current.
    ///
    /// # Errors
    /// [`Error::Conflict`] if the parent has new events: the branch can still be made the current one of its session with
    /// [`set_current`](Self::set_current). [`Error::Deleted`] if the parent is deleted, even if another branch has its name now.
    /// [`Error::Duplicate`] if these come from an earlier promotion
    /// of the branch, which has grown since, [`Error::Invalid`] for a branch without a parent or
    /// without events of its own, and for an address that names an event, [`Error::TooLarge`] for more than one append can hold.
    pub fn promote<A>(&self, address: A) -> Result<Receipt>
    where
        A: TryInto<Address>,
        Error: From<A::Error>,
    {
        let batch = self.promotion(&address.try_into()?)?;
        self.append_batch(batch)
    }

    /// [`promote`](Self::promote) as an async function. Cancellation as with [`append_async`](Self::append_async).
    ///
    /// # Errors
    /// As [`promote`](Self::promote).
    pub async fn promote_async<A>(&self, address: A) -> Result<Receipt>
    where
        A: TryInto<Address>,
        Error: From<A::Error>,
    {
        self.inner().process().check()?;
        let (store, address) = (self.clone(), address.try_into()?);
        let batch = unblocked(move || store.promotion(&address)).await?;
        self.append_batch_async(batch).await
    }

    fn promotion(&self, address: &Address) -> Result<Batch> {
        let place = address.branch_only("only a whole branch can be promoted")?;
        let reader = self.reader()?;
        let branch = reader.branch(place)?;
        let parent = match branch.parent_name.clone() {
            Some(parent) => {
                let parent = Address::new(address.session().clone(), parent);
                // Another branch may have the names of the one that it was forked from, which is deleted then.
                let named = reader.branch(parent.place())?;
                if branch.parent != Some(named.number) {
                    return Err(named.gone(named.created));
                }
                parent
            }
            None => {
                let reason = format!("{} is not a fork, so it has no parent to promote to", branch.place);
                return Err(Invalid::new("branch", reason).into());
            }
        };
        let head = reader.head(&branch)?.get();
        let count = head - branch.fork;
        if count == 0 {
            let reason = format!("{} has no events of its own to promote", branch.place);
            return Err(Invalid::new("branch", reason).into());
        }
        if count > MAX_BATCH_EVENTS as u64 {
            let reason = format!(
                "{} has {count} events of its own; the limit of one append is {MAX_BATCH_EVENTS}",
                branch.place
            );
            return Err(Invalid::new("branch", reason).into());
        }
        let (mut events, mut bytes, mut from) = (Vec::new(), 0, branch.fork + 1);
        while from <= head {
            for event in reader.page(&branch, Range { from, to: head, limit: MAX_PAGE, reverse: false })? {
                from = event.sequence().next().get();
                bytes += event.record().encoded().len();
                let mut copy = NewEvent::from(event.record());
                copy = copy.with_id(promoted_id(event.id(), parent.place()));
                let from = event.address().to_string();
                if has_room(&event, &from) {
                    copy = copy.meta(PROMOTED_FROM, from);
                }
                events.push(copy);
            }
            if bytes > MAX_BATCH_BYTES {
                let what = format!("the promotion of {}", branch.place);
                return Err(Error::TooLarge { what, size: bytes as u64, limit: MAX_BATCH_BYTES as u64 });
            }
        }
        let is_current = reader.current(address.session())?.is_some_and(|b| b == branch.place.branch);
        let records = match is_current {
            true => current_record(&reader, parent.place())?,
            false => SidecarWrites::new(),
        };
        let batch = Batch::new().records(records);
        let batch = batch.add(parent, Expect::Head(Sequence::new(branch.fork)), events)?;
        Ok(batch.only_number(branch.parent))
    }
}

/// The id of the copy of an event on the branch that it was promoted to.
pub(crate) fn promoted_id(original: EventId, to: &Place) -> EventId {
    EventId::derived(original.uuid(), to.to_string().as_bytes())
}

/// Whether the address of the original fits into an event's metadata.
fn has_room(event: &Event, from: &str) -> bool {
    let others = || event.metadata().filter(|(key, _)| *key != PROMOTED_FROM);
    let bytes: usize = others().map(|(key, value)| key.len() + value.len()).sum();
    others().count() < MAX_METADATA_ENTRIES && bytes + PROMOTED_FROM.len() + from.len() <= MAX_METADATA_BYTES
}
