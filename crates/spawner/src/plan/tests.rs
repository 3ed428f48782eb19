use nocrd_model::{Caller, Grants, Role, WorkspaceId};
use nocrd_templates::Origin;

mod metadata;
mod references;
mod strangers;
mod variables;

use super::*;
use crate::{Context, Source};

fn template(annotations: &[(&str, &str)], spec: Value) -> Template {
    Template {
        name: "t".into(),
        origin: Origin::BuiltIn,
        labels: [("team", "${{user}}"), ("nogoo9/pod-template", "true"), ("app.kubernetes.io/name", "x")]
            .map(|(k, v)| (k.to_owned(), v.to_owned()))
            .into(),
        annotations: annotations.iter().map(|(k, v)| ((*k).to_owned(), (*v).to_owned())).collect(),
        spec,
        ignored: Vec::new(),
    }
}

fn spec() -> Value {
    json!({"containers": [{"name": "m", "image": "i", "env": [{"name": "WHO", "value": "${{user}}"}]}]})
}

fn request() -> SpawnRequest {
    SpawnRequest::builder()
        .id(WorkspaceId::parse("w1").unwrap())
        .source(Source::Inline(Value::Null))
        .owner(Subject::new("a@b"))
        .build()
}

fn as_caller(caller: Caller) -> Case {
    Case { request: SpawnRequest { owner: caller.subject.clone(), caller, ..request() }, ..Case::default() }
}

fn namespace(name: &str) -> Namespace {
    Namespace::parse(name).unwrap()
}

struct Case {
    request: SpawnRequest,
    config: Config,
    secrets: bool,
    namespace: Namespace,
    catalogue: Catalogue,
}

impl Default for Case {
    fn default() -> Self {
        Self {
            request: request(),
            config: Config::default(),
            secrets: true,
            namespace: namespace("nogoo9"),
            catalogue: Catalogue::default(),
        }
    }
}

impl Case {
    fn plan(&self, source: Resolved<'_>) -> Result<Plan, Error> {
        plan(&Inputs {
            request: &self.request.clone().erased(),
            source,
            namespace: &self.namespace,
            home: &namespace("nogoo9"),
            catalogue: &self.catalogue,
            config: &self.config,
            secrets: self.secrets,
        })
    }

    fn template_plan(&self, annotations: &[(&str, &str)], spec: Value) -> Result<Plan, Error> {
        self.plan(Resolved::Template(&template(annotations, spec), "ns/t".into()))
    }
}

#[test]
fn k15_a_restricted_template_is_for_those_it_names() {
    let bob = |roles: &[&str], scopes: Option<&[&str]>| {
        let set = |names: &[&str]| names.iter().map(|name| (*name).to_owned()).collect();
        let grants = Grants { roles: set(roles), scopes: scopes.map(set), ..Grants::default() };
        as_caller(Caller::verified("bob".into(), Role::User).with_grants(grants))
    };
    let admin = as_caller(Caller::verified("root".into(), Role::Admin));
    for (annotations, ops, others, admins) in [
        (&[("nogoo9/allowed-roles", "ops")][..], true, false, true),
        (&[("nogoo9/allowed-roles", ",")], false, false, true),
        (&[("nogoo9/allowed-roles", "${{user}}")], false, false, true),
        (&[("nogoo9/allowed-scopes", "build")], true, false, true),
        (&[("nogoo9/allowed-roles", "ops"), ("nogoo9/allowed-scopes", "other")], false, false, true),
        (&[("nogoo9/allowed-roles", " ")], true, true, true),
    ] {
        let may = |case: &Case| match case.template_plan(annotations, spec()) {
            Ok(_) => true,
            // As if it were not there.
            Err(Error::Template(TemplateError::NotFound { reference })) if reference == "ns/t" => false,
            Err(error) => panic!("{error}"),
        };
        assert_eq!(may(&bob(&["ops"], Some(&["build"]))), ops, "{annotations:?}");
        for other in [bob(&["dev"], Some(&["x"])), bob(&[], None), bob(&["bob"], Some(&[]))] {
            assert_eq!(may(&other), others, "{annotations:?}");
        }
        assert_eq!(may(&admin), admins, "{annotations:?}");
        assert!(may(&Case::default()), "{annotations:?}");
    }
}

#[test]
fn only_administrators_make_workspaces_for_others() {
    for (role, allowed) in
        [(Role::None, false), (Role::Viewer, false), (Role::User, false), (Role::Admin, true)]
    {
        let mut case = as_caller(Caller::verified("bob".into(), role));
        case.request.owner = "alice".into();
        let outcome = case.template_plan(&[], spec());
        assert_eq!(outcome.is_ok(), allowed, "{role:?}");
        assert!(allowed || matches!(outcome, Err(Error::ForSomebodyElse)));
    }
}

#[test]
fn k21_stamps_what_identifies_the_workspace() {
    let case = Case { request: SpawnRequest { name: Some("Mine".into()), ..request() }, ..Case::default() };
    let annotations = [
        (keys::DESCRIPTION, "for ${{workspace}}"),
        (keys::TEMPLATE_VERSION, "2.1"),
        (keys::USER_SUB, "creator"),
        (keys::ALLOWED_ROLES, "gpu"),
        ("kubectl.kubernetes.io/last-applied-configuration", "{}"),
    ];
    let plan = case.template_plan(&annotations, spec()).unwrap();
    assert_eq!(
        plan.pod["metadata"],
        json!({
            "name": "ws-w1", "namespace": "nogoo9",
            "labels": {
                "nogoo9/managed-by": "nogoo9-spawner", "nogoo9/type": "workspace",
                "nogoo9/user-sub": Subject::new("a@b").label_value(), "nogoo9/workspace-id": "w1", "team": "a@b",
            },
            "annotations": {
                "nogoo9/description": "for w1", "nogoo9/template-ref": "ns/t", "nogoo9/template-version": "2.1",
                "nogoo9/user-sub": "a@b", "nogoo9/workspace-name": "Mine", "nogoo9/template-origin": "BuiltIn",
                "nogoo9/spawn-inputs":
                    r#"{"name":"Mine","ordinary":false,"mayWrite":true,"restriction":{"nogoo9/allowed-roles":"gpu"}}"#,
            },
        })
    );
    assert_eq!(plan.pod["spec"]["containers"][0]["env"][0]["value"], "a@b");
    assert_eq!(plan.pod["spec"]["automountServiceAccountToken"], false);
    assert_eq!((plan.service_account, plan.context_secret), (None, None));
}

#[test]
fn t54_what_is_kept_for_upgrades_has_no_value_of_the_context_and_is_not_too_long() {
    let mut case = Case::default();
    case.request.context = [("TOKEN", "s3cret")].into_iter().collect();
    let kept = |plan: &Plan| plan.pod["metadata"]["annotations"].get(keys::SPAWN_INPUTS).cloned();
    let plan = case.template_plan(&[], spec()).unwrap();
    let text = kept(&plan).unwrap().to_string();
    assert!(text.contains("TOKEN") && !text.contains("s3cret"), "{text}");
    assert!(plan.warnings.is_empty());
    case.request.annotations = [("example.com/long".to_owned(), "x".repeat(65_536))].into();
    let plan = case.template_plan(&[], spec()).unwrap();
    assert_eq!(kept(&plan), None);
    assert!(plan.warnings[0].contains("can't be upgraded"), "{:?}", plan.warnings);
    // What has no template has nothing to be upgraded to.
    let plan = Case::default().plan(Resolved::Inline(&spec())).unwrap();
    assert_eq!(kept(&plan), None);
}

#[test]
fn t54_k19_context_goes_into_a_secret_that_the_pod_refers_to() {
    let mut case = Case::default();
    case.request.context = [("TOKEN", "s3cret")].into_iter().collect();
    let annotations = [(keys::INIT_IMAGE, "g"), (keys::INIT_COMMAND, "c"), (keys::REQUIRED_CONTEXT, "TOKEN")];
    let plan = case.template_plan(&annotations, spec()).unwrap();
    assert!(!plan.pod.to_string().contains("s3cret"));
    let reference =
        json!({"name": "TOKEN", "valueFrom": {"secretKeyRef": {"name": "ws-w1-context", "key": "TOKEN"}}});
    assert_eq!(plan.pod["spec"]["containers"][0]["env"][1], reference);
    assert_eq!(plan.pod["spec"]["initContainers"][0]["env"], json!([reference]));
    assert_eq!(plan.pod["metadata"]["annotations"]["nogoo9/context-secret"], "ws-w1-context");

    case.secrets = false;
    let plan = case.template_plan(&annotations, spec()).unwrap();
    assert_eq!(plan.pod["spec"]["containers"][0]["env"][1], json!({"name": "TOKEN", "value": "s3cret"}));
    assert_eq!((plan.context_secret, plan.warnings.len()), (None, 1));
}

#[test]
fn literal_context_is_not_expanded() {
    let mut case = Case { secrets: false, ..Case::default() };
    case.request.context = [("A", "$(B) $C $$(D)")].into_iter().collect();
    let plan = case.template_plan(&[], spec()).unwrap();
    assert_eq!(plan.pod["spec"]["containers"][0]["env"][1]["value"], "$$(B) $$C $$$$(D)");
}

#[test]
fn missing_context_is_named_and_plans_nothing() {
    let error = Case::default().template_plan(&[(keys::REQUIRED_CONTEXT, "A,B")], spec()).unwrap_err();
    assert!(matches!(&error, Error::MissingContext { names, .. } if names == &["A", "B"]), "{error}");
}

#[test]
fn k07_iam_role_makes_a_service_account_with_role_and_owner() {
    let arn = "arn:aws:iam::123456789012:role/r";
    let plan = Case::default().template_plan(&[(keys::IAM_ROLE_ARN, arn)], spec()).unwrap();
    let account = plan.service_account.unwrap();
    assert_eq!(
        account["metadata"]["annotations"],
        json!({"eks.amazonaws.com/role-arn": arn, "nogoo9/user-sub": "a@b"})
    );
    assert_eq!(account["metadata"]["generateName"], "ws-sa-w1-");
    assert_eq!(account["metadata"]["labels"]["nogoo9/workspace-id"], "w1");
}

#[test]
fn service_accounts_need_to_be_allowed() {
    let named = |name: &str, config: &Config| {
        let mut spec = spec();
        spec["serviceAccountName"] = name.into();
        Case { config: config.clone(), ..Case::default() }.plan(Resolved::Inline(&spec)).map(|_| ())
    };
    let mut config = Config::default();
    assert!(matches!(named("admin", &config), Err(Error::ServiceAccount { name }) if name == "admin"));
    assert!(named("default", &config).is_ok());
    config.allowed_service_accounts.insert("admin".into());
    assert!(named("admin", &config).is_ok());
}

#[test]
fn t49_k02_callers_cannot_set_reserved_keys_by_any_way() {
    for key in [keys::TYPE, keys::WORKSPACE_ID, keys::MANAGED_BY, keys::USER_SUB, keys::TEMPLATE_REF] {
        let pair = || [(key.to_owned(), "x".to_owned())].into();
        let labelled = Case { request: SpawnRequest { labels: pair(), ..request() }, ..Case::default() };
        let annotated =
            Case { request: SpawnRequest { annotations: pair(), ..request() }, ..Case::default() };
        let plain = Case::default();
        let mut inside = spec();
        for (member, case, spec) in [
            ("", &labelled, spec()),
            ("", &annotated, spec()),
            ("labels", &plain, spec()),
            ("annotations", &plain, spec()),
        ] {
            let mut spec = spec;
            if !member.is_empty() {
                spec[member] = json!({key: "x"});
            }
            let error = case.plan(Resolved::Inline(&spec)).unwrap_err();
            assert!(matches!(error, Error::ReservedKey { .. }), "{key} {member}: {error}");
        }
        inside["labels"] = json!({key: "x", "own": "y"});
        let plan = plain.template_plan(&[], inside).unwrap();
        assert_ne!(plan.pod["metadata"]["labels"][key], "x", "{key}");
        assert_eq!(plan.pod["metadata"]["labels"]["own"], "y");
    }
}

#[test]
fn k22_nobody_rewires_a_curated_template() {
    for key in [keys::INIT_COMMAND, keys::WORKSPACE_AUTH_MODE, keys::WORKSPACE_PORT, "nogoo9/whatever"] {
        let mut case = Case::default();
        case.request.annotations = [(key.to_owned(), "1".to_owned())].into();
        let error = case.template_plan(&[], spec()).unwrap_err();
        assert!(matches!(error, Error::Annotation { .. }), "{key}: {error}");
    }
    let mut case = Case::default();
    case.request.annotations = [("prometheus.io/scrape".to_owned(), "true".to_owned())].into();
    let plan = case.template_plan(&[], spec()).unwrap();
    assert_eq!(plan.pod["metadata"]["annotations"]["prometheus.io/scrape"], "true");
}

#[test]
fn inline_specs_may_carry_directives_but_no_misspelt_ones() {
    let mut case = Case::default();
    case.request.annotations =
        [(keys::PRE_STOP_COMMAND.to_owned(), "save ${{workspace_id}}".to_owned())].into();
    let plan = case.plan(Resolved::Inline(&spec())).unwrap();
    assert_eq!(plan.pod["spec"]["containers"][0]["lifecycle"]["preStop"]["exec"]["command"][2], "save w1");
    assert!(plan.pod["metadata"]["annotations"].get(keys::PRE_STOP_COMMAND).is_none());
    case.request.annotations = [("nogoo9/pre-stop-comand".to_owned(), "x".to_owned())].into();
    assert!(matches!(case.plan(Resolved::Inline(&spec())), Err(Error::Annotation { .. })));
}

#[test]
fn unusable_ports_are_refused() {
    for (key, value) in
        [(keys::WORKSPACE_PORT, "80@evil"), (keys::WORKSPACE_PORT, "0"), ("nogoo9/api.x.port", "high")]
    {
        let error = Case::default().template_plan(&[(key, value)], spec()).unwrap_err();
        assert!(matches!(&error, Error::Annotation { key: named, .. } if named == key), "{error}");
    }
}

#[test]
fn t53_policy_names_every_violation() {
    let bad = json!({"hostNetwork": true, "containers": [{"name": "m", "image": "i", "securityContext": {"privileged": true}}]});
    let error = Case::default().template_plan(&[], bad.clone()).unwrap_err();
    assert!(matches!(&error, Error::Policy { violations, .. } if violations.len() == 2), "{error}");
    let config = Config { pod_security: PodSecurity::Privileged, ..Config::default() };
    assert!(Case { config, ..Case::default() }.template_plan(&[], bad).is_ok());
}

#[test]
fn t53_overrides_do_not_slip_past_the_policy() {
    let mut case = Case::default();
    case.request.top_level_overrides = json!({"hostPID": true}).as_object().unwrap().clone();
    assert!(matches!(case.template_plan(&[], spec()), Err(Error::Policy { .. })));
    case.request.top_level_overrides = json!({"serviceAccountName": "admin"}).as_object().unwrap().clone();
    assert!(matches!(case.template_plan(&[], spec()), Err(Error::ServiceAccount { .. })));
    // Where no policy holds, the list of accounts still does.
    case.config.pod_security = PodSecurity::Privileged;
    assert!(matches!(case.template_plan(&[], spec()), Err(Error::ServiceAccount { .. })));
}

#[test]
fn restricted_holds_for_added_containers_too() {
    let mut hardened = spec();
    hardened["containers"][0]["securityContext"] = json!({
        "allowPrivilegeEscalation": false, "runAsNonRoot": true, "capabilities": {"drop": ["ALL"]},
        "seccompProfile": {"type": "RuntimeDefault"},
    });
    let config = Config { pod_security: PodSecurity::Restricted, ..Config::default() };
    let annotations = [
        (keys::INIT_IMAGE, "g"),
        (keys::INIT_COMMAND, "c"),
        (keys::PRE_STOP_COMMAND, "p"),
        (keys::PRE_STOP_SIDECAR_IMAGE, "s"),
    ];
    let plan = Case { config, ..Case::default() }.template_plan(&annotations, hardened).unwrap();
    let spec: PodSpec = serde_json::from_value(plan.pod["spec"].clone()).unwrap();
    assert_eq!(policy::violations(&spec, &Pairs::new(), PodSecurity::Restricted), Vec::<String>::new());
}

#[test]
fn oversized_specs_are_refused() {
    let big = json!({"containers": [{"name": "m", "image": "i", "args": ["x".repeat(300_000)]}]});
    assert!(matches!(Case::default().plan(Resolved::Inline(&big)), Err(Error::SpecTooLarge { .. })));
}

#[test]
fn t49_k52_placeholders_cannot_change_the_shape() {
    let mut case = Case::default();
    case.request.owner = Subject::new("\", \"hostNetwork\": true, \"x\": \"");
    let plan = case.template_plan(&[], spec()).unwrap();
    assert_eq!(plan.pod["spec"]["containers"][0]["env"][0]["value"], case.request.owner.as_str());
    assert!(plan.pod["spec"].get("hostNetwork").is_none());
}

#[test]
fn context_secret_belongs_to_the_pod() {
    let id = Product::Workspace(WorkspaceId::parse("w1").unwrap());
    let namespace = Namespace::parse("n").unwrap();
    let context: Context = [("A", "1")].into_iter().collect();
    let secret =
        context_secret("s", &namespace, &id, &Subject::new("a@b"), context.expose(), ("ws-w1", "u1"));
    assert_eq!(secret["metadata"]["ownerReferences"][0]["uid"], "u1");
    assert_eq!(secret["stringData"], json!({"A": "1"}));
}

#[test]
fn only_a_template_gives_a_role() {
    let mut case = Case::default();
    case.request.annotations =
        [(keys::IAM_ROLE_ARN.to_owned(), "arn:aws:iam::123456789012:role/Admin".to_owned())].into();
    let error = case.plan(Resolved::Inline(&spec())).unwrap_err();
    assert!(matches!(&error, Error::Annotation { key, .. } if key == keys::IAM_ROLE_ARN), "{error}");
}

#[test]
fn what_is_for_show_may_be_said_beside_a_template() {
    let mut case = Case::default();
    for key in [keys::WORKSPACE_NAME, keys::DESCRIPTION] {
        case.request.annotations.insert(key.into(), "Mine".into());
    }
    let plan = case.template_plan(&[(keys::DESCRIPTION, "The template's")], spec()).unwrap();
    let annotations = &plan.pod["metadata"]["annotations"];
    assert_eq!(
        (&annotations[keys::WORKSPACE_NAME], &annotations[keys::DESCRIPTION]),
        (&json!("Mine"), &json!("Mine"))
    );
    case.request.name = Some("Other".into());
    let plan = case.template_plan(&[], spec()).unwrap();
    assert_eq!(plan.pod["metadata"]["annotations"][keys::WORKSPACE_NAME], "Other");
}

#[test]
fn overrides_carry_no_metadata_past_the_checks() {
    for (member, key) in [
        ("annotations", keys::WORKSPACE_AUTH_MODE),
        ("annotations", keys::INIT_COMMAND),
        ("annotations", "nogoo9/bogus"),
        ("annotations", keys::USER_SUB),
        ("annotations", "iam.amazonaws.com/role"),
        ("labels", keys::WORKSPACE_ID),
        ("labels", "nogoo9/bogus"),
        ("labels", "app.kubernetes.io/name"),
        ("labels", "azure.workload.identity/use"),
    ] {
        let mut case = Case::default();
        case.request.top_level_overrides = json!({member: {key: "x"}}).as_object().unwrap().clone();
        let error = case.template_plan(&[], spec()).unwrap_err();
        assert!(
            matches!(error, Error::ReservedKey { .. } | Error::Annotation { .. }),
            "{member} {key}: {error}"
        );
    }
    let mut case = Case::default();
    case.request.top_level_overrides =
        json!({"labels": {"team": "b"}, "annotations": {"a": "b"}}).as_object().unwrap().clone();
    let plan = case.template_plan(&[], spec()).unwrap();
    assert_eq!(
        (&plan.pod["metadata"]["labels"]["team"], &plan.pod["metadata"]["annotations"]["a"]),
        (&json!("b"), &json!("b"))
    );
}

#[test]
fn overrides_leave_a_templates_isolation_alone() {
    for field in [
        "runtimeClassName",
        "priorityClassName",
        "nodeName",
        "securityContext",
        "schedulerName",
        "serviceAccountName",
        "serviceAccount",
        "shareProcessNamespace",
    ] {
        for level in [PodSecurity::Baseline, PodSecurity::Privileged] {
            let outcome = |caller: Caller| {
                let mut case = as_caller(caller);
                case.config.pod_security = level;
                case.request.top_level_overrides = json!({field: null}).as_object().unwrap().clone();
                case.template_plan(&[], spec())
            };
            let by_user = outcome(Caller::verified("ada".into(), Role::User));
            assert!(matches!(by_user, Err(Error::Policy { .. })), "{field}: {by_user:?}");
            // Who may bring a spec without it may leave it out.
            for caller in [Caller::verified("root".into(), Role::Admin), Caller::local()] {
                assert!(outcome(caller).is_ok(), "{field}");
            }
        }
    }
}

#[test]
fn tokens_are_mounted_only_where_a_template_says_so() {
    let token = json!([{"name": "t", "projected": {"sources": [{"serviceAccountToken": {"path": "t", "audience": "x"}}]}}]);
    let with = |automount: Value, volumes: &Value| {
        let mut spec = spec();
        spec["automountServiceAccountToken"] = automount;
        spec["volumes"] = volumes.clone();
        spec
    };
    let none = json!([]);
    let automount = |plan: Plan| plan.pod["spec"]["automountServiceAccountToken"].clone();
    let case = Case::default();
    assert_eq!(automount(case.plan(Resolved::Inline(&with(Value::Null, &none))).unwrap()), false);
    assert!(matches!(case.plan(Resolved::Inline(&with(true.into(), &none))), Err(Error::Policy { .. })));
    assert!(matches!(case.plan(Resolved::Inline(&with(Value::Null, &token))), Err(Error::Policy { .. })));
    assert_eq!(automount(case.template_plan(&[], with(true.into(), &token)).unwrap()), true);
    // The template has said so of its own account.
    let mut other = Case::default();
    other.config.allowed_service_accounts.insert("deployer".into());
    other.request.top_level_overrides =
        json!({"serviceAccountName": "deployer"}).as_object().unwrap().clone();
    assert!(other.template_plan(&[], spec()).is_ok());
    for (mounts, volumes) in [(true, &none), (false, &token)] {
        let outcome = other.template_plan(&[], with(mounts.into(), volumes));
        assert!(matches!(outcome, Err(Error::Policy { .. })), "{outcome:?}");
    }
    other.request.top_level_overrides = json!({"serviceAccountName": "default"}).as_object().unwrap().clone();
    assert!(other.template_plan(&[], with(true.into(), &token)).is_ok());
    let mut overriding = Case::default();
    overriding.request.top_level_overrides =
        json!({"automountServiceAccountToken": true}).as_object().unwrap().clone();
    assert!(matches!(overriding.template_plan(&[], spec()), Err(Error::Policy { .. })));
}

#[test]
fn k22_placeholders_in_inline_annotations_reach_the_pod_replaced() {
    let mut case = Case::default();
    case.request.annotations = [(keys::DESCRIPTION.to_owned(), "for ${{user}}".to_owned())].into();
    let plan = case.plan(Resolved::Inline(&spec())).unwrap();
    assert_eq!(plan.pod["metadata"]["annotations"][keys::DESCRIPTION], "for a@b");
}
