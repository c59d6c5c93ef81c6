//! The turns of a Codex rollout as its rollbacks count them: by the items that begin them. What the user interface
//! shows of such an item is the same turn, and counts where no item was written.

use crate::event::EventId;

/// Which of the two records of a prompt it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum PromptHalf {
    Item,
    Shown,
}

/// A turn of the user.
#[derive(Debug)]
pub(super) struct UserTurn {
    /// The event after which it begins.
    pub(super) before: Option<EventId>,
    /// The prompt of the turn before it.
    pub(super) prompt: Option<EventId>,
    /// Whether it is the summary of a compaction, which the next compaction replaces.
    is_summary: bool,
}

/// The turns that a rollback can take back.
#[derive(Debug, Default)]
pub(super) struct UserTurns {
    turns: Vec<UserTurn>,
    /// Turns of which only the item was read, and those of which only what is shown was.
    items: Vec<usize>,
    shown: Vec<usize>,
    /// The event after which a turn began that has no prompt yet.
    opened: Option<Option<EventId>>,
    /// The event before the updates of the context that come right before a prompt.
    updated: Option<Option<EventId>>,
}

impl UserTurns {
    /// A turn begins after this event; its prompt follows.
    pub(super) fn open(&mut self, before: Option<EventId>) {
        self.opened = Some(before);
        self.items.clear();
        self.shown.clear();
    }

    /// A record of a prompt follows this event.
    pub(super) fn begin(&mut self, half: PromptHalf, before: Option<EventId>, prompt: Option<EventId>) {
        let (updated, opened) = (self.updated.take(), self.opened.take());
        let (others, own) = match half {
            PromptHalf::Item => (&mut self.shown, &mut self.items),
            PromptHalf::Shown => (&mut self.items, &mut self.shown),
        };
        if others.pop().is_some() {
            return;
        }
        own.push(self.turns.len());
        let before = opened.or(updated).unwrap_or(before);
        self.turns.push(UserTurn { before, prompt, is_summary: false });
    }

    /// Notes an item that begins no turn. An update of the context right before a prompt goes with it.
    pub(super) fn item(&mut self, is_update: bool, before: Option<EventId>) {
        if !is_update {
            self.updated = None;
        } else if !self.turns.is_empty() {
            self.updated.get_or_insert(before);
        }
    }

    /// The history was replaced: so many of the last turns are left, or all of them, and perhaps a summary.
    pub(super) fn compact(
        &mut self,
        (left, is_summarized): (Option<usize>, bool),
        before: Option<EventId>,
        prompt: Option<EventId>,
    ) {
        self.turns.retain(|turn| !turn.is_summary);
        let gone = left.map_or(0, |left| self.turns.len().saturating_sub(left));
        self.turns.drain(..gone);
        if is_summarized {
            self.turns.push(UserTurn { before, prompt, is_summary: true });
        }
        (self.updated, self.items, self.shown) = (None, Vec::new(), Vec::new());
    }

    /// Takes back so many turns, or all that there are, and returns the first of them.
    pub(super) fn roll_back(&mut self, turns: usize) -> Option<UserTurn> {
        let left = self.turns.len().saturating_sub(turns);
        (self.opened, self.updated) = (None, None);
        for waiting in [&mut self.items, &mut self.shown] {
            waiting.retain(|turn| *turn < left);
        }
        self.turns.drain(left..).next()
    }
}
