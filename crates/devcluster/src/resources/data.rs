//! ConfigMaps and Secrets.

use base64::{Engine, engine::general_purpose::STANDARD};
use serde_json::Value;

use crate::{
    kind::Kind,
    object,
    validate::{Problems, entries, names},
};

/// All of an object's data together, keys not counted.
const MAX_BYTES: usize = 1 << 20;

/// `stringData` is a way of writing `data`; a Secret without a type is opaque.
pub(super) fn default_secret(secret: &mut Value) {
    let map = object::as_map(secret);
    if let Some(Value::Object(texts)) = map.shift_remove("stringData") {
        let data = object::as_map(map.entry("data").or_insert(Value::Null));
        for (key, text) in texts {
            data.insert(key, STANDARD.encode(text.as_str().unwrap_or_default()).into());
        }
    }
    map.entry("type").or_insert_with(|| "Opaque".into());
}

/// Length of what base64 text stands for.
fn decoded_length(text: &str) -> usize {
    text.trim_end_matches('=').len() * 3 / 4
}

fn text_length(value: &Value) -> usize {
    value.as_str().map_or(0, str::len)
}

pub(super) fn check_config_map(config_map: &Value, problems: &mut Problems) {
    let mut size = 0;
    for (key, value) in entries(config_map.get("data")) {
        problems.objections(&format!("data[{key}]"), key, names::data_key(key));
        if object::at(config_map, &["binaryData", key]).is_some() {
            problems.invalid_text(format!("data[{key}]"), key, "duplicate of key present in binaryData");
        }
        size += text_length(value);
    }
    for (key, value) in entries(config_map.get("binaryData")) {
        problems.objections(&format!("binaryData[{key}]"), key, names::data_key(key));
        size += decoded_length(value.as_str().unwrap_or_default());
    }
    if size > MAX_BYTES {
        problems.too_long("", MAX_BYTES);
    }
}

pub(super) fn check_secret(secret: &Value, problems: &mut Problems) {
    let mut size = 0;
    for (key, value) in entries(secret.get("data")) {
        problems.objections(&format!("data[{key}]"), key, names::data_key(key));
        size += decoded_length(value.as_str().unwrap_or_default());
    }
    if size > MAX_BYTES {
        problems.too_long("data", MAX_BYTES);
    }
    let required: &[&str] = match object::text_at(secret, &["type"]) {
        "kubernetes.io/dockerconfigjson" => &[".dockerconfigjson"],
        "kubernetes.io/dockercfg" => &[".dockercfg"],
        "kubernetes.io/ssh-auth" => &["ssh-privatekey"],
        "kubernetes.io/tls" => &["tls.crt", "tls.key"],
        _ => &[],
    };
    for key in required {
        if object::at(secret, &["data", key]).is_none() {
            problems.required(format!("data[{key}]"), "");
        }
    }
}

pub(super) fn check_immutable(kind: Kind, old: &Value, new: &Value, problems: &mut Problems) {
    if kind == Kind::Secret && old.get("type") != new.get("type") {
        problems.invalid_text("type", object::text_at(new, &["type"]), "field is immutable");
    }
    if old.get("immutable") != Some(&Value::Bool(true)) {
        return;
    }
    let detail = "field is immutable when `immutable` is set";
    if new.get("immutable") != Some(&Value::Bool(true)) {
        problems.forbidden("immutable", detail);
    }
    for field in ["data", "binaryData"] {
        if old.get(field) != new.get(field) {
            problems.forbidden(field, detail);
        }
    }
}
