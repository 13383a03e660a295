//! The encrypted private key of cosign: JSON in PEM, scrypt and NaCl secretbox around PKCS#8.
//!
//! Pure; salt and nonce are the caller's. Keys written here open in cosign, and the other way round.
//!
//! Source: cosign 2, pkg/cosign/keys.go; go-securesystemslib, encrypted/encrypted.go.

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use crypto_secretbox::aead::AeadInPlace as _;
use crypto_secretbox::{Key, KeyInit as _, Nonce, XSalsa20Poly1305};
use serde::{Deserialize, Serialize};
use zeroize::Zeroizing;

use super::error::KeyError;
use super::password::Password;
use super::pem;

/// The label that cosign writes since 2.0.
pub(super) const LABEL: &str = "ENCRYPTED SIGSTORE PRIVATE KEY";
/// The label before that.
pub(super) const OLD_LABEL: &str = "ENCRYPTED COSIGN PRIVATE KEY";

/// Bytes of the scrypt salt.
pub const SALT_BYTES: usize = 32;
/// Bytes of the secretbox nonce.
pub const NONCE_BYTES: usize = 24;

const KDF: &str = "scrypt";
const CIPHER: &str = "nacl/secretbox";
/// log₂ of N: 15 legacy, 16 standard, 17 OWASP. cosign knows no others, and others would let a file ask for any
/// amount of memory.
const READ_LOG_N: [u8; 3] = [15, 16, 17];
/// What cosign writes today.
const WRITTEN_LOG_N: u8 = 16;
const R: u32 = 8;
const P: u32 = 1;
/// Longest foreign name that is shown.
const SHOWN_CHARACTERS: usize = 40;

#[derive(Serialize, Deserialize)]
struct WireKey {
    kdf: WireKdf,
    cipher: WireCipher,
    ciphertext: String,
}

#[derive(Serialize, Deserialize)]
struct WireKdf {
    name: String,
    params: WireParameters,
    salt: String,
}

#[derive(Serialize, Deserialize)]
struct WireParameters {
    #[serde(rename = "N")]
    n: u64,
    r: u64,
    p: u64,
}

#[derive(Serialize, Deserialize)]
struct WireCipher {
    name: String,
    nonce: String,
}

/// Encrypts a PKCS#8 document into the PEM text that cosign reads.
///
/// Salt and nonce must be random and new for each call; a repeated pair under one password gives the key away. It
/// takes 64 MiB and about a quarter of a second.
///
/// # Panics
/// Never: the parameters are constants within the bounds of scrypt.
pub fn encrypt(pkcs8_der: &[u8], password: &Password, salt: [u8; SALT_BYTES], nonce: [u8; NONCE_BYTES]) -> String {
    let mut buffer = Zeroizing::new(Vec::with_capacity(pkcs8_der.len() + XSalsa20Poly1305::TAG_SIZE));
    buffer.extend_from_slice(pkcs8_der);
    XSalsa20Poly1305::new(&derive(password, &salt, WRITTEN_LOG_N))
        .encrypt_in_place(&Nonce::from(nonce), b"", &mut *buffer)
        .expect("secretbox refuses associated data only");
    let wire = WireKey {
        kdf: WireKdf {
            name: KDF.to_owned(),
            params: WireParameters { n: 1 << WRITTEN_LOG_N, r: R.into(), p: P.into() },
            salt: BASE64_STANDARD.encode(salt),
        },
        cipher: WireCipher { name: CIPHER.to_owned(), nonce: BASE64_STANDARD.encode(nonce) },
        ciphertext: BASE64_STANDARD.encode(&*buffer),
    };
    pem::encode(LABEL, &serde_json::to_vec(&wire).expect("strings and numbers are JSON"))
}

/// Opens the JSON inside such a PEM block and gives the PKCS#8 document, not yet read.
///
/// All that the file asks for is checked before any key derivation.
///
/// # Errors
/// [`KeyError::EncryptedKeyMalformed`]; [`KeyError::EncryptionUnsupported`] for another `kdf` or `cipher`;
/// [`KeyError::ScryptParametersRefused`]; [`KeyError::PasswordWrong`] also when the ciphertext was changed.
pub fn decrypt(json: &[u8], password: &Password) -> Result<Zeroizing<Vec<u8>>, KeyError> {
    // 1. What the file asks for.
    let wire: WireKey = serde_json::from_slice(json).map_err(|_| malformed("it is not the JSON that cosign writes"))?;
    for (name, known) in [(&wire.kdf.name, KDF), (&wire.cipher.name, CIPHER)] {
        if name != known {
            return Err(KeyError::EncryptionUnsupported { name: shown(name) });
        }
    }
    let log_n = log_n(&wire.kdf.params)?;
    let salt: [u8; SALT_BYTES] = bytes(&wire.kdf.salt).ok_or_else(|| malformed("the salt is not 32 bytes"))?;
    let nonce: [u8; NONCE_BYTES] = bytes(&wire.cipher.nonce).ok_or_else(|| malformed("the nonce is not 24 bytes"))?;
    let ciphertext = BASE64_STANDARD.decode(&wire.ciphertext).map_err(|_| malformed("the ciphertext"))?;
    // 2. The slow part.
    let key = derive(password, &salt, log_n);
    // 3. Authenticated decryption.
    let mut buffer = Zeroizing::new(ciphertext);
    XSalsa20Poly1305::new(&key)
        .decrypt_in_place(&Nonce::from(nonce), b"", &mut *buffer)
        .map_err(|_| KeyError::PasswordWrong)?;
    Ok(buffer)
}

fn malformed(reason: &'static str) -> KeyError {
    KeyError::EncryptedKeyMalformed { reason }
}

fn shown(name: &str) -> String {
    name.chars().take(SHOWN_CHARACTERS).flat_map(char::escape_default).collect()
}

fn bytes<const LENGTH: usize>(base64: &str) -> Option<[u8; LENGTH]> {
    BASE64_STANDARD.decode(base64).ok()?.try_into().ok()
}

fn log_n(asked: &WireParameters) -> Result<u8, KeyError> {
    let fits = (asked.r, asked.p) == (R.into(), P.into());
    READ_LOG_N.into_iter().find(|log_n| fits && asked.n == 1 << log_n).ok_or(KeyError::ScryptParametersRefused {
        n: asked.n,
        r: asked.r,
        p: asked.p,
    })
}

fn derive(password: &Password, salt: &[u8; SALT_BYTES], log_n: u8) -> Zeroizing<Key> {
    let parameters = scrypt::Params::new(log_n, R, P, XSalsa20Poly1305::KEY_SIZE).expect("one of READ_LOG_N");
    let mut key = Zeroizing::new(Key::default());
    scrypt::scrypt(password.as_bytes(), salt, &parameters, &mut key).expect("32 bytes is a length that scrypt gives");
    key
}

#[cfg(test)]
mod tests {
    use super::*;

    fn password(text: &str) -> Password {
        Password::from(text.to_owned())
    }

    fn json_of(text: &str) -> serde_json::Value {
        serde_json::from_slice(&pem::one_block(text).unwrap().body).unwrap()
    }

    /// A key file with one member replaced, as JSON bytes.
    fn changed(pointer: &str, value: serde_json::Value) -> Vec<u8> {
        let mut json = serde_json::json!({
            "kdf": {"name": KDF, "params": {"N": 32768, "r": 8, "p": 1}, "salt": BASE64_STANDARD.encode([1; 32])},
            "cipher": {"name": CIPHER, "nonce": BASE64_STANDARD.encode([2; 24])},
            "ciphertext": BASE64_STANDARD.encode([3; 48]),
        });
        *json.pointer_mut(pointer).unwrap() = value;
        serde_json::to_vec(&json).unwrap()
    }

    #[test]
    fn what_was_encrypted_opens_with_the_password_and_only_with_it() {
        for right in ["correct", ""] {
            let text = encrypt(b"PKCS#8", &password(right), [1; 32], [2; 24]);
            let block = pem::one_block(&text).unwrap();
            assert_eq!(block.label, LABEL);
            assert_eq!(decrypt(&block.body, &password(right)).unwrap().as_slice(), b"PKCS#8");
            assert_eq!(decrypt(&block.body, &password("wrong")), Err(KeyError::PasswordWrong));
        }
    }

    #[test]
    fn the_json_is_in_the_order_and_with_the_names_that_cosign_writes() {
        let text = encrypt(b"PKCS#8", &password("correct"), [1; 32], [2; 24]);
        let json = String::from_utf8(pem::one_block(&text).unwrap().body.to_vec()).unwrap();
        let start = r#"{"kdf":{"name":"scrypt","params":{"N":65536,"r":8,"p":1},"salt":"AQEB"#;
        assert!(json.starts_with(start), "{json}");
        assert!(json.contains(r#""},"cipher":{"name":"nacl/secretbox","nonce":"AgIC"#), "{json}");
        assert_eq!(json_of(&text)["ciphertext"].as_str().unwrap().len(), 32, "16 bytes of tag, then 6 of text");
    }

    #[test]
    fn a_changed_ciphertext_is_refused() {
        let refusal = decrypt(&changed("/ciphertext", BASE64_STANDARD.encode([0; 48]).into()), &password(""));
        assert_eq!(refusal, Err(KeyError::PasswordWrong));
        let short = decrypt(&changed("/ciphertext", BASE64_STANDARD.encode([0; 15]).into()), &password(""));
        assert_eq!(short, Err(KeyError::PasswordWrong));
    }

    #[test]
    fn scrypt_parameters_out_of_bounds_are_refused_without_deriving() {
        for (pointer, value) in [
            ("/kdf/params/N", 0_u64),
            ("/kdf/params/N", 16384),
            ("/kdf/params/N", 262_144),
            ("/kdf/params/N", 1 << 40),
            ("/kdf/params/N", u64::MAX),
            ("/kdf/params/r", 16),
            ("/kdf/params/p", 1 << 20),
            ("/kdf/params/p", 0),
        ] {
            let refusal = decrypt(&changed(pointer, value.into()), &password(""));
            assert!(matches!(refusal, Err(KeyError::ScryptParametersRefused { .. })), "{pointer} {value}");
        }
    }

    #[test]
    fn other_names_are_refused_and_shown_without_control_characters() {
        for pointer in ["/kdf/name", "/cipher/name"] {
            let refusal = decrypt(&changed(pointer, "\u{1b}[2Jargon2".into()), &password(""));
            assert_eq!(refusal, Err(KeyError::EncryptionUnsupported { name: "\\u{1b}[2Jargon2".to_owned() }));
        }
    }

    #[test]
    fn lengths_and_shapes_that_cosign_does_not_write_are_refused() {
        let changes = [
            ("/kdf/salt", BASE64_STANDARD.encode([1; 31]).into()),
            ("/cipher/nonce", BASE64_STANDARD.encode([1; 25]).into()),
            ("/ciphertext", "%".into()),
            ("/kdf/params/N", (-32768).into()),
            ("/cipher", serde_json::Value::Null),
        ];
        for (pointer, value) in changes {
            let refusal = decrypt(&changed(pointer, value), &password(""));
            assert!(matches!(refusal, Err(KeyError::EncryptedKeyMalformed { .. })), "{pointer}");
        }
        let twice = br#"{"kdf":{},"kdf":{}}"#;
        assert!(matches!(decrypt(twice, &password("")), Err(KeyError::EncryptedKeyMalformed { .. })));
    }
}
