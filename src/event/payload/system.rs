//! The program and the machine under it.

use serde_json::Value;

use super::words::*;

fn system() -> Role {
    about("system", &["/component"])
}

types! { "system";
    /// The system started
    SystemStartup = "system.startup" also ["system.start", "system.started"] {
        may { component: String, version: String, host: String, config: Value }
        role system().to(Running);
        example {"component": "orchestrator", "version": "2.1.0", "host": "build-3"}
    }
    /// Progress of the system
    SystemProgress = "system.progress" {
        may {
            component: String,
            /// Percent, 0 to 100.
            progress: f64,
            stage: String, description: String,
            /// How many are done.
            done: u64,
            /// Out of how many.
            total: u64,
        }
        role system().advances(progress());
        example {"component": "orchestrator", "progress": 30.0, "stage": "loading plugins"}
    }
    /// The system completed something
    SystemComplete = "system.complete" also ["system.completed"] {
        may {
            component: String,
            /// What was returned.
            result: Value,
            /// Milliseconds.
            duration_ms: u64,
        }
        role system().to(Completed);
        example {"component": "orchestrator", "result": "all jobs done"}
    }
    /// The system failed
    SystemFail = "system.fail" also ["system.failed", "system_error"] {
        may {
            component: String,
            /// What went wrong, as text or as an object.
            error: Value,
            code: String,
        }
        role system().to(Failed).erred();
        example {"component": "orchestrator", "error": "the disk is full"}
    }
    /// The system shut down
    SystemShutdown = "system.shutdown" also ["system.stopped"] {
        may { component: String, reason: String, uptime_ms: u64 }
        role system().to(Stopped).why();
        example {"component": "orchestrator", "reason": "an update"}
    }
    /// The system is alive
    SystemHeartbeat = "system.heartbeat" also ["heartbeat"] {
        may { component: String, summary: String }
        role system();
        example {"component": "orchestrator", "summary": "3 runs"}
    }
}
