//! Layered sources: of several entries with one id, the one of the highest layer counts.

use std::collections::BTreeSet;

/// Merges `layers`, highest priority first, by the id that `key` reads from an entry. Order is kept; of two entries
/// with one id the later is dropped.
///
/// ```
/// # use nocrd_model::layers::merge;
/// let merged = merge([vec![("a", 1)], vec![("b", 2), ("a", 3)]], |entry| entry.0);
/// assert_eq!(merged, [("a", 1), ("b", 2)]);
/// ```
pub fn merge<T, K, L>(layers: impl IntoIterator<Item = L>, key: impl Fn(&T) -> K) -> Vec<T>
where
    K: Ord,
    L: IntoIterator<Item = T>,
{
    let mut seen = BTreeSet::new();
    layers.into_iter().flatten().filter(|entry| seen.insert(key(entry))).collect()
}
