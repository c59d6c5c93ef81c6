//! Places where changes are tried out.

use serde_json::Value;

use super::words::*;

fn sandbox() -> Role {
    about("sandbox", &["/sandbox_id", "/kind/sandbox_id"])
}

types! { "sandbox";
    /// A sandbox was created
    SandboxCreated = "sandbox.created" {
        may { sandbox_id: String, tier: String, image: String, config: Value, path: String }
        role sandbox().to(Running);
        example {"sandbox_id": "sb-1", "tier": "container", "path": "/tmp/sb-1"}
    }
    /// The changes in a sandbox were kept
    SandboxCommitted = "sandbox.committed" {
        may {
            sandbox_id: String, changes: Value,
            /// Who did it.
            by: String,
        }
        role sandbox().to(Completed).by(&["/by"]);
        example {"sandbox_id": "sb-1", "changes": ["src/name.rs"]}
    }
    /// The changes in a sandbox were discarded
    SandboxRolledBack = "sandbox.rolled_back" also ["sandbox.rollback"] {
        may {
            sandbox_id: String, reason: String,
            /// Who did it.
            by: String,
        }
        role sandbox().to(Cancelled).why().by(&["/by"]);
        example {"sandbox_id": "sb-1", "reason": "the tests fail"}
    }
    /// A command ran in a sandbox
    SandboxExecuted = "sandbox.executed" {
        may {
            sandbox_id: String, command: String, exit_code: i64,
            /// Milliseconds.
            duration_ms: u64,
        }
        role sandbox().figure(DurationMs, Delta, &["/duration_ms", "/kind/duration_ms"]);
        example {"sandbox_id": "sb-1", "command": "cargo test", "exit_code": 0, "duration_ms": 9100}
    }
    /// Something in a sandbox violated its limits
    SandboxViolated = "sandbox.violated" also ["sandbox_violation"] {
        may { sandbox_id: String, violation_type: String, details: Value }
        role sandbox().erred_at(&["/details", "/kind/details"]).alerts(AlertKind::Violation);
        example {"sandbox_id": "sb-1", "violation_type": "network", "details": "a connection to 10.0.0.1 was refused"}
    }
    /// A sandbox was removed
    SandboxDestroyed = "sandbox.destroyed" {
        may { sandbox_id: String, reason: String }
        role sandbox().to(Deleted).why();
        example {"sandbox_id": "sb-1"}
    }
}
