//! Reports: the same facts as JSON with a schema, and as text for people.
//!
//! The types here are the JSON. `schemas/` holds the schema of each, generated from the types; a test fails on drift.

mod attest;
mod chain;
mod convert;
mod coverage;
mod detach;
mod inspect;
mod list;
mod parts;
mod text;
mod verify;

pub use attest::{AttachedEntry, AttestReport, EvidenceTagEntry, PlannedTag, WarningEntry, WrittenPart};
pub use chain::LinkEntry;
pub use convert::{ConvertReport, ConvertedEntry};
pub use coverage::{CoverageCell, CoverageRow};
pub use detach::{DetachReport, DetachedEntry};
pub use inspect::{DocumentReport, InspectReport, KeyReport, SignatureEntry};
pub use list::{ListReport, ListedAttachmentEntry, ListedAttestationEntry, ListedSignatureEntry};
pub use parts::{ImagePart, PlatformPart, RejectionEntry, SignerEntry};
pub use text::{human_attest, human_convert, human_detach, human_inspect, human_list, human_verify};
pub use verify::{
    AttestationEntry, CandidateEntry, LookedIn, PolicyPart, RequirementEntry, VerdictWord, VerifiedSignatureEntry,
    VerifyReport,
};

/// The JSON Schemas of all reports: file name and schema.
pub fn schemas() -> Vec<(&'static str, schemars::Schema)> {
    vec![
        ("verify.v1.json", schemars::schema_for!(VerifyReport)),
        ("list.v1.json", schemars::schema_for!(ListReport)),
        ("attest.v1.json", schemars::schema_for!(AttestReport)),
        ("convert.v1.json", schemars::schema_for!(ConvertReport)),
        ("detach.v1.json", schemars::schema_for!(DetachReport)),
        ("inspect.v1.json", schemars::schema_for!(InspectReport)),
    ]
}
