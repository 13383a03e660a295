//! attestry: the whole life of a container image's evidence.
//!
//! Three jobs, each a chain of types in which every step knows something that the one before did not:
//!
//! ```text
//! verify   Reference → Manifest → FoundManifest → Blob → AttachedContent → VerifiedStatement → Attestation → Verdict
//! attest   Predicate → Statement → PAE → signature → Bundle → WritePlan → written
//! list     Reference → Manifest → FoundManifest → what descriptors say, marked as not verified
//! ```
//!
//! The pure core ([`mod@verify`], [`policy`], [`attach`] and all below) does no I/O and takes the time as an argument. Without
//! the features `cli` and `registry` nothing here needs an async runtime or an HTTP client. `ARCHITECTURE.md` has the
//! layers and the invariants.

// L0 words
pub mod code;
pub mod content;
pub mod digest;
mod foreign;
pub mod json;
pub mod limits;
pub mod location;
pub mod media_type;
pub mod reference;

// L1 formats
pub mod dsse;
pub mod intoto;
pub mod oci;
pub mod predicate;
pub mod sigstore;

// L2 crypto
pub mod crypto;

// L3 choices
pub mod attach;
pub mod policy;
pub mod verify;

// L4 edges
pub mod signer;
pub mod store;

// L5 jobs
pub mod job;

// L6 faces
#[cfg(feature = "cli")]
pub mod cli;
pub mod report;
