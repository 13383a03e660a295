//! From what was typed to a store that can be used.

use std::fs::File;
use std::io::Read;
use std::path::Path;

use super::args::Common;
use super::error::CliError;
use super::ui::Ui;
use crate::content::Content;
use crate::job::{EvidenceFiles, Source};
use crate::limits::Limits;
use crate::reference::{Place, Reference};
use crate::store::registry::{Certificates, CredentialSource, Mirror, Notices, Registry, RegistryOptions};
use crate::store::{Archive, DockerArchive, Files, Layout, Store, spool_reader};

/// An image that was named, and the store that it is in.
pub(crate) struct Located {
    pub(crate) reference: Reference,
    pub(crate) store: Box<dyn Store>,
    /// A second store, which keeps evidence about the image.
    pub(crate) referrers_from: Option<Box<dyn Store>>,
    second_is_remote: bool,
    /// Evidence in files.
    pub(crate) files: EvidenceFiles,
}

impl Located {
    pub(crate) fn new(reference: Reference, store: Box<dyn Store>) -> Self {
        Self { reference, store, referrers_from: None, second_is_remote: false, files: EvidenceFiles::default() }
    }

    /// The name of the image's statements' subject: its repository, as cosign has it.
    pub(crate) fn subject_name(&self) -> Option<String> {
        match &self.reference.place {
            Place::Registry(repository) => Some(repository.to_string()),
            _ => None,
        }
    }

    /// Whether some store answers over a network, so that what is not asked for is saved.
    pub(crate) fn is_remote(&self) -> bool {
        matches!(self.reference.place, Place::Registry(_)) || self.second_is_remote
    }

    /// The stores, for a job.
    pub(crate) fn source<'a>(&'a self, limits: &'a Limits) -> Source<'a> {
        let files = Some(&self.files);
        Source { store: &*self.store, referrers_from: self.referrers_from.as_deref(), files, limits }
    }

    /// The same image with a second place that keeps evidence about it.
    pub(crate) fn with_referrers_from(
        self,
        text: Option<&str>,
        common: &Common,
        limits: &Limits,
    ) -> Result<Self, CliError> {
        let Some(second) = text.map(|text| locate(text, common, limits)).transpose()? else { return Ok(self) };
        let second_is_remote = second.is_remote();
        Ok(Self { referrers_from: Some(second.store), second_is_remote, ..self })
    }

    /// The same image with files of evidence beside it.
    pub(crate) fn with_files(mut self, paths: &[String], limits: &Limits) -> Result<Self, CliError> {
        for path in paths {
            let content = read_file(path, limits)?;
            let name = Path::new(path).file_name().map_or_else(|| path.clone(), |name| name.display().to_string());
            let added = self.files.add(&name, &content, limits);
            added.map_err(|error| CliError::EvidenceFile { path: path.clone(), error })?;
        }
        Ok(self)
    }

    /// Tells that a tag beside a digest names something else by now. The digest wins; the note is for people.
    ///
    /// A store that cannot say so is no reason to stop: what follows depends on the digest alone.
    pub(crate) async fn note_moved_tag(&self, ui: &Ui) {
        let selector = &self.reference.selector;
        let (Some(tag), Some(digest)) = (&selector.tag, &selector.digest) else { return };
        match self.store.tag_digest(tag).await {
            Ok(Some(now)) if now == *digest => {}
            Ok(Some(now)) => ui.note(&format!("note: tag {tag} names {now} now; the digest that was given counts")),
            Ok(None) => ui.note(&format!("note: there is no tag {tag}; the digest that was given counts")),
            Err(_) => {}
        }
    }
}

/// Reads a reference and opens its store.
pub(crate) fn locate(text: &str, common: &Common, limits: &Limits) -> Result<Located, CliError> {
    // What is on disk would without its scheme be looked for in a registry far away.
    if let Some((what, scheme)) = kind_on_disk(Path::new(text)) {
        let hint = Some(format!("write {scheme}:{text}"));
        return Err(CliError::Arguments { message: format!("{text} is {what}"), hint });
    }
    let reference = Reference::parse(text, &|path: &Path| path.exists())
        .map_err(|error| CliError::Reference { text: text.to_owned(), error })?;
    let store: Box<dyn Store> = match &reference.place {
        Place::Layout(path) => Box::new(Layout::open(path, limits)?),
        Place::Registry(repository) => {
            let options = registry_options(common, limits)?;
            Box::new(Registry::new(repository.clone(), options)?)
        }
        Place::LayoutArchive(path) => Box::new(Archive::open(path, limits)?),
        Place::DockerArchive { file, image } => Box::new(DockerArchive::open(file, image.as_deref(), limits)?),
        Place::Folder(path) => Box::new(Files::open_folder(path, limits)?),
        Place::FolderArchive(path) => Box::new(Files::open_archive(path, limits)?),
    };
    Ok(Located::new(reference, store))
}

/// What a path is, when it looks like a place, and the scheme that names it.
fn kind_on_disk(path: &Path) -> Option<(&'static str, &'static str)> {
    if path.join("oci-layout").is_file() {
        return Some(("an image layout folder", "oci"));
    }
    if path.join("provenance.json").is_file() {
        return Some(("a folder of files with statements about them", "dir"));
    }
    let is_archive =
        [".tar", ".tar.gz", ".tgz", ".dockerbuild"].iter().any(|end| path.to_string_lossy().ends_with(end));
    (is_archive && path.is_file()).then_some(("an archive", "oci-archive"))
}

/// How registries are talked to, by options and environment.
fn registry_options(common: &Common, limits: &Limits) -> Result<RegistryOptions, CliError> {
    let mut certificates = Certificates::from_environment();
    for path in &common.registry_ca {
        certificates = certificates.with_authorities(path)?;
    }
    if let (Some(certificate), Some(key)) = (&common.registry_cert, &common.registry_key) {
        certificates = certificates.with_client(certificate, key)?;
    }
    let mirror = |text: &String| {
        Mirror::parse(text).map_err(|error| CliError::Arguments {
            message: format!("not a mirror: {text} ({error})"),
            hint: Some("write HOST=MIRROR or HOST=MIRROR/PREFIX".to_owned()),
        })
    };
    Ok(RegistryOptions {
        limits: limits.clone(),
        insecure_http: common.insecure_http.clone(),
        credentials: CredentialSource::from_environment(),
        certificates,
        mirrors: common.mirror.iter().map(mirror).collect::<Result<_, _>>()?,
        notices: if common.quiet { Notices::default() } else { Notices::to(|text| Ui::say(&format!("note: {text}"))) },
        offline: common.offline,
    })
}

/// Reads a file or, for `-`, standard input. What is large is spooled.
pub(crate) fn read_file(path: &str, limits: &Limits) -> Result<Content, CliError> {
    let unreadable = |error| CliError::Unreadable { path: path.to_owned(), error };
    let mut source: Box<dyn Read> = match path {
        "-" => Box::new(std::io::stdin().lock()),
        path => Box::new(File::open(path).map_err(unreadable)?),
    };
    match spool_reader(&mut *source, limits.blob_bytes, limits).map_err(unreadable)? {
        Some(content) => Ok(content),
        None => Err(CliError::FileTooLarge { path: path.to_owned(), limit: limits.blob_bytes }),
    }
}

/// Writes a file whole or not at all.
pub(crate) fn write_file(path: &Path, content: &Content) -> Result<(), CliError> {
    let unwritable = |error| CliError::Unwritable { path: path.display().to_string(), error };
    let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or_else(|| Path::new("."));
    let mut file = tempfile::NamedTempFile::new_in(folder).map_err(unwritable)?;
    content.each_chunk(|chunk| std::io::Write::write_all(&mut file, chunk)).map_err(unwritable)?;
    readable(&file).map_err(unwritable)?;
    file.persist(path).map_err(|error| unwritable(error.error))?;
    Ok(())
}

/// Temporary files start as readable by their owner alone; a document is like any other file of the folder.
#[cfg(unix)]
fn readable(file: &tempfile::NamedTempFile) -> std::io::Result<()> {
    use std::os::unix::fs::PermissionsExt;
    file.as_file().set_permissions(std::fs::Permissions::from_mode(0o644))
}

#[cfg(not(unix))]
fn readable(_: &tempfile::NamedTempFile) -> std::io::Result<()> {
    Ok(())
}
