use std::fmt;
use std::str::FromStr;
use std::sync::Arc;

use super::{BranchName, Invalid, Place, Sequence, SessionId};

/// The address of an event, a branch or a session: `session[/branch][@sequence]`, where the branch defaults to `main`.
///
/// ```
/// use retold::Address;
/// let a: Address = "run-7/retry@12".parse()?;
/// assert_eq!((a.session().as_str(), a.branch().as_str(), a.sequence()), ("run-7", "retry", Some(12.into())));
/// assert_eq!("run-7".parse::<Address>()?.to_string(), "run-7/main");
/// // It can also be made from what events and listings hold: `&Place`, `&Arc<Place>`, `&SessionId`.
/// assert_eq!(Address::from(a.place()).to_string(), "run-7/retry");
/// assert_eq!(Address::from(a.session()).to_string(), "run-7/main");
/// # Ok::<(), retold::Invalid>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Address {
    place: Place,
    sequence: Option<Sequence>,
}

impl Address {
    /// A branch of a session.
    #[must_use]
    pub fn new(session: SessionId, branch: BranchName) -> Self {
        Self { place: Place::new(session, branch), sequence: None }
    }

    /// The same branch at an event.
    #[must_use]
    pub fn at(mut self, sequence: impl Into<Sequence>) -> Self {
        self.sequence = Some(sequence.into());
        self
    }

    /// The session.
    #[must_use]
    pub fn session(&self) -> &SessionId {
        &self.place.session
    }

    /// The branch; `main` if the text named none.
    #[must_use]
    pub fn branch(&self) -> &BranchName {
        &self.place.branch
    }

    /// Session and branch together.
    #[must_use]
    pub fn place(&self) -> &Place {
        &self.place
    }

    /// The event, if the address names one. 0 is before the first.
    #[must_use]
    pub fn sequence(&self) -> Option<Sequence> {
        self.sequence
    }

    /// The branch of an address that must not name an event. `instead` completes the error message.
    ///
    /// # Errors
    /// [`Invalid`] if the address names an event.
    pub fn branch_only(&self, instead: &str) -> Result<&Place, Invalid> {
        match self.sequence {
            None => Ok(&self.place),
            Some(_) => Err(Invalid::new("address", format!("`{self}` names an event; {instead}"))),
        }
    }
}

impl From<Place> for Address {
    fn from(place: Place) -> Self {
        Self { place, sequence: None }
    }
}

impl From<&Place> for Address {
    fn from(place: &Place) -> Self {
        place.clone().into()
    }
}

impl From<&Arc<Place>> for Address {
    fn from(place: &Arc<Place>) -> Self {
        (**place).clone().into()
    }
}

/// The session's `main`.
impl From<SessionId> for Address {
    fn from(session: SessionId) -> Self {
        Self::new(session, BranchName::main())
    }
}

/// The session's `main`.
impl From<&SessionId> for Address {
    fn from(session: &SessionId) -> Self {
        session.clone().into()
    }
}

impl FromStr for Address {
    type Err = Invalid;

    fn from_str(s: &str) -> Result<Self, Invalid> {
        let (path, sequence) = match s.rsplit_once('@') {
            None => (s, None),
            Some((path, n)) => {
                let digits = !n.is_empty() && n.bytes().all(|b| b.is_ascii_digit());
                match n.parse::<u64>() {
                    Ok(n) if digits => (path, Some(Sequence::new(n))),
                    _ => {
                        let reason =
                            format!("`{}` needs a sequence after @, a whole number", s.escape_debug());
                        return Err(Invalid::new("address", reason));
                    }
                }
            }
        };
        let (session, branch) = match path.split_once('/') {
            None => (path, BranchName::main()),
            Some((session, branch)) => (session, BranchName::new(branch)?),
        };
        Ok(Self { place: Place::new(SessionId::new(session)?, branch), sequence })
    }
}

impl TryFrom<&str> for Address {
    type Error = Invalid;
    fn try_from(s: &str) -> Result<Self, Invalid> {
        s.parse()
    }
}

impl TryFrom<&String> for Address {
    type Error = Invalid;
    fn try_from(s: &String) -> Result<Self, Invalid> {
        s.parse()
    }
}

impl TryFrom<String> for Address {
    type Error = Invalid;
    fn try_from(s: String) -> Result<Self, Invalid> {
        s.parse()
    }
}

impl From<&Address> for Address {
    fn from(a: &Address) -> Self {
        a.clone()
    }
}

impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.sequence {
            None => write!(f, "{}", self.place),
            Some(n) => write!(f, "{}@{n}", self.place),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn what_is_not_an_address_says_which_part() {
        for (text, field) in [
            ("", "session"),
            ("/b", "session"),
            ("s/", "branch"),
            ("s/a/b", "branch"),
            ("s@", "address"),
            ("s@x", "address"),
            ("s@+1", "address"),
            ("s@1@2", "session"),
            ("s@99999999999999999999", "address"),
        ] {
            assert_eq!(text.parse::<Address>().unwrap_err().field, field, "{text:?}");
        }
    }

    #[test]
    fn an_address_is_made_from_what_names_a_branch_or_a_session() {
        let place = Place::new("s".try_into().unwrap(), "b".try_into().unwrap());
        let shared = Arc::new(place.clone());
        for address in [Address::from(&place), Address::from(&shared), Address::from(place.clone())] {
            assert_eq!((address.place(), address.sequence()), (&place, None));
        }
        for address in [Address::from(&place.session), Address::from(place.session.clone())] {
            assert_eq!(address.to_string(), "s/main");
        }
    }

    proptest! {
        #[test]
        fn printing_and_parsing_agree(s in "[^/@*?\\p{Cc}]{1,20}", b in "[a-z][^/@*?\\p{Cc}]{0,20}", n: Option<u64>) {
            prop_assume!(s != "." && s != "..");
            let mut a = Address::new(SessionId::new(&s).unwrap(), BranchName::new(&b).unwrap());
            if let Some(n) = n { a = a.at(n); }
            prop_assert_eq!(a.to_string().parse::<Address>().unwrap(), a);
        }

        #[test]
        fn no_text_panics(s in "\\PC{0,40}") {
            let _ = s.parse::<Address>();
        }
    }
}
