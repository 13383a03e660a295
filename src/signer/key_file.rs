//! Keys in files: read within a bound, written so that nothing is overwritten and nothing half-written stays.

use std::ffi::OsString;
use std::fs::{self, File, OpenOptions};
use std::io::{self, Read as _, Write as _};
use std::path::{Path, PathBuf};

use aws_lc_rs::rand::{SecureRandom as _, SystemRandom};
use zeroize::Zeroizing;

use crate::code::Code;
use crate::crypto::{
    KeyError, NONCE_BYTES, Password, PublicKey, SALT_BYTES, SigningError, SigningKey, encrypt_cosign_key,
};

/// Most bytes of a key file. An RSA key of 8192 bits takes 7 KiB.
pub const MAX_KEY_FILE_BYTES: u64 = 64 << 10;

/// Why a key file could not be read or written.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum KeyFileError {
    /// The system did not let us read it.
    #[error("cannot read the key file: {path}", path = path.display())]
    Unreadable {
        /// The file.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// The file is larger than any key.
    #[error("the file is larger than any key, limit in bytes {limit_bytes}: {path}", path = path.display())]
    TooLarge {
        /// The file.
        path: PathBuf,
        /// [`MAX_KEY_FILE_BYTES`].
        limit_bytes: u64,
    },
    /// The file was read and holds no usable key.
    #[error("{error}: {path}", path = path.display())]
    Key {
        /// The file.
        path: PathBuf,
        /// What is wrong with the key. Not a `source`, since the message says it already.
        error: KeyError,
    },
    /// A file of that name exists and was left as it is. Nothing was written.
    #[error("the file exists and is not overwritten: {path}", path = path.display())]
    FileExists {
        /// The file.
        path: PathBuf,
    },
    /// The system did not let us write it. What was begun was removed.
    #[error("cannot write the key file: {path}", path = path.display())]
    Unwritable {
        /// The file.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// The system gave no randomness for the encryption. Nothing was written.
    #[error("the system gives no randomness")]
    RandomnessMissing,
    /// The key could not be brought into its written form. Nothing was written.
    #[error(transparent)]
    Unserializable(#[from] SigningError),
}

impl KeyFileError {
    /// The stable code of this error.
    pub const fn code(&self) -> Code {
        match self {
            Self::Unreadable { .. } => Code::FileUnreadable,
            Self::TooLarge { .. } => Code::KeyInvalid,
            Self::Key { error, .. } => error.code(),
            Self::FileExists { .. } | Self::Unwritable { .. } => Code::FileUnwritable,
            Self::RandomnessMissing => Code::Internal,
            Self::Unserializable(error) => error.code(),
        }
    }
}

/// Reads a private key in any form that [`SigningKey::from_pem`] knows.
///
/// `password` is asked once, and only when the key is encrypted; its `None` means that there is none to give. The
/// permissions of the file are not judged.
///
/// # Errors
/// [`KeyFileError::Unreadable`], [`KeyFileError::TooLarge`], [`KeyFileError::Key`].
pub fn read_signing_key(
    path: &Path,
    password: &mut dyn FnMut() -> Option<Password>,
) -> Result<SigningKey, KeyFileError> {
    let bytes = read(path)?;
    let key = || {
        let text = std::str::from_utf8(&bytes).map_err(|_| KeyError::NoPem)?;
        let password =
            if SigningKey::is_encrypted(text)? { Some(password().ok_or(KeyError::PasswordMissing)?) } else { None };
        SigningKey::from_pem(text, password.as_ref())
    };
    in_file(path, key)
}

/// Reads a public key in any form that [`PublicKey::from_pem`] knows.
///
/// # Errors
/// [`KeyFileError::Unreadable`], [`KeyFileError::TooLarge`], [`KeyFileError::Key`].
pub fn read_public_key(path: &Path) -> Result<PublicKey, KeyFileError> {
    let bytes = read(path)?;
    in_file(path, || PublicKey::from_pem(std::str::from_utf8(&bytes).map_err(|_| KeyError::NoPem)?))
}

/// Where a key pair was written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KeyPairPaths {
    /// The encrypted private key, `PREFIX.key`.
    pub private_key: PathBuf,
    /// The public key, `PREFIX.pub`.
    pub public_key: PathBuf,
}

/// Writes a key pair as `PREFIX.key` and `PREFIX.pub`, as `cosign generate-key-pair` does and can read.
///
/// `PREFIX.key` is encrypted, also under an empty password, and on Unix readable for its owner alone from its
/// creation on. A symbolic link of that name counts as an existing file.
///
/// # Errors
/// [`KeyFileError::FileExists`] when either is there; [`KeyFileError::Unwritable`]. After any error neither file is
/// left that was not there before.
pub fn write_key_pair(prefix: &Path, key: &SigningKey, password: &Password) -> Result<KeyPairPaths, KeyFileError> {
    // 1. The slow part, before any file exists.
    let pkcs8 = key.to_pkcs8_der()?;
    let private = encrypt_cosign_key(&pkcs8, password, random::<SALT_BYTES>()?, random::<NONCE_BYTES>()?);
    let public = key.public_key().to_pem();
    // 2. Both names are ours, or neither is.
    let private_file = NewFile::create(with_suffix(prefix, ".key"), Readers::Owner)?;
    let public_file = NewFile::create(with_suffix(prefix, ".pub"), Readers::Everyone)?;
    // 3. The contents. A file that is dropped before `keep` is removed.
    private_file.write(private.as_bytes())?;
    public_file.write(public.as_bytes())?;
    Ok(KeyPairPaths { private_key: private_file.keep(), public_key: public_file.keep() })
}

fn read(path: &Path) -> Result<Zeroizing<Vec<u8>>, KeyFileError> {
    let unreadable = |source| KeyFileError::Unreadable { path: path.to_owned(), source };
    let file = File::open(path).map_err(unreadable)?;
    // Full capacity from the start: a growing buffer would leave copies of the key behind.
    let capacity = usize::try_from(MAX_KEY_FILE_BYTES + 1).unwrap_or_default();
    let mut bytes = Zeroizing::new(Vec::with_capacity(capacity));
    file.take(MAX_KEY_FILE_BYTES + 1).read_to_end(&mut bytes).map_err(unreadable)?;
    if bytes.len() == capacity {
        return Err(KeyFileError::TooLarge { path: path.to_owned(), limit_bytes: MAX_KEY_FILE_BYTES });
    }
    Ok(bytes)
}

fn in_file<K>(path: &Path, read: impl FnOnce() -> Result<K, KeyError>) -> Result<K, KeyFileError> {
    read().map_err(|error| KeyFileError::Key { path: path.to_owned(), error })
}

fn random<const LENGTH: usize>() -> Result<[u8; LENGTH], KeyFileError> {
    let mut bytes = [0; LENGTH];
    SystemRandom::new().fill(&mut bytes).map_err(|_| KeyFileError::RandomnessMissing)?;
    Ok(bytes)
}

/// Appends to the last part of a path; `Path::with_extension` would cut `v1.2` to `v1`.
fn with_suffix(prefix: &Path, suffix: &str) -> PathBuf {
    let mut name = OsString::from(prefix);
    name.push(suffix);
    PathBuf::from(name)
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Readers {
    Owner,
    Everyone,
}

/// A file that did not exist before and is removed again unless it is kept.
struct NewFile {
    path: PathBuf,
    file: File,
    kept: bool,
}

impl NewFile {
    fn create(path: PathBuf, readers: Readers) -> Result<Self, KeyFileError> {
        let mut options = OpenOptions::new();
        options.write(true).create_new(true);
        restrict(&mut options, readers);
        match options.open(&path) {
            Ok(file) => Ok(Self { path, file, kept: false }),
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => Err(KeyFileError::FileExists { path }),
            Err(source) => Err(KeyFileError::Unwritable { path, source }),
        }
    }

    fn write(&self, bytes: &[u8]) -> Result<(), KeyFileError> {
        let written = (&self.file).write_all(bytes).and_then(|()| self.file.sync_all());
        written.map_err(|source| KeyFileError::Unwritable { path: self.path.clone(), source })
    }

    fn keep(mut self) -> PathBuf {
        self.kept = true;
        std::mem::take(&mut self.path)
    }
}

impl Drop for NewFile {
    fn drop(&mut self) {
        if !self.kept {
            // An error is already on its way to the user; a second one would hide it.
            let _ = fs::remove_file(&self.path);
        }
    }
}

#[cfg(unix)]
fn restrict(options: &mut OpenOptions, readers: Readers) {
    use std::os::unix::fs::OpenOptionsExt as _;
    options.mode(if readers == Readers::Owner { 0o600 } else { 0o644 });
}

/// Elsewhere a new file has the permissions of its folder.
#[cfg(not(unix))]
fn restrict(_: &mut OpenOptions, _: Readers) {}

#[cfg(test)]
mod tests {
    use super::*;

    fn folder() -> tempfile::TempDir {
        tempfile::tempdir().unwrap()
    }

    fn password() -> Password {
        Password::from("correct".to_owned())
    }

    fn refuse_to_be_asked() -> Option<Password> {
        panic!("asked for a password")
    }

    fn names_in(folder: &Path) -> Vec<String> {
        let entries = fs::read_dir(folder).unwrap();
        entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect()
    }

    #[test]
    fn a_written_pair_reads_back_with_its_password() {
        let folder = folder();
        let key = SigningKey::generate_p256().unwrap();
        let paths = write_key_pair(&folder.path().join("team.v1"), &key, &password()).unwrap();
        assert_eq!(paths.private_key, folder.path().join("team.v1.key"));
        assert_eq!(paths.public_key, folder.path().join("team.v1.pub"));
        assert_eq!(read_public_key(&paths.public_key).unwrap(), *key.public_key());
        let read = read_signing_key(&paths.private_key, &mut || Some(password())).unwrap();
        assert_eq!(read.public_key(), key.public_key());
        let missing = read_signing_key(&paths.private_key, &mut || None).unwrap_err();
        assert_eq!(missing.code(), Code::KeyPasswordMissing);
        let wrong = read_signing_key(&paths.private_key, &mut || Some(Password::new(Vec::new()))).unwrap_err();
        assert_eq!(wrong.code(), Code::KeyPasswordWrong);
    }

    #[cfg(unix)]
    #[test]
    fn the_private_key_is_readable_for_its_owner_alone() {
        use std::os::unix::fs::PermissionsExt as _;
        let folder = folder();
        let key = SigningKey::generate_p256().unwrap();
        let paths = write_key_pair(&folder.path().join("k"), &key, &password()).unwrap();
        assert_eq!(fs::metadata(&paths.private_key).unwrap().permissions().mode() & 0o777, 0o600);
    }

    #[test]
    fn an_existing_file_of_either_name_stays_and_no_other_appears() {
        for taken in ["k.key", "k.pub"] {
            let folder = folder();
            let path = folder.path().join(taken);
            fs::write(&path, "mine").unwrap();
            let key = SigningKey::generate_p256().unwrap();
            let refused = write_key_pair(&folder.path().join("k"), &key, &password()).unwrap_err();
            assert!(matches!(&refused, KeyFileError::FileExists { path: named } if *named == path));
            assert_eq!(refused.code(), Code::FileUnwritable);
            assert_eq!(names_in(folder.path()), [taken]);
            assert_eq!(fs::read(&path).unwrap(), b"mine");
        }
    }

    #[test]
    fn a_folder_that_does_not_exist_is_told_as_unwritable() {
        let key = SigningKey::generate_p256().unwrap();
        let refused = write_key_pair(&folder().path().join("absent/k"), &key, &password()).unwrap_err();
        assert!(matches!(refused, KeyFileError::Unwritable { .. }));
    }

    #[test]
    fn a_key_that_is_not_encrypted_asks_for_no_password() {
        let folder = folder();
        let path = folder.path().join("plain.pem");
        fs::write(&path, include_str!("../../testdata/keys/p256-pkcs8.pem")).unwrap();
        assert!(read_signing_key(&path, &mut refuse_to_be_asked).is_ok());
    }

    #[test]
    fn files_that_hold_no_key_are_refused() {
        let folder = folder();
        let path = folder.path().join("file");
        let limit_bytes = usize::try_from(MAX_KEY_FILE_BYTES).unwrap();
        let refused = |content: &[u8]| {
            fs::write(&path, content).unwrap();
            let private = read_signing_key(&path, &mut refuse_to_be_asked).unwrap_err();
            assert_eq!(read_public_key(&path).unwrap_err().code(), private.code());
            private
        };
        assert!(matches!(refused(&vec![b'\n'; limit_bytes + 1]), KeyFileError::TooLarge { .. }));
        assert!(matches!(refused(&vec![b'\n'; limit_bytes]), KeyFileError::Key { error: KeyError::NoPem, .. }));
        assert!(matches!(refused(&[0x30, 0x82, 0xff]), KeyFileError::Key { error: KeyError::NoPem, .. }));
        fs::remove_file(&path).unwrap();
        assert_eq!(read_public_key(&path).unwrap_err().code(), Code::FileUnreadable);
        assert_eq!(read_public_key(folder.path()).unwrap_err().code(), Code::FileUnreadable);
    }
}
