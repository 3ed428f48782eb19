//! The manifests in `deploy/`, as far as that can be told without a real cluster.

use std::collections::BTreeMap;

use nocrd_config::{Settings, settings::TABLE};

const MANIFESTS: &str = include_str!("../../../deploy/kubernetes/split.yaml");

/// The objects of one kind, as text.
fn objects(kind: &str) -> Vec<&'static str> {
    let line = format!("\nkind: {kind}\n");
    MANIFESTS.split("\n---\n").filter(|object| object.contains(&line)).collect()
}

#[test]
fn the_settings_exist_and_go_together() {
    let mut env = BTreeMap::new();
    for object in objects("ConfigMap").into_iter().chain(objects("Secret")) {
        let data = object.split_once("\ndata:\n").or_else(|| object.split_once("\nstringData:\n"));
        let Some((_, data)) = data else { continue };
        for line in data.lines().map(str::trim).filter(|line| !line.starts_with('#')) {
            let (name, value) = line.split_once(": ").unwrap();
            assert!(TABLE.iter().any(|setting| setting.env.contains(&name)), "there is no setting {name}");
            env.insert(name.to_owned(), value.trim_matches('"').to_owned());
        }
    }
    assert!(env.len() > 5, "{env:?}");
    let settings = Settings::from_env(&env).unwrap();
    assert!(settings.warnings().is_empty(), "{:?}", settings.warnings());
}

/// One rule of a Role.
#[derive(Debug, Default)]
struct Rule {
    resources: Vec<String>,
    verbs: Vec<String>,
    /// Of which objects; empty for all.
    names: Vec<String>,
}

/// The rules of the Role with this name.
fn rules(name: &str) -> Vec<Rule> {
    let named = format!("\n  name: {name}\n");
    let role = objects("Role").into_iter().find(|object| object.contains(&named)).unwrap();
    let (_, text) = role.split_once("\nrules:\n").unwrap();
    let mut rules = Vec::new();
    for line in text.lines().map(str::trim).filter(|line| !line.starts_with('#')) {
        let (key, list) = line.trim_start_matches("- ").split_once(": ").unwrap();
        let list: Vec<String> = list.trim_matches(['[', ']']).split(", ").map(str::to_owned).collect();
        match key {
            "apiGroups" => rules.push(Rule::default()),
            "resources" => rules.last_mut().unwrap().resources = list,
            "verbs" => rules.last_mut().unwrap().verbs = list,
            "resourceNames" => rules.last_mut().unwrap().names = list,
            other => panic!("{other}"),
        }
    }
    rules
}

#[test]
fn t55_the_proxy_reads_and_changes_nothing_but_its_own() {
    use nocrd_model::keys::{REVOCATIONS_CONFIG_MAP, SESSION_KEY_SECRET};
    let rules = rules("nocrd-proxy");
    let has = |resource: &str, verbs: &[&str], names: &[&str]| {
        let found = rules.iter().find(|rule| rule.resources == [resource]).unwrap();
        assert!(found.verbs == verbs && found.names == names, "{found:?}");
    };
    has("pods", &["list", "watch"], &[]);
    has("secrets", &["get"], &[SESSION_KEY_SECRET]);
    has("configmaps", &["get", "list", "watch", "update"], &[REVOCATIONS_CONFIG_MAP]);
    assert_eq!(rules.len(), 3, "{rules:?}");
    // What it may not create is there.
    let named = format!("\n  name: {REVOCATIONS_CONFIG_MAP}\n");
    assert!(objects("ConfigMap").iter().any(|object| object.contains(&named) && !object.contains("\ndata:")));
}

#[test]
fn t31_only_the_ingress_reaches_the_programs() {
    let [policy] = objects("NetworkPolicy")[..] else { panic!("there is not one NetworkPolicy") };
    for part in ["nocrd-mcp", "nocrd-proxy", "policyTypes: [Ingress]", "namespaceSelector", "podSelector"] {
        assert!(policy.contains(part), "{part}");
    }
    assert_eq!(policy.matches("- from:").count(), 1);
}

#[test]
fn t08_nginx_logs_no_token() {
    let configuration = include_str!("../../../deploy/nginx.conf");
    let format: String = configuration
        .lines()
        .skip_while(|line| !line.starts_with("log_format "))
        .take_while(|line| !line.is_empty())
        .collect();
    assert!(format.contains("$uri") && configuration.contains("access_log "));
    for told in ["$request ", "$request\"", "$request_uri", "$args", "$query_string", "referer"] {
        assert!(!format.contains(told), "{told}: {format}");
    }
}

#[test]
fn the_ingress_leads_to_both_and_each_is_there_twice() {
    let [ingress] = objects("Ingress")[..] else { panic!("there is not one Ingress") };
    let lines: Vec<&str> = ingress.lines().map(str::trim).collect();
    let backends: Vec<(&str, &str)> = lines
        .windows(4)
        .filter_map(|lines| {
            Some((lines[0].strip_prefix("- path: ")?, lines[3].split(['{', ',']).nth(1)?.trim()))
        })
        .collect();
    assert_eq!(backends, [("/route", "name: nocrd-proxy"), ("/", "name: nocrd-mcp")]);
    for name in ["nocrd-mcp", "nocrd-proxy"] {
        let named = format!("\n  name: {name}\n");
        for kind in ["ServiceAccount", "Role", "RoleBinding", "Deployment", "Service", "PodDisruptionBudget"]
        {
            let all = objects(kind);
            assert_eq!(all.iter().filter(|object| object.contains(&named)).count(), 1, "{kind} {name}");
        }
        let deployments = objects("Deployment");
        let deployment = deployments.iter().find(|object| object.contains(&named)).unwrap();
        assert!(
            deployment.contains("replicas: 2") && deployment.contains(&format!("serviceAccountName: {name}"))
        );
    }
}
