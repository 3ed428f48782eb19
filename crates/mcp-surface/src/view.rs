//! What tools send. Output schemas are generated from these types; members that may be missing are left out, never
//! `null`.

pub(crate) mod api;
pub(crate) mod event;
pub(crate) mod pod;
pub(crate) mod template;
pub(crate) mod workspace;

use std::collections::BTreeMap;

use crate::{redact, text};

/// Longest text in a list.
pub(crate) const IN_LIST: usize = 160;
/// Longest text in details.
pub(crate) const IN_DETAILS: usize = 2_000;

/// Labels or annotations, with values made safe to show.
pub(crate) fn metadata(map: &BTreeMap<String, String>) -> BTreeMap<String, String> {
    shown(map, |value| text::block(value, IN_DETAILS))
}

/// The same for a list.
pub(crate) fn short_metadata(map: &BTreeMap<String, String>) -> BTreeMap<String, String> {
    shown(map, |value| text::line(value, IN_LIST))
}

fn shown(map: &BTreeMap<String, String>, show: impl Fn(&str) -> String) -> BTreeMap<String, String> {
    let shown = map.iter().filter(|(key, _)| !redact::is_hidden_annotation(key));
    shown.map(|(key, value)| (key.clone(), show(value))).collect()
}
