//! The task that fires timers.

use std::sync::{Arc, Weak};
use std::time::Duration;

use tracing::warn;

use super::registry::{NextLook, Registry};
use super::running::Running;
use crate::error::{Error, Result};
use crate::event::Invalid;
use crate::limits::{OWNER_PAUSE_MS, TIMER_LOOK_MS};
use crate::store::StoreHandle;
use crate::sync::lock;
use crate::sync::task::{Runtime, spawn_blocking};
use crate::sync::time::timeout;

/// Timers fire as long as this or a clone of it lives, and the store is open.
#[derive(Clone, Debug)]
#[must_use = "timers fire until this is dropped"]
pub struct TimersRunning {
    _running: Arc<Running>,
}

impl TimersRunning {
    /// Starts the task of this store, or takes part in the one that runs.
    pub(in crate::bus) fn start(handle: StoreHandle) -> Result<Self> {
        handle.process().check()?;
        if handle.read_only() {
            return Err(Error::ReadOnly { path: handle.name().to_owned() });
        }
        let runtime = Runtime::current().ok_or_else(|| {
            Invalid::new(
                "timers",
                "need a tokio runtime to run in; outside of one, `Timers::fire` fires what is due",
            )
        })?;
        let registry = Registry::of(&handle)?;
        let mut running = lock(&registry.running);
        if let Some(running) = Weak::upgrade(&running).filter(|r| !r.task.is_finished()) {
            return Ok(Self { _running: running });
        }
        let process = handle.process().clone();
        let task = runtime.spawn(run(handle, registry.clone()));
        let started = Arc::new(Running { process, task });
        *running = Arc::downgrade(&started);
        Ok(Self { _running: started })
    }
}

async fn run(handle: StoreHandle, registry: Arc<Registry>) {
    loop {
        let (at, with) = (handle.clone(), registry.clone());
        let looked = spawn_blocking(move || with.fire(&at)).await;
        let wait = match looked {
            Ok(Ok(NextLook { pending, .. })) => pending.wait(registry.clock.now()),
            Ok(Err(Error::Closed { after: None } | Error::OtherProcess { .. })) => return,
            // The process that had the store is gone; another goes on. If it was this one, the next look says that it is closed.
            Ok(Err(Error::Unknown { .. } | Error::OwnerLost { .. })) => Duration::from_millis(OWNER_PAUSE_MS),
            Ok(Err(error)) => {
                warn!(%error, "timers cannot fire; those that are due fire when the store is opened again");
                if matches!(error, Error::Closed { .. }) {
                    return;
                }
                Duration::from_millis(TIMER_LOOK_MS)
            }
            // The runtime is on its way out, or a look panicked: there is nobody to go on.
            Err(_) => return,
        };
        // Made sooner than that, or the time has come: either way one looks.
        let _ = timeout(wait, registry.sooner.notified()).await;
    }
}
