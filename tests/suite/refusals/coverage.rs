//! Coverage: everything of an index that can run must be covered, whatever it calls itself.

use serde_json::{Value, json};

use super::scene::{INDEX, Report, Scene, TYPE};

/// Makes a child of an index.
type MakeChild = Box<dyn Fn(&Scene) -> Value>;

fn on(descriptor: &Value, os: &str, architecture: &str) -> Value {
    let mut descriptor = descriptor.clone();
    descriptor["platform"] = json!({"os": os, "architecture": architecture});
    descriptor
}

/// An index of these children, tagged `1`, in which the first child is attested.
fn first_attested(scene: &mut Scene, children: &[Value]) -> Report {
    let index = scene.manifest(&json!({"schemaVersion": 2, "mediaType": INDEX, "manifests": children}));
    scene.tag("1", &index);
    let first = json!({
        "mediaType": children[0]["mediaType"], "digest": children[0]["digest"], "size": children[0]["size"],
    });
    scene.attest(&scene.team, &first, &first);
    scene.verify(&[])
}

#[test]
fn a_platform_that_nothing_covers_is_named() {
    // (refused: platform-missing)
    let mut scene = Scene::empty();
    let children = [on(&scene.image("a"), "linux", "amd64"), on(&scene.image("b"), "linux", "arm64")];
    let report = first_attested(&mut scene, &children);
    report.refused("platform-missing", None);
    assert!(report.message().contains("linux/arm64") && !report.message().contains("linux/amd64"), "{report:#?}");
    // That platform alone, or both of them covered, is accepted.
    scene.verify(&["--platform", "linux/amd64"]).accepted();
    scene.verify(&["--platform", "linux/arm64"]).refused("attestation-missing", None);
    let second = json!({
        "mediaType": children[1]["mediaType"], "digest": children[1]["digest"], "size": children[1]["size"],
    });
    scene.attest(&scene.team, &second, &second);
    let report = scene.verify(&[]);
    report.accepted();
    assert_eq!(report.json["unchecked"], json!(["signing-time", "index-composition"]));
}

#[test]
fn children_that_do_not_say_what_they_are_must_be_covered_too() {
    // (refused: platform-missing)
    let unknown = |scene: &Scene| on(&scene.image("b"), "unknown", "unknown");
    let marked = |descriptor: Value| {
        let mut descriptor = descriptor;
        descriptor["annotations"] = json!({"vnd.docker.reference.type": "attestation-manifest"});
        descriptor
    };
    let cases: Vec<(&str, MakeChild)> = vec![
        ("no platform", Box::new(|scene| scene.image("b"))),
        ("the same platform again", Box::new(|scene| on(&scene.image("b"), "linux", "amd64"))),
        ("unknown without the mark", Box::new(unknown)),
        ("the mark without unknown", Box::new(move |scene| marked(on(&scene.image("b"), "linux", "arm64")))),
        ("the mark without a platform", Box::new(move |scene| marked(scene.image("b")))),
        ("half unknown", Box::new(move |scene| marked(on(&scene.image("b"), "unknown", "amd64")))),
        ("Unknown in capitals", Box::new(move |scene| marked(on(&scene.image("b"), "Unknown", "unknown")))),
        (
            "another mark",
            Box::new(|scene| {
                let mut child = on(&scene.image("b"), "unknown", "unknown");
                child["annotations"] = json!({"vnd.docker.reference.type": "something"});
                child
            }),
        ),
        (
            "a manifest of no known kind",
            Box::new(|scene| {
                let mut child = scene.blob("application/vnd.example+json", "{\"some\":1}");
                child["platform"] = json!({"os": "linux", "architecture": "arm64"});
                child
            }),
        ),
    ];
    for (name, child) in cases {
        let mut scene = Scene::empty();
        let children = [on(&scene.image("a"), "linux", "amd64"), child(&scene)];
        let report = first_attested(&mut scene, &children);
        assert_eq!((report.ended.code, report.rejected().len()), (1, 0), "{name}: {report:#?}");
        report.refused("platform-missing", None);
    }
    // With both marks it is an attestation manifest and needs no cover.
    let mut scene = Scene::empty();
    let children = [on(&scene.image("a"), "linux", "amd64"), marked(unknown(&scene))];
    first_attested(&mut scene, &children).accepted();
}

#[test]
fn a_platform_that_is_there_twice_is_demanded_twice() {
    // (refused: platform-missing)
    let mut scene = Scene::empty();
    let children = [on(&scene.image("a"), "linux", "amd64"), on(&scene.image("b"), "linux", "amd64")];
    first_attested(&mut scene, &children).refused("platform-missing", None);
    scene.verify(&["--platform", "linux/amd64"]).refused("platform-missing", None);
}

#[test]
fn an_index_that_holds_nothing_to_run_is_refused() {
    // (refused: index-without-images)
    let mut scene = Scene::empty();
    let mut child = on(&scene.image("a"), "unknown", "unknown");
    child["annotations"] = json!({"vnd.docker.reference.type": "attestation-manifest"});
    for (tag, children) in [("only", vec![child]), ("empty", Vec::new())] {
        let index = scene.manifest(&json!({"schemaVersion": 2, "mediaType": INDEX, "manifests": children}));
        scene.tag(tag, &index);
        // Even a right attestation about the index itself does not help.
        scene.attest(&scene.team, &index, &index);
        let (key, reference) = (scene.at("team.pub"), format!("oci:{}:{tag}", scene.root().display()));
        let arguments = ["verify", &reference, "--key", &key, "--type", TYPE, "--output", "json"];
        Report::of(scene.run_in_vain(&arguments)).refused("index-without-images", None);
    }
}

#[test]
fn leaves_of_nested_indexes_must_be_covered() {
    // (refused: platform-missing; accepted)
    let nest = |scene: &Scene, children: &[Value]| {
        scene.manifest(&json!({"schemaVersion": 2, "mediaType": INDEX, "manifests": children}))
    };
    let mut scene = Scene::empty();
    let (first, second) = (on(&scene.image("a"), "linux", "amd64"), on(&scene.image("b"), "linux", "arm64"));
    let inner = nest(&scene, &[second]);
    let report = first_attested(&mut scene, &[first, inner.clone()]);
    report.refused("platform-missing", None);
    assert!(report.message().contains("linux/arm64"), "{report:#?}");
    // An attestation about the inner index covers what that index holds.
    scene.attest(&scene.team, &inner, &inner);
    scene.verify(&[]).accepted();
}

#[test]
fn an_index_nested_deeper_than_is_looked_is_itself_to_be_covered() {
    // (refused: attestation-missing; accepted)
    let mut scene = Scene::empty();
    let leaf = scene.image("leaf");
    let mut inner = leaf.clone();
    for _ in 0..5 {
        inner = scene.manifest(&json!({"schemaVersion": 2, "mediaType": INDEX, "manifests": [inner]}));
    }
    scene.tag("1", &inner);
    // Nobody looks that deep, and so what is there covers nothing.
    scene.attest(&scene.team, &leaf, &leaf);
    scene.verify(&[]).refused("attestation-missing", None);
    scene.attest(&scene.team, &inner, &inner);
    scene.verify(&[]).accepted();
}

#[test]
fn an_inner_index_that_cannot_be_read_is_not_forgotten() {
    // (undecided: not-found; refused: digest-mismatch)
    for gone in [true, false] {
        let mut scene = Scene::empty();
        let first = on(&scene.image("a"), "linux", "amd64");
        let second = on(&scene.image("b"), "linux", "arm64");
        let inner = scene.manifest(&json!({"schemaVersion": 2, "mediaType": INDEX, "manifests": [second]}));
        let path = scene.file_of(&inner);
        if gone {
            std::fs::remove_file(path).unwrap();
        } else {
            super::scene::change(&path, |bytes| bytes[0] = b' ');
        }
        let report = first_attested(&mut scene, &[first, inner]);
        match gone {
            true => report.undecided("platform-missing", "not-found"),
            false => report.refused("platform-missing", Some("digest-mismatch")),
        };
        // It may hold the platform once more.
        let report = scene.verify(&["--platform", "linux/amd64"]);
        assert_eq!(report.json["requirements"][0]["code"], "platform-missing", "{report:#?}");
    }
}

#[test]
fn indexes_that_hold_each_others_children_are_entered_once() {
    // (refused: attestation-missing)
    let mut scene = Scene::empty();
    let mut level = vec![scene.image("leaf")];
    for depth in 0..3 {
        let children = level;
        level = (0..40)
            .map(|number| {
                let notes = json!({"n": format!("{depth} {number}")});
                scene.manifest(&json!({
                    "schemaVersion": 2, "mediaType": INDEX, "manifests": children, "annotations": notes,
                }))
            })
            .collect();
    }
    let root = scene.manifest(&json!({"schemaVersion": 2, "mediaType": INDEX, "manifests": level}));
    scene.tag("1", &root);
    // 120 small documents, and 64,000 ways through them.
    let report = scene.verify(&[]);
    report.refused("attestation-missing", None);
    assert_eq!(report.json["platforms"].as_array().unwrap().len(), 40);
}
