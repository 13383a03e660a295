//! Sigstore formats. Bundles of v0.1, v0.2 and v0.3 are read; v0.3 with a public-key hint is written.

mod bundle;

pub use bundle::{Bundle, BundleContent, BundleError, BundleVersion, MessageSignature, VerificationMaterial};
