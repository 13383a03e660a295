//! Reading content, a chunk at a time.

use std::io::{self, Read};
use std::ops::Range;
use std::sync::Arc;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;

use super::{Content, Part, Spool, base64_text, to_index};

/// Bytes read at once; a multiple of 12, so that base64 goes through in whole groups both ways.
pub(super) const CHUNK: usize = 12 * 16 * 1024;

/// Reads a [`Content`] from its start to its end.
pub struct ContentReader(Source);

enum Source {
    Memory(Bytes),
    Spooled { spool: Arc<dyn Spool>, range: Range<u64> },
    Joined { rest: Arc<[Content]>, next: usize, current: Option<Box<ContentReader>> },
    Encoded { inner: Box<ContentReader>, input: Vec<u8>, ready: Ready },
    Window { inner: Box<ContentReader>, skip: u64, left: u64 },
    Decoded { inner: Box<ContentReader>, input: Vec<u8>, ahead: Vec<u8>, ready: Ready, expected: u64 },
}

/// Output that was made and not yet taken.
#[derive(Default)]
struct Ready {
    bytes: Vec<u8>,
    taken: usize,
}

impl Ready {
    fn take(&mut self, buffer: &mut [u8]) -> usize {
        let rest = self.bytes.get(self.taken..).unwrap_or_default();
        let count = rest.len().min(buffer.len());
        if let (Some(target), Some(source)) = (buffer.get_mut(..count), rest.get(..count)) {
            target.copy_from_slice(source);
        }
        self.taken += count;
        count
    }

    fn is_empty(&self) -> bool {
        self.taken >= self.bytes.len()
    }
}

impl ContentReader {
    pub(super) fn new(content: &Content) -> Self {
        Self(match &content.0 {
            Part::Memory(bytes) => Source::Memory(bytes.clone()),
            Part::Spooled { spool, range } => Source::Spooled { spool: Arc::clone(spool), range: range.clone() },
            Part::Joined(parts) => Source::Joined { rest: Arc::clone(parts), next: 0, current: None },
            Part::Encoded(inner) => Source::Encoded {
                inner: Box::new(Self::new(inner)),
                input: vec![0; CHUNK / 4 * 3],
                ready: Ready::default(),
            },
            Part::Window { whole, range } => {
                Source::Window { inner: Box::new(Self::new(whole)), skip: range.start, left: range.end - range.start }
            }
            Part::Decoded { text, length } => Source::Decoded {
                inner: Box::new(Self::new(text)),
                input: vec![0; CHUNK],
                ahead: Vec::new(),
                ready: Ready::default(),
                expected: *length,
            },
        })
    }
}

/// Fills the buffer unless the reader ends.
fn fill(reader: &mut impl Read, buffer: &mut [u8]) -> io::Result<usize> {
    let mut filled = 0;
    while let Some(rest) = buffer.get_mut(filled..).filter(|rest| !rest.is_empty()) {
        match reader.read(rest) {
            Ok(0) => break,
            Ok(read) => filled += read,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    Ok(filled)
}

impl Read for ContentReader {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        match &mut self.0 {
            Source::Memory(bytes) => {
                let count = bytes.len().min(buffer.len());
                let taken = bytes.split_to(count);
                if let Some(target) = buffer.get_mut(..count) {
                    target.copy_from_slice(&taken);
                }
                Ok(count)
            }
            Source::Spooled { spool, range } => read_spool(&**spool, range, buffer),
            Source::Joined { rest, next, current } => loop {
                if let Some(reader) = current {
                    match reader.read(buffer)? {
                        0 => *current = None,
                        read => return Ok(read),
                    }
                }
                let Some(part) = rest.get(*next) else { return Ok(0) };
                *next += 1;
                *current = Some(Box::new(Self::new(part)));
            },
            Source::Window { inner, skip, left } => {
                if *skip > 0 {
                    io::copy(&mut inner.take(*skip), &mut io::sink())?;
                    *skip = 0;
                }
                let read = inner.take(*left).read(buffer)?;
                *left -= u64::try_from(read).unwrap_or(0);
                Ok(read)
            }
            Source::Encoded { inner, input, ready } => {
                if ready.is_empty() {
                    let read = fill(inner, input)?;
                    ready.bytes.resize(read.div_ceil(3) * 4, 0);
                    ready.taken = 0;
                    let source = input.get(..read).unwrap_or_default();
                    STANDARD.encode_slice(source, &mut ready.bytes).map_err(io::Error::other)?;
                }
                Ok(ready.take(buffer))
            }
            Source::Decoded { inner, input, ahead, ready, expected } => {
                if ready.is_empty() {
                    decode_next(inner, input, ahead, ready, expected)?;
                }
                Ok(ready.take(buffer))
            }
        }
    }
}

fn read_spool(spool: &dyn Spool, range: &mut Range<u64>, buffer: &mut [u8]) -> io::Result<usize> {
    let left = to_index(range.end - range.start);
    let count = left.min(buffer.len());
    let Some(target) = buffer.get_mut(..count).filter(|target| !target.is_empty()) else { return Ok(0) };
    match spool.read_at(range.start, target)? {
        0 => Err(io::ErrorKind::UnexpectedEof.into()),
        read => {
            range.start += u64::try_from(read).unwrap_or(0);
            Ok(read)
        }
    }
}

/// Decodes the next piece. One piece is read ahead, since only the last one may end in padding.
fn decode_next(
    inner: &mut ContentReader,
    input: &mut [u8],
    ahead: &mut Vec<u8>,
    ready: &mut Ready,
    expected: &mut u64,
) -> io::Result<()> {
    if ahead.is_empty() {
        let read = fill(inner, input)?;
        ahead.extend_from_slice(input.get(..read).unwrap_or_default());
    }
    let read = fill(inner, input)?;
    let last = read == 0;
    ready.taken = 0;
    base64_text::decode_piece(ahead, last, &mut ready.bytes)?;
    ahead.clear();
    ahead.extend_from_slice(input.get(..read).unwrap_or_default());
    let made = u64::try_from(ready.bytes.len()).unwrap_or(u64::MAX);
    // The length went into the signed bytes before the text was read; both must agree.
    match expected.checked_sub(made) {
        Some(left) if !last || left == 0 => *expected = left,
        _ => return Err(io::Error::new(io::ErrorKind::InvalidData, super::Base64Error::Character)),
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pattern(length: usize) -> Vec<u8> {
        (0..length).map(|index| u8::try_from(index * 7 % 251).unwrap()).collect()
    }

    #[test]
    fn base64_undoes_base64_at_every_length_around_a_chunk() {
        for length in [0, 1, 2, 3, 4, CHUNK / 4 * 3 - 1, CHUNK / 4 * 3, CHUNK / 4 * 3 + 1, CHUNK, 2 * CHUNK + 5] {
            let plain = pattern(length);
            let text = Content::from(plain.clone()).to_base64();
            let encoded = text.read_all().unwrap();
            assert_eq!(text.length(), u64::try_from(encoded.len()).unwrap(), "{length}");
            let back = Content::from(encoded).from_base64().unwrap();
            assert_eq!(back.length(), u64::try_from(length).unwrap());
            assert_eq!(back.read_all().unwrap(), plain, "{length}");
        }
    }

    #[test]
    fn url_safe_and_unpadded_text_reads_the_same() {
        for text in ["+/8=", "-_8=", "+/8", "-_8"] {
            let content = Content::from(text.to_owned()).from_base64().unwrap();
            assert_eq!(&content.read_all().unwrap()[..], [0xfb, 0xff], "{text}");
        }
    }

    #[test]
    fn padding_in_the_middle_and_foreign_characters_are_refused() {
        for text in ["QQ==QQ==", "Q Q=", "QQ=", "Q", "Q===", "QQ\n="] {
            let content = Content::from(text.to_owned()).from_base64();
            assert!(content.is_err() || content.unwrap().read_all().is_err(), "{text:?}");
        }
    }

    #[test]
    fn joined_parts_read_in_order() {
        let parts = Content::joined([Content::from("a"), Content::from(""), Content::from("bc")]);
        assert_eq!(&parts.read_all().unwrap()[..], b"abc");
        assert_eq!(&parts.slice(1..9).read_all().unwrap()[..], b"bc");
        assert_eq!(&parts.slice(1..3).slice(1..2).read_all().unwrap()[..], b"c");
        assert_eq!(parts.slice(1..2).length(), 1);
        assert!(parts.slice(7..9).read_all().unwrap().is_empty());
    }
}
