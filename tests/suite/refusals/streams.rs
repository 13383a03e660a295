//! Standard output that nobody reads any more, or that cannot be written.

use std::process::Stdio;

use super::scene::{Scene, TYPE};
use crate::support::program::{Ended, program};

/// Runs the program with a standard output whose other end is closed already.
fn into_closed_pipe(scene: &Scene, arguments: &[&str]) -> Ended {
    let (reader, writer) = std::io::pipe().unwrap();
    drop(reader);
    let output = program().args(arguments).stdout(writer).stderr(Stdio::piped()).spawn().unwrap();
    scene.check(&output.wait_with_output().unwrap())
}

#[test]
fn who_stops_reading_has_seen_enough() {
    // (accepted)
    let scene = Scene::new();
    scene.attest(&scene.team, &scene.image, &scene.image);
    let reference = scene.reference();
    for arguments in [
        vec!["list", &reference],
        vec!["list", &reference, "--output", "json"],
        vec!["inspect", &reference],
        vec!["download", &reference, "--type", TYPE],
        vec!["--help"],
    ] {
        let ended = into_closed_pipe(&scene, &arguments);
        assert_eq!(ended.code, 0, "{arguments:?} {ended:?}");
        assert!(!ended.err.contains("error["), "{ended:?}");
    }
}

#[test]
fn a_verdict_is_kept_though_nobody_reads_it() {
    // (accepted; refused; undecided)
    let scene = Scene::new();
    let (reference, key) = (scene.reference(), scene.at("team.pub"));
    let absent = format!("oci:{}:absent", scene.root().display());
    let verify = |reference: &str, output: &str| {
        into_closed_pipe(&scene, &["verify", reference, "--key", &key, "--type", TYPE, "--output", output]).code
    };
    for output in ["human", "json"] {
        assert_eq!((verify(&reference, output), verify(&absent, output)), (1, 3));
    }
    scene.attest(&scene.team, &scene.image, &scene.image);
    for output in ["human", "json"] {
        assert_eq!(verify(&reference, output), 0);
    }
}

#[test]
fn an_output_that_cannot_be_written_is_no_success() {
    // (refused: storage-full)
    let Ok(full) = std::fs::OpenOptions::new().write(true).open("/dev/full") else {
        println!("skipped: an_output_that_cannot_be_written_is_no_success: no /dev/full here");
        return;
    };
    let scene = Scene::new();
    scene.attest(&scene.team, &scene.image, &scene.image);
    let (reference, key) = (scene.reference(), scene.at("team.pub"));
    let run = |arguments: &[&str]| {
        let child = program().args(arguments).stdout(full.try_clone().unwrap()).stderr(Stdio::piped()).spawn().unwrap();
        scene.check(&child.wait_with_output().unwrap())
    };
    assert!(run(&["list", &reference]).says(3, "storage-full").out.is_empty());
    let verify = run(&["verify", &reference, "--key", &key, "--type", TYPE]);
    assert!(verify.err.contains("error[storage-full]"), "{verify:?}");
}

#[test]
fn a_document_is_written_whole_or_not_at_all() {
    // (refused: file-unwritable)
    let scene = Scene::new();
    scene.attest(&scene.team, &scene.image, &scene.image);
    let reference = scene.reference();
    let nowhere = scene.at("absent/folder/document.json");
    let ended = scene.run_in_vain(&["download", &reference, "--type", TYPE, "-o", &nowhere]);
    ended.says(3, "file-unwritable").names("nothing was written");
    let key = scene.at("team.key");
    let (predicate, nowhere) = (scene.at("predicate.json"), scene.at("absent/b.json"));
    scene.run_in_vain(&["sign-blob", &predicate, "--key", &key, "-o", &nowhere]).says(3, "file-unwritable");
}
