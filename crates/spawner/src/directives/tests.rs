use super::*;

fn annotations(pairs: &[(&str, &str)]) -> BTreeMap<String, String> {
    pairs.iter().map(|(k, v)| ((*k).to_owned(), (*v).to_owned())).collect()
}

fn applied(pairs: &[(&str, &str)], spec: Value) -> Result<Value, Error> {
    let mut spec = spec.as_object().unwrap().clone();
    let variables = [json!({"name": "A", "value": "1"})];
    Directives::parse(&annotations(pairs))?.apply(&mut spec, &variables, false)?;
    Ok(Value::Object(spec))
}

fn pod() -> Value {
    json!({"containers": [{"name": "m", "image": "i", "volumeMounts": [{"name": "v", "mountPath": "/w"}],
        "lifecycle": {"postStart": {"exec": {"command": ["true"]}}}}]})
}

#[test]
fn init_container_comes_last_and_shares_the_mounts() {
    let mut spec = pod();
    spec["initContainers"] = json!([{"name": "own", "image": "i"}]);
    let pairs = [(keys::INIT_IMAGE, "git"), (keys::INIT_COMMAND, "git clone")];
    let spec = applied(&pairs, spec).unwrap();
    assert_eq!(
        spec["initContainers"][1],
        json!({"name": "spawner-init", "image": "git", "command": ["/bin/sh", "-c", "git clone"],
            "env": [{"name": "A", "value": "1"}], "volumeMounts": [{"name": "v", "mountPath": "/w"}]})
    );
    let apart = applied(&[pairs[0], pairs[1], (keys::INIT_SHARE_VOLUMES, "false")], pod()).unwrap();
    assert!(apart["initContainers"][0].get("volumeMounts").is_none());
}

#[test]
fn pre_stop_goes_into_the_first_container() {
    let spec = applied(&[(keys::PRE_STOP_COMMAND, "sync")], pod()).unwrap();
    let lifecycle = &spec["containers"][0]["lifecycle"];
    assert_eq!(lifecycle["preStop"]["exec"]["command"][2], "sync");
    assert!(lifecycle["postStart"].is_object(), "what the template has stays");
    assert_eq!(spec["terminationGracePeriodSeconds"], 60);
}

#[test]
fn pre_stop_sidecar_leaves_the_first_container_alone() {
    let spec =
        applied(&[(keys::PRE_STOP_COMMAND, "sync"), (keys::PRE_STOP_SIDECAR_IMAGE, "aws")], pod()).unwrap();
    assert!(spec["containers"][0]["lifecycle"].get("preStop").is_none());
    let sidecar = &spec["containers"][1];
    assert_eq!((sidecar["name"].as_str(), sidecar["image"].as_str()), (Some("spawner-sidecar"), Some("aws")));
    assert_eq!(sidecar["lifecycle"]["preStop"]["exec"]["command"][2], "sync");
    assert_eq!(sidecar["volumeMounts"][0]["mountPath"], "/w");
}

#[test]
fn a_templates_own_pre_stop_hook_is_not_overwritten() {
    let mut spec = pod();
    spec["containers"][0]["lifecycle"]["preStop"] = json!({"exec": {"command": ["own"]}});
    let error = applied(&[(keys::PRE_STOP_COMMAND, "sync")], spec).unwrap_err();
    assert!(matches!(&error, Error::Annotation { key, .. } if key == keys::PRE_STOP_COMMAND), "{error}");
}

#[test]
fn k47_grace_period_by_annotation_then_spec_then_default() {
    let grace = |pairs: &[(&str, &str)], own: Option<u32>| {
        let mut spec = pod();
        if let Some(own) = own {
            spec["terminationGracePeriodSeconds"] = own.into();
        }
        applied(pairs, spec).unwrap().get("terminationGracePeriodSeconds").and_then(Value::as_u64)
    };
    let stop = (keys::PRE_STOP_COMMAND, "sync");
    let period = (keys::DEFAULT_GRACE_PERIOD, "120");
    assert_eq!(grace(&[period, stop], Some(5)), Some(120));
    assert_eq!(grace(&[(keys::DEFAULT_GRACE_PERIOD, "30s")], None), Some(30));
    assert_eq!(grace(&[period], None), Some(120), "also without a pre-stop command");
    assert_eq!(grace(&[stop], Some(5)), Some(5));
    assert_eq!(grace(&[stop], None), Some(60));
    assert_eq!(grace(&[], None), None);
    for bad in ["soon", "s", "30ms", "-1", "1.5", "86401", "99999999999999999999"] {
        assert!(applied(&[(keys::DEFAULT_GRACE_PERIOD, bad)], pod()).is_err(), "{bad}");
    }
}

#[test]
fn required_context_names_all_that_is_missing() {
    let pairs = [(keys::REQUIRED_CONTEXT, " A, B,, C ,"), (keys::PLAIN_CONTEXT, "B,C,D")];
    let directives = Directives::parse(&annotations(&pairs)).unwrap();
    let error = directives.require(|name| name == "B").unwrap_err();
    let Error::MissingContext { names, plain } = &error else { panic!("{error}") };
    assert_eq!((names, plain), (&vec!["A".to_owned(), "C".to_owned()], &vec!["C".to_owned()]));
    assert!(directives.require(|_| true).is_ok());
}

#[test]
fn role_arn_is_checked() {
    let parse =
        |arn: &str| Directives::parse(&annotations(&[(keys::IAM_ROLE_ARN, arn)])).map(|d| d.iam_role_arn);
    let good = "arn:aws:iam::123456789012:role/team/workspace-s3-access";
    assert_eq!(parse(good).unwrap().as_deref(), Some(good));
    assert!(parse("arn:aws-cn:iam::123456789012:role/x").is_ok());
    for bad in
        ["x", "arn:aws:iam::1:role/x", "arn:aws:iam::123456789012:user/x", "arn:aws:iam::123456789012:role/"]
    {
        assert!(parse(bad).is_err(), "{bad}");
    }
}

#[test]
fn halves_without_effect_are_told() {
    let warnings = |pairs: &[(&str, &str)]| Directives::parse(&annotations(pairs)).unwrap().warnings.len();
    assert_eq!(warnings(&[(keys::INIT_COMMAND, "x")]), 1);
    assert_eq!(warnings(&[(keys::INIT_IMAGE, "x")]), 1);
    assert_eq!(warnings(&[(keys::PRE_STOP_SIDECAR_IMAGE, "x")]), 1);
    assert_eq!(warnings(&[]), 0);
}

#[test]
fn context_replaces_a_variable_of_the_same_name() {
    let mut container = json!({"env": [{"name": "A", "value": "old"}, {"name": "B", "value": "b"}]});
    set_env(
        container.as_object_mut().unwrap(),
        &[json!({"name": "A", "value": "new"}), json!({"name": "C", "value": "c"})],
    );
    assert_eq!(
        container["env"],
        json!([{"name": "A", "value": "new"}, {"name": "B", "value": "b"}, {"name": "C", "value": "c"}])
    );
}
