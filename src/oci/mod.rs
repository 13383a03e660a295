//! OCI descriptors, manifests, indexes and layout files, as far as evidence needs them.
//!
//! What is modelled is read into types; the bytes stay beside them and are what gets digested, stored and copied, so
//! unknown fields survive. Nothing here is ever parsed and written back: an index is changed by splicing its text.
//!
//! Source: image-spec 1.1.

pub mod annotations;
mod descriptor;
mod image;
mod index;
mod layout;
mod manifest;
mod platform;
mod referrers;

pub use descriptor::Descriptor;
pub(crate) use descriptor::empty_blob;
pub use image::{Image, PlatformManifest};
pub use index::{Child, ImageIndex, new_index};
pub use layout::{LAYOUT_FILE, LayoutIndex, check_layout_file};
pub use manifest::{Body, ImageManifest, Manifest, ManifestError, artifact_manifest};
pub use platform::{Platform, PlatformError};
pub use referrers::ReferrerList;
