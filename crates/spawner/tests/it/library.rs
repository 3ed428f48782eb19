//! Templates that are stored, changed and deleted.

use std::collections::BTreeMap;

use nocrd_devcluster::kind::Kind;
use nocrd_spawner::{
    Caller, Config, Error, SpawnRequest, Spawner, StoredTemplate, TemplateChange, WorkspaceId,
    model::{Grants, Role},
};
use serde_json::{Value, json};

use crate::world::{World, template_directory};

fn user(name: &str) -> Caller {
    Caller::verified(name.into(), Role::User)
}

fn admin() -> Caller {
    Caller::verified("root".into(), Role::Admin)
}

fn spec(change: Value) -> Value {
    let mut spec =
        json!({"containers": [{"name": "agent", "image": "busybox", "command": ["sleep", "3600"]}]});
    spec.as_object_mut().unwrap().extend(change.as_object().unwrap().clone());
    spec
}

fn pairs(of: &[(&str, &str)]) -> BTreeMap<String, String> {
    of.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect()
}

fn plain() -> TemplateChange {
    TemplateChange { spec: spec(json!({})).as_object().cloned(), ..TemplateChange::default() }
}

fn with(change: Value) -> TemplateChange {
    TemplateChange { spec: spec(change).as_object().cloned(), ..TemplateChange::default() }
}

fn annotated(of: &[(&str, &str)]) -> TemplateChange {
    TemplateChange { annotations: pairs(of), ..TemplateChange::default() }
}

async fn create(
    spawner: &Spawner,
    caller: &Caller,
    name: &str,
    change: &TemplateChange,
) -> Result<StoredTemplate, Error> {
    spawner.create_template(caller, None, name, change).await
}

async fn update(
    spawner: &Spawner,
    caller: &Caller,
    name: &str,
    change: &TemplateChange,
) -> Result<StoredTemplate, Error> {
    spawner.update_template(caller, None, name, change).await
}

fn code<T: std::fmt::Debug>(result: Result<T, Error>) -> &'static str {
    result.unwrap_err().code().reason
}

fn stored(world: &World, name: &str) -> Value {
    let all = world.dev.store().list(Kind::ConfigMap, Some("nogoo9")).items;
    all.iter()
        .map(|object| (**object).clone())
        .find(|object| object["metadata"]["name"] == name)
        .unwrap_or_default()
}

async fn spawn(spawner: &Spawner, caller: Caller, id: &str, template: &str) -> Result<(), Error> {
    let request = SpawnRequest::builder()
        .id(WorkspaceId::parse(id).unwrap())
        .source(template.parse::<nocrd_spawner::TemplateRef>().unwrap())
        .caller(caller);
    spawner.spawn(request.build()).await.map(drop)
}

/// Clients read a template, change a part of it and send it back whole; or store it under another name.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_was_read_of_a_template_can_be_sent_back() {
    let world = World::idle().await;
    let spawner = world.spawner(Config::default()).await;
    let first = TemplateChange { annotations: pairs(&[("nogoo9/template-version", "1")]), ..plain() };
    for caller in [user("ada"), admin(), Caller::local()] {
        let name = format!("of-{}", caller.subject.as_str().replace('@', "-"));
        create(&spawner, &caller, &name, &first).await.unwrap();
        let read = stored(&world, &name);
        let back = |tag: &str| TemplateChange {
            tag: Some(tag.into()),
            labels: serde_json::from_value(read["metadata"]["labels"].clone()).unwrap(),
            annotations: serde_json::from_value(read["metadata"]["annotations"].clone()).unwrap(),
            ..plain()
        };
        update(&spawner, &caller, &name, &back("x")).await.unwrap();
        let copy = format!("{name}-copy");
        create(&spawner, &caller, &copy, &back("x")).await.unwrap();
        for name in [&name, &copy] {
            let now = stored(&world, name);
            assert_eq!(now["metadata"]["labels"], read["metadata"]["labels"]);
            assert_eq!(now["metadata"]["annotations"]["nogoo9/tag"], "x");
            assert_eq!(
                now["metadata"]["annotations"]["nogoo9/user-sub"],
                read["metadata"]["annotations"]["nogoo9/user-sub"]
            );
        }
    }
    // Nobody becomes somebody else by that, nor answers for what they have not written.
    let read = stored(&world, "of-ada");
    let whole = TemplateChange {
        labels: serde_json::from_value(read["metadata"]["labels"].clone()).unwrap(),
        annotations: serde_json::from_value(read["metadata"]["annotations"].clone()).unwrap(),
        ..plain()
    };
    let author = || stored(&world, "of-ada")["metadata"]["annotations"]["nogoo9/template-author"].clone();
    update(&spawner, &admin(), "of-ada", &whole).await.unwrap();
    assert_eq!(author(), Value::Null);
    let another = TemplateChange { spec: with(json!({"hostname": "x"})).spec, ..whole };
    update(&spawner, &admin(), "of-ada", &another).await.unwrap();
    assert_eq!(author(), "admin");
    // Who gives the spec alone, means it.
    update(&spawner, &user("ada"), "of-ada", &plain()).await.unwrap();
    assert_eq!(author(), Value::Null);
    update(&spawner, &admin(), "of-ada", &plain()).await.unwrap();
    assert_eq!(author(), "admin");
    update(&spawner, &user("ada"), "of-ada", &plain()).await.unwrap();
    for (caller, key) in [(user("bob"), "label"), (admin(), "label")] {
        let copy = TemplateChange {
            labels: serde_json::from_value(read["metadata"]["labels"].clone()).unwrap(),
            ..plain()
        };
        let error = create(&spawner, &caller, "stolen", &copy).await.unwrap_err();
        assert!(matches!(&error, Error::ReservedKey { what, .. } if *what == key), "{error:?}");
    }
    let signed = TemplateChange { annotations: pairs(&[("nogoo9/template-author", "admin")]), ..plain() };
    assert_eq!(code(create(&spawner, &user("bob"), "signed", &signed).await), "ReservedKey");
    // A template that an administrator wrote is the user's own when the user has changed it.
    let of_root = TemplateChange {
        annotations: serde_json::from_value(stored(&world, "of-root")["metadata"]["annotations"].clone())
            .unwrap(),
        ..plain()
    };
    assert_eq!(code(update(&spawner, &user("ada"), "of-ada", &of_root).await), "ReservedKey");
    world.stop().await;
}

/// Templates that versions up to 0.17 took.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn stored_templates_may_have_fields_that_nobody_knows() {
    let world = World::running().await;
    let text = "x-agent: &agent {name: agent, image: busybox, foo: 1, ports: [{containerPort: 80, bar: 2}]}\n\
                containers: [*agent]";
    let map = json!({
        "apiVersion": "v1", "kind": "ConfigMap",
        "metadata": {"name": "anchored", "namespace": "nogoo9", "labels": {"nogoo9/pod-template": "true"}},
        "data": {"spec": text},
    });
    world.dev.store().create(Kind::ConfigMap, map).unwrap();
    let spawner = world.spawner(Config::default()).await;
    let request = SpawnRequest::builder()
        .id(WorkspaceId::parse("w1").unwrap())
        .source("anchored".parse::<nocrd_spawner::TemplateRef>().unwrap())
        .caller(user("ada"));
    let spawned = spawner.spawn(request.build()).await.unwrap();
    let warning =
        "unknown fields were left out of its spec: x-agent, containers[0].foo, containers[0].ports[0].bar";
    assert!(spawned.warnings.iter().any(|told| told == warning), "{:?}", spawned.warnings);
    let pods = world.dev.store().list(Kind::Pod, Some("nogoo9")).items;
    assert_eq!(pods[0]["spec"]["containers"][0]["ports"][0]["containerPort"], 80);
    let change = TemplateChange { tag: Some("x".into()), ..TemplateChange::default() };
    update(&spawner, &admin(), "anchored", &change).await.unwrap();
    // Whoever writes one now is told.
    let strange = TemplateChange { spec: spec(json!({"x-agent": {}})).as_object().cloned(), ..plain() };
    assert!(create(&spawner, &admin(), "strange", &strange).await.is_err());
    world.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_life_of_a_template() {
    let world = World::idle().await;
    let spawner = world.spawner(Config::default()).await;
    let first = TemplateChange {
        description: Some("For builds".into()),
        tag: Some(String::new()),
        annotations: pairs(&[("nogoo9/template-version", "1.1"), ("nogoo9/required-context", "TOKEN")]),
        ..plain()
    };
    let made = create(&spawner, &user("ada"), "build", &first).await.unwrap();
    assert_eq!((made.name.as_str(), made.namespace.as_str(), made.warnings.len()), ("build", "nogoo9", 0));
    let config_map = stored(&world, "build");
    assert_eq!(
        config_map["metadata"]["labels"],
        json!({"nogoo9/pod-template": "true", "nogoo9/user-sub": "ada"})
    );
    assert_eq!(
        config_map["metadata"]["annotations"],
        json!({"nogoo9/description": "For builds", "nogoo9/required-context": "TOKEN",
            "nogoo9/template-version": "1.1", "nogoo9/user-sub": "ada"})
    );
    assert_eq!(config_map["data"]["spec"], spec(json!({})).to_string());
    // It can be used at once.
    assert_eq!(code(spawn(&spawner, user("bob"), "w1", "build").await), "MissingContext");

    let change = TemplateChange {
        description: Some(String::new()),
        annotations: pairs(&[("nogoo9/template-version", "1.2"), ("nogoo9/required-context", "")]),
        ..TemplateChange::default()
    };
    update(&spawner, &user("ada"), "build", &change).await.unwrap();
    let config_map = stored(&world, "build");
    assert_eq!(config_map["metadata"]["annotations"]["nogoo9/template-version"], "1.2");
    assert_eq!(config_map["metadata"]["annotations"]["nogoo9/description"], "");
    assert_eq!(config_map["data"]["spec"], spec(json!({})).to_string());
    spawn(&spawner, user("bob"), "w1", "build").await.unwrap();

    spawner.delete_template(&user("ada"), None, "build").await.unwrap();
    assert_eq!(stored(&world, "build"), Value::Null);
    assert_eq!(code(spawn(&spawner, user("bob"), "w2", "build").await), "TemplateNotFound");
    assert_eq!(spawner.list(&Default::default()).unwrap().total, 1);
    world.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn k17_templates_belong_to_their_creators() {
    let world = World::idle().await;
    let text = "spec: {containers: [{name: agent, image: busybox}]}";
    let (_kept, sources) = template_directory("local", text);
    let spawner = Spawner::new(world.cluster(true).await, sources, Config::default());
    create(&spawner, &user("ada"), "hers", &plain()).await.unwrap();
    create(&spawner, &Caller::local(), "legacy", &plain()).await.unwrap();
    let change = annotated(&[("nogoo9/tag", "x")]);
    for (name, message) in [
        ("hers", "Forbidden: You are not the creator of template \"hers\""),
        ("legacy", "Forbidden: Legacy template \"legacy\" is admin-only"),
        ("local", "Forbidden: Local template \"local\" is immutable"),
        ("default-agent-workspace", "Forbidden: Local template \"default-agent-workspace\" is immutable"),
    ] {
        let before = stored(&world, name);
        let error = update(&spawner, &user("bob"), name, &change).await.unwrap_err();
        assert_eq!(error.to_string(), message);
        let error = spawner.delete_template(&user("bob"), None, name).await.unwrap_err();
        assert_eq!(error.to_string(), message);
        assert_eq!(stored(&world, name), before);
    }
    // Taking a template over.
    for change in [
        annotated(&[("nogoo9/user-sub", "bob")]),
        annotated(&[("nogoo9/template-author", "admin")]),
        annotated(&[("nogoo9/template-ref", "x")]),
        TemplateChange { labels: pairs(&[("nogoo9/user-sub", "bob")]), ..TemplateChange::default() },
        TemplateChange { labels: pairs(&[("nogoo9/pod-template", "false")]), ..TemplateChange::default() },
    ] {
        for caller in [user("ada"), admin(), Caller::local()] {
            assert_eq!(code(update(&spawner, &caller, "hers", &change).await), "ReservedKey");
            let new = TemplateChange { spec: plain().spec, ..change.clone() };
            if caller == admin() && change.annotations.contains_key("nogoo9/template-author") {
                // It is what it says.
                continue;
            }
            assert_eq!(code(create(&spawner, &caller, "new", &new).await), "ReservedKey");
        }
    }
    for caller in [user("bob"), admin(), Caller::local()] {
        assert_eq!(code(create(&spawner, &caller, "hers", &plain()).await), "TemplateExists");
        assert_eq!(code(create(&spawner, &caller, "local", &plain()).await), "TemplateImmutable");
        assert_eq!(code(update(&spawner, &caller, "none", &change).await), "TemplateNotFound");
        for name in ["nogoo9-ended-sessions", "Bad", "../x", ""] {
            assert_eq!(code(create(&spawner, &caller, name, &plain()).await), "InvalidArgument", "{name}");
            assert_eq!(code(update(&spawner, &caller, name, &change).await), "InvalidArgument", "{name}");
        }
    }
    // Administrators may, and the owner stays.
    update(&spawner, &admin(), "hers", &change).await.unwrap();
    assert_eq!(stored(&world, "hers")["metadata"]["labels"]["nogoo9/user-sub"], "ada");
    spawner.delete_template(&admin(), None, "hers").await.unwrap();
    spawner.delete_template(&admin(), None, "legacy").await.unwrap();
    world.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn k11_other_config_maps_are_no_templates() {
    let world = World::idle().await;
    let spawner = world.spawner(Config::default()).await;
    let other = json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "settings", "namespace": "nogoo9"},
        "data": {"spec": "x"}});
    world.create(Kind::ConfigMap, &other);
    let before = stored(&world, "settings");
    for caller in [user("ada"), admin(), Caller::local()] {
        assert_eq!(code(update(&spawner, &caller, "settings", &plain()).await), "TemplateNotFound");
        assert_eq!(code(spawner.delete_template(&caller, None, "settings").await), "TemplateNotFound");
        assert_eq!(code(create(&spawner, &caller, "settings", &plain()).await), "TemplateExists");
    }
    assert_eq!(stored(&world, "settings"), before);
    world.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_template_that_is_hidden_from_somebody_is_not_there_for_them() {
    let world = World::idle().await;
    let spawner = world.spawner(Config::default()).await;
    let hidden = TemplateChange { annotations: pairs(&[("nogoo9/allowed-roles", "ops")]), ..plain() };
    create(&spawner, &user("ada"), "hers", &hidden).await.unwrap();
    for (name, caller) in [("hers", user("bob")), ("none", user("bob"))] {
        let error = update(&spawner, &caller, name, &plain()).await.unwrap_err();
        assert_eq!((error.code().reason, error.to_string().contains(name)), ("TemplateNotFound", true));
    }
    let set = ["ops".to_owned()].into();
    let ops = user("olga").with_grants(Grants { roles: set, ..Grants::default() });
    assert_eq!(code(update(&spawner, &ops, "hers", &plain()).await), "Forbidden");
    world.stop().await;
}

/// What only an operator or administrator may have in a template.
fn privileges() -> Vec<TemplateChange> {
    vec![
        with(json!({"volumes": [{"name": "v", "secret": {"secretName": "s"}}]})),
        with(json!({"volumes": [{"name": "v", "persistentVolumeClaim": {"claimName": "c"}}]})),
        with(
            json!({"volumes": [{"name": "v", "projected": {"sources": [{"serviceAccountToken": {"path": "t"}}]}}]}),
        ),
        with(json!({"automountServiceAccountToken": true})),
        with(json!({"tolerations": [{"operator": "Exists"}]})),
        with(json!({"nodeName": "n"})),
        with(json!({"runtimeClassName": "r"})),
        with(json!({"serviceAccountName": "builder"})),
        with(json!({"containers": [{"name": "a", "image": "i", "envFrom": [{"secretRef": {"name": "s"}}]}]})),
        TemplateChange {
            annotations: pairs(&[("nogoo9/iam-role-arn", "arn:aws:iam::123456789012:role/r")]),
            ..plain()
        },
        with(json!({"labels": {"team": "x"}})),
        TemplateChange { labels: pairs(&[("team", "x")]), ..plain() },
        TemplateChange { annotations: pairs(&[("replicator.example/copy-to", "*")]), ..plain() },
    ]
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn t49_a_template_of_a_user_does_no_more_than_they_may() {
    let world = World::idle().await;
    let config = Config { allowed_service_accounts: ["builder".to_owned()].into(), ..Config::default() };
    let spawner = world.spawner(config).await;
    create(&spawner, &user("ada"), "hers", &plain()).await.unwrap();
    for (n, change) in privileges().iter().enumerate() {
        let before = stored(&world, "hers");
        for outcome in [
            create(&spawner, &user("ada"), "new", change).await,
            update(&spawner, &user("ada"), "hers", change).await,
        ] {
            let refused = code(outcome);
            assert!(
                matches!(refused, "PolicyViolation" | "ReservedKey" | "InvalidAnnotation"),
                "{n}: {refused}"
            );
        }
        assert_eq!((stored(&world, "hers"), stored(&world, "new")), (before, Value::Null), "{n}");
        // An administrator may, and may let users have it.
        create(&spawner, &admin(), &format!("good-{n}"), change).await.unwrap();
    }
    // No level of the policy lets anybody do this.
    for caller in [user("ada"), admin(), Caller::local()] {
        assert_eq!(
            code(create(&spawner, &caller, "new", &with(json!({"hostNetwork": true}))).await),
            "PolicyViolation"
        );
        assert_eq!(
            code(create(&spawner, &caller, "new", &with(json!({"serviceAccountName": "root"}))).await),
            // A user names no account at all.
            if caller.is_ordinary() { "PolicyViolation" } else { "ServiceAccountNotAllowed" }
        );
        assert_eq!(
            code(create(&spawner, &caller, "new", &with(json!({"labels": {"app": "no-crd"}}))).await),
            "ReservedKey"
        );
        assert_eq!(
            code(create(&spawner, &caller, "new", &with(json!({"cpntainers": []}))).await),
            "InvalidPodSpec"
        );
    }
    spawn(&spawner, user("bob"), "w0", "good-0").await.unwrap();
    world.stop().await;
}

/// However it came there: the rules may have been others when it was stored, or somebody else may have changed it.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn t49_a_template_of_a_user_is_checked_again_when_it_is_used() {
    let world = World::idle().await;
    let spawner = world.spawner(Config::default()).await;
    let secret = spec(json!({"volumes": [{"name": "v", "secret": {"secretName": "s"}}]})).to_string();
    let template = |name: &str, metadata: Value| {
        let mut object =
            json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": metadata, "data": {"spec": secret}});
        object["metadata"]["name"] = json!(name);
        object["metadata"]["namespace"] = json!("nogoo9");
        object["metadata"]["labels"]["nogoo9/pod-template"] = json!("true");
        world.create(Kind::ConfigMap, &object);
    };
    template("curated", json!({}));
    template("hers", json!({"annotations": {"nogoo9/user-sub": "ada"}}));
    template("hers-by-label", json!({"labels": {"nogoo9/user-sub": "ada"}}));
    template(
        "vouched",
        json!({"annotations": {"nogoo9/user-sub": "ada", "nogoo9/template-author": "admin"}}),
    );
    template(
        "role",
        json!({"annotations": {"nogoo9/user-sub": "ada", "nogoo9/iam-role-arn": "arn:aws:iam::1:role/r"}}),
    );
    crate::world::until("all are known", || spawner.cluster().template_config_maps().len() == 5).await;
    for (name, may) in [("curated", true), ("vouched", true), ("hers", false), ("hers-by-label", false)] {
        let outcome = spawn(&spawner, user("bob"), name, name).await;
        assert_eq!(outcome.is_ok(), may, "{name}: {outcome:?}");
    }
    // Administrators may refer to any Secret, but their name stands for no role that somebody else wrote down.
    spawn(&spawner, admin(), "by-root", "hers").await.unwrap();
    assert_eq!(code(spawn(&spawner, admin(), "r", "role").await), "InvalidAnnotation");
    // Nor does an administrator vouch for a spec by describing it.
    update(&spawner, &admin(), "hers", &annotated(&[("nogoo9/tag", "x")])).await.unwrap();
    assert_eq!(code(spawn(&spawner, user("bob"), "again", "hers").await), "PolicyViolation");
    // What an administrator wrote, its owner can't add commands to, which would see what it refers to.
    let adds = annotated(&[("nogoo9/init-image", "busybox"), ("nogoo9/init-command", "cat /v/*")]);
    assert_eq!(code(update(&spawner, &user("ada"), "vouched", &adds).await), "PolicyViolation");
    world.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn k50_annotations_without_effect_are_told() {
    let world = World::idle().await;
    let spawner = world.spawner(Config::default()).await;
    let change =
        TemplateChange { annotations: pairs(&[("nogoo9/port", "80"), ("nogoo9/zzz", "1")]), ..plain() };
    let stored = create(&spawner, &user("ada"), "t", &change).await.unwrap();
    assert_eq!(
        stored.warnings,
        [
            "annotation nogoo9/port has no effect: nogoo9/workspace-port does",
            "annotation nogoo9/zzz has no effect"
        ]
    );
    for (key, value) in [("nogoo9/workspace-port", "http"), ("nogoo9/default-grace-period", "soon")] {
        let change = TemplateChange { annotations: pairs(&[(key, value)]), ..plain() };
        assert_eq!(code(create(&spawner, &user("ada"), "u", &change).await), "InvalidAnnotation", "{key}");
    }
    world.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_template_that_cannot_be_read_is_mended_by_its_owner() {
    let world = World::idle().await;
    let spawner = world.spawner(Config::default()).await;
    let broken = json!({"apiVersion": "v1", "kind": "ConfigMap", "data": {"spec": "containers: [", "notes": "kept"},
        "metadata": {"name": "t", "namespace": "nogoo9", "labels": {"nogoo9/pod-template": "true", "nogoo9/user-sub": "ada"}}});
    world.create(Kind::ConfigMap, &broken);
    assert_eq!(
        code(update(&spawner, &user("ada"), "t", &annotated(&[("nogoo9/tag", "x")])).await),
        "NoPodSource"
    );
    assert_eq!(code(update(&spawner, &user("bob"), "t", &plain()).await), "Forbidden");
    update(&spawner, &user("ada"), "t", &plain()).await.unwrap();
    assert_eq!(stored(&world, "t")["data"], json!({"spec": spec(json!({})).to_string(), "notes": "kept"}));
    spawn(&spawner, user("ada"), "w1", "t").await.unwrap();
    world.stop().await;
}

/// What an administrator adds to a user's template does not come along with that user's next spec.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn t49_labels_of_an_administrator_don_t_go_with_a_user_s_spec() {
    let world = World::idle().await;
    let spawner = world.spawner(Config::default()).await;
    create(&spawner, &user("bob"), "his", &plain()).await.unwrap();
    for labels in [pairs(&[("db-access", "true")]), pairs(&[("azure.workload.identity/use", "true")])] {
        let change = TemplateChange { labels, ..TemplateChange::default() };
        update(&spawner, &admin(), "his", &change).await.unwrap();
        assert_eq!(code(update(&spawner, &user("bob"), "his", &plain()).await), "ReservedKey");
        assert_eq!(code(spawn(&spawner, user("bob"), "w1", "his").await), "ReservedKey");
    }
    // Nor labels inside the spec, however they got there.
    let inside = spec(json!({"labels": {"db-access": "true"}})).to_string();
    world.create(
        Kind::ConfigMap,
        &json!({"apiVersion": "v1", "kind": "ConfigMap", "data": {"spec": inside},
        "metadata": {"name": "old", "namespace": "nogoo9",
            "labels": {"nogoo9/pod-template": "true", "nogoo9/user-sub": "bob"}}}),
    );
    crate::world::until("it is known", || spawner.cluster().template_config_maps().len() == 2).await;
    assert_eq!(code(spawn(&spawner, user("bob"), "w1", "old").await), "ReservedKey");
    world.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn t56_nobody_fills_the_cluster_with_templates() {
    let world = World::idle().await;
    let spawner = world.spawner(Config { max_templates_per_user: 2, ..Config::default() }).await;
    for name in ["a", "b"] {
        create(&spawner, &user("ada"), name, &plain()).await.unwrap();
    }
    assert_eq!(code(create(&spawner, &user("ada"), "c", &plain()).await), "QuotaExceeded");
    create(&spawner, &user("bob"), "c", &plain()).await.unwrap();
    for name in ["d", "e", "f"] {
        create(&spawner, &admin(), name, &plain()).await.unwrap();
    }
    spawner.delete_template(&user("ada"), None, "a").await.unwrap();
    create(&spawner, &user("ada"), "a", &plain()).await.unwrap();
    world.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn k17_a_user_s_template_does_not_stand_in_for_another_elsewhere() {
    let world = World::idle().await;
    let allowed = |config: &mut nocrd_spawner::cluster::Config| {
        config.allowed_namespaces = Some(["default".parse().unwrap()].into());
    };
    let spawner = Spawner::new(world.cluster_with(allowed).await, Default::default(), Config::default());
    create(&spawner, &admin(), "python", &plain()).await.unwrap();
    let elsewhere = async |caller: Caller, name: &str| {
        spawner.create_template(&caller, Some("default"), name, &plain()).await
    };
    assert_eq!(code(elsewhere(user("mallory"), "python").await), "TemplateExists");
    elsewhere(user("mallory"), "other").await.unwrap();
    elsewhere(admin(), "python").await.unwrap();
    // A user's template refers to its own namespace's objects, whoever spawns from it.
    let with_secret = with(json!({"volumes": [{"name": "v", "secret": {"secretName": "s"}}]}));
    world.create(
        Kind::ConfigMap,
        &json!({"apiVersion": "v1", "kind": "ConfigMap",
        "data": {"spec": Value::Object(with_secret.spec.unwrap()).to_string()},
        "metadata": {"name": "hers", "namespace": "nogoo9",
            "labels": {"nogoo9/pod-template": "true", "nogoo9/user-sub": "mallory"}}}),
    );
    crate::world::until("it is known", || {
        spawner.catalogue().holds_template(&"nogoo9".parse().unwrap(), "hers")
    })
    .await;
    let request = SpawnRequest::builder()
        .id(WorkspaceId::parse("w1").unwrap())
        .source("nogoo9/hers".parse::<nocrd_spawner::TemplateRef>().unwrap())
        .namespace("default")
        .caller(admin());
    assert_eq!(code(spawner.spawn(request.build()).await), "PolicyViolation");
    world.stop().await;
}
