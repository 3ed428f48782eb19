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
/// Most bytes of the labels, and of the annotations, of one entry of a list.
const METADATA_IN_LIST: usize = 8 * 1024;
/// Longest text in details.
pub(crate) const IN_DETAILS: usize = 2_000;

/// Labels or annotations, with values made safe to show, and whole: they may be sent back. How long they are together the
/// API server bounds.
pub(crate) fn metadata(map: &BTreeMap<String, String>) -> BTreeMap<String, String> {
    shown(map, |value| text::block(value, usize::MAX))
}

/// The same for a list: of somebody's thousands the first, so that one entry does not fill a page.
pub(crate) fn short_metadata(map: &BTreeMap<String, String>) -> BTreeMap<String, String> {
    let mut room = METADATA_IN_LIST;
    let mut has_room = |(key, value): &(String, String)| {
        let left = room.checked_sub(key.len() + value.len());
        room = left.unwrap_or_default();
        left.is_some()
    };
    shown(map, |value| text::line(value, IN_LIST)).into_iter().take_while(|pair| has_room(pair)).collect()
}

fn shown(map: &BTreeMap<String, String>, show: impl Fn(&str) -> String) -> BTreeMap<String, String> {
    let shown = map.iter().filter(|(key, _)| !redact::is_hidden_annotation(key));
    shown.map(|(key, value)| (key.clone(), show(value))).collect()
}
