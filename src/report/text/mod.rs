//! The same facts for people: 80 columns, no colour needed, nothing that is not in the JSON. A file a report.

mod chain;
mod inspect;
mod list;
mod matrix;
mod verify;
mod written;

pub use inspect::human_inspect;
pub use list::human_list;
pub use verify::human_verify;
pub use written::{human_attest, human_convert, human_detach};

use super::parts::{ImagePart, PlatformPart, SignerEntry, is_export, some_of};
use crate::foreign::one_line as clean;
use crate::media_type::PredicateType;
use crate::predicate::Family;

fn title(predicate_type: Option<&PredicateType>) -> String {
    match predicate_type {
        Some(predicate_type) => Family::of(predicate_type)
            .map_or_else(|| clean(predicate_type.as_str()), |family| family.title().to_owned()),
        None => "unknown type".to_owned(),
    }
}

fn count(number: usize, one: &str, many: &str) -> String {
    if number == 1 { format!("1 {one}") } else { format!("{number} {many}") }
}

/// `reference@digest`, cut to 12 digits; a reference that has its digest already is not given it twice.
fn pinned(image: &ImagePart) -> String {
    let name = image.reference.split('@').next().unwrap_or_default();
    format!("{name}@{}", image.digest.short())
}

fn headline(image: &ImagePart, platforms: &[PlatformPart]) -> String {
    let kind = if is_export(&image.reference) {
        count(platforms.len(), "file", "files")
    } else if image.index {
        format!("index, {}", count(platforms.len(), "platform", "platforms"))
    } else {
        "image".to_owned()
    };
    format!("{}   {kind}", pinned(image))
}

fn signer(entry: &SignerEntry) -> String {
    let key = format!("key {}", entry.key.short());
    match &entry.name {
        Some(name) => format!("{} ({key})", clean(name)),
        None => key,
    }
}
