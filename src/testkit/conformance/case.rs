//! One case of the suite, and how it ends.

use std::fmt;
use std::panic::Location;

use super::home::{Capability, Home};

/// How a case ends.
pub type CaseOutcome = Result<(), Stop>;

/// One case: a plain function over the public API of [`Store`](crate::store::Store).
#[derive(Clone, Copy, Debug)]
pub struct Case {
    /// What it is about, and what it holds an engine to: `append::exactly_one_of_many_threads_wins`.
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
    /// [`Stop`] when it fails, or needs what the engine cannot do.
    pub fn run(&self, home: &mut dyn Home) -> CaseOutcome {
        crate::panics::caught(|| (self.run)(home))
            .unwrap_or_else(|said| Err(Stop::Failed(format!("it panicked: {said}"))))
    }
}

/// Why a case did not pass.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Stop {
    /// It needs this, which the engine cannot do.
    Lacks(Capability),
    /// The engine did something else than it has to: where in the case, and what.
    Failed(String),
}

impl Stop {
    /// It failed, and what was wrong is this. The line of the caller is put before it.
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

/// Cases of one file, named as their functions.
macro_rules! cases {
    ($about:literal: $($name:ident),+ $(,)?) => {
        pub(super) const CASES: &[$crate::testkit::conformance::case::Case] = &[
            $($crate::testkit::conformance::case::Case::new(concat!($about, "::", stringify!($name)), $name)),+
        ];
    };
}

pub(super) use cases;
