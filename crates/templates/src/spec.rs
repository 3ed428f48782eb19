//! Pod specs: from text, checked against the Kubernetes schema, and taken apart.

mod fields;
mod json;
mod text;
mod validate;

use std::collections::BTreeMap;

use k8s_openapi::api::core::v1::PodSpec;
use serde_json::{Map, Value};

use crate::Error;

pub use fields::FIELDS;
pub use text::{MAX_BYTES, MAX_DEPTH, parse_text};
pub use validate::{read, settle, validate};

/// A pod spec that fits the Kubernetes schema.
#[derive(Debug, Clone)]
pub struct Parsed {
    /// Labels for the pod's metadata.
    pub labels: BTreeMap<String, String>,
    /// Annotations for the pod's metadata.
    pub annotations: BTreeMap<String, String>,
    /// What is left: the spec as it is sent to Kubernetes.
    pub spec: Map<String, Value>,
    /// The same, typed, to look at.
    pub typed: PodSpec,
}

/// Labels, annotations, and what is left of a spec.
type PodParts = (BTreeMap<String, String>, BTreeMap<String, String>, Map<String, Value>);

/// Takes a template's pod spec apart: its members `labels` and `annotations` belong to the pod's metadata.
///
/// # Errors
/// [`Error::InvalidSpec`] when it is no object, or one of the two holds something else than texts.
fn to_pod_parts(spec: Value) -> Result<PodParts, Error> {
    let Value::Object(mut spec) = spec else { return Err(Error::spec("spec", "expected an object")) };
    let labels = take_pairs(&mut spec, "labels")?;
    let annotations = take_pairs(&mut spec, "annotations")?;
    quantities_in(&mut spec);
    Ok((labels, annotations, spec))
}

fn take_pairs(spec: &mut Map<String, Value>, member: &str) -> Result<BTreeMap<String, String>, Error> {
    match spec.remove(member) {
        None | Some(Value::Null) => Ok(BTreeMap::new()),
        Some(value) => text_pairs(&value, member),
    }
}

/// Reads an object of texts, as labels and annotations are.
pub(crate) fn text_pairs(value: &Value, path: &str) -> Result<BTreeMap<String, String>, Error> {
    let Value::Object(map) = value else { return Err(Error::spec(path, "expected an object of texts")) };
    map.iter()
        .map(|(key, value)| match value {
            Value::String(text) => Ok((key.clone(), text.clone())),
            _ => Err(Error::spec(format!("{path}.{key}"), "expected a text: put it in quotes")),
        })
        .collect()
}

/// Members whose values are quantities, which Kubernetes also takes as numbers.
const QUANTITIES: [&str; 4] = ["limits", "requests", "overhead", "capacity"];

/// Writes quantities that stand as numbers (`cpu: 1`) as texts, the form in which everybody reads them.
fn quantities_in(map: &mut Map<String, Value>) {
    for (key, member) in map {
        if let Value::Object(quantities) = member
            && QUANTITIES.contains(&key.as_str())
        {
            quantities.values_mut().for_each(number_to_text);
        } else if key == "sizeLimit" {
            number_to_text(member);
        } else {
            quantities_to_text(member);
        }
    }
}

fn quantities_to_text(value: &mut Value) {
    match value {
        Value::Array(items) => items.iter_mut().for_each(quantities_to_text),
        Value::Object(map) => quantities_in(map),
        _ => {}
    }
}

fn number_to_text(value: &mut Value) {
    if let Value::Number(number) = value {
        *value = Value::String(number.to_string());
    }
}

#[cfg(test)]
mod tests;
