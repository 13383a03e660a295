//! The terminal: data on standard output, everything else on standard error.

use std::io::{self, Write};

use super::args::{Common, Output};
use super::error::CliError;
use crate::content::Content;
use crate::crypto::Password;

/// Where a command writes.
pub(crate) struct Ui {
    output: Output,
    quiet: bool,
    password: Option<Password>,
}

impl Ui {
    pub(crate) const fn new(common: &Common) -> Self {
        Self { output: common.output, quiet: common.quiet, password: None }
    }

    /// The password of private keys where the environment has none: for the demo, whose key is worth nothing.
    pub(crate) fn with_password(self, password: &str) -> Self {
        Self { password: Some(password.to_owned().into()), ..self }
    }

    pub(crate) const fn password(&self) -> Option<&Password> {
        self.password.as_ref()
    }

    /// Prints a report in the form that was asked for.
    pub(crate) fn report<T: serde::Serialize>(&self, report: &T, human: impl Fn(&T) -> String) -> Result<(), CliError> {
        match self.output {
            Output::Human => self.data(&human(report)),
            Output::Json => {
                let text = serde_json::to_string_pretty(report).map_err(|error| CliError::Output(error.into()))?;
                self.data(&format!("{text}\n"))
            }
        }
    }

    /// Prints one of several reports: as JSON a line each, so that a reader can split them.
    pub(crate) fn report_line<T: serde::Serialize>(
        &self,
        report: &T,
        human: impl Fn(&T) -> String,
    ) -> Result<(), CliError> {
        match self.output {
            Output::Human => self.data(&format!("{}\n", human(report))),
            Output::Json => {
                let text = serde_json::to_string(report).map_err(|error| CliError::Output(error.into()))?;
                self.data(&format!("{text}\n"))
            }
        }
    }

    /// Writes text to standard output.
    pub(crate) fn data(&self, text: &str) -> Result<(), CliError> {
        let mut out = io::stdout().lock();
        out.write_all(text.as_bytes()).and_then(|()| out.flush()).map_err(CliError::Output)
    }

    /// Writes content to standard output as it is.
    pub(crate) fn content(&self, content: &Content) -> Result<(), CliError> {
        let mut out = io::stdout().lock();
        content.each_chunk(|chunk| out.write_all(chunk)).and_then(|()| out.flush()).map_err(CliError::Output)
    }

    /// Says something to people.
    pub(crate) fn note(&self, text: &str) {
        if !self.quiet {
            Self::say(text);
        }
    }

    /// Says something to people, from where it is known that they want to be told.
    pub(crate) fn say(text: &str) {
        let _ = writeln!(io::stderr().lock(), "{text}");
    }

    /// Says something to people whether or not they want to be told.
    pub(crate) fn error(&self, text: &str) {
        let _ = write!(io::stderr().lock(), "{text}");
    }
}
