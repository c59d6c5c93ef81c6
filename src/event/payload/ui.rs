//! What people see and do.

use serde_json::Value;

use super::words::*;

fn stage_of() -> Role {
    about("ui", &["/view_id"]).called(&["/name"])
}

types! { "ui";
    /// An action in the user interface began
    UiStart = "ui.start" also ["ui.started"] {
        may {
            view_id: String, name: String, component: String,
            /// Who did it.
            by: String,
        }
        role stage_of().to(Running).by(&["/by"]);
        example {"view_id": "timeline"}
    }
    /// Progress of an action in the user interface
    UiProgress = "ui.progress" {
        may {
            view_id: String, name: String, component: String,
            /// Percent, 0 to 100.
            progress: f64,
            stage: String, description: String,
            /// How many are done.
            done: u64,
            /// Out of how many.
            total: u64,
        }
        role stage_of().advances(progress());
        example {"view_id": "timeline", "progress": 40.0, "stage": "second of three"}
    }
    /// An action in the user interface completed
    UiComplete = "ui.complete" also ["ui.completed"] {
        may {
            view_id: String, name: String, component: String,
            /// What was returned.
            result: Value,
            /// Milliseconds.
            duration_ms: u64,
        }
        role stage_of().to(Completed);
        example {"view_id": "timeline", "duration_ms": 5200}
    }
    /// An action in the user interface failed
    UiFail = "ui.fail" also ["ui.failed", "ui.errored"] {
        may {
            view_id: String, name: String, component: String,
            /// What went wrong, as text or as an object.
            error: Value,
            reason: String,
        }
        role stage_of().to(Failed).why_at(&["/reason"]).erred();
        example {"view_id": "timeline", "error": "the disk is full"}
    }
}
