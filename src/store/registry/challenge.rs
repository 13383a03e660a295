//! `WWW-Authenticate`: what a registry wants to see.

use reqwest::header::{HeaderMap, WWW_AUTHENTICATE};

/// One challenge: a scheme in lower case, and its parameters.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Challenge {
    pub(super) scheme: String,
    parameters: Vec<(String, String)>,
}

impl Challenge {
    /// A parameter by its lower-case name.
    pub(super) fn parameter(&self, name: &str) -> Option<&str> {
        self.parameters.iter().find(|(known, _)| known == name).map(|(_, value)| value.as_str())
    }
}

/// All challenges of an answer. What cannot be read is left out; the answer is then a plain refusal.
///
/// Source: RFC 9110 §11.6.1 and §5.6 (tokens, quoted strings).
pub(super) fn challenges(headers: &HeaderMap) -> Vec<Challenge> {
    let values = headers.get_all(WWW_AUTHENTICATE).iter().filter_map(|value| value.to_str().ok());
    values.flat_map(parse).collect()
}

fn parse(text: &str) -> Vec<Challenge> {
    let mut found: Vec<Challenge> = Vec::new();
    let mut rest = text;
    loop {
        rest = rest.trim_start_matches([' ', '\t', ',']);
        let (name, after) = token(rest);
        if name.is_empty() {
            return found;
        }
        let spaces_dropped = after.trim_start_matches([' ', '\t']);
        // `name=` continues the challenge before it; `name ` begins one. A token68 (`Basic abc==`) is read past.
        match (spaces_dropped.strip_prefix('='), found.last_mut()) {
            (Some(value), Some(challenge)) => {
                let Some((value, after)) = read_value(value.trim_start_matches([' ', '\t'])) else { return found };
                challenge.parameters.push((name.to_ascii_lowercase(), value));
                rest = after;
            }
            (Some(_), None) => return found,
            (None, _) => {
                found.push(Challenge { scheme: name.to_ascii_lowercase(), parameters: Vec::new() });
                rest = after;
            }
        }
    }
}

fn token(text: &str) -> (&str, &str) {
    let end = text
        .find(|character: char| !(character.is_ascii_alphanumeric() || "!#$%&'*+-.^_`|~".contains(character)))
        .unwrap_or(text.len());
    text.split_at(end)
}

fn read_value(text: &str) -> Option<(String, &str)> {
    let Some(quoted) = text.strip_prefix('"') else {
        let (value, rest) = token(text);
        return Some((value.to_owned(), rest));
    };
    let mut value = String::new();
    let mut characters = quoted.char_indices();
    while let Some((index, character)) = characters.next() {
        match character {
            '"' => return Some((value, quoted.get(index + 1..).unwrap_or_default())),
            '\\' => value.push(characters.next()?.1),
            other => value.push(other),
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    fn one(text: &str, scheme: &str, parameters: &[(&str, &str)]) {
        let parameters = parameters.iter().map(|(name, value)| (name.to_string(), value.to_string())).collect();
        assert_eq!(parse(text), [Challenge { scheme: scheme.to_owned(), parameters }], "{text}");
    }

    #[test]
    fn challenges_of_real_registries_are_read() {
        one(
            r#"Bearer realm="https://auth.registry.example/token",service="registry.example",scope="repository:a/b:pull,push""#,
            "bearer",
            &[
                ("realm", "https://auth.registry.example/token"),
                ("service", "registry.example"),
                ("scope", "repository:a/b:pull,push"),
            ],
        );
        one("BASIC Realm=\"a \\\"quoted\\\" realm\"", "basic", &[("realm", "a \"quoted\" realm")]);
        one("Bearer realm = x , service=\"\"", "bearer", &[("realm", "x"), ("service", "")]);
    }

    #[test]
    fn several_challenges_in_one_header_are_kept_apart() {
        let found = parse(r#"Negotiate, Basic realm="a, Bearer b", Bearer realm="https://r.example",error="x""#);
        let schemes: Vec<&str> = found.iter().map(|challenge| challenge.scheme.as_str()).collect();
        assert_eq!(schemes, ["negotiate", "basic", "bearer"]);
        assert_eq!(found[1].parameter("realm"), Some("a, Bearer b"));
        assert_eq!(found[2].parameter("error"), Some("x"));
    }

    #[test]
    fn broken_challenges_end_the_reading() {
        for text in ["", ",,", "realm=\"x\"", "Bearer realm=\"x", "Bearer realm=\"x\\", "\"", "é", "Basic é"] {
            let _ = parse(text);
        }
        assert_eq!(parse("Bearer realm=\"x")[0].parameter("realm"), None);
    }
}
