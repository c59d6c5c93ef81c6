//! Calls of tools.

use serde_json::Value;

use super::words::*;

/// A call, identified as in our events or in the formats that are imported.
fn tool() -> Role {
    about("tool", &["/tool_call_id", "/call_id", "/invocation_id", "/kind/call_id", "/kind/tool_run_id"])
        .called(&[
            "/tool",
            "/tool_name",
            "/kind/tool_name",
            "/tool_call_metadata/function_name",
            "/activityTaskScheduledEventAttributes/activityType/name",
            "/message/content/*/name",
            "/message/toolName",
            "/toolCalls/*/name",
            "/data/toolName",
            "/payload/name",
            "/payload/invocation/tool",
            "/toolCallName",
        ])
        .by(&["/by"])
}

fn took(role: Role) -> Role {
    role.figure(DurationMs, Delta, &["/duration_ms", "/kind/duration_ms"])
}

types! { "tool";
    /// A tool was called
    ToolInvoked = "tool.invoked" also ["tool.called", "tool_call", "tool_call_requested", "tool_use"] {
        may {
            tool: String, tool_name: String, tool_call_id: String, invocation_id: String,
            /// What the tool was given.
            args: Value,
            /// What the tool was given.
            arguments: Value,
            input: Value,
            /// Counted from 1.
            attempt: u64,
        }
        role of_message(tool().to(Running))
            .says(ToolCall, &["/message/content", "/content", "/args/thought", "/thought", "/text"])
            .given(&GIVEN)
            .beside(&["/thoughts", "/reasoning_content"], &["/toolCalls"]);
        example {"tool": "grep", "tool_call_id": "c-1", "args": {"pattern": "normalize", "path": "src/"}}
    }
    /// A tool began its work
    ToolStarted = "tool.started" also ["tool_call_started"] {
        may {
            tool: String, tool_name: String, tool_call_id: String, invocation_id: String,
            /// Counted from 1.
            attempt: u64,
        }
        role tool().to(Running);
        example {"tool": "grep", "tool_call_id": "c-1"}
    }
    /// Progress or output of a tool
    ToolProgress = "tool.progress" {
        may {
            tool: String, tool_name: String, tool_call_id: String, invocation_id: String,
            /// Percent, 0 to 100.
            progress: f64,
            description: String, output: Value, line: Value,
        }
        role tool().advances(progress());
        example {"tool": "cargo", "tool_call_id": "c-2", "progress": 60.0, "description": "36 of 60 crates"}
    }
    /// A tool returned
    ToolCompleted = "tool.completed" also ["tool.finished", "tool_call_completed", "tool_result"] {
        may {
            tool: String, tool_name: String, tool_call_id: String, invocation_id: String,
            /// What was returned.
            result: Value,
            output: Value,
            /// Milliseconds.
            duration_ms: u64,
        }
        role of_message(took(tool().to(Completed))).says(ToolResult, &RETURNED).beside(&[], &["/toolCalls"]);
        example {"tool": "grep", "tool_call_id": "c-1", "result": {"hits": 3}, "duration_ms": 18}
    }
    /// A tool failed
    ToolErrored = "tool.errored" also ["tool.failed", "tool_error", "tool_call_failed"] {
        may {
            tool: String, tool_name: String, tool_call_id: String, invocation_id: String,
            /// What went wrong, as text or as an object.
            error: Value,
            /// What was returned.
            result: Value,
            exit_code: i64,
            /// Milliseconds.
            duration_ms: u64,
        }
        role of_message(took(tool().to(Failed))).erred().says(ToolResult, &RETURNED).beside(&[], &["/toolCalls"]);
        example {"tool": "cargo", "tool_call_id": "c-2", "error": "4 tests failed", "exit_code": 101}
    }
    /// A failed call of a tool is retried
    ToolRetried = "tool.retried" also ["tool_retry"] {
        may {
            tool: String, tool_name: String, tool_call_id: String, invocation_id: String,
            /// Counted from 1.
            attempt: u64,
            /// Milliseconds.
            delay_ms: u64,
            reason: String,
        }
        role tool().to(Running).why();
        example {"tool": "cargo", "tool_call_id": "c-2", "attempt": 2, "reason": "the lock was taken"}
    }
    /// A call of a tool timed out
    ToolTimedOut = "tool.timed_out" also ["tool_timeout"] {
        may {
            tool: String, tool_name: String, tool_call_id: String, invocation_id: String,
            /// Milliseconds.
            timeout_ms: u64,
        }
        role tool().to(Failed).why_at(&["/activityTaskTimedOutEventAttributes/failure/message"]).erred_at(&["/error", "/activityTaskTimedOutEventAttributes/failure/message"]);
        example {"tool": "cargo", "tool_call_id": "c-2", "timeout_ms": 600000}
    }
    /// A call of a tool was cancelled
    ToolCancelled = "tool.cancelled" also ["tool.canceled"] {
        may { tool: String, tool_name: String, tool_call_id: String, invocation_id: String, reason: String }
        role tool().to(Cancelled).why();
        example {"tool": "cargo", "tool_call_id": "c-2", "reason": "the run was stopped"}
    }
    /// Cancellation of a call of a tool was requested
    ToolCancelRequested = "tool.cancel_requested" {
        may { tool: String, tool_name: String, tool_call_id: String, invocation_id: String, reason: String }
        role tool().why();
        example {"tool": "cargo", "tool_call_id": "c-2", "reason": "it takes too long"}
    }
}
