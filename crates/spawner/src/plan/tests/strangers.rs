//! What signed-in users may bring, who are no administrators.

use super::*;

pub(super) fn roles() -> [(Caller, bool); 5] {
    let verified = |role| Caller::verified("bob".into(), role);
    [
        (verified(Role::None), false),
        (verified(Role::Viewer), false),
        (verified(Role::User), false),
        (verified(Role::Admin), true),
        (Caller::local(), true),
    ]
}

#[test]
fn empty_overrides_take_nothing_from_a_template() {
    let mut tolerant = spec();
    tolerant["tolerations"] = json!([{"key": "gpu", "operator": "Exists"}]);
    for nothing in [json!([]), Value::Null] {
        let mut case = user();
        case.request.top_level_overrides = json!({"tolerations": nothing}).as_object().unwrap().clone();
        assert!(case.template_plan(&[], spec()).is_ok(), "{nothing}");
        assert!(matches!(case.template_plan(&[], tolerant.clone()), Err(Error::Policy { .. })), "{nothing}");
    }
}

pub(super) fn user() -> Case {
    as_caller(Caller::verified("bob".into(), Role::User))
}

pub(super) fn open() -> Config {
    Config { pod_security: PodSecurity::Privileged, ..Config::default() }
}

/// The only violation of a plan.
pub(super) fn violation(outcome: Result<Plan, Error>) -> String {
    match outcome {
        Err(Error::Policy { mut violations, .. }) if violations.len() == 1 => violations.remove(0),
        other => panic!("{other:?}"),
    }
}

pub(super) fn with_volume(source: Value) -> Value {
    let mut volume = json!({"name": "v"});
    volume.as_object_mut().unwrap().extend(source.as_object().unwrap().clone());
    json!({"containers": [{"name": "m", "image": "i"}], "volumes": [volume]})
}

pub(super) fn with_container(change: Value) -> Value {
    let mut container = json!({"name": "m", "image": "i"});
    container.as_object_mut().unwrap().extend(change.as_object().unwrap().clone());
    json!({"containers": [container]})
}

pub(super) fn variable(secret: &str, key: &str) -> Value {
    json!({"name": "A", "valueFrom": {"secretKeyRef": {"name": secret, "key": key}}})
}

pub(super) fn overridden(mut case: Case, containers: Value, top: Value) -> Case {
    case.request.container_overrides = serde_json::from_value(containers).unwrap();
    case.request.top_level_overrides = top.as_object().unwrap().clone();
    case
}

/// Each way to refer to the Secret `db`, and the field that is named.
fn secrets() -> Vec<(Value, &'static str)> {
    let reference = json!({"name": "db"});
    let mut init = spec();
    init["initContainers"] = json!([{"name": "n", "image": "i", "env": [variable("db", "k")]}]);
    let mut pull = spec();
    pull["imagePullSecrets"] = json!([reference]);
    vec![
        (with_container(json!({"env": [variable("db", "k")]})), "containers[0].env[A]"),
        (with_container(json!({"envFrom": [{"secretRef": reference}]})), "containers[0].envFrom[0]"),
        (init, "initContainers[0].env[A]"),
        (pull, "imagePullSecrets[0]"),
        (with_volume(json!({"secret": {"secretName": "db"}})), "volumes[0].secret"),
        (with_volume(json!({"projected": {"sources": [{"secret": reference}]}})), "volumes[0].projected"),
    ]
}

/// Likewise the ConfigMap `db`.
fn config_maps() -> Vec<(Value, &'static str)> {
    let reference = json!({"name": "db"});
    let variable = json!({"name": "A", "valueFrom": {"configMapKeyRef": {"name": "db", "key": "k"}}});
    let mut init = spec();
    init["initContainers"] = json!([{"name": "n", "image": "i", "envFrom": [{"configMapRef": reference}]}]);
    vec![
        (with_container(json!({"env": [variable]})), "containers[0].env[A]"),
        (with_container(json!({"envFrom": [{"configMapRef": reference}]})), "containers[0].envFrom[0]"),
        (init, "initContainers[0].envFrom[0]"),
        (with_volume(json!({"configMap": reference})), "volumes[0].configMap"),
        (with_volume(json!({"projected": {"sources": [{"configMap": reference}]}})), "volumes[0].projected"),
    ]
}

/// Kinds of volumes that reach more than what could be listed.
fn storage() -> Vec<(&'static str, Value)> {
    let secret = json!({"name": "db"});
    let claim =
        json!({"spec": {"accessModes": ["ReadWriteOnce"], "resources": {"requests": {"storage": "1Gi"}}}});
    vec![
        ("awsElasticBlockStore", json!({"volumeID": "v"})),
        ("azureDisk", json!({"diskName": "d", "diskURI": "u"})),
        ("azureFile", json!({"secretName": "db", "shareName": "s"})),
        ("cephfs", json!({"monitors": [], "secretRef": secret})),
        ("cinder", json!({"volumeID": "v", "secretRef": secret})),
        ("csi", json!({"driver": "d", "nodePublishSecretRef": secret})),
        ("ephemeral", json!({"volumeClaimTemplate": claim})),
        ("fc", json!({"lun": 0})),
        ("flexVolume", json!({"driver": "d", "secretRef": secret})),
        ("flocker", json!({"datasetName": "d"})),
        ("gcePersistentDisk", json!({"pdName": "d"})),
        ("gitRepo", json!({"repository": "r"})),
        ("glusterfs", json!({"endpoints": "e", "path": "p"})),
        ("hostPath", json!({"path": "/"})),
        ("iscsi", json!({"targetPortal": "p", "iqn": "q", "lun": 0, "secretRef": secret})),
        ("nfs", json!({"server": "s", "path": "/"})),
        ("photonPersistentDisk", json!({"pdID": "d"})),
        ("portworxVolume", json!({"volumeID": "v"})),
        ("quobyte", json!({"registry": "r", "volume": "v"})),
        ("rbd", json!({"monitors": [], "image": "i", "secretRef": secret})),
        ("scaleIO", json!({"gateway": "g", "system": "s", "secretRef": secret})),
        ("storageos", json!({"secretRef": secret})),
        ("vsphereVolume", json!({"volumePath": "p"})),
    ]
}

#[test]
fn c01_inline_specs_refer_to_no_secret_of_the_namespace() {
    for (spec, field) in secrets() {
        check_listed(&spec, field, "Secret \"db\" ", "ALLOWED_SECRETS", |config| &mut config.allowed_secrets);
    }
}

#[test]
fn nor_to_a_config_map() {
    for (spec, field) in config_maps() {
        check_listed(&spec, field, "ConfigMap \"db\" ", "ALLOWED_CONFIGMAPS", |config| {
            &mut config.allowed_config_maps
        });
    }
}

/// An inline spec refers to the object `db`, which is for those alone whom the operator lets.
fn check_listed(
    spec: &Value,
    field: &str,
    object: &str,
    setting: &str,
    list: fn(&mut Config) -> &mut std::collections::BTreeSet<String>,
) {
    for (caller, allowed) in roles() {
        // No level of the policy is about whose an object is.
        let case = Case { config: open(), ..as_caller(caller) };
        let outcome = case.plan(Resolved::Inline(spec));
        if allowed {
            assert!(outcome.is_ok(), "{field}: {outcome:?}");
            continue;
        }
        let violation = violation(outcome);
        assert!(violation.starts_with(&format!("{field}: {object}")), "{violation}");
        assert!(violation.contains(setting), "{violation}");
    }
    let mut case = Case { config: open(), ..user() };
    case.config.allowed_claims.insert("db".into());
    assert!(case.plan(Resolved::Inline(spec)).is_err(), "{field}");
    // A bare name means the default namespace, another one is said.
    for (listed, there, elsewhere) in
        [("db", true, false), ("nogoo9/db", true, false), ("team-a/db", false, true)]
    {
        let mut case = Case { config: open(), ..user() };
        list(&mut case.config).insert(listed.into());
        assert_eq!(case.plan(Resolved::Inline(spec)).is_ok(), there, "{field} {listed}");
        case.namespace = namespace("team-a");
        assert_eq!(case.plan(Resolved::Inline(spec)).is_ok(), elsewhere, "{field} {listed}");
    }
}

#[test]
fn c01_nor_to_claims_or_volumes_made_for_the_pod() {
    let claim = with_volume(json!({"persistentVolumeClaim": {"claimName": "homes"}}));
    for (caller, allowed) in roles() {
        let outcome = as_caller(caller).plan(Resolved::Inline(&claim));
        assert_eq!(outcome.is_ok(), allowed, "{outcome:?}");
    }
    let mut case = user();
    let said = violation(case.plan(Resolved::Inline(&claim)));
    assert!(said.starts_with("volumes[0].persistentVolumeClaim: PersistentVolumeClaim \"homes\""), "{said}");
    assert!(said.contains("ALLOWED_CLAIMS"), "{said}");
    case.config.allowed_claims.insert("homes".into());
    case.config.allowed_secrets.insert("db".into());
    assert!(case.plan(Resolved::Inline(&claim)).is_ok());
    for (kind, source) in storage() {
        let spec = with_volume(json!({kind: source}));
        for (caller, allowed) in roles() {
            // No list makes up for what a driver does, and no level is about whose a disk is.
            let mut case = Case { config: open(), ..as_caller(caller) };
            case.config.allowed_secrets.insert("db".into());
            let outcome = case.plan(Resolved::Inline(&spec));
            if allowed {
                assert!(outcome.is_ok(), "{kind}: {outcome:?}");
                continue;
            }
            let said = violation(outcome);
            assert!(said.starts_with(&format!("volumes[0].{kind}: only a template")), "{said}");
            let case =
                Case { config: open(), ..overridden(case, json!([]), json!({"volumes": spec["volumes"]})) };
            let said = violation(case.template_plan(&[], super::spec()));
            assert!(said.starts_with(&format!("topLevelOverrides.volumes[0].{kind}: ")), "{said}");
        }
    }
    for harmless in [
        json!({}),
        json!({"emptyDir": {}}),
        json!({"downwardAPI": {"items": [{"path": "l", "fieldRef": {"fieldPath": "metadata.labels"}}]}}),
        json!({"image": {"reference": "i"}}),
        json!({"projected": {"sources": [{"downwardAPI": {"items": []}}]}}),
    ] {
        let outcome = user().plan(Resolved::Inline(&with_volume(harmless.clone())));
        assert!(outcome.is_ok(), "{harmless}: {outcome:?}");
    }
}

#[test]
fn c01_overrides_refer_to_no_secret_either() {
    let none = json!([]);
    for (containers, top, field) in [
        (json!([{"name": "m", "env": [variable("db", "k")]}]), json!({}), "containerOverrides[0].env[A]"),
        (
            json!([{"name": "m"}, {"name": "m", "envFrom": [{"secretRef": {"name": "db"}}]}]),
            json!({}),
            "containerOverrides[1].envFrom[0]",
        ),
        (
            none.clone(),
            json!({"volumes": [{"name": "e", "emptyDir": {"sizeLimit": 1}}, {"name": "v", "secret": {"secretName": "db"}}]}),
            "topLevelOverrides.volumes[1].secret",
        ),
        (none, json!({"imagePullSecrets": [{"name": "db"}]}), "topLevelOverrides.imagePullSecrets[0]"),
    ] {
        for (caller, allowed) in roles() {
            let case = overridden(as_caller(caller), containers.clone(), top.clone());
            let outcome = case.template_plan(&[], spec());
            if allowed {
                assert!(outcome.is_ok(), "{outcome:?}");
            } else {
                assert!(violation(outcome).starts_with(&format!("{field}: Secret \"db\"")));
            }
            // Beside an inline spec they are the caller's as well.
            assert_eq!(case.plan(Resolved::Inline(&spec())).is_ok(), allowed, "{field}");
        }
    }
}

/// A template that uses Secrets and a claim, and shows each user their part of it.
fn rich() -> Value {
    json!({
        "containers": [{
            "name": "m", "image": "i", "resources": {"limits": {"cpu": 1}},
            "env": [variable("db", "user")], "envFrom": [{"secretRef": {"name": "all"}}],
            "volumeMounts": [{"name": "homes", "mountPath": "/home", "subPath": "${{user}}"}],
        }],
        "imagePullSecrets": [{"name": "registry"}],
        "volumes": [
            {"name": "homes", "persistentVolumeClaim": {"claimName": "homes"}},
            {"name": "key", "secret": {"secretName": "tls", "items": [{"key": "crt", "path": "crt"}]}},
            {"name": "store", "csi": {"driver": "d", "nodePublishSecretRef": {"name": "store"}}},
            {"name": "scratch", "emptyDir": {}},
        ],
    })
}

#[test]
fn c01_a_template_s_own_references_stay() {
    let volumes = rich()["volumes"].clone();
    let mount = json!({"name": "homes", "mountPath": "/home", "subPath": "bob"});
    for (containers, top) in [
        (json!([]), json!({})),
        (json!([{"name": "m", "env": [{"name": "B", "value": "b"}]}]), json!({})),
        (json!([{"name": "m", "env": [variable("db", "user"), variable("all", "any")]}]), json!({})),
        (json!([{"name": "m", "envFrom": [{"secretRef": {"name": "all"}}]}]), json!({})),
        (json!([{"name": "m", "volumeMounts": [mount, {"name": "scratch", "mountPath": "/s"}]}]), json!({})),
        (json!([]), json!({"volumes": volumes, "imagePullSecrets": [{"name": "registry"}]})),
    ] {
        let case = overridden(user(), containers, top);
        let outcome = case.template_plan(&[], rich());
        assert!(outcome.is_ok(), "{:?}: {outcome:?}", case.request.container_overrides);
    }
}

#[test]
fn c01_but_no_more_of_them_than_the_template_shows() {
    let no = json!([]);
    let volume = |volume: Value| {
        let mut volumes = rich()["volumes"].clone();
        volumes.as_array_mut().unwrap().push(volume);
        json!({"volumes": volumes})
    };
    for (containers, top) in [
        (json!([{"name": "m", "env": [variable("db", "password")]}]), json!({})),
        (json!([{"name": "m", "env": [variable("registry", ".dockerconfigjson")]}]), json!({})),
        (json!([{"name": "m", "env": [variable("tls", "key")]}]), json!({})),
        (json!([{"name": "m", "envFrom": [{"secretRef": {"name": "db"}}]}]), json!({})),
        (json!([{"name": "m", "volumeMounts": [{"name": "homes", "mountPath": "/home"}]}]), json!({})),
        (
            json!([{"name": "m", "volumeMounts": [{"name": "homes", "mountPath": "/home", "subPath": "al"}]}]),
            json!({}),
        ),
        (json!([{"name": "m", "volumeMounts": [{"name": "store", "mountPath": "/x"}]}]), json!({})),
        (no.clone(), volume(json!({"name": "k", "secret": {"secretName": "tls"}}))),
        (no.clone(), volume(json!({"name": "h", "persistentVolumeClaim": {"claimName": "homes"}}))),
        (no.clone(), volume(json!({"name": "c", "csi": {"driver": "d"}}))),
    ] {
        let case = overridden(user(), containers, top);
        let outcome = case.template_plan(&[], rich());
        assert!(
            matches!(outcome, Err(Error::Policy { .. })),
            "{:?} {:?}: {outcome:?}",
            case.request.container_overrides,
            case.request.top_level_overrides
        );
    }
}

#[test]
fn nobody_changes_what_other_containers_of_a_template_find() {
    let mut template = rich();
    let token = json!({"name": "token", "projected": {"sources": [{"serviceAccountToken": {"path": "t"}}]}});
    template["volumes"].as_array_mut().unwrap().push(token);
    template["automountServiceAccountToken"] = json!(true);
    let scratch = |instead: Value| {
        let mut volumes = template["volumes"].clone();
        volumes[3] = instead;
        json!({ "volumes": volumes })
    };
    let mount = |name: &str| json!([{"name": "m", "volumeMounts": [{"name": name, "mountPath": "/x"}]}]);
    let plan = |containers: Value, top: Value| {
        overridden(user(), containers, top).template_plan(&[], template.clone())
    };
    for (containers, top) in [
        (json!([]), scratch(json!({"name": "scratch", "image": {"reference": "evil"}}))),
        (json!([]), scratch(json!({"name": "scratch", "emptyDir": {"medium": "Memory"}}))),
        (json!([]), json!({"hostAliases": [{"ip": "192.0.2.1", "hostnames": ["db.example"]}]})),
        (json!([]), json!({"dnsConfig": {"nameservers": ["192.0.2.1"]}})),
        (json!([]), json!({"dnsPolicy": "None"})),
        (mount("token"), json!({})),
    ] {
        let outcome = plan(containers.clone(), top.clone());
        assert!(matches!(outcome, Err(Error::Policy { .. })), "{containers} {top}: {outcome:?}");
    }
    assert!(plan(mount("scratch"), scratch(json!({"name": "scratch", "emptyDir": {}}))).is_ok());
}

#[test]
fn c01_the_server_s_own_secrets_are_nobody_s() {
    for name in ["nogoo9-session-key", "nogoo9-refresh-x", "nogoo9-context-x", "ws-w1-context"] {
        let spec = with_container(json!({"env": [variable(name, "k")]}));
        for (caller, _) in roles() {
            let mut case = Case { config: open(), ..as_caller(caller) };
            case.config.allowed_secrets.insert(name.into());
            assert!(matches!(case.plan(Resolved::Inline(&spec)), Err(Error::Policy { .. })), "{name}");
            assert!(matches!(case.template_plan(&[], spec.clone()), Err(Error::Policy { .. })), "{name}");
        }
    }
}

#[test]
fn the_server_s_own_config_maps_and_templates_are_nobody_s() {
    let problem = nocrd_templates::Problem {
        name: "broken".into(),
        origin: Origin::ConfigMap { namespace: namespace("nogoo9") },
        reason: "r".into(),
    };
    let mut hidden = template(&[(keys::ALLOWED_ROLES, "ops")], spec());
    hidden.origin = problem.origin.clone();
    let config_maps = (vec![hidden], vec![problem]);
    let catalogue = Catalogue::new(config_maps, Default::default(), Vec::new());
    for name in [keys::REVOCATIONS_CONFIG_MAP, "t", "broken"] {
        let spec = with_container(json!({"envFrom": [{"configMapRef": {"name": name}}]}));
        let mut case = Case { config: open(), catalogue: catalogue.clone(), ..user() };
        case.config.allowed_config_maps.extend([name.into(), format!("nogoo9/{name}")]);
        assert!(matches!(case.plan(Resolved::Inline(&spec)), Err(Error::Policy { .. })), "{name}");
    }
    // What a template shows of another is its author's business, but nothing shows what is the server's.
    let shown = |name: &str| {
        let case = Case { config: open(), catalogue: catalogue.clone(), ..user() };
        case.template_plan(&[], with_container(json!({"envFrom": [{"configMapRef": {"name": name}}]})))
    };
    assert!(shown("t").is_ok());
    assert!(matches!(shown(keys::REVOCATIONS_CONFIG_MAP), Err(Error::Policy { .. })));
}
