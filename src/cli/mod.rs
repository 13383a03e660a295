//! The command line: a file a command. The only place that reads the clock, the environment and the terminal.

mod args;
mod attach;
mod attest;
mod convert;
mod demo;
mod detach;
mod download;
mod error;
mod explain;
mod inspect;
mod keygen;
mod keys;
mod list;
mod place;
mod sign;
mod sign_blob;
mod ui;
mod verify;

use std::ffi::OsString;
use std::panic::{self, AssertUnwindSafe};
use std::process::ExitCode;

use clap::{CommandFactory, Parser};

use args::{Arguments, Command};
use error::CliError;
use ui::Ui;

/// What a run ends with. Scripts rely on the numbers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Exit {
    /// Done; for `verify`: accepted.
    Done,
    /// Decided: no.
    No,
    /// Asked wrongly.
    AskedWrongly,
    /// Could not decide or finish.
    Undecided,
    /// A bug of ours.
    Bug,
}

impl Exit {
    const fn number(self) -> u8 {
        match self {
            Self::Done => 0,
            Self::No => 1,
            Self::AskedWrongly => 2,
            Self::Undecided => 3,
            Self::Bug => 4,
        }
    }

    /// Of several images the gravest answer wins: a bug, a wrong question, a no, an undecided.
    pub(crate) const fn gravest(self, other: Self) -> Self {
        const fn rank(exit: Exit) -> u8 {
            match exit {
                Exit::Bug => 4,
                Exit::AskedWrongly => 3,
                Exit::No => 2,
                Exit::Undecided => 1,
                Exit::Done => 0,
            }
        }
        if rank(self) >= rank(other) { self } else { other }
    }
}

/// Runs the program. Never panics: a panic is reported as our bug and exits 4.
pub fn run(arguments: impl IntoIterator<Item = OsString>) -> ExitCode {
    panic::set_hook(Box::new(explain::panicked));
    let arguments: Vec<OsString> = arguments.into_iter().collect();
    let exit = panic::catch_unwind(AssertUnwindSafe(|| run_unguarded(arguments))).unwrap_or(Exit::Bug);
    ExitCode::from(exit.number())
}

fn run_unguarded(arguments: Vec<OsString>) -> Exit {
    let arguments = match Arguments::try_parse_from(arguments) {
        Ok(arguments) => arguments,
        Err(error) => {
            let _ = error.print();
            return if error.use_stderr() { Exit::AskedWrongly } else { Exit::Done };
        }
    };
    let ui = Ui::new(&arguments.common);
    let is_verify = matches!(arguments.command, Command::Verify(_));
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    let result = match runtime {
        Ok(runtime) => runtime.block_on(dispatch(&arguments, &ui)),
        Err(error) => Err(CliError::Output(error)),
    };
    match result {
        Ok(exit) => exit,
        // Whoever closed the pipe has seen enough. A verdict is never lost that way: `verify` answers by its code.
        Err(CliError::Output(error)) if error.kind() == std::io::ErrorKind::BrokenPipe && !is_verify => Exit::Done,
        Err(error) => explain::report(&error, &ui),
    }
}

async fn dispatch(arguments: &Arguments, ui: &Ui) -> Result<Exit, CliError> {
    let common = &arguments.common;
    match &arguments.command {
        Command::Keygen(options) => keygen::run(options, ui),
        Command::Attest(options) => attest::run(options, common, ui).await,
        Command::Sign(options) => sign::run(options, common, ui).await,
        Command::SignBlob(options) => sign_blob::run(options, ui),
        Command::Attach(options) => attach::run(options, common, ui).await,
        Command::Detach(options) => detach::run(options, common, ui).await,
        Command::Convert(options) => convert::run(options, common, ui).await,
        Command::List(options) => list::run(options, common, ui).await,
        Command::Inspect(options) => inspect::run(options, common, ui).await,
        Command::Download(options) => download::run(options, common, ui).await,
        Command::Verify(options) => verify::run(options, common, ui).await,
        Command::Demo(options) => demo::run(options, ui).await,
    }
}

/// The definitions of the command line, for help texts in tests and documentation.
pub fn command() -> clap::Command {
    Arguments::command()
}
