//! Branches that share the history of others.

use super::case::{CaseOutcome, cases};
use super::checks::{
    at_once, empty, equal, everything, holds, numbered, numbers, paged, read, refused, run_of,
};
use super::home::Home;
use crate::error::{Error, Result};
use crate::event::{Address, Expect, SessionId};
use crate::store::{Builder, Query, Store};

cases! { "forks":
    a_fork_inherits_up_to_its_sequence_and_goes_its_own_way,
    forks_of_forks_read_like_a_flat_copy,
    a_fork_of_a_head_and_a_fork_of_what_is_inherited,
    a_fork_at_0_inherits_nothing,
    a_fork_at_0_can_begin_a_session,
    a_fork_beyond_the_head_or_of_nothing_is_refused,
    a_taken_name_is_refused,
    one_of_many_threads_gets_the_name,
    listings_show_every_session_and_branch,
    a_branch_is_promoted_to_its_parent_once,
    two_branches_are_compared_from_where_they_diverge,
}

fn of_branch(store: &Store, address: &str) -> Result<Vec<u64>, super::case::Stop> {
    numbers(&read(store, Query::branch(address)?)?)
}

fn a_fork_inherits_up_to_its_sequence_and_goes_its_own_way(home: &mut dyn Home) -> CaseOutcome {
    let store = empty(home)?;
    store.append("s", run_of(1..=4))?;
    let info = store.fork("s@2", "b")?;
    equal(
        "its parent",
        info.parent.map(|(name, at)| (name.to_string(), at.get())),
        Some(("main".to_owned(), 2)),
    )?;
    equal("its head and events", (info.head.get(), info.events), (2, 0))?;
    store.append("s", numbered(5))?;
    let placed = store.append("s/b", run_of(6..=7))?;
    equal("its next sequences", placed.last().get(), 4)?;
    equal("the parent", of_branch(&store, "s")?, vec![1, 2, 3, 4, 5])?;
    equal("the fork", of_branch(&store, "s/b")?, vec![1, 2, 6, 7])?;
    let addresses: Vec<String> =
        read(&store, Query::branch("s/b")?)?.iter().map(|e| e.address().to_string()).collect();
    equal(
        "whose they are",
        addresses,
        ["s/main@1", "s/main@2", "s/b@3", "s/b@4"].map(str::to_owned).to_vec(),
    )?;
    equal("a fork is no event", store.committed().get(), 7)
}

fn forks_of_forks_read_like_a_flat_copy(home: &mut dyn Home) -> CaseOutcome {
    const DEPTH: u64 = 12;
    // Small limits, so that part of it is flushed during the test in an engine that flushes.
    let store = home.create(Builder::new().flush_after(16, 1 << 20))?;
    let mut flat: Vec<(String, Vec<u64>)> = vec![("main".to_owned(), (0..5).collect())];
    store.append("s", run_of(0..5))?;
    for depth in 1..=DEPTH {
        // Each forks from the previous one at another place: its end, its middle, what it inherits.
        let (parent, history) = flat.last().cloned().unwrap_or_default();
        let at = history.len() as u64 - depth % 4;
        let name = format!("b{depth}");
        store.fork(format!("s/{parent}@{at}").as_str(), &name)?;
        let mut history: Vec<u64> = history.into_iter().take(usize::try_from(at)?).collect();
        let own = depth * 100..depth * 100 + depth % 5;
        if !own.is_empty() {
            store.append(format!("s/{name}").as_str(), run_of(own.clone()))?;
        }
        history.extend(own);
        flat.push((name, history));
        // The parent continues after the fork.
        store.append(format!("s/{parent}").as_str(), numbered(depth))?;
        let parent = flat.iter_mut().rev().nth(1);
        parent.into_iter().for_each(|(_, history)| history.push(depth));
    }
    for (name, history) in &flat {
        let address = Address::try_from(format!("s/{name}"))?;
        let head = history.len() as u64;
        equal(name, store.head(&address)?.get(), head)?;
        equal(name, of_branch(&store, &address.to_string())?, history.clone())?;
        let turned: Vec<u64> = history.iter().rev().copied().collect();
        equal(name, numbers(&read(&store, Query::branch(&address)?.reverse())?)?, turned.clone())?;
        for size in [1, 2, 3, 100] {
            equal(name, numbers(&paged(&store, Query::branch(&address)?, size)?)?, history.clone())?;
            equal(name, numbers(&paged(&store, Query::branch(&address)?.reverse(), size)?)?, turned.clone())?;
        }
        for from in 1..=head {
            for to in from..=head {
                let part = numbers(&read(&store, Query::branch(&address)?.from(from).to(to))?)?;
                let due = history.get(usize::try_from(from - 1)?..usize::try_from(to)?).unwrap_or_default();
                equal(name, &*part, due)?;
            }
        }
        let sequences: Vec<u64> =
            read(&store, Query::branch(&address)?)?.iter().map(|e| e.sequence().get()).collect();
        equal(name, sequences, (1..=head).collect())?;
    }
    // Each event is in the global order once, however many branches inherit it.
    let positions: Vec<u64> = everything(&store)?.iter().map(|e| e.position().get()).collect();
    equal("positions", positions, (1..=store.committed().get()).collect())
}

fn a_fork_of_a_head_and_a_fork_of_what_is_inherited(home: &mut dyn Home) -> CaseOutcome {
    let store = empty(home)?;
    store.append("s", run_of(1..=3))?;
    store.fork("s", "head")?;
    store.append("s/head", numbered(4))?;
    // It forks from the part that the branch inherits itself.
    store.fork("s/head@2", "deep")?;
    store.append("s/deep", numbered(5))?;
    equal("of the head", of_branch(&store, "s/head")?, vec![1, 2, 3, 4])?;
    equal("of what is inherited", of_branch(&store, "s/deep")?, vec![1, 2, 5])?;
    let ancestry = |address| -> Result<Vec<(String, u64)>> {
        Ok(store
            .ancestry(address)?
            .into_iter()
            .map(|(name, first)| (name.to_string(), first.get()))
            .collect())
    };
    equal("its lines", ancestry("s/head")?, vec![("main".to_owned(), 1), ("head".to_owned(), 4)])?;
    equal("its lines", ancestry("s/deep")?, vec![("main".to_owned(), 1), ("deep".to_owned(), 3)])
}

fn a_fork_at_0_inherits_nothing(home: &mut dyn Home) -> CaseOutcome {
    let store = empty(home)?;
    store.append("s", run_of(1..=3))?;
    store.fork("s@0", "b")?;
    equal("its head", store.head("s/b")?.get(), 0)?;
    equal("its events", of_branch(&store, "s/b")?, Vec::new())?;
    store.append_if("s/b", Expect::Empty, numbered(4))?;
    store.fork("s/b@0", "c")?;
    equal("its events", of_branch(&store, "s/b")?, vec![4])?;
    equal("a fork of it at 0", of_branch(&store, "s/c")?, Vec::new())
}

fn a_fork_at_0_can_begin_a_session(home: &mut dyn Home) -> CaseOutcome {
    let store = empty(home)?;
    store.fork("s@0", "b")?;
    store.append_if("s/b", Expect::Empty, numbered(1))?;
    equal("main", store.head("s")?.get(), 0)?;
    equal("the fork", of_branch(&store, "s/b")?, vec![1])?;
    store.append_if("s", Expect::Empty, numbered(2))?;
    equal("main goes its own way", of_branch(&store, "s")?, vec![2])?;
    refused!(store.fork("t@0", "main"), Error::Exists { .. });
    refused!(store.head("t"), Error::NotFound { .. });
    equal("branches", store.branches(&SessionId::new("s")?)?.len(), 2)
}

fn a_fork_beyond_the_head_or_of_nothing_is_refused(home: &mut dyn Home) -> CaseOutcome {
    let store = empty(home)?;
    store.append("s", run_of(1..=2))?;
    refused!(store.fork("s@3", "b"), Error::NotFound { .. });
    refused!(store.fork("s@18446744073709551615", "b"), Error::NotFound { .. });
    refused!(store.fork("s/none", "b"), Error::NotFound { .. });
    refused!(store.fork("s/none@0", "b"), Error::NotFound { .. });
    refused!(store.fork("t", "b"), Error::NotFound { .. });
    refused!(store.fork("t@1", "b"), Error::NotFound { .. });
    refused!(store.head("s/b"), Error::NotFound { .. });
    equal("branches", store.branches(&SessionId::new("s")?)?.len(), 1)?;
    equal("sessions", store.sessions(None, 10)?.len(), 1)
}

fn a_taken_name_is_refused(home: &mut dyn Home) -> CaseOutcome {
    let store = empty(home)?;
    store.append("s", run_of(1..=2))?;
    store.fork("s@1", "b")?;
    store.append("s/b", numbered(3))?;
    for address in ["s@1", "s@2", "s/b"] {
        refused!(store.fork(address, "b"), Error::Exists { .. });
        refused!(store.fork(address, "main"), Error::Exists { .. });
    }
    equal("the branch", of_branch(&store, "s/b")?, vec![1, 3])?;
    // The same name in another session is another branch.
    store.append("t", numbered(4))?;
    store.fork("t", "b")?;
    equal("the other session's", of_branch(&store, "t/b")?, vec![4])
}

fn one_of_many_threads_gets_the_name(home: &mut dyn Home) -> CaseOutcome {
    let store = empty(home)?;
    store.append("s", run_of(1..=8))?;
    for round in 0..10 {
        let name = format!("b{round}");
        let answers = at_once(6, |thread| store.fork(format!("s@{}", thread + 1).as_str(), &name))?;
        let mut made = Vec::new();
        for answer in answers {
            match answer {
                Ok(info) => made.push(info.head.get()),
                Err(Error::Exists { .. }) => {}
                Err(e) => return Err(e.into()),
            }
        }
        equal("who made it", made.len(), 1)?;
        equal("where it parts", vec![store.head(format!("s/{name}").as_str())?.get()], made)?;
    }
    Ok(())
}

fn listings_show_every_session_and_branch(home: &mut dyn Home) -> CaseOutcome {
    let store = empty(home)?;
    for (name, events) in [("b", 2), ("a", 1), ("a1", 3), ("日本", 1)] {
        store.append(name, run_of(0..events))?;
    }
    store.fork("a1@2", "x")?;
    store.append("a1/x", run_of(0..4))?;
    store.fork("b@0", "empty")?;
    let listed = |from: Option<&SessionId>, limit| -> Result<Vec<(String, u64, u64, u64)>> {
        let listed = store.sessions(from, limit)?.into_iter();
        Ok(listed.map(|s| (s.session.to_string(), s.head.get(), s.events, s.branches)).collect())
    };
    let due = [("a", 1, 1, 1), ("a1", 3, 7, 2), ("b", 2, 2, 2), ("日本", 1, 1, 1)];
    let due: Vec<_> =
        due.map(|(name, head, events, branches)| (name.to_owned(), head, events, branches)).into();
    equal("all sessions", listed(None, 100)?, due.clone())?;
    for size in 1..=4 {
        let (mut found, mut after) = (Vec::new(), None);
        loop {
            let page = listed(after.as_ref(), size)?;
            let Some((last, ..)) = page.last() else { break };
            after = Some(SessionId::new(last.as_str())?);
            found.extend(page);
        }
        equal("page by page", found, due.clone())?;
    }
    for info in store.sessions(None, 100)? {
        equal("one session", store.session(&info.session)?, info)?;
    }
    refused!(store.session(&SessionId::new("a2")?), Error::NotFound { .. });
    let branches: Vec<_> = store
        .branches(&SessionId::new("a1")?)?
        .into_iter()
        .map(|b| (b.place.branch.to_string(), b.head.get(), b.events, b.last.is_some()))
        .collect();
    equal("branches", branches, vec![("main".to_owned(), 3, 3, true), ("x".to_owned(), 6, 4, true)])?;
    let empty = store.branch("b/empty")?;
    equal("one that is empty", (empty.head.get(), empty.events, empty.last), (0, 0, None))?;
    refused!(store.branches(&SessionId::new("c")?), Error::NotFound { .. });
    refused!(store.branch("a/none"), Error::NotFound { .. });
    Ok(())
}

fn a_branch_is_promoted_to_its_parent_once(home: &mut dyn Home) -> CaseOutcome {
    let store = empty(home)?;
    store.append("s", run_of(1..=2))?;
    store.fork("s", "b")?;
    store.append("s/b", run_of(3..=4))?;
    let first = store.promote("s/b")?;
    equal("the parent", of_branch(&store, "s")?, vec![1, 2, 3, 4])?;
    let again = store.promote("s/b")?;
    equal("again", (again.parts(), again.duplicate()), (first.parts(), true))?;
    store.fork("s@1", "c")?;
    store.append("s/c", numbered(5))?;
    refused!(store.promote("s/c"), Error::Conflict { .. });
    refused!(store.promote("s"), Error::Invalid(_));
    equal("the parent", of_branch(&store, "s")?, vec![1, 2, 3, 4])
}

fn two_branches_are_compared_from_where_they_diverge(home: &mut dyn Home) -> CaseOutcome {
    let store = empty(home)?;
    store.append("s", run_of(1..=3))?;
    store.fork("s@2", "b")?;
    store.append("s/b", run_of(4..=6))?;
    let diff = store.diff("s", "s/b")?;
    equal("what they share", diff.common.get(), 2)?;
    let mut pairs = Vec::new();
    for pair in diff.pairs {
        let pair = pair?;
        pairs.push((numbers(pair.left.as_slice())?, numbers(pair.right.as_slice())?));
    }
    equal("what follows", pairs, vec![(vec![3], vec![4]), (vec![], vec![5]), (vec![], vec![6])])?;
    for (first, left) in [(0_u64, 3), (3, 3), (4, 2), (5, 1), (6, 0), (99, 0)] {
        let pairs = store.diff("s", "s/b")?.pairs.from(first);
        let sequences: Vec<u64> = pairs.map(|pair| Ok(pair?.sequence.get())).collect::<Result<_>>()?;
        equal("what follows from there on", sequences, (6 - left..6).collect())?;
    }
    holds("a branch is its own equal", store.diff("s", "s")?.pairs.next().is_none())
}
