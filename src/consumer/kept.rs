//! What is kept of a consumer: a header, which every commit changes, and a record for each branch with something
//! unresolved. Whoever changes anything expects the header as it was last seen, so of two processes that decide at the same time one
//! is refused, reads what the other has done, and decides anew.

use std::collections::HashMap;

use crate::codec::{ConsumerRow, LaneRow};
use crate::delivery::check;
use crate::error::{Error, Result};
use crate::event::{BranchName, Place, SessionId};
use crate::store::{Records, SidecarRange, SidecarRecord, SidecarTable, SidecarWrites};

const ROW: u8 = b'c';

/// The key of the header, with which those of the branches begin.
fn header_key(name: &str) -> Vec<u8> {
    [&[ROW, 0], name.as_bytes()].concat()
}

fn lane_key(name: &str, place: &Place) -> Vec<u8> {
    let (session, branch) = (place.session.as_str().as_bytes(), place.branch.as_str().as_bytes());
    [&header_key(name)[..], &[0], session, b"/", branch].concat()
}

/// Everything that is stored of this consumer, as of one moment: its header, then its branches.
fn records_of(view: &Records, name: &str) -> Result<Vec<SidecarRecord>> {
    let key = header_key(name);
    // No name of a branch holds this byte.
    let last = [&key[..], &[0, 0xff]].concat();
    view.rows(
        SidecarTable::Consumers,
        &SidecarRange { to: Some(&last), ..SidecarRange::under(&key, usize::MAX) },
    )
}

/// A key's name, and what follows it.
fn named(key: &[u8]) -> Option<(&str, Option<&[u8]>)> {
    let rest = key.strip_prefix(&[ROW, 0])?;
    let mut parts = rest.splitn(2, |byte| *byte == 0);
    Some((std::str::from_utf8(parts.next()?).ok()?, parts.next()))
}

fn place(key: &[u8]) -> Option<Place> {
    let (session, branch) = std::str::from_utf8(key).ok()?.split_once('/')?;
    Some(Place::new(SessionId::new(session).ok()?, BranchName::new(branch).ok()?))
}

/// A consumer as it is stored.
#[derive(Clone, Debug)]
pub(super) struct Kept {
    name: String,
    /// The bytes of the header, which the next commit expects.
    header: Option<Vec<u8>>,
    pub(super) row: ConsumerRow,
    lanes: HashMap<Place, LaneRow>,
    /// The header holds the branches itself, as an older release wrote it.
    whole: bool,
}

/// What a commit makes of it.
#[derive(Debug)]
pub(super) struct Rewritten {
    header: Vec<u8>,
    row: ConsumerRow,
    lanes: Vec<(Place, Option<LaneRow>)>,
}

impl Rewritten {
    /// The branches of which something else is stored then.
    pub(super) fn lanes(&self) -> impl Iterator<Item = &Place> {
        self.lanes.iter().map(|(place, _)| place)
    }
}

impl Kept {
    /// One that is to be made.
    pub(super) fn new(name: &str, row: ConsumerRow) -> Self {
        Self { name: name.to_owned(), header: None, row, lanes: HashMap::new(), whole: false }
    }

    /// The consumer of this name.
    pub(super) fn read(view: &Records, name: &str) -> Result<Option<Self>> {
        let mut found = None;
        for record in records_of(view, name)? {
            take_record(&mut found, &record.key, &record.value?)?;
        }
        found.map(Self::checked).transpose()
    }

    /// All consumers, in the order of their names.
    pub(super) fn read_all(view: &Records) -> Result<Vec<Self>> {
        let (mut all, mut found) = (Vec::new(), None);
        for record in view.rows(SidecarTable::Consumers, &SidecarRange::under(&[ROW, 0], usize::MAX))? {
            all.extend(take_record(&mut found, &record.key, &record.value?)?);
        }
        all.extend(found);
        all.into_iter().map(Self::checked).collect()
    }

    /// Removes everything that is stored under the name, readable or not, unless it has changed since.
    pub(super) fn remove(view: &Records, name: &str, records: &mut SidecarWrites) -> Result<bool> {
        let (key, found) = (header_key(name), records_of(view, name)?);
        let any = !found.is_empty();
        for record in found {
            if record.key == key
                && let Ok(header) = record.value
            {
                records.expect(SidecarTable::Consumers, key.clone(), Some(header));
            }
            records.remove(SidecarTable::Consumers, record.key);
        }
        Ok(any)
    }

    fn checked(self) -> Result<Self> {
        let broken = |reason: String| Error::corrupt(format!("consumer {}", self.name), reason);
        let (found, wanted) = (self.lanes.len(), self.row.lanes);
        if usize::try_from(wanted) != Ok(found) {
            return Err(broken(format!("it holds {wanted} branches, of which {found} can be found")));
        }
        check(self.row.scanned, self.row.next_delivery, self.lanes.values())
            .map_err(|reason| broken(reason.to_owned()))?;
        Ok(self)
    }

    pub(super) fn name(&self) -> &str {
        &self.name
    }

    /// The branches with something unresolved, in the order of their names.
    pub(super) fn lanes(&self) -> Vec<LaneRow> {
        let mut lanes: Vec<LaneRow> = self.lanes.values().cloned().collect();
        lanes.sort_unstable_by(|a, b| a.place.cmp(&b.place));
        lanes
    }

    /// The key of the header and its bytes, as they were seen here.
    pub(super) fn header(&self) -> (Vec<u8>, Option<Vec<u8>>) {
        (header_key(&self.name), self.header.clone())
    }

    /// Adds the records that make this of it, unless somebody else has changed it.
    pub(super) fn write(
        &self,
        row: &ConsumerRow,
        lanes: Vec<(Place, Option<LaneRow>)>,
        writer: u64,
        records: &mut SidecarWrites,
    ) -> Rewritten {
        let mut changes = lanes;
        changes.retain(|(place, lane)| self.lanes.get(place) != lane.as_ref());
        let mut count = self.row.lanes;
        for (place, lane) in &changes {
            match (self.lanes.contains_key(place), lane) {
                (false, Some(_)) => count = count.saturating_add(1),
                (true, None) => count = count.saturating_sub(1),
                _ => {}
            }
        }
        let turn = self.row.turn.saturating_add(1);
        let row = ConsumerRow { turn, writer, lanes: count, ..row.clone() };
        let (key, header) = (header_key(&self.name), row.encode());
        records.expect(SidecarTable::Consumers, key.clone(), self.header.clone());
        records.put(SidecarTable::Consumers, key, header.clone());
        for (place, lane) in &changes {
            match lane {
                Some(lane) => {
                    records.put(SidecarTable::Consumers, lane_key(&self.name, place), lane.encode());
                }
                None if self.whole => {}
                None => records.remove(SidecarTable::Consumers, lane_key(&self.name, place)),
            }
        }
        if self.whole {
            // They move to records of their own.
            let moved =
                self.lanes.values().filter(|lane| changes.iter().all(|(place, _)| *place != lane.place));
            for lane in moved {
                records.put(SidecarTable::Consumers, lane_key(&self.name, &lane.place), lane.encode());
            }
        }
        Rewritten { header, row, lanes: changes }
    }

    /// What [`write`](Self::write) added is written.
    pub(super) fn written(&mut self, next: Rewritten) {
        (self.header, self.row, self.whole) = (Some(next.header), next.row, false);
        for (place, lane) in next.lanes {
            match lane {
                Some(lane) => drop(self.lanes.insert(place, lane)),
                None => drop(self.lanes.remove(&place)),
            }
        }
    }
}

/// Takes a record of the table, in the order of the keys: gives the consumer before when another begins.
fn take_record(found: &mut Option<Kept>, key: &[u8], value: &[u8]) -> Result<Option<Kept>> {
    let unnamed = || Error::corrupt(format!("consumer {}", key.escape_ascii()), "its key holds no name");
    let (name, lane) = named(key).ok_or_else(unnamed)?;
    let broken = |reason: String| Error::corrupt(format!("consumer {name}"), reason);
    let Some(lane) = lane else {
        let (row, lanes) = ConsumerRow::decode(value).map_err(|e| broken(e.to_string()))?;
        let mut kept = Kept::new(name, row);
        (kept.header, kept.whole) = (Some(value.to_vec()), !lanes.is_empty());
        let count = lanes.len();
        kept.lanes = lanes.into_iter().map(|lane| (lane.place.clone(), lane)).collect();
        if kept.lanes.len() < count {
            return Err(broken("it holds a branch twice".into()));
        }
        return Ok(found.replace(kept));
    };
    let place = place(lane).ok_or_else(|| broken("a key of it names no branch".into()))?;
    let kept = found.as_mut().filter(|kept| kept.name == name);
    let kept = kept.ok_or_else(|| broken("its header is missing; remove it and make it anew".into()))?;
    let lane = LaneRow::decode(place.clone(), value).map_err(|e| broken(format!("branch {place}: {e}")))?;
    kept.lanes.insert(place, lane);
    Ok(None)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::codec::{DeliveredRow, SettingsRow};
    use crate::consumer::ConsumerConfig;
    use crate::event::NewEvent;
    use crate::store::Store;

    fn lane(session: &str, rest: Option<(u64, u64, u64)>, head: Option<DeliveredRow>) -> LaneRow {
        LaneRow { place: Place::new(session.try_into().unwrap(), "main".try_into().unwrap()), rest, head }
    }

    fn head(position: u64, delivery: Option<u64>) -> DeliveredRow {
        let (sequence, first, again) = (position, 1, false);
        DeliveredRow { sequence, position, deliveries: 1, first, again, delivery, due: i64::MAX }
    }

    /// A consumer as a release of one row has left it: `a` is out with the first of two events, `b` failed.
    fn old() -> (ConsumerRow, Vec<LaneRow>) {
        let settings: SettingsRow = ConsumerConfig::new().to_row();
        let row = ConsumerRow {
            mark: None,
            id: [7; 16],
            created: 5,
            settings,
            turn: 0,
            writer: 0,
            since: None,
            scanned: 3,
            next_delivery: 4,
            acknowledged: 9,
            set_aside: 1,
            lanes: 0,
        };
        let lanes = vec![
            lane("a", Some((0, 0, 2)), Some(head(1, Some(3)))),
            lane("b", Some((0, 2, 1)), Some(DeliveredRow { sequence: 1, due: 0, ..head(3, None) })),
        ];
        (row, lanes)
    }

    fn with(records: impl IntoIterator<Item = (Vec<u8>, Vec<u8>)>) -> Store {
        let store = Store::in_memory().unwrap();
        for session in ["a", "a", "b"] {
            store.append(session, NewEvent::new("a.b")).unwrap();
        }
        let mut writes = SidecarWrites::new();
        records.into_iter().for_each(|(key, value)| writes.put(SidecarTable::Consumers, key, value));
        store.write_records(writes).unwrap();
        store
    }

    fn keys(store: &Store) -> Vec<String> {
        let all = SidecarRange::under(&[], usize::MAX);
        let rows = store.reader().unwrap().records().rows(SidecarTable::Consumers, &all).unwrap();
        rows.iter().map(|row| row.key.escape_ascii().to_string()).collect()
    }

    #[tokio::test]
    async fn one_row_of_an_older_release_becomes_a_header_and_its_branches() {
        let (row, lanes) = old();
        let store =
            with([(header_key("c"), row.encode_whole(&lanes)), (header_key("cc"), row.encode_whole(&[]))]);
        let before = store.consumers().info("c").unwrap();
        assert_eq!((before.acknowledged, before.set_aside, before.outstanding.len()), (9, 1, 2));
        assert_eq!(keys(&store).len(), 2);
        let consumer = store.consumers().open_existing("c").await.unwrap();
        // The one that failed is due; the other is out, and its token is good.
        let again = consumer.next().await.unwrap();
        assert_eq!((again.event().address().to_string(), again.deliveries()), ("b/main@1".into(), 2));
        assert_eq!(keys(&store), ["c\\x00c", "c\\x00c\\x00a/main", "c\\x00c\\x00b/main", "c\\x00cc"]);
        consumer.ack(&before.outstanding[0].token.unwrap()).await.unwrap();
        again.ack().await.unwrap();
        let second = consumer.next().await.unwrap();
        assert_eq!(second.event().address().to_string(), "a/main@2");
        second.ack().await.unwrap();
        let after = store.consumers().info("c").unwrap();
        assert_eq!((after.acknowledged, after.lag, after.outstanding.len()), (12, 0, 0));
        assert_eq!(keys(&store), ["c\\x00c", "c\\x00cc"]);
        assert_eq!(store.consumers().list().unwrap().len(), 2);
    }

    #[tokio::test]
    async fn a_consumer_that_has_seen_another_event_does_not_go_on_as_if_nothing_was() {
        let mark = |store: &Store| store.reader().unwrap().mark_at(3.into()).unwrap();
        for (scanned, is_there) in [(3, true), (3, false), (4, false)] {
            let store = with([]);
            let known = mark(&store).filter(|_| is_there).unwrap_or(7);
            let row = ConsumerRow { scanned, mark: Some(known), ..old().0 };
            let mut writes = SidecarWrites::new();
            writes.put(SidecarTable::Consumers, header_key("c"), row.encode());
            store.write_records(writes).unwrap();
            let opened = store.consumers().open_existing("c").await;
            if !is_there {
                let Err(Error::Diverged { what, at }) = &opened else { panic!("{opened:?}") };
                assert_eq!((what.as_str(), at.clone()), ("consumer c", format!("position {scanned}")));
                continue;
            }
            // It keeps the mark of the last event that it has scanned.
            store.append("a", NewEvent::new("a.b")).unwrap();
            let consumer = opened.unwrap();
            consumer.next().await.unwrap().ack().await.unwrap();
            consumer.close().await;
            let kept = Kept::read(&store.reader().unwrap().records(), "c").unwrap().unwrap();
            assert_eq!(
                (kept.row.scanned, kept.row.mark),
                (4, store.reader().unwrap().mark_at(4.into()).unwrap())
            );
        }
        // One that is made at the end has seen nothing, and knows where it began.
        let store = with([]);
        store.consumers().open("new", ConsumerConfig::new().from_end()).await.unwrap().close().await;
        let kept = Kept::read(&store.reader().unwrap().records(), "new").unwrap().unwrap();
        assert_eq!((kept.row.scanned, kept.row.mark), (3, mark(&store)));
    }

    #[test]
    fn a_row_that_holds_a_branch_twice_is_damage() {
        let (row, lanes) = old();
        let twice = [lanes[0].clone(), lanes[0].clone()];
        let store = with([(header_key("c"), row.encode_whole(&twice))]);
        let told = store.consumers().info("c").unwrap_err().to_string();
        assert!(told.contains("a branch twice"), "{told}");
    }

    #[tokio::test]
    async fn a_branch_that_is_lost_or_has_no_header_is_damage_and_can_be_removed() {
        let (row, lanes) = old();
        let header = ConsumerRow { lanes: 2, ..row };
        let first = (lane_key("c", &lanes[0].place), lanes[0].encode());
        for records in [vec![(header_key("c"), header.encode()), first.clone()], vec![first]] {
            let store = with(records);
            for broken in [
                store.consumers().info("c").map(drop),
                store.consumers().list().map(drop),
                store.consumers().open("c", ConsumerConfig::new()).await.map(drop),
            ] {
                assert!(matches!(&broken, Err(Error::Corrupt { .. })), "{broken:?}");
            }
            store.consumers().remove("c").await.unwrap();
            assert_eq!(keys(&store), [""; 0]);
            store.consumers().open("c", ConsumerConfig::new()).await.unwrap();
        }
    }
}
