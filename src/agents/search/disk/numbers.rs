//! Numbers of one to ten bytes, seven bits in each.

use super::unusable::Unusable;

pub(super) fn put(mut number: u64, out: &mut Vec<u8>) {
    while number >= 0x80 {
        out.push(number as u8 | 0x80);
        number >>= 7;
    }
    out.push(number as u8);
}

/// Bytes that are read from front to back.
#[derive(Clone, Copy, Debug)]
pub(super) struct Numbers<'a>(pub(super) &'a [u8]);

impl<'a> Numbers<'a> {
    pub(super) fn is_empty(self) -> bool {
        self.0.is_empty()
    }

    #[inline]
    pub(super) fn take(&mut self) -> Result<u64, Unusable> {
        let (mut number, mut shift) = (0_u64, 0);
        while let Some((byte, rest)) = self.0.split_first() {
            self.0 = rest;
            number |= u64::from(byte & 0x7f) << shift;
            if byte & 0x80 == 0 {
                return Ok(number);
            }
            shift += 7;
            if shift > 63 {
                break;
            }
        }
        Err(Unusable::new("a number in it ends early"))
    }

    #[inline]
    pub(super) fn take_small(&mut self) -> Result<u32, Unusable> {
        u32::try_from(self.take()?).map_err(|_| Unusable::new("a number in it is too large"))
    }

    pub(super) fn bytes(&mut self, len: u64) -> Result<&'a [u8], Unusable> {
        let split = usize::try_from(len).ok().and_then(|len| self.0.split_at_checked(len));
        let (bytes, rest) = split.ok_or_else(|| Unusable::new("it ends early"))?;
        self.0 = rest;
        Ok(bytes)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_come_back_and_other_bytes_are_refused() {
        let all = [0, 1, 127, 128, 300, u64::from(u32::MAX), u64::MAX];
        let mut bytes = Vec::new();
        all.iter().for_each(|number| put(*number, &mut bytes));
        let mut numbers = Numbers(&bytes);
        all.iter().for_each(|number| assert_eq!(numbers.take().unwrap(), *number));
        assert!(numbers.is_empty() && numbers.take().is_err() && numbers.bytes(1).is_err());
        assert!(Numbers(&[0x80]).take().is_err());
        assert!(Numbers(&[0xff; 20]).take().is_err());
        assert!(Numbers(&[0xff, 0xff, 0xff, 0xff, 0xff, 0x01]).take_small().is_err());
    }
}
