//! Where signing keys live.
//!
//! May do I/O, unlike [`crypto`](crate::crypto), which reads and uses the keys.

mod key_file;

pub use key_file::{KeyFileError, KeyPairPaths, MAX_KEY_FILE_BYTES, read_public_key, read_signing_key, write_key_pair};
