//! From the tree of a policy file to its values, noting everything that is wrong.

use std::collections::BTreeMap;

use super::demand;
use super::document::{ImageRule, Platforms, Policy, Signer, SignerName, is_name};
use super::pattern::Pattern;
use super::problem::{Problems, closest, quoted};
use super::vocabulary;
use super::yaml::{Entry, Node, ScalarKind, Value};
use crate::limits::Limits;
use crate::oci::Platform;

const NAME_RULE: &str = "letters, digits, `.`, `_` and `-`, at most 64, starting with a letter or digit";

/// Reads the tree and notes what is wrong with it. A part that is wrong comes back as `None` or empty; that the whole
/// is refused follows from the noted problems alone.
pub(super) struct Reader<'a> {
    pub(super) problems: &'a mut Problems,
    pub(super) is_type: &'a dyn Fn(&str) -> bool,
    pub(super) limits: &'a Limits,
}

impl Reader<'_> {
    /// The policy, as far as it could be read.
    pub(super) fn policy(&mut self, root: &Node) -> Option<Policy> {
        let entries = self.map(root, "a policy file")?;
        vocabulary::FILE.check(entries, "the file", self.problems);
        self.constant(root, entries, "apiVersion", "attestry/v1");
        self.constant(root, entries, "kind", "Policy");
        let name = self.name(root, entries);
        let signers = self.signers(root, entries);
        let images = self.images(root, entries, &signers);
        Some(Policy { name: name?, signers, images })
    }

    fn constant(&mut self, root: &Node, entries: &[Entry], key: &str, expected: &str) {
        let Some(node) = self.required(root, entries, key, "the file") else { return };
        if let Some(text) = self.text(node, &format!("`{key}`")).filter(|text| *text != expected) {
            let message = format!("`{key}` {} is not supported by this version", quoted(text));
            self.problems.add_with_hint(node.position, message, format!("write `{key}: {expected}`"));
        }
    }

    fn name(&mut self, root: &Node, entries: &[Entry]) -> Option<String> {
        let node = self.required(root, entries, "metadata", "the file")?;
        let metadata = self.map(node, "`metadata`")?;
        vocabulary::METADATA.check(metadata, "`metadata`", self.problems);
        let name = self.required(node, metadata, "name", "`metadata`")?;
        let text = self.text(name, "the name of the policy")?;
        if !is_name(text) {
            let message = format!("{} is no name for a policy", quoted(text));
            self.problems.add_with_hint(name.position, message, format!("a name is {NAME_RULE}"));
            return None;
        }
        Some(text.to_owned())
    }

    fn signers(&mut self, root: &Node, entries: &[Entry]) -> BTreeMap<SignerName, Signer> {
        let node = self.required(root, entries, "keys", "the file");
        let Some((node, signers)) = node.and_then(|node| Some((node, self.map(node, "`keys`")?))) else {
            return BTreeMap::new();
        };
        if signers.is_empty() {
            self.problems.add(node.position, "`keys` names nobody, so that no demand could be met");
        }
        let mut read = BTreeMap::new();
        for entry in signers {
            if let Some(name) = SignerName::parse(&entry.key) {
                read.insert(name, Signer { key_paths: self.key_paths(&entry.value), position: entry.position });
            } else {
                let message = format!("{} is no name for a signer", quoted(&entry.key));
                self.problems.add_with_hint(entry.position, message, format!("a name is {NAME_RULE}"));
            }
        }
        read
    }

    /// The paths of one signer; empty when they could not be read, which then is noted.
    fn key_paths(&mut self, node: &Node) -> Vec<String> {
        let Some(entries) = self.map(node, "an entry of `keys`") else { return Vec::new() };
        vocabulary::SIGNER.check(entries, "an entry of `keys`", self.problems);
        let paths: Vec<&Node> = match (value_of(entries, "publicKey"), value_of(entries, "publicKeys")) {
            (Some(_), Some(many)) => {
                self.problems.add(many.position, "`publicKey` and `publicKeys` exclude each other");
                return Vec::new();
            }
            (Some(one), None) => vec![one],
            (None, Some(many)) => self.list(many, "`publicKeys`").iter().collect(),
            (None, None) => {
                // Whoever wrote a key of a later version, or misspelt one, was told so.
                if entries.iter().all(|entry| vocabulary::SIGNER.read.contains(&entry.key.as_str())) {
                    let message = "the signer has no `publicKey`";
                    self.problems.add_with_hint(node.position, message, "write `{publicKey: FILE}`");
                }
                return Vec::new();
            }
        };
        let mut read: Vec<String> = Vec::new();
        for path in paths {
            match self.text(path, "the path of a public key") {
                Some("") => self.problems.add(path.position, "the path of a public key is empty"),
                Some(text) if read.iter().any(|known| known == text) => {
                    self.problems.add(path.position, format!("the key {} is listed twice", quoted(text)));
                }
                Some(text) => read.push(text.to_owned()),
                None => {}
            }
        }
        read
    }

    fn images(&mut self, root: &Node, entries: &[Entry], signers: &BTreeMap<SignerName, Signer>) -> Vec<ImageRule> {
        let Some(node) = self.required(root, entries, "images", "the file") else { return Vec::new() };
        let mut used = BTreeMap::new();
        let mut images = Vec::new();
        for rule in self.list(node, "`images`") {
            images.extend(self.image(rule, signers, &mut used));
        }
        images
    }

    fn image(
        &mut self,
        node: &Node,
        signers: &BTreeMap<SignerName, Signer>,
        used: &mut BTreeMap<&'static str, usize>,
    ) -> Option<ImageRule> {
        let place = "an entry of `images`";
        let entries = self.map(node, place)?;
        vocabulary::IMAGE.check(entries, place, self.problems);
        let pattern = self.required(node, entries, "match", place).and_then(|node| self.pattern(node));
        let platforms = value_of(entries, "platforms").map_or(Some(Platforms::All), |node| self.platforms(node));
        let require = self.required(node, entries, "require", place);
        let items = require.map_or(&[][..], |node| self.list(node, "`require`"));
        let require = items.iter().filter_map(|item| demand::read(self, item, signers, used)).collect();
        Some(ImageRule { pattern: pattern?, platforms: platforms?, require, position: node.position })
    }

    fn pattern(&mut self, node: &Node) -> Option<Pattern> {
        let text = self.text(node, "`match`")?;
        match Pattern::parse(text, self.limits) {
            Ok(pattern) => Some(pattern),
            Err(error) => {
                let example = "such as `registry.example/prod/**`";
                self.problems.add_with_hint(node.position, format!("{}: {error}", quoted(text)), example);
                None
            }
        }
    }

    fn platforms(&mut self, node: &Node) -> Option<Platforms> {
        if let Value::Scalar(scalar) = &node.value {
            if scalar.text == "all" {
                return Some(Platforms::All);
            }
            let message = format!("`platforms` is `all` or a list, not {}", quoted(&scalar.text));
            self.problems.add_with_hint(node.position, message, "such as `[linux/amd64, linux/arm64]`");
            return None;
        }
        let mut platforms: Vec<Platform> = Vec::new();
        for item in self.list(node, "`platforms`") {
            let Some(text) = self.text(item, "a platform") else { continue };
            match text.parse::<Platform>() {
                Err(error) => self
                    .problems
                    .add(item.position, format!("not a platform (os/architecture[/variant]): {}", quoted(&error.text))),
                Ok(platform) if platforms.iter().any(|known| known.matches(&platform)) => {
                    self.problems.add(item.position, format!("the platform {} is listed twice", quoted(text)));
                }
                Ok(platform) => platforms.push(platform),
            }
        }
        Some(Platforms::Listed(platforms))
    }

    /// The value of a key that has to be there.
    pub(super) fn required<'n>(
        &mut self,
        parent: &Node,
        entries: &'n [Entry],
        key: &str,
        place: &str,
    ) -> Option<&'n Node> {
        let value = value_of(entries, key);
        // A misspelt key was noted with what was meant; saying that the right one is missing says it twice.
        if value.is_none() && !entries.iter().any(|entry| closest(&entry.key, [key]).is_some()) {
            self.problems.add(parent.position, format!("{place} has no `{key}`"));
        }
        value
    }

    pub(super) fn map<'n>(&mut self, node: &'n Node, what: &str) -> Option<&'n [Entry]> {
        match &node.value {
            Value::Map(entries) => Some(entries),
            _ => {
                self.wrong(node, what, "a mapping");
                None
            }
        }
    }

    /// The items of a list; none, and a problem noted, when it is empty or no list.
    pub(super) fn list<'n>(&mut self, node: &'n Node, what: &str) -> &'n [Node] {
        match &node.value {
            Value::List(items) => {
                if items.is_empty() {
                    self.problems.add(node.position, format!("{what} is empty"));
                }
                items
            }
            _ => {
                self.wrong(node, what, "a list");
                &[]
            }
        }
    }

    pub(super) fn text<'n>(&mut self, node: &'n Node, what: &str) -> Option<&'n str> {
        match &node.value {
            Value::Scalar(scalar) if scalar.kind == ScalarKind::Text => Some(&scalar.text),
            Value::Scalar(scalar) if scalar.kind != ScalarKind::Null => {
                let message =
                    format!("{what} has to be text, and YAML reads {} as {}", quoted(&scalar.text), scalar.kind.name());
                self.problems.add_with_hint(node.position, message, "put it in quotes");
                None
            }
            _ => {
                self.wrong(node, what, "text");
                None
            }
        }
    }

    pub(super) fn wrong(&mut self, node: &Node, what: &str, expected: &str) {
        if !matches!(node.value, Value::Refused) {
            self.problems.add(node.position, format!("{what} has to be {expected}, found {}", node.value.name()));
        }
    }
}

/// The value of a key.
pub(super) fn value_of<'n>(entries: &'n [Entry], key: &str) -> Option<&'n Node> {
    entries.iter().find(|entry| entry.key == key).map(|entry| &entry.value)
}
