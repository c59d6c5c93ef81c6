//! The server of a store behind a URL.

use std::fmt;
use std::io;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::{Arc, OnceLock};

use rustls::ClientConfig;
use tokio::net::{TcpStream, lookup_host};

use super::tls::{shake_hands, trusting};
use super::upgrade::upgrade;
use super::url::{Scheme, StoreUrl};
use crate::error::{Error, Result};
use crate::event::Invalid;
use crate::limits::MAX_TOKEN_BYTES;
use crate::store::remote::{Dialer, Dialing, Duplex};

/// How to get to the server of a store: its URL, a token, and whom to trust.
#[derive(Clone)]
#[must_use]
pub struct Endpoint {
    url: StoreUrl,
    token: Option<String>,
    ca: Option<PathBuf>,
    allow_http: bool,
    tls: Arc<OnceLock<Arc<ClientConfig>>>,
}

impl fmt::Debug for Endpoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { url, ca, allow_http, .. } = self;
        let mut shown = f.debug_struct("Endpoint");
        shown.field("url", url).field("ca", ca).field("allow_http", allow_http).finish_non_exhaustive()
    }
}

impl Endpoint {
    /// The server at this URL: `https://HOST:PORT`, or `http://` for one of this machine.
    ///
    /// # Errors
    /// [`Error::Invalid`] for one that has anything else, such as a path or a password.
    pub fn new(url: &str) -> Result<Self> {
        let url = StoreUrl::parse(url)?;
        Ok(Self { url, token: None, ca: None, allow_http: false, tls: Arc::default() })
    }

    /// The secret of a token. It has to be one of scope `admin`, for all sessions.
    ///
    /// # Errors
    /// [`Error::Invalid`] for one that cannot be sent. It is not repeated.
    pub fn token(mut self, secret: impl Into<String>) -> Result<Self> {
        let secret = secret.into();
        if secret.is_empty()
            || secret.len() > MAX_TOKEN_BYTES
            || !secret.bytes().all(|b| b.is_ascii_graphic())
        {
            let reason =
                format!("has to have 1 to {MAX_TOKEN_BYTES} printable ASCII characters, and no blanks");
            return Err(Invalid::new("token", reason).into());
        }
        self.token = Some(secret);
        Ok(self)
    }

    /// Trusts the certificates of this PEM file alone, such as one's own authority, instead of those that the system trusts.
    pub fn ca_file(mut self, path: impl Into<PathBuf>) -> Self {
        self.ca = Some(path.into());
        self
    }

    /// Lets `http://` lead to other machines: everybody in between can read the token and the events, and change them.
    pub fn allow_http(mut self) -> Self {
        self.allow_http = true;
        self
    }

    async fn connected(&self) -> Result<Box<dyn Duplex>> {
        let (store, token) = (self.name(), self.token.as_deref());
        let is_plain = self.url.scheme == Scheme::Http && !self.allow_http;
        if is_plain && !self.url.is_loopback() {
            let reason = "is an http:// URL of another machine, where everybody in between can read the token and the events; \
                          use https://, or allow it (--allow-http)";
            return Err(Invalid::new("store", reason).into());
        }
        // Before anything is sent, so that what is wrong with the file is always told.
        let tls = match self.url.scheme {
            Scheme::Https => Some(self.config()?),
            Scheme::Http => None,
        };
        let mut stream = self
            .reached(is_plain)
            .await
            .map_err(|e| Error::Unreachable { store: store.clone(), reason: e.to_string() })?;
        let authority = self.url.authority();
        Ok(match tls {
            Some(config) => {
                let mut stream = shake_hands(config, &self.url.host, stream, &store).await?;
                upgrade(&mut stream, &authority, token, &store).await?;
                Box::new(stream)
            }
            None => {
                upgrade(&mut stream, &authority, token, &store).await?;
                Box::new(stream)
            }
        })
    }

    fn config(&self) -> Result<Arc<ClientConfig>> {
        if let Some(config) = self.tls.get() {
            return Ok(config.clone());
        }
        let config = trusting(self.ca.as_deref())?;
        Ok(self.tls.get_or_init(|| config).clone())
    }

    /// The first of its addresses that takes the connection.
    async fn reached(&self, only_loopback: bool) -> io::Result<TcpStream> {
        let mut last = io::Error::new(io::ErrorKind::NotFound, "its host has no address");
        let all: Vec<SocketAddr> = lookup_host((self.url.host.as_str(), self.url.port)).await?.collect();
        // `localhost` may have been given any.
        let may = |at: &SocketAddr| !only_loopback || at.ip().to_canonical().is_loopback();
        for address in all.into_iter().filter(may) {
            match TcpStream::connect(address).await {
                Ok(stream) => {
                    stream.set_nodelay(true)?;
                    return Ok(stream);
                }
                Err(e) => last = e,
            }
        }
        Err(last)
    }
}

impl Dialer for Endpoint {
    fn name(&self) -> String {
        self.url.to_string()
    }

    fn dial(&self) -> Dialing<'_> {
        Box::pin(self.connected())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_that_cannot_be_sent_is_refused_and_none_is_shown() {
        let endpoint = Endpoint::new("https://a:1").unwrap();
        for wrong in ["", "two words", "line\nbreak", "ümlaut", &"x".repeat(MAX_TOKEN_BYTES + 1)] {
            let said = endpoint.clone().token(wrong).unwrap_err().to_string();
            assert!(wrong.is_empty() || !said.contains(wrong), "{said}");
        }
        let shown = format!("{:?}", endpoint.token("s3cret").unwrap());
        assert!(shown.contains("host: \"a\"") && !shown.contains("s3cret"), "{shown}");
    }

    #[tokio::test]
    async fn nothing_goes_to_another_machine_unencrypted_unless_that_is_allowed() {
        // An address that nobody has.
        let endpoint = Endpoint::new("http://192.0.2.1:1").unwrap().token("s3cret").unwrap();
        let Err(refused) = endpoint.connected().await else { panic!("it was let through") };
        assert!(
            matches!(refused, Error::Invalid(_)) && refused.to_string().contains("--allow-http"),
            "{refused}"
        );
    }

    #[tokio::test]
    async fn a_file_of_certificates_that_is_none_is_named() {
        let folder = tempfile::tempdir().unwrap();
        let (none, empty) = (folder.path().join("none.pem"), folder.path().join("empty.pem"));
        std::fs::write(&empty, "no certificate").unwrap();
        for file in [none, empty] {
            let Err(error) = Endpoint::new("https://127.0.0.1:1").unwrap().ca_file(&file).connected().await
            else {
                panic!("it was used")
            };
            assert!(error.to_string().contains(file.to_str().unwrap()) && !error.is_retryable(), "{error}");
        }
    }
}
