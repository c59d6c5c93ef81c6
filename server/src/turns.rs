//! Taking turns: those who write to one stream do so one after another, in the order in which they came.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError, Weak};

use tokio::sync::OwnedMutexGuard;

/// Entries after which those are looked for that nobody waits for any more.
const SWEPT_AT: usize = 1_024;

type Queue = tokio::sync::Mutex<()>;

/// Turns by name.
#[derive(Debug, Default)]
pub(crate) struct Turns {
    of: Mutex<HashMap<String, Weak<Queue>>>,
}

impl Turns {
    /// Waits until those who came before under this name are done.
    pub(crate) async fn take(&self, name: &str) -> OwnedMutexGuard<()> {
        self.turn(name).lock_owned().await
    }

    fn turn(&self, name: &str) -> Arc<Queue> {
        let mut of = self.of.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(known) = of.get(name).and_then(Weak::upgrade) {
            return known;
        }
        if of.len() >= SWEPT_AT {
            of.retain(|_, turn| turn.strong_count() > 0);
        }
        let turn = Arc::new(Queue::default());
        of.insert(name.to_owned(), Arc::downgrade(&turn));
        turn
    }
}

#[cfg(test)]
mod tests {
    use futures_util::FutureExt;

    use super::*;

    #[tokio::test]
    async fn those_of_one_name_wait_for_each_other_and_for_nobody_else() {
        let turns = Turns::default();
        let first = turns.take("a").await;
        assert!(turns.take("a").now_or_never().is_none());
        drop(turns.take("b").now_or_never().unwrap());
        drop(first);
        drop(turns.take("a").now_or_never().unwrap());
        for n in 0..SWEPT_AT * 2 {
            drop(turns.take(&n.to_string()).await);
        }
        assert!(turns.of.lock().unwrap().len() <= SWEPT_AT);
    }
}
