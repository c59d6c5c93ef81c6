//! Checkpoints of a session.

use super::words::*;

types! { "checkpoint";
    /// A checkpoint was created
    CheckpointCreated = "checkpoint.created" {
        may { checkpoint_id: String, sequence: u64, state_hash: String, label: String }
        role about("checkpoint", &["/checkpoint_id", "/kind/checkpoint_id"]).called(&["/label"]).to(Completed);
        example {"checkpoint_id": "cp-1", "sequence": 41, "label": "before the big change"}
    }
    /// The session returned to a checkpoint
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
