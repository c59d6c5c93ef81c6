//! Errors without a type of their own.

use serde_json::Value;

use super::words::*;

types! { "error";
    /// An error occurred
    ErrorRaised = "error.raised" also ["error_occurred", "api_error_raised"] {
        may {
            message: Value,
            /// What went wrong, as text or as an object.
            error: Value,
            code: Value, details: Value, component: String,
        }
        role plain().erred_at(&["/error/message", "/error/error/message", "/error/error/error/message", "/error", "/message", "/detail", "/kind/message", "/content", "/code"]);
        example {"message": "the connection was lost", "code": "ECONNRESET"}
    }
}
