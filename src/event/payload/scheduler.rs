//! Scheduled jobs and timers.

use serde_json::Value;

use super::words::*;

fn stage_of() -> Role {
    about("scheduler", &["/job_id"]).called(&["/name"])
}
fn timer() -> Role {
    about("timer", &["/timer_id", "/timerStartedEventAttributes/timerId"]).called(&["/name"])
}

types! { "scheduler";
    /// A scheduled job began
    SchedulerStart = "scheduler.start" also ["scheduler.started"] {
        may {
            job_id: String, name: String, schedule: String,
            /// Who did it.
            by: String,
        }
        role stage_of().to(Running).by(&["/by"]);
        example {"job_id": "job-1", "schedule": "every hour"}
    }
    /// Progress of a scheduled job
    SchedulerProgress = "scheduler.progress" {
        may {
            job_id: String, name: String, schedule: String,
            /// Percent, 0 to 100.
            progress: f64,
            stage: String, description: String,
            /// How many are done.
            done: u64,
            /// Out of how many.
            total: u64,
        }
        role stage_of().advances(progress());
        example {"job_id": "job-1", "schedule": "every hour", "progress": 40.0, "stage": "second of three"}
    }
    /// A scheduled job completed
    SchedulerComplete = "scheduler.complete" also ["scheduler.completed"] {
        may {
            job_id: String, name: String, schedule: String,
            /// What was returned.
            result: Value,
            /// Milliseconds.
            duration_ms: u64,
        }
        role stage_of().to(Completed);
        example {"job_id": "job-1", "schedule": "every hour", "duration_ms": 5200}
    }
    /// A scheduled job failed
    SchedulerFail = "scheduler.fail" also ["scheduler.failed", "scheduler.errored"] {
        may {
            job_id: String, name: String, schedule: String,
            /// What went wrong, as text or as an object.
            error: Value,
            reason: String,
        }
        role stage_of().to(Failed).why_at(&["/reason"]).erred();
        example {"job_id": "job-1", "schedule": "every hour", "error": "the disk is full"}
    }
    /// A timer was set
    SchedulerTimerStarted = "scheduler.timer_started" also ["timer_set"] {
        may {
            timer_id: String, name: String,
            /// Milliseconds.
            delay_ms: u64,
            due: String,
        }
        role timer().to(Waiting);
        example {"timer_id": "tm-1", "delay_ms": 60000}
    }
    /// A timer fired
    SchedulerTimerFired = "scheduler.timer_fired" {
        may { timer_id: String, name: String }
        role timer().to(Completed);
        example {"timer_id": "tm-1"}
    }
    /// A timer was cancelled
    SchedulerTimerCancelled = "scheduler.timer_cancelled" also ["scheduler.timer_canceled"] {
        may { timer_id: String, name: String, reason: String }
        role timer().to(Cancelled).why();
        example {"timer_id": "tm-1"}
    }
}
