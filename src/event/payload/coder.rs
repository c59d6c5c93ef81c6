//! A coding agent, seen from outside: its lifecycle, progress, files, provider and resources.

mod events;

use super::words::*;

pub use events::{Coder, Operation, Resources};

fn coder() -> Role {
    whole("coder", &["/coder_id"])
}

types! { "coder";
    /// A coder was created
    CoderCreated = "coder.created" {
        may {
            coder_id: String,
            /// The previous status.
            previous_status: String,
            /// The new status.
            current_status: String,
            reason: String,
            error: String,
        }
        role coder().to(Created).why_at(&["/reason"]);
        example {"coder_id": "coder-1", "current_status": "created", "reason": "issue 42 was assigned"}
    }
    /// A coder began its work
    CoderStarted = "coder.started" {
        may { coder_id: String, previous_status: String, current_status: String, reason: String, error: String }
        role coder().to(Running).why_at(&["/reason"]);
        example {"coder_id": "coder-1", "previous_status": "created", "current_status": "running"}
    }
    /// A coder was paused
    CoderPaused = "coder.paused" {
        may { coder_id: String, previous_status: String, current_status: String, reason: String, error: String }
        role coder().to(Paused).why_at(&["/reason"]);
        example {"coder_id": "coder-1", "previous_status": "running", "current_status": "paused", "reason": "lunch"}
    }
    /// A coder resumed after a pause
    CoderResumed = "coder.resumed" {
        may { coder_id: String, previous_status: String, current_status: String, reason: String, error: String }
        role coder().to(Running).why_at(&["/reason"]);
        example {"coder_id": "coder-1", "previous_status": "paused", "current_status": "running"}
    }
    /// A coder reached its goal
    CoderCompleted = "coder.completed" {
        may { coder_id: String, previous_status: String, current_status: String, reason: String, error: String }
        role coder().to(Completed).why_at(&["/reason"]);
        example {"coder_id": "coder-1", "previous_status": "running", "current_status": "completed"}
    }
    /// A coder failed
    CoderFailed = "coder.failed" {
        may { coder_id: String, previous_status: String, current_status: String, reason: String, error: String }
        role coder().to(Failed).why_at(&["/reason"]).erred_at(&["/error"]);
        example {"coder_id": "coder-1", "previous_status": "running", "current_status": "failed", "error": "no compiler"}
    }
    /// A coder was stopped from outside
    CoderStopped = "coder.stopped" {
        may { coder_id: String, previous_status: String, current_status: String, reason: String, error: String }
        role coder().to(Stopped).why_at(&["/reason"]);
        example {"coder_id": "coder-1", "previous_status": "running", "current_status": "stopped", "reason": "by hand"}
    }
    /// A coder was deleted
    CoderDeleted = "coder.deleted" {
        may { coder_id: String, previous_status: String, current_status: String, reason: String, error: String }
        role coder().to(Deleted).why_at(&["/reason"]);
        example {"coder_id": "coder-1", "previous_status": "completed", "current_status": "deleted"}
    }
    /// Progress of a coder
    CoderProgress = "coder.progress" {
        may {
            coder_id: String,
            /// Percent, 0 to 100.
            progress: f64,
            stage: String,
            description: String,
            milestone: String,
        }
        role coder().advances(progress());
        example {"coder_id": "coder-1", "progress": 40.0, "stage": "tests", "description": "writing the failing test"}
    }
    /// A coder reached a milestone
    CoderMilestone = "coder.milestone" {
        may {
            coder_id: String,
            milestone: String,
            description: String,
            stage: String,
            /// Percent, 0 to 100.
            progress: f64,
        }
        role coder().advances(progress());
        example {"coder_id": "coder-1", "milestone": "tests pass", "progress": 80.0}
    }
    /// A coder printed something
    CoderOutput = "coder.output" {
        needs { output: String }
        may {
            coder_id: String,
            /// `stdout` or `stderr`.
            stream: String,
            stage: String,
            description: String,
        }
        role coder();
        example {"coder_id": "coder-1", "output": "test result: ok. 36 passed", "stream": "stdout"}
    }
    /// A file was created in the workspace
    CoderFileCreated = "coder.file_created" also ["file_created", "coder.file.created", "workspace_file_created"] {
        may {
            coder_id: String,
            /// What was done: `create`, `modify`, `delete`, `sync`.
            operation: String,
            path: String,
            /// Bytes.
            size: u64,
            content_hash: String,
        }
        role coder();
        example {"coder_id": "coder-1", "operation": "create", "path": "src/name.rs", "size": 812, "content_hash": "sha256:9f2c"}
    }
    /// A file in the workspace was changed
    CoderFileModified = "coder.file_modified" also ["coder.edited", "file_modified", "file_write", "file_mutated", "file_rename", "coder.file.modified", "workspace_file_modified"] {
        may { coder_id: String, operation: String, path: String, size: u64, content_hash: String }
        role coder();
        example {"coder_id": "coder-1", "operation": "modify", "path": "src/name.rs", "size": 934, "content_hash": "sha256:11ab"}
    }
    /// A file was deleted from the workspace
    CoderFileDeleted = "coder.file_deleted" also ["file_deleted", "file_delete", "coder.file.deleted", "workspace_file_deleted"] {
        may { coder_id: String, operation: String, path: String, size: u64, content_hash: String }
        role coder();
        example {"coder_id": "coder-1", "operation": "delete", "path": "src/old.rs"}
    }
    /// The workspace was synchronised with another copy
    CoderWorkspaceSynced = "coder.workspace_synced" also ["workspace_synced", "workspace_sync", "coder.workspace_sync"] {
        may {
            coder_id: String,
            operation: String,
            path: String,
            /// Bytes transferred.
            size: u64,
            content_hash: String,
            /// Files in the workspace afterwards.
            file_count: u64,
        }
        role coder().figure(Files, Gauge, &["/file_count"]);
        example {"coder_id": "coder-1", "operation": "sync", "path": "/work", "file_count": 212}
    }
    /// A provider answered a call
    CoderApiCall = "coder.api_call" also ["api_call", "coder.api.call", "provider_api_call"] {
        needs { provider: String }
        may {
            coder_id: String,
            model: String,
            /// All tokens of the call, read and written.
            tokens: u64,
            input_tokens: u64,
            output_tokens: u64,
            /// US dollars.
            cost_usd: f64,
            /// Milliseconds.
            duration: u64,
            error_code: String,
        }
        role coder()
            .figure(ApiCalls, Delta, &[])
            .figure(InputTokens, Delta, &["/input_tokens"])
            .figure(OutputTokens, Delta, &["/output_tokens"])
            .figure(Tokens, Delta, &["/tokens"])
            .unless(&["/input_tokens", "/output_tokens"])
            .figure(CostUsd, Delta, &["/cost_usd"])
            .figure(DurationMs, Delta, &["/duration", "/duration_ms"])
            .models(&["/provider"], &["/model"]);
        example {"coder_id": "coder-1", "provider": "acme", "model": "large-2", "tokens": 1840, "cost_usd": 0.0138, "duration": 2150}
    }
    /// A call to a provider failed
    CoderApiError = "coder.api_error" also ["api_error", "coder.api.error", "provider_api_error"] {
        needs { provider: String }
        may {
            coder_id: String,
            model: String,
            tokens: u64,
            /// Milliseconds.
            duration: u64,
            error_code: String,
            error: String,
        }
        role coder()
            .erred_at(&["/error", "/error_code"])
            .figure(ApiCalls, Delta, &[])
            .figure(Tokens, Delta, &["/tokens"])
            .models(&["/provider"], &["/model"]);
        example {"coder_id": "coder-1", "provider": "acme", "model": "large-2", "error_code": "overloaded", "duration": 30000}
    }
    /// A provider limited the rate of calls
    CoderRateLimited = "coder.rate_limited" also ["coder.rate_limit", "rate_limit", "rate_limited", "provider_rate_limit"] {
        needs { provider: String }
        may {
            coder_id: String,
            model: String,
            error_code: String,
            /// Milliseconds to wait.
            retry_after: u64,
        }
        role coder().why_at(&["/error_code"]).alerts(AlertKind::RateLimit);
        example {"coder_id": "coder-1", "provider": "acme", "model": "large-2", "error_code": "429", "retry_after": 20000}
    }
    /// The resources that a coder uses at present
    CoderResourceUsage = "coder.resource_usage" also ["coder.resource.usage", "resource_usage"] {
        may {
            coder_id: String,
            memory_mb: f64,
            /// Percent of one CPU.
            cpu_percent: f64,
            disk_mb: f64,
            /// Bytes since the coder began.
            network_bytes: u64,
            /// Files in the workspace.
            file_count: u64,
        }
        role coder()
            .figure(MemoryMb, Gauge, &["/memory_mb"])
            .figure(CpuPercent, Gauge, &["/cpu_percent"])
            .figure(DiskMb, Gauge, &["/disk_mb"])
            .figure(NetworkBytes, Total, &["/network_bytes"])
            .figure(Files, Gauge, &["/file_count"]);
        example {"coder_id": "coder-1", "memory_mb": 412.5, "cpu_percent": 87.0, "disk_mb": 1300.0, "network_bytes": 482113, "file_count": 212}
    }
    /// A coder reached the limit of a resource
    CoderResourceLimit = "coder.resource_limit" also ["coder.resource.limit", "resource_limit", "resource_limit_exceeded"] {
        may {
            coder_id: String,
            /// `memory`, `cpu`, `disk`, `network`, `files`.
            resource: String,
            /// The limit, in the unit of the resource.
            limit: f64,
            /// The amount in use.
            current: f64,
            reason: String,
            memory_mb: f64,
            cpu_percent: f64,
            disk_mb: f64,
            network_bytes: u64,
            file_count: u64,
        }
        role coder()
            .why_at(&["/reason", "/resource"])
            .figure(MemoryMb, Gauge, &["/memory_mb"])
            .figure(CpuPercent, Gauge, &["/cpu_percent"])
            .figure(DiskMb, Gauge, &["/disk_mb"])
            .figure(NetworkBytes, Total, &["/network_bytes"])
            .figure(Files, Gauge, &["/file_count"])
            .alerts(AlertKind::ResourceLimit);
        example {"coder_id": "coder-1", "resource": "memory", "limit": 512.0, "current": 508.0, "memory_mb": 508.0}
    }
}
