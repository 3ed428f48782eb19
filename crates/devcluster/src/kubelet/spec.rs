//! The parts of a pod spec that the kubelet acts on, as `core/v1` names them.
//!
//! Pods travel as plain values, so that nothing a client wrote is lost; this is the kubelet's reading of one. What it
//! does not act on (resources, security contexts, affinity…) is not listed.

use std::collections::BTreeMap;

use serde::{Deserialize, Deserializer};
use serde_json::Value;

/// `null` and a missing member both mean the default.
fn or_default<'de, D: Deserializer<'de>, T: Deserialize<'de> + Default>(
    deserializer: D,
) -> Result<T, D::Error> {
    Ok(Option::<T>::deserialize(deserializer)?.unwrap_or_default())
}

macro_rules! spec {
    ($(#[$meta:meta])* struct $name:ident { $($(#[$field_meta:meta])* $field:ident: $type:ty,)* }) => {
        $(#[$meta])*
        #[derive(Debug, Clone, Default, PartialEq, Deserialize)]
        #[serde(rename_all = "camelCase")]
        pub(super) struct $name {
            $($(#[$field_meta])* #[serde(default, deserialize_with = "or_default")] pub(super) $field: $type,)*
        }
    };
}

spec! {
    struct PodSpec {
        init_containers: Vec<Container>,
        containers: Vec<Container>,
        volumes: Vec<Volume>,
        restart_policy: RestartPolicy,
        termination_grace_period_seconds: Option<u64>,
        active_deadline_seconds: Option<u64>,
        node_name: String,
        node_selector: BTreeMap<String, String>,
        scheduler_name: String,
        scheduling_gates: Vec<Named>,
        readiness_gates: Vec<ReadinessGate>,
        service_account_name: String,
        host_network: bool,
        hostname: String,
        host_aliases: Vec<HostAlias>,
    }
}

/// `restartPolicy` of a pod.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize)]
pub(super) enum RestartPolicy {
    #[default]
    Always,
    OnFailure,
    Never,
}

spec! { struct Named { name: String, } }
spec! { struct ReadinessGate { condition_type: String, } }
spec! { struct HostAlias { ip: String, hostnames: Vec<String>, } }

spec! {
    struct Container {
        name: String,
        image: String,
        image_pull_policy: String,
        command: Vec<String>,
        args: Vec<String>,
        working_dir: String,
        env: Vec<EnvVar>,
        env_from: Vec<EnvFrom>,
        ports: Vec<ContainerPort>,
        resources: Resources,
        volume_mounts: Vec<VolumeMount>,
        liveness_probe: Option<Probe>,
        readiness_probe: Option<Probe>,
        startup_probe: Option<Probe>,
        lifecycle: Lifecycle,
        termination_message_path: String,
        termination_message_policy: String,
        restart_policy: String,
        stdin: bool,
    }
}

impl Container {
    /// Whether an init container is one that keeps running beside the others.
    pub(super) fn is_sidecar(&self) -> bool {
        self.restart_policy == "Always"
    }

    /// The number of a port given by number or by name.
    pub(super) fn port(&self, port: &Port) -> Result<u16, String> {
        match port {
            Port::Number(number) => u16::try_from(*number)
                .ok()
                .filter(|port| *port > 0)
                .ok_or_else(|| format!("invalid port number: {number}")),
            Port::Name(name) => self
                .ports
                .iter()
                .find(|port| port.name == *name)
                .map(|port| port.container_port)
                .or_else(|| name.parse().ok().filter(|port| *port > 0))
                .ok_or_else(|| format!("couldn't find port: {name}")),
        }
    }
}

spec! { struct ContainerPort { name: String, container_port: u16, } }
spec! { struct Resources { limits: BTreeMap<String, Value>, requests: BTreeMap<String, Value>, } }

spec! { struct EnvVar { name: String, value: String, value_from: Option<EnvSource>, } }
spec! {
    struct EnvSource {
        field_ref: Option<FieldRef>,
        resource_field_ref: Option<ResourceFieldRef>,
        config_map_key_ref: Option<KeyRef>,
        secret_key_ref: Option<KeyRef>,
    }
}
spec! { struct EnvFrom { prefix: String, config_map_ref: Option<ObjectRef>, secret_ref: Option<ObjectRef>, } }
spec! { struct FieldRef { field_path: String, } }
spec! { struct ResourceFieldRef { container_name: String, resource: String, divisor: Option<Value>, } }
spec! { struct KeyRef { name: String, key: String, optional: bool, } }
spec! { struct ObjectRef { name: String, optional: bool, } }

spec! {
    struct VolumeMount {
        name: String,
        mount_path: String,
        sub_path: String,
        sub_path_expr: String,
        read_only: bool,
    }
}

/// A volume; `source` holds exactly one member, named by the type.
#[derive(Debug, Clone, Default, PartialEq, Deserialize)]
pub(super) struct Volume {
    #[serde(default, deserialize_with = "or_default")]
    pub(super) name: String,
    #[serde(flatten)]
    pub(super) source: BTreeMap<String, Value>,
}

spec! { struct ConfigMapVolume { name: String, items: Vec<KeyToPath>, default_mode: Option<u32>, optional: bool, } }
spec! { struct SecretVolume { secret_name: String, items: Vec<KeyToPath>, default_mode: Option<u32>, optional: bool, } }
spec! { struct DownwardVolume { items: Vec<DownwardFile>, default_mode: Option<u32>, } }
spec! { struct ProjectedVolume { sources: Vec<Projection>, default_mode: Option<u32>, } }
spec! { struct HostPathVolume { path: String, r#type: String, } }
spec! { struct ClaimVolume { claim_name: String, read_only: bool, } }
spec! { struct KeyToPath { key: String, path: String, mode: Option<u32>, } }
spec! {
    struct DownwardFile {
        path: String,
        mode: Option<u32>,
        field_ref: Option<FieldRef>,
        resource_field_ref: Option<ResourceFieldRef>,
    }
}
spec! { struct SourceProjection { name: String, items: Vec<KeyToPath>, optional: bool, } }
spec! { struct TokenProjection { audience: String, expiration_seconds: Option<i64>, path: String, } }
spec! {
    struct Projection {
        config_map: Option<SourceProjection>,
        secret: Option<SourceProjection>,
        #[serde(rename = "downwardAPI")]
        downward_api: Option<DownwardVolume>,
        service_account_token: Option<TokenProjection>,
        cluster_trust_bundle: Option<Value>,
    }
}

spec! { struct Lifecycle { post_start: Option<Action>, pre_stop: Option<Action>, } }

spec! {
    struct Action {
        exec: Option<ExecAction>,
        http_get: Option<HttpGet>,
        tcp_socket: Option<TcpSocket>,
        grpc: Option<Grpc>,
        sleep: Option<Sleep>,
    }
}

spec! { struct ExecAction { command: Vec<String>, } }
spec! {
    struct HttpGet {
        path: String,
        port: Port,
        host: String,
        scheme: String,
        http_headers: Vec<Header>,
    }
}
spec! { struct TcpSocket { port: Port, host: String, } }
spec! { struct Grpc { port: Port, service: String, } }
spec! { struct Sleep { seconds: u64, } }
spec! { struct Header { name: String, value: String, } }

/// A port by number or by the name a container gives it.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(untagged)]
pub(super) enum Port {
    Number(i64),
    Name(String),
}

impl Default for Port {
    fn default() -> Self {
        Self::Number(0)
    }
}

spec! {
    struct Probe {
        #[serde(flatten)]
        action: Action,
        initial_delay_seconds: u64,
        period_seconds: Option<u64>,
        timeout_seconds: Option<u64>,
        success_threshold: Option<u32>,
        failure_threshold: Option<u32>,
        termination_grace_period_seconds: Option<u64>,
    }
}

/// Reads the spec of a pod.
pub(super) fn of(pod: &Value) -> Result<PodSpec, serde_json::Error> {
    match pod.get("spec") {
        Some(spec) => PodSpec::deserialize(spec),
        None => Ok(PodSpec::default()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn reads_what_the_api_writes() {
        let pod = json!({ "spec": {
            "containers": [{
                "name": "a", "image": "busybox", "command": null, "ports": [{ "name": "http", "containerPort": 80 }],
                "readinessProbe": { "httpGet": { "path": "/", "port": "http" }, "periodSeconds": 3 },
            }],
            "volumes": [{ "name": "v", "emptyDir": {} }],
            "restartPolicy": "Never",
        }});
        let spec = of(&pod).unwrap();
        assert_eq!(spec.restart_policy, RestartPolicy::Never);
        let container = &spec.containers[0];
        let probe = container.readiness_probe.as_ref().unwrap();
        assert_eq!(container.port(&probe.action.http_get.as_ref().unwrap().port), Ok(80));
        assert_eq!(probe.period_seconds, Some(3));
        assert_eq!(spec.volumes[0].source.keys().collect::<Vec<_>>(), ["emptyDir"]);
    }

    #[test]
    fn ports_are_numbers_names_or_nothing() {
        let container = Container::default();
        assert_eq!(container.port(&Port::Name("8080".into())), Ok(8080));
        assert!(container.port(&Port::Name("http".into())).is_err());
        assert!(container.port(&Port::Number(0)).is_err());
        assert!(container.port(&Port::Number(65536)).is_err());
    }
}
