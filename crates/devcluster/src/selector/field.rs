//! Field selectors: `metadata.name=a,status.phase!=Running`. Each kind knows a few fields.

use nocrd_model::selector;
use serde_json::Value;

use crate::{kind::Kind, object};

/// A conjunction of comparisons; without any it selects everything.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct FieldSelector(selector::FieldSelector);

impl FieldSelector {
    /// Parses a selector for objects of `kind`.
    ///
    /// # Errors
    /// What is wrong with it, in the words of a real server.
    pub(crate) fn parse(kind: Kind, text: &str) -> Result<Self, String> {
        let parsed = selector::FieldSelector::parse(text).map_err(|error| error.message().to_owned())?;
        parsed.terms().iter().try_for_each(|term| check_field(kind, &term.field))?;
        Ok(Self(parsed))
    }

    /// Whether it selects everything.
    pub(crate) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Whether it selects this object.
    pub(crate) fn matches(&self, object: &Value) -> bool {
        self.0.matches(|path| Some(field(object, path)))
    }
}

fn check_field(kind: Kind, path: &str) -> Result<(), String> {
    let own: &[&str] = match kind {
        Kind::Pod => &[
            "spec.nodeName",
            "spec.restartPolicy",
            "spec.schedulerName",
            "spec.serviceAccountName",
            "spec.hostNetwork",
            "status.phase",
            "status.podIP",
            "status.nominatedNodeName",
        ],
        Kind::Event => &[
            "involvedObject.kind",
            "involvedObject.namespace",
            "involvedObject.name",
            "involvedObject.uid",
            "involvedObject.apiVersion",
            "involvedObject.resourceVersion",
            "involvedObject.fieldPath",
            "reason",
            "reportingComponent",
            "source",
            "type",
        ],
        Kind::Namespace => &["status.phase"],
        Kind::Node => &["spec.unschedulable"],
        Kind::Secret => &["type"],
        Kind::ConfigMap | Kind::ServiceAccount | Kind::ResourceQuota | Kind::PersistentVolumeClaim => &[],
    };
    let common = path == "metadata.name" || (path == "metadata.namespace" && kind.is_namespaced());
    if common || own.contains(&path) {
        Ok(())
    } else if own.is_empty() {
        Err(format!(
            "\"{path}\" is not a known field selector: only \"metadata.name\", \"metadata.namespace\""
        ))
    } else {
        Err(format!("field label not supported: {path}"))
    }
}

/// The text of a field; what is absent is the empty text, or `false`.
fn field(object: &Value, path: &str) -> String {
    if path == "source" {
        return object::text_at(object, &["source", "component"]).to_owned();
    }
    let steps: Vec<&str> = path.split('.').collect();
    match object::at(object, &steps) {
        Some(Value::String(text)) => text.clone(),
        Some(Value::Bool(value)) => value.to_string(),
        _ if path == "spec.hostNetwork" || path == "spec.unschedulable" => "false".to_owned(),
        _ => String::new(),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn comparisons() {
        let pod = json!({ "metadata": { "name": "a,b" }, "status": { "phase": "Running" }, "spec": {} });
        let selects = |text: &str| FieldSelector::parse(Kind::Pod, text).expect(text).matches(&pod);
        for text in [
            "",
            "status.phase=Running",
            "status.phase==Running,metadata.name=a\\,b",
            "status.phase!=Pending,",
            "spec.nodeName=",
            "spec.hostNetwork=false",
        ] {
            assert!(selects(text), "{text}");
        }
        assert!(
            !selects("status.phase=Pending") && !selects("metadata.name=a") && !selects("spec.nodeName!=")
        );
    }

    #[test]
    fn errors_read_as_from_a_real_server() {
        let error = |kind, text| FieldSelector::parse(kind, text).expect_err(text);
        assert_eq!(error(Kind::Pod, "spec.foo=x"), "field label not supported: spec.foo");
        assert_eq!(
            error(Kind::ConfigMap, "data.k=v"),
            "\"data.k\" is not a known field selector: only \"metadata.name\", \"metadata.namespace\""
        );
        assert_eq!(error(Kind::Pod, "a,b"), "invalid selector: 'a,b'; can't understand 'a'");
    }
}
