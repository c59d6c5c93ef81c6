//! Durable Streams, piece by piece. The public suite and two clients of others are in `server/conformance/`.

use crate::harness::{Answer, Ask, Served};

mod deleting;
mod forks;
mod live;
mod model;
mod producers;
mod reading;
mod restarting;
mod tokens;
mod writing;

pub(crate) const TEXT: &str = "text/plain";
pub(crate) const JSON: &str = "application/json";

/// The URL path of a stream.
pub(crate) fn at(path: &str) -> String {
    format!("/v1/stream/{path}")
}

impl Served {
    /// Makes a stream.
    pub(crate) async fn made(&self, path: &str, content_type: &str, body: &str) -> Answer {
        let answer = self.ask("PUT", &at(path)).body(content_type, body.to_owned()).send().await;
        assert_eq!(answer.status, 201, "{path}: {}", answer.text());
        answer
    }

    /// An append, to be filled in.
    pub(crate) fn append(&self, path: &str, content_type: &str, body: &str) -> Ask {
        self.ask("POST", &at(path)).body(content_type, body.to_owned())
    }

    /// An append that has to go well.
    pub(crate) async fn appended(&self, path: &str, content_type: &str, body: &str) -> Answer {
        let answer = self.append(path, content_type, body).send().await;
        assert_eq!(answer.status, 204, "{path}: {}", answer.text());
        answer
    }

    /// Closes a stream.
    pub(crate) async fn closed(&self, path: &str) -> Answer {
        let answer = self.ask("POST", &at(path)).header("stream-closed", "true").send().await;
        assert_eq!((answer.status, answer.header("stream-closed")), (204, Some("true")), "{}", answer.text());
        answer
    }

    /// What a stream has from an offset on.
    pub(crate) async fn read_from(&self, path: &str, offset: &str) -> Answer {
        self.get(&format!("{}?offset={offset}", at(path))).await
    }

    /// All that a stream has.
    pub(crate) async fn text_of(&self, path: &str) -> String {
        let answer = self.get(&at(path)).await;
        assert_eq!(answer.status, 200, "{path}: {}", answer.text());
        answer.text().to_owned()
    }

    pub(crate) async fn head_of(&self, path: &str) -> Answer {
        self.ask("HEAD", &at(path)).send().await
    }
}

impl Answer {
    /// The offset after it.
    #[track_caller]
    pub(crate) fn next(&self) -> String {
        self.header("stream-next-offset").expect("an offset").to_owned()
    }
}
