//! The baseline level: no known privilege escalation.

use std::collections::BTreeMap;

use k8s_openapi::api::core::v1::{LifecycleHandler, PodSpec, Probe, SELinuxOptions};

use super::{Findings, containers, contexts};

/// Capabilities a container may add.
const CAPABILITIES: [&str; 13] = [
    "AUDIT_WRITE",
    "CHOWN",
    "DAC_OVERRIDE",
    "FOWNER",
    "FSETID",
    "KILL",
    "MKNOD",
    "NET_BIND_SERVICE",
    "SETFCAP",
    "SETGID",
    "SETPCAP",
    "SETUID",
    "SYS_CHROOT",
];
/// Kernel parameters a pod may set.
const SYSCTLS: [&str; 10] = [
    "kernel.shm_rmid_forced",
    "net.ipv4.ip_local_port_range",
    "net.ipv4.ip_unprivileged_port_start",
    "net.ipv4.tcp_syncookies",
    "net.ipv4.ping_group_range",
    "net.ipv4.ip_local_reserved_ports",
    "net.ipv4.tcp_keepalive_time",
    "net.ipv4.tcp_fin_timeout",
    "net.ipv4.tcp_keepalive_intvl",
    "net.ipv4.tcp_keepalive_probes",
];
/// SELinux types a pod may ask for.
const SELINUX_TYPES: [&str; 5] =
    ["", "container_t", "container_init_t", "container_kvm_t", "container_engine_t"];
/// Prefix of the annotation that chose an AppArmor profile before the field existed.
const APPARMOR_ANNOTATION: &str = "container.apparmor.security.beta.kubernetes.io/";

pub(super) fn check(spec: &PodSpec, annotations: &BTreeMap<String, String>, found: &mut Findings) {
    host_namespaces(spec, found);
    pod_context(spec, found);
    for (path, context) in contexts(spec) {
        found.refuse_if(
            context.privileged == Some(true),
            format_args!("{path}.privileged"),
            "must not be true",
        );
        for capability in context.capabilities.iter().flat_map(|c| c.add.iter().flatten()) {
            let allowed = CAPABILITIES.contains(&capability.as_str());
            found.refuse_if(
                !allowed,
                format_args!("{path}.capabilities.add"),
                format_args!("{capability} is not allowed"),
            );
        }
        let proc_mount = context.proc_mount.as_deref().unwrap_or("Default");
        found.refuse_if(proc_mount != "Default", format_args!("{path}.procMount"), "must be Default");
        selinux(&path, context.se_linux_options.as_ref(), found);
        unconfined(
            &path,
            "seccompProfile",
            context.seccomp_profile.as_ref().map(|p| p.type_.as_str()),
            found,
        );
        unconfined(
            &path,
            "appArmorProfile",
            context.app_armor_profile.as_ref().map(|p| p.type_.as_str()),
            found,
        );
        let host_process = context.windows_options.as_ref().and_then(|w| w.host_process);
        found.refuse_if(
            host_process == Some(true),
            format_args!("{path}.windowsOptions.hostProcess"),
            "must not be true",
        );
    }
    for (key, value) in annotations.iter().filter(|(key, _)| key.starts_with(APPARMOR_ANNOTATION)) {
        let allowed = value.is_empty() || value == "runtime/default" || value.starts_with("localhost/");
        found.refuse_if(
            !allowed,
            format_args!("annotations[{key}]"),
            "must be runtime/default or localhost/*",
        );
    }
    for (i, volume) in spec.volumes.iter().flatten().enumerate() {
        found.refuse_if(
            volume.host_path.is_some(),
            format_args!("volumes[{i}].hostPath"),
            "host paths are not allowed",
        );
    }
    ports_and_probes(spec, found);
}

fn host_namespaces(spec: &PodSpec, found: &mut Findings) {
    for (name, value) in
        [("hostNetwork", spec.host_network), ("hostPID", spec.host_pid), ("hostIPC", spec.host_ipc)]
    {
        found.refuse_if(value == Some(true), name, "must not be true");
    }
}

fn pod_context(spec: &PodSpec, found: &mut Findings) {
    let Some(context) = &spec.security_context else { return };
    selinux("securityContext", context.se_linux_options.as_ref(), found);
    unconfined(
        "securityContext",
        "seccompProfile",
        context.seccomp_profile.as_ref().map(|p| p.type_.as_str()),
        found,
    );
    unconfined(
        "securityContext",
        "appArmorProfile",
        context.app_armor_profile.as_ref().map(|p| p.type_.as_str()),
        found,
    );
    let host_process = context.windows_options.as_ref().and_then(|w| w.host_process);
    found.refuse_if(
        host_process == Some(true),
        "securityContext.windowsOptions.hostProcess",
        "must not be true",
    );
    for sysctl in context.sysctls.iter().flatten() {
        let allowed = SYSCTLS.contains(&sysctl.name.as_str());
        found.refuse_if(!allowed, "securityContext.sysctls", format_args!("{} is not allowed", sysctl.name));
    }
}

fn selinux(path: &str, options: Option<&SELinuxOptions>, found: &mut Findings) {
    let Some(options) = options else { return };
    let type_ = options.type_.as_deref().unwrap_or_default();
    let allowed = SELINUX_TYPES.contains(&type_);
    found.refuse_if(
        !allowed,
        format_args!("{path}.seLinuxOptions.type"),
        format_args!("{type_:?} is not allowed"),
    );
    for (name, value) in [("user", &options.user), ("role", &options.role)] {
        let set = value.as_deref().is_some_and(|text| !text.is_empty());
        found.refuse_if(set, format_args!("{path}.seLinuxOptions.{name}"), "must not be set");
    }
}

fn unconfined(path: &str, field: &str, profile: Option<&str>, found: &mut Findings) {
    found.refuse_if(
        profile == Some("Unconfined"),
        format_args!("{path}.{field}.type"),
        "must not be Unconfined",
    );
}

fn ports_and_probes(spec: &PodSpec, found: &mut Findings) {
    for (path, container) in containers(spec) {
        for port in container.ports.iter().flatten() {
            let used = port.host_port.is_some_and(|p| p != 0);
            found.refuse_if(used, format_args!("{path}.ports.hostPort"), "host ports are not allowed");
        }
        let probes = [
            ("livenessProbe", &container.liveness_probe),
            ("readinessProbe", &container.readiness_probe),
            ("startupProbe", &container.startup_probe),
        ];
        for (name, probe) in probes {
            let host = probe.as_ref().is_some_and(probe_names_host);
            found.refuse_if(host, format_args!("{path}.{name}"), "must not name a host");
        }
        let hooks = container.lifecycle.as_ref();
        let hooks = [
            ("postStart", hooks.and_then(|l| l.post_start.as_ref())),
            ("preStop", hooks.and_then(|l| l.pre_stop.as_ref())),
        ];
        for (name, hook) in hooks {
            let host = hook.is_some_and(hook_names_host);
            found.refuse_if(host, format_args!("{path}.lifecycle.{name}"), "must not name a host");
        }
    }
}

fn named(host: Option<&String>) -> bool {
    host.is_some_and(|h| !h.is_empty())
}

fn probe_names_host(probe: &Probe) -> bool {
    named(probe.http_get.as_ref().and_then(|h| h.host.as_ref()))
        || named(probe.tcp_socket.as_ref().and_then(|t| t.host.as_ref()))
}

fn hook_names_host(hook: &LifecycleHandler) -> bool {
    named(hook.http_get.as_ref().and_then(|h| h.host.as_ref()))
        || named(hook.tcp_socket.as_ref().and_then(|t| t.host.as_ref()))
}
