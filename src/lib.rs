//! attestry
pub mod code;
pub mod content;
pub mod crypto;
pub mod digest;
pub mod dsse;
pub mod intoto;
pub mod json;
pub mod limits;
pub mod location;
pub mod media_type;
pub mod oci;
pub mod predicate;
pub mod reference;
pub mod signer;
pub mod sigstore;
pub mod store;
pub mod verify;
