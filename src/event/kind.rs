use super::Invalid;
use crate::limits::MAX_KIND_BYTES;

/// Checks that a name can be an event's type: parts of lower-case letters, digits and `_`, joined by dots.
///
/// # Errors
/// [`Invalid`] with the field `type`.
pub fn check_kind(kind: &str) -> Result<(), Invalid> {
    if kind.is_empty() {
        return Err(Invalid::new("type", "is empty; a type is a dotted name such as `tool.invoked`"));
    }
    if kind.len() > MAX_KIND_BYTES {
        return Err(Invalid::new("type", format!("has {} bytes; the limit is {MAX_KIND_BYTES}", kind.len())));
    }
    let part_is_good = |part: &str| {
        !part.is_empty() && part.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'_')
    };
    if kind.split('.').all(part_is_good) {
        return Ok(());
    }
    Err(Invalid::new(
        "type",
        format!("`{}` is not a dotted name of a-z, 0-9 and _, such as `tool.invoked`", kind.escape_debug()),
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_dotted_lower_case_names_are_types() {
        for good in ["a", "tool.invoked", "x1.y_2.z", "0"] {
            check_kind(good).unwrap();
        }
        for bad in ["", ".", "a.", ".a", "a..b", "A", "a b", "a-b", "é", "*", &"a".repeat(129)] {
            assert!(check_kind(bad).is_err(), "{bad:?} was taken");
        }
    }
}
