//! Signing and verification together, over every algorithm.

use aws_lc_rs::encoding::{AsDer, Pkcs8V1Der};
use aws_lc_rs::rsa::{KeyPair as RsaKeyPair, KeySize};
use aws_lc_rs::signature::{ECDSA_P384_SHA384_ASN1_SIGNING, EcdsaKeyPair, Ed25519KeyPair};
use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;

use super::*;
use crate::limits::Limits;

/// What the OpenSSL signatures under `testdata/keys` are about.
const MESSAGE: &[u8] = b"hello attestry";

/// A new key of each algorithm.
pub(super) fn one_of_each() -> Vec<SigningKey> {
    let p384 = EcdsaKeyPair::generate(&ECDSA_P384_SHA384_ASN1_SIGNING).unwrap().to_pkcs8v1().unwrap();
    let ed25519 = Ed25519KeyPair::generate().unwrap().to_pkcs8v1().unwrap();
    let rsa: Pkcs8V1Der<'_> = RsaKeyPair::generate(KeySize::Rsa2048).unwrap().as_der().unwrap();
    let mut keys = vec![SigningKey::generate_p256().unwrap()];
    keys.extend([p384.as_ref(), ed25519.as_ref(), rsa.as_ref()].map(|der| SigningKey::from_pkcs8_der(der).unwrap()));
    keys
}

fn openssl_signature(base64: &str) -> Vec<u8> {
    BASE64_STANDARD.decode(base64.trim()).unwrap()
}

#[test]
fn every_algorithm_signs_what_its_public_key_accepts_and_other_keys_refuse() {
    let (keys, others) = (one_of_each(), one_of_each());
    for (key, other) in keys.iter().zip(&others) {
        let algorithm = key.public_key().algorithm();
        let mut digester = MessageDigester::for_algorithms([algorithm], &Limits::default());
        digester.update(b"mess");
        digester.update(b"age");
        let message = digester.finish();
        let signature = key.sign(&message).unwrap();
        assert_eq!(key.public_key().verify(&message, &signature), Ok(()), "{algorithm}");
        let refused = Err(SignatureError::Invalid { algorithm });
        assert_eq!(other.public_key().verify(&message, &signature), refused, "{algorithm}");
    }
}

#[test]
fn one_flipped_bit_in_message_or_signature_is_refused() {
    for key in one_of_each() {
        let public = key.public_key();
        let refused = Err(SignatureError::Invalid { algorithm: public.algorithm() });
        let signature = key.sign(&MessageDigests::of(b"message")).unwrap();
        assert_eq!(public.verify(&MessageDigests::of(b"messagd"), &signature), refused);
        for bit in 0..signature.len() * 8 {
            let mut flipped = signature.clone();
            flipped[bit / 8] ^= 1 << (bit % 8);
            let outcome = public.verify(&MessageDigests::of(b"message"), &flipped);
            assert_eq!(outcome, refused, "{} bit {bit}", public.algorithm());
        }
    }
}

#[test]
fn signatures_in_another_encoding_are_refused() {
    for key in one_of_each() {
        let public = key.public_key();
        let message = MessageDigests::of(b"message");
        let signature = key.sign(&message).unwrap();
        let mut encodings =
            vec![Vec::new(), [&signature[..], &[0]].concat(), [&[0], &signature[..]].concat(), vec![0; 64]];
        if matches!(public.algorithm(), KeyAlgorithm::EcdsaP256 | KeyAlgorithm::EcdsaP384) {
            // BER: a length in its long form, an indefinite length.
            encodings.push([&signature[..1], &[0x81], &signature[1..]].concat());
            encodings.push([&[0x30, 0x80], &signature[2..], &[0, 0]].concat());
        }
        for encoding in encodings {
            let refused = Err(SignatureError::Invalid { algorithm: public.algorithm() });
            assert_eq!(public.verify(&message, &encoding), refused);
        }
    }
}

#[test]
fn a_message_too_long_for_ed25519_is_told_as_such_and_does_not_bother_others() {
    let limits = Limits { two_pass_message_bytes: 3, ..Limits::default() };
    for key in one_of_each() {
        let algorithm = key.public_key().algorithm();
        let mut digester = MessageDigester::for_algorithms([algorithm, KeyAlgorithm::Ed25519], &limits);
        digester.update(b"message");
        let message = digester.finish();
        if algorithm == KeyAlgorithm::Ed25519 {
            assert_eq!(key.sign(&message), Err(SigningError::MessageTooLarge { limit_bytes: 3 }));
            let refused = Err(SignatureError::MessageTooLarge { limit_bytes: 3 });
            assert_eq!(key.public_key().verify(&message, &[0; 64]), refused);
        } else {
            assert_eq!(key.public_key().verify(&message, &key.sign(&message).unwrap()), Ok(()));
        }
    }
}

#[test]
fn a_message_digested_for_other_keys_is_a_bug_and_not_a_verdict() {
    let nothing = MessageDigester::for_algorithms([], &Limits::default()).finish();
    for key in one_of_each() {
        assert!(matches!(key.sign(&nothing), Err(SigningError::NotDigested { .. })));
        let verdict = key.public_key().verify(&nothing, &[0; 64]);
        assert!(matches!(verdict, Err(SignatureError::NotDigested { .. })));
    }
}

#[test]
fn signatures_that_openssl_made_in_the_other_ways_are_accepted() {
    let message = MessageDigests::of(MESSAGE);
    let p384 = PublicKey::from_pem(include_str!("../../testdata/keys/p384-public.pem")).unwrap();
    let rsa = PublicKey::from_pem(include_str!("../../testdata/keys/rsa2048-public.pem")).unwrap();
    let made = [
        (&p384, include_str!("../../testdata/keys/p384-sha256-signature.txt")),
        (&rsa, include_str!("../../testdata/keys/rsa2048-pss-signature.txt")),
        (&rsa, include_str!("../../testdata/keys/rsa2048-sha512-signature.txt")),
    ];
    for (key, base64) in made {
        let signature = openssl_signature(base64);
        assert_eq!(key.verify(&message, &signature), Ok(()));
        let refused = Err(SignatureError::Invalid { algorithm: key.algorithm() });
        assert_eq!(key.verify(&MessageDigests::of(b"other"), &signature), refused);
    }
}

#[test]
fn the_first_signature_of_rfc_8032_is_accepted() {
    let key = PublicKey::from_pem(include_str!("../../testdata/keys/rfc8032-1-public.pem")).unwrap();
    let signature = BASE64_STANDARD
        .decode("5VZDAMNgrHKQhuLMgG6CioSHfx645dl02HPgZSJJAVVfuIIVkKM7rMYeOXAc+bRr0lv18FlbviRlUUFDjnoQCw==")
        .unwrap();
    assert_eq!(key.verify(&MessageDigests::of(b""), &signature), Ok(()));
}
