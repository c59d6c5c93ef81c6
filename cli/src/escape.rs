//! Characters that are invisible, or that a terminal would interpret, become visible text. The zero-width joiner is
//! among them, so a joined emoji is shown as its parts.

use std::borrow::Cow;
use std::fmt::Write as _;

/// Controls (C0, DEL, C1), and characters that have no width, change the text direction, or look like nothing.
pub(super) fn is_hidden(c: char) -> bool {
    c.is_control()
        || matches!(
            c,
            '\u{ad}'
                | '\u{34f}'
                | '\u{61c}'
                | '\u{115f}'..='\u{1160}'
                | '\u{17b4}'..='\u{17b5}'
                | '\u{180b}'..='\u{180f}'
                | '\u{200b}'..='\u{200f}'
                | '\u{2028}'..='\u{202e}'
                | '\u{2060}'..='\u{206f}'
                | '\u{3164}'
                | '\u{fe00}'..='\u{fe0f}'
                | '\u{feff}'
                | '\u{ffa0}'
                | '\u{fff0}'..='\u{fffb}'
                | '\u{1bca0}'..='\u{1bca3}'
                | '\u{1d173}'..='\u{1d17a}'
                | '\u{e0000}'..='\u{e0fff}'
        )
}

/// For people: `\u{1b}`.
pub(super) fn push_visible(c: char, out: &mut String) {
    if is_hidden(c) {
        out.extend(c.escape_unicode());
    } else {
        out.push(c);
    }
}

/// The text as one line for people.
pub(super) fn visible(text: &str) -> Cow<'_, str> {
    escaped(text, |_| false)
}

/// The same for text with several lines.
pub(super) fn visible_lines(text: &str) -> Cow<'_, str> {
    escaped(text, |c| c == '\n')
}

/// The same for a file that is printed to a terminal.
pub(super) fn visible_file(text: &str) -> Cow<'_, str> {
    escaped(text, |c| matches!(c, '\n' | '\t'))
}

fn escaped(text: &str, stays: impl Fn(char) -> bool) -> Cow<'_, str> {
    if !text.chars().any(|c| is_hidden(c) && !stays(c)) {
        return text.into();
    }
    let mut out = String::with_capacity(text.len() + 16);
    for c in text.chars() {
        if stays(c) { out.push(c) } else { push_visible(c, &mut out) }
    }
    out.into()
}

/// Equivalent JSON: hidden characters occur only in strings, and are written as `\u001b`.
pub(super) fn visible_json(json: &[u8]) -> Cow<'_, [u8]> {
    let Ok(text) = std::str::from_utf8(json) else { return json.into() };
    // Newlines and tabs may occur between values.
    let is_kept = |c: char| !is_hidden(c) || matches!(c, '\n' | '\r' | '\t');
    if text.chars().all(is_kept) {
        return json.into();
    }
    let mut out = String::with_capacity(text.len() + 16);
    for c in text.chars() {
        if is_kept(c) {
            out.push(c);
            continue;
        }
        push_json(c, &mut out);
    }
    out.into_bytes().into()
}

/// In a string of JSON.
pub(super) fn push_json(c: char, out: &mut String) {
    if !is_hidden(c) {
        return out.push(c);
    }
    for unit in c.encode_utf16(&mut [0; 2]) {
        // Writing to a string does not fail.
        let _ = write!(out, "\\u{unit:04x}");
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// Text with more than its share of what is hidden.
    fn text() -> impl Strategy<Value = String> {
        // Every one of them is asked for once, not at every roll.
        let all: Vec<char> = ('\0'..=char::MAX).filter(|c| is_hidden(*c)).collect();
        let hidden = proptest::sample::select(all);
        proptest::collection::vec(prop_oneof![any::<char>(), hidden], 0..40)
            .prop_map(|chars| chars.into_iter().collect())
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(64))]

        #[test]
        fn nothing_hidden_comes_out(text in text()) {
            prop_assert!(!visible(&text).chars().any(is_hidden));
            prop_assert!(!visible_lines(&text).chars().any(|c| is_hidden(c) && c != '\n'));
            prop_assert!(!visible_file(&text).chars().any(|c| is_hidden(c) && !matches!(c, '\n' | '\t')));
        }

        #[test]
        fn json_stays_the_same_json(key in text(), value in text()) {
            let before = serde_json::json!({ key: [value] });
            let json = serde_json::to_vec(&before).unwrap();
            let after = visible_json(&json);
            prop_assert!(!std::str::from_utf8(&after).unwrap().chars().any(is_hidden));
            prop_assert_eq!(serde_json::from_slice::<serde_json::Value>(&after).unwrap(), before);
        }
    }

    #[test]
    fn what_can_be_seen_stays_as_it_is() {
        let text = "run-7 Grüße 日本語 🦀 e\u{301}";
        assert_eq!(visible(text), text);
        assert_eq!(visible("a\u{9b}31m\u{200b}\n"), "a\\u{9b}31m\\u{200b}\\u{a}");
        assert_eq!(visible_json("[\"\u{9b}\u{e0001}\"]\n".as_bytes()), &b"[\"\\u009b\\udb40\\udc01\"]\n"[..]);
    }
}
