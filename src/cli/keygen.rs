//! `attestry keygen`

use super::args::KeygenOptions;
use super::error::CliError;
use super::ui::Ui;
use super::{Exit, keys};
use crate::crypto::SigningKey;
use crate::job::JobError;
use crate::signer::write_key_pair;

pub(super) fn run(options: &KeygenOptions, ui: &Ui) -> Result<Exit, CliError> {
    let password = keys::new_password(ui)?;
    let key = SigningKey::generate_p256().map_err(|error| CliError::Job(JobError::Signing(error)))?;
    let paths = write_key_pair(&options.prefix, &key, &password)?;
    ui.note(&format!("private key  {} (encrypted)", paths.private_key.display()));
    ui.note(&format!("public key   {}", paths.public_key.display()));
    ui.note(&format!("fingerprint  {}", key.public_key().fingerprint()));
    Ok(Exit::Done)
}
