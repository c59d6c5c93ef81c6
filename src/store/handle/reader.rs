//! Events leave the store in their newest shape. What is stored does not change.

use std::ops::Deref;
use std::sync::Arc;

use super::marks::{is_still, mark_of};
use super::settings::Settings;
use crate::codec::encode_record;
use crate::engine::{EngineReader, Range, Records};
use crate::error::{Error, Result};
use crate::event::{Event, Filter, NewEvent, Position};
use crate::limits::MAX_PAYLOAD_BYTES;
use crate::schema::{Shaped, Upcasts};

/// One reader of an open store. It keeps the file open until it is dropped, also beyond `close`.
#[derive(Clone, Debug)]
pub(crate) struct Reader {
    engine: Arc<dyn EngineReader>,
    settings: Arc<Settings>,
}

impl Deref for Reader {
    type Target = dyn EngineReader;

    fn deref(&self) -> &Self::Target {
        &*self.engine
    }
}

/// Whether a reader gets events in their newest shape, or as stored.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Shape {
    Newest,
    Stored,
}

impl Reader {
    pub(crate) fn new(engine: Arc<dyn EngineReader>, settings: Arc<Settings>) -> Self {
        Self { engine, settings }
    }

    /// The records, each as it stands when it is asked for.
    pub(crate) fn records(&self) -> Records {
        Records::new(self.engine.clone())
    }

    /// The upcasters of this store.
    pub(crate) fn upcasts(&self) -> Option<&Upcasts> {
        self.settings.upcasts.as_ref()
    }

    /// The filter with the aliases of this store's catalogue.
    pub(crate) fn resolved(&self, filter: Filter) -> Filter {
        // The catalogue is not built for a filter that does not need it.
        if filter.is_empty() { filter } else { filter.resolved_in(self.settings.guard.catalogue()) }
    }

    /// Whether the event at a position is the one with this [mark](super::marks::mark), or stands for a lost one; what was removed since,
    /// or cannot be read, counts as the same. Reads the file.
    pub(crate) fn has_seen(&self, position: Position, mark: u64) -> Result<bool> {
        is_still(self.event_at(position), mark, || Ok(position <= self.committed()))
    }

    /// The mark of the event at a position, by which it is known again; none of one that cannot be read. Reads the file.
    pub(crate) fn mark_at(&self, position: Position) -> Result<Option<u64>> {
        mark_of(self.event_at(position))
    }

    fn event_at(&self, position: Position) -> Result<Option<Event>> {
        let (from, to) = (position.get(), position.get());
        Ok(self.page_all(Range { from, to, limit: 1, reverse: false })?.into_iter().next())
    }

    /// The upcasters that apply for a reader of this shape.
    pub(crate) fn steps_for(&self, shape: Shape) -> Option<&Upcasts> {
        self.upcasts().filter(|_| shape == Shape::Newest)
    }

    /// The event in its newest shape.
    pub(crate) fn shaped(&self, event: Event) -> Result<Event> {
        match self.upcasts() {
            Some(upcasts) => newest(upcasts, event),
            None => Ok(event),
        }
    }

    /// The event in the reader's shape; `None` if the filter does not match. The filter applies to the newest type and payload.
    /// An event that cannot be upcast is reported to every reader whose filter might have matched it.
    pub(crate) fn taken(&self, event: Event, filter: &Filter, shape: Shape) -> Option<Result<Event>> {
        let upcasts = self.steps_for(shape).filter(|u| u.touches(event.kind(), event.version()));
        let Some(upcasts) = upcasts else { return filter.takes(&event).then_some(Ok(event)) };
        let wanted = |kind: &str| filter.takes_kind(kind);
        if !filter.takes_envelope(&event) || !upcasts.may_be(event.kind(), event.version(), &wanted) {
            return None;
        }
        match newest(upcasts, event) {
            Ok(event) => filter.takes(&event).then_some(Ok(event)),
            Err(e) => Some(Err(e)),
        }
    }
}

/// The upcast event.
pub(crate) fn newest(upcasts: &Upcasts, event: Event) -> Result<Event> {
    match upcasts.apply(event.kind(), event.version(), event.payload(), event.is_json()) {
        Ok(None) => Ok(event),
        Ok(Some(shaped)) => rebuilt(&event, shaped),
        Err(stuck) => {
            let reason = format!("as {} version {}: {}", stuck.kind, stuck.version, stuck.reason);
            Err(failed(&event, reason))
        }
    }
}

fn failed(event: &Event, reason: String) -> Error {
    Error::Upcast { at: event.address(), position: event.position(), reason }
}

/// The same event, at the same place, with another type, version and payload.
fn rebuilt(event: &Event, shaped: Shaped) -> Result<Event> {
    let mut new = NewEvent::from(event.record()).version(shaped.version);
    new.kind = shaped.kind.to_string().into();
    if let Some(payload) = shaped.payload {
        new.payload = payload.into_bytes().into();
    }
    let record = encode_record(&new, MAX_PAYLOAD_BYTES).map_err(|e| failed(event, e.to_string()))?;
    Ok(Event::new(event.place().clone(), event.sequence(), event.position(), event.recorded(), record))
}
