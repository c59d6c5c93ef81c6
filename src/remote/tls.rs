//! TLS to a server: whose certificates are trusted, and what its refusals mean.

use std::io;
use std::path::Path;
use std::sync::Arc;

use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, ServerName};
use rustls::{ClientConfig, RootCertStore};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

use crate::error::{Error, Result};
use crate::event::Invalid;

/// Trusts the certificates of this file alone, or without one those that the system trusts.
///
/// # Errors
/// [`Error::NotFound`] and [`Error::Invalid`] of the file, and [`Error::Storage`] when the system has no certificates.
pub(super) fn trusting(ca: Option<&Path>) -> Result<Arc<ClientConfig>> {
    let mut roots = RootCertStore::empty();
    match ca {
        Some(file) => {
            for certificate in certificates(file)? {
                roots.add(certificate).map_err(|e| bad(file, e))?;
            }
        }
        None => {
            // What cannot be read is none that is trusted; some systems keep files that are of no use.
            roots.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
            if roots.is_empty() {
                let reason =
                    "this system has no certificates of authorities; name a file of some (--ca FILE)";
                return Err(Error::storage(reason));
            }
        }
    }
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let config = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .map_err(Error::storage)?;
    let mut config = config.with_root_certificates(roots).with_no_client_auth();
    config.alpn_protocols = vec![b"http/1.1".to_vec()];
    Ok(Arc::new(config))
}

fn certificates(file: &Path) -> Result<Vec<CertificateDer<'static>>> {
    let bytes = std::fs::read(file).map_err(|e| match e.kind() {
        io::ErrorKind::NotFound => Error::not_found("file", file.display()),
        _ => Error::storage(format!("{}: {e}", file.display())),
    })?;
    let all = CertificateDer::pem_slice_iter(&bytes).collect::<Result<Vec<_>, _>>();
    let all = all.map_err(|e| bad(file, e))?;
    if all.is_empty() {
        return Err(bad(file, "it has no certificate in PEM"));
    }
    Ok(all)
}

fn bad(file: &Path, reason: impl std::fmt::Display) -> Error {
    Invalid::new("ca", format!("{} cannot be used: {reason}", file.display())).into()
}

/// Shakes hands with the server of this host.
///
/// # Errors
/// [`Error::Refused`] and [`Error::Unreachable`], of the store of this name.
pub(super) async fn shake_hands(
    config: Arc<ClientConfig>,
    host: &str,
    stream: TcpStream,
    store: &str,
) -> Result<TlsStream<TcpStream>> {
    let name = ServerName::try_from(host.to_owned()).map_err(|_| refused(store, "its host is not a name"))?;
    TlsConnector::from(config).connect(name, stream).await.map_err(|e| failed(store, &e))
}

fn refused(store: &str, reason: impl ToString) -> Error {
    Error::Refused { store: store.to_owned(), reason: reason.to_string() }
}

/// What a failed handshake, or a connection that has just begun, says.
pub(super) fn failed(store: &str, error: &io::Error) -> Error {
    let of_tls = error.get_ref().and_then(|inner| inner.downcast_ref::<rustls::Error>());
    match of_tls {
        Some(rustls::Error::InvalidCertificate(why)) => refused(
            store,
            format!(
                "its certificate is not trusted ({why}); if it is of your own authority, name that one's certificate (--ca FILE)"
            ),
        ),
        Some(rustls::Error::InvalidMessage(_)) => refused(
            store,
            "what answers there does not speak TLS; if it is `retold serve` without it, write http://",
        ),
        Some(other) => refused(store, format!("the TLS handshake has failed: {other}")),
        None => Error::Unreachable { store: store.to_owned(), reason: error.to_string() },
    }
}
