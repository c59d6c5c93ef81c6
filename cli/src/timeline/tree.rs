//! The rows of a timeline as a tree.

use std::collections::BTreeMap;

use retold::project::Lasting;

/// Columns of a level of the tree.
pub(super) const LEVEL: usize = 2;

/// An entity, and how it hangs below the one that it is inside.
pub(super) struct Row<'a> {
    pub(super) entity: &'a Lasting,
    /// Its tree lines, two columns for each level.
    pub(super) stem: String,
    /// How many of the shown entities it is inside.
    pub(super) depth: usize,
    /// The row of the one that it is directly inside.
    pub(super) above: Option<usize>,
}

/// The shown entities, each below the nearest shown one that it is inside, in order of appearance.
pub(super) fn tree<'a>(all: &'a [Lasting], shown: &[usize]) -> Vec<Row<'a>> {
    let is_shown = |at: &usize| shown.binary_search(at).is_ok();
    let mut children: BTreeMap<Option<usize>, Vec<usize>> = BTreeMap::new();
    for at in shown {
        let up = std::iter::successors(all.get(*at).and_then(|e| e.parent), |at| all.get(*at)?.parent);
        children.entry(up.into_iter().find(is_shown)).or_default().push(*at);
    }
    let mut rows: Vec<Row<'a>> = Vec::new();
    // The last one is drawn first: an explicit stack, so that depth costs only memory.
    let mut open: Vec<Open> = Vec::new();
    let roots = children.get(&None).into_iter().flatten().rev();
    open.extend(roots.map(|at| Open {
        at: *at,
        stem: String::new(),
        below: String::new(),
        depth: 0,
        above: None,
    }));
    while let Some(Open { at, stem, below, depth, above }) = open.pop() {
        let Some(entity) = all.get(at) else { continue };
        for (i, child) in children.get(&Some(at)).into_iter().flatten().rev().enumerate() {
            let (turn, line) = if i == 0 { ("└ ", "  ") } else { ("├ ", "│ ") };
            let (stem, below) = (format!("{below}{turn}"), format!("{below}{line}"));
            open.push(Open { at: *child, stem, below, depth: depth + 1, above: Some(rows.len()) });
        }
        rows.push(Row { entity, stem, depth, above });
    }
    rows
}

/// An entity that waits to be drawn.
struct Open {
    at: usize,
    stem: String,
    /// The lines below it.
    below: String,
    depth: usize,
    above: Option<usize>,
}

#[cfg(test)]
mod tests {
    use super::*;
    use retold::event::{Catalogue, NewEvent};
    use retold::project::Timeline;
    use retold::store::{Query, Store};

    #[test]
    fn every_entity_hangs_below_the_nearest_shown_one_around_it() {
        let store = Store::in_memory().unwrap();
        let tool = |id: &str| NewEvent::new("tool.invoked").data(serde_json::json!({"tool_call_id": id}));
        let step = |kind| NewEvent::new(kind).data(serde_json::json!({"index": 1}));
        let events = vec![
            NewEvent::new("run.started"),
            step("step.started"),
            tool("a"),
            tool("b"),
            step("step.completed"),
            tool("c"),
        ];
        store.append("s", events).unwrap();
        let mut timeline = Timeline::new(Catalogue::builtin().clone());
        for event in store.events(Query::branch("s").unwrap()).unwrap() {
            timeline.take(&event.unwrap());
        }
        let drawn = |shown: &[usize]| -> Vec<String> {
            let rows = tree(timeline.entities(), shown);
            rows.iter().map(|row| format!("{}{} {}", row.stem, row.entity.kind, row.entity.id)).collect()
        };
        assert_eq!(drawn(&[0, 1, 2, 3, 4]), ["run ", "├ step 1", "│ ├ tool a", "│ └ tool b", "└ tool c"]);
        assert_eq!(drawn(&[0, 3, 4]), ["run ", "├ tool b", "└ tool c"]);
        assert_eq!(drawn(&[2, 4]), ["tool a", "tool c"]);
        assert!(drawn(&[]).is_empty());
    }
}
