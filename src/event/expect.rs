use std::fmt;
use std::str::FromStr;

use super::{Invalid, Sequence};

/// The precondition of an append: the head of the branch.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Expect {
    /// Any head: append after whatever is there.
    #[default]
    Any,
    /// The branch holds no event yet. One that does not exist is empty, and begins with the append.
    Empty,
    /// The head is exactly this sequence. `Head(0)` is the same as `Empty`.
    Head(Sequence),
}

impl Expect {
    /// Whether it holds for a branch that does not exist, and for no branch with events.
    pub(crate) fn is_of_a_new_branch(self) -> bool {
        matches!(self, Self::Empty | Self::Head(Sequence::ZERO))
    }

    /// Whether a branch with this head is as expected.
    #[must_use]
    pub fn holds(self, head: Sequence) -> bool {
        match self {
            Self::Any => true,
            Self::Empty => head == Sequence::ZERO,
            Self::Head(n) => head == n,
        }
    }
}

impl FromStr for Expect {
    type Err = Invalid;

    fn from_str(s: &str) -> Result<Self, Invalid> {
        match s {
            "any" => Ok(Self::Any),
            "empty" => Ok(Self::Empty),
            _ => s.parse().map(|n: u64| Self::Head(n.into())).map_err(|_| {
                Invalid::new("expect", format!("`{}` is not `any`, `empty` or a sequence", s.escape_debug()))
            }),
        }
    }
}

impl fmt::Display for Expect {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Any => f.write_str("any head"),
            Self::Empty => f.write_str("an empty branch"),
            Self::Head(n) => write!(f, "head {n}"),
        }
    }
}
