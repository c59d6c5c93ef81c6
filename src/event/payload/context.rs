//! The context that a model is given, and what was found for it.

use serde_json::Value;

use super::words::*;

types! { "context";
    /// The context of a call was built
    ContextBuilt = "context.built" {
        may {
            context_id: String, sources: Value, items: u64,
            /// All tokens, read and written.
            tokens: u64,
            /// Milliseconds.
            duration_ms: u64,
        }
        role plain().figure(DurationMs, Delta, &["/duration_ms"]);
        example {"context_id": "ctx-1", "items": 14, "tokens": 8120, "duration_ms": 90}
    }
    /// The context was searched
    ContextQueryExecuted = "context.query_executed" also ["context_query"] {
        may {
            context_id: String, query: String, results: u64,
            /// Milliseconds.
            duration_ms: u64,
        }
        role plain().figure(DurationMs, Delta, &["/duration_ms"]);
        example {"query": "where is normalize called", "results": 3, "duration_ms": 12}
    }
    /// Something in the context was added or changed
    ContextUpdated = "context.updated" {
        may {
            context_id: String, key: String, value: Value, changes: Value,
            /// Who did it.
            by: String,
        }
        role plain().by(&["/by"]);
        example {"key": "goal", "value": "make the login tests pass"}
    }
    /// Older parts of the context were dropped
    ContextCompacted = "context.compacted" also ["context_compaction"] {
        may { context_id: String, dropped: u64, tokens_before: u64, tokens_after: u64 }
        role plain();
        example {"dropped": 40, "tokens_before": 180000, "tokens_after": 21000}
    }
    /// Older parts of the context were replaced by a summary
    ContextSummarized = "context.summarized" also ["context_summary"] {
        may {
            context_id: String, summary: Value,
            /// All tokens, read and written.
            tokens: u64,
        }
        role plain().says(System, &["/summary", "/text", "/message/content", "/payload/message", "/data/summaryContent", "/content"]);
        example {"summary": "The cause is normalize(); the test is written.", "tokens": 900}
    }
    /// A dependency was detected
    DependencyDetected = "dependency.detected" also ["dependency_found"] {
        may {
            from: String, to: String, kind: String, path: String,
            /// 0 to 1.
            confidence: f64,
        }
        role plain();
        example {"from": "login", "to": "name", "kind": "module"}
    }
    /// The implementation of something was found
    ImplementationFound = "implementation.found" {
        may {
            name: String, path: String, line: u64,
            /// 0 to 1.
            confidence: f64,
        }
        role plain();
        example {"name": "normalize", "path": "src/name.rs", "line": 88}
    }
    /// A pattern was found in the code or in the work
    PatternDetected = "pattern.detected" {
        may {
            name: String, description: String, path: String, occurrences: u64,
            /// 0 to 1.
            confidence: f64,
        }
        role plain();
        example {"name": "errors as text", "occurrences": 12, "confidence": 0.7}
    }
    /// A prediction was made
    PredictionMade = "prediction.made" {
        may {
            prediction: Value, subject: String,
            /// 0 to 1.
            confidence: f64,
            horizon: String,
        }
        role plain();
        example {"prediction": "the build will fail", "subject": "build-7", "confidence": 0.6}
    }
}
