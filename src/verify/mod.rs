//! Verification: bytes and trusted keys in, verified statements out. No file, network or clock.
//!
//! The types here that say "verified" have no public constructor. Constructors of trust are named `assert…`.
//!
//! What counts can give its [`Link`]s, from the document with the signature to the manifest of the image.
//!
//! What is not here yet: certificates, transparency logs and timestamps. A bundle that carries a certificate, and what
//! cosign keeps with one and no trusted key made, is rejected as [`crate::code::Code::MaterialUnsupported`]; log entries
//! and timestamps beside a key are listed as unchecked. [`AttachedContent`] keeps what cosign put beside a signature.

mod attached;
mod chain;
mod envelope;
mod error;
mod signature;
mod verified;

pub use attached::{AttachedContent, AttachedEnvelope, AttachedError, SimpleSigning};
pub use chain::{CheckedBytes, Link, SignatureForm};
pub use envelope::ReadAgain;
pub use error::VerifyError;
pub use verified::{Attestation, Carrier, Hop, ImageSignature, Signer, VerifiedStatement};

use crate::crypto::PublicKey;
use crate::limits::Limits;

/// Checks signatures against a set of trusted keys. Made once, used for any number of images.
///
/// Which of the keys signed is part of the answer; whether that key was the one demanded is for policy to say.
#[derive(Debug, Clone)]
pub struct Verifier {
    keys: Vec<PublicKey>,
    limits: Limits,
}

impl Verifier {
    /// Trusts these keys. The same key given twice counts once.
    pub fn new(keys: impl IntoIterator<Item = PublicKey>, limits: &Limits) -> Self {
        let mut distinct: Vec<PublicKey> = Vec::new();
        for key in keys {
            if !distinct.contains(&key) {
                distinct.push(key);
            }
        }
        Self { keys: distinct, limits: limits.clone() }
    }

    /// The trusted keys.
    pub fn keys(&self) -> &[PublicKey] {
        &self.keys
    }
}
