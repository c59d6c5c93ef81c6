//! Sends requests to a collector, and waits for each: only threads that do nothing else call this.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use opentelemetry_http::{HttpClient, HttpError, Request, Response};
use ureq::Agent;
use ureq::tls::{RootCerts, TlsConfig};

use super::bad_collector::BadCollector;

/// How long a request may take, unless `OTEL_EXPORTER_OTLP_TIMEOUT` says otherwise, in milliseconds.
const PATIENCE: Duration = Duration::from_secs(10);
/// How long it may take until there is a connection.
const CONNECT: Duration = Duration::from_secs(3);
/// Bytes of an answer that are read.
const ANSWER_BYTES: u64 = 1024 * 1024;

/// Speaks HTTP, and TLS with the certificates that the system trusts.
#[derive(Clone, Debug)]
pub(super) struct Client {
    agent: Agent,
}

impl Client {
    pub(super) fn new() -> Self {
        let given = std::env::var("OTEL_EXPORTER_OTLP_TIMEOUT").ok().and_then(|ms| ms.parse().ok());
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let tls = TlsConfig::builder()
            .root_certs(RootCerts::PlatformVerifier)
            .unversioned_rustls_crypto_provider(provider)
            .build();
        let config = Agent::config_builder()
            .http_status_as_error(false)
            .max_redirects(0)
            .max_redirects_will_error(false)
            .timeout_global(Some(given.map_or(PATIENCE, Duration::from_millis)))
            .timeout_connect(Some(CONNECT))
            .tls_config(tls)
            .build();
        Self { agent: Agent::new_with_config(config) }
    }

    fn send(&self, request: Request<Bytes>) -> Result<Response<Bytes>, ureq::Error> {
        let (parts, body) = request.into_parts();
        let answer = self.agent.run(Request::from_parts(parts, &body[..]))?;
        let (parts, mut body) = answer.into_parts();
        let bytes = body.with_config().limit(ANSWER_BYTES).read_to_vec()?;
        Ok(Response::from_parts(parts, Bytes::from(bytes)))
    }
}

#[async_trait]
impl HttpClient for Client {
    async fn send_bytes(&self, request: Request<Bytes>) -> Result<Response<Bytes>, HttpError> {
        Ok(self.send(request)?)
    }
}

/// The URL of a collector, without a slash at its end.
pub(super) fn checked(url: &str) -> Result<String, BadCollector> {
    let parsed = url.parse::<axum::http::Uri>().ok();
    let fits = |uri: &axum::http::Uri| {
        matches!(uri.scheme_str(), Some("http" | "https")) && uri.host().is_some_and(|host| !host.is_empty())
    };
    match parsed.filter(fits) {
        Some(uri) if uri.query().is_none() => Ok(url.trim_end_matches('/').to_owned()),
        _ => {
            let like = "http://127.0.0.1:4318, without /v1/traces at its end";
            Err(BadCollector(format!("{url:?} is not the URL of a collector; it is like {like}")))
        }
    }
}

/// Where exported sessions are sent.
#[derive(Debug)]
pub struct Collector {
    client: Client,
    url: String,
}

impl Collector {
    /// The collector at this URL.
    ///
    /// # Errors
    ///
    /// [`BadCollector`] if it is none.
    pub fn new(url: &str) -> Result<Self, BadCollector> {
        Ok(Self { client: Client::new(), url: format!("{}/v1/traces", checked(url)?) })
    }

    /// Sends a request with spans, in JSON, and waits until they were taken.
    ///
    /// # Errors
    ///
    /// [`BadCollector`] if it does not answer, or refuses them.
    pub fn send(&self, json: &str) -> Result<(), BadCollector> {
        let failed = |why: String| BadCollector(format!("{} does not take the spans: {why}", self.url));
        let request = Request::post(&self.url).header("content-type", "application/json");
        let request =
            request.body(Bytes::copy_from_slice(json.as_bytes())).map_err(|e| failed(e.to_string()))?;
        let answer = self.client.send(request).map_err(|e| failed(e.to_string()))?;
        if answer.status().is_success() {
            return Ok(());
        }
        let said: String = String::from_utf8_lossy(answer.body()).chars().take(200).collect();
        Err(failed(format!("{} {said}", answer.status()).trim_end().to_owned()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_url_of_a_collector_is_told_from_others() {
        assert_eq!(checked("http://127.0.0.1:4318/").unwrap(), "http://127.0.0.1:4318");
        assert_eq!(checked("https://otel.example/base").unwrap(), "https://otel.example/base");
        for bad in ["127.0.0.1:4318", "ftp://x", "http://", "http://x?y", ""] {
            assert!(checked(bad).is_err(), "{bad}");
        }
    }
}
