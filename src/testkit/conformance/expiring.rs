//! Branches that the store deletes once they have expired.

use std::time::Duration;

use super::case::{CaseOutcome, Stop, cases};
use super::checks::{
    empty, equal, holds, in_tasks, next_event, number, numbered, of_branch, read, refused, reopened, run_of,
    some, stays_after_a_crash,
};
use super::home::Home;
use crate::engine::Expiry;
use crate::error::{Error, Result};
use crate::event::{Expect, SessionId, Timestamp};
use crate::follow::{Follow, Following};
use crate::store::{Builder, Query, Store};

cases! { "expiring":
    an_expiry_is_listed_and_takes_the_place_of_the_one_before,
    what_cannot_be_is_refused,
    a_branch_goes_once_it_is_not_used,
    a_branch_goes_at_its_time,
    many_branches_go_at_once,
    what_expired_while_the_store_was_closed_is_gone_when_it_is_opened_again,
    an_expiry_stays_after_a_crash,
    whoever_uses_a_branch_puts_its_end_off,
}

const DAY: Duration = Duration::from_secs(86_400);
const SOON: Duration = Duration::from_millis(20);

fn after(span: Duration) -> Result<Timestamp, Stop> {
    Ok(Timestamp::from_micros(Timestamp::now().micros() + i64::try_from(span.as_micros())?))
}

/// Lets a branch go once it is not used for a moment. On a busy machine it may be gone when that is answered.
fn lapse(store: &Store, address: &str, span: Duration) -> CaseOutcome {
    match store.lifecycle().expire(address, Expiry::Unused(span)) {
        Err(Error::Deleted { .. }) => {}
        set => drop(set?),
    }
    Ok(())
}

/// Lets a branch go after this span, and answers when. That may have passed when it is said: then after a longer one.
fn expire_after(store: &Store, address: &str, mut span: Duration) -> Result<Timestamp, Stop> {
    loop {
        let at = after(span)?;
        match store.lifecycle().expire(address, Expiry::At(at)) {
            Err(Error::Invalid(_)) => span *= 2,
            Err(Error::Deleted { .. }) => return Ok(at),
            set => return some("time", set?.expires),
        }
    }
}

/// The follower waits, and ends as the branch goes.
async fn goes(following: &mut Following) -> CaseOutcome {
    loop {
        match some("end of the follower with an error", following.next().await)? {
            Ok(_) => {}
            gone => {
                refused!(gone, Error::Deleted { .. });
                return Ok(());
            }
        }
    }
}

fn an_expiry_is_listed_and_takes_the_place_of_the_one_before(home: &mut dyn Home) -> CaseOutcome {
    let store = empty(home)?;
    store.append("s", run_of(1..=3))?;
    let other = home.beside(&store)?;
    let plain = store.branch("s")?;
    equal("at first", (plain.expiry, plain.expires), (None, None))?;
    let at = after(DAY)?;
    let set = store.lifecycle().expire("s", Expiry::At(at))?;
    equal("a time", (set.expiry, set.expires), (Some(Expiry::At(at)), Some(at)))?;
    equal("elsewhere", other.branch("s")?, set)?;
    let begun = Timestamp::now();
    let set = other.lifecycle().expire("s", Expiry::Unused(DAY))?;
    let expires = some("time", set.expires)?;
    equal("a span", set.expiry, Some(Expiry::Unused(DAY)))?;
    holds("it counts from now", expires.micros() >= begun.micros() + i64::try_from(DAY.as_micros())?)?;
    equal("listed", store.branches(&SessionId::new("s")?)?, vec![set])?;
    // A fork does not go with it, and has none.
    equal("a fork", store.fork("s", "b")?.expiry, None)?;
    // It goes on as before.
    store.append("s", numbered(4))?;
    equal("its events", of_branch(&store, "s")?, vec![1, 2, 3, 4])?;
    let closed = store.lifecycle().close("s")?;
    equal("closed", closed.expiry, Some(Expiry::Unused(DAY)))?;
    let kept = store.lifecycle().expire("s", None)?;
    equal("kept", (kept.expiry, kept.expires), (None, None))?;
    holds("it is closed", kept.closed.is_some())?;
    equal("kept again", store.lifecycle().expire("s", None)?, kept)?;
    let endless = store.lifecycle().expire("s/b", Expiry::Unused(Duration::MAX))?;
    holds("a span without end", endless.expires.is_some())?;
    in_tasks(async {
        let set = store.lifecycle().expire_async("s", Expiry::At(at)).await?;
        equal("in a task", set.expires, Some(at))
    })
}

fn what_cannot_be_is_refused(home: &mut dyn Home) -> CaseOutcome {
    let store = empty(home)?;
    refused!(store.lifecycle().expire("s", Expiry::Unused(DAY)), Error::NotFound { what: "session", .. });
    store.append("s", numbered(1))?;
    let before = store.branch("s")?;
    for store in [&store, &home.beside(&store)?] {
        refused!(store.lifecycle().expire("s/b", None), Error::NotFound { what: "branch", .. });
        refused!(store.lifecycle().expire("s@1", None), Error::Invalid(_));
        refused!(store.lifecycle().expire("s", Expiry::Unused(Duration::ZERO)), Error::Invalid(_));
        let passed = Expiry::At(Timestamp::from_micros(Timestamp::now().micros() - 1));
        refused!(store.lifecycle().expire("s", passed), Error::Invalid(_));
        equal("unchanged", store.branch("s")?, before.clone())?;
    }
    store.lifecycle().delete("s")?;
    refused!(store.lifecycle().expire("s", None), Error::Deleted { .. });
    Ok(())
}

fn a_branch_goes_once_it_is_not_used(home: &mut dyn Home) -> CaseOutcome {
    let store = empty(home)?;
    store.append("s", run_of(1..=3))?;
    store.fork("s@2", "b")?;
    let other = home.beside(&store)?;
    in_tasks(async {
        let mut waiting = store.follow(Follow::branch("s")?.from_end())?;
        let mut elsewhere = other.follow(Follow::branch("s")?.from_end())?;
        let mut of_session = store.follow(Follow::session("s")?.from_end())?;
        lapse(&other, "s", SOON)?;
        goes(&mut waiting).await?;
        goes(&mut elsewhere).await?;
        refused!(store.head("s"), Error::Deleted { .. });
        refused!(read(&other, Query::branch("s")?), Error::Deleted { .. });
        // A fork reads what it inherits, and its session goes on.
        equal("a fork", of_branch(&other, "s/b")?, vec![1, 2])?;
        store.append_async("s/b", numbered(4)).await?;
        equal("the next of the session", number(&next_event(&mut of_session).await?)?, 4)?;
        // What begins under its name stays.
        store.append_async("s", numbered(5)).await?;
        equal("anew", store.branch("s")?.expiry, None)?;
        equal("its events", of_branch(&store, "s")?, vec![5])
    })
}

fn a_branch_goes_at_its_time(home: &mut dyn Home) -> CaseOutcome {
    let store = empty(home)?;
    store.append("s", numbered(1))?;
    store.fork("s", "b")?;
    in_tasks(async {
        let mut waiting = store.follow(Follow::branch("s/b")?.from_end())?;
        let at = expire_after(&store, "s/b", SOON)?;
        goes(&mut waiting).await?;
        holds("not before it", at <= Timestamp::now())?;
        refused!(store.branch("s/b"), Error::Deleted { .. });
        // One that was to go, and stays.
        let mut stays = store.follow(Follow::branch("s")?.from_end())?;
        store.lifecycle().expire_async("s", Expiry::Unused(DAY)).await?;
        store.lifecycle().expire_async("s", None).await?;
        store.append_async("s", numbered(2)).await?;
        equal("it goes on", number(&next_event(&mut stays).await?)?, 2)
    })
}

fn many_branches_go_at_once(home: &mut dyn Home) -> CaseOutcome {
    let store = empty(home)?;
    store.append("t", numbered(1))?;
    in_tasks(async {
        let mut last = None;
        for n in 0..300 {
            let session = format!("s{n}");
            store.append_async(session.as_str(), numbered(2)).await?;
            let follow = store.follow(Follow::branch(session.as_str())?.from_end())?;
            last = Some(follow);
            lapse(&store, &session, SOON)?;
        }
        goes(&mut some("follower", last)?).await?;
        // Those before it are gone by now, as they were due before.
        let left = store.sessions(None, 10)?;
        equal("left", left.iter().map(|s| s.session.as_str()).collect(), vec!["t"])
    })
}

fn what_expired_while_the_store_was_closed_is_gone_when_it_is_opened_again(
    home: &mut dyn Home,
) -> CaseOutcome {
    let store = empty(home)?;
    store.append("s", numbered(1))?;
    store.append("t", numbered(2))?;
    store.append("u", numbered(3))?;
    store.lifecycle().expire("u", Expiry::Unused(DAY))?;
    if home.has_maintenance() {
        store.maintenance().flush()?;
    }
    let second = Duration::from_secs(1);
    lapse(&store, "t", second)?;
    let at = expire_after(&store, "s", second)?;
    // Whether it goes before the store is closed or later, it is gone when that is open.
    store.close()?;
    while let Ok(left) = u64::try_from(at.micros() - Timestamp::now().micros()) {
        std::thread::sleep(Duration::from_micros(left + 1));
    }
    let store = reopened(home, store, &Builder::new())?;
    for gone in ["s", "t"] {
        refused!(store.head(gone), Error::Deleted { .. });
    }
    let left = store.sessions(None, 10)?;
    equal("left", left.iter().map(|s| s.session.as_str()).collect(), vec!["u"])?;
    equal("its expiry", store.branch("u")?.expiry, Some(Expiry::Unused(DAY)))
}

fn an_expiry_stays_after_a_crash(home: &mut dyn Home) -> CaseOutcome {
    stays_after_a_crash(
        home,
        |store, flushes| {
            store.append("s", numbered(1))?;
            store.append("t", numbered(2))?;
            store.lifecycle().expire("t", Expiry::Unused(DAY))?;
            if flushes {
                store.maintenance().flush()?;
            }
            store.lifecycle().expire("s", Expiry::Unused(DAY))?;
            store.lifecycle().expire("t", None)?;
            Ok(())
        },
        |store| {
            equal("one", store.branch("s")?.expiry, Some(Expiry::Unused(DAY)))?;
            equal("the other", store.branch("t")?.expiry, None)
        },
    )
}

fn whoever_uses_a_branch_puts_its_end_off(home: &mut dyn Home) -> CaseOutcome {
    let store = empty(home)?;
    let uses: [fn(&Store) -> Result<()>; 3] = [
        |store| read(store, Query::branch("s")?).map(drop),
        |store| read(store, Query::session("s")?).map(drop),
        |store| store.append_if("s", Expect::Head(store.head("s")?), numbered(2)).map(drop),
    ];
    let mut span = Duration::from_secs(2);
    // On a busy machine it may go between two uses: then again with a longer span.
    while !is_put_off(&store, span, uses)? {
        span *= 2;
    }
    Ok(())
}

/// Uses a branch in each way until it goes later. `false` if it has gone.
fn is_put_off(store: &Store, span: Duration, uses: [fn(&Store) -> Result<()>; 3]) -> Result<bool, Stop> {
    store.append("s", numbered(1))?;
    for used in uses {
        let begun = match store.lifecycle().expire("s", Expiry::Unused(span)) {
            Err(Error::Deleted { .. }) => return Ok(false),
            set => set?.expires,
        };
        loop {
            match used(store).and_then(|()| store.branch("s")) {
                Err(Error::Deleted { .. } | Error::Conflict { .. }) => return Ok(false),
                found => match found?.expires > begun {
                    true => break,
                    false => std::thread::yield_now(),
                },
            }
        }
    }
    Ok(true)
}
