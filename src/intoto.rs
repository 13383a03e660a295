//! in-toto statements: which subjects, which predicate type, and where the predicate stands.
//!
//! The predicate is never parsed here: it stays text inside the payload, checked to be strict JSON.
//!
//! Source: in-toto attestation framework, spec v1 and v0.1.0.

use std::ops::Range;

use bytes::Bytes;

use crate::code::Code;
use crate::content::Content;
use crate::digest::{Digest, DigestAlgorithm};
use crate::json::{JsonError, Keep, Node, Scanner, Value};
use crate::limits::Limits;
use crate::media_type::PredicateType;

/// Why a payload is no statement.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum StatementError {
    /// Not strict JSON.
    #[error(transparent)]
    Json(#[from] JsonError),
    /// `_type` is none that is known.
    #[error("unknown statement type: {found}")]
    UnknownType {
        /// What it says.
        found: String,
    },
    /// A field is missing or of another type.
    #[error("`{field}` is missing or of the wrong type")]
    Field {
        /// Which one.
        field: &'static str,
    },
    /// More subjects than the bound.
    #[error("the statement has more than {limit} subjects")]
    TooManySubjects {
        /// The bound.
        limit: usize,
    },
    /// The payload could not be read.
    #[error("reading failed: {0}")]
    Unreadable(#[from] std::io::Error),
}

impl StatementError {
    /// The stable code of this error.
    pub const fn code(&self) -> Code {
        match self {
            Self::Json(error) => error.code(),
            Self::UnknownType { .. } => Code::StatementTypeUnknown,
            Self::Field { .. } => Code::StatementInvalid,
            Self::TooManySubjects { .. } => Code::TooLarge,
            Self::Unreadable(_) => Code::StorageFailed,
        }
    }
}

/// The version of a statement.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum StatementType {
    /// `https://in-toto.io/Statement/v0.1`, what cosign and older BuildKit write.
    V01,
    /// `https://in-toto.io/Statement/v1`.
    V1,
}

impl StatementType {
    /// The text of `_type`.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::V01 => "https://in-toto.io/Statement/v0.1",
            Self::V1 => "https://in-toto.io/Statement/v1",
        }
    }
}

/// A subject: an artifact by its digests. The name is for people and decides nothing.
///
/// Source: in-toto attestation spec v1, resource_descriptor.md.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Subject {
    /// The name, if it has one.
    pub name: Option<String>,
    digests: Vec<(Box<str>, Box<str>)>,
}

impl Subject {
    /// A subject with one digest.
    pub fn new(name: Option<String>, digest: &Digest) -> Self {
        Self { name, digests: vec![(digest.algorithm().as_str().into(), digest.hex().into())] }
    }

    /// The digests of an algorithm that may decide, as they were written.
    fn deciding(&self) -> impl Iterator<Item = (DigestAlgorithm, &str)> {
        self.digests.iter().filter_map(|(name, hex)| Some((DigestAlgorithm::from_name(name)?, &**hex)))
    }

    /// The digests that decide, as text.
    pub(crate) fn deciding_hex(&self) -> impl Iterator<Item = &str> {
        self.deciding().map(|(_, hex)| hex)
    }

    /// The first digest that is well-formed: what reports show.
    pub fn digest(&self) -> Option<Digest> {
        self.deciding().find_map(|(algorithm, hex)| Digest::from_hex(algorithm, hex).ok())
    }

    /// Whether deciding about `digest` needs the bytes behind it, since the subject gives other algorithms.
    pub fn needs_bytes(&self, digest: &Digest) -> bool {
        self.deciding().any(|(algorithm, _)| algorithm != digest.algorithm())
    }

    /// Whether this subject is the content of `digest`, whose bytes are `bytes` where they are at hand.
    ///
    /// All digests of SHA-256, SHA-384 and SHA-512 that the subject gives must be those of the content; other algorithms
    /// are ignored, and a subject with nothing else matches nothing. Without `bytes` only the algorithm of `digest` can be
    /// compared, and a subject that gives more is no match.
    ///
    /// Source: in-toto attestation spec v1, digest_set.md, made stricter: disagreeing digests are no match.
    pub fn is_about(&self, digest: &Digest, bytes: Option<&Bytes>) -> bool {
        let mut compared = false;
        for (algorithm, hex) in self.deciding() {
            let same = match bytes {
                _ if algorithm == digest.algorithm() => hex == digest.hex(),
                Some(bytes) => hex == Digest::of(algorithm, bytes).hex(),
                None => false,
            };
            if !same {
                return false;
            }
            compared = true;
        }
        compared
    }

    fn read(node: &Node) -> Result<Self, StatementError> {
        let field = |field| StatementError::Field { field };
        let digests = match node.get_set("digest") {
            None => Vec::new(),
            Some(set) => set
                .as_object()
                .ok_or_else(|| field("subject.digest"))?
                .iter()
                .map(|(name, value)| Ok((name.clone(), value.as_str().ok_or_else(|| field("subject.digest"))?.into())))
                .collect::<Result<_, StatementError>>()?,
        };
        let name = match node.get_set("name") {
            None => None,
            Some(name) => Some(name.as_str().ok_or_else(|| field("subject.name"))?.to_owned()),
        };
        if !matches!(node.value, Value::Object(_)) {
            return Err(field("subject"));
        }
        Ok(Self { name, digests })
    }
}

/// A statement as it was read or made. Whether anyone signed it is not known here.
#[derive(Debug, Clone)]
pub struct Statement {
    statement_type: StatementType,
    predicate_type: PredicateType,
    subjects: Vec<Subject>,
    payload: Content,
    predicate: Option<Range<u64>>,
}

impl Statement {
    /// Makes a statement about `subjects` with the predicate's text as it is. The bytes are made once, here.
    ///
    /// Does not check that `predicate` is JSON: [`crate::predicate::Predicate`] did.
    pub fn new(subjects: Vec<Subject>, predicate_type: PredicateType, predicate: &Content) -> Self {
        let head = statement_head(&subjects, &predicate_type);
        let start = u64::try_from(head.len()).unwrap_or(u64::MAX);
        let range = start..start + predicate.length();
        let payload = Content::joined([Content::from(head), predicate.clone(), Content::from("}")]);
        Self { statement_type: StatementType::V1, predicate_type, subjects, payload, predicate: Some(range) }
    }

    /// Reads a statement from a payload, in one pass and without holding its predicate.
    ///
    /// # Errors
    /// Any [`StatementError`]. An empty list of subjects is no error: it matches nothing.
    pub fn read(payload: &Content, limits: &Limits) -> Result<Self, StatementError> {
        let mut reading = StatementReader::new(limits);
        payload.each_chunk(|chunk| reading.feed(chunk))?;
        reading.finish(payload.clone())
    }

    /// The version.
    pub const fn statement_type(&self) -> StatementType {
        self.statement_type
    }

    /// The predicate type.
    pub const fn predicate_type(&self) -> &PredicateType {
        &self.predicate_type
    }

    /// The subjects.
    pub fn subjects(&self) -> &[Subject] {
        &self.subjects
    }

    /// The exact bytes of the statement.
    pub const fn payload(&self) -> &Content {
        &self.payload
    }

    /// The exact text of the predicate; `None` when the statement has none.
    pub fn predicate(&self) -> Option<Content> {
        self.predicate.clone().map(|range| self.payload.slice(range))
    }
}

fn statement_head(subjects: &[Subject], predicate_type: &PredicateType) -> String {
    let text = |value: &str| serde_json::Value::from(value).to_string();
    let entries: Vec<String> = subjects
        .iter()
        .map(|subject| {
            let name = subject.name.as_ref().map(|name| format!("\"name\":{},", text(name)));
            let digests: Vec<String> =
                subject.digests.iter().map(|(name, hex)| format!("{}:{}", text(name), text(hex))).collect();
            format!("{{{}\"digest\":{{{}}}}}", name.unwrap_or_default(), digests.join(","))
        })
        .collect();
    format!(
        "{{\"_type\":\"{}\",\"subject\":[{}],\"predicateType\":{},\"predicate\":",
        StatementType::V1.as_str(),
        entries.join(","),
        text(predicate_type.as_str())
    )
}

/// Reads a statement from pieces of its payload, beside whatever else is done with them.
pub(crate) struct StatementReader {
    scanner: Scanner<'static>,
    max_subjects: usize,
}

impl StatementReader {
    pub(crate) fn new(limits: &Limits) -> Self {
        let keep = Keep::AllBut { members: &["predicate"], string_bytes: crate::dsse::LONG_STRING_BYTES };
        Self { scanner: Scanner::new(keep, limits), max_subjects: limits.subjects }
    }

    pub(crate) fn feed(&mut self, piece: &[u8]) -> Result<(), StatementError> {
        Ok(self.scanner.feed(piece)?)
    }

    /// `payload` must be the content whose pieces were fed.
    pub(crate) fn finish(self, payload: Content) -> Result<Statement, StatementError> {
        let node = self.scanner.finish()?;
        let field = |field| StatementError::Field { field };
        let found = node.str_of("_type").ok_or_else(|| field("_type"))?;
        let statement_type = [StatementType::V01, StatementType::V1]
            .into_iter()
            .find(|known| known.as_str() == found)
            .ok_or_else(|| StatementError::UnknownType { found: found.to_owned() })?;
        let predicate_type = node.str_of("predicateType").ok_or_else(|| field("predicateType"))?;
        let entries = match node.get_set("subject") {
            None => &[],
            Some(subjects) => subjects.as_array().ok_or_else(|| field("subject"))?,
        };
        if entries.len() > self.max_subjects {
            return Err(StatementError::TooManySubjects { limit: self.max_subjects });
        }
        Ok(Statement {
            statement_type,
            predicate_type: PredicateType::new(predicate_type),
            subjects: entries.iter().map(Subject::read).collect::<Result<_, _>>()?,
            payload,
            predicate: node.get("predicate").map(|node| node.range.clone()),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &'static str) -> Result<Statement, StatementError> {
        Statement::read(&Content::from(text), &Limits::default())
    }

    #[test]
    fn what_was_made_reads_back_with_the_predicate_byte_for_byte() {
        let digest = Digest::sha256(b"image");
        let predicate = Content::from("{ \"n\": 12345678901234567890.10 }\n");
        let subject = Subject::new(Some("a \"name\"".to_owned()), &digest);
        let made = Statement::new(vec![subject.clone()], PredicateType::new("https://example.com/x"), &predicate);
        let back = Statement::read(made.payload(), &Limits::default()).unwrap();
        assert_eq!(back.subjects(), [subject]);
        assert_eq!(back.predicate().unwrap().read_all().unwrap(), predicate.read_all().unwrap());
    }

    #[test]
    fn an_unknown_type_is_refused_and_unknown_fields_are_not() {
        let unknown = r#"{"_type":"https://in-toto.io/Statement/v2","subject":[],"predicateType":"x"}"#;
        assert!(matches!(read(unknown), Err(StatementError::UnknownType { .. })));
        let extended = r#"{"_type":"https://in-toto.io/Statement/v1","x":1,"subject":[{"y":2}],"predicateType":"x"}"#;
        assert!(read(extended).is_ok());
    }

    #[test]
    fn an_empty_subject_list_matches_nothing() {
        let statement =
            read(r#"{"_type":"https://in-toto.io/Statement/v1","subject":[],"predicateType":"x"}"#).unwrap();
        assert!(statement.subjects().is_empty());
    }

    #[test]
    fn duplicate_keys_are_refused_inside_the_predicate_too() {
        let text = r#"{"_type":"https://in-toto.io/Statement/v1","subject":[],"predicateType":"x","predicate":{"a":{"b":1,"b":2}}}"#;
        assert!(matches!(read(text), Err(StatementError::Json(JsonError::DuplicateKey { .. }))));
    }

    #[test]
    fn a_subject_matches_only_when_all_its_deciding_digests_are_right() {
        let bytes = Bytes::from_static(b"manifest");
        let digest = Digest::sha256(&bytes);
        let sha512 = Digest::of(DigestAlgorithm::Sha512, &bytes);
        let subject = |digests: &[(&str, &str)]| Subject {
            name: None,
            digests: digests.iter().map(|(name, hex)| ((*name).into(), (*hex).into())).collect(),
        };
        let wrong = "0".repeat(128);
        let upper = digest.hex().to_ascii_uppercase();
        for (digests, expected) in [
            (vec![("sha256", digest.hex())], true),
            (vec![("sha256", digest.hex()), ("md5", "00")], true),
            (vec![("sha256", digest.hex()), ("sha512", sha512.hex())], true),
            (vec![("sha512", sha512.hex())], true),
            (vec![("sha256", digest.hex()), ("sha512", &wrong)], false),
            (vec![("sha256", &upper)], false),
            (vec![("sha256", &digest.hex()[..63])], false),
            (vec![("sha1", digest.hex())], false),
            (vec![], false),
        ] {
            assert_eq!(subject(&digests).is_about(&digest, Some(&bytes)), expected, "{digests:?}");
        }
        assert!(!subject(&[("sha256", digest.hex()), ("sha512", sha512.hex())]).is_about(&digest, None));
    }
}
