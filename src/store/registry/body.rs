//! Request bodies: none, bytes, or content that is read while it is sent.

use std::io::{self, Read};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use bytes::Bytes;
use futures_util::stream;

use crate::content::{Content, ContentReader};

/// Bytes read at once; the same as content is read in everywhere else.
const CHUNK: usize = 192 * 1024;

/// What a request carries. All of it can be sent again.
pub(super) enum Payload {
    /// Nothing.
    Empty,
    /// Bytes in memory.
    Bytes(Bytes),
    /// Content of any size.
    Content(Content),
}

impl Payload {
    /// Content as a body. More than a chunk of it is streamed, so that its progress shows: on a slow line even what fits
    /// into memory takes longer than a connection may be idle.
    pub(super) fn of(content: &Content) -> Self {
        match content.in_memory().filter(|bytes| bytes.len() <= CHUNK) {
            Some(bytes) => Self::Bytes(bytes.clone()),
            None => Self::Content(content.clone()),
        }
    }
}

/// A body that reads the content a chunk at a time, on the threads for blocking work, since it may lie on disk.
///
/// `progress` counts the bytes handed to the connection.
pub(super) fn streamed(content: &Content, progress: Arc<AtomicU64>) -> reqwest::Body {
    let chunks = stream::try_unfold((content.reader(), progress), |(reader, progress)| async move {
        let (reader, chunk) =
            tokio::task::spawn_blocking(move || read_chunk(reader)).await.map_err(io::Error::other)??;
        if chunk.is_empty() {
            return Ok::<_, io::Error>(None);
        }
        progress.fetch_add(u64::try_from(chunk.len()).unwrap_or(0), Ordering::Relaxed);
        Ok(Some((chunk, (reader, progress))))
    });
    reqwest::Body::wrap_stream(chunks)
}

fn read_chunk(mut reader: ContentReader) -> io::Result<(ContentReader, Bytes)> {
    let mut chunk = vec![0; CHUNK];
    loop {
        match reader.read(&mut chunk) {
            Ok(read) => {
                chunk.truncate(read);
                return Ok((reader, chunk.into()));
            }
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
}
