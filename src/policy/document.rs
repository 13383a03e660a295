//! The policy file as values: who may sign, for which images, and what has to be there.
//!
//! Only text goes in. Key files are not opened, and no evidence is looked at. A policy that was read is consistent in
//! itself: every name under `signedBy` exists, and every threshold can be reached.

use std::collections::BTreeMap;
use std::fmt;
use std::num::NonZeroUsize;

use super::pattern::Pattern;
use super::problem::{PolicyError, Position, Problems};
use super::reader::Reader;
use super::yaml;
use crate::limits::Limits;
use crate::oci::Platform;

/// A policy file, version 1.
///
/// ```
/// use attestry::{limits::Limits, policy::Policy};
/// let text = b"
/// apiVersion: attestry/v1
/// kind: Policy
/// metadata: {name: production}
/// keys:
///   team: {publicKey: keys/team.pub}
/// images:
///   - match: registry.example/prod/**
///     require:
///       - sbom: {signedBy: team}
/// ";
/// let policy = Policy::parse(text, &|_| true, &Limits::default()).unwrap();
/// assert_eq!(policy.images[0].require[0].id, "sbom");
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Policy {
    /// `metadata.name`, for reports.
    pub name: String,
    /// Who may sign, by the names that demands use. Not every one need be used.
    pub signers: BTreeMap<SignerName, Signer>,
    /// The rules, in the order of the file; at least one. All that match an image apply to it.
    pub images: Vec<ImageRule>,
}

/// The name of a signer: letters, digits, `.`, `_` and `-`, at most 64, starting with a letter or digit.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct SignerName(Box<str>);

/// A public key, or a group of keys of which any counts.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Signer {
    /// Paths as they were written, at least one, none twice. They are relative to the policy file.
    pub key_paths: Vec<String>,
    /// Where the signer is in the file.
    pub position: Position,
}

/// What images of one pattern need.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ImageRule {
    /// Which images.
    pub pattern: Pattern,
    /// Which platforms of an index.
    pub platforms: Platforms,
    /// The demands, in the order of the file; at least one. All have to be met.
    pub require: Vec<Demand>,
    /// Where the rule is in the file.
    pub position: Position,
}

/// Which platforms of an index need evidence.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Platforms {
    /// Everything that the index can run.
    All,
    /// These; at least one, no two that match each other.
    Listed(Vec<Platform>),
}

/// One demand.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Demand {
    /// What has to be there.
    pub kind: DemandKind,
    /// A name for reports, unique in the file: the kind, with `-2` and so on from the second of its kind.
    pub id: String,
    /// Signers of which any counts; at least one, none twice, all in [`Policy::signers`].
    pub signed_by: Vec<SignerName>,
    /// How many distinct keys have to have signed. The signers list at least as many paths; that their files hold
    /// distinct keys is not known here.
    pub threshold: NonZeroUsize,
    /// What the evidence has to be about; `None` leaves it to the default of the kind.
    pub coverage: Option<Coverage>,
    /// Whether a signature over the index counts for statements in the attestation manifests that it lists.
    pub through_index: bool,
    /// Where the demand is in the file.
    pub position: Position,
}

/// What a demand asks for.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum DemandKind {
    /// A statement of the named type.
    Attestation {
        /// A short name or a URI.
        type_name: TypeName,
    },
    /// An SBOM in one of these formats; at least one.
    Sbom {
        /// The formats that count.
        formats: Vec<SbomFormat>,
    },
    /// SLSA provenance.
    Provenance,
    /// A VEX document.
    Vex,
    /// A vulnerability report.
    Vulnerabilities,
    /// A SLSA verification summary.
    Vsa,
    /// A test result.
    TestResult,
    /// A signature over the image itself.
    Signature,
}

/// A predicate type as it was written: a short name or a URI, of which the caller of [`Policy::parse`] said it is one.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct TypeName(Box<str>);

/// A format of an SBOM.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum SbomFormat {
    /// CycloneDX.
    CycloneDx,
    /// SPDX.
    Spdx,
}

/// What evidence has to be about.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Coverage {
    /// The index itself.
    Index,
    /// The platform's manifest, or the index that holds it.
    Inherited,
    /// The platform's own manifest.
    Own,
}

impl Policy {
    /// Reads a policy file. `is_type` says whether a text is a predicate type: a short name or a URI.
    ///
    /// Does not open the key files, and does not check that they hold different keys.
    ///
    /// # Errors
    /// [`PolicyError`] with every problem of the file.
    pub fn parse(bytes: &[u8], is_type: &dyn Fn(&str) -> bool, limits: &Limits) -> Result<Self, PolicyError> {
        let mut problems = Problems::new(limits.policy_problems);
        let root = yaml::read(bytes, limits, &mut problems);
        let policy = root.and_then(|root| Reader { problems: &mut problems, is_type, limits }.policy(&root));
        problems.finish(policy)
    }
}

impl SignerName {
    pub(super) fn parse(text: &str) -> Option<Self> {
        is_name(text).then(|| Self(text.into()))
    }

    /// The name.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl TypeName {
    pub(super) fn new(text: &str) -> Self {
        Self(text.into())
    }

    /// The text as it was written.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for SignerName {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&self.0)
    }
}

impl fmt::Display for TypeName {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&self.0)
    }
}

impl DemandKind {
    /// The word in the policy file.
    pub const fn as_str(&self) -> &'static str {
        match self {
            Self::Attestation { .. } => "attestation",
            Self::Sbom { .. } => "sbom",
            Self::Provenance => "provenance",
            Self::Vex => "vex",
            Self::Vulnerabilities => "vulnerabilities",
            Self::Vsa => "vsa",
            Self::TestResult => "test-result",
            Self::Signature => "signature",
        }
    }
}

impl SbomFormat {
    /// Both, in the order in which messages name them.
    pub const ALL: [Self; 2] = [Self::Spdx, Self::CycloneDx];

    /// The word in the policy file, which is also the short name of the predicate type.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::CycloneDx => "cyclonedx",
            Self::Spdx => "spdx",
        }
    }
}

impl Coverage {
    /// The word in the policy file.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Index => "index",
            Self::Inherited => "inherited",
            Self::Own => "own",
        }
    }
}

/// Names appear in reports and as references, so that they are kept to what needs no quoting anywhere.
pub(super) fn is_name(text: &str) -> bool {
    let first = text.bytes().next().is_some_and(|byte| byte.is_ascii_alphanumeric());
    first && text.len() <= 64 && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"._-".contains(&byte))
}

#[cfg(test)]
mod tests;
