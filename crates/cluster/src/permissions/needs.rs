//! The one table of the rights the product uses. Access reviews, the tools that are offered, the RBAC manifests and
//! the documentation are made from it.

use crate::Scope;

/// One right the product uses, and what for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Permission {
    /// RBAC verb.
    pub verb: &'static str,
    /// RBAC resource, of the core API group like everything here.
    pub resource: &'static str,
    /// Subresource; empty for none.
    pub subresource: &'static str,
    /// Whether the resource exists once per cluster rather than in namespaces.
    pub cluster_scoped: bool,
    /// Tools that can't work without it.
    pub tools: &'static [&'static str],
    /// Tools that work without it, but do less.
    pub helps: &'static [&'static str],
    /// What it is for.
    pub why: &'static str,
}

impl Permission {
    /// The API group: all of these are in the core group, whose name is empty.
    pub const GROUP: &'static str = "";

    /// The resource with its subresource after a slash, as RBAC rules and reports name it.
    #[must_use]
    pub fn full_resource(&self) -> String {
        match self.subresource {
            "" => self.resource.to_owned(),
            subresource => format!("{}/{subresource}", self.resource),
        }
    }

    /// Whether it is used at all in this scope: things that exist once per cluster are not asked for in a server that
    /// keeps to one namespace.
    #[must_use]
    pub fn applies_in(&self, scope: Scope) -> bool {
        scope == Scope::Cluster || !self.cluster_scoped
    }
}

/// All tools, in the order in which reports name them.
pub const TOOLS: &[&str] = &[
    "list_registry_images",
    "current_namespace",
    "check_permissions",
    "get_capabilities",
    "list_templates",
    "get_template",
    "list_pods",
    "get_pod",
    "create_pod",
    "delete_pod",
    "patch_pod",
    "get_pod_logs",
    "list_namespaces",
    "create_template",
    "update_template",
    "delete_template",
    "create_pod_from_template",
    "list_workspaces",
    "spawn_workspace",
    "stop_workspace",
    "get_workspace",
    "get_workspace_events",
    "upgrade_workspace",
    "upgrade_all_workspaces",
];

macro_rules! needs {
    ($($verb:literal $resource:literal / $sub:literal $scoped:literal : [$($tool:literal)*] + [$($helped:literal)*] $why:literal;)*) => {
        /// Every right the product uses.
        pub const NEEDS: &[Permission] = &[$(Permission {
            verb: $verb,
            resource: $resource,
            subresource: $sub,
            cluster_scoped: $scoped,
            tools: &[$($tool),*],
            helps: &[$($helped),*],
            why: $why,
        },)*];
    };
}

needs! {
    "list" "pods"/"" false: ["list_pods" "list_workspaces" "get_workspace" "get_workspace_events" "spawn_workspace" "stop_workspace" "create_pod" "create_pod_from_template" "upgrade_workspace" "upgrade_all_workspaces"] + []
        "Reads the workspaces and other pods that are there, once, before they are watched.";
    "watch" "pods"/"" false: ["list_pods" "list_workspaces" "get_workspace" "get_workspace_events" "spawn_workspace" "stop_workspace" "create_pod" "create_pod_from_template" "upgrade_workspace" "upgrade_all_workspaces"] + []
        "Keeps the list of workspaces and other pods up to date, for tools and for the proxy.";
    "get" "pods"/"" false: ["get_pod" "get_pod_logs" "delete_pod" "patch_pod" "upgrade_workspace" "upgrade_all_workspaces"] + ["get_workspace"]
        "Reads one pod in full, and whose it is before anything is done to it.";
    "create" "pods"/"" false: ["create_pod" "create_pod_from_template" "spawn_workspace" "upgrade_workspace" "upgrade_all_workspaces"] + []
        "Starts workspaces and pods.";
    "delete" "pods"/"" false: ["delete_pod" "stop_workspace" "spawn_workspace" "upgrade_workspace" "upgrade_all_workspaces"] + ["create_pod" "create_pod_from_template"]
        "Stops workspaces, and undoes a spawn that lost a race or failed half-way.";
    "patch" "pods"/"" false: ["patch_pod" "upgrade_workspace" "upgrade_all_workspaces"] + []
        "Changes a pod, and notes the state of an upgrade on it.";
    "patch" "pods"/"resize" false: [] + ["patch_pod"]
        "Changes how much CPU and memory a running pod has; without it only labels and annotations can be changed.";
    "get" "pods"/"log" false: ["get_pod_logs"] + []
        "Reads logs.";
    "list" "namespaces"/"" true: ["list_namespaces"] + []
        "Lists the namespaces of the cluster.";
    "list" "configmaps"/"" false: [] + ["list_templates" "get_template" "spawn_workspace" "create_pod_from_template" "upgrade_workspace" "upgrade_all_workspaces"]
        "Reads the templates in the cluster; without it only those of the directory and the built-in ones are known.";
    "watch" "configmaps"/"" false: [] + ["list_templates" "get_template" "spawn_workspace" "create_pod_from_template" "upgrade_workspace" "upgrade_all_workspaces"]
        "Keeps the templates up to date; without it they are read anew every ten seconds.";
    "get" "configmaps"/"" false: ["update_template" "delete_template"] + []
        "Makes sure that a ConfigMap is a template, and whose, before it is changed.";
    "create" "configmaps"/"" false: ["create_template"] + []
        "Stores a template.";
    "update" "configmaps"/"" false: ["update_template"] + []
        "Replaces a template.";
    "delete" "configmaps"/"" false: ["delete_template"] + []
        "Deletes a template.";
    "create" "secrets"/"" false: [] + ["spawn_workspace" "create_pod_from_template" "upgrade_workspace" "upgrade_all_workspaces"]
        "Keeps context values in a Secret that the pod owns; without it they stand in the pod's own environment, with a warning.";
    "get" "secrets"/"" false: [] + ["spawn_workspace" "upgrade_workspace" "upgrade_all_workspaces"]
        "Finds out whether the Secret a pod waits for was ever created, and gives a workspace's context values to its successor; without it a workspace that has some can't be upgraded.";
    "delete" "secrets"/"" false: [] + ["spawn_workspace" "upgrade_workspace" "upgrade_all_workspaces"]
        "Undoes a spawn, and removes a Secret that an earlier pod of the same name left.";
    "list" "secrets"/"" false: [] + ["spawn_workspace" "upgrade_workspace" "upgrade_all_workspaces"]
        "Finds Secrets of workspaces that are gone.";
    "create" "serviceaccounts"/"" false: [] + ["spawn_workspace" "upgrade_workspace" "upgrade_all_workspaces"]
        "Gives a workspace an AWS role, when its template asks for one.";
    "delete" "serviceaccounts"/"" false: [] + ["spawn_workspace" "stop_workspace" "upgrade_workspace" "upgrade_all_workspaces"]
        "Removes such an account when its workspace is gone.";
    "list" "serviceaccounts"/"" false: [] + ["spawn_workspace"]
        "Finds accounts of workspaces that are gone.";
    "list" "events"/"" false: ["get_workspace_events"] + ["spawn_workspace"]
        "Tells what Kubernetes reports about a pod.";
    "watch" "events"/"" false: [] + ["spawn_workspace"]
        "Reports what happens while a workspace starts.";
    "get" "persistentvolumeclaims"/"" false: [] + ["upgrade_workspace" "upgrade_all_workspaces"]
        "Finds out whether a volume can be used by two pods at once; without it an upgrade stops the old pod first.";
}

/// What the server itself does with a right of [`NEEDS`], for no tool: with authentication, replicas share the key of
/// sessions, refreshes under way, what users give on pages, and the sign-ins that were ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct OwnNeed {
    /// RBAC verb.
    pub verb: &'static str,
    /// RBAC resource.
    pub resource: &'static str,
    /// What it is for, and what happens without it.
    pub why: &'static str,
}

/// What the server does for itself.
pub const OWN_NEEDS: &[OwnNeed] = &[
    OwnNeed {
        verb: "get",
        resource: "secrets",
        why: "Reads the key of sessions that all replicas share, and what users have given on a page of another replica. Without it they need `PROXY_SESSION_SECRET` or `PEER_PORT`, or each has a key of its own.",
    },
    OwnNeed {
        verb: "create",
        resource: "secrets",
        why: "Makes that key when there is none, and lets one replica alone use a refresh token. Without it two may, which some identity providers answer by ending the sign-in. It also keeps, sealed, what users give on a page until the call takes it; without it such a page works at the replica alone that has opened it.",
    },
    OwnNeed {
        verb: "delete",
        resource: "secrets",
        why: "Removes what was kept of a refresh, after a minute, and of a page, when its values are taken or after ten minutes.",
    },
    OwnNeed {
        verb: "list",
        resource: "secrets",
        why: "Finds what replicas that were killed left of refreshes and pages.",
    },
    OwnNeed {
        verb: "get",
        resource: "configmaps",
        why: "Reads the list of sign-ins that were ended, before it is changed.",
    },
    OwnNeed {
        verb: "create",
        resource: "configmaps",
        why: "Makes that list. Without it a sign-out counts on one replica only.",
    },
    OwnNeed {
        verb: "update",
        resource: "configmaps",
        why: "Adds to that list, and takes off it what is over.",
    },
    OwnNeed { verb: "list", resource: "configmaps", why: "Reads that list, before it is watched." },
    OwnNeed { verb: "watch", resource: "configmaps", why: "Learns of sign-outs on other replicas at once." },
    OwnNeed { verb: "list", resource: "pods", why: "Finds the other replicas, where `PEER_PORT` is set." },
    OwnNeed {
        verb: "get",
        resource: "pods",
        why: "Makes sure, where `PEER_PORT` is set, that who asks for the key of sessions is one of them.",
    },
];
