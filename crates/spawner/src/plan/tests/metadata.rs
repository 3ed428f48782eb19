//! Labels and annotations that signed-in users may set, who are no administrators.

use super::{
    strangers::{roles, user},
    *,
};

/// Where the operator lists a prefix.
fn listing(caller: Caller) -> Case {
    let mut case = as_caller(caller);
    case.config.allowed_metadata_prefixes.insert("example.com".into());
    case
}

/// A label or an annotation (`what` is the member that holds them) by each way that a caller has.
fn given(caller: &Caller, what: &str, key: &str, value: &str) -> [Result<Plan, Error>; 5] {
    let case = |change: &dyn Fn(&mut SpawnRequest)| {
        let mut case = listing(caller.clone());
        change(&mut case.request);
        case
    };
    let pairs: Pairs = [(key.to_owned(), value.to_owned())].into();
    let direct = case(&|request| match what {
        "labels" => request.labels = pairs.clone(),
        _ => request.annotations = pairs.clone(),
    });
    let top = case(&|request| {
        request.top_level_overrides = json!({ what: pairs }).as_object().unwrap().clone();
    });
    let mut inside = spec();
    inside[what] = json!(pairs);
    [
        direct.template_plan(&[], spec()),
        direct.plan(Resolved::Inline(&spec())),
        top.template_plan(&[], spec()),
        top.plan(Resolved::Inline(&spec())),
        case(&|_| ()).plan(Resolved::Inline(&inside)),
    ]
}

/// Whether ordinary users may set each key, and whether others may.
fn check(what: &str, keys: &[(&str, bool, bool)]) {
    for (key, for_users, for_others) in keys {
        for (caller, is_trusted) in roles() {
            let expected = if is_trusted { for_others } else { for_users };
            for outcome in given(&caller, what, key, "x") {
                assert_eq!(outcome.is_ok(), *expected, "{key} {caller:?}: {outcome:?}");
            }
        }
    }
}

#[test]
fn c03_labels_by_which_others_select_are_not_for_everybody() {
    let keys = [
        ("example.com/team", true, true),
        ("other.example.com/team", false, true),
        ("app", false, true),
        ("role", false, true),
        ("kubernetes.io/x", false, true),
        ("topology.kubernetes.io/zone", false, true),
        ("x.k8s.io/y", false, true),
        ("app.kubernetes.io/name", false, false),
        (keys::WORKSPACE_ID, false, false),
    ];
    check("labels", &keys);
    for (key, what) in [("app", "no prefix"), ("x.k8s.io/y", "its prefix \"x.k8s.io\"")] {
        let [outcome, ..] = given(&user().request.caller, "labels", key, "x");
        let said = outcome.unwrap_err().to_string();
        assert!(said.contains(what) && said.contains("ALLOWED_METADATA_PREFIXES"), "{said}");
    }
}

#[test]
fn d03_c03_nobody_passes_for_the_gateway() {
    for value in ["nogoo9-mcp", "no-crd"] {
        for (caller, _) in roles() {
            for outcome in given(&caller, "labels", "app", value) {
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
    for outcome in given(&Caller::local(), "labels", "app", "mine") {
        assert!(outcome.is_ok());
    }
}

#[test]
fn annotations_that_controllers_may_read_are_not_for_everybody() {
    let keys = [
        ("example.com/note", true, true),
        ("note", false, true),
        ("v1.multus-cni.io/default-network", false, true),
        ("vault.security.banzaicloud.io/vault-role", false, true),
        ("cni.projectcalico.org/ipAddrs", false, true),
        ("sidecar.istio.io/inject", false, true),
        ("k8s.v1.cni.cncf.io/networks", false, false),
    ];
    check("annotations", &keys);
    let [outcome, ..] = given(&user().request.caller, "annotations", "sidecar.istio.io/inject", "x");
    let said = outcome.unwrap_err().to_string();
    assert!(said.contains("\"sidecar.istio.io\"") && said.contains("ALLOWED_METADATA_PREFIXES"), "{said}");
}

#[test]
fn nothing_is_listed_unless_the_operator_does() {
    let mut case = user();
    case.request.labels = [("example.com/team".to_owned(), "x".to_owned())].into();
    assert!(matches!(case.template_plan(&[], spec()), Err(Error::UnlistedKey { what: "label", .. })));
    // The product's own that mean something in an inline spec need no list.
    let mut case = user();
    case.request.annotations = [(keys::WORKSPACE_PORT.to_owned(), "80".to_owned())].into();
    assert!(case.plan(Resolved::Inline(&spec())).is_ok());
    // Nor does what a template's author wrote.
    let mut inside = spec();
    inside["annotations"] = json!({"sidecar.istio.io/inject": "true"});
    inside["labels"] = json!({"app": "x"});
    assert!(user().template_plan(&[], inside).is_ok());
}
