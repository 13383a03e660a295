//! Arguments as clap types. The doc comments are the help.

use std::path::PathBuf;

use clap::{Args, Parser, Subcommand, ValueEnum};

/// Make, sign, attach, find and verify the evidence of container images
#[derive(Debug, Parser)]
#[command(name = "attestry", version, propagate_version = true, arg_required_else_help = true, max_term_width = 80)]
pub(crate) struct Arguments {
    #[command(subcommand)]
    pub(crate) command: Command,
    #[command(flatten)]
    pub(crate) common: Common,
}

/// Options that every command takes.
#[derive(Debug, Args)]
pub(crate) struct Common {
    /// Form of the report
    #[arg(long, global = true, value_enum, default_value_t = Output::Human, hide_possible_values = true, value_name = "human|json", help_heading = "Common options")]
    pub(crate) output: Output,
    /// Refuse every use of the network
    #[arg(long, global = true, help_heading = "Common options")]
    pub(crate) offline: bool,
    /// Speak plain HTTP to this registry host[:port]
    #[arg(long, global = true, value_name = "HOST", help_heading = "Common options")]
    pub(crate) insecure_http: Vec<String>,
    /// Trust the authorities in this PEM file too (TLS)
    #[arg(long, global = true, value_name = "FILE", help_heading = "Common options")]
    pub(crate) registry_ca: Vec<PathBuf>,
    /// Show this client certificate to the registry (PEM)
    #[arg(long, global = true, value_name = "FILE", requires = "registry_key", help_heading = "Common options")]
    pub(crate) registry_cert: Option<PathBuf>,
    /// The key of the client certificate (PEM)
    #[arg(long, global = true, value_name = "FILE", requires = "registry_cert", help_heading = "Common options")]
    pub(crate) registry_key: Option<PathBuf>,
    /// Read what has a digest from a mirror first
    #[arg(long, global = true, value_name = "HOST=MIRROR", help_heading = "Common options")]
    pub(crate) mirror: Vec<String>,
    /// Print nothing for people but errors
    #[arg(long, short, global = true, help_heading = "Common options")]
    pub(crate) quiet: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Output {
    /// Text for people
    Human,
    /// JSON with a schema
    Json,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Run the whole story on a scratch image, with no network
    Demo(DemoOptions),
    /// Make a key pair
    Keygen(KeygenOptions),
    /// Make, sign and attach a statement about an image
    Attest(AttestOptions),
    /// Sign an image
    Sign(SignOptions),
    /// Sign a file, or a ready statement, into a bundle file
    SignBlob(SignBlobOptions),
    /// Attach a bundle file to an image
    Attach(AttachOptions),
    /// Take attached documents off an image
    Detach(DetachOptions),
    /// Keep attestations in another layout, with the same signatures
    Convert(ConvertOptions),
    /// List everything that is attached to an image (not verified)
    #[command(visible_alias = "tree")]
    List(ListOptions),
    /// Show what an image's evidence, or a file, says (not verified)
    Inspect(InspectOptions),
    /// Take a document off an image (not verified)
    Download(DownloadOptions),
    /// Verify an image against keys or a policy
    Verify(VerifyOptions),
}

#[derive(Debug, Args)]
pub(crate) struct DemoOptions {
    /// Folder to work in [default: a new one, kept]
    #[arg(long, value_name = "DIR")]
    pub(crate) directory: Option<PathBuf>,
}

#[derive(Debug, Args)]
pub(crate) struct KeygenOptions {
    /// Write PREFIX.key (encrypted) and PREFIX.pub
    #[arg(long, value_name = "PREFIX", default_value = "attestry")]
    pub(crate) prefix: PathBuf,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Layout {
    /// OCI artifact whose subject is the image
    Referrer,
    /// Attestation manifest in the image index, older form
    Index,
    /// Attestation manifest in the image index, artifact form
    IndexArtifact,
    /// Tag made from the image's digest, as cosign 2 has it
    Tag,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum SignatureLayout {
    /// OCI artifact whose subject is the image
    Referrer,
    /// Tag made from the image's digest, as cosign 2 has it
    Tag,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum SignedPart {
    /// Each statement
    Statement,
    /// The attestation manifest that lists bare statements
    Manifest,
}

#[derive(Debug, Args)]
pub(crate) struct AttestOptions {
    /// The image
    pub(crate) image: String,
    /// The predicate: a JSON file, or - ({platform} names one for each)
    #[arg(long, value_name = "FILE")]
    pub(crate) predicate: String,
    /// Predicate type: a short name (spdx, openvex, …) or a URI
    #[arg(long = "type", value_name = "TYPE")]
    pub(crate) predicate_type: String,
    /// The private key (password: ATTESTRY_PASSWORD or a prompt)
    #[arg(long, value_name = "FILE", required_unless_present = "unsigned")]
    pub(crate) key: Option<PathBuf>,
    /// Where to keep it
    #[arg(long, value_enum, default_value_t = Layout::Referrer)]
    pub(crate) layout: Layout,
    /// What the signature is over (manifest: with --layout index-artifact)
    #[arg(long, value_enum, default_value_t = SignedPart::Statement)]
    pub(crate) sign: SignedPart,
    /// Sign this statement of somebody else too, with --sign manifest
    #[arg(long, value_name = "DIGEST")]
    pub(crate) vouch: Vec<String>,
    /// Write the statement without any signature
    #[arg(long, conflicts_with_all = ["key", "sign", "vouch"])]
    pub(crate) unsigned: bool,
    /// Attest this platform of an index
    #[arg(long, value_name = "PLATFORM", conflicts_with = "each_platform")]
    pub(crate) platform: Option<String>,
    /// Attest every platform of an index
    #[arg(long)]
    pub(crate) each_platform: bool,
    /// Say what would be written, and write nothing
    #[arg(long)]
    pub(crate) dry_run: bool,
}

#[derive(Debug, Args)]
pub(crate) struct SignOptions {
    /// The image
    pub(crate) image: String,
    /// The private key (password: ATTESTRY_PASSWORD or a prompt)
    #[arg(long, value_name = "FILE")]
    pub(crate) key: PathBuf,
    /// Where to keep it
    #[arg(long, value_enum, default_value_t = SignatureLayout::Referrer)]
    pub(crate) layout: SignatureLayout,
    /// Sign this platform of an index
    #[arg(long, value_name = "PLATFORM", conflicts_with_all = ["each_platform", "recursive"])]
    pub(crate) platform: Option<String>,
    /// Sign every platform of an index
    #[arg(long, conflicts_with = "recursive")]
    pub(crate) each_platform: bool,
    /// Sign every platform of an index, and the index
    #[arg(long, short = 'r')]
    pub(crate) recursive: bool,
    /// Something to say in the signature; repeated: all of it
    #[arg(long, short = 'a', value_name = "NAME=VALUE")]
    pub(crate) annotation: Vec<String>,
    /// Say what would be written, and write nothing
    #[arg(long)]
    pub(crate) dry_run: bool,
}

#[derive(Debug, Args)]
pub(crate) struct SignBlobOptions {
    /// The file, or -
    pub(crate) file: String,
    /// The private key (password: ATTESTRY_PASSWORD or a prompt)
    #[arg(long, value_name = "FILE")]
    pub(crate) key: PathBuf,
    /// Write the bundle here [default: standard output]
    #[arg(long, short = 'o', value_name = "FILE")]
    pub(crate) to: Option<PathBuf>,
    /// The file is an in-toto statement: sign it as one
    #[arg(long)]
    pub(crate) statement: bool,
}

#[derive(Debug, Args)]
pub(crate) struct AttachOptions {
    /// The image
    pub(crate) image: String,
    /// The bundle file, or -
    #[arg(long, value_name = "FILE")]
    pub(crate) bundle: String,
    /// Say what would be written, and write nothing
    #[arg(long)]
    pub(crate) dry_run: bool,
}

#[derive(Debug, Args)]
pub(crate) struct DetachOptions {
    /// The image
    pub(crate) image: String,
    /// Digest of a document, or of a manifest with all that it lists; repeated: all of them
    #[arg(long, value_name = "DIGEST", required = true)]
    pub(crate) select: Vec<String>,
    /// Say what would be changed, and change nothing
    #[arg(long)]
    pub(crate) dry_run: bool,
}

#[derive(Debug, Args)]
pub(crate) struct ConvertOptions {
    /// The image
    pub(crate) image: String,
    /// The layout to keep them in
    #[arg(long, value_enum, value_name = "LAYOUT")]
    pub(crate) to: Layout,
    /// Only those that are kept in this layout
    #[arg(long, value_enum, value_name = "LAYOUT")]
    pub(crate) from: Option<Layout>,
    /// Only this predicate type; repeated: any of them
    #[arg(long = "type", value_name = "TYPE")]
    pub(crate) types: Vec<String>,
    /// Only the document of this digest, or of the manifest of this digest; repeated: all of them
    #[arg(long, value_name = "DIGEST")]
    pub(crate) select: Vec<String>,
    /// Leave them in their old layout too [default]
    #[arg(long, conflicts_with = "remove")]
    pub(crate) keep: bool,
    /// Take them off their old layout afterwards
    #[arg(long)]
    pub(crate) remove: bool,
    /// Say what would be written, and write nothing
    #[arg(long)]
    pub(crate) dry_run: bool,
}

#[derive(Debug, Args)]
pub(crate) struct ListOptions {
    /// The image
    pub(crate) image: String,
    /// Only what covers this platform
    #[arg(long, value_name = "PLATFORM")]
    pub(crate) platform: Option<String>,
    /// A second place that keeps evidence about the image
    #[arg(long, value_name = "REFERENCE")]
    pub(crate) referrers_from: Option<String>,
    /// A file of evidence beside the image: a bundle, an envelope, .intoto.jsonl; repeatable
    #[arg(long, value_name = "FILE")]
    pub(crate) bundle: Vec<String>,
    /// Read every document, for what it says of its signers and for the names of files
    #[arg(long)]
    pub(crate) detail: bool,
}

#[derive(Debug, Args)]
pub(crate) struct InspectOptions {
    /// The image, a file (bundle, envelope, statement, public key), or -
    pub(crate) what: String,
    /// A second place that keeps evidence about the image
    #[arg(long, value_name = "REFERENCE")]
    pub(crate) referrers_from: Option<String>,
    /// A file of evidence beside the image: a bundle, an envelope, .intoto.jsonl; repeatable
    #[arg(long, value_name = "FILE")]
    pub(crate) bundle: Vec<String>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Part {
    /// The predicate alone
    Predicate,
    /// The statement around it
    Statement,
    /// The signed document as it is attached
    Document,
}

#[derive(Debug, Args)]
pub(crate) struct DownloadOptions {
    /// The image
    pub(crate) image: String,
    /// Predicate type: a short name (spdx, openvex, …) or a URI
    #[arg(long = "type", value_name = "TYPE")]
    pub(crate) predicate_type: String,
    /// Which part of it
    #[arg(long, value_enum, default_value_t = Part::Predicate)]
    pub(crate) part: Part,
    /// Only what covers this platform
    #[arg(long, value_name = "PLATFORM")]
    pub(crate) platform: Option<String>,
    /// Only the document of this digest, or of the manifest of this digest
    #[arg(long, value_name = "DIGEST")]
    pub(crate) select: Option<String>,
    /// Write here [default: standard output]
    #[arg(long, short = 'o', value_name = "FILE")]
    pub(crate) to: Option<PathBuf>,
    /// A second place that keeps evidence about the image
    #[arg(long, value_name = "REFERENCE")]
    pub(crate) referrers_from: Option<String>,
    /// A file of evidence beside the image: a bundle, an envelope, .intoto.jsonl; repeatable
    #[arg(long, value_name = "FILE")]
    pub(crate) bundle: Vec<String>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Through {
    /// A signature over the index counts for the statements inside it
    Index,
}

#[derive(Debug, Args)]
pub(crate) struct VerifyOptions {
    /// The images
    #[arg(required = true)]
    pub(crate) images: Vec<String>,
    /// Policy file
    #[arg(long, value_name = "FILE", conflicts_with_all = ["key", "types", "threshold", "through"])]
    pub(crate) policy: Option<PathBuf>,
    /// Trusted public key; repeated: any of them
    #[arg(long, value_name = "FILE")]
    pub(crate) key: Vec<PathBuf>,
    /// Demanded predicate type (or `signature`); repeated: all of them
    #[arg(long = "type", value_name = "TYPE")]
    pub(crate) types: Vec<String>,
    /// How many distinct keys must have signed the same statement
    #[arg(long, value_name = "N")]
    pub(crate) threshold: Option<usize>,
    /// Only this platform of an index
    #[arg(long, value_name = "PLATFORM")]
    pub(crate) platform: Option<String>,
    /// What else a signature may be over to count
    #[arg(long, value_enum)]
    pub(crate) through: Option<Through>,
    /// A second place that keeps evidence about the images
    #[arg(long, value_name = "REFERENCE")]
    pub(crate) referrers_from: Option<String>,
    /// A file of evidence beside the image: a bundle, an envelope, .intoto.jsonl; repeatable
    #[arg(long, value_name = "FILE")]
    pub(crate) bundle: Vec<String>,
}
