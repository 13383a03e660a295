//! Evaluation: requirements and verified evidence in, a verdict out.
//!
//! What arrives here was verified by `crate::verify`; nothing else can, since the types have no other constructor.

use std::collections::{BTreeSet, HashMap};

use crate::code::Code;
use crate::digest::Digest;
use crate::oci::{Image, PlatformManifest};
use crate::verify::{Attestation, Hop, ImageSignature, Signer};

use super::requirement::{Cover, Requirement, Scope, Wanted};

/// Everything about an image that was verified.
#[derive(Debug, Clone, Default)]
pub struct Evidence {
    /// Verified statements about the image.
    pub attestations: Vec<Attestation>,
    /// Verified signatures over the image.
    pub signatures: Vec<ImageSignature>,
}

/// How a requirement came out.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Status {
    /// It is met.
    Met {
        /// The attestations that meet it, by their place in the evidence.
        attestations: Vec<usize>,
        /// The image signatures that meet it, by their place in the evidence.
        signatures: Vec<usize>,
        /// What was not checked on the way.
        unchecked: BTreeSet<Code>,
    },
    /// It is not met.
    Unmet(Unmet),
}

/// Why a requirement is not met.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum Unmet {
    /// Nothing that is verified is of the wanted kind and signed by a demanded key.
    Missing,
    /// A statement is signed by fewer of the demanded keys than asked for.
    Threshold {
        /// The most that signed one statement.
        signed: usize,
        /// What is asked for.
        wanted: usize,
    },
    /// Some parts of the image are not covered.
    Platforms {
        /// The parts: platform and digest.
        missing: Vec<(String, Digest)>,
        /// How many parts there are.
        of: usize,
    },
    /// The index itself must be the subject, and is not.
    IndexNotCovered,
    /// The image does not have a platform that is demanded.
    NoSuchPlatform {
        /// The platform.
        wanted: String,
    },
    /// The index holds nothing that can be run.
    NothingToRun,
}

impl Unmet {
    /// The stable code.
    pub const fn code(&self) -> Code {
        match self {
            Self::Missing => Code::AttestationMissing,
            Self::Threshold { .. } => Code::ThresholdUnmet,
            Self::Platforms { .. } | Self::IndexNotCovered | Self::NoSuchPlatform { .. } => Code::PlatformMissing,
            Self::NothingToRun => Code::IndexWithoutImages,
        }
    }
}

/// A requirement and how it came out.
#[derive(Debug, Clone)]
pub struct Checked {
    /// The requirement.
    pub requirement: Requirement,
    /// How it came out.
    pub status: Status,
}

/// The decision about one image.
#[derive(Debug, Clone)]
pub struct Verdict {
    checked: Vec<Checked>,
}

impl Verdict {
    /// Whether every requirement is met. Without any requirement nothing is accepted.
    pub fn is_accepted(&self) -> bool {
        !self.checked.is_empty() && self.checked.iter().all(|checked| matches!(checked.status, Status::Met { .. }))
    }

    /// All requirements, in the order given.
    pub fn requirements(&self) -> &[Checked] {
        &self.checked
    }
}

/// Decides about an image. Pure: the same arguments always give the same verdict.
///
/// 1. The parts of the image that count are chosen by `scope`.
/// 2. Each requirement is met by verified evidence of its kind, signed by enough of its keys, that covers every part.
///
/// ```
/// # use attestry::policy::{evaluate, Evidence, Scope};
/// # fn example(image: &attestry::oci::Image) {
/// // No requirement, no acceptance.
/// assert!(!evaluate(&[], &Scope::All, image, &Evidence::default()).is_accepted());
/// # }
/// ```
pub fn evaluate(requirements: &[Requirement], scope: &Scope, image: &Image, evidence: &Evidence) -> Verdict {
    let checked = requirements
        .iter()
        .map(|requirement| {
            let status = match parts(scope, image) {
                Ok(parts) => check(requirement, scope, &parts, image, evidence),
                Err(unmet) => Status::Unmet(unmet),
            };
            Checked { requirement: requirement.clone(), status }
        })
        .collect();
    Verdict { checked }
}

fn parts<'a>(scope: &'a Scope, image: &'a Image) -> Result<Vec<&'a PlatformManifest>, Unmet> {
    let parts: Vec<&PlatformManifest> = match scope {
        Scope::All => image.platforms().iter().collect(),
        Scope::Platforms(wanted) if image.is_index() => {
            let mut parts = Vec::new();
            for platform in wanted {
                // An entry that does not say its platform meets no demand for one, and may be what is run there.
                parts.extend(image.may_run_on(platform));
                if image.on(platform).next().is_none() {
                    return Err(Unmet::NoSuchPlatform { wanted: platform.to_string() });
                }
            }
            // An index among the leaves was not read, or is too deep: it may hold any platform once more.
            parts.extend(image.platforms().iter().filter(|part| part.descriptor.media_type.is_image_index()));
            parts
        }
        // A single manifest is its only part; which platform it runs on is in a configuration that nobody signed here.
        Scope::Platforms(_) => image.platforms().iter().collect(),
    };
    if parts.is_empty() { Err(Unmet::NothingToRun) } else { Ok(parts) }
}

/// One piece of verified evidence that is of the wanted kind, with all demanded keys that signed it.
struct Counted<'a> {
    /// Its place among the attestations, when it is one.
    place: Option<usize>,
    /// Places among the signatures, when it is these.
    signatures: Vec<usize>,
    about: BTreeSet<&'a Digest>,
    keys: BTreeSet<&'a Digest>,
    /// Of every document that was needed for the keys.
    unchecked: BTreeSet<Code>,
}

fn check(
    requirement: &Requirement,
    scope: &Scope,
    parts: &[&PlatformManifest],
    image: &Image,
    evidence: &Evidence,
) -> Status {
    let counted = match &requirement.wanted {
        Wanted::Types(_) => count_attestations(requirement, evidence),
        Wanted::ImageSignature => count_signatures(requirement, image, evidence),
    };
    let most = counted.iter().map(|counted| counted.keys.len()).max().unwrap_or(0);
    let enough: Vec<&Counted<'_>> =
        counted.iter().filter(|counted| counted.keys.len() >= requirement.threshold.get()).collect();
    if enough.is_empty() {
        let wanted = requirement.threshold.get();
        return Status::Unmet(if most == 0 { Unmet::Missing } else { Unmet::Threshold { signed: most, wanted } });
    }
    let about_root = enough.iter().any(|counted| counted.about.contains(image.digest()));
    let used: Vec<&Counted<'_>> = match requirement.cover {
        Cover::Index if !about_root => return Status::Unmet(Unmet::IndexNotCovered),
        Cover::Index => enough.into_iter().filter(|counted| counted.about.contains(image.digest())).collect(),
        cover => {
            let covers = |counted: &Counted<'_>, part: &PlatformManifest| {
                counted.about.contains(&part.descriptor.digest)
                    || (cover == Cover::Inherited && part.held_by.iter().any(|index| counted.about.contains(index)))
            };
            let open: Vec<_> =
                parts.iter().filter(|part| !enough.iter().any(|counted| covers(counted, part))).collect();
            if !open.is_empty() {
                let missing = open.iter().map(|part| (part.label(), part.descriptor.digest.clone())).collect();
                return Status::Unmet(Unmet::Platforms { missing, of: parts.len() });
            }
            enough.into_iter().filter(|counted| parts.iter().any(|part| covers(counted, part))).collect()
        }
    };
    let mut unchecked: BTreeSet<Code> = used.iter().flat_map(|counted| &counted.unchecked).copied().collect();
    if image.is_index() && *scope == Scope::All && !about_root {
        unchecked.insert(Code::IndexComposition);
    }
    let attestations = used.iter().filter_map(|counted| counted.place).collect();
    let signatures = used.iter().flat_map(|counted| &counted.signatures).copied().collect();
    Status::Met { attestations, signatures, unchecked }
}

fn demanded<'a>(requirement: &Requirement, signers: &'a [Signer]) -> impl Iterator<Item = &'a Digest> {
    signers.iter().map(Signer::fingerprint).filter(|key| requirement.keys.contains(key))
}

/// Attestations of the wanted types. The same statement signed by several keys in several bundles is one statement.
fn count_attestations<'a>(requirement: &Requirement, evidence: &'a Evidence) -> Vec<Counted<'a>> {
    let Wanted::Types(types) = &requirement.wanted else { return Vec::new() };
    let counts = |attestation: &&Attestation| {
        let predicate_type = attestation.verified().statement().predicate_type();
        let hop = !matches!(attestation.verified().hop(), Hop::Index { .. }) || requirement.through_index;
        hop && types.iter().any(|selector| selector.matches(predicate_type))
    };
    // By statement: anybody can write one signed statement down in ten thousand ways.
    let mut statements: HashMap<&Digest, (BTreeSet<&Digest>, BTreeSet<Code>)> = HashMap::new();
    let counted = |attestation: &&Attestation| {
        counts(attestation) && demanded(requirement, attestation.verified().signers()).next().is_some()
    };
    for attestation in evidence.attestations.iter().filter(counted) {
        let (keys, unchecked) = statements.entry(attestation.verified().identity()).or_default();
        keys.extend(demanded(requirement, attestation.verified().signers()));
        unchecked.extend(attestation.verified().unchecked());
    }
    let places = evidence.attestations.iter().enumerate().filter(|(_, attestation)| counted(attestation));
    places
        .map(|(place, attestation)| {
            let (keys, unchecked) = statements.get(attestation.verified().identity()).cloned().unwrap_or_default();
            let about = attestation.about().iter().collect();
            Counted { place: Some(place), signatures: Vec::new(), about, keys, unchecked }
        })
        .collect()
}

/// Signatures over one manifest count together, whoever made them and wherever they hang.
///
/// A signature over an attestation manifest is none of the image.
fn count_signatures<'a>(requirement: &Requirement, image: &Image, evidence: &'a Evidence) -> Vec<Counted<'a>> {
    let mut counted: Vec<Counted<'a>> = Vec::new();
    let of_image = |digest: &Digest| image.digests().iter().any(|(known, _)| *known == digest);
    let signatures = evidence.signatures.iter().enumerate();
    for (place, signature) in signatures.filter(|(_, signature)| of_image(signature.about())) {
        let keys: BTreeSet<&Digest> = demanded(requirement, signature.signers()).collect();
        if keys.is_empty() {
            continue;
        }
        match counted.iter_mut().find(|known| known.about.contains(signature.about())) {
            Some(known) => {
                known.keys.extend(keys);
                known.unchecked.extend(signature.unchecked());
                known.signatures.push(place);
            }
            None => counted.push(Counted {
                place: None,
                signatures: vec![place],
                about: BTreeSet::from([signature.about()]),
                keys,
                unchecked: signature.unchecked().clone(),
            }),
        }
    }
    counted
}
