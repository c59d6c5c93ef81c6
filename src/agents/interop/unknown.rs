//! The refusal of a file that fits no format: what it looks like, and what can be done.

use bytes::Bytes;

use crate::event::Invalid;

use super::content::Content;
use super::fields::Fields;
use super::format::Format;
use super::piece::Text;
use super::pieces;

/// Bytes at the beginning of a file that are inspected.
const HEAD: usize = 64 << 10;
/// Records that are inspected.
const RECORDS: usize = 20;
/// How files begin that are not text.
const MAGIC: [(&[u8], &str); 6] = [
    (b"\x1f\x8b", "is compressed with gzip; unpack it first"),
    (b"\x28\xb5\x2f\xfd", "is compressed with zstd; unpack it first"),
    (b"PK\x03\x04", "is a zip archive; unpack it first"),
    (b"SQLite format 3\0", "is a SQLite database; export what it holds as JSON"),
    (b"retold\x1a\n", "is a retold store; `retold --store FILE export` writes what it holds"),
    (b"\xff\xfe", "is UTF-16; convert it to UTF-8"),
];

/// The members by which people recognise the records of a format.
const fn members(format: Format) -> &'static [&'static str] {
    match format {
        Format::Retold => &["session", "type", "data"],
        Format::CloudEvents => &["specversion", "id", "source", "type"],
        Format::Aios => &["event_id", "session_id", "kind"],
        Format::ClaudeCode => &["sessionId", "type", "uuid"],
        Format::OpenHands => &["id", "timestamp", "source", "action"],
        Format::Temporal => &["eventId", "eventType", "eventTime"],
        Format::Codex => &["timestamp", "type", "payload"],
        Format::Ndjson => &[],
        Format::AgUi => &["type", "threadId", "runId"],
        Format::CopilotCli => &["id", "parentId", "type", "data"],
        Format::Pi => &["id", "parentId", "timestamp", "message"],
        Format::ClaudeStream => &["session_id", "type", "subtype"],
        Format::GeminiCli => &["id", "timestamp", "type", "content"],
    }
}

/// Why a file whose format cannot be detected is refused.
pub(super) fn refusal(file: &str, bytes: &[u8]) -> Invalid {
    let head = bytes.get(..HEAD).unwrap_or(bytes);
    let file = file.escape_debug();
    let all = Format::ALL.map(Format::name).join(", ");
    let ways = |what: String| {
        format!(
            "{file} {what}; say what wrote it with --from, one of {all}; any other JSON is read with --from ndjson \
             --map session=/POINTER,type=/POINTER"
        )
    };
    let reason = if let Some((_, what)) = MAGIC.iter().find(|(magic, _)| head.starts_with(magic)) {
        format!("{file} {what}")
    } else if head.trim_ascii().is_empty() {
        ways("is empty".to_owned())
    } else if head.iter().filter(|b| **b == 0).count() * 8 > head.len() {
        format!("{file} is a binary file, not JSON; one of {all} can be read")
    } else {
        ways(match nearest(head).as_slice() {
            [] => "has no records of a known format".to_owned(),
            near => format!("has no records of a known format; nearest is {}", near.join(", then ")),
        })
    };
    Invalid::new("file", reason)
}

/// The formats that are closest to the first records, and what those lack.
fn nearest(head: &[u8]) -> Vec<String> {
    let content = Content::memory(Bytes::copy_from_slice(head));
    let pieces = pieces::cut_first(&content, |_| true, true, RECORDS);
    let texts: Vec<Text> = pieces.iter().flatten().filter_map(|p| pieces.text(&p, &content).ok()).collect();
    let records: Vec<Fields<'_>> = texts.iter().filter_map(|text| Fields::parse(text).ok()).collect();
    let mut near = Vec::new();
    for format in Format::ALL {
        let best = records.iter().map(|f| members(format).iter().partition::<Vec<&str>, _>(|m| f.has(m)));
        let Some((has, lacks)) = best.max_by_key(|(has, _)| has.len()) else { continue };
        if has.len() >= 2 {
            let rank = (lacks.len(), std::cmp::Reverse(has.len()));
            let lacks =
                if lacks.is_empty() { String::new() } else { format!(" but no {}", lacks.join(", ")) };
            near.push((rank, format!("{format} (there is {}{lacks})", has.join(", "))));
        }
    }
    near.sort_by_key(|(rank, _)| *rank);
    near.into_iter().take(2).map(|(_, text)| text).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn message_for(bytes: &[u8]) -> String {
        refusal("f.x", bytes).to_string()
    }

    #[test]
    fn the_nearest_formats_are_named_and_what_is_missing() {
        let analytics = message_for(b"{\"sessionId\": \"web-1\", \"type\": \"pageview\", \"id\": \"x\"}\n");
        assert!(
            analytics.contains("nearest is claude-code (there is sessionId, type but no uuid)"),
            "{analytics}"
        );
        assert!(analytics.contains("--from"), "{analytics}");
        let store = message_for(b"[{\"eventId\": \"6e8bc430-9c3a\", \"eventType\": \"OrderPlaced\"}]");
        assert!(store.contains("temporal (there is eventId, eventType but no eventTime)"), "{store}");
        assert!(!message_for(b"{\"a\":1}").contains("nearest"), "{}", message_for(b"{\"a\":1}"));
    }

    #[test]
    fn what_is_not_text_is_called_so() {
        for (bytes, what) in [
            (&b"\x7fELF\x02\x01\0\0\0\0\0\0\0\0\x03\0>\0"[..], "binary"),
            (b"\x1f\x8b\x08\0", "gzip"),
            (b"retold\x1a\n\x01", "store"),
            (b" \n", "empty"),
        ] {
            let message = message_for(bytes);
            assert!(message.contains(what) && message.contains("f.x"), "{message}");
        }
    }
}
