//! What goes over the line.

use base64::{Engine as _, engine::general_purpose::STANDARD};
use serde::{Deserialize, Serialize};

use super::super::material::{Held, Material};

/// Largest question and answer, in bytes.
pub(super) const MAX_BYTES: usize = 64 * 1024;

/// The question.
#[derive(Serialize, Deserialize)]
pub(super) struct Question {
    /// The asker's token.
    pub(super) token: String,
    /// Public half of a key made for this question, base64.
    pub(super) public: String,
}

/// The answer of a peer that has a key.
#[derive(Serialize, Deserialize)]
pub(super) struct Answer {
    /// The peer's token.
    pub(super) token: String,
    /// Public half of a key made for this answer, base64.
    pub(super) public: String,
    /// [`Keys`] as JSON, encrypted, base64.
    pub(super) sealed: String,
}

/// The keys, each in base64.
#[derive(Serialize, Deserialize)]
struct Keys {
    current: String,
    previous: Vec<String>,
}

pub(super) fn to_json(held: &Held) -> Option<Vec<u8>> {
    let text = |material: &Material| STANDARD.encode(material.bytes());
    let keys = Keys { current: text(&held.current), previous: held.previous.iter().map(text).collect() };
    serde_json::to_vec(&keys).ok()
}

pub(super) fn from_json(json: &[u8]) -> Option<Held> {
    let keys: Keys = serde_json::from_slice(json).ok()?;
    let material = |text: &String| Material::parse(&STANDARD.decode(text).ok()?).ok();
    let previous: Vec<Material> = keys.previous.iter().filter_map(material).collect();
    Some(Held::new(material(&keys.current)?).with(previous))
}
