//! Sigstore formats. Bundles of v0.1, v0.2 and v0.3 are read; v0.3 with a public-key hint is written, and v0.1 around
//! what cosign 2 keeps beside an envelope, which is read too.

mod bundle;
mod bundle_around;
mod cosign;

pub use bundle::{Bundle, BundleContent, BundleError, BundleVersion, MessageSignature, VerificationMaterial};
pub(crate) use bundle_around::bundle_around;
pub use cosign::{CosignLogEntry, CosignMaterial, MaterialError, MaterialProblem};
