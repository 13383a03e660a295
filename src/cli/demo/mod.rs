//! `attestry demo`: the whole story on a scratch image, with no network.
//!
//! It goes through the same command line as everyone: each step is printed as a user would type it and then run from
//! those very words. A second folder with the same inputs is left untouched, in which the printed lines can be pasted.

mod image;
mod lock;
mod prepare;
mod provenance;
mod sbom;
mod vex;

use std::ffi::OsString;
use std::path::{Path, PathBuf};

use clap::Parser;

use super::args::{Arguments, DemoOptions};
use super::error::CliError;
use super::ui::Ui;
use super::{Exit, dispatch, keys};

/// The password of the scratch key, which signs nothing but the scratch image.
const PASSWORD: &str = "demo";

pub(super) async fn run(options: &DemoOptions, ui: &Ui) -> Result<Exit, CliError> {
    let directory = directory(options)?;
    ui.data(&format!("working in {}\n", directory.display()))?;
    let (run, again) = (directory.join("run"), directory.join("again"));
    let summary = prepare::prepare(&run)?;
    prepare::copy(&run, &again)?;
    std::env::set_current_dir(&run).map_err(|error| CliError::Unreadable { path: run.display().to_string(), error })?;
    let demo = Demo { ui };

    demo.say("an image: this very program, packed by itself, with its documents")?;
    ui.data(&format!("{summary}\n"))?;
    demo.shell(&format!("cd {}", shell_word(&again.display().to_string())))?;
    demo.shell(&format!("export {}={PASSWORD}", keys::PASSWORD_VARIABLE))?;
    demo.say("a key pair")?;
    demo.step("keygen --prefix signer", Exit::Done).await?;
    demo.say("SBOM and provenance go into the image's index, the VEX document beside it")?;
    let attest = "attest oci:image:demo --key signer.key";
    let inside = "--layout index-artifact --each-platform";
    demo.step(&format!("{attest} --type spdx --predicate spdx.json {inside}"), Exit::Done).await?;
    demo.step(&format!("{attest} --type slsa-provenance --predicate provenance.json {inside}"), Exit::Done).await?;
    demo.step(&format!("{attest} --type openvex --predicate openvex.json --layout referrer"), Exit::Done).await?;
    demo.step("list oci:image:demo", Exit::Done).await?;
    demo.say("what an image must have, and the decision")?;
    demo.shell("cat policy.yaml")?;
    ui.data(prepare::POLICY)?;
    demo.step("verify oci:image:demo --policy policy.yaml", Exit::Done).await?;
    demo.say("one byte of the VEX attestation changes, and the same policy refuses")?;
    demo.shell("cp -r image tampered")?;
    demo.shell(
        "sed -i.orig 's/\"payload\":\"ey/\"payload\":\"eY/' \\\n    \
         $(grep -l '^{\"mediaType\".*dsseEnvelope' tampered/blobs/sha256/*)",
    )?;
    prepare::tamper(Path::new("image"), Path::new("tampered"))?;
    demo.step("verify oci:tampered:demo --policy policy.yaml", Exit::No).await?;
    ui.data(&format!("\nall of it is in {}; the lines after $ can be pasted\n", directory.display()))?;
    Ok(Exit::Done)
}

struct Demo<'a> {
    ui: &'a Ui,
}

impl Demo<'_> {
    fn say(&self, text: &str) -> Result<(), CliError> {
        self.ui.data(&format!("\n# {text}\n"))
    }

    /// Prints a line for the shell, whose effect the demo has by itself.
    fn shell(&self, line: &str) -> Result<(), CliError> {
        self.ui.data(&format!("$ {line}\n"))
    }

    /// Prints a command and runs it from the same words. It must end as expected, or the demo itself is broken.
    async fn step(&self, line: &str, expected: Exit) -> Result<(), CliError> {
        self.shell(&format!("attestry {line}"))?;
        let broken = |detail: String| CliError::Demo { step: "a command", detail };
        let words = ["attestry"].into_iter().chain(line.split(' ')).map(OsString::from);
        let arguments = Arguments::try_parse_from(words).map_err(|error| broken(error.to_string()))?;
        let ui = Ui::new(&arguments.common).with_password(PASSWORD);
        let exit = Box::pin(dispatch(&arguments, &ui)).await?;
        if exit != expected {
            return Err(broken(format!("`attestry {line}` ended as {exit:?}, not as {expected:?}")));
        }
        Ok(())
    }
}

/// The folder to work in: the one that was named, or a new one that is kept.
fn directory(options: &DemoOptions) -> Result<PathBuf, CliError> {
    let Some(path) = &options.directory else {
        let folder = tempfile::Builder::new().prefix("attestry-demo-").tempdir();
        let unwritable = |error| CliError::Unwritable { path: std::env::temp_dir().display().to_string(), error };
        return Ok(folder.map_err(unwritable)?.keep());
    };
    let unwritable = |error| CliError::Unwritable { path: path.display().to_string(), error };
    std::fs::create_dir_all(path).map_err(unwritable)?;
    if std::fs::read_dir(path).map_err(unwritable)?.next().is_some() {
        return Err(CliError::Arguments {
            message: format!("the folder {} is not empty", path.display()),
            hint: Some("name a new folder, or leave --directory away".to_owned()),
        });
    }
    std::path::absolute(path).map_err(unwritable)
}

/// A word that a shell reads back as it is.
fn shell_word(text: &str) -> String {
    let plain = text.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"/._-+@%:,".contains(&byte));
    if plain && !text.is_empty() { text.to_owned() } else { format!("'{}'", text.replace('\'', "'\\''")) }
}
