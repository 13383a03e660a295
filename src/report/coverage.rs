//! Which kind of evidence is about which part of an image: predicate × platform.

use std::collections::HashSet;

use schemars::JsonSchema;
use serde::Serialize;

use crate::digest::Digest;
use crate::job::Listed;
use crate::media_type::PredicateType;
use crate::oci::Image;
use crate::predicate::Family;

/// One kind of evidence and what it is about.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, JsonSchema)]
pub struct CoverageRow {
    /// The short name of the predicate's family (`spdx`, `slsa-provenance`, …), `signature`, or a URI that has none.
    pub kind: String,
    /// The whole image first, then everything in it that can be run.
    pub parts: Vec<CoverageCell>,
}

/// What there is of one kind about one part of an image. Claims: nothing was verified.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, JsonSchema)]
pub struct CoverageCell {
    /// `index`, `image`, or the platform.
    pub part: String,
    /// Its manifest: parts are told apart by digest, since two may call themselves by one platform.
    pub digest: Digest,
    /// Documents with a signature of their own.
    pub signed: usize,
    /// Statements that are signed through the manifest that lists them.
    pub chained: usize,
    /// Statements that nothing signs.
    pub unsigned: usize,
    /// Whether an index that holds the part has signed evidence of this kind, which covers the part too.
    pub inherited: bool,
}

/// A piece of evidence as the matrix counts it.
struct Piece<'a> {
    kind: String,
    subject: &'a Digest,
    signed: bool,
    chained: bool,
}

/// A part of the image and the indexes that hold it.
struct Part<'a> {
    label: String,
    digest: &'a Digest,
    held_by: &'a [Digest],
}

/// The matrix of an image: a row for each kind that is attached, in the order of the listing.
pub(super) fn coverage(listed: &Listed) -> Vec<CoverageRow> {
    let attestations = listed.attestations.iter().map(|known| Piece {
        kind: kind(known.predicate_type.as_ref()),
        subject: &known.sighting.hangs_on,
        signed: known.signed,
        chained: known.through_manifest,
    });
    let signatures = listed.signatures.iter().filter(|known| !known.second_level).map(|known| Piece {
        kind: "signature".to_owned(),
        subject: &known.sighting.hangs_on,
        signed: true,
        chained: false,
    });
    let pieces: Vec<Piece<'_>> = attestations.chain(signatures).collect();
    let mut kinds: Vec<&str> = Vec::new();
    for piece in &pieces {
        if !kinds.contains(&piece.kind.as_str()) {
            kinds.push(&piece.kind);
        }
    }
    let parts = parts(&listed.image);
    let row = |kind: &str| {
        let of_kind: Vec<&Piece<'_>> = pieces.iter().filter(|piece| piece.kind == kind).collect();
        CoverageRow { kind: kind.to_owned(), parts: parts.iter().map(|part| cell(part, &of_kind)).collect() }
    };
    kinds.into_iter().map(row).collect()
}

fn kind(predicate_type: Option<&PredicateType>) -> String {
    match predicate_type {
        Some(uri) => Family::of(uri).map_or_else(|| uri.to_string(), |family| family.short().to_owned()),
        None => "unknown".to_owned(),
    }
}

fn parts(image: &Image) -> Vec<Part<'_>> {
    let label = if image.is_index() { "index" } else { "image" };
    let mut parts = vec![Part { label: label.to_owned(), digest: image.digest(), held_by: &[] }];
    let mut known = HashSet::from([image.digest()]);
    for leaf in image.platforms() {
        if known.insert(&leaf.descriptor.digest) {
            parts.push(Part { label: leaf.label(), digest: &leaf.descriptor.digest, held_by: &leaf.held_by });
        }
    }
    parts
}

fn cell(part: &Part<'_>, pieces: &[&Piece<'_>]) -> CoverageCell {
    let own = || pieces.iter().filter(|piece| piece.subject == part.digest);
    CoverageCell {
        part: part.label.clone(),
        digest: part.digest.clone(),
        signed: own().filter(|piece| piece.signed && !piece.chained).count(),
        chained: own().filter(|piece| piece.chained).count(),
        unsigned: own().filter(|piece| !piece.signed).count(),
        inherited: pieces.iter().any(|piece| piece.signed && part.held_by.contains(piece.subject)),
    }
}
