//! Pods as tools may show them.

use nocrd_model::keys;
use serde_json::Value;

use crate::text;

/// Stands for the value of an environment variable.
const HIDDEN: &str = "[redacted]";

/// Whether an annotation repeats what is hidden elsewhere.
pub(crate) fn is_hidden_annotation(key: &str) -> bool {
    // Copies of manifests, environment included.
    matches!(
        key,
        "kubectl.kubernetes.io/last-applied-configuration" | keys::SPAWN_INPUTS | keys::UPGRADE_ROLLBACK
    )
}

/// Removes what nobody but the pod itself should see (the values of environment variables, wherever they may be
/// repeated) and what says nothing to a reader (managed fields).
pub(crate) fn pod(pod: &mut Value) {
    if let Some(metadata) = pod.get_mut("metadata").and_then(Value::as_object_mut) {
        metadata.remove("managedFields");
        if let Some(annotations) = metadata.get_mut("annotations").and_then(Value::as_object_mut) {
            annotations.retain(|key, _| !is_hidden_annotation(key));
        }
    }
    clean(pod);
    for list in ["initContainers", "containers", "ephemeralContainers"] {
        let containers = pod.pointer_mut(&format!("/spec/{list}")).and_then(Value::as_array_mut);
        for container in containers.into_iter().flatten() {
            let variables = container.get_mut("env").and_then(Value::as_array_mut);
            for variable in variables.into_iter().flatten() {
                if let Some(value) = variable.get_mut("value").filter(|value| !value.is_null()) {
                    *value = Value::String(HIDDEN.to_owned());
                }
            }
        }
    }
}

/// Takes what does not show out of every text: containers and users write some of them.
fn clean(value: &mut Value) {
    each_text(value, &|shown| text::block(shown, usize::MAX));
}

/// Likewise in a template's spec, which may be sent back: what a terminal would obey is escaped where it is shown.
pub(crate) fn spec(value: &mut Value) {
    each_text(value, &text::without_invisible);
}

fn each_text(value: &mut Value, change: &impl Fn(&str) -> String) {
    match value {
        Value::String(shown) => *shown = change(shown),
        Value::Array(items) => items.iter_mut().for_each(|item| each_text(item, change)),
        Value::Object(members) => members.values_mut().for_each(|member| each_text(member, change)),
        _ => {}
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn t54_k19_no_environment_value_is_shown() {
        let env = json!([{"name": "A", "value": "s3cret"}, {"name": "B", "value": ""}, {"name": "C",
            "valueFrom": {"secretKeyRef": {"name": "s", "key": "k"}}}]);
        let mut all = json!({
            "metadata": {"name": "p", "managedFields": [{"fieldsV1": "s3cret"}],
                "annotations": {"kubectl.kubernetes.io/last-applied-configuration": "s3cret", "keep": "this"}},
            "spec": {"containers": [{"name": "a", "env": env}], "initContainers": [{"name": "i", "env": env}],
                "ephemeralContainers": [{"name": "e", "env": env}]},
        });
        pod(&mut all);
        let text = all.to_string();
        assert!(!text.contains("s3cret"), "{text}");
        assert!(text.contains("\"keep\":\"this\"") && text.contains("secretKeyRef"), "{text}");
        assert_eq!(text.matches(HIDDEN).count(), 6, "{text}");
    }

    #[test]
    fn odd_pods_do_no_harm() {
        for mut odd in
            [json!(null), json!([]), json!({"metadata": 1, "spec": {"containers": [1, {"env": 2}]}})]
        {
            pod(&mut odd);
        }
    }
}
