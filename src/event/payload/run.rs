//! One run of an agent or a job, which a session usually is.

use serde_json::Value;

use super::words::*;

fn run() -> Role {
    whole("run", &["/run_id", "/kind/run_id", "/runId"]).called(&[
        "/goal",
        "/name",
        "/workflowExecutionStartedEventAttributes/workflowType/name",
    ])
}

/// The usage of a whole run, of which what its messages and calls reported is not counted twice.
fn used(role: Role) -> Role {
    role.figure(
        InputTokens,
        Sum,
        &["/input_tokens", "/usage/input_tokens", "/kind/usage/prompt_tokens", "/usage/*/inputTokens"],
    )
    .figure(
        OutputTokens,
        Sum,
        &["/output_tokens", "/usage/output_tokens", "/kind/usage/completion_tokens", "/usage/*/outputTokens"],
    )
    .figure(Tokens, Sum, &["/tokens", "/usage/tokens"])
    .unless(&["/input_tokens", "/usage/input_tokens"])
    .figure(CostUsd, Sum, &["/cost_usd", "/total_cost_usd"])
    .models(&["/provider", "/usage/*/provider"], &["/model", "/usage/*/model"])
}

types! { "run";
    /// A run began
    RunStarted = "run.started" also ["run_start"] {
        may { run_id: String, name: String, goal: String, input: Value, provider: String, model: String }
        role run().to(Running);
        example {"run_id": "r-1", "goal": "make the login tests pass"}
    }
    /// Progress of a run
    RunProgress = "run.progress" {
        may {
            run_id: String,
            /// Percent, 0 to 100.
            progress: f64,
            stage: String, milestone: String, description: String,
            /// How many are done.
            done: u64,
            /// Out of how many.
            total: u64,
        }
        role run().advances(progress());
        example {"run_id": "r-1", "progress": 50.0, "stage": "tests"}
    }
    /// A run was paused
    RunPaused = "run.paused" {
        may {
            run_id: String, reason: String,
            /// Who did it.
            by: String,
        }
        role run().to(Paused).why().by(&["/by"]);
        example {"run_id": "r-1", "reason": "lunch"}
    }
    /// A run resumed
    RunResumed = "run.resumed" {
        may {
            run_id: String, reason: String, after: u64,
            /// Who did it.
            by: String,
        }
        role run().to(Running).why().by(&["/by"]);
        example {"run_id": "r-1", "after": 12}
    }
    /// A run reached its goal
    RunCompleted = "run.completed" also ["run_finished"] {
        may {
            run_id: String, reason: String,
            /// What was returned.
            result: Value,
            /// Milliseconds.
            duration_ms: u64,
            /// Usage as reported by the provider.
            usage: Value,
            /// Tokens that the model read.
            input_tokens: u64,
            /// Tokens that the model wrote.
            output_tokens: u64,
            /// All tokens, read and written.
            tokens: u64,
            /// US dollars.
            cost_usd: f64,
            provider: String, model: String,
        }
        role of_message(used(run().to(Completed).why_at(&["/reason", "/kind/reason"])));
        example {"run_id": "r-1", "result": "merged", "duration_ms": 401000, "tokens": 17900}
    }
    /// A run failed
    RunFailed = "run.failed" also ["run_errored", "run_error"] {
        may {
            run_id: String,
            /// What went wrong, as text or as an object.
            error: Value,
            reason: String, code: String,
            /// Milliseconds.
            duration_ms: u64,
            /// Usage as reported by the provider.
            usage: Value,
            /// Tokens that the model read.
            input_tokens: u64,
            /// Tokens that the model wrote.
            output_tokens: u64,
            /// All tokens, read and written.
            tokens: u64,
            /// US dollars.
            cost_usd: f64,
            provider: String, model: String,
        }
        role used(run().to(Failed).why()).erred_at(&["/error", "/error/message", "/kind/error", "/reason", "/message", "/workflowExecutionFailedEventAttributes/failure/cause/message", "/workflowExecutionFailedEventAttributes/failure/message"]);
        example {"run_id": "r-1", "reason": "no step forward in two tries", "tokens": 48200}
    }
    /// A run timed out
    RunTimedOut = "run.timed_out" also ["run_timeout"] {
        may {
            run_id: String,
            /// Milliseconds.
            timeout_ms: u64,
            reason: String,
        }
        role run().to(Failed).why().erred();
        example {"run_id": "r-1", "timeout_ms": 600000}
    }
    /// A run was cancelled
    RunCancelled = "run.cancelled" also ["run.canceled"] {
        may {
            run_id: String, reason: String,
            /// Who did it.
            by: String,
        }
        role run().to(Cancelled).why().by(&["/by"]);
        example {"run_id": "r-1", "reason": "a duplicate", "by": "mara"}
    }
    /// Cancellation of a run was requested
    RunCancelRequested = "run.cancel_requested" {
        may {
            run_id: String, reason: String,
            /// Who did it.
            by: String,
        }
        role run().why_at(&["/reason", "/workflowExecutionCancelRequestedEventAttributes/cause"]).by(&["/by", "/workflowExecutionCancelRequestedEventAttributes/identity"]);
        example {"run_id": "r-1", "by": "mara"}
    }
    /// A run was stopped from outside
    RunTerminated = "run.terminated" also ["run.stopped", "run_aborted"] {
        may {
            run_id: String, reason: String,
            /// Who did it.
            by: String,
        }
        role run().to(Stopped).why_at(&["/reason", "/workflowExecutionTerminatedEventAttributes/reason"]).by(&["/by", "/workflowExecutionTerminatedEventAttributes/identity"]);
        example {"run_id": "r-1", "reason": "by hand"}
    }
    /// A run ended and continues as another
    RunContinued = "run.continued" also ["run.continued_as_new"] {
        may { run_id: String, next_run_id: String, reason: String }
        role run().to(Completed).why();
        example {"run_id": "r-1", "next_run_id": "r-2"}
    }
    /// A run entered another phase of its loop
    RunPhaseEntered = "run.phase_entered" also ["phase_entered"] {
        may { run_id: String, phase: String }
        role run().advances(stage(&["/phase", "/kind/phase"]));
        example {"run_id": "r-1", "phase": "deliberate"}
    }
}
