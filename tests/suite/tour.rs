//! The documents keep their word: the README's console blocks and the lines that the demo prints are run as they stand.
//!
//! A console block is a line that starts with `$ `, then what it prints on standard output and standard error. In what
//! is expected `…` stands for any text within a line, and a line that is only `…` for any number of lines. Each command
//! has a shell of its own; `cd` and `export` last for all that follow, and `$?` is that of the command before.

#![cfg(unix)]

use std::path::Path;
use std::process::{Command, Stdio};

const README: &str = include_str!("../../README.md");
const ELLIPSIS: &str = "…";

/// A line that a reader types, and what the document says it prints.
struct Step {
    line: usize,
    command: String,
    expected: Vec<String>,
}

#[test]
fn the_tour_of_the_readme_prints_what_it_says() {
    let folder = tempfile::tempdir().unwrap();
    let mut lasting = String::new();
    let mut exit = 0;
    let mut wrong = Vec::new();
    let steps = steps(README);
    assert!(steps.len() > 10, "the README has lost its tour");
    for step in steps {
        let script = format!("exec 2>&1\n{lasting}(exit {exit})\n{}", step.command);
        let (code, printed) = shell(&script, folder.path());
        exit = code;
        if step.command.starts_with("cd ") || step.command.starts_with("export ") {
            lasting.push_str(&format!("{}\n", step.command));
        }
        let printed: Vec<&str> = printed.lines().map(str::trim_end).collect();
        if !lines_match(&step.expected, &printed) {
            wrong.push(difference(&step, &printed));
        }
    }
    assert!(wrong.is_empty(), "README.md says otherwise (- the README, + the program):\n\n{}", wrong.join("\n"));
}

#[test]
fn the_lines_that_the_demo_prints_can_be_pasted() {
    let folder = tempfile::tempdir().unwrap();
    let directory = folder.path().join("demo");
    let (code, printed) = shell(&format!("attestry demo --directory '{}'", directory.display()), folder.path());
    assert_eq!(code, 0, "{printed}");
    let commands: Vec<String> = steps_of(printed.lines().enumerate()).into_iter().map(|step| step.command).collect();
    assert!(commands.len() > 5, "{printed}");
    let script = commands.iter().map(|command| match command.starts_with("attestry verify ") {
        true => format!("{{ {command}\n}}; echo \"verify ended with $?\"\n"),
        false => format!("{{ {command}\n}} || exit 99\n"),
    });
    let script = format!("exec 2>&1\n{}", script.collect::<String>());
    let (code, printed) = shell(&script, folder.path());
    assert_eq!(code, 0, "{printed}");
    let verdicts: Vec<&str> = printed.lines().filter(|line| line.starts_with("verify ended with ")).collect();
    assert_eq!(verdicts, ["verify ended with 0", "verify ended with 1"], "{printed}");
}

/// Runs a script with the program first on the path, without a password and without input.
fn shell(script: &str, folder: &Path) -> (i32, String) {
    let programs = Path::new(env!("CARGO_BIN_EXE_attestry")).parent().unwrap();
    let path = std::env::join_paths(
        [programs.to_owned()].into_iter().chain(std::env::split_paths(&std::env::var_os("PATH").unwrap_or_default())),
    );
    let output = Command::new("sh")
        .args(["-c", script])
        .current_dir(folder)
        .env("PATH", path.unwrap())
        .env("LC_ALL", "C.UTF-8")
        .env_remove("ATTESTRY_PASSWORD")
        .stdin(Stdio::null())
        .output()
        .unwrap();
    (output.status.code().unwrap_or(-1), String::from_utf8(output.stdout).unwrap())
}

/// The steps of all console blocks of a document.
fn steps(document: &str) -> Vec<Step> {
    let mut inside = false;
    let mut lines = Vec::new();
    for (place, line) in document.lines().enumerate() {
        match line {
            "```console" => inside = true,
            "```" => inside = false,
            _ if inside => lines.push((place, line)),
            _ => {}
        }
    }
    steps_of(lines.into_iter())
}

/// Commands, with the lines that a `\` at the end of one goes on with, and what follows each of them.
fn steps_of<'a>(lines: impl Iterator<Item = (usize, &'a str)>) -> Vec<Step> {
    let mut steps: Vec<Step> = Vec::new();
    for (place, line) in lines {
        match (line.strip_prefix("$ "), steps.last_mut()) {
            (Some(command), _) => {
                steps.push(Step { line: place + 1, command: command.to_owned(), expected: Vec::new() });
            }
            (None, Some(step)) if step.command.ends_with('\\') && step.expected.is_empty() => {
                step.command.push('\n');
                step.command.push_str(line);
            }
            (None, Some(step)) => step.expected.push(line.trim_end().to_owned()),
            (None, None) => {}
        }
    }
    steps
}

fn lines_match(expected: &[String], printed: &[&str]) -> bool {
    match (expected.split_first(), printed.split_first()) {
        (None, rest) => rest.is_none(),
        (Some((first, rest)), _) if first == ELLIPSIS => {
            (0..=printed.len()).any(|skipped| lines_match(rest, &printed[skipped..]))
        }
        (Some((first, rest)), Some((line, others))) => line_matches(first, line) && lines_match(rest, others),
        (Some(_), None) => false,
    }
}

fn line_matches(expected: &str, printed: &str) -> bool {
    match expected.split_once(ELLIPSIS) {
        None => expected == printed,
        Some((before, after)) => printed.strip_prefix(before).is_some_and(|rest| {
            rest.char_indices().map(|(at, _)| at).chain([rest.len()]).any(|at| line_matches(after, &rest[at..]))
        }),
    }
}

/// Both sides, without the lines at either end on which they agree.
fn difference(step: &Step, printed: &[&str]) -> String {
    let agree = |(expected, printed): &(&String, &&str)| line_matches(expected, printed);
    let same = step.expected.iter().zip(printed).take_while(agree).count();
    let (expected, printed) = (&step.expected[same..], &printed[same..]);
    let tail = expected.iter().rev().zip(printed.iter().rev()).take_while(agree).count();
    let mut text = format!("README.md:{}: $ {}\n", step.line, step.command);
    for line in &expected[..expected.len() - tail] {
        text.push_str(&format!("  - {line}\n"));
    }
    for line in &printed[..printed.len() - tail] {
        text.push_str(&format!("  + {line}\n"));
    }
    text
}
