//! Workflows, and the tasks, signals and children inside them.

use serde_json::Value;

use super::words::*;

fn stage_of() -> Role {
    about("workflow", &["/workflow_id"]).called(&["/name"])
}
/// A decision that the workflow's own code is asked for. One follows another, so one name is enough.
fn turn() -> Role {
    about("workflow_task", &["/workflow_task_id"])
}

fn child() -> Role {
    about("workflow", &["/child_id", "/startChildWorkflowExecutionInitiatedEventAttributes/workflowId"])
        .called(&[
            "/name",
            "/startChildWorkflowExecutionInitiatedEventAttributes/workflowType/name",
            "/childWorkflowExecutionStartedEventAttributes/workflowType/name",
        ])
}

types! { "workflow";
    /// A workflow began
    WorkflowStart = "workflow.start" also ["workflow.started"] {
        may {
            workflow_id: String, name: String, kind: String,
            /// Who did it.
            by: String,
        }
        role stage_of().to(Running).by(&["/by"]);
        example {"workflow_id": "wf-1", "name": "nightly"}
    }
    /// Progress of a workflow
    WorkflowProgress = "workflow.progress" {
        may {
            workflow_id: String, name: String, kind: String,
            /// Percent, 0 to 100.
            progress: f64,
            stage: String, description: String,
            /// How many are done.
            done: u64,
            /// Out of how many.
            total: u64,
        }
        role stage_of().advances(progress());
        example {"workflow_id": "wf-1", "name": "nightly", "progress": 40.0, "stage": "second of three"}
    }
    /// A workflow completed
    WorkflowComplete = "workflow.complete" also ["workflow.completed"] {
        may {
            workflow_id: String, name: String, kind: String,
            /// What was returned.
            result: Value,
            /// Milliseconds.
            duration_ms: u64,
        }
        role stage_of().to(Completed);
        example {"workflow_id": "wf-1", "name": "nightly", "duration_ms": 5200}
    }
    /// A workflow failed
    WorkflowFailed = "workflow.failed" also ["workflow.fail", "workflow.errored"] {
        may {
            workflow_id: String, name: String, kind: String,
            /// What went wrong, as text or as an object.
            error: Value,
            reason: String,
        }
        role stage_of().to(Failed).why_at(&["/reason"]).erred();
        example {"workflow_id": "wf-1", "name": "nightly", "error": "the disk is full"}
    }
    /// A workflow received a signal
    WorkflowSignaled = "workflow.signaled" also ["workflow.signalled", "external_signal"] {
        may { workflow_id: String, name: String, signal: String, input: Value }
        role plain();
        example {"workflow_id": "wf-1", "signal": "go on"}
    }
    /// A workflow accepted an update
    WorkflowUpdateAccepted = "workflow.update_accepted" {
        may { workflow_id: String, update_id: String, input: Value }
        role about("update", &["/update_id", "/workflowExecutionUpdateAcceptedEventAttributes/protocolInstanceId"]).to(Running);
        example {"workflow_id": "wf-1", "update_id": "u-1"}
    }
    /// A workflow rejected an update
    WorkflowUpdateRejected = "workflow.update_rejected" {
        may { workflow_id: String, update_id: String, reason: String }
        role about("update", &["/update_id", "/workflowExecutionUpdateRejectedEventAttributes/protocolInstanceId"]).to(Failed).why();
        example {"workflow_id": "wf-1", "update_id": "u-1", "reason": "not now"}
    }
    /// A workflow completed an update
    WorkflowUpdateCompleted = "workflow.update_completed" {
        may {
            workflow_id: String, update_id: String,
            /// What was returned.
            result: Value,
        }
        role about("update", &["/update_id", "/workflowExecutionUpdateCompletedEventAttributes/meta/updateId"]).to(Completed);
        example {"workflow_id": "wf-1", "update_id": "u-1"}
    }
    /// A workflow task was scheduled
    WorkflowTaskScheduled = "workflow.task_scheduled" {
        may {
            workflow_task_id: String,
            /// Counted from 1.
            attempt: u64,
        }
        role turn().to(Created);
        example {"workflow_task_id": "2"}
    }
    /// A worker began a workflow task
    WorkflowTaskStarted = "workflow.task_started" {
        may { workflow_task_id: String, worker: String }
        role turn().to(Running);
        example {"workflow_task_id": "2", "worker": "w-1"}
    }
    /// A worker completed a workflow task
    WorkflowTaskCompleted = "workflow.task_completed" {
        may { workflow_task_id: String, worker: String }
        role turn().to(Completed);
        example {"workflow_task_id": "2", "worker": "w-1"}
    }
    /// A workflow task timed out
    WorkflowTaskTimedOut = "workflow.task_timed_out" {
        may {
            workflow_task_id: String,
            /// Milliseconds.
            timeout_ms: u64,
        }
        role turn().to(Failed).erred();
        example {"workflow_task_id": "2", "timeout_ms": 10000}
    }
    /// A workflow task failed
    WorkflowTaskFailed = "workflow.task_failed" {
        may {
            workflow_task_id: String,
            /// What went wrong, as text or as an object.
            error: Value,
        }
        role turn().to(Failed).erred_at(&["/error", "/workflowTaskFailedEventAttributes/failure/message", "/workflowTaskFailedEventAttributes/cause"]);
        example {"workflow_task_id": "2", "error": "the code is not deterministic"}
    }
    /// A workflow requested a child workflow
    WorkflowChildInitiated = "workflow.child_initiated" {
        may { child_id: String, name: String, input: Value }
        role child().to(Created);
        example {"child_id": "kid", "name": "fetch"}
    }
    /// A child workflow could not be started
    WorkflowChildRefused = "workflow.child_refused" {
        may { child_id: String, name: String, reason: String }
        role child().to(Failed).erred_at(&["/reason", "/startChildWorkflowExecutionFailedEventAttributes/cause"]);
        example {"child_id": "kid", "reason": "there is one of that name"}
    }
    /// A child workflow began
    WorkflowChildStarted = "workflow.child_started" {
        may { child_id: String, name: String }
        role child().to(Running);
        example {"child_id": "kid", "name": "fetch"}
    }
    /// A child workflow completed
    WorkflowChildCompleted = "workflow.child_completed" {
        may {
            child_id: String,
            /// What was returned.
            result: Value,
        }
        role child().to(Completed);
        example {"child_id": "kid"}
    }
    /// A child workflow failed
    WorkflowChildFailed = "workflow.child_failed" {
        may {
            child_id: String,
            /// What went wrong, as text or as an object.
            error: Value,
        }
        role child().to(Failed).why_at(&["/reason", "/childWorkflowExecutionFailedEventAttributes/retryState"]).erred_at(&["/error", "/childWorkflowExecutionFailedEventAttributes/failure/cause/message", "/childWorkflowExecutionFailedEventAttributes/failure/message"]);
        example {"child_id": "kid", "error": "no answer"}
    }
    /// A child workflow timed out
    WorkflowChildTimedOut = "workflow.child_timed_out" {
        may {
            child_id: String,
            /// Milliseconds.
            timeout_ms: u64,
        }
        role child().to(Failed).erred();
        example {"child_id": "kid", "timeout_ms": 60000}
    }
    /// A child workflow was cancelled
    WorkflowChildCancelled = "workflow.child_cancelled" also ["workflow.child_canceled"] {
        may { child_id: String, reason: String }
        role child().to(Cancelled).why();
        example {"child_id": "kid"}
    }
    /// A child workflow was stopped from outside
    WorkflowChildTerminated = "workflow.child_terminated" {
        may { child_id: String, reason: String }
        role child().to(Stopped).why();
        example {"child_id": "kid", "reason": "by hand"}
    }
    /// A workflow sent a signal to another
    WorkflowSignalSent = "workflow.signal_sent" {
        may { target_id: String, signal: String, input: Value }
        role plain();
        example {"target_id": "wf-2", "signal": "go on"}
    }
    /// A signal to another workflow was delivered
    WorkflowSignalDelivered = "workflow.signal_delivered" {
        may { target_id: String, signal: String }
        role plain();
        example {"target_id": "wf-2", "signal": "go on"}
    }
    /// A signal to another workflow could not be delivered
    WorkflowSignalFailed = "workflow.signal_failed" {
        may {
            target_id: String, signal: String,
            /// What went wrong, as text or as an object.
            error: Value,
        }
        role plain().erred();
        example {"target_id": "wf-2", "signal": "go on", "error": "there is none"}
    }
    /// A workflow asked another to cancel
    WorkflowCancelSent = "workflow.cancel_sent" {
        may { target_id: String, reason: String }
        role plain().why();
        example {"target_id": "wf-2"}
    }
    /// A cancel request to another workflow was delivered
    WorkflowCancelDelivered = "workflow.cancel_delivered" {
        may { target_id: String }
        role plain();
        example {"target_id": "wf-2"}
    }
    /// A cancel request to another workflow could not be delivered
    WorkflowCancelFailed = "workflow.cancel_failed" {
        may {
            target_id: String,
            /// What went wrong, as text or as an object.
            error: Value,
        }
        role plain().erred();
        example {"target_id": "wf-2", "error": "there is none"}
    }
}
