//! Jobs: the only modules that join pure decisions and stores. One function a job.

mod apply;
mod attach_bundle;
mod attest;
mod collect;
mod convert;
mod detach;
mod download;
mod error;
mod evidence_files;
mod find;
mod list;
mod placing;
mod sign;
mod signature;
mod targets;
mod verify;

pub use apply::apply;
pub use attach_bundle::attach_bundle;
pub use attest::{AttestRequest, Signing, attest};
pub use collect::{Collected, Rejection};
pub use convert::{ConvertRequest, ConvertedDocument, Converting, convert};
pub use detach::{DetachRequest, DetachedDocument, Detaching, detach};
pub use download::{Downloaded, Part, download, read_document};
pub use error::JobError;
pub use evidence_files::EvidenceFiles;
pub use find::{Source, resolve};
pub use list::{
    ClaimedSigner, Detail, Listed, ListedAttachment, ListedAttestation, ListedDocument, ListedSignature, list,
};
pub use placing::{AttachedDocument, Attaching, LayoutChoice};
pub use sign::{SignRequest, sign};
pub use signature::{sign_blob, sign_statement};
pub use targets::Targets;
pub use verify::{Verified, VerifyRequest, verify};
