//! A lease as its holder sees it, and the token that its appends carry.

use std::fmt;
use std::str::FromStr;

use crate::error::Error;
use crate::event::{Invalid, SessionId, Timestamp};
use crate::limits::MAX_NAME_BYTES;

/// Who holds a session, and until when.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Lease {
    /// Refuses the appends of earlier holders: see [`Batch::fenced`](crate::Batch::fenced).
    pub token: FencingToken,
    /// The session that is held.
    pub session: SessionId,
    /// Who took it.
    pub holder: String,
    /// How often the session was taken, this time included.
    pub fence: u64,
    /// When it ends by itself, unless it is renewed before.
    pub until: Timestamp,
}

/// Which of the leases of a session an append relies on. Each taking of a lease has a higher fence than the one before.
///
/// As text it is `SESSION@FENCE/HOLDER`, such as `run-7@3/worker-1`.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct FencingToken {
    pub(crate) session: SessionId,
    pub(crate) fence: u64,
    pub(crate) holder: String,
}

impl Lease {
    pub(crate) fn of(token: FencingToken, until: Timestamp) -> Self {
        let (session, holder, fence) = (token.session.clone(), token.holder.clone(), token.fence);
        Self { token, session, holder, fence, until }
    }
}

impl fmt::Display for FencingToken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}@{}/{}", self.session, self.fence, self.holder)
    }
}

impl FromStr for FencingToken {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self, Error> {
        // A session's name has neither of the two signs.
        let parts = text.split_once('@').and_then(|(session, rest)| Some((session, rest.split_once('/')?)));
        let Some((session, (fence, holder))) = parts else {
            return Err(
                Invalid::new("lease", format!("{text} is not a token such as run-7@3/worker-1")).into()
            );
        };
        let fence = fence.parse().map_err(|_| Invalid::new("lease", format!("{fence} is not a fence")))?;
        Ok(Self { session: session.try_into()?, fence, holder: checked_holder(holder)?.to_owned() })
    }
}

/// The name of a holder.
pub(crate) fn checked_holder(holder: &str) -> Result<&str, Invalid> {
    let reason = match holder {
        "" => "is empty".to_owned(),
        long if long.len() > MAX_NAME_BYTES => {
            format!("has {} bytes; the limit is {MAX_NAME_BYTES}", long.len())
        }
        odd if odd.chars().any(char::is_control) => "has a control character".to_owned(),
        holder => return Ok(holder),
    };
    Err(Invalid::new("holder", reason))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_comes_back_from_its_text_and_others_are_refused() {
        for text in ["run-7@3/worker-1", "a b@18446744073709551615/x@y/z"] {
            let token: FencingToken = text.parse().unwrap();
            assert_eq!(token.to_string(), text);
        }
        for text in
            ["", "run-7", "run-7@3", "run-7@x/w", "@3/w", "run-7@3/", "run-7@-1/w", "a/b@3/w", "s@3/a\nb"]
        {
            assert!(text.parse::<FencingToken>().is_err(), "{text}");
        }
    }
}
