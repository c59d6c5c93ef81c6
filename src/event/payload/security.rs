//! Security checks.

use serde_json::Value;

use super::words::*;

fn stage_of() -> Role {
    about("security", &["/scan_id"]).called(&["/name", "/target"])
}

types! { "security";
    /// A security check began
    SecurityStart = "security.start" also ["security.started"] {
        may {
            scan_id: String, name: String, target: String,
            /// Who did it.
            by: String,
        }
        role stage_of().to(Running).by(&["/by"]);
        example {"scan_id": "scan-1", "target": "Cargo.lock"}
    }
    /// Progress of a security check
    SecurityProgress = "security.progress" {
        may {
            scan_id: String, name: String, target: String,
            /// Percent, 0 to 100.
            progress: f64,
            stage: String, description: String,
            /// How many are done.
            done: u64,
            /// Out of how many.
            total: u64,
        }
        role stage_of().advances(progress());
        example {"scan_id": "scan-1", "target": "Cargo.lock", "progress": 40.0, "stage": "second of three"}
    }
    /// A security check completed
    SecurityComplete = "security.complete" also ["security.completed"] {
        may {
            scan_id: String, name: String, target: String,
            /// What was returned.
            result: Value,
            /// Milliseconds.
            duration_ms: u64,
        }
        role stage_of().to(Completed);
        example {"scan_id": "scan-1", "target": "Cargo.lock", "duration_ms": 5200}
    }
    /// A security check failed
    SecurityFail = "security.fail" also ["security.failed", "security.errored"] {
        may {
            scan_id: String, name: String, target: String,
            /// What went wrong, as text or as an object.
            error: Value,
            reason: String,
        }
        role stage_of().to(Failed).why_at(&["/reason"]).erred();
        example {"scan_id": "scan-1", "target": "Cargo.lock", "error": "the disk is full"}
    }
    /// A vulnerability scan completed
    SecurityScanComplete = "security.scan_complete" also ["security.scan_completed"] {
        may {
            scan_id: String, target: String, findings: Value, critical: u64, high: u64,
            /// Milliseconds.
            duration_ms: u64,
        }
        role stage_of().to(Completed);
        example {"scan_id": "scan-1", "target": "Cargo.lock", "critical": 0, "high": 1}
    }
}
