//! A layout folder that an attacker can write to: every document is made by hand, byte for byte.

use std::path::{Path, PathBuf};

use attestry::content::Content;
use attestry::crypto::{MessageDigests, SigningKey};
use attestry::digest::Digest;
use attestry::dsse::pae;
use attestry::media_type::PayloadType;
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value, json};

use crate::support::program::{Ended, fsck, program, tree};

/// The type that is demanded. A URI means itself only and has no members that a predicate must have.
pub(super) const TYPE: &str = "https://example.com/review/v1";
pub(super) const MANIFEST: &str = "application/vnd.oci.image.manifest.v1+json";
pub(super) const INDEX: &str = "application/vnd.oci.image.index.v1+json";
pub(super) const BUNDLE: &str = "application/vnd.dev.sigstore.bundle.v0.3+json";
pub(super) const ENVELOPE: &str = "application/vnd.dsse.envelope.v1+json";
pub(super) const IN_TOTO: &str = "application/vnd.in-toto+json";
const SIGNING_TYPE: &str = "https://sigstore.dev/cosign/sign/v1";

/// A layout with one image, tagged `1`, and two key pairs beside it. `team` is the key that is trusted.
pub(super) struct Scene {
    folder: tempfile::TempDir,
    entries: Vec<Value>,
    pub(super) team: SigningKey,
    pub(super) other: SigningKey,
    /// Descriptor of the image.
    pub(super) image: Value,
}

impl Scene {
    pub(super) fn new() -> Self {
        let mut scene = Self::empty();
        let image = scene.image("one");
        scene.tag("1", &image);
        scene.image = image;
        scene
    }

    /// A layout without entries.
    pub(super) fn empty() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let scene = Self {
            folder,
            entries: Vec::new(),
            team: SigningKey::generate_p256().unwrap(),
            other: SigningKey::generate_p256().unwrap(),
            image: Value::Null,
        };
        std::fs::create_dir_all(scene.root().join("blobs/sha256")).unwrap();
        std::fs::write(scene.root().join("oci-layout"), r#"{"imageLayoutVersion":"1.0.0"}"#).unwrap();
        for (name, key) in [("team", &scene.team), ("other", &scene.other)] {
            std::fs::write(scene.path(&format!("{name}.key")), private_pem(key)).unwrap();
            std::fs::write(scene.path(&format!("{name}.pub")), key.public_key().to_pem()).unwrap();
        }
        std::fs::write(scene.path("predicate.json"), "{\"ok\":true}").unwrap();
        scene.write_index();
        scene
    }

    /// The layout folder.
    pub(super) fn root(&self) -> PathBuf {
        self.folder.path().join("layout")
    }

    /// A file beside the layout.
    pub(super) fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// The same as text.
    pub(super) fn at(&self, name: &str) -> String {
        self.path(name).to_str().unwrap().to_owned()
    }

    /// Writes a file beside the layout and gives its path.
    pub(super) fn file(&self, name: &str, content: impl AsRef<[u8]>) -> String {
        std::fs::write(self.path(name), content).unwrap();
        self.at(name)
    }

    pub(super) fn reference(&self) -> String {
        format!("oci:{}:1", self.root().display())
    }

    /// Writes a blob and gives its descriptor.
    pub(super) fn blob(&self, media_type: &str, bytes: impl AsRef<[u8]>) -> Value {
        let bytes = bytes.as_ref();
        let digest = Digest::sha256(bytes);
        std::fs::write(self.blob_path(digest.hex()), bytes).unwrap();
        json!({"mediaType": media_type, "digest": digest.to_string(), "size": bytes.len()})
    }

    fn blob_path(&self, hex: &str) -> PathBuf {
        self.root().join("blobs/sha256").join(hex)
    }

    /// The file behind a descriptor.
    pub(super) fn file_of(&self, descriptor: &Value) -> PathBuf {
        self.blob_path(text(&descriptor["digest"]).strip_prefix("sha256:").unwrap())
    }

    /// Writes a manifest as it is; its descriptor has its own media type.
    pub(super) fn manifest(&self, manifest: &Value) -> Value {
        self.blob(text(&manifest["mediaType"]), manifest.to_string())
    }

    /// Writes a small image of its own digest.
    pub(super) fn image(&self, seed: &str) -> Value {
        let config = self.blob("application/vnd.oci.image.config.v1+json", r#"{"architecture":"amd64","os":"linux"}"#);
        let layer = self.blob("application/vnd.oci.image.layer.v1.tar", format!("layer {seed}"));
        self.manifest(&json!({"schemaVersion": 2, "mediaType": MANIFEST, "config": config, "layers": [layer]}))
    }

    /// Writes an artifact manifest; `subject` may be null.
    pub(super) fn artifact(&self, subject: &Value, layers: &[Value]) -> Value {
        self.manifest(&self.artifact_text(subject, layers))
    }

    pub(super) fn artifact_text(&self, subject: &Value, layers: &[Value]) -> Value {
        let config = self.blob("application/vnd.oci.empty.v1+json", "{}");
        let mut manifest = json!({
            "schemaVersion": 2, "mediaType": MANIFEST, "artifactType": BUNDLE, "config": config, "layers": layers,
        });
        if !subject.is_null() {
            manifest["subject"] = subject.clone();
        }
        manifest
    }

    /// Puts a document on an image: a referrer with one layer, found by its `subject`.
    pub(super) fn hang(&self, subject: &Value, media_type: &str, document: impl AsRef<[u8]>) -> Value {
        let layer = self.blob(media_type, document);
        self.artifact(subject, &[layer])
    }

    /// Puts a signed statement about `about` on `on`.
    pub(super) fn attest(&self, key: &SigningKey, about: &Value, on: &Value) -> Value {
        self.hang(on, BUNDLE, bundle(key, &statement(TYPE, &[about])).to_string())
    }

    /// Puts an image signature about `about` on `on`.
    pub(super) fn sign(&self, key: &SigningKey, about: &Value, on: &Value) -> Value {
        self.hang(on, BUNDLE, bundle(key, &statement(SIGNING_TYPE, &[about])).to_string())
    }

    /// Puts an entry with a tag into `index.json`.
    pub(super) fn tag(&mut self, tag: &str, descriptor: &Value) {
        let mut entry = descriptor.clone();
        entry["annotations"]["org.opencontainers.image.ref.name"] = tag.into();
        self.entries.push(entry);
        self.write_index();
    }

    /// Lists manifests as referrers of `subject` under its fallback tag, whatever they say themselves.
    pub(super) fn list_as_referrers(&mut self, subject: &Value, listed: &[Value]) {
        let tag = text(&subject["digest"]).replace(':', "-");
        let listing = self.manifest(&json!({"schemaVersion": 2, "mediaType": INDEX, "manifests": listed}));
        self.tag(&tag, &listing);
    }

    fn write_index(&self) {
        let index = json!({"schemaVersion": 2, "mediaType": INDEX, "manifests": self.entries});
        std::fs::write(self.root().join("index.json"), index.to_string()).unwrap();
    }

    /// Runs the program beside the layout. Private keys appear in no output.
    pub(super) fn run(&self, arguments: &[&str]) -> Ended {
        self.check(&program().args(arguments).output().unwrap())
    }

    pub(super) fn check(&self, output: &std::process::Output) -> Ended {
        let ended = Ended::of(output);
        for key in [&self.team, &self.other] {
            let secret = STANDARD.encode(&*key.to_pkcs8_der().unwrap());
            // 48 characters from the middle of the key, which no public document shares.
            let secret = &secret[48..96];
            assert!(!ended.out.contains(secret) && !ended.err.contains(secret), "a key was printed");
        }
        ended
    }

    /// Runs a command that must change nothing in the layout.
    pub(super) fn run_in_vain(&self, arguments: &[&str]) -> Ended {
        let before = tree(&self.root());
        let ended = self.run(arguments);
        assert!(tree(&self.root()) == before, "something was written\n{ended:?}");
        ended
    }

    /// Attests the image with the program.
    pub(super) fn attest_with(&self, key: &str, more: &[&str]) -> Ended {
        let (reference, predicate) = (self.reference(), self.at("predicate.json"));
        let first = ["attest", &reference, "--predicate", &predicate, "--type", TYPE, "--key", key];
        self.run(&[&first, more].concat())
    }

    /// Verifies the image with the trusted key and one demanded attestation.
    pub(super) fn verify(&self, more: &[&str]) -> Report {
        self.verify_as(TYPE, more)
    }

    pub(super) fn verify_as(&self, type_name: &str, more: &[&str]) -> Report {
        let (reference, key) = (self.reference(), self.at("team.pub"));
        let first = ["verify", &reference, "--key", &key, "--type", type_name, "--output", "json"];
        Report::of(self.run_in_vain(&[&first, more].concat()))
    }

    /// That the layout leads only to what is there.
    pub(super) fn is_sound(&self) {
        fsck(&self.root());
    }
}

/// What `verify --output json` said.
#[derive(Debug)]
pub(super) struct Report {
    pub(super) ended: Ended,
    pub(super) json: Value,
}

impl Report {
    pub(super) fn of(ended: Ended) -> Self {
        let json = serde_json::from_str(&ended.out).unwrap_or(Value::Null);
        Self { ended, json }
    }

    pub(super) fn accepted(&self) -> &Self {
        assert_eq!((self.ended.code, self.json["verdict"].as_str()), (0, Some("accepted")), "{self:#?}");
        self
    }

    /// Refused, with a hint; `unmet` is the code of the demand, `rejection` that of something that was looked at.
    pub(super) fn refused(&self, unmet: &str, rejection: Option<&str>) -> &Self {
        assert_eq!((self.ended.code, self.json["verdict"].as_str()), (1, Some("refused")), "{self:#?}");
        self.unmet(unmet, rejection)
    }

    /// Refused for several reasons at once.
    pub(super) fn refused_whatever(&self) -> &Self {
        assert_eq!((self.ended.code, self.json["verdict"].as_str()), (1, Some("refused")), "{self:#?}");
        assert!(!self.rejected().is_empty(), "{self:#?}");
        self
    }

    pub(super) fn undecided(&self, unmet: &str, rejection: &str) -> &Self {
        assert_eq!((self.ended.code, self.json["verdict"].as_str()), (3, Some("undecided")), "{self:#?}");
        self.unmet(unmet, Some(rejection))
    }

    fn unmet(&self, unmet: &str, rejection: Option<&str>) -> &Self {
        let requirements = self.json["requirements"].as_array().unwrap();
        let failed = requirements.iter().find(|entry| entry["status"] == "unmet").unwrap();
        assert_eq!(failed["code"], unmet, "{self:#?}");
        assert!(!text(&failed["hint"]).is_empty() && !text(&failed["message"]).is_empty(), "{self:#?}");
        let rejected = self.rejected();
        match rejection {
            Some(code) => {
                assert_eq!(rejected, [code], "{self:#?}");
                let named = failed["candidates"].as_array().unwrap().iter().any(|entry| entry["failed_check"] == code);
                assert!(named, "the nearest misses do not name it\n{self:#?}");
            }
            None => assert!(rejected.is_empty(), "{self:#?}"),
        }
        self
    }

    /// Codes of what was looked at and does not count, each once.
    pub(super) fn rejected(&self) -> Vec<&str> {
        let mut codes: Vec<&str> =
            self.json["rejections"].as_array().into_iter().flatten().map(|entry| text(&entry["code"])).collect();
        codes.sort_unstable();
        codes.dedup();
        codes
    }

    /// What the demand says that is missing.
    pub(super) fn message(&self) -> &str {
        text(&self.json["requirements"][0]["message"])
    }
}

pub(super) fn text(value: &Value) -> &str {
    value.as_str().unwrap_or_default()
}

fn private_pem(key: &SigningKey) -> String {
    let body = STANDARD.encode(&*key.to_pkcs8_der().unwrap());
    format!("-----BEGIN PRIVATE KEY-----\n{body}\n-----END PRIVATE KEY-----\n")
}

/// A statement about the manifests of these descriptors.
pub(super) fn statement(type_name: &str, about: &[&Value]) -> String {
    let subjects: Vec<Value> = about.iter().map(|descriptor| subject(descriptor)).collect();
    json!({
        "_type": "https://in-toto.io/Statement/v1", "subject": subjects, "predicateType": type_name,
        "predicate": {"ok": true},
    })
    .to_string()
}

pub(super) fn subject(descriptor: &Value) -> Value {
    let hex = text(&descriptor["digest"]).strip_prefix("sha256:").unwrap_or_default();
    json!({"name": "image", "digest": {"sha256": hex}})
}

/// The signature of a key over any bytes.
pub(super) fn signature(key: &SigningKey, message: &[u8]) -> Vec<u8> {
    key.sign(&MessageDigests::of(message)).unwrap()
}

/// The signature of an envelope, in base64.
pub(super) fn envelope_signature(key: &SigningKey, payload_type: &str, payload: &str) -> String {
    let message = pae(&PayloadType::new(payload_type), &Content::from(payload.to_owned())).read_all().unwrap();
    STANDARD.encode(signature(key, &message))
}

/// An envelope that is signed as it should be.
pub(super) fn envelope(key: &SigningKey, payload_type: &str, payload: &str) -> Value {
    json!({
        "payload": STANDARD.encode(payload), "payloadType": payload_type,
        "signatures": [{"sig": envelope_signature(key, payload_type, payload)}],
    })
}

/// A bundle around an envelope.
pub(super) fn bundle_of(envelope: &Value) -> Value {
    json!({
        "mediaType": BUNDLE, "verificationMaterial": {"publicKey": {"hint": "a hint"}}, "dsseEnvelope": envelope,
    })
}

/// A bundle with a signed statement.
pub(super) fn bundle(key: &SigningKey, statement: &str) -> Value {
    bundle_of(&envelope(key, IN_TOTO, statement))
}

/// A bundle with a signature over bytes that are elsewhere.
pub(super) fn message_bundle(key: &SigningKey, message: &[u8]) -> Value {
    json!({
        "mediaType": BUNDLE, "verificationMaterial": {"publicKey": {"hint": "a hint"}},
        "messageSignature": {"signature": STANDARD.encode(signature(key, message))},
    })
}

/// The bytes of the file behind a path, changed.
pub(super) fn change(path: &Path, with: impl FnOnce(&mut Vec<u8>)) {
    let mut bytes = std::fs::read(path).unwrap();
    with(&mut bytes);
    std::fs::write(path, bytes).unwrap();
}
