//! The syntax of JSON Pointers (RFC 6901), for everything that reads or writes one.

use std::borrow::Cow;

/// The unescaped parts of a pointer.
///
/// # Errors
/// What is wrong with it, as a clause.
pub(crate) fn pointer_parts(text: &str) -> Result<Vec<String>, String> {
    let mut parts = text.split('/');
    if parts.next() != Some("") {
        return Err(format!(
            "is not a JSON pointer: it has to start with `/`, as in `/{}`",
            text.escape_debug()
        ));
    }
    parts.map(part).collect()
}

fn part(text: &str) -> Result<String, String> {
    let mut pieces = text.split('~');
    let mut out = pieces.next().unwrap_or_default().to_owned();
    for piece in pieces {
        let (c, rest) = match (piece.strip_prefix('0'), piece.strip_prefix('1')) {
            (Some(rest), _) => ('~', rest),
            (_, Some(rest)) => ('/', rest),
            _ => {
                return Err(
                    "has a `~` without 0 or 1 after it: `~` is written `~0`, and `/` in a name `~1`".into()
                );
            }
        };
        out.push(c);
        out.push_str(rest);
    }
    Ok(out)
}

/// A name, escaped as a part of a pointer.
pub(crate) fn pointer_part(name: &str) -> Cow<'_, str> {
    match name.contains(['~', '/']) {
        true => name.replace('~', "~0").replace('/', "~1").into(),
        false => name.into(),
    }
}

/// The list index that a part names: digits, without leading zeros.
pub(crate) fn pointer_item(part: &str) -> Option<usize> {
    let canonical = part == "0" || (!part.starts_with('0') && part.bytes().all(|b| b.is_ascii_digit()));
    canonical.then(|| part.parse().ok()).flatten()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn a_tilde_stands_before_0_or_1_and_nowhere_else() {
        assert_eq!(pointer_parts(""), Ok(vec![]));
        assert_eq!(pointer_parts("/"), Ok(vec![String::new()]));
        assert_eq!(pointer_parts("/a~1b/~01/~0~1"), Ok(["a/b", "~1", "~/"].map(str::to_owned).to_vec()));
        for bad in ["a", "a/b", "/~", "/a~2", "/~~01", "/~~10", "/~/0"] {
            assert!(pointer_parts(bad).is_err(), "{bad} was taken");
        }
    }

    #[test]
    fn an_item_has_one_spelling() {
        assert_eq!(["0", "7", "10"].map(pointer_item), [Some(0), Some(7), Some(10)]);
        assert_eq!(["", "-", "01", "+1", "-1", "1e0", "99999999999999999999"].map(pointer_item), [None; 7]);
    }

    proptest! {
        #[test]
        fn any_names_come_back(names in prop::collection::vec("[a~/01*]{0,4}", 0..4)) {
            let text: String = names.iter().map(|name| format!("/{}", pointer_part(name))).collect();
            prop_assert_eq!(pointer_parts(&text), Ok(names));
        }
    }
}
