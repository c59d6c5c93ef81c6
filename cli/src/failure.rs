//! How a verb ends when it does not end well: an exit code, a sentence, and a way out where there is one.

use std::fmt;
use std::io;

use retold::error::Error;
use retold::event::{Expect, Invalid};
use retold::wire::{self, Exit};

#[derive(Debug)]
pub(super) enum Failure {
    Store(Error),
    /// Flags that do not go together, beyond what the parser knows.
    Usage(String),
    /// A file or a stream that is not the store's.
    Io {
        what: String,
        source: io::Error,
    },
    /// Nobody reads any more what would be printed.
    ClosedPipe,
    /// Everything was said already; only the exit code is left.
    Reported(Exit),
}

impl Failure {
    pub(super) fn exit(&self) -> Exit {
        match self {
            Self::Store(e) => wire::code(e).exit,
            Self::Usage(_) => Exit::Usage,
            Self::Io { source, .. } if source.kind() == io::ErrorKind::NotFound => Exit::NotFound,
            Self::Io { .. } => Exit::Failed,
            Self::ClosedPipe => Exit::Done,
            Self::Reported(exit) => *exit,
        }
    }

    /// Whether there is something left to be said.
    pub(super) fn is_told(&self) -> bool {
        matches!(self, Self::ClosedPipe | Self::Reported(_))
    }

    /// What can be done about it.
    pub(super) fn hint(&self) -> Option<String> {
        match self {
            Self::Store(e) => hint(e),
            Self::Usage(_) => Some("`retold help VERB` says what a verb takes".into()),
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
            format!("`retold read {place} --from {}` shows what came since", head.next())
        }
        Error::Conflict { place, .. } => format!("`retold read {place}` shows what is there"),
        Error::Invalid(e) if e.field == "data" && e.reason.contains("the schema of") => {
            "`retold types TYPE` shows what it takes".into()
        }
        Error::Invalid(e) if e.field == "type" && e.reason.contains("in no catalogue") => {
            "`retold types` lists those that are known; `--types FILE` adds your own".into()
        }
        Error::Invalid(e) if e.field == "data" => {
            "in a shell, JSON goes between single quotes: --data '{\"n\": 1}'".into()
        }
        Error::NotFound { what: "session", .. } => "`retold sessions` lists those there are".into(),
        Error::NotFound { what: "branch", name } => {
            let session = name.split('/').next().unwrap_or(name);
            format!("`retold branches {session}` lists those there are; `retold fork` begins one")
        }
        Error::NotFound { what: "type", .. } | Error::NotFound { what: "domain", .. } => {
            "`retold types` lists those that are known; `--types FILE` adds your own".into()
        }
        Error::NotFound { what: "store", .. } => {
            "`--store PATH` or RETOLD_STORE names another; `retold append` and `retold import` begin one"
                .into()
        }
        Error::NotFound { what: "consumer", .. } => {
            "`retold consumer ls` lists those there are; `retold consumer add` makes one".into()
        }
        Error::NotFound { what: "dead letter", .. } => {
            "`retold dead-letters ls` lists those there are".into()
        }
        Error::NotDelivered { consumer, .. } => {
            format!("`retold consumer show {consumer}` shows what is out, with its tokens")
        }
        Error::Differs { what: "consumer", name, .. } => {
            format!("`retold consumer show {name}` shows its settings; `retold consumer rm` removes it")
        }
        Error::NotFound { what: "import", .. } => "`retold imports` lists those there are".into(),
        Error::NotFound { what: "timer", .. } => {
            "`retold timers ls` lists those that wait; one that fired is in its session".into()
        }
        Error::Invalid(e) if e.field == "timer" && e.reason.contains("past") => {
            "`retold append` records it now".into()
        }
        Error::NotFound { what: "projection", .. } => "`retold projections` lists those there are".into(),
        Error::Parked { at, .. } => {
            let before = at.sequence().map_or(0, |s| s.get().saturating_sub(1));
            format!("the state before it is at {}@{before}; `retold rebuild` folds it anew", at.place())
        }
        Error::NotFound { what: "event", .. } => {
            "`retold read` and `retold branches` show what is there".into()
        }
        Error::Exists { what: "branch", name } => {
            let session = name.split('/').next().unwrap_or(name);
            format!("give another name; `retold branches {session}` lists those that are taken")
        }
        Error::Exists { what: "store", .. } => "`--store PATH` names another".into(),
        Error::Duplicate { .. } => "leave out --id to append it as an event of its own".into(),
        Error::Locked { .. } => {
            "`--wait SECONDS` waits until it is closed, or end the process that has it open".into()
        }
        Error::Corrupt { .. } => {
            "keep the file as it is; `retold verify` names everything that is wrong with it".into()
        }
        Error::Upcast { at, .. } => {
            format!("`retold read {at} --from {} --raw` shows it", at.sequence().unwrap_or_default())
        }
        Error::NotFound { what: "folder", .. } => {
            "`--migrations DIR` or RETOLD_MIGRATIONS names another".into()
        }
        Error::Invalid(e) if e.field == "upcast" => "`retold help migrate` says how to check steps".into(),
        Error::TooLarge { .. } => "keep what is large in a file of its own, and its path in the event".into(),
        Error::Unknown { .. } => {
            "run the same command again; with --id an event cannot be recorded twice".into()
        }
        Error::BadCursor { .. } => "--from start, or --from N up to the last event, begins anywhere".into(),
        _ => return None,
    })
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Store(e) => fmt::Display::fmt(e, f),
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
