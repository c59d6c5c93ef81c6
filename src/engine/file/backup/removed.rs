//! Positions of removed events.

use crate::codec::Chunk;
use crate::engine::file::moment::Moment;
use crate::error::Result;

/// Positions of which the events were removed: the first and the last of each span.
#[derive(Debug, Default)]
pub(super) struct Removed(pub(super) Vec<(u64, u64)>);

impl Removed {
    pub(super) fn of(moment: &Moment<'_>) -> Result<Self> {
        let mut spans: Vec<(u64, u64)> = Vec::new();
        moment.runs_from(1, |at, run| {
            let end = at + u64::from(run.count) - 1;
            match spans.last_mut() {
                _ if !run.is_removed() => {}
                Some((_, last)) if *last + 1 == at => *last = end,
                _ => spans.push((at, end)),
            }
            Ok(())
        })?;
        Ok(Self(spans))
    }

    /// Whether all of these are among them.
    pub(super) fn has_all(&self, others: &Self) -> bool {
        others.0.iter().all(|(first, last)| {
            let next = self.0.partition_point(|(_, end)| end < first);
            self.0.get(next).is_some_and(|(from, end)| from <= first && last <= end)
        })
    }

    pub(super) fn has(&self, position: u64) -> bool {
        self.meets(position, position)
    }

    /// Whether one lies between the first and the last of a chunk: it may be that of another branch.
    pub(super) fn touches(&self, chunk: &Chunk) -> bool {
        let at = |sequence| chunk.entry(sequence).map_or(0, |(position, ..)| position);
        self.meets(at(chunk.first()), at(chunk.last()))
    }

    fn meets(&self, first: u64, last: u64) -> bool {
        let next = self.0.partition_point(|(_, end)| *end < first);
        self.0.get(next).is_some_and(|(from, _)| *from <= last)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn spans_are_among_others_when_each_lies_in_one() {
        let all = Removed(vec![(2, 5), (8, 8)]);
        let has = |spans: &[(u64, u64)]| all.has_all(&Removed(spans.to_vec()));
        assert!(has(&[]) && has(&[(2, 5)]) && has(&[(3, 3), (5, 5), (8, 8)]));
        assert!(!has(&[(1, 2)]) && !has(&[(5, 6)]) && !has(&[(6, 7)]) && !has(&[(8, 9)]) && !has(&[(9, 9)]));
        assert!(all.has(5) && !all.has(6));
    }
}
