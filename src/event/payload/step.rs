//! The steps of a run.

use serde_json::Value;

use super::words::*;

fn step() -> Role {
    about("step", &["/step_id", "/index", "/kind/index", "/stepName"]).called(&[
        "/name",
        "/step",
        "/stepName",
    ])
}

types! { "step";
    /// A step began
    StepStarted = "step.started" also ["step_start"] {
        may { step_id: String, index: u64, name: String, step: String }
        role step().to(Running);
        example {"index": 2, "name": "change the code"}
    }
    /// Progress of a step
    StepProgress = "step.progress" {
        may {
            step_id: String, index: u64, name: String, step: String,
            /// Percent, 0 to 100.
            progress: f64,
            stage: String, description: String,
            /// How many are done.
            done: u64,
            /// Out of how many.
            total: u64,
        }
        role step().advances(progress());
        example {"index": 2, "progress": 50.0, "description": "one of two files"}
    }
    /// A step completed
    StepCompleted = "step.completed" also ["step_finished"] {
        may {
            step_id: String, index: u64, name: String, step: String,
            /// What was returned.
            result: Value,
            stop_reason: String,
            /// Milliseconds.
            duration_ms: u64,
        }
        role step().to(Completed).why_at(&["/stop_reason", "/kind/stop_reason"]).figure(DurationMs, Delta, &["/duration_ms"]);
        example {"index": 2, "name": "change the code", "duration_ms": 5100}
    }
    /// A step failed
    StepFailed = "step.failed" also ["step_errored"] {
        may {
            step_id: String, index: u64, name: String, step: String,
            /// What went wrong, as text or as an object.
            error: Value,
        }
        role step().to(Failed).erred();
        example {"index": 2, "error": "it does not compile"}
    }
}
