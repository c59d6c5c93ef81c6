//! Timers: an event that is recorded once when it is due.

use std::time::Duration;

use super::case::{CaseOutcome, cases};
use super::checks::{
    at_once, crashed, empty, equal, holds, in_tasks, number, numbered, numbers, read, refused, reopened, some,
};
use super::home::Home;
use crate::bus::Due;
use crate::error::{Error, Result};
use crate::event::{NewEvent, Timestamp};
use crate::follow::Follow;
use crate::store::{Builder, Query, Store};

cases! { "timers":
    a_timer_fires_once,
    a_timer_that_is_cancelled_does_not_fire,
    a_timer_waits_for_its_time,
    timers_that_are_due_fire_the_oldest_first,
    many_threads_fire_a_timer_once,
    asking_again_for_a_timer_changes_nothing,
    a_timer_whose_event_is_refused_is_kept_with_the_reason,
    running_timers_fire_on_their_own,
    timers_fire_after_reopening,
    timers_fire_after_a_crash,
}

const HOUR: Duration = Duration::from_secs(3_600);

fn fired(store: &Store) -> Result<u64> {
    Ok(store.timers().fire()?.recorded)
}

fn a_timer_fires_once(home: &mut dyn Home) -> CaseOutcome {
    let store = empty(home)?;
    let event = numbered(1);
    let timer = store.timers().schedule("s", event.clone(), Duration::ZERO)?;
    equal("its id", timer.id, event.id())?;
    equal("timers fired", fired(&store)?, 1)?;
    equal("timers fired again", fired(&store)?, 0)?;
    let found = read(&store, Query::branch("s")?)?;
    equal("events recorded", found.iter().map(|e| e.id()).collect::<Vec<_>>(), vec![event.id()])?;
    equal("when it occurred", found.iter().map(|e| e.occurred()).collect::<Vec<_>>(), vec![timer.due])?;
    equal("timers", store.timers().list(10)?.len(), 0)?;
    refused!(store.timers().get(timer.id), Error::NotFound { .. });
    refused!(store.timers().cancel(timer.id), Error::NotFound { .. });
    refused!(store.timers().schedule("s", event, HOUR), Error::Duplicate { .. });
    Ok(())
}

fn a_timer_that_is_cancelled_does_not_fire(home: &mut dyn Home) -> CaseOutcome {
    let store = empty(home)?;
    let (one, other) = (numbered(1), numbered(2));
    store.timers().schedule("s", one.clone(), Duration::ZERO)?;
    store.timers().schedule("s", other, Duration::ZERO)?;
    store.timers().cancel(one.id())?;
    refused!(store.timers().cancel(one.id()), Error::NotFound { .. });
    equal("timers fired", fired(&store)?, 1)?;
    equal("events recorded", numbers(&read(&store, Query::branch("s")?)?)?, vec![2])?;
    // Its id is free again.
    holds("the event can be appended", !store.append("s", one)?.duplicate())
}

fn a_timer_waits_for_its_time(home: &mut dyn Home) -> CaseOutcome {
    let store = empty(home)?;
    let later = Timestamp::from_micros(Timestamp::now().micros() + 3_600_000_000);
    let after = store.timers().schedule("s", numbered(1), HOUR)?;
    let at = store.timers().schedule("s", numbered(2), Due::At(later))?;
    equal("timers fired", fired(&store)?, 0)?;
    holds("they go by different clocks", at.is_at && !after.is_at)?;
    equal("when it is due", store.timers().get(at.id)?.due, later)?;
    equal("timers", store.timers().list(10)?.len(), 2)?;
    equal("one of them", store.timers().list(1)?.len(), 1)?;
    equal("committed", store.committed().get(), 0)?;
    let past = Timestamp::from_micros(Timestamp::now().micros() - 3_600_000_000);
    refused!(store.timers().schedule("s", numbered(3), Due::At(past)), Error::Invalid(_));
    Ok(())
}

fn timers_that_are_due_fire_the_oldest_first(home: &mut dyn Home) -> CaseOutcome {
    const TIMERS: u64 = 40;
    let store = empty(home)?;
    for n in 0..TIMERS {
        store.timers().schedule("s", numbered(n), Duration::ZERO)?;
        store.timers().schedule("far", numbered(n), HOUR)?;
    }
    let mut recorded = 0;
    while recorded < TIMERS {
        let more = fired(&store)?;
        holds("what is due fires", more > 0)?;
        recorded += more;
    }
    let found = read(&store, Query::branch("s")?)?;
    holds("the oldest first", found.is_sorted_by_key(|e| e.occurred()))?;
    let mut found = numbers(&found)?;
    found.sort_unstable();
    equal("events recorded", found, (0..TIMERS).collect())?;
    equal("timers waiting", store.timers().list(100)?.len() as u64, TIMERS)
}

fn many_threads_fire_a_timer_once(home: &mut dyn Home) -> CaseOutcome {
    let store = empty(home)?;
    for round in 0..10 {
        store.timers().schedule("s", numbered(round), Duration::ZERO)?;
        let answers = at_once(4, |_| fired(&store))?;
        let recorded = answers.into_iter().collect::<Result<Vec<u64>>>()?;
        equal("timers fired", recorded.iter().sum::<u64>(), 1)?;
    }
    equal("events recorded", numbers(&read(&store, Query::branch("s")?)?)?, (0..10).collect())
}

fn asking_again_for_a_timer_changes_nothing(home: &mut dyn Home) -> CaseOutcome {
    let store = empty(home)?;
    let event = numbered(1);
    let first = store.timers().schedule("s", event.clone(), HOUR)?;
    let again = store.timers().schedule("s", event.clone(), HOUR)?;
    equal("the timer", (again.id, again.due, again.made), (first.id, first.due, first.made))?;
    refused!(store.timers().schedule("s", numbered(2).with_id(event.id()), HOUR), Error::Exists { .. });
    refused!(store.timers().schedule("t", event, HOUR), Error::Exists { .. });
    refused!(store.timers().schedule("s/none", numbered(3), HOUR), Error::NotFound { .. });
    equal("timers", store.timers().list(10)?.len(), 1)
}

fn a_timer_whose_event_is_refused_is_kept_with_the_reason(home: &mut dyn Home) -> CaseOutcome {
    let store = empty(home)?;
    let event = numbered(1);
    let timer = store.timers().schedule("s", event.clone(), Duration::ZERO)?;
    // Something else takes its id before it is due.
    store.append("t", numbered(2).with_id(event.id()))?;
    let looked = store.timers().fire()?;
    equal("timers fired", (looked.recorded, looked.refused), (0, 1))?;
    holds("it says why", store.timers().get(timer.id)?.refused.is_some())?;
    equal("timers fired again", fired(&store)?, 0)?;
    store.timers().cancel(timer.id)?;
    equal("timers", store.timers().list(10)?.len(), 0)
}

fn running_timers_fire_on_their_own(home: &mut dyn Home) -> CaseOutcome {
    let store = empty(home)?;
    in_tasks(async {
        let mut following = store.follow(Follow::branch("s")?)?;
        let _running = store.timers().run()?;
        for n in 1..=3 {
            store.timers().schedule_async("s", numbered(n), Duration::from_millis(1)).await?;
            let event = some("next event", following.next_event().await)??;
            equal("timers fired", number(&event)?, n)?;
        }
        Ok(())
    })
}

/// One timer that has fired, one that is due, one that was cancelled, and one that waits.
fn kept(store: &Store) -> Result<NewEvent> {
    store.timers().schedule("s", numbered(1), Duration::ZERO)?;
    store.timers().fire()?;
    store.timers().schedule("s", numbered(2), Duration::ZERO)?;
    let gone = store.timers().schedule("s", numbered(3), Duration::ZERO)?;
    store.timers().cancel(gone.id)?;
    let waiting = numbered(4);
    store.timers().schedule("s", waiting.clone(), HOUR)?;
    Ok(waiting)
}

fn fire(store: &Store, waiting: &NewEvent) -> CaseOutcome {
    equal("timers fired", fired(store)?, 1)?;
    equal("timers fired again", fired(store)?, 0)?;
    equal("events recorded", numbers(&read(store, Query::branch("s")?)?)?, vec![1, 2])?;
    let left: Vec<_> = store.timers().list(10)?.into_iter().map(|timer| timer.id).collect();
    equal("timers waiting", left, vec![waiting.id()])
}

fn timers_fire_after_reopening(home: &mut dyn Home) -> CaseOutcome {
    let settings = Builder::new();
    let store = home.create(settings.clone())?;
    let waiting = kept(&store)?;
    let store = reopened(home, store, &settings)?;
    fire(&store, &waiting)?;
    let store = reopened(home, store, &settings)?;
    equal("timers fired once they had fired", fired(&store)?, 0)
}

fn timers_fire_after_a_crash(home: &mut dyn Home) -> CaseOutcome {
    let settings = Builder::new();
    let store = home.create(settings.clone())?;
    let waiting = kept(&store)?;
    let store = crashed(home, &settings)?;
    fire(&store, &waiting)?;
    let store = crashed(home, &settings)?;
    equal("timers fired once they had fired", fired(&store)?, 0)
}
