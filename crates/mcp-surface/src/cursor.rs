//! Opaque cursors of paged lists: the key of the last entry of a page, and which list it belongs to.

use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};

use crate::Error;

/// Makes the cursor that continues `list` after `key`.
pub(crate) fn encode(list: &str, key: &str) -> String {
    URL_SAFE_NO_PAD.encode(format!("{list}:{key}"))
}

/// The key a cursor of `list` continues after.
pub(crate) fn decode(list: &str, cursor: &str) -> Result<String, Error> {
    let bytes = URL_SAFE_NO_PAD.decode(cursor).ok();
    let text = bytes.and_then(|bytes| String::from_utf8(bytes).ok());
    let key = text.as_deref().and_then(|text| text.strip_prefix(list)?.strip_prefix(':'));
    key.map(str::to_owned).ok_or_else(|| {
        Error::argument(
            "\"cursor\" is none of this list: pass the `nextCursor` of the page before, or leave it out",
        )
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cursors_belong_to_their_list() {
        let cursor = encode("workspaces", "a-1");
        assert_eq!(decode("workspaces", &cursor).unwrap(), "a-1");
        for bad in [encode("templates", "a-1").as_str(), "", "%%%", "d29ya3NwYWNlcw"] {
            assert!(decode("workspaces", bad).is_err(), "{bad}");
        }
    }
}
