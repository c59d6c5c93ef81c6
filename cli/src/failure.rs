//! How a verb fails: an exit code, a message, and a hint if there is one.

use std::fmt;
use std::io;

use retold::error::Error;
use retold::event::{Expect, Invalid};
use retold::wire::{self, Exit};

#[derive(Debug)]
pub(super) enum Failure {
    Store(Error),
    /// An error of the store, and what can be done about it here.
    Advised(Box<(Error, String)>),
    /// The beginning of several names.
    Ambiguous(Box<Ambiguous>),
    /// Flags that do not go together, beyond what the parser checks.
    Usage(String),
    /// A file or a stream other than the store.
    Io {
        what: String,
        source: io::Error,
    },
    /// The reader of the output is gone.
    ClosedPipe,
    /// Everything was already reported; only the exit code is left.
    Reported(Exit),
}

/// A name that may stand for several things.
#[derive(Debug)]
pub(super) struct Ambiguous {
    pub(super) what: &'static str,
    pub(super) given: String,
    /// Some of those that begin so.
    pub(super) candidates: Vec<String>,
    /// There are more.
    pub(super) more: bool,
}

impl fmt::Display for Ambiguous {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { what, given, candidates, more } = self;
        write!(f, "{what} {given} is ambiguous: it could be {}", candidates.join(", "))?;
        if *more { f.write_str(" or another") } else { Ok(()) }
    }
}

impl Failure {
    pub(super) fn exit(&self) -> Exit {
        match self {
            Self::Store(error) => wire::code(error).exit,
            Self::Advised(advised) => wire::code(&advised.0).exit,
            Self::Ambiguous(_) => Exit::NotFound,
            Self::Usage(_) => Exit::Usage,
            Self::Io { source, .. } if source.kind() == io::ErrorKind::NotFound => Exit::NotFound,
            Self::Io { .. } => Exit::Failed,
            Self::ClosedPipe => Exit::Done,
            Self::Reported(exit) => *exit,
        }
    }

    /// Whether there is something left to report.
    pub(super) fn is_told(&self) -> bool {
        matches!(self, Self::ClosedPipe | Self::Reported(_))
    }

    /// What the user can do about it.
    pub(super) fn hint(&self) -> Option<String> {
        match self {
            Self::Store(e) => hint(e),
            Self::Advised(advised) => Some(advised.1.clone()),
            Self::Ambiguous(ambiguous) if ambiguous.what == "event" => Some(
                "give more digits: ids of events that were recorded one after the other begin alike".into(),
            ),
            Self::Ambiguous(_) => Some("give more of the name".into()),
            Self::Usage(_) => Some("`retold help VERB` shows the arguments of a verb".into()),
            Self::Io { .. } | Self::ClosedPipe | Self::Reported(_) => None,
        }
    }

    /// A file that could not be read or written.
    pub(super) fn file(path: impl fmt::Display, source: io::Error) -> Self {
        Self::Io { what: path.to_string(), source }
    }
}

fn hint(e: &Error) -> Option<String> {
    Some(match e {
        Error::Conflict { place, expected: Expect::Head(head), actual } if head < actual => {
            format!("`retold read {place} --from {}` shows what was appended since", head.next())
        }
        Error::Conflict { place, .. } => format!("`retold read {place}` shows what is there"),
        Error::Invalid(e) if e.field == "data" && e.reason.contains("the schema of") => {
            "`retold types TYPE` shows the schema".into()
        }
        Error::Invalid(e) if e.field == "type" && e.reason.contains("in no catalogue") => {
            "`retold types` lists the known types; `--types FILE` adds your own".into()
        }
        Error::Invalid(e) if e.field == "data" => {
            "in a shell, JSON goes between single quotes: --data '{\"n\": 1}'".into()
        }
        Error::BranchClosed { place, .. } => {
            format!("`retold fork {place} NAME` creates a branch that continues from there")
        }
        Error::Deleted { place, .. } => {
            format!("`retold branches {}` lists the remaining branches", place.session)
        }
        Error::Truncated { place, first } => {
            format!("`retold read {place} --from {first}` shows the remaining events")
        }
        Error::NotFound { what: "session", .. } => "`retold sessions` lists the sessions".into(),
        Error::NotFound { what: "branch", name } => {
            let session = name.split('/').next().unwrap_or(name);
            format!("`retold branches {session}` lists its branches; `retold fork` creates one")
        }
        Error::NotFound { what: "type", .. } | Error::NotFound { what: "domain", .. } => {
            "`retold types` lists the known types; `--types FILE` adds your own".into()
        }
        Error::NotFound { what: "store", .. } => {
            "`--store PATH` or RETOLD_STORE selects another; `retold append` and `retold import` create one"
                .into()
        }
        Error::NotFound { what: "label", name } => {
            let session = name.rsplit(' ').next().unwrap_or(name);
            format!("`retold label {session}` lists its labels")
        }
        Error::NotFound { what: "consumer", .. } => {
            "`retold consumer ls` lists the consumers; `retold consumer add` creates one".into()
        }
        Error::NotFound { what: "dead letter", .. } => {
            "`retold dead-letters ls` lists the dead letters".into()
        }
        Error::NotDelivered { consumer, .. } => {
            format!("`retold consumer show {consumer}` lists open deliveries with their tokens")
        }
        Error::Differs { what: "consumer", name, .. } => {
            format!("`retold consumer show {name}` shows its settings; `retold consumer rm` removes it")
        }
        Error::NotFound { what: "import", .. } => "`retold imports` lists the imports".into(),
        Error::NotFound { what: "timer", .. } => {
            "`retold timers ls` lists pending timers; the event of a fired one is in its session".into()
        }
        Error::Invalid(e) if e.field == "timer" && e.reason.contains("past") => {
            "`retold append` records it now".into()
        }
        Error::NotFound { what: "projection", .. } => "`retold projections` lists the projections".into(),
        Error::Parked { at, .. } => {
            let before = at.sequence().map_or(0, |s| s.get().saturating_sub(1));
            format!("the state before it is at {}@{before}; `retold rebuild` rebuilds it", at.place())
        }
        Error::NotFound { what: "event", .. } => {
            "`retold read` and `retold branches` show what exists".into()
        }
        Error::Exists { what: "branch", name } => {
            let session = name.split('/').next().unwrap_or(name);
            format!("choose another name; `retold branches {session}` lists the existing ones")
        }
        Error::Exists { what: "store", .. } => "`--store PATH` selects another".into(),
        Error::Duplicate { .. } => "leave out --id to append it as a new event".into(),
        Error::Locked { .. } => {
            "`--wait SECONDS` waits longer for it, or stop the process that has it open".into()
        }
        Error::Unreachable { .. } => "`--wait SECONDS` waits longer for it".into(),
        Error::Corrupt { .. } => {
            "do not change the file; `retold verify` lists everything that is wrong with it".into()
        }
        Error::Upcast { at, .. } => {
            format!("`retold read {at} --from {} --raw` shows it", at.sequence().unwrap_or_default())
        }
        Error::NotFound { what: "folder", .. } => {
            "`--migrations DIR` or RETOLD_MIGRATIONS selects another".into()
        }
        Error::Invalid(e) if e.field == "upcast" => {
            "`retold help migrate` says how to check upcasters".into()
        }
        Error::TooLarge { .. } => "keep large content in a separate file, and its path in the event".into(),
        Error::Unknown { .. } => {
            "run the same command again; with --id the event is not recorded twice".into()
        }
        Error::LeaseHeld { .. } | Error::LeaseLost { .. } => {
            "`retold lease ls` lists the leases and their holders".into()
        }
        Error::Diverged { .. } => {
            "`retold read` shows what is there now; --from N begins at an event, --from start at the first"
                .into()
        }
        Error::BadCursor { .. } => "use --from start, or --from N with a number up to the last event".into(),
        _ => return None,
    })
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Store(e) => fmt::Display::fmt(e, f),
            Self::Advised(advised) => fmt::Display::fmt(&advised.0, f),
            Self::Ambiguous(ambiguous) => fmt::Display::fmt(ambiguous, f),
            Self::Usage(text) => f.write_str(text),
            Self::Io { what, source } if source.kind() == io::ErrorKind::NotFound => {
                write!(f, "there is no file {what}")
            }
            Self::Io { what, source } => write!(f, "{what}: {source}"),
            Self::ClosedPipe | Self::Reported(_) => Ok(()),
        }
    }
}

impl From<Error> for Failure {
    fn from(e: Error) -> Self {
        Self::Store(e)
    }
}

impl From<Invalid> for Failure {
    fn from(e: Invalid) -> Self {
        Self::Store(e.into())
    }
}

pub(super) type Outcome = Result<(), Failure>;
