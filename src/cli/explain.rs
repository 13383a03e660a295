//! The one place that words errors for people: what, where, why, what to do next, and the exit code.

use std::fmt::Write as _;
use std::panic::PanicHookInfo;

use super::Exit;
use super::error::CliError;
use super::ui::Ui;
use crate::attach::AttachError;
use crate::code::Code;
use crate::crypto::KeyError;
use crate::foreign::one_line as clean;
use crate::job::JobError;
use crate::predicate::{Family, PredicateError};
use crate::signer::KeyFileError;
use crate::store::StoreError;

/// An error in words.
struct Explanation {
    /// Facts, as label and value.
    facts: Vec<(&'static str, String)>,
    /// A list, a line each.
    lines: Vec<String>,
    /// Why it is so.
    why: Option<String>,
    /// What to do next.
    hint: Option<String>,
}

impl Explanation {
    const fn new() -> Self {
        Self { facts: Vec::new(), lines: Vec::new(), why: None, hint: None }
    }

    fn fact(mut self, label: &'static str, value: impl ToString) -> Self {
        self.facts.push((label, value.to_string()));
        self
    }

    fn why(mut self, text: impl Into<String>) -> Self {
        self.why = Some(text.into());
        self
    }

    fn hint(mut self, text: impl Into<String>) -> Self {
        self.hint = Some(text.into());
        self
    }
}

/// Prints an error and gives its exit code.
pub(super) fn report(error: &CliError, ui: &Ui) -> Exit {
    ui.error(&render(error));
    exit_of(error)
}

/// The text of an error: one coded line, facts, why, hint.
fn render(error: &CliError) -> String {
    let code = error.code();
    let explanation = explain(error);
    let mut text = format!("error[{code}]: {}\n", headline(error));
    let width = explanation.facts.iter().map(|(label, _)| label.len() + 1).max().unwrap_or(0).max(4);
    for (label, value) in &explanation.facts {
        let label = format!("{label}:");
        let _ = writeln!(text, "  {label:<width$} {}", clean(value));
    }
    for line in &explanation.lines {
        let _ = writeln!(text, "    {}", clean(line));
    }
    if let Some(why) = &explanation.why {
        let _ = writeln!(text, "  {:<width$} {}", "why:", clean(why));
    }
    if let Some(hint) = &explanation.hint {
        let _ = writeln!(text, "\nhint: {}", clean(hint));
    }
    text
}

fn headline(error: &CliError) -> String {
    match error {
        CliError::Arguments { message, .. } => clean(message),
        CliError::Job(JobError::Store(StoreError::Io { cause, .. })) if is_full(cause) => {
            Code::StorageFull.summary().to_owned()
        }
        CliError::Policy { error, .. } => match error.problems.len() {
            1 => "the policy file has an error".to_owned(),
            number => format!("the policy file has {number} errors"),
        },
        CliError::Platform(error) => format!("not a platform: {}", clean(&error.text)),
        CliError::Demo { step, .. } => format!("the demo did not come out as it must, at `{step}`"),
        other => other.code().summary().to_owned(),
    }
}

fn is_full(error: &std::io::Error) -> bool {
    error.kind() == std::io::ErrorKind::StorageFull
}

fn exit_of(error: &CliError) -> Exit {
    match error {
        CliError::NoPolicyForImage { .. } => Exit::No,
        CliError::Predicate { error: PredicateError::Unreadable(_), .. } => Exit::Undecided,
        CliError::Predicate { .. } => Exit::No,
        CliError::Arguments { .. }
        | CliError::Reference { .. }
        | CliError::Platform(_)
        | CliError::PredicateType(_)
        | CliError::Policy { .. }
        | CliError::EvidenceFile { .. }
        | CliError::Unreadable { .. } => Exit::AskedWrongly,
        CliError::Key(KeyFileError::Unwritable { .. }) => Exit::Undecided,
        CliError::Key(_) | CliError::PolicyKey { .. } => Exit::AskedWrongly,
        CliError::FileTooLarge { .. } => Exit::No,
        CliError::Unwritable { .. } | CliError::Output(_) => Exit::Undecided,
        CliError::Demo { .. } => Exit::Bug,
        CliError::Job(error) => exit_of_job(error),
    }
}

fn exit_of_job(error: &JobError) -> Exit {
    match error {
        JobError::Store(
            StoreError::Ambiguous { .. }
            | StoreError::Offline { .. }
            | StoreError::ReadOnly { .. }
            | StoreError::TlsFile { .. },
        )
        | JobError::Attach(AttachError::PlatformNeeded | AttachError::NoSuchPlatform { .. }) => Exit::AskedWrongly,
        JobError::LeftBehind { cause, .. } => exit_of_job(cause),
        JobError::Attach(AttachError::DocumentUnfit { .. } | AttachError::InsideNestedIndex { .. }) => {
            Exit::AskedWrongly
        }
        JobError::Attach(
            AttachError::AttestationManifestSigned { .. } | AttachError::UnsignedStatementsPresent { .. },
        )
        | JobError::Unconvertible { .. }
        | JobError::SelectionAbsent { .. }
        | JobError::Bundle(_)
        | JobError::Attached(_)
        | JobError::BundleSubject { .. }
        | JobError::TypeAbsent { .. } => Exit::No,
        JobError::SelfCheck(_) => Exit::Bug,
        JobError::Store(_)
        | JobError::Attach(_)
        | JobError::EntryLost { .. }
        | JobError::ImageReplaced { .. }
        | JobError::Content(_)
        | JobError::Manifest(_)
        | JobError::Signing(_) => Exit::Undecided,
    }
}

fn explain(error: &CliError) -> Explanation {
    let new = Explanation::new;
    match error {
        CliError::Arguments { hint, .. } => Explanation { hint: hint.clone(), ..new() },
        CliError::Reference { text, error } => new()
            .fact("reference", text)
            .why(error.to_string())
            .hint("write registry.example/team/app:1.2, or oci:DIR:TAG for a layout folder"),
        CliError::Platform(_) => new().hint("write os/architecture[/variant]: linux/amd64, linux/arm/v7"),
        CliError::PredicateType(error) => unknown_type(error),
        CliError::Predicate { path, error } => {
            new().fact("file", path).why(error.to_string()).hint("nothing was signed; check the file and --type")
        }
        CliError::Key(error) => explain_key(error),
        CliError::PolicyKey { policy, error } => {
            let explanation = explain_key(error).fact("policy", policy);
            match explanation.hint {
                Some(_) => explanation,
                None => explanation.hint("paths in a policy are relative to the folder of the policy file"),
            }
        }
        CliError::Policy { path, error } => {
            let lines = error.problems.iter().map(|problem| problem_line(path, problem)).collect();
            Explanation { lines, ..new().fact("problems", "") }
        }
        CliError::NoPolicyForImage { image, policy } => new()
            .fact("image", image)
            .fact("policy", policy)
            .why("an image that no entry matches is refused, never let through")
            .hint("add an entry under `images` whose `match` covers it"),
        CliError::Unreadable { path, error } => {
            new().fact("file", path).why(error.to_string()).hint("check the path and its permissions")
        }
        CliError::EvidenceFile { path, error } => new()
            .fact("file", clean(path))
            .why(error.to_string())
            .hint("give a bundle, an envelope, a statement, one of them a line, or what GitHub's API answered"),
        CliError::FileTooLarge { path, limit } => new()
            .fact("file", path)
            .fact("bound", format!("{limit} bytes"))
            .hint("check that it is the right file; nothing was written"),
        CliError::Unwritable { path, error } => {
            new().fact("file", path).why(error.to_string()).hint("nothing was written")
        }
        CliError::Output(error) => new().why(error.to_string()).hint("check where standard output goes"),
        CliError::Demo { detail, .. } => new().why(detail.clone()).hint("this is a bug in attestry, please report it"),
        CliError::Job(error) => explain_job(error),
    }
}

fn problem_line(path: &str, problem: &crate::policy::Problem) -> String {
    let hint = problem.hint.as_ref().map(|hint| format!(" ({hint})")).unwrap_or_default();
    format!("{path}:{}:{}: {}{hint}", problem.line, problem.column, problem.message)
}

fn unknown_type(error: &PredicateError) -> Explanation {
    let names = Family::short_names().collect::<Vec<_>>().join(", ");
    match error {
        PredicateError::UnknownType { text, similar } => {
            let explanation = Explanation::new().fact("type", text);
            match similar {
                Some(name) => explanation.hint(format!("did you mean {name}?")),
                None => explanation.hint(format!("use a URI, or one of {names}")),
            }
        }
        other => Explanation::new().why(other.to_string()),
    }
}

fn explain_key(error: &KeyFileError) -> Explanation {
    let explanation = Explanation::new().why(error.to_string());
    match error {
        KeyFileError::Key { error: KeyError::PasswordMissing, .. } => {
            explanation.hint("set ATTESTRY_PASSWORD, or run it on a terminal to be asked")
        }
        KeyFileError::Key { error: KeyError::PasswordWrong, .. } => {
            explanation.hint("check ATTESTRY_PASSWORD; an empty value means an empty password")
        }
        KeyFileError::Key { error: KeyError::PrivateKeyGiven { .. }, .. } => {
            explanation.hint("give the public key; keygen wrote it beside the private one, as PREFIX.pub")
        }
        KeyFileError::Key { error: KeyError::PublicKeyGiven { .. }, .. } => {
            explanation.hint("give the private key, PREFIX.key")
        }
        KeyFileError::FileExists { .. } => explanation.hint("choose another --prefix; keys are never overwritten"),
        KeyFileError::Unwritable { source, .. } | KeyFileError::Unreadable { source, .. } => {
            let text = format!("{error}: {source}");
            Explanation { why: Some(text), ..explanation }.hint("check the path and its permissions")
        }
        KeyFileError::Key { error: KeyError::CertificateGiven, .. } => {
            explanation.hint("take the key out of it: openssl x509 -in FILE -pubkey -noout")
        }
        KeyFileError::Key { error: KeyError::LegacyEncryption, .. } => {
            explanation.hint("convert it: openssl pkcs8 -topk8 -in OLD -out NEW")
        }
        _ => explanation.hint("give one PEM file, such as PREFIX.key or PREFIX.pub that keygen writes"),
    }
}

fn explain_job(error: &JobError) -> Explanation {
    let explanation = Explanation::new();
    match error {
        JobError::Store(error) => explain_store(error),
        JobError::Attach(error) => explain_attach(error),
        JobError::BundleSubject { image, about } => {
            let named: Vec<String> = about.iter().map(ToString::to_string).collect();
            explanation
                .fact("image", image)
                .fact(
                    "bundle",
                    format!("about {}", if named.is_empty() { "nothing".to_owned() } else { named.join(", ") }),
                )
                .why("a statement counts only for the digests in its subject list (in-toto Statement v1)")
                .hint("attach it to the image that it is about; nothing was written")
        }
        JobError::EntryLost { place, entries } => {
            let entries: Vec<String> = entries.iter().map(ToString::to_string).collect();
            explanation
                .fact("place", place)
                .fact("lost", entries.join(", "))
                .why("somebody else keeps writing the same tag, and the store does not tell writers of each other")
                .hint("run the command again when nobody else writes; --layout referrer needs no shared tag")
        }
        JobError::LeftBehind { cause, manifests } => {
            let manifests: Vec<String> = manifests.iter().map(ToString::to_string).collect();
            explain_job(cause).fact("left", format!("{}, listed as referrers", manifests.join(", ")))
        }
        JobError::Unconvertible { documents } => {
            let lines = documents.iter().map(|(digest, reason)| format!("{digest}: {reason}")).collect();
            Explanation { lines, ..explanation.fact("documents", documents.len()) }
                .hint("choose others with --type or --select; nothing was written")
        }
        JobError::SelectionAbsent { image, wanted, has } => {
            let wanted: Vec<String> = wanted.iter().map(ToString::to_string).collect();
            let lines = has.iter().map(|(document, manifest)| format!("{document} in {manifest}")).collect();
            Explanation { lines, ..explanation.fact("wanted", wanted.join(", ")).fact("attached", has.len()) }
                .hint(format!("see what they are: attestry list {image}; nothing was changed"))
        }
        JobError::TypeAbsent { image, wanted, has } => {
            let has = if has.is_empty() { "nothing".to_owned() } else { has.join(", ") };
            let explanation = explanation.fact("image", image).fact("wanted", wanted).fact("attached", has);
            explanation.hint(format!("see everything that is attached: attestry list {image}"))
        }
        JobError::SelfCheck(error) => explanation
            .why(error.to_string())
            .hint("nothing was written; this is a bug in attestry or a broken machine, please report it"),
        JobError::Bundle(_) => explanation
            .why(error.to_string())
            .hint("give a Sigstore bundle, as `attestry sign-blob` writes it; nothing was written"),
        other => explanation.why(other.to_string()).hint("nothing was written"),
    }
}

fn explain_store(error: &StoreError) -> Explanation {
    let explanation = Explanation::new();
    match error {
        StoreError::NotFound { place, what } => explanation
            .fact("place", place)
            .fact("missing", what)
            .hint(format!("see what is there, or check the spelling of {place}")),
        StoreError::EvidenceOnly { place, about } => {
            let about: Vec<String> = about.iter().map(ToString::to_string).collect();
            explanation
                .fact("place", place)
                .fact("about", about.join(", "))
                .why("the place keeps evidence about images that are somewhere else")
                .hint(format!("name the image, and the place beside it: IMAGE --referrers-from {place}"))
        }
        StoreError::Ambiguous { place, tags } => {
            explanation.fact("place", place).fact("images", tags.join(", ")).hint("name one of them")
        }
        StoreError::NotALayout { .. }
        | StoreError::Archive { .. }
        | StoreError::UnsafeEntry { .. }
        | StoreError::TooMuch { .. }
        | StoreError::ReadOnly { .. } => explain_archive(error),
        StoreError::Content { .. } | StoreError::Manifest { .. } => explanation
            .why(error.to_string())
            .hint("the store gave other bytes than it promised; nothing that they say was used"),
        StoreError::Io { action, path, cause } => {
            let hint = if is_full(cause) { "make room and run it again" } else { "check the path and its permissions" };
            explanation
                .fact("file", path)
                .why(format!("{action} failed: {cause}"))
                .hint(format!("{hint}; nothing was half-written"))
        }
        other => explain_registry(other),
    }
}

/// What only registries say.
fn explain_registry(error: &StoreError) -> Explanation {
    let explanation = Explanation::new();
    match error {
        StoreError::Denied { place, what, detail, credentials } => explanation
            .fact("place", place)
            .fact("wanted", what)
            .fact("answer", detail)
            .fact("sign-in", credentials)
            .hint("sign in with `docker login` or `podman login`, whose credential files are read"),
        StoreError::EntryLost { place, tag, entry, writes } => explanation
            .fact("place", place)
            .fact("tag", tag)
            .fact("entry", entry)
            .why(match writes {
                0 => "other writers came first every time".to_owned(),
                writes => format!("it was written into the list {writes} times, and others wrote lists without it"),
            })
            .hint("run the command again when the others are done; what was written is there by its digest, and not found by the image's"),
        StoreError::TlsFile { path, detail } => explanation
            .fact("file", path)
            .why(detail.clone())
            .hint("give PEM files: certificates, and for a client certificate its key, not encrypted; nothing was sent"),
        StoreError::Unavailable { place, detail } | StoreError::Protocol { place, detail } => explanation
            .fact("place", place)
            .why(detail.clone())
            .hint("check the address and the network; nothing was decided"),
        StoreError::Offline { place } => {
            explanation.fact("place", place).hint("leave --offline away, or use a layout folder")
        }
        other => explain_write(other),
    }
}

/// What only a writer meets.
fn explain_write(error: &StoreError) -> Explanation {
    let explanation = Explanation::new();
    match error {
        StoreError::Locked { place } => explanation
            .fact("place", place)
            .why("two writers at once would lose an entry")
            .hint("nothing was written; try again when the other process is done"),
        StoreError::TagMoved { place, tag, actual } => explanation
            .fact("place", place)
            .fact("tag", tag)
            .fact("now", actual)
            .why("somebody moved it since it was read; moving it now would undo that")
            .hint("run the command again; the tag still names what the other one wrote"),
        StoreError::DeleteUnsupported { place, what, detail } => explanation
            .fact("place", place)
            .fact("wanted", format!("to delete {what}"))
            .fact("answer", detail)
            .why("whoever runs a registry decides whether it deletes")
            .hint("have deletion enabled there (docker-registry: REGISTRY_STORAGE_DELETE_ENABLED=true), or delete it in its own interface"),
        StoreError::ReferrersTag { .. } => {
            explanation.why(error.to_string()).hint("move or delete that tag; nothing was listed under it")
        }
        other => explanation.why(other.to_string()),
    }
}

/// Folders and archives that are not what they should be.
fn explain_archive(error: &StoreError) -> Explanation {
    let explanation = Explanation::new();
    match error {
        StoreError::NotALayout { place, detail } => explanation
            .fact("folder", place)
            .why(detail.clone())
            .hint("an OCI image layout has the files oci-layout and index.json"),
        StoreError::Archive { place, detail } => explanation
            .fact("archive", place)
            .why(detail.clone())
            .hint("make it anew with the program that wrote it; nothing was unpacked"),
        StoreError::UnsafeEntry { place, entry, detail } => explanation
            .fact("archive", place)
            .fact("entry", entry)
            .why(detail.clone())
            .hint("do not unpack it: ask whoever made it; nothing was unpacked"),
        StoreError::TooMuch { place, detail } => explanation
            .fact("place", place)
            .why(detail.clone())
            .hint("if you trust it, unpack it and name the folder; nothing was kept"),
        StoreError::ReadOnly { place } => explanation
            .fact("place", place)
            .why("archives and exported files are read, never written")
            .hint("unpack it: mkdir DIR && tar -xf FILE -C DIR, then oci:DIR; nothing was written"),
        other => explanation.why(other.to_string()),
    }
}

fn explain_attach(error: &AttachError) -> Explanation {
    let explanation = Explanation::new();
    match error {
        AttachError::PlatformNeeded => explanation
            .why("adding it would change the digest that it is about")
            .hint("use --platform or --each-platform, or --layout referrer"),
        AttachError::AttestationManifestSigned { manifest } => explanation
            .fact("manifest", manifest)
            .why("a layer more or less would change its digest, and what signs it would no longer be about it")
            .hint("attest with --layout referrer, convert with --to referrer, detach with --select of what signs it too; nothing was \
             written"),
        AttachError::UnsignedStatementsPresent { manifest, statements } => {
            let lines = statements.iter().map(ToString::to_string).collect();
            Explanation { lines, ..explanation.fact("manifest", manifest).fact("statements", statements.len()) }
                .why("a signature over the manifest would make them count as if the signer had written them")
                .hint("read them, and name each that is right with --vouch DIGEST; nothing was written")
        }
        AttachError::EvidenceTagInvalid { tag } => explanation
            .fact("tag", tag)
            .why("signatures and attestations under a tag are the layers of one manifest, and this is an index or an image")
            .hint("move or delete that tag, or choose the layout referrer; nothing was written"),
        AttachError::KeptWithoutTag { manifest } => explanation
            .fact("manifest", manifest)
            .why("in a folder that `cosign save` wrote, evidence has no tag that could be changed")
            .hint("load the folder into a registry (cosign load --dir DIR IMAGE) and detach it there; nothing was changed"),
        AttachError::InsideNestedIndex { manifest } => explanation
            .fact("manifest", manifest)
            .why("taking it out changes the inner index, and with it the outer one")
            .hint("name the inner index by its digest; nothing was changed"),
        AttachError::DocumentUnfit { layout, what } => explanation
            .fact("layout", layout)
            .why(format!("it does not hold {what}"))
            .hint("choose another layout; nothing was written"),
        AttachError::NoSuchPlatform { wanted, has } => {
            explanation.fact("wanted", wanted).fact("has", has.join(", ")).hint("choose one of the platforms it has")
        }
        other => explanation.why(other.to_string()),
    }
}

/// What a panic says: that it is our bug, and what to send.
pub(super) fn panicked(information: &PanicHookInfo<'_>) {
    use std::io::Write as _;
    let place = information.location().map(ToString::to_string).unwrap_or_default();
    let payload = information.payload();
    let message = payload.downcast_ref::<&str>().map(|text| (*text).to_owned());
    let message = message.or_else(|| payload.downcast_ref::<String>().cloned()).unwrap_or_default();
    let _ = writeln!(
        std::io::stderr().lock(),
        "error[{}]: this is a bug in attestry, please report it\n  what:    {}\n  where:   {place}\n  version: {}\n\nhint: \
         send these lines, the command and, if you can, the document that it read",
        Code::Internal,
        clean(&message),
        env!("CARGO_PKG_VERSION")
    );
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_full_disk_says_so_and_exits_3() {
        let cause = std::io::ErrorKind::StorageFull.into();
        let error = StoreError::Io { action: "writing", path: "blobs/x".to_owned(), cause };
        let error = CliError::Job(JobError::Store(error));
        assert_eq!(exit_of(&error), Exit::Undecided);
        let text = render(&error);
        assert!(text.starts_with("error[storage-full]: there is no space left\n"), "{text}");
        assert!(text.contains("nothing was half-written"), "{text}");
    }

    #[test]
    fn foreign_text_does_not_begin_a_line_of_its_own() {
        let has = vec!["https://example.com/x\n\nhint: all is well".to_owned()];
        let error = JobError::TypeAbsent { image: "x".to_owned(), wanted: "spdx".to_owned(), has };
        assert!(!render(&CliError::Job(error)).contains("\nhint: all is well"));
    }

    #[test]
    fn control_characters_of_foreign_text_are_not_printed() {
        let error = CliError::Arguments { message: "a\u{1b}[2Jb".to_owned(), hint: None };
        assert!(!render(&error).contains('\u{1b}'));
    }
}
