//! Sigstore formats. Bundles of v0.1, v0.2 and v0.3 are read; v0.3 with a public-key hint is written, and v0.1 around
//! what cosign 2 keeps beside an envelope.

mod bundle;
mod cosign_material;

pub use bundle::{Bundle, BundleContent, BundleError, BundleVersion, MessageSignature, VerificationMaterial};
pub(crate) use cosign_material::bundle_around;
