//! A chain for people: a link a line, an arrow before each that another one binds.

use std::fmt::Write;

use super::{clean, some_of, title};
use crate::report::chain::LinkEntry;

/// Parts that a statement is about, of which so many are named.
const NAMED: usize = 3;

/// Writes the links below what they are about, each with its digest and size.
pub(super) fn write(text: &mut String, chain: &[LinkEntry]) {
    let subjects = chain.iter().filter(|link| matches!(link, LinkEntry::Subject { .. })).count();
    let mut named = 0;
    for (place, link) in chain.iter().enumerate() {
        if matches!(link, LinkEntry::Subject { .. }) {
            named += 1;
            if named > NAMED {
                continue;
            }
        }
        let label = if place == 0 { "chain  " } else { "     → " };
        let _ = writeln!(text, "{:24}{label}{}", "", words(link));
    }
    if subjects > NAMED {
        let _ = writeln!(text, "{:24}     → and {} more in --output json", "", subjects - NAMED);
    }
}

fn words(link: &LinkEntry) -> String {
    match link {
        LinkEntry::Signature { digest, size, form, layout, manifest, file } => {
            let form = form.as_str().replace('-', " ");
            let at = file.as_deref().map_or_else(|| manifest.short(), clean);
            format!("{form} {}, {size} bytes\n{:31}in {layout} {at}", digest.short(), "")
        }
        LinkEntry::Index { digest, size } => format!("index {}, {size} bytes", digest.short()),
        LinkEntry::AttestationManifest { digest, size } => format!("manifest {}, {size} bytes", digest.short()),
        LinkEntry::Layer { digest, size, .. } => format!("layer {}, {size} bytes", digest.short()),
        LinkEntry::Statement { predicate_type, .. } => format!("statement, {}", title(Some(predicate_type))),
        LinkEntry::Subject { digest, covers } => match covers.as_slice() {
            [] => format!("manifest {}", digest.short()),
            covers => format!("{} {}", clean(&some_of(covers)), digest.short()),
        },
    }
}
