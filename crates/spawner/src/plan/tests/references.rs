//! What of a template's own a caller may repeat, and where a template's names mean anything.

use super::{
    strangers::{open, overridden, roles, user, variable, violation},
    *,
};

fn config_variable(name: &str, key: &str) -> Value {
    json!({"name": "A", "valueFrom": {"configMapKeyRef": {"name": name, "key": key}}})
}

/// Each container has something of its own, to keep it from the others.
fn divided() -> Value {
    json!({
        "initContainers": [{
            "name": "n", "image": "i",
            "env": [variable("init", "k"), config_variable("init", "k")],
            "volumeMounts": [{"name": "homes", "mountPath": "/all"}],
        }],
        "containers": [
            {
                "name": "m", "image": "i",
                "env": [variable("main", "k")], "envFrom": [{"configMapRef": {"name": "main"}}],
                "volumeMounts": [{"name": "homes", "mountPath": "/home", "subPath": "${{user}}"}],
            },
            {
                "name": "side", "image": "i", "envFrom": [{"secretRef": {"name": "side"}}],
                "volumeMounts": [{"name": "keys", "mountPath": "/keys"}],
                "resources": {"claims": [{"name": "gpu"}]},
            },
        ],
        "resourceClaims": [{"name": "gpu", "resourceClaimName": "shared-gpu"}],
        "volumes": [
            {"name": "homes", "persistentVolumeClaim": {"claimName": "homes"}},
            {"name": "keys", "configMap": {"name": "keys"}},
        ],
    })
}

#[test]
fn a_container_gets_nothing_that_another_one_has() {
    let mount = |name: &str, path: &str| json!({"name": name, "mountPath": path});
    for (container, change, is_own) in [
        ("m", json!({"env": [variable("main", "k")]}), true),
        ("m", json!({"env": [variable("init", "k")]}), false),
        ("m", json!({"env": [variable("side", "k")]}), false),
        ("side", json!({"env": [variable("side", "any")]}), true),
        ("side", json!({"env": [variable("main", "k")]}), false),
        ("m", json!({"envFrom": [{"secretRef": {"name": "side"}}]}), false),
        ("m", json!({"envFrom": [{"configMapRef": {"name": "main"}}]}), true),
        ("m", json!({"env": [config_variable("main", "any")]}), true),
        ("side", json!({"env": [config_variable("main", "any")]}), false),
        ("m", json!({"env": [config_variable("init", "k")]}), false),
        ("m", json!({"volumeMounts": [mount("homes", "/all")]}), false),
        ("m", json!({"volumeMounts": [mount("keys", "/keys")]}), false),
        ("side", json!({"volumeMounts": [mount("keys", "/keys")]}), true),
        ("side", json!({"volumeMounts": [mount("homes", "/all")]}), false),
        ("side", json!({"resources": {"claims": [{"name": "gpu"}]}}), true),
        ("m", json!({"resources": {"claims": [{"name": "gpu"}]}}), false),
    ] {
        let mut change = change;
        change["name"] = json!(container);
        for (caller, is_trusted) in roles() {
            let case = overridden(as_caller(caller), json!([change]), json!({}));
            let outcome = case.template_plan(&[], divided());
            assert_eq!(outcome.is_ok(), is_own || is_trusted, "{change} {outcome:?}");
        }
    }
}

#[test]
fn a_pod_keeps_its_devices() {
    let gpu = json!([{"name": "gpu", "resourceClaimName": "shared-gpu"}]);
    let mut inline = spec();
    inline["resourceClaims"] = gpu.clone();
    let other = json!([{"name": "gpu", "resourceClaimTemplateName": "shared-gpu"}]);
    for (caller, is_trusted) in roles() {
        let case = as_caller(caller.clone());
        assert_eq!(case.plan(Resolved::Inline(&inline)).is_ok(), is_trusted, "{caller:?}");
        for (claims, is_own) in [(&gpu, true), (&other, false)] {
            let case = overridden(as_caller(caller.clone()), json!([]), json!({"resourceClaims": claims}));
            let outcome = case.template_plan(&[], divided());
            assert_eq!(outcome.is_ok(), is_own || is_trusted, "{claims} {outcome:?}");
        }
    }
    let said = violation(user().plan(Resolved::Inline(&inline)));
    assert!(
        said.starts_with("resourceClaims[0]: ResourceClaim \"shared-gpu\" ") && !said.contains("ALLOWED")
    );
}

#[test]
fn a_template_s_names_mean_objects_of_its_own_namespace() {
    let with = |member: &str, value: Value| {
        let mut spec = spec();
        spec[member] = value;
        spec
    };
    let in_container =
        |member: &str, value: Value| with("containers", json!([{"name": "m", "image": "i", member: value}]));
    let volume = |source: Value| {
        let mut volume = json!({"name": "v"});
        volume.as_object_mut().unwrap().extend(source.as_object().unwrap().clone());
        with("volumes", json!([volume]))
    };
    for (spec, said) in [
        (spec(), None),
        (with("serviceAccountName", json!("default")), None),
        (volume(json!({"emptyDir": {}})), None),
        (with("serviceAccountName", json!("builder")), Some("ServiceAccount \"builder\"")),
        (with("serviceAccount", json!("builder")), Some("ServiceAccount \"builder\"")),
        (in_container("envFrom", json!([{"secretRef": {"name": "db"}}])), Some("Secret \"db\"")),
        (in_container("env", json!([config_variable("c", "k")])), Some("ConfigMap \"c\"")),
        (
            volume(json!({"persistentVolumeClaim": {"claimName": "homes"}})),
            Some("PersistentVolumeClaim \"homes\""),
        ),
        (with("imagePullSecrets", json!([{"name": "registry"}])), Some("Secret \"registry\"")),
    ] {
        let team = Origin::ConfigMap { namespace: namespace("team-a") };
        for (origin, home) in [(team, "team-a"), (Origin::BuiltIn, "nogoo9"), (Origin::Directory, "nogoo9")] {
            let template = Template { origin, ..template(&[], spec.clone()) };
            for (caller, is_trusted) in roles() {
                for place in ["team-a", "team-b", "nogoo9"] {
                    let mut case = Case { namespace: namespace(place), ..as_caller(caller.clone()) };
                    case.config.allowed_service_accounts.insert("builder".into());
                    let outcome = case.plan(Resolved::Template(&template, "t".into()));
                    let expected = is_trusted || said.is_none() || place == home;
                    assert_eq!(outcome.is_ok(), expected, "{spec} in {place}: {outcome:?}");
                    if let (Err(_), Some(said)) = (&outcome, said) {
                        let violation = violation(outcome);
                        assert!(violation.contains(said) && violation.contains(home), "{violation}");
                    }
                }
            }
        }
    }
}

#[test]
fn nobody_runs_under_an_account_of_their_choice() {
    for field in ["serviceAccountName", "serviceAccount"] {
        let mut inline = spec();
        for (name, for_users) in [("builder", false), ("default", true), ("", true)] {
            inline[field] = json!(name);
            for (caller, is_trusted) in roles() {
                let mut case = Case { config: open(), ..as_caller(caller) };
                case.config.allowed_service_accounts.insert("builder".into());
                let outcome = case.plan(Resolved::Inline(&inline));
                assert_eq!(outcome.is_ok(), for_users || is_trusted, "{field}={name}: {outcome:?}");
                // Beside a template it is the template's, whichever that is.
                let mut token = spec();
                token["automountServiceAccountToken"] = json!(true);
                let case = overridden(case, json!([]), json!({field: name}));
                let outcome = case.template_plan(&[], token);
                assert_eq!(outcome.is_ok(), is_trusted, "{field}={name}: {outcome:?}");
            }
        }
    }
    let mut own = spec();
    own["serviceAccountName"] = json!("builder");
    let mut case = user();
    assert!(matches!(case.template_plan(&[], own.clone()), Err(Error::ServiceAccount { .. })));
    case.config.allowed_service_accounts.insert("builder".into());
    assert!(case.template_plan(&[], own).is_ok());
}

#[test]
fn nobody_gets_where_or_before_others_do_not() {
    let term = json!([{"topologyKey": "kubernetes.io/hostname", "labelSelector": {}}]);
    let required = json!({"requiredDuringSchedulingIgnoredDuringExecution": term});
    for (field, value) in [
        ("hostUsers", json!(false)),
        ("nodeName", json!("n1")),
        ("overhead", json!({"cpu": "1"})),
        ("preemptionPolicy", json!("Never")),
        ("priority", json!(1)),
        ("priorityClassName", json!("high")),
        ("runtimeClassName", json!("kata")),
        ("schedulerName", json!("s")),
        ("tolerations", json!([{"operator": "Exists"}])),
        (
            "topologySpreadConstraints",
            json!([{"maxSkew": 1, "topologyKey": "k", "whenUnsatisfiable": "DoNotSchedule"}]),
        ),
        ("affinity", json!({"podAffinity": required})),
        ("affinity", json!({"podAntiAffinity": required})),
    ] {
        let mut inline = spec();
        inline[field] = value.clone();
        for (caller, is_trusted) in roles() {
            let case = Case { config: open(), ..as_caller(caller) };
            let outcome = case.plan(Resolved::Inline(&inline));
            if !is_trusted {
                assert!(violation(outcome).starts_with(field), "{field}");
            } else {
                assert!(outcome.is_ok(), "{field}: {outcome:?}");
            }
            let case = overridden(case, json!([]), json!({field: value}));
            let outcome = case.template_plan(&[], spec());
            if !is_trusted {
                assert!(violation(outcome).starts_with(&format!("topLevelOverrides.{field}")), "{field}");
            } else {
                assert!(outcome.is_ok(), "{field}: {outcome:?}");
            }
        }
    }
}

#[test]
fn among_the_nodes_open_to_all_everybody_chooses_within_the_template_s() {
    let arch = json!({"nodeSelectorTerms": [{"matchExpressions": [{"key": "arch", "operator": "Exists"}]}]});
    let node = json!({"nodeAffinity": {"requiredDuringSchedulingIgnoredDuringExecution": arch}});
    let mut inline = spec();
    inline["nodeSelector"] = json!({"arch": "arm64"});
    inline["affinity"] = node.clone();
    assert!(user().plan(Resolved::Inline(&inline)).is_ok());

    let mut pinned = spec();
    pinned["nodeSelector"] = json!({"pool": "sandbox"});
    pinned["affinity"] = node.clone();
    for (template, top, expected) in [
        (spec(), json!({"nodeSelector": {"arch": "arm64"}, "affinity": node}), true),
        (pinned.clone(), json!({"nodeSelector": {"pool": "sandbox", "arch": "arm64"}}), true),
        (pinned.clone(), json!({"nodeSelector": {"arch": "arm64"}}), false),
        (pinned.clone(), json!({"nodeSelector": {"pool": "other"}}), false),
        (pinned.clone(), json!({"nodeSelector": null}), false),
        (pinned.clone(), json!({"affinity": {}}), false),
        (pinned, json!({"affinity": null}), false),
    ] {
        for (caller, is_trusted) in roles() {
            let outcome =
                overridden(as_caller(caller), json!([]), top.clone()).template_plan(&[], template.clone());
            assert_eq!(outcome.is_ok(), expected || is_trusted, "{top}: {outcome:?}");
        }
    }
}
