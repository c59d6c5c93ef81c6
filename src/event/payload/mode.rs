//! How an agent works: exploring, executing, verifying.

use super::words::*;

types! { "mode";
    /// An agent's mode changed
    ModeChanged = "mode.changed" {
        may { from: String, to: String, reason: String }
        role plain().advances(stage(&["/to", "/kind/to"])).why();
        example {"from": "explore", "to": "execute", "reason": "the cause is known"}
    }
}
