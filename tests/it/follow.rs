//! Replay, then live, through the public API.

use std::time::Duration;

use retold::{Error, Expect, Filter, Follow, Followed, NewEvent, Store};
use serde_json::json;

fn event(n: u64) -> NewEvent {
    NewEvent::new(if n.is_multiple_of(2) { "step.even" } else { "step.odd" }).data(json!({ "n": n }))
}

async fn next(following: &mut retold::Following) -> u64 {
    let item = tokio::time::timeout(Duration::from_secs(120), following.next_event()).await;
    item.expect("an event in time").expect("no end").unwrap().position().get()
}

#[tokio::test]
async fn history_then_live_with_the_change_reported_once() {
    let store = Store::in_memory().unwrap();
    store.append("s", [event(1), event(2)]).unwrap();
    let mut following = store.follow(Follow::branch("s").unwrap()).unwrap();
    assert_eq!(next(&mut following).await, 1);
    assert_eq!(next(&mut following).await, 2);
    assert!(matches!(following.next().await, Some(Ok(Followed::CaughtUp { .. }))));
    store.append("s", event(3)).unwrap();
    store.append("other", event(4)).unwrap();
    store.append_if_async("s", Expect::Head(3.into()), event(5)).await.unwrap();
    assert_eq!(next(&mut following).await, 3);
    assert_eq!(next(&mut following).await, 5);
    store.close_async().await.unwrap();
    assert!(following.next().await.is_none());
}

#[tokio::test]
async fn a_cursor_goes_on_where_it_stood_and_is_refused_elsewhere() {
    let store = Store::in_memory().unwrap();
    store.append("s", (1..=10).map(event).collect::<Vec<_>>()).unwrap();
    store.fork("s@4", "b").unwrap();
    let mut following = store.follow(Follow::branch("s").unwrap()).unwrap();
    let cursor = (0..4).map(|_| ()).collect::<Vec<_>>();
    let mut last = None;
    for () in cursor {
        last = following.next().await.map(|item| item.unwrap().cursor());
    }
    let cursor: retold::Cursor = last.unwrap().to_string().parse().unwrap();
    let mut again = store.follow(Follow::branch("s").unwrap().cursor(cursor)).unwrap();
    assert_eq!(next(&mut again).await, 5);

    let refused = |r: retold::Result<retold::Following>| assert!(matches!(r, Err(Error::BadCursor { .. })));
    refused(store.follow(Follow::branch("s/b").unwrap().cursor(cursor)));
    refused(store.follow(Follow::all().cursor(cursor)));
    refused(store.follow(Follow::branch("s").unwrap().after(11)));
    refused(Store::in_memory().unwrap().follow(Follow::branch("s").unwrap().cursor(cursor)));
}

#[tokio::test]
async fn a_session_is_followed_over_all_its_branches_also_later_ones() {
    let store = Store::in_memory().unwrap();
    let mut following = store.follow(Follow::session("s").unwrap()).unwrap();
    assert!(matches!(following.next().await, Some(Ok(Followed::CaughtUp { .. }))));
    store.append("t", event(1)).unwrap();
    store.append("s", event(2)).unwrap();
    store.fork("s", "b").unwrap();
    store.append("s/b", event(3)).unwrap();
    store.flush().unwrap();
    store.append("s", event(4)).unwrap();
    for position in 2..=4 {
        assert_eq!(next(&mut following).await, position);
    }
    let mut late = store.follow(Follow::session("s").unwrap().after_position(2)).unwrap();
    assert_eq!(next(&mut late).await, 3);
    assert_eq!(next(&mut late).await, 4);
}

#[tokio::test]
async fn a_session_that_is_not_there_yet_is_waited_for() {
    let store = Store::in_memory().unwrap();
    let mut following = store.follow(Follow::branch("s").unwrap()).unwrap();
    assert!(matches!(following.next().await, Some(Ok(Followed::CaughtUp { .. }))));
    store.append("s", event(1)).unwrap();
    assert_eq!(next(&mut following).await, 1);
    assert!(matches!(store.follow(Follow::branch("s/no").unwrap()), Err(Error::NotFound { .. })));
}

#[tokio::test]
async fn a_filter_moves_the_cursor_over_what_it_leaves_out() {
    let store = Store::in_memory().unwrap();
    store.append("s", (1..=9).map(event).collect::<Vec<_>>()).unwrap();
    let even = Filter::new().pattern("step.even".parse().unwrap());
    let mut following = store.follow(Follow::branch("s").unwrap().filter(even)).unwrap();
    for n in [2, 4, 6, 8] {
        assert_eq!(next(&mut following).await, n);
    }
    let Some(Ok(Followed::CaughtUp { cursor })) = following.next().await else { panic!("not caught up") };
    let mut rest = store.follow(Follow::branch("s").unwrap().cursor(cursor)).unwrap();
    assert!(matches!(rest.next().await, Some(Ok(Followed::CaughtUp { .. }))));
}

#[tokio::test]
async fn following_begins_at_the_end_or_at_a_time() {
    let store = Store::in_memory().unwrap();
    store.append("s", [event(1), event(2)]).unwrap();
    let mut end = store.follow(Follow::all().from_end()).unwrap();
    let last = store.read_all(2.into(), 1).unwrap().events[0].recorded();
    let now = std::iter::repeat_with(retold::Timestamp::now).find(|t| *t > last).unwrap();
    store.append("s", [event(3), event(4)]).unwrap();
    assert_eq!(next(&mut end).await, 3);
    for follow in [Follow::branch("s").unwrap(), Follow::session("s").unwrap(), Follow::all()] {
        let mut since = store.follow(follow.since(now)).unwrap();
        assert_eq!(next(&mut since).await, 3);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn sixty_four_followers_each_see_their_session_once_in_order_while_it_is_written() {
    const SESSIONS: u64 = 64;
    const EVENTS: u64 = 60;
    let store = Store::builder().flush_after(100, 1 << 20).in_memory().unwrap();
    let followers: Vec<_> = (0..SESSIONS)
        .map(|s| {
            let mut following = store.follow(Follow::branch(format!("s{s}")).unwrap()).unwrap();
            tokio::spawn(async move {
                for sequence in 1..=EVENTS {
                    let event = following.next_event().await.unwrap().unwrap();
                    assert_eq!(event.sequence().get(), sequence);
                    assert_eq!(event.session().as_str(), format!("s{s}"));
                }
            })
        })
        .collect();
    let mut all = store.follow(Follow::all()).unwrap();
    let everything = tokio::spawn(async move {
        for position in 1..=SESSIONS * EVENTS {
            assert_eq!(next(&mut all).await, position);
        }
    });
    let writers: Vec<_> = (0..SESSIONS)
        .map(|s| {
            let store = store.clone();
            std::thread::spawn(move || {
                for n in 0..EVENTS {
                    store.append(format!("s{s}"), event(n)).unwrap();
                }
            })
        })
        .collect();
    writers.into_iter().for_each(|w| w.join().unwrap());
    for follower in followers {
        tokio::time::timeout(Duration::from_secs(120), follower).await.unwrap().unwrap();
    }
    tokio::time::timeout(Duration::from_secs(120), everything).await.unwrap().unwrap();
    assert!(store.verify().unwrap().is_clean());
}

#[tokio::test]
async fn a_stream_reads_page_by_page_and_keeps_its_limit() {
    let store = Store::in_memory().unwrap();
    store.append("s", (1..=2_000).map(event).collect::<Vec<_>>()).unwrap();
    let mut stream = store.stream(retold::Query::branch("s").unwrap().reverse().limit(1_500));
    let mut expected = 2_000;
    while let Some(event) = stream.next().await {
        assert_eq!(event.unwrap().sequence().get(), expected);
        expected -= 1;
    }
    assert_eq!(expected, 500);
}
