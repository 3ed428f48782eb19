//! Tools about pods.

use nocrd_devcluster::{Config as DevConfig, DevCluster, kind::Kind};
use nocrd_mcp_surface::Options;
use nocrd_model::{Caller, Role};
use serde_json::{Value, json};

use crate::{dev::DevWorld, world::until};

fn user(name: &str) -> Caller {
    Caller::verified(name.into(), Role::User)
}

fn pod(name: &str) -> Value {
    json!({"name": name, "containers": [{"name": "agent", "image": "busybox", "command": ["sleep", "3600"],
        "env": [{"name": "TOKEN", "value": "s3cret"}], "resources": {"limits": {"memory": "16Mi"}}}]})
}

#[tokio::test]
async fn the_life_of_a_pod() {
    let world = DevWorld::new().await;
    let ada = world.client(user("ada")).await;
    let created = ada.call("create_pod", pod("p.1")).await;
    assert_eq!(created.text, "Created pod p.1 in namespace nogoo9");
    assert_eq!(created.structured, json!({"name": "p.1", "namespace": "nogoo9", "warnings": []}));

    until("the list has it", || world.cluster.pods().len() == 1).await;
    let calls = world.cluster.api_calls();
    let listed = ada.call("list_pods", json!({})).await;
    let first = listed.text.lines().next().unwrap();
    assert_eq!(first, "NAME\tPHASE\tREADY\tRESTARTS\tPOD-IP\tNODE");
    assert!(listed.text.lines().nth(1).unwrap().starts_with("p.1\tPending\t0/1\t0\t-\t"), "{}", listed.text);
    let entry = &listed.structured["pods"][0];
    for member in ["phase", "podIP", "node", "labels", "annotations", "ready", "total", "restarts", "status"]
    {
        assert!(entry.get(member).is_some(), "{member}: {entry}");
    }
    assert_eq!(listed.structured["total"], 1);

    let shown = ada.call("get_pod", json!({"name": "p.1"})).await;
    assert_eq!(shown.structured["pod"]["metadata"]["name"], "p.1");
    let told = format!("{}{}{}{}", listed.text, listed.structured, shown.text, shown.structured);
    assert!(!told.contains("s3cret") && shown.text.contains("TOKEN"), "{told}");

    let patched = ada
        .call(
            "patch_pod",
            json!({"name": "p.1", "patch": {"spec": {"containers": [{"name": "agent",
            "resources": {"limits": {"memory": "32Mi"}}}]}}}),
        )
        .await;
    let version = &world.object(Kind::Pod, "p.1")["metadata"]["resourceVersion"];
    assert_eq!(patched.structured, json!({"name": "p.1", "namespace": "nogoo9", "resourceVersion": version}));
    assert_eq!(patched.text, format!("Patched pod p.1 (resourceVersion: {})", version.as_str().unwrap()));

    let deleted = ada.call("delete_pod", json!({"name": "p.1", "gracePeriodSeconds": 0})).await;
    assert_eq!(deleted.text, "Deleted pod p.1 from namespace nogoo9");
    assert_eq!(deleted.structured["status"], "terminating");
    assert_eq!(ada.call("get_pod", json!({"name": "p.1"})).await.error_id(), "NCR0308");
    until("the list lacks it", || world.cluster.pods().is_empty()).await;
    // A page of a list from the index costs nothing.
    let before = world.cluster.api_calls();
    assert_eq!(ada.call("list_pods", json!({})).await.text, "(no pods)");
    assert!(world.cluster.api_calls() - before <= 1, "only the count of others may cost one, once");
    assert!(calls > 0);
    world.stop().await;
}

#[tokio::test]
async fn k36_pods_of_others_are_not_there() {
    let world = DevWorld::new().await;
    let (ada, bob) = (world.client(user("ada")).await, world.client(user("bob")).await);
    assert!(!ada.call("create_pod", pod("hers")).await.failed);
    until("she has it", || world.cluster.pods().len() == 1).await;
    let before = world.object(Kind::Pod, "hers");
    for (tool, arguments) in [
        ("get_pod", json!({})),
        ("get_pod_logs", json!({})),
        ("delete_pod", json!({"gracePeriodSeconds": 0})),
        ("patch_pod", json!({"patch": {"metadata": {"labels": {"a/b": "c"}}}})),
    ] {
        let ask = async |name: &str| {
            let mut arguments = arguments.clone();
            arguments["name"] = json!(name);
            bob.call(tool, arguments).await
        };
        let (not_mine, not_there) = (ask("hers").await, ask("none").await);
        assert_eq!(
            (not_mine.error_id(), not_there.error_id()),
            ("NCR0308".into(), "NCR0308".into()),
            "{tool}"
        );
        assert_eq!(not_mine.text.replace("hers", "none"), not_there.text, "{tool}");
    }
    assert_eq!(bob.call("list_pods", json!({})).await.structured["total"], 0);
    assert_eq!(world.object(Kind::Pod, "hers"), before);
    world.stop().await;
}

#[tokio::test]
async fn t53_selectors_are_read_and_not_passed_on() {
    let world = DevWorld::new().await;
    let admin = world.client(Caller::local()).await;
    for (name, labels) in
        [("a", json!({"tier": "web", "x/y": "1"})), ("b", json!({"tier": "db"})), ("c", json!({}))]
    {
        let mut arguments = pod(name);
        arguments["labels"] = labels;
        assert!(!admin.call("create_pod", arguments).await.failed);
    }
    until("all are known", || world.cluster.pods().len() == 3).await;
    let names = async |arguments: Value| {
        let reply = admin.call("list_pods", arguments).await;
        let pods = reply.structured["pods"].as_array().unwrap().clone();
        pods.iter().map(|pod| pod["name"].as_str().unwrap().to_owned()).collect::<Vec<_>>().join(" ")
    };
    for (selector, expected) in [
        ("tier=web", "a"),
        ("tier in (web, db)", "a b"),
        ("tier notin (web)", "b c"),
        ("!tier", "c"),
        ("tier,tier!=db", "a"),
        ("x/y==1", "a"),
        ("", "a b c"),
    ] {
        assert_eq!(names(json!({"labelSelector": selector})).await, expected, "{selector}");
    }
    for (selector, expected) in [
        ("metadata.name=b", "b"),
        ("metadata.name!=b,status.phase=Pending", "a c"),
        ("spec.nodeName=none", ""),
    ] {
        assert_eq!(names(json!({"fieldSelector": selector})).await, expected, "{selector}");
    }
    for (argument, bad) in [
        ("labelSelector", "tier in (web"),
        ("labelSelector", "a,,b"),
        ("labelSelector", "!"),
        ("labelSelector", "ä=1"),
        ("labelSelector", "a=b&limit=0"),
        ("labelSelector", "nogoo9/user-sub=a|b"),
        ("fieldSelector", "status.phase"),
        ("fieldSelector", "spec.containers=x"),
    ] {
        let reply = admin.call("list_pods", json!({argument: bad})).await;
        assert_eq!(reply.error_id(), "NCR0102", "{bad}");
        let named = reply.text.contains(argument) || reply.text.contains("field selector");
        assert!(named, "{}", reply.text);
    }
    world.stop().await;
}

#[tokio::test]
async fn k37_k42_pods_are_paged_with_the_count_of_others() {
    let world = DevWorld::new().await;
    for n in 0..130 {
        let labels = json!({"nogoo9/managed-by": "nogoo9-spawner", "nogoo9/user-sub": if n % 2 == 0 { "ada" } else { "bob" }});
        world.create(Kind::Pod, &json!({"apiVersion": "v1", "kind": "Pod",
            "metadata": {"name": format!("p{n:03}"), "namespace": "nogoo9", "labels": labels}, "spec": {"containers": []}}));
    }
    world.create(
        Kind::Pod,
        &json!({"apiVersion": "v1", "kind": "Pod",
        "metadata": {"name": "foreign", "namespace": "nogoo9"}, "spec": {"containers": []}}),
    );
    until("all are known", || world.cluster.pods().len() == 130).await;
    let admin = world.client(Caller::local()).await;
    let waiting = async {
        while admin.call("list_pods", json!({"limit": 1})).await.structured.get("unmanagedCount")
            != Some(&json!(1))
        {}
    };
    tokio::time::timeout(std::time::Duration::from_secs(60), waiting).await.unwrap();
    let ada = world.client(user("ada")).await;
    for (client, expected) in [(&admin, 130_usize), (&ada, 65)] {
        let calls = world.cluster.api_calls();
        let (mut names, mut cursor, mut pages) = (Vec::new(), None, 0);
        loop {
            let reply = client.call("list_pods", json!({"cursor": cursor, "limit": 30})).await;
            assert_eq!(reply.structured["total"], expected);
            let pods = reply.structured["pods"].as_array().unwrap().clone();
            names.extend(pods.iter().map(|pod| pod["name"].as_str().unwrap().to_owned()));
            pages += 1;
            match reply.structured.get("nextCursor") {
                Some(next) => cursor = Some(next.clone()),
                None => break,
            }
        }
        assert_eq!((names.len(), pages, names.is_sorted()), (expected, expected.div_ceil(30), true));
        assert_eq!(world.cluster.api_calls(), calls, "lists are answered from what is watched");
    }
    let text = admin.call("list_pods", json!({"labelSelector": "zzz"})).await.text;
    assert_eq!(text, "(no pods)");
    assert!(
        admin.call("list_pods", json!({"limit": 1000})).await.text.contains("(1 unmanaged pods not shown)")
    );
    assert_eq!(ada.call("list_pods", json!({"limit": 1})).await.structured["unmanagedCount"], 0);
    let other = ada.call("list_workspaces", json!({"cursor": "cG9kczpw"})).await;
    assert_eq!(other.error_id(), "NCR0102", "a cursor belongs to its list");
    world.stop().await;
}

#[tokio::test]
async fn c02_pods_outside_the_served_namespaces_are_out_of_reach() {
    let limits = nocrd_spawner::Config::default();
    let world = DevWorld::with(limits, Options::default(), |config| {
        config.allowed_namespaces = Some(Default::default());
    })
    .await;
    let admin = world.client(Caller::local()).await;
    for (tool, arguments) in [
        ("list_pods", json!({})),
        ("get_pod", json!({"name": "p"})),
        ("get_pod_logs", json!({"name": "p"})),
        ("delete_pod", json!({"name": "p"})),
        ("patch_pod", json!({"name": "p", "patch": {"metadata": {"labels": {"a/b": "c"}}}})),
        ("create_pod", pod("p")),
        ("create_pod_from_template", json!({"name": "p", "templateRef": "default-agent-workspace"})),
        ("create_template", json!({"name": "t", "spec": {"containers": [{"name": "a", "image": "i"}]}})),
        ("update_template", json!({"name": "t", "tag": "x"})),
        ("delete_template", json!({"name": "t"})),
    ] {
        for namespace in ["kube-system", "default", "other"] {
            let mut arguments = arguments.clone();
            arguments["namespace"] = json!(namespace);
            let reply = admin.call(tool, arguments).await;
            assert_eq!(reply.error_id(), "NCR0401", "{tool} in {namespace}: {}", reply.text);
        }
    }
    // A reference names a namespace, too.
    let spec = json!({"containers": [{"name": "a", "image": "i"}]});
    for (tool, arguments) in [
        ("update_template", json!({"name": "default/t", "tag": "x"})),
        ("delete_template", json!({"name": "pod-template://default/t"})),
        ("create_pod_from_template", json!({"name": "p", "templateRef": "default/t"})),
        ("spawn_workspace", json!({"id": "w", "templateRef": "default/t"})),
    ] {
        assert_eq!(admin.call(tool, arguments).await.error_id(), "NCR0401", "{tool}");
    }
    let created = admin.call("create_template", json!({"name": "default/t", "spec": spec})).await;
    assert_eq!(created.error_id(), "NCR0102");
    world.stop().await;
}

#[tokio::test]
async fn t63_logs_are_data() {
    let dev = DevCluster::start(DevConfig::default()).await.unwrap();
    let world = DevWorld::over(dev, Default::default(), Options::default(), |_| {}).await;
    let ada = world.client(user("ada")).await;
    let mut arguments = pod("p");
    arguments["containers"][0]["command"] =
        json!(["/bin/sh", "-c", "printf 'a\\033[2Jb\\342\\200\\256c\\n'; exec sleep 3600"]);
    assert!(!ada.call("create_pod", arguments).await.failed);
    let waiting = async {
        loop {
            let reply = ada.call("get_pod_logs", json!({"name": "p", "timestamps": false})).await;
            if !reply.failed && reply.structured["logs"] != "" {
                break reply;
            }
        }
    };
    let reply = tokio::time::timeout(std::time::Duration::from_secs(60), waiting).await.unwrap();
    assert_eq!(reply.structured, json!({"logs": "abc\n", "container": "agent"}));
    assert_eq!(reply.text, "abc\n");
    let unknown = ada.call("get_pod_logs", json!({"name": "p", "container": "../x"})).await;
    assert!(
        unknown.failed && unknown.structured["error"]["code"].as_u64().unwrap() < 500,
        "{}",
        unknown.text
    );
    world.stop().await;
}
