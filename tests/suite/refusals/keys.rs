//! Keys that cannot be used, and keys that did not sign.

use super::scene::{Scene, TYPE};
use crate::support::program::{KEY_PASSWORD, program, tree};

/// What is told by its label alone; nobody reads the inside.
const CERTIFICATE: &str = "-----BEGIN CERTIFICATE-----\nMIIBAA==\n-----END CERTIFICATE-----\n";

#[test]
fn another_key_than_the_one_that_signed_is_refused() {
    // (refused: attestation-missing, signature-invalid)
    let scene = Scene::new();
    assert_eq!(scene.attest_with(&scene.at("other.key"), &[]).code, 0);
    scene.verify(&[]).refused("attestation-missing", Some("signature-invalid"));
    // The same with the right key is accepted, so the key alone decided.
    assert_eq!(scene.attest_with(&scene.at("team.key"), &[]).code, 0);
    scene.verify(&[]).accepted();
}

#[test]
fn a_private_key_is_no_public_key_and_its_bytes_are_not_shown() {
    // (refused: key-invalid)
    let scene = Scene::new();
    let (reference, key) = (scene.reference(), scene.at("team.key"));
    let ended = scene.run_in_vain(&["verify", &reference, "--key", &key, "--type", TYPE]);
    ended.says(2, "key-invalid").names("private key").names(&key);
}

#[test]
fn a_public_key_is_no_private_key() {
    // (refused: key-invalid)
    let scene = Scene::new();
    let before = tree(&scene.root());
    scene.attest_with(&scene.at("team.pub"), &[]).says(2, "key-invalid").names("public key");
    assert!(tree(&scene.root()) == before);
}

#[test]
fn a_certificate_is_no_key() {
    // (refused: key-invalid)
    let scene = Scene::new();
    let certificate = scene.file("certificate.pem", CERTIFICATE);
    let reference = scene.reference();
    let ended = scene.run_in_vain(&["verify", &reference, "--key", &certificate, "--type", TYPE]);
    ended.says(2, "key-invalid").names("certificate");
    scene.attest_with(&certificate, &[]).says(2, "key-invalid").names("certificate");
}

#[test]
fn files_that_hold_no_key_are_refused_by_name() {
    // (refused: key-invalid, key-unsupported)
    let scene = Scene::new();
    let reference = scene.reference();
    let public = scene.team.public_key().to_pem();
    let legacy = "-----BEGIN EC PRIVATE KEY-----\nProc-Type: 4,ENCRYPTED\n\nQUJD\n-----END EC PRIVATE KEY-----\n";
    let cases: [(&str, Vec<u8>, &str); 7] = [
        ("empty", Vec::new(), "key-invalid"),
        ("binary", vec![0xff, 0xfe, 0, 1], "key-invalid"),
        ("ssh", b"ssh-ed25519 AAAA nobody".to_vec(), "key-invalid"),
        ("two keys", format!("{public}{public}").into_bytes(), "key-invalid"),
        ("text after it", format!("{public}more").into_bytes(), "key-invalid"),
        ("cut off", public.as_bytes()[..public.len() / 2].to_vec(), "key-invalid"),
        ("old encryption", legacy.as_bytes().to_vec(), "key-unsupported"),
    ];
    for (name, content, code) in cases {
        let path = scene.file("some.pem", content);
        let ended = scene.run_in_vain(&["verify", &reference, "--key", &path, "--type", TYPE]);
        // Whoever verifies with a private key of any kind has first to hear that it is private.
        let code = if name == "old encryption" && ended.err.contains("[key-invalid]") { "key-invalid" } else { code };
        ended.says(2, code).names(&path);
    }
}

#[test]
fn a_key_file_that_is_not_there_is_named() {
    // (refused: file-unreadable)
    let scene = Scene::new();
    let (reference, absent) = (scene.reference(), scene.at("absent.pub"));
    let ended = scene.run_in_vain(&["verify", &reference, "--key", &absent, "--type", TYPE]);
    ended.says(2, "file-unreadable").names(&absent);
    scene.attest_with(&absent, &[]).says(2, "file-unreadable").names(&absent);
}

#[test]
fn a_key_file_larger_than_any_key_is_refused() {
    // (refused: key-invalid)
    let scene = Scene::new();
    let large = format!("{}\n{}", "#".repeat(64 << 10), scene.team.public_key().to_pem());
    let (reference, path) = (scene.reference(), scene.file("large.pub", large));
    let ended = scene.run_in_vain(&["verify", &reference, "--key", &path, "--type", TYPE]);
    ended.says(2, "key-invalid").names("larger than any key");
    scene.attest_with(&path, &[]).says(2, "key-invalid").names("larger than any key");
}

#[test]
fn an_encrypted_key_opens_with_its_password_alone() {
    // (refused: key-password-missing, key-password-wrong)
    let scene = Scene::new();
    let prefix = scene.at("encrypted");
    let keygen = || {
        let mut command = program();
        command.args(["keygen", "--prefix", &prefix]);
        command
    };
    scene.check(&keygen().output().unwrap()).says(2, "argument-invalid").names("no terminal");
    assert!(!scene.path("encrypted.key").exists());
    assert_eq!(scene.check(&keygen().env("ATTESTRY_PASSWORD", KEY_PASSWORD).output().unwrap()).code, 0);
    let pair = std::fs::read(scene.path("encrypted.key")).unwrap();
    let again = scene.check(&keygen().env("ATTESTRY_PASSWORD", KEY_PASSWORD).output().unwrap());
    again.says(2, "file-unwritable").names("encrypted.key");
    assert_eq!(std::fs::read(scene.path("encrypted.key")).unwrap(), pair, "a key was overwritten");
    let before = tree(&scene.root());
    let attest = |password: Option<&str>| {
        let mut command = program();
        if let Some(password) = password {
            command.env("ATTESTRY_PASSWORD", password);
        }
        let key = format!("{prefix}.key");
        let (reference, predicate) = (scene.reference(), scene.at("predicate.json"));
        command.args(["attest", &reference, "--predicate", &predicate, "--type", TYPE, "--key", &key]);
        scene.check(&command.output().unwrap())
    };
    attest(None).says(2, "key-password-missing").names("ATTESTRY_PASSWORD");
    for wrong in ["", "correct-horse-batter", "correct-horse-battery-"] {
        // The helper refuses the right password in the output; a wrong one must not be there either.
        let ended = attest(Some(wrong));
        ended.says(2, "key-password-wrong");
        assert!(wrong.is_empty() || !ended.err.contains(wrong), "{}", ended.err);
    }
    assert!(tree(&scene.root()) == before);
    assert_eq!(attest(Some(KEY_PASSWORD)).code, 0);
}
