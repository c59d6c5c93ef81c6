//! Who may do what: tokens with scopes, each for all sessions or for those of a pattern.

use std::collections::{HashMap, HashSet};
use std::fmt;
use std::sync::Arc;

use retold::event::{NamePattern, SessionId};
use sha2::{Digest, Sha256};

/// What a token may do. A wider scope has the narrower ones.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Scope {
    /// Look at events, states and lists.
    Read,
    /// Append, fork, acknowledge, take leases.
    Append,
    /// Close, delete, expire, rebuild, back up.
    Admin,
}

impl Scope {
    /// Its name in a file of tokens.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Read => "read",
            Self::Append => "append",
            Self::Admin => "admin",
        }
    }

    /// The scope of this name.
    pub fn of_word(word: &str) -> Option<Self> {
        [Self::Read, Self::Append, Self::Admin].into_iter().find(|scope| scope.as_str() == word)
    }
}

impl fmt::Display for Scope {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// A token, without its secret.
#[derive(Clone, Debug)]
pub struct Token {
    /// What it is called in the log.
    pub name: String,
    /// What it may do.
    pub scope: Scope,
    /// The sessions that it may do it in; `None` for all.
    pub sessions: Option<NamePattern>,
    /// Its requests per second; `None` for the number of the server.
    pub requests_per_second: Option<u32>,
}

impl Token {
    /// A token of this name, for all sessions.
    pub fn new(name: impl Into<String>, scope: Scope) -> Self {
        Self { name: name.into(), scope, sessions: None, requests_per_second: None }
    }

    /// Only for the sessions of this pattern.
    #[must_use]
    pub fn sessions(mut self, of: NamePattern) -> Self {
        self.sessions = Some(of);
        self
    }

    /// Who needs no token: whoever may open the file may do all.
    pub fn local() -> Self {
        Self::new("local", Scope::Admin)
    }

    /// Whether it may do this in a session.
    pub fn may(&self, scope: Scope, session: &SessionId) -> bool {
        self.scope >= scope && self.sessions.as_ref().is_none_or(|of| of.matches(session.as_str()))
    }

    /// Whether it may do this with the stream of this path: the pattern of its sessions is for these too.
    pub fn may_stream(&self, scope: Scope, path: &str) -> bool {
        self.scope >= scope && self.sessions.as_ref().is_none_or(|of| of.matches(path))
    }

    /// Whether it may do this in all sessions, also those to come.
    pub fn may_everywhere(&self, scope: Scope) -> bool {
        self.scope >= scope && self.sessions.is_none()
    }

    fn is_like(&self, other: &Self) -> bool {
        let pattern = |of: &Self| of.sessions.as_ref().map(|of| of.as_str().to_owned());
        self.name == other.name && self.scope == other.scope && pattern(self) == pattern(other)
    }
}

/// What is kept of a secret: enough to know it again. How long two of them take to be compared tells nothing of a secret.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct SecretHash([u8; 32]);

impl SecretHash {
    /// That of a secret.
    pub fn of(secret: &str) -> Self {
        Self(Sha256::digest(secret.as_bytes()).into())
    }

    /// From 64 hexadecimal digits.
    pub fn from_hex(digits: &str) -> Option<Self> {
        if digits.len() != 64 {
            return None;
        }
        let mut bytes = [0; 32];
        for (byte, pair) in bytes.iter_mut().zip(digits.as_bytes().chunks_exact(2)) {
            *byte = pair.iter().try_fold(0, |all, digit| {
                let digit = char::from(*digit).to_digit(16).and_then(|of| u8::try_from(of).ok())?;
                Some(all << 4 | digit)
            })?;
        }
        Some(Self(bytes))
    }
}

impl fmt::Debug for SecretHash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("SecretHash(..)")
    }
}

/// The tokens that a server knows.
#[derive(Clone, Debug, Default)]
pub struct Tokens {
    known: HashMap<SecretHash, Arc<Token>>,
    open: Option<Arc<Token>>,
}

impl Tokens {
    /// Nobody needs a token.
    pub fn open() -> Self {
        Self { known: HashMap::new(), open: Some(Arc::new(Token::local())) }
    }

    /// These tokens, each with its secret.
    pub fn of(known: Vec<(String, Token)>) -> Self {
        Self::of_hashes(known.into_iter().map(|(secret, token)| (SecretHash::of(&secret), token)))
    }

    /// These tokens, each with the hash of its secret.
    pub(crate) fn of_hashes(known: impl IntoIterator<Item = (SecretHash, Token)>) -> Self {
        let known = known.into_iter().map(|(hash, token)| (hash, Arc::new(token))).collect();
        Self { known, open: None }
    }

    /// Whether nobody needs a token.
    pub fn are_open(&self) -> bool {
        self.open.is_some()
    }

    /// Whether it is one of these, and not one of before they were changed.
    pub(crate) fn is_current(&self, token: &Arc<Token>) -> bool {
        let all = self.known.values().chain(&self.open);
        all.into_iter().any(|known| Arc::ptr_eq(known, token))
    }

    /// What they are called.
    pub(crate) fn names(&self) -> HashSet<&str> {
        self.known.values().chain(&self.open).map(|token| token.name.as_str()).collect()
    }

    /// How many there are.
    pub fn len(&self) -> usize {
        self.known.len()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.known.is_empty()
    }

    /// The token with this secret; without one, what may be done without. It is looked up by the hash, so the time that it takes
    /// tells nothing of other secrets.
    pub fn find(&self, secret: Option<&str>) -> Option<Arc<Token>> {
        let known = secret.and_then(|secret| self.known.get(&SecretHash::of(secret)));
        known.or(self.open.as_ref()).cloned()
    }

    /// The names of tokens that `later` does not have, or lets do something else, or knows by another secret.
    pub(crate) fn changed(&self, later: &Self) -> Vec<String> {
        let stays =
            |hash: &SecretHash, token: &Token| later.known.get(hash).is_some_and(|of| of.is_like(token));
        let gone = self.known.iter().filter(|(hash, token)| !stays(hash, token));
        let closed = self.open.iter().filter(|_| !later.are_open());
        gone.map(|(_, token)| token.name.clone()).chain(closed.map(|token| token.name.clone())).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_secret_leads_to_its_token_and_to_no_other() {
        let tokens = Tokens::of(vec![
            ("one".to_owned(), Token::new("first", Scope::Read)),
            ("two".to_owned(), Token::new("second", Scope::Admin)),
        ]);
        assert_eq!(tokens.find(Some("two")).unwrap().name, "second");
        for wrong in ["", "on", "onee", "three"] {
            assert!(tokens.find(Some(wrong)).is_none(), "{wrong:?}");
        }
        assert!(tokens.find(None).is_none());
        assert_eq!(Tokens::open().find(None).unwrap().name, "local");
    }

    #[test]
    fn a_hash_reads_back_and_is_not_shown() {
        let digits = "2C26B46B68FFC68FF99B453C1D30413413422D706483BFA0F98A5E886266E7AE";
        assert_eq!(SecretHash::from_hex(digits).unwrap(), SecretHash::of("foo"));
        for wrong in ["", "2c", &"g".repeat(64), &digits[1..], &"é".repeat(32)] {
            assert!(SecretHash::from_hex(wrong).is_none(), "{wrong:?}");
        }
        let shown = format!("{:?}", Tokens::of(vec![("foo".to_owned(), Token::local())]));
        assert!(!shown.contains("foo") && !shown.contains("2c26") && !shown.contains("44"), "{shown}");
    }

    #[test]
    fn what_changed_between_two_files_is_named() {
        let of = |secret: &str, token: Token| (secret.to_owned(), token);
        let before = Tokens::of(vec![
            of("a", Token::new("stays", Scope::Read)),
            of("b", Token::new("goes", Scope::Read)),
            of("c", Token::new("narrows", Scope::Admin)),
            of("d", Token::new("renewed", Scope::Read)),
        ]);
        let after = Tokens::of(vec![
            of("a", Token::new("stays", Scope::Read)),
            of("c", Token::new("narrows", Scope::Read)),
            of("e", Token::new("renewed", Scope::Read)),
        ]);
        let mut changed = before.changed(&after);
        changed.sort_unstable();
        assert_eq!(changed, ["goes", "narrows", "renewed"]);
        assert_eq!(Tokens::open().changed(&after), ["local"]);
    }
}
