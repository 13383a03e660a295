//! Credential helpers: `docker-credential-NAME get`, the server on stdin, JSON on stdout.
//!
//! Source: docker-credential-helpers README.

use std::io::{Read, Write};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::mpsc;
use std::time::{Duration, Instant};

/// How often a helper that closed its output is looked at until it ends.
const LOOK: Duration = Duration::from_millis(10);
const OUTPUT_BYTES: u64 = 1 << 20;

/// Runs a helper. `None` when it has no credentials for the server.
///
/// The name comes from a configuration file and becomes part of a program's name, so it may hold neither `/` nor
/// anything else that could lead out of `PATH`.
pub(super) async fn run(name: &str, server: &str, time: Duration) -> Result<Option<(String, String)>, String> {
    let allowed = |byte: u8| byte.is_ascii_alphanumeric() || b"._-".contains(&byte);
    if name.is_empty() || !name.bytes().all(allowed) {
        return Err("not a name of a helper".to_owned());
    }
    let (program, server) = (format!("docker-credential-{name}"), server.to_owned());
    let done = tokio::task::spawn_blocking(move || get(&program, &server, time)).await;
    done.unwrap_or_else(|_| Err("it could not be waited for".to_owned()))
}

fn get(program: &str, server: &str, time: Duration) -> Result<Option<(String, String)>, String> {
    let mut command = Command::new(program);
    command.arg("get").stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::null());
    let until = Instant::now() + time;
    let mut child = command.spawn().map_err(|error| format!("it cannot be started: {error}"))?;
    if let Some(mut input) = child.stdin.take() {
        // A helper that does not read its input may still answer.
        let _ = input.write_all(server.as_bytes());
    }
    let (sender, receiver) = mpsc::channel();
    let output = child.stdout.take();
    std::thread::spawn(move || {
        let mut text = zeroize::Zeroizing::new(Vec::new());
        let read = output.map(|output| output.take(OUTPUT_BYTES).read_to_end(&mut text));
        let _ = sender.send(matches!(read, Some(Ok(_))).then_some(text));
    });
    let text = receiver.recv_timeout(time);
    let status = end_of(&mut child, until);
    let late = || format!("it did not answer within {} s", time.as_secs_f32());
    let (Ok(text), Some(status)) = (text, status.map_err(|error| error.to_string())?) else { return Err(late()) };
    let text = text.ok_or_else(|| "its answer could not be read".to_owned())?;
    read_answer(status.success(), &text)
}

/// How a helper ended; `None` when it did not in time, and was stopped.
fn end_of(child: &mut Child, until: Instant) -> std::io::Result<Option<ExitStatus>> {
    while Instant::now() < until {
        if let Some(status) = child.try_wait()? {
            return Ok(Some(status));
        }
        std::thread::sleep(LOOK);
    }
    // One that ended by itself meanwhile cannot be stopped, and does not need to be.
    let _ = child.kill();
    child.wait()?;
    Ok(None)
}

fn read_answer(success: bool, text: &[u8]) -> Result<Option<(String, String)>, String> {
    #[derive(serde::Deserialize)]
    #[serde(rename_all = "PascalCase")]
    struct Answer {
        username: String,
        secret: String,
    }
    if !success {
        // Helpers say this on stdout, in these words.
        let said = String::from_utf8_lossy(text);
        if said.to_ascii_lowercase().contains("credentials not found") {
            return Ok(None);
        }
        // One that gives credentials and then fails has said something else than why.
        if said.contains('{') {
            return Err("it failed, and what it said is not shown".to_owned());
        }
        return Err(format!("it failed: {}", super::error::clean(&said)));
    }
    // The parser's message could quote the secret.
    let answer: Answer = serde_json::from_slice(text).map_err(|_| "its answer is not understood".to_owned())?;
    let anything = !answer.username.is_empty() || !answer.secret.is_empty();
    Ok(anything.then_some((answer.username, answer.secret)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn answers_of_helpers_are_read() {
        let answer = br#"{"ServerURL":"registry.example","Username":"a","Secret":"b"}"#;
        assert_eq!(read_answer(true, answer), Ok(Some(("a".to_owned(), "b".to_owned()))));
        assert_eq!(read_answer(false, b"credentials not found in native keychain\n"), Ok(None));
        assert_eq!(read_answer(false, b"boom\n"), Err("it failed: boom".to_owned()));
        assert!(read_answer(true, b"secret").is_err_and(|error| !error.contains("secret")));
        assert!(read_answer(false, br#"{"Secret":"hunter2"}"#).is_err_and(|error| !error.contains("hunter2")));
    }

    #[test]
    fn a_name_that_leads_out_of_the_path_is_refused() {
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        for name in ["", "../x", "a/b", "a b", "a;b", "a\\b"] {
            assert!(runtime.block_on(run(name, "registry.example", Duration::from_secs(10))).is_err(), "{name}");
        }
    }

    /// Answers of a helper that is this script, if it has so much time.
    #[cfg(unix)]
    fn answer_of(script: &str, time: Duration) -> Result<Option<(String, String)>, String> {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("docker-credential-test");
        // Another process writes it: a file that a thread of ours holds open for writing cannot be started.
        let write = r#"printf %s "$1" > "$0" && chmod 700 "$0""#;
        let written = Command::new("sh").args(["-c", write, &path.display().to_string(), script]).status();
        assert!(written.unwrap().success());
        get(&path.display().to_string(), "registry.example", time)
    }

    #[cfg(unix)]
    #[test]
    fn a_helper_gets_the_server_on_its_input() {
        let script = r#"#!/bin/sh
printf '{"Username":"%s","Secret":"%s"}' "$1" "$(cat)"
"#;
        let answer = answer_of(script, Duration::from_secs(60));
        assert_eq!(answer, Ok(Some(("get".to_owned(), "registry.example".to_owned()))));
    }

    #[cfg(unix)]
    #[test]
    fn a_helper_that_does_not_answer_or_does_not_end_is_stopped() {
        for script in ["#!/bin/sh\nexec sleep 600\n", "#!/bin/sh\necho '{}'\nexec sleep 600 >&-\n"] {
            let answer = answer_of(script, Duration::from_millis(200));
            assert!(answer.as_ref().is_err_and(|detail| detail.contains("within 0.2 s")), "{answer:?}");
        }
    }
}
