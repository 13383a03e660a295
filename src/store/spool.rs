//! Spooling: what is small stays in memory, what is large goes to an unlinked temporary file.

use std::fs::File;
use std::io::{self, Read, Write};
use std::sync::Arc;

use crate::content::{Content, Spool};
use crate::digest::{Digest, DigestAlgorithm, Hasher};
use crate::limits::Limits;

/// Takes bytes in pieces, digests them, and gives content that can be read again.
pub struct Spooler {
    hasher: Hasher,
    collector: Collector,
}

impl Spooler {
    /// Starts empty.
    pub fn new(algorithm: DigestAlgorithm, limits: &Limits) -> Self {
        Self { hasher: Hasher::new(algorithm), collector: Collector::new(limits) }
    }

    /// Bytes taken so far.
    pub const fn length(&self) -> u64 {
        self.collector.length
    }

    /// Takes the next piece.
    ///
    /// # Errors
    /// What the system says about the temporary file.
    pub fn write(&mut self, piece: &[u8]) -> io::Result<()> {
        self.hasher.update(piece);
        self.collector.write(piece)
    }

    /// The content and its digest.
    pub fn finish(self) -> (Content, Digest) {
        (self.collector.finish(), self.hasher.finish())
    }
}

/// Memory until it is too much, then a file.
///
/// The temporary file has no name, so nobody else can change it and nothing is left behind after a crash.
struct Collector {
    memory: Vec<u8>,
    file: Option<File>,
    length: u64,
    memory_bytes: u64,
}

impl Collector {
    fn new(limits: &Limits) -> Self {
        Self { memory: Vec::new(), file: None, length: 0, memory_bytes: limits.memory_bytes }
    }

    fn write(&mut self, piece: &[u8]) -> io::Result<()> {
        self.length += u64::try_from(piece.len()).unwrap_or(u64::MAX);
        if let Some(file) = &mut self.file {
            return file.write_all(piece);
        }
        if self.length <= self.memory_bytes {
            self.memory.extend_from_slice(piece);
            return Ok(());
        }
        let mut file = tempfile::tempfile()?;
        file.write_all(&self.memory)?;
        file.write_all(piece)?;
        self.memory = Vec::new();
        self.file = Some(file);
        Ok(())
    }

    fn finish(self) -> Content {
        match self.file {
            Some(file) => Content::spooled(Arc::new(SpooledFile { file: SharedFile::new(file), length: self.length })),
            None => Content::from(self.memory),
        }
    }
}

/// Reads all of `reader`, at most `limit` bytes; `None` when there is more. No digest is computed.
///
/// # Errors
/// What the reader or the temporary file says.
pub fn spool_reader(reader: &mut dyn Read, limit: u64, limits: &Limits) -> io::Result<Option<Content>> {
    let mut collector = Collector::new(limits);
    let mut buffer = vec![0; 128 * 1024];
    loop {
        let read = match reader.read(&mut buffer) {
            Ok(0) => return Ok(Some(collector.finish())),
            Ok(read) => read,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
            Err(error) => return Err(error),
        };
        collector.write(buffer.get(..read).unwrap_or_default())?;
        if collector.length > limit {
            return Ok(None);
        }
    }
}

/// The bytes of a file that has a name, and so may be changed by others: whoever reads from it copies before checking.
pub(super) fn named_file(file: File) -> io::Result<Content> {
    let length = file.metadata()?.len();
    Ok(Content::spooled(Arc::new(SpooledFile { file: SharedFile::new(file), length })))
}

struct SpooledFile {
    file: SharedFile,
    length: u64,
}

/// A file that several threads read at places of their own.
#[cfg(unix)]
struct SharedFile(File);

#[cfg(unix)]
impl SharedFile {
    const fn new(file: File) -> Self {
        Self(file)
    }

    fn read_at(&self, offset: u64, buffer: &mut [u8]) -> io::Result<usize> {
        std::os::unix::fs::FileExt::read_at(&self.0, buffer, offset)
    }
}

/// A file that several threads read at places of their own, one after the other.
#[cfg(not(unix))]
struct SharedFile(std::sync::Mutex<File>);

#[cfg(not(unix))]
impl SharedFile {
    const fn new(file: File) -> Self {
        Self(std::sync::Mutex::new(file))
    }

    fn read_at(&self, offset: u64, buffer: &mut [u8]) -> io::Result<usize> {
        use std::io::{Seek, SeekFrom};
        let mut file = self.0.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        file.seek(SeekFrom::Start(offset))?;
        file.read(buffer)
    }
}

impl Spool for SpooledFile {
    fn length(&self) -> u64 {
        self.length
    }

    fn read_at(&self, offset: u64, buffer: &mut [u8]) -> io::Result<usize> {
        self.file.read_at(offset, buffer)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn content_past_the_bound_reads_back_from_the_file() {
        let limits = Limits { memory_bytes: 10, ..Limits::default() };
        let mut spooler = Spooler::new(DigestAlgorithm::Sha256, &limits);
        for piece in [&b"0123456789"[..], b"abc", b"def"] {
            spooler.write(piece).unwrap();
        }
        let (content, digest) = spooler.finish();
        assert!(content.in_memory().is_none());
        assert_eq!(&content.slice(8..12).read_all().unwrap()[..], b"89ab");
        assert_eq!(digest, Digest::sha256(&content.read_all().unwrap()));
    }

    #[test]
    fn a_reader_longer_than_the_limit_is_refused() {
        assert!(spool_reader(&mut &b"12345"[..], 4, &Limits::default()).unwrap().is_none());
    }
}
