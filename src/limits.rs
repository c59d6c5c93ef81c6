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
/// Branches that one append call begins as forks.
pub const MAX_BATCH_FORKS: usize = 2_000;
/// Encoded bytes in one append call.
pub const MAX_BATCH_BYTES: usize = 512 * 1_024 * 1_024;

/// Encoded bytes after which a chunk is closed. redb gives a value that passes a page the next power of two,
/// so a chunk with its key and page header has to stay under 16 KiB.
pub const CHUNK_BYTES: usize = 16 * 1_024 - 256;
/// Bytes of a chunk before they are packed, when it has more than one event: a reader of the last event unpacks all.
pub const CHUNK_BODY_BYTES: usize = 48 * 1_024;
/// Events in one chunk, whatever their size.
pub const MAX_CHUNK_EVENTS: usize = 4_096;
/// A flush extends a branch's last chunk while it holds fewer events than this.
pub const SMALL_CHUNK_EVENTS: usize = 16;
/// An id in the index that differs in so few bits from one that is looked up may be that one, damaged: ids made in
/// the same millisecond differ in 37 bits on average, others in more.
pub const NEAR_ID_BITS: u32 = 16;
/// Runs packed into one row of the global order.
pub const MAX_ORDER_RUNS: usize = 4_096;

/// Backups that are restored together: a full one, and those that follow it. All are open at once.
pub const MAX_BACKUP_CHAIN: usize = 256;

/// The tail flushes once it holds this many events …
pub const FLUSH_EVENTS: usize = 8_192;
/// … or this many encoded bytes.
pub const FLUSH_BYTES: usize = 4 * 1_024 * 1_024;
/// Appends in one commit.
pub const MAX_GROUP_APPENDS: usize = 1_024;
/// Encoded bytes that may wait in the writer's queue before producers have to wait too.
pub const QUEUE_BYTES: usize = 32 * 1_024 * 1_024;
/// Appends that may wait in the writer's queue.
pub const QUEUE_APPENDS: usize = 8_192;
/// Bytes of the journal in a new file. A commit of which an entry would take more than a quarter flushes at once.
pub const JOURNAL_BYTES: u64 = 12 * 1_024 * 1_024;
/// Bytes of the largest journal that a file can have.
pub const MAX_JOURNAL_BYTES: u64 = 1 << 30;
/// Bytes of the journal of a store in memory.
pub const JOURNAL_BYTES_IN_MEMORY: u64 = 128 * 1_024;
/// Entries of the journal begin at multiples of this many bytes.
pub const JOURNAL_ALIGN: usize = 16;
/// Bytes that are written ahead of the journal's end when it reaches new blocks of the file.
pub const JOURNAL_ZEROS: u64 = 64 * 1_024;
/// Bytes before the journal: one page for the header.
pub const FILE_HEADER_BYTES: u64 = 4_096;
/// Bytes of the namespace of an application's records …
pub const MAX_SIDECAR_NAMESPACE_BYTES: usize = 64;
/// … of a key in it …
pub const MAX_SIDECAR_KEY_BYTES: usize = 2_048;
/// … of a record …
pub const MAX_SIDECAR_VALUE_BYTES: usize = 64 * 1_024;
/// … and records that are expected or changed together.
pub const MAX_SIDECAR_CHANGES: usize = 1_000;
/// Sidecar records in one commit of the journal; one with more is flushed at once.
pub const MAX_FRAME_RECORDS: usize = 1 << 20;
/// Bytes between the header and the journal: two pages for the last commit.
pub const LAST_COMMIT_PAGES_BYTES: u64 = 2 * 4_096;
/// Milliseconds without an append after which the tail is flushed.
pub const IDLE_FLUSH_MS: u64 = 500;
/// Milliseconds within which a relaxed append is made durable.
pub const RELAXED_SYNC_MS: u64 = 100;
/// Milliseconds after the last commit before the file says outside its journal that it was acknowledged.
pub const NOTE_COMMIT_MS: u64 = 100;

/// Chunks that short reads keep unpacked, all together.
pub const RECENT_CHUNKS: usize = 4;
/// Chunks that a long read takes at once: it holds this many, and as many again while it reads ahead.
pub const SCAN_CHUNKS: usize = 16;
/// Events of the tail that a long read copies at once.
pub const SCAN_TAIL_EVENTS: usize = 2_048;

/// What is looked at for an estimate of dead space: tables …
pub const DEAD_SPACE_TABLES: usize = 64;
/// … inner pages of each table …
pub const DEAD_SPACE_PAGES: usize = 1_024;
/// … levels of a table …
pub const DEAD_SPACE_DEPTH: usize = 64;
/// … branches …
pub const DEAD_SPACE_BRANCHES: usize = 50_000;
/// … chunks of what is not purged …
pub const DEAD_SPACE_CHUNKS: usize = 2_048;
/// … and chunks of one branch.
pub const DEAD_SPACE_CHUNKS_OF_A_BRANCH: usize = 256;

/// Bytes of redb's page cache, unless the store was built with another size.
pub const DEFAULT_CACHE_BYTES: usize = 28 * 1_024 * 1_024;
/// Branches whose names, ancestors and heads are kept in memory.
pub const BRANCH_CACHE: usize = 16_384;
/// Events that one transaction removes of what was deleted, and a few more: it ends with their chunk.
pub const PURGE_EVENTS: usize = 2_048;
/// Branches that are looked at in one transaction for what is to be removed.
pub const PURGE_BRANCHES: usize = 1_024;
/// Branches that have expired, of those that are deleted in one commit.
pub const REAPED_BRANCHES: usize = 256;
/// Branches that are looked at in one go for whether they have expired.
pub const REAPER_LOOKS: usize = 4_096;
/// Milliseconds after which a branch that has expired, and could not be deleted, is tried again; and between two commits of uses.
pub const REAPER_AGAIN_MS: u64 = 1_000;
/// Milliseconds after which the wall clock is looked at again for what has expired: it may have been set.
pub const REAPER_LOOKS_MS: u64 = 60_000;
/// Ancestors of one branch.
pub const MAX_FORK_DEPTH: usize = 1_024;

/// How many digits of an event's id are needed at least to look it up.
pub const MIN_ID_PREFIX: usize = 8;
/// Events in a page when the caller does not say.
pub const DEFAULT_PAGE: usize = 512;
/// Events in the largest page.
pub const MAX_PAGE: usize = 65_536;
/// Encoded bytes after which a page ends early (it always holds at least one event).
pub const PAGE_BYTES: usize = 8 * 1_024 * 1_024;
/// Items that a stream over a blocking iterator takes from it at once.
pub const STREAM_ITEMS: usize = 64;
/// Rows of `sessions` or `branches` in one page of a listing.
pub const MAX_LISTING: usize = 10_000;
/// Levels of a payload's nesting that are shown by indentation.
pub const MAX_INDENT: usize = 32;
/// Calls of tools of which it is known that they have not returned.
pub const MAX_OPEN_CALLS: usize = 64;
/// Bytes of the latest messages that an event stream of AG-UI can begin with.
pub const AG_UI_MESSAGES_BYTES: usize = 8 * 1_024 * 1_024;
/// Spans of an exported session that are sent or written together.
pub const SPAN_GROUP: usize = 256;
/// Bytes of a text that an exported span carries.
pub const SPAN_TEXT_BYTES: usize = 32 * 1_024;
/// Characters of a session's title.
pub const MAX_TITLE_CHARS: usize = 120;
/// Seconds of silence after which a conversation that awaits something counts as abandoned.
pub const MAX_ABANDONED_SECONDS: u64 = 3_600;
/// Levels of content within content that are read for people.
pub const MAX_CONTENT_DEPTH: usize = 16;
/// Bytes of one file of event steps.
pub const MAX_UPCAST_FILE_BYTES: usize = 1_024 * 1_024;
/// Event steps in one set.
pub const MAX_UPCASTERS: usize = 4_096;
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

/// Globs of types that a consumer takes, and as many that it does not take.
pub const MAX_CONSUMER_PATTERNS: usize = 64;
/// Branches of which a consumer knows that something waits there; it looks no further while there are more.
pub const MAX_CONSUMER_LANES: usize = 2_048;
/// Events that a consumer may have out at once.
pub const MAX_IN_FLIGHT: usize = 1_024;
/// Events that a consumer has out at once when nothing else is said.
pub const DEFAULT_IN_FLIGHT: usize = 256;
/// Deliveries of one event that a consumer or a handler may be set to.
pub const MAX_DELIVERIES: u32 = 1_000_000;
/// Deliveries of one event when nothing else is said.
pub const DEFAULT_DELIVERIES: u32 = 5;
/// Seconds that a delivery may take when nothing else is said.
pub const DEFAULT_DEADLINE_S: u64 = 30;
/// Seconds of the longest deadline, backoff or delay of a delivery: a week.
pub const MAX_DELAY_S: u64 = 7 * 24 * 60 * 60;
/// Dead letters of one owner when nothing else is said.
pub const DEFAULT_LETTERS: usize = 10_000;
/// Dead letters of one owner that it may be set to.
pub const MAX_DEAD_LETTERS: usize = 100_000;
/// Calls that wait for the task of a consumer before callers have to wait too.
pub const CONSUMER_CALLS: usize = 1_024;
/// Calls that one commit of a consumer answers.
pub const CONSUMER_GROUP: usize = 512;
/// Events that a handler or a consumer has at hand: those that were read and wait for their turn. A handler follows no
/// further while it has so many.
pub const AT_HAND_EVENTS: usize = 1_024;
/// Bytes of those that wait behind another of their branch. Beyond it they are read again when their turn comes.
pub const AT_HAND_BYTES: usize = PAGE_BYTES;
/// Events of one branch that it has at hand. Later ones are read again when their turn comes.
pub const AT_HAND_LANE_EVENTS: usize = 32;
/// Events of a branch that are looked at in one go when they are read again, and the first were not wanted.
pub const LOOK_PAGE: usize = 512;
/// Bytes of the error that a dead letter keeps. Longer ones are cut.
pub const MAX_LETTER_ERROR_BYTES: usize = 1_024;

/// Commits that a follower's fast path holds before it falls back to the store.
pub const FOLLOW_BUFFER: usize = 16;
/// Bytes of a commit that the fast path carries. A larger one is only told of, and read from the store: a follower that
/// does not come must not hold what others have long let go.
pub const FOLLOW_FRAME_BYTES: usize = 64 * 1_024;

/// Events of one batch of a follower.
pub const MAX_FOLLOW_BATCH: usize = 65_536;
/// Bytes of payload after which such a batch is handed out, however few events it has.
pub const FOLLOW_BATCH_BYTES: usize = 8 * 1_024 * 1_024;

/// Events of a branch between two snapshots of a projection at the most: what a read folds once they are written.
pub const SNAPSHOT_SPACING: u64 = 1_024;
/// Events between two snapshots of the smallest states.
pub const SNAPSHOT_SPACING_LEAST: u64 = 16;
/// In between they lie so close that they take no more bytes than these for each event. To fold an event takes about as
/// long as to read a hundred bytes of a state, so a state far back takes no multiple of the one at the head.
pub const SNAPSHOT_BYTES_PER_EVENT: u64 = 64;
/// States that a projection keeps in memory while it follows.
pub const HOT_STATES: usize = 16_384;
/// Bytes of a key by which a projection keeps its states.
pub const MAX_STATE_KEY_BYTES: usize = 255;
/// Events that the runner of the projections takes at once.
pub const PROJECT_PAGE: usize = 2_048;
/// Milliseconds for which the runner lets events gather once it has caught up.
pub const PROJECT_PAUSE_MS: u64 = 50;
/// While events are appended the runner rests so many times as long as it worked: the processor is for who appends.
pub const PROJECT_REST: u32 = 16;
/// Milliseconds of one rest at the most.
pub const PROJECT_REST_MS: u64 = 400;
/// Milliseconds between two commits of snapshots and checkpoints under load.
pub const PROJECT_FLUSH_MS: u64 = 1_000;
/// Milliseconds without an event after which heads get their snapshots.
pub const PROJECT_IDLE_MS: u64 = 250;
/// Milliseconds after which another process may take over what a projection's runner has not done. It is renewed while
/// there is work, and need not be while there is none.
pub const PROJECT_LEASE_MS: u64 = 10_000;
/// How often something is tried again because records that it expects were changed meanwhile.
pub const PROJECT_ATTEMPTS: usize = 16;
/// Bytes of snapshots after which they are written at once …
pub const PROJECT_FLUSH_BYTES: usize = 2 * 1_024 * 1_024;
/// … or so many rows.
pub const PROJECT_FLUSH_ROWS: usize = 4_096;
/// Rules of one projection of alerts.
pub const MAX_ALERT_RULES: usize = 64;
/// Events that a rule counts before it raises an alert.
pub const MAX_ALERT_COUNT: u32 = 1_000;
/// Entities of a branch of which a rule keeps when they failed; the oldest are forgotten.
pub const MAX_WATCHED: usize = 1_024;
/// Alerts of a branch that are kept beside their events.
pub const ALERTS_KEPT: usize = 16;
/// Entities that a timeline lays out.
pub const MAX_TIMELINE_ROWS: usize = 10_000;
/// The last events of a timeline whose entities are remembered for the events that they cause.
pub const TIMELINE_CAUSES: usize = 65_536;
/// Threads of one rebuild.
pub const REBUILD_THREADS: usize = 8;

/// Calls of handlers that run at once, beside the one that every handler has for itself, when the user says nothing …
pub const DEFAULT_BUS_WORKERS: usize = 64;
/// … and at the most.
pub const MAX_BUS_WORKERS: usize = 4_096;
/// Handlers of one bus.
pub const MAX_HANDLERS: usize = 1_024;
/// Patterns and exclusions of one handler.
pub const MAX_HANDLER_PATTERNS: usize = 64;
/// Dead letters of one handler when nothing is said …
pub const DEFAULT_HANDLER_LETTERS: usize = 10_000;
/// … and at the most.
pub const MAX_HANDLER_LETTERS: usize = 1_000_000;
/// Calls past their time that could not be stopped, of one handler, at which it takes nothing more.
pub const MAX_STUCK: usize = 8;
/// Milliseconds for which an async handler may run on after it was told to stop.
pub const STUCK_GRACE_MS: u64 = 100;
/// Milliseconds for which a publisher waits for handlers when nothing is said.
pub const DEFAULT_AWAIT_MS: u64 = 60_000;
/// Milliseconds for which a bus that closes waits for its handlers when nothing is said.
pub const DEFAULT_DRAIN_MS: u64 = 30_000;
/// Events that were published without waiting and are not yet handed to the writer, when nothing is said …
pub const DEFAULT_NOWAIT_EVENTS: usize = 8_192;
/// … and at the most.
pub const MAX_NOWAIT_EVENTS: usize = 1_048_576;
/// Milliseconds between two looks whether the spill can be drained …
pub const SPILL_LOOK_MS: u64 = 1_000;
/// … how long what an earlier process left there waits for subscriptions at the most …
pub const SPILL_WAIT_MS: u64 = 10_000;
/// … and when all that it holds is for damaged branches.
pub const SPILL_HELD_LOOK_MS: u64 = 60_000;
/// Events of that queue that are appended at once.
pub const NOWAIT_GROUP: usize = 256;
/// Ephemeral events that wait for one handler or listener.
pub const EPHEMERAL_EVENTS: usize = 256;
/// Those that a handler has taken and has at hand, over all branches …
pub const EPHEMERAL_LANES_EVENTS: usize = AT_HAND_EVENTS;
/// … and their bytes, if it is more than one.
pub const EPHEMERAL_BYTES: usize = AT_HAND_BYTES;
/// Rules that say which events are durable, relaxed or ephemeral.
pub const MAX_PERSIST_RULES: usize = 256;
/// Events of the bus's history when nothing is said …
pub const DEFAULT_HISTORY: usize = 1_000;
/// … at the most …
pub const MAX_HISTORY: usize = 1_000_000;
/// … and bytes of their records.
pub const HISTORY_BYTES: usize = 16 * 1_024 * 1_024;
/// Types that the history counts by. Others are counted together.
pub const HISTORY_NAMES: usize = 1_024;
/// Events of a chain of causes or effects.
pub const MAX_CHAIN: usize = 10_000;

/// Roles that a built-in projection keeps at hand, by type name; others are looked up in the catalogue each time.
pub const MAX_CACHED_ROLES: usize = 4_096;
/// Bytes of a text that a built-in projection keeps: a name, a reason, an error. Longer ones are cut.
pub const MAX_LABEL_BYTES: usize = 256;
/// Bytes of the key of a label. Its value has at most [`MAX_LABEL_BYTES`].
pub const MAX_LABEL_KEY_BYTES: usize = 64;
/// Labels of a session.
pub const MAX_LABELS: usize = 64;
/// Bytes of a note on a session.
pub const MAX_NOTE_BYTES: usize = 16 * 1_024;
/// The last notes on a session that are kept at hand; all are counted.
pub const NOTES_KEPT: usize = 16;
/// Characters of the argument that tells a call of a tool from another. Longer ones are cut.
pub const MAX_TELLING_CHARS: usize = 160;
/// Bytes of a payload that is kept as it was read for the next projection that looks at the same event.
pub const MAX_SHARED_PAYLOAD_BYTES: usize = 256 * 1_024;
/// Entities that have ended and are still kept with their lives. Older ones are in the counts only.
pub const LIFE_ENDED: usize = 128;
/// Entities that are kept in all. Beyond it the one that changed longest ago goes, ended or not.
pub const LIFE_ENTITIES: usize = 1_024;
/// The last transitions of an entity that are kept …
pub const LIFE_TRANSITIONS: usize = 8;
/// … and of the session.
pub const LIFE_SESSION_TRANSITIONS: usize = 64;
/// The last transitions without sense that are kept; all are counted.
pub const LIFE_ANOMALIES: usize = 32;
/// Entities whose progress is kept.
pub const PROGRESS_ENTITIES: usize = 128;
/// The last milestones that are kept of each; all are counted.
pub const PROGRESS_MILESTONES: usize = 32;
/// Providers, and models, that use is told apart by. What others used is under one name.
pub const RESOURCE_NAMES: usize = 64;
/// Things whose totals are remembered: one that is reported again after so many others counts again.
pub const RESOURCE_TOTALS: usize = 128;
/// Runs that are open at once, whose sums are set against what was reported since they began.
pub const RESOURCE_RUNS: usize = 64;
/// Types, sources, branches that events are counted by. Others are counted together.
pub const STATS_NAMES: usize = 256;
/// Slots of the chart of a session's life. They grow wider as it grows longer.
pub const CHART_SLOTS: usize = 64;
/// Seconds of the window in which events per minute are counted.
pub const RATE_WINDOW_SECONDS: i64 = 60;

/// Bytes of a file that an import has at hand while it looks for records.
pub const IMPORT_WINDOW_BYTES: usize = 64 * 1_024;
/// Parts of a file, each that large, that an import keeps at hand.
pub const IMPORT_BLOCKS: usize = 4;
/// Bytes of what a user said that are copied by whoever only asks what a conversation is about.
pub const BRIEF_BYTES: usize = 4 * 1_024;
/// Events between two states of a branch that are folded for the sum of a session; over a longer distance, the projection has
/// snapshots.
pub const SPENT_EVENTS: u64 = 1_000;
/// Rows that are looked at for a few names or ids, those of what is deleted and not purged yet among them.
pub const NAME_ROWS: usize = 10_000;
/// Levels of nesting in JSON that is read: what serde takes.
pub const MAX_JSON_DEPTH: usize = 128;
/// Objects and arrays around an imported record.
pub const MAX_WRAPPERS: u8 = 16;
/// Where an imported file is damaged, the search for whole records reads so many times the bytes there at the most …
pub const RECOVER_FACTOR: usize = 32;
/// … and these, however few they are.
pub const RECOVER_BYTES: usize = 1_024 * 1_024;

/// Bytes of a piece of what is kept of an import …
pub const IMPORT_PIECE_BYTES: usize = 32 * 1_024;
/// … and events in it, on average.
pub const IMPORT_PIECE_EVENTS: u16 = 1_024;
/// Bytes of an imported file that no event has. Of a file with more only the events are kept.
pub const MAX_IMPORT_LOOSE_BYTES: usize = 64 * 1_024 * 1_024;

/// Messages of an imported file that wait for the second record that says the same. Codex writes the two close together.
pub const MAX_IMPORT_ECHOES: usize = 64;

/// A compressed file that is imported unpacks to so many times its bytes at the most …
pub const UNPACK_FACTOR: u64 = 200;
/// … or to these, however small it is.
pub const UNPACK_BYTES: u64 = 64 * 1_024 * 1_024;
/// Bytes that unpacking it may look back at: what `zstd` itself accepts without being told to.
pub const MAX_UNPACK_WINDOW_BYTES: u64 = 128 * 1_024 * 1_024;

/// Folders inside each other that an import looks into.
pub const MAX_FOLDER_DEPTH: usize = 32;

/// Bytes of an import's events that are written to its temporary file at once.
pub const SPOOL_BUFFER_BYTES: usize = 256 * 1_024;
/// Rows of a list in a temporary file that are written, and read, at once.
pub const ROWS_AT_ONCE: usize = 4 * 1_024;

/// Bytes of a file of settings.
pub const MAX_SETTINGS_FILE_BYTES: u64 = 1_024 * 1_024;
/// Bytes that a page cache can be set to.
pub const MAX_CACHE_BYTES: usize = 1 << 40;
/// Events, and bytes, that the tail can be set to hold.
pub const MAX_FLUSH_EVENTS: usize = 1_000_000;
/// See [`MAX_FLUSH_EVENTS`].
pub const MAX_FLUSH_BYTES: usize = 256 * 1_024 * 1_024;
/// Milliseconds that an interval can be set to: a day.
pub const MAX_INTERVAL_MS: u64 = 24 * 3_600 * 1_000;
/// The longest time for which a lease on a session is taken.
pub const MAX_LEASE_MS: u64 = 365 * 24 * 3_600 * 1_000;

/// Bytes of the spill beside a store that cannot write. What does not fit any more is counted and refused …
pub const SPILL_BYTES: u64 = 64 * 1_024 * 1_024;
/// … and the most that can be asked for.
pub const MAX_SPILL_BYTES: u64 = 1 << 30;
/// Bytes of the disk that a bus takes for its spill beforehand.
pub const SPILL_RESERVE_BYTES: u64 = 4 * 1_024 * 1_024;
/// Bytes that the store's disk has left at the least when the spill is drained into it.
pub const SPILL_SPARE_BYTES: u64 = 8 * 1_024 * 1_024;
/// Events of the spill that go into the store in one append …
pub const SPILL_GROUP: usize = 256;
/// … unless they have so many bytes.
pub const SPILL_GROUP_BYTES: usize = 1_024 * 1_024;
/// Timers that one store keeps.
pub const MAX_TIMERS: usize = 100_000;
/// Timers that fire in one commit.
pub const TIMER_GROUP: usize = 256;
/// Milliseconds after which the wall clock is looked at again, however far the next timer is.
pub const TIMER_LOOK_MS: u64 = 30_000;
/// Days that a timer can lie ahead.
pub const MAX_TIMER_DAYS: i64 = 366 * 100;

/// Rounds of looking for a new owner before a server tries to become it, when the last one is gone …
pub const HOLD_OFF_SERVE: u8 = 2;
/// … before a command does …
pub const HOLD_OFF_CLI: u8 = 8;
/// … and before one that has just handed over does.
pub const HOLD_OFF_HANDED_OVER: u8 = 20;
/// Milliseconds between two such rounds.
pub const OWNER_PAUSE_MS: u64 = 15;
/// A storage that works for so long after it had failed counts as one that works.
pub const OWNER_HEALTHY_MS: u64 = 10_000;
/// Milliseconds to wait for a store that another process has and does not share, when nothing is said.
pub const DEFAULT_WAIT_MS: u64 = 2_000;
/// Milliseconds that an owner may say nothing, however short the patience of its client is.
pub const LEAST_ANSWER_MS: u64 = 1_000;
/// Milliseconds that an owner has to answer what it has accepted before it hands over.
pub const HAND_OVER_MS: u64 = 2_000;
/// Milliseconds without a read after which a store that is only read lets go of its file …
pub const READ_IDLE_MS: u64 = 50;
/// … and for which it keeps the file locked at the most, when it is read all the time: all readers let go at once, by the
/// clock, in every such span …
pub const READ_LOCK_MS: u64 = 500;
/// … for so many milliseconds of it, in which a writer gets in.
pub const READ_OFF_MS: u64 = 60;
/// Milliseconds after which a follower, a handler and the projections try again to read a store that they could not read.
pub const FOLLOW_AGAIN_MS: u64 = 100;
/// Milliseconds between two looks at the file of a store that is only read, while nobody owns it.
pub const READ_LOOK_MS: u64 = 100;
/// A file that changed so shortly before it was looked at may change again without a later modification time.
pub const READ_RACY_MS: u64 = 1_000;
/// Bytes of an owner record.
pub const MAX_OWNER_RECORD_BYTES: u64 = 8 * 1_024;
/// Bytes of a socket's path, with its end: what the smallest `sun_path` holds.
pub const MAX_SOCKET_PATH_BYTES: usize = 104;
/// Bytes of a frame between the owner of a store and a client. Longer messages take several, so that short ones can come
/// in between.
pub const SHARED_FRAME_BYTES: usize = 1_024 * 1_024;
/// Bytes of the longest message: the largest append, and what is around it.
pub const SHARED_MESSAGE_BYTES: usize = MAX_BATCH_BYTES + 64 * 1_024 * 1_024;
/// Bytes of the first message in each direction.
pub const SHARED_GREETING_BYTES: usize = 256 * 1_024;
/// Things in one list of a message, unless another bound is smaller.
pub const SHARED_LIST: usize = 1 << 20;
/// Bytes of a commit that clients are sent. Of a larger one they are only told that there was one.
pub const SHARED_HINT_BYTES: usize = FOLLOW_FRAME_BYTES;
/// Clients of one owner.
pub const SHARED_CLIENTS: usize = 256;
/// Calls of one client that wait for their answer at once.
pub const SHARED_CALLS: usize = 1_024;
/// Reads of one client that are carried out at once …
pub const SHARED_CLIENT_READS: usize = 4;
/// … and of all clients.
pub const SHARED_READS: usize = 8;
/// Milliseconds after which a caller that reads its answer itself looks whether another has it.
pub const SHARED_LISTEN_MS: u64 = 20;
/// Threads of an owner that go on for those that make a commit.
pub const SHARED_STAND_INS: usize = 4;
/// Clients that whoever has made a commit writes to, and does not leave to another thread.
pub const SHARED_OWN_WRITES: usize = 2;
/// Bytes for one client that it writes at the most: others wait for their commits meanwhile.
pub const SHARED_OWN_BYTES: usize = 64 << 10;
/// Bytes of a client's appends that wait for their answer at once; the last of them may be as large as it likes.
pub const SHARED_CLIENT_BYTES: usize = 8 * 1_024 * 1_024;
/// Bytes that wait for a client to read them. Beyond that it is told of commits by their position only, and nothing more
/// is taken from it.
pub const SHARED_QUEUE_BYTES: usize = 4 * 1_024 * 1_024;
/// Bytes of messages of several frames that an owner takes in at once, of all clients.
pub const SHARED_INTAKE_BYTES: usize = SHARED_MESSAGE_BYTES;
/// Bytes that are read from a socket at once, unless a frame is known to have more.
pub const SHARED_READ_BYTES: usize = 8 * 1_024;
/// Reads of a client from its socket after which something else has a turn.
pub const SHARED_READS_IN_A_ROW: u64 = 64;
/// Pieces of memory that are written to a socket at once.
pub const SHARED_WRITE_PIECES: usize = 64;
/// Milliseconds without a word from the owner after which a client gives up, when it does not say another time.
pub const SHARED_WAIT_MS: u64 = 10_000;
/// Milliseconds within which a client has to say who it is, and to go on with a message that it has begun …
pub const SHARED_STALL_MS: u64 = 10_000;
/// … of which it sends at least so many bytes a second, when it has several frames.
pub const SHARED_LEAST_RATE: u64 = 1_024 * 1_024;
/// Milliseconds that clients have to read what waits for them when the owner closes the store.
pub const SHARED_CLOSING_MS: u64 = 200;
/// Milliseconds that clients have to say that they have heard that the owner leaves, and will ask it for nothing more.
pub const SHARED_LEAVING_MS: u64 = 1_000;
/// Milliseconds to read the last answers of an owner that takes nothing more.
pub const SHARED_LAST_WORDS_MS: u64 = 1_000;
/// Milliseconds until the next client is taken in after one could not be.
pub const SHARED_ACCEPT_MS: u64 = 50;
/// Pieces of one long read: chunks, and the unflushed events of each ancestor.
pub const SHARED_PIECES: usize = 4_096;
/// Milliseconds between two signs of life of an owner, at the least.
pub const SHARED_BEAT_MS: u64 = 20;
/// Milliseconds between two signs of life of a program that uses a remote store, which its server answers …
pub const REMOTE_PING_MS: u64 = 10_000;
/// … and of silence after which either takes the other for gone.
pub const REMOTE_SILENCE_MS: u64 = 35_000;
/// Milliseconds for which one direction of a connection outlives the other.
pub const REMOTE_LINGER_MS: u64 = 10_000;
/// Milliseconds until a remote store that could not be reached is looked for again, at first …
pub const REMOTE_PAUSE_MS: u64 = 50;
/// … and at the most.
pub const REMOTE_LONGEST_PAUSE_MS: u64 = 1_000;
/// Bytes a second that a remote client sends at the least of a message of several frames.
pub const REMOTE_LEAST_RATE: u64 = 32 * 1_024;
/// Bytes of what a server answers before it speaks the shared protocol, with what it says of a refusal.
pub const REMOTE_HEAD_BYTES: usize = 16 * 1_024;
/// Lines of that answer.
pub const REMOTE_HEAD_LINES: usize = 64;
/// Bytes of one part of a copy that a client takes.
pub const COPY_PART_BYTES: usize = 512 * 1_024;
/// Bytes of a token, at the most.
pub const MAX_TOKEN_BYTES: usize = 1_024;
/// Bytes of the name of a program that uses a store.
pub const MAX_PROGRAM_BYTES: usize = 128;
/// Different words that errors of other processes may have in places where they are fixed.
pub const MAX_SHARED_WORDS: usize = 256;
/// Unreadable parts of a store that a client is told of when it connects.
pub const MAX_DAMAGE_TOLD: usize = 256;

/// Rows that a compaction copies in one step, between two looks at what has changed.
pub const COMPACT_STEP_ROWS: usize = 20_000;
/// … and their bytes.
pub const COMPACT_STEP_BYTES: usize = 8 << 20;
/// Changed rows that a compaction leaves for the moment in which nobody can append.
pub const COMPACT_CHANGED_ROWS: usize = 5_000;
/// Free bytes of the disk that it leaves to the store.
pub const COMPACT_SPARE_BYTES: u64 = 32 << 20;
/// How often it tries to have no more than these.
pub const COMPACT_ROUNDS: u32 = 16;

/// Bytes of what is searched for.
pub const MAX_SEARCH_BYTES: usize = 1_024;
/// Words and phrases in it.
pub const MAX_SEARCH_CLAUSES: usize = 64;
/// Events that a search finds unless it is asked for more …
pub const SEARCH_HITS: usize = 10;
/// … and at the most.
pub const MAX_SEARCH_HITS: usize = 1_000;
/// Texts that are looked at as answers before others are, at the least.
pub const SEARCH_CANDIDATES: usize = 64;
/// Texts of a phrase that are kept between counting and scoring them, for each segment.
pub const SEARCH_KNOWN_TEXTS: usize = 256 * 1_024;
/// Bytes of the piece of a text that an answer shows.
pub const SEARCH_SNIPPET_BYTES: usize = 200;
/// Bytes of a word: longer ones are several.
pub const SEARCH_WORD_BYTES: usize = 64;
/// Bytes of a text that a word may be written with.
pub const SEARCH_WORD_SOURCE_BYTES: usize = 160;
/// Bytes of a text that can be found. Of a longer one this is its beginning.
pub const MAX_SEARCH_TEXT_BYTES: usize = 16 * 1_024 * 1_024;
/// Texts of one event. The last of very many has all the rest.
pub const MAX_SEARCH_PARTS: usize = 4_096;
/// Positions that a search looks through after those in the index …
pub const SEARCH_TAIL_EVENTS: u64 = 512;
/// … and bytes of their texts. With more, it brings the index up to date.
pub const SEARCH_TAIL_BYTES: usize = 1_024 * 1_024;
/// Events that were found in the index and are gone from the store, after which the index is swept.
pub const SEARCH_GONE_DUE: usize = 256;
/// Positions without an event that an index keeps, to notice when there is one again.
pub const SEARCH_GONE_KEPT: usize = 16;
/// Bytes of an index that is built in memory before it is written …
pub const SEARCH_MEMORY_BYTES: usize = 64 * 1_024 * 1_024;
/// … and texts in it.
pub const SEARCH_SEGMENT_TEXTS: usize = 128 * 1_024;
/// Segments of an index are merged with the next one unless they are so many times larger …
pub const SEARCH_MERGE_FACTOR: u64 = 3;
/// … or have more texts together.
pub const SEARCH_MERGED_TEXTS: u64 = 1_024 * 1_024;
/// Bytes of a page of an index's file.
pub const SEARCH_PAGE_BYTES: usize = 16 * 1_024;
/// Bytes of the list of its files …
pub const MAX_SEARCH_MANIFEST_BYTES: u64 = 4 * 1_024 * 1_024;
/// … and segments in it.
pub const MAX_SEARCH_SEGMENTS: usize = 4_096;
/// Terms of an index that are read together.
pub const SEARCH_BLOCK_TERMS: usize = 64;
/// Indexes of one store, for processes that read its events in different ways.
pub const SEARCH_INDEXES: usize = 4;

/// Bytes of a file's name on most file systems.
pub const MAX_FILE_NAME_BYTES: usize = 255;
/// … and on those that take the least.
pub const SHORT_FILE_NAME_BYTES: usize = 100;

const _: () = assert!(SEARCH_WORD_BYTES < SEARCH_SNIPPET_BYTES && SEARCH_HITS <= MAX_SEARCH_HITS);
const _: () = assert!(MAX_SEARCH_PARTS <= u16::MAX as usize && MAX_SEARCH_TEXT_BYTES < (1 << 30));
const _: () = assert!(SEARCH_MERGED_TEXTS < u32::MAX as u64 && SEARCH_PAGE_BYTES > 8);
const _: () = assert!(AT_HAND_LANE_EVENTS <= AT_HAND_EVENTS && 2 * AT_HAND_LANE_EVENTS <= LOOK_PAGE);
const _: () = assert!(LOOK_PAGE <= MAX_PAGE);
const _: () = assert!(DEFAULT_BUS_WORKERS <= MAX_BUS_WORKERS && NOWAIT_GROUP <= MAX_BATCH_EVENTS);
const _: () = assert!(DEFAULT_HISTORY <= MAX_HISTORY && DEFAULT_NOWAIT_EVENTS <= MAX_NOWAIT_EVENTS);
const _: () = assert!(HOLD_OFF_SERVE < HOLD_OFF_CLI && HOLD_OFF_CLI < HOLD_OFF_HANDED_OVER);
const _: () =
    assert!(SHARED_MESSAGE_BYTES < u32::MAX as usize && SHARED_GREETING_BYTES <= SHARED_FRAME_BYTES);
const _: () = assert!(SHARED_HINT_BYTES * 2 < SHARED_FRAME_BYTES && MAX_PAGE <= SHARED_LIST);
const _: () = assert!(REMOTE_SILENCE_MS > 3 * REMOTE_PING_MS && REMOTE_PAUSE_MS < REMOTE_LONGEST_PAUSE_MS);
const _: () = assert!(COPY_PART_BYTES < SHARED_FRAME_BYTES);
const _: () = assert!(SCAN_CHUNKS + MAX_FORK_DEPTH < SHARED_PIECES);
const _: () = assert!(MAX_BATCH_EVENTS <= SHARED_LIST && MAX_LISTING <= SHARED_LIST);
const _: () = assert!(SPILL_RESERVE_BYTES <= SPILL_BYTES);
const _: () = assert!(SPILL_BYTES <= MAX_SPILL_BYTES && SPILL_GROUP_BYTES < MAX_BATCH_BYTES);
const _: () = assert!(SPILL_GROUP <= MAX_BATCH_EVENTS && TIMER_GROUP <= MAX_BATCH_EVENTS);
const _: () = assert!(LIFE_ENDED < LIFE_ENTITIES && CHART_SLOTS.is_multiple_of(2));
const _: () = assert!(PROJECT_FLUSH_BYTES < QUEUE_BYTES && PROJECT_IDLE_MS < PROJECT_FLUSH_MS);
const _: () =
    assert!(PROJECT_FLUSH_MS * 4 < PROJECT_LEASE_MS, "a runner that is busy renews its lease in time");
const _: () = assert!(SNAPSHOT_SPACING.is_power_of_two() && SNAPSHOT_SPACING_LEAST.is_power_of_two());
const _: () = assert!(SNAPSHOT_SPACING_LEAST < SNAPSHOT_SPACING);
const _: () = assert!(PROJECT_FLUSH_ROWS <= HOT_STATES);
const _: () = assert!(MAX_RECORD_BYTES < u32::MAX as usize, "spans inside a record are 32 bits");
const _: () = assert!(DEFAULT_PAYLOAD_BYTES <= MAX_PAYLOAD_BYTES);
const _: () = assert!(MAX_PAYLOAD_BYTES < MAX_BATCH_BYTES && MAX_BATCH_BYTES < i32::MAX as usize);
const _: () = assert!(SMALL_CHUNK_EVENTS < MAX_CHUNK_EVENTS);
const _: () = assert!(FLUSH_BYTES as u64 * 2 < JOURNAL_BYTES, "one layer flushes while the next one grows");
const _: () = assert!(JOURNAL_BYTES.is_multiple_of(4_096) && JOURNAL_BYTES_IN_MEMORY.is_multiple_of(4_096));
const _: () = assert!(DEFAULT_PAGE <= MAX_PAGE);
const _: () = assert!(FOLLOW_BUFFER * FOLLOW_FRAME_BYTES < PAGE_BYTES, "a follower holds a page at the most");
const _: () = assert!(DEFAULT_IN_FLIGHT <= MAX_IN_FLIGHT && MAX_IN_FLIGHT <= MAX_CONSUMER_LANES);
const _: () = assert!(DEFAULT_DEADLINE_S <= MAX_DELAY_S && DEFAULT_LETTERS <= MAX_DEAD_LETTERS);
const _: () = assert!(MAX_BATCH_EVENTS < u32::MAX as usize);
