//! Every place in which cosign keeps evidence, on one image.

use std::process::Command;

use serde_json::Value;

use crate::interop::Cosign;
use crate::round_trip::{OPENVEX, SPDX};
use crate::support::command::{attestry, run};
use crate::support::image::{Place, registries};

const AMD64: &str = "linux/amd64";

impl Cosign {
    /// An image signature in the form that cosign calls experimental: a referrer without a bundle.
    fn sign_as_a_referrer(&self, image: &str) {
        let key = self.scratch.path("signer.key");
        let flags = ["--yes", "--allow-http-registry", "--use-signing-config=false", "--new-bundle-format=false"];
        let more = ["--tlog-upload=false", "--registry-referrers-mode=oci-1-1", "--key", &key, image];
        let mut command = Command::new("cosign");
        command.env("COSIGN_EXPERIMENTAL", "1").arg("sign").args(flags).args(more);
        run(&mut command, b"").succeeds();
    }
}

fn everywhere(place: &Place, cosign: &Cosign) -> String {
    let image = place.tagged("1");
    let index = place.push_index("1");
    let whole = format!("{}@{}", place.name(), index.digest());
    let part = index.as_index().unwrap().children()[0].descriptor.digest.clone();
    let part = format!("{}@{part}", place.name());
    let spdx = cosign.scratch.write("spdx.json", SPDX);
    let vex = cosign.scratch.write("vex.json", OPENVEX);
    for (legacy, about, of_type, predicate) in [
        (false, &part, "spdxjson", &spdx),
        (true, &part, "spdxjson", &spdx),
        (false, &whole, "openvex", &vex),
        (true, &whole, "openvex", &vex),
    ] {
        cosign.sign(legacy, &["attest", "--type", of_type, "--predicate", predicate, about]).succeeds();
    }
    for (legacy, about) in [(false, &whole), (true, &whole), (true, &part)] {
        cosign.sign(legacy, &["sign", about]).succeeds();
    }
    cosign.sign_as_a_referrer(&part);
    image
}

fn rows(entries: &Value, what: &str) -> Vec<String> {
    let text = |entry: &Value, member: &str| entry[member].as_str().unwrap_or("-").to_owned();
    let mut rows: Vec<String> = entries
        .as_array()
        .unwrap()
        .iter()
        .map(|entry| {
            format!("{} {} {}", text(entry, what), text(entry, "layout"), entry["covers"][0].as_str().unwrap())
        })
        .collect();
    rows.sort();
    rows
}

#[test]
fn every_way_in_which_cosign_keeps_evidence_is_found_and_verified_on_one_image() {
    // (accepted)
    let Some(cosign) = Cosign::new() else { return };
    let key = cosign.scratch.path("signer.pub");
    for place in registries() {
        let image = everywhere(&place, &cosign);
        let listed = attestry(["list", &image, "--output", "json"]).succeeds().json();
        let attestations = [
            "https://openvex.dev/ns referrer index",
            "https://openvex.dev/ns tag index",
            "https://spdx.dev/Document referrer linux/amd64",
            "https://spdx.dev/Document tag linux/amd64",
        ];
        assert_eq!(rows(&listed["attestations"], "predicate_type"), attestations, "{image}");
        let signatures = [
            "bundle referrer index",
            "simple-signing referrer linux/amd64",
            "simple-signing tag index",
            "simple-signing tag linux/amd64",
        ];
        assert_eq!(rows(&listed["signatures"], "kind"), signatures, "{image}");
        // Nobody's demand stops the search: all of it is looked at, and all of it is right.
        let demands = ["--type", "spdx", "--type", "openvex", "--type", "signature", "--type", "vsa"];
        let common = ["verify", &image, "--key", &key, "--platform", AMD64, "--output", "json"];
        let report = attestry(common.into_iter().chain(demands)).exits(1).json();
        assert_eq!(report["rejections"], serde_json::json!([]), "{image}");
        let seen = |entries: &Value| entries.as_array().unwrap().len();
        assert_eq!((seen(&report["attestations"]), seen(&report["signatures"])), (4, 4), "{image}");
        let met: Vec<&str> =
            report["requirements"].as_array().unwrap().iter().map(|entry| entry["status"].as_str().unwrap()).collect();
        assert_eq!(met, ["met", "met", "met", "unmet"], "{image}");
    }
}
