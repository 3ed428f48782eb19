//! What a page asks, and the names of pages.

use std::borrow::Cow;

use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use nocrd_mcp_surface::Wanted;
use nocrd_model::{Caller, caller::Trust};
use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};

use super::MAX_NAMES;

const HANDLE_BYTES: usize = 32;
/// Bytes of the digest that stands for a handle.
const ID_BYTES: usize = 16;

/// What the address of a page ends in.
pub(super) struct Handle([u8; HANDLE_BYTES]);

impl Handle {
    pub(super) fn new() -> Self {
        Self(rand::random())
    }

    pub(super) fn parse(text: &str) -> Option<Self> {
        Some(Self(URL_SAFE_NO_PAD.decode(text).ok()?.try_into().ok()?))
    }

    pub(super) fn text(&self) -> String {
        URL_SAFE_NO_PAD.encode(self.0)
    }

    /// The name under which the page is kept, from which the handle can't be found.
    pub(super) fn id(&self) -> String {
        let digest = Sha256::new().chain_update(b"no-crd context page\0").chain_update(self.0).finalize();
        digest.iter().take(ID_BYTES).map(|byte| format!("{byte:02x}")).collect()
    }
}

/// A path as logs may tell it: without the handle, which is enough to fill in a page where nobody signs in.
pub(crate) fn unnamed(path: &str) -> Cow<'_, str> {
    match path.rsplit_once('/') {
        Some((before, handle)) if before.ends_with("/context") && Handle::parse(handle).is_some() => {
            format!("{before}/…").into()
        }
        _ => path.into(),
    }
}

/// What a page asks of whom.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct Question {
    /// Whether nobody signs in.
    local: bool,
    subject: String,
    pub(super) title: String,
    pub(super) template: Option<String>,
    pub(super) name: Option<String>,
    pub(super) names: Vec<String>,
    /// Seconds since 1970.
    pub(super) expires: i64,
}

impl Question {
    /// `None` when it is none that a page could ask.
    pub(super) fn new(wanted: &Wanted<'_>, expires: i64) -> Option<Self> {
        // Each once: a browser sends a field as often as it is there.
        let mut names: Vec<String> = Vec::new();
        for name in wanted.names {
            if !names.contains(name) {
                names.push(name.clone());
            }
        }
        if names.is_empty() || names.len() > MAX_NAMES || names.iter().any(|name| name.contains('\0')) {
            return None;
        }
        Some(Self {
            local: wanted.caller.trust == Trust::Local,
            subject: wanted.caller.subject.as_str().to_owned(),
            title: wanted.title.to_owned(),
            template: wanted.template.clone(),
            name: wanted.name.clone(),
            names,
            expires,
        })
    }

    /// Whether this is who made the call.
    pub(super) fn is_for(&self, caller: &Caller) -> bool {
        self.local == (caller.trust == Trust::Local) && self.subject == caller.subject.as_str()
    }

    pub(super) fn bytes(&self) -> Option<Vec<u8>> {
        serde_json::to_vec(self).ok()
    }

    pub(super) fn read(bytes: &[u8]) -> Option<Self> {
        serde_json::from_slice(bytes).ok()
    }
}
