//! Decisions, and what happened to them.

use serde_json::Value;

use super::words::*;

fn decision() -> Role {
    about("decision", &["/decision_id", "/kind/intent_id"]).called(&[
        "/title",
        "/choice",
        "/decision",
        "/kind/summary",
    ])
}

types! { "decision";
    /// Something was decided, or proposed for decision
    DecisionCreated = "decision.created" also ["decision.made", "decision_proposed", "intent_proposed", "deliberation_proposed"] {
        may {
            decision_id: String, title: String, choice: String, alternatives: Value, rationale: String,
            /// 0 to 1.
            confidence: f64,
            /// Who did it.
            by: String,
        }
        role decision().to(Created).why_at(&["/rationale"]).by(&["/by"]);
        example {"decision_id": "d-1", "choice": "write the failing test first", "rationale": "two blind tries failed", "confidence": 0.8}
    }
    /// A decision was approved
    DecisionApproved = "decision.approved" also ["intent_approved"] {
        may {
            decision_id: String,
            /// Who did it.
            by: String,
            reason: String,
        }
        role decision().to(Completed).why().by(&["/by"]);
        example {"decision_id": "d-1", "by": "mara"}
    }
    /// A decision was rejected
    DecisionRejected = "decision.rejected" also ["intent_rejected"] {
        may {
            decision_id: String,
            /// Who did it.
            by: String,
            reason: String, reasons: Vec<String>,
        }
        role decision().to(Cancelled).why_at(&["/reason", "/reasons/0", "/kind/reasons/0"]).by(&["/by"]);
        example {"decision_id": "d-1", "reason": "it breaks the old names", "by": "mara"}
    }
    /// A decision was corrected
    DecisionCorrected = "decision.corrected" {
        may {
            decision_id: String, correction: Value, reason: String,
            /// Who did it.
            by: String,
        }
        role decision().to(Running).why().by(&["/by"]);
        example {"decision_id": "d-1", "correction": "keep the old name as an alias", "by": "mara"}
    }
    /// A decision was replaced by another
    DecisionSuperseded = "decision.superseded" {
        may { decision_id: String, superseded_by: String, reason: String }
        role decision().to(Cancelled).why_at(&["/reason", "/superseded_by"]);
        example {"decision_id": "d-1", "superseded_by": "d-2"}
    }
    /// A decision was logged with its reasons
    DecisionLogged = "decision.logged" also ["decision_log"] {
        may {
            decision_id: String, title: String, decision: String, choice: String, rationale: String,
            context: Value, alternatives: Value,
            /// Who did it.
            by: String,
        }
        role decision().why_at(&["/rationale"]).by(&["/by"]);
        example {"decision": "use one file per verb", "rationale": "names that can be guessed"}
    }
}
