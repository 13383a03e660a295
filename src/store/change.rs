//! Changing what a tag names, where others change it at the same time.

use super::{Expected, Store, StoreError};
use crate::limits::Limits;
use crate::oci::Manifest;
use crate::reference::{Selector, Tag};

/// Reads what a tag names, has the next manifest made of it, and moves the tag there, again and again until it stays.
///
/// `change` gets what the tag names now, and gives `None` when that is as it should be; it is asked once more after each
/// write, as another writer may have come over it. What the next manifest names must be in the store before.
///
/// In stores that lock, and in registries that honour `If-Match`, no writer loses anything. Elsewhere a loss is seen unless
/// the other read before our writing and wrote after our looking.
///
/// # Errors
/// [`StoreError::EntryLost`] when others keep writing over it, what `change` gives, and what the store says.
pub async fn change_tag<E: From<StoreError>>(
    store: &dyn Store,
    tag: &Tag,
    limits: &Limits,
    mut change: impl FnMut(Option<&Manifest>) -> Result<Option<Manifest>, E>,
) -> Result<(), E> {
    let selector = Selector { tag: Some(tag.clone()), digest: None };
    let (mut writes, mut refusals) = (0, 0);
    loop {
        let current = match store.manifest(&selector).await {
            Ok(manifest) => Some(manifest),
            Err(error) if error.is_not_found() => None,
            Err(error) => return Err(error.into()),
        };
        let Some(next) = change(current.as_ref())? else { return Ok(()) };
        if writes >= limits.tag_writes || refusals >= limits.tag_refusals {
            let (place, tag, entry) = (store.name(), tag.clone(), next.digest().clone());
            return Err(StoreError::EntryLost { place, tag, entry, writes }.into());
        }
        let expected = current.map_or(Expected::Absent, |current| Expected::Digest(current.digest().clone()));
        match store.tag(&next, tag, &expected).await {
            Ok(()) => writes += 1,
            Err(StoreError::TagMoved { .. }) => refusals += 1,
            Err(error) => return Err(error.into()),
        }
        store.settle().await;
    }
}
