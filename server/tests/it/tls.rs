//! HTTPS.

use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use retold::Store;
use retold_server::{Config, ServeError, Server, TlsFiles, Tokens};
use rustls::pki_types::ServerName;
use rustls::{ClientConfig, RootCertStore};
use tokio::io::AsyncWriteExt;
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

use crate::harness::{Served, rest, soon};

/// A certificate for localhost, and the files of it.
pub(crate) fn certificate(folder: &Path) -> (rcgen::CertifiedKey<rcgen::KeyPair>, TlsFiles) {
    let made = rcgen::generate_simple_self_signed(vec!["localhost".to_owned()]).unwrap();
    let files = TlsFiles { certificates: folder.join("cert.pem"), key: folder.join("key.pem") };
    std::fs::write(&files.certificates, made.cert.pem()).unwrap();
    std::fs::write(&files.key, made.signing_key.serialize_pem()).unwrap();
    mode(&files.key, 0o600);
    (made, files)
}

#[cfg(unix)]
fn mode(path: &Path, mode: u32) {
    use std::os::unix::fs::PermissionsExt;
    std::fs::set_permissions(path, std::fs::Permissions::from_mode(mode)).unwrap();
}
#[cfg(not(unix))]
fn mode(_: &Path, _: u32) {}

/// A connection to who shows this certificate.
async fn shakes_hands(
    address: SocketAddr,
    of: &rcgen::CertifiedKey<rcgen::KeyPair>,
) -> std::io::Result<TlsStream<TcpStream>> {
    let mut roots = RootCertStore::empty();
    roots.add(of.cert.der().clone()).unwrap();
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let client = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_root_certificates(roots)
        .with_no_client_auth();
    let name = ServerName::try_from("localhost").unwrap();
    TlsConnector::from(Arc::new(client)).connect(name, TcpStream::connect(address).await?).await
}

#[tokio::test]
async fn a_server_with_a_certificate_speaks_https_alone() {
    let folder = tempfile::tempdir().unwrap();
    let (made, files) = certificate(folder.path());
    let mut config = Config::new(Tokens::open());
    config.tls = Some(files);
    let served = Served::with(Store::in_memory().unwrap(), config).await;

    let mut stream = soon(shakes_hands(served.address, &made)).await.unwrap();
    let request = b"GET /health HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n";
    stream.write_all(request).await.unwrap();
    let said = rest(&mut stream).await;
    assert!(said.starts_with("HTTP/1.1 200 OK\r\n") && said.ends_with("{\"status\":\"ok\"}"), "{said}");

    // Without TLS it says nothing that HTTP would understand.
    let plain = served.raw(request).await;
    assert!(!plain.contains("HTTP/1.1"), "{plain}");
    served.connections(0).await;
    served.stop().await;
}

#[tokio::test]
async fn who_does_not_shake_hands_is_cut_off() {
    let folder = tempfile::tempdir().unwrap();
    let mut config = Config::new(Tokens::open());
    config.tls = Some(certificate(folder.path()).1);
    config.limits.handshake_time = Duration::from_millis(150);
    let served = Served::with(Store::in_memory().unwrap(), config).await;
    assert_eq!(rest(&mut served.connect().await).await, "");
    served.connections(0).await;
}

#[tokio::test]
async fn a_certificate_is_renewed_while_the_server_runs() {
    let folder = tempfile::tempdir().unwrap();
    let (_, files) = certificate(folder.path());
    let mut config = Config::new(Tokens::open());
    config.listen = vec!["127.0.0.1:0".parse().unwrap()];
    config.tls = Some(files.clone());
    let server = Server::bind(Store::in_memory().unwrap(), config).await.unwrap();
    let (address, tls) = (server.local_addrs()[0], server.tls().unwrap().clone());
    let (end, ended) = tokio::sync::oneshot::channel::<()>();
    let running = tokio::spawn(server.run(async { ended.await.unwrap_or_default() }));
    let (renewed, _) = certificate(folder.path());
    std::fs::rename(&files.key, folder.path().join("away")).unwrap();
    assert!(tls.reload().unwrap_err().to_string().contains("key.pem"));
    assert!(soon(shakes_hands(address, &renewed)).await.is_err(), "it shows the one that it had");
    std::fs::rename(folder.path().join("away"), &files.key).unwrap();
    tls.reload().unwrap();
    soon(shakes_hands(address, &renewed)).await.unwrap();
    drop(end);
    soon(running).await.unwrap();
}

#[tokio::test]
async fn a_certificate_that_can_not_be_used_is_named() {
    let folder = tempfile::tempdir().unwrap();
    let (_, files) = certificate(folder.path());
    let other = tempfile::tempdir().unwrap();
    let (_, others) = certificate(other.path());
    let none = folder.path().join("none.pem");
    let empty = folder.path().join("empty.pem");
    std::fs::write(&empty, "").unwrap();
    mode(&empty, 0o600);
    mode(&files.certificates, 0o600);
    for (certificates, key, named) in [
        (&files.certificates, &others.key, "cert.pem"),
        (&none, &files.key, "none.pem"),
        (&files.certificates, &none, "none.pem"),
        (&empty, &files.key, "empty.pem"),
        (&files.certificates, &empty, "empty.pem"),
        (&files.certificates, &files.certificates, "cert.pem"),
    ] {
        let mut config = Config::new(Tokens::open());
        config.listen = vec!["127.0.0.1:0".parse().unwrap()];
        config.tls = Some(TlsFiles { certificates: certificates.clone(), key: key.clone() });
        let error = Server::bind(Store::in_memory().unwrap(), config).await.unwrap_err();
        assert!(matches!(error, ServeError::Tls(_)), "{error}");
        assert!(error.to_string().contains(named), "{named} is not in {error}");
    }
}

#[cfg(unix)]
#[tokio::test]
async fn a_key_that_others_may_read_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let (_, files) = certificate(folder.path());
    mode(&files.key, 0o644);
    let mut config = Config::new(Tokens::open());
    config.listen = vec!["127.0.0.1:0".parse().unwrap()];
    config.tls = Some(files.clone());
    let error = Server::bind(Store::in_memory().unwrap(), config.clone()).await.unwrap_err().to_string();
    assert!(error.contains("key.pem") && error.contains("chmod 600"), "{error}");
    mode(&files.key, 0o640);
    Server::bind(Store::in_memory().unwrap(), config).await.unwrap();
}

#[tokio::test]
async fn a_client_that_takes_no_answers_is_cut_off_over_tls_too() {
    let folder = tempfile::tempdir().unwrap();
    let (made, files) = certificate(folder.path());
    let mut config = Config::new(Tokens::open());
    config.tls = Some(files);
    config.limits.stall_time = Duration::from_millis(150);
    let served = Served::with(Store::in_memory().unwrap(), config).await;
    let mut stream = soon(shakes_hands(served.address, &made)).await.unwrap();
    let requests = "GET /v1/nowhere HTTP/1.1\r\nHost: localhost\r\n\r\n".repeat(1_000);
    soon(async { while stream.write_all(requests.as_bytes()).await.is_ok() {} }).await;
    served.connections(0).await;
}
