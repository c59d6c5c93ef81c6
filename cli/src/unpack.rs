//! Compressed files. Codex packs its rollouts with zstd when they are a week old; what is read is what was packed.

use std::io::{self, BufRead, BufReader, Read};

use retold::limits::{MAX_UNPACK_WINDOW_BYTES, UNPACK_BYTES, UNPACK_FACTOR};
use ruzstd::decoding::errors::{FrameDecoderError, ReadFrameHeaderError};
use ruzstd::decoding::{BlockDecodingStrategy, FrameDecoder};

/// How the name of a compressed file ends.
const ENDING: &str = ".zst";
/// How its content begins.
const MAGIC: [u8; 4] = [0x28, 0xb5, 0x2f, 0xfd];

/// The name that a file has when it is not compressed: the file is the same either way.
pub(super) fn plain_name(name: &str) -> Option<&str> {
    let (plain, ending) = name.split_at_checked(name.len().checked_sub(ENDING.len())?)?;
    let is_packed = ending.eq_ignore_ascii_case(ENDING);
    (is_packed && !plain.is_empty() && !plain.ends_with(['/', '\\'])).then_some(plain)
}

/// Reads the first bytes, and says whether they begin a compressed file. The bytes are to be read again.
pub(super) fn is_packed(from: &mut dyn Read) -> io::Result<(bool, Vec<u8>)> {
    let mut head = Vec::new();
    from.take(MAGIC.len() as u64).read_to_end(&mut head)?;
    Ok((head == MAGIC, head))
}

/// The content of a compressed file. What would be far larger than the file is refused.
pub(super) struct Unpacking<R> {
    packed: BufReader<Counted<R>>,
    decoder: FrameDecoder,
    /// Whether a frame has been begun and not ended.
    is_open: bool,
    unpacked: u64,
}

struct Counted<R> {
    from: R,
    bytes: u64,
}

impl<R: Read> Read for Counted<R> {
    fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        let n = self.from.read(buf)?;
        self.bytes += n as u64;
        Ok(n)
    }
}

impl<R: Read> Unpacking<R> {
    pub(super) fn new(from: R) -> Self {
        let mut decoder = FrameDecoder::new();
        decoder.set_max_window_size(MAX_UNPACK_WINDOW_BYTES);
        let packed = BufReader::new(Counted { from, bytes: 0 });
        Self { packed, decoder, is_open: false, unpacked: 0 }
    }

    /// Begins the next frame, if there is one. Frames that hold no data are skipped.
    fn begin(&mut self) -> io::Result<bool> {
        while !self.packed.fill_buf()?.is_empty() {
            match self.decoder.reset(&mut self.packed) {
                Ok(()) => {
                    self.is_open = true;
                    return Ok(true);
                }
                Err(FrameDecoderError::ReadFrameHeaderError(ReadFrameHeaderError::SkipFrame {
                    length,
                    ..
                })) => {
                    let length = u64::from(length);
                    let skipped = io::copy(&mut self.packed.by_ref().take(length), &mut io::sink())?;
                    if skipped < length {
                        return Err(damaged("it is truncated"));
                    }
                }
                Err(e) => return Err(damaged(e)),
            }
        }
        Ok(false)
    }

    fn end(&mut self) -> io::Result<()> {
        self.is_open = false;
        let (given, is) = (self.decoder.get_checksum_from_data(), self.decoder.get_calculated_checksum());
        if given.is_some() && given != is {
            return Err(damaged("its checksum does not match"));
        }
        Ok(())
    }
}

impl<R: Read> Read for Unpacking<R> {
    fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        while self.decoder.can_collect() == 0 {
            if self.is_open && self.decoder.is_finished() {
                self.end()?;
            }
            if !self.is_open && !self.begin()? {
                return Ok(0);
            }
            if !self.decoder.is_finished() {
                let one = BlockDecodingStrategy::UptoBlocks(1);
                self.decoder.decode_blocks(&mut self.packed, one).map_err(damaged)?;
            }
        }
        let n = self.decoder.read(buf)?;
        self.unpacked += n as u64;
        let most = self.packed.get_ref().bytes.saturating_mul(UNPACK_FACTOR).max(UNPACK_BYTES);
        if self.unpacked > most {
            let what = format!(
                "unpacks to more than {UNPACK_FACTOR} times its size, like a decompression bomb; if it is \
                 genuine, unpack it with `zstd -d` and import the result"
            );
            return Err(io::Error::new(io::ErrorKind::InvalidData, what));
        }
        Ok(n)
    }
}

fn damaged(why: impl std::fmt::Display) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, format!("cannot be unpacked: {why}"))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use ruzstd::encoding::{CompressionLevel, compress_to_vec};

    use super::*;

    fn packed(bytes: &[u8]) -> Vec<u8> {
        compress_to_vec(bytes, CompressionLevel::Fastest)
    }

    fn unpacked(bytes: &[u8]) -> io::Result<Vec<u8>> {
        let mut out = Vec::new();
        Unpacking::new(bytes).read_to_end(&mut out).map(|_| out)
    }

    #[test]
    fn frames_that_follow_one_another_are_one_content() {
        let (a, b) = (b"{\"a\":1}\n".repeat(40_000), b"{\"b\":2}\n".repeat(3));
        let note = [&[0x50, 0x2a, 0x4d, 0x18, 3, 0, 0, 0][..], b"abc"].concat();
        let file = [packed(&a), note.clone(), packed(&b), packed(b""), note].concat();
        assert!(is_packed(&mut file.as_slice()).unwrap().0);
        assert!(unpacked(&file).unwrap() == [a, b].concat());
    }

    #[test]
    fn a_file_that_is_damaged_or_breaks_off_is_refused() {
        let whole = packed(&(0..20_000).flat_map(|n: u32| n.to_string().into_bytes()).collect::<Vec<_>>());
        for cut in [5, 20, whole.len() / 2, whole.len() - 1] {
            let e = unpacked(&whole[..cut]).unwrap_err();
            assert_eq!(e.kind(), io::ErrorKind::InvalidData, "{cut}");
            assert!(e.to_string().starts_with("cannot be unpacked: "), "{cut}: {e}");
        }
        let skipped = [&[0x50, 0x2a, 0x4d, 0x18, 9, 0, 0, 0][..], b"abc"].concat();
        assert!(unpacked(&skipped).unwrap_err().to_string().contains("it is truncated"));
    }

    #[test]
    fn a_bomb_is_refused_before_it_is_large() {
        // One block of 128 KiB that repeats a byte, without an end.
        let mut file = MAGIC.to_vec();
        file.extend_from_slice(&[0x00, 0x38]);
        let block = ((128u32 << 13) | 0b010).to_le_bytes();
        for _ in 0..10_000 {
            file.extend_from_slice(&block[..3]);
            file.push(b' ');
        }
        let mut bomb = Unpacking::new(file.as_slice());
        let e = io::copy(&mut bomb, &mut io::sink()).unwrap_err();
        assert!(e.to_string().contains("a decompression bomb"), "{e}");
        assert!(bomb.unpacked < UNPACK_BYTES + (1 << 20), "{}", bomb.unpacked);
        // Little of the same is no bomb.
        let spaces = vec![b' '; 1 << 20];
        assert!(unpacked(&packed(&spaces)).unwrap() == spaces);
    }

    #[test]
    fn a_window_that_takes_too_much_memory_is_refused() {
        // The largest window that a header can ask for.
        let e = unpacked(&[&MAGIC[..], &[0x00, 0xff, 1, 0, 0]].concat()).unwrap_err();
        assert!(e.to_string().contains("cannot be unpacked"), "{e}");
    }

    #[test]
    fn the_name_of_a_compressed_file_is_that_of_the_file() {
        assert_eq!(plain_name("a/rollout-1.jsonl.zst"), Some("a/rollout-1.jsonl"));
        assert_eq!(plain_name("A.JSONL.ZST"), Some("A.JSONL"));
        for other in ["a.jsonl", ".zst", "a/.zst", "zst", "", "a.zst.jsonl", "é.zs"] {
            assert_eq!(plain_name(other), None, "{other}");
        }
    }

    proptest! {
        #[test]
        fn whatever_follows_the_first_bytes_is_an_error_or_a_content(bytes: Vec<u8>, at: prop::sample::Index, to: u8) {
            let _ = unpacked(&[&MAGIC[..], &bytes].concat());
            let mut file = packed(&bytes);
            let at = at.index(file.len());
            file[at] = to;
            let _ = unpacked(&file);
        }
    }
}
