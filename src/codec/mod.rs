//! Encoding and decoding. `docs/format.md` describes every layout that is written here.
//!
//! Only this module uses bincode. A decoder accepts any bytes: it returns [`Malformed`], never panics, and never
//! allocates from an unchecked length.

mod attributes;
mod chunk;
mod consumer;
mod current;
mod dead_letter;
mod entry;
mod extras;
mod frame;
#[cfg(test)]
mod golden;
mod header;
mod label;
mod last_commit;
pub mod link;
mod lz4;
mod meta;
mod record;
mod rows;
mod run;
mod seal;
mod sidecar;
mod wire;

pub use attributes::{Attributes, IdleRow};
pub use chunk::{Chunk, ChunkBuilder};
pub use consumer::{ConsumerRow, DeliveredRow, LaneRow, SettingsRow, TokenParts};
pub use current::CurrentRow;
pub use dead_letter::DeadLetterRow;
pub use entry::{
    ENTRY_HEADER, EntryHead, decode_entry, encode_entry, entry_claims, entry_size, unproven_entry,
};
pub use extras::{Extras, Features};
pub use frame::{Birth, Frame, FrameBuilder, FrameRecord};
pub use header::{FileHeader, HEADER_BYTES, HeaderLayout, MAGIC};
pub use label::{BackupBase, BackupLabel, event_print, line_of_secret};
pub use last_commit::{LAST_COMMIT_BYTES, LastCommit};
pub use meta::{CursorParts, FORMAT, JournalMark, Meta, StoreCounts, event_mark};
pub use record::{decode_record, encode_record};
pub use rows::{BranchRow, HeadRow, decode_order, encode_order};
pub use run::Run;
pub use sidecar::{decode_sidecar_row, encode_sidecar_row};
pub use wire::Bounded;

/// Malformed bytes, and what is wrong with them.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct Malformed(pub(crate) std::borrow::Cow<'static, str>);

impl Malformed {
    pub(crate) const fn new(reason: &'static str) -> Self {
        Self(std::borrow::Cow::Borrowed(reason))
    }
}
