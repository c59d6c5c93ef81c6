//! Producers that send again what may not have come: each counts its requests within an epoch, and what was taken is not taken
//! twice. A later epoch keeps out what is left of an earlier one.

use axum::http::HeaderMap;

use super::record::ProducerRow;
use crate::input::{header_of, invalid};
use crate::problem::Problem;

/// The largest number that JavaScript counts to.
const MOST: u64 = (1 << 53) - 1;
/// Bytes of a producer's name.
const MOST_BYTES: usize = 512;

/// The names of the headers.
const ID: &str = "producer-id";
const EPOCH: &str = "producer-epoch";
const SEQ: &str = "producer-seq";

/// Who sends a request, and which of its requests it is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Producer {
    pub(super) id: String,
    pub(super) epoch: u64,
    pub(super) seq: u64,
}

/// What becomes of a request of a producer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Turn {
    /// It is the next one.
    Next,
    /// It was taken before; this is the last that was.
    Taken(ProducerRow),
    /// A later epoch has begun.
    Stale { epoch: u64 },
    /// An epoch begins with its first request.
    NoBeginning,
    /// One before it is missing.
    Gap { due: u64 },
}

impl Producer {
    /// The producer of a request, which has all three headers or none.
    pub(super) fn of(headers: &HeaderMap) -> Result<Option<Self>, Problem> {
        let given = (header_of(headers, ID)?, header_of(headers, EPOCH)?, header_of(headers, SEQ)?);
        match given {
            (None, None, None) => Ok(None),
            (Some(id), Some(epoch), Some(seq)) => {
                if id.is_empty() || id.len() > MOST_BYTES {
                    return Err(invalid("Producer-Id", format!("is to be 1 to {MOST_BYTES} bytes")));
                }
                let (epoch, seq) = (number("Producer-Epoch", epoch)?, number("Producer-Seq", seq)?);
                Ok(Some(Self { id: id.to_owned(), epoch, seq }))
            }
            _ => Err(invalid("Producer-Id", "comes with Producer-Epoch and Producer-Seq, all three or none")),
        }
    }

    /// What becomes of it after what was taken of this producer.
    pub(super) fn turn(&self, before: Option<ProducerRow>) -> Turn {
        let Some(before) = before else {
            return if self.seq == 0 { Turn::Next } else { Turn::Gap { due: 0 } };
        };
        let next = before.seq.saturating_add(1);
        match self.epoch.cmp(&before.epoch) {
            std::cmp::Ordering::Less => Turn::Stale { epoch: before.epoch },
            std::cmp::Ordering::Greater if self.seq == 0 => Turn::Next,
            std::cmp::Ordering::Greater => Turn::NoBeginning,
            std::cmp::Ordering::Equal if self.seq <= before.seq => Turn::Taken(before),
            std::cmp::Ordering::Equal if self.seq == next => Turn::Next,
            std::cmp::Ordering::Equal => Turn::Gap { due: next },
        }
    }

    /// What is kept once it was taken.
    pub(super) fn row(&self) -> ProducerRow {
        ProducerRow { epoch: self.epoch, seq: self.seq }
    }

    /// As the record of a stream that it closed has it.
    pub(super) fn tuple(&self) -> (String, u64, u64) {
        (self.id.clone(), self.epoch, self.seq)
    }
}

/// A number in digits alone.
fn number(name: &'static str, text: &str) -> Result<u64, Problem> {
    let digits = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    let number = digits.then(|| text.parse().ok()).flatten();
    number
        .filter(|number| *number <= MOST)
        .ok_or_else(|| invalid(name, format!("is to be a number up to {MOST}")))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sent(epoch: u64, seq: u64) -> Producer {
        Producer { id: "p".to_owned(), epoch, seq }
    }

    #[test]
    fn a_request_is_taken_once_and_in_its_turn() {
        let before = ProducerRow { epoch: 3, seq: 5 };
        let turn = |epoch, seq| sent(epoch, seq).turn(Some(before));
        assert_eq!((turn(3, 6), turn(4, 0)), (Turn::Next, Turn::Next));
        assert_eq!((turn(3, 5), turn(3, 0)), (Turn::Taken(before), Turn::Taken(before)));
        assert_eq!((turn(2, 6), turn(2, 0)), (Turn::Stale { epoch: 3 }, Turn::Stale { epoch: 3 }));
        assert_eq!((turn(4, 1), turn(3, 7)), (Turn::NoBeginning, Turn::Gap { due: 6 }));
        assert_eq!((sent(7, 0).turn(None), sent(0, 1).turn(None)), (Turn::Next, Turn::Gap { due: 0 }));
    }

    #[test]
    fn all_headers_are_there_or_none_and_numbers_are_numbers() {
        let of = |id: Option<&str>, epoch: Option<&str>, seq: Option<&str>| {
            let mut headers = HeaderMap::new();
            for (name, value) in [(ID, id), (EPOCH, epoch), (SEQ, seq)] {
                value.map(|value| headers.insert(name, value.parse().unwrap()));
            }
            Producer::of(&headers).map_err(|problem| problem.status().as_u16())
        };
        assert_eq!(of(None, None, None), Ok(None));
        assert_eq!(of(Some("p"), Some("3"), Some("5")), Ok(Some(sent(3, 5))));
        assert_eq!(of(Some("p"), Some("0"), Some("9007199254740991")).unwrap().unwrap().seq, MOST);
        for bad in ["", "-1", "+1", "1e3", "0x1", "1.0", " 1", "9007199254740992", "99999999999999999999"] {
            assert_eq!(of(Some("p"), Some(bad), Some("0")), Err(400), "{bad:?}");
            assert_eq!(of(Some("p"), Some("0"), Some(bad)), Err(400), "{bad:?}");
        }
        assert_eq!(of(Some(""), Some("0"), Some("0")), Err(400));
        assert_eq!(of(Some(&"p".repeat(513)), Some("0"), Some("0")), Err(400));
        assert_eq!(of(Some("p"), None, None), Err(400));
        assert_eq!(of(None, Some("0"), Some("0")), Err(400));
    }
}
