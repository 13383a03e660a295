//! YAML as a tree with places, without the parts of YAML that make two readers see two files.
//!
//! Refused: anchors, aliases, tags, merge keys, duplicate keys, several documents, control characters, and plain
//! scalars that YAML 1.1 and 1.2 read as different things. The tree is built from the parser's events, because a
//! ready-made tree stops at the first duplicate key and no longer knows where an anchor was.
//!
//! Source: YAML 1.2.2, chapters 5.1 (characters), 10.3 (core schema).

use std::collections::BTreeMap;

use saphyr_parser::{Event, Marker, Parser, ScalarStyle};

use super::problem::{Position, Problems, quoted};
use crate::foreign::is_disruptive;
use crate::limits::Limits;

/// A value and where it starts.
pub(super) struct Node {
    pub(super) position: Position,
    pub(super) value: Value,
}

/// What a value is.
pub(super) enum Value {
    /// A scalar.
    Scalar(Scalar),
    /// A sequence.
    List(Vec<Node>),
    /// A mapping, in the order of the file, without the entries whose key was refused.
    Map(Vec<Entry>),
    /// Something whose problem is noted already.
    Refused,
}

/// A scalar as it was written.
pub(super) struct Scalar {
    pub(super) text: String,
    pub(super) kind: ScalarKind,
}

/// What a scalar means.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum ScalarKind {
    /// Text, quoted or not.
    Text,
    /// Nothing, or `null`.
    Null,
    /// `true` or `false`.
    Bool,
    /// A number.
    Number,
    /// `yes`, `no`, `on`, `off`: text in YAML 1.2, a truth value in YAML 1.1.
    Ambiguous,
}

/// A key of a mapping and its value.
pub(super) struct Entry {
    pub(super) key: String,
    pub(super) position: Position,
    pub(super) value: Node,
}

/// Reads the one document of a file.
///
/// `None` when there is no tree to look at; why is noted then. A tree comes back also when problems were noted.
pub(super) fn read(bytes: &[u8], limits: &Limits, problems: &mut Problems) -> Option<Node> {
    if bytes.len() > limits.policy_bytes {
        problems.add(Position::START, format!("the file has more than {} bytes", limits.policy_bytes));
        return None;
    }
    let text = match std::str::from_utf8(bytes) {
        Ok(text) => text,
        Err(error) => {
            let before = bytes.get(..error.valid_up_to()).unwrap_or_default();
            problems.add(end_of(&String::from_utf8_lossy(before)), "the file is not UTF-8");
            return None;
        }
    };
    let text = text.strip_prefix('\u{feff}').unwrap_or(text);
    // The parser takes U+0000 for the end of the file: what follows would silently not count.
    let allowed = |character: char| match character {
        '\t' | '\n' | '\r' => true,
        other => !is_disruptive(other),
    };
    if let Some(offset) = text.find(|character| !allowed(character)) {
        let message = "a control or invisible character; people and programs would read different files";
        problems.add(end_of(text.get(..offset).unwrap_or_default()), message);
        return None;
    }
    Builder { open: Vec::new(), root: None, nodes: 0, limits, problems }.read(text)
}

/// The place after this text.
fn end_of(text: &str) -> Position {
    let last = text.rsplit('\n').next().unwrap_or_default();
    Position { line: text.matches('\n').count() + 1, column: last.chars().count() + 1 }
}

fn position(marker: Marker) -> Position {
    Position { line: marker.line(), column: marker.col() + 1 }
}

/// A collection whose end was not seen yet.
struct Open {
    position: Position,
    items: Items,
}

enum Items {
    List(Vec<Node>),
    Map { entries: Vec<Entry>, seen: BTreeMap<String, usize>, key: Key },
}

enum Key {
    /// The next node is a key.
    Awaited,
    /// The next node is the value of this key.
    Good(String, Position),
    /// The next node is the value of a key that was refused.
    Refused,
}

struct Builder<'a> {
    open: Vec<Open>,
    root: Option<Node>,
    nodes: usize,
    limits: &'a Limits,
    problems: &'a mut Problems,
}

impl Builder<'_> {
    fn read(mut self, text: &str) -> Option<Node> {
        let mut documents = 0;
        // The parser's events, one by one: its own loader recurses, and so ends in a stack overflow on `[[[[…`.
        for event in Parser::new_from_str(text) {
            let (event, span) = match event {
                Ok(event) => event,
                Err(error) => {
                    self.problems.add(position(*error.marker()), format!("not YAML: {}", error.info()));
                    return None;
                }
            };
            let at = position(span.start);
            if matches!(event, Event::DocumentStart(_)) {
                documents += 1;
            }
            if documents > 1 {
                self.problems.add(at, "a second document; a policy file holds one");
                return None;
            }
            if !self.take(event, at) {
                return None;
            }
        }
        if self.root.is_none() {
            self.problems.add(Position::START, "the file is empty");
        }
        self.root
    }

    /// Takes one event. `false`: stop, a bound was passed.
    fn take(&mut self, event: Event<'_>, at: Position) -> bool {
        let mut refuse = |anchor: usize, tag: bool| {
            if anchor > 0 {
                self.problems.add_with_hint(at, "anchors are not read", "write the value where it is needed");
            }
            if tag {
                self.problems.add_with_hint(at, "tags are not read", "leave out the word that starts with `!`");
            }
        };
        match event {
            Event::Scalar(text, style, anchor, tag) => {
                refuse(anchor, tag.is_some());
                let kind = if style == ScalarStyle::Plain { kind_of_plain(&text) } else { ScalarKind::Text };
                if style == ScalarStyle::Plain && text == "<<" {
                    self.refuse_merge(at)
                } else {
                    self.add(Node { position: at, value: Value::Scalar(Scalar { text: text.into_owned(), kind }) })
                }
            }
            Event::Alias(_) => {
                self.problems.add_with_hint(at, "aliases are not read", "write the value where it is needed");
                self.add(Node { position: at, value: Value::Refused })
            }
            Event::SequenceStart(anchor, tag) => {
                refuse(anchor, tag.is_some());
                self.start(at, Items::List(Vec::new()))
            }
            Event::MappingStart(anchor, tag) => {
                refuse(anchor, tag.is_some());
                self.start(at, Items::Map { entries: Vec::new(), seen: BTreeMap::new(), key: Key::Awaited })
            }
            Event::SequenceEnd | Event::MappingEnd => self.end(),
            Event::Nothing | Event::StreamStart | Event::StreamEnd | Event::DocumentStart(_) | Event::DocumentEnd => {
                true
            }
        }
    }

    fn refuse_merge(&mut self, at: Position) -> bool {
        self.problems.add_with_hint(at, "merge keys (`<<`) are not read", "write the keys where they are needed");
        self.add(Node { position: at, value: Value::Refused })
    }

    fn start(&mut self, position: Position, items: Items) -> bool {
        if self.open.len() >= self.limits.policy_depth {
            self.problems.add(position, format!("nested deeper than {} levels", self.limits.policy_depth));
            return false;
        }
        self.open.push(Open { position, items });
        true
    }

    fn end(&mut self) -> bool {
        let Some(Open { position, items }) = self.open.pop() else { return true };
        let value = match items {
            Items::List(nodes) => Value::List(nodes),
            Items::Map { entries, .. } => Value::Map(entries),
        };
        self.add(Node { position, value })
    }

    /// Puts a complete node where it belongs. `false` when there are too many.
    fn add(&mut self, node: Node) -> bool {
        self.nodes += 1;
        if self.nodes > self.limits.policy_nodes {
            self.problems.add(node.position, format!("more than {} values", self.limits.policy_nodes));
            return false;
        }
        match self.open.last_mut().map(|open| &mut open.items) {
            None => self.root = Some(node),
            Some(Items::List(nodes)) => nodes.push(node),
            Some(Items::Map { entries, seen, key }) => match std::mem::replace(key, Key::Awaited) {
                Key::Awaited => *key = read_key(node, seen, self.problems),
                Key::Good(key, position) => entries.push(Entry { key, position, value: node }),
                Key::Refused => {}
            },
        }
        true
    }
}

fn read_key(node: Node, seen: &mut BTreeMap<String, usize>, problems: &mut Problems) -> Key {
    let Value::Scalar(scalar) = node.value else {
        if !matches!(node.value, Value::Refused) {
            problems.add(node.position, "a key has to be a word");
        }
        return Key::Refused;
    };
    if scalar.kind != ScalarKind::Text {
        let message = format!("a key has to be text, and YAML reads this as {}", scalar.kind.name());
        problems.add_with_hint(node.position, message, format!("put it in quotes: \"{}\"", scalar.text));
        return Key::Refused;
    }
    if let Some(line) = seen.get(&scalar.text) {
        let message = format!("the key {} is here twice, first in line {line}", quoted(&scalar.text));
        problems.add(node.position, message);
        return Key::Refused;
    }
    seen.insert(scalar.text.clone(), node.position.line);
    Key::Good(scalar.text, node.position)
}

impl ScalarKind {
    /// What messages call it.
    pub(super) const fn name(self) -> &'static str {
        match self {
            Self::Text => "text",
            Self::Null => "nothing",
            Self::Bool => "a truth value",
            Self::Number => "a number",
            Self::Ambiguous => "text or a truth value, depending on its version",
        }
    }
}

impl Value {
    /// What messages call it.
    pub(super) const fn name(&self) -> &'static str {
        match self {
            Self::Scalar(scalar) => scalar.kind.name(),
            Self::List(_) => "a list",
            Self::Map(_) => "a mapping",
            Self::Refused => "something refused",
        }
    }
}

/// What an unquoted scalar means in the core schema.
fn kind_of_plain(text: &str) -> ScalarKind {
    match text {
        "" | "~" | "null" | "Null" | "NULL" => return ScalarKind::Null,
        "true" | "True" | "TRUE" | "false" | "False" | "FALSE" => return ScalarKind::Bool,
        _ => {}
    }
    if ["yes", "no", "on", "off", "y", "n"].iter().any(|word| text.eq_ignore_ascii_case(word)) {
        return ScalarKind::Ambiguous;
    }
    let unsigned = text.strip_prefix(['-', '+']).unwrap_or(text);
    let based = |prefix: &str, base: u32| {
        text.strip_prefix(prefix)
            .is_some_and(|digits| !digits.is_empty() && digits.chars().all(|digit| digit.is_digit(base)))
    };
    let word = matches!(unsigned, ".inf" | ".Inf" | ".INF" | ".nan" | ".NaN" | ".NAN");
    let decimal =
        unsigned.starts_with(|first: char| first.is_ascii_digit() || first == '.') && text.parse::<f64>().is_ok();
    if word || decimal || based("0x", 16) || based("0o", 8) { ScalarKind::Number } else { ScalarKind::Text }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn problems_of(text: &str) -> Vec<String> {
        let limits = Limits::default();
        let mut problems = Problems::new(limits.policy_problems);
        let node = read(text.as_bytes(), &limits, &mut problems);
        match problems.finish(node) {
            Ok(_) => Vec::new(),
            Err(error) => error.to_string().lines().map(str::to_owned).collect(),
        }
    }

    #[test]
    fn plain_yaml_is_read() {
        assert_eq!(problems_of("a: {b: [1, two, \"3\"]}\nc: |\n  text\n"), Vec::<String>::new());
        assert_eq!(problems_of("\u{feff}%YAML 1.2\n---\na: b\n...\n"), Vec::<String>::new());
    }

    #[test]
    fn what_two_readers_see_differently_is_refused() {
        for (text, expected) in [
            ("a: 1\nb: 2\na: 3\n", "3:1: the key `a` is here twice, first in line 1"),
            ("a: &x 1\n", "1:4: anchors are not read"),
            ("a: &x {b: 1}\n", "1:4: anchors are not read"),
            ("a: !!str 1\n", "1:4: tags are not read"),
            ("a: !mine [1]\n", "1:4: tags are not read"),
            ("a:\n  <<: {b: 1}\n", "2:3: merge keys (`<<`) are not read"),
            ("a: 1\n---\nb: 2\n", "2:1: a second document; a policy file holds one"),
            ("true: 1\n", "1:1: a key has to be text, and YAML reads this as a truth value"),
            (
                "on: 1\n",
                "1:1: a key has to be text, and YAML reads this as text or a truth value, depending on its version",
            ),
            ("[a]: 1\n", "1:1: a key has to be a word"),
            (
                "a: 1\nb: \u{0}\nc: 2\n",
                "2:4: a control or invisible character; people and programs would read different files",
            ),
            (
                "a: x\u{202e}y\n",
                "1:5: a control or invisible character; people and programs would read different files",
            ),
            ("", "1:1: the file is empty"),
            ("# nothing\n", "1:1: the file is empty"),
        ] {
            assert_eq!(problems_of(text), [expected], "{text}");
        }
    }

    #[test]
    fn an_alias_is_refused_and_not_followed() {
        let bomb = "a: &a [x, x]\nb: &b [*a, *a]\nc: [*b, *b]\n";
        let found = problems_of(bomb);
        assert_eq!(found.len(), 6, "{found:?}");
        assert!(found.contains(&"2:8: aliases are not read".to_owned()), "{found:?}");
    }

    #[test]
    fn problems_before_a_syntax_error_are_kept() {
        let found = problems_of("a: 1\na: 2\nb: [1,\n");
        assert_eq!(found.len(), 2, "{found:?}");
        assert!(found.iter().any(|line| line.contains("not YAML: ")), "{found:?}");
    }

    #[test]
    fn bombs_end_at_a_bound() {
        let limits = Limits::default();
        let deep = format!("{}{}", "[".repeat(40), "]".repeat(40));
        assert_eq!(problems_of(&deep), ["1:33: nested deeper than 32 levels"]);
        assert_eq!(problems_of(&"[".repeat(1 << 19)).len(), 1);
        let deep = "- ".repeat(1 << 19);
        assert_eq!(problems_of(&deep), ["1:65: nested deeper than 32 levels"]);
        let wide = format!("[{}]", "1,".repeat(limits.policy_nodes + 1));
        assert!(problems_of(&wide).concat().ends_with("more than 100000 values"));
        let large = "#".repeat(limits.policy_bytes + 1);
        assert_eq!(problems_of(&large), ["1:1: the file has more than 1048576 bytes"]);
    }

    #[test]
    fn bytes_that_are_not_utf_8_are_named_with_their_place() {
        let limits = Limits::default();
        let mut problems = Problems::new(9);
        assert!(read(b"a: 1\nb: \xff", &limits, &mut problems).is_none());
        assert_eq!(problems.finish(None::<()>).unwrap_err().to_string(), "2:4: the file is not UTF-8");
    }

    #[test]
    fn unquoted_words_mean_what_the_core_schema_says() {
        for (text, expected) in [
            ("1", "a number"),
            ("-1.5e3", "a number"),
            (".5", "a number"),
            ("0x1F", "a number"),
            (".inf", "a number"),
            ("1.2.3", "text"),
            ("infinity", "text"),
            ("nan", "text"),
            ("90d", "text"),
            ("~", "nothing"),
            ("NULL", "nothing"),
            ("True", "a truth value"),
            ("Off", "text or a truth value, depending on its version"),
            ("team", "text"),
        ] {
            assert_eq!(kind_of_plain(text).name(), expected, "{text}");
        }
    }
}
