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
    /// Requests in flight to one registry.
    pub concurrent_requests: usize,
    /// Pages of one referrers or tag listing.
    pub pages: usize,
    /// Attempts at one request that failed in a way that may pass.
    pub attempts: u32,
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
            concurrent_requests: 8,
            pages: 200,
            attempts: 3,
            idle_seconds: 30,
            archive_bytes: 16 << 30,
            archive_ratio: 200,
            archive_entries: 500_000,
            archive_name_bytes: 64 << 20,
            archive_path_bytes: 4_096,
            archive_path_depth: 256,
            exported_files: 100_000,
        }
    }
}
