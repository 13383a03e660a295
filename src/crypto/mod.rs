//! Keys and signatures over one backend, aws-lc.
//!
//! May not touch files, the network, the environment, threads or the clock. Randomness that is drawn here would be
//! an argument; the nonces of ECDSA and new keys come out of the backend.
//!
//! | algorithm | signs | verifies |
//! |---|---|---|
//! | ECDSA P-256 | SHA-256 | SHA-256 |
//! | ECDSA P-384 | SHA-384 | SHA-384, SHA-256 |
//! | Ed25519 | pure | pure |
//! | RSA, 2048 to 8192 bits | PKCS#1 v1.5, SHA-256 | PKCS#1 v1.5 with SHA-256, SHA-384, SHA-512; PSS with SHA-256 |
//!
//! Refused by name: P-521, P-224, secp256k1, SM2, curves with explicit parameters, DSA, Ed448, X25519, X448, RSA keys
//! restricted to PSS, RSA below 2048 bits, ML-DSA. Ed25519ph, cosign's default for Ed25519 outside of bundles, is
//! refused as an invalid signature, since nothing in a signature tells it apart.
//!
//! The algorithm of a key alone decides how it verifies; documents cannot choose it.

mod algorithm;
mod cosign_key;
mod error;
mod message;
mod password;
mod pem;
mod pkcs8_encryption;
mod public_key;
mod signing_key;

pub use algorithm::KeyAlgorithm;
pub use cosign_key::{NONCE_BYTES, SALT_BYTES, decrypt as decrypt_cosign_key, encrypt as encrypt_cosign_key};
pub use error::{KeyError, SignatureError, SigningError};
pub use message::{MessageDigester, MessageDigests};
pub use password::Password;
pub use pkcs8_encryption::{MAX_PBKDF2_ITERATIONS, MAX_SCRYPT_BYTES};
pub use public_key::PublicKey;
pub use signing_key::SigningKey;

#[cfg(test)]
mod tests;
