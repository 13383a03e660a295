//! Sign: an image signature, in cosign's newer form or its older one.

use std::collections::BTreeMap;

use crate::attach::{AttachError, DocumentKind, Evidence};
use crate::content::{Blob, Content, encode_base64};
use crate::crypto::SigningKey;
use crate::digest::Digest;
use crate::intoto::Statement;
use crate::limits::Limits;
use crate::media_type::{MediaType, PredicateType};
use crate::oci::annotations;
use crate::reference::{Selector, Tag};

use super::error::JobError;
use super::find::{Source, find_parts};
use super::placing::{AttachedDocument, Attaching, LayoutChoice, Placing};
use super::signature::{sign_content, signed_document};
use super::targets::{Targets, choose};
use crate::verify::AttachedError;

/// What to sign.
pub struct SignRequest<'a> {
    /// The image.
    pub selector: &'a Selector,
    /// The repository's name, which the older form names beside the digest.
    pub repository: Option<String>,
    /// What the signer adds.
    pub annotations: BTreeMap<String, String>,
    /// Which parts.
    pub targets: Targets,
    /// Where: [`LayoutChoice::Referrer`] or [`LayoutChoice::Tag`].
    pub layout: LayoutChoice,
    /// The key.
    pub key: &'a SigningKey,
}

/// Signs and plans. Nothing is written; [`Attaching::write`] does that.
///
/// # Errors
/// [`AttachError::PlatformNeeded`] for the layouts inside an index: a signature of a part would change the whole;
/// otherwise like [`super::attest`].
pub async fn sign<'a>(
    request: &SignRequest<'_>,
    now: jiff::Timestamp,
    source: &Source<'_>,
) -> Result<Attaching<'a>, JobError> {
    if matches!(request.layout, LayoutChoice::Index(_)) {
        let what = "an image signature";
        return Err(AttachError::DocumentUnfit { layout: request.layout.layout(), what }.into());
    }
    let root = source.store.manifest(request.selector).await?;
    let finder = find_parts(root, source).await;
    let mut documents = Vec::new();
    for (target, whole) in choose(&finder.image(), &request.targets)? {
        let digest = &target.descriptor.digest;
        let evidence = if request.layout == LayoutChoice::Tag {
            simple_signing(digest, request, source.limits)?
        } else {
            let statement = image_statement(digest, &request.annotations, source.limits)?;
            signed_document(&statement, request.key, request.layout, source.limits)?
        };
        let platform = target.platform.clone().filter(|_| !whole);
        documents.push(AttachedDocument { subject: target.descriptor, platform, evidence });
    }
    let placing = Placing {
        selector: request.selector.clone(),
        layout: request.layout,
        tag: None::<Tag>,
        now,
        manifest_signer: None,
    };
    Attaching::plan(placing, &finder, documents, source).await
}

/// The statement by which cosign 3 signs a manifest: its digest without a name, and an empty predicate.
///
/// Source: cosign 3, pkg/cosign/bundle.
pub(super) fn image_statement(
    digest: &Digest,
    annotations: &BTreeMap<String, String>,
    limits: &Limits,
) -> Result<Statement, JobError> {
    #[derive(serde::Serialize)]
    struct Subject<'a> {
        digest: BTreeMap<&'a str, &'a str>,
        annotations: &'a BTreeMap<String, String>,
    }
    let subject = Subject { digest: BTreeMap::from([(digest.algorithm().as_str(), digest.hex())]), annotations };
    let subject = serde_json::to_string(&subject).unwrap_or_default();
    let text = format!(
        "{{\"_type\":\"https://in-toto.io/Statement/v1\",\"subject\":[{subject}],\"predicateType\":\"{}\",\"predicate\":{{}}}}",
        PredicateType::COSIGN_SIGN
    );
    Statement::read(&Content::from(text), limits).map_err(|error| AttachedError::Statement(error).into())
}

/// The payload by which cosign 2 signs a manifest, byte for byte as cosign makes it, and its signature.
fn simple_signing(digest: &Digest, request: &SignRequest<'_>, limits: &Limits) -> Result<Evidence, JobError> {
    let payload = simple_signing_payload(digest, request.repository.as_deref(), &request.annotations);
    let content = Content::from(payload);
    let signature = sign_content(&content, request.key, limits)?;
    let blob = Blob::new(MediaType::COSIGN_SIMPLE_SIGNING, content)?;
    let mut evidence = Evidence::new(blob, None, DocumentKind::SimpleSigning);
    evidence.notes.insert(annotations::COSIGN_SIGNATURE.to_owned(), encode_base64(&signature));
    Ok(evidence)
}

/// Source: sigstore/sigstore, pkg/signature/payload; encoding/json, which escapes what HTML would read.
fn simple_signing_payload(digest: &Digest, repository: Option<&str>, annotations: &BTreeMap<String, String>) -> String {
    let text = |value: &str| go_string(value);
    // cosign names Docker Hub by the older of its two names.
    let repository = match repository {
        Some(name) => {
            name.strip_prefix("docker.io/").map_or_else(|| name.to_owned(), |rest| format!("index.docker.io/{rest}"))
        }
        None => String::new(),
    };
    let optional: Vec<String> =
        annotations.iter().map(|(name, value)| format!("{}:{}", text(name), text(value))).collect();
    let optional = if optional.is_empty() { "null".to_owned() } else { format!("{{{}}}", optional.join(",")) };
    format!(
        "{{\"critical\":{{\"identity\":{{\"docker-reference\":{}}},\"image\":{{\"docker-manifest-digest\":\"{digest}\"}},\
         \"type\":\"cosign container image signature\"}},\"optional\":{optional}}}",
        text(&repository)
    )
}

/// A JSON string as Go writes it.
fn go_string(value: &str) -> String {
    let mut text = String::new();
    for character in serde_json::Value::from(value).to_string().chars() {
        match character {
            '<' | '>' | '&' | '\u{2028}' | '\u{2029}' => text.push_str(&format!("\\u{:04x}", u32::from(character))),
            _ => text.push(character),
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_payload_is_byte_for_byte_what_cosign_makes() {
        let digest = Digest::parse("sha256:a795c54296e5d2fd550313dee90a7ce523ba00758056fc7372f0d5e92560ad42").unwrap();
        let notes = BTreeMap::from([("foo".to_owned(), "<bar>".to_owned())]);
        assert_eq!(
            simple_signing_payload(&digest, Some("registry.example/app"), &notes),
            "{\"critical\":{\"identity\":{\"docker-reference\":\"registry.example/app\"},\"image\":\
             {\"docker-manifest-digest\":\"sha256:a795c54296e5d2fd550313dee90a7ce523ba00758056fc7372f0d5e92560ad42\"},\
             \"type\":\"cosign container image signature\"},\"optional\":{\"foo\":\"\\u003cbar\\u003e\"}}"
        );
        let plain = simple_signing_payload(&digest, Some("docker.io/library/app"), &BTreeMap::new());
        assert!(plain.ends_with("\"optional\":null}") && plain.contains("\"index.docker.io/library/app\""), "{plain}");
    }
}
