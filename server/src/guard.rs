//! Which requests are looked at: those for this server by name, and those of pages that may call it.
//!
//! A browser sends requests to any address that a page names, and a page's own name may lead to this machine (DNS rebinding). The
//! `Host`, `Origin` and `Sec-Fetch-Site` headers tell such requests apart.

use std::net::IpAddr;
use std::sync::Arc;

use axum::extract::{Request, State};
use axum::http::uri::Authority;
use axum::http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode, header};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};

use crate::config::Config;
use crate::problem::Problem;

/// How long a browser remembers what another origin may send, in seconds.
const PREFLIGHT_SECONDS: &str = "600";
const METHODS: &str = "GET, HEAD, POST, PUT, DELETE";
/// Headers of requests that pages of other origins may send.
const REQUEST_HEADERS: &str = "authorization, content-type, accept, expect-sequence, last-event-id, retold-lease, if-match, \
                               if-none-match";
/// How further ones may begin: those of a CloudEvent in binary mode, and of streams that others define.
const REQUEST_PREFIXES: [&str; 3] = ["ce-", "stream-", "producer-"];
/// How many of those are allowed at once.
const MOST_ASKED: usize = 100;
static SITE: HeaderName = HeaderName::from_static("sec-fetch-site");
static MODE: HeaderName = HeaderName::from_static("sec-fetch-mode");
static DESTINATION: HeaderName = HeaderName::from_static("sec-fetch-dest");
/// Headers of answers that they may read.
const ANSWER_HEADERS: &str = "location, etag, retry-after, stream-next-offset, stream-cursor, stream-up-to-date, stream-closed, \
                              stream-ttl, stream-expires-at, stream-sse-data-encoding, producer-epoch, producer-seq, \
                              producer-expected-seq, producer-received-seq";

/// The page and its assets come from here, and it speaks to nobody else.
const CONTENT_SECURITY_POLICY: &str = "default-src 'self'; img-src 'self' data:; object-src 'none'; base-uri 'none'; \
                                       form-action 'none'; frame-ancestors 'none'";

/// The names and origins that a server answers to.
#[derive(Clone, Debug)]
pub(crate) struct Guard {
    of: Arc<Names>,
}

#[derive(Debug)]
struct Names {
    /// How the server's own page begins.
    schemes: &'static [&'static str],
    hosts: Vec<String>,
    origins: Vec<String>,
}

impl Guard {
    /// For these names, besides `localhost` and addresses.
    pub(crate) fn new(config: &Config) -> Self {
        let lower = |all: &[String]| all.iter().map(|one| one.to_ascii_lowercase()).collect();
        // A proxy in front may speak HTTPS for a server that does not. One that does has no page of another kind.
        let schemes: &'static [&'static str] =
            if config.tls.is_some() { &["https://"] } else { &["http://", "https://"] };
        let (hosts, origins) = (lower(&config.hosts), lower(&config.origins));
        Self { of: Arc::new(Names { schemes, hosts, origins }) }
    }

    /// A page of a made-up name can't have an address for its name: addresses are safe.
    fn answers_to(&self, authority: &Authority) -> bool {
        let host = authority.host().to_ascii_lowercase();
        let plain = host.strip_prefix('[').and_then(|of| of.strip_suffix(']')).unwrap_or(&host);
        host == "localhost"
            || plain.parse::<IpAddr>().is_ok()
            || self.of.hosts.iter().any(|known| known == plain || *known == host)
    }

    /// The server's own page has the authority that the request is for.
    fn allows(&self, origin: &str, authority: &Authority) -> bool {
        let origin = origin.to_ascii_lowercase();
        let own = self.of.schemes.iter().find_map(|scheme| origin.strip_prefix(scheme));
        own == Some(authority.as_str().to_ascii_lowercase().as_str()) || self.is_named(&origin)
    }

    fn is_named(&self, origin: &str) -> bool {
        self.of.origins.iter().any(|known| known.eq_ignore_ascii_case(origin))
    }

    fn check(&self, request: &Request) -> Result<(), Problem> {
        let authority = authority(request)?;
        if !self.answers_to(&authority) {
            let detail = format!(
                "this server is not called {:?}; start it with --host {0} if it is",
                authority.host().chars().take(255).collect::<String>()
            );
            return Err(Problem::new(StatusCode::MISDIRECTED_REQUEST, "misdirected", detail));
        }
        let is_allowed = match one(request.headers(), &header::ORIGIN)? {
            Some(origin) => self.allows(origin, &authority),
            None => !is_of_another_site(request)?,
        };
        if !is_allowed {
            let detail = "pages of this origin may not call this server; --allow-origin allows one";
            return Err(Problem::new(StatusCode::FORBIDDEN, "origin", detail));
        }
        Ok(())
    }

    /// The origin of the request, if it is one of those that were named.
    fn named_origin(&self, headers: &HeaderMap) -> Option<HeaderValue> {
        let origin = headers.get(header::ORIGIN)?;
        self.is_named(origin.to_str().ok()?).then(|| origin.clone())
    }
}

/// Whether a page of another site has a browser send this, in a way that does not name its origin: as an image, in a frame. A link
/// to the page of this server is none of that.
fn is_of_another_site(request: &Request) -> Result<bool, Problem> {
    let headers = request.headers();
    if !matches!(one(headers, &SITE)?, Some("cross-site" | "same-site")) {
        return Ok(false);
    }
    let path = request.uri().path();
    let is_page = !path.starts_with("/v1/") || path == "/v1/docs";
    let is_followed =
        one(headers, &MODE)? == Some("navigate") && one(headers, &DESTINATION)? == Some("document");
    Ok(!(is_page && is_followed && request.method() == Method::GET))
}

/// Whom the request is for. All places that say so have to agree.
fn authority(request: &Request) -> Result<Authority, Problem> {
    let wrong = |what: &str| Problem::bad_request(format!("{what}; write: Host: NAME or Host: NAME:PORT"));
    let host = one(request.headers(), &header::HOST)?;
    let host =
        host.map(str::parse::<Authority>).transpose().map_err(|_| wrong("the Host header is not a name"))?;
    let authority = match (request.uri().authority(), host) {
        (Some(target), Some(host)) if *target != host => {
            return Err(wrong("the request's target and its Host header differ"));
        }
        (Some(target), _) => target.clone(),
        (None, Some(host)) => host,
        (None, None) => return Err(wrong("the request has no Host header")),
    };
    if authority.as_str().contains('@') {
        return Err(wrong("the Host header has a user"));
    }
    Ok(authority)
}

/// The value of a header that may be there once.
fn one<'a>(headers: &'a HeaderMap, name: &HeaderName) -> Result<Option<&'a str>, Problem> {
    let mut all = headers.get_all(name).iter();
    let first = all.next();
    if all.next().is_some() {
        return Err(Problem::bad_request(format!("there is more than one {name} header")));
    }
    let text = first.map(HeaderValue::to_str).transpose();
    text.map_err(|_| Problem::bad_request(format!("the {name} header is not text")))
}

/// Turns away what is not for this server, and tells browsers what they may do with answers.
pub(crate) async fn guard(State(guard): State<Guard>, request: Request, next: Next) -> Response {
    let named = guard.named_origin(request.headers());
    let is_preflight = request.method() == Method::OPTIONS
        && request.headers().contains_key(header::ACCESS_CONTROL_REQUEST_METHOD);
    let mut response = match guard.check(&request) {
        Err(problem) => problem.into_response(),
        Ok(()) if is_preflight && named.is_some() => preflight(request.headers()),
        Ok(()) => next.run(request).await,
    };
    let headers = response.headers_mut();
    if let Some(origin) = named {
        headers.insert(header::ACCESS_CONTROL_ALLOW_ORIGIN, origin);
        headers.insert(header::ACCESS_CONTROL_EXPOSE_HEADERS, HeaderValue::from_static(ANSWER_HEADERS));
    }
    if !guard.of.origins.is_empty() {
        headers.append(header::VARY, HeaderValue::from_static("origin"));
    }
    protect(headers);
    response
}

fn preflight(asked: &HeaderMap) -> Response {
    let mut allowed = REQUEST_HEADERS.to_owned();
    let asked = asked.get_all(header::ACCESS_CONTROL_REQUEST_HEADERS).iter();
    let asked = asked.filter_map(|value| value.to_str().ok()).flat_map(|value| value.split(','));
    for name in asked.filter_map(|name| name.trim().parse::<HeaderName>().ok()).take(MOST_ASKED) {
        if REQUEST_PREFIXES.iter().any(|prefix| name.as_str().starts_with(prefix)) {
            allowed.push_str(", ");
            allowed.push_str(name.as_str());
        }
    }
    let headers = [
        (header::ACCESS_CONTROL_ALLOW_METHODS, METHODS.to_owned()),
        (header::ACCESS_CONTROL_ALLOW_HEADERS, allowed),
        (header::ACCESS_CONTROL_MAX_AGE, PREFLIGHT_SECONDS.to_owned()),
    ];
    (StatusCode::NO_CONTENT, headers).into_response()
}

/// What a handler has set itself stays.
fn protect(headers: &mut HeaderMap) {
    for (name, value) in [
        (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
        (header::REFERRER_POLICY, "no-referrer"),
        (header::CONTENT_SECURITY_POLICY, CONTENT_SECURITY_POLICY),
        (header::CACHE_CONTROL, "no-store"),
        (HeaderName::from_static("cross-origin-resource-policy"), "same-origin"),
    ] {
        headers.entry(name).or_insert(HeaderValue::from_static(value));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tokens::Tokens;

    fn guard_of(hosts: &[&str], origins: &[&str]) -> Guard {
        let all = |of: &[&str]| of.iter().map(|one| (*one).to_owned()).collect();
        Guard::new(&Config { hosts: all(hosts), origins: all(origins), ..Config::new(Tokens::open()) })
    }

    fn request(uri: &str, headers: &[(&str, &str)]) -> Request {
        let mut request = axum::http::Request::builder().uri(uri);
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        request.body(axum::body::Body::empty()).unwrap()
    }

    fn told(guard: &Guard, uri: &str, headers: &[(&str, &str)]) -> u16 {
        guard.check(&request(uri, headers)).map_or_else(|problem| problem.status().as_u16(), |()| 200)
    }

    #[test]
    fn a_server_answers_to_its_addresses_and_to_the_names_it_was_given() {
        let guard = guard_of(&["store.example", "::1"], &[]);
        for host in
            ["127.0.0.1:7878", "10.1.2.3", "[::1]:7878", "localhost:1", "LOCALHOST", "Store.Example:443"]
        {
            assert_eq!(told(&guard, "/", &[("host", host)]), 200, "{host}");
        }
        for host in
            ["evil.example", "store.example.evil.example", "localhost.evil.example", "127.0.0.1.evil.example"]
        {
            assert_eq!(told(&guard, "/", &[("host", host)]), 421, "{host}");
        }
        for headers in [
            &[][..],
            &[("host", "")],
            &[("host", "a b")],
            &[("host", "localhost"), ("host", "localhost")],
            &[("host", "evil@localhost")],
        ] {
            assert_eq!(told(&guard, "/", headers), 400, "{headers:?}");
        }
        assert_eq!(told(&guard, "http://evil.example/", &[("host", "localhost")]), 400);
        assert_eq!(told(&guard, "http://evil.example/", &[("host", "evil.example")]), 421);
        assert_eq!(told(&guard, "http://localhost/", &[("host", "localhost")]), 200);
    }

    #[test]
    fn pages_of_other_origins_may_call_it_if_they_are_named() {
        let guard = guard_of(&[], &["https://app.example"]);
        let with = |origin| told(&guard, "/", &[("host", "localhost:7878"), ("origin", origin)]);
        for origin in
            ["http://localhost:7878", "https://localhost:7878", "https://app.example", "https://APP.example"]
        {
            assert_eq!(with(origin), 200, "{origin}");
        }
        for origin in [
            "null",
            "",
            "http://localhost",
            "http://localhost:7879",
            "http://app.example",
            "https://app.example.evil.example",
        ] {
            assert_eq!(with(origin), 403, "{origin}");
        }
    }

    #[test]
    fn a_server_with_a_certificate_has_no_page_without_one() {
        let tls = crate::config::TlsFiles { certificates: "cert.pem".into(), key: "key.pem".into() };
        let guard = Guard::new(&Config { tls: Some(tls), ..Config::new(Tokens::open()) });
        for (origin, status) in [("https://localhost", 200), ("http://localhost", 403)] {
            assert_eq!(told(&guard, "/", &[("host", "localhost"), ("origin", origin)]), status, "{origin}");
        }
    }

    #[test]
    fn pages_of_other_sites_send_nothing_without_their_name_but_links_lead_here() {
        let guard = guard_of(&[], &["https://app.example"]);
        let with = |path: &str, headers: &[(&str, &str)]| {
            told(&guard, path, &[&[("host", "localhost:7878")][..], headers].concat())
        };
        let link = [("sec-fetch-mode", "navigate"), ("sec-fetch-dest", "document")];
        let frame = [("sec-fetch-mode", "navigate"), ("sec-fetch-dest", "iframe")];
        let image = [("sec-fetch-mode", "no-cors"), ("sec-fetch-dest", "image")];
        for site in ["cross-site", "same-site"] {
            let from = [("sec-fetch-site", site)];
            assert_eq!(with("/sessions", &[&from[..], &link].concat()), 200, "{site}");
            assert_eq!(with("/v1/docs", &[&from[..], &link].concat()), 200, "{site}");
            assert_eq!(with("/v1/events?follow=sse", &[&from[..], &link].concat()), 403, "{site}");
            for way in [frame, image] {
                assert_eq!(with("/sessions", &[&from[..], &way].concat()), 403, "{site} {way:?}");
            }
            let named = [("origin", "https://app.example")];
            assert_eq!(with("/v1/events", &[&from[..], &named].concat()), 200, "{site}");
        }
        for site in ["same-origin", "none"] {
            assert_eq!(with("/v1/events", &[("sec-fetch-site", site)]), 200, "{site}");
        }
    }

    #[test]
    fn a_preflight_allows_the_headers_that_are_read() {
        let mut asked = HeaderMap::new();
        let names = "CE-Type, ce-x\u{e9}, ce-subject,x-other, Retold-Lease, producer-id";
        asked.insert(
            header::ACCESS_CONTROL_REQUEST_HEADERS,
            HeaderValue::from_bytes(names.as_bytes()).unwrap(),
        );
        asked.append(header::ACCESS_CONTROL_REQUEST_HEADERS, HeaderValue::from_static("ce-id"));
        let allowed = |asked: &HeaderMap| {
            let response = preflight(asked);
            response.headers()[header::ACCESS_CONTROL_ALLOW_HEADERS].to_str().unwrap().to_owned()
        };
        // What is no text as a whole is passed over.
        assert_eq!(allowed(&asked), format!("{REQUEST_HEADERS}, ce-id"));
        asked.insert(
            header::ACCESS_CONTROL_REQUEST_HEADERS,
            HeaderValue::from_static("CE-Type, ce subject,x-other, Retold-Lease, producer-id"),
        );
        assert_eq!(allowed(&asked), format!("{REQUEST_HEADERS}, ce-type, producer-id"));
        assert!(REQUEST_HEADERS.contains("retold-lease"));
    }
}
