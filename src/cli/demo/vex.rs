//! The VEX document that the demo attaches: one statement that a reader can check against the SBOM beside it.

use jiff::Timestamp;
use serde_json::{Value, json};

use super::lock::Package;
use super::sbom::seconds;
use crate::digest::Digest;

/// A vulnerability of something that the program must not contain.
pub(crate) struct Absent {
    /// The vulnerability.
    pub(crate) vulnerability: &'static str,
    /// What has it.
    pub(crate) component: &'static str,
    /// Names of the crates that would bring it.
    pub(crate) crates: &'static [&'static str],
}

/// A flaw in OpenSSL 3.0.0–3.0.6. The code came into OpenSSL in 2021, long after the ancestors of AWS-LC, which is in
/// the program, were forked from it; older OpenSSL flaws would not be as plain to deny.
///
/// Source: OpenSSL Security Advisory of 1 November 2022.
pub(crate) const EXAMPLE: Absent = Absent {
    vulnerability: "CVE-2022-3602",
    component: "OpenSSL",
    crates: &["openssl", "openssl-sys", "openssl-src", "native-tls"],
};

/// The program does contain what the document was to deny.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("the program depends on {package}, so that nobody may say that it has no {component}")]
pub(crate) struct PresentError {
    /// The crate.
    pub(crate) package: String,
    /// What it brings.
    pub(crate) component: &'static str,
}

/// An OpenVEX 0.2.0 document saying that the image does not have the component.
///
/// The crates are looked up by name in the whole lock file. That no other crate carries a copy of the component under
/// another name is not checked. The same input gives the same bytes.
///
/// # Errors
/// [`PresentError`] when one of the crates is in the lock file.
///
/// Source: OpenVEX specification 0.2.0.
pub(crate) fn open_vex(
    absent: &Absent,
    packages: &[Package],
    image: &Digest,
    now: Timestamp,
) -> Result<Vec<u8>, PresentError> {
    if let Some(package) = packages.iter().find(|package| absent.crates.contains(&package.name.as_str())) {
        return Err(PresentError { package: package.name.clone(), component: absent.component });
    }
    let time = seconds(now);
    let impact = format!(
        "no {} in the dependency list: none of the {} packages of Cargo.lock is {}",
        absent.component,
        packages.len(),
        absent.crates.join(", ")
    );
    let mut document = json!({
        "@context": "https://openvex.dev/ns/v0.2.0",
        "author": "attestry demo",
        "role": "Document Creator",
        "timestamp": time,
        "version": 1,
        "statements": [{
            "vulnerability": {"name": absent.vulnerability},
            "products": [{"@id": product(image)}],
            "status": "not_affected",
            "justification": "component_not_present",
            "impact_statement": impact,
        }],
    });
    let id = format!("https://example.com/attestry/demo/vex/{}", Digest::sha256(document.to_string().as_bytes()).hex());
    if let Some(object) = document.as_object_mut() {
        object.insert("@id".to_owned(), Value::String(id));
    }
    Ok(document.to_string().into_bytes())
}

/// The package URL of the demo's image. Source: purl-spec, types/oci: the version is the digest, `:` percent-encoded.
pub(crate) fn product(image: &Digest) -> String {
    format!("pkg:oci/attestry-demo@{}%3A{}", image.algorithm().as_str(), image.hex())
}

#[cfg(test)]
mod tests {
    use super::super::lock::{self, tests::OWN};
    use super::super::sbom::tests::now;
    use super::*;

    fn document(image: &[u8]) -> Value {
        let packages = lock::parse(OWN).unwrap();
        let bytes = open_vex(&EXAMPLE, &packages, &Digest::sha256(image), now()).unwrap();
        assert_eq!(bytes, open_vex(&EXAMPLE, &packages, &Digest::sha256(image), now()).unwrap());
        serde_json::from_slice(&bytes).unwrap()
    }

    #[test]
    fn the_document_says_not_affected_about_the_image() {
        let document = document(b"image");
        assert_eq!(document["@context"], "https://openvex.dev/ns/v0.2.0");
        assert_eq!(document["timestamp"], "2026-08-27T12:34:56Z");
        assert_eq!(document["version"], 1);
        let statement = &document["statements"][0];
        assert_eq!(statement["status"], "not_affected");
        assert_eq!(statement["justification"], "component_not_present");
        let product = format!("pkg:oci/attestry-demo@sha256%3A{}", Digest::sha256(b"image").hex());
        assert_eq!(statement["products"][0]["@id"], product);
    }

    #[test]
    fn documents_about_two_images_have_two_ids() {
        assert_ne!(document(b"image")["@id"], document(b"another")["@id"]);
    }

    #[test]
    fn a_component_that_is_there_cannot_be_denied() {
        for name in EXAMPLE.crates {
            let mut packages = lock::parse(OWN).unwrap();
            packages[3].name = (*name).to_owned();
            let error = open_vex(&EXAMPLE, &packages, &Digest::sha256(b"image"), now()).unwrap_err();
            assert_eq!(error, PresentError { package: (*name).to_owned(), component: "OpenSSL" });
        }
    }
}
