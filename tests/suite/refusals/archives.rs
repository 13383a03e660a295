//! Archives that an attacker made: refused as a whole, before anything is read from them, and nothing is written.

use serde_json::json;

use super::scene::{INDEX, Scene};
use crate::support::program::{Ended, tree};
use crate::support::tar::{Tar, gzip, header, seal};

/// A layout folder as an archive.
fn good(scene: &Scene) -> Tar {
    Tar::of_folder(&scene.root(), "")
}

/// Lists an archive, and sees that nothing was written beside it or anywhere in the scene.
fn list(scene: &Scene, scheme: &str, archive: &[u8]) -> Ended {
    let file = scene.file("image.tar", archive);
    let folder = scene.root().parent().unwrap().to_owned();
    let before = tree(&folder);
    let ended = scene.run(&["list", &format!("{scheme}:{file}")]);
    assert!(tree(&folder) == before, "something was written\n{ended:?}");
    ended
}

#[test]
fn a_good_archive_is_read() {
    // (accepted)
    let scene = Scene::new();
    let index = std::fs::read(scene.root().join("index.json")).unwrap();
    let tar = good(&scene);
    for archive in [
        tar.clone().finish(),
        gzip(&tar.clone().finish()),
        // Longer than it must be, with folders, the same entry twice, and a global header that renames nothing.
        [tar.clone().entry(b'5', "./blobs/", "").finish(), vec![0; 10240]].concat(),
        tar.clone().file("./index.json", &index).finish(),
        tar.records(b'g', &[("comment", "x")]).file("extra", "").finish(),
        Tar::of_folder(&scene.root(), "./").finish(),
    ] {
        assert_eq!(list(&scene, "oci-archive", &archive).code, 0);
    }
}

#[test]
fn entries_that_lead_out_are_refused() {
    // (refused: entry-unsafe)
    let scene = Scene::new();
    for (name, archive) in [
        ("up", good(&scene).file("../escaped", "x")),
        ("up inside", good(&scene).file("blobs/../../escaped", "x")),
        ("absolute", good(&scene).file("/tmp/escaped", "x")),
        ("renamed", good(&scene).records(b'x', &[("path", "../escaped")]).file("x", "x")),
        ("renamed by GNU", good(&scene).raw(&header("././@LongLink", b'L', 11, ""), b"../escaped\0").file("x", "x")),
        ("up folder", good(&scene).entry(b'5', "..", "")),
        ("hard link", good(&scene).entry(b'1', "blobs/sha256/aa", "index.json")),
        ("hard link out", good(&scene).entry(b'1', "x", "/etc/passwd")),
        ("symbolic link", good(&scene).entry(b'2', "x", "index.json")),
        ("symbolic link out", good(&scene).entry(b'2', "x", "/etc/passwd")),
        ("device", good(&scene).entry(b'3', "x", "")),
        ("pipe", good(&scene).entry(b'6', "x", "")),
        ("inside a file", good(&scene).file("index.json/x", "x")),
    ] {
        let ended = list(&scene, "oci-archive", &archive.clone().finish());
        ended.says(3, "entry-unsafe");
        let ended = list(&scene, "oci-archive", &gzip(&archive.finish()));
        ended.says(3, "entry-unsafe").names("nothing was unpacked");
        assert!(!ended.err.contains("root:"), "{name}");
    }
}

#[test]
fn archives_that_two_programs_read_differently_are_refused() {
    // (refused: archive-invalid)
    let scene = Scene::new();
    let index = std::fs::read(scene.root().join("index.json")).unwrap();
    let empty = json!({"schemaVersion": 2, "mediaType": INDEX, "manifests": []}).to_string();
    let padded = |text: &str| format!("{text:width$}", width = index.len());
    let big_header = |size: &[u8]| {
        let mut header = header("x", b'0', 0, "");
        header[124..136].fill(0);
        header[124..124 + size.len()].copy_from_slice(size);
        seal(&mut header);
        header
    };
    let mut unsealed = header("x", b'0', 0, "");
    unsealed[0] = b'y';
    for (detail, archive) in [
        ("two different entries index.json", good(&scene).file("./index.json", &empty).finish()),
        ("two different entries index.json", good(&scene).file("index.json", padded(&empty)).finish()),
        ("two different entries index.json", good(&scene).entry(b'5', "index.json", "").finish()),
        ("has two sizes", good(&scene).records(b'x', &[("size", "0")]).file("x", "data").finish()),
        ("named or measured twice", good(&scene).records(b'x', &[("path", "a"), ("path", "b")]).file("x", "").finish()),
        (
            "named or measured twice",
            good(&scene)
                .records(b'x', &[("path", "a")])
                .raw(&header("././@LongLink", b'L', 2, ""), b"b\0")
                .file("x", "")
                .finish(),
        ),
        ("global header", good(&scene).records(b'g', &[("path", "index.json")]).file("x", "").finish()),
        ("sparse", good(&scene).records(b'x', &[("GNU.sparse.major", "1")]).file("x", "").finish()),
        ("kind that is not known: S", good(&scene).entry(b'S', "x", "").finish()),
        ("no file and has a size", good(&scene).raw(&header("x", b'5', 512, ""), &[0; 512]).finish()),
        ("follows after its end", [good(&scene).finish(), good(&scene).finish()].concat()),
        ("its end is missing", good(&scene).open()),
        ("checksum", good(&scene).raw(&unsealed, b"").finish()),
        ("size is no number", good(&scene).raw(&big_header(b"8"), b"").finish()),
        (
            "size is no number",
            good(&scene).raw(&big_header(b"\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff"), b"").finish(),
        ),
        ("ends in the middle of x", good(&scene).raw(&header("x", b'0', 1 << 30, ""), b"").finish()),
        (
            "ends in the middle of x",
            good(&scene).raw(&big_header(b"\x80\0\0\0\x7f\xff\xff\xff\xff\xff\xff\xff"), b"").finish(),
        ),
        ("not UTF-8", good(&scene).records(b'x', &[("path", "a\0b")]).file("x", "").finish()),
        ("has no name", good(&scene).file(".", "x").finish()),
        ("header of a header", good(&scene).records(b'x', &[("path", "a")]).finish()),
        (
            "record of an extended header",
            good(&scene).raw(&header("x", b'x', 6, ""), b"9 a=b\n").file("x", "").finish(),
        ),
        ("zstd", [b"\x28\xb5\x2f\xfd".to_vec(), vec![0; 2048]].concat()),
        ("cannot be unpacked", gzip(&good(&scene).finish()).into_iter().chain(*b"garbage, and more of it").collect()),
        ("checksum", b"no archive ".repeat(100)),
        ("ends in the middle", b"no archive".to_vec()),
        ("its end is missing", Vec::new()),
    ] {
        list(&scene, "oci-archive", &archive).says(3, "archive-invalid").names(detail);
    }
}

#[test]
fn an_archive_that_ends_anywhere_is_refused() {
    // (refused: archive-invalid)
    let scene = Scene::new();
    let whole = good(&scene).finish();
    let packed = gzip(&whole);
    for (archive, steps) in [(&whole, 23), (&packed, 11)] {
        // The first of the two empty blocks is mark enough, as most programs have it.
        let end = if archive == &whole { whole.len() - 1024 } else { packed.len() };
        for part in 1..steps {
            let cut = &archive[..end * part / steps];
            list(&scene, "oci-archive", cut).says(3, "archive-invalid");
        }
    }
}

#[test]
fn a_bomb_is_refused_before_it_fills_the_disk() {
    // (refused: too-large)
    let scene = Scene::new();
    let bomb = gzip(&good(&scene).file("zeros", vec![0; 30 << 20]).finish());
    assert!(bomb.len() < 100 << 10);
    list(&scene, "oci-archive", &bomb).says(3, "too-large").names("unpack to more than");
    // The same, not compressed, is as long as it says.
    assert_eq!(list(&scene, "oci-archive", &good(&scene).file("zeros", vec![0; 30 << 20]).finish()).code, 0);
}

#[test]
fn names_without_end_are_refused() {
    // (refused: too-large)
    let scene = Scene::new();
    let long = "x/".repeat(500_000);
    let mut tar = good(&scene);
    for number in 0..70 {
        tar = tar.records(b'x', &[("comment", &long)]).file(&number.to_string(), "");
    }
    list(&scene, "oci-archive", &tar.finish()).says(3, "too-large").names("bytes of names");
}

#[test]
fn a_layout_in_an_archive_is_judged_like_one_in_a_folder() {
    // (refused: layout-invalid, not-found, digest-mismatch, manifest-invalid)
    let scene = Scene::new();
    for missing in ["index.json", "oci-layout"] {
        let file = scene.root().join(missing);
        let text = std::fs::read(&file).unwrap();
        std::fs::remove_file(&file).unwrap();
        list(&scene, "oci-archive", &good(&scene).finish()).says(3, "layout-invalid").names(missing);
        std::fs::write(file, text).unwrap();
    }
    let manifest = scene.file_of(&scene.image);
    let text = std::fs::read_to_string(&manifest).unwrap();
    std::fs::write(&manifest, text.replace("layer", "Layer")).unwrap();
    list(&scene, "oci-archive", &good(&scene).finish()).says(3, "digest-mismatch");
    std::fs::remove_file(&manifest).unwrap();
    list(&scene, "oci-archive", &good(&scene).finish()).says(3, "not-found").names("sha256:");
}

#[test]
fn deep_and_huge_indexes_in_an_archive_are_bounded() {
    // (accepted) for listing, (refused: index-without-images, manifest-invalid) for what cannot be gone through
    let mut scene = Scene::empty();
    let image = scene.image("leaf");
    let mut inner = image;
    for _ in 0..12 {
        inner = scene.manifest(&json!({"schemaVersion": 2, "mediaType": INDEX, "manifests": [inner, inner]}));
    }
    scene.tag("deep", &inner);
    let entry = json!({"mediaType": INDEX, "digest": format!("sha256:{}", "a".repeat(64)), "size": 1});
    let huge = scene.manifest(&json!({"schemaVersion": 2, "mediaType": INDEX, "manifests": vec![entry; 1_001]}));
    scene.tag("huge", &huge);
    let file = scene.file("image.tar", good(&scene).finish());
    let listed = scene.run(&["list", &format!("oci-archive:{file}:deep"), "--output", "json"]);
    assert_eq!(listed.code, 0, "{listed:?}");
    scene.run(&["list", &format!("oci-archive:{file}:huge")]).says(3, "manifest-invalid").names("1000 children");
    scene.run(&["list", &format!("oci-archive:{file}:none")]).says(3, "not-found");
    scene.run(&["list", &format!("oci-archive:{file}")]).says(2, "tag-ambiguous");
}

#[test]
fn an_archive_with_two_lists_of_images_names_the_same_ones_in_both() {
    // (refused: archive-invalid)
    let scene = Scene::new();
    let manifest: serde_json::Value =
        serde_json::from_slice(&std::fs::read(scene.file_of(&scene.image)).unwrap()).unwrap();
    let config = manifest["config"]["digest"].as_str().unwrap().replace("sha256:", "blobs/sha256/");
    let list_of = |config: &str| json!([{"Config": config, "RepoTags": ["app:1"], "Layers": []}]).to_string();
    let other = scene.blob("x/y", r#"{"rootfs":{"type":"layers","diff_ids":[]},"evil":true}"#);
    let other = other["digest"].as_str().unwrap().replace("sha256:", "blobs/sha256/");
    for scheme in ["oci-archive", "docker-archive"] {
        let same = good(&scene).file("manifest.json", list_of(&config)).finish();
        assert_eq!(list(&scene, scheme, &same).code, 0);
        let differs = good(&scene).file("manifest.json", list_of(&other)).finish();
        list(&scene, scheme, &differs).says(3, "archive-invalid").names("index.json does not");
        let twice = r#"[{"Config":"a","Config":"b","Layers":[]}]"#;
        list(&scene, scheme, &good(&scene).file("manifest.json", twice).finish()).says(3, "archive-invalid");
    }
}

#[test]
fn a_config_that_only_an_attestation_manifest_has_is_no_image_of_the_layout() {
    // (refused: archive-invalid): the runnable child would be verified, and the other one loaded
    let mut scene = Scene::empty();
    let mut image = scene.image("one");
    image["platform"] = json!({"os": "linux", "architecture": "amd64"});
    let config = scene.blob("application/vnd.oci.image.config.v1+json", r#"{"rootfs":{"diff_ids":[]},"evil":true}"#);
    let mut hidden = scene.manifest(&json!({
        "schemaVersion": 2, "mediaType": super::scene::MANIFEST, "config": config, "layers": [],
    }));
    hidden["platform"] = json!({"os": "unknown", "architecture": "unknown"});
    hidden["annotations"] = json!({
        "vnd.docker.reference.type": "attestation-manifest", "vnd.docker.reference.digest": image["digest"],
    });
    let index = scene.manifest(&json!({"schemaVersion": 2, "mediaType": INDEX, "manifests": [image, hidden]}));
    scene.tag("1", &index);
    let config = config["digest"].as_str().unwrap().replace("sha256:", "blobs/sha256/");
    let text = json!([{"Config": config, "RepoTags": ["app:1"], "Layers": []}]).to_string();
    let archive = good(&scene).file("manifest.json", text).finish();
    list(&scene, "docker-archive", &archive).says(3, "archive-invalid").names("index.json does not");
}

#[test]
fn a_name_in_an_archive_with_two_lists_is_one_image() {
    // (refused: archive-invalid): `1` would be verified, and the image that it is not would be loaded as `app:1`
    let mut scene = Scene::empty();
    let image = |scene: &Scene, seed: &str| {
        let config = scene.blob("application/vnd.oci.image.config.v1+json", json!({"seed": seed}).to_string());
        let image = scene.manifest(&json!({
            "schemaVersion": 2, "mediaType": super::scene::MANIFEST, "config": config, "layers": [],
        }));
        (image, config["digest"].as_str().unwrap().replace("sha256:", "blobs/sha256/"))
    };
    let ((mut good_one, good_config), (mut evil_one, evil_config)) = (image(&scene, "good"), image(&scene, "evil"));
    let list_of = |one: &str, two: &str| {
        let image = |config: &str, name: &str| json!({"Config": config, "RepoTags": [name], "Layers": []});
        json!([image(one, "app:1"), image(two, "app:2")]).to_string()
    };
    for in_full in [false, true] {
        if in_full {
            scene = Scene::empty();
            image(&scene, "good");
            image(&scene, "evil");
            good_one["annotations"] = json!({"io.containerd.image.name": "docker.io/library/app:1"});
            evil_one["annotations"] = json!({"io.containerd.image.name": "docker.io/library/app:2"});
        }
        scene.tag("1", &good_one);
        scene.tag("2", &evil_one);
        let same = good(&scene).file("manifest.json", list_of(&good_config, &evil_config)).finish();
        let file = scene.file("same.tar", same);
        assert_eq!(scene.run(&["list", &format!("oci-archive:{file}:1")]).code, 0);
        let swapped = good(&scene).file("manifest.json", list_of(&evil_config, &good_config)).finish();
        for scheme in ["oci-archive", "docker-archive"] {
            list(&scene, scheme, &swapped).says(3, "archive-invalid").names("another image");
        }
    }
}

/// A folder as `cosign save` leaves it, with two images put together by hand.
fn saved_by_cosign(scene: &mut Scene, document: &serde_json::Value) {
    let other = scene.image("two");
    let kind = |descriptor: &serde_json::Value, kind: &str| {
        let mut entry = descriptor.clone();
        entry["annotations"]["kind"] = format!("dev.cosignproject.cosign/{kind}").into();
        entry
    };
    let attestations = scene.artifact(&serde_json::Value::Null, std::slice::from_ref(document));
    let entries = [kind(&scene.image, "image"), kind(&other, "image"), kind(&attestations, "atts")];
    let index = json!({"schemaVersion": 2, "mediaType": INDEX, "manifests": entries});
    std::fs::write(scene.root().join("index.json"), index.to_string()).unwrap();
}

#[test]
fn saved_evidence_that_cannot_be_looked_into_is_not_taken_for_absent() {
    // (accepted; undecided: not-found) Several images, and what names one of them is large, or missing.
    let mut scene = Scene::new();
    let padded = |scene: &Scene, space: usize| {
        let text = super::scene::statement(super::scene::TYPE, &[&scene.image]);
        let document = super::scene::envelope(&scene.team, super::scene::IN_TOTO, &text).to_string();
        scene.blob(super::scene::ENVELOPE, document + &" ".repeat(space))
    };
    for space in [0, 9 << 20] {
        let document = padded(&scene, space);
        saved_by_cosign(&mut scene, &document);
        let digest = scene.image["digest"].as_str().unwrap().to_owned();
        let verify = |scene: &Scene| {
            let (key, reference) = (scene.at("team.pub"), format!("oci:{}@{digest}", scene.root().display()));
            let type_name = super::scene::TYPE;
            let arguments = ["verify", &reference, "--key", &key, "--type", type_name, "--output", "json"];
            super::scene::Report::of(scene.run(&arguments))
        };
        verify(&scene).accepted();
        std::fs::remove_file(scene.file_of(&document)).unwrap();
        verify(&scene).undecided("attestation-missing", "not-found");
    }
}

#[test]
fn a_name_that_is_a_whole_tree_is_refused_before_anything_is_looked_up() {
    // (refused: too-large) Looking up each of a million folders costs a megabyte of comparing: hours.
    let scene = Scene::new();
    let long = "a/".repeat(1 << 20);
    for path in [format!("{long}b"), "a".repeat(5_000), "a/".repeat(300) + "b"] {
        for key in ["path", "linkpath"] {
            let kind = if key == "path" { b'0' } else { b'2' };
            let archive = good(&scene).records(b'x', &[(key, &path)]).entry(kind, "x", "y").finish();
            for scheme in ["oci-archive", "docker-archive", "tar"] {
                list(&scene, scheme, &archive).says(3, "too-large").names("bytes");
            }
        }
    }
}

#[test]
fn a_layer_that_is_listed_again_and_again_is_read_once() {
    // (accepted) 50,000 times 8 MiB would be 400 GB to digest, out of an archive of some kilobytes.
    let scene = Scene::new();
    let layer = vec![0; 8 << 20];
    let diff_id = attestry::digest::Digest::sha256(&layer).to_string();
    let config = json!({"rootfs": {"type": "layers", "diff_ids": vec![diff_id; 20_000]}}).to_string();
    let names: Vec<String> = (0..20_000).map(|number| if number % 2 == 0 { "l".into() } else { "s".into() }).collect();
    let text = json!([{"Config": "c", "RepoTags": ["app:1"], "Layers": names}]).to_string();
    let tar = Tar::default().file("c", config).file("l", layer).entry(b'2', "s", "l").file("manifest.json", text);
    let start = std::time::Instant::now();
    let ended = list(&scene, "docker-archive", &gzip(&tar.finish()));
    assert_eq!(ended.code, 0, "{ended:?}");
    assert!(start.elapsed().as_secs() < 60, "{:?}", start.elapsed());
}
