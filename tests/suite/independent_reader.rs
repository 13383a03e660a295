//! What we wrote, read by `oci-client`: a client that shares no code with our registry store.

use attestry::content::Blob;
use attestry::media_type::MediaType;
use attestry::oci::Descriptor;
use attestry::reference::Tag;
use attestry::store::registry::RegistryOptions;
use attestry::store::{Expected, Store};
use oci_client::Reference;
use oci_client::client::{ClientConfig, ClientProtocol};
use oci_client::secrets::RegistryAuth;

use crate::store_contract::{artifact, open, push_artifact};
use crate::support::registry::{Faults, TestRegistry};

fn client() -> oci_client::Client {
    oci_client::Client::new(ClientConfig { protocol: ClientProtocol::Http, ..ClientConfig::default() })
}

/// Pushes an image with a tag and a referrer, and reads everything back with the other client.
async fn reads_back(registry: &TestRegistry) {
    let store = open(registry.host(), RegistryOptions::default());
    let image = push_artifact(&store, "an image", None).await;
    store.tag(&image, &Tag::parse("v1").unwrap(), &Expected::Absent).await.unwrap();
    let layer = Blob::of_bytes(MediaType::new("text/plain"), &b"evidence"[..]);
    store.push_blob(&layer).await.unwrap();
    let referrer = artifact(&layer, Some(&image.descriptor()));
    store.push_manifest(&referrer).await.unwrap();

    let client = client();
    let name = store.repository().to_string();
    let reference: Reference = format!("{name}:v1").parse().unwrap();
    let accepted = [MediaType::OCI_MANIFEST.as_str()];
    let (bytes, digest) = client.pull_manifest_raw(&reference, &RegistryAuth::Anonymous, &accepted).await.unwrap();
    assert_eq!((&bytes[..], digest), (&image.bytes()[..], image.digest().to_string()));

    let pinned: Reference = format!("{name}@{}", image.digest()).parse().unwrap();
    let listed = client.pull_referrers(&pinned, None).await.unwrap();
    let digests: Vec<&str> = listed.manifests.iter().map(|entry| entry.digest.as_str()).collect();
    assert_eq!(digests, [referrer.digest().to_string()]);

    let mut body = Vec::new();
    let digest = Descriptor::of(&layer).digest.to_string();
    client.pull_blob(&pinned, digest.as_str(), &mut body).await.unwrap();
    assert_eq!(body, b"evidence");
}

#[tokio::test]
async fn another_client_reads_what_we_wrote_to_a_registry_with_the_referrers_api() {
    reads_back(&TestRegistry::start(Faults::default())).await;
}

#[tokio::test]
async fn another_client_reads_what_we_wrote_to_a_registry_with_the_fallback_tag() {
    reads_back(&TestRegistry::start(Faults { no_referrers_api: true, no_oci_subject: true, ..Faults::default() }))
        .await;
}

#[tokio::test]
async fn another_client_reads_the_index_and_the_tag_that_we_write() {
    // (accepted)
    let scratch = crate::support::command::Scratch::new();
    let place = crate::support::image::Place::in_process();
    let image = place.tagged("1");
    let write = std::thread::spawn(move || {
        place.push_index("1");
        for more in [&["--layout", "index-artifact", "--each-platform"][..], &["--layout", "tag"]] {
            let (image, predicate) = (place.tagged("1"), crate::round_trip::SPDX);
            crate::round_trip::attest(&scratch, &image, "spdx", predicate, more).succeeds();
        }
        place
    });
    let _place = write.join().unwrap();
    let client = client();
    let reference: Reference = image.parse().unwrap();
    let accepted = [MediaType::OCI_INDEX.as_str(), MediaType::OCI_MANIFEST.as_str()];
    let (bytes, digest) = client.pull_manifest_raw(&reference, &RegistryAuth::Anonymous, &accepted).await.unwrap();
    let index: oci_client::manifest::OciImageIndex = serde_json::from_slice(&bytes).unwrap();
    assert_eq!(index.manifests.len(), 4);
    for child in &index.manifests {
        let pinned = reference.clone_with_digest(child.digest.clone());
        let (bytes, found) = client.pull_manifest_raw(&pinned, &RegistryAuth::Anonymous, &accepted).await.unwrap();
        assert_eq!((found, i64::try_from(bytes.len()).unwrap()), (child.digest.clone(), child.size));
    }
    let tag = digest.replace(':', "-") + ".att";
    let tagged: Reference = format!("{}/{}:{tag}", reference.registry(), reference.repository()).parse().unwrap();
    let (manifest, _) = client.pull_image_manifest(&tagged, &RegistryAuth::Anonymous).await.unwrap();
    assert_eq!(manifest.layers[0].media_type, "application/vnd.dsse.envelope.v1+json");
    let mut body = Vec::new();
    client.pull_blob(&tagged, &manifest.layers[0], &mut body).await.unwrap();
    assert!(body.starts_with(b"{\"payload\":\""));
}
