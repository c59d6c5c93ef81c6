//! Monitoring: its runs, measurements, and alerts.

use serde_json::Value;

use super::words::*;

fn stage_of() -> Role {
    about("monitoring", &["/monitor_id"]).called(&["/name", "/target"])
}
fn alert() -> Role {
    about("alert", &["/alert_id", "/rule"]).called(&["/rule", "/name"])
}

types! { "monitoring";
    /// Monitoring began
    MonitoringStart = "monitoring.start" also ["monitoring.started"] {
        may {
            monitor_id: String, name: String, target: String,
            /// Who did it.
            by: String,
        }
        role stage_of().to(Running).by(&["/by"]);
        example {"monitor_id": "mon-1", "target": "api"}
    }
    /// Progress of monitoring
    MonitoringProgress = "monitoring.progress" {
        may {
            monitor_id: String, name: String, target: String,
            /// Percent, 0 to 100.
            progress: f64,
            stage: String, description: String,
            /// How many are done.
            done: u64,
            /// Out of how many.
            total: u64,
        }
        role stage_of().advances(progress());
        example {"monitor_id": "mon-1", "target": "api", "progress": 40.0, "stage": "second of three"}
    }
    /// Monitoring completed
    MonitoringComplete = "monitoring.complete" also ["monitoring.completed"] {
        may {
            monitor_id: String, name: String, target: String,
            /// What was returned.
            result: Value,
            /// Milliseconds.
            duration_ms: u64,
        }
        role stage_of().to(Completed);
        example {"monitor_id": "mon-1", "target": "api", "duration_ms": 5200}
    }
    /// Monitoring failed
    MonitoringFail = "monitoring.fail" also ["monitoring.failed", "monitoring.errored"] {
        may {
            monitor_id: String, name: String, target: String,
            /// What went wrong, as text or as an object.
            error: Value,
            reason: String,
        }
        role stage_of().to(Failed).why_at(&["/reason"]).erred();
        example {"monitor_id": "mon-1", "target": "api", "error": "the disk is full"}
    }
    /// Something was measured
    MetricUpdate = "metric.update" also ["metric.updated", "metric_recorded"] {
        needs { name: String, value: f64 }
        may { unit: String, labels: Value, target: String }
        role plain();
        example {"name": "queue.length", "value": 17.0, "unit": "items"}
    }
    /// A monitoring rule raised an alert
    AlertTriggered = "alert.triggered" also ["alert_raised"] {
        may {
            alert_id: String, rule: String, name: String, severity: String, message: String,
            entity_kind: String, entity_id: String, value: f64, threshold: f64,
        }
        role alert().to(Running).why();
        example {"alert_id": "al-1", "rule": "queue is long", "severity": "warning", "value": 170.0, "threshold": 100.0}
    }
    /// The cause of an alert was resolved
    AlertResolved = "alert.resolved" also ["alert_cleared"] {
        may {
            alert_id: String, rule: String, name: String, message: String, entity_kind: String,
            entity_id: String,
        }
        role alert().to(Completed).why();
        example {"alert_id": "al-1", "rule": "queue is long"}
    }
    /// Alert: the same thing failed several times in a short time
    AlertRepeatedFailure = "alert.repeated_failure" {
        may {
            alert_id: String, rule: String, severity: String, message: String, entity_kind: String,
            entity_id: String, count: u64, window_ms: u64,
        }
        role alert().why();
        example {"rule": "repeated_failure", "entity_kind": "tool", "entity_id": "c-2", "count": 3, "window_ms": 600000}
    }
    /// Alert: a provider limits the rate of calls
    AlertRateLimit = "alert.rate_limit" {
        may {
            alert_id: String, rule: String, severity: String, message: String, entity_kind: String,
            entity_id: String, count: u64,
        }
        role alert().why();
        example {"rule": "rate_limit", "message": "acme answers 429"}
    }
    /// Alert: a resource is at its limit
    AlertResourceLimit = "alert.resource_limit" {
        may {
            alert_id: String, rule: String, severity: String, message: String, entity_kind: String,
            entity_id: String, value: f64, threshold: f64,
        }
        role alert().why();
        example {"rule": "resource_limit", "message": "memory: 508 of 512 MB"}
    }
    /// Alert: a budget is nearly used up
    AlertBudgetWarning = "alert.budget_warning" {
        may {
            alert_id: String, rule: String, severity: String, message: String, entity_kind: String,
            entity_id: String, value: f64, threshold: f64,
        }
        role alert().why();
        example {"rule": "budget_warning", "value": 81000.0, "threshold": 100000.0}
    }
    /// Alert: a budget was exceeded
    AlertBudgetExceeded = "alert.budget_exceeded" {
        may {
            alert_id: String, rule: String, severity: String, message: String, entity_kind: String,
            entity_id: String, value: f64, threshold: f64,
        }
        role alert().why();
        example {"rule": "budget_exceeded", "value": 100210.0, "threshold": 100000.0}
    }
    /// Alert: an invariant was violated
    AlertViolation = "alert.violation" {
        may {
            alert_id: String, rule: String, severity: String, message: String, entity_kind: String,
            entity_id: String,
        }
        role alert().why();
        example {"rule": "violation", "entity_kind": "invariant", "entity_id": "i-1"}
    }
    /// Alert: a person is needed
    AlertEscalation = "alert.escalation" {
        may {
            alert_id: String, rule: String, severity: String, message: String, entity_kind: String,
            entity_id: String,
        }
        role alert().why();
        example {"rule": "escalation", "entity_kind": "actor", "entity_id": "reviewer"}
    }
    /// Alert: nothing has happened for a while, though something is running
    AlertStalled = "alert.stalled" {
        may {
            alert_id: String, rule: String, severity: String, message: String, entity_kind: String,
            entity_id: String, window_ms: u64,
        }
        role alert().why();
        example {"rule": "stalled", "message": "no event for 15 minutes", "window_ms": 900000}
    }
}
