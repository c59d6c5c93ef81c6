//! Every bound in one place. Relations between them are asserted at compile time.

/// Bytes in a session id or a branch name.
pub const MAX_NAME_BYTES: usize = 255;
/// Bytes in an event's type name.
pub const MAX_KIND_BYTES: usize = 128;
/// Bytes in a glob over type names.
pub const MAX_PATTERN_BYTES: usize = 512;
/// Bytes in a pointer into a payload.
pub const MAX_ROLE_POINTER_BYTES: usize = 512;
/// Pointers that are tried in order for one thing.
pub const MAX_POINTERS: usize = 32;
/// Bytes of one file of users' types.
pub const MAX_TYPES_FILE_BYTES: usize = 8 * 1_024 * 1_024;
/// Names and aliases of the types that users register in one catalogue.
pub const MAX_USER_TYPES: usize = 10_000;
/// Bytes in each of `source`, `actor`, `correlation`, `trace` and the content type.
pub const MAX_TEXT_BYTES: usize = 1_024;
/// Metadata pairs on one event.
pub const MAX_METADATA_ENTRIES: usize = 64;
/// Bytes of all metadata keys and values of one event.
pub const MAX_METADATA_BYTES: usize = 16 * 1_024;
/// Bytes of a payload, unless the store was built with another bound.
pub const DEFAULT_PAYLOAD_BYTES: usize = 16 * 1_024 * 1_024;
/// The highest bound a store can be built with.
pub const MAX_PAYLOAD_BYTES: usize = 256 * 1_024 * 1_024;
/// Bytes of one encoded record: a payload and the widest envelope around it.
pub const MAX_RECORD_BYTES: usize = MAX_PAYLOAD_BYTES + 64 * 1_024;
/// Events in one append call, over all its branches.
pub const MAX_BATCH_EVENTS: usize = 100_000;
/// Encoded bytes in one append call.
pub const MAX_BATCH_BYTES: usize = 512 * 1_024 * 1_024;

/// Encoded bytes after which a chunk is closed. redb gives a value that passes a page the next power of two,
/// so a chunk with its key and page header has to stay under 16 KiB.
pub const CHUNK_BYTES: usize = 16 * 1_024 - 256;
/// Bytes of a chunk before they are packed, when it has more than one event: a reader of the last event unpacks all.
pub const CHUNK_BODY_BYTES: usize = 48 * 1_024;
/// Events in one chunk, whatever their size.
pub const MAX_CHUNK_EVENTS: usize = 4_096;
/// A settle extends a branch's last chunk while it holds fewer events than this.
pub const SMALL_CHUNK_EVENTS: usize = 16;
/// Runs packed into one row of the global order.
pub const MAX_ORDER_RUNS: usize = 4_096;

/// The tail settles once it holds this many events …
pub const SETTLE_EVENTS: usize = 8_192;
/// … or this many encoded bytes.
pub const SETTLE_BYTES: usize = 4 * 1_024 * 1_024;
/// A commit with a run of at least this many events in one branch settles at once.
pub const DIRECT_RUN_EVENTS: usize = 32;
/// Appends in one commit.
pub const MAX_GROUP_APPENDS: usize = 1_024;
/// Encoded bytes that may wait in the writer's queue before producers have to wait too.
pub const QUEUE_BYTES: usize = 32 * 1_024 * 1_024;
/// Appends that may wait in the writer's queue.
pub const QUEUE_APPENDS: usize = 8_192;
/// Milliseconds without an append after which the tail is settled.
pub const IDLE_SETTLE_MS: u64 = 500;
/// Milliseconds within which a relaxed append is made durable.
pub const RELAXED_SYNC_MS: u64 = 100;

/// Bytes of redb's page cache, unless the store was built with another size.
pub const DEFAULT_CACHE_BYTES: usize = 64 * 1_024 * 1_024;
/// Branches whose names, ancestors and heads are kept in memory.
pub const BRANCH_CACHE: usize = 16_384;
/// Ancestors of one branch.
pub const MAX_FORK_DEPTH: usize = 1_024;

/// Events in a page when the caller does not say.
pub const DEFAULT_PAGE: usize = 512;
/// Events in the largest page.
pub const MAX_PAGE: usize = 65_536;
/// Encoded bytes after which a page ends early (it always holds at least one event).
pub const PAGE_BYTES: usize = 8 * 1_024 * 1_024;
/// Rows of `sessions` or `branches` in one page of a listing.
pub const MAX_LISTING: usize = 10_000;
/// Bytes of one file of event steps.
pub const MAX_UPCAST_FILE_BYTES: usize = 1_024 * 1_024;
/// Event steps in one set.
pub const MAX_UPCAST_STEPS: usize = 4_096;
/// Operations of one event step.
pub const MAX_UPCAST_OPERATIONS: usize = 256;
/// Event steps that one event can go through.
pub const MAX_UPCAST_CHAIN: usize = 256;
/// Parts of a JSON pointer in an event step.
pub const MAX_POINTER_PARTS: usize = 32;
/// Bytes of a JSON pointer in an event step.
pub const MAX_POINTER_BYTES: usize = 1_024;
/// Levels of two JSON schemas that are compared.
pub const MAX_SCHEMA_DEPTH: usize = 64;
/// Bytes of a JSON schema that is compared.
pub const MAX_SCHEMA_BYTES: usize = 1_024 * 1_024;
/// Pairs of parts that are looked at when two JSON schemas are compared.
pub const MAX_SCHEMA_PAIRS: usize = 200_000;

/// Commits that a follower's fast path holds before it falls back to the store.
pub const FOLLOW_BUFFER: usize = 16;

const _: () = assert!(MAX_RECORD_BYTES < u32::MAX as usize, "spans inside a record are 32 bits");
const _: () = assert!(DEFAULT_PAYLOAD_BYTES <= MAX_PAYLOAD_BYTES);
const _: () = assert!(MAX_PAYLOAD_BYTES < MAX_BATCH_BYTES && MAX_BATCH_BYTES < i32::MAX as usize);
const _: () = assert!(SMALL_CHUNK_EVENTS <= DIRECT_RUN_EVENTS && DIRECT_RUN_EVENTS < MAX_CHUNK_EVENTS);
const _: () = assert!(DEFAULT_PAGE <= MAX_PAGE);
const _: () = assert!(MAX_BATCH_EVENTS < u32::MAX as usize);
