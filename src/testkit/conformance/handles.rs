//! Several handles on one engine, as several processes have them: nothing connects them but what is stored.

use std::time::Duration;

use super::case::{CaseOutcome, cases};
use super::checks::{at_once, empty, equal, holds, in_tasks, number, numbered, refused, run_of, some};
use super::home::Home;
use crate::consumer::{Consumer, ConsumerConfig, Delivery};
use crate::delivery::Owner;
use crate::error::{Error, Result};
use crate::event::{Expect, NewEvent, Position};
use crate::follow::Follow;
use crate::store::{Batch, Store};

cases! { "handles":
    what_one_appends_the_others_read_and_follow,
    of_those_who_expect_the_same_head_one_is_first,
    an_event_is_known_to_all,
    a_handle_that_is_closed_leaves_the_others_open,
    a_consumer_is_one_for_all,
    the_bound_of_what_is_in_flight_holds_for_all,
    a_consumer_is_reset_and_removed_for_all,
    a_result_is_recorded_once_whoever_acknowledges,
    a_waiting_worker_is_woken_by_an_acknowledgement_elsewhere,
    dead_letters_are_replayed_and_discarded_from_anywhere,
    a_timer_fires_once_whoever_looks,
    a_timer_is_fired_or_cancelled_and_never_both,
    running_timers_see_those_that_others_schedule,
}

/// Two handles on an empty store.
fn pair(home: &mut dyn Home) -> Result<[Store; 2]> {
    let store = empty(home)?;
    let other = home.beside(&store)?;
    Ok([store, other])
}

/// One of both.
fn of([one, other]: &[Store; 2], n: u64) -> &Store {
    if n.is_multiple_of(2) { one } else { other }
}

fn config() -> ConsumerConfig {
    ConsumerConfig::new()
}

/// The position of the next event, which becomes a dead letter.
async fn park(worker: &Consumer) -> Result<Position> {
    let out = worker.next().await?;
    out.park("no such host").await?;
    Ok(out.event().position())
}

async fn workers([one, other]: &[Store; 2], config: ConsumerConfig) -> Result<[Consumer; 2]> {
    Ok([one.consumers().open("c", config.clone()).await?, other.consumers().open("c", config).await?])
}

fn what_one_appends_the_others_read_and_follow(home: &mut dyn Home) -> CaseOutcome {
    let [one, other] = pair(home)?;
    in_tasks(async {
        let mut following = [one.follow(Follow::all())?, other.follow(Follow::all())?];
        for n in 1..=40 {
            let writer = if n % 2 == 0 { &one } else { &other };
            let receipt = writer.append("s", numbered(n))?;
            equal("its sequence", receipt.last().get(), n)?;
            equal("the heads", [one.head("s")?.get(), other.head("s")?.get()], [n, n])?;
        }
        one.fork("s@3", "b")?;
        other.append("s/b", numbered(41))?;
        equal("the head of the fork", one.head("s/b")?.get(), 4)?;
        for following in &mut following {
            for n in 1..=41 {
                let event = some("next event: the follower ended", following.next_event().await)??;
                equal("the next event", number(&event)?, n)?;
            }
        }
        Ok(())
    })
}

fn of_those_who_expect_the_same_head_one_is_first(home: &mut dyn Home) -> CaseOutcome {
    let stores = pair(home)?;
    for head in 0..20 {
        let answers = at_once(2, |n| {
            let store = of(&stores, n);
            store.append_if("s", Expect::Head(head.into()), NewEvent::new("a.b"))
        })?;
        equal("those who were first", answers.iter().filter(|answer| answer.is_ok()).count(), 1)?;
        let refused = answers.into_iter().find_map(std::result::Result::err);
        holds("the other is told of a conflict", matches!(refused, Some(Error::Conflict { .. })))?;
    }
    equal("events", of(&stores, 0).head("s")?.get(), 20)
}

fn an_event_is_known_to_all(home: &mut dyn Home) -> CaseOutcome {
    let [one, other] = pair(home)?;
    let event = numbered(1);
    let first = one.append("s", event.clone())?;
    let again = other.append("s", event.clone())?;
    equal("its receipt", (again.duplicate(), again.position()), (true, first.position()))?;
    equal("the event", other.get(event.id())?.position(), first.position())?;
    refused!(other.append("elsewhere", event), Error::Duplicate { .. });
    Ok(())
}

fn a_handle_that_is_closed_leaves_the_others_open(home: &mut dyn Home) -> CaseOutcome {
    let [one, other] = pair(home)?;
    other.append("s", numbered(1))?;
    in_tasks(async {
        let mut ending = other.follow(Follow::all())?;
        let mut following = one.follow(Follow::all())?;
        other.close_async().await?;
        refused!(other.append("s", numbered(2)), Error::Closed { .. });
        refused!(other.head("s"), Error::Closed { .. });
        equal("what it still gets", number(&some("event", ending.next_event().await)??)?, 1)?;
        holds("its follower ends", ending.next_event().await.is_none())?;
        one.append_async("s", numbered(2)).await?;
        for n in 1..=2 {
            equal("the next event", number(&some("event", following.next_event().await)??)?, n)?;
        }
        Ok(())
    })
}

fn a_consumer_is_one_for_all(home: &mut dyn Home) -> CaseOutcome {
    let stores = pair(home)?;
    of(&stores, 0).append("a", run_of(1..=2))?;
    of(&stores, 0).append("b", run_of(3..=4))?;
    in_tasks(async {
        let [one, other] = workers(&stores, config()).await?;
        refused!(
            of(&stores, 1).consumers().open("c", config().max_deliveries(9)).await,
            Error::Differs { .. }
        );
        let (first, second) = (one.next().await?, other.next().await?);
        equal("delivered", (number(first.event())?, number(second.event())?), (1, 3))?;
        holds(
            "every branch has an event out",
            one.try_next().await?.is_none() && other.try_next().await?.is_none(),
        )?;
        other.ack(&first.token()).await?;
        one.nack(&second.token(), Duration::ZERO).await?;
        // Which of both branches is first is not promised.
        let mut out = [other.next().await?, one.next().await?];
        out.sort_by_key(Delivery::deliveries);
        let [third, again] = &out;
        equal("delivered", (number(third.event())?, number(again.event())?), (2, 3))?;
        equal("deliveries", (third.deliveries(), again.deliveries()), (1, 2))?;
        refused!(one.ack(&first.token()).await, Error::NotDelivered { .. });
        refused!(other.ack(&second.token()).await, Error::NotDelivered { .. });
        again.ack().await?;
        third.ack().await?;
        other.next().await?.ack().await?;
        for store in &stores {
            let info = store.consumers().info("c")?;
            let found = (info.acknowledged, info.lag, info.outstanding.len());
            equal("consumer progress", found, (4, 0, 0))?;
        }
        Ok(())
    })
}

fn the_bound_of_what_is_in_flight_holds_for_all(home: &mut dyn Home) -> CaseOutcome {
    let stores = pair(home)?;
    for session in ["a", "b", "c", "d"] {
        of(&stores, 0).append(session, numbered(1))?;
    }
    in_tasks(async {
        let [one, other] = workers(&stores, config().max_in_flight(1)).await?;
        for n in 0..4 {
            let (giver, taker) = if n % 2 == 0 { (&one, &other) } else { (&other, &one) };
            let out = giver.next().await?;
            holds(
                "nobody has another",
                one.try_next().await?.is_none() && other.try_next().await?.is_none(),
            )?;
            taker.ack(&out.token()).await?;
        }
        equal("acknowledged", of(&stores, 1).consumers().info("c")?.acknowledged, 4)
    })
}

fn a_consumer_is_reset_and_removed_for_all(home: &mut dyn Home) -> CaseOutcome {
    let stores = pair(home)?;
    of(&stores, 0).append("s", run_of(1..=2))?;
    in_tasks(async {
        let [one, other] = workers(&stores, config()).await?;
        one.next().await?.ack().await?;
        let out = other.next().await?;
        of(&stores, 0).consumers().reset("c", config()).await?;
        refused!(out.ack().await, Error::NotDelivered { .. });
        let first = other.next().await?;
        equal("delivered after the reset", number(first.event())?, 1)?;
        of(&stores, 1).consumers().remove("c").await?;
        refused!(one.next().await, Error::NotFound { .. });
        refused!(of(&stores, 0).consumers().info("c"), Error::NotFound { .. });
        let anew = of(&stores, 0).consumers().open("c", config()).await?;
        refused!(anew.ack(&first.token()).await, Error::NotDelivered { .. });
        equal("delivered anew", number(anew.next().await?.event())?, 1)
    })
}

fn a_result_is_recorded_once_whoever_acknowledges(home: &mut dyn Home) -> CaseOutcome {
    let stores = pair(home)?;
    of(&stores, 0).append("s", run_of(1..=20))?;
    in_tasks(async {
        let [one, other] = workers(&stores, config().session("s")?).await?;
        for n in 1..=20 {
            let out = one.next().await?;
            let token = out.token();
            let batch = |n| Batch::new().add("results", Expect::Any, numbered(n));
            let (a, b) = tokio::join!(one.ack_with(&token, batch(n)?), other.ack_with(&token, batch(n)?));
            holds("one of both is taken", a.is_ok() != b.is_ok())?;
            refused!(a.and(b), Error::NotDelivered { .. });
            equal("results", of(&stores, 1).head("results")?.get(), n)?;
        }
        Ok(())
    })
}

fn a_waiting_worker_is_woken_by_an_acknowledgement_elsewhere(home: &mut dyn Home) -> CaseOutcome {
    let stores = pair(home)?;
    of(&stores, 0).append("s", run_of(1..=10))?;
    in_tasks(async {
        let [one, other] = workers(&stores, config()).await?;
        let mut out = one.next().await?;
        for n in 2..=10 {
            let (taker, giver) = if n % 2 == 0 { (&other, &one) } else { (&one, &other) };
            let token = out.token();
            let (next, acked) = tokio::join!(taker.next(), giver.ack(&token));
            acked?;
            out = next?;
            equal("delivered", number(out.event())?, n)?;
        }
        Ok(())
    })
}

fn dead_letters_are_replayed_and_discarded_from_anywhere(home: &mut dyn Home) -> CaseOutcome {
    let stores = pair(home)?;
    of(&stores, 0).append("s", run_of(1..=3))?;
    in_tasks(async {
        let [one, other] = workers(&stores, config().max_dead_letters(2)).await?;
        let owner = Owner::consumer("c")?;
        // The bound is two: the first is pushed out.
        one.next().await?.park("no such host").await?;
        let (second, third) = (park(&other).await?, park(&one).await?);
        let left = of(&stores, 1).dead_letters().list(Some(&owner), None, 10)?;
        equal("dead letters", left.iter().map(|l| l.position).collect::<Vec<_>>(), vec![second, third])?;
        let dead_letters = of(&stores, 1).dead_letters();
        let (again, replayed) = tokio::join!(one.next(), dead_letters.replay_async(&owner, third));
        replayed?;
        equal("redelivered", again?.event().position(), third)?;
        of(&stores, 0).dead_letters().discard(&owner, second)?;
        refused!(of(&stores, 1).dead_letters().discard(&owner, second), Error::NotFound { .. });
        let counts = [of(&stores, 0).consumers().info("c")?, of(&stores, 1).consumers().info("c")?]
            .map(|i| i.dead_letters);
        equal("dead letters", counts, [1, 1])
    })
}

fn a_timer_fires_once_whoever_looks(home: &mut dyn Home) -> CaseOutcome {
    let stores = pair(home)?;
    for n in 0..100 {
        of(&stores, n).timers().schedule("s", numbered(n), Duration::ZERO)?;
    }
    let fired = at_once(2, |n| of(&stores, n).timers().fire().map(|fired| fired.recorded))?;
    let fired: u64 = fired.into_iter().collect::<Result<Vec<_>>>()?.into_iter().sum();
    equal("timers fired, and events", (fired, of(&stores, 0).head("s")?.get()), (100, 100))?;
    equal("timers left", of(&stores, 1).timers().list(10)?.len(), 0)
}

fn a_timer_is_fired_or_cancelled_and_never_both(home: &mut dyn Home) -> CaseOutcome {
    let [one, other] = pair(home)?;
    for n in 0..20 {
        let timer = one.timers().schedule("s", numbered(n), Duration::ZERO)?;
        let answers = at_once(2, |n| match n {
            0 => one.timers().fire().map(|fired| fired.recorded == 1),
            _ => match other.timers().cancel(timer.id) {
                Err(Error::NotFound { .. }) => Ok(false),
                cancelled => cancelled.map(|()| true),
            },
        })?;
        let happened = answers.into_iter().collect::<Result<Vec<bool>>>()?;
        equal("what has happened", happened.iter().filter(|happened| **happened).count(), 1)?;
        let fired = happened.first() == Some(&true);
        equal("whether it is recorded", other.get(timer.id).is_ok(), fired)?;
    }
    Ok(())
}

fn running_timers_see_those_that_others_schedule(home: &mut dyn Home) -> CaseOutcome {
    let [one, other] = pair(home)?;
    in_tasks(async {
        let _running = one.timers().run()?;
        let mut following = one.follow(Follow::all())?;
        for n in 1..=3 {
            other.timers().schedule_async("s", numbered(n), Duration::from_millis(1)).await?;
            equal("the next event", number(&some("event", following.next_event().await)??)?, n)?;
        }
        Ok(())
    })
}
