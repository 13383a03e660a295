//! Attaching: where evidence is kept, a file a layout, each with its two halves: how it is found, how it is written.
//!
//! Everything here is pure. Finding is a state machine that says what it wants fetched ([`Finder`]); writing is a plan
//! that can be printed before it is carried out ([`WritePlan`]).

mod file;
mod find;
mod index;
mod plan;
mod referrer;
mod tag;

pub use file::{FileDocument, FileError, documents_of};
pub use find::{Answer, Failure, Fetch, FetchManifest, Finder, FoundManifest, Looked, Phase, Refused, ToldManifest};
pub use index::{Form, IndexChange, IndexTarget, plan_index, plan_without_index};
pub use plan::{AttachError, DocumentKind, Evidence, EvidenceTag, Removal, TagMove, Warning, WritePlan};
pub use referrer::{Told, plan_referrer, plan_without_referrer};
pub use tag::{plan_tag, plan_without_tag, tag_for};
