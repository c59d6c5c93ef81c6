//! Workflows, and the tasks, signals and children inside them.

use serde_json::Value;

use super::words::*;

fn stage_of() -> Role {
    about("workflow", &["/workflow_id"]).called(&["/name"])
}
/// A decision that the workflow's own code is asked for. They follow each other, so one name does for all.
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
    /// How far a workflow has come
    WorkflowProgress = "workflow.progress" {
        may {
            workflow_id: String, name: String, kind: String,
            /// Percent, 0 to 100.
            progress: f64,
            stage: String, description: String,
            /// How many are done.
            done: u64,
            /// Of how many.
            total: u64,
        }
        role stage_of().advances(progress());
        example {"workflow_id": "wf-1", "name": "nightly", "progress": 40.0, "stage": "second of three"}
    }
    /// A workflow ended well
    WorkflowComplete = "workflow.complete" also ["workflow.completed"] {
        may {
            workflow_id: String, name: String, kind: String,
            /// What came back.
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
    /// A workflow was told something
    WorkflowSignaled = "workflow.signaled" also ["workflow.signalled", "external_signal"] {
        may { workflow_id: String, name: String, signal: String, input: Value }
        role plain();
        example {"workflow_id": "wf-1", "signal": "go on"}
    }
    /// A workflow took a request to change something
    WorkflowUpdateAccepted = "workflow.update_accepted" {
        may { workflow_id: String, update_id: String, input: Value }
        role about("update", &["/update_id", "/workflowExecutionUpdateAcceptedEventAttributes/protocolInstanceId"]).to(Running);
        example {"workflow_id": "wf-1", "update_id": "u-1"}
    }
    /// A workflow refused a request to change something
    WorkflowUpdateRejected = "workflow.update_rejected" {
        may { workflow_id: String, update_id: String, reason: String }
        role about("update", &["/update_id", "/workflowExecutionUpdateRejectedEventAttributes/protocolInstanceId"]).to(Failed).why();
        example {"workflow_id": "wf-1", "update_id": "u-1", "reason": "not now"}
    }
    /// A workflow did what it was requested
    WorkflowUpdateCompleted = "workflow.update_completed" {
        may {
            workflow_id: String, update_id: String,
            /// What came back.
            result: Value,
        }
        role about("update", &["/update_id", "/workflowExecutionUpdateCompletedEventAttributes/meta/updateId"]).to(Completed);
        example {"workflow_id": "wf-1", "update_id": "u-1"}
    }
    /// The workflow's code is asked what comes next
    WorkflowTaskScheduled = "workflow.task_scheduled" {
        may {
            workflow_task_id: String,
            /// From 1.
            attempt: u64,
        }
        role turn().to(Created);
        example {"workflow_task_id": "2"}
    }
    /// A worker took up the question what comes next
    WorkflowTaskStarted = "workflow.task_started" {
        may { workflow_task_id: String, worker: String }
        role turn().to(Running);
        example {"workflow_task_id": "2", "worker": "w-1"}
    }
    /// A worker said what comes next
    WorkflowTaskCompleted = "workflow.task_completed" {
        may { workflow_task_id: String, worker: String }
        role turn().to(Completed);
        example {"workflow_task_id": "2", "worker": "w-1"}
    }
    /// No worker said in time what comes next
    WorkflowTaskTimedOut = "workflow.task_timed_out" {
        may {
            workflow_task_id: String,
            /// Milliseconds.
            timeout_ms: u64,
        }
        role turn().to(Failed).erred();
        example {"workflow_task_id": "2", "timeout_ms": 10000}
    }
    /// A worker failed to say what comes next
    WorkflowTaskFailed = "workflow.task_failed" {
        may {
            workflow_task_id: String,
            /// What went wrong, as text or as an object.
            error: Value,
        }
        role turn().to(Failed).erred_at(&["/error", "/workflowTaskFailedEventAttributes/failure/message", "/workflowTaskFailedEventAttributes/cause"]);
        example {"workflow_task_id": "2", "error": "the code is not deterministic"}
    }
    /// A workflow asked for another below it
    WorkflowChildInitiated = "workflow.child_initiated" {
        may { child_id: String, name: String, input: Value }
        role child().to(Created);
        example {"child_id": "kid", "name": "fetch"}
    }
    /// A workflow below another could not be started
    WorkflowChildRefused = "workflow.child_refused" {
        may { child_id: String, name: String, reason: String }
        role child().to(Failed).erred_at(&["/reason", "/startChildWorkflowExecutionFailedEventAttributes/cause"]);
        example {"child_id": "kid", "reason": "there is one of that name"}
    }
    /// A workflow below another began
    WorkflowChildStarted = "workflow.child_started" {
        may { child_id: String, name: String }
        role child().to(Running);
        example {"child_id": "kid", "name": "fetch"}
    }
    /// A workflow below another reached its goal
    WorkflowChildCompleted = "workflow.child_completed" {
        may {
            child_id: String,
            /// What came back.
            result: Value,
        }
        role child().to(Completed);
        example {"child_id": "kid"}
    }
    /// A workflow below another failed
    WorkflowChildFailed = "workflow.child_failed" {
        may {
            child_id: String,
            /// What went wrong, as text or as an object.
            error: Value,
        }
        role child().to(Failed).why_at(&["/reason", "/childWorkflowExecutionFailedEventAttributes/retryState"]).erred_at(&["/error", "/childWorkflowExecutionFailedEventAttributes/failure/cause/message", "/childWorkflowExecutionFailedEventAttributes/failure/message"]);
        example {"child_id": "kid", "error": "no answer"}
    }
    /// A workflow below another took too long
    WorkflowChildTimedOut = "workflow.child_timed_out" {
        may {
            child_id: String,
            /// Milliseconds.
            timeout_ms: u64,
        }
        role child().to(Failed).erred();
        example {"child_id": "kid", "timeout_ms": 60000}
    }
    /// A workflow below another was called off
    WorkflowChildCancelled = "workflow.child_cancelled" also ["workflow.child_canceled"] {
        may { child_id: String, reason: String }
        role child().to(Cancelled).why();
        example {"child_id": "kid"}
    }
    /// A workflow below another was stopped from outside
    WorkflowChildTerminated = "workflow.child_terminated" {
        may { child_id: String, reason: String }
        role child().to(Stopped).why();
        example {"child_id": "kid", "reason": "by hand"}
    }
    /// A workflow tells another something
    WorkflowSignalSent = "workflow.signal_sent" {
        may { target_id: String, signal: String, input: Value }
        role plain();
        example {"target_id": "wf-2", "signal": "go on"}
    }
    /// Another workflow was told something
    WorkflowSignalDelivered = "workflow.signal_delivered" {
        may { target_id: String, signal: String }
        role plain();
        example {"target_id": "wf-2", "signal": "go on"}
    }
    /// Another workflow could not be told something
    WorkflowSignalFailed = "workflow.signal_failed" {
        may {
            target_id: String, signal: String,
            /// What went wrong, as text or as an object.
            error: Value,
        }
        role plain().erred();
        example {"target_id": "wf-2", "signal": "go on", "error": "there is none"}
    }
    /// A workflow asks another to stop
    WorkflowCancelSent = "workflow.cancel_sent" {
        may { target_id: String, reason: String }
        role plain().why();
        example {"target_id": "wf-2"}
    }
    /// Another workflow was asked to stop
    WorkflowCancelDelivered = "workflow.cancel_delivered" {
        may { target_id: String }
        role plain();
        example {"target_id": "wf-2"}
    }
    /// Another workflow could not be asked to stop
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
