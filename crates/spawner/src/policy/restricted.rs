//! The restricted level: what the baseline asks, and hardening that a pod must opt into.

use k8s_openapi::api::core::v1::{PodSpec, Volume};

use super::{Findings, containers};

pub(super) fn check(spec: &PodSpec, found: &mut Findings) {
    for (i, volume) in spec.volumes.iter().flatten().enumerate() {
        found.refuse_if(
            !is_allowed_volume(volume),
            format_args!("volumes[{i}]"),
            "volume type is not allowed",
        );
    }
    found.refuse_if(spec.node_name.is_some(), "nodeName", "must not be set: the scheduler chooses the node");
    let pod = spec.security_context.as_ref();
    let pod_seccomp = pod.and_then(|c| c.seccomp_profile.as_ref()).is_some();
    found.refuse_if(pod.and_then(|c| c.run_as_user) == Some(0), "securityContext.runAsUser", "must not be 0");
    for (path, container) in containers(spec) {
        let context = container.security_context.as_ref();
        let escalation = context.and_then(|c| c.allow_privilege_escalation);
        found.refuse_if(
            escalation != Some(false),
            format_args!("{path}.securityContext.allowPrivilegeEscalation"),
            "must be false",
        );
        let non_root =
            context.and_then(|c| c.run_as_non_root).or_else(|| pod.and_then(|c| c.run_as_non_root));
        found.refuse_if(
            non_root != Some(true),
            format_args!("{path}.securityContext.runAsNonRoot"),
            "must be true",
        );
        let user = context.and_then(|c| c.run_as_user);
        found.refuse_if(user == Some(0), format_args!("{path}.securityContext.runAsUser"), "must not be 0");
        let seccomp = context.and_then(|c| c.seccomp_profile.as_ref()).is_some() || pod_seccomp;
        found.refuse_if(
            !seccomp,
            format_args!("{path}.securityContext.seccompProfile"),
            "must be RuntimeDefault or Localhost",
        );
        let capabilities = context.and_then(|c| c.capabilities.as_ref());
        let drops_all = capabilities.is_some_and(|c| c.drop.iter().flatten().any(|d| d == "ALL"));
        found.refuse_if(
            !drops_all,
            format_args!("{path}.securityContext.capabilities.drop"),
            "must hold ALL",
        );
        let adds = capabilities.iter().flat_map(|c| c.add.iter().flatten());
        for capability in adds.filter(|c| *c != "NET_BIND_SERVICE") {
            found.add(
                format_args!("{path}.securityContext.capabilities.add"),
                format_args!("{capability} is not allowed"),
            );
        }
    }
}

/// The volume types of the standard: configMap, csi, downwardAPI, emptyDir, ephemeral, persistentVolumeClaim,
/// projected, secret. A volume without a source is an emptyDir.
fn is_allowed_volume(volume: &Volume) -> bool {
    let bare = Volume {
        name: volume.name.clone(),
        config_map: volume.config_map.clone(),
        csi: volume.csi.clone(),
        downward_api: volume.downward_api.clone(),
        empty_dir: volume.empty_dir.clone(),
        ephemeral: volume.ephemeral.clone(),
        persistent_volume_claim: volume.persistent_volume_claim.clone(),
        projected: volume.projected.clone(),
        secret: volume.secret.clone(),
        ..Volume::default()
    };
    bare == *volume
}
