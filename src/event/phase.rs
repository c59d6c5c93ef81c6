use std::fmt;

use serde::{Deserialize, Serialize};

use super::spelling::snake;

/// The phase of an entity in its lifecycle.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum Phase {
    /// It exists, but has not started.
    Created,
    /// It is active.
    Running,
    /// It was paused, and can be resumed.
    Paused,
    /// It waits for something else: an approval, an answer, another task.
    Waiting,
    /// It succeeded.
    Completed,
    /// It failed.
    Failed,
    /// It was stopped from outside, without an outcome.
    Stopped,
    /// It was cancelled.
    Cancelled,
    /// It was deleted.
    Deleted,
}

impl Phase {
    /// Every phase, in lifecycle order.
    pub const ALL: [Self; 9] = [
        Self::Created,
        Self::Running,
        Self::Paused,
        Self::Waiting,
        Self::Completed,
        Self::Failed,
        Self::Stopped,
        Self::Cancelled,
        Self::Deleted,
    ];

    /// Its name in TOML, JSON and tables.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Created => "created",
            Self::Running => "running",
            Self::Paused => "paused",
            Self::Waiting => "waiting",
            Self::Completed => "completed",
            Self::Failed => "failed",
            Self::Stopped => "stopped",
            Self::Cancelled => "cancelled",
            Self::Deleted => "deleted",
        }
    }

    /// Whether this phase is final: what follows is a restart or an anomaly.
    #[must_use]
    pub fn is_final(self) -> bool {
        matches!(self, Self::Completed | Self::Failed | Self::Stopped | Self::Cancelled | Self::Deleted)
    }

    /// The phase that a status word usually stands for, in any spelling: `IN_PROGRESS`, `inProgress`, `in progress`.
    #[must_use]
    pub fn of_word(word: &str) -> Option<Self> {
        Some(match snake(word).as_str() {
            "created" | "new" | "pending" | "queued" | "requested" | "proposed" | "draft" | "init"
            | "loading" | "todo" | "idle" | "ready" | "scheduled" | "backlog" => Self::Created,
            "running" | "started" | "active" | "in_progress" | "progress" | "working" | "executing"
            | "busy" | "resumed" | "open" | "online" | "planning" | "accepted" | "assigned" | "thinking" => {
                Self::Running
            }
            "paused" | "suspended" | "on_hold" => Self::Paused,
            "waiting"
            | "blocked"
            | "awaiting_user_input"
            | "awaiting_user_confirmation"
            | "rate_limited"
            | "waiting_for_confirmation"
            | "waiting_for_approval"
            | "awaiting_approval"
            | "review"
            | "in_review"
            | "stuck" => Self::Waiting,
            "completed" | "complete" | "done" | "finished" | "success" | "succeeded" | "passed"
            | "approved" | "applied" | "merged" | "resolved" | "ok" | "closed" => Self::Completed,
            "failed" | "fail" | "failure" | "error" | "errored" | "crashed" | "timed_out" | "timeout"
            | "rejected" | "denied" => Self::Failed,
            "stopped" | "terminated" | "killed" | "shutdown" | "offline" | "exited" => Self::Stopped,
            "cancelled" | "canceled" | "aborted" | "user_rejected" | "superseded" | "rolled_back"
            | "skipped" => Self::Cancelled,
            "deleted" | "removed" | "destroyed" | "archived" | "tombstoned" => Self::Deleted,
            _ => return None,
        })
    }
}

impl fmt::Display for Phase {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_phase_is_read_back_from_its_own_word() {
        for phase in Phase::ALL {
            assert_eq!(Phase::of_word(phase.as_str()), Some(phase));
            assert_eq!(serde_json::to_string(&phase).unwrap(), format!("\"{phase}\""));
        }
        assert_eq!(Phase::of_word("IN_PROGRESS"), Phase::of_word("inProgress"));
        assert_eq!(Phase::of_word("constructing"), None);
    }
}
