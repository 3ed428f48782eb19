//! Variables that callers without the right to pods of their own making may set.

use super::{strangers::user, *};

/// A template that gives values to some variables and hides another.
fn declaring() -> Value {
    let secret = json!({"secretKeyRef": {"name": "db", "key": "password"}});
    json!({
        "containers": [
            {"name": "m", "image": "i", "env": [
                {"name": "GREETING", "value": "hello"},
                {"name": "WHO", "value": "${{user}}"},
                {"name": "PASSWORD", "valueFrom": secret},
                {"name": "PATH", "value": "/bin"},
            ]},
            {"name": "side", "image": "i", "env": [{"name": "LEVEL", "value": ""}]},
        ],
        "initContainers": [{"name": "n", "image": "i", "env": [{"name": "FIRST", "value": "1"}]}],
    })
}

const REQUIRED: [(&str, &str); 1] = [(keys::REQUIRED_CONTEXT, "TASK, PYTHONSTARTUP")];

fn viewer() -> Case {
    let mut case = as_caller(Caller::verified("bob".into(), Role::Viewer));
    case.request.may_write = false;
    case
}

fn with_context(mut case: Case, name: &str) -> Case {
    case.request.context = [(name, "x"), ("TASK", "t"), ("PYTHONSTARTUP", "p")].into_iter().collect();
    case
}

fn with_env(case: Case, container: &str, variable: Value) -> Case {
    let mut case = with_context(case, "TASK");
    let overrides = json!([{"name": container, "env": [variable]}]);
    case.request.container_overrides = serde_json::from_value(overrides).unwrap();
    case
}

fn refused(outcome: Result<Plan, Error>) -> Option<String> {
    match outcome {
        Ok(_) => None,
        Err(Error::Variable { name, reason }) => {
            assert!(reason.contains("AUTH_REQUIRED_WRITE_ROLE"), "{reason}");
            Some(name)
        }
        Err(error) => panic!("{error}"),
    }
}

#[test]
fn a_template_declares_what_may_be_set() {
    for (name, expected) in [
        ("TASK", true),
        // Named, so the author knows.
        ("PYTHONSTARTUP", true),
        ("GREETING", true),
        // Of another container.
        ("LEVEL", false),
        ("FIRST", false),
        // Given by the template, and not for the caller to choose.
        ("WHO", false),
        ("PASSWORD", false),
        ("OTHER", false),
        // By these programs load or run something, whatever value the template gives.
        ("PATH", false),
        ("BASH_ENV", false),
        ("LD_PRELOAD", false),
        ("NODE_OPTIONS", false),
        ("git_ssh_command", false),
    ] {
        for case in
            [with_context(viewer(), name), with_env(viewer(), "m", json!({"name": name, "value": "x"}))]
        {
            let outcome = refused(case.template_plan(&REQUIRED, declaring()));
            assert_eq!(outcome, (!expected).then(|| name.to_owned()), "{name}");
        }
        // Whoever may run what they like may set what they like.
        assert_eq!(refused(with_context(user(), name).template_plan(&REQUIRED, declaring())), None, "{name}");
    }
    let side = |name: &str| {
        let case = with_env(viewer(), "side", json!({"name": name, "value": "x"}));
        refused(case.template_plan(&REQUIRED, declaring()))
    };
    assert_eq!(side("LEVEL"), None);
    assert_eq!(side("GREETING"), Some("GREETING".into()));
}

#[test]
fn steering_names_stay_the_template_s_even_with_a_value_of_its_own() {
    for name in ["ENV", "SHELLOPTS", "DYLD_X", "PYTHONPATH", "PERL5LIB", "RUBYOPT", "_JAVA_OPTIONS", "IFS"] {
        let spec =
            json!({"containers": [{"name": "m", "image": "i", "env": [{"name": name, "value": "v"}]}]});
        let case = with_context(viewer(), name);
        assert_eq!(refused(case.template_plan(&REQUIRED, spec)), Some(name.to_owned()));
    }
}

#[test]
fn a_value_shows_no_other_variable() {
    for (value, expected) in [("$(PASSWORD)", false), ("a$(B)c", false), ("$HOME $5 (x)", true)] {
        let case = with_env(viewer(), "m", json!({"name": "GREETING", "value": value}));
        assert_eq!(refused(case.template_plan(&REQUIRED, declaring())).is_none(), expected, "{value}");
    }
}

#[test]
fn nothing_declares_variables_of_a_spec_of_their_own() {
    let mut case = viewer();
    case.request.context = [("A", "x")].into_iter().collect();
    assert_eq!(refused(case.plan(Resolved::Inline(&spec()))), Some("A".into()));
    case.request.may_write = true;
    assert!(case.plan(Resolved::Inline(&spec())).is_ok());
}

#[test]
fn ordinary_callers_have_the_right_only_when_it_is_said() {
    let request = |caller: Caller| {
        let id = WorkspaceId::parse("w1").unwrap();
        SpawnRequest::builder().id(id).source(Source::Inline(Value::Null)).caller(caller).build().may_write
    };
    for role in [Role::None, Role::Viewer, Role::User] {
        assert!(!request(Caller::verified("bob".into(), role)), "{role:?}");
    }
    assert!(request(Caller::verified("root".into(), Role::Admin)) && request(Caller::local()));
}

#[test]
fn paths_of_volumes_follow_no_caller_s_variable() {
    let template = json!({
        "containers": [{
            "name": "m", "image": "i",
            "env": [
                {"name": "WHO", "value": "${{user}}"},
                {"name": "HOMEDIR", "value": "homes/$(WHO)"},
                {"name": "COLOUR", "value": "red"},
            ],
            "volumeMounts": [{"name": "homes", "mountPath": "/home", "subPathExpr": "$(HOMEDIR)"}],
        }],
        "volumes": [{"name": "homes", "persistentVolumeClaim": {"claimName": "homes"}}],
    });
    for (name, expected) in [("WHO", false), ("HOMEDIR", false), ("COLOUR", true), ("OTHER", true)] {
        // Even of those who may run what they like: it is about whose files they see.
        for case in [with_context(user(), name), with_env(user(), "m", json!({"name": name, "value": "al"}))]
        {
            let outcome = case.template_plan(&[], template.clone());
            assert_eq!(outcome.is_ok(), expected, "{name}: {outcome:?}");
        }
        let admin = as_caller(Caller::verified("root".into(), Role::Admin));
        assert!(with_context(admin, name).template_plan(&[], template.clone()).is_ok(), "{name}");
    }
}
