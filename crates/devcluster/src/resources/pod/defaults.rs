//! What a pod's absent members mean.

use serde_json::{Map, Value, json};

use super::CONTAINER_LISTS;
use crate::object;

type Object = Map<String, Value>;

/// Permissions of files in volumes: 0644.
const FILE_MODE: u32 = 0o644;

fn default(map: &mut Object, field: &str, value: impl Into<Value>) {
    map.entry(field).or_insert_with(|| value.into());
}

fn member<'a>(map: &'a mut Object, field: &str) -> Option<&'a mut Object> {
    map.get_mut(field)?.as_object_mut()
}

fn items<'a>(map: &'a mut Object, field: &str) -> impl Iterator<Item = &'a mut Object> {
    map.get_mut(field).and_then(Value::as_array_mut).into_iter().flatten().filter_map(Value::as_object_mut)
}

/// Fills them in.
pub(crate) fn set(pod: &mut Value) {
    let spec = object::child_mut(pod, "spec");
    default(spec, "restartPolicy", "Always");
    default(spec, "terminationGracePeriodSeconds", 30);
    default(spec, "dnsPolicy", "ClusterFirst");
    default(spec, "securityContext", json!({}));
    default(spec, "schedulerName", "default-scheduler");
    default(spec, "enableServiceLinks", true);
    service_account(spec);
    let host_network = spec.get("hostNetwork") == Some(&Value::Bool(true));
    for list in CONTAINER_LISTS {
        for container in items(spec, list) {
            set_container(container, host_network);
        }
    }
    for volume in items(spec, "volumes") {
        set_volume(volume);
    }
}

/// `serviceAccount` is the older spelling of `serviceAccountName`; both are written.
fn service_account(spec: &mut Object) {
    let older = spec.get("serviceAccount").cloned();
    if let Some(name) = spec.get("serviceAccountName").cloned().or(older) {
        spec.insert("serviceAccountName".into(), name.clone());
        spec.insert("serviceAccount".into(), name);
    }
}

fn set_container(container: &mut Object, host_network: bool) {
    default(container, "terminationMessagePath", "/dev/termination-log");
    default(container, "terminationMessagePolicy", "File");
    let image = container.get("image").and_then(Value::as_str).unwrap_or_default();
    let policy = if is_latest(image) { "Always" } else { "IfNotPresent" };
    default(container, "imagePullPolicy", policy);
    for port in items(container, "ports") {
        default(port, "protocol", "TCP");
        if let Some(number) = port.get("containerPort").cloned().filter(|_| host_network) {
            default(port, "hostPort", number);
        }
    }
    for variable in items(container, "env") {
        if let Some(source) = member(variable, "valueFrom") {
            set_source(source);
        }
    }
    for probe in ["livenessProbe", "readinessProbe", "startupProbe"] {
        if let Some(probe) = member(container, probe) {
            for (field, value) in [
                ("timeoutSeconds", 1),
                ("periodSeconds", 10),
                ("successThreshold", 1),
                ("failureThreshold", 3),
            ] {
                default(probe, field, value);
            }
            set_handler(probe);
        }
    }
    if let Some(lifecycle) = member(container, "lifecycle") {
        for hook in ["postStart", "preStop"] {
            if let Some(hook) = member(lifecycle, hook) {
                set_handler(hook);
            }
        }
    }
    if let Some(resources) = member(container, "resources")
        && let Some(Value::Object(limits)) = resources.get("limits").cloned()
    {
        let requests = object::as_map(resources.entry("requests").or_insert(Value::Null));
        for (resource, limit) in limits {
            requests.entry(resource).or_insert(limit);
        }
    }
}

/// Whether the image is one that may change under its name.
fn is_latest(image: &str) -> bool {
    let name = image.rsplit('/').next().unwrap_or_default();
    !image.contains('@') && name.split_once(':').is_none_or(|(_, tag)| tag == "latest")
}

fn set_handler(handler: &mut Object) {
    if let Some(get) = member(handler, "httpGet") {
        default(get, "path", "/");
        default(get, "scheme", "HTTP");
    }
    if let Some(grpc) = member(handler, "grpc") {
        default(grpc, "service", "");
    }
}

/// Of a variable, or of a file with facts of the pod.
fn set_source(source: &mut Object) {
    if let Some(field) = member(source, "fieldRef") {
        default(field, "apiVersion", "v1");
    }
}

fn set_volume(volume: &mut Object) {
    if volume.keys().all(|field| field == "name") {
        volume.insert("emptyDir".into(), json!({}));
    }
    for source in ["secret", "configMap", "downwardAPI", "projected"] {
        let Some(source) = member(volume, source) else { continue };
        default(source, "defaultMode", FILE_MODE);
        for file in items(source, "items") {
            set_source(file);
        }
        for projection in items(source, "sources") {
            if let Some(token) = member(projection, "serviceAccountToken") {
                default(token, "expirationSeconds", 3600);
            }
            if let Some(facts) = member(projection, "downwardAPI") {
                items(facts, "items").for_each(set_source);
            }
        }
    }
    if let Some(path) = member(volume, "hostPath") {
        default(path, "type", "");
    }
}

#[cfg(test)]
mod tests {
    use super::is_latest;

    #[test]
    fn images_that_may_change() {
        for image in ["busybox", "busybox:latest", "host:5000/a/b", "host:5000/a/b:latest"] {
            assert!(is_latest(image), "{image}");
        }
        for image in ["busybox:1", "host:5000/a:1.2", "a@sha256:0123", "a:latest@sha256:0123"] {
            assert!(!is_latest(image), "{image}");
        }
    }
}
