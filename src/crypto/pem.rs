//! PEM, read strictly: whole blocks, nothing after them.
//!
//! Pure. The reader of `pem-rfc7468` skips over headers and trailing text in ways that do not tell a user what is
//! wrong, so this is our own.
//!
//! Source: RFC 7468, section 3; RFC 1421, section 4.6 (`Proc-Type`).

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use zeroize::Zeroizing;

use super::error::KeyError;

const BEGIN: &str = "-----BEGIN ";
const END: &str = "-----END ";
const DASHES: &str = "-----";
/// Longest label that is shown or compared; the longest that is known here has 30 characters.
const MAX_LABEL_BYTES: usize = 64;
/// Bytes in one full line of 64 characters.
const LINE_BYTES: usize = 48;

/// One PEM block. The body may be a private key and is cleared when dropped.
pub(super) struct Block {
    pub(super) label: String,
    pub(super) body: Zeroizing<Vec<u8>>,
}

/// Reads all blocks of a text, at least one.
///
/// Explanatory text before the first block is skipped (RFC 7468, section 2), text after a block is refused.
///
/// # Errors
/// [`KeyError::NoPem`], [`KeyError::PemMalformed`], [`KeyError::TrailingText`], [`KeyError::LegacyEncryption`].
pub(super) fn blocks(text: &str) -> Result<Vec<Block>, KeyError> {
    let mut blocks = Vec::new();
    let mut lines = text.strip_prefix('\u{feff}').unwrap_or(text).lines();
    while let Some(line) = lines.next() {
        let line = line.trim();
        if let Some(rest) = line.strip_prefix(BEGIN) {
            blocks.push(block(label(rest)?, &mut lines)?);
        } else if line.starts_with(DASHES) {
            return Err(malformed("a line of dashes that begins no block"));
        } else if !line.is_empty() && !blocks.is_empty() {
            return Err(KeyError::TrailingText);
        }
    }
    if blocks.is_empty() { Err(KeyError::NoPem) } else { Ok(blocks) }
}

/// Reads a text with exactly one block.
///
/// # Errors
/// As [`blocks`], and [`KeyError::SeveralPemBlocks`].
#[cfg(test)]
pub(super) fn one_block(text: &str) -> Result<Block, KeyError> {
    only(blocks(text)?)
}

/// Takes the one block out of a list.
///
/// # Errors
/// [`KeyError::SeveralPemBlocks`]; [`KeyError::NoPem`] for an empty list.
pub(super) fn only(mut blocks: Vec<Block>) -> Result<Block, KeyError> {
    match (blocks.pop(), blocks.len()) {
        (Some(block), 0) => Ok(block),
        (Some(_), others) => Err(KeyError::SeveralPemBlocks { count: others + 1 }),
        (None, _) => Err(KeyError::NoPem),
    }
}

/// Writes one block with lines of 64 characters, as Go and OpenSSL do.
pub(super) fn encode(label: &str, body: &[u8]) -> String {
    let mut text = format!("{BEGIN}{label}{DASHES}\n");
    for line in body.chunks(LINE_BYTES) {
        BASE64_STANDARD.encode_string(line, &mut text);
        text.push('\n');
    }
    text.push_str(&format!("{END}{label}{DASHES}\n"));
    text
}

fn malformed(reason: &'static str) -> KeyError {
    KeyError::PemMalformed { reason }
}

/// The label out of the rest of a `BEGIN` line. It ends up in messages, so it is held to its grammar.
fn label(rest: &str) -> Result<String, KeyError> {
    let label = rest.strip_suffix(DASHES).ok_or_else(|| malformed("the BEGIN line does not end in dashes"))?;
    let known = label.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b' ');
    if label.is_empty() || label.len() > MAX_LABEL_BYTES || !known {
        return Err(malformed("the label in the BEGIN line"));
    }
    Ok(label.to_owned())
}

fn block<'text>(label: String, lines: &mut impl Iterator<Item = &'text str>) -> Result<Block, KeyError> {
    let mut base64 = Zeroizing::new(String::new());
    for line in lines {
        let line = line.trim();
        if let Some(rest) = line.strip_prefix(END) {
            if rest.strip_suffix(DASHES) != Some(&label) {
                return Err(malformed("BEGIN and END lines differ"));
            }
            let body = BASE64_STANDARD.decode(base64.as_bytes()).map_err(|_| malformed("the base64"))?;
            return Ok(Block { label, body: Zeroizing::new(body) });
        }
        if let Some((name, value)) = line.split_once(':') {
            let encrypted = name == "Proc-Type" && value.trim() == "4,ENCRYPTED";
            return Err(if encrypted { KeyError::LegacyEncryption } else { malformed("it has headers") });
        }
        base64.push_str(line);
    }
    Err(malformed("the END line is missing"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn error_of(text: &str) -> KeyError {
        one_block(text).map(|block| block.label).unwrap_err()
    }

    #[test]
    fn a_written_block_reads_back() {
        for length in [0, 1, 47, 48, 49, 500] {
            let body: Vec<u8> = (0..=255).cycle().take(length).collect();
            let text = encode("PUBLIC KEY", &body);
            assert!(text.lines().all(|line| line.len() <= 64));
            let block = one_block(&text).unwrap();
            assert_eq!((block.label.as_str(), &**block.body), ("PUBLIC KEY", body.as_slice()));
        }
    }

    #[test]
    fn windows_line_ends_a_byte_order_mark_and_text_before_are_accepted() {
        let text = encode("PUBLIC KEY", b"body").replace('\n', "\r\n");
        assert!(one_block(&format!("\u{feff}{text}")).is_ok());
        assert!(one_block(&format!("key of the build farm\n\n{text}\r\n  \r\n")).is_ok());
    }

    #[test]
    fn text_without_a_block_is_refused() {
        assert_eq!(error_of(""), KeyError::NoPem);
        assert_eq!(error_of("ssh-ed25519 AAAA"), KeyError::NoPem);
    }

    #[test]
    fn several_blocks_and_trailing_text_are_refused() {
        let text = encode("PUBLIC KEY", b"body");
        assert_eq!(error_of(&format!("{text}{text}\n{text}")), KeyError::SeveralPemBlocks { count: 3 });
        assert_eq!(error_of(&format!("{text}more")), KeyError::TrailingText);
    }

    #[test]
    fn damaged_blocks_are_refused() {
        let text = encode("PUBLIC KEY", b"body");
        let damaged = [
            text.replace("-----END PUBLIC KEY-----", ""),
            text.replace("END PUBLIC", "END PRIVATE"),
            text.replace("-----BEGIN PUBLIC KEY-----", ""),
            text.replace("BEGIN PUBLIC KEY-----", "BEGIN PUBLIC KEY"),
            text.replace("PUBLIC", "PUB\u{1b}[31mLIC"),
            text.replace("Ym9keQ==", "Ym9keR=="),
            text.replace("Ym9keQ==", "Ym9keQ"),
            text.replace("Ym9keQ==", "Comment: none\n\nYm9keQ=="),
            text.replace("PUBLIC", &"A".repeat(100)),
        ];
        for text in damaged {
            assert!(matches!(error_of(&text), KeyError::PemMalformed { .. }), "{text}");
        }
    }
}
