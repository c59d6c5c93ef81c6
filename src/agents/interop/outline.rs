//! Recognises an object without reading all of it: a file of many megabytes can be one object around its records.

use std::ops::Range;

use crate::limits::IMPORT_WINDOW_BYTES;

use super::content::Content;
use super::fields::Fields;
use super::piece::Text;
use super::scan::{Child, Children};

/// Bytes of a member's value in an outline. A longer value is a container or a text, and tells nothing about the kind
/// of its record.
const MAX_VALUE: usize = 1_024;

/// Bytes of an outline. Members that do not fit are left out: no record of a known format has so many.
const MAX_OUTLINE: usize = IMPORT_WINDOW_BYTES;

/// An object, or its outline if it is long: its members, with long values emptied.
pub(super) enum Outline {
    Whole(Text),
    Short(String),
}

impl Outline {
    pub(super) fn load(content: &Content, range: Range<usize>) -> Option<Self> {
        if range.len() <= IMPORT_WINDOW_BYTES {
            return Text::load(content, range).ok().map(Self::Whole);
        }
        if content.bytes(range.start..range.start + 1) != "{" {
            return None;
        }
        let mut outline = String::from("{");
        let mut children = Children::of(content.cursor(range));
        while let Some(child) = children.next() {
            let Child::Whole { name, value } = child else { return None };
            let is_short = value.len() <= MAX_VALUE;
            let len = if is_short { value.len() } else { 2 };
            if name.len() > MAX_VALUE || outline.len() + name.len() + len + 3 > MAX_OUTLINE {
                continue;
            }
            if outline.len() > 1 {
                outline.push(',');
            }
            outline.push_str(&Text::load(content, name).ok()?);
            outline.push(':');
            if is_short {
                outline.push_str(&Text::load(content, value).ok()?);
            } else {
                outline.push_str("{}");
            }
        }
        outline.push('}');
        Some(Self::Short(outline))
    }

    pub(super) fn fields(&self) -> Option<Fields<'_>> {
        let text = match self {
            Self::Whole(text) => text,
            Self::Short(text) => text.as_str(),
        };
        Fields::parse(text).ok()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use bytes::Bytes;

    fn outline(text: &str) -> Option<Outline> {
        let content = Content::memory(Bytes::copy_from_slice(text.as_bytes()));
        Outline::load(&content, 0..text.len())
    }

    #[test]
    fn an_object_around_megabytes_has_a_short_outline_that_tells_what_it_is() {
        let long = "x".repeat(1 << 20);
        let text = format!(r#"{{"id":7,"type":"a\"b","list":["{long}"],"text":"{long}","last":0}}"#);
        let outline = outline(&text).unwrap();
        assert!(matches!(&outline, Outline::Short(text) if text.len() < 100));
        let f = outline.fields().unwrap();
        assert_eq!((f.scalar("id").as_deref(), f.text("type").as_deref()), (Some("7"), Some("a\"b")));
        assert!(["list", "text", "last"].iter().all(|name| f.has(name)) && f.iter().count() == 5);
    }

    #[test]
    fn an_outline_has_a_bound_whatever_the_object_is_made_of() {
        let members: String = (0..500_000).map(|n| format!("\"{n}\":0,")).collect();
        let name = "n".repeat(1 << 20);
        let text = format!(r#"{{"id":7,"{name}":1,{members}"last":0}}"#);
        let outline = outline(&text).unwrap();
        assert!(matches!(&outline, Outline::Short(text) if text.len() <= MAX_OUTLINE));
        let f = outline.fields().unwrap();
        assert!(f.scalar("id").as_deref() == Some("7") && f.has("0") && !f.has(&name));
    }

    #[test]
    fn a_short_object_is_read_whole_and_an_array_has_no_outline() {
        let text = r#"{"id":7,"list":[1,2]}"#;
        assert!(matches!(outline(text), Some(Outline::Whole(whole)) if &*whole == text));
        let array = format!("[{}0]", "1,".repeat(IMPORT_WINDOW_BYTES));
        assert!(outline(&array).is_none());
    }
}
