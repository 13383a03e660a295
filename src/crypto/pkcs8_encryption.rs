//! PKCS#8 keys that are encrypted with a password (PBES2): opened, never written.
//!
//! Pure. The file says how hard the key derivation is to be; bounds are checked before any of it runs.
//!
//! Source: RFC 5958, section 3; RFC 8018, appendix A.4 (PBES2); RFC 7914, section 7 (scrypt).

use der::Decode as _;
use der::asn1::{AnyRef, ObjectIdentifier};
use pkcs8::EncryptedPrivateKeyInfo;
use pkcs8::pkcs5::pbes2::{Kdf, PBES2_OID, Pbkdf2Prf};
use pkcs8::pkcs5::{EncryptionScheme, Error as Pkcs5Error};
use spki::AlgorithmIdentifierRef;
use zeroize::Zeroizing;

use super::error::KeyError;
use super::password::Password;

/// Most PBKDF2 iterations that a key file may ask for: "may be appropriate" for critical keys (RFC 8018, 4.2).
pub const MAX_PBKDF2_ITERATIONS: u32 = 10_000_000;

/// Most bytes that scrypt may touch, `128 * N * r * p`. OpenSSL's default takes 16 MiB, RustCrypto's 32 MiB.
pub const MAX_SCRYPT_BYTES: u64 = 256 << 20;

/// Opens an `EncryptedPrivateKeyInfo` and gives the PKCS#8 document inside, not yet read.
///
/// # Errors
/// [`KeyError::DerMalformed`]; [`KeyError::EncryptionUnsupported`] for anything but PBES2 with PBKDF2 over HMAC-SHA-2
/// or scrypt, and AES-CBC; [`KeyError::Pbkdf2ParametersRefused`], [`KeyError::ScryptParametersRefused`];
/// [`KeyError::EncryptedKeyMalformed`]; [`KeyError::PasswordWrong`].
pub(super) fn decrypt(der: &[u8], password: &Password) -> Result<Zeroizing<Vec<u8>>, KeyError> {
    let info = EncryptedPrivateKeyInfo::from_der(der).map_err(|error| match (error.kind(), scheme_of(der)) {
        (der::ErrorKind::OidUnknown { oid }, _) => unsupported(oid.to_string()),
        // The decoder stops at the parameters of schemes that it does not know.
        (_, Ok(scheme)) if scheme != PBES2_OID => unsupported(scheme.to_string()),
        _ => KeyError::DerMalformed { structure: "EncryptedPrivateKeyInfo" },
    })?;
    check(&info.encryption_algorithm)?;
    match info.decrypt(password.as_bytes()) {
        Ok(document) => Ok(Zeroizing::new(document.as_bytes().to_vec())),
        Err(pkcs8::Error::EncryptedPrivateKey(Pkcs5Error::UnsupportedAlgorithm { oid })) => {
            Err(unsupported(oid.to_string()))
        }
        Err(pkcs8::Error::EncryptedPrivateKey(Pkcs5Error::AlgorithmParametersInvalid { .. })) => {
            Err(KeyError::EncryptedKeyMalformed { reason: "the parameters of its encryption" })
        }
        // CBC has no authentication: a wrong password shows as bad padding or, 1 time in 256, as bad DER.
        Err(_) => Err(KeyError::PasswordWrong),
    }
}

/// The identifier of the encryption scheme, whatever its parameters are.
fn scheme_of(der: &[u8]) -> der::Result<ObjectIdentifier> {
    AnyRef::from_der(der)?.sequence(|reader| {
        let scheme = AlgorithmIdentifierRef::decode(reader)?;
        AnyRef::decode(reader)?;
        Ok(scheme.oid)
    })
}

fn check(scheme: &EncryptionScheme<'_>) -> Result<(), KeyError> {
    let EncryptionScheme::Pbes2(parameters) = scheme else {
        return Err(unsupported("PBES1".to_owned()));
    };
    match &parameters.kdf {
        Kdf::Pbkdf2(kdf) if kdf.prf == Pbkdf2Prf::HmacWithSha1 => Err(unsupported("PBKDF2 with HMAC-SHA-1".to_owned())),
        Kdf::Pbkdf2(kdf) if (1..=MAX_PBKDF2_ITERATIONS).contains(&kdf.iteration_count) => Ok(()),
        Kdf::Pbkdf2(kdf) => Err(KeyError::Pbkdf2ParametersRefused { iterations: kdf.iteration_count }),
        Kdf::Scrypt(kdf) => check_scrypt(kdf.cost_parameter, kdf.block_size.into(), kdf.parallelization.into()),
        other => Err(unsupported(other.oid().to_string())),
    }
}

/// N must be a power of two above 1 (the backend panics at 0), and all of it together within the bound.
fn check_scrypt(n: u64, r: u64, p: u64) -> Result<(), KeyError> {
    let bytes = 128_u64.checked_mul(n).and_then(|bytes| bytes.checked_mul(r)).and_then(|bytes| bytes.checked_mul(p));
    let fits = bytes.is_some_and(|bytes| (1..=MAX_SCRYPT_BYTES).contains(&bytes));
    if n > 1 && n.is_power_of_two() && fits { Ok(()) } else { Err(KeyError::ScryptParametersRefused { n, r, p }) }
}

fn unsupported(name: String) -> KeyError {
    KeyError::EncryptionUnsupported { name }
}

#[cfg(test)]
mod tests {
    use super::super::pem;
    use super::*;

    const PBKDF2: &str = include_str!("../../testdata/keys/p256-pkcs8-pbkdf2.pem");

    fn der_of(text: &str) -> Zeroizing<Vec<u8>> {
        pem::one_block(text).unwrap().body
    }

    fn password(text: &str) -> Password {
        Password::from(text.to_owned())
    }

    #[test]
    fn keys_that_openssl_encrypted_open_to_the_key_that_went_in() {
        let plain = der_of(include_str!("../../testdata/keys/p256-pkcs8.pem"));
        for text in [PBKDF2, include_str!("../../testdata/keys/p256-pkcs8-scrypt.pem")] {
            assert_eq!(decrypt(&der_of(text), &password("correct")), Ok(plain.clone()));
        }
    }

    #[test]
    fn a_wrong_password_is_refused() {
        for wrong in ["", "Correct", "correct "] {
            assert_eq!(decrypt(&der_of(PBKDF2), &password(wrong)), Err(KeyError::PasswordWrong));
        }
    }

    #[test]
    fn old_ciphers_and_derivations_are_refused_by_name() {
        let refused = [
            (include_str!("../../testdata/keys/p256-pkcs8-pbkdf2-sha1.pem"), "PBKDF2 with HMAC-SHA-1"),
            (include_str!("../../testdata/keys/p256-pkcs8-3des.pem"), "1.2.840.113549.3.7"),
            (include_str!("../../testdata/keys/p256-pkcs8-pbes1.pem"), "1.2.840.113549.1.12.1.3"),
        ];
        for (text, name) in refused {
            let refusal = decrypt(&der_of(text), &password("correct"));
            assert_eq!(refusal, Err(KeyError::EncryptionUnsupported { name: name.to_owned() }));
        }
    }

    #[test]
    fn iterations_out_of_bounds_are_refused_without_deriving() {
        let scheme = |iteration_count| {
            let kdf = pkcs8::pkcs5::pbes2::Pbkdf2Params {
                salt: b"12345678",
                iteration_count,
                key_length: None,
                prf: Pbkdf2Prf::HmacWithSha256,
            };
            let encryption = pkcs8::pkcs5::pbes2::EncryptionScheme::Aes256Cbc { iv: &[0; 16] };
            EncryptionScheme::Pbes2(pkcs8::pkcs5::pbes2::Parameters { kdf: Kdf::Pbkdf2(kdf), encryption })
        };
        for iterations in [0, MAX_PBKDF2_ITERATIONS + 1, u32::MAX] {
            assert_eq!(check(&scheme(iterations)), Err(KeyError::Pbkdf2ParametersRefused { iterations }));
        }
        assert_eq!(check(&scheme(MAX_PBKDF2_ITERATIONS)), Ok(()));
    }

    #[test]
    fn scrypt_parameters_out_of_bounds_are_refused_without_deriving() {
        for (n, r, p) in
            [(0, 8, 1), (1, 8, 1), (3, 8, 1), (1 << 19, 8, 1), (1 << 18, 8, 2), (u64::MAX, 8, 1), (2, 0, 1)]
        {
            assert_eq!(check_scrypt(n, r, p), Err(KeyError::ScryptParametersRefused { n, r, p }));
        }
        assert_eq!(check_scrypt(1 << 18, 8, 1), Ok(()));
    }

    #[test]
    fn every_truncation_is_refused_without_panic() {
        let der = der_of(PBKDF2);
        for end in 0..der.len() {
            assert!(decrypt(&der[..end], &password("correct")).is_err(), "{end}");
        }
    }
}
