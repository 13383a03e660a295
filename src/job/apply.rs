//! Carrying out a plan: blobs, manifests, and the tag last.

use futures_util::{StreamExt, TryStreamExt};

use crate::attach::WritePlan;
use crate::limits::Limits;
use crate::store::{Expected, Store, StoreError};

/// Writes what was planned. When it fails midway nothing names what was written already.
///
/// # Errors
/// Whatever the store says; [`StoreError::TagMoved`] when somebody else moved the tag since the plan was made.
pub async fn apply(plan: &WritePlan, store: &dyn Store, limits: &Limits) -> Result<(), StoreError> {
    futures_util::stream::iter(&plan.blobs)
        .map(Ok::<_, StoreError>)
        .try_for_each_concurrent(
            limits.concurrent_requests,
            |blob| async move { store.push_blob(blob).await.map(drop) },
        )
        .await?;
    for manifest in &plan.manifests {
        store.push_manifest(manifest).await?;
    }
    if let Some(moved) = &plan.tag {
        store.tag(&moved.to, &moved.tag, &Expected::Digest(moved.from.clone())).await?;
    }
    Ok(())
}
