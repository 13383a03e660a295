"""Many attestations of one image, signed once and pushed as referrers in the form that cosign 3 writes.

cosign takes half a second for one and would take minutes for a thousand; here OpenSSL signs them with a plain P-256
key. Both programs verify the very same ones, and each row first makes sure that they do.
"""

import base64
import hashlib
import json
import subprocess

BUNDLE = "application/vnd.dev.sigstore.bundle.v0.3+json"
EMPTY = "application/vnd.oci.empty.v1+json"
MANIFEST = "application/vnd.oci.image.manifest.v1+json"
PAYLOAD = "application/vnd.in-toto+json"
MOMENT = "2026-01-01T00:00:00Z"
LINES = 40


def compact(value):
    return json.dumps(value, separators=(",", ":")).encode()


def sha256(data):
    return "sha256:" + hashlib.sha256(data).hexdigest()


def text64(data):
    return base64.b64encode(data).decode()


def package_url(number):
    return f"pkg:deb/debian/library-{number}@{number % 9}.{number % 31}-1?arch=amd64"


def spdx(number):
    return {
        "spdxVersion": "SPDX-2.3",
        "dataLicense": "CC0-1.0",
        "SPDXID": "SPDXRef-DOCUMENT",
        "name": f"crowd-{number}",
        "documentNamespace": f"https://example.com/spdx/crowd-{number}",
        "creationInfo": {"created": MOMENT, "creators": ["Tool: attestry-bench"]},
        "packages": [
            {"SPDXID": f"SPDXRef-{part}", "name": f"library-{part}", "downloadLocation": "NOASSERTION",
             "filesAnalyzed": False}
            for part in range(LINES)
        ],
    }


def cyclonedx(number):
    components = [
        {"type": "library", "name": f"library-{part}", "purl": package_url(part)} for part in range(LINES)
    ]
    return {"bomFormat": "CycloneDX", "specVersion": "1.6", "version": number + 1, "components": components}


def openvex(number):
    products = [{"@id": package_url(part)} for part in range(LINES)]
    statement = {"vulnerability": {"name": f"CVE-2026-{number:05}"}, "products": products, "status": "fixed"}
    return {
        "@context": "https://openvex.dev/ns/v0.2.0",
        "@id": f"https://example.com/vex/crowd-{number}",
        "author": "Example",
        "timestamp": MOMENT,
        "version": 1,
        "statements": [statement],
    }


def provenance(number):
    materials = [{"uri": package_url(part), "digest": {"sha1": f"{part:040x}"}} for part in range(LINES)]
    return {
        "buildDefinition": {
            "buildType": "https://example.com/build/v1",
            "externalParameters": {"number": number},
            "resolvedDependencies": materials,
        },
        "runDetails": {"builder": {"id": "https://example.com/builder"}},
    }


def vulnerabilities(number):
    result = [{"id": f"CVE-2025-{number:05}-{part}", "severity": [{"method": "nvd", "score": "5.0"}]}
              for part in range(LINES)]
    return {
        "scanner": {"uri": "https://example.com/scanner", "version": "1", "result": result},
        "metadata": {"scanStartedOn": MOMENT, "scanFinishedOn": MOMENT},
    }


KINDS = (
    ("https://spdx.dev/Document", spdx),
    ("https://cyclonedx.org/bom", cyclonedx),
    ("https://slsa.dev/provenance/v1", provenance),
    ("https://openvex.dev/ns", openvex),
    ("https://in-toto.io/attestation/vulns/v0.2", vulnerabilities),
)


class Crowd:
    """Attestations of one image: each kind in turn, one document of about 4 kB each, all signed by `crowd.key`."""

    def __init__(self, folder, image, number):
        self.key, self.public = folder / "crowd.key", folder / "crowd.pub"
        self.openssl(["ecparam", "-name", "prime256v1", "-genkey", "-noout", "-out", self.key])
        self.openssl(["ec", "-in", self.key, "-pubout", "-out", self.public])
        spelled = self.openssl(["ec", "-in", self.key, "-pubout", "-outform", "DER"])
        self.hint = text64(hashlib.sha256(spelled).digest())
        self.subject = {"mediaType": MANIFEST, "digest": image.digest, "size": len(image.manifest)}
        self.bundles = [self.bundle(*KINDS[place % len(KINDS)], place) for place in range(number)]

    @staticmethod
    def openssl(arguments, given=b""):
        command = ["openssl", *map(str, arguments)]
        return subprocess.run(command, input=given, capture_output=True, check=True).stdout

    def bundle(self, predicate_type, predicate, number):
        """The predicate type and the bundle of one attestation."""
        payload = compact({
            "_type": "https://in-toto.io/Statement/v1",
            "subject": [{"name": "bench", "digest": {"sha256": self.subject["digest"].removeprefix("sha256:")}}],
            "predicateType": predicate_type,
            "predicate": predicate(number),
        })
        signed = f"DSSEv1 {len(PAYLOAD)} {PAYLOAD} {len(payload)} ".encode() + payload
        signature = self.openssl(["dgst", "-sha256", "-sign", self.key], signed)
        return predicate_type, compact({
            "mediaType": BUNDLE,
            "verificationMaterial": {"publicKey": {"hint": self.hint}},
            "dsseEnvelope": {
                "payload": text64(payload),
                "payloadType": PAYLOAD,
                "signatures": [{"sig": text64(signature)}],
            },
        })

    def manifest(self, predicate_type, bundle):
        return compact({
            "schemaVersion": 2,
            "mediaType": MANIFEST,
            "artifactType": BUNDLE,
            "config": {"mediaType": EMPTY, "digest": sha256(b"{}"), "size": 2},
            "layers": [{"mediaType": BUNDLE, "digest": sha256(bundle), "size": len(bundle)}],
            "subject": self.subject,
            "annotations": {
                "dev.sigstore.bundle.content": "dsse-envelope",
                "dev.sigstore.bundle.predicateType": predicate_type,
                "org.opencontainers.image.created": MOMENT,
            },
        })

    def push(self, registry, repository, number):
        """Attaches the first so many to the image in a repository."""
        registry.push_blob(repository, b"{}")
        for predicate_type, bundle in self.bundles[:number]:
            registry.push_blob(repository, bundle)
            manifest = self.manifest(predicate_type, bundle)
            registry.push_manifest(repository, sha256(manifest), manifest)
