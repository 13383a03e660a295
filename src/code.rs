//! Every refusal and fault as a stable identifier.
//!
//! A [`Code`] is what scripts match on and what `docs/codes.md` explains. Its text never changes once released; the
//! words around it may.

use std::fmt;

macro_rules! codes {
    ($( $variant:ident = $text:literal, $summary:literal; )+) => {
        /// A stable, kebab-case name of one refusal or fault.
        ///
        /// ```
        /// assert_eq!(attestry::code::Code::SubjectMismatch.as_str(), "subject-mismatch");
        /// ```
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
        #[non_exhaustive]
        pub enum Code {
            $( #[doc = $summary] $variant, )+
        }

        impl Code {
            /// All codes, in the order of their declaration.
            pub const ALL: &'static [Code] = &[ $( Code::$variant, )+ ];

            /// The text that reports and `docs/codes.md` use.
            pub const fn as_str(self) -> &'static str {
                match self { $( Self::$variant => $text, )+ }
            }

            /// One sentence: what is wrong.
            pub const fn summary(self) -> &'static str {
                match self { $( Self::$variant => $summary, )+ }
            }
        }
    };
}

codes! {
    // Words and formats.
    DigestInvalid = "digest-invalid", "the text is not a digest";
    DigestMismatch = "digest-mismatch", "the bytes do not have the digest that was promised";
    SizeMismatch = "size-mismatch", "the content does not have the size that was promised";
    TooLarge = "too-large", "the content is larger than the bound for its kind";
    ReferenceInvalid = "reference-invalid", "the text is not an image reference";
    MediaTypeMismatch = "media-type-mismatch", "descriptor, body and header disagree about the media type";
    MediaTypeUnsupported = "media-type-unsupported", "no image manifest and no image index";
    JsonInvalid = "json-invalid", "the text is not JSON";
    JsonDuplicateKey = "json-duplicate-key", "an object has the same key twice";
    JsonTooDeep = "json-too-deep", "the JSON is nested deeper than the bound";
    ManifestInvalid = "manifest-invalid", "the manifest breaks the image specification";
    EnvelopeInvalid = "envelope-invalid", "the envelope breaks the DSSE specification";
    StatementInvalid = "statement-invalid", "the statement breaks the in-toto specification";
    StatementTypeUnknown = "statement-type-unknown", "the statement has a `_type` that is not known";
    PayloadTypeUnsupported = "payload-type-unsupported", "the envelope does not hold an in-toto statement";
    PredicateTypeInvalid = "predicate-type-invalid", "the predicate type is neither a short name nor a URI";
    PredicateInvalid = "predicate-invalid", "the predicate is not a JSON document of its type";
    BundleInvalid = "bundle-invalid", "the bundle breaks the Sigstore bundle format";
    // Keys.
    KeyInvalid = "key-invalid", "the file does not hold a key that is understood";
    KeyUnsupported = "key-unsupported", "the key's algorithm or size is not supported";
    KeyPasswordWrong = "key-password-wrong", "the password does not open the key";
    KeyPasswordMissing = "key-password-missing", "the key is encrypted and no password was given";
    KeyParametersRefused = "key-parameters-refused", "the key file asks for key derivation out of bounds";
    SigningFailed = "signing-failed", "the key could not sign";
    // Verification.
    SignatureInvalid = "signature-invalid", "no trusted key made the signature";
    SubjectMismatch = "subject-mismatch", "the attestation is about another image";
    SubjectEmpty = "subject-empty", "the statement names no subject";
    PredicateTypeMismatch = "predicate-type-mismatch", "the signed statement has another predicate type";
    Unsigned = "unsigned", "no signature covers the statement";
    ReferrerSubjectMismatch = "referrer-subject-mismatch", "a listed referrer points at another manifest";
    MaterialUnsupported = "material-unsupported", "the bundle is signed by a certificate, and only keys were given";
    MaterialInvalid = "material-invalid", "what came with a signature for checking it cannot be read";
    // Verdicts.
    AttestationMissing = "attestation-missing", "nothing attached meets the demand";
    PlatformMissing = "platform-missing", "a platform of the image is not covered";
    ThresholdUnmet = "threshold-unmet", "fewer distinct keys signed than the demand asks for";
    NoPolicyForImage = "no-policy-for-image", "no entry of the policy matches the image";
    IndexWithoutImages = "index-without-images", "the index holds nothing that can be run";
    SigningTime = "signing-time", "the time of signing is not known";
    LogEntry = "log-entry", "a transparency log entry came with the signature and was not checked";
    Timestamp = "timestamp", "a timestamp came with the signature and was not checked";
    IndexComposition = "index-composition", "the index is covered only child by child";
    // Attaching.
    PlatformNeeded = "platform-needed", "a statement about an index cannot live inside that index";
    PlatformUnknown = "platform-unknown", "the image has no such platform";
    AttestationManifestSigned = "attestation-manifest-signed", "the attestation manifest is signed and cannot change";
    UnsignedStatementsPresent = "unsigned-statements-present", "the attestation manifest holds statements of somebody else";
    EvidenceTagInvalid = "evidence-tag-invalid", "the tag for evidence holds something else";
    ConversionUnsupported = "conversion-unsupported", "the signed bytes cannot be kept in that layout";
    SelectionAbsent = "selection-absent", "nothing attached has that digest";
    EntryLost = "entry-lost", "another writer's change took away what was just attached";
    DeleteUnsupported = "delete-unsupported", "the store does not delete";
    BlobsKept = "blobs-kept", "the documents stay in the store, listed by nothing";
    ManifestKept = "manifest-kept", "the manifest stays in the store, listed by nothing";
    ManifestShared = "manifest-shared", "the index of another tag lists the manifest, which therefore stays";
    OldIndexBroken = "old-index-broken", "the old index lists a manifest that is deleted";
    IndexDigestChanges = "index-digest-changes", "attaching into an index gives it another digest";
    ImageWrapped = "image-wrapped", "a single manifest becomes the only image of a new index";
    IndexUntagged = "index-untagged", "no tag names the new index";
    IndexSignatureOrphaned = "index-signature-orphaned", "signatures of the old index digest do not follow to the new one";
    // Stores.
    NotFound = "not-found", "the store has no such content";
    Denied = "denied", "the store refused access";
    Unavailable = "unavailable", "the store could not be reached or answered with a fault";
    StorageFailed = "storage-failed", "the disk or folder could not be read or written";
    StorageFull = "storage-full", "there is no space left";
    LayoutInvalid = "layout-invalid", "the folder is not an OCI image layout";
    LayoutLocked = "layout-locked", "another process is writing to the layout folder";
    ArchiveInvalid = "archive-invalid", "the archive is damaged, or could be read in two ways";
    EntryUnsafe = "entry-unsafe", "an entry of the archive leads out of it or is no plain file";
    TagMoved = "tag-moved", "the tag moved while it was being replaced";
    TagAmbiguous = "tag-ambiguous", "the layout holds several images and none was named";
    StoreUnsupported = "store-unsupported", "this kind of reference cannot be used here";
    Offline = "offline", "the command was told to stay off the network";
    ReferrersTagInvalid = "referrers-tag-invalid", "the referrers tag of the image holds something else";
    TlsFileInvalid = "tls-file-invalid", "a certificate or key for TLS cannot be used";
    // Asking.
    ArgumentInvalid = "argument-invalid", "the arguments do not fit together";
    PolicyInvalid = "policy-invalid", "the policy file has errors";
    FileUnreadable = "file-unreadable", "a file could not be read";
    FileUnwritable = "file-unwritable", "a file could not be written";
    TypeAbsent = "type-absent", "nothing of that type is attached";
    Internal = "internal", "a bug in attestry";
}

impl fmt::Display for Code {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(self.as_str())
    }
}

impl serde::Serialize for Code {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.as_str())
    }
}

impl schemars::JsonSchema for Code {
    fn schema_name() -> std::borrow::Cow<'static, str> {
        "Code".into()
    }

    fn json_schema(_: &mut schemars::SchemaGenerator) -> schemars::Schema {
        schemars::json_schema!({"type": "string", "pattern": "^[a-z][a-z0-9-]*$"})
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;

    #[test]
    fn every_code_is_kebab_case_and_unique() {
        let mut seen = HashSet::new();
        for code in Code::ALL {
            assert!(code.as_str().bytes().all(|byte| byte.is_ascii_lowercase() || byte == b'-'), "{code}");
            assert!(seen.insert(code.as_str()), "{code} twice");
        }
    }
}
