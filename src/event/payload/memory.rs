//! Memories that outlive a session.

use serde_json::Value;

use super::words::*;

fn memory() -> Role {
    about("memory", &["/memory_id", "/proposal_id", "/kind/memory_id", "/kind/proposal_id"])
}

types! { "memory";
    /// Something worth remembering was observed
    MemoryObserved = "memory.observed" also ["observation_appended"] {
        may { memory_id: String, scope: String, text: Value, content: Value }
        role memory();
        example {"scope": "project", "text": "names are normalised twice"}
    }
    /// A memory was proposed
    MemoryProposed = "memory.proposed" {
        may { memory_id: String, proposal_id: String, scope: String, text: Value, content: Value }
        role memory().to(Created);
        example {"memory_id": "mem-1", "scope": "project", "text": "names are normalised twice"}
    }
    /// A memory was stored
    MemoryCommitted = "memory.committed" also ["memory_stored"] {
        may { memory_id: String, scope: String, supersedes: String }
        role memory().to(Completed);
        example {"memory_id": "mem-1", "scope": "project"}
    }
    /// Memories were summarised
    MemoryReflected = "memory.reflected" also ["reflection_compacted"] {
        may { memory_id: String, scope: String, summary: Value }
        role memory();
        example {"scope": "project", "summary": "how names are handled"}
    }
    /// A memory was marked as deleted
    MemoryTombstoned = "memory.tombstoned" also ["memory_deleted"] {
        may { memory_id: String, scope: String, reason: String }
        role memory().to(Deleted).why();
        example {"memory_id": "mem-1", "reason": "it was wrong"}
    }
}
