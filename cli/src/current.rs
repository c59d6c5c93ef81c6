//! Addresses in verbs that show something: one that names only the session means its current branch.

use std::str::FromStr;

use super::failure::Failure;
use super::named::address;
use super::output::Out;
use super::style::{DIM, paint};
use retold::event::{Address, BranchName, Invalid};
use retold::store::Store;

/// `SESSION[/BRANCH][@SEQ]`, for reading.
#[derive(Clone, Debug)]
pub(super) struct Shown {
    text: String,
    names_branch: bool,
}

impl FromStr for Shown {
    type Err = Invalid;

    fn from_str(text: &str) -> Result<Self, Invalid> {
        // Checked here, so that nothing is opened for what is no address.
        text.parse::<Address>()?;
        Ok(Self { text: text.to_owned(), names_branch: text.contains('/') })
    }
}

impl Shown {
    /// The address that is meant, with its branch. Prints a note if that is not `main`, or the name was not given in full.
    pub(super) fn resolve(&self, store: &Store, out: &mut Out) -> Result<Address, Failure> {
        let found = address(store, &self.text, out)?;
        let session = found.session();
        let current = if self.names_branch { BranchName::main() } else { store.current(session)? };
        if current == BranchName::main() {
            return Ok(found);
        }
        let address = Address::new(session.clone(), current);
        let main = Address::new(session.clone(), BranchName::main());
        out.note(paint(
            DIM,
            format!("{address} is the current branch of {session}; to see main, name {main}"),
        ));
        Ok(match found.sequence() {
            Some(sequence) => address.at(sequence),
            None => address,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_says_whether_it_names_a_branch() {
        for (text, names) in [("s", false), ("s@3", false), ("s/main", true), ("s/b@3", true)] {
            assert_eq!(text.parse::<Shown>().unwrap().names_branch, names, "{text}");
        }
        assert!("s/@x".parse::<Shown>().is_err());
    }
}
