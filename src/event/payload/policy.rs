//! Policies: rules for what is allowed.

use serde_json::Value;

use super::words::*;

types! { "policy";
    /// A policy decided whether something is allowed
    PolicyEvaluated = "policy.evaluated" also ["intent_evaluated"] {
        may {
            policy_id: String, rule_id: String, tool: String, tool_name: String, decision: String,
            explanation: String,
        }
        role plain().why_at(&["/explanation", "/kind/explanation"]);
        example {"rule_id": "no-push", "tool": "git", "decision": "deny", "explanation": "main is protected"}
    }
    /// The actions that need approval changed
    PolicyGatesUpdated = "policy.gates_updated" also ["gates_updated"] {
        may {
            gates: Value, reason: String,
            /// Who did it.
            by: String,
        }
        role plain().why().by(&["/by"]);
        example {"gates": {"push": "ask"}, "by": "mara"}
    }
    /// Something was switched off after too many errors
    PolicyCircuitBroken = "policy.circuit_broken" also ["circuit_breaker_tripped"] {
        may { name: String, errors: u64, reason: String }
        role plain().erred_at(&["/reason", "/kind/reason"]);
        example {"name": "acme", "errors": 5, "reason": "five errors in a row"}
    }
}
