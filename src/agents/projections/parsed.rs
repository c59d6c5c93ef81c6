//! The payload that this thread parsed last, so that projections that look at the same event parse it once.

use std::cell::RefCell;
use std::sync::Arc;

use bytes::Bytes;
use serde_json::Value;

use crate::event::Event;
use crate::limits::MAX_SHARED_PAYLOAD_BYTES;

thread_local! {
    static LAST: RefCell<Option<(Bytes, Arc<Value>)>> = const { RefCell::new(None) };
}

/// The payload as JSON; null if it is not JSON.
pub(super) fn parsed(event: &Event) -> Arc<Value> {
    let payload = event.payload();
    // The bytes are held, so that nothing else can be at their address: the same address means the same payload.
    let same = |bytes: &Bytes| std::ptr::eq(bytes.as_ptr(), payload.as_ptr()) && bytes.len() == payload.len();
    LAST.with_borrow_mut(|last| match last {
        Some((bytes, value)) if same(bytes) => value.clone(),
        _ => {
            let value = Arc::new(serde_json::from_slice(payload).unwrap_or_default());
            // A large payload is not held until the next event comes.
            let kept = payload.len() <= MAX_SHARED_PAYLOAD_BYTES;
            *last = kept.then(|| (event.payload_bytes(), Arc::clone(&value)));
            value
        }
    })
}

#[cfg(test)]
mod tests {
    use super::super::testing::recorded;
    use super::*;
    use crate::event::NewEvent;

    #[test]
    fn a_payload_is_read_once_and_another_one_anew() {
        let event = |n: u64| recorded("s@1", &NewEvent::new("a.b").data(serde_json::json!({ "n": n })));
        let (one, two) = (event(1), event(2));
        let first = parsed(&one);
        assert!(Arc::ptr_eq(&first, &parsed(&one.clone())));
        assert_eq!(parsed(&two)["n"], 2);
        let again = parsed(&one);
        assert_eq!(first, again);
        assert!(!Arc::ptr_eq(&first, &again), "only the last is kept");
    }

    #[test]
    fn what_is_large_or_no_json_is_read_and_not_kept_wrongly() {
        let large = recorded("s@1", &NewEvent::new("a.b").data("x".repeat(MAX_SHARED_PAYLOAD_BYTES).into()));
        assert!(!Arc::ptr_eq(&parsed(&large), &parsed(&large)));
        let bytes = recorded("s@1", &NewEvent::new("a.b").bytes("text/plain", "no {json"));
        assert_eq!(*parsed(&bytes), Value::Null);
        // An empty payload has no address of its own.
        let empty = |kind| recorded("s@1", &NewEvent::new(kind).bytes("text/plain", ""));
        assert_eq!((&*parsed(&empty("a.b")), &*parsed(&empty("c.d"))), (&Value::Null, &Value::Null));
    }
}
