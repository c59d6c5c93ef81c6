//! Plugins of the program.

use serde_json::Value;

use super::words::*;

fn stage_of() -> Role {
    about("plugin", &["/plugin_id"]).called(&["/name"])
}

types! { "plugin";
    /// A plugin began
    PluginStart = "plugin.start" also ["plugin.started", "plugin.loaded"] {
        may {
            plugin_id: String, name: String, version: String,
            /// Who did it.
            by: String,
        }
        role stage_of().to(Running).by(&["/by"]);
        example {"plugin_id": "lint"}
    }
    /// Progress of a plugin
    PluginProgress = "plugin.progress" {
        may {
            plugin_id: String, name: String, version: String,
            /// Percent, 0 to 100.
            progress: f64,
            stage: String, description: String,
            /// How many are done.
            done: u64,
            /// Out of how many.
            total: u64,
        }
        role stage_of().advances(progress());
        example {"plugin_id": "lint", "progress": 40.0, "stage": "second of three"}
    }
    /// A plugin completed
    PluginComplete = "plugin.complete" also ["plugin.completed"] {
        may {
            plugin_id: String, name: String, version: String,
            /// What was returned.
            result: Value,
            /// Milliseconds.
            duration_ms: u64,
        }
        role stage_of().to(Completed);
        example {"plugin_id": "lint", "duration_ms": 5200}
    }
    /// A plugin failed
    PluginFail = "plugin.fail" also ["plugin.failed", "plugin.errored"] {
        may {
            plugin_id: String, name: String, version: String,
            /// What went wrong, as text or as an object.
            error: Value,
            reason: String,
        }
        role stage_of().to(Failed).why_at(&["/reason"]).erred();
        example {"plugin_id": "lint", "error": "the disk is full"}
    }
}
