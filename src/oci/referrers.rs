//! Lists of referrers: indexes in form, to which anybody adds who may write to the repository.

use bytes::Bytes;

use super::descriptor::Descriptor;
use super::manifest::{Manifest, ManifestError, disguised_key};
use crate::content::Blob;
use crate::digest::Digest;
use crate::foreign::one_line;
use crate::json::{self, Node};
use crate::limits::Limits;

/// Entries that are told of one by one; more of them are counted.
const TOLD: usize = 16;
/// Characters of what is said of one; it may quote the entry.
const FAULT_CHARACTERS: usize = 200;

/// A list of referrers, as far as its entries are descriptors.
///
/// One entry that cannot be read, such as one with a digest algorithm from the future, says nothing about the others: an
/// index as an image is refused whole then, a list is not.
///
/// Source: distribution-spec 1.1, "Listing Referrers".
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ReferrerList {
    /// The entries that can be read, in the order of the list.
    pub referrers: Vec<Descriptor>,
    /// What is wrong with the others, in words.
    pub unreadable: Vec<String>,
}

impl ReferrerList {
    /// Reads a list. `None` when the blob is an image manifest and so no list.
    ///
    /// Does not check that what is listed exists or refers to anything.
    ///
    /// # Errors
    /// Any [`ManifestError`] about the list itself.
    pub fn read(blob: Blob, limits: &Limits) -> Result<Option<Self>, ManifestError> {
        // A list may have more entries than an image has platforms.
        let limits = Limits { index_children: limits.referrers, ..limits.clone() };
        let error = match Manifest::read(blob.clone(), &limits) {
            Ok(manifest) => return Ok(Self::of(&manifest, Vec::new())),
            Err(error @ ManifestError::Field { .. }) => error,
            Err(error) => return Err(error),
        };
        let bytes = blob.bytes(limits.manifest_bytes)?;
        let Ok(tree) = json::read(&bytes, &limits) else { return Err(error) };
        let Some(entries) = tree.get("manifests") else { return Err(error) };
        let (mut good, mut unreadable, mut untold) = (Vec::new(), Vec::new(), 0_usize);
        for (place, node) in entries.as_array().unwrap_or_default().iter().enumerate() {
            let text = text_of(&bytes, node);
            match entry_fault(text, node) {
                None => good.push(text),
                Some(fault) if unreadable.len() < TOLD => unreadable.push(format!("entry {}: {fault}", place + 1)),
                Some(_) => untold += 1,
            }
        }
        if unreadable.is_empty() {
            return Err(error);
        }
        if untold > 0 {
            unreadable.push(format!("{untold} more entries"));
        }
        // What holds for every index is checked on the list without them.
        let array = super::index::to_range(&entries.range);
        let reduced = [&b"["[..], &good.join(&b","[..]), b"]"].concat();
        let reduced = super::index::splice(&bytes, array, &reduced);
        let manifest = Manifest::read(Blob::of_bytes(blob.media_type().clone(), reduced), &limits)?;
        Ok(Self::of(&manifest, unreadable))
    }

    /// A list with one more entry at its end; every other byte stays, those of unreadable entries too.
    ///
    /// # Errors
    /// [`ManifestError::Json`], and [`ManifestError::Field`] for what is no list.
    pub fn with_entry(blob: &Blob, entry: &Descriptor, limits: &Limits) -> Result<Blob, ManifestError> {
        let (bytes, entries) = entries_of(blob, limits)?;
        let text = serde_json::to_vec(entry).unwrap_or_default();
        let text = match entries.as_array().and_then(<[Node]>::last) {
            Some(last) => {
                let end = super::index::to_range(&last.range).end;
                super::index::splice(&bytes, end..end, &[&b","[..], &text].concat())
            }
            None => {
                let start = super::index::to_range(&entries.range).start + 1;
                super::index::splice(&bytes, start..start, &text)
            }
        };
        Ok(Blob::of_bytes(blob.media_type().clone(), text))
    }

    /// A list without the entries of a digest; `None` when it has none. The text of all others stays, unreadable ones too.
    ///
    /// # Errors
    /// Like [`ReferrerList::with_entry`].
    pub fn without_entry(blob: &Blob, digest: &Digest, limits: &Limits) -> Result<Option<Blob>, ManifestError> {
        let (bytes, entries) = entries_of(blob, limits)?;
        let all = entries.as_array().unwrap_or_default();
        let name = digest.to_string();
        let kept: Vec<&[u8]> = all
            .iter()
            .filter(|node| node.str_of("digest") != Some(name.as_str()))
            .map(|node| text_of(&bytes, node))
            .collect();
        if kept.len() == all.len() {
            return Ok(None);
        }
        let text = [&b"["[..], &kept.join(&b","[..]), b"]"].concat();
        let text = super::index::splice(&bytes, super::index::to_range(&entries.range), &text);
        Ok(Some(Blob::of_bytes(blob.media_type().clone(), text)))
    }

    fn of(manifest: &Manifest, unreadable: Vec<String>) -> Option<Self> {
        let children = manifest.as_index()?.children();
        Some(Self { referrers: children.iter().map(|child| child.descriptor.clone()).collect(), unreadable })
    }
}

/// The bytes of a list, and where its array of entries stands in them.
fn entries_of(blob: &Blob, limits: &Limits) -> Result<(Bytes, Node), ManifestError> {
    let digest = || blob.digest().clone();
    let bytes = blob.bytes(limits.manifest_bytes)?;
    let tree = json::read(&bytes, limits).map_err(|cause| ManifestError::Json { digest: digest(), cause })?;
    let entries = tree.get("manifests").filter(|node| node.as_array().is_some()).cloned();
    let missing = || ManifestError::Field { digest: digest(), detail: "`manifests` is missing".to_owned() };
    Ok((bytes, entries.ok_or_else(missing)?))
}

fn text_of<'a>(bytes: &'a [u8], node: &Node) -> &'a [u8] {
    bytes.get(super::index::to_range(&node.range)).unwrap_or_default()
}

fn entry_fault(text: &[u8], node: &Node) -> Option<String> {
    if let Some(key) = disguised_key(node) {
        return Some(format!("the key `{}` differs in case from one that is read", key.escape_default()));
    }
    let error = serde_json::from_slice::<Descriptor>(text).err()?;
    Some(one_line(&error.to_string()).chars().take(FAULT_CHARACTERS).collect())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::media_type::MediaType;

    fn read(entries: &str) -> Result<Option<ReferrerList>, ManifestError> {
        let text = format!("{{\"schemaVersion\":2,\"manifests\":[{entries}]}}");
        ReferrerList::read(Blob::of_bytes(MediaType::OCI_INDEX, text.into_bytes()), &Limits::default())
    }

    fn entry(digest: &str) -> String {
        format!("{{\"mediaType\":\"application/vnd.oci.image.manifest.v1+json\",\"digest\":\"{digest}\",\"size\":3}}")
    }

    #[test]
    fn an_entry_is_taken_out_and_the_text_of_all_others_stays() {
        let (one, two) = (Digest::sha256(b"one"), Digest::sha256(b"two"));
        let (first, second) = (entry(&one.to_string()), entry(&two.to_string()));
        let text = format!("{{ \"schemaVersion\":2, \"manifests\":[ {first} , {} , {second} ]}}\n", entry("blake3:00"));
        let blob = Blob::of_bytes(MediaType::OCI_INDEX, text.into_bytes());
        let shorter = ReferrerList::without_entry(&blob, &one, &Limits::default()).unwrap().unwrap();
        let expected = format!("{{ \"schemaVersion\":2, \"manifests\":[{},{second}]}}\n", entry("blake3:00"));
        assert_eq!(shorter.bytes(1 << 20).unwrap(), expected.as_bytes());
        assert!(ReferrerList::without_entry(&shorter, &one, &Limits::default()).unwrap().is_none());
    }

    #[test]
    fn an_entry_that_cannot_be_read_does_not_spoil_the_others() {
        let good = Digest::sha256(b"good");
        for bad in [
            entry("blake3:00"),
            entry("sha256:short"),
            "{}".to_owned(),
            "7".to_owned(),
            entry("sha256:x").replace("digest", "Digest"),
        ] {
            for entries in
                [format!("{bad}, {}", entry(&good.to_string())), format!("{} ,{bad}", entry(&good.to_string()))]
            {
                let list = read(&entries).unwrap().unwrap();
                let digests: Vec<&Digest> = list.referrers.iter().map(|entry| &entry.digest).collect();
                assert_eq!((digests, list.unreadable.len()), (vec![&good], 1), "{entries}");
            }
        }
        let list = read(&entry("blake3:00")).unwrap().unwrap();
        assert!(
            list.referrers.is_empty()
                && list.unreadable[0].starts_with("entry 1: digest algorithm not supported: blake3")
        );
    }

    #[test]
    fn an_entry_is_added_and_every_other_byte_stays() {
        let (good, bad) = (entry(&Digest::sha256(b"good").to_string()), entry("blake3:00"));
        let added = Descriptor::new(MediaType::OCI_MANIFEST, Digest::sha256(b"added"), 3);
        for (entries, before) in [(String::new(), 0), (good.clone(), 1), (format!(" {good} , {bad}\n"), 1)] {
            let text = format!("{{ \"schemaVersion\": 2, \"manifests\": [{entries}], \"x\": 1.0 }}\n");
            let blob = Blob::of_bytes(MediaType::OCI_INDEX, text.clone().into_bytes());
            let blob = ReferrerList::with_entry(&blob, &added, &Limits::default()).unwrap();
            let bytes = blob.bytes(10_000).unwrap();
            assert!(
                bytes.starts_with(&text.as_bytes()[..text.find(']').unwrap() - 1])
                    && bytes.ends_with(b", \"x\": 1.0 }\n")
            );
            let list = ReferrerList::read(blob, &Limits::default()).unwrap().unwrap();
            assert_eq!((list.referrers.len(), list.referrers.last()), (before + 1, Some(&added)), "{entries}");
        }
        let image = Blob::of_bytes(MediaType::OCI_INDEX, &b"{\"layers\":[]}"[..]);
        assert!(ReferrerList::with_entry(&image, &added, &Limits::default()).is_err());
    }

    #[test]
    fn a_thousand_bad_entries_are_told_in_few_words() {
        let list = read(&vec!["{}"; 1000].join(",")).unwrap().unwrap();
        assert_eq!((list.unreadable.len(), list.unreadable.last().unwrap().as_str()), (17, "984 more entries"));
    }

    #[test]
    fn what_is_wrong_with_the_list_itself_is_an_error() {
        for text in [
            "{\"manifests\":[{}]}",
            "{\"schemaVersion\":1,\"manifests\":[{}]}",
            "{\"schemaVersion\":2,\"manifests\":7}",
        ] {
            let blob = Blob::of_bytes(MediaType::OCI_INDEX, text.as_bytes().to_vec());
            assert!(ReferrerList::read(blob, &Limits::default()).is_err(), "{text}");
        }
        assert!(read("").unwrap().unwrap().referrers.is_empty());
    }
}
