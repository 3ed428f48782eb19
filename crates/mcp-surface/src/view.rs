//! What tools send. Output schemas are generated from these types; members that may be missing are left out, never
//! `null`.

pub(crate) mod api;
pub(crate) mod event;
pub(crate) mod template;
pub(crate) mod workspace;

use std::collections::BTreeMap;

use crate::text;

/// Longest text in a list.
pub(crate) const IN_LIST: usize = 160;
/// Longest text in details.
pub(crate) const IN_DETAILS: usize = 2_000;

/// Labels or annotations, with values made safe to show.
pub(crate) fn metadata(map: &BTreeMap<String, String>) -> BTreeMap<String, String> {
    map.iter()
        // A copy of the whole manifest, environment included.
        .filter(|(key, _)| *key != "kubectl.kubernetes.io/last-applied-configuration")
        .map(|(key, value)| (key.clone(), text::block(value, IN_DETAILS)))
        .collect()
}
