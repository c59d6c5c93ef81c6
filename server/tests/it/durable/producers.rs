//! What a producer sends again is recorded once.

use super::{JSON, TEXT, at};
use crate::harness::{Answer, Ask, Served};

fn by(ask: Ask, epoch: u64, seq: u64) -> Ask {
    let ask = ask.header("producer-id", "p").header("producer-epoch", &epoch.to_string());
    ask.header("producer-seq", &seq.to_string())
}

fn numbers(answer: &Answer) -> (u16, Option<&str>, Option<&str>) {
    (answer.status, answer.header("producer-epoch"), answer.header("producer-seq"))
}

#[tokio::test]
async fn requests_are_taken_once_in_their_turn() {
    let served = Served::open().await;
    served.made("a", TEXT, "").await;
    let sent = |epoch, seq, body: &str| by(served.append("a", TEXT, body), epoch, seq).send();
    assert_eq!(numbers(&sent(0, 0, "a").await), (200, Some("0"), Some("0")));
    assert_eq!(numbers(&sent(0, 1, "b").await), (200, Some("0"), Some("1")));
    let again = sent(0, 0, "other").await;
    assert_eq!(numbers(&again), (204, Some("0"), Some("1")));
    let gap = sent(0, 3, "d").await;
    assert_eq!((gap.status, gap.problem().as_str()), (409, "producer-gap"));
    let told = (gap.header("producer-expected-seq"), gap.header("producer-received-seq"));
    assert_eq!(told, (Some("2"), Some("3")));
    assert_eq!(sent(1, 1, "x").await.status, 400);
    assert_eq!(numbers(&sent(1, 0, "c").await), (200, Some("1"), Some("0")));
    let stale = sent(0, 2, "x").await;
    assert_eq!((stale.status, stale.header("producer-epoch")), (403, Some("1")));
    for (name, value) in [("producer-id", "p"), ("producer-epoch", "0"), ("producer-seq", "0")] {
        assert_eq!(served.append("a", TEXT, "x").header(name, value).send().await.status, 400, "{name}");
    }
    // Another producer is on its own, and so is the same one of another stream, or of the stream that has this path later.
    let other = served.append("a", TEXT, "o").header("producer-id", "o/p").header("producer-epoch", "9");
    assert_eq!(other.header("producer-seq", "0").send().await.status, 200);
    assert_eq!(served.text_of("a").await, "abco");
    served.made("b", TEXT, "").await;
    assert_eq!(by(served.append("b", TEXT, "x"), 0, 0).send().await.status, 200);
    assert_eq!(served.delete(&at("a")).await.status, 204);
    served.made("a", TEXT, "").await;
    assert_eq!(sent(0, 0, "new").await.status, 200);
    assert_eq!(served.text_of("a").await, "new");
}

#[tokio::test]
async fn what_is_refused_counts_for_nothing() {
    let served = Served::open().await;
    served.made("a", JSON, "").await;
    let sent = |seq, body: &str| by(served.append("a", JSON, body), 0, seq);
    assert_eq!(sent(0, "{").send().await.status, 400);
    assert_eq!(sent(0, "[]").send().await.status, 400);
    assert_eq!(by(served.append("a", TEXT, "x"), 0, 0).send().await.status, 409);
    assert_eq!(sent(0, "1").header("stream-seq", "b").send().await.status, 200);
    // A repetition is told before its sequence is looked at.
    assert_eq!(sent(0, "1").header("stream-seq", "b").send().await.status, 204);
    assert_eq!(sent(1, "2").header("stream-seq", "a").send().await.problem(), "out-of-sequence");
    assert_eq!(sent(1, "[2,3]").header("stream-seq", "c").send().await.status, 200);
    assert_eq!(served.text_of("a").await, "[1,2,3]");
}

#[tokio::test]
async fn the_request_that_closed_a_stream_may_come_again_and_no_other() {
    let served = Served::open().await;
    served.made("a", TEXT, "").await;
    let close = |seq, body: &str| by(served.append("a", TEXT, body).header("stream-closed", "true"), 2, seq);
    let first = close(0, "end").send().await;
    assert_eq!((numbers(&first), first.header("stream-closed")), ((200, Some("2"), Some("0")), Some("true")));
    let again = close(0, "otherwise").send().await;
    assert_eq!((numbers(&again), again.header("stream-closed")), ((204, Some("2"), Some("0")), Some("true")));
    assert_eq!(close(1, "more").send().await.problem(), "stream-closed");
    assert_eq!(by(served.append("a", TEXT, "more"), 2, 1).send().await.problem(), "stream-closed");
    assert_eq!(served.text_of("a").await, "end");
    served.made("b", TEXT, "x").await;
    let close = || by(served.ask("POST", &at("b")).header("stream-closed", "true"), 0, 0).send();
    assert_eq!(numbers(&close().await), (204, Some("0"), Some("0")));
    assert_eq!(numbers(&close().await), (204, Some("0"), Some("0")));
}

#[tokio::test]
async fn a_request_that_comes_many_times_at_once_is_taken_once() {
    let served = Served::open().await;
    served.made("a", JSON, "").await;
    for seq in 0..4 {
        let body = seq.to_string();
        let all = (0..8).map(|_| by(served.append("a", JSON, &body), 0, seq).send());
        let statuses: Vec<u16> =
            futures_util::future::join_all(all).await.iter().map(|answer| answer.status).collect();
        assert_eq!(statuses.iter().filter(|status| **status == 200).count(), 1, "{statuses:?}");
        assert!(statuses.iter().all(|status| matches!(status, 200 | 204)), "{statuses:?}");
    }
    assert_eq!(served.text_of("a").await, "[0,1,2,3]");
}
