//! One case of the suite, and its outcome.

use std::fmt;
use std::panic::Location;

use super::home::{Capability, Home};

/// The outcome of a case.
pub type CaseOutcome = Result<(), Stop>;

/// One case: a plain function over the public API of [`Store`](crate::store::Store).
#[derive(Clone, Copy, Debug)]
pub struct Case {
    /// Its file, and what an engine has to do: `append::exactly_one_of_many_threads_wins`.
    pub name: &'static str,
    run: fn(&mut dyn Home) -> CaseOutcome,
}

impl Case {
    pub(super) const fn new(name: &'static str, run: fn(&mut dyn Home) -> CaseOutcome) -> Self {
        Self { name, run }
    }

    /// Runs it, on stores of its own.
    ///
    /// # Errors
    /// [`Stop`] when it fails, or needs something that the engine lacks.
    pub fn run(&self, home: &mut dyn Home) -> CaseOutcome {
        crate::panics::caught(|| (self.run)(home))
            .unwrap_or_else(|message| Err(Stop::Failed(format!("it panicked: {message}"))))
    }
}

/// Why a case did not pass.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Stop {
    /// It needs this, which the engine lacks.
    Lacks(Capability),
    /// The engine did something wrong: where in the case, and what.
    Failed(String),
}

impl Stop {
    /// A failure with this description, after the line of the caller.
    #[track_caller]
    pub fn failed(what: impl fmt::Display) -> Self {
        let at = Location::caller();
        let file = at.file().rsplit(['/', '\\']).next().unwrap_or_default();
        Self::Failed(format!("{file}:{}: {what}", at.line()))
    }
}

impl fmt::Display for Stop {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Lacks(capability) => write!(f, "the engine has no {capability}"),
            Self::Failed(what) => f.write_str(what),
        }
    }
}

// Not an `Error` itself, so that every error can be turned into one.
impl<E: std::error::Error> From<E> for Stop {
    #[track_caller]
    fn from(error: E) -> Self {
        Self::failed(error)
    }
}

/// The cases of one file, named after their functions.
macro_rules! cases {
    ($about:literal: $($name:ident),+ $(,)?) => {
        pub(super) const CASES: &[$crate::testkit::conformance::case::Case] = &[
            $($crate::testkit::conformance::case::Case::new(concat!($about, "::", stringify!($name)), $name)),+
        ];
    };
}

pub(super) use cases;
