//! `attestry sign-blob`

use super::args::SignBlobOptions;
use super::error::CliError;
use super::place::{read_file, write_file};
use super::ui::Ui;
use super::{Exit, keys};
use crate::content::Blob;
use crate::intoto::Statement;
use crate::job::{self, JobError};
use crate::limits::Limits;
use crate::media_type::MediaType;
use crate::verify::AttachedError;

pub(super) fn run(options: &SignBlobOptions, ui: &Ui) -> Result<Exit, CliError> {
    let limits = Limits::default();
    let content = read_file(&options.file, &limits)?;
    let key = keys::signing_key(&options.key, ui)?;
    let bundle = if options.statement {
        let statement = Statement::read(&content, &limits)
            .map_err(|error| CliError::Job(JobError::Attached(AttachedError::Statement(error))))?;
        job::sign_statement(&statement, &key, &limits)?
    } else {
        let blob = Blob::new(MediaType::OCTET_STREAM, content).map_err(JobError::Content)?;
        job::sign_blob(&blob, &key, &limits)?
    };
    let text = bundle.to_content();
    match &options.to {
        Some(path) => {
            write_file(path, &text)?;
            ui.note(&format!("wrote {}", path.display()));
        }
        None => ui.content(&text)?,
    }
    Ok(Exit::Done)
}
