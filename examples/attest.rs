//! Makes a signed attestation with the core of the library alone: no store, no runtime, no network.
//!
//! ```text
//! cargo run --no-default-features --example attest -- TYPE PREDICATE DIGEST PUBLIC-KEY > bundle.json
//!
//! TYPE        a short name (spdx, openvex, …) or a URI
//! PREDICATE   the document, a JSON file
//! DIGEST      what the statement is about: the digest of an image manifest or index
//! PUBLIC-KEY  where the new public key is written; the private half is thrown away
//! ```
//!
//! `attestry attach IMAGE --bundle bundle.json` hangs the bundle on the image; the example `verify` checks it.

use std::error::Error;
use std::io::Write;
use std::{env, fs, io};

use attestry::content::Content;
use attestry::crypto::{MessageDigests, SigningKey};
use attestry::digest::Digest;
use attestry::dsse::{self, Envelope, EnvelopeSignature};
use attestry::intoto::{Statement, Subject};
use attestry::limits::Limits;
use attestry::media_type::PayloadType;
use attestry::predicate::{Predicate, TypeSelector};
use attestry::sigstore::Bundle;

fn main() -> Result<(), Box<dyn Error>> {
    let arguments: Vec<String> = env::args().skip(1).collect();
    let [type_name, predicate_path, digest, public_key_path] = arguments.as_slice() else {
        return Err("give TYPE PREDICATE DIGEST PUBLIC-KEY".into());
    };
    let limits = Limits::default();

    // 1. The predicate stays the text that it is; it is only checked to be strict JSON of its type.
    let selector = TypeSelector::parse(type_name)?;
    let predicate = Predicate::read(Content::from(fs::read(predicate_path)?), &selector, &limits)?;

    // 2. The statement says what the predicate is about. Its bytes are made here, once.
    let subject = Subject::new(None, &Digest::parse(digest)?);
    let statement = Statement::new(vec![subject], predicate.predicate_type().clone(), predicate.content());

    // 3. What is signed is the pre-authentication encoding of payload type and payload.
    let key = SigningKey::generate_p256()?;
    let message = dsse::pae(&PayloadType::IN_TOTO, statement.payload());
    let signature = key.sign(&MessageDigests::of(&message.read_all()?))?;

    // 4. Envelope and bundle put payload and signature together. The hint helps to find the key and decides nothing.
    let entry = EnvelopeSignature { keyid: None, signature };
    let envelope = Envelope::new(PayloadType::IN_TOTO, statement.payload().clone(), vec![entry]);
    let bundle = Bundle::for_key(envelope, key.public_key().hint())?;

    fs::write(public_key_path, key.public_key().to_pem())?;
    let mut out = io::stdout().lock();
    bundle.to_content().each_chunk(|chunk| out.write_all(chunk))?;
    Ok(out.flush()?)
}
