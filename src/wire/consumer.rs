//! Durable consumers and dead letters, as programs read them.

use std::collections::BTreeMap;

use serde::Serialize;
use serde_json::value::RawValue;

use super::raw;
use crate::consumer::{ConsumerInfo, Delivery, Outstanding};
use crate::delivery::DeadLetter;
use crate::event::Event;

/// A durable consumer.
#[derive(Clone, Debug, Serialize)]
pub struct ConsumerView {
    name: String,
    created: String,
    ack_floor: u64,
    lag: u64,
    acknowledged: u64,
    set_aside: u64,
    dead_letters: usize,
    settings: BTreeMap<&'static str, String>,
    outstanding: Vec<Unresolved>,
}

/// A delivery that is not resolved.
#[derive(Clone, Debug, Serialize)]
struct Unresolved {
    event: String,
    position: u64,
    deliveries: u32,
    first: String,
    due: String,
    token: Option<String>,
}

impl From<&Outstanding> for Unresolved {
    fn from(event: &Outstanding) -> Self {
        Self {
            event: event.at.to_string(),
            position: event.position.get(),
            deliveries: event.deliveries,
            first: event.first.to_string(),
            due: event.due.to_string(),
            token: event.token.map(|token| token.to_string()),
        }
    }
}

impl From<&ConsumerInfo> for ConsumerView {
    fn from(info: &ConsumerInfo) -> Self {
        Self {
            name: info.name.clone(),
            created: info.created.to_string(),
            ack_floor: info.ack_floor.get(),
            lag: info.lag,
            acknowledged: info.acknowledged,
            set_aside: info.set_aside,
            dead_letters: info.dead_letters,
            settings: info.config.settings().into_iter().collect(),
            outstanding: info.outstanding.iter().map(Unresolved::from).collect(),
        }
    }
}

/// A delivered event.
#[derive(Clone, Debug, Serialize)]
pub struct Delivered {
    token: String,
    deliveries: u32,
    event: Option<Box<RawValue>>,
}

impl From<&Delivery> for Delivered {
    fn from(delivery: &Delivery) -> Self {
        Self {
            token: delivery.token().to_string(),
            deliveries: delivery.deliveries(),
            event: raw(delivery.event()),
        }
    }
}

/// A dead letter.
#[derive(Clone, Debug, Serialize)]
pub struct DeadLetterView {
    owner: String,
    position: u64,
    at: String,
    id: String,
    #[serde(rename = "type")]
    kind: String,
    error: String,
    deliveries: u32,
    first: String,
    last: String,
    again: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    event: Option<Box<RawValue>>,
}

impl From<&DeadLetter> for DeadLetterView {
    /// In a list: without the event.
    fn from(dead_letter: &DeadLetter) -> Self {
        Self {
            owner: dead_letter.owner.to_string(),
            position: dead_letter.position.get(),
            at: dead_letter.at.to_string(),
            id: dead_letter.id.to_string(),
            kind: dead_letter.kind.clone(),
            error: dead_letter.error.clone(),
            deliveries: dead_letter.deliveries,
            first: dead_letter.first.to_string(),
            last: dead_letter.last.to_string(),
            again: dead_letter.again,
            event: None,
        }
    }
}

impl DeadLetterView {
    /// With its event.
    #[must_use]
    pub fn with(dead_letter: &DeadLetter, event: &Event) -> Self {
        Self { event: raw(event), ..Self::from(dead_letter) }
    }
}
