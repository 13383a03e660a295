//! `verify` for people.

use std::fmt::Write;

use super::{chain, clean, count, headline, signer, some_of, title};
use crate::digest::Digest;
use crate::report::verify::{AttestationEntry, LookedIn, RequirementEntry, VerdictWord, VerifyReport};

/// `verify` for people. The last line is `accepted`, `refused…` or `undecided…`.
pub fn human_verify(report: &VerifyReport) -> String {
    let mut text = headline(&report.image, &report.platforms);
    if let Some(policy) = &report.policy {
        let _ = write!(text, "\npolicy {} ({})", clean(&policy.name), policy.digest.short());
    }
    if let Some(platform) = &report.narrowed_to {
        let _ = write!(text, "\nonly {} was looked at (--platform)", clean(platform));
    }
    text.push_str("\n\n");
    for requirement in &report.requirements {
        match requirement.code {
            None => met(&mut text, requirement, report),
            Some(code) => unmet(&mut text, requirement, code.as_str()),
        }
    }
    if report.verdict != VerdictWord::Accepted {
        let _ = writeln!(text, "\n  looked in     {}", looked_in(&report.looked_in));
    }
    let unchecked: Vec<&str> = report.unchecked.iter().map(|code| code.as_str()).collect();
    if !unchecked.is_empty() {
        let _ = writeln!(text, "\n  not checked: {}", unchecked.join(", "));
    }
    let open = report.requirements.iter().filter(|entry| entry.code.is_some()).count();
    let of = report.requirements.len();
    let _ = match report.verdict {
        VerdictWord::Accepted => writeln!(text, "\naccepted"),
        VerdictWord::Refused => writeln!(text, "\nrefused: {open} of {of} demands unmet"),
        VerdictWord::Undecided => {
            writeln!(text, "\nundecided: {open} of {of} demands unmet, and some evidence could not be read")
        }
    };
    text
}

/// What there was, and where there was nothing: who misses evidence sees whether the right places were asked.
fn looked_in(looked: &LookedIn) -> String {
    let listed = count(looked.listings, "manifest", "manifests");
    let mut places = vec![
        count(looked.attestation_manifests, "attestation manifest", "attestation manifests"),
        format!("{} of {listed}", count(looked.referrers, "referrer", "referrers")),
    ];
    if looked.tags_asked > 0 {
        places.push(format!("{} of {} tags", looked.tags, looked.tags_asked));
    }
    if looked.files > 0 {
        places.push(count(looked.files, "file", "files"));
    }
    places.join(", ")
}

fn met(text: &mut String, requirement: &RequirementEntry, report: &VerifyReport) {
    let used: Vec<&AttestationEntry> =
        requirement.attestations.iter().filter_map(|place| report.attestations.get(*place)).collect();
    if used.is_empty() {
        let signatures = requirement.signatures.iter().filter_map(|place| report.signatures.get(*place));
        for (place, signature) in signatures.enumerate() {
            let wanted = format!("{}, {}", clean(&requirement.wanted), clean(&some_of(&signature.covers)));
            headed(text, requirement, place, &wanted);
            let who: Vec<String> = signature.signers.iter().map(signer).collect();
            let _ = writeln!(text, "{:24}signed by {}", "", who.join(", "));
            chain::write(text, &signature.chain);
        }
        return;
    }
    for (place, entry) in used.into_iter().enumerate() {
        let what = format!("{}, {}", title(Some(&entry.predicate_type)), clean(&some_of(&entry.covers)));
        headed(text, requirement, place, &what);
        let who: Vec<String> = entry.signers.iter().map(signer).collect();
        let _ = writeln!(text, "{:24}signed by {}", "", who.join(", "));
        let seen: Vec<&str> = entry.seen.iter().map(|seen| seen.as_str()).collect();
        if entry.through.is_some() || seen.len() > 1 {
            let _ = writeln!(text, "{:24}kept as {}: {}", "", seen.join(" and "), entry.manifest.short());
        }
        chain::write(text, &entry.chain);
    }
}

/// The first piece of evidence for a demand stands beside its name, the others below it.
fn headed(text: &mut String, requirement: &RequirementEntry, place: usize, what: &str) {
    let label = if place == 0 { format!("✓ {:<19}", clean(&requirement.id)) } else { " ".repeat(21) };
    let _ = writeln!(text, "  {label} {what}");
}

fn unmet(text: &mut String, requirement: &RequirementEntry, code: &str) {
    let message = requirement.message.as_deref().unwrap_or_default();
    let _ = writeln!(text, "  ✗ {:<19} {}", clean(&requirement.id), clean(message));
    let _ = writeln!(text, "      {:<14}{code}", "code");
    for (place, candidate) in requirement.candidates.iter().take(3).enumerate() {
        let label = if place == 0 { "nearest miss" } else { "also seen" };
        let at = Digest::parse(&candidate.place).map_or_else(|_| clean(&candidate.place), |digest| digest.short());
        let _ = writeln!(text, "      {label:<14}{} {at}: {}", candidate.layout, candidate.failed_check);
        let _ = writeln!(text, "      {:<14}{}", "", clean(&candidate.message));
        for (label, value) in [("wanted", &candidate.expected), ("got", &candidate.got)] {
            if let Some(value) = value {
                let _ = writeln!(text, "      {:<14}{label:<7} {}", "", clean(value));
            }
        }
    }
    let more = requirement.candidates.len().saturating_sub(3);
    if more > 0 {
        let _ = writeln!(text, "      {:<14}and {more} more in --output json", "");
    }
    if let Some(hint) = &requirement.hint {
        let _ = writeln!(text, "      {:<14}{}", "fix", clean(hint));
    }
}
