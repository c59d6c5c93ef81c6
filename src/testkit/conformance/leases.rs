//! Leases: one holder at a time, and a token that refuses what an earlier one still appends.

use std::time::Duration;

use super::case::{CaseOutcome, cases};
use super::checks::{at_once, crashed, empty, equal, holds, in_tasks, numbered, refused, reopened};
use super::home::Home;
use crate::error::{Error, Result};
use crate::event::{Expect, NewEvent};
use crate::store::leases::FencingToken;
use crate::store::{Batch, Builder, Receipt, Store};

cases! { "leases":
    a_lease_has_one_holder_until_it_is_released,
    an_append_with_an_older_token_is_refused_and_others_are_not_affected,
    a_lease_that_has_ended_is_taken_by_the_next,
    renewing_is_in_no_appends_way,
    of_many_who_take_a_lease_one_has_it,
    a_fenced_append_may_be_repeated,
    tasks_take_and_release_leases_too,
    a_lease_outlives_reopening,
    a_lease_outlives_a_crash,
}

const HOUR: Duration = Duration::from_secs(3_600);
const MOMENT: Duration = Duration::from_micros(1);

fn append(store: &Store, token: &FencingToken, event: NewEvent) -> Result<Receipt> {
    store.append_batch(Batch::new().fenced(token).add("s", Expect::Any, event)?)
}

fn a_lease_has_one_holder_until_it_is_released(home: &mut dyn Home) -> CaseOutcome {
    let store = empty(home)?;
    let leases = store.leases();
    equal("the holder of a session that nobody took", leases.get("s")?, None)?;
    let first = leases.acquire("s", "a", HOUR)?;
    equal("the fence", (first.fence, first.holder.as_str()), (1, "a"))?;
    refused!(leases.acquire("s", "b", HOUR), Error::LeaseHeld { holder, .. } if holder == "a");
    equal("the lease", leases.get("s")?, Some(first.clone()))?;
    let other = leases.acquire("t", "b", HOUR)?;
    equal("leases", leases.list(None, 10)?, vec![first.clone(), other.clone()])?;
    equal("leases after s", leases.list(Some(&"s".try_into()?), 10)?, vec![other])?;
    leases.release(&first.token)?;
    leases.release(&first.token)?;
    equal("the holder after the release", leases.get("s")?, None)?;
    refused!(leases.renew(&first.token, HOUR), Error::LeaseLost { holder: None, .. });
    equal("the next fence", leases.acquire("s", "b", HOUR)?.fence, 2)?;
    refused!(leases.release(&first.token), Error::LeaseLost { .. });
    for (session, holder, time) in
        [("a/b", "a", HOUR), ("s", "", HOUR), ("s", "a\n", HOUR), ("s", "a", HOUR * 9_999)]
    {
        refused!(leases.acquire(session, holder, time), Error::Invalid(_));
    }
    refused!(leases.acquire("u", "a", Duration::ZERO), Error::Invalid(_));
    Ok(())
}

fn an_append_with_an_older_token_is_refused_and_others_are_not_affected(home: &mut dyn Home) -> CaseOutcome {
    let store = empty(home)?;
    let first = store.leases().acquire("s", "a", HOUR)?.token;
    append(&store, &first, numbered(1))?;
    // It is started again under the same name.
    let second = store.leases().acquire("s", "a", HOUR)?.token;
    refused!(append(&store, &first, numbered(2)), Error::LeaseLost { holder: Some(holder), fence: 1, .. } if holder == "a");
    append(&store, &second, numbered(3))?;
    store.append("s", numbered(4))?;
    equal("the head", store.head("s")?.get(), 3)?;
    // Of a batch nothing is recorded.
    let batch = Batch::new().fenced(&first).add("other", Expect::Any, numbered(5))?;
    refused!(store.append_batch(batch), Error::LeaseLost { .. });
    refused!(store.head("other"), Error::NotFound { .. });
    let never: FencingToken = "s@9/a".parse()?;
    refused!(append(&store, &never, numbered(6)), Error::LeaseLost { .. });
    let nobody: FencingToken = "nobody@1/a".parse()?;
    refused!(append(&store, &nobody, numbered(6)), Error::LeaseLost { holder: None, .. });
    Ok(())
}

fn a_lease_that_has_ended_is_taken_by_the_next(home: &mut dyn Home) -> CaseOutcome {
    let store = empty(home)?;
    let first = store.leases().acquire("s", "a", MOMENT)?.token;
    // Nobody has taken it yet: what it appends is in nobody's way.
    append(&store, &first, numbered(1))?;
    let second = loop {
        match store.leases().acquire("s", "b", HOUR) {
            Err(Error::LeaseHeld { .. }) => {}
            taken => break taken?,
        }
    };
    equal("the fence", second.fence, 2)?;
    let second = second.token;
    refused!(append(&store, &first, numbered(2)), Error::LeaseLost { .. });
    refused!(store.leases().renew(&first, HOUR), Error::LeaseLost { .. });
    append(&store, &second, numbered(3))?;
    Ok(())
}

fn renewing_is_in_no_appends_way(home: &mut dyn Home) -> CaseOutcome {
    let store = empty(home)?;
    let lease = store.leases().acquire("s", "a", HOUR)?;
    let until = store.leases().renew(&lease.token, HOUR * 2)?.until;
    holds("it lasts longer", until > lease.until)?;
    append(&store, &lease.token, numbered(1))?;
    equal("the lease", store.leases().get("s")?.map(|lease| lease.until), Some(until))
}

fn of_many_who_take_a_lease_one_has_it(home: &mut dyn Home) -> CaseOutcome {
    let store = empty(home)?;
    let holders = ["a", "b", "c", "d"];
    let taken = at_once(holders.len() as u64, |n| {
        let holder = holders.get(n as usize).copied().unwrap_or("e");
        match store.leases().acquire("s", holder, HOUR) {
            Ok(lease) => Ok(Some(lease.token)),
            Err(Error::LeaseHeld { .. }) => Ok(None),
            Err(error) => Err(error),
        }
    })?;
    let taken: Vec<Option<FencingToken>> = taken.into_iter().collect::<Result<_>>()?;
    let taken: Vec<FencingToken> = taken.into_iter().flatten().collect();
    equal("those who have it", taken.len(), 1)?;
    equal("the lease", store.leases().get("s")?.map(|lease| lease.token), taken.into_iter().next())
}

fn a_fenced_append_may_be_repeated(home: &mut dyn Home) -> CaseOutcome {
    let store = empty(home)?;
    let token = store.leases().acquire("s", "a", HOUR)?.token;
    let event = numbered(1);
    append(&store, &token, event.clone())?;
    holds("it is a repetition", append(&store, &token, event.clone())?.duplicate())?;
    // Also when somebody else has taken the lease meanwhile: it was recorded while it was this token's.
    store.leases().acquire("s", "a", HOUR)?;
    holds("it is a repetition", append(&store, &token, event)?.duplicate())?;
    refused!(append(&store, &token, numbered(2)), Error::LeaseLost { .. });
    equal("the head", store.head("s")?.get(), 1)
}

fn tasks_take_and_release_leases_too(home: &mut dyn Home) -> CaseOutcome {
    let store = empty(home)?;
    in_tasks(async {
        let token = store.leases().acquire_async("s", "a", HOUR).await?.token;
        let batch = |n| Batch::new().fenced(&token).add("s", Expect::Any, numbered(n));
        store.append_batch_async(batch(1)?).await?;
        store.leases().renew_async(&token, HOUR).await?;
        store.leases().release_async(&token).await?;
        store.leases().acquire_async("s", "b", HOUR).await?;
        refused!(store.append_batch_async(batch(2)?).await, Error::LeaseLost { .. });
        Ok(())
    })?;
    equal("the head", store.head("s")?.get(), 1)
}

fn still_fenced(store: &Store, token: &FencingToken) -> CaseOutcome {
    refused!(store.leases().acquire("s", "b", HOUR), Error::LeaseHeld { .. });
    append(store, token, numbered(2))?;
    let next = store.leases().acquire("s", "a", HOUR)?;
    refused!(append(store, token, numbered(3)), Error::LeaseLost { .. });
    equal("the fence", next.fence, 2)
}

fn a_lease_outlives_reopening(home: &mut dyn Home) -> CaseOutcome {
    let store = empty(home)?;
    let token = store.leases().acquire("s", "a", HOUR)?.token;
    still_fenced(&reopened(home, store, &Builder::new())?, &token)
}

fn a_lease_outlives_a_crash(home: &mut dyn Home) -> CaseOutcome {
    let store = empty(home)?;
    let token = store.leases().acquire("s", "a", HOUR)?.token;
    still_fenced(&crashed(home, &Builder::new())?, &token)
}
