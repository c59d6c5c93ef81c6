//! Rules over time windows: when something happens often enough for one key, an event is recorded.

use std::collections::BTreeMap;
use std::time::Duration;

use tracing::warn;
use uuid::Uuid;

use crate::error::{Error, Result};
use crate::event::{Event, EventId, Expect, Filter, Invalid, NewEvent, Timestamp};
use crate::follow::Follow;
use crate::limits::{MAX_ALERT_COUNT, MAX_WATCHED};
use crate::panics::caught;
use crate::project::{AlertPayload, Window, WindowCounts};
use crate::store::{Batch, Process, Store, StoreHandle, unblocked};
use crate::sync::task::{JoinHandle, Runtime};
use crate::sync::time::micros;

/// What is counted together with an event.
type Key = dyn Fn(&Event) -> Option<String> + Send + Sync;

/// Names of the ids of what rules record.
const IDS: Uuid = Uuid::from_u128(0x2f1d_9a0c_7a54_5c1e_9d3b_60a1_72c8_e4f5);

/// Counts matching events by key, and emits an event when there are enough in a window: once per key and window.
/// After emitting, a sliding window pauses for its span.
///
/// [`take`](Self::take) is pure and fits into any handler; [`run`](Self::run) follows the store and records the events.
///
/// ```
/// use std::time::Duration;
/// use retold::bus::WindowRule;
/// use retold::project::Window;
/// use retold::{Filter, NewEvent, Query, Store};
/// let store = Store::in_memory()?;
/// let minute = Window::Sliding(Duration::from_secs(60));
/// let failed = Filter::new().pattern("step.failed".parse()?);
/// let mut rule = WindowRule::new("failing", failed, minute, 3)?;
/// store.append("run-7", (0..4).map(|_| NewEvent::new("step.failed")).collect::<Vec<_>>())?;
/// let mut alerts = 0;
/// for event in store.events(Query::all())? {
///     alerts += usize::from(rule.take(&event?).is_some());
/// }
/// assert_eq!(alerts, 1);
/// # Ok::<(), retold::Error>(())
/// ```
pub struct WindowRule {
    name: String,
    filter: Filter,
    key: Box<Key>,
    window: Window,
    threshold: u32,
    kind: String,
    counts: WindowCounts,
    /// When a key was answered for the last time.
    told: BTreeMap<String, i64>,
}

impl std::fmt::Debug for WindowRule {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("WindowRule")
            .field("name", &self.name)
            .field("window", &self.window)
            .finish_non_exhaustive()
    }
}

impl WindowRule {
    /// A rule that answers when `threshold` events of the filter are in the window. Unless said, it counts by session
    /// and answers with `alert.triggered`.
    ///
    /// # Errors
    /// [`Error::Invalid`] for a threshold of 0 or above 1,000, and for a window of no time.
    pub fn new(name: impl Into<String>, filter: Filter, window: Window, threshold: u32) -> Result<Self> {
        if !(1..=MAX_ALERT_COUNT).contains(&threshold) {
            let reason = format!("is {threshold}; 1 to {MAX_ALERT_COUNT} can be counted");
            return Err(Invalid::new("threshold", reason).into());
        }
        if span(window) < Duration::from_micros(1) {
            return Err(Invalid::new("window", "is of no time; give it a microsecond or more").into());
        }
        Ok(Self {
            name: name.into(),
            filter,
            key: Box::new(|event| Some(event.session().to_string())),
            window,
            threshold,
            kind: "alert.triggered".into(),
            counts: WindowCounts::default(),
            told: BTreeMap::new(),
        })
    }

    /// What is counted together; an event without a key, or
    /// for which this panics, is not counted. The latest 1,024 keys are distinguished.
    #[must_use]
    pub fn by(mut self, key: impl Fn(&Event) -> Option<String> + Send + Sync + 'static) -> Self {
        self.key = Box::new(key);
        self
    }

    /// The type of what it answers with. Events of this type are not counted, so that a rule never sets itself off.
    #[must_use]
    pub fn emits(mut self, kind: impl Into<String>) -> Self {
        self.kind = kind.into();
        self
    }

    /// Counts an event by its time of occurrence, and answers with the event to be recorded in its branch, when it is
    /// enough: caused by it, and with an id that follows from the rule, the key and the window, or, for one that slides,
    /// from what set it off.
    pub fn take(&mut self, event: &Event) -> Option<NewEvent> {
        if event.kind() == self.kind || !self.filter.takes(event) {
            return None;
        }
        let key = caught(|| (self.key)(event)).ok()??;
        let at = event.occurred().micros();
        let count = self.counts.add(self.window, &key, at, self.threshold);
        if count < self.threshold || self.has_told(&key, at) {
            return None;
        }
        if self.told.len() >= MAX_WATCHED
            && let Some(oldest) = self.told.iter().min_by_key(|(_, at)| **at).map(|(key, _)| key.clone())
        {
            self.told.remove(&oldest);
        }
        self.told.insert(key.clone(), at);
        Some(self.answer(event, &key, at))
    }

    fn has_told(&self, key: &str, at: i64) -> bool {
        let Some(told) = self.told.get(key) else { return false };
        match self.window.number(at) {
            Some(number) => self.window.number(*told).is_some_and(|last| number <= last),
            None => at.saturating_sub(*told) <= micros(span(self.window)),
        }
    }

    fn answer(&self, event: &Event, key: &str, at: i64) -> NewEvent {
        let which =
            self.window.number(at).map_or_else(|| event.id().to_string(), |number| number.to_string());
        let id = EventId::derived(IDS, format!("{}\0{key}\0{which}", self.name).as_bytes());
        let span = span(self.window);
        let data = AlertPayload {
            rule: self.name.clone(),
            severity: "warning".into(),
            message: format!("{key}: {} {} times within {span:?}", event.kind(), self.threshold),
            count: Some(self.threshold),
            window_ms: u64::try_from(span.as_millis()).ok(),
            ..AlertPayload::default()
        };
        let answer =
            NewEvent::new(self.kind.clone()).with_id(id).occurred(event.occurred()).causation(event.id());
        let answer = answer.meta("key", key).source(self.name.clone());
        let answer = match event.correlation() {
            Some(correlation) => answer.correlation(correlation.to_owned()),
            None => answer,
        };
        match serde_json::to_value(&data) {
            Ok(data) => answer.data(data),
            Err(_) => answer,
        }
    }

    /// Follows everything in a task from now on, and records what the rule answers with, until what it returns is
    /// dropped or the store closes.
    ///
    /// It first counts what was recorded within the last window, so that a restart does not begin at zero; of that it
    /// answers for a tumbling window only, whose answer has one id however often it is given. What happened while
    /// nobody ran the rule, longer ago than that, is not looked at: the alerts projection
    /// (`retold::agents::projections::Alerts`, with the feature `agents`) is the durable form of this.
    ///
    /// # Errors
    /// [`Error::Invalid`] outside a tokio runtime; [`Error::ReadOnly`]; [`Error::Closed`].
    pub fn run(mut self, store: &Store) -> Result<RuleRunning> {
        let handle = store.handle();
        handle.process().check()?;
        self.filter = self.filter.resolved_in(handle.catalogue());
        if handle.read_only() {
            return Err(Error::ReadOnly { path: handle.name().to_owned() });
        }
        let runtime = Runtime::current().ok_or_else(|| {
            Invalid::new("rule", "needs a tokio runtime to run in; outside of one, use `take`")
        })?;
        let span = micros(span(self.window));
        let since = Timestamp::from_micros(Timestamp::now().micros().saturating_sub(span));
        let began = store.committed();
        let follow = Follow::all().since(since).filter(self.filter.clone());
        let process = handle.process().clone();
        Ok(RuleRunning { process, task: runtime.spawn(drive(self, handle, follow, began.get())) })
    }
}

/// A rule runs as long as this lives, and the store is open.
#[derive(Debug)]
#[must_use = "the rule runs until this is dropped"]
pub struct RuleRunning {
    process: Process,
    task: JoinHandle<()>,
}

impl Drop for RuleRunning {
    fn drop(&mut self) {
        if self.process.is_this() {
            self.task.abort();
        }
    }
}

async fn drive(mut rule: WindowRule, handle: StoreHandle, follow: Follow, began: u64) {
    let looking = handle.clone();
    let mut following = match unblocked(move || looking.follow(follow)).await {
        Ok(following) => following,
        Err(Error::Closed { after: None }) => return,
        Err(error) => {
            warn!(%error, rule = rule.name, "the rule has stopped");
            return;
        }
    };
    while let Some(item) = following.next_event().await {
        let event = match item {
            Ok(event) => event,
            Err(error @ Error::Upcast { .. }) => {
                warn!(%error, rule = rule.name, "an event is not counted");
                continue;
            }
            Err(error) => {
                warn!(%error, rule = rule.name, "the rule has stopped");
                return;
            }
        };
        let Some(answer) = rule.take(&event) else { continue };
        if event.position().get() <= began && rule.window.number(0).is_none() {
            continue;
        }
        let batch = Batch::new().add((**event.place()).clone(), Expect::Any, answer);
        let recorded = match batch {
            Ok(batch) => handle.append_async(batch).await.map(|_| ()),
            Err(e) => Err(e),
        };
        match recorded {
            // Recorded before the last restart, for this window, because of another event of it.
            Ok(()) | Err(Error::Duplicate { .. }) => {}
            Err(Error::Closed { after: None } | Error::OtherProcess { .. }) => return,
            Err(error) => warn!(%error, rule = rule.name, "what a rule calls for is not recorded"),
        }
    }
}

fn span(window: Window) -> Duration {
    match window {
        Window::Tumbling(span) | Window::Sliding(span) => span,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::Query;

    fn failed(seconds: i64) -> NewEvent {
        NewEvent::new("step.failed").occurred(Timestamp::from_micros(seconds * 1_000_000))
    }

    fn rule(window: Window) -> WindowRule {
        let filter = Filter::new().pattern("step.*".parse().unwrap());
        WindowRule::new("r", filter, window, 3).unwrap()
    }

    /// Seconds at which the rule answers.
    fn answers(mut rule: WindowRule, events: &[(&str, i64)]) -> Vec<(String, i64)> {
        let store = Store::in_memory().unwrap();
        events.iter().for_each(|(session, at)| drop(store.append(*session, failed(*at)).unwrap()));
        let events = store.events(Query::all()).unwrap().map(|e| e.unwrap());
        let answered = events.filter_map(|e| rule.take(&e).map(|a| (e.session().to_string(), a)));
        answered.map(|(session, a)| (session, a.occurred.micros() / 1_000_000)).collect()
    }

    const MINUTE: Duration = Duration::from_secs(60);

    #[test]
    fn a_rule_answers_once_for_a_key_and_window() {
        let at = |times: &[i64]| times.iter().map(|t| ("s", *t)).collect::<Vec<_>>();
        let all = at(&[0, 10, 20, 30, 40, 50, 61, 62, 119, 130]);
        let s = |times: &[i64]| times.iter().map(|t| ("s".to_owned(), *t)).collect::<Vec<_>>();
        assert_eq!(answers(rule(Window::Tumbling(MINUTE)), &all), s(&[20, 119]));
        assert_eq!(answers(rule(Window::Sliding(MINUTE)), &all), s(&[20, 119]));
        // Over the border of two minutes: only a window that slides sees three.
        let border = at(&[50, 55, 65]);
        assert_eq!(answers(rule(Window::Tumbling(MINUTE)), &border), []);
        assert_eq!(answers(rule(Window::Sliding(MINUTE)), &border), s(&[65]));
        let two = [("a", 1), ("b", 2), ("a", 3), ("b", 4), ("a", 5)];
        assert_eq!(answers(rule(Window::Sliding(MINUTE)), &two), [("a".to_owned(), 5)]);
        let together = rule(Window::Sliding(MINUTE)).by(|_| Some("all".into()));
        assert_eq!(answers(together, &two), [("a".to_owned(), 3)]);
        assert_eq!(answers(rule(Window::Sliding(MINUTE)).by(|_| None), &two), []);
        assert_eq!(answers(rule(Window::Sliding(MINUTE)).emits("step.failed"), &two), []);
    }

    #[test]
    fn a_rule_that_cannot_be_is_refused() {
        for (window, threshold) in [
            (Window::Sliding(MINUTE), 0),
            (Window::Sliding(MINUTE), MAX_ALERT_COUNT + 1),
            (Window::Tumbling(Duration::from_nanos(1)), 3),
        ] {
            let made = WindowRule::new("r", Filter::new(), window, threshold);
            assert!(matches!(made.unwrap_err(), Error::Invalid(_)));
        }
        let store = Store::in_memory().unwrap();
        assert!(rule(Window::Sliding(MINUTE)).run(&store).unwrap_err().to_string().contains("runtime"));
    }

    #[tokio::test]
    async fn a_key_that_panics_is_none_and_the_rule_goes_on() {
        let store = Store::in_memory().unwrap();
        let rule = rule(Window::Sliding(MINUTE)).by(|event| match event.sequence().get() {
            2 => panic!("no key"),
            _ => Some("all".into()),
        });
        let _running = rule.run(&store).unwrap();
        store.append("s", (0..4).map(|_| NewEvent::new("step.failed")).collect::<Vec<_>>()).unwrap();
        let found = tokio::time::timeout(Duration::from_secs(120), alerts(&store, 1)).await;
        assert_eq!(found.unwrap()[0].meta("key"), Some("all"));
    }

    async fn alerts(store: &Store, due: usize) -> Vec<Event> {
        let filter = Filter::new().pattern("alert.*".parse().unwrap());
        let mut following = store.follow(Follow::all().filter(filter)).unwrap();
        let mut found = Vec::new();
        while found.len() < due {
            found.push(following.next_event().await.unwrap().unwrap());
        }
        found
    }

    #[tokio::test]
    async fn a_running_rule_records_what_it_answers_with_once_also_after_a_restart() {
        let store = Store::in_memory().unwrap();
        // So that the test does not stand on the border of two windows.
        let window = Window::Tumbling(Duration::from_secs(1_000 * 365 * 24 * 3_600));
        let running = rule(window).run(&store).unwrap();
        let now = || NewEvent::new("step.failed").correlation("c");
        store.append("s", vec![now(), now(), now(), now()]).unwrap();
        let alert = alerts(&store, 1).await.remove(0);
        assert_eq!((alert.sequence().get(), alert.correlation()), (5, Some("c")));
        assert_eq!(
            alert.causation(),
            Some(store.events(Query::all()).unwrap().nth(2).unwrap().unwrap().id())
        );
        let told: AlertPayload = alert.json().unwrap();
        assert_eq!((told.rule.as_str(), told.count), ("r", Some(3)));
        assert_eq!(alert.kind(), "alert.triggered");
        drop(running);
        // Counted again from the window's events, it does not answer twice; another key does.
        let _running = rule(window).run(&store).unwrap();
        store.append("s", vec![now(), now(), now()]).unwrap();
        store.append("t", vec![now(), now(), now()]).unwrap();
        let found = alerts(&store, 2).await;
        assert_eq!(found.iter().map(|e| e.session().as_str()).collect::<Vec<_>>(), ["s", "t"]);
    }
}
