//! The state that an agent reports about itself.

use serde_json::Value;

use super::words::*;

/// The state of the agent is that of the session; any other member of the state is not.
fn status() -> Role {
    whole("session", &[]).status(&["/agent_state", "/extras/agent_state"]).status_when(
        &["/value"],
        "/key",
        "execution_status",
    )
}
/// OpenHands reports what each of its models has used so far.
fn metrics(role: Role) -> Role {
    role.figure(InputTokens, Total, &["/value/usage_to_metrics/*/accumulated_token_usage/prompt_tokens"])
        .figure(OutputTokens, Total, &["/value/usage_to_metrics/*/accumulated_token_usage/completion_tokens"])
        .figure(CostUsd, Total, &["/value/usage_to_metrics/*/accumulated_cost"])
        .models(&[], &["/value/usage_to_metrics/*/model_name"])
}

types! { "state";
    /// The state changed
    StateChanged = "state.changed" also ["state_patched", "state_patch_committed"] {
        may { key: String, value: Value, patch: Value, agent_state: String, reason: String }
        role metrics(status()).why_at(&["/reason"]);
        example {"key": "goal", "value": "make the login tests pass"}
    }
    /// A change of the state was requested
    StateRequested = "state.requested" {
        may {
            key: String, value: Value, agent_state: String, reason: String,
            /// Who did it.
            by: String,
        }
        role plain().why().by(&["/by"]);
        example {"agent_state": "running"}
    }
    /// An agent estimated its own state
    StateEstimated = "state.estimated" {
        may {
            estimate: Value,
            /// 0 to 1.
            confidence: f64,
        }
        role plain();
        example {"estimate": {"progress": 0.4, "uncertainty": 0.2}, "confidence": 0.7}
    }
    /// The whole state was saved
    StateSnapshotCreated = "state.snapshot_created" also ["snapshot_created"] {
        may { snapshot_id: String, sequence: u64, content_hash: String }
        role plain();
        example {"snapshot_id": "sn-1", "sequence": 41}
    }
}
