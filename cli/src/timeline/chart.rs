//! What to draw.

use super::scale::{Scale, lasted};
use super::tree::Row;
use crate::table::clean;
use crate::view::{count, grouped};
use retold::project::{Lasting, Timeline};

pub(super) struct Chart<'a> {
    pub(super) title: String,
    pub(super) timeline: &'a Timeline,
    pub(super) rows: Vec<Row<'a>>,
    /// Entities that are not shown.
    pub(super) others: usize,
    pub(super) scale: Scale,
}

impl Chart<'_> {
    pub(super) fn subtitle(&self) -> String {
        let entities = match self.rows.len() + self.others {
            1 => "1 entity".to_owned(),
            n => format!("{} entities", grouped(n as u64)),
        };
        let events = count(self.timeline.events(), "event");
        format!("{entities} in {events}, {} from {}", lasted(self.scale.micros()), self.scale.begin())
    }
}

/// The label of a bar: of a tool, its name and what tells the call from others. Else a name says more than a long id.
pub(super) fn label(entity: &Lasting) -> String {
    const SHORT: usize = 14;
    let name = entity.name.as_deref().map(clean).filter(|name| *name != entity.id);
    let id = Some(clean(&entity.id)).filter(|id| !id.is_empty());
    if let Some(detail) = &entity.detail {
        let name = name.or(id).unwrap_or_else(|| clean(&entity.kind));
        return format!("{name} {}", clean(detail));
    }
    let id = id.filter(|id| name.is_none() || id.chars().count() <= SHORT);
    [Some(clean(&entity.kind)), id, name].into_iter().flatten().collect::<Vec<_>>().join(" ")
}
