use std::collections::BTreeSet;

use nocrd_model::Namespace;

use super::{report::PermissionReport, *};
use crate::Scope;

fn report(mode: Scope, denied: &[(&str, &str)]) -> PermissionReport {
    PermissionReport::new(mode, Namespace::parse("nogoo9").unwrap(), true, |need| {
        !denied.contains(&(need.verb, need.full_resource().as_str()))
    })
}

#[test]
fn the_table_names_known_tools_and_no_right_twice() {
    let mut rights = BTreeSet::new();
    for need in NEEDS {
        assert!(rights.insert((need.verb, need.full_resource())), "{need:?}");
        assert!(need.why.ends_with('.') && !(need.tools.is_empty() && need.helps.is_empty()), "{need:?}");
        for tool in need.tools.iter().chain(need.helps) {
            assert!(TOOLS.contains(tool), "{tool}");
        }
        let twice = need.tools.iter().find(|tool| need.helps.contains(tool));
        assert_eq!(twice, None, "{need:?}");
    }
    assert_eq!(TOOLS.len(), 24);
    assert_eq!(TOOLS.iter().collect::<BTreeSet<_>>().len(), TOOLS.len());
}

#[test]
fn everything_allowed_enables_everything() {
    let report = report(Scope::Cluster, &[]);
    assert_eq!((report.enabled_tools.as_slice(), report.disabled_tools.len()), (TOOLS, 0));
    assert!(report.allows("get", "pods/log") && report.allows("list", "namespaces"));
    assert!(!report.allows("escalate", "roles"));
}

#[test]
fn tools_follow_the_verbs_they_use() {
    let report = report(Scope::Cluster, &[("watch", "pods"), ("get", "pods/log"), ("list", "events")]);
    for tool in ["spawn_workspace", "list_workspaces", "get_pod_logs", "get_workspace_events"] {
        assert!(!report.enables(tool), "{tool}");
    }
    assert!(!report.enables("list_pods"), "it reads what is watched");
    for tool in ["get_pod", "list_templates", "current_namespace"] {
        assert!(report.enables(tool), "{tool}");
    }
    assert!(!report.permissions["pods/log"]["get"]);
    assert!(report.permissions["pods"]["get"]);
}

#[test]
fn what_only_helps_disables_nothing() {
    let report = report(
        Scope::Cluster,
        &[("create", "secrets"), ("list", "configmaps"), ("create", "serviceaccounts")],
    );
    assert_eq!(report.disabled_tools, [""; 0]);
    assert!(!report.allows("create", "secrets"));
}

#[test]
fn a_namespaced_server_needs_nothing_of_the_cluster() {
    let report = report(Scope::Namespaced, &[("list", "namespaces")]);
    assert!(report.enables("list_namespaces"));
    assert!(!report.permissions.contains_key("namespaces"));
}

#[test]
fn what_the_server_does_for_itself_is_in_the_table() {
    let mut rights = BTreeSet::new();
    for need in OWN_NEEDS {
        assert!(rights.insert((need.verb, need.resource)), "{need:?}");
        let known = |one: &&Permission| one.verb == need.verb && one.full_resource() == need.resource;
        assert!(NEEDS.iter().any(|one| known(&one)), "{need:?}");
        assert!(need.why.ends_with('.'), "{need:?}");
        assert!(reference_markdown().contains(need.why), "{need:?}");
    }
}

#[test]
fn manifests_grant_the_table_and_nothing_else() {
    for (scope, role, other) in
        [(Scope::Cluster, "ClusterRole", "Role"), (Scope::Namespaced, "Role", "ClusterRole")]
    {
        let manifest = manifest(scope);
        let has = |kind: &str| manifest.contains(&format!("\nkind: {kind}\n"));
        assert!(
            has("ServiceAccount") && has(role) && has(&format!("{role}Binding")) && !has(other),
            "{manifest}"
        );
        assert_eq!(manifest.matches("rules:\n").count(), 1);
        assert!(manifest.contains(&manifests::rules(scope)) && !manifest.contains('*'), "{manifest}");
    }
    assert!(manifest(Scope::Cluster).contains("resources: [namespaces]"));
    assert!(!manifest(Scope::Namespaced).contains("resources: [namespaces]"));
}

#[test]
fn the_halves_manifest_grants_the_table_to_the_one_that_takes_orders() {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../../deploy/kubernetes/split.yaml");
    let manifests = std::fs::read_to_string(path).unwrap();
    let of_mcp =
        |object: &&str| object.contains("\nkind: Role\n") && object.contains("\n  name: nocrd-mcp\n");
    let role = manifests.split("\n---\n").find(of_mcp).unwrap();
    let (_, rules) = role.split_once("\nrules:\n").unwrap();
    assert_eq!(format!("rules:\n{rules}\n"), manifests::rules(Scope::Namespaced));
}
