//! Invariants: rules that have to hold.

use serde_json::Value;

use super::words::*;

fn invariant() -> Role {
    about("invariant", &["/invariant_id"]).called(&["/name", "/rule"])
}

types! { "invariant";
    /// A violated invariant was restored
    InvariantReconciled = "invariant.reconciled" {
        may {
            invariant_id: String, name: String, rule: String, changes: Value,
            /// Who did it.
            by: String,
        }
        role invariant().to(Completed).by(&["/by"]);
        example {"invariant_id": "i-1", "name": "no unwrap", "changes": ["src/lib.rs"]}
    }
    /// An invariant is violated
    InvariantViolated = "invariant.violated" {
        may {
            invariant_id: String, name: String, rule: String, details: Value, path: String,
            reason: String,
        }
        role invariant().to(Failed).erred_at(&["/reason", "/details"]).alerts(AlertKind::Violation);
        example {"invariant_id": "i-1", "name": "no unwrap", "path": "src/lib.rs", "reason": "line 41 unwraps"}
    }
    /// An invariant was checked and enforced
    InvariantEnforced = "invariant.enforced" {
        may {
            invariant_id: String, name: String, rule: String, action: String,
            /// Who did it.
            by: String,
        }
        role invariant().to(Running).by(&["/by"]);
        example {"invariant_id": "i-1", "name": "no unwrap", "action": "the change was refused"}
    }
}
