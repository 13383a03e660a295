//! Evidence whose storage an attacker controls: documents are changed and every digest around them is made right again.

use base64::Engine;
use base64::engine::general_purpose::{STANDARD, URL_SAFE};
use serde_json::{Value, json};

use super::scene::{
    BUNDLE, ENVELOPE, IN_TOTO, Report, Scene, TYPE, bundle, bundle_of, envelope, envelope_signature, statement,
};

/// Changes a document.
type Change = Box<dyn Fn(&mut Value)>;
/// Makes a payload for the image of a scene.
type MakePayload = Box<dyn Fn(&Scene) -> String>;

/// Puts one document on a new image and verifies it.
fn with_document(media_type: &str, make: impl FnOnce(&Scene) -> Vec<u8>) -> Report {
    let scene = Scene::new();
    scene.hang(&scene.image, media_type, make(&scene));
    scene.verify(&[])
}

fn with_bundle(change: impl FnOnce(&Scene, &mut Value)) -> Report {
    with_document(BUNDLE, |scene| {
        let mut document = bundle(&scene.team, &statement(TYPE, &[&scene.image]));
        change(scene, &mut document);
        document.to_string().into_bytes()
    })
}

/// A payload that is signed as it is, whatever it is.
fn with_signed(payload: impl FnOnce(&Scene) -> String) -> Report {
    with_document(BUNDLE, |scene| bundle(&scene.team, &payload(scene)).to_string().into_bytes())
}

/// A document made as text, where a JSON value could not hold it.
fn with_text(change: impl FnOnce(String) -> String) -> Report {
    with_document(BUNDLE, |scene| {
        change(bundle(&scene.team, &statement(TYPE, &[&scene.image])).to_string()).into_bytes()
    })
}

fn invalid(report: &Report) {
    report.refused("attestation-missing", Some("signature-invalid"));
}

#[test]
fn the_documents_that_the_other_tests_change_are_accepted_unchanged() {
    // (accepted)
    with_bundle(|_, _| {}).accepted();
    with_document(ENVELOPE, |scene| {
        envelope(&scene.team, IN_TOTO, &statement(TYPE, &[&scene.image])).to_string().into_bytes()
    })
    .accepted();
}

#[test]
fn a_replaced_payload_breaks_the_signature() {
    // (refused: signature-invalid)
    invalid(&with_bundle(|scene, bundle| {
        let payload = statement(TYPE, &[&scene.image]).replace("true", "false");
        bundle["dsseEnvelope"]["payload"] = STANDARD.encode(payload).into();
    }));
}

#[test]
fn a_changed_payload_type_breaks_the_signature() {
    // (refused: signature-invalid)
    invalid(&with_bundle(|_, bundle| {
        bundle["dsseEnvelope"]["payloadType"] = "application/vnd.in-toto.spdx+json".into()
    }));
}

#[test]
fn a_payload_type_that_is_not_in_totos_is_no_evidence_however_it_is_signed() {
    // (refused: payload-type-unsupported)
    for payload_type in [
        "application/json",
        "application/vnd.in-toto+jsonx",
        "application/vnd.in-toto",
        "",
        "application/vnd.in-toto.+json",
        "Application/vnd.in-toto+json",
    ] {
        let report = with_bundle(|scene, bundle| {
            let statement = statement(TYPE, &[&scene.image]);
            *bundle = bundle_of(&envelope(&scene.team, payload_type, &statement));
        });
        report.refused("attestation-missing", Some("payload-type-unsupported"));
    }
}

#[test]
fn signatures_swapped_between_two_attestations_verify_neither() {
    // (refused: signature-invalid)
    let scene = Scene::new();
    let first = bundle(&scene.team, &statement(TYPE, &[&scene.image]));
    let second = bundle(&scene.team, &format!("{} ", statement(TYPE, &[&scene.image])));
    for (document, signature) in [(&first, &second), (&second, &first)] {
        let mut document = document.clone();
        document["dsseEnvelope"]["signatures"] = signature["dsseEnvelope"]["signatures"].clone();
        scene.hang(&scene.image, BUNDLE, document.to_string());
    }
    invalid(&scene.verify(&[]));
}

#[test]
fn a_signature_over_the_bare_payload_is_no_envelopes_signature() {
    // (refused: signature-invalid)
    invalid(&with_bundle(|scene, bundle| {
        let payload = statement(TYPE, &[&scene.image]);
        let bare = super::scene::signature(&scene.team, payload.as_bytes());
        bundle["dsseEnvelope"]["signatures"] = json!([{"sig": STANDARD.encode(bare)}]);
    }));
}

#[test]
fn hints_decide_nothing() {
    // (accepted)
    with_bundle(|_, bundle| bundle["verificationMaterial"] = json!({"publicKey": {"hint": "another key"}})).accepted();
    with_bundle(|_, bundle| bundle["verificationMaterial"] = json!({"publicKey": {}})).accepted();
    with_bundle(|_, bundle| bundle["dsseEnvelope"]["signatures"][0]["keyid"] = "another key".into()).accepted();
    with_bundle(|_, bundle| bundle["dsseEnvelope"]["signatures"][0]["keyid"] = "".into()).accepted();
    with_bundle(|_, bundle| bundle["unknown"] = json!({"a": [1]})).accepted();
    // And the hint of the right key does not help another one.
    invalid(&with_bundle(|scene, document| {
        *document = bundle(&scene.other, &statement(TYPE, &[&scene.image]));
        document["verificationMaterial"]["publicKey"]["hint"] = scene.team.public_key().hint().into();
    }));
}

#[test]
fn a_bundle_has_one_signature_and_an_envelope_may_have_several() {
    // (accepted; refused: bundle-invalid, envelope-invalid, signature-invalid)
    let two = |scene: &Scene| {
        let statement = statement(TYPE, &[&scene.image]);
        let mut envelope = envelope(&scene.other, IN_TOTO, &statement);
        let second = envelope_signature(&scene.team, IN_TOTO, &statement);
        envelope["signatures"].as_array_mut().unwrap().push(json!({"sig": second}));
        envelope
    };
    let report = with_bundle(|scene, bundle| bundle["dsseEnvelope"] = two(scene));
    report.refused("attestation-missing", Some("bundle-invalid"));
    with_document(ENVELOPE, |scene| two(scene).to_string().into_bytes()).accepted();
    let report = with_document(ENVELOPE, |scene| {
        let mut envelope = two(scene);
        envelope["signatures"] = json!([]);
        envelope.to_string().into_bytes()
    });
    report.refused("attestation-missing", Some("envelope-invalid"));
    let report = with_document(ENVELOPE, |scene| {
        let mut envelope = two(scene);
        envelope["signatures"] = Value::Array(vec![json!({"sig": "QQ=="}); 65]);
        envelope.to_string().into_bytes()
    });
    report.refused("attestation-missing", Some("envelope-invalid"));
    invalid(&with_bundle(|_, bundle| bundle["dsseEnvelope"]["signatures"] = json!([{"sig": ""}])));
}

#[test]
fn bundles_that_break_their_format_are_refused() {
    // (refused: bundle-invalid)
    let chain = json!({"x509CertificateChain": {"certificates": [{"rawBytes": "QQ=="}]}});
    let changes: Vec<Change> = vec![
        Box::new(|bundle| bundle["mediaType"] = "application/vnd.dev.sigstore.bundle.v9+json".into()),
        Box::new(|bundle| bundle["messageSignature"] = json!({"signature": "QQ=="})),
        Box::new(|bundle| bundle["verificationMaterial"] = json!({})),
        Box::new(move |bundle| bundle["verificationMaterial"] = chain.clone()),
        Box::new(|bundle| bundle["verificationMaterial"]["certificate"] = json!({"rawBytes": "QQ=="})),
        Box::new(|bundle| bundle["verificationMaterial"]["tlogEntries"] = json!("many")),
        Box::new(|bundle| drop(bundle.as_object_mut().unwrap().remove("verificationMaterial"))),
        Box::new(|bundle| drop(bundle.as_object_mut().unwrap().remove("dsseEnvelope"))),
        Box::new(|bundle| bundle["dsseEnvelope"]["payload"] = 1.into()),
        Box::new(|bundle| bundle["dsseEnvelope"]["signatures"] = "QQ==".into()),
        Box::new(|bundle| bundle["dsseEnvelope"]["signatures"] = json!([{"signature": "QQ=="}])),
    ];
    for (number, change) in changes.iter().enumerate() {
        let report = with_bundle(|_, bundle| change(bundle));
        assert_eq!(report.rejected(), ["bundle-invalid"], "change {number}");
        report.refused("attestation-missing", Some("bundle-invalid"));
    }
}

#[test]
fn a_certificate_is_not_trusted_for_being_there() {
    // (refused: material-unsupported)
    let report = with_bundle(|_, bundle| bundle["verificationMaterial"] = json!({"certificate": {"rawBytes": "QQ=="}}));
    report.refused("attestation-missing", Some("material-unsupported"));
}

#[test]
fn what_came_along_and_was_not_checked_is_said() {
    // (accepted)
    let report = with_bundle(|_, bundle| {
        bundle["verificationMaterial"]["tlogEntries"] = json!([{"logIndex": "1"}]);
        bundle["verificationMaterial"]["timestampVerificationData"] = json!({"rfc3161Timestamps": [{}]});
    });
    report.accepted();
    assert_eq!(report.json["unchecked"], json!(["signing-time", "log-entry", "timestamp"]));
}

#[test]
fn annotations_that_lie_about_the_type_neither_hide_nor_lend_it() {
    // (accepted; refused: attestation-missing)
    for (payload_type, note, accepted) in
        [(TYPE, "https://openvex.dev/ns", true), ("https://openvex.dev/ns", TYPE, false)]
    {
        let scene = Scene::new();
        let layer = scene.blob(BUNDLE, bundle(&scene.team, &statement(payload_type, &[&scene.image])).to_string());
        let mut manifest = scene.artifact_text(&scene.image, &[layer]);
        manifest["annotations"] = json!({"dev.sigstore.bundle.predicateType": note, "in-toto.io/predicate-type": note});
        scene.manifest(&manifest);
        let report = scene.verify(&[]);
        if accepted {
            report.accepted();
        } else {
            report.refused("attestation-missing", None);
        }
    }
}

#[test]
fn signed_payloads_that_are_no_statement_are_refused() {
    // (refused: statement-type-unknown, statement-invalid, json-…)
    let change = |from: &'static str, to: &'static str| {
        move |scene: &Scene| {
            let text = statement(TYPE, &[&scene.image]);
            assert!(text.contains(from), "{from} is not in {text}");
            text.replace(from, to)
        }
    };
    let cases: Vec<(MakePayload, &str)> = vec![
        (Box::new(change("Statement/v1", "Statement/v2")), "statement-type-unknown"),
        (Box::new(change("Statement/v1", "Statement/v1.0")), "statement-type-unknown"),
        (Box::new(change("\"_type\"", "\"type\"")), "statement-invalid"),
        (Box::new(change("\"predicateType\"", "\"predicate_type\"")), "statement-invalid"),
        (Box::new(change("\"subject\":[", "\"subject\":[7,")), "statement-invalid"),
        (Box::new(change("{\"sha256\":", "{\"sha1\":7,\"sha256\":")), "statement-invalid"),
        (Box::new(change("\"subject\":", "\"subject\":[],\"subject\":")), "json-duplicate-key"),
        (Box::new(change("\"subject\":", "\"subjec\\u0074\":[],\"subject\":")), "json-duplicate-key"),
        (Box::new(change("\"ok\":true", "\"ok\":true,\"ok\":false")), "json-duplicate-key"),
        (Box::new(|scene| format!("{} {{}}", statement(TYPE, &[&scene.image]))), "json-invalid"),
        (Box::new(|scene| format!("\u{feff}{}", statement(TYPE, &[&scene.image]))), "json-invalid"),
        (Box::new(change("true", "tru")), "json-invalid"),
        (Box::new(change("\"ok\"", "\"\\ud800\"")), "json-invalid"),
        (
            Box::new(|scene| {
                let deep = format!("{}{}", "[".repeat(200), "]".repeat(200));
                statement(TYPE, &[&scene.image]).replace("true", &deep)
            }),
            "json-too-deep",
        ),
        (Box::new(|_| "[]".to_owned()), "statement-invalid"),
        (Box::new(|_| String::new()), "json-invalid"),
    ];
    for (number, (payload, code)) in cases.iter().enumerate() {
        let report = with_signed(payload);
        assert_eq!(report.rejected(), [*code], "case {number}");
        report.refused("attestation-missing", Some(code));
    }
}

#[test]
fn a_payload_that_is_not_utf_8_is_refused_though_it_is_signed() {
    // (refused: json-invalid)
    let report = with_document(BUNDLE, |scene| {
        let mut payload = statement(TYPE, &[&scene.image]).replace("\"ok\"", "\"o?\"").into_bytes();
        let at = payload.iter().position(|byte| *byte == b'?').unwrap();
        payload[at] = 0xff;
        let head = format!("DSSEv1 {} {IN_TOTO} {} ", IN_TOTO.len(), payload.len());
        let signature = super::scene::signature(&scene.team, &[head.as_bytes(), &payload].concat());
        let envelope = json!({
            "payload": STANDARD.encode(&payload), "payloadType": IN_TOTO, "signatures": [{"sig": STANDARD.encode(signature)}],
        });
        bundle_of(&envelope).to_string().into_bytes()
    });
    report.refused("attestation-missing", Some("json-invalid"));
}

#[test]
fn a_key_that_stands_twice_in_a_bundle_is_refused() {
    // (refused: json-duplicate-key)
    for (from, to) in [
        ("\"payload\":", "\"payload\":\"e30=\",\"payload\":"),
        ("\"payloadType\":", "\"payloadType\":\"x\",\"payloadType\":"),
        ("\"dsseEnvelope\":", "\"dsseEnvelope\":{},\"dsseEnvelope\":"),
        ("\"sig\":", "\"sig\":\"QQ==\",\"sig\":"),
        ("\"hint\":", "\"x\":{\"y\":1,\"y\":1},\"hint\":"),
    ] {
        let report = with_text(|text| text.replacen(from, to, 1));
        report.refused("attestation-missing", Some("json-duplicate-key"));
    }
}

#[test]
fn bundles_that_are_no_strict_json_are_refused() {
    // (refused: json-invalid, json-too-deep)
    for change in [
        |text: String| format!("{text}{text}"),
        |text: String| format!("{text},"),
        |text: String| text[..text.len() - 1].to_owned(),
        |text: String| text.replacen(':', "=", 1),
        |_: String| String::new(),
        |text: String| text.replacen('{', "{'a':1,", 1),
    ] {
        with_text(change).refused("attestation-missing", Some("json-invalid"));
    }
    let report = with_text(|text| text.replacen('{', &format!("{{\"x\":{}{},", "[".repeat(200), "]".repeat(200)), 1));
    report.refused("attestation-missing", Some("json-too-deep"));
    let report = with_document(BUNDLE, |scene| {
        let mut text = bundle(&scene.team, &statement(TYPE, &[&scene.image])).to_string().into_bytes();
        let at = text.iter().position(|byte| *byte == b'h').unwrap();
        text[at] = 0xc0;
        text
    });
    report.refused("attestation-missing", Some("json-invalid"));
}

#[test]
fn base64_is_read_in_both_alphabets_and_nothing_else_is() {
    // (accepted; refused: bundle-invalid)
    let encoded = |encode: fn(&str) -> String| {
        with_document(BUNDLE, |scene| {
            // `>>>` and `???` are spelt with `+` and `/` in one alphabet, with `-` and `_` in the other.
            let statement = statement(TYPE, &[&scene.image]).replace("true", "\">>>>???>>>???\"");
            let mut bundle = bundle(&scene.team, &statement);
            bundle["dsseEnvelope"]["payload"] = encode(&statement).into();
            bundle.to_string().into_bytes()
        })
    };
    let url = URL_SAFE.encode(">>>>???>>>???");
    assert!(url.contains('-') && url.contains('_'), "{url}");
    encoded(|text| URL_SAFE.encode(text)).accepted();
    encoded(|text| STANDARD.encode(text)).accepted();
    encoded(|text| URL_SAFE.encode(text).trim_end_matches('=').to_owned()).accepted();
    let garbage: [fn(&str) -> String; 6] = [
        |text| format!("{}!", STANDARD.encode(text)),
        |text| format!(" {}", STANDARD.encode(text)),
        |text| STANDARD.encode(text).replacen('e', "\n", 1),
        |text| STANDARD.encode(text).replacen('e', "=", 1),
        |text| format!("{}=", STANDARD.encode(text)),
        |text| format!("{}A", STANDARD.encode(text).trim_end_matches('=')).chars().take(5).collect(),
    ];
    for garbage in garbage {
        let report = encoded(garbage);
        assert_ne!(report.ended.code, 0, "{report:#?}");
        let code = report.rejected().first().copied().unwrap_or_default().to_owned();
        report.refused("attestation-missing", Some(&code));
        assert!(["bundle-invalid", "json-invalid"].contains(&code.as_str()), "{report:#?}");
    }
}

#[test]
fn one_good_attestation_is_enough_among_any_number_of_bad_ones() {
    // (accepted)
    let scene = Scene::new();
    for (media_type, document) in [
        (BUNDLE, "no json".to_owned()),
        (BUNDLE, "{}".to_owned()),
        (ENVELOPE, bundle(&scene.other, &statement(TYPE, &[&scene.image])).to_string()),
        (IN_TOTO, statement(TYPE, &[&scene.image])),
    ] {
        scene.hang(&scene.image, media_type, document);
    }
    scene.verify(&[]).refused_whatever();
    scene.attest(&scene.team, &scene.image, &scene.image);
    scene.verify(&[]).accepted();
}

#[test]
fn a_bare_statement_is_not_signed_by_being_there() {
    // (refused: unsigned)
    let scene = Scene::new();
    scene.hang(&scene.image, IN_TOTO, statement(TYPE, &[&scene.image]));
    scene.verify(&[]).refused("attestation-missing", Some("unsigned"));
}

#[test]
fn a_message_signature_in_place_of_the_envelope_signs_no_statement() {
    // (refused: signature-invalid)
    let scene = Scene::new();
    let document = super::scene::message_bundle(&scene.team, statement(TYPE, &[&scene.image]).as_bytes());
    scene.hang(&scene.image, BUNDLE, document.to_string());
    let report = scene.verify(&[]);
    report.refused("attestation-missing", Some("signature-invalid"));
}

/// Where and in which form one attestation of several is kept.
#[derive(Debug, Clone, Copy, PartialEq)]
enum Kept {
    Bundle,
    Envelope,
    Tag,
}

/// Puts an attestation about the image on it.
fn keep(scene: &mut Scene, kept: Kept, trusted: bool) {
    let image = scene.image.clone();
    let key = if trusted { &scene.team } else { &scene.other };
    // Not the same statement twice: two signatures over one would be one statement.
    let statement = statement(TYPE, &[&image]).replace("true", &format!("\"{kept:?}\""));
    match kept {
        Kept::Bundle => {
            scene.hang(&image, BUNDLE, bundle(key, &statement).to_string());
        }
        Kept::Envelope => {
            scene.hang(&image, ENVELOPE, envelope(key, IN_TOTO, &statement).to_string());
        }
        Kept::Tag => {
            let layer = scene.blob(ENVELOPE, envelope(key, IN_TOTO, &statement).to_string());
            let manifest = scene.artifact(&Value::Null, &[layer]);
            let tag = format!("{}.att", super::scene::text(&image["digest"]).replace(':', "-"));
            scene.tag(&tag, &manifest);
        }
    }
}

#[test]
fn one_good_attestation_is_enough_wherever_its_broken_siblings_are() {
    // (accepted)
    let all = [Kept::Bundle, Kept::Envelope, Kept::Tag];
    for good in all {
        for good_first in [true, false] {
            let mut scene = Scene::new();
            let broken = all.into_iter().filter(|kept| *kept != good);
            let mut order: Vec<Kept> = broken.collect();
            order.insert(if good_first { 0 } else { 2 }, good);
            for kept in order {
                keep(&mut scene, kept, kept == good);
            }
            let report = scene.verify(&[]);
            assert_eq!(report.accepted().json["attestations"].as_array().unwrap().len(), 1, "{good:?}");
        }
    }
}

#[test]
fn every_attestation_of_a_type_is_in_the_report_and_one_meets_the_demand() {
    // (accepted)
    let mut scene = Scene::new();
    for kept in [Kept::Bundle, Kept::Envelope] {
        keep(&mut scene, kept, true);
    }
    let report = scene.verify(&[]);
    report.accepted();
    assert_eq!(report.json["requirements"][0]["attestations"], json!([0, 1]));
    let forms: Vec<&Value> =
        report.json["attestations"].as_array().unwrap().iter().map(|entry| &entry["chain"][0]["form"]).collect();
    assert!(forms.contains(&&json!("bundle")) && forms.contains(&&json!("envelope")), "{forms:?}");
}
