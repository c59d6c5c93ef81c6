//! The request that turns an HTTP connection into one of the shared protocol, and what a server that refuses says.

use std::io;

use httparse::{EMPTY_HEADER, Response, Status};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};

use crate::error::{Error, Result};
use crate::limits::{REMOTE_HEAD_BYTES, REMOTE_HEAD_LINES};

/// What is spoken after the upgrade.
const PROTOCOL: &str = "retold-frames/1";
const PATH: &str = "/v1/engine";

/// An answer of a server, up to a bound.
struct Answered {
    status: u16,
    upgrade: String,
    is_problem: bool,
    /// How many bytes it says that its body has.
    length: usize,
    body: Vec<u8>,
}

/// Asks for the shared protocol; when it returns, the connection speaks it.
///
/// # Errors
/// [`Error::Refused`] and [`Error::Unreachable`], of the store of this name.
pub(super) async fn upgrade(
    io: &mut (impl AsyncRead + AsyncWrite + Unpin),
    authority: &str,
    token: Option<&str>,
    store: &str,
) -> Result<()> {
    let authorization = token.map(|token| format!("Authorization: Bearer {token}\r\n")).unwrap_or_default();
    let request = format!(
        "GET {PATH} HTTP/1.1\r\nHost: {authority}\r\nConnection: Upgrade\r\nUpgrade: {PROTOCOL}\r\n{authorization}\
         User-Agent: retold/{}\r\n\r\n",
        env!("CARGO_PKG_VERSION")
    );
    let ended = |e: io::Error| super::tls::failed(store, &e);
    io.write_all(request.as_bytes()).await.map_err(ended)?;
    io.flush().await.map_err(ended)?;
    let answered = answer(io).await.map_err(|e| match e.kind() {
        io::ErrorKind::InvalidData => {
            let reason =
                format!("what answers there is no server of stores: {e}; if it speaks TLS, write https://");
            Error::Refused { store: store.to_owned(), reason }
        }
        _ => ended(e),
    })?;
    judged(answered, store)
}

/// Reads an answer: its head, and of what it says beside that no more than there is room for.
async fn answer(io: &mut (impl AsyncRead + Unpin)) -> io::Result<Answered> {
    let mut bytes = Vec::new();
    let (mut answered, head) = loop {
        more(io, &mut bytes).await?;
        if let Some(parsed) = parse(&bytes)? {
            break parsed;
        }
    };
    if answered.status != 101 {
        let wanted = head.saturating_add(answered.length).min(REMOTE_HEAD_BYTES);
        // What comes no more is not needed.
        while bytes.len() < wanted && more(io, &mut bytes).await.is_ok() {}
    }
    answered.body = bytes.get(head..).unwrap_or_default().to_vec();
    Ok(answered)
}

async fn more(io: &mut (impl AsyncRead + Unpin), bytes: &mut Vec<u8>) -> io::Result<()> {
    let mut room = [0; 1_024];
    let read = io.read(&mut room).await?;
    if read == 0 {
        return Err(io::Error::new(
            io::ErrorKind::UnexpectedEof,
            "the connection was closed before it was answered",
        ));
    }
    bytes.extend_from_slice(room.get(..read).unwrap_or_default());
    Ok(())
}

/// The answer and the bytes of its head, once that is whole.
fn parse(bytes: &[u8]) -> io::Result<Option<(Answered, usize)>> {
    let wrong = |what: &str| io::Error::new(io::ErrorKind::InvalidData, what);
    let mut headers = [EMPTY_HEADER; REMOTE_HEAD_LINES];
    let mut response = Response::new(&mut headers);
    let head = match response.parse(bytes) {
        Ok(Status::Complete(head)) => head,
        Ok(Status::Partial) if bytes.len() < REMOTE_HEAD_BYTES => return Ok(None),
        Ok(Status::Partial) => return Err(wrong("its answer has no end")),
        Err(e) => return Err(wrong(&format!("its answer is not HTTP/1.1 ({e})"))),
    };
    let header = |name: &str| {
        let found = response.headers.iter().find(|header| header.name.eq_ignore_ascii_case(name));
        found.and_then(|header| std::str::from_utf8(header.value).ok()).unwrap_or_default()
    };
    let answered = Answered {
        status: response.code.unwrap_or_default(),
        upgrade: header("upgrade").to_owned(),
        is_problem: header("content-type").starts_with("application/problem+json"),
        length: header("content-length").parse().unwrap_or_default(),
        body: Vec::new(),
    };
    Ok(Some((answered, head)))
}

fn judged(answered: Answered, store: &str) -> Result<()> {
    let store = store.to_owned();
    let status = answered.status;
    let said = detail(&answered);
    let told = |what: &str| match &said {
        Some(said) => format!("{what}: {said}"),
        None => format!("{what} (HTTP status {status})"),
    };
    let refused = |reason| Err(Error::Refused { store: store.clone(), reason });
    match status {
        // The server says nothing before it was greeted.
        101 if answered.upgrade.eq_ignore_ascii_case(PROTOCOL) && answered.body.is_empty() => Ok(()),
        401 => refused(told(
            "its server wants another token; give one in RETOLD_TOKEN or in a file (--token-file FILE)",
        )),
        403 => refused(told(
            "its server does not let this token in; it takes one of scope admin for all sessions",
        )),
        // It, or a proxy before it, may soon have room, or be there again.
        429 | 500 | 502..=504 => {
            Err(Error::Unreachable { store: store.clone(), reason: told("its server does not take it in") })
        }
        404 | 421 | 426 if said.is_some() => {
            refused(told("its server does not serve it to other machines so"))
        }
        _ => refused(told("what answers there is no server of stores, or one of an earlier release")),
    }
}

/// What a server of ours says of a refusal, in one line.
fn detail(answered: &Answered) -> Option<String> {
    let document: serde_json::Value =
        answered.is_problem.then(|| serde_json::from_slice(&answered.body).ok()).flatten()?;
    let said: String =
        document.get("detail")?.as_str()?.chars().filter(|c| !c.is_control()).take(300).collect();
    Some(said).filter(|said| !said.is_empty())
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What becomes of an answer, which comes in pieces of so many bytes.
    async fn asked(answer: &[u8], at_once: usize) -> Result<()> {
        let (mut own, mut other) = tokio::io::duplex(64);
        let answer = answer.to_vec();
        let server = tokio::spawn(async move {
            let mut request = Vec::new();
            while !request.ends_with(b"\r\n\r\n") {
                let mut byte = [0];
                other.read_exact(&mut byte).await.unwrap();
                request.push(byte[0]);
            }
            for piece in answer.chunks(at_once) {
                if other.write_all(piece).await.is_err() {
                    break;
                }
            }
            String::from_utf8(request).unwrap()
        });
        let done = upgrade(&mut own, "a:1", Some("s3cret"), "https://a:1").await;
        drop(own);
        let request = server.await.unwrap();
        assert!(request.starts_with("GET /v1/engine HTTP/1.1\r\nHost: a:1\r\n"), "{request}");
        assert!(request.contains("\r\nAuthorization: Bearer s3cret\r\n"), "{request}");
        done
    }

    fn problem(status: &str, detail: &str) -> Vec<u8> {
        let body = format!("{{\"detail\": \"{detail}\"}}");
        let head = "Content-Type: application/problem+json";
        format!("HTTP/1.1 {status}\r\n{head}\r\nContent-Length: {}\r\n\r\n{body}", body.len()).into_bytes()
    }

    #[tokio::test]
    async fn a_server_that_upgrades_is_taken_at_its_word() {
        let answer =
            b"HTTP/1.1 101 Switching Protocols\r\nConnection: upgrade\r\nUpgrade: Retold-Frames/1\r\n\r\n";
        for at_once in [1, 7, 1_000] {
            asked(answer, at_once).await.unwrap();
        }
    }

    #[tokio::test]
    async fn a_refusal_says_what_the_server_said_and_whether_waiting_helps() {
        for (answer, is_passing, says) in [
            (problem("401 Unauthorized", "who are you"), false, "who are you"),
            (problem("403 Forbidden", "only build-*"), false, "only build-*"),
            (problem("404 Not Found", "nothing here"), false, "nothing here"),
            (problem("421 Misdirected Request", "not called a"), false, "not called a"),
            (problem("429 Too Many Requests", "512 streams"), true, "512 streams"),
            (problem("503 Service Unavailable", "shutting down"), true, "shutting down"),
            (b"HTTP/1.1 502 Bad Gateway\r\nContent-Length: 3\r\n\r\nbad".to_vec(), true, "502"),
            (b"HTTP/1.1 200 OK\r\nContent-Type: text/html\r\n\r\n<html>".to_vec(), false, "200"),
            (b"HTTP/1.1 301 Moved\r\nLocation: https://b\r\n\r\n".to_vec(), false, "301"),
            (b"HTTP/1.1 101 Switching\r\nUpgrade: websocket\r\n\r\n".to_vec(), false, "no server of stores"),
            (
                b"HTTP/1.1 101 Switching\r\nUpgrade: retold-frames/1\r\n\r\nhello".to_vec(),
                false,
                "no server of",
            ),
            (b"\x15\x03\x03\x00\x02\x02\x32".to_vec(), false, "https://"),
            (b"SSH-2.0-OpenSSH_9.6\r\n".to_vec(), false, "not HTTP/1.1"),
            (b"".to_vec(), true, "closed"),
            (b"HTTP/1.1 101 Swi".to_vec(), true, "closed"),
            (problem("403 Forbidden", r"one\u001b[31m two"), false, "one[31m two"),
        ] {
            for at_once in [5, 1_000] {
                let error = asked(&answer, at_once).await.unwrap_err();
                let text = error.to_string();
                assert!(error.is_retryable() == is_passing && text.contains(says), "{says}: {text}");
                assert!(text.contains("https://a:1") && !text.contains("s3cret"), "{text}");
            }
        }
    }

    #[tokio::test]
    async fn an_answer_without_end_is_not_read_for_ever() {
        let endless = [&b"HTTP/1.1 200 OK\r\nX: "[..], &vec![b'x'; 10 * REMOTE_HEAD_BYTES]].concat();
        let error = asked(&endless, 1_000).await.unwrap_err();
        assert!(error.to_string().contains("no end"), "{error}");
        let lines = [&b"HTTP/1.1 200 OK\r\n"[..], &b"A: b\r\n".repeat(2_000)].concat();
        assert!(matches!(asked(&lines, 1_000).await, Err(Error::Refused { .. })));
        let body =
            format!("HTTP/1.1 403 No\r\nContent-Length: {}\r\n\r\n{}", usize::MAX, "x".repeat(100_000));
        assert!(matches!(asked(body.as_bytes(), 1_000).await, Err(Error::Refused { .. })));
    }
}
