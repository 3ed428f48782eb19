//! Reading one template from its ConfigMap or file.

use k8s_openapi::api::core::v1::ConfigMap;
use nocrd_model::{Namespace, id::is_dns_subdomain, keys};
use serde_json::Value;

use crate::{Origin, Problem, Template, spec};

/// Key of a ConfigMap's data that holds the pod spec.
pub const SPEC_KEY: &str = "spec";

/// Reads the template in a ConfigMap.
///
/// # Errors
/// A [`Problem`] when the ConfigMap is not marked as a template, has no `spec`, or one that does not fit.
pub fn parse_config_map(config_map: &ConfigMap) -> Result<Template, Problem> {
    let metadata = &config_map.metadata;
    let name = metadata.name.clone().unwrap_or_default();
    let namespace = Namespace::parse(metadata.namespace.as_deref().unwrap_or_default());
    let origin = match &namespace {
        Ok(namespace) => Origin::ConfigMap { namespace: namespace.clone() },
        Err(_) => Origin::BuiltIn,
    };
    let refuse = |reason: String| Problem { name: name.clone(), origin: origin.clone(), reason };
    namespace.map_err(|error| refuse(error.to_string()))?;
    let labels = metadata.labels.clone().unwrap_or_default();
    if labels.get(keys::POD_TEMPLATE).map(String::as_str) != Some("true") {
        return Err(refuse(format!("the ConfigMap lacks the label {}", keys::template_selector())));
    }
    let text = config_map.data.as_ref().and_then(|data| data.get(SPEC_KEY));
    let text = text.ok_or_else(|| refuse(format!("the ConfigMap has no key {SPEC_KEY:?} in its data")))?;
    let mut spec = spec::parse_text(text).map_err(|error| refuse(error.to_string()))?;
    let ignored = spec::settle(&mut spec).map_err(|error| refuse(error.to_string()))?;
    let annotations = metadata.annotations.clone().unwrap_or_default();
    Ok(Template { name, origin: origin.clone(), labels, annotations, spec, ignored })
}

/// Reads a template file: an object with `metadata` (`name`, `labels`, `annotations`) and `spec`. A file that names no
/// template is called `stem`.
pub(crate) fn parse_file(text: &str, stem: &str, origin: &Origin) -> Result<Template, Problem> {
    let mut name = stem.to_owned();
    parse_parts(text, &mut name, origin).map_err(|reason| Problem { name, origin: origin.clone(), reason })
}

fn parse_parts(text: &str, name: &mut String, origin: &Origin) -> Result<Template, String> {
    let document = spec::parse_text(text).map_err(|error| error.to_string())?;
    let Value::Object(document) = document else {
        return Err("expected an object with `metadata` and `spec`".into());
    };
    let metadata = document.get("metadata").cloned().unwrap_or(Value::Null);
    match metadata.get("name") {
        None | Some(Value::Null) => {}
        Some(Value::String(named)) => named.clone_into(name),
        Some(other) => return Err(format!("metadata.name: expected a text, found {other}")),
    }
    if !is_dns_subdomain(name) {
        return Err(format!("{name:?} is no template name: use lower-case letters, digits, '-' and '.'"));
    }
    let pairs = |member: &str| match metadata.get(member) {
        None | Some(Value::Null) => Ok(Default::default()),
        Some(value) => {
            spec::text_pairs(value, &format!("metadata.{member}")).map_err(|error| error.to_string())
        }
    };
    let mut labels: std::collections::BTreeMap<String, String> = pairs("labels")?;
    labels.entry(keys::POD_TEMPLATE.to_owned()).or_insert_with(|| "true".to_owned());
    let annotations = pairs("annotations")?;
    let mut spec = document.get("spec").ok_or("the file has no `spec`")?.clone();
    let ignored = spec::settle(&mut spec).map_err(|error| error.to_string())?;
    Ok(Template { name: name.clone(), origin: origin.clone(), labels, annotations, spec, ignored })
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn config_map(data: Value, labels: Value) -> ConfigMap {
        serde_json::from_value(json!({
            "metadata": {"name": "t", "namespace": "ns", "labels": labels, "annotations": {"nogoo9/tag": "x"}},
            "data": data,
        }))
        .unwrap()
    }

    fn marked() -> Value {
        json!({"nogoo9/pod-template": "true"})
    }

    #[test]
    fn reads_json_and_yaml_config_maps() {
        for text in [r#"{"containers":[{"name":"a","image":"i"}]}"#, "containers: [{name: a, image: i}]"] {
            let template = parse_config_map(&config_map(json!({"spec": text}), marked())).unwrap();
            assert_eq!((template.tag(), template.version()), ("x", "1.0.0"));
            assert_eq!(template.spec["containers"][0]["image"], "i");
        }
    }

    #[test]
    fn says_what_is_wrong_with_a_config_map() {
        for (data, labels, needle) in [
            (json!({"spec": "a: ["}), marked(), "YAML"),
            (json!({"spec": "just text"}), marked(), "object"),
            (json!({"spec": "containers: []"}), marked(), "at least one"),
            (json!({"other": "x"}), marked(), "no key"),
            (
                json!({"spec": "{kind: Pod, spec: {containers: [{name: a, image: i}]}, containers: [{name: b, image: i}]}"}),
                marked(),
                "whole object",
            ),
            (json!({"spec": "{containers: [{name: a, imagee: i}]}"}), marked(), "imagee"),
            (
                json!({"spec": "{containers: [{name: a, image: i, securityContext: {runAsNonRot: true}}]}"}),
                marked(),
                "unknown field",
            ),
            (json!({"spec": "containers: [{name: a, image: i}]"}), json!({}), "lacks the label"),
        ] {
            let problem = parse_config_map(&config_map(data, labels)).unwrap_err();
            assert!(problem.reason.contains(needle) && problem.name == "t", "{problem:?}");
        }
    }

    #[test]
    fn k43_a_file_is_called_by_its_metadata_or_else_by_its_stem() {
        let body = "spec: {containers: [{name: a, image: i}]}";
        let stem = parse_file(body, "stem", &Origin::Directory).unwrap();
        assert_eq!((stem.name.as_str(), stem.labels["nogoo9/pod-template"].as_str()), ("stem", "true"));
        let named =
            parse_file(&format!("metadata: {{name: own}}\n{body}"), "stem", &Origin::Directory).unwrap();
        assert_eq!(named.name, "own");
    }

    #[test]
    fn says_what_is_wrong_with_a_file() {
        for (text, needle) in [
            ("[]", "object"),
            ("metadata: {}", "no `spec`"),
            ("spec: x", "object"),
            ("metadata: {name: Bad}\nspec: {}", "template name"),
            ("metadata: {labels: {a: 1}}\nspec: {containers: [{name: a, image: i}]}", "metadata.labels.a"),
        ] {
            let problem = parse_file(text, "t", &Origin::Directory).unwrap_err();
            assert!(problem.reason.contains(needle), "{text}: {problem:?}");
        }
    }
}
