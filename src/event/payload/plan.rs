//! A plan: what is going to be done, before it is done.

use serde_json::Value;

use super::words::*;

fn plan() -> Role {
    about("plan", &["/plan_id"]).called(&["/title", "/goal"])
}

types! { "plan";
    /// A plan was made
    PlanCreated = "plan.created" {
        may {
            plan_id: String, title: String, goal: String, description: String, steps: Value,
            /// Who did it.
            by: String,
            phase: String, state: String,
        }
        role plan().to(Created).by(&["/by"]);
        example {"plan_id": "p-1", "goal": "make the login tests pass", "steps": ["find the cause", "change the code", "test"]}
    }
    /// A plan entered another phase
    PlanPhaseChanged = "plan.phase_changed" {
        may {
            plan_id: String,
            /// The previous value.
            previous: String,
            /// The new value.
            current: String,
            reason: String,
        }
        role plan().advances(stage(&["/current"])).status(&["/current"]).why();
        example {"plan_id": "p-1", "previous": "analysis", "current": "execution"}
    }
    /// A plan's state changed
    PlanStateChanged = "plan.state_changed" {
        may {
            plan_id: String,
            /// The previous value.
            previous: String,
            /// The new value.
            current: String,
            reason: String,
        }
        role plan().status(&["/current"]).why();
        example {"plan_id": "p-1", "previous": "draft", "current": "in_progress", "reason": "approved"}
    }
    /// A plan was carried out
    PlanApplied = "plan.applied" {
        may {
            plan_id: String, changes: Value,
            /// Who did it.
            by: String,
            /// Milliseconds.
            duration_ms: u64,
        }
        role plan().to(Completed).by(&["/by"]);
        example {"plan_id": "p-1", "changes": ["src/name.rs"], "duration_ms": 81200}
    }
    /// A plan was cancelled
    PlanCancelled = "plan.cancelled" also ["plan.canceled"] {
        may {
            plan_id: String, reason: String,
            /// Who did it.
            by: String,
        }
        role plan().to(Cancelled).why().by(&["/by"]);
        example {"plan_id": "p-1", "reason": "the goal changed", "by": "mara"}
    }
    /// A plan could not be carried out
    PlanErrored = "plan.errored" also ["plan.failed", "plan_error"] {
        may {
            plan_id: String,
            /// What went wrong, as text or as an object.
            error: Value,
            step: String,
        }
        role plan().to(Failed).erred();
        example {"plan_id": "p-1", "error": "step 2 does not compile", "step": "change the code"}
    }
}
