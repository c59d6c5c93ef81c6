//! Panics in code that is not ours, caught and turned into text.

use std::any::Any;
use std::panic::{AssertUnwindSafe, catch_unwind};

/// Calls it. A panic becomes an error with its message.
pub(crate) fn caught<T>(call: impl FnOnce() -> T) -> Result<T, String> {
    catch_unwind(AssertUnwindSafe(call)).map_err(|panic| said(&*panic))
}

/// The message of a panic.
pub(crate) fn said(panic: &(dyn Any + Send)) -> String {
    let text = panic.downcast_ref::<&str>().copied();
    let text = text.or_else(|| panic.downcast_ref::<String>().map(String::as_str));
    text.unwrap_or("a panic without a message").to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::panic::panic_any;

    #[test]
    fn what_a_panic_said_is_kept_and_one_without_words_is_called_so() {
        assert_eq!(caught(|| 7), Ok(7));
        assert_eq!(caught(|| panic!("at rest")), Err::<(), _>("at rest".to_owned()));
        assert_eq!(caught(|| panic!("at {}", 3)), Err::<(), _>("at 3".to_owned()));
        assert_eq!(caught(|| panic_any(3)), Err::<(), _>("a panic without a message".to_owned()));
    }
}
