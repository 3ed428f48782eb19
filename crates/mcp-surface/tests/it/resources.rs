//! Resources: whose they are, what can be read, how they are listed.

use nocrd_mcp_surface::Options;
use nocrd_model::{Caller, Grants, Role};
use rmcp::model::{PaginatedRequestParams, ReadResourceRequestParams};
use serde_json::{Value, json};

use crate::{
    api::{Api, pod, template},
    world::{Client, World, refusal},
};

const DEFAULT_TEMPLATE: &str = "pod-template://nogoo9/default-agent-workspace";

fn caller(name: &str, role: Role, roles: &[&str]) -> Caller {
    let roles = roles.iter().map(|role| (*role).to_owned()).collect();
    Caller::verified(name.into(), role).with_grants(Grants { roles, ..Grants::default() })
}

fn user(name: &str) -> Caller {
    caller(name, Role::User, &["user"])
}

/// What a client is answered to a read of what is not there for it.
async fn absence(client: &Client, uri: &str) -> String {
    let error = client.read(uri).await.expect_err(uri);
    assert_eq!(error.code.0, -32002, "{uri}: {error:?}");
    format!("{} {}", error.message, error.data.unwrap_or_default())
}

#[tokio::test(start_paused = true)]
async fn t50_another_s_workspace_is_not_there_at_any_uri() {
    let api = Api::default();
    api.put("pods", pod("hers", "alice"));
    let world = World::with(api, Options::default()).await.synced().await;
    for role in [Role::Viewer, Role::User] {
        let bob = world.client_of(caller("bob", role, &[])).await;
        for namespace in ["nogoo9", "default", "kube-system"] {
            let hers = absence(&bob, &format!("workspace://{namespace}/hers")).await;
            let none = absence(&bob, &format!("workspace://{namespace}/none")).await;
            assert_eq!(hers.replace("hers", "?"), none.replace("none", "?"));
        }
        assert!(!bob.uris().await.iter().any(|uri| uri.starts_with("workspace:")), "{role:?}");
    }
    for owner in [user("alice"), caller("root", Role::Admin, &[]), Caller::local()] {
        let client = world.client_of(owner).await;
        assert!(client.uris().await.contains(&"workspace://nogoo9/hers".to_owned()));
        let read: Value =
            serde_json::from_str(&client.read("workspace://nogoo9/hers").await.unwrap()).unwrap();
        assert_eq!((&read["id"], &read["owner"]), (&json!("hers"), &json!("alice")));
        assert_eq!(read, client.call("get_workspace", json!({"id": "hers"})).await.structured);
        absence(&client, "workspace://default/hers").await;
    }
}

#[tokio::test(start_paused = true)]
async fn t51_odd_uris_name_nothing() {
    let api = Api::default();
    api.put("pods", pod("w1", "alice"));
    let client = World::with(api, Options::default()).await.synced().await.client_of(user("alice")).await;
    client.read("workspace://nogoo9/w1").await.unwrap();
    for odd in [
        "workspace://nogoo9/../nogoo9/w1",
        "workspace://nogoo9/%77%31",
        "workspace://nogoo9%2fw1",
        "workspace://nogoo9/w1/",
        "workspace://nogoo9/w1?namespace=other",
        "workspace://NOGOO9/w1",
        "workspace:///w1",
        "WORKSPACE://nogoo9/w1",
        "workspace://nogoo9/w1\u{0}",
        "pod-template://nogoo9/../../../etc/passwd",
        "pod-template://nogoo9/..%2f..%2fetc%2fpasswd",
        "pod-template://kube-system/default-agent-workspace",
        "pod-template:///etc/passwd",
        "file:///etc/passwd",
        "http://169.254.169.254/latest/meta-data",
        "ui://nogoo9/app/../app",
        "",
    ] {
        absence(&client, odd).await;
    }
    let told = absence(&client, "workspace://\u{1b}[2J\u{202e}evil").await;
    assert!(!told.contains(['\u{1b}', '\u{202e}']), "{told:?}");
    assert!(absence(&client, &"x".repeat(100_000)).await.len() < 1_000);
}

#[tokio::test(start_paused = true)]
async fn k08_k45_namespaces_that_are_not_served_have_nothing() {
    let api = Api::default();
    for namespace in ["team-a", "team-b"] {
        api.put("configmaps", template(namespace, &format!("of-{namespace}"), &json!({})));
        let mut pod = pod(&format!("w-{namespace}"), "alice");
        pod["metadata"]["namespace"] = json!(namespace);
        api.put("pods", pod);
    }
    let world = World::within(api, Options::default(), Some(&["team-a"])).await.synced().await;
    for caller in [user("alice"), caller("root", Role::Admin, &[]), Caller::local()] {
        let client = world.client_of(caller).await;
        let uris = client.uris().await;
        assert!(uris.contains(&"pod-template://team-a/of-team-a".to_owned()), "{uris:?}");
        assert!(uris.contains(&"workspace://team-a/w-team-a".to_owned()), "{uris:?}");
        assert!(!uris.iter().any(|uri| uri.contains("team-b")), "{uris:?}");
        for uri in [
            "workspace://team-b/w-team-b",
            "workspace://team-a/w-team-b",
            "pod-template://team-b/of-team-b",
            "pod-template://team-a/of-team-b",
            "pod-template://team-b/default-agent-workspace",
        ] {
            absence(&client, uri).await;
        }
        let completed =
            client.mcp.complete_resource_simple("pod-template://{namespace}/{name}", "namespace", "").await;
        assert_eq!(completed.unwrap(), ["nogoo9", "team-a"]);
    }
}

#[tokio::test(start_paused = true)]
async fn h01_restricted_templates_are_there_for_those_who_may_use_them_and_their_creator() {
    let api = Api::default();
    api.put("configmaps", template("nogoo9", "open", &json!({})));
    let restricted = json!({"nogoo9/allowed-roles": "ml", "nogoo9/user-sub": "alice"});
    api.put("configmaps", template("nogoo9", "gpu", &restricted));
    api.put("configmaps", template("secret-place", "gpu", &restricted));
    let world = World::with(api, Options::default()).await.synced().await;
    for (caller, sees) in [
        (caller("bob", Role::Viewer, &["viewer"]), false),
        (user("bob"), false),
        (caller("bob", Role::User, &["user", "ml"]), true),
        (user("alice"), true),
        (caller("root", Role::Admin, &[]), true),
        (Caller::local(), true),
    ] {
        let client = world.client_of(caller.clone()).await;
        let uris = client.uris().await;
        assert!(uris.contains(&"pod-template://nogoo9/open".to_owned()), "{uris:?}");
        assert_eq!(uris.contains(&"pod-template://nogoo9/gpu".to_owned()), sees, "{caller:?}");
        let list = client.call("list_templates", json!({})).await;
        assert_eq!(list.text.contains("gpu"), sees, "the tool says the same: {caller:?}");
        for (reference, argument) in
            [("pod-template://{namespace}/{name}", "name"), ("spawn-workspace", "templateRef")]
        {
            let completed = if reference.contains(':') {
                client.mcp.complete_resource_simple(reference, argument, "g").await
            } else if caller.role == Role::Viewer {
                continue;
            } else {
                client.mcp.complete_prompt_simple(reference, argument, "g").await
            };
            assert_eq!(
                completed.unwrap().iter().any(|name| name.contains("gpu")),
                sees,
                "{caller:?} {argument}"
            );
        }
        let namespaces =
            client.mcp.complete_resource_simple("pod-template://{namespace}/{name}", "namespace", "").await;
        assert_eq!(namespaces.unwrap().contains(&"secret-place".to_owned()), sees, "{caller:?}");
        if sees {
            client.read("pod-template://nogoo9/gpu").await.unwrap();
        } else {
            let hidden = absence(&client, "pod-template://nogoo9/gpu").await;
            assert_eq!(hidden.replace("gpu", "abc"), absence(&client, "pod-template://nogoo9/abc").await);
        }
    }
}

#[tokio::test(start_paused = true)]
async fn broken_templates_are_explained_to_those_who_may_write() {
    let api = Api::default();
    let mut broken = template("nogoo9", "broken", &json!({}));
    broken["data"]["spec"] = json!("containers: [{name: agent, imag: secret-image}]");
    api.put("configmaps", broken);
    let world = World::with(api, Options::default()).await.synced().await;
    let viewer = world.client_of(caller("bob", Role::Viewer, &[])).await;
    absence(&viewer, "pod-template://nogoo9/broken").await;
    for caller in [user("bob"), Caller::local()] {
        let client = world.client_of(caller).await;
        assert!(!client.uris().await.iter().any(|uri| uri.contains("broken")));
        let error = client.read("pod-template://nogoo9/broken").await.unwrap_err();
        assert!(error.message.contains("imag"), "{error:?}");
        assert_eq!(error.data.unwrap()["id"], "NCR0202");
    }
}

#[tokio::test(start_paused = true)]
async fn k45_templates_of_all_sources_are_listed_and_read_as_json() {
    let api = Api::default();
    api.put(
        "configmaps",
        template("nogoo9", "mine", &json!({"nogoo9/description": "Runs\u{1b}[31m things"})),
    );
    api.put("configmaps", template("team-a", "theirs", &json!({})));
    let client = World::with(api, Options::default()).await.synced().await.client().await;
    let all = client.mcp.list_all_resources().await.unwrap();
    let listed =
        |uri: &str| all.iter().find(|resource| resource.uri == uri).unwrap_or_else(|| panic!("{uri}"));
    let mine = listed("pod-template://nogoo9/mine");
    assert_eq!((mine.name.as_str(), mine.description.as_deref()), ("nogoo9/mine", Some("Runs things")));
    assert_eq!(listed("pod-template://team-a/theirs").description, None);
    assert_eq!(listed(DEFAULT_TEMPLATE).mime_type.as_deref(), Some("application/json"));
    assert_eq!(all.iter().filter(|resource| resource.uri.ends_with("/default-agent-workspace")).count(), 1);
    // YAML or not, JSON is read.
    let spec: Value =
        serde_json::from_str(&client.read("pod-template://nogoo9/mine").await.unwrap()).unwrap();
    assert_eq!(spec, json!({"containers": [{"name": "agent", "image": "i"}]}));
    for resource in &all {
        let text = client.read(&resource.uri).await.unwrap();
        let tool = client.call("get_template", json!({"name": resource.uri})).await;
        assert_eq!(
            serde_json::from_str::<Value>(&text).unwrap(),
            tool.structured["spec"],
            "{}",
            resource.uri
        );
    }
    // A local one is of every namespace, as it is for the tools.
    client.read("pod-template://team-a/default-agent-workspace").await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn t54_no_value_of_the_environment_is_read() {
    let api = Api::default();
    api.put("pods", pod("w1", "alice"));
    let client = World::with(api, Options::default()).await.synced().await.client().await;
    assert!(!client.read("workspace://nogoo9/w1").await.unwrap().contains("s3cret"));
}

#[tokio::test(start_paused = true)]
async fn a_thousand_are_listed_in_pages_without_asking_the_cluster() {
    let api = Api::default();
    for at in 0..1_000 {
        api.put("pods", pod(&format!("w{at}"), if at % 2 == 0 { "alice" } else { "bert" }));
    }
    let world = World::with(api, Options::default()).await.synced().await;
    let templates = world.client_of(user("nobody")).await.uris().await;
    let before = world.cluster.api_calls();
    for (caller, workspaces) in [(user("alice"), 500), (caller("root", Role::Admin, &[]), 1_000)] {
        let client = world.client_of(caller).await;
        let (mut uris, mut cursor) = (Vec::new(), None);
        loop {
            let params = PaginatedRequestParams::default().with_cursor(cursor);
            let page = client.mcp.list_resources(Some(params)).await.unwrap();
            assert!(!page.resources.is_empty() && page.resources.len() <= 200);
            assert!(serde_json::to_string(&page).unwrap().len() <= 64 * 1024);
            uris.extend(page.resources.into_iter().map(|resource| resource.uri));
            cursor = page.next_cursor;
            if cursor.is_none() {
                break;
            }
        }
        assert!(uris.starts_with(&templates), "templates come first");
        assert_eq!(uris.len(), templates.len() + workspaces);
        uris.sort_unstable();
        uris.dedup();
        assert_eq!(uris.len(), templates.len() + workspaces);
        client.read("workspace://nogoo9/w0").await.unwrap();
        let ids = client.mcp.complete_resource_argument("workspace://{namespace}/{id}", "id", "w", None);
        let ids = ids.await.unwrap();
        assert_eq!((ids.values.len(), ids.has_more), (100, Some(true)));
        assert_eq!(ids.total, Some(workspaces as u32));
    }
    assert_eq!(world.cluster.api_calls(), before);
}

#[tokio::test(start_paused = true)]
async fn t61_cursors_are_places_in_one_s_own_list() {
    let api = Api::default();
    for (id, owner) in [("a1", "alice"), ("b1", "bert"), ("b2", "bert")] {
        api.put("pods", pod(id, owner));
    }
    let world = World::with(api, Options::default()).await.synced().await;
    let alice = world.client_of(user("alice")).await;
    let page = async |cursor: &str| {
        let params = PaginatedRequestParams::default().with_cursor(Some(cursor.to_owned()));
        alice.mcp.list_resources(Some(params)).await.map_err(refusal)
    };
    use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
    // One that Bert was given.
    let of_bert = URL_SAFE_NO_PAD.encode("resources:workspace://nogoo9/b1");
    assert_eq!(page(&of_bert).await.unwrap().resources, []);
    let of_templates = URL_SAFE_NO_PAD.encode(format!("resources:{DEFAULT_TEMPLATE}"));
    let rest = page(&of_templates).await.unwrap().resources;
    assert!(rest.iter().any(|resource| resource.uri == "workspace://nogoo9/a1"), "{rest:?}");
    assert!(!rest.iter().any(|resource| resource.uri.contains("/b")), "{rest:?}");
    let others = ["workspaces:a1", "resources:", "resources:../x"].map(|key| URL_SAFE_NO_PAD.encode(key));
    for bad in others.iter().map(String::as_str).chain(["", "%%%", "zzz"]) {
        assert_eq!(page(bad).await.unwrap_err().code.0, -32602, "{bad}");
    }
}

#[tokio::test(start_paused = true)]
async fn the_page_of_the_app_is_there_when_the_server_has_one() {
    let uri = "ui://nogoo9/app";
    let client = World::new().await.synced().await.client().await;
    absence(&client, uri).await;
    assert!(!client.uris().await.contains(&uri.to_owned()));
    let options = Options { ui_page: Some("<!doctype html><p>hello</p>".into()), ..Options::default() };
    let client = World::with(Api::default(), options).await.synced().await.client().await;
    let all = client.mcp.list_all_resources().await.unwrap();
    let app = all.iter().find(|resource| resource.uri == uri).unwrap();
    assert_eq!(app.name, "nogoo9 Pod Manager");
    assert_eq!(app.mime_type.as_deref(), Some("text/html;profile=mcp-app"));
    let read = client.mcp.read_resource(ReadResourceRequestParams::new(uri)).await.unwrap();
    let read = serde_json::to_value(read).unwrap();
    assert_eq!(
        read["contents"],
        json!([{"uri": uri, "mimeType": "text/html;profile=mcp-app", "text": "<!doctype html><p>hello</p>"}])
    );
}

#[tokio::test(start_paused = true)]
async fn what_is_not_known_yet_is_said_to_be_so() {
    let api = Api::default();
    api.set_down(true);
    let client = World::with(api, Options::default()).await.client().await;
    for error in [
        client.read("workspace://nogoo9/w1").await.unwrap_err(),
        client.mcp.list_resources(None).await.map_err(refusal).unwrap_err(),
    ] {
        assert_eq!((error.code.0, &error.data.unwrap()["code"]), (-32603, &json!(503)));
    }
    // Templates of the server's own do not wait for the cluster.
    client.read(DEFAULT_TEMPLATE).await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn clients_of_2026_07_28_may_keep_nothing_for_others() {
    let api = Api::default();
    api.put("pods", pod("w1", "alice"));
    let world = World::with(api, Options::default()).await.synced().await;
    let client = world.modern_client_of(user("alice")).await;
    let private = |value: Value| assert_eq!(value["cacheScope"], "private", "{value}");
    private(serde_json::to_value(client.mcp.list_resources(None).await.unwrap()).unwrap());
    private(serde_json::to_value(client.mcp.list_resource_templates(None).await.unwrap()).unwrap());
    private(serde_json::to_value(client.mcp.list_prompts(None).await.unwrap()).unwrap());
    let params = ReadResourceRequestParams::new("workspace://nogoo9/w1");
    private(serde_json::to_value(client.mcp.read_resource(params).await.unwrap()).unwrap());
    let error = client.read("workspace://nogoo9/none").await.unwrap_err();
    assert_eq!(error.code.0, -32602, "{error:?}");
}
