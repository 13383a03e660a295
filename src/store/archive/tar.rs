//! The entries of a tar archive, found in one pass: names, kinds, and where their bytes stand. Nothing is unpacked.
//!
//! Two programs must not see two archives in one file. So what readers are known to differ on is refused: sizes that
//! disagree, sparse files, unknown kinds, names given in two ways, files under a name that is a link.
//!
//! Source: POSIX.1-2017, pax, "ustar Interchange Format" and "pax Interchange Format"; GNU tar manual, "Basic Tar Format".

use std::io::{self, Read};

use crate::content::Content;
use crate::limits::Limits;

use super::entries::{Entries, Kind, entry_inside_no_folder};

/// Headers and data come in blocks of so many bytes.
const BLOCK: u64 = 512;

/// Why a file is no archive that can be trusted to be one thing.
#[derive(Debug)]
pub(in crate::store) enum TarError {
    /// It breaks the format, or could be read in two ways.
    Invalid(String),
    /// An entry leads out of the archive.
    Unsafe { entry: String, detail: String },
    /// A bound was met.
    TooMuch(String),
    /// It could not be read.
    Unreadable(io::Error),
}

impl From<io::Error> for TarError {
    fn from(error: io::Error) -> Self {
        match error.kind() {
            io::ErrorKind::UnexpectedEof => Self::Invalid("it ends in the middle".to_owned()),
            _ => Self::Unreadable(error),
        }
    }
}

/// Reads the headers of an archive.
pub(in crate::store) fn read_entries(archive: &Content, limits: &Limits) -> Result<Entries, TarError> {
    let mut reading = Reading { archive, limits, offset: 0, name_bytes: 0, entries: Entries::new() };
    let mut number = 0;
    while let Some((name, kind)) = reading.next_entry()? {
        number += 1;
        if number > limits.archive_entries {
            return Err(TarError::TooMuch(format!("more than {} entries", limits.archive_entries)));
        }
        reading.keep(name, kind)?;
    }
    reading.check_nothing_follows()?;
    if let Some((name, parent)) = entry_inside_no_folder(&reading.entries) {
        let detail = format!("{parent}, which holds it, is no folder");
        return Err(TarError::Unsafe { entry: name.to_owned(), detail });
    }
    Ok(reading.entries)
}

struct Reading<'a> {
    archive: &'a Content,
    limits: &'a Limits,
    offset: u64,
    name_bytes: u64,
    entries: Entries,
}

/// What the headers before an entry's own say of it.
#[derive(Default)]
struct Ahead {
    name: Option<String>,
    link: Option<String>,
    size: Option<u64>,
}

impl Reading<'_> {
    /// The next entry; `None` at the mark of the end.
    fn next_entry(&mut self) -> Result<Option<(String, Kind)>, TarError> {
        let mut ahead = Ahead::default();
        loop {
            let Some(header) = self.next_header()? else {
                if ahead.name.is_some() || ahead.link.is_some() || ahead.size.is_some() {
                    return Err(invalid("it ends after the header of a header"));
                }
                return Ok(None);
            };
            let size = header.size()?;
            match header.kind() {
                b'L' => set_once(&mut ahead.name, self.text(size)?)?,
                b'K' => set_once(&mut ahead.link, self.text(size)?)?,
                b'x' => self.take_records(size, &mut ahead)?,
                b'g' => {
                    let mut global = Ahead::default();
                    self.take_records(size, &mut global)?;
                    if global.name.is_some() || global.link.is_some() || global.size.is_some() {
                        return Err(invalid("a global header names or measures files"));
                    }
                }
                _ => return self.entry(&header, size, ahead).map(Some),
            }
        }
    }

    /// A header; `None` when the block is empty.
    fn next_header(&mut self) -> Result<Option<Header>, TarError> {
        if self.offset == self.archive.length() {
            return Err(invalid("its end is missing"));
        }
        let mut block = [0; 512];
        self.archive.slice(self.offset..self.offset + BLOCK).reader().read_exact(&mut block)?;
        self.offset += BLOCK;
        if block.iter().all(|byte| *byte == 0) {
            return Ok(None);
        }
        let header = Header(block);
        header.check()?;
        Ok(Some(header))
    }

    fn entry(&mut self, header: &Header, size: u64, ahead: Ahead) -> Result<(String, Kind), TarError> {
        let named = match ahead.name {
            Some(name) => name,
            None => header.name()?,
        };
        let link = |ahead: Option<String>| {
            let link = ahead.map_or_else(|| header.link(), Ok)?;
            self.check_path(&link)?;
            Ok::<String, TarError>(link)
        };
        self.check_path(&named)?;
        let name = clean(&named)?;
        // A header that gives one size and a record that gives another are two archives in one.
        if ahead.size.is_some_and(|other| other != size && size != 0) {
            return Err(TarError::Invalid(format!("{name} has two sizes")));
        }
        let size = ahead.size.unwrap_or(size);
        let kind = match header.kind() {
            b'0' | b'\0' | b'7' if named.ends_with('/') && size == 0 => Kind::Folder,
            b'0' | b'\0' | b'7' if !named.ends_with('/') => Kind::File { offset: self.offset, length: size },
            b'1' => Kind::HardLink(clean(&link(ahead.link)?)?),
            b'2' => Kind::SymbolicLink(link(ahead.link)?),
            b'3' | b'4' | b'6' => Kind::Special,
            b'5' => Kind::Folder,
            other => {
                let detail = format!("{name} is of a kind that is not known: {}", other.escape_ascii());
                return Err(TarError::Invalid(detail));
            }
        };
        match kind {
            Kind::File { .. } => self.skip(size, &name)?,
            _ if size > 0 => return Err(TarError::Invalid(format!("{name} is no file and has a size"))),
            _ => {}
        }
        Ok((name, kind))
    }

    /// Names are looked up folder by folder, which costs their length each time.
    fn check_path(&self, path: &str) -> Result<(), TarError> {
        let (bytes, depth) = (self.limits.archive_path_bytes, self.limits.archive_path_depth);
        if path.len() > bytes || path.split('/').count() > depth {
            return Err(TarError::TooMuch(format!(
                "a name of more than {bytes} bytes, or in more than {depth} folders"
            )));
        }
        Ok(())
    }

    fn skip(&mut self, size: u64, name: &str) -> Result<(), TarError> {
        let end = size.checked_next_multiple_of(BLOCK).and_then(|padded| self.offset.checked_add(padded));
        match end.filter(|end| *end <= self.archive.length()) {
            Some(end) => {
                self.offset = end;
                Ok(())
            }
            None => Err(TarError::Invalid(format!("it ends in the middle of {name}"))),
        }
    }

    /// The data of a header that carries a name or records.
    fn bytes(&mut self, size: u64) -> Result<Vec<u8>, TarError> {
        self.count_name(size)?;
        let start = self.offset;
        self.skip(size, "a header")?;
        Ok(self.archive.slice(start..start + size).read_all()?.to_vec())
    }

    fn count_name(&mut self, bytes: u64) -> Result<(), TarError> {
        self.name_bytes = self.name_bytes.saturating_add(bytes);
        if self.name_bytes > self.limits.archive_name_bytes {
            return Err(TarError::TooMuch(format!("more than {} bytes of names", self.limits.archive_name_bytes)));
        }
        Ok(())
    }

    fn text(&mut self, size: u64) -> Result<String, TarError> {
        let bytes = self.bytes(size)?;
        text_of(bytes.strip_suffix(b"\0").unwrap_or(&bytes))
    }

    /// Records `length key=value`, of which those that move or rename an entry matter.
    fn take_records(&mut self, size: u64, ahead: &mut Ahead) -> Result<(), TarError> {
        let bytes = self.bytes(size)?;
        let mut rest = bytes.as_slice();
        while !rest.is_empty() {
            let (key, value, left) = record(rest).ok_or_else(|| invalid("a record of an extended header is broken"))?;
            rest = left;
            match key {
                b"path" => set_once(&mut ahead.name, text_of(value)?)?,
                b"linkpath" => set_once(&mut ahead.link, text_of(value)?)?,
                b"size" => {
                    let size = std::str::from_utf8(value).ok().and_then(|text| text.parse().ok());
                    set_once(&mut ahead.size, size.ok_or_else(|| invalid("a size is no number"))?)?;
                }
                key if key.starts_with(b"GNU.sparse.") => return Err(invalid("it has sparse files")),
                _ => {}
            }
        }
        Ok(())
    }

    fn keep(&mut self, name: String, kind: Kind) -> Result<(), TarError> {
        if name.is_empty() {
            return match kind {
                Kind::Folder => Ok(()),
                _ => Err(invalid("an entry has no name")),
            };
        }
        self.count_name(u64::try_from(name.len()).unwrap_or(u64::MAX))?;
        match self.entries.get(&name) {
            // Some programs take the first of two, some the last.
            Some(known) if !same(self.archive, known, &kind)? => {
                Err(TarError::Invalid(format!("it has two different entries {name}")))
            }
            Some(_) => Ok(()),
            None => {
                self.entries.insert(name, kind);
                Ok(())
            }
        }
    }

    /// What stands after the mark of the end is seen by some programs and not by others.
    fn check_nothing_follows(&self) -> Result<(), TarError> {
        let mut rest = self.archive.slice(self.offset..self.archive.length()).reader();
        let mut buffer = vec![0; 64 << 10];
        loop {
            match rest.read(&mut buffer)? {
                0 => return Ok(()),
                read if buffer.iter().take(read).any(|byte| *byte != 0) => {
                    return Err(invalid("something follows after its end"));
                }
                _ => {}
            }
        }
    }
}

struct Header([u8; 512]);

impl Header {
    fn field(&self, start: usize, length: usize) -> &[u8] {
        self.0.get(start..start + length).unwrap_or_default()
    }

    fn kind(&self) -> u8 {
        self.0.get(156).copied().unwrap_or_default()
    }

    fn check(&self) -> Result<(), TarError> {
        let bytes = self.0.iter().enumerate().map(|(at, byte)| if (148..156).contains(&at) { b' ' } else { *byte });
        let sum: u64 = bytes.map(u64::from).sum();
        match number(self.field(148, 8)) {
            Some(said) if said == sum => Ok(()),
            _ => Err(invalid("a header does not have the checksum that it names")),
        }
    }

    fn size(&self) -> Result<u64, TarError> {
        number(self.field(124, 12)).ok_or_else(|| invalid("a size is no number"))
    }

    fn name(&self) -> Result<String, TarError> {
        let name = text_of(until_nul(self.field(0, 100)))?;
        // The older GNU form keeps times where POSIX has the start of a long name.
        let start = if self.field(257, 6) == b"ustar\0" { until_nul(self.field(345, 155)) } else { &[] };
        Ok(if start.is_empty() { name } else { format!("{}/{name}", text_of(start)?) })
    }

    fn link(&self) -> Result<String, TarError> {
        text_of(until_nul(self.field(157, 100)))
    }
}

fn invalid(detail: &str) -> TarError {
    TarError::Invalid(detail.to_owned())
}

fn set_once<T: PartialEq>(slot: &mut Option<T>, value: T) -> Result<(), TarError> {
    match slot {
        Some(known) if *known != value => Err(invalid("an entry is named or measured twice")),
        _ => {
            *slot = Some(value);
            Ok(())
        }
    }
}

fn until_nul(field: &[u8]) -> &[u8] {
    field.split(|byte| *byte == 0).next().unwrap_or_default()
}

fn text_of(bytes: &[u8]) -> Result<String, TarError> {
    match std::str::from_utf8(bytes) {
        Ok(text) if !text.contains('\0') => Ok(text.to_owned()),
        _ => Err(invalid("a name is not UTF-8")),
    }
}

/// Octal digits between spaces and NULs, or GNU's binary form for what needs more than twelve of them.
fn number(field: &[u8]) -> Option<u64> {
    if let Some((0x80, rest)) = field.split_first() {
        let (high, low) = rest.split_at_checked(rest.len().checked_sub(8)?)?;
        return high.iter().all(|byte| *byte == 0).then(|| u64::from_be_bytes(low.try_into().unwrap_or_default()));
    }
    let text = std::str::from_utf8(field).ok()?.trim_matches([' ', '\0']);
    if text.is_empty() {
        return Some(0);
    }
    text.bytes().all(|byte| (b'0'..=b'7').contains(&byte)).then(|| u64::from_str_radix(text, 8).ok())?
}

/// One record of an extended header, and what follows it.
fn record(bytes: &[u8]) -> Option<(&[u8], &[u8], &[u8])> {
    let space = bytes.iter().take(20).position(|byte| *byte == b' ')?;
    let length: usize = std::str::from_utf8(bytes.get(..space)?).ok()?.parse().ok()?;
    let (key, value) = {
        let body = bytes.get(space + 1..length)?.strip_suffix(b"\n")?;
        let equals = body.iter().position(|byte| *byte == b'=')?;
        (body.get(..equals)?, body.get(equals + 1..)?)
    };
    Some((key, value, bytes.get(length..)?))
}

/// A name in its one form, or a refusal when it leads out.
fn clean(name: &str) -> Result<String, TarError> {
    let refuse = |detail: &str| TarError::Unsafe { entry: name.to_owned(), detail: detail.to_owned() };
    if name.starts_with('/') {
        return Err(refuse("its name is absolute"));
    }
    let parts: Vec<&str> = name.split('/').filter(|part| !part.is_empty() && *part != ".").collect();
    if parts.contains(&"..") {
        return Err(refuse("its name leads out of its folder"));
    }
    Ok(parts.join("/"))
}

fn same(archive: &Content, left: &Kind, right: &Kind) -> Result<bool, TarError> {
    match (left, right) {
        (Kind::File { offset, length }, Kind::File { offset: other, length: other_length })
            if length == other_length =>
        {
            let mut left = archive.slice(*offset..offset + length).reader();
            let mut right = archive.slice(*other..other + length).reader();
            Ok(same_bytes(&mut left, &mut right)?)
        }
        _ => Ok(left == right),
    }
}

fn same_bytes(left: &mut impl Read, right: &mut impl Read) -> io::Result<bool> {
    let (mut ours, mut theirs) = (vec![0; 64 << 10], vec![0; 64 << 10]);
    loop {
        let read = left.read(&mut ours)?;
        if read == 0 {
            return Ok(true);
        }
        right.read_exact(theirs.get_mut(..read).unwrap_or_default())?;
        if ours.get(..read) != theirs.get(..read) {
            return Ok(false);
        }
    }
}
