//! The image of the demo: one layer that holds the running executable.

use serde_json::json;

use crate::content::{Blob, Content, ContentError};
use crate::limits::Limits;
use crate::media_type::MediaType;
use crate::oci::{Descriptor, Manifest, ManifestError, Platform};

/// Where the executable is in the image.
const PATH: &str = "usr/bin/attestry";
/// Tar archives are made of blocks of this many bytes. Source: POSIX.1-2017, pax, "ustar Interchange Format".
const BLOCK: u64 = 512;

/// An image whose blobs lie ready to be stored: layer and configuration first, then the manifest.
#[derive(Debug, Clone)]
pub(crate) struct DemoImage {
    /// The one layer, a tar archive that is not compressed.
    pub(crate) layer: Blob,
    /// The configuration.
    pub(crate) config: Blob,
    /// The manifest.
    pub(crate) manifest: Manifest,
    /// What it runs on.
    pub(crate) platform: Platform,
}

/// Puts an executable into an image for this machine's platform.
///
/// The executable is not copied: the layer reads it where it is. The same executable gives the same digest, since
/// nothing in the image tells the time. That the bytes can run is not checked.
///
/// # Errors
/// [`ManifestError::Content`] when the executable cannot be read, or is larger than an archive can say (8 GiB).
///
/// Source: image-spec 1.1, layer.md, config.md, manifest.md.
pub(crate) fn build(executable: &Content, limits: &Limits) -> Result<DemoImage, ManifestError> {
    let platform = platform(std::env::consts::OS, std::env::consts::ARCH);
    let layer = Blob::new(MediaType::OCI_LAYER, layer(executable).map_err(ContentError::Unreadable)?)?;
    let mut config = json!({
        "os": platform.os,
        "architecture": platform.architecture,
        "config": {"Entrypoint": [format!("/{PATH}")]},
        // The layer is not compressed, so that its digest is its `diff_id`.
        "rootfs": {"type": "layers", "diff_ids": [layer.digest()]},
    });
    if let (Some(variant), Some(object)) = (&platform.variant, config.as_object_mut()) {
        object.insert("variant".to_owned(), json!(variant));
    }
    let config = Blob::of_bytes(MediaType::OCI_CONFIG, config.to_string().into_bytes());
    let manifest = json!({
        "schemaVersion": 2,
        "mediaType": MediaType::OCI_MANIFEST,
        "config": Descriptor::of(&config),
        "layers": [Descriptor::of(&layer)],
    });
    let manifest = Blob::of_bytes(MediaType::OCI_MANIFEST, manifest.to_string().into_bytes());
    let manifest = Manifest::read(manifest, limits)?;
    Ok(DemoImage { layer, config, manifest, platform })
}

/// The platform by Go's names, which OCI uses, from Rust's names.
///
/// Source: image-spec 1.1, image-index.md, "platform" (values of GOOS and GOARCH).
pub(crate) fn platform(os: &str, architecture: &str) -> Platform {
    let little = cfg!(target_endian = "little");
    let (architecture, variant) = match architecture {
        "x86_64" => ("amd64", None),
        "x86" => ("386", None),
        "aarch64" => ("arm64", None),
        "arm" => ("arm", Some("v7")),
        "powerpc64" if little => ("ppc64le", None),
        "powerpc64" => ("ppc64", None),
        "loongarch64" => ("loong64", None),
        "mips64" if little => ("mips64le", None),
        // Go has the same name: riscv64, s390x.
        other => (other, None),
    };
    Platform::new(if os == "macos" { "darwin" } else { os }, architecture, variant)
}

/// A tar archive of the folders and the executable.
fn layer(executable: &Content) -> std::io::Result<Content> {
    let mut before = Vec::new();
    for folder in ["usr/", "usr/bin/"] {
        before.extend(header(folder, tar::EntryType::Directory, 0)?);
    }
    before.extend(header(PATH, tar::EntryType::Regular, executable.length())?);
    let padding = executable.length().next_multiple_of(BLOCK) - executable.length();
    // Two empty blocks end the archive.
    let after = vec![0; usize::try_from(padding + 2 * BLOCK).unwrap_or_default()];
    Ok(Content::joined([before.into(), executable.clone(), after.into()]))
}

/// One header: owned by root, made at the epoch, so that the layer depends on nothing but the executable.
fn header(path: &str, kind: tar::EntryType, size: u64) -> std::io::Result<Vec<u8>> {
    // Eleven octal digits. Past them GNU tar has a form of its own, which `ustar` readers do not know.
    if size >= 8 << 30 {
        return Err(std::io::Error::other("the executable is larger than 8 GiB"));
    }
    let mut header = tar::Header::new_ustar();
    header.set_entry_type(kind);
    header.set_path(path)?;
    header.set_size(size);
    header.set_mode(0o755);
    header.set_mtime(0);
    header.set_uid(0);
    header.set_gid(0);
    header.set_cksum();
    Ok(header.as_bytes().to_vec())
}

#[cfg(test)]
mod tests {
    use std::io::Read;

    use super::*;

    fn image(executable: &'static str) -> DemoImage {
        build(&Content::from(executable), &Limits::default()).unwrap()
    }

    #[test]
    fn the_layer_holds_the_executable_and_nothing_that_changes() {
        let bytes = image("#!/bin/true").layer.bytes(u64::MAX).unwrap();
        assert_eq!(bytes.len() % 512, 0);
        let mut archive = tar::Archive::new(&bytes[..]);
        let mut seen = Vec::new();
        for entry in archive.entries().unwrap() {
            let mut entry = entry.unwrap();
            let header = entry.header();
            assert_eq!(
                (header.mode().unwrap(), header.mtime().unwrap(), header.uid().unwrap(), header.gid().unwrap()),
                (0o755, 0, 0, 0)
            );
            let mut text = String::new();
            entry.read_to_string(&mut text).unwrap();
            seen.push((entry.path().unwrap().to_str().unwrap().to_owned(), text));
        }
        let expected = [("usr/", ""), ("usr/bin/", ""), (PATH, "#!/bin/true")];
        assert_eq!(seen, expected.map(|(path, text)| (path.to_owned(), text.to_owned())));
    }

    #[test]
    fn an_executable_of_any_length_ends_on_a_block() {
        for length in [0, 1, 511, 512, 513] {
            let layer = layer(&Content::from(vec![7; length])).unwrap();
            assert_eq!(layer.length() % BLOCK, 0, "{length}");
            let bytes = layer.read_all().unwrap();
            assert!(bytes.ends_with(&[0; 1024]));
            let mut archive = tar::Archive::new(&bytes[..]);
            assert_eq!(archive.entries().unwrap().count(), 3, "{length}");
        }
    }

    #[test]
    fn manifest_and_configuration_lead_to_the_layer() {
        let DemoImage { layer, config, manifest, platform } = image("x");
        let body = manifest.as_image().unwrap();
        assert_eq!(body.layers, [Descriptor::of(&layer)]);
        assert_eq!(body.config, Descriptor::of(&config));
        assert_eq!(body.subject, None);
        let config: serde_json::Value = serde_json::from_slice(&config.bytes(1 << 20).unwrap()).unwrap();
        assert_eq!(config["rootfs"]["diff_ids"], json!([layer.digest()]));
        assert_eq!(config["config"]["Entrypoint"], json!(["/usr/bin/attestry"]));
        assert_eq!(
            (config["os"].as_str(), config["architecture"].as_str()),
            (Some(&*platform.os), Some(&*platform.architecture))
        );
    }

    #[test]
    fn the_same_executable_gives_the_same_image_and_another_another() {
        assert_eq!(image("x").manifest.digest(), image("x").manifest.digest());
        assert_ne!(image("x").manifest.digest(), image("y").manifest.digest());
    }

    #[test]
    fn platforms_have_the_names_that_registries_use() {
        for (os, architecture, expected) in [
            ("linux", "x86_64", "linux/amd64"),
            ("linux", "aarch64", "linux/arm64"),
            ("linux", "arm", "linux/arm/v7"),
            ("linux", "x86", "linux/386"),
            ("linux", "riscv64", "linux/riscv64"),
            ("linux", "s390x", "linux/s390x"),
            ("macos", "aarch64", "darwin/arm64"),
            ("windows", "x86_64", "windows/amd64"),
        ] {
            assert_eq!(platform(os, architecture).to_string(), expected);
        }
    }
}
