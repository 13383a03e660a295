//! attestry
pub mod code;
pub mod content;
pub mod digest;
pub mod json;
pub mod limits;
pub mod media_type;
pub mod oci;
pub mod reference;
pub mod store;
