//! What a server is told when it starts, and what it refuses to start with.

use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::path::PathBuf;

use axum::http::uri::Authority;

use crate::limits::Limits;
use crate::tokens::Tokens;

/// The port of a server that is told none.
pub const PORT: u16 = 7878;

/// A certificate and its key, as PEM files.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TlsFiles {
    /// The certificate, and those between it and a root.
    pub certificates: PathBuf,
    /// Its private key.
    pub key: PathBuf,
}

/// What a server is told when it starts.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Config {
    /// Addresses to listen at.
    pub listen: Vec<SocketAddr>,
    /// Who may do what.
    pub tokens: Tokens,
    /// Serves whoever connects at addresses other than loopback without a token.
    pub insecure: bool,
    /// Names of the server beside its addresses, as `Host` has them, without a port.
    pub hosts: Vec<String>,
    /// Origins of pages, other than its own, that may call it from a browser: `https://app.example`.
    pub origins: Vec<String>,
    /// Serves HTTPS.
    pub tls: Option<TlsFiles>,
    /// What it takes on at most.
    pub limits: Limits,
}

impl Config {
    /// Listens at `127.0.0.1:7878` for those with one of `tokens`.
    pub fn new(tokens: Tokens) -> Self {
        Self {
            listen: vec![SocketAddr::from((Ipv4Addr::LOCALHOST, PORT))],
            tokens,
            insecure: false,
            hosts: Vec::new(),
            origins: Vec::new(),
            tls: None,
            limits: Limits::default(),
        }
    }

    /// Whether it may be started.
    ///
    /// # Errors
    ///
    /// It says what must be changed.
    pub fn check(&self) -> Result<(), Unfit> {
        if self.listen.is_empty() {
            return Err(Unfit("a server needs an address to listen at".to_owned()));
        }
        let public = self.listen.iter().find(|address| !is_loopback(address.ip()));
        if let Some(address) = public
            && self.tokens.are_open()
            && !self.insecure
        {
            return Err(Unfit(format!(
                "anybody who reaches {address} could read and change the store; name a file of tokens (--tokens FILE), \
                 or allow it (--insecure)"
            )));
        }
        if let Some(host) = self.hosts.iter().find(|host| !is_host(host)) {
            return Err(Unfit(format!("{host:?} is not a name of a host: write it without scheme and port")));
        }
        if let Some(origin) = self.origins.iter().find(|origin| !is_origin(origin)) {
            return Err(Unfit(format!(
                "{origin:?} is not an origin as browsers send it: write its scheme and host, and a port other than 80 or 443, like \
                 https://app.example"
            )));
        }
        Ok(())
    }
}

/// Only processes of this machine reach it.
fn is_loopback(ip: IpAddr) -> bool {
    ip.to_canonical().is_loopback()
}

fn is_host(name: &str) -> bool {
    let letters = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '.' | '_');
    !name.is_empty() && (name.chars().all(letters) || name.parse::<IpAddr>().is_ok())
}

/// As browsers write it: without a port that goes without saying, which no request would have.
fn is_origin(origin: &str) -> bool {
    let Some((scheme, rest)) = origin.split_once("://") else { return false };
    let letters = |c: char| c.is_ascii_alphanumeric() || matches!(c, '+' | '-' | '.');
    if !scheme.starts_with(|c: char| c.is_ascii_alphabetic()) || !scheme.chars().all(letters) {
        return false;
    }
    let Ok(authority) = rest.parse::<Authority>() else { return false };
    let host = authority.host();
    let is_name = match host.strip_prefix('[') {
        Some(address) => address.strip_suffix(']').is_some_and(|of| of.parse::<Ipv6Addr>().is_ok()),
        None => is_host(host),
    };
    let port = rest.get(host.len()..).unwrap_or_default();
    let is_port = match port.strip_prefix(':').map(str::parse::<u16>) {
        None => port.is_empty(),
        Some(port) => port.is_ok_and(|port| Some(port) != default_port(scheme)),
    };
    is_name && is_port
}

fn default_port(scheme: &str) -> Option<u16> {
    match scheme.to_ascii_lowercase().as_str() {
        "http" => Some(80),
        "https" => Some(443),
        _ => None,
    }
}

/// Why a server can't be started like this.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Unfit(pub(crate) String);

impl fmt::Display for Unfit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for Unfit {}

#[cfg(test)]
mod tests {
    use super::*;

    fn open_at(address: &str) -> Config {
        Config { listen: vec![address.parse().unwrap()], ..Config::new(Tokens::open()) }
    }

    #[test]
    fn an_open_server_is_for_this_machine_alone() {
        for address in ["127.0.0.1:7878", "127.9.9.9:1", "[::1]:7878", "[::ffff:127.0.0.1]:80"] {
            open_at(address).check().unwrap();
        }
        for address in ["0.0.0.0:7878", "[::]:7878", "192.168.1.4:7878", "[2001:db8::1]:7878"] {
            let refused = open_at(address).check().unwrap_err().to_string();
            assert!(refused.contains(address) && refused.contains("--tokens"), "{refused}");
            Config { insecure: true, ..open_at(address) }.check().unwrap();
            Config { tokens: Tokens::of(Vec::new()), ..open_at(address) }.check().unwrap();
        }
    }

    #[test]
    fn hosts_and_origins_are_names() {
        for host in ["", "https://a.example", "a.example:80", "a b", "*"] {
            Config { hosts: vec![host.to_owned()], ..open_at("127.0.0.1:0") }.check().unwrap_err();
        }
        for host in ["a.example", "localhost", "::1", "10.0.0.1"] {
            Config { hosts: vec![host.to_owned()], ..open_at("127.0.0.1:0") }.check().unwrap();
        }
        for origin in [
            "",
            "*",
            "null",
            "a.example",
            "://a.example",
            "https://",
            "https://a.example/",
            "https://*.example",
            "https://a.example:443",
            "http://a.example:80",
            "https://a.example:x",
            "https://a.example:",
            "https://a.example:70000",
            "https://me@a.example",
            "https://[::1",
            "https://[1.2.3.4]",
            "https://a.example?",
        ] {
            Config { origins: vec![origin.to_owned()], ..open_at("127.0.0.1:0") }.check().unwrap_err();
        }
        for origin in [
            "https://a.example",
            "http://localhost:5173",
            "http://a.example:443",
            "http://[::1]:5173",
            "tauri://localhost",
            "chrome-extension://abcdefghijklmnop",
        ] {
            Config { origins: vec![origin.to_owned()], ..open_at("127.0.0.1:0") }.check().unwrap();
        }
    }
}
