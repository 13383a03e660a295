//! What an archive or a folder holds, by name, and how links in it are followed without touching a disk.

use std::collections::BTreeMap;

/// Links that are followed for one name. As many as Linux follows.
const MOST_LINKS: usize = 40;

/// What an entry is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in crate::store) enum Kind {
    /// Bytes.
    File { offset: u64, length: u64 },
    /// A folder.
    Folder,
    /// Another name of an earlier entry, by its name from the root.
    HardLink(String),
    /// A path that is followed from where the link is.
    SymbolicLink(String),
    /// A device, a pipe.
    Special,
}

/// All entries by name. Names have no `.` and no `..`, and do not start or end with `/`.
pub(in crate::store) type Entries = BTreeMap<String, Kind>;

/// A file inside what is a file or a link would be written to another place than it is read from.
pub(super) fn entry_inside_no_folder(entries: &Entries) -> Option<(&str, &str)> {
    entries.iter().filter(|(_, kind)| **kind != Kind::Folder).find_map(|(parent, _)| {
        let inside = format!("{parent}/");
        let (name, _) = entries.range(inside.clone()..).next()?;
        name.starts_with(&inside).then_some((name.as_str(), parent.as_str()))
    })
}

/// Follows a name through links to what it stands for. `None` when it leads out, nowhere, or in a circle.
pub(in crate::store) fn follow(entries: &Entries, name: &str) -> Option<Kind> {
    let mut ahead: Vec<String> = name.split('/').rev().map(str::to_owned).collect();
    let mut path: Vec<String> = Vec::new();
    let mut links = 0;
    while let Some(part) = ahead.pop() {
        match part.as_str() {
            "" | "." => continue,
            ".." => {
                path.pop()?;
                continue;
            }
            _ => path.push(part),
        }
        let target = match entries.get(&path.join("/")) {
            Some(Kind::SymbolicLink(target)) if target.starts_with('/') => return None,
            Some(Kind::SymbolicLink(target)) => {
                path.pop();
                target
            }
            Some(Kind::HardLink(target)) => {
                path.clear();
                target
            }
            Some(Kind::File { .. } | Kind::Special) if !ahead.is_empty() => return None,
            _ => continue,
        };
        links += 1;
        if links > MOST_LINKS {
            return None;
        }
        ahead.extend(target.split('/').rev().map(str::to_owned));
    }
    let path = path.join("/");
    match entries.get(&path) {
        Some(kind) => Some(kind.clone()),
        // Archives may leave folders out.
        None => {
            let inside = format!("{path}/");
            let is_folder = path.is_empty() || entries.range(inside.clone()..).next()?.0.starts_with(&inside);
            is_folder.then_some(Kind::Folder)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn links_are_followed_inside_and_never_out() {
        let link = |target: &str| Kind::SymbolicLink(target.to_owned());
        let file = Kind::File { offset: 0, length: 1 };
        let entries: Entries = [
            ("usr/lib/a", file.clone()),
            ("lib", link("usr/lib")),
            ("bin/b", link("../lib/a")),
            ("bin/hard", Kind::HardLink("usr/lib/a".to_owned())),
            ("bin/folder", link("../usr")),
            ("bin/root", link("..")),
            ("bin/out", link("../../etc/passwd")),
            ("bin/absolute", link("/usr/lib/a")),
            ("bin/nowhere", link("c")),
            ("bin/circle", link("circle")),
            ("bin/through", link("b/x")),
        ]
        .map(|(name, kind)| (name.to_owned(), kind))
        .into();
        for (name, expected) in [
            ("usr/lib/a", Some(file.clone())),
            ("bin/b", Some(file.clone())),
            ("bin/hard", Some(file)),
            ("bin/folder", Some(Kind::Folder)),
            ("bin/root", Some(Kind::Folder)),
            ("bin/out", None),
            ("bin/absolute", None),
            ("bin/nowhere", None),
            ("bin/circle", None),
            ("bin/through", None),
        ] {
            assert_eq!(follow(&entries, name), expected, "{name}");
        }
    }
}
