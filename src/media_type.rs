//! Media types, DSSE payload types and predicate types: three kinds of text that must never be mixed.

use std::borrow::Cow;
use std::fmt;

macro_rules! text_type {
    ($(#[$doc:meta])* $name:ident) => {
        $(#[$doc])*
        #[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord, serde::Serialize, serde::Deserialize)]
        #[serde(transparent)]
        pub struct $name(Cow<'static, str>);

        impl $name {
            /// Takes the text as it is.
            pub fn new(text: impl Into<String>) -> Self {
                Self(Cow::Owned(text.into()))
            }

            /// The text.
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
                formatter.write_str(&self.0)
            }
        }

        impl schemars::JsonSchema for $name {
            fn schema_name() -> Cow<'static, str> {
                stringify!($name).into()
            }

            fn json_schema(_: &mut schemars::SchemaGenerator) -> schemars::Schema {
                schemars::json_schema!({"type": "string"})
            }
        }
    };
}

text_type! {
    /// The media type of a blob or manifest, or the `artifactType` of one.
    ///
    /// Compared as it is written; parameters are part of it (Sigstore's older bundles have one).
    MediaType
}

text_type! {
    /// The `payloadType` of a DSSE envelope.
    PayloadType
}

text_type! {
    /// The `predicateType` of a statement: a URI.
    PredicateType
}

macro_rules! constants {
    ($type:ident: $( $(#[$doc:meta])* $name:ident = $text:literal; )+) => {
        impl $type {
            $( $(#[$doc])* pub const $name: Self = Self(Cow::Borrowed($text)); )+
        }
    };
}

constants! { MediaType:
    /// OCI image manifest. Source: image-spec 1.1, manifest.md.
    OCI_MANIFEST = "application/vnd.oci.image.manifest.v1+json";
    /// OCI image index. Source: image-spec 1.1, image-index.md.
    OCI_INDEX = "application/vnd.oci.image.index.v1+json";
    /// OCI image configuration.
    OCI_CONFIG = "application/vnd.oci.image.config.v1+json";
    /// OCI image layer, gzip.
    OCI_LAYER_GZIP = "application/vnd.oci.image.layer.v1.tar+gzip";
    /// OCI image layer, not compressed.
    OCI_LAYER = "application/vnd.oci.image.layer.v1.tar";
    /// The two bytes `{}`. Source: image-spec 1.1, manifest.md, "Guidance for an Empty Descriptor".
    OCI_EMPTY = "application/vnd.oci.empty.v1+json";
    /// Docker schema 2 manifest.
    DOCKER_MANIFEST = "application/vnd.docker.distribution.manifest.v2+json";
    /// Docker schema 2 manifest list.
    DOCKER_MANIFEST_LIST = "application/vnd.docker.distribution.manifest.list.v2+json";
    /// Docker image configuration.
    DOCKER_CONFIG = "application/vnd.docker.container.image.v1+json";
    /// A bare in-toto statement, as BuildKit stores it. Source: BuildKit attestation-storage.md.
    IN_TOTO = "application/vnd.in-toto+json";
    /// A DSSE envelope in a layer that cosign 2 wrote.
    DSSE_ENVELOPE = "application/vnd.dsse.envelope.v1+json";
    /// BuildKit's attestation manifest in its artifact form.
    DOCKER_ATTESTATION_MANIFEST = "application/vnd.docker.attestation.manifest.v1+json";
    /// A Sigstore bundle, version 0.1.
    SIGSTORE_BUNDLE_V01 = "application/vnd.dev.sigstore.bundle+json;version=0.1";
    /// A Sigstore bundle, version 0.3.
    SIGSTORE_BUNDLE_V03 = "application/vnd.dev.sigstore.bundle.v0.3+json";
    /// cosign's simple-signing payload.
    COSIGN_SIMPLE_SIGNING = "application/vnd.dev.cosign.simplesigning.v1+json";
    /// The artifact type of cosign's experimental OCI 1.1 signatures.
    COSIGN_SIGNATURE = "application/vnd.dev.cosign.artifact.sig.v1+json";
    /// Bytes of no named kind.
    OCTET_STREAM = "application/octet-stream";
}

constants! { PredicateType:
    /// An image signature in the form of a statement. Source: cosign 3, pkg/cosign.
    COSIGN_SIGN = "https://sigstore.dev/cosign/sign/v1";
}

constants! { PayloadType:
    /// An in-toto statement. Source: in-toto attestation spec v1, envelope.md.
    IN_TOTO = "application/vnd.in-toto+json";
}

impl MediaType {
    /// An image manifest, OCI or Docker.
    pub fn is_image_manifest(&self) -> bool {
        [Self::OCI_MANIFEST, Self::DOCKER_MANIFEST].contains(self)
    }

    /// An image index or manifest list.
    pub fn is_image_index(&self) -> bool {
        [Self::OCI_INDEX, Self::DOCKER_MANIFEST_LIST].contains(self)
    }

    /// The configuration of an image, OCI or Docker. As an artifact type it says that nobody gave one.
    pub fn is_image_config(&self) -> bool {
        *self == Self::OCI_CONFIG || *self == Self::DOCKER_CONFIG
    }

    /// A Sigstore bundle of any version.
    pub fn is_sigstore_bundle(&self) -> bool {
        self.0.starts_with("application/vnd.dev.sigstore.bundle")
    }

    /// Whether it promises a bundle, an envelope, a bare statement or cosign's older image signature. Only a promise.
    pub fn claims_evidence(&self) -> bool {
        self.is_sigstore_bundle() || self.is_envelope() || [Self::IN_TOTO, Self::COSIGN_SIMPLE_SIGNING].contains(self)
    }

    /// A layer of an image's file system, which is never evidence.
    pub fn is_image_layer(&self) -> bool {
        self.0.starts_with("application/vnd.oci.image.layer.")
            || self.0.starts_with("application/vnd.docker.image.rootfs.")
    }

    /// A DSSE envelope, in cosign's or in-toto's spelling.
    ///
    /// Source: in-toto attestation spec v1, envelope.md (`application/vnd.in-toto.<predicate>+dsse`).
    pub fn is_envelope(&self) -> bool {
        *self == Self::DSSE_ENVELOPE || (self.0.starts_with("application/vnd.in-toto.") && self.0.ends_with("+dsse"))
    }

    /// In-toto's spelling of an envelope that holds a statement of the named predicate.
    pub fn in_toto_envelope(predicate: &str) -> Self {
        Self::new(format!("application/vnd.in-toto.{predicate}+dsse"))
    }
}

impl PayloadType {
    /// Whether an envelope of this type may count as image evidence.
    ///
    /// Source: in-toto attestation spec v1, envelope.md: `application/vnd.in-toto+json`, or
    /// `application/vnd.in-toto.<predicate>+json`, which is a hint only.
    pub fn is_in_toto(&self) -> bool {
        let specific = |text: &str| {
            let name = text.strip_prefix("application/vnd.in-toto.")?.strip_suffix("+json")?;
            Some(!name.is_empty() && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-_.".contains(&byte)))
        };
        *self == Self::IN_TOTO || specific(&self.0) == Some(true)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_two_spellings_of_in_toto_count_as_payload_types() {
        let accepted = ["application/vnd.in-toto+json", "application/vnd.in-toto.provenance+json"];
        let refused = ["application/vnd.in-toto.+json", "application/vnd.in-toto.x/y+json", "application/json", ""];
        assert!(accepted.into_iter().all(|text| PayloadType::new(text).is_in_toto()));
        assert!(!refused.into_iter().any(|text| PayloadType::new(text).is_in_toto()));
    }
}
