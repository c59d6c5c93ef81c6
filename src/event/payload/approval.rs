//! Approvals.

use serde_json::Value;

use super::words::*;

fn approval() -> Role {
    about("approval", &["/approval_id", "/kind/approval_id"]).called(&[
        "/action",
        "/tool",
        "/tool_name",
        "/kind/tool_name",
    ])
}

types! { "approval";
    /// An approval was requested
    ApprovalRequested = "approval.requested" {
        may {
            approval_id: String, action: String, tool: String, tool_name: String,
            /// What the tool was given.
            arguments: Value,
            risk: String, reason: String,
        }
        role approval().to(Waiting).why();
        example {"approval_id": "ap-1", "action": "push to main", "risk": "high"}
    }
    /// A request for approval was answered
    ApprovalResolved = "approval.resolved" {
        may {
            approval_id: String, decision: String, reason: String,
            /// Who did it.
            by: String,
        }
        role approval().to(Completed).status_in(&["/decision", "/kind/decision"], &[("denied", Cancelled), ("rejected", Cancelled)]).why().by(&["/by"]);
        example {"approval_id": "ap-1", "decision": "approved", "by": "mara"}
    }
    /// An approval was granted
    ApprovalGranted = "approval.granted" also ["approval.approved"] {
        may {
            approval_id: String, reason: String,
            /// Who did it.
            by: String,
        }
        role approval().to(Completed).why().by(&["/by"]);
        example {"approval_id": "ap-1", "by": "mara"}
    }
    /// An approval was denied
    ApprovalDenied = "approval.denied" also ["approval.rejected"] {
        may {
            approval_id: String, reason: String,
            /// Who did it.
            by: String,
        }
        role approval().to(Cancelled).why_at(&["/reason", "/rejection_reason", "/kind/reason"]).by(&["/by"]);
        example {"approval_id": "ap-1", "reason": "not on a Friday", "by": "mara"}
    }
}
