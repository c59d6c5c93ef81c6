//! Tasks, from request to completion.

use serde_json::Value;

use super::words::*;

fn task() -> Role {
    about("task", &["/task_id", "/kind/hive_task_id"]).called(&[
        "/title",
        "/task",
        "/description",
        "/kind/objective",
    ])
}

types! { "task";
    /// A task was requested
    TaskRequested = "task.requested" also ["task_created", "hive_task_created"] {
        may {
            task_id: String, title: String, task: String, description: String, priority: Value,
            requested_by: String,
        }
        role task().to(Created).by(&["/requested_by"]);
        example {"task_id": "t-1", "title": "fix the login", "requested_by": "mara"}
    }
    /// A task was assigned
    TaskAssigned = "task.assigned" {
        may { task_id: String, assignee: String, assigned_by: String }
        role task().by(&["/assigned_by"]);
        example {"task_id": "t-1", "assignee": "agent-1"}
    }
    /// Work on a task began
    TaskStarted = "task.started" also ["task_start"] {
        may { task_id: String, assignee: String, title: String }
        role task().to(Running).by(&["/assignee"]);
        example {"task_id": "t-1", "assignee": "agent-1"}
    }
    /// Progress of a task
    TaskProgress = "task.progress" also ["task_progressed", "task_updated", "hive_generation_completed"] {
        may {
            task_id: String,
            /// Percent, 0 to 100.
            progress: f64,
            stage: String, milestone: String, description: String,
            /// How many are done.
            done: u64,
            /// Out of how many.
            total: u64,
        }
        role task().advances(progress());
        example {"task_id": "t-1", "progress": 50.0, "stage": "tests", "done": 2, "total": 4}
    }
    /// A task completed
    TaskCompleted = "task.completed" also ["task_complete", "task_done", "hive_task_completed"] {
        may {
            task_id: String,
            /// What was returned.
            result: Value,
            /// Who did it.
            by: String,
            /// Milliseconds.
            duration_ms: u64,
        }
        role task().to(Completed).by(&["/by"]);
        example {"task_id": "t-1", "result": "merged", "duration_ms": 401000}
    }
    /// A task failed
    TaskFailed = "task.failed" also ["task_fail", "task_errored"] {
        may {
            task_id: String,
            /// What went wrong, as text or as an object.
            error: Value,
            reason: String,
            /// Counted from 1.
            attempt: u64,
        }
        role task().to(Failed).why().erred_at(&["/error", "/error/message", "/reason"]);
        example {"task_id": "t-1", "error": "no compiler", "attempt": 1}
    }
    /// A task was cancelled
    TaskCancelled = "task.cancelled" also ["task.canceled"] {
        may {
            task_id: String, reason: String,
            /// Who did it.
            by: String,
        }
        role task().to(Cancelled).why().by(&["/by"]);
        example {"task_id": "t-1", "reason": "a duplicate"}
    }
    /// A task is blocked
    TaskBlocked = "task.blocked" also ["blocker_found"] {
        may { task_id: String, blocker_id: String, blocker: String, reason: String }
        role task().to(Waiting).why_at(&["/reason", "/blocker"]);
        example {"task_id": "t-1", "blocker_id": "b-1", "reason": "access to the log is missing"}
    }
    /// What blocked a task was resolved
    TaskBlockerResolved = "task.blocker_resolved" also ["blocker_resolved", "task_unblocked"] {
        may {
            task_id: String, blocker_id: String, resolution: String,
            /// Who did it.
            by: String,
        }
        role task().to(Running).why_at(&["/resolution"]).by(&["/by"]);
        example {"task_id": "t-1", "blocker_id": "b-1", "resolution": "access was given"}
    }
}
