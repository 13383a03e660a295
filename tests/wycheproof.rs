//! Signature verification against the vectors of Wycheproof, as far as the corpus has them for our algorithms.
//!
//! The corpus is not part of the package: `ATTESTRY_CORPORA` names the folder that holds `wycheproof/`, by default
//! `../shared/corpora`. A signature must be accepted where Wycheproof says `valid` and refused where it says
//! `invalid`. What may differ, and why:
//!
//! | file | said | here | why |
//! |---|---|---|---|
//! | RSA PKCS#1 | acceptable, `MissingNull` | refused | RFC 8017, appendix B.1: the NULL shall be there |
//! | RSA PKCS#1 | invalid, `WrongHash` | accepted | the file fixes one digest; we take SHA-256, SHA-384 and SHA-512 |
//! | RSA PKCS#1 with SHA-256 | invalid, `WrongPrimitive` | accepted | it is a PSS signature, which we take as well |
//! | RSA PSS | invalid, `WrongPrimitive` | accepted | it is a PKCS#1 signature, which we take as well |
//!
//! The accepted ones are listed by number in [`FILES`]; any other one fails the test.

use std::path::PathBuf;

use attestry::crypto::{KeyError, MessageDigests, PublicKey};
use der::Encode as _;
use der::asn1::UintRef;
use serde_json::Value;

/// How the signatures of a file are written.
#[derive(Clone, Copy)]
enum Form {
    /// As we take them.
    AsIs,
    /// Two numbers of 32 bytes each, which become DER here: the corpus has no DER file for P-256 with SHA-256.
    TwoNumbers,
}

/// File, form, and the numbers of the tests that are accepted against the file.
const FILES: [(&str, Form, &[u64]); 8] = [
    ("ecdsa_secp256r1_sha256_p1363_test.json", Form::TwoNumbers, &[]),
    ("rsa_pss_2048_sha256_mgf1_32_test.json", Form::AsIs, &[108]),
    ("rsa_signature_2048_sha256_test.json", Form::AsIs, &[221, 223, 257]),
    ("rsa_signature_2048_sha512_test.json", Form::AsIs, &[221, 223]),
    ("rsa_signature_3072_sha256_test.json", Form::AsIs, &[222, 224, 258]),
    ("rsa_signature_3072_sha384_test.json", Form::AsIs, &[222, 224]),
    ("rsa_signature_3072_sha512_test.json", Form::AsIs, &[222, 224]),
    ("rsa_signature_4096_sha256_test.json", Form::AsIs, &[222, 224, 258]),
];

fn corpus() -> PathBuf {
    let root = std::env::var_os("ATTESTRY_CORPORA").map_or_else(|| PathBuf::from("../shared/corpora"), PathBuf::from);
    root.join("wycheproof")
}

fn groups(file: &str) -> Vec<Value> {
    let bytes = std::fs::read(corpus().join(file)).expect("the corpus has the file");
    let json: Value = serde_json::from_slice(&bytes).expect("JSON");
    json["testGroups"].as_array().expect("test groups").clone()
}

fn text<'json>(json: &'json Value, name: &str) -> &'json str {
    json[name].as_str().expect("a text")
}

fn unhex(hex: &str) -> Vec<u8> {
    let digits = (0..hex.len()).step_by(2).map(|at| u8::from_str_radix(&hex[at..at + 2], 16));
    digits.collect::<Result<_, _>>().expect("hex")
}

/// Writes two numbers as an `ECDSA-Sig-Value`; anything else than 64 bytes stays as it is.
fn der_signature(bytes: Vec<u8>) -> Vec<u8> {
    if bytes.len() != 64 {
        return bytes;
    }
    let number = |half| UintRef::new(half).and_then(|number| number.to_der()).expect("a number");
    let content = [number(&bytes[..32]), number(&bytes[32..])].concat();
    let length = u8::try_from(content.len()).expect("short");
    [&[0x30, length], &content[..]].concat()
}

#[test]
fn signatures_are_judged_as_wycheproof_judges_them() {
    if !corpus().is_dir() {
        println!("SKIPPED: no Wycheproof corpus in {}", corpus().display());
        return;
    }
    let (mut judged, mut differences) = (0, Vec::new());
    for (file, form, tolerated) in FILES {
        for group in groups(file) {
            let key = PublicKey::from_pem(text(&group, "publicKeyPem")).expect("a supported key");
            for test in group["tests"].as_array().expect("tests") {
                let raw = unhex(text(test, "sig"));
                let signature = match form {
                    Form::AsIs => raw,
                    Form::TwoNumbers => der_signature(raw),
                };
                let accepted = key.verify(&MessageDigests::of(&unhex(text(test, "msg"))), &signature).is_ok();
                let number = test["tcId"].as_u64().expect("a number");
                let expected = text(test, "result") == "valid" || tolerated.contains(&number);
                judged += 1;
                if accepted != expected {
                    differences.push(format!("{file} {number}: accepted {accepted}: {}", test["comment"]));
                }
            }
        }
    }
    assert_eq!(differences, Vec::<String>::new());
    println!("{judged} signatures judged");
}

#[test]
fn keys_on_curves_that_are_not_supported_are_refused() {
    if !corpus().is_dir() {
        println!("SKIPPED: no Wycheproof corpus in {}", corpus().display());
        return;
    }
    for file in ["ecdsa_secp256k1_sha256_test.json", "ecdsa_secp521r1_sha512_p1363_test.json"] {
        for group in groups(file) {
            let refused = PublicKey::from_pem(text(&group, "publicKeyPem"));
            assert!(matches!(refused, Err(KeyError::AlgorithmUnsupported { .. })), "{file}");
        }
    }
}
