//! Analyses of code or data.

use serde_json::Value;

use super::words::*;

fn stage_of() -> Role {
    about("analysis", &["/analysis_id"]).called(&["/name", "/target"])
}

types! { "analysis";
    /// An analysis began
    AnalysisStart = "analysis.start" also ["analysis.started"] {
        may {
            analysis_id: String, name: String, target: String, kind: String,
            /// Who did it.
            by: String,
        }
        role stage_of().to(Running).by(&["/by"]);
        example {"analysis_id": "an-1", "target": "src/"}
    }
    /// Progress of an analysis
    AnalysisProgress = "analysis.progress" {
        may {
            analysis_id: String, name: String, target: String, kind: String,
            /// Percent, 0 to 100.
            progress: f64,
            stage: String, description: String,
            /// How many are done.
            done: u64,
            /// Out of how many.
            total: u64,
        }
        role stage_of().advances(progress());
        example {"analysis_id": "an-1", "target": "src/", "progress": 40.0, "stage": "second of three"}
    }
    /// An analysis completed
    AnalysisComplete = "analysis.complete" also ["analysis.completed"] {
        may {
            analysis_id: String, name: String, target: String, kind: String,
            /// What was returned.
            result: Value,
            /// Milliseconds.
            duration_ms: u64,
        }
        role stage_of().to(Completed);
        example {"analysis_id": "an-1", "target": "src/", "duration_ms": 5200}
    }
    /// An analysis failed
    AnalysisFail = "analysis.fail" also ["analysis.failed", "analysis.errored"] {
        may {
            analysis_id: String, name: String, target: String, kind: String,
            /// What went wrong, as text or as an object.
            error: Value,
            reason: String,
        }
        role stage_of().to(Failed).why_at(&["/reason"]).erred();
        example {"analysis_id": "an-1", "target": "src/", "error": "the disk is full"}
    }
}
