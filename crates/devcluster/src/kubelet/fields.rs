//! The downward API: what a container can learn of its own pod.

use std::{collections::BTreeMap, net::IpAddr};

use serde_json::Value;

use super::{
    addresses::HOST,
    spec::{Container, PodSpec, ResourceFieldRef},
};
use crate::{object, schema::quantity::Quantity};

/// A pod as its containers may know it.
#[derive(Debug, Clone, Copy)]
pub(super) struct Fields<'a> {
    pub(super) pod: &'a Value,
    pub(super) spec: &'a PodSpec,
    pub(super) ip: IpAddr,
    /// The machine's capacity, for limits that are not set.
    pub(super) allocatable: &'a Value,
}

impl Fields<'_> {
    /// The value at a `fieldPath`.
    pub(super) fn field(&self, path: &str) -> Result<String, String> {
        let meta = |field: &str| object::text_at(self.pod, &["metadata", field]).to_owned();
        Ok(match path {
            "metadata.name" => meta("name"),
            "metadata.namespace" => meta("namespace"),
            "metadata.uid" => meta("uid"),
            "metadata.labels" => self.map("labels"),
            "metadata.annotations" => self.map("annotations"),
            "spec.nodeName" => self.spec.node_name.clone(),
            "spec.serviceAccountName" if self.spec.service_account_name.is_empty() => "default".into(),
            "spec.serviceAccountName" => self.spec.service_account_name.clone(),
            "status.podIP" | "status.podIPs" => self.ip.to_string(),
            "status.hostIP" | "status.hostIPs" => HOST.to_string(),
            _ => return self.key(path).ok_or_else(|| format!("unsupported fieldPath: {path}")),
        })
    }

    /// `metadata.labels['key']` and `metadata.annotations['key']`; a missing key is empty.
    fn key(&self, path: &str) -> Option<String> {
        let (field, rest) = path.strip_prefix("metadata.")?.split_once('[')?;
        if !matches!(field, "labels" | "annotations") {
            return None;
        }
        let key = rest.strip_suffix(']')?;
        let key = ['\'', '"'].iter().find_map(|quote| key.strip_prefix(*quote)?.strip_suffix(*quote))?;
        Some(object::text_at(self.pod, &["metadata", field, key]).to_owned())
    }

    /// All labels or annotations, one `key="value"` a line, sorted.
    fn map(&self, field: &str) -> String {
        let entries = object::at(self.pod, &["metadata", field]).and_then(Value::as_object);
        let sorted: BTreeMap<&String, &Value> = entries.into_iter().flatten().collect();
        let line =
            |(key, value): (&String, &Value)| format!("{key}={:?}", value.as_str().unwrap_or_default());
        sorted.into_iter().map(line).collect::<Vec<String>>().join("\n")
    }

    /// The value of a `resourceFieldRef`. `own` is the container that asks, if one does.
    pub(super) fn resource(
        &self,
        wanted: &ResourceFieldRef,
        own: Option<&Container>,
    ) -> Result<String, String> {
        let all = || self.spec.containers.iter().chain(&self.spec.init_containers);
        let container = match own.filter(|_| wanted.container_name.is_empty()) {
            Some(own) => own,
            None => all()
                .find(|container| container.name == wanted.container_name)
                .ok_or_else(|| format!("container {} not found", wanted.container_name))?,
        };
        let (kind, name) = wanted.resource.split_once('.').unwrap_or_default();
        let asked = match kind {
            "limits" => container.resources.limits.get(name).or_else(|| self.allocatable.get(name)),
            "requests" => container.resources.requests.get(name),
            _ => return Err(format!("unsupported container resource : {}", wanted.resource)),
        };
        match asked {
            None => Ok("0".into()),
            Some(quantity) => divide(quantity, wanted.divisor.as_ref())
                .map(|count| count.to_string())
                .ok_or_else(|| format!("the quantity {quantity} of {} can't be read", wanted.resource)),
        }
    }
}

/// How many divisors a quantity holds, rounded up. A divisor of zero, or none, is 1.
fn divide(quantity: &Value, divisor: Option<&Value>) -> Option<i128> {
    let read = |value: &Value| match value {
        Value::String(text) => Quantity::parse(text),
        other => Quantity::parse(&other.to_string()),
    };
    let divisor = match divisor {
        Some(divisor) => read(divisor)?.nanos(),
        None => 0,
    };
    let divisor = if divisor <= 0 { 1_000_000_000 } else { divisor };
    let nanos = read(quantity)?.nanos();
    Some(nanos.div_euclid(divisor) + i128::from(nanos.rem_euclid(divisor) != 0))
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn a_pod_describes_itself() {
        let pod = json!({ "metadata": {
            "name": "p", "namespace": "n", "uid": "u", "labels": { "a/b": "1", "a": "x\"y" },
        }});
        let spec = PodSpec { node_name: "node".into(), ..PodSpec::default() };
        let fields = Fields { pod: &pod, spec: &spec, ip: HOST, allocatable: &json!({ "cpu": "2" }) };
        for (path, value) in [
            ("metadata.name", "p"),
            ("metadata.uid", "u"),
            ("metadata.labels['a/b']", "1"),
            ("metadata.labels['none']", ""),
            ("metadata.annotations['none']", ""),
            ("metadata.labels", "a=\"x\\\"y\"\na/b=\"1\""),
            ("spec.nodeName", "node"),
            ("spec.serviceAccountName", "default"),
            ("status.podIP", "127.0.0.1"),
        ] {
            assert_eq!(fields.field(path).as_deref(), Ok(value), "{path}");
        }
        assert!(fields.field("status.phase").is_err());
        assert!(fields.field("metadata.finalizers['x']").is_err());
    }

    #[test]
    fn limits_fall_back_to_the_machines_capacity() {
        let container: Container =
            serde_json::from_value(json!({ "name": "c", "resources": { "requests": { "cpu": "250m" } } }))
                .unwrap();
        let spec = PodSpec { containers: vec![container.clone()], ..PodSpec::default() };
        let fields = Fields { pod: &json!({}), spec: &spec, ip: HOST, allocatable: &json!({ "cpu": "2" }) };
        let ask = |resource: &str| {
            fields.resource(
                &ResourceFieldRef { resource: resource.into(), ..Default::default() },
                Some(&container),
            )
        };
        assert_eq!(ask("limits.cpu").as_deref(), Ok("2"));
        assert_eq!(ask("requests.cpu").as_deref(), Ok("1"));
        assert_eq!(ask("requests.memory").as_deref(), Ok("0"));
        assert!(ask("cpu").is_err());
    }

    #[test]
    fn divisors_count_up() {
        assert_eq!(divide(&json!("500m"), None), Some(1));
        assert_eq!(divide(&json!("500m"), Some(&json!("1m"))), Some(500));
        assert_eq!(divide(&json!("1.5Gi"), Some(&json!("1Mi"))), Some(1536));
        assert_eq!(divide(&json!(2), Some(&json!("0"))), Some(2));
        assert_eq!(divide(&json!("much"), None), None);
    }
}
