//! The provenance that the demo attaches: SLSA v1, saying no more than what happened.

use jiff::Timestamp;
use serde_json::{Value, json};

use super::lock::{LockError, Package, closure};
use super::sbom::{Program, seconds};
use crate::digest::Digest;

/// What kind of build it was: none that anybody else does.
const BUILD_TYPE: &str = "https://example.com/attestry/demo/v1";
/// Who claims to have built it. The signer says it of itself, as with every `builder.id`.
const BUILDER: &str = "https://example.com/attestry/demo";
/// What a reader could otherwise take for more than it is.
const NOTE: &str = "The demo compiled nothing: it put the running executable into an image. The dependencies are \
those of the Cargo.lock that the executable was compiled with; it covers all platforms, tests and build scripts.";

/// A SLSA v1 provenance predicate about the image that `command` made at `now`.
///
/// It reaches build level 1 at most: the builder is the machine of whoever runs the demo. The same input gives the same
/// bytes.
///
/// # Errors
/// [`LockError::NoRoot`] and [`LockError::Dependency`] from walking the lock file.
///
/// Source: SLSA 1.0, provenance.
pub(crate) fn slsa_v1(
    packages: &[Package],
    program: &Program<'_>,
    command: &str,
    now: Timestamp,
) -> Result<Vec<u8>, LockError> {
    let linked = closure(packages, program.name)?;
    let dependencies = linked.iter().skip(1).map(|linked| dependency(linked.package));
    let mut resolved = vec![json!({
        "uri": format!("pkg:generic/{}@{}", program.name, program.version),
        "digest": digest_set(program.digest),
    })];
    resolved.extend(dependencies);
    let time = seconds(now);
    let run = Digest::sha256(format!("{command}\n{}\n{now}\n", program.digest).as_bytes());
    let predicate = json!({
        "buildDefinition": {
            "buildType": BUILD_TYPE,
            "externalParameters": {"command": command},
            "internalParameters": {"note": NOTE},
            "resolvedDependencies": resolved,
        },
        "runDetails": {
            "builder": {"id": BUILDER, "version": {program.name: program.version}},
            "metadata": {
                "invocationId": format!("{BUILDER}/runs/{}", run.hex()),
                "startedOn": time,
                "finishedOn": time,
            },
        },
    });
    Ok(predicate.to_string().into_bytes())
}

fn dependency(package: &Package) -> Value {
    match &package.checksum {
        Some(digest) => json!({"uri": package.purl(), "digest": digest_set(digest)}),
        None => json!({"uri": package.purl()}),
    }
}

fn digest_set(digest: &Digest) -> Value {
    json!({digest.algorithm().as_str(): digest.hex()})
}

#[cfg(test)]
mod tests {
    use super::super::lock::{self, tests::OWN};
    use super::super::sbom::tests::{now, with_program};
    use super::*;

    fn predicate(command: &str) -> Value {
        let packages = lock::parse(OWN).unwrap();
        let bytes = with_program(|program| slsa_v1(&packages, program, command, now())).unwrap();
        assert_eq!(bytes, with_program(|program| slsa_v1(&packages, program, command, now())).unwrap());
        serde_json::from_slice(&bytes).unwrap()
    }

    #[test]
    fn the_required_fields_are_there_and_claim_nothing() {
        let predicate = predicate("attestry demo");
        let (definition, run) = (&predicate["buildDefinition"], &predicate["runDetails"]);
        assert_eq!(definition["buildType"], BUILD_TYPE);
        assert_eq!(definition["externalParameters"], json!({"command": "attestry demo"}));
        assert_eq!(run["builder"]["id"], BUILDER);
        assert_eq!(run["metadata"]["startedOn"], "2026-08-27T12:34:56Z");
        assert_eq!(run["metadata"]["finishedOn"], "2026-08-27T12:34:56Z");
        assert!(definition["internalParameters"]["note"].as_str().unwrap().contains("compiled nothing"));
    }

    #[test]
    fn another_command_is_another_invocation() {
        let id = |command| predicate(command)["runDetails"]["metadata"]["invocationId"].clone();
        assert_ne!(id("attestry demo"), id("attestry demo --directory x"));
    }

    #[test]
    fn dependencies_are_the_executable_and_the_crates_by_digest() {
        let predicate = predicate("attestry demo");
        let dependencies = predicate["buildDefinition"]["resolvedDependencies"].as_array().unwrap();
        let packages = lock::parse(OWN).unwrap();
        assert_eq!(dependencies.len(), closure(&packages, "attestry").unwrap().len());
        assert_eq!(dependencies[0]["digest"]["sha256"], Digest::sha256(b"the executable").hex());
        let crates = dependencies.iter().skip(1);
        assert!(crates.clone().all(|item| item["uri"].as_str().unwrap().starts_with("pkg:cargo/")));
        assert!(crates.clone().all(|item| item["digest"]["sha256"].as_str().unwrap().len() == 64));
    }
}
