//! What was sent to sign in, so that no answer which repeats it is printed with it.

use std::sync::{Mutex, MutexGuard, PoisonError};

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use reqwest::header::HeaderValue;
use zeroize::Zeroizing;

/// Below it a secret is no secret, and hiding it would tell it from the holes in the text.
const SHORTEST: usize = 4;
/// Tokens are renewed every few minutes; what is longer ago than so many has run out.
const MOST: usize = 64;

/// Tokens and passwords that were sent. Prints nothing and is cleared when dropped.
#[derive(Default)]
pub(super) struct Secrets(Mutex<Vec<Zeroizing<String>>>);

impl Secrets {
    /// Remembers the value of an `Authorization` header, and the password in one of HTTP Basic.
    pub(super) fn remember_header(&self, value: &HeaderValue) {
        let Some((_, sent)) = value.to_str().ok().and_then(|value| value.split_once(' ')) else { return };
        self.remember(sent);
        let pair = STANDARD.decode(sent).ok().map(Zeroizing::new);
        let pair = pair.as_ref().and_then(|pair| std::str::from_utf8(pair).ok());
        if let Some((_, password)) = pair.and_then(|pair| pair.split_once(':')) {
            self.remember(password);
        }
    }

    /// Remembers a secret.
    pub(super) fn remember(&self, secret: &str) {
        let mut known = self.known();
        if secret.len() < SHORTEST || known.iter().any(|one| one.as_str() == secret) {
            return;
        }
        if known.len() >= MOST {
            known.remove(0);
        }
        known.push(Zeroizing::new(secret.to_owned()));
    }

    /// Foreign text without the secrets. To be called before the text is cut: half a secret is not found any more.
    pub(super) fn hide(&self, text: &str) -> String {
        self.known().iter().fold(text.to_owned(), |text, secret| match text.contains(secret.as_str()) {
            true => text.replace(secret.as_str(), "…"),
            false => text,
        })
    }

    fn known(&self) -> MutexGuard<'_, Vec<Zeroizing<String>>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_sent_is_hidden_in_all_its_forms() {
        let secrets = Secrets::default();
        // `bmFtZTpwYXNzOndvcmQ=` is `name:pass:word`.
        secrets.remember_header(&HeaderValue::from_static("Basic bmFtZTpwYXNzOndvcmQ="));
        secrets.remember_header(&HeaderValue::from_static("Bearer abc.def"));
        secrets.remember("an-identity");
        secrets.remember("a");
        let said = "a name bmFtZTpwYXNzOndvcmQ= pass:word abc.def, an-identity";
        assert_eq!(secrets.hide(said), "a name … … …, …");
    }

    #[test]
    fn secrets_of_long_ago_make_room() {
        let secrets = Secrets::default();
        for number in 0..1000 {
            secrets.remember(&format!("token-{number}"));
            secrets.remember("token-999");
        }
        let known = secrets.known().len();
        assert_eq!((known, secrets.hide("token-999").as_str()), (MOST, "…"));
    }
}
