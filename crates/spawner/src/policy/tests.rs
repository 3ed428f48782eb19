use serde_json::{Value, json};

use super::*;

fn found(spec: &Value, level: PodSecurity) -> Vec<String> {
    violations(&serde_json::from_value(spec.clone()).unwrap(), &BTreeMap::new(), level)
}

fn container(extra: Value) -> Value {
    let mut base = json!({"name": "a", "image": "i"});
    base.as_object_mut().unwrap().extend(extra.as_object().unwrap().clone());
    base
}

#[test]
fn t53_baseline_refuses_each_way_out() {
    let cases = [
        (json!({"containers": [], "hostNetwork": true}), "hostNetwork"),
        (json!({"containers": [], "hostPID": true}), "hostPID"),
        (json!({"containers": [], "hostIPC": true}), "hostIPC"),
        (
            json!({"containers": [], "volumes": [{"name": "v", "hostPath": {"path": "/"}}]}),
            "volumes[0].hostPath",
        ),
        (json!({"containers": [container(json!({"securityContext": {"privileged": true}}))]}), "privileged"),
        (
            json!({"containers": [], "initContainers": [container(json!({"securityContext": {"privileged": true}}))]}),
            "initContainers[0].securityContext.privileged",
        ),
        (
            json!({"containers": [container(json!({"securityContext": {"capabilities": {"add": ["SYS_ADMIN"]}}}))]}),
            "SYS_ADMIN",
        ),
        (
            json!({"containers": [container(json!({"securityContext": {"procMount": "Unmasked"}}))]}),
            "procMount",
        ),
        (
            json!({"containers": [container(json!({"securityContext": {"seccompProfile": {"type": "Unconfined"}}}))]}),
            "seccompProfile",
        ),
        (
            json!({"containers": [], "securityContext": {"seccompProfile": {"type": "Unconfined"}}}),
            "seccompProfile",
        ),
        (
            json!({"containers": [], "securityContext": {"appArmorProfile": {"type": "Unconfined"}}}),
            "appArmorProfile",
        ),
        (
            json!({"containers": [], "securityContext": {"sysctls": [{"name": "kernel.msgmax", "value": "1"}]}}),
            "sysctls",
        ),
        (
            json!({"containers": [], "securityContext": {"seLinuxOptions": {"type": "spc_t"}}}),
            "seLinuxOptions.type",
        ),
        (
            json!({"containers": [], "securityContext": {"seLinuxOptions": {"user": "system_u"}}}),
            "seLinuxOptions.user",
        ),
        (
            json!({"containers": [], "securityContext": {"windowsOptions": {"hostProcess": true}}}),
            "hostProcess",
        ),
        (
            json!({"containers": [container(json!({"ports": [{"containerPort": 80, "hostPort": 80}]}))]}),
            "hostPort",
        ),
        (
            json!({"containers": [container(json!({"livenessProbe": {"httpGet": {"port": 80, "host": "10.0.0.1"}}}))]}),
            "livenessProbe",
        ),
        (
            json!({"containers": [container(json!({"lifecycle": {"preStop": {"httpGet": {"port": 80, "host": "10.0.0.1"}}}}))]}),
            "preStop",
        ),
    ];
    for (spec, needle) in cases {
        let found_now = found(&spec, PodSecurity::Baseline);
        assert!(found_now.len() == 1 && found_now[0].contains(needle), "{needle}: {found_now:?}");
        assert_eq!(found(&spec, PodSecurity::Privileged), Vec::<String>::new(), "{needle}");
    }
}

#[test]
fn baseline_lets_an_ordinary_pod_through() {
    let spec = json!({
        "containers": [container(json!({
            "securityContext": {"capabilities": {"add": ["NET_BIND_SERVICE"]}, "runAsUser": 0},
            "ports": [{"containerPort": 80}],
            "readinessProbe": {"httpGet": {"port": 80}},
        }))],
        "volumes": [{"name": "v", "emptyDir": {}}, {"name": "n", "nfs": {"server": "s", "path": "/"}}],
        "securityContext": {"sysctls": [{"name": "net.ipv4.tcp_syncookies", "value": "1"}]},
    });
    assert_eq!(found(&spec, PodSecurity::Baseline), Vec::<String>::new());
}

#[test]
fn baseline_reads_the_old_apparmor_annotation() {
    let spec: PodSpec = serde_json::from_value(json!({"containers": []})).unwrap();
    for (value, refused) in [("unconfined", true), ("runtime/default", false), ("localhost/x", false)] {
        let annotations = [("container.apparmor.security.beta.kubernetes.io/a".to_owned(), value.to_owned())];
        let found = violations(&spec, &annotations.into(), PodSecurity::Baseline);
        assert_eq!(found.len(), usize::from(refused), "{value}: {found:?}");
    }
}

#[test]
fn restricted_asks_for_hardening() {
    let good = json!({
        "containers": [container(json!({"securityContext": {
            "allowPrivilegeEscalation": false, "runAsNonRoot": true, "capabilities": {"drop": ["ALL"]},
            "seccompProfile": {"type": "RuntimeDefault"},
        }}))],
    });
    assert_eq!(found(&good, PodSecurity::Restricted), Vec::<String>::new());
    let bare = json!({"containers": [container(json!({}))], "nodeName": "n", "volumes": [{"name": "n", "nfs": {"server": "s", "path": "/"}}]});
    let all = found(&bare, PodSecurity::Restricted).join("\n");
    for needle in
        ["allowPrivilegeEscalation", "runAsNonRoot", "seccompProfile", "drop", "nodeName", "volumes[0]"]
    {
        assert!(all.contains(needle), "{needle} in {all}");
    }
    let root = json!({"containers": [], "securityContext": {"runAsUser": 0}});
    assert_eq!(found(&root, PodSecurity::Restricted), ["securityContext.runAsUser: must not be 0"]);
}

#[test]
fn t54_no_level_reaches_another_workspaces_context() {
    let name = "ws-victim-context";
    let cases = [
        json!({"containers": [], "volumes": [{"name": "v", "secret": {"secretName": name}}]}),
        json!({"containers": [], "volumes": [{"name": "v", "projected": {"sources": [{"secret": {"name": name}}]}}]}),
        json!({"containers": [container(json!({"envFrom": [{"secretRef": {"name": name}}]}))]}),
        json!({"containers": [container(json!({"env": [{"name": "A", "valueFrom": {"secretKeyRef": {"name": name, "key": "k"}}}]}))]}),
        json!({"containers": [container(json!({"envFrom": [{"secretRef": {"name": "nogoo9-session-key"}}]}))]}),
        json!({"containers": [], "imagePullSecrets": [{"name": name}]}),
        json!({"containers": [], "volumes": [{"name": "v", "csi": {"driver": "d", "nodePublishSecretRef": {"name": name}}}]}),
        json!({"containers": [], "volumes": [{"name": "v", "azureFile": {"shareName": "s", "secretName": name}}]}),
    ];
    for spec in cases {
        for level in PodSecurity::ALL.into_iter().take(2) {
            assert_eq!(found(&spec, level).len(), 1, "{level}: {spec}");
        }
    }
    let fine = json!({"containers": [container(json!({"envFrom": [{"secretRef": {"name": "my-secret"}}]}))]});
    assert_eq!(found(&fine, PodSecurity::Baseline), Vec::<String>::new());
}
