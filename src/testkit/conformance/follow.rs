//! Replay, then live: each event once, in order, however fast it is written.

use super::case::{CaseOutcome, Stop, cases};
use super::checks::{
    empty, equal, everything, holds, in_tasks, number, numbered, numbers, read, refused, run_of, some,
};
use super::home::Home;
use crate::error::Error;
use crate::event::Event;
use crate::follow::{Cursor, Follow, Followed, Following};
use crate::store::{Builder, Query, Store};

cases! { "follow":
    a_follower_replays_then_has_caught_up_then_is_live,
    every_follower_gets_each_event_once_in_order_under_load,
    a_follower_resumes_from_any_cursor,
    a_follower_begins_where_it_is_told,
    a_cursor_of_another_store_or_branch_is_refused,
    a_session_that_is_not_there_yet_is_waited_for,
    a_branch_that_is_made_later_belongs_to_its_session,
}

async fn next(following: &mut Following) -> Result<Event, Stop> {
    Ok(some("next event: the follower ended", following.next_event().await)??)
}

async fn caught_up(following: &mut Following) -> Result<Cursor, Stop> {
    match following.next().await {
        Some(Ok(Followed::CaughtUp { cursor })) => Ok(cursor),
        other => Err(Stop::failed(format!("{other:?}, where it had caught up"))),
    }
}

fn a_follower_replays_then_has_caught_up_then_is_live(home: &mut dyn Home) -> CaseOutcome {
    let store = empty(home)?;
    store.append("s", run_of(1..=3))?;
    in_tasks(async {
        for follow in [Follow::branch("s")?, Follow::session("s")?, Follow::all()] {
            let head = store.head("s")?.get();
            let mut following = store.follow(follow)?;
            for n in 1..=head {
                equal("events recorded", number(&next(&mut following).await?)?, n)?;
            }
            caught_up(&mut following).await?;
            for n in head + 1..=head + 3 {
                store.append_async("s", numbered(n)).await?;
                match following.next().await {
                    Some(Ok(Followed::Event { event, .. })) => equal("what is new", number(&event)?, n)?,
                    other => return Err(Stop::failed(format!("{other:?} where event {n} was due"))),
                }
            }
        }
        Ok(())
    })
}

/// Sessions that are written concurrently, each with a fork.
const SESSIONS: u64 = 4;
/// Appends of one or two events to each of their branches.
const APPENDS: u64 = 60;
const PER_SESSION: u64 = APPENDS * 3;

fn write(store: &Store, session: u64) -> CaseOutcome {
    let (main, fork) = (format!("s{session}"), format!("s{session}/b"));
    for n in 0..APPENDS {
        store.append(main.as_str(), numbered(n))?;
        store.append(fork.as_str(), run_of([2 * n, 2 * n + 1]))?;
    }
    Ok(())
}

async fn follow_all(store: Store) -> CaseOutcome {
    let mut following = store.follow(Follow::all())?;
    for position in 1..=SESSIONS * (PER_SESSION + 1) {
        equal("the next position", next(&mut following).await?.position().get(), position)?;
    }
    Ok(())
}

async fn follow_session(store: Store, session: u64) -> CaseOutcome {
    let mut following = store.follow(Follow::session(format!("s{session}").as_str())?)?;
    let mut found = Vec::new();
    while (found.len() as u64) < PER_SESSION + 1 {
        found.push(next(&mut following).await?);
    }
    equal("the session", found, read(&store, Query::session(format!("s{session}").as_str())?)?)
}

async fn follow_branch(store: Store, session: u64, name: &str, events: u64) -> CaseOutcome {
    let mut following = store.follow(Follow::branch(format!("s{session}/{name}").as_str())?)?;
    for sequence in 1..=events {
        let event = next(&mut following).await?;
        equal("the next sequence", event.sequence().get(), sequence)?;
        // The first one is inherited.
        if sequence > 1 {
            let place = event.place().to_string();
            let found = (place, number(&event)?);
            equal("the next event", found, (format!("s{session}/{name}"), sequence - 2))?;
        }
    }
    Ok(())
}

fn every_follower_gets_each_event_once_in_order_under_load(home: &mut dyn Home) -> CaseOutcome {
    let store = home.create(Builder::new().flush_after(64, 1 << 20))?;
    for session in 0..SESSIONS {
        store.append(format!("s{session}").as_str(), numbered(0))?;
        store.fork(format!("s{session}").as_str(), "b")?;
    }
    std::thread::scope(|scope| {
        // Some follow from before the first append, some start during the appends.
        let followers = |store: &Store| {
            let mut tasks = vec![tokio::spawn(follow_all(store.clone()))];
            for session in 0..SESSIONS {
                tasks.push(tokio::spawn(follow_session(store.clone(), session)));
                tasks.push(tokio::spawn(follow_branch(store.clone(), session, "main", APPENDS + 1)));
                tasks.push(tokio::spawn(follow_branch(store.clone(), session, "b", 2 * APPENDS + 1)));
            }
            tasks
        };
        in_tasks(async {
            let mut tasks = followers(&store);
            let mut live = store.follow(Follow::all().from_end())?;
            let store = &store;
            let writers: Vec<_> =
                (0..SESSIONS).map(|session| scope.spawn(move || write(store, session))).collect();
            for _ in 0..SESSIONS * PER_SESSION / 3 {
                next(&mut live).await?;
            }
            tasks.extend(followers(store));
            for task in tasks {
                task.await??;
            }
            writers.into_iter().try_for_each(|writer| {
                writer.join().unwrap_or_else(|_| Err(Stop::failed("a writer panicked")))
            })
        })
    })
}

fn a_follower_resumes_from_any_cursor(home: &mut dyn Home) -> CaseOutcome {
    let store = home.create(Builder::new().flush_after(8, 1 << 20))?;
    store.append("s", run_of(1..=5))?;
    store.append("t", run_of(6..=8))?;
    store.fork("s@3", "b")?;
    store.append("s/b", run_of(9..=12))?;
    store.append("s", numbered(13))?;
    in_tasks(async {
        let whole = [
            (Follow::branch("s")?, read(&store, Query::branch("s")?)?),
            (Follow::branch("s/b")?, read(&store, Query::branch("s/b")?)?),
            (Follow::session("s")?, read(&store, Query::session("s")?)?),
            (Follow::all(), everything(&store)?),
        ];
        for (follow, due) in whole {
            let mut following = store.follow(follow.clone())?;
            let mut cursors = Vec::new();
            for event in &due {
                let item = some("item", following.next().await)??;
                // As text, which is how programs store it.
                cursors.push(item.cursor().to_string().parse::<Cursor>()?);
                equal("the event", item.event(), Some(event.clone()))?;
            }
            let end = caught_up(&mut following).await?;
            for (n, cursor) in cursors.into_iter().enumerate() {
                let mut again = store.follow(follow.clone().cursor(cursor))?;
                for event in due.iter().skip(n + 1) {
                    equal("after a cursor", next(&mut again).await?, event.clone())?;
                }
                caught_up(&mut again).await?;
            }
            let mut again = store.follow(follow.cursor(end))?;
            caught_up(&mut again).await?;
        }
        Ok(())
    })
}

fn a_follower_begins_where_it_is_told(home: &mut dyn Home) -> CaseOutcome {
    let store = empty(home)?;
    store.append("s", run_of(1..=3))?;
    store.append("t", numbered(4))?;
    in_tasks(async {
        let mut end = store.follow(Follow::all().from_end())?;
        let mut branch_end = store.follow(Follow::branch("s")?.from_end())?;
        let mut after = store.follow(Follow::branch("s")?.after(2))?;
        equal("after a sequence", number(&next(&mut after).await?)?, 3)?;
        let mut after = store.follow(Follow::all().after_position(3))?;
        equal("after a position", number(&next(&mut after).await?)?, 4)?;
        let mut after = store.follow(Follow::session("s")?.after_position(1))?;
        equal("after a position, in a session", number(&next(&mut after).await?)?, 2)?;
        let second = some("event", read(&store, Query::all().from(4u64))?.into_iter().next())?;
        let mut since = store.follow(Follow::session("t")?.since(second.recorded()))?;
        equal("since a time", number(&next(&mut since).await?)?, 4)?;
        store.append_async("s", numbered(5)).await?;
        equal("from the end", number(&next(&mut end).await?)?, 5)?;
        equal("from the end of a branch", number(&next(&mut branch_end).await?)?, 5)
    })
}

fn a_cursor_of_another_store_or_branch_is_refused(home: &mut dyn Home) -> CaseOutcome {
    let other = empty(home)?;
    other.append("s", run_of(1..=3))?;
    let store = empty(home)?;
    store.append("s", run_of(1..=3))?;
    store.fork("s@2", "b")?;
    in_tasks(async {
        let mut following = store.follow(Follow::branch("s")?)?;
        let cursor = some("item", following.next().await)??.cursor();
        refused!(store.follow(Follow::branch("s/b")?.cursor(cursor)), Error::BadCursor { .. });
        refused!(store.follow(Follow::all().cursor(cursor)), Error::BadCursor { .. });
        refused!(store.follow(Follow::session("s")?.cursor(cursor)), Error::BadCursor { .. });
        refused!(other.follow(Follow::branch("s")?.cursor(cursor)), Error::BadCursor { .. });
        refused!(store.follow(Follow::branch("s")?.after(4)), Error::BadCursor { .. });
        refused!(store.follow(Follow::all().after_position(4)), Error::BadCursor { .. });
        refused!(store.follow(Follow::branch("s/none")?), Error::NotFound { .. });
        Ok(())
    })
}

fn a_session_that_is_not_there_yet_is_waited_for(home: &mut dyn Home) -> CaseOutcome {
    let store = empty(home)?;
    in_tasks(async {
        let mut branch = store.follow(Follow::branch("s")?)?;
        let mut session = store.follow(Follow::session("s")?)?;
        caught_up(&mut branch).await?;
        caught_up(&mut session).await?;
        store.append_async("t", numbered(1)).await?;
        store.append_async("s", numbered(2)).await?;
        equal("the branch", number(&next(&mut branch).await?)?, 2)?;
        equal("the session", number(&next(&mut session).await?)?, 2)
    })
}

fn a_branch_that_is_made_later_belongs_to_its_session(home: &mut dyn Home) -> CaseOutcome {
    let store = empty(home)?;
    store.append("s", run_of(1..=2))?;
    in_tasks(async {
        let mut session = store.follow(Follow::session("s")?)?;
        let mut found = vec![next(&mut session).await?, next(&mut session).await?];
        caught_up(&mut session).await?;
        store.fork_async("s@1", "b").await?;
        store.append_async("t", numbered(3)).await?;
        store.append_async("s/b", numbered(4)).await?;
        store.append_async("s", numbered(5)).await?;
        for _ in 0..2 {
            found.push(next(&mut session).await?);
        }
        equal("the session", numbers(&found)?, vec![1, 2, 4, 5])?;
        // A follower of the fork's branch starts with what the fork inherits.
        let mut fork = store.follow(Follow::branch("s/b")?)?;
        equal(
            "the fork",
            vec![number(&next(&mut fork).await?)?, number(&next(&mut fork).await?)?],
            vec![1, 4],
        )?;
        holds("it is at its end", caught_up(&mut fork).await.is_ok())
    })
}
