//! The file of tokens: TOML, with a secret or its hash for each.

use std::collections::HashSet;
use std::fmt;
use std::path::{Path, PathBuf};

use retold::event::NamePattern;
use serde::Deserialize;

use crate::private_file;
use crate::tokens::{Scope, SecretHash, Token, Tokens};

/// Bytes of the file.
const MAX_FILE_BYTES: u64 = 4 * 1024 * 1024;
/// Tokens in it.
const MAX_TOKENS: usize = 10_000;
/// Bytes of a name.
const MAX_NAME: usize = 64;
/// Characters of a secret: a shorter one could be guessed.
const LEAST_SECRET: usize = 24;
const MOST_SECRET: usize = 1_024;
/// What is told of a pattern that is none.
const SESSIONS: &str =
    "sessions is not a pattern of names: write a name in which '*' stands for any letters, or leave it out";

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct TokenFile {
    #[serde(default)]
    token: Vec<Entry>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Entry {
    name: String,
    secret: Option<String>,
    secret_file: Option<PathBuf>,
    hash: Option<String>,
    scope: String,
    sessions: Option<String>,
    requests_per_second: Option<u32>,
}

impl fmt::Debug for Entry {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Entry").field("name", &self.name).field("scope", &self.scope).finish_non_exhaustive()
    }
}

/// Why a file of tokens is not taken: the file, and what is wrong. It quotes nothing of the file that may be a secret in the wrong
/// place.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BadTokens {
    path: PathBuf,
    reason: String,
}

impl fmt::Display for BadTokens {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.path.display(), self.reason)
    }
}

impl std::error::Error for BadTokens {}

impl Tokens {
    /// Those of a file.
    ///
    /// # Errors
    ///
    /// The file can't be read, others may read it, or something in it is wrong.
    pub fn from_file(path: impl AsRef<Path>) -> Result<Self, BadTokens> {
        let path = path.as_ref();
        let bad = |reason: String| BadTokens { path: path.to_owned(), reason };
        let text = private_file::read(path, MAX_FILE_BYTES).map_err(bad)?;
        // What the parser shows beside its message is the line, which may be that of a secret.
        let file: TokenFile = toml::from_str(&text).map_err(|e| {
            let line = e.span().and_then(|of| text.get(..of.start)).map(|of| of.matches('\n').count() + 1);
            let at = line.map(|line| format!("line {line}: ")).unwrap_or_default();
            // Such a message quotes the value.
            let message =
                if e.message().starts_with("invalid") { "a value is not of its type" } else { e.message() };
            bad(format!("{at}{message}"))
        })?;
        of(file, path.parent().unwrap_or(Path::new(""))).map_err(bad)
    }
}

fn of(file: TokenFile, folder: &Path) -> Result<Tokens, String> {
    if file.token.is_empty() {
        return Err("it has no token: write a [[token]] with name, secret and scope".to_owned());
    }
    if file.token.len() > MAX_TOKENS {
        return Err(format!("it has {} tokens; {MAX_TOKENS} are the most", file.token.len()));
    }
    let (mut names, mut hashes, mut tokens) = (HashSet::new(), HashSet::new(), Vec::new());
    for (number, entry) in (1..).zip(file.token) {
        let name = entry.name.clone();
        if !is_name(&name) {
            return Err(format!(
                "token {number}: a name has up to {MAX_NAME} letters, digits, '-', '_' and '.'"
            ));
        }
        let (hash, token) = known(entry, folder).map_err(|reason| format!("token {name:?}: {reason}"))?;
        if !names.insert(name.clone()) {
            return Err(format!("token {name:?}: there is another one of this name"));
        }
        if !hashes.insert(hash) {
            return Err(format!("token {name:?}: another one has the same secret"));
        }
        tokens.push((hash, token));
    }
    Ok(Tokens::of_hashes(tokens))
}

fn is_name(name: &str) -> bool {
    let letters = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.');
    !name.is_empty() && name.len() <= MAX_NAME && name.chars().all(letters)
}

fn known(entry: Entry, folder: &Path) -> Result<(SecretHash, Token), String> {
    let scope = Scope::of_word(&entry.scope).ok_or("scope is not one: write read, append or admin")?;
    let sessions = match entry.sessions.as_deref() {
        None => None,
        Some(pattern) => Some(NamePattern::new(pattern).map_err(|_| SESSIONS.to_owned())?),
    };
    if entry.requests_per_second == Some(0) {
        return Err("requests_per_second is at least 1".to_owned());
    }
    let hash = match (entry.secret, entry.secret_file, entry.hash) {
        (Some(secret), None, None) => hash_of(&secret)?,
        (None, Some(file), None) => {
            let file = folder.join(file);
            // The name of a file that is there is none of a secret.
            let of = if file.exists() { file.display().to_string() } else { "secret_file".to_owned() };
            let secret =
                private_file::read(&file, MAX_FILE_BYTES).map_err(|reason| format!("{of}: {reason}"))?;
            hash_of(secret.trim_end_matches(['\r', '\n'])).map_err(|reason| format!("{of}: {reason}"))?
        }
        (None, None, Some(hash)) => hash
            .strip_prefix("sha256:")
            .and_then(SecretHash::from_hex)
            .ok_or("hash is \"sha256:\" and 64 hexadecimal digits: printf %s SECRET | sha256sum")?,
        _ => return Err("write one of secret, secret_file and hash".to_owned()),
    };
    let token =
        Token { sessions, requests_per_second: entry.requests_per_second, ..Token::new(entry.name, scope) };
    Ok((hash, token))
}

fn hash_of(secret: &str) -> Result<SecretHash, String> {
    if !(LEAST_SECRET..=MOST_SECRET).contains(&secret.len()) || !secret.bytes().all(|b| b.is_ascii_graphic())
    {
        return Err(format!(
            "a secret has {LEAST_SECRET} to {MOST_SECRET} letters, digits and signs, without spaces: \
             openssl rand -hex 32 makes one"
        ));
    }
    Ok(SecretHash::of(secret))
}

#[cfg(test)]
mod tests {
    use super::*;
    use retold::event::SessionId;

    const SECRET: &str = "0123456789abcdef0123456789abcdef";

    fn file(text: &str) -> (tempfile::TempDir, PathBuf) {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("tokens.toml");
        write(&path, text);
        (folder, path)
    }

    fn write(path: &Path, text: &str) {
        std::fs::write(path, text).unwrap();
        mode(path, 0o600);
    }

    #[cfg(unix)]
    fn mode(path: &Path, mode: u32) {
        use std::os::unix::fs::PermissionsExt;
        std::fs::set_permissions(path, std::fs::Permissions::from_mode(mode)).unwrap();
    }
    #[cfg(not(unix))]
    fn mode(_: &Path, _: u32) {}

    fn refused(text: &str) -> String {
        let (_folder, path) = file(text);
        let refused = Tokens::from_file(&path).unwrap_err().to_string();
        assert!(refused.contains("tokens.toml") && !refused.contains(SECRET), "{refused}");
        refused
    }

    #[test]
    fn a_secret_stands_in_the_file_in_another_one_or_only_as_its_hash() {
        let (folder, path) = file(&format!(
            "[[token]]\nname = 'a'\nsecret = '{SECRET}'\nscope = 'read'\nsessions = 'build-*'\n\
             [[token]]\nname = 'b'\nsecret_file = 'b.secret'\nscope = 'append'\nrequests_per_second = 5\n\
             [[token]]\nname = 'c'\nscope = 'admin'\n\
             hash = 'sha256:2c26b46b68ffc68ff99b453c1d30413413422d706483bfa0f98a5e886266e7ae'\n"
        ));
        write(&folder.path().join("b.secret"), &format!("{}\n", "b".repeat(30)));
        let tokens = Tokens::from_file(&path).unwrap();
        let a = tokens.find(Some(SECRET)).unwrap();
        assert!(a.may(Scope::Read, &SessionId::new("build-7").unwrap()));
        assert!(!a.may(Scope::Read, &SessionId::new("other").unwrap()));
        assert!(!a.may(Scope::Append, &SessionId::new("build-7").unwrap()));
        let b = tokens.find(Some(&"b".repeat(30))).unwrap();
        assert_eq!((b.scope, b.requests_per_second), (Scope::Append, Some(5)));
        assert_eq!(tokens.find(Some("foo")).unwrap().name, "c");
        assert!(tokens.find(None).is_none() && tokens.find(Some("bar")).is_none());
    }

    #[test]
    fn what_is_wrong_is_told_without_the_secret() {
        let one = format!("[[token]]\nname = 'a'\nsecret = '{SECRET}'\nscope = 'read'\n");
        for (text, says) in [
            (String::new(), "no token"),
            (format!("{one}colour = 'red'"), "colour"),
            (one.replace("read", "root"), "scope is not one"),
            (one.replace("'read'", &format!("'{SECRET}'")), "scope is not one"),
            (one.replace("'a'", &format!("'{SECRET} '")), "token 1: a name has"),
            (one.replace("secret = ", "secret_file = "), "secret_file"),
            (one.replace("'a'", "'a b'"), "a name has"),
            (one.replace(SECRET, "short"), "a secret has"),
            (one.replace(SECRET, &format!("{SECRET} ")), "a secret has"),
            (format!("{one}hash = 'sha256:00'"), "one of"),
            (one.replace("secret = ", "hash = "), "64 hexadecimal"),
            (one.replace("secret = ", "# "), "one of"),
            (format!("{one}{one}"), "another one of this name"),
            (format!("{one}{}", one.replace("'a'", "'b'")), "same secret"),
            (format!("{one}requests_per_second = 0"), "at least 1"),
            (format!("{one}sessions = ''"), "sessions"),
            (one.replace(&format!("'{SECRET}'"), &format!("'{SECRET}")), "line 3"),
            (one.replace(&format!("'{SECRET}'"), &format!("['{SECRET}']")), "line 3: a value"),
            (one.replace("'read'", &format!("'read'\nrequests_per_second = '{SECRET}'")), "a value"),
        ] {
            let refused = refused(&text);
            assert!(refused.contains(says), "{says:?} is not in {refused:?}");
        }
    }

    #[cfg(unix)]
    #[test]
    fn a_file_that_others_may_read_is_refused() {
        let (folder, path) = file(&format!("[[token]]\nname = 'a'\nsecret = '{SECRET}'\nscope = 'read'\n"));
        for open in [0o604, 0o644, 0o620, 0o602] {
            mode(&path, open);
            assert!(Tokens::from_file(&path).unwrap_err().to_string().contains("chmod 600"), "{open:o}");
        }
        mode(&path, 0o640);
        Tokens::from_file(&path).unwrap();
        let other = folder.path().join("other");
        write(&other, SECRET);
        mode(&other, 0o644);
        write(&path, "[[token]]\nname = 'a'\nsecret_file = 'other'\nscope = 'read'\n");
        assert!(Tokens::from_file(&path).unwrap_err().to_string().contains("other: it has secrets"));
        assert!(Tokens::from_file(folder.path()).unwrap_err().to_string().contains("not a file"));
        assert!(Tokens::from_file(folder.path().join("none")).is_err());
    }
}
