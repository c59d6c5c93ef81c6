//! Builds.

use serde_json::Value;

use super::words::*;

fn stage_of() -> Role {
    about("build", &["/build_id"]).called(&["/name", "/target"])
}

types! { "build";
    /// A build began
    BuildStart = "build.start" also ["build.started"] {
        may {
            build_id: String, name: String, target: String, commit: String,
            /// Who did it.
            by: String,
        }
        role stage_of().to(Running).by(&["/by"]);
        example {"build_id": "build-7", "target": "release"}
    }
    /// Progress of a build
    BuildProgress = "build.progress" {
        may {
            build_id: String, name: String, target: String, commit: String,
            /// Percent, 0 to 100.
            progress: f64,
            stage: String, description: String,
            /// How many are done.
            done: u64,
            /// Out of how many.
            total: u64,
        }
        role stage_of().advances(progress());
        example {"build_id": "build-7", "target": "release", "progress": 40.0, "stage": "second of three"}
    }
    /// A build completed
    BuildComplete = "build.complete" also ["build.completed"] {
        may {
            build_id: String, name: String, target: String, commit: String,
            /// What was returned.
            result: Value,
            /// Milliseconds.
            duration_ms: u64,
        }
        role stage_of().to(Completed);
        example {"build_id": "build-7", "target": "release", "duration_ms": 5200}
    }
    /// A build failed
    BuildFail = "build.fail" also ["build.failed", "build.errored"] {
        may {
            build_id: String, name: String, target: String, commit: String,
            /// What went wrong, as text or as an object.
            error: Value,
            reason: String,
        }
        role stage_of().to(Failed).why_at(&["/reason"]).erred();
        example {"build_id": "build-7", "target": "release", "error": "the disk is full"}
    }
}
