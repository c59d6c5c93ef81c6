//! TLS: the certificate that the server shows.

use std::fmt;
use std::io;
use std::sync::{Arc, PoisonError, RwLock};

use rustls::ServerConfig;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use tokio_rustls::TlsAcceptor;

use crate::config::TlsFiles;
use crate::private_file;

/// Bytes of the file of a key.
const KEY_BYTES: u64 = 1024 * 1024;

/// The certificate that a server shows. Clones are the same one.
#[derive(Clone)]
pub struct Tls {
    files: TlsFiles,
    acceptor: Arc<RwLock<TlsAcceptor>>,
}

impl Tls {
    /// Reads the files.
    pub(crate) fn new(files: TlsFiles) -> io::Result<Self> {
        let acceptor = Arc::new(RwLock::new(acceptor(&files)?));
        Ok(Self { files, acceptor })
    }

    /// Reads the files again, for connections from now on. If they are wrong, the certificate stays.
    ///
    /// # Errors
    ///
    /// The one of the file that can't be read or used; it is named.
    pub fn reload(&self) -> io::Result<()> {
        let renewed = acceptor(&self.files)?;
        *self.acceptor.write().unwrap_or_else(PoisonError::into_inner) = renewed;
        Ok(())
    }

    /// For the next connection.
    pub(crate) fn acceptor(&self) -> TlsAcceptor {
        self.acceptor.read().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

impl fmt::Debug for Tls {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Tls").field("files", &self.files).finish_non_exhaustive()
    }
}

/// Reads a certificate and its key. The error names the file.
fn acceptor(files: &TlsFiles) -> io::Result<TlsAcceptor> {
    let bad = |path: &std::path::Path, reason: &dyn std::fmt::Display| {
        io::Error::new(io::ErrorKind::InvalidData, format!("{}: {reason}", path.display()))
    };
    let certificates = CertificateDer::pem_file_iter(&files.certificates)
        .and_then(Iterator::collect::<Result<Vec<_>, _>>)
        .map_err(|e| bad(&files.certificates, &e))?;
    if certificates.is_empty() {
        return Err(bad(&files.certificates, &"it has no certificate in PEM"));
    }
    let key = private_file::read(&files.key, KEY_BYTES).map_err(|e| bad(&files.key, &e))?;
    let key = PrivateKeyDer::from_pem_slice(key.as_bytes()).map_err(|e| bad(&files.key, &e))?;
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let mut config = ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .and_then(|config| config.with_no_client_auth().with_single_cert(certificates, key))
        .map_err(|e| bad(&files.certificates, &e))?;
    config.alpn_protocols = vec![b"http/1.1".to_vec()];
    Ok(TlsAcceptor::from(Arc::new(config)))
}
