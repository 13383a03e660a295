//! Writers that meet, die, or run out of room: the layout stays sound and nothing is lost.

use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use attestry::code::Code;
use attestry::content::Blob;
use attestry::limits::Limits;
use attestry::media_type::MediaType;
use attestry::oci::Descriptor;
use attestry::store::{Layout, Store};

use super::scene::{Scene, TYPE};
use crate::store_contract::artifact;
use crate::support::program::{Ended, fsck, is_full, program, tree};

fn attest(scene: &Scene, predicate: &str) -> Command {
    let mut command = program();
    let (reference, key) = (scene.reference(), scene.at("team.key"));
    command.args(["attest", &reference, "--predicate", predicate, "--type", TYPE, "--key", &key]);
    command.stdout(Stdio::piped()).stderr(Stdio::piped());
    command
}

/// How many attestations `list` sees.
fn listed(scene: &Scene) -> usize {
    let reference = scene.reference();
    let ended = scene.run(&["list", &reference, "--output", "json"]);
    assert_eq!(ended.code, 0, "{ended:?}");
    let report: serde_json::Value = serde_json::from_str(&ended.out).unwrap();
    assert_eq!(report["rejections"], serde_json::json!([]));
    report["attestations"].as_array().unwrap().len()
}

/// How many attestations the fallback tag lists, which is what other tools read.
fn in_fallback_tag(scene: &Scene) -> usize {
    let index = std::fs::read(scene.root().join("index.json")).unwrap();
    let index: serde_json::Value = serde_json::from_slice(&index).unwrap();
    let tag = scene.image["digest"].as_str().unwrap().replace(':', "-");
    let entries = index["manifests"].as_array().unwrap();
    let entry =
        entries.iter().find(|entry| entry["annotations"]["org.opencontainers.image.ref.name"] == tag.as_str()).unwrap();
    let listing = std::fs::read(scene.file_of(entry)).unwrap();
    let listing: serde_json::Value = serde_json::from_slice(&listing).unwrap();
    listing["manifests"].as_array().unwrap().len()
}

/// How many statements the attestation manifests in the tagged index hold.
fn in_index(scene: &Scene) -> usize {
    let read = |path: &Path| -> serde_json::Value { serde_json::from_slice(&std::fs::read(path).unwrap()).unwrap() };
    let index = read(&scene.root().join("index.json"));
    let tagged = |entry: &&serde_json::Value| entry["annotations"]["org.opencontainers.image.ref.name"] == "1";
    let image = read(&scene.file_of(index["manifests"].as_array().unwrap().iter().find(tagged).unwrap()));
    let children = image["manifests"].as_array().unwrap().iter();
    let evidence = children.filter(|child| child["platform"]["os"] == "unknown");
    evidence.map(|child| read(&scene.file_of(child))["layers"].as_array().unwrap().len()).sum()
}

#[test]
fn writers_at_once_lose_nothing() {
    // (accepted)
    let scene = Scene::new();
    let mut expected = 0;
    for round in 0..5 {
        let predicates: Vec<String> = (0..4)
            .map(|number| scene.file(&format!("{round}-{number}.json"), format!("{{\"n\":{number},\"r\":{round}}}")))
            .collect();
        let children: Vec<Child> = predicates.iter().map(|path| attest(&scene, path).spawn().unwrap()).collect();
        for child in children {
            let ended = scene.check(&child.wait_with_output().unwrap());
            assert_eq!(ended.code, 0, "{ended:?}");
            expected += 1;
        }
        scene.is_sound();
        assert_eq!(listed(&scene), expected);
        assert_eq!(in_fallback_tag(&scene), expected);
    }
    scene.verify(&[]).accepted();
}

#[test]
fn writers_of_one_tag_at_once_do_not_undo_each_other() {
    // (accepted, or refused: tag-moved)
    for _ in 0..5 {
        let scene = Scene::new();
        let run = |number: usize| {
            let path = scene.file(&format!("{number}.json"), format!("{{\"n\":{number}}}"));
            attest(&scene, &path).args(["--layout", "index-artifact", "--each-platform"]).spawn().unwrap()
        };
        let children: Vec<Child> = (0..3).map(run).collect();
        let ended: Vec<Ended> =
            children.into_iter().map(|child| scene.check(&child.wait_with_output().unwrap())).collect();
        let done = ended.iter().filter(|ended| ended.code == 0).count();
        assert!(done >= 1, "{ended:?}");
        for ended in ended.iter().filter(|ended| ended.code != 0) {
            ended.says(3, "tag-moved");
        }
        scene.is_sound();
        assert_eq!(in_index(&scene), done, "every one that was told `done` is there, and no other");
    }
}

#[tokio::test]
async fn a_layout_that_another_process_writes_is_refused_and_left_alone() {
    // (refused: layout-locked)
    let scene = Scene::new();
    let store = Layout::open(&scene.root(), &Limits::default()).unwrap().with_lock_wait(Duration::ZERO);
    let subject: Descriptor = serde_json::from_value(scene.image.clone()).unwrap();
    let layer = Blob::of_bytes(MediaType::new("text/plain"), "evidence");
    let evidence = artifact(&layer, Some(&subject));
    let held = std::fs::File::open(scene.root().join("oci-layout")).unwrap();
    held.lock().unwrap();
    let before = std::fs::read(scene.root().join("index.json")).unwrap();
    let error = store.push_manifest(&evidence).await.unwrap_err();
    assert_eq!(error.code(), Code::LayoutLocked);
    assert_eq!(std::fs::read(scene.root().join("index.json")).unwrap(), before);
    // Who only reads does not wait.
    assert_eq!(listed(&scene), 0);
    // Unlocked, not only closed: a process that another test forks just now still has the file open.
    held.unlock().unwrap();
    let store = store.with_lock_wait(Duration::from_secs(60));
    store.push_manifest(&evidence).await.unwrap();
    assert_eq!(store.referrers(&subject.digest).await.unwrap().len(), 1);
}

/// Waits for a change of the folder, or for the end of the process, looking all the time.
fn until_changes(root: &Path, child: &mut Child, changes: usize) {
    let names = |root: &Path| {
        let list = |folder: &Path| -> Vec<_> {
            std::fs::read_dir(folder).unwrap().flatten().map(|entry| entry.file_name()).collect()
        };
        let index = std::fs::metadata(root.join("index.json")).and_then(|data| data.modified()).ok();
        (list(root), list(&root.join("blobs/sha256")), index)
    };
    let mut last = names(root);
    let mut seen = 0;
    while seen < changes && child.try_wait().unwrap().is_none() {
        let now = names(root);
        if now != last {
            seen += 1;
            last = now;
        }
    }
}

#[test]
fn a_process_killed_at_any_moment_leaves_a_sound_layout() {
    // (accepted)
    let scene = Scene::new();
    let rounds = if is_full() { 200 } else { 20 };
    let mut seed = 0x9e37_79b9_7f4a_7c15_u64;
    let mut finished = 0;
    for round in 0..rounds {
        seed ^= seed << 13;
        seed ^= seed >> 7;
        seed ^= seed << 17;
        let changes = usize::try_from(seed % 8).unwrap();
        let path = scene.file("some.json", format!("{{\"round\":{round}}}"));
        let mut child = attest(&scene, &path).spawn().unwrap();
        until_changes(&scene.root(), &mut child, changes);
        let _ = child.kill();
        finished += usize::from(child.wait().unwrap().success());
        fsck(&scene.root());
        let seen = listed(&scene);
        assert!(seen >= finished, "{seen} of {finished} attestations are left");
    }
    assert!(finished < rounds, "no process was killed in time");
    // The next one is not held up by what the dead left.
    let before = listed(&scene);
    assert_eq!(scene.attest_with(&scene.at("team.key"), &[]).code, 0);
    assert_eq!(listed(&scene), before + 1);
    scene.verify(&[]).accepted();
    scene.is_sound();
}

/// A folder on a file system of its own, gone when dropped.
struct Small(std::path::PathBuf);

impl Small {
    fn mount(at: &Path, size: &str) -> Option<Self> {
        std::fs::create_dir_all(at).unwrap();
        let option = format!("size={size}");
        let mount = Command::new("mount").args(["-t", "tmpfs", "-o", &option, "none"]).arg(at).output();
        mount.is_ok_and(|output| output.status.success()).then(|| Self(at.to_owned()))
    }
}

impl Drop for Small {
    fn drop(&mut self) {
        let _ = Command::new("umount").arg(&self.0).output();
    }
}

/// A whole copy of the scene's layout.
fn copy_layout(scene: &Scene, to: &Path) {
    std::fs::create_dir_all(to.join("blobs/sha256")).unwrap();
    for (path, content) in tree(&scene.root()) {
        if let Some(content) = content {
            std::fs::write(to.join(path.strip_prefix(scene.root()).unwrap()), content).unwrap();
        }
    }
}

#[test]
fn a_full_disk_stops_a_write_and_leaves_the_layout_as_it_was() {
    // (refused: storage-full)
    let scene = Scene::new();
    let at = scene.path("small");
    let Some(_small) = Small::mount(&at, "64k") else {
        println!("skipped: a_full_disk_stops_a_write: no tmpfs can be mounted here; see the bounded file size");
        return;
    };
    copy_layout(&scene, &at);
    let key = scene.at("team.key");
    // Larger than the disk; and small ones until there is no room for the next.
    let large = scene.file("large.json", format!("{{\"a\":\"{}\"}}", "x".repeat(100_000)));
    let small = scene.file("small.json", format!("{{\"a\":\"{}\"}}", "x".repeat(3_000)));
    let reference = format!("oci:{}:1", at.display());
    let attest = |path: &str| scene.run(&["attest", &reference, "--predicate", path, "--type", TYPE, "--key", &key]);
    let before = tree(&at);
    attest(&large).says(3, "storage-full").names("half-written");
    let mut after = tree(&at);
    // The two bytes of the empty configuration fitted, are whole, and nothing names them.
    after.retain(|_, content| content.as_deref() != Some(b"{}"));
    assert!(after == before, "the disk was full and something half-written stayed");
    fsck(&at);
    let mut done = 0;
    let full = loop {
        let ended = attest(&small);
        fsck(&at);
        if ended.code != 0 {
            break ended;
        }
        done += 1;
        assert!(done < 50, "the disk is never full");
    };
    full.says(3, "storage-full");
    let ended = scene.run(&["list", &reference, "--output", "json"]);
    let report: serde_json::Value = serde_json::from_str(&ended.out).unwrap();
    assert!(done >= 1 && report["attestations"].as_array().unwrap().len() >= done, "{ended:?}");
    let pubkey = scene.at("team.pub");
    assert_eq!(scene.run(&["verify", &reference, "--key", &pubkey, "--type", TYPE]).code, 0);
}

#[test]
fn a_bound_on_file_sizes_stops_a_write_and_leaves_the_layout_as_it_was() {
    // (refused: storage-failed)
    let scene = Scene::new();
    let path = scene.file("large.json", format!("{{\"a\":\"{}\"}}", "x".repeat(100_000)));
    let inner = attest(&scene, &path);
    // 16 blocks of 1 KiB for every file; the signal that comes with it is ignored, as in a service.
    let mut shell = Command::new("bash");
    shell
        .args(["-c", "ulimit -f 16; trap '' XFSZ; exec \"$0\" \"$@\""])
        .arg(inner.get_program())
        .args(inner.get_args());
    shell.env_remove("ATTESTRY_PASSWORD").stdin(Stdio::null());
    let Ok(output) = shell.output() else {
        println!("skipped: a_bound_on_file_sizes_stops_a_write: no bash here");
        return;
    };
    let before = tree(&scene.root());
    let ended = scene.check(&output);
    assert!(["storage-failed", "storage-full"].iter().any(|code| ended.err.contains(code)), "{ended:?}");
    assert_eq!(ended.code, 3);
    assert!(ended.err.contains("\nhint: "), "{ended:?}");
    assert!(tree(&scene.root()) == before && before.keys().all(|path| !path.to_string_lossy().contains(".attestry-")));
    scene.is_sound();
    scene.verify(&[]).refused("attestation-missing", None);
}
