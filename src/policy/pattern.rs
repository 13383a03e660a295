//! `match` patterns: which images a policy entry speaks about.

use std::fmt;

use crate::limits::Limits;

/// Why a text is no pattern.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum PatternError {
    /// Nothing was written.
    #[error("the pattern is empty")]
    Empty,
    /// Longer than the bound.
    #[error("the pattern has more than {limit} characters")]
    TooLong {
        /// The bound.
        limit: usize,
    },
    /// White space or a control character, which no image name has.
    #[error("no image name has white space or control characters")]
    Space,
    /// Three stars or more in a row, which could mean either wildcard.
    #[error("`***` is no wildcard; `*` stops at `/`, `**` does not")]
    Stars,
    /// A character that other tools use as a wildcard, and that no registry name has.
    #[error("`{character}` is no wildcard; only `*` and `**` are")]
    Wildcard {
        /// What was read.
        character: char,
    },
    /// `scheme://`, which names of images lose before they are compared.
    #[error("a pattern has no scheme such as `docker://`")]
    Scheme,
    /// A tag or digest, which are not compared.
    #[error("a pattern has no tag and no digest; images are matched by host and repository")]
    TagOrDigest,
    /// A host or a repository alone, which no `host/repository` equals.
    #[error("a pattern is `host/repository`, written in full")]
    NoRepository,
}

/// A pattern over `host/repository` (or `oci:DIR`): `*` is any text without `/`, `**` any text, the rest itself.
///
/// The whole name has to match. Case counts. The work is at most pattern × name, whatever either holds.
///
/// ```
/// use attestry::{limits::Limits, policy::Pattern};
/// let pattern = Pattern::parse("registry.example/prod/**", &Limits::default()).unwrap();
/// assert!(pattern.matches("registry.example/prod/team/app"));
/// assert!(!pattern.matches("evil.example/registry.example/prod/app"));
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Pattern {
    text: Box<str>,
    pieces: Vec<Piece>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Piece {
    Character(char),
    WithinSegment,
    AcrossSegments,
}

impl Pattern {
    /// Reads a pattern.
    ///
    /// Refuses what could never match, since an entry that silently speaks about nothing is a typing error. Does not
    /// check the grammar of hosts and repositories.
    ///
    /// # Errors
    /// Any [`PatternError`].
    pub fn parse(text: &str, limits: &Limits) -> Result<Self, PatternError> {
        if text.is_empty() {
            return Err(PatternError::Empty);
        }
        if text.chars().count() > limits.pattern_characters {
            return Err(PatternError::TooLong { limit: limits.pattern_characters });
        }
        if text.chars().any(|character| character.is_whitespace() || character.is_control()) {
            return Err(PatternError::Space);
        }
        if text.contains("***") {
            return Err(PatternError::Stars);
        }
        // Folder names may hold nearly anything, so that the rest is asked of registry names only.
        if !text.starts_with("oci:") {
            check_registry_name(text)?;
        }
        Ok(Self { text: text.into(), pieces: pieces(text) })
    }

    /// The pattern as it was written.
    pub fn as_str(&self) -> &str {
        &self.text
    }

    /// Whether the whole of `name` matches.
    pub fn matches(&self, name: &str) -> bool {
        // `reached[i]`: the first `i` pieces can match what was read so far. No backtracking, so no blow-up.
        let mut reached = vec![false; self.pieces.len() + 1];
        if let Some(start) = reached.first_mut() {
            *start = true;
        }
        self.skip_wildcards(&mut reached);
        for character in name.chars() {
            let mut next = vec![false; reached.len()];
            for (index, piece) in self.pieces.iter().enumerate() {
                if !reached.get(index).copied().unwrap_or(false) {
                    continue;
                }
                let stays = match piece {
                    Piece::Character(_) => false,
                    Piece::WithinSegment => character != '/',
                    Piece::AcrossSegments => true,
                };
                let moves = *piece == Piece::Character(character);
                set(&mut next, index, stays);
                set(&mut next, index + 1, moves);
            }
            self.skip_wildcards(&mut next);
            reached = next;
        }
        reached.last().copied().unwrap_or(false)
    }

    /// A wildcard may match nothing: where its start is reached, its end is.
    fn skip_wildcards(&self, reached: &mut [bool]) {
        for (index, piece) in self.pieces.iter().enumerate() {
            let here = reached.get(index).copied().unwrap_or(false);
            set(reached, index + 1, here && !matches!(piece, Piece::Character(_)));
        }
    }
}

impl fmt::Display for Pattern {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&self.text)
    }
}

fn set(reached: &mut [bool], index: usize, also: bool) {
    if let Some(state) = reached.get_mut(index) {
        *state |= also;
    }
}

fn pieces(text: &str) -> Vec<Piece> {
    let mut pieces = Vec::with_capacity(text.len());
    let mut characters = text.chars().peekable();
    while let Some(character) = characters.next() {
        pieces.push(match character {
            '*' if characters.next_if_eq(&'*').is_some() => Piece::AcrossSegments,
            '*' => Piece::WithinSegment,
            other => Piece::Character(other),
        });
    }
    pieces
}

fn check_registry_name(text: &str) -> Result<(), PatternError> {
    if text.contains("://") {
        return Err(PatternError::Scheme);
    }
    if let Some(character) = text.chars().find(|character| "?[]{}^$\\|!()+".contains(*character)) {
        return Err(PatternError::Wildcard { character });
    }
    let last = text.rsplit('/').next().unwrap_or(text);
    // A colon before the last `/` is a port.
    if text.contains('@') || (last.contains(':') && last.len() < text.len()) {
        return Err(PatternError::TagOrDigest);
    }
    if !text.contains('/') && !text.contains("**") {
        return Err(PatternError::NoRepository);
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pattern(text: &str) -> Pattern {
        Pattern::parse(text, &Limits::default()).unwrap()
    }

    #[test]
    fn a_pattern_matches_the_whole_name_and_nothing_less() {
        for (text, name, expected) in [
            ("registry.example/app", "registry.example/app", true),
            ("registry.example/app", "registry.example/app2", false),
            ("registry.example/app", "xregistry.example/app", false),
            ("registry.example/app", "registryxexample/app", false),
            ("registry.example/app", "registry.example/App", false),
            ("registry.example/*", "registry.example/app", true),
            ("registry.example/*", "registry.example/team/app", false),
            ("registry.example/*", "registry.example/", true),
            ("registry.example/**", "registry.example/team/app", true),
            ("registry.example/prod/**", "registry.example/prod", false),
            ("registry.example/prod/**", "registry.example/production/app", false),
            ("registry.example/*/app", "registry.example/team/app", true),
            ("registry.example/*/app", "registry.example/a/b/app", false),
            ("registry.example/**/app", "registry.example/a/b/app", true),
            ("registry.example/**/app", "registry.example/app", false),
            ("*.example/app-*", "registry.example/app-1", true),
            ("*.example/app-*", "a/b.example/app-1", false),
            ("**", "registry.example/team/app", true),
            ("**", "", true),
            ("**/app*/*-x", "h/a/app1/y-x", true),
            ("**/app*/*-x", "h/app1/app2/y-x", true),
            ("**/app*/*-x", "h/app1/app2/y-z", false),
            ("localhost:5000/*", "localhost:5000/app", true),
            ("oci:build/out", "oci:build/out", true),
            ("oci:**", "oci:/srv/images/app 1", true),
            ("registry.example/Ä*", "registry.example/Äpfel", true),
        ] {
            assert_eq!(pattern(text).matches(name), expected, "{text} {name}");
        }
    }

    #[test]
    fn a_pattern_that_could_not_match_is_refused() {
        for (text, error) in [
            ("", PatternError::Empty),
            ("a b/c", PatternError::Space),
            ("a/\u{1b}[0m", PatternError::Space),
            ("a/***", PatternError::Stars),
            ("a/[bc]", PatternError::Wildcard { character: '[' }),
            ("a/b?", PatternError::Wildcard { character: '?' }),
            ("docker://a/b", PatternError::Scheme),
            ("registry.example/app:1.2", PatternError::TagOrDigest),
            ("registry.example/app:*", PatternError::TagOrDigest),
            ("registry.example/app@sha256:00", PatternError::TagOrDigest),
            ("alpine", PatternError::NoRepository),
            ("localhost:5000", PatternError::NoRepository),
            ("*", PatternError::NoRepository),
        ] {
            assert_eq!(Pattern::parse(text, &Limits::default()), Err(error), "{text}");
        }
        let long = format!("a/{}", "b".repeat(2_000));
        assert!(matches!(Pattern::parse(&long, &Limits::default()), Err(PatternError::TooLong { limit: 1_024 })));
    }

    #[test]
    fn a_pattern_made_to_backtrack_takes_no_longer_than_others() {
        for wildcard in ["*", "**"] {
            let hostile = pattern(&format!("x/{}b", format!("a{wildcard}").repeat(300)));
            let name = format!("x/{}", "a".repeat(4_000));
            assert!(!hostile.matches(&name));
            assert!(hostile.matches(&format!("{name}b")));
        }
        let mixed = pattern(&format!("x/{}b", "a*a**".repeat(200)));
        assert!(!mixed.matches(&format!("x/{}", "a/a".repeat(1_000))));
    }

    #[test]
    fn the_matcher_agrees_with_a_slow_and_simple_one() {
        fn simple(pieces: &[Piece], name: &[char]) -> bool {
            match (pieces.split_first(), name.split_first()) {
                (None, rest) => rest.is_none(),
                (Some((Piece::Character(wanted), rest)), Some((first, name))) => wanted == first && simple(rest, name),
                (Some((Piece::Character(_), _)), None) => false,
                (Some((wildcard, rest)), first) => {
                    simple(rest, name)
                        || first.is_some_and(|(first, name)| {
                            (*first != '/' || *wildcard == Piece::AcrossSegments) && simple(pieces, name)
                        })
                }
            }
        }
        let words = |alphabet: &[&str], length: u32| -> Vec<String> {
            let mut words = vec![String::new()];
            for _ in 0..length {
                let longer: Vec<String> =
                    words.iter().flat_map(|w| alphabet.iter().map(move |c| format!("{w}{c}"))).collect();
                words.extend(longer);
            }
            words.sort();
            words.dedup();
            words
        };
        let names = words(&["a", "b", "/"], 5);
        for text in words(&["a", "/", "*"], 5) {
            let pieces = pieces(&text);
            let pattern = Pattern { text: text.as_str().into(), pieces: pieces.clone() };
            for name in &names {
                let characters: Vec<char> = name.chars().collect();
                assert_eq!(pattern.matches(name), simple(&pieces, &characters), "{text} {name}");
            }
        }
    }
}
