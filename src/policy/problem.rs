//! What is wrong with a policy file: all of it at once, each with its place.

use std::fmt;

use crate::code::Code;
use crate::foreign::is_disruptive;

/// A place in a policy file. Both count from 1; a column is a character, not a byte.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Position {
    /// The line.
    pub line: usize,
    /// The column.
    pub column: usize,
}

impl Position {
    /// The start of the file.
    pub const START: Self = Self { line: 1, column: 1 };
}

impl fmt::Display for Position {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{}:{}", self.line, self.column)
    }
}

/// One thing that is wrong with a policy file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Problem {
    /// The line, from 1.
    pub line: usize,
    /// The column in characters, from 1.
    pub column: usize,
    /// What is wrong. Text of the file in it is shortened and free of control characters.
    pub message: String,
    /// What to write instead.
    pub hint: Option<String>,
}

/// A policy file that cannot be used, with every problem that was found, in the order of the file.
///
/// A file that is not YAML at all shows its syntax error only, beside what was found before it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PolicyError {
    /// At least one; at most [`policy_problems`](crate::limits::Limits::policy_problems), and then a note that there
    /// are more.
    pub problems: Vec<Problem>,
}

impl PolicyError {
    /// The stable code of this error.
    pub const fn code(&self) -> Code {
        Code::PolicyInvalid
    }
}

impl fmt::Display for PolicyError {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, problem) in self.problems.iter().enumerate() {
            let separator = if index == 0 { "" } else { "\n" };
            write!(formatter, "{separator}{}:{}: {}", problem.line, problem.column, problem.message)?;
        }
        Ok(())
    }
}

impl std::error::Error for PolicyError {}

/// Collects problems while a file is read.
pub(super) struct Problems {
    list: Vec<(Position, String, Option<String>)>,
    limit: usize,
}

impl Problems {
    /// With nothing found. Past `limit` problems are counted no more.
    pub(super) const fn new(limit: usize) -> Self {
        Self { list: Vec::new(), limit }
    }

    /// Notes a problem.
    pub(super) fn add(&mut self, position: Position, message: impl Into<String>) {
        self.note(position, message.into(), None);
    }

    /// Notes a problem and what to write instead.
    pub(super) fn add_with_hint(&mut self, position: Position, message: impl Into<String>, hint: impl Into<String>) {
        self.note(position, message.into(), Some(hint.into()));
    }

    fn note(&mut self, position: Position, message: String, hint: Option<String>) {
        if self.list.len() <= self.limit {
            self.list.push((position, message, hint));
        }
    }

    /// Gives back `value` when nothing was wrong.
    ///
    /// # Errors
    /// Everything that was noted, in the order of the file.
    pub(super) fn finish<T>(mut self, value: Option<T>) -> Result<T, PolicyError> {
        if let (true, Some(value)) = (self.list.is_empty(), value) {
            return Ok(value);
        }
        if self.list.is_empty() {
            // Whoever gives no value has said why; should that ever be forgotten, the file is still refused.
            self.add(Position::START, "the policy could not be read");
        }
        let more = self.list.len() > self.limit;
        self.list.truncate(self.limit);
        self.list.sort_by_key(|(position, _, _)| *position);
        if more {
            let last = self.list.last().map_or(Position::START, |(position, _, _)| *position);
            self.list.push((last, "there are more problems, which are not listed".to_owned(), None));
        }
        let problems = self.list.into_iter();
        let problems =
            problems.map(|(at, message, hint)| Problem { line: at.line, column: at.column, message, hint }).collect();
        Err(PolicyError { problems })
    }
}

/// Text of the file as messages show it: in backquotes, one line, at most 60 characters, nothing a terminal obeys.
pub(super) fn quoted(text: &str) -> String {
    let mut shown = String::from("`");
    for character in text.chars().take(60) {
        if is_disruptive(character) {
            shown.extend(character.escape_unicode());
        } else {
            shown.push(character);
        }
    }
    shown.push_str(if text.chars().nth(60).is_some() { "…`" } else { "`" });
    shown
}

/// The candidate that was most likely meant: at most two letters away, case aside.
pub(super) fn closest<'a>(text: &str, candidates: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    let lower = text.to_lowercase();
    let allowed = match lower.chars().count() {
        0..=2 => 0,
        3..=4 => 1,
        // Longer than any word of ours: no need to compare.
        64.. => return None,
        _ => 2,
    };
    let distances = candidates.into_iter().map(|candidate| (distance(&lower, &candidate.to_lowercase()), candidate));
    distances.filter(|(distance, _)| *distance <= allowed).min_by_key(|(distance, _)| *distance).map(|(_, word)| word)
}

/// Letters to add, drop, change, or swap with their neighbour (optimal string alignment).
fn distance(left: &str, right: &str) -> usize {
    let right: Vec<char> = right.chars().collect();
    let mut above_that: (Vec<usize>, Option<char>) = (Vec::new(), None);
    let mut above: Vec<usize> = (0..=right.len()).collect();
    for (index, from) in left.chars().enumerate() {
        let mut row = vec![index + 1];
        for (column, to) in right.iter().enumerate() {
            let at = |row: &[usize], column: usize| row.get(column).copied().unwrap_or(usize::MAX - 1);
            let changed = at(&above, column) + usize::from(from != *to);
            let mut best = changed.min(at(&above, column + 1) + 1).min(at(&row, column) + 1);
            let before = column.checked_sub(1);
            if above_that.1 == Some(*to) && before.and_then(|before| right.get(before)) == Some(&from) {
                best = best.min(at(&above_that.0, column - 1) + 1);
            }
            row.push(best);
        }
        above_that = (std::mem::replace(&mut above, row), Some(from));
    }
    above.last().copied().unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_misspelt_word_finds_the_one_that_was_meant() {
        let words = ["signedBy", "threshold", "coverage", "vex", "vsa"];
        for (text, expected) in [
            ("signedby", Some("signedBy")),
            ("signed_by", Some("signedBy")),
            ("treshold", Some("threshold")),
            ("thershold", Some("threshold")),
            ("vec", Some("vex")),
            ("vxe", Some("vex")),
            ("voxel", None),
            ("ve", None),
            ("xyz", None),
            ("", None),
        ] {
            assert_eq!(closest(text, words), expected, "{text}");
        }
    }

    #[test]
    fn text_of_the_file_cannot_move_the_cursor() {
        assert_eq!(quoted("a\u{1b}[2Jb\u{202e}"), "`a\\u{1b}[2Jb\\u{202e}`");
        assert_eq!(quoted(&"x".repeat(100)).chars().count(), 63);
    }

    #[test]
    fn a_thousand_problems_are_not_all_listed() {
        let mut problems = Problems::new(10);
        for line in (1..=1_000).rev() {
            problems.add(Position { line, column: 1 }, "wrong");
        }
        let error = problems.finish(Some(())).unwrap_err();
        assert_eq!(error.problems.len(), 11);
        assert!(error.to_string().ends_with("there are more problems, which are not listed"));
    }

    #[test]
    fn a_file_without_a_value_is_refused_even_without_a_problem() {
        assert!(Problems::new(10).finish(None::<()>).is_err());
    }
}
