//! Verifies an attestation with the core of the library alone: no store, no runtime, no network.
//!
//! ```text
//! cargo run --no-default-features --example verify -- TYPE BUNDLE PUBLIC-KEY MANIFEST
//!
//! TYPE        what is demanded: a short name (spdx, openvex, …) or a URI
//! BUNDLE      a Sigstore bundle, as `attestry sign-blob --statement` and the example `attest` write it
//! PUBLIC-KEY  the key whose signature counts, PEM
//! MANIFEST    the image: the exact bytes of its manifest
//! ```
//!
//! Exit codes are those of `attestry verify`: 0 accepted, 1 refused, 3 not decided.

use std::error::Error;
use std::io::Write;
use std::num::NonZeroUsize;
use std::process::ExitCode;
use std::{env, fs, io};

use attestry::content::{Blob, Content};
use attestry::crypto::PublicKey;
use attestry::limits::Limits;
use attestry::location::{EvidenceLayout, Location};
use attestry::media_type::MediaType;
use attestry::oci::{Image, Manifest};
use attestry::policy::{Cover, Evidence, Requirement, Scope, Verdict, Wanted, evaluate};
use attestry::predicate::TypeSelector;
use attestry::sigstore::Bundle;
use attestry::verify::Verifier;

fn main() -> ExitCode {
    match verify() {
        Ok(verdict) if verdict.is_accepted() => ExitCode::SUCCESS,
        Ok(_) => ExitCode::from(1),
        Err(error) => {
            let _ = writeln!(io::stderr(), "{error}");
            ExitCode::from(3)
        }
    }
}

fn verify() -> Result<Verdict, Box<dyn Error>> {
    let arguments: Vec<String> = env::args().skip(1).collect();
    let [type_name, bundle_path, key_path, manifest_path] = arguments.as_slice() else {
        return Err("give TYPE BUNDLE PUBLIC-KEY MANIFEST".into());
    };
    let limits = Limits::default();
    let wanted = TypeSelector::parse(type_name)?;
    let blob = Blob::new(MediaType::SIGSTORE_BUNDLE_V03, Content::from(fs::read(bundle_path)?))?;
    let bundle = Bundle::read(blob.content(), &limits)?;
    let key = PublicKey::from_pem(&fs::read_to_string(key_path)?)?;
    let manifest = Manifest::read(Blob::of_bytes(MediaType::OCI_MANIFEST, fs::read(manifest_path)?), &limits)?;
    let image = Image::new(manifest, Vec::new());

    // 1. Signature and payload: the only way to a verified statement. 2. The statement must be about this image.
    let location = Location {
        layout: EvidenceLayout::File,
        seen: vec![EvidenceLayout::File],
        manifest: image.digest().clone(),
        layer: blob.digest().clone(),
        hangs_on: image.digest().clone(),
        file: None,
    };
    let verifier = Verifier::new([key.clone()], &limits);
    let attestation = verifier.verify_bundle(&bundle, &blob).and_then(|verified| verified.about(&image, location));
    let mut evidence = Evidence::default();
    match attestation {
        Ok(attestation) => evidence.attestations.push(attestation),
        // What does not count is no error: it is missing when the demand is looked at.
        Err(error) => writeln!(io::stderr(), "rejected [{}]: {error}", error.code())?,
    }

    // 3. The demand decides: a statement of this type, signed by this key, about the image.
    let requirement = Requirement {
        id: type_name.clone(),
        wanted: Wanted::Types(vec![wanted]),
        keys: vec![key.fingerprint()],
        threshold: NonZeroUsize::MIN,
        cover: Cover::Inherited,
        through_index: false,
    };
    let verdict = evaluate(&[requirement], &Scope::All, &image, &evidence);
    writeln!(io::stdout(), "{}", if verdict.is_accepted() { "accepted" } else { "refused" })?;
    Ok(verdict)
}
