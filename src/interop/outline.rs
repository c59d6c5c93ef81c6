//! What an object is, told without reading all of it: a file of many megabytes can be one object around its records.

use std::ops::Range;

use crate::limits::IMPORT_WINDOW_BYTES;

use super::content::Content;
use super::fields::Fields;
use super::piece::Text;
use super::scan::{Child, Children};

/// Bytes of a member's value that an outline has. A longer one is a container or a text that says nothing of the kind
/// of its record.
const MAX_VALUE: usize = 1_024;

/// An object, or its outline where it is long: all of its members, the long values empty.
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
            if outline.len() > 1 {
                outline.push(',');
            }
            outline.push_str(&Text::load(content, name).ok()?);
            outline.push(':');
            if value.len() <= MAX_VALUE {
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
    fn a_short_object_is_read_whole_and_an_array_has_no_outline() {
        let text = r#"{"id":7,"list":[1,2]}"#;
        assert!(matches!(outline(text), Some(Outline::Whole(whole)) if &*whole == text));
        let array = format!("[{}0]", "1,".repeat(IMPORT_WINDOW_BYTES));
        assert!(outline(&array).is_none());
    }
}
