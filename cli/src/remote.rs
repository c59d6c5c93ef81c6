//! A store behind a URL: `--store https://HOST:PORT`, whom to trust, and the token.

use std::ffi::OsString;
use std::fs::File;
use std::io::Read;
use std::path::{Path, PathBuf};

use retold::error::{Error, Result};
use retold::event::Invalid;
use retold::limits::MAX_TOKEN_BYTES;
use retold::store::{Builder, Store};

use super::failure::Failure;

/// The variable that has the token itself.
const VARIABLE: &str = "RETOLD_TOKEN";

/// What is said of a store behind a URL, besides the URL.
#[derive(Clone, Debug, Default, clap::Args)]
#[command(next_help_heading = "Global options")]
pub(crate) struct Remote {
    /// File with the token for a store behind a URL; RETOLD_TOKEN is the token itself [env: RETOLD_TOKEN_FILE]
    #[arg(
        long,
        global = true,
        hide_short_help = true,
        value_name = "FILE",
        env = "RETOLD_TOKEN_FILE",
        hide_env = true
    )]
    pub(crate) token_file: Option<PathBuf>,
    /// Trust the certificates of this PEM file, instead of the system's, for a store behind a URL [env: RETOLD_CA]
    #[arg(
        long,
        global = true,
        hide_short_help = true,
        value_name = "FILE",
        env = "RETOLD_CA",
        hide_env = true
    )]
    pub(crate) ca: Option<PathBuf>,
    /// Let --store http://… lead to another machine; others on the way can read and change what is sent, and the token
    #[arg(long, global = true, hide_short_help = true)]
    pub(crate) allow_http: bool,
    /// Always refused
    #[arg(long = "token", global = true, hide = true, value_name = "TOKEN")]
    pub(crate) token_in_the_open: Option<OsString>,
}

impl Remote {
    /// Refuses what others on the machine could read.
    pub(crate) fn check(&self) -> Result<(), Failure> {
        match self.token_in_the_open {
            None => Ok(()),
            Some(_) => Err(Failure::Usage(format!(
                "a token is not given on the command line, where other users of this machine can read it: put it into a file \
                 (--token-file FILE) or into {VARIABLE}"
            ))),
        }
    }

    /// Opens a store behind a URL.
    #[cfg(unix)]
    fn connect(&self, url: &str, how: Builder) -> Result<Store> {
        let mut endpoint = retold::remote::Endpoint::new(url)?;
        if let Some(secret) = self.secret()? {
            endpoint = endpoint.token(secret)?;
        }
        if let Some(file) = &self.ca {
            endpoint = endpoint.ca_file(file);
        }
        if self.allow_http {
            endpoint = endpoint.allow_http();
        }
        how.connect_with(endpoint)
    }

    #[cfg(not(unix))]
    fn connect(&self, _: &str, _: Builder) -> Result<Store> {
        Err(Error::Storage { reason: "stores behind a URL are not available on this system".to_owned() })
    }

    /// The token: that of the file, or of the environment.
    fn secret(&self) -> Result<Option<String>> {
        if let Some(file) = &self.token_file {
            return read_secret(file).map(Some);
        }
        match std::env::var(VARIABLE) {
            Ok(secret) if secret.is_empty() => Ok(None),
            Ok(secret) => Ok(Some(secret)),
            Err(std::env::VarError::NotPresent) => Ok(None),
            Err(std::env::VarError::NotUnicode(_)) => {
                Err(Invalid::new("token", format!("in {VARIABLE} is not text")).into())
            }
        }
    }
}

/// Opens the store of a path or a URL.
pub(super) fn open(place: &Path, remote: &Remote, how: Builder) -> Result<Store> {
    match url_of(place) {
        Some(url) => remote.connect(url, how),
        None => how.open(place),
    }
}

/// The URL that is meant, where a path could be.
fn url_of(place: &Path) -> Option<&str> {
    place.to_str().filter(|text| retold::config::is_url(text))
}

/// The path of a store's file, for a verb that works on the file itself.
pub(super) fn file_only<'a>(place: &'a Path, verb: &str) -> Result<&'a Path, Failure> {
    match url_of(place) {
        Some(_) => Err(Failure::Usage(format!(
            "`retold {verb}` works on a store's file, and --store is a URL: run it on the machine that has the file"
        ))),
        None => Ok(place),
    }
}

/// The token of a file that nobody else may read.
fn read_secret(path: &Path) -> Result<String> {
    let failed = |e: std::io::Error| match e.kind() {
        std::io::ErrorKind::NotFound => Error::not_found("file", path.display()),
        _ => Error::Storage { reason: format!("{}: {e}", path.display()) },
    };
    let bad =
        |reason: String| Error::from(Invalid::new("token", format!("file {} {reason}", path.display())));
    let file = File::open(path).map_err(failed)?;
    #[cfg(unix)]
    {
        use std::os::unix::fs::PermissionsExt;
        let mode = file.metadata().map_err(failed)?.permissions().mode();
        if mode & 0o077 != 0 {
            return Err(bad("can be read by others: chmod 600".to_owned()));
        }
    }
    let mut text = String::new();
    let most = MAX_TOKEN_BYTES as u64 + 2;
    file.take(most + 1).read_to_string(&mut text).map_err(failed)?;
    if text.len() as u64 > most {
        return Err(bad(format!("has more than {MAX_TOKEN_BYTES} bytes")));
    }
    Ok(text.trim_end_matches(['\r', '\n']).to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_url_is_told_from_a_path() {
        for url in ["https://a:1", "HTTP://localhost:7878", "https://"] {
            assert_eq!(url_of(Path::new(url)), Some(url));
            assert!(file_only(Path::new(url), "serve").is_err());
        }
        for path in ["./retold.redb", "https:/a", "https", "ftp://a", "/tmp/https://a"] {
            assert_eq!(url_of(Path::new(path)), None, "{path}");
        }
    }

    #[cfg(unix)]
    #[test]
    fn a_token_comes_from_a_file_that_nobody_else_reads() {
        use std::os::unix::fs::PermissionsExt;
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("token");
        let write = |text: &str, mode: u32| {
            let _ = std::fs::remove_file(&file);
            std::fs::write(&file, text).unwrap();
            std::fs::set_permissions(&file, std::fs::Permissions::from_mode(mode)).unwrap();
            read_secret(&file)
        };
        assert_eq!(write("s3cret\n", 0o600).unwrap(), "s3cret");
        assert_eq!(write("s3cret\r\n", 0o400).unwrap(), "s3cret");
        for (text, mode) in [("s3cret\n", 0o640), ("s3cret\n", 0o604), (&*"x".repeat(5_000), 0o600)] {
            let said = write(text, mode).unwrap_err().to_string();
            assert!(said.contains("token") && !said.contains(text.trim()), "{said}");
        }
        assert!(matches!(read_secret(&folder.path().join("none")), Err(Error::NotFound { .. })));
    }
}
