//! The report of `verify`.

use std::collections::BTreeSet;

use schemars::JsonSchema;
use serde::Serialize;

use super::chain::{self, LinkEntry};
use super::parts::{self, Covers, ImagePart, PlatformPart, RejectionEntry, SignerEntry};
use crate::attach::Looked;
use crate::code::Code;
use crate::digest::Digest;
use crate::job::{Rejection, Verified};
use crate::location::EvidenceLayout;
use crate::media_type::PredicateType;
use crate::oci::{Image, PlatformManifest};
use crate::policy::{Checked, Requirement, Status, Unmet, Wanted};
use crate::verify::{Attestation, SignatureForm};

/// The decision in one word.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum VerdictWord {
    /// Every requirement is met.
    Accepted,
    /// Some requirement is not met.
    Refused,
    /// Some requirement is not met, and something that might have met it could not be read.
    Undecided,
}

/// The policy that decided.
#[derive(Debug, Clone, Serialize, JsonSchema)]
pub struct PolicyPart {
    /// Its name.
    pub name: String,
    /// The digest of its file.
    pub digest: Digest,
}

/// One requirement and how it came out.
#[derive(Debug, Clone, Serialize, JsonSchema)]
pub struct RequirementEntry {
    /// Its name, unique in the report.
    pub id: String,
    /// What is wanted, for people.
    pub wanted: String,
    /// `met` or `unmet`.
    pub status: String,
    /// Why it is unmet.
    pub code: Option<Code>,
    /// One sentence.
    pub message: Option<String>,
    /// What to do next.
    pub hint: Option<String>,
    /// Places in `attestations` of what meets it.
    pub attestations: Vec<usize>,
    /// Places in `signatures` of what meets it, when image signatures are wanted.
    pub signatures: Vec<usize>,
    /// What came close, nearest first.
    pub candidates: Vec<CandidateEntry>,
}

/// Something that was looked at for a requirement and does not meet it.
#[derive(Debug, Clone, Serialize, JsonSchema)]
pub struct CandidateEntry {
    /// The manifest, tag or listing.
    #[serde(rename = "where")]
    pub place: String,
    /// The document in it, when it came that far.
    pub document: Option<Digest>,
    /// How it was seen.
    pub layout: EvidenceLayout,
    /// The check that failed.
    pub failed_check: Code,
    /// One sentence.
    pub message: String,
    /// What would have been right.
    pub expected: Option<String>,
    /// What is there.
    pub got: Option<String>,
}

/// A verified statement about the image.
#[derive(Debug, Clone, Serialize, JsonSchema)]
pub struct AttestationEntry {
    /// Its predicate type, from the signed payload.
    pub predicate_type: PredicateType,
    /// The first way in which it was seen.
    pub layout: EvidenceLayout,
    /// All ways in which it was seen.
    pub seen: Vec<EvidenceLayout>,
    /// The manifest that lists it.
    pub manifest: Digest,
    /// The document.
    pub document: Digest,
    /// The manifests of the image that it is about.
    pub subject: Vec<Digest>,
    /// `index`, `image`, or platforms.
    pub covers: Vec<String>,
    /// Who signed.
    pub signers: Vec<SignerEntry>,
    /// Authenticated times of signing. Empty with a key alone.
    pub times: Vec<String>,
    /// Always true: what is not verified stands under `rejections`.
    pub verified: bool,
    /// The signed manifest or index through which the signature reaches the statement.
    pub through: Option<Digest>,
    /// What leads from the signature to the image, in order.
    pub chain: Vec<LinkEntry>,
}

/// A verified signature over the image, or over an attestation manifest of it.
#[derive(Debug, Clone, Serialize, JsonSchema)]
pub struct VerifiedSignatureEntry {
    /// The manifest that is signed.
    pub about: Digest,
    /// `index`, `image` or platforms; empty when it is an attestation manifest.
    pub covers: Vec<String>,
    /// Who signed.
    pub signers: Vec<SignerEntry>,
    /// The form of the document that holds it.
    pub form: SignatureForm,
    /// How it was seen.
    pub layout: EvidenceLayout,
    /// The manifest that lists it.
    pub manifest: Digest,
    /// The document.
    pub document: Digest,
    /// What leads from the signature to the manifest that is signed, in order.
    pub chain: Vec<LinkEntry>,
}

/// Where was looked, and how much was there. Once the demands are met nobody looks further.
#[derive(Debug, Clone, Serialize, JsonSchema)]
pub struct LookedIn {
    /// Attestation manifests in indexes.
    pub attestation_manifests: usize,
    /// Manifests whose referrers were asked for.
    pub listings: usize,
    /// Referrers of these that were read.
    pub referrers: usize,
    /// Tags of cosign that were asked for.
    pub tags_asked: usize,
    /// Tags of these that were there.
    pub tags: usize,
    /// Documents in files.
    pub files: usize,
}

impl From<Looked> for LookedIn {
    fn from(looked: Looked) -> Self {
        let Looked { attestation_manifests, listings, referrers, tags_asked, tags, files } = looked;
        Self { attestation_manifests, listings, referrers, tags_asked, tags, files }
    }
}

/// The report of `verify`, `attestry/verify/v1`.
#[derive(Debug, Clone, Serialize, JsonSchema)]
pub struct VerifyReport {
    /// `attestry/verify/v1`.
    pub schema: String,
    /// The decision.
    pub verdict: VerdictWord,
    /// The image.
    pub image: ImagePart,
    /// Everything in it that can be run.
    pub platforms: Vec<PlatformPart>,
    /// The one platform that was looked at, when the command line asked for less than all.
    pub narrowed_to: Option<String>,
    /// What was demanded.
    pub requirements: Vec<RequirementEntry>,
    /// What counts.
    pub attestations: Vec<AttestationEntry>,
    /// Verified image signatures.
    pub signatures: Vec<VerifiedSignatureEntry>,
    /// What was seen and does not count.
    pub rejections: Vec<RejectionEntry>,
    /// Where was looked.
    pub looked_in: LookedIn,
    /// What was not checked.
    pub unchecked: Vec<Code>,
    /// The policy, when there was one.
    pub policy: Option<PolicyPart>,
}

impl VerifyReport {
    /// Reports a decision. `names` gives the name of a key, where it has one.
    pub fn new(
        reference: String,
        verified: &Verified,
        policy: Option<PolicyPart>,
        names: &dyn Fn(&Digest) -> Option<String>,
    ) -> Self {
        let image = &verified.image;
        let accepted = verified.verdict.is_accepted();
        let verdict = match (accepted, verified.undecided) {
            (true, _) => VerdictWord::Accepted,
            (false, true) => VerdictWord::Undecided,
            (false, false) => VerdictWord::Refused,
        };
        let mut unchecked = BTreeSet::new();
        for checked in verified.verdict.requirements() {
            if let Status::Met { unchecked: codes, .. } = &checked.status {
                unchecked.extend(codes.iter().copied());
            }
        }
        let attestations = &verified.collected.evidence.attestations;
        let covers = Covers::of(image);
        let requirements =
            verified.verdict.requirements().iter().map(|checked| requirement(checked, verified, &reference)).collect();
        Self {
            schema: "attestry/verify/v1".to_owned(),
            verdict,
            image: ImagePart { reference, digest: image.digest().clone(), index: image.is_index() },
            platforms: parts::platforms(image),
            narrowed_to: None,
            requirements,
            attestations: attestations.iter().map(|known| entry(known, &covers, names)).collect(),
            signatures: signatures(verified, &covers, names),
            rejections: verified.collected.rejections.iter().map(RejectionEntry::of).collect(),
            looked_in: verified.looked.into(),
            unchecked: unchecked.into_iter().collect(),
            policy,
        }
    }
}

fn entry(attestation: &Attestation, parts: &Covers<'_>, names: &dyn Fn(&Digest) -> Option<String>) -> AttestationEntry {
    let verified = attestation.verified();
    let location = attestation.location();
    AttestationEntry {
        predicate_type: verified.statement().predicate_type().clone(),
        layout: location.layout,
        seen: location.seen.clone(),
        manifest: location.manifest.clone(),
        document: location.layer.clone(),
        subject: attestation.about().to_vec(),
        covers: parts.labels_of_all(attestation.about()),
        signers: parts::signers(verified.signers(), names),
        times: Vec::new(),
        verified: true,
        through: verified.hop().through().cloned(),
        chain: chain::entries(&attestation.chain(), parts),
    }
}

impl VerifyReport {
    /// The same report, saying that only one platform was looked at.
    #[must_use]
    pub fn narrowed_to(self, platform: Option<String>) -> Self {
        Self { narrowed_to: platform, ..self }
    }
}

fn signatures(
    verified: &Verified,
    parts: &Covers<'_>,
    names: &dyn Fn(&Digest) -> Option<String>,
) -> Vec<VerifiedSignatureEntry> {
    let entries = verified.collected.evidence.signatures.iter().map(|signature| VerifiedSignatureEntry {
        about: signature.about().clone(),
        covers: parts.labels(signature.about()),
        signers: parts::signers(signature.signers(), names),
        form: signature.form(),
        layout: signature.location().layout,
        manifest: signature.location().manifest.clone(),
        document: signature.document().digest().clone(),
        chain: chain::entries(&signature.chain(), parts),
    });
    entries.collect()
}

fn requirement(checked: &Checked, verified: &Verified, reference: &str) -> RequirementEntry {
    let requirement = &checked.requirement;
    let mut entry = RequirementEntry {
        id: requirement.id.clone(),
        wanted: requirement.wanted.title(),
        status: "met".to_owned(),
        code: None,
        message: None,
        hint: None,
        attestations: Vec::new(),
        signatures: Vec::new(),
        candidates: Vec::new(),
    };
    match &checked.status {
        Status::Met { attestations, signatures, .. } => {
            entry.attestations = attestations.clone();
            entry.signatures = signatures.clone();
        }
        Status::Unmet(unmet) => {
            entry.status = "unmet".to_owned();
            entry.code = Some(unmet.code());
            entry.message = Some(sentence(unmet, requirement, &verified.image));
            entry.candidates = candidates(requirement, unmet, verified);
            entry.hint = Some(hint(unmet, requirement, reference, &entry.candidates));
        }
    }
    entry
}

fn sentence(unmet: &Unmet, requirement: &Requirement, image: &Image) -> String {
    let wanted = requirement.wanted.title();
    let files: Vec<&str> = image.platforms().iter().filter_map(PlatformManifest::path).collect();
    match unmet {
        Unmet::Missing if !files.is_empty() => {
            format!("no {wanted} of {} signed by a demanded key", parts::some_of(&files))
        }
        Unmet::Missing => format!("no {wanted} signed by a demanded key"),
        Unmet::Threshold { signed, wanted: threshold } => {
            format!("{wanted} signed by {signed} of the demanded keys, {threshold} are needed")
        }
        Unmet::Platforms { missing, of } => {
            let names: Vec<&str> = missing.iter().map(|(label, _)| label.as_str()).collect();
            format!("no {wanted} of {} counts ({} of {of} parts of the image)", parts::some_of(&names), missing.len())
        }
        Unmet::IndexNotCovered => format!("no {wanted} is about the index itself"),
        Unmet::NoSuchPlatform { wanted } => format!("the image has no platform {wanted}"),
        Unmet::NothingToRun => "the index holds nothing that can be run".to_owned(),
    }
}

fn hint(unmet: &Unmet, requirement: &Requirement, reference: &str, candidates: &[CandidateEntry]) -> String {
    let type_name = match &requirement.wanted {
        Wanted::Types(types) => types.first().map_or("TYPE", |selector| selector.as_str()).to_owned(),
        Wanted::ImageSignature => "signature".to_owned(),
    };
    match (unmet, candidates.first().map(|candidate| candidate.failed_check)) {
        // Nothing can be attached there; what is signed lies beside the files.
        (Unmet::Missing | Unmet::Platforms { .. }, _) if parts::is_export(reference) => {
            "sign a statement that names every file, beside them: \
             attestry sign-blob --statement FILE --key KEY --to NAME.sigstore.json"
                .to_owned()
        }
        (Unmet::Platforms { .. }, _) => format!(
            "attest each platform: attestry attest {reference} --each-platform --type {type_name} --predicate FILE --key KEY"
        ),
        (_, Some(Code::SignatureInvalid)) => "verify with the key that signed it, or ask who did".to_owned(),
        (Unmet::Threshold { .. }, _) => {
            "have the missing keys sign the same statement: attest it again with each of them".to_owned()
        }
        (_, Some(Code::DigestMismatch | Code::SizeMismatch)) => {
            "the stored bytes are not those that were attached: restore them, and find out who changed them".to_owned()
        }
        (_, Some(Code::Unsigned)) => {
            format!("sign it: attestry attest {reference} --type {type_name} --predicate FILE --key KEY")
        }
        (_, Some(Code::SubjectMismatch)) => "verify the image that was attested, or attest this one".to_owned(),
        (_, Some(Code::MaterialUnsupported)) => "certificates cannot be verified yet; give a key".to_owned(),
        (_, Some(Code::MaterialInvalid)) => {
            format!("attest it again; what cannot be read: attestry inspect {reference}")
        }
        (Unmet::NoSuchPlatform { .. }, _) => format!("see what it has: attestry list {reference}"),
        (_, Some(_)) => format!("see what is attached: attestry list {reference}"),
        (_, None) => format!("attest it: attestry attest {reference} --type {type_name} --predicate FILE --key KEY"),
    }
}

/// How close a rejection came: a right signature on the wrong image is closer than a wrong signature.
fn nearness(code: Code) -> u8 {
    match code {
        Code::ThresholdUnmet | Code::PlatformMissing => 0,
        Code::SubjectMismatch | Code::SubjectEmpty => 1,
        Code::SignatureInvalid | Code::MaterialUnsupported | Code::MaterialInvalid => 2,
        Code::Unsigned => 3,
        _ => 4,
    }
}

/// Verified statements that do not suffice, then rejections that may have been what was wanted, nearest first.
fn candidates(requirement: &Requirement, unmet: &Unmet, verified: &Verified) -> Vec<CandidateEntry> {
    let mut entries = Vec::new();
    if let Wanted::Types(types) = &requirement.wanted {
        for attestation in &verified.collected.evidence.attestations {
            let predicate_type = attestation.verified().statement().predicate_type();
            if types.iter().any(|selector| selector.matches(predicate_type)) {
                entries.push(insufficient(attestation, requirement, unmet, &verified.image));
            }
        }
    }
    let types = requirement.wanted.types();
    let relevant = |rejection: &&Rejection| match &rejection.predicate_type {
        Some(hint) => types.iter().any(|selector| selector.matches(hint)),
        None => true,
    };
    entries.extend(verified.collected.rejections.iter().filter(relevant).map(|rejection| CandidateEntry {
        place: rejection.manifest.clone(),
        document: rejection.layer.clone(),
        layout: rejection.layout,
        failed_check: rejection.code,
        message: rejection.message.clone(),
        expected: rejection.expected.clone(),
        got: rejection.got.clone(),
    }));
    entries.sort_by_key(|entry| nearness(entry.failed_check));
    entries
}

fn insufficient(attestation: &Attestation, requirement: &Requirement, unmet: &Unmet, image: &Image) -> CandidateEntry {
    let signers = attestation.verified().signers();
    let by_demanded = signers.iter().any(|signer| requirement.keys.contains(signer.fingerprint()));
    let covers = Covers::of(image).labels_of_all(attestation.about());
    let (failed_check, message, expected, got) = if let (true, Unmet::Threshold { wanted, .. }) = (by_demanded, unmet) {
        let got = signers.iter().filter(|signer| requirement.keys.contains(signer.fingerprint())).count();
        let text = "too few of the demanded keys signed this statement".to_owned();
        (Code::ThresholdUnmet, text, Some(format!("{wanted} keys")), Some(format!("{got}")))
    } else if by_demanded {
        let text = format!("it is about {}", parts::some_of(&covers));
        (Code::PlatformMissing, text, None, Some(parts::some_of(&covers)))
    } else {
        let keys: Vec<String> = requirement.keys.iter().map(Digest::short).collect();
        let got = signers.first().map(|signer| signer.fingerprint().short());
        let text = "it is signed by a key that this demand does not name".to_owned();
        (Code::SignatureInvalid, text, Some(keys.join(", ")), got)
    };
    let location = attestation.location();
    CandidateEntry {
        place: location.manifest.to_string(),
        document: Some(location.layer.clone()),
        layout: location.layout,
        failed_check,
        message,
        expected,
        got,
    }
}
