//! Resources that are worked on: files, tables, pages.

use super::words::*;

types! { "resource";
    /// A resource was read
    ResourceAccessed = "resource.accessed" {
        may {
            resource_id: String, uri: String, path: String, kind: String, operation: String,
            /// Bytes.
            size: u64,
            /// Who did it.
            by: String,
        }
        role plain().by(&["/by"]);
        example {"path": "src/name.rs", "operation": "read", "size": 934}
    }
    /// A resource was changed
    ResourceModified = "resource.modified" {
        may {
            resource_id: String, uri: String, path: String, kind: String, operation: String,
            /// Bytes.
            size: u64,
            content_hash: String,
            /// Who did it.
            by: String,
        }
        role plain().by(&["/by"]);
        example {"path": "src/name.rs", "operation": "write", "size": 960, "content_hash": "sha256:77aa"}
    }
    /// A resource was indexed
    ResourceIndexed = "resource.indexed" {
        may {
            resource_id: String, uri: String, path: String, kind: String, items: u64,
            /// Milliseconds.
            duration_ms: u64,
            /// Who did it.
            by: String,
        }
        role plain().figure(DurationMs, Delta, &["/duration_ms"]);
        example {"path": "src/", "items": 120, "duration_ms": 410}
    }
}
