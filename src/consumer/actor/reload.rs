//! What another handle has written, taken over.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use super::super::kept::Kept;
use super::super::start::begun;
use super::unsaved::Unsaved;
use super::{Actor, PATIENCE};
use crate::delivery::{Machine, Wanted};
use crate::error::{Error, Result};
use crate::event::{Event, Place};
use crate::limits::DEFAULT_PAGE;
use crate::store::{SidecarTable, unblocked};
use crate::sync::time::Instant;

/// Scanned events that are remembered until they are stored.
const UNSAVED: usize = 16_384;

impl Actor {
    /// Another handle has changed a consumer, maybe this one.
    pub(super) fn is_behind(&mut self) {
        self.has_company = true;
        self.behind.get_or_insert_with(|| Instant::now() + PATIENCE);
    }

    /// Reads what other handles have changed, at once when somebody is to be answered.
    pub(super) async fn catch_up(&mut self, is_idle: bool) -> Result<()> {
        if self.beside.has_changed().unwrap_or(false) {
            self.is_behind();
        }
        if self.behind.is_none_or(|latest| is_idle && latest > Instant::now()) {
            return Ok(());
        }
        // Before it is read: what is changed from now on is told again.
        self.beside.mark_unchanged();
        self.behind = None;
        if self.is_current().await? { Ok(()) } else { self.reload(false).await }
    }

    /// Whether what is stored is what was read or written here last.
    pub(super) async fn is_current(&mut self) -> Result<bool> {
        let (handle, (key, header)) = (self.handle.clone(), self.kept.header());
        unblocked(move || Ok(handle.reader()?.records().get(SidecarTable::Consumers, &key)? == header)).await
    }

    /// Another handle was first: what was decided is dropped, and what that one wrote is read.
    pub(super) async fn overtaken(&mut self, tries: u32) -> Result<()> {
        if tries > 0 {
            // One is told as soon as there is something to be read; the time is for a message that got lost.
            let longest = Duration::from_millis(1 << tries.min(6));
            let latest = Instant::now() + longest;
            tokio::select! {
                _ = self.beside.changed() => {}
                () = self.alarm.at(Some(latest)) => {}
            }
        }
        self.reload(true).await
    }

    /// Begins anew with what is stored, and with what was scanned beyond it.
    pub(super) async fn reload(&mut self, was_decided: bool) -> Result<()> {
        self.beside.mark_unchanged();
        self.behind = None;
        let (handle, name, queue) = (self.handle.clone(), self.name.clone(), self.dead_letter_queue.clone());
        let kept = unblocked(move || {
            let reader = handle.reader()?;
            // Dead letters of what was decided are none.
            if was_decided {
                queue.recount(&reader)?
            } else {
                queue.count(&reader)?
            }
            Kept::read(&reader.records(), &name)
        })
        .await?;
        // One that was made anew under the name is another.
        let kept = kept.filter(|kept| kept.row.id == self.row.id);
        let kept = kept.ok_or_else(|| Error::not_found("consumer", &self.name))?;
        let (scanned, next_delivery) = (kept.row.scanned, kept.row.next_delivery);
        let was_reset = scanned < self.kept.row.scanned || kept.row.since != self.kept.row.since;
        let now = self.clock.now();
        let reached = self.machine.scanned();
        let machine = Machine::load(self.config.rules(), scanned, next_delivery, &kept.lanes(), now);
        let mut at_hand = std::mem::replace(&mut self.machine, machine);
        (self.row, self.kept) = (kept.row.clone(), kept);
        let stored = self.row.mark.map(|mark| (scanned, mark));
        self.seen = self.seen.filter(|(position, _)| !was_reset && *position >= scanned).or(stored);
        (self.rung, self.changed) = (true, false);
        (self.saved, self.save_at) = (scanned, self.save_at.filter(|_| !was_reset));
        let begin = self.unsaved.first().map_or(reached, |first| first.position.saturating_sub(1));
        let is_far = self.following.scanned().load(Ordering::Relaxed) + (DEFAULT_PAGE as u64) < scanned;
        if was_reset || begin > scanned || is_far {
            self.unsaved.clear();
            return self.follow_after(scanned).await;
        }
        let at_hand = at_hand.leave().into_iter();
        let mut at_hand: HashMap<u64, Event> = at_hand.map(|event| (event.position().get(), event)).collect();
        for Unsaved { place, sequence, position, wanted } in &self.unsaved {
            let wanted = if *wanted { Wanted::Yes(at_hand.remove(position)) } else { Wanted::No };
            self.machine.scan(place, *sequence, *position, wanted);
        }
        Ok(())
    }

    /// Remembers what was scanned, until it is stored. Who is alone never needs it.
    pub(super) fn remember(&mut self, place: &Arc<Place>, sequence: u64, position: u64, wanted: bool) {
        if !self.has_company {
            return;
        }
        if self.unsaved.len() >= UNSAVED {
            // It is scanned again if another handle is first.
            self.unsaved.clear();
        }
        self.unsaved.push(Unsaved { place: place.clone(), sequence, position, wanted });
    }

    pub(super) async fn follow_after(&mut self, position: u64) -> Result<()> {
        self.following = begun(&self.handle, self.config.scope().after_position(position)).await?;
        self.unsaved.clear();
        Ok(())
    }
}
