//! Pages of lists.

use serde::Serialize;

/// Entries of a page when the caller does not say.
pub(crate) const DEFAULT_LIMIT: u32 = 50;
/// Most entries of a page.
pub(crate) const MAX_LIMIT: u32 = 200;
/// Most bytes of a page's entries, as JSON and as text. What is around them keeps a page within 64 KB.
const MAX_BYTES: usize = 63 * 1024;

/// How many entries a page holds.
pub(crate) fn limit(asked: Option<u32>) -> usize {
    asked.unwrap_or(DEFAULT_LIMIT).clamp(1, MAX_LIMIT) as usize
}

/// The entries that fit in a page, at least one. `text` is about what an entry adds to the page's text.
pub(crate) fn fit<T: Serialize>(entries: impl Iterator<Item = T>, text: impl Fn(&T) -> usize) -> Vec<T> {
    let mut bytes = 0;
    let mut page = Vec::new();
    for entry in entries {
        bytes += serde_json::to_vec(&entry).map_or(0, |json| json.len() + 1) + text(&entry);
        if bytes > MAX_BYTES && !page.is_empty() {
            break;
        }
        page.push(entry);
    }
    page
}

/// The line that ends the text of a page which is not the last.
pub(crate) fn more(shown: usize, total: usize, cursor: &str) -> String {
    format!("\n(a page of {shown}, {total} in all; for the next pass cursor {cursor:?})")
}

/// The same where nobody knows how many there are.
pub(crate) fn more_to_come(shown: usize, cursor: &str) -> String {
    format!("\n(a page of {shown}; for the next pass cursor {cursor:?})")
}
