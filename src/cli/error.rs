//! What can stop a command.

use std::io;

use crate::attach::FileError;
use crate::code::Code;
use crate::job::JobError;
use crate::oci::PlatformError;
use crate::policy::PolicyError;
use crate::predicate::PredicateError;
use crate::reference::ReferenceError;
use crate::signer::KeyFileError;
use crate::store::StoreError;

/// Everything that a command may stop with. `explain` words it.
#[derive(Debug)]
pub(crate) enum CliError {
    /// The arguments do not fit together.
    Arguments { message: String, hint: Option<String> },
    /// A reference cannot be read.
    Reference { text: String, error: ReferenceError },
    /// A platform cannot be read.
    Platform(PlatformError),
    /// A predicate type is unknown.
    PredicateType(PredicateError),
    /// A predicate document is not what its type says.
    Predicate { path: String, error: PredicateError },
    /// A key file.
    Key(KeyFileError),
    /// A key file that a policy names.
    PolicyKey { policy: String, error: KeyFileError },
    /// A policy file has errors.
    Policy { path: String, error: PolicyError },
    /// No entry of the policy is about the image: a refusal.
    NoPolicyForImage { image: String, policy: String },
    /// A file could not be read.
    Unreadable { path: String, error: io::Error },
    /// A file holds no evidence.
    EvidenceFile { path: String, error: FileError },
    /// A file is larger than what is read of its kind.
    FileTooLarge { path: String, limit: u64 },
    /// A file could not be written.
    Unwritable { path: String, error: io::Error },
    /// Standard output could not be written.
    Output(io::Error),
    /// A job stopped.
    Job(JobError),
    /// A step of the demo did not come out as it must.
    Demo { step: &'static str, detail: String },
}

impl CliError {
    pub(crate) fn code(&self) -> Code {
        match self {
            Self::Arguments { .. } => Code::ArgumentInvalid,
            Self::Reference { error, .. } => error.code(),
            Self::Platform(error) => error.code(),
            Self::PredicateType(error) | Self::Predicate { error, .. } => error.code(),
            Self::Key(error) | Self::PolicyKey { error, .. } => error.code(),
            Self::Policy { error, .. } => error.code(),
            Self::NoPolicyForImage { .. } => Code::NoPolicyForImage,
            Self::Unreadable { .. } => Code::FileUnreadable,
            Self::EvidenceFile { error, .. } => error.code(),
            Self::FileTooLarge { .. } => Code::TooLarge,
            Self::Unwritable { error, .. } | Self::Output(error) if error.kind() == io::ErrorKind::StorageFull => {
                Code::StorageFull
            }
            Self::Unwritable { .. } | Self::Output(_) => Code::FileUnwritable,
            Self::Job(error) => error.code(),
            Self::Demo { .. } => Code::Internal,
        }
    }
}

impl From<JobError> for CliError {
    fn from(error: JobError) -> Self {
        Self::Job(error)
    }
}

impl From<StoreError> for CliError {
    fn from(error: StoreError) -> Self {
        Self::Job(JobError::Store(error))
    }
}

impl From<KeyFileError> for CliError {
    fn from(error: KeyFileError) -> Self {
        Self::Key(error)
    }
}

impl From<PlatformError> for CliError {
    fn from(error: PlatformError) -> Self {
        Self::Platform(error)
    }
}
