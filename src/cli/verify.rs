//! `attestry verify`

use std::collections::BTreeMap;
use std::num::NonZeroUsize;
use std::path::Path;

use super::Exit;
use super::args::{Common, Through, VerifyOptions};
use super::error::CliError;
use super::explain;
use super::place::{Located, locate, read_file};
use super::ui::Ui;
use crate::crypto::PublicKey;
use crate::digest::Digest;
use crate::job::{self, JobError, VerifyRequest};
use crate::limits::Limits;
use crate::oci::{Manifest, Platform};
use crate::policy::{
    Cover, Coverage, Demand, DemandKind, Platforms, Policy, Requirement, SbomFormat, Scope, SignerName, Wanted,
};
use crate::predicate::{Family, TypeSelector};
use crate::report::{PolicyPart, VerdictWord, VerifyReport, human_verify};
use crate::signer::read_public_key;
use crate::verify::Verifier;

/// What decides: flags, or a policy file with the keys that it names.
enum Judge {
    Flags { requirements: Vec<Requirement> },
    Policy { policy: Policy, part: PolicyPart, keys: BTreeMap<SignerName, Vec<PublicKey>> },
}

struct Keyring {
    judge: Judge,
    verifier: Verifier,
    names: BTreeMap<Digest, String>,
}

pub(super) async fn run(options: &VerifyOptions, common: &Common, ui: &Ui) -> Result<Exit, CliError> {
    let limits = Limits::default();
    let platform = options.platform.as_deref().map(str::parse::<Platform>).transpose()?;
    let keyring = match &options.policy {
        Some(path) => from_policy(path, &limits)?,
        None => from_flags(options, &limits)?,
    };
    let mut exit = Exit::Done;
    for image in &options.images {
        let answer = match verify_one(image, platform.as_ref(), &keyring, options, common, &limits, ui).await {
            Ok(answer) => answer,
            // The verdict's code stands even when nobody reads the report.
            Err(CliError::Output(error)) => explain::report(&CliError::Output(error), ui),
            Err(error) => explain::report(&error, ui),
        };
        exit = exit.gravest(answer);
    }
    Ok(exit)
}

async fn verify_one(
    image: &str,
    platform: Option<&Platform>,
    keyring: &Keyring,
    options: &VerifyOptions,
    common: &Common,
    limits: &Limits,
    ui: &Ui,
) -> Result<Exit, CliError> {
    let located = locate(image, common, limits)?;
    located.note_moved_tag(ui).await;
    let located = located.with_referrers_from(options.referrers_from.as_deref(), common, limits)?;
    let located = located.with_files(&options.bundle, limits)?;
    let source = located.source(limits);
    let Demands { requirements, mut scope, root } = demands(&keyring.judge, &located).await?;
    if let Some(platform) = platform {
        scope = Scope::Platforms(vec![platform.clone()]);
    }
    let request =
        VerifyRequest { root: &root, verifier: &keyring.verifier, requirements: &requirements, scope: &scope };
    let verified = job::verify(&request, &source).await;
    let part = match &keyring.judge {
        Judge::Flags { .. } => None,
        Judge::Policy { part, .. } => Some(part.clone()),
    };
    let names = |key: &Digest| keyring.names.get(key).cloned();
    let report = VerifyReport::new(located.reference.to_string(), &verified, part, &names)
        .narrowed_to(platform.map(Platform::to_string));
    let exit = match report.verdict {
        VerdictWord::Accepted => Exit::Done,
        VerdictWord::Refused => Exit::No,
        VerdictWord::Undecided => Exit::Undecided,
    };
    let printed = if options.images.len() == 1 {
        ui.report(&report, human_verify)
    } else {
        ui.report_line(&report, human_verify)
    };
    match printed {
        Err(CliError::Output(error)) if error.kind() == std::io::ErrorKind::BrokenPipe => Ok(exit),
        Err(error) => Err(error),
        Ok(()) => Ok(exit),
    }
}

fn from_flags(options: &VerifyOptions, limits: &Limits) -> Result<Keyring, CliError> {
    let missing =
        |message: &str, hint: &str| CliError::Arguments { message: message.to_owned(), hint: Some(hint.to_owned()) };
    if options.key.is_empty() {
        return Err(missing("nothing says whose signature counts", "give --key FILE, or --policy FILE"));
    }
    if options.types.is_empty() {
        return Err(missing("nothing says what is demanded", "give --type TYPE (spdx, slsa-provenance, openvex, …)"));
    }
    let threshold = match options.threshold {
        None => NonZeroUsize::MIN,
        Some(number) => {
            NonZeroUsize::new(number).ok_or_else(|| missing("a threshold of 0 accepts everything", "give 1 or more"))?
        }
    };
    let mut names = BTreeMap::new();
    let mut keys = Vec::new();
    for path in &options.key {
        let key = read_public_key(path)?;
        names.entry(key.fingerprint()).or_insert_with(|| path.display().to_string());
        keys.push(key);
    }
    let verifier = Verifier::new(keys, limits);
    if threshold.get() > verifier.keys().len() {
        let message = format!("--threshold {threshold} with {} distinct keys can never be met", verifier.keys().len());
        return Err(CliError::Arguments { message, hint: Some("give more keys, or a lower threshold".to_owned()) });
    }
    let fingerprints: Vec<Digest> = verifier.keys().iter().map(PublicKey::fingerprint).collect();
    let mut requirements: Vec<Requirement> = Vec::new();
    for text in &options.types {
        let selector = TypeSelector::parse(text).map_err(CliError::PredicateType)?;
        let id = unique_id(text, &requirements);
        let wanted = if selector.family() == Family::named("signature") {
            Wanted::ImageSignature
        } else {
            Wanted::Types(vec![selector])
        };
        requirements.push(Requirement {
            id,
            wanted,
            keys: fingerprints.clone(),
            threshold,
            cover: Cover::Inherited,
            through_index: options.through == Some(Through::Index),
        });
    }
    Ok(Keyring { judge: Judge::Flags { requirements }, verifier, names })
}

fn unique_id(text: &str, requirements: &[Requirement]) -> String {
    let taken = |id: &str| requirements.iter().any(|known| known.id == id);
    if !taken(text) {
        return text.to_owned();
    }
    (2..).map(|number| format!("{text}-{number}")).find(|id| !taken(id)).unwrap_or_else(|| text.to_owned())
}

fn from_policy(path: &Path, limits: &Limits) -> Result<Keyring, CliError> {
    let name = path.display().to_string();
    let content = read_file(&name, limits)?;
    let bytes = content.read_all().map_err(|error| CliError::Unreadable { path: name.clone(), error })?;
    let is_type = |text: &str| TypeSelector::parse(text).is_ok();
    let policy =
        Policy::parse(&bytes, &is_type, limits).map_err(|error| CliError::Policy { path: name.clone(), error })?;
    let folder = path.parent().unwrap_or_else(|| Path::new(""));
    let mut keys: BTreeMap<SignerName, Vec<PublicKey>> = BTreeMap::new();
    let mut names = BTreeMap::new();
    for (signer, entry) in &policy.signers {
        for path in &entry.key_paths {
            let key = read_public_key(&folder.join(path))
                .map_err(|error| CliError::PolicyKey { policy: name.clone(), error })?;
            names.entry(key.fingerprint()).or_insert_with(|| signer.as_str().to_owned());
            keys.entry(signer.clone()).or_default().push(key);
        }
    }
    let verifier = Verifier::new(keys.values().flatten().cloned(), limits);
    let part = PolicyPart { name: policy.name.clone(), digest: Digest::sha256(&bytes) };
    Ok(Keyring { judge: Judge::Policy { policy, part, keys }, verifier, names })
}

/// What is demanded of an image, and the image that it was worked out for.
struct Demands {
    requirements: Vec<Requirement>,
    scope: Scope,
    root: Manifest,
}

/// The requirements on this image: those of the flags, or of every entry of the policy that matches its name.
async fn demands(judge: &Judge, located: &Located) -> Result<Demands, CliError> {
    let (policy, keys) = match judge {
        Judge::Flags { requirements } => {
            let root = resolve(located).await?;
            return Ok(Demands { requirements: requirements.clone(), scope: Scope::All, root });
        }
        Judge::Policy { policy, keys, .. } => (policy, keys),
    };
    let name = located.reference.place.to_string();
    let rules: Vec<_> = policy.images.iter().filter(|rule| rule.pattern.matches(&name)).collect();
    if rules.is_empty() {
        return Err(CliError::NoPolicyForImage { image: name, policy: policy.name.clone() });
    }
    // Once: a tag may move, and what is verified must be what the demands were worked out for.
    let root = resolve(located).await?;
    let several = may_hold_several(&root);
    let mut requirements = Vec::new();
    let mut platforms: Vec<Platform> = Vec::new();
    let mut all = false;
    for rule in rules {
        match &rule.platforms {
            Platforms::All => all = true,
            Platforms::Listed(listed) => platforms.extend(listed.iter().cloned()),
        }
        for demand in &rule.require {
            requirements.push(requirement(demand, keys, several)?);
        }
    }
    let scope = if all { Scope::All } else { Scope::Platforms(platforms) };
    Ok(Demands { requirements, scope, root })
}

async fn resolve(located: &Located) -> Result<Manifest, CliError> {
    Ok(job::resolve(&*located.store, &located.reference.selector).await.map_err(JobError::Store)?)
}

/// An index inside the index may hold any number; wrapping must not weaken a demand.
fn may_hold_several(root: &Manifest) -> bool {
    root.as_index().is_some_and(|index| {
        index.runnable().count() > 1 || index.runnable().any(|child| child.descriptor.media_type.is_image_index())
    })
}

fn requirement(
    demand: &Demand,
    keys: &BTreeMap<SignerName, Vec<PublicKey>>,
    several: bool,
) -> Result<Requirement, CliError> {
    let short =
        |names: &[&str]| Wanted::Types(names.iter().filter_map(|name| TypeSelector::parse(name).ok()).collect());
    let own_by_default = |wanted| (wanted, if several { Cover::Own } else { Cover::Inherited });
    let (wanted, cover) = match &demand.kind {
        DemandKind::Attestation { type_name } => {
            let selector = TypeSelector::parse(type_name.as_str()).map_err(CliError::PredicateType)?;
            (Wanted::Types(vec![selector]), Cover::Inherited)
        }
        DemandKind::Sbom { formats } => {
            let names: Vec<&str> = formats
                .iter()
                .map(|format| match format {
                    SbomFormat::Spdx => "spdx",
                    SbomFormat::CycloneDx => "cyclonedx",
                })
                .collect();
            own_by_default(short(&names))
        }
        DemandKind::Provenance => (short(&["slsa-provenance", "slsa-provenance-v0.2"]), Cover::Inherited),
        DemandKind::Vex => (short(&["openvex"]), Cover::Inherited),
        DemandKind::Vulnerabilities => own_by_default(short(&["vulns", "cosign-vuln"])),
        DemandKind::Vsa => (short(&["vsa"]), Cover::Inherited),
        DemandKind::TestResult => own_by_default(short(&["test-result"])),
        DemandKind::Signature => (Wanted::ImageSignature, Cover::Inherited),
    };
    let cover = match demand.coverage {
        None => cover,
        Some(Coverage::Inherited) => Cover::Inherited,
        Some(Coverage::Own) => Cover::Own,
        Some(Coverage::Index) => Cover::Index,
    };
    let mut fingerprints: Vec<Digest> =
        demand.signed_by.iter().filter_map(|name| keys.get(name)).flatten().map(PublicKey::fingerprint).collect();
    fingerprints.sort();
    fingerprints.dedup();
    if demand.threshold.get() > fingerprints.len() {
        let message = format!(
            "demand {} has a threshold of {} and {} distinct keys",
            demand.id,
            demand.threshold,
            fingerprints.len()
        );
        return Err(CliError::Arguments { message, hint: Some("two key files may hold the same key".to_owned()) });
    }
    Ok(Requirement {
        id: demand.id.clone(),
        wanted,
        keys: fingerprints,
        threshold: demand.threshold,
        cover,
        through_index: demand.through_index,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::content::Blob;
    use crate::oci::{Descriptor, artifact_manifest, new_index};
    use crate::reference::{Reference, Tag};
    use crate::store::{Expected, Memory, Store};

    #[test]
    fn an_index_in_an_index_counts_as_several_platforms() {
        let read = |blob: Blob| Manifest::read(blob, &Limits::default()).unwrap();
        let index = |children: &[Descriptor]| read(new_index(children, &BTreeMap::new()));
        let leaf = read(artifact_manifest(&crate::media_type::MediaType::new("x/y"), &[], None, &BTreeMap::new()));
        let one = index(&[leaf.descriptor()]);
        let two = index(&[leaf.descriptor(), leaf.descriptor()]);
        assert!(!may_hold_several(&leaf) && !may_hold_several(&one));
        assert!(may_hold_several(&two) && may_hold_several(&index(&[two.descriptor()])));
    }

    #[tokio::test]
    async fn what_is_verified_is_what_the_demands_were_worked_out_for() {
        let limits = Limits::default();
        let store = Memory::new(&limits);
        let blob = artifact_manifest(&crate::media_type::MediaType::new("x/y"), &[], None, &BTreeMap::new());
        let image = Manifest::read(blob, &limits).unwrap();
        store.tag(&image, &Tag::parse("1").unwrap(), &Expected::Any).await.unwrap();
        let text = b"apiVersion: attestry/v1\nkind: Policy\nmetadata: {name: p}\nkeys:\n  a: {publicKey: a.pub}\nimages:\n  - match: registry.example/app\n    require: [{sbom: {signedBy: a}}]\n";
        let policy = Policy::parse(text, &|_| true, &limits).unwrap();
        let key = crate::crypto::SigningKey::generate_p256().unwrap().public_key().clone();
        let keys = policy.signers.keys().map(|name| (name.clone(), vec![key.clone()])).collect();
        let part = PolicyPart { name: "p".to_owned(), digest: Digest::sha256(text) };
        let reference = Reference::parse("registry.example/app:1", &|_| false).unwrap();
        let located = Located::new(reference, Box::new(store));
        let demands = demands(&Judge::Policy { policy, part, keys }, &located).await.unwrap();
        assert_eq!(demands.root.digest(), image.digest());
    }
}
