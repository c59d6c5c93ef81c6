//! The only calls of bincode: standard configuration, always with a limit.

use bincode::config::{Configuration, Limit, LittleEndian, Varint};
use bincode::de::BorrowDecoder;
use bincode::enc::write::Writer;
use bincode::error::{DecodeError, EncodeError};
use bincode::{BorrowDecode, Encode};

use super::Malformed;

/// Borrowed decoding allocates nothing by a length, so the limit only has to stop absurd ones.
const LIMIT: usize = 1 << 30;

type Config = Configuration<LittleEndian, Varint, Limit<LIMIT>>;

const fn config() -> Config {
    bincode::config::standard().with_limit::<LIMIT>()
}

struct Tail<'a>(&'a mut Vec<u8>);

impl Writer for Tail<'_> {
    fn write(&mut self, bytes: &[u8]) -> Result<(), EncodeError> {
        self.0.extend_from_slice(bytes);
        Ok(())
    }
}

/// Appends the encoding of a value.
pub(super) fn put<T: Encode>(value: T, out: &mut Vec<u8>) {
    let written = bincode::encode_into_writer(value, Tail(out), config());
    debug_assert!(written.is_ok(), "a vector takes every byte: {written:?}");
}

/// Decodes one value from the front.
pub(super) fn take<'a, T: BorrowDecode<'a, ()>>(bytes: &mut &'a [u8]) -> Result<T, Malformed> {
    let (value, used) = bincode::borrow_decode_from_slice(bytes, config()).map_err(explain)?;
    *bytes = bytes.get(used..).unwrap_or_default();
    Ok(value)
}

/// Decodes one value, which must use up all bytes.
pub(super) fn take_all<'a, T: BorrowDecode<'a, ()>>(mut bytes: &'a [u8]) -> Result<T, Malformed> {
    let value = take(&mut bytes)?;
    if bytes.is_empty() { Ok(value) } else { Err(Malformed::new("bytes are left over")) }
}

/// Takes this many plain bytes from the front.
pub(super) fn take_bytes<'a>(bytes: &mut &'a [u8], count: usize) -> Result<&'a [u8], Malformed> {
    let (head, tail) = bytes.split_at_checked(count).ok_or(Malformed::new("it ends early"))?;
    *bytes = tail;
    Ok(head)
}

fn explain(e: DecodeError) -> Malformed {
    match e {
        DecodeError::UnexpectedEnd { .. } => Malformed::new("it ends early"),
        DecodeError::LimitExceeded => Malformed::new("a length in it passes the limit"),
        DecodeError::Utf8 { .. } => Malformed::new("a text in it is not UTF-8"),
        other => Malformed(format!("{other:?}").into()),
    }
}

/// A list that is refused, before anything is allocated for it, when it is longer than `MAX`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Bounded<T, const MAX: u32>(pub Vec<T>);

impl<T: Encode, const MAX: u32> Encode for Bounded<T, MAX> {
    fn encode<E: bincode::enc::Encoder>(&self, encoder: &mut E) -> Result<(), EncodeError> {
        let count = u32::try_from(self.0.len()).map_err(|_| EncodeError::Other("a list is too long"))?;
        count.encode(encoder)?;
        self.0.iter().try_for_each(|item| item.encode(encoder))
    }
}

impl<'de, T: BorrowDecode<'de, C>, C, const MAX: u32> BorrowDecode<'de, C> for Bounded<T, MAX> {
    fn borrow_decode<D: BorrowDecoder<'de, Context = C>>(decoder: &mut D) -> Result<Self, DecodeError> {
        let count = u32::borrow_decode(decoder)?;
        if count > MAX {
            return Err(DecodeError::LimitExceeded);
        }
        // Not reserved by `count`, which may be wrong.
        let mut items = Vec::new();
        for _ in 0..count {
            items.push(T::borrow_decode(decoder)?);
        }
        Ok(Self(items))
    }
}
