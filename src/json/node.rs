//! What a scan keeps of a document.

use std::ops::Range;

/// A value and where its text stands.
#[derive(Debug, Clone, PartialEq)]
pub struct Node {
    /// Bytes of the value's text, quotes and brackets included.
    pub range: Range<u64>,
    /// The value.
    pub value: Value,
}

/// A value that was kept, or the note that it was not.
#[derive(Debug, Clone, PartialEq)]
pub enum Value {
    /// `null`.
    Null,
    /// `true` or `false`.
    Bool(bool),
    /// A number as it was written.
    Number(Box<str>),
    /// A string, escapes resolved.
    String(Box<str>),
    /// A string too long to keep.
    LongString {
        /// Whether the text holds escapes, so that its bytes are not its value.
        escaped: bool,
    },
    /// An array.
    Array(Vec<Node>),
    /// An object, in the order of the text.
    Object(Vec<(Box<str>, Node)>),
    /// A value that the caller asked to skip; its text was checked.
    Skipped,
}

impl Node {
    /// The member of an object; `None` when this is no object or has no such member.
    pub fn get(&self, key: &str) -> Option<&Self> {
        match &self.value {
            Value::Object(members) => members.iter().find(|(name, _)| &**name == key).map(|(_, node)| node),
            _ => None,
        }
    }

    /// The member of an object, with `null` read as absent (proto3 JSON writes both).
    pub fn get_set(&self, key: &str) -> Option<&Self> {
        self.get(key).filter(|node| node.value != Value::Null)
    }

    /// The string; `None` for anything else and for strings too long to keep.
    pub fn as_str(&self) -> Option<&str> {
        match &self.value {
            Value::String(text) => Some(text),
            _ => None,
        }
    }

    /// The string of a member.
    pub fn str_of(&self, key: &str) -> Option<&str> {
        self.get(key).and_then(Self::as_str)
    }

    /// The elements; `None` when this is no array.
    pub fn as_array(&self) -> Option<&[Self]> {
        match &self.value {
            Value::Array(elements) => Some(elements),
            _ => None,
        }
    }

    /// The members; `None` when this is no object.
    pub fn as_object(&self) -> Option<&[(Box<str>, Self)]> {
        match &self.value {
            Value::Object(members) => Some(members),
            _ => None,
        }
    }

    /// The range of a string's text without its quotes.
    pub fn inside(&self) -> Range<u64> {
        self.range.start + 1..self.range.end.saturating_sub(1).max(self.range.start + 1)
    }
}
