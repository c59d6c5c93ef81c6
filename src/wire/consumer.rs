//! Durable consumers and letters, as programs read them.

use std::collections::BTreeMap;

use serde::Serialize;
use serde_json::value::RawValue;

use super::raw;
use crate::consumer::{ConsumerInfo, Delivery, Letter, Outstanding};
use crate::event::Event;

/// A durable consumer.
#[derive(Clone, Debug, Serialize)]
pub struct Consumer {
    name: String,
    created: String,
    settled: u64,
    lag: u64,
    acknowledged: u64,
    set_aside: u64,
    letters: usize,
    settings: BTreeMap<&'static str, String>,
    outstanding: Vec<Unsettled>,
}

/// An event that was delivered and is not settled.
#[derive(Clone, Debug, Serialize)]
struct Unsettled {
    event: String,
    position: u64,
    deliveries: u32,
    first: String,
    due: String,
    token: Option<String>,
}

impl From<&Outstanding> for Unsettled {
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

impl From<&ConsumerInfo> for Consumer {
    fn from(info: &ConsumerInfo) -> Self {
        Self {
            name: info.name.clone(),
            created: info.created.to_string(),
            settled: info.settled.get(),
            lag: info.lag,
            acknowledged: info.acknowledged,
            set_aside: info.set_aside,
            letters: info.letters,
            settings: info.config.settings().into_iter().collect(),
            outstanding: info.outstanding.iter().map(Unsettled::from).collect(),
        }
    }
}

/// An event that is handed out.
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
pub struct DeadLetter {
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

impl From<&Letter> for DeadLetter {
    /// As it stands in a list: without the event.
    fn from(letter: &Letter) -> Self {
        Self {
            owner: letter.owner.to_string(),
            position: letter.position.get(),
            at: letter.at.to_string(),
            id: letter.id.to_string(),
            kind: letter.kind.clone(),
            error: letter.error.clone(),
            deliveries: letter.deliveries,
            first: letter.first.to_string(),
            last: letter.last.to_string(),
            again: letter.again,
            event: None,
        }
    }
}

impl DeadLetter {
    /// With its event.
    #[must_use]
    pub fn with(letter: &Letter, event: &Event) -> Self {
        Self { event: raw(event), ..Self::from(letter) }
    }
}
