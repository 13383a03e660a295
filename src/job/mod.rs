//! Jobs: the only modules that join pure decisions and stores. One function a job.

mod apply;
mod attach_bundle;
mod attest;
mod collect;
mod download;
mod error;
mod evidence_files;
mod find;
mod list;
mod verify;

pub use apply::apply;
pub use attach_bundle::attach_bundle;
pub use attest::{
    AttestRequest, AttestedDocument, Attesting, LayoutChoice, Targets, attest, sign_blob, sign_statement,
};
pub use collect::{Collected, Rejection};
pub use download::{Downloaded, Part, download, read_document};
pub use error::JobError;
pub use evidence_files::EvidenceFiles;
pub use find::{Source, resolve};
pub use list::{
    ClaimedSigner, Detail, Listed, ListedAttachment, ListedAttestation, ListedDocument, ListedSignature, list,
};
pub use verify::{Verified, VerifyRequest, verify};
