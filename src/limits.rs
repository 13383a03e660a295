//! Every bound on foreign data, with its unit, default and reason.

/// Bounds that readers of foreign data obey.
///
/// The defaults fit everything in the corpora with room to spare; a caller may lower or raise them.
///
/// ```
/// let limits = attestry::limits::Limits { manifest_bytes: 1 << 20, ..Default::default() };
/// assert!(limits.blob_bytes > limits.manifest_bytes);
/// ```
#[derive(Debug, Clone)]
pub struct Limits {
    /// Bytes of a manifest or index. Registries must take 4 MiB (distribution-spec, "Pushing manifests"); a larger one is a bomb.
    pub manifest_bytes: u64,
    /// Bytes of all manifests that are read for one image, which are held in memory. Ten thousand of the usual ones have 20 MiB.
    pub manifests_bytes: u64,
    /// Bytes of one attached document. BuildKit caps an attestation file at 40–80 MiB; base64 and room on top.
    pub blob_bytes: u64,
    /// Bytes up to which content is held in memory; larger content is spooled to an unlinked file.
    pub memory_bytes: u64,
    /// Bytes of a message for an algorithm that reads its message twice (Ed25519) and so must hold it whole.
    pub two_pass_message_bytes: u64,
    /// Nesting of JSON. The deepest real document seen has 17 levels; serde_json stops at 128.
    pub json_depth: usize,
    /// Keys of all JSON objects that are open at once, so that the set of seen keys stays small (8 bytes a key).
    pub json_keys: usize,
    /// Bytes of all that is kept of one JSON document beside its long strings and its predicate.
    pub json_captured_bytes: u64,
    /// Bytes of all documents that are fetched to verify one image; what lies beyond is left undecided.
    pub evidence_bytes: u64,
    /// Bytes of small documents that are kept in case that another manifest lists them too; past that they are fetched
    /// again. 2 MiB are some hundred bundles of 4 kB, so that memory stays flat when there are thousands.
    pub remembered_bytes: u64,
    /// Layers of one manifest that are looked at. BuildKit writes one for each statement.
    pub layers: usize,
    /// Signatures in one envelope. Ten signers are many.
    pub signatures: usize,
    /// Bytes of one annotation that carries a certificate, a log entry or a timestamp. The largest seen has 3.3 KiB.
    pub annotation_bytes: usize,
    /// Certificates of one chain. Public authorities have two, private ones some more.
    pub certificates: usize,
    /// Subjects of one statement. BuildKit names every file of a `local` export.
    pub subjects: usize,
    /// Documents of one file of evidence. GitHub gives up to 100 a page; release files hold a few hundred lines.
    pub file_documents: usize,
    /// Referrers of one manifest. 200 were measured; thousands are a flood.
    pub referrers: usize,
    /// Children of one index. Real ones have up to 24.
    pub index_children: usize,
    /// Parts of one image that can be run, over all indexes in it, and as many indexes. Past that a nested index counts as one
    /// part.
    pub image_parts: usize,
    /// Levels of indexes inside indexes.
    pub index_depth: usize,
    /// Bytes of a policy file. People write them; 1 MiB is thousands of rules.
    pub policy_bytes: usize,
    /// YAML nodes of a policy file, so that a megabyte of `[,,,]` costs little.
    pub policy_nodes: usize,
    /// Nesting of a policy file. The vocabulary has 6 levels.
    pub policy_depth: usize,
    /// Problems of a policy file that are listed. Nobody reads more at once.
    pub policy_problems: usize,
    /// Characters of one `match` pattern. Matching costs pattern × name; names have up to a few thousand characters.
    pub pattern_characters: usize,
    /// Requests in flight to one registry. Where answers take 20 ms, 16 are 1.6 times as fast as 8 with many referrers;
    /// a registry that minds answers 429 and is given the pause that it asks for.
    pub concurrent_requests: usize,
    /// Tags of one repository. Busy ones have tens of thousands; all are held at once.
    pub tags: usize,
    /// Pages of one referrers or tag listing.
    pub pages: usize,
    /// Attempts at one request that failed in a way that may pass.
    pub attempts: u32,
    /// Times that a change of something shared (a tag, an index) is made anew because others changed it meanwhile.
    pub write_rounds: u32,
    /// Seconds without progress after which a connection is given up.
    pub idle_seconds: u64,
    /// Bytes that a compressed archive may unpack to. Images of a few GB are usual; more is unpacked by hand first.
    pub archive_bytes: u64,
    /// Bytes that one byte of a compressed archive may unpack to, beside what is held in memory anyway. Deflate reaches
    /// 1,032; archives of images have 1 to 5, text 20.
    pub archive_ratio: u64,
    /// Entries of one archive. A root file system has some 100,000.
    pub archive_entries: usize,
    /// Bytes of all names in one archive, and in the headers that carry them.
    pub archive_name_bytes: u64,
    /// Bytes of one name in an archive, or of what a link in it leads to. As long as a path may be on Linux.
    pub archive_path_bytes: usize,
    /// Folders in one name in an archive: each is looked up. The deepest trees of packages have some 60.
    pub archive_path_depth: usize,
    /// Files of a folder or archive that an exporter wrote. As many as one statement may name.
    pub exported_files: usize,
    /// Bytes that a body must bring in a second, on average over the idle time: a peer that drips may not hold a request
    /// for ever. A bad mobile line has ten times as much.
    pub slowest_bytes_per_second: u64,
    /// Bytes up to which a blob is uploaded in one request; a larger one goes in pieces, so that a break near its end
    /// does not start it over. Below it, the two requests more cost as much as they save.
    pub whole_upload_bytes: u64,
    /// Bytes of one piece of an upload. A transfer that got as much further since it broke off has all its attempts
    /// again. Registries keep each piece as an object of its own, and hundreds of these for one blob are slow.
    pub piece_bytes: u64,
    /// Seconds that a registry may take to make a blob of what was uploaded. It digests and moves all of it; half a
    /// gigabyte takes some of them a minute.
    pub commit_seconds: u64,
    /// Times that a registry may refuse such a write because another came first. Nothing is lost by it.
    pub tag_refusals: u32,
    /// Milliseconds up to which a writer waits before it looks whether its entry is still in a tag's list. Another
    /// writer's reading and writing lie within it, a few round trips apart.
    pub read_back_milliseconds: u64,
    /// Seconds that a credential helper has. It asks a key store; those that open a browser have no place here.
    pub helper_seconds: u64,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            manifest_bytes: 4 << 20,
            manifests_bytes: 256 << 20,
            blob_bytes: 512 << 20,
            memory_bytes: 8 << 20,
            two_pass_message_bytes: 128 << 20,
            json_depth: 128,
            json_keys: 1_000_000,
            json_captured_bytes: 16 << 20,
            evidence_bytes: 4 << 30,
            remembered_bytes: 2 << 20,
            layers: 512,
            signatures: 64,
            annotation_bytes: 256 << 10,
            certificates: 16,
            subjects: 100_000,
            file_documents: 10_000,
            referrers: 10_000,
            index_children: 1_000,
            image_parts: 2_000,
            index_depth: 4,
            policy_bytes: 1 << 20,
            policy_nodes: 100_000,
            policy_depth: 32,
            policy_problems: 200,
            pattern_characters: 1_024,
            concurrent_requests: 16,
            tags: 500_000,
            pages: 200,
            attempts: 3,
            write_rounds: 5,
            idle_seconds: 30,
            archive_bytes: 16 << 30,
            archive_ratio: 200,
            archive_entries: 500_000,
            archive_name_bytes: 64 << 20,
            archive_path_bytes: 4_096,
            archive_path_depth: 256,
            exported_files: 100_000,
            slowest_bytes_per_second: 4 << 10,
            whole_upload_bytes: 32 << 20,
            piece_bytes: 16 << 20,
            commit_seconds: 300,
            tag_refusals: 20,
            read_back_milliseconds: 500,
            helper_seconds: 10,
        }
    }
}
