//! Keys and their passwords.

use std::io::IsTerminal;
use std::path::Path;

use super::error::CliError;
use super::ui::Ui;
use crate::crypto::{Password, SigningKey};
use crate::signer::read_signing_key;

/// The variable that holds the password of a private key.
pub(crate) const PASSWORD_VARIABLE: &str = "ATTESTRY_PASSWORD";

/// The demo prints and so uses its own password; everybody else's comes from the environment.
fn given(ui: &Ui) -> Option<Password> {
    ui.password().cloned().or_else(|| std::env::var(PASSWORD_VARIABLE).ok().map(Password::from))
}

fn can_prompt() -> bool {
    std::io::stdin().is_terminal() && std::io::stderr().is_terminal()
}

fn prompt(question: &str) -> Option<Password> {
    rpassword::prompt_password(question).ok().map(Password::from)
}

/// Reads a private key; asks for its password when it has one.
pub(crate) fn signing_key(path: &Path, ui: &Ui) -> Result<SigningKey, CliError> {
    let mut ask =
        || given(ui).or_else(|| can_prompt().then(|| prompt(&format!("Password of {}: ", path.display()))).flatten());
    Ok(read_signing_key(path, &mut ask)?)
}

/// The password for a new key: from the environment, or typed twice.
pub(crate) fn new_password(ui: &Ui) -> Result<Password, CliError> {
    if let Some(password) = given(ui) {
        return Ok(password);
    }
    let arguments = |message: &str| CliError::Arguments {
        message: message.to_owned(),
        hint: Some(format!("set {PASSWORD_VARIABLE}; an empty value means no password")),
    };
    if !can_prompt() {
        return Err(arguments("a new key needs a password, and there is no terminal to ask on"));
    }
    let first = prompt("Password for the new key: ").ok_or_else(|| arguments("no password was read"))?;
    let second = prompt("The same again: ").ok_or_else(|| arguments("no password was read"))?;
    if first.as_bytes() != second.as_bytes() {
        return Err(arguments("the two passwords differ"));
    }
    Ok(first)
}
