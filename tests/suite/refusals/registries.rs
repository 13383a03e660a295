//! Registries that are down, deny, or give other bytes, as the program sees them.

use std::net::TcpListener;

use super::scene::{BUNDLE, MANIFEST, Report, Scene, TYPE, bundle, statement, text};
use crate::support::program::{Ended, program};
use crate::support::registry::{Auth, Canned, Faults, PASSWORD, TestRegistry, USER};

/// The scene's image and one sound attestation of it in a registry, tagged `1`.
fn with_evidence(scene: &Scene, server: &TestRegistry) -> String {
    let image = std::fs::read(scene.file_of(&scene.image)).unwrap();
    server.put_manifest(Some("1"), MANIFEST, &image);
    let document = bundle(&scene.team, &statement(TYPE, &[&scene.image])).to_string();
    let layer = scene.blob(BUNDLE, &document);
    let manifest = scene.artifact(&scene.image, std::slice::from_ref(&layer));
    server.put_blob(&text(&layer["digest"]).parse().unwrap(), document.as_bytes());
    server.put_manifest(None, MANIFEST, &std::fs::read(scene.file_of(&manifest)).unwrap());
    text(&layer["digest"]).to_owned()
}

fn verify(scene: &Scene, host: &str) -> Ended {
    let (reference, key) = (format!("{host}/app:1"), scene.at("team.pub"));
    scene.run(&["verify", &reference, "--key", &key, "--type", TYPE, "--output", "json"])
}

#[test]
fn the_registry_that_the_other_tests_break_is_accepted_unbroken() {
    // (accepted)
    let scene = Scene::new();
    let server = TestRegistry::start(Faults::default());
    with_evidence(&scene, &server);
    Report::of(verify(&scene, server.host())).accepted();
}

#[test]
fn a_registry_that_is_down_leaves_it_undecided() {
    // (refused: unavailable)
    let scene = Scene::new();
    // A port that was free a moment ago and that nobody listens on now.
    let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let host = format!("127.0.0.1:{port}");
    verify(&scene, &host).says(3, "unavailable").names(&host);
    let reference = format!("{host}/app:1");
    let (predicate, key) = (scene.at("predicate.json"), scene.at("team.key"));
    let ended = scene.run(&["attest", &reference, "--predicate", &predicate, "--type", TYPE, "--key", &key]);
    ended.says(3, "unavailable");
    scene.run(&["list", &reference]).says(3, "unavailable");
}

#[test]
fn a_registry_that_denies_says_whose_credentials_were_sent() {
    // (refused: denied)
    for auth in [Auth::Basic, Auth::Bearer] {
        let scene = Scene::new();
        let server = TestRegistry::start(Faults { auth, ..Faults::default() });
        with_evidence(&scene, &server);
        let ended = verify(&scene, server.host());
        ended.says(3, "denied").names("docker login").names("no credentials");
        let run = |password: &str| {
            let auth = base64::Engine::encode(&base64::engine::general_purpose::STANDARD, format!("{USER}:{password}"));
            scene.file("config.json", format!("{{\"auths\":{{\"{}\":{{\"auth\":\"{auth}\"}}}}}}", server.host()));
            let (reference, key) = (format!("{}/app:1", server.host()), scene.at("team.pub"));
            let mut command = program();
            command.args(["verify", &reference, "--key", &key, "--type", TYPE, "--output", "json"]);
            command.env("DOCKER_CONFIG", scene.path("config.json").parent().unwrap());
            let ended = scene.check(&command.output().unwrap());
            assert!(!ended.err.contains(password) && !ended.err.contains(&auth), "{}", ended.err);
            ended
        };
        run("hunter2-wrong").says(3, "denied").names(USER).names("config.json");
        Report::of(run(PASSWORD)).accepted();
    }
}

#[test]
fn a_registry_that_gives_other_bytes_for_the_evidence_is_refused() {
    // (refused: digest-mismatch)
    let scene = Scene::new();
    let server = TestRegistry::start(Faults::default());
    let document = with_evidence(&scene, &server);
    let mut bytes = std::fs::read(scene.file_of(&serde_json::json!({"digest": document}))).unwrap();
    *bytes.last_mut().unwrap() = b' ';
    server.put_blob(&document.parse().unwrap(), &bytes);
    Report::of(verify(&scene, server.host())).refused("attestation-missing", Some("digest-mismatch"));
    bytes.pop();
    server.put_blob(&document.parse().unwrap(), &bytes);
    Report::of(verify(&scene, server.host())).refused("attestation-missing", Some("size-mismatch"));
}

#[test]
fn a_registry_that_cannot_list_or_give_the_evidence_leaves_it_undecided() {
    // (undecided: unavailable, denied)
    for (request, status, code) in [
        ("/referrers/", 500, "unavailable"),
        ("/referrers/", 403, "denied"),
        ("/blobs/", 500, "unavailable"),
        ("/blobs/", 403, "denied"),
        ("/blobs/", 404, "not-found"),
    ] {
        let scene = Scene::new();
        let server = TestRegistry::start(Faults { canned: vec![Canned::status(request, status)], ..Faults::default() });
        with_evidence(&scene, &server);
        Report::of(verify(&scene, server.host())).undecided("attestation-missing", code);
    }
}

#[test]
fn a_listing_that_cannot_be_read_leaves_it_undecided() {
    // (undecided: json-invalid)
    let scene = Scene::new();
    let half = Canned::body("/referrers/", "application/vnd.oci.image.index.v1+json", "{\"manifests\":[");
    let server = TestRegistry::start(Faults { canned: vec![half], ..Faults::default() });
    with_evidence(&scene, &server);
    // Nobody knows what the other half would have named.
    Report::of(verify(&scene, server.host())).undecided("attestation-missing", "json-invalid");
}

#[test]
fn an_image_that_the_registry_gives_wrongly_is_undecided() {
    // (refused: digest-mismatch)
    let scene = Scene::new();
    let server = TestRegistry::start(Faults::default());
    with_evidence(&scene, &server);
    let wrong = Canned::body("/manifests/sha256:", MANIFEST, "{}");
    let lying = TestRegistry::start(Faults { canned: vec![wrong], ..Faults::default() });
    let key = scene.at("team.pub");
    let reference = format!("{}/app@{}", lying.host(), text(&scene.image["digest"]));
    let ended = scene.run(&["verify", &reference, "--key", &key, "--type", TYPE]);
    ended.says(3, "digest-mismatch");
    let absent = format!("{}/app:absent", server.host());
    scene.run(&["verify", &absent, "--key", &key, "--type", TYPE]).says(3, "not-found");
}
