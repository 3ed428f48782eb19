//! Reading and writing the parts that all objects have.

use serde_json::{Map, Value};
use uuid::Uuid;

fn meta<'a>(object: &'a Value, field: &str) -> Option<&'a Value> {
    object.get("metadata")?.get(field)
}

fn meta_text<'a>(object: &'a Value, field: &str) -> &'a str {
    meta(object, field).and_then(Value::as_str).unwrap_or_default()
}

/// `metadata.name`, or nothing.
#[must_use]
pub fn name(object: &Value) -> &str {
    meta_text(object, "name")
}

/// `metadata.namespace`, or nothing.
#[must_use]
pub fn namespace(object: &Value) -> &str {
    meta_text(object, "namespace")
}

/// `metadata.uid`, or nothing.
#[must_use]
pub fn uid(object: &Value) -> &str {
    meta_text(object, "uid")
}

/// `metadata.resourceVersion`, or nothing.
#[must_use]
pub fn resource_version(object: &Value) -> &str {
    meta_text(object, "resourceVersion")
}

/// `metadata.deletionTimestamp`, when the object is being deleted.
#[must_use]
pub fn deletion_timestamp(object: &Value) -> Option<&str> {
    meta(object, "deletionTimestamp").and_then(Value::as_str)
}

/// Whether something still has to happen before the object may go.
#[must_use]
pub fn has_finalizers(object: &Value) -> bool {
    meta(object, "finalizers").and_then(Value::as_array).is_some_and(|finalizers| !finalizers.is_empty())
}

/// `metadata.labels` as pairs; values that aren't text are left out.
pub fn labels(object: &Value) -> impl Iterator<Item = (&str, &str)> {
    let labels = meta(object, "labels").and_then(Value::as_object);
    labels.into_iter().flatten().filter_map(|(key, value)| Some((key.as_str(), value.as_str()?)))
}

/// The value of a label.
#[must_use]
pub fn label<'a>(object: &'a Value, key: &str) -> Option<&'a str> {
    meta(object, "labels")?.get(key)?.as_str()
}

/// The value at a path of member names.
#[must_use]
pub fn at<'a>(object: &'a Value, path: &[&str]) -> Option<&'a Value> {
    path.iter().try_fold(object, |value, field| value.get(*field))
}

/// The text at a path of member names, or nothing.
#[must_use]
pub fn text_at<'a>(object: &'a Value, path: &[&str]) -> &'a str {
    at(object, path).and_then(Value::as_str).unwrap_or_default()
}

/// The list at a path of member names, or an empty one.
#[must_use]
pub fn list_at<'a>(object: &'a Value, path: &[&str]) -> &'a [Value] {
    at(object, path).and_then(Value::as_array).map_or(&[], Vec::as_slice)
}

/// A value as an object to write to; anything else it was is replaced.
pub fn as_map(value: &mut Value) -> &mut Map<String, Value> {
    if !value.is_object() {
        *value = Value::Object(Map::new());
    }
    let Value::Object(map) = value else { unreachable!("it was just made an object") };
    map
}

/// A member as an object to write to; it is added when missing.
pub fn child_mut<'a>(object: &'a mut Value, field: &str) -> &'a mut Map<String, Value> {
    as_map(as_map(object).entry(field).or_insert_with(|| Map::new().into()))
}

/// Sets a member of `metadata`.
pub fn set_meta(object: &mut Value, field: &str, value: Value) {
    child_mut(object, "metadata").insert(field.to_owned(), value);
}

/// Removes a member of `metadata`.
pub fn remove_meta(object: &mut Value, field: &str) {
    child_mut(object, "metadata").shift_remove(field);
}

/// Gives a new object its identity and age, where it has none.
pub(crate) fn stamp(object: &mut Value) {
    let metadata = child_mut(object, "metadata");
    metadata.entry("uid").or_insert_with(|| Uuid::new_v4().to_string().into());
    metadata.entry("creationTimestamp").or_insert_with(|| now().into());
}

/// Now, as `metav1.Time` has it: whole seconds.
#[must_use]
pub fn now() -> String {
    seconds(jiff::Timestamp::now())
}

/// An instant as `metav1.Time` has it: whole seconds.
#[must_use]
pub fn seconds(instant: jiff::Timestamp) -> String {
    instant.strftime("%Y-%m-%dT%H:%M:%SZ").to_string()
}

/// An instant as `metav1.MicroTime` has it.
#[must_use]
pub fn micros(instant: jiff::Timestamp) -> String {
    instant.strftime("%Y-%m-%dT%H:%M:%S.%6fZ").to_string()
}

/// What JSON (RFC 8259) calls the type of a value, as Go abbreviates it.
pub(crate) fn type_name(value: &Value) -> &'static str {
    match value {
        Value::Null => "null",
        Value::Bool(_) => "bool",
        Value::Number(_) => "number",
        Value::String(_) => "string",
        Value::Array(_) => "array",
        Value::Object(_) => "object",
    }
}
