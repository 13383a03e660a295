//! One item of `require`: a kind and its conditions.

use std::collections::{BTreeMap, BTreeSet};
use std::num::NonZeroUsize;

use super::document::{Coverage, Demand, DemandKind, SbomFormat, Signer, SignerName, TypeName};
use super::problem::{closest, quoted};
use super::reader::{Reader, value_of};
use super::vocabulary::{self, DEMANDS};
use super::yaml::{Entry, Node, ScalarKind, Value};

/// Reads one item. `used` counts the demands of each kind in the whole file, for their ids.
pub(super) fn read(
    reader: &mut Reader<'_>,
    item: &Node,
    signers: &BTreeMap<SignerName, Signer>,
    used: &mut BTreeMap<&'static str, usize>,
) -> Option<Demand> {
    let (name, entry) = only_entry(reader, item)?;
    let place = format!("`{name}`");
    let conditions = reader.map(&entry.value, &place)?;
    vocabulary::demand(name).check(conditions, &place, reader.problems);
    let kind = kind(reader, name, &entry.value, conditions);
    let signed_by = reader
        .required(&entry.value, conditions, "signedBy", &place)
        .map(|node| signed_by(reader, node, signers))
        .unwrap_or_default();
    let threshold = match value_of(conditions, "threshold") {
        None => Some(NonZeroUsize::MIN),
        Some(node) => threshold(reader, node, &signed_by, signers),
    };
    let coverage = match value_of(conditions, "coverage") {
        None => Some(None),
        Some(node) => word(reader, node, "`coverage`", &["inherited", "own", "index"]).map(Some),
    };
    let coverage = coverage.map(|word| {
        word.map(|word| match word {
            "own" => Coverage::Own,
            "index" => Coverage::Index,
            _ => Coverage::Inherited,
        })
    });
    let through = value_of(conditions, "through").map(|node| word(reader, node, "`through`", &["index"]));
    let count = used.entry(name).or_default();
    *count += 1;
    let id = if *count == 1 { name.to_owned() } else { format!("{name}-{count}") };
    Some(Demand {
        kind: kind?,
        id,
        signed_by,
        threshold: threshold?,
        coverage: coverage?,
        through_index: through.is_some(),
        position: entry.position,
    })
}

/// The one key of an item, which is the kind of the demand.
fn only_entry<'n>(reader: &mut Reader<'_>, item: &'n Node) -> Option<(&'static str, &'n Entry)> {
    if let Value::Scalar(scalar) = &item.value
        && let Some(name) = DEMANDS.iter().find(|name| **name == scalar.text)
    {
        let hint = format!("write `{name}: {{signedBy: NAME}}`");
        reader.problems.add_with_hint(item.position, format!("`{name}` does not say who has to have signed"), hint);
        return None;
    }
    let entries = reader.map(item, "an item of `require`")?;
    if let Some(second) = entries.get(1) {
        let hint = "start each demand with `- `, and indent its conditions below it";
        reader.problems.add_with_hint(second.position, "an item of `require` holds one demand", hint);
    }
    let Some(entry) = entries.first() else {
        reader.problems.add(item.position, "an item of `require` is empty");
        return None;
    };
    let known = |entry: &Entry| DEMANDS.iter().copied().find(|name| *name == entry.key);
    for entry in entries.iter().filter(|entry| known(entry).is_none()) {
        let hint = match closest(&entry.key, DEMANDS.iter().copied()) {
            Some(meant) => format!("did you mean `{meant}`?"),
            None => format!("demands are {}", vocabulary::list(DEMANDS)),
        };
        reader.problems.add_with_hint(entry.position, format!("unknown demand {}", quoted(&entry.key)), hint);
    }
    known(entry).map(|name| (name, entry))
}

fn kind(reader: &mut Reader<'_>, name: &str, parent: &Node, conditions: &[Entry]) -> Option<DemandKind> {
    Some(match name {
        "attestation" => {
            let node = reader.required(parent, conditions, "type", "`attestation`")?;
            DemandKind::Attestation { type_name: type_name(reader, node)? }
        }
        "sbom" => DemandKind::Sbom {
            formats: match value_of(conditions, "format") {
                None => SbomFormat::ALL.to_vec(),
                Some(node) => formats(reader, node),
            },
        },
        "provenance" => DemandKind::Provenance,
        "vex" => DemandKind::Vex,
        "vulnerabilities" => DemandKind::Vulnerabilities,
        "vsa" => DemandKind::Vsa,
        "test-result" => DemandKind::TestResult,
        "signature" => DemandKind::Signature,
        _ => return None,
    })
}

fn type_name(reader: &mut Reader<'_>, node: &Node) -> Option<TypeName> {
    let text = reader.text(node, "`type`")?;
    if (reader.is_type)(text) {
        return Some(TypeName::new(text));
    }
    let names: Vec<&str> = vocabulary::TYPES.iter().copied().filter(|name| (reader.is_type)(name)).collect();
    let hint = match closest(text, names.iter().copied()) {
        Some(meant) => format!("did you mean `{meant}`?"),
        None => format!("a type is a URI or one of {}", vocabulary::list(&names)),
    };
    reader.problems.add_with_hint(node.position, format!("unknown type {}", quoted(text)), hint);
    None
}

fn formats(reader: &mut Reader<'_>, node: &Node) -> Vec<SbomFormat> {
    let mut formats = Vec::new();
    for item in one_or_more(reader, node, "`format`") {
        let Some(word) = word(reader, item, "`format`", &["spdx", "cyclonedx"]) else { continue };
        let format = if word == "spdx" { SbomFormat::Spdx } else { SbomFormat::CycloneDx };
        if formats.contains(&format) {
            reader.problems.add(item.position, format!("the format `{word}` is listed twice"));
        } else {
            formats.push(format);
        }
    }
    formats
}

fn signed_by(reader: &mut Reader<'_>, node: &Node, signers: &BTreeMap<SignerName, Signer>) -> Vec<SignerName> {
    let mut names: Vec<SignerName> = Vec::new();
    for item in one_or_more(reader, node, "`signedBy`") {
        let Some(text) = reader.text(item, "`signedBy`") else { continue };
        let Some(name) = signers.keys().find(|name| name.as_str() == text) else {
            let hint = match closest(text, signers.keys().map(SignerName::as_str)) {
                Some(meant) => format!("did you mean `{meant}`?"),
                None => format!("add {} to `keys`", quoted(text)),
            };
            reader.problems.add_with_hint(item.position, format!("`keys` has no {}", quoted(text)), hint);
            continue;
        };
        if names.contains(name) {
            reader.problems.add(item.position, format!("the signer {} is listed twice", quoted(text)));
        } else {
            names.push(name.clone());
        }
    }
    names
}

/// A threshold that the named signers can reach.
fn threshold(
    reader: &mut Reader<'_>,
    node: &Node,
    signed_by: &[SignerName],
    signers: &BTreeMap<SignerName, Signer>,
) -> Option<NonZeroUsize> {
    let digits = match &node.value {
        Value::Scalar(scalar) if scalar.kind == ScalarKind::Number => Some(scalar.text.as_str()),
        Value::Scalar(scalar) if scalar.kind == ScalarKind::Text && scalar.text.parse::<usize>().is_ok() => {
            reader.problems.add_with_hint(
                node.position,
                "`threshold` has to be a number, found text",
                "leave out the quotes",
            );
            return None;
        }
        _ => None,
    };
    let Some(digits) = digits else {
        reader.wrong(node, "`threshold`", "a whole number from 1");
        return None;
    };
    let plain = digits.bytes().all(|byte| byte.is_ascii_digit()) && !digits.starts_with('0');
    let Some(threshold) = digits.parse::<NonZeroUsize>().ok().filter(|_| plain) else {
        let message = format!("`threshold` has to be a whole number from 1, found {}", quoted(digits));
        reader.problems.add(node.position, message);
        return None;
    };
    let groups: Vec<&Signer> = signed_by.iter().filter_map(|name| signers.get(name)).collect();
    let paths: BTreeSet<&str> = groups.iter().flat_map(|signer| signer.key_paths.iter().map(String::as_str)).collect();
    // A signer whose keys could not be read was noted; how many it has is then not known.
    let all_known = !groups.is_empty() && groups.iter().all(|signer| !signer.key_paths.is_empty());
    if all_known && threshold.get() > paths.len() {
        let keys = if paths.len() == 1 { "1 key".to_owned() } else { format!("{} keys", paths.len()) };
        let message = format!("`threshold` is {threshold}, but `signedBy` leads to {keys}");
        reader.problems.add_with_hint(
            node.position,
            message,
            "list more keys under `publicKeys`, or lower the threshold",
        );
        return None;
    }
    Some(threshold)
}

/// One of a few words.
fn word(reader: &mut Reader<'_>, node: &Node, what: &str, words: &[&'static str]) -> Option<&'static str> {
    let text = reader.text(node, what)?;
    let found = words.iter().copied().find(|word| *word == text);
    if found.is_none() {
        let hint = match closest(text, words.iter().copied()) {
            Some(meant) => format!("did you mean `{meant}`?"),
            None => format!("{what} takes {}", vocabulary::list(words)),
        };
        reader.problems.add_with_hint(node.position, format!("{what} cannot be {}", quoted(text)), hint);
    }
    found
}

/// The items of a list, or the one value that stands for a list of itself.
fn one_or_more<'n>(reader: &mut Reader<'_>, node: &'n Node, what: &str) -> &'n [Node] {
    match &node.value {
        Value::Scalar(_) => std::slice::from_ref(node),
        _ => reader.list(node, what),
    }
}
