//! What we write is valid by the JSON Schemas of the image specification.

use std::fs;
use std::path::{Path, PathBuf};

use jsonschema::{Retrieve, Uri, Validator};
use serde_json::Value;

use crate::corpora_layouts::corpus;
use crate::round_trip::{OPENVEX, SLSA, SPDX, attest};
use crate::support::command::{Scratch, attestry};
use crate::support::image::Place;

/// The schemas name each other by file, under addresses that nobody needs to reach.
struct Folder(PathBuf);

impl Retrieve for Folder {
    fn retrieve(&self, uri: &Uri<String>) -> Result<Value, Box<dyn std::error::Error + Send + Sync>> {
        let name = uri.path().as_str().rsplit('/').next().unwrap_or_default();
        Ok(serde_json::from_slice(&fs::read(self.0.join(name))?)?)
    }
}

fn validator(folder: &Path, name: &str) -> Validator {
    let schema = serde_json::from_slice(&fs::read(folder.join(name)).unwrap()).unwrap();
    jsonschema::options().with_retriever(Folder(folder.to_owned())).build(&schema).unwrap()
}

fn problems(validator: &Validator, document: &Value) -> Vec<String> {
    validator.iter_errors(document).map(|error| format!("{}: {error}", error.instance_path())).collect()
}

#[test]
fn what_is_written_in_every_layout_is_valid_by_the_image_specification() {
    // (accepted)
    let Some(folder) = corpus("oci-image-spec-schema/schema") else { return };
    let [manifests, indexes, layouts] = ["image-manifest", "image-index", "image-layout"]
        .map(|name| validator(&folder, &format!("{name}-schema.json")));
    // A schema that accepts everything would prove nothing.
    assert!(!problems(&manifests, &serde_json::json!({"schemaVersion": 2, "layers": [{"size": -1}]})).is_empty());
    assert!(!problems(&indexes, &serde_json::json!({"schemaVersion": 2, "manifests": [{}]})).is_empty());

    let (place, scratch) = (Place::folder(), Scratch::new());
    place.push_index("1");
    let image = place.tagged("1");
    for (layout, name, document) in [
        ("index", "spdx", SPDX),
        ("index-artifact", "slsa-provenance", SLSA),
        ("referrer", "openvex", OPENVEX),
        ("tag", "openvex", OPENVEX),
    ] {
        attest(&scratch, &image, name, document, &["--layout", layout, "--each-platform"]).succeeds();
    }
    for layout in ["referrer", "tag"] {
        let key = scratch.path("signer.key");
        attestry(["sign", &image, "--key", &key, "--layout", layout, "--recursive"]).succeeds();
    }
    let (mut checked, mut unsound) = (0, Vec::new());
    for (path, bytes) in place.content() {
        let Ok(document) = serde_json::from_slice::<Value>(&bytes) else { continue };
        let validator = if path.ends_with("oci-layout") {
            &layouts
        } else if document.get("manifests").is_some() {
            &indexes
        } else if document.get("layers").is_some() && document.get("config").is_some() {
            &manifests
        } else {
            continue;
        };
        checked += 1;
        unsound.extend(problems(validator, &document).into_iter().map(|problem| format!("{path}: {problem}")));
    }
    assert_eq!(unsound, Vec::<String>::new());
    assert!(checked > 15, "{checked} documents");
}
