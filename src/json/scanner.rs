//! The scanner: a state machine over bytes, fed in pieces.

use std::collections::HashSet;

use super::node::{Node, Value};
use super::{JsonError, Keep};
use crate::limits::Limits;

/// Keys of one object up to which a plain list is searched; above, a set.
const LISTED_KEYS: usize = 24;
/// A key longer than this is no key of any format read here.
const KEY_BYTES: usize = 1 << 20;

#[derive(Clone, Copy, PartialEq, Eq)]
enum State {
    Value,
    FirstElement,
    FirstKey,
    Key,
    Colon,
    AfterValue,
    Text,
    Escape,
    Unicode { digits: u8, unit: u32 },
    LowSurrogateBackslash,
    LowSurrogateU,
    Number(Number),
    Literal { rest: &'static [u8], bool: Option<bool> },
    End,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Number {
    Minus,
    Zero,
    Integer,
    Point,
    Fraction,
    Exponent,
    ExponentSign,
    ExponentDigits,
}

impl Number {
    const fn complete(self) -> bool {
        matches!(self, Self::Zero | Self::Integer | Self::Fraction | Self::ExponentDigits)
    }

    const fn next(self, byte: u8) -> Option<Self> {
        Some(match (self, byte) {
            (Self::Minus, b'0') => Self::Zero,
            (Self::Minus, b'1'..=b'9') | (Self::Integer, b'0'..=b'9') => Self::Integer,
            (Self::Zero | Self::Integer, b'.') => Self::Point,
            (Self::Point | Self::Fraction, b'0'..=b'9') => Self::Fraction,
            (Self::Zero | Self::Integer | Self::Fraction, b'e' | b'E') => Self::Exponent,
            (Self::Exponent, b'+' | b'-') => Self::ExponentSign,
            (Self::Exponent | Self::ExponentSign | Self::ExponentDigits, b'0'..=b'9') => Self::ExponentDigits,
            _ => return None,
        })
    }
}

/// Seen keys of one object, as hashes. A collision refuses a document that no one wrote by chance (64 bits) and never
/// lets a duplicate pass.
enum SeenKeys {
    Listed(Vec<u64>),
    Many(HashSet<u64>),
}

impl SeenKeys {
    fn insert(&mut self, hash: u64) -> bool {
        match self {
            Self::Listed(list) if list.contains(&hash) => false,
            Self::Listed(list) if list.len() < LISTED_KEYS => {
                list.push(hash);
                true
            }
            Self::Listed(list) => {
                let mut many: HashSet<u64> = list.drain(..).collect();
                many.insert(hash);
                *self = Self::Many(many);
                true
            }
            Self::Many(set) => set.insert(hash),
        }
    }

    fn len(&self) -> usize {
        match self {
            Self::Listed(list) => list.len(),
            Self::Many(set) => set.len(),
        }
    }
}

enum Frame {
    Array,
    Object(SeenKeys),
}

/// A container under construction, with the key that its next value belongs to.
struct Open {
    start: u64,
    key: Box<str>,
    value: Value,
}

/// Checks JSON piece by piece and keeps what [`Keep`] asks for.
pub struct Scanner<'a> {
    keep: Keep<'a>,
    limits: Limits,
    state: State,
    stack: Vec<Frame>,
    spare: Vec<Vec<u64>>,
    /// Keys of all objects that are open.
    open_keys: usize,
    /// Offset of the first byte of the piece being read.
    offset: u64,
    pending_utf8: Vec<u8>,
    text: Vec<u8>,
    text_length: usize,
    text_start: u64,
    text_escaped: bool,
    text_is_key: bool,
    high_surrogate: u32,
    open: Vec<Open>,
    key: Box<str>,
    skipping_from: Option<u64>,
    captured: u64,
    root: Option<Node>,
}

impl<'a> Scanner<'a> {
    /// Starts before the first byte.
    pub fn new(keep: Keep<'a>, limits: &Limits) -> Self {
        Self {
            keep,
            limits: limits.clone(),
            state: State::Value,
            stack: Vec::new(),
            spare: Vec::new(),
            open_keys: 0,
            offset: 0,
            pending_utf8: Vec::new(),
            text: Vec::new(),
            text_length: 0,
            text_start: 0,
            text_escaped: false,
            text_is_key: false,
            high_surrogate: 0,
            open: Vec::new(),
            key: "".into(),
            skipping_from: None,
            captured: 0,
            root: None,
        }
    }

    /// Reads the next piece.
    ///
    /// # Errors
    /// Any [`JsonError`] but `Truncated`; after an error the scanner must not be fed again.
    pub fn feed(&mut self, piece: &[u8]) -> Result<(), JsonError> {
        self.check_utf8(piece)?;
        let mut at = 0;
        while let Some(&byte) = piece.get(at) {
            at = match self.state {
                State::Text => self.text_run(piece, at)?,
                State::Number(number) => self.number_byte(number, byte, at)?,
                State::Escape => self.escape_byte(byte, at)?,
                State::Unicode { digits, unit } => self.unicode_byte(digits, unit, byte, at)?,
                State::LowSurrogateBackslash if byte == b'\\' => self.go(State::LowSurrogateU, at),
                State::LowSurrogateU if byte == b'u' => self.go(State::Unicode { digits: 0, unit: 0 }, at),
                State::LowSurrogateBackslash | State::LowSurrogateU => {
                    return Err(self.unexpected(at, "the second half of a surrogate pair"));
                }
                State::Literal { rest, bool } => self.literal_byte(rest, bool, byte, at)?,
                _ if matches!(byte, b' ' | b'\t' | b'\n' | b'\r') => at + 1,
                _ => self.structure_byte(byte, at)?,
            };
        }
        self.offset += length(piece);
        Ok(())
    }

    /// Ends the text and gives what was kept (`Skipped` under [`Keep::Nothing`]).
    ///
    /// # Errors
    /// [`JsonError::Truncated`] when the value is not complete.
    pub fn finish(mut self) -> Result<Node, JsonError> {
        if let State::Number(number) = self.state
            && number.complete()
            && self.stack.is_empty()
        {
            self.end_number(0)?;
        }
        if self.state != State::End || !self.pending_utf8.is_empty() {
            return Err(JsonError::Truncated { offset: self.offset });
        }
        Ok(self.root.unwrap_or(Node { range: 0..self.offset, value: Value::Skipped }))
    }

    fn go(&mut self, state: State, at: usize) -> usize {
        self.state = state;
        at + 1
    }

    fn position(&self, at: usize) -> u64 {
        self.offset + u64::try_from(at).unwrap_or(u64::MAX)
    }

    fn unexpected(&self, at: usize, expected: &'static str) -> JsonError {
        JsonError::Unexpected { offset: self.position(at), expected }
    }

    fn check_utf8(&mut self, piece: &[u8]) -> Result<(), JsonError> {
        let mut rest = piece;
        while !self.pending_utf8.is_empty() {
            let Some((&byte, tail)) = rest.split_first() else { return Ok(()) };
            self.pending_utf8.push(byte);
            rest = tail;
            match std::str::from_utf8(&self.pending_utf8) {
                Ok(_) => self.pending_utf8.clear(),
                Err(error) if error.error_len().is_none() => {}
                Err(_) => return Err(JsonError::NotUtf8 { offset: self.offset }),
            }
        }
        if let Err(error) = std::str::from_utf8(rest) {
            let valid = error.valid_up_to();
            if error.error_len().is_some() {
                let at = piece.len() - rest.len() + valid;
                return Err(JsonError::NotUtf8 { offset: self.position(at) });
            }
            self.pending_utf8.extend_from_slice(rest.get(valid..).unwrap_or_default());
        }
        Ok(())
    }

    fn structure_byte(&mut self, byte: u8, at: usize) -> Result<usize, JsonError> {
        match (self.state, byte) {
            (State::FirstElement, b']') | (State::FirstKey, b'}') => self.close(at),
            (State::Value | State::FirstElement, _) => self.start_value(byte, at),
            (State::FirstKey | State::Key, b'"') => {
                self.start_text(true, at);
                Ok(at + 1)
            }
            (State::Colon, b':') => Ok(self.go(State::Value, at)),
            (State::AfterValue, b',') => {
                self.extend_skipped(at);
                let next = if matches!(self.stack.last(), Some(Frame::Array)) { State::Value } else { State::Key };
                Ok(self.go(next, at))
            }
            (State::AfterValue, b']') if matches!(self.stack.last(), Some(Frame::Array)) => self.close(at),
            (State::AfterValue, b'}') if matches!(self.stack.last(), Some(Frame::Object(_))) => self.close(at),
            (State::FirstKey | State::Key, _) => Err(self.unexpected(at, "a key in quotes")),
            (State::Colon, _) => Err(self.unexpected(at, "`:`")),
            (State::End, _) => Err(self.unexpected(at, "the end of the text")),
            _ => Err(self.unexpected(at, "`,` or the end of the array or object")),
        }
    }

    fn start_value(&mut self, byte: u8, at: usize) -> Result<usize, JsonError> {
        if self.stack.len() == 1 && self.skipping_from.is_none() && self.is_skipped_member() {
            self.skipping_from = Some(self.position(at));
        }
        match byte {
            b'{' => self.open_container(true, at),
            b'[' => self.open_container(false, at),
            b'"' => {
                self.start_text(false, at);
                Ok(at + 1)
            }
            b'-' => Ok(self.start_number(Number::Minus, byte, at)),
            b'0' => Ok(self.start_number(Number::Zero, byte, at)),
            b'1'..=b'9' => Ok(self.start_number(Number::Integer, byte, at)),
            b't' => Ok(self.start_literal(b"rue", Some(true), at)),
            b'f' => Ok(self.start_literal(b"alse", Some(false), at)),
            b'n' => Ok(self.start_literal(b"ull", None, at)),
            _ => Err(self.unexpected(at, "a value")),
        }
    }

    fn is_skipped_member(&self) -> bool {
        match self.keep {
            Keep::AllBut { members, .. } => {
                matches!(self.stack.last(), Some(Frame::Object(_))) && members.contains(&&*self.key)
            }
            Keep::Names => matches!(self.stack.last(), Some(Frame::Object(_))),
            Keep::Nothing => false,
        }
    }

    fn keeping(&self) -> bool {
        !matches!(self.keep, Keep::Nothing) && self.skipping_from.is_none()
    }

    /// Decoded length up to which a string is kept.
    fn kept_string_bytes(&self) -> usize {
        match self.keep {
            Keep::AllBut { string_bytes, .. } => string_bytes,
            Keep::Names | Keep::Nothing => 0,
        }
    }

    fn open_container(&mut self, object: bool, at: usize) -> Result<usize, JsonError> {
        if self.stack.len() >= self.limits.json_depth {
            return Err(JsonError::TooDeep { offset: self.position(at), limit: self.limits.json_depth });
        }
        if self.keeping() {
            let value = if object { Value::Object(Vec::new()) } else { Value::Array(Vec::new()) };
            let key = std::mem::take(&mut self.key);
            self.open.push(Open { start: self.position(at), key, value });
            self.count(64)?;
        }
        if object {
            self.stack.push(Frame::Object(SeenKeys::Listed(self.spare.pop().unwrap_or_default())));
            Ok(self.go(State::FirstKey, at))
        } else {
            self.stack.push(Frame::Array);
            Ok(self.go(State::FirstElement, at))
        }
    }

    /// White space after a skipped member belongs to it: a document that was embedded with its final line feed comes
    /// out again byte for byte.
    fn extend_skipped(&mut self, at: usize) {
        let end = self.position(at);
        if let ([Open { value: Value::Object(members), .. }], None) = (self.open.as_mut_slice(), self.skipping_from)
            && let Some((_, Node { range, value: Value::Skipped })) = members.last_mut()
        {
            range.end = end;
        }
    }

    fn close(&mut self, at: usize) -> Result<usize, JsonError> {
        self.extend_skipped(at);
        if let Some(Frame::Object(seen)) = self.stack.pop() {
            self.open_keys = self.open_keys.saturating_sub(seen.len());
            if let SeenKeys::Listed(mut list) = seen {
                list.clear();
                self.spare.push(list);
            }
        }
        let end = self.position(at) + 1;
        if self.keeping()
            && let Some(open) = self.open.pop()
        {
            self.key = open.key;
            self.place(Node { range: open.start..end, value: open.value });
        }
        self.ended(end);
        Ok(at + 1)
    }

    /// A value is complete: leave a skipped member, choose what may follow.
    fn ended(&mut self, end: u64) {
        if self.stack.len() == 1
            && let Some(start) = self.skipping_from.take()
        {
            self.place(Node { range: start..end, value: Value::Skipped });
        }
        self.state = if self.stack.is_empty() { State::End } else { State::AfterValue };
    }

    fn place(&mut self, node: Node) {
        match self.open.last_mut().map(|open| &mut open.value) {
            Some(Value::Array(elements)) => elements.push(node),
            Some(Value::Object(members)) => members.push((std::mem::take(&mut self.key), node)),
            _ => self.root = Some(node),
        }
    }

    fn count(&mut self, bytes: usize) -> Result<(), JsonError> {
        self.captured += u64::try_from(bytes).unwrap_or(u64::MAX);
        if self.captured > self.limits.json_captured_bytes {
            return Err(JsonError::TooLarge { limit: self.limits.json_captured_bytes });
        }
        Ok(())
    }

    // Strings.

    fn start_text(&mut self, is_key: bool, at: usize) {
        self.text.clear();
        self.text_length = 0;
        self.text_start = self.position(at);
        self.text_escaped = false;
        self.text_is_key = is_key;
        self.high_surrogate = 0;
        self.state = State::Text;
    }

    fn text_run(&mut self, piece: &[u8], at: usize) -> Result<usize, JsonError> {
        let rest = piece.get(at..).unwrap_or_default();
        let run = plain_run(rest);
        self.keep_text(rest.get(..run).unwrap_or_default())?;
        let Some(&byte) = rest.get(run) else { return Ok(piece.len()) };
        let at = at + run;
        match byte {
            b'"' => self.end_text(piece, at),
            b'\\' => {
                self.text_escaped = true;
                Ok(self.go(State::Escape, at))
            }
            _ => Err(self.unexpected(at, "no control character in a string")),
        }
    }

    fn keep_text(&mut self, bytes: &[u8]) -> Result<(), JsonError> {
        self.text_length += bytes.len();
        let limit = match (self.text_is_key, self.keeping()) {
            (true, _) => KEY_BYTES,
            (false, true) => self.kept_string_bytes(),
            (false, false) => return Ok(()),
        };
        if self.text_length <= limit {
            if !self.text_is_key {
                self.count(bytes.len())?;
            }
            self.text.extend_from_slice(bytes);
        } else if self.text_is_key {
            return Err(JsonError::TooLarge { limit: u64::try_from(KEY_BYTES).unwrap_or(u64::MAX) });
        } else {
            self.captured -= length(&self.text);
            self.text = Vec::new();
        }
        Ok(())
    }

    fn end_text(&mut self, piece: &[u8], at: usize) -> Result<usize, JsonError> {
        let end = self.position(at) + 1;
        if self.text_is_key {
            return self.end_key(end, piece, at);
        }
        if self.keeping() {
            let value = if self.text_length > self.kept_string_bytes() {
                Value::LongString { escaped: self.text_escaped }
            } else {
                Value::String(self.take_text()?)
            };
            self.count(32)?;
            self.place(Node { range: self.text_start..end, value });
        }
        self.ended(end);
        Ok(at + 1)
    }

    fn end_key(&mut self, end: u64, piece: &[u8], at: usize) -> Result<usize, JsonError> {
        let hash = hash_key(&self.text);
        let limit = self.limits.json_keys;
        let Some(Frame::Object(seen)) = self.stack.last_mut() else {
            return Err(self.unexpected(at, "a key inside an object"));
        };
        if self.open_keys >= limit {
            return Err(JsonError::TooManyKeys { offset: end, limit });
        }
        self.open_keys += 1;
        if !seen.insert(hash) {
            let key = String::from_utf8_lossy(&self.text).chars().take(200).collect();
            return Err(JsonError::DuplicateKey { offset: end, key });
        }
        if self.keeping() {
            self.count(self.text.len() + 32)?;
            self.key = self.take_text()?;
        }
        // Nearly every key is followed by its colon at once.
        if piece.get(at + 1) == Some(&b':') {
            return Ok(self.go(State::Value, at + 1));
        }
        Ok(self.go(State::Colon, at))
    }

    fn take_text(&mut self) -> Result<Box<str>, JsonError> {
        let text = std::str::from_utf8(&self.text).map_err(|_| JsonError::NotUtf8 { offset: self.text_start })?;
        Ok(text.into())
    }

    fn escape_byte(&mut self, byte: u8, at: usize) -> Result<usize, JsonError> {
        let value = match byte {
            b'"' | b'\\' | b'/' => byte,
            b'b' => 8,
            b'f' => 12,
            b'n' => b'\n',
            b'r' => b'\r',
            b't' => b'\t',
            b'u' => return Ok(self.go(State::Unicode { digits: 0, unit: 0 }, at)),
            _ => return Err(self.unexpected(at, "an escape that JSON knows")),
        };
        self.keep_text(&[value])?;
        Ok(self.go(State::Text, at))
    }

    fn unicode_byte(&mut self, digits: u8, unit: u32, byte: u8, at: usize) -> Result<usize, JsonError> {
        let Some(digit) = char::from(byte).to_digit(16) else {
            return Err(self.unexpected(at, "a hex digit"));
        };
        let unit = unit * 16 + digit;
        if digits < 3 {
            return Ok(self.go(State::Unicode { digits: digits + 1, unit }, at));
        }
        let high = std::mem::take(&mut self.high_surrogate);
        let scalar = match (high, unit) {
            (0, 0xD800..=0xDBFF) => {
                self.high_surrogate = unit;
                return Ok(self.go(State::LowSurrogateBackslash, at));
            }
            (0, _) => unit,
            (_, 0xDC00..=0xDFFF) => 0x10000 + ((high - 0xD800) << 10) + (unit - 0xDC00),
            _ => return Err(self.unexpected(at, "the second half of a surrogate pair")),
        };
        let Some(character) = char::from_u32(scalar) else {
            return Err(self.unexpected(at, "no lone surrogate"));
        };
        let mut buffer = [0; 4];
        self.keep_text(character.encode_utf8(&mut buffer).as_bytes())?;
        Ok(self.go(State::Text, at))
    }

    // Numbers and literals.

    fn start_number(&mut self, number: Number, byte: u8, at: usize) -> usize {
        self.text.clear();
        self.text_start = self.position(at);
        if self.keeping() {
            self.text.push(byte);
        }
        self.go(State::Number(number), at)
    }

    fn number_byte(&mut self, number: Number, byte: u8, at: usize) -> Result<usize, JsonError> {
        if let Some(next) = number.next(byte) {
            if self.keeping() {
                self.count(1)?;
                self.text.push(byte);
            }
            return Ok(self.go(State::Number(next), at));
        }
        if !number.complete() {
            return Err(self.unexpected(at, "a digit"));
        }
        self.end_number(at)?;
        Ok(at)
    }

    fn end_number(&mut self, at: usize) -> Result<(), JsonError> {
        let end = self.position(at);
        if self.keeping() {
            let value = Value::Number(self.take_text()?);
            self.place(Node { range: self.text_start..end, value });
        }
        self.ended(end);
        Ok(())
    }

    fn start_literal(&mut self, rest: &'static [u8], bool: Option<bool>, at: usize) -> usize {
        self.text_start = self.position(at);
        self.go(State::Literal { rest, bool }, at)
    }

    fn literal_byte(
        &mut self,
        rest: &'static [u8],
        bool: Option<bool>,
        byte: u8,
        at: usize,
    ) -> Result<usize, JsonError> {
        match rest.split_first() {
            Some((&first, [])) if first == byte => {
                let end = self.position(at) + 1;
                if self.keeping() {
                    self.place(Node { range: self.text_start..end, value: bool.map_or(Value::Null, Value::Bool) });
                }
                self.ended(end);
                Ok(at + 1)
            }
            Some((&first, rest)) if first == byte => Ok(self.go(State::Literal { rest, bool }, at)),
            _ => Err(self.unexpected(at, "`true`, `false` or `null`")),
        }
    }
}

fn length(bytes: &[u8]) -> u64 {
    u64::try_from(bytes.len()).unwrap_or(u64::MAX)
}

/// A hash of a key, for telling keys of one object apart. Fast, not secret: whoever makes two keys collide has a document
/// of his own refused.
fn hash_key(key: &[u8]) -> u64 {
    fn fold(left: u64, right: u64) -> u64 {
        let product = (u128::from(left) * u128::from(right)).to_le_bytes();
        let half = |bytes: &[u8]| <[u8; 8]>::try_from(bytes).map_or(0, u64::from_le_bytes);
        let (low, high) = product.split_at(8);
        half(low) ^ half(high)
    }
    let mut hash = 0x9E37_79B9_7F4A_7C15 ^ length(key);
    let mut words = key.chunks_exact(8);
    for word in words.by_ref() {
        let word = <[u8; 8]>::try_from(word).map_or(0, u64::from_le_bytes);
        hash = fold(hash ^ word, 0xD6E8_FEB8_6659_FD93).rotate_left(23) ^ word;
    }
    let mut tail = [0; 8];
    for (target, byte) in tail.iter_mut().zip(words.remainder()) {
        *target = *byte;
    }
    let tail = u64::from_le_bytes(tail);
    fold(hash ^ tail, 0xA076_1D64_78BD_642F) ^ tail.rotate_left(17) ^ hash
}

/// Bytes up to the next quote, backslash or control character. Eight at a time: strings are most of every document.
fn plain_run(bytes: &[u8]) -> usize {
    const ONES: u64 = 0x0101_0101_0101_0101;
    const HIGHS: u64 = 0x8080_8080_8080_8080;
    let mut at = 0;
    let mut words = bytes.chunks_exact(8);
    for word in words.by_ref() {
        let Ok(array) = <[u8; 8]>::try_from(word) else { break };
        let word = u64::from_le_bytes(array);
        let quote = word ^ (ONES * 0x22);
        let backslash = word ^ (ONES * 0x5c);
        let zero = |value: u64| value.wrapping_sub(ONES) & !value;
        let control = word.wrapping_sub(ONES * 0x20) & !word;
        let found = (zero(quote) | zero(backslash) | control) & HIGHS;
        if found != 0 {
            return at + usize::try_from(found.trailing_zeros() / 8).unwrap_or(0);
        }
        at += 8;
    }
    let rest = words.remainder();
    at + rest.iter().position(|&byte| byte < 0x20 || byte == b'"' || byte == b'\\').unwrap_or(rest.len())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::json;

    fn check(text: &str) -> Result<(), JsonError> {
        json::check(text.as_bytes(), &Limits::default())
    }

    #[test]
    fn any_split_gives_the_same_answer() {
        let text = r#"{"a":[1,-2.5e+3,true,null,"x\u00e9\ud83d\ude00ü"],"b":{"c":""},"predicate":{"z":[]}}"#;
        let whole = json::read(text.as_bytes(), &Limits::default()).unwrap();
        for split in 0..text.len() {
            let mut scanner = Scanner::new(Keep::AllBut { members: &[], string_bytes: usize::MAX }, &Limits::default());
            scanner.feed(&text.as_bytes()[..split]).unwrap();
            scanner.feed(&text.as_bytes()[split..]).unwrap();
            assert_eq!(scanner.finish().unwrap(), whole, "split at {split}");
        }
        assert_eq!(whole.get("a").unwrap().as_array().unwrap()[4].as_str(), Some("xé😀ü"));
    }

    #[test]
    fn a_duplicate_key_is_refused_however_it_is_spelt() {
        assert!(matches!(check(r#"{"a":1,"\u0061":2}"#), Err(JsonError::DuplicateKey { .. })));
    }

    #[test]
    fn a_duplicate_among_many_keys_is_refused() {
        let mut text: String = (0..100).map(|number| format!("\"k{number}\":0,")).collect();
        text = format!("{{{text}\"k7\":1}}");
        assert!(matches!(check(&text), Err(JsonError::DuplicateKey { .. })));
    }

    #[test]
    fn the_same_key_in_two_objects_is_fine() {
        assert_eq!(check(r#"[{"a":1},{"a":{"a":2}}]"#), Ok(()));
    }

    #[test]
    fn what_parsers_disagree_about_is_refused() {
        for text in [
            "",
            " ",
            "{",
            "[1,]",
            "{\"a\":1,}",
            "[1] 2",
            "01",
            "1.",
            "-",
            "1e",
            "\"\\x\"",
            "\"\\ud800\"",
            "\"\\udc00\"",
            "\"\n\"",
            "nul",
            "tru e",
            "{a:1}",
            "'a'",
            "[1 2]",
            "\u{feff}1",
            "\"\\ud800x\"",
            "[}",
            "{]",
            ",",
            "1,2",
        ] {
            assert!(check(text).is_err(), "{text:?}");
        }
    }

    #[test]
    fn nesting_past_the_bound_is_refused() {
        let text = "[".repeat(129) + &"]".repeat(129);
        assert!(matches!(check(&text), Err(JsonError::TooDeep { limit: 128, .. })));
    }

    #[test]
    fn invalid_utf8_is_refused_even_at_the_seam_of_two_pieces() {
        let mut scanner = Scanner::new(Keep::Nothing, &Limits::default());
        scanner.feed(b"\"\xc3").unwrap();
        assert!(matches!(scanner.feed(b"(\""), Err(JsonError::NotUtf8 { .. })));
    }

    #[test]
    fn a_skipped_member_is_checked_but_not_kept() {
        let keep = Keep::AllBut { members: &["predicate"], string_bytes: 4 };
        let text = b"{\"predicate\":{\"a\":[1,2]}\n,\"type\":\"long string\",\"b\":\"ok\"}";
        let mut scanner = Scanner::new(keep, &Limits::default());
        scanner.feed(text).unwrap();
        let node = scanner.finish().unwrap();
        let predicate = node.get("predicate").unwrap();
        assert_eq!((&predicate.value, predicate.range.clone()), (&Value::Skipped, 13..25));
        assert_eq!(node.get("type").unwrap().value, Value::LongString { escaped: false });
        assert_eq!(&text[33..46], b"\"long string\"");
        assert_eq!(node.get("type").unwrap().range, 33..46);
        assert_eq!(node.str_of("b"), Some("ok"));
        let mut scanner = Scanner::new(keep, &Limits::default());
        assert!(scanner.feed(br#"{"predicate":{"a":1,"a":2}}"#).is_err());
    }

    #[test]
    fn a_run_stops_at_the_first_special_byte() {
        for (text, expected) in
            [("abcdefghijk\"", 11), ("abc\\", 3), ("éééééééé\u{1}", 16), ("abcdefgh", 8), ("\u{7f}\"", 1)]
        {
            assert_eq!(plain_run(text.as_bytes()), expected, "{text:?}");
        }
    }
}
