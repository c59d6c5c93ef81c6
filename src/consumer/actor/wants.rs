//! What a consumer delivers.

use super::super::config::ConsumerConfig;
use crate::event::{Catalogue, Event, Filter};
use crate::store::{Reader, Shape};

#[derive(Clone)]
pub(super) struct Wants {
    filter: Filter,
    except: Option<Filter>,
}

impl Wants {
    pub(super) fn new(config: &ConsumerConfig, catalogue: &Catalogue) -> Self {
        let (filter, except) = config.filters(catalogue);
        Self { filter, except }
    }

    /// Whether an event is to be delivered, unless it was recorded before `since`, in microseconds; also one that cannot be
    /// upcast, which becomes a dead letter.
    pub(super) fn takes(&self, reader: &Reader, since: Option<i64>, event: &Event) -> bool {
        if since.is_some_and(|since| event.recorded().micros() < since) {
            return false;
        }
        match reader.taken(event.clone(), &self.filter, Shape::Newest) {
            None => false,
            Some(Err(_)) => true,
            Some(Ok(event)) => !self.except.as_ref().is_some_and(|except| except.takes_kind(event.kind())),
        }
    }
}
