//! Requirements: what an image must have, with the keys themselves in place of their names.

use std::num::NonZeroUsize;

use crate::digest::Digest;
use crate::oci::Platform;
use crate::predicate::TypeSelector;

/// What kind of evidence is wanted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Wanted {
    /// A verified statement of one of these types.
    Types(Vec<TypeSelector>),
    /// A verified signature over the image itself.
    ImageSignature,
}

impl Wanted {
    /// The name for people.
    pub fn title(&self) -> String {
        match self {
            Self::ImageSignature => "image signature".to_owned(),
            Self::Types(types) => {
                let titles = types.iter().map(|selector| {
                    selector.family().map_or_else(|| selector.as_str().to_owned(), |family| family.title().to_owned())
                });
                titles.collect::<Vec<_>>().join(" or ")
            }
        }
    }

    /// The types, for looking for them first.
    pub fn types(&self) -> Vec<TypeSelector> {
        match self {
            Self::Types(types) => types.clone(),
            Self::ImageSignature => TypeSelector::parse("signature").into_iter().collect(),
        }
    }
}

/// What an attestation must be about for a part of the image to be covered.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Cover {
    /// The part itself, or an index that holds it.
    Inherited,
    /// The part itself.
    Own,
    /// The index that was named.
    Index,
}

/// One thing that the image must have.
#[derive(Debug, Clone)]
pub struct Requirement {
    /// Its name in reports, unique among the requirements of one run.
    pub id: String,
    /// What is wanted.
    pub wanted: Wanted,
    /// Fingerprints of the keys that count.
    pub keys: Vec<Digest>,
    /// How many distinct ones of them must have signed the same statement.
    pub threshold: NonZeroUsize,
    /// What it must be about.
    pub cover: Cover,
    /// Whether a signature over the index makes the statements inside it count.
    pub through_index: bool,
}

/// Which parts of an index are looked at.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Scope {
    /// Everything that can be run.
    All,
    /// These platforms; each must be there.
    Platforms(Vec<Platform>),
}
