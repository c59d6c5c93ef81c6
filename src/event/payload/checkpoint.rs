//! Points that one can go back to.

use super::words::*;

types! { "checkpoint";
    /// A point to go back to was kept
    CheckpointCreated = "checkpoint.created" {
        may { checkpoint_id: String, sequence: u64, state_hash: String, label: String }
        role about("checkpoint", &["/checkpoint_id", "/kind/checkpoint_id"]).called(&["/label"]).to(Completed);
        example {"checkpoint_id": "cp-1", "sequence": 41, "label": "before the big change"}
    }
    /// The session went back to a point that was kept
    CheckpointRestored = "checkpoint.restored" {
        may {
            checkpoint_id: String, sequence: u64, reason: String,
            /// Who did it.
            by: String,
        }
        role about("checkpoint", &["/checkpoint_id", "/kind/checkpoint_id"]).why().by(&["/by"]);
        example {"checkpoint_id": "cp-1", "sequence": 41, "reason": "nine tests fail"}
    }
}
