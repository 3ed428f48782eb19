//! What signed-in users may bring, who are no administrators.

use super::*;

fn roles() -> [(Caller, bool); 5] {
    let verified = |role| Caller::verified("bob".into(), role);
    [
        (verified(Role::None), false),
        (verified(Role::Viewer), false),
        (verified(Role::User), false),
        (verified(Role::Admin), true),
        (Caller::local(), true),
    ]
}

fn user() -> Case {
    as_caller(Caller::verified("bob".into(), Role::User))
}

fn open() -> Config {
    Config { pod_security: PodSecurity::Privileged, ..Config::default() }
}

/// The only violation of a plan.
fn violation(outcome: Result<Plan, Error>) -> String {
    match outcome {
        Err(Error::Policy { mut violations, .. }) if violations.len() == 1 => violations.remove(0),
        other => panic!("{other:?}"),
    }
}

fn with_volume(source: Value) -> Value {
    let mut volume = json!({"name": "v"});
    volume.as_object_mut().unwrap().extend(source.as_object().unwrap().clone());
    json!({"containers": [{"name": "m", "image": "i"}], "volumes": [volume]})
}

fn with_container(change: Value) -> Value {
    let mut container = json!({"name": "m", "image": "i"});
    container.as_object_mut().unwrap().extend(change.as_object().unwrap().clone());
    json!({"containers": [container]})
}

fn variable(secret: &str, key: &str) -> Value {
    json!({"name": "A", "valueFrom": {"secretKeyRef": {"name": secret, "key": key}}})
}

fn overridden(mut case: Case, containers: Value, top: Value) -> Case {
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
        (
            with_volume(json!({"flexVolume": {"driver": "d", "secretRef": reference}})),
            "volumes[0].flexVolume",
        ),
        (with_volume(json!({"cephfs": {"monitors": [], "secretRef": reference}})), "volumes[0].cephfs"),
        (
            with_volume(json!({"rbd": {"monitors": [], "image": "i", "secretRef": reference}})),
            "volumes[0].rbd",
        ),
        (
            with_volume(
                json!({"iscsi": {"targetPortal": "p", "iqn": "q", "lun": 0, "secretRef": reference}}),
            ),
            "volumes[0].iscsi",
        ),
        (with_volume(json!({"cinder": {"volumeID": "v", "secretRef": reference}})), "volumes[0].cinder"),
        (with_volume(json!({"storageos": {"secretRef": reference}})), "volumes[0].storageos"),
        (
            with_volume(json!({"scaleIO": {"gateway": "g", "system": "s", "secretRef": reference}})),
            "volumes[0].scaleIO",
        ),
        (with_volume(json!({"azureFile": {"secretName": "db", "shareName": "s"}})), "volumes[0].azureFile"),
    ]
}

#[test]
fn c01_inline_specs_refer_to_no_secret_of_the_namespace() {
    for (spec, field) in secrets() {
        for (caller, allowed) in roles() {
            // No level of the policy is about whose a Secret is.
            let case = Case { config: open(), ..as_caller(caller) };
            let outcome = case.plan(Resolved::Inline(&spec));
            if allowed {
                assert!(outcome.is_ok(), "{field}: {outcome:?}");
                continue;
            }
            let violation = violation(outcome);
            assert!(violation.starts_with(&format!("{field}: Secret \"db\" ")), "{violation}");
            assert!(violation.contains("ALLOWED_SECRETS"), "{violation}");
        }
        let mut case = Case { config: open(), ..user() };
        case.config.allowed_claims.insert("db".into());
        assert!(case.plan(Resolved::Inline(&spec)).is_err(), "{field}");
        case.config.allowed_secrets.insert("db".into());
        assert!(case.plan(Resolved::Inline(&spec)).is_ok(), "{field}");
    }
}

#[test]
fn c01_nor_to_claims_or_volumes_made_for_the_pod() {
    let claim = with_volume(json!({"persistentVolumeClaim": {"claimName": "homes"}}));
    let csi = with_volume(json!({"csi": {"driver": "d", "nodePublishSecretRef": {"name": "db"}}}));
    let template =
        json!({"spec": {"accessModes": ["ReadWriteOnce"], "resources": {"requests": {"storage": "1Gi"}}}});
    let ephemeral = with_volume(json!({"ephemeral": {"volumeClaimTemplate": template}}));
    for (caller, allowed) in roles() {
        let case = as_caller(caller);
        for spec in [&claim, &csi, &ephemeral] {
            let outcome = case.plan(Resolved::Inline(spec));
            assert_eq!(outcome.is_ok(), allowed, "{spec} {outcome:?}");
        }
    }
    let mut case = user();
    let said = violation(case.plan(Resolved::Inline(&claim)));
    assert!(said.starts_with("volumes[0].persistentVolumeClaim: PersistentVolumeClaim \"homes\""), "{said}");
    assert!(said.contains("ALLOWED_CLAIMS"), "{said}");
    case.config.allowed_claims.insert("homes".into());
    case.config.allowed_secrets.insert("db".into());
    assert!(case.plan(Resolved::Inline(&claim)).is_ok());
    // No list makes up for what the driver does.
    assert!(violation(case.plan(Resolved::Inline(&csi))).starts_with("volumes[0].csi: only a template"));
    assert!(violation(case.plan(Resolved::Inline(&ephemeral))).starts_with("volumes[0].ephemeral: "));
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
fn c01_the_server_s_own_secrets_are_nobody_s() {
    for name in ["nogoo9-session-key", "nogoo9-refresh-x", "ws-w1-context"] {
        let spec = with_container(json!({"env": [variable(name, "k")]}));
        for (caller, _) in roles() {
            let mut case = Case { config: open(), ..as_caller(caller) };
            case.config.allowed_secrets.insert(name.into());
            assert!(matches!(case.plan(Resolved::Inline(&spec)), Err(Error::Policy { .. })), "{name}");
            assert!(matches!(case.template_plan(&[], spec.clone()), Err(Error::Policy { .. })), "{name}");
        }
    }
}

/// A label by each way that a caller has.
fn labelled(caller: &Caller, key: &str, value: &str) -> [Result<Plan, Error>; 5] {
    let case = |change: &dyn Fn(&mut SpawnRequest)| {
        let mut case = as_caller(caller.clone());
        change(&mut case.request);
        case
    };
    let pairs: Pairs = [(key.to_owned(), value.to_owned())].into();
    let direct = case(&|request| request.labels = pairs.clone());
    let top = case(&|request| {
        request.top_level_overrides = json!({"labels": pairs}).as_object().unwrap().clone();
    });
    let mut inside = spec();
    inside["labels"] = json!(pairs);
    [
        direct.template_plan(&[], spec()),
        direct.plan(Resolved::Inline(&spec())),
        top.template_plan(&[], spec()),
        top.plan(Resolved::Inline(&spec())),
        case(&|_| ()).plan(Resolved::Inline(&inside)),
    ]
}

#[test]
fn c03_labels_by_which_others_select_are_not_for_everybody() {
    for (key, for_users, for_others) in [
        ("example.com/team", true, true),
        ("app", false, true),
        ("role", false, true),
        ("kubernetes.io/x", false, true),
        ("topology.kubernetes.io/zone", false, true),
        ("x.k8s.io/y", false, true),
        ("app.kubernetes.io/name", false, false),
        (keys::WORKSPACE_ID, false, false),
    ] {
        for (caller, is_trusted) in roles() {
            let expected = if is_trusted { for_others } else { for_users };
            for outcome in labelled(&caller, key, "x") {
                assert_eq!(outcome.is_ok(), expected, "{key} {caller:?}: {outcome:?}");
            }
        }
    }
    let [outcome, ..] = labelled(&user().request.caller, "app", "x");
    let said = outcome.unwrap_err().to_string();
    assert!(said.contains("example.com/team") && said.contains("Services"), "{said}");
}

#[test]
fn c03_nobody_passes_for_the_gateway() {
    for value in ["nogoo9-mcp", "no-crd"] {
        for (caller, _) in roles() {
            for outcome in labelled(&caller, "app", value) {
                let code = outcome.unwrap_err().code();
                assert_eq!(code, nocrd_model::error::RESERVED_KEY, "{value}");
            }
        }
        // Not by way of a template either, nor by an id that one puts into a label.
        let mut inside = spec();
        inside["labels"] = json!({"app": "${{workspace_id}}"});
        let mut case = user();
        assert!(case.template_plan(&[], inside.clone()).is_ok());
        case.request.id = WorkspaceId::parse(value).unwrap();
        assert!(matches!(case.template_plan(&[], inside), Err(Error::GatewayLabel { .. })));
    }
    for outcome in labelled(&Caller::local(), "app", "mine") {
        assert!(outcome.is_ok());
    }
}
