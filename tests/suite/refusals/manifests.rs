//! Manifests and descriptors that lie, in the image itself and in what hangs on it.
//!
//! The image's own bytes are what the question is about: when they are broken nothing can be decided (exit 3). What is
//! wrong with something that hangs on it is a rejection (exit 1).

use attestry::limits::Limits;
use serde_json::{Value, json};

use super::scene::{BUNDLE, INDEX, MANIFEST, Report, Scene, TYPE, bundle, change, statement, text};

/// Changes a document.
type Change = Box<dyn Fn(&mut Value)>;
/// Changes the bytes of a file.
type ChangeBytes = fn(&mut Vec<u8>);
/// Makes a descriptor lie.
type Lie = fn(&mut Value);

/// A scene whose attestation is made from a manifest that `change` was let loose on, and listed as it is.
fn with_referrer(change: impl FnOnce(&Scene, &mut Value)) -> Report {
    let mut scene = Scene::new();
    let layer = scene.blob(BUNDLE, bundle(&scene.team, &statement(TYPE, &[&scene.image])).to_string());
    let mut manifest = scene.artifact_text(&scene.image, &[layer]);
    change(&scene, &mut manifest);
    let listed = scene.blob(MANIFEST, manifest.to_string());
    scene.list_as_referrers(&scene.image.clone(), &[listed]);
    scene.verify(&[])
}

/// A scene whose sound attestation is listed by a descriptor that `change` was let loose on.
fn with_listing(change: impl FnOnce(&mut Value)) -> Report {
    let mut scene = Scene::new();
    let layer = scene.blob(BUNDLE, bundle(&scene.team, &statement(TYPE, &[&scene.image])).to_string());
    let mut manifest = scene.artifact_text(&scene.image, &[layer]);
    // Only the listing leads to it: without this, the look at every manifest would find it by its subject.
    manifest["subject"]["digest"] = text(&manifest["subject"]["digest"]).into();
    let mut listed = scene.manifest(&manifest);
    change(&mut listed);
    scene.list_as_referrers(&scene.image.clone(), &[listed]);
    scene.verify(&[])
}

#[test]
fn the_manifest_that_the_other_tests_change_is_accepted_unchanged() {
    // (accepted)
    with_referrer(|_, _| {}).accepted();
    with_listing(|_| {}).accepted();
}

#[test]
fn a_referrer_that_is_an_index_and_an_image_at_once_is_refused() {
    // (refused: manifest-invalid)
    let report = with_referrer(|_, manifest| manifest["manifests"] = json!([]));
    report.refused("attestation-missing", Some("manifest-invalid"));
}

#[test]
fn a_referrer_whose_media_type_is_not_that_of_its_descriptor_is_refused() {
    // (refused: media-type-mismatch)
    let docker = "application/vnd.docker.distribution.manifest.v2+json";
    let report = with_referrer(|_, manifest| manifest["mediaType"] = docker.into());
    report.refused("attestation-missing", Some("media-type-mismatch"));
    let report = with_referrer(|_, manifest| {
        manifest["mediaType"] = INDEX.into();
    });
    report.refused("attestation-missing", Some("media-type-mismatch"));
}

#[test]
fn broken_fields_of_a_referrer_are_refused() {
    // (refused: manifest-invalid)
    let changes: Vec<Change> = vec![
        Box::new(|manifest| manifest["schemaVersion"] = 1.into()),
        Box::new(|manifest| manifest["schemaVersion"] = "2".into()),
        Box::new(|manifest| drop(manifest.as_object_mut().unwrap().remove("config"))),
        Box::new(|manifest| drop(manifest.as_object_mut().unwrap().remove("layers"))),
        Box::new(|manifest| manifest["layers"] = json!({})),
        Box::new(|manifest| manifest["layers"][0]["size"] = (-1).into()),
        Box::new(|manifest| manifest["layers"][0]["size"] = json!(1.5)),
        Box::new(|manifest| manifest["layers"][0]["digest"] = "sha256:0".into()),
        Box::new(|manifest| manifest["layers"][0]["digest"] = "md5:00".into()),
        Box::new(|manifest| manifest["annotations"] = json!({"a": 1})),
        Box::new(|manifest| {
            let upper = text(&manifest["layers"][0]["digest"]).to_uppercase().replace("SHA256", "sha256");
            manifest["layers"][0]["digest"] = upper.into();
        }),
        Box::new(|manifest| {
            let upper = text(&manifest["subject"]["digest"]).to_uppercase().replace("SHA256", "sha256");
            manifest["subject"]["digest"] = upper.into();
        }),
    ];
    for (number, change) in changes.iter().enumerate() {
        let report = with_referrer(|_, manifest| change(manifest));
        assert_eq!(report.rejected(), ["manifest-invalid"], "change {number}");
        report.refused("attestation-missing", Some("manifest-invalid"));
    }
}

#[test]
fn a_size_that_lies_by_one_is_refused() {
    // (refused: size-mismatch)
    for difference in [-1, 1] {
        let lie =
            |descriptor: &mut Value| descriptor["size"] = (descriptor["size"].as_i64().unwrap() + difference).into();
        let report = with_referrer(|_, manifest| lie(&mut manifest["layers"][0]));
        report.refused("attestation-missing", Some("size-mismatch"));
    }
}

#[test]
fn a_layer_with_other_bytes_is_refused() {
    // (refused: digest-mismatch, size-mismatch)
    let other = |with: fn(&mut Vec<u8>)| {
        let scene = Scene::new();
        let document = bundle(&scene.team, &statement(TYPE, &[&scene.image])).to_string();
        scene.attest(&scene.team, &scene.image, &scene.image);
        let layer = scene.blob(BUNDLE, &document);
        scene.artifact(&scene.image, std::slice::from_ref(&layer));
        scene.verify(&[]).accepted();
        // Both documents are spoilt: signatures are made with randomness, so there are two of them.
        for entry in std::fs::read_dir(scene.root().join("blobs/sha256")).unwrap().flatten() {
            if std::fs::read_to_string(entry.path()).is_ok_and(|text| text.contains("dsseEnvelope\":")) {
                change(&entry.path(), with);
            }
        }
        scene.verify(&[])
    };
    other(|bytes| *bytes.last_mut().unwrap() = b' ').refused("attestation-missing", Some("digest-mismatch"));
    other(|bytes| bytes.truncate(bytes.len() - 1)).refused("attestation-missing", Some("size-mismatch"));
    other(|bytes| bytes.push(b'\n')).refused("attestation-missing", Some("size-mismatch"));
    other(Vec::clear).refused("attestation-missing", Some("size-mismatch"));
}

#[test]
fn a_layer_that_is_listed_and_not_there_leaves_it_undecided() {
    // (undecided: not-found)
    let report = with_referrer(|_, manifest| {
        manifest["layers"][0]["digest"] = format!("sha256:{}", "0".repeat(64)).into();
    });
    report.undecided("attestation-missing", "not-found");
}

#[test]
fn a_layer_that_promises_more_than_is_read_is_refused_unread() {
    // (refused: too-large)
    let limit = Limits::default().blob_bytes;
    let report = with_referrer(|_, manifest| manifest["layers"][0]["size"] = (limit + 1).into());
    report.refused("attestation-missing", Some("too-large"));
}

#[test]
fn duplicate_keys_in_a_referrer_are_refused() {
    // (refused: json-duplicate-key)
    let mut scene = Scene::new();
    let layer = scene.blob(BUNDLE, bundle(&scene.team, &statement(TYPE, &[&scene.image])).to_string());
    let manifest = scene.artifact_text(&scene.image, &[layer]).to_string();
    let subject = format!("\"subject\":{},\"subject\":", scene.image);
    let listed = scene.blob(MANIFEST, manifest.replacen("\"subject\":", &subject, 1));
    scene.list_as_referrers(&scene.image.clone(), &[listed]);
    scene.verify(&[]).refused("attestation-missing", Some("json-duplicate-key"));
}

#[test]
fn a_referrer_larger_than_any_manifest_is_refused_unread() {
    // (refused: too-large)
    let mut scene = Scene::new();
    let layer = scene.blob(BUNDLE, bundle(&scene.team, &statement(TYPE, &[&scene.image])).to_string());
    let manifest = scene.artifact_text(&scene.image, &[layer]).to_string();
    let listed = scene.blob(MANIFEST, format!("{manifest}{}", " ".repeat(4 << 20)));
    scene.list_as_referrers(&scene.image.clone(), &[listed]);
    scene.verify(&[]).refused("attestation-missing", Some("too-large"));
}

#[test]
fn a_listed_descriptor_that_lies_is_refused() {
    // (refused: size-mismatch, media-type-mismatch, media-type-unsupported; undecided: not-found)
    let size = |difference: i64| {
        with_listing(move |listed| listed["size"] = (listed["size"].as_i64().unwrap() + difference).into())
    };
    size(1).refused("attestation-missing", Some("size-mismatch"));
    size(-1).refused("attestation-missing", Some("size-mismatch"));
    let other = "application/vnd.docker.distribution.manifest.v2+json";
    let report = with_listing(|listed| listed["mediaType"] = other.into());
    report.refused("attestation-missing", Some("media-type-mismatch"));
    let report = with_listing(|listed| listed["mediaType"] = INDEX.into());
    report.refused("attestation-missing", Some("media-type-mismatch"));
    let report = with_listing(|listed| listed["mediaType"] = "text/plain".into());
    report.refused("attestation-missing", Some("media-type-unsupported"));
}

/// The answer about an image whose manifest is this text, named as `media_type`.
fn broken_image(media_type: &str, body: &str, code: &str) {
    let mut scene = Scene::empty();
    let image = scene.blob(media_type, body);
    scene.tag("1", &image);
    let (reference, key) = (scene.reference(), scene.at("team.pub"));
    for arguments in [
        vec!["verify", &reference, "--key", &key, "--type", TYPE],
        vec!["list", &reference],
        vec!["inspect", &reference],
    ] {
        scene.run_in_vain(&arguments).says(3, code);
    }
    let before = crate::support::program::tree(&scene.root());
    scene.attest_with(&scene.at("team.key"), &[]).says(3, code);
    assert!(crate::support::program::tree(&scene.root()) == before);
}

#[test]
fn an_image_that_is_broken_is_undecided_and_nothing_is_attached_to_it() {
    // (refused: manifest-invalid, json-…, media-type-…, too-large)
    let empty = json!({
        "mediaType": "application/vnd.oci.empty.v1+json", "size": 2,
        "digest": "sha256:44136fa355b3678a1146ad16f7e8649e94fb4fc21fe77e8310c060f61caaff8a",
    });
    let image = json!({"schemaVersion": 2, "mediaType": MANIFEST, "config": empty, "layers": []});
    let mut both = image.clone();
    both["manifests"] = json!([]);
    let many = json!({"schemaVersion": 2, "mediaType": INDEX, "manifests": vec![empty; 2000]});
    let padded = format!("{image}{}", " ".repeat(4 << 20));
    let deep = image.to_string().replacen('{', &format!("{{\"x\":{}{},", "[".repeat(200), "]".repeat(200)), 1);
    for (media_type, body, code) in [
        (MANIFEST, both.to_string().as_str(), "manifest-invalid"),
        (INDEX, both.to_string().as_str(), "manifest-invalid"),
        (INDEX, many.to_string().as_str(), "manifest-invalid"),
        (INDEX, image.to_string().as_str(), "media-type-mismatch"),
        ("text/plain", image.to_string().as_str(), "media-type-unsupported"),
        (MANIFEST, padded.as_str(), "too-large"),
        (MANIFEST, deep.as_str(), "json-too-deep"),
        (MANIFEST, image.to_string().replacen('{', "{\"layers\":[],", 1).as_str(), "json-duplicate-key"),
        (MANIFEST, "", "json-invalid"),
        (MANIFEST, "{}", "manifest-invalid"),
        (MANIFEST, "[]", "manifest-invalid"),
    ] {
        broken_image(media_type, body, code);
    }
}

#[test]
fn an_image_whose_bytes_are_not_those_of_its_digest_is_undecided() {
    // (refused: digest-mismatch, size-mismatch)
    let cases: [(ChangeBytes, &str); 3] = [
        (|bytes| bytes[0] = b' ', "digest-mismatch"),
        (|bytes| bytes.truncate(bytes.len() - 1), "size-mismatch"),
        (|bytes| bytes.push(b' '), "size-mismatch"),
    ];
    for (with, code) in cases {
        let scene = Scene::new();
        scene.attest(&scene.team, &scene.image, &scene.image);
        change(&scene.file_of(&scene.image), with);
        let (reference, key) = (scene.reference(), scene.at("team.pub"));
        scene.run_in_vain(&["verify", &reference, "--key", &key, "--type", TYPE]).says(3, code);
        let digest = format!("oci:{}@{}", scene.root().display(), text(&scene.image["digest"]));
        scene.run_in_vain(&["verify", &digest, "--key", &key, "--type", TYPE]).says(3, code);
    }
}

#[test]
fn entries_of_index_json_that_lie_are_refused() {
    // (refused: size-mismatch, layout-invalid, media-type-mismatch, not-found)
    let lies: [(Lie, &str); 5] = [
        (|entry| entry["size"] = (entry["size"].as_i64().unwrap() + 1).into(), "size-mismatch"),
        (|entry| entry["size"] = (entry["size"].as_i64().unwrap() - 1).into(), "size-mismatch"),
        (
            |entry| entry["digest"] = text(&entry["digest"]).to_uppercase().replace("SHA256", "sha256").into(),
            "layout-invalid",
        ),
        (|entry| entry["mediaType"] = INDEX.into(), "media-type-mismatch"),
        (|entry| entry["digest"] = format!("sha256:{}", "0".repeat(64)).into(), "not-found"),
    ];
    for (lie, code) in lies {
        let mut scene = Scene::empty();
        let mut image = scene.image("one");
        scene.attest(&scene.team, &image.clone(), &image);
        lie(&mut image);
        scene.tag("1", &image);
        let (reference, key) = (scene.reference(), scene.at("team.pub"));
        scene.run_in_vain(&["verify", &reference, "--key", &key, "--type", TYPE]).says(3, code);
    }
}
