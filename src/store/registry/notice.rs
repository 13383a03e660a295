//! What a registry wants people to know: `Warning` headers.
//!
//! Source: distribution-spec 1.1, "Warnings": `299 - "text"`, to be shown, and never acted on.

use std::collections::BTreeSet;
use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};

use reqwest::header::{HeaderMap, WARNING};

use super::error::clean;
use super::secrets::Secrets;

/// Different texts that are shown; a registry that says more says nothing.
const MOST: usize = 8;

/// Who is told. The default is nobody.
#[derive(Clone, Default)]
pub struct Notices(Option<Arc<Listener>>);

struct Listener {
    tell: Box<dyn Fn(&str) + Send + Sync>,
    told: Mutex<BTreeSet<String>>,
}

impl fmt::Debug for Notices {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("Notices(…)")
    }
}

impl Notices {
    /// Tells each text once, with the place that it is about and without control characters.
    pub fn to(tell: impl Fn(&str) + Send + Sync + 'static) -> Self {
        Self(Some(Arc::new(Listener { tell: Box::new(tell), told: Mutex::default() })))
    }

    /// Reads the headers of an answer.
    pub(super) fn take(&self, place: &str, headers: &HeaderMap, secrets: &Secrets) {
        let Some(listener) = &self.0 else { return };
        for text in headers.get_all(WARNING).iter().filter_map(|value| read(value.to_str().ok()?)) {
            let text = format!("{place} says: {}", clean(&secrets.hide(&text)));
            let mut told = listener.told.lock().unwrap_or_else(PoisonError::into_inner);
            if told.len() < MOST && told.insert(text.clone()) {
                (listener.tell)(&text);
            }
        }
    }
}

/// The text of one warning; `None` for those that are not for people to see.
fn read(value: &str) -> Option<String> {
    let (agent, quoted) = value.trim().strip_prefix("299 ")?.split_once(' ')?;
    let text = quoted.trim().strip_prefix('"')?.strip_suffix('"')?.replace("\\\"", "\"");
    (!agent.is_empty() && !text.is_empty()).then_some(text)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_warning_is_told_once_and_others_not_at_all() {
        let told = Arc::new(Mutex::new(Vec::new()));
        let seen = Arc::clone(&told);
        let notices = Notices::to(move |text: &str| seen.lock().unwrap().push(text.to_owned()));
        let mut headers = HeaderMap::new();
        for value in
            ["299 - \"going \\\"soon\\\"\"", "299 - \"going \\\"soon\\\"\"", "199 - \"old\"", "299 -", "299 - \"\""]
        {
            headers.append(WARNING, value.parse().unwrap());
        }
        notices.take("registry.example/app", &headers, &Secrets::default());
        notices.take("registry.example/app", &headers, &Secrets::default());
        assert_eq!(*told.lock().unwrap(), ["registry.example/app says: going \"soon\""]);
        for number in 0..100 {
            let value = format!("299 - \"{number}\"").parse().unwrap();
            notices.take("registry.example/app", &HeaderMap::from_iter([(WARNING, value)]), &Secrets::default());
        }
        assert_eq!(told.lock().unwrap().len(), MOST);
    }
}
