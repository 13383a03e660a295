//! What a registry says when it says no, made fit for people.

use reqwest::{StatusCode, Url};

use super::secrets::Secrets;
use crate::foreign::is_disruptive;

/// Bytes of an error body that are read; the rest is dropped.
pub(super) const ERROR_BODY_BYTES: u64 = 64 << 10;
/// Characters of foreign text that go into a message.
const TEXT_LENGTH: usize = 500;

/// Foreign text without characters that move the cursor, ring bells or turn the direction of writing.
pub(super) fn clean(text: &str) -> String {
    let mut cleaned: String = text
        .chars()
        .take(TEXT_LENGTH)
        .map(|character| if is_disruptive(character) { ' ' } else { character })
        .collect();
    if text.chars().nth(TEXT_LENGTH).is_some() {
        cleaned.push('…');
    }
    cleaned.trim().to_owned()
}

/// An address without what may be secret in it: query (signed storage addresses) and password.
pub(super) fn display_url(url: &Url) -> String {
    let port = url.port().map(|port| format!(":{port}")).unwrap_or_default();
    clean(&format!("{}://{}{port}{}", url.scheme(), url.host_str().unwrap_or_default(), url.path()))
}

/// An error and what caused it, in one line.
pub(super) fn explain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(cause) = source {
        let cause_text = cause.to_string();
        if !text.ends_with(&cause_text) {
            text.push_str(": ");
            text.push_str(&cause_text);
        }
        source = cause.source();
    }
    clean(&text)
}

/// What an error body says, or the status alone. Registries that repeat what they were sent exist.
///
/// Source: distribution-spec 1.1, "Error Codes": a JSON body is common but not demanded.
pub(super) fn describe(status: StatusCode, body: &[u8], secrets: &Secrets) -> String {
    #[derive(serde::Deserialize)]
    struct Body {
        #[serde(default)]
        errors: Vec<Entry>,
    }
    #[derive(serde::Deserialize)]
    struct Entry {
        #[serde(default)]
        code: String,
        #[serde(default)]
        message: Option<String>,
    }
    let entries = serde_json::from_slice::<Body>(body).map(|body| body.errors).unwrap_or_default();
    let said: Vec<String> = entries
        .iter()
        .take(3)
        .map(|entry| match entry.message.as_deref() {
            Some(message) if !message.is_empty() => format!("{}: {message}", entry.code),
            _ => entry.code.clone(),
        })
        .collect();
    let said = clean(&secrets.hide(&said.join("; ")));
    if said.is_empty() { status.to_string() } else { format!("{} ({said})", status.as_u16()) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_error_body_of_the_specification_is_shown_without_control_characters() {
        let body = br#"{"errors":[{"code":"DENIED","message":"no\u001b[31m\u202e way"},{"code":"X"}]}"#;
        assert_eq!(describe(StatusCode::FORBIDDEN, body, &Secrets::default()), "403 (DENIED: no [31m  way; X)");
    }

    #[test]
    fn any_other_error_body_is_not_shown() {
        for body in [&b"<html>secret</html>"[..], b"", b"{}", b"{\"errors\":3}", b"[]"] {
            assert_eq!(describe(StatusCode::BAD_GATEWAY, body, &Secrets::default()), "502 Bad Gateway");
        }
    }

    #[test]
    fn an_address_is_shown_without_its_query_and_password() {
        let url = Url::parse("https://user:word@registry.example:5000/v2/x?signature=abc#d").unwrap();
        assert_eq!(display_url(&url), "https://registry.example:5000/v2/x");
    }
}
