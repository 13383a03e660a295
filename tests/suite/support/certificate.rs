//! Certificates for TLS, made in the test.

use std::path::Path;

use rcgen::{BasicConstraints, CertificateParams, IsCa, Issuer, KeyPair};

/// A certificate and its key as PEM files.
pub(crate) struct Signed {
    pub(crate) certificate: String,
    pub(crate) key: String,
}

/// An authority that exists in one test only.
pub(crate) struct Authority {
    folder: tempfile::TempDir,
    issuer: Issuer<'static, KeyPair>,
    pub(crate) own: Signed,
}

impl Authority {
    pub(crate) fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let mut parameters = CertificateParams::new(Vec::new()).unwrap();
        parameters.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        parameters.distinguished_name.push(rcgen::DnType::CommonName, "an authority of a test");
        let key = KeyPair::generate().unwrap();
        let certificate = parameters.self_signed(&key).unwrap();
        let own = write(folder.path(), "authority", &certificate.pem(), &key.serialize_pem());
        Self { folder, issuer: Issuer::new(parameters, key), own }
    }

    /// A certificate for these names, or for nobody in particular.
    pub(crate) fn sign(&self, file: &str, names: &[&str]) -> Signed {
        let names: Vec<String> = names.iter().map(ToString::to_string).collect();
        let key = KeyPair::generate().unwrap();
        let certificate = CertificateParams::new(names).unwrap().signed_by(&key, &self.issuer).unwrap();
        write(self.folder.path(), file, &certificate.pem(), &key.serialize_pem())
    }

    pub(crate) fn folder(&self) -> &Path {
        self.folder.path()
    }
}

fn write(folder: &Path, name: &str, certificate: &str, key: &str) -> Signed {
    let path = |extension: &str, text: &str| {
        let path = folder.join(name).with_extension(extension);
        std::fs::write(&path, text).unwrap();
        path.display().to_string()
    };
    Signed { certificate: path("crt", certificate), key: path("key", key) }
}
