//! Sigstore formats. Bundles of v0.1, v0.2 and v0.3 are read; v0.3 with a public-key hint is written. What cosign keeps
//! in annotations is read.

mod bundle;
mod cosign;

pub use bundle::{Bundle, BundleContent, BundleError, BundleVersion, MessageSignature, VerificationMaterial};
pub use cosign::{CosignLogEntry, CosignMaterial, MaterialError, MaterialProblem};
