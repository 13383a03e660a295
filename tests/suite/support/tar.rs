//! Tar archives made by hand, good ones and bad ones.

use std::io::Write;
use std::path::Path;

use flate2::Compression;
use flate2::write::GzEncoder;

use super::command::files;

/// An archive that is being written.
#[derive(Default, Clone)]
pub(crate) struct Tar(Vec<u8>);

impl Tar {
    /// All files of a folder, each name after `prefix`.
    pub(crate) fn of_folder(folder: &Path, prefix: &str) -> Self {
        files(folder).into_iter().fold(Self::default(), |tar, (path, bytes)| {
            tar.file(&format!("{prefix}{}", path.strip_prefix(folder).unwrap().display()), bytes)
        })
    }

    pub(crate) fn file(self, name: &str, bytes: impl AsRef<[u8]>) -> Self {
        let bytes = bytes.as_ref();
        self.raw(&header(name, b'0', bytes.len(), ""), bytes)
    }

    /// Any kind of entry without data.
    pub(crate) fn entry(self, kind: u8, name: &str, target: &str) -> Self {
        self.raw(&header(name, kind, 0, target), b"")
    }

    /// An extended header with records, as POSIX has it.
    pub(crate) fn records(self, kind: u8, records: &[(&str, &str)]) -> Self {
        let text: String = records.iter().map(|(key, value)| record(key, value)).collect();
        self.raw(&header("records", kind, text.len(), ""), text.as_bytes())
    }

    pub(crate) fn raw(mut self, header: &[u8], data: &[u8]) -> Self {
        self.0.extend(header);
        self.0.extend(data);
        self.0.resize(self.0.len().next_multiple_of(512), 0);
        self
    }

    /// The archive without the mark of its end.
    pub(crate) fn open(self) -> Vec<u8> {
        self.0
    }

    pub(crate) fn finish(mut self) -> Vec<u8> {
        self.0.extend([0; 1024]);
        self.0
    }
}

/// A header with the right checksum.
pub(crate) fn header(name: &str, kind: u8, size: usize, target: &str) -> Vec<u8> {
    let mut header = vec![0; 512];
    // Long names go into the start that POSIX has for them.
    let (start, name) = match name.len() > 100 {
        true => name[..name.len() - 1].match_indices('/').map(|(at, _)| name.split_at(at)).find_map(fits).unwrap(),
        false => ("", name),
    };
    for (at, text) in [
        (0, name),
        (100, "0000644\0"),
        (124, &format!("{size:011o}\0")),
        (157, target),
        (257, "ustar\u{0}00"),
        (345, start),
    ] {
        header[at..at + text.len()].copy_from_slice(text.as_bytes());
    }
    header[156] = kind;
    seal(&mut header);
    header
}

fn fits<'a>((start, rest): (&'a str, &'a str)) -> Option<(&'a str, &'a str)> {
    let rest = rest.strip_prefix('/')?;
    (start.len() <= 155 && rest.len() <= 100).then_some((start, rest))
}

/// Puts the checksum in.
pub(crate) fn seal(header: &mut [u8]) {
    header[148..156].fill(b' ');
    let sum: u32 = header.iter().map(|byte| u32::from(*byte)).sum();
    header[148..156].copy_from_slice(format!("{sum:06o}\0 ").as_bytes());
}

fn record(key: &str, value: &str) -> String {
    let rest = format!(" {key}={value}\n");
    let length = (1..).find(|length: &usize| length.to_string().len() + rest.len() == *length).unwrap();
    format!("{length}{rest}")
}

pub(crate) fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::best());
    encoder.write_all(bytes).unwrap();
    encoder.finish().unwrap()
}
