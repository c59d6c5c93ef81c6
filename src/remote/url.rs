//! The URL of a store: a scheme, a host and a port, and nothing else.

use std::fmt;
use std::net::IpAddr;

use http::Uri;

use crate::event::Invalid;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Scheme {
    Http,
    Https,
}

impl Scheme {
    fn of(text: &str) -> Option<Self> {
        let (scheme, _) = text.split_once("://")?;
        match scheme.to_ascii_lowercase().as_str() {
            "http" => Some(Self::Http),
            "https" => Some(Self::Https),
            _ => None,
        }
    }

    fn word(self) -> &'static str {
        match self {
            Self::Http => "http",
            Self::Https => "https",
        }
    }

    fn port(self) -> u16 {
        match self {
            Self::Http => 80,
            Self::Https => 443,
        }
    }
}

/// Where a server is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct StoreUrl {
    pub(super) scheme: Scheme,
    /// Without the brackets of an IPv6 address.
    pub(super) host: String,
    pub(super) port: u16,
}

impl StoreUrl {
    /// # Errors
    /// It says what is wrong. What may be a secret is not repeated.
    pub(super) fn parse(text: &str) -> Result<Self, Invalid> {
        let wrong = |reason: &str| Invalid::new("store", format!("is a URL that {reason}"));
        let Some(scheme) = Scheme::of(text) else {
            return Err(wrong("does not begin with https:// or http://"));
        };
        let rest = text.split_once("://").map(|(_, rest)| rest).unwrap_or_default();
        if rest.contains('@') {
            return Err(wrong(NO_SECRET));
        }
        if rest.contains(['?', '#']) {
            return Err(wrong(&format!("has a query or a fragment; it ends with the port. {TOKENS}")));
        }
        let uri: Uri = text.parse().map_err(|_| wrong("cannot be read; write https://HOST:PORT"))?;
        if uri.path() != "/" {
            return Err(wrong("has a path; write https://HOST:PORT"));
        }
        let host = uri.host().filter(|host| !host.is_empty()).ok_or_else(|| wrong("has no host"))?;
        let has_port = uri.authority().is_some_and(|all| all.as_str().len() > host.len());
        let port = match uri.port_u16() {
            Some(port) if port > 0 => port,
            None if !has_port => scheme.port(),
            _ => return Err(wrong("has no port between 1 and 65535")),
        };
        let plain = host.strip_prefix('[').and_then(|host| host.strip_suffix(']')).unwrap_or(host);
        Ok(Self { scheme, host: plain.to_ascii_lowercase(), port })
    }

    /// Whether only this machine is reached under its name.
    pub(super) fn is_loopback(&self) -> bool {
        self.host == "localhost" || self.address().is_some_and(|ip| ip.to_canonical().is_loopback())
    }

    fn address(&self) -> Option<IpAddr> {
        self.host.parse().ok()
    }

    /// Host and port as the `Host` header has them.
    pub(super) fn authority(&self) -> String {
        match self.address() {
            Some(IpAddr::V6(ip)) => format!("[{ip}]:{}", self.port),
            _ => format!("{}:{}", self.host, self.port),
        }
    }
}

const TOKENS: &str =
    "A token is given in RETOLD_TOKEN or in a file, never in the URL, where it would end up in logs";
const NO_SECRET: &str = "has a user or a password; a token is given in RETOLD_TOKEN or in a file, never in the URL, where it would \
                         end up in logs";

impl fmt::Display for StoreUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}://{}", self.scheme.word(), self.authority())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_url_has_a_scheme_a_host_and_a_port() {
        for (text, shown) in [
            ("https://store.example:7878", "https://store.example:7878"),
            ("HTTPS://Store.Example/", "https://store.example:443"),
            ("http://127.0.0.1", "http://127.0.0.1:80"),
            ("http://[::1]:7878", "http://[::1]:7878"),
        ] {
            assert_eq!(StoreUrl::parse(text).unwrap().to_string(), shown);
        }
        for text in [
            "",
            "runs.redb",
            "ftp://a:1",
            "https://",
            "https://:1",
            "https://a:0",
            "https://a:",
            "https://a:65536",
            "https://a:7878/v1",
            "https://a b:1",
            "https://a\n:1",
            "https:a:1",
        ] {
            assert!(StoreUrl::parse(text).is_err(), "{text:?}");
        }
    }

    #[test]
    fn a_secret_in_a_url_is_refused_and_not_repeated() {
        for text in [
            "https://me:s3cret@a:1",
            "https://s3cret@a:1",
            "https://a:1?token=s3cret",
            "https://a:1/?token=s3cret",
            "https://a:1#s3cret",
        ] {
            let said = StoreUrl::parse(text).unwrap_err().to_string();
            assert!(said.contains("RETOLD_TOKEN") && !said.contains("s3cret"), "{said}");
        }
    }

    #[test]
    fn this_machine_is_told_from_others() {
        let is_loopback = |text| StoreUrl::parse(text).unwrap().is_loopback();
        for text in
            ["http://localhost:1", "http://127.3.2.1:1", "http://[::1]:1", "http://[::ffff:127.0.0.1]:1"]
        {
            assert!(is_loopback(text), "{text}");
        }
        for text in
            ["http://localhost.example:1", "http://10.0.0.1:1", "http://[fe80::1]:1", "http://0.0.0.0:1"]
        {
            assert!(!is_loopback(text), "{text}");
        }
    }
}
