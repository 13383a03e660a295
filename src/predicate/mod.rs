//! Predicates: raw JSON under a type, and the table of types that have a short name.
//!
//! A new predicate type with rules of its own is a file in this folder and a line in the table.

mod family;

use std::borrow::Cow;

pub use family::{Family, TypeSelector};

use crate::code::Code;
use crate::content::Content;
use crate::json::{JsonError, Keep, Scanner};
use crate::limits::Limits;
use crate::media_type::PredicateType;

/// Why a document or a type is not taken.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum PredicateError {
    /// Neither a short name nor a URI.
    #[error("no predicate type has the short name {text}")]
    UnknownType {
        /// What was given.
        text: String,
        /// A short name that is spelt almost so.
        similar: Option<&'static str>,
    },
    /// The document is not strict JSON.
    #[error("the predicate is not JSON: {0}")]
    Json(#[from] JsonError),
    /// The document is JSON and lacks what its type cannot be without.
    #[error("the predicate is no {title}: {detail}")]
    NotOfType {
        /// The type's title.
        title: Cow<'static, str>,
        /// What is missing.
        detail: String,
    },
    /// The document could not be read.
    #[error("reading the predicate failed: {0}")]
    Unreadable(#[from] std::io::Error),
}

impl PredicateError {
    /// The stable code of this error.
    pub const fn code(&self) -> Code {
        match self {
            Self::UnknownType { .. } => Code::PredicateTypeInvalid,
            Self::Json(error) => error.code(),
            Self::NotOfType { .. } => Code::PredicateInvalid,
            Self::Unreadable(_) => Code::FileUnreadable,
        }
    }
}

/// A predicate's exact text and its type.
///
/// The text is strict JSON, and an object that has the members by which its type is known. It is not compared with the
/// type's schema.
#[derive(Debug, Clone)]
pub struct Predicate {
    predicate_type: PredicateType,
    content: Content,
}

impl Predicate {
    /// Checks a document against its type, in one pass, whatever its size.
    ///
    /// # Errors
    /// Any [`PredicateError`] but `UnknownType`.
    pub fn read(content: Content, selector: &TypeSelector, limits: &Limits) -> Result<Self, PredicateError> {
        let required = selector.family().map(Family::required).unwrap_or_default();
        let names = member_names(&content, limits)?;
        let has = |name: &&str| names.iter().any(|known| **known == **name);
        let missing: Vec<String> =
            required.iter().filter(|row| !row.iter().any(has)).map(|row| format!("`{}`", row.join("` or `"))).collect();
        if let (Some(family), false) = (selector.family(), missing.is_empty()) {
            let detail = format!("no {}", missing.join(", no "));
            return Err(PredicateError::NotOfType { title: family.title().into(), detail });
        }
        Ok(Self { predicate_type: selector.written(), content })
    }

    /// The type under which it is written.
    pub const fn predicate_type(&self) -> &PredicateType {
        &self.predicate_type
    }

    /// The exact text.
    pub const fn content(&self) -> &Content {
        &self.content
    }
}

/// Names of the outermost members, in constant memory.
fn member_names(content: &Content, limits: &Limits) -> Result<Vec<Box<str>>, PredicateError> {
    let mut scanner = Scanner::new(Keep::Names, limits);
    content.each_chunk(|chunk| scanner.feed(chunk).map_err(PredicateError::Json))?;
    let node = scanner.finish()?;
    Ok(node.as_object().unwrap_or_default().iter().map(|(name, _)| name.clone()).collect())
}
