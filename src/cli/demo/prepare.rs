//! The scratch image, its documents, and the policy.

use std::path::Path;

use super::{image, lock, provenance, sbom, vex};
use crate::cli::error::CliError;
use crate::cli::place::{read_file, write_file};
use crate::content::{Blob, Content};
use crate::job::JobError;
use crate::limits::Limits;
use crate::media_type::MediaType;
use crate::oci::{Manifest, new_index};
use crate::reference::Tag;
use crate::store::{Expected, Layout, Store};

/// The lock file that this program was built from: its real list of dependencies.
const LOCK: &str = include_str!("../../../Cargo.lock");
/// What tells dependencies of the program from those of its tests, which the lock file mixes.
const MANIFEST: &str = include_str!("../../../Cargo.toml");

/// What the demo demands.
pub(super) const POLICY: &str = "\
apiVersion: attestry/v1
kind: Policy
metadata: {name: demo}
keys:
  demo: {publicKey: signer.pub}
images:
  - match: oci:**
    platforms: all
    require:
      - sbom: {signedBy: demo, coverage: own}
      - provenance: {signedBy: demo}
      - vex: {signedBy: demo}
";

/// The tag of the scratch image.
const TAG: &str = "demo";

/// Packs the running program into an image in a layout folder, and writes its documents beside it. Gives one line about
/// the image.
pub(super) fn prepare(directory: &Path) -> Result<String, CliError> {
    std::fs::create_dir_all(directory)
        .map_err(|error| CliError::Unwritable { path: directory.display().to_string(), error })?;
    let limits = Limits { memory_bytes: 1 << 20, ..Limits::default() };
    let broken = |step: &'static str| move |detail: String| CliError::Demo { step, detail };
    let path = std::env::current_exe().map_err(|error| CliError::Unreadable { path: "attestry".to_owned(), error })?;
    let executable = read_file(&path.display().to_string(), &limits)?;
    let packed = image::build(&executable, &limits).map_err(|error| broken("pack")(error.to_string()))?;
    let program = Blob::new(MediaType::OCTET_STREAM, executable).map_err(JobError::Content)?;
    let packages = packages().map_err(|error| broken("read the lock file")(error.to_string()))?;
    let described = sbom::Program { name: "attestry", version: env!("CARGO_PKG_VERSION"), digest: program.digest() };
    let now = jiff::Timestamp::now();
    let failed = |error: lock::LockError| broken("write the documents")(error.to_string());
    let documents = [
        ("spdx.json", sbom::spdx(&packages, &described, now).map_err(failed)?),
        ("provenance.json", provenance::slsa_v1(&packages, &described, "attestry demo", now).map_err(failed)?),
        (
            "openvex.json",
            vex::open_vex(&vex::EXAMPLE, &packages, packed.manifest.digest(), now)
                .map_err(|error| broken("write the documents")(error.to_string()))?,
        ),
        ("policy.yaml", POLICY.as_bytes().to_vec()),
    ];
    for (name, bytes) in documents {
        write_file(&directory.join(name), &Content::from(bytes))?;
    }
    let linked = lock::closure(&packages, env!("CARGO_PKG_NAME")).map_err(failed)?.len();
    let summary = format!(
        "oci:image:{TAG}   {} {}, {} KiB, {} packages in its SBOM",
        packed.platform,
        packed.manifest.digest().short(),
        program.size() / 1024,
        linked
    );
    store(&directory.join("image"), &packed, &limits)?;
    Ok(summary)
}

/// The locked packages, with the root depending on what the program is made of and not on what its tests need.
fn packages() -> Result<Vec<lock::Package>, lock::LockError> {
    let section = MANIFEST.split("\n[dependencies]\n").nth(1).unwrap_or_default();
    let section = section.split("\n[").next().unwrap_or_default();
    let names: Vec<&str> = section.lines().filter_map(|line| Some(line.split_once(" = ")?.0)).collect();
    let mut packages = lock::parse(LOCK)?;
    for root in packages.iter_mut().filter(|package| package.name == env!("CARGO_PKG_NAME")) {
        root.dependencies.retain(|entry| names.contains(&entry.split(' ').next().unwrap_or_default()));
    }
    Ok(packages)
}

/// Writes the image under an index of one platform, as BuildKit does.
fn store(folder: &Path, packed: &image::DemoImage, limits: &Limits) -> Result<(), CliError> {
    let layout = Layout::create(folder, limits)?;
    let mut child = packed.manifest.descriptor();
    child.platform = Some(packed.platform.clone());
    let index = new_index(&[child], &std::collections::BTreeMap::new());
    let index = Manifest::read(index, limits).map_err(JobError::Manifest)?;
    let tag = Tag::parse(TAG).map_err(|error| CliError::Reference { text: TAG.to_owned(), error })?;
    let write = async {
        layout.push_blob(&packed.layer).await?;
        layout.push_blob(&packed.config).await?;
        layout.push_manifest(&packed.manifest).await?;
        layout.tag(&index, &tag, &Expected::Any).await
    };
    // A layout's futures are ready at once: they wait for the disk and for nothing else.
    futures_util::FutureExt::now_or_never(write)
        .ok_or_else(|| CliError::Demo { step: "store", detail: "the layout folder made us wait".to_owned() })??;
    Ok(())
}

/// Copies a layout and changes one byte of the payload of its one bundle, in place: what `cp` and `sed` do in the lines
/// that the demo prints.
pub(super) fn tamper(from: &Path, to: &Path) -> Result<(), CliError> {
    let failed = |error| CliError::Unwritable { path: to.display().to_string(), error };
    copy(from, to)?;
    for entry in std::fs::read_dir(to.join("blobs").join("sha256")).map_err(failed)? {
        let path = entry.map_err(failed)?.path();
        let mut bytes = std::fs::read(&path).map_err(failed)?;
        let mark = b"\"payload\":\"ey";
        let found = bytes.windows(mark.len()).position(|window| window == mark);
        if let (true, Some(byte)) =
            (bytes.starts_with(b"{\"mediaType\""), found.and_then(|at| bytes.get_mut(at + mark.len() - 1)))
        {
            *byte = b'Y';
            std::fs::write(&path, bytes).map_err(failed)?;
        }
    }
    Ok(())
}

/// Copies a folder with all that is in it.
pub(super) fn copy(from: &Path, to: &Path) -> Result<(), CliError> {
    copy_folder(from, to).map_err(|error| CliError::Unwritable { path: to.display().to_string(), error })
}

fn copy_folder(from: &Path, to: &Path) -> std::io::Result<()> {
    std::fs::create_dir_all(to)?;
    for entry in std::fs::read_dir(from)? {
        let entry = entry?;
        let target = to.join(entry.file_name());
        if entry.file_type()?.is_dir() {
            copy_folder(&entry.path(), &target)?;
        } else {
            std::fs::copy(entry.path(), target)?;
        }
    }
    Ok(())
}
