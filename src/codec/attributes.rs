//! What may change about a branch. Each attribute is a tagged field of its row; one that this release does not know is kept.

use bincode::{BorrowDecode, Encode};

use super::Malformed;
use super::extras::Extras;
use super::wire::{put, take_all};

const CONTENT_TYPE: u16 = 1;
const CLOSED: u16 = 2;
const EXPIRES: u16 = 3;
const IDLE: u16 = 4;
const DELETED: u16 = 5;
const INCARNATION: u16 = 6;
const TRUNCATED: u16 = 7;

/// A branch that expires once nobody has used it for a time.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Encode, BorrowDecode)]
pub struct IdleRow {
    /// The time, in microseconds.
    pub after: u64,
    /// When it was used last, as far as that was written, in microseconds since the epoch.
    pub used: i64,
}

/// The attributes of a branch. A new branch has none.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Attributes {
    /// The content type of its payloads, where one was declared.
    pub content_type: Option<String>,
    /// When it was closed, in microseconds since the epoch: nothing is appended after.
    pub closed: Option<i64>,
    /// When it expires, in microseconds since the epoch.
    pub expires: Option<i64>,
    /// It expires when it is not used.
    pub idle: Option<IdleRow>,
    /// When it was deleted, in microseconds since the epoch.
    pub deleted: Option<i64>,
    /// How many branches had its name before it.
    pub incarnation: u32,
    /// Events up to this sequence were removed.
    pub truncated: u64,
    /// Attributes that this release does not know.
    pub others: Extras,
}

fn field<T: Encode>(value: T) -> Vec<u8> {
    let mut out = Vec::new();
    put(value, &mut out);
    out
}

impl Attributes {
    /// Whether it has none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        *self == Self::default()
    }

    /// Whether it may be deleted by the store.
    #[must_use]
    pub fn may_expire(&self) -> bool {
        self.expires.is_some() || self.idle.is_some()
    }

    pub(super) fn fields(&self) -> Extras {
        let mut fields = self.others.clone();
        fields.set(CONTENT_TYPE, self.content_type.as_ref().map(|text| text.clone().into_bytes()));
        fields.set(CLOSED, self.closed.map(field));
        fields.set(EXPIRES, self.expires.map(field));
        fields.set(IDLE, self.idle.map(field));
        fields.set(DELETED, self.deleted.map(field));
        fields.set(INCARNATION, (self.incarnation > 0).then(|| field(self.incarnation)));
        fields.set(TRUNCATED, (self.truncated > 0).then(|| field(self.truncated)));
        fields
    }

    pub(super) fn of(mut fields: Extras) -> Result<Self, Malformed> {
        let content_type = match fields.get(CONTENT_TYPE) {
            None => None,
            Some(text) => {
                let text = std::str::from_utf8(text);
                Some(text.map_err(|_| Malformed::new("a text in it is not UTF-8"))?.to_owned())
            }
        };
        let time = |tag| fields.get(tag).map(take_all).transpose();
        let (closed, expires, deleted) = (time(CLOSED)?, time(EXPIRES)?, time(DELETED)?);
        let idle = fields.get(IDLE).map(take_all).transpose()?;
        let incarnation = fields.get(INCARNATION).map(take_all).transpose()?.unwrap_or_default();
        let truncated = fields.get(TRUNCATED).map(take_all).transpose()?.unwrap_or_default();
        for tag in [CONTENT_TYPE, CLOSED, EXPIRES, IDLE, DELETED, INCARNATION, TRUNCATED] {
            fields.set(tag, None);
        }
        Ok(Self { content_type, closed, expires, idle, deleted, incarnation, truncated, others: fields })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn attributes_come_back_with_those_that_this_release_does_not_know() {
        let mut others = Extras::default();
        others.set(300, Some(b"of a later release".to_vec()));
        let all = Attributes {
            content_type: Some("application/json".into()),
            closed: Some(1),
            expires: Some(-2),
            idle: Some(IdleRow { after: 3, used: 4 }),
            deleted: Some(5),
            incarnation: 6,
            truncated: 7,
            others,
        };
        assert_eq!(Attributes::of(all.fields()), Ok(all));
        assert_eq!(Attributes::of(Extras::default()), Ok(Attributes::default()));
        assert!(Attributes::default().fields().is_empty());
        let mut wrong = Extras::default();
        wrong.set(CLOSED, Some(b"not a time at all".to_vec()));
        assert!(Attributes::of(wrong).is_err());
    }
}
