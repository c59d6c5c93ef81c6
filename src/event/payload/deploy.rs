//! Deployments.

use serde_json::Value;

use super::words::*;

fn stage_of() -> Role {
    about("deploy", &["/deploy_id"]).called(&["/name", "/environment"])
}

types! { "deploy";
    /// A deployment began
    DeployStart = "deploy.start" also ["deploy.started"] {
        may {
            deploy_id: String, name: String, environment: String, version: String,
            /// Who did it.
            by: String,
        }
        role stage_of().to(Running).by(&["/by"]);
        example {"deploy_id": "dp-3", "environment": "staging"}
    }
    /// Progress of a deployment
    DeployProgress = "deploy.progress" {
        may {
            deploy_id: String, name: String, environment: String, version: String,
            /// Percent, 0 to 100.
            progress: f64,
            stage: String, description: String,
            /// How many are done.
            done: u64,
            /// Out of how many.
            total: u64,
        }
        role stage_of().advances(progress());
        example {"deploy_id": "dp-3", "environment": "staging", "progress": 40.0, "stage": "second of three"}
    }
    /// A deployment completed
    DeployComplete = "deploy.complete" also ["deploy.completed"] {
        may {
            deploy_id: String, name: String, environment: String, version: String,
            /// What was returned.
            result: Value,
            /// Milliseconds.
            duration_ms: u64,
        }
        role stage_of().to(Completed);
        example {"deploy_id": "dp-3", "environment": "staging", "duration_ms": 5200}
    }
    /// A deployment failed
    DeployFail = "deploy.fail" also ["deploy.failed", "deploy.errored"] {
        may {
            deploy_id: String, name: String, environment: String, version: String,
            /// What went wrong, as text or as an object.
            error: Value,
            reason: String,
        }
        role stage_of().to(Failed).why_at(&["/reason"]).erred();
        example {"deploy_id": "dp-3", "environment": "staging", "error": "the disk is full"}
    }
}
