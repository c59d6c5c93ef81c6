//! Formats of other programs, read into events and written again: one file or folder per format, parsing and printing
//! side by side. The formats are pure functions over bytes and events; importing and exporting is done around them.
//!
//! Three rules hold for every format except our own:
//!
//! - the payload of an event is the record it was read from, byte for byte (for CloudEvents, its data);
//! - an event's id is derived from the source's own id and the session, or from the record's content if it has no id,
//!   so that reading a file again, or after it has grown, gives the same ids as before;
//! - an event's metadata says where its record was, so that [`restore`] can assemble the file again.

mod ag_ui;
mod ag_ui_out;
mod ahead;
mod aios;
mod builder;
mod claude_code;
mod claude_stream;
mod cloudevents;
mod codex;
mod codex_message;
mod codex_turns;
mod collector;
mod content;
mod copilot_cli;
mod entries;
mod export;
mod fields;
mod file;
mod format;
mod formats;
mod gemini_cli;
mod history;
mod homes;
mod ids;
mod imports;
mod index;
mod input;
pub mod json;
mod layout;
mod live;
mod load;
mod lookalike;
mod mapping;
mod message_id;
mod names;
mod naming;
mod ndjson;
mod openhands;
mod options;
mod outline;
mod own;
mod pi;
mod piece;
mod pieces;
mod plan;
mod recover;
mod rows;
mod scan;
mod scratch;
mod sketch;
pub mod source;
mod spans;
mod spool;
mod temporal;
mod temporal_names;
#[cfg(test)]
mod testing;
#[cfg(test)]
mod tests;
mod times;
mod unknown;
mod walk;
mod watched;

pub use ag_ui_out::{AgUi, export_ag_ui};
pub use content::Content;
pub use export::{ExportError, export, export_filtered, export_import, export_raw, export_sources};
pub use file::{FileImport, ImportError, Location, load_file};
pub use format::Format;
pub use formats::{parse, parse_line, print, print_fork};
pub use ids::variant;
pub use imports::{Changed, Import, import, imports};
pub use load::{Loaded, load};
pub use mapping::Mapping;
pub use naming::{Naming, is_numbered};
pub use options::Options;
pub use own::Forked;
pub use plan::{Plan, PlanStep, Skipped};
pub use source::{Files, SourceFile, restore};
pub use spans::{Spans, export_otlp};
pub use walk::ExportScope;
