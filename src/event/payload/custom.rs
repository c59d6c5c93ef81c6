//! Events without a type of their own.

use serde_json::Value;

use super::words::*;

types! { "custom";
    /// Something that has no type of its own
    Custom = "custom" also ["custom.event"] {
        may { name: String, value: Value, data: Value }
        role plain();
        example {"name": "coffee", "value": 2}
    }
}
