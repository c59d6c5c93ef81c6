//! Validation of results.

use serde_json::Value;

use super::words::*;

fn validation() -> Role {
    about("validation", &["/validation_id"]).called(&["/name", "/check", "/target"])
}

types! { "validation";
    /// A validation began
    ValidationStarted = "validation.started" also ["validation_start"] {
        may { validation_id: String, name: String, check: String, target: String }
        role validation().to(Running);
        example {"validation_id": "v-1", "name": "tests", "target": "src/name.rs"}
    }
    /// A validation passed
    ValidationPassed = "validation.passed" also ["validation_success"] {
        may {
            validation_id: String, name: String, check: String, target: String, passed: u64,
            /// Milliseconds.
            duration_ms: u64,
        }
        role validation().to(Completed).figure(DurationMs, Delta, &["/duration_ms"]);
        example {"validation_id": "v-1", "name": "tests", "passed": 36, "duration_ms": 8800}
    }
    /// A validation failed
    ValidationFailed = "validation.failed" also ["validation_failure"] {
        may {
            validation_id: String, name: String, check: String, target: String, passed: u64, failed: u64,
            errors: Value, reason: String,
            /// Milliseconds.
            duration_ms: u64,
        }
        role validation().to(Failed).erred_at(&["/reason", "/error"]).figure(DurationMs, Delta, &["/duration_ms"]);
        example {"validation_id": "v-1", "name": "tests", "passed": 31, "failed": 4, "reason": "umlauts are lost"}
    }
}
