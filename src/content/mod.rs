//! Content: bytes that may be too large to hold, and blobs whose bytes match what was promised.
//!
//! A [`Content`] is a recipe for a stream of bytes: memory, a spooled file, parts joined, base64 made or undone on the
//! way. It can be read any number of times; nothing is held beyond a chunk. A [`Blob`] is content whose digest and size
//! were computed here.

mod base64_text;
mod blob;
mod stream;

use std::fmt;
use std::io;
use std::ops::Range;
use std::sync::Arc;

use bytes::Bytes;

pub use base64_text::Base64Error;
pub(crate) use base64_text::{decode as decode_base64, encode as encode_base64};
pub use blob::{Blob, BlobStart, ContentError};
pub use stream::ContentReader;

/// Bytes kept outside memory, readable at any offset. Stores implement it over an unlinked temporary file.
///
/// What is read must never change: the proofs made over one reading hold for the next one only then.
pub trait Spool: Send + Sync {
    /// Length in bytes.
    fn length(&self) -> u64;

    /// Fills `buffer` from `offset`, fewer bytes only at the end.
    ///
    /// # Errors
    /// Whatever the storage says.
    fn read_at(&self, offset: u64, buffer: &mut [u8]) -> io::Result<usize>;
}

/// A stream of bytes that can be read any number of times.
///
/// ```
/// use attestry::content::Content;
/// let quoted = Content::joined([Content::from("\""), Content::from("hello").to_base64(), Content::from("\"")]);
/// assert_eq!(quoted.length(), 10);
/// assert_eq!(&quoted.read_all().unwrap()[..], b"\"aGVsbG8=\"");
/// ```
#[derive(Clone)]
pub struct Content(pub(in crate::content) Part);

#[derive(Clone)]
pub(in crate::content) enum Part {
    Memory(Bytes),
    Spooled { spool: Arc<dyn Spool>, range: Range<u64> },
    Joined(Arc<[Content]>),
    Encoded(Arc<Content>),
    Decoded { text: Arc<Content>, length: u64 },
    Window { whole: Arc<Content>, range: Range<u64> },
}

impl Content {
    /// All of a spool.
    pub fn spooled(spool: Arc<dyn Spool>) -> Self {
        let range = 0..spool.length();
        Self(Part::Spooled { spool, range })
    }

    /// Parts one after the other.
    pub fn joined(parts: impl IntoIterator<Item = Self>) -> Self {
        Self(Part::Joined(parts.into_iter().collect()))
    }

    /// Standard base64 with padding of these bytes.
    pub fn to_base64(&self) -> Self {
        Self(Part::Encoded(Arc::new(self.clone())))
    }

    /// The bytes that this base64 text stands for, in either alphabet, padded or not.
    ///
    /// Only length and padding are looked at now; a wrong character shows while reading.
    ///
    /// # Errors
    /// [`Base64Error`] when no base64 text has this length or end.
    pub fn from_base64(&self) -> Result<Self, Base64Error> {
        let length = base64_text::decoded_length(self)?;
        Ok(Self(Part::Decoded { text: Arc::new(self.clone()), length }))
    }

    /// A part of it; ends early where the content does. Of derived content (joined, base64) the start is read past.
    pub fn slice(&self, range: Range<u64>) -> Self {
        match &self.0 {
            Part::Memory(bytes) => {
                let end = to_index(range.end).min(bytes.len());
                let start = to_index(range.start).min(end);
                Self(Part::Memory(bytes.slice(start..end)))
            }
            Part::Spooled { spool, range: whole } => {
                let end = (whole.start + range.end).min(whole.end);
                let start = (whole.start + range.start).min(end);
                Self(Part::Spooled { spool: Arc::clone(spool), range: start..end })
            }
            Part::Joined(_) | Part::Encoded(_) | Part::Decoded { .. } | Part::Window { .. } => {
                let end = range.end.min(self.length());
                let start = range.start.min(end);
                Self(Part::Window { whole: Arc::new(self.clone()), range: start..end })
            }
        }
    }

    /// Length in bytes.
    pub fn length(&self) -> u64 {
        match &self.0 {
            Part::Memory(bytes) => u64::try_from(bytes.len()).unwrap_or(u64::MAX),
            Part::Spooled { range, .. } | Part::Window { range, .. } => range.end - range.start,
            Part::Joined(parts) => parts.iter().map(Self::length).sum(),
            Part::Encoded(inner) => inner.length().div_ceil(3) * 4,
            Part::Decoded { length, .. } => *length,
        }
    }

    /// The bytes, when they are in memory already.
    pub fn in_memory(&self) -> Option<&Bytes> {
        match &self.0 {
            Part::Memory(bytes) => Some(bytes),
            _ => None,
        }
    }

    /// Reads from the start.
    pub fn reader(&self) -> ContentReader {
        ContentReader::new(self)
    }

    /// Gives the bytes to `take`, a chunk at a time, until it fails or they end.
    ///
    /// # Errors
    /// What the storage or `take` says.
    pub fn each_chunk<E: From<io::Error>>(&self, mut take: impl FnMut(&[u8]) -> Result<(), E>) -> Result<(), E> {
        if let Part::Memory(bytes) = &self.0 {
            return take(bytes);
        }
        let mut reader = self.reader();
        let mut buffer = vec![0; stream::CHUNK];
        loop {
            match io::Read::read(&mut reader, &mut buffer)? {
                0 => return Ok(()),
                read => take(buffer.get(..read).unwrap_or_default())?,
            }
        }
    }

    /// Reads all of it into memory. The caller knows the length first.
    ///
    /// # Errors
    /// Whatever the storage says.
    pub fn read_all(&self) -> io::Result<Bytes> {
        if let Part::Memory(bytes) = &self.0 {
            return Ok(bytes.clone());
        }
        let mut bytes = Vec::with_capacity(to_index(self.length()));
        io::Read::read_to_end(&mut self.reader(), &mut bytes)?;
        Ok(bytes.into())
    }
}

pub(in crate::content) fn to_index(offset: u64) -> usize {
    usize::try_from(offset).unwrap_or(usize::MAX)
}

impl From<Bytes> for Content {
    fn from(bytes: Bytes) -> Self {
        Self(Part::Memory(bytes))
    }
}

impl From<Vec<u8>> for Content {
    fn from(bytes: Vec<u8>) -> Self {
        Self(Part::Memory(bytes.into()))
    }
}

impl From<String> for Content {
    fn from(text: String) -> Self {
        text.into_bytes().into()
    }
}

impl From<&'static str> for Content {
    fn from(text: &'static str) -> Self {
        Self(Part::Memory(Bytes::from_static(text.as_bytes())))
    }
}

impl fmt::Debug for Content {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "Content({} bytes)", self.length())
    }
}
