//! Indexes that others wrote, changed by us: every other child, annotation and blank keeps its bytes.

use attestry::attach::{
    DocumentKind, Evidence, Form, IndexChange, IndexTarget, WritePlan, plan_index, plan_without_index,
};
use attestry::content::Blob;
use attestry::digest::Digest;
use attestry::limits::Limits;
use attestry::media_type::{MediaType, PredicateType};
use attestry::oci::{Descriptor, Manifest, Platform};
use serde_json::Value;

/// Numbers that are always the same.
struct Numbers(u64);

impl Numbers {
    fn next(&mut self, below: u64) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0 % below
    }

    fn blank(&mut self) -> &'static str {
        ["", " ", "\n", "\t ", "\r\n  "][usize::try_from(self.next(5)).unwrap()]
    }

    /// An object with its members in any order, blanks anywhere, and members that nobody knows.
    fn object(&mut self, mut members: Vec<String>) -> String {
        for number in 0..self.next(3) {
            let value = ["1.50", "[ ]", "{\"Size\" : 1e3}", "\"\\u00e9\\/<&>\"", "null"];
            let value = value[usize::try_from(self.next(5)).unwrap()];
            members.push(format!("\"x-unknown-{number}\"{}:{}{value}", self.blank(), self.blank()));
        }
        for place in (1..members.len()).rev() {
            members.swap(place, usize::try_from(self.next(u64::try_from(place).unwrap() + 1)).unwrap());
        }
        let (before, after) = (self.blank(), self.blank());
        let comma = format!("{},{}", self.blank(), self.blank());
        format!("{{{before}{}{after}}}", members.join(&comma))
    }
}

/// A child of some kind, its text and its digest.
fn child(numbers: &mut Numbers, number: u64) -> (String, Digest) {
    let digest = Digest::sha256(format!("child {number}").as_bytes());
    let mut members = vec![
        format!("\"mediaType\":\"{}\"", MediaType::OCI_MANIFEST),
        format!("\"digest\": \"{digest}\""),
        format!("\"size\": {}", numbers.next(10_000)),
    ];
    match numbers.next(4) {
        0 => members.push("\"annotations\":{\"b\":\"2\", \"a\":\"\\u0031\"}".to_owned()),
        1 => members.push("\"urls\":[ \"https://registry.example/x\" ]".to_owned()),
        2 => members.push("\"annotations\": {}".to_owned()),
        _ => {}
    }
    let platform = vec!["\"os\":\"linux\"".to_owned(), format!("\"architecture\":\"arch{number}\"")];
    members.push(format!("\"platform\":{}", numbers.object(platform)));
    (numbers.object(members), digest)
}

fn index(numbers: &mut Numbers) -> (Manifest, Vec<(String, Digest)>) {
    let count = 1 + numbers.next(5);
    let children: Vec<(String, Digest)> = (0..count).map(|number| child(numbers, number)).collect();
    let texts: Vec<&str> = children.iter().map(|(text, _)| text.as_str()).collect();
    let (before, after) = (numbers.blank(), numbers.blank());
    let comma = format!("{},{}", numbers.blank(), numbers.blank());
    let mut members = vec![
        "\"schemaVersion\" : 2".to_owned(),
        format!("\"mediaType\":\"{}\"", MediaType::OCI_INDEX),
        format!("\"manifests\":[{before}{}{after}]", texts.join(&comma)),
    ];
    if numbers.next(2) == 0 {
        members.push("\"annotations\":{\"z\":\"1\",\"y\":\"]\"}".to_owned());
    }
    let text = numbers.object(members);
    let manifest = Manifest::read(Blob::of_bytes(MediaType::OCI_INDEX, text), &Limits::default()).unwrap();
    (manifest, children)
}

fn evidence(number: u64) -> Evidence {
    let blob = Blob::of_bytes(MediaType::in_toto_envelope("spdx"), format!("document {number}"));
    Evidence::new(blob, Some(PredicateType::new("https://spdx.dev/Document")), DocumentKind::Envelope)
}

fn target(about: &Digest, existing: Option<Manifest>, number: u64) -> IndexTarget {
    let image = Descriptor::new(MediaType::OCI_MANIFEST, about.clone(), 5);
    IndexTarget { image, existing, evidence: vec![evidence(number)] }
}

/// The new text is the old one with something put in; gives what was put in.
fn inserted<'a>(old: &[u8], new: &'a [u8]) -> &'a [u8] {
    let before = old.iter().zip(new).take_while(|(old, new)| old == new).count();
    let length = new.len() - old.len();
    // Where the same byte stands before and after, the place could be one of several: take the last comma.
    let start = (0..=before).rev().find(|start| new[*start] == b',' && new[start + length..] == old[*start..]);
    let start = start.expect("bytes changed elsewhere");
    &new[start..start + length]
}

fn grown(plan: &WritePlan) -> &Manifest {
    plan.manifests.last().unwrap()
}

#[test]
fn an_index_grows_at_one_place_and_shrinks_back_to_what_it_was() {
    // (accepted)
    let limits = Limits::default();
    let mut numbers = Numbers(0x9e37_79b9_7f4a_7c15);
    for round in 0..500 {
        let (root, children) = index(&mut numbers);
        let about = &children[usize::try_from(numbers.next(u64::try_from(children.len()).unwrap())).unwrap()].1;
        let form = if round % 2 == 0 { Form::Artifact } else { Form::Image };
        let plan = plan_index(&root, None, &[target(about, None, 1)], form, None, &limits).unwrap();
        let first = grown(&plan).clone();
        let entry = inserted(root.bytes(), first.bytes());
        let entry: Value = serde_json::from_slice(&entry[1..]).unwrap();
        assert_eq!(entry["annotations"]["vnd.docker.reference.digest"], about.to_string());
        assert_eq!(entry["platform"], serde_json::to_value(Platform::unknown()).unwrap());
        // A second document changes that entry alone, and keeps what somebody wrote beside it.
        let noted = String::from_utf8(first.bytes().to_vec()).unwrap();
        let mark = "\"vnd.docker.reference.type\"";
        let noted = noted.replacen(mark, &format!("\"foreign\":\"note\",{mark}"), 1);
        let noted = Manifest::read(Blob::of_bytes(MediaType::OCI_INDEX, noted), &limits).unwrap();
        let existing = plan.manifests[0].clone();
        let again = plan_index(&noted, None, &[target(about, Some(existing), 2)], form, None, &limits).unwrap();
        let second = grown(&again);
        let text = std::str::from_utf8(second.bytes()).unwrap();
        let mut from = 0;
        for (child, _) in &children {
            from += text[from..].find(child.as_str()).expect("a child lost its bytes") + child.len();
        }
        assert!(text.contains("\"foreign\":\"note\""), "{text}");
        // Both off again: what is left is what was there, blanks between children aside.
        let known = again.manifests[0].clone();
        let dropped = vec![evidence(1).blob.digest().clone(), evidence(2).blob.digest().clone()];
        let change = IndexChange { manifest: known, dropped };
        let less = plan_without_index(second, &[change], None, &limits).unwrap();
        let last = std::str::from_utf8(grown(&less).bytes()).unwrap();
        let mut expected = std::str::from_utf8(root.bytes()).unwrap().to_owned();
        let start = expected.find(children[0].0.as_str()).unwrap();
        let end = expected.find(children.last().unwrap().0.as_str()).unwrap() + children.last().unwrap().0.len();
        let texts: Vec<&str> = children.iter().map(|(text, _)| text.as_str()).collect();
        expected.replace_range(start..end, &texts.join(","));
        let blankless = |text: &str| text.replacen(&texts.join(","), "CHILDREN", 1).replace(char::is_whitespace, "");
        assert_eq!(blankless(last), blankless(&expected));
    }
}
