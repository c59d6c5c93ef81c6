//! Modules of the program.

use serde_json::Value;

use super::words::*;

fn stage_of() -> Role {
    about("module", &["/module_id"]).called(&["/name"])
}

types! { "module";
    /// A module began
    ModuleStart = "module.start" also ["module.started", "module.loaded"] {
        may {
            module_id: String, name: String, version: String,
            /// Who did it.
            by: String,
        }
        role stage_of().to(Running).by(&["/by"]);
        example {"module_id": "search"}
    }
    /// Progress of a module
    ModuleProgress = "module.progress" {
        may {
            module_id: String, name: String, version: String,
            /// Percent, 0 to 100.
            progress: f64,
            stage: String, description: String,
            /// How many are done.
            done: u64,
            /// Out of how many.
            total: u64,
        }
        role stage_of().advances(progress());
        example {"module_id": "search", "progress": 40.0, "stage": "second of three"}
    }
    /// A module completed
    ModuleComplete = "module.complete" also ["module.completed"] {
        may {
            module_id: String, name: String, version: String,
            /// What was returned.
            result: Value,
            /// Milliseconds.
            duration_ms: u64,
        }
        role stage_of().to(Completed);
        example {"module_id": "search", "duration_ms": 5200}
    }
    /// A module failed
    ModuleFail = "module.fail" also ["module.failed", "module.errored"] {
        may {
            module_id: String, name: String, version: String,
            /// What went wrong, as text or as an object.
            error: Value,
            reason: String,
        }
        role stage_of().to(Failed).why_at(&["/reason"]).erred();
        example {"module_id": "search", "error": "the disk is full"}
    }
}
