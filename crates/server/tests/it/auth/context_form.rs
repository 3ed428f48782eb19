//! Secret context: from the call that lacks it, over the page where its user gives it, to the Secret of the workspace.

#![expect(clippy::indexing_slicing, reason = "a test that meets what it does not expect has failed")]

use std::collections::HashMap;

use nocrd_devcluster::kind::Kind;
use reqwest::{Method, RequestBuilder, header::HeaderMap};
use serde_json::{Value, json};

use super::{World, location, send};
use crate::{
    operations::Logs,
    support::{Cluster, Running},
};

const WRITE: &str = "nogoo9:read nogoo9:write";
const SECRET: &str = "hunter2 &<b>ü";
const PAGE: [(&str, &str); 3] =
    [("accept", "text/html"), ("sec-fetch-mode", "navigate"), ("sec-fetch-dest", "document")];
const OWN_FORM: (&str, &str) = ("sec-fetch-site", "same-origin");

/// Adds a template whose names are markup, and one that is not worth mentioning.
fn add_templates(cluster: &Cluster) {
    for (name, required) in [("t", "TOKEN,KEY"), ("odd", "<b>X</b>,\"Y")] {
        let map = json!({
            "metadata": {
                "name": name, "namespace": "nogoo9", "labels": { "nogoo9/pod-template": "true" },
                "annotations": { "nogoo9/required-context": required },
            },
            "data": { "spec": "containers: [{name: agent, image: busybox}]" },
        });
        cluster.dev.store().create(Kind::ConfigMap, map).unwrap();
    }
}

/// A call of `spawn_workspace` in the version of 2026-07-28, by a client that leads its user to addresses.
fn spawn(server: &Running, id: &str, template: &str, state: Option<&str>) -> RequestBuilder {
    let mut params = json!({
        "name": "spawn_workspace", "arguments": { "id": id, "templateRef": template },
        "_meta": {
            "io.modelcontextprotocol/protocolVersion": "2026-07-28",
            "io.modelcontextprotocol/clientInfo": { "name": "t", "version": "1" },
            "io.modelcontextprotocol/clientCapabilities": { "elicitation": { "url": {} } },
        },
    });
    if let Some(state) = state {
        params["requestState"] = json!(state);
        params["inputResponses"] = json!({ "context": { "action": "accept" } });
    }
    server
        .post_mcp(&json!({ "jsonrpc": "2.0", "id": 1, "method": "tools/call", "params": params }))
        .header("mcp-protocol-version", "2026-07-28")
        .header("mcp-method", "tools/call")
        .header("mcp-name", "spawn_workspace")
}

/// The page and the state that an answer asks to go to and to bring back.
fn question(answer: &Value) -> (String, String) {
    let result = &answer["result"];
    let asked = &result["inputRequests"]["context"]["params"];
    assert_eq!(
        (&result["resultType"], &asked["mode"]),
        (&json!("input_required"), &json!("url")),
        "{answer}"
    );
    let text = |value: &Value| value.as_str().unwrap().to_owned();
    (text(&asked["url"]), text(&result["requestState"]))
}

/// Calls until the template is known, and gives the page and the state.
async fn asked(server: &Running, token: Option<&str>, id: &str, template: &str) -> (String, String) {
    let answering = async {
        loop {
            let request = spawn(server, id, template, None);
            let request = token.into_iter().fold(request, |request, token| request.bearer_auth(token));
            let (_, _, answer) = send(request).await;
            if answer["result"]["resultType"] == "input_required" {
                return question(&answer);
            }
            let code = &answer["result"]["structuredContent"]["error"]["id"];
            assert_eq!(code, "NCR0201", "{answer}");
            tokio::time::sleep(std::time::Duration::from_millis(10)).await;
        }
    };
    tokio::time::timeout(crate::support::PATIENCE, answering).await.unwrap()
}

fn with(request: RequestBuilder, headers: &[(&str, &str)]) -> RequestBuilder {
    headers.iter().fold(request, |request, (name, value)| request.header(*name, *value))
}

/// What a browser sends with a form.
fn form(fields: &[(&str, &str)]) -> String {
    url::form_urlencoded::Serializer::new(String::new()).extend_pairs(fields).finish()
}

fn good() -> String {
    form(&[("TOKEN", SECRET), ("KEY", "k"), ("OTHER", "evil")])
}

struct Browser<'a> {
    server: &'a Running,
    cookie: String,
}

impl Browser<'_> {
    async fn of<'a>(world: &'a World, sub: &str) -> Browser<'a> {
        let cookie = world.session(&world.token(sub, &["user"], WRITE)).await;
        Browser { server: &world.server, cookie }
    }

    async fn open(&self, url: &str) -> (u16, HeaderMap, String) {
        // From a link in a client that is a page of another site.
        let request = with(self.server.client.get(url), &PAGE).header("sec-fetch-site", "cross-site");
        let (status, headers, body) = send(request.header("cookie", &self.cookie)).await;
        (status, headers, body.as_str().unwrap_or_default().to_owned())
    }

    async fn fill_in(&self, url: &str, headers: &[(&str, &str)], body: String) -> (u16, String) {
        let request = with(self.server.client.post(url), &PAGE).header("cookie", &self.cookie);
        let request = request.header("content-type", "application/x-www-form-urlencoded").body(body);
        let (status, _, body) = send(with(request, headers)).await;
        (status, body.as_str().unwrap_or_default().to_owned())
    }
}

fn context_of(cluster: &Cluster, id: &str) -> HashMap<String, String> {
    use base64::{Engine as _, prelude::BASE64_STANDARD};
    let secrets = cluster.dev.store().list(Kind::Secret, Some("nogoo9")).items;
    let name = format!("ws-{id}-context");
    let Some(secret) = secrets.iter().find(|secret| secret["metadata"]["name"] == name) else {
        return HashMap::new();
    };
    let decoded = |value: &Value| BASE64_STANDARD.decode(value.as_str().unwrap()).unwrap();
    let data = secret["data"].as_object().unwrap().iter();
    data.map(|(name, value)| (name.clone(), String::from_utf8(decoded(value)).unwrap())).collect()
}

fn pending(cluster: &Cluster) -> usize {
    let secrets = cluster.dev.store().list(Kind::Secret, Some("nogoo9")).items;
    let is = |name: &Value| name.as_str().unwrap().starts_with("nogoo9-context-");
    secrets.iter().filter(|secret| is(&secret["metadata"]["name"])).count()
}

#[tokio::test]
async fn t54_a_user_gives_secrets_on_a_page_of_the_server() {
    let logs = Logs::listen();
    let world = World::start(&[("UI_TITLE", "<i>Us</i>")]).await;
    add_templates(&world.cluster);
    let alice = world.token("alice", &["user"], WRITE);
    let (url, state) = asked(&world.server, Some(&alice), "w1", "t").await;
    let handle = url.strip_prefix(&format!("{}/context/", world.server.base)).unwrap();
    assert_eq!(handle.len(), 43);
    assert!(!state.contains(handle));

    // Who has not signed in is sent to do that, and comes back.
    let (status, headers, _) = send(with(world.server.client.get(&url), &PAGE)).await;
    assert_eq!(status, 303);
    let back: String =
        url::form_urlencoded::byte_serialize(format!("/context/{handle}").as_bytes()).collect();
    assert_eq!(location(&headers), format!("/auth/login?redirect_uri={back}"));

    let browser = Browser::of(&world, "alice").await;
    let (status, headers, page) = browser.open(&url).await;
    assert_eq!(status, 200, "{page}");
    for (name, part) in [
        ("content-security-policy", "default-src 'none'"),
        ("content-security-policy", "form-action 'self'"),
        ("content-security-policy", "frame-ancestors 'none'"),
        ("cache-control", "no-store"),
        // With `no-referrer` browsers call the origin of a form `null`.
        ("referrer-policy", "same-origin"),
        ("x-content-type-options", "nosniff"),
    ] {
        assert!(headers[name].to_str().unwrap().contains(part), "{name}");
    }
    for part in [
        "<label for=\"v0\">TOKEN</label><input id=\"v0\" name=\"TOKEN\" type=\"password\" required autocomplete=\"off\"",
        "<label for=\"v1\">KEY</label>",
        "<dd>Spawn a workspace</dd>",
        "<dd>t</dd>",
        "<dd>w1</dd>",
        "<dd>alice</dd>",
        "&lt;i&gt;Us&lt;/i&gt;",
    ] {
        assert!(page.contains(part), "{part}: {page}");
    }
    assert!(!page.contains("<script") && !page.contains(handle));

    // What is wrong with a form is said, and none of its values.
    for (body, problem) in [
        (String::new(), "<a href=\"#v1\">KEY</a>: give a value"),
        (form(&[("TOKEN", SECRET)]), "<a href=\"#v1\">KEY</a>: give a value"),
        (form(&[("TOKEN", SECRET), ("KEY", "")]), "id=\"p1\">give a value"),
        (form(&[("TOKEN", "hunter2\0"), ("KEY", "k")]), "<a href=\"#v0\">TOKEN</a>: the value holds a NUL"),
        (form(&[("TOKEN", SECRET), ("TOKEN", SECRET), ("KEY", "k")]), "more than one value"),
        ("TOKEN=hunter2%ff&KEY=k".to_owned(), "no text in UTF-8"),
        (form(&[("TOKEN", &"hunter2".repeat(6_000)), ("KEY", "k")]), "too long"),
    ] {
        let (status, page) = browser.fill_in(&url, &[OWN_FORM], body).await;
        assert_eq!(status, 422, "{page}");
        assert!(page.contains(problem) && page.contains("role=\"alert\""), "{problem}: {page}");
        assert!(!page.contains("hunter2"), "{page}");
    }
    let (status, _) = browser.fill_in(&url, &[OWN_FORM], "A".repeat(64 * 1024 + 1)).await;
    assert_eq!(status, 413);
    // The question alone is kept until then.
    assert_eq!(pending(&world.cluster), 1);

    let (status, page) = browser.fill_in(&url, &[OWN_FORM], good()).await;
    assert_eq!(status, 200, "{page}");
    assert!(page.contains("You may close this page") && !page.contains("hunter2"), "{page}");
    assert_eq!(pending(&world.cluster), 2);
    let again = browser.fill_in(&url, &[OWN_FORM], form(&[("TOKEN", "other"), ("KEY", "other")])).await;
    assert_eq!((again.0, browser.open(&url).await.0), (404, 404), "twice");

    let (status, _, answer) = send(spawn(&world.server, "w1", "t", Some(&state)).bearer_auth(&alice)).await;
    assert_eq!(
        (status, &answer["result"]["structuredContent"]["status"]),
        (200, &json!("spawned")),
        "{answer}"
    );
    assert!(!answer.to_string().contains("hunter2"));
    let context = [("TOKEN", SECRET), ("KEY", "k")].map(|(name, value)| (name.to_owned(), value.to_owned()));
    assert_eq!(context_of(&world.cluster, "w1"), context.into());
    assert_eq!(pending(&world.cluster), 0);

    let acts = logs.acts();
    let Some(act) = acts.iter().find(|act| act["action"] == "context.give") else {
        panic!("{acts:?} {}", logs.text());
    };
    let told = ["outcome", "subject", "workspace", "template"].map(|name| act[name].as_str().unwrap());
    assert_eq!(told, ["done", "alice", "w1", "t"]);
    let told = format!("{acts:?} {}", logs.text());
    for secret in ["hunter2", handle, &*good(), &state] {
        assert!(!told.contains(secret), "{secret} is in a log");
    }
    assert!(told.contains("/context/…"));
    world.server.stop().await;
}

#[tokio::test]
async fn t21_t23_a_page_is_for_the_caller_and_for_our_own_forms() {
    let world = World::start(&[]).await;
    add_templates(&world.cluster);
    let alice = world.token("alice", &["user"], WRITE);
    let (url, state) = asked(&world.server, Some(&alice), "w1", "t").await;
    let unknown = format!("{}/context/{}", world.server.base, "A".repeat(43));
    let mallory = Browser::of(&world, "mallory").await;
    // Somebody else's page is like one that is not there.
    let error_page = |page: String| page.replace(&url, "").replace(&unknown, "");
    let (status, _, theirs) = mallory.open(&url).await;
    let (_, _, none) = mallory.open(&unknown).await;
    assert_eq!((status, error_page(theirs)), (404, error_page(none)));
    let (status, theirs) = mallory.fill_in(&url, &[OWN_FORM], good()).await;
    assert_eq!((status, theirs), mallory.fill_in(&unknown, &[OWN_FORM], good()).await);
    assert_eq!(status, 404);
    // An administrator is not the caller either.
    let admin = world.token("admin", &["admin"], "nogoo9:read nogoo9:write nogoo9:admin");
    assert_eq!(send(world.server.client.get(&url).bearer_auth(&admin)).await.0, 404);

    // Pages elsewhere, and programs, send no forms of ours.
    let browser = Browser::of(&world, "alice").await;
    for headers in [
        &[][..],
        &[("sec-fetch-site", "cross-site")],
        &[("sec-fetch-site", "same-site")],
        &[("sec-fetch-site", "none")],
        &[("origin", "https://evil.example")],
        &[("origin", "null"), OWN_FORM],
        &[("origin", "https://evil.example"), ("sec-fetch-site", "cross-site")],
    ] {
        assert_eq!(browser.fill_in(&url, headers, good()).await.0, 403, "{headers:?}");
    }
    let request = world.server.client.post(&url).bearer_auth(&alice).body(good());
    assert_eq!(send(request).await.0, 403);
    let request = world.server.client.get(&url).header("host", "evil.example").bearer_auth(&alice);
    assert_eq!(send(request).await.0, 403);
    assert_eq!(pending(&world.cluster), 1);

    // As browsers tell it that send no fetch metadata.
    let own = world.server.base.clone();
    assert_eq!(browser.fill_in(&url, &[("origin", &own)], good()).await.0, 200);
    // The values are for that call of that caller.
    let stolen = spawn(&world.server, "w1", "t", Some(&state));
    let (_, _, answer) = send(stolen.bearer_auth(world.token("mallory", &["user"], WRITE))).await;
    assert_eq!(answer["error"]["code"], -32602, "{answer}");
    let (_, _, answer) = send(spawn(&world.server, "w2", "t", Some(&state)).bearer_auth(&alice)).await;
    assert_eq!(answer["error"]["code"], -32602, "{answer}");
    assert_eq!(pending(&world.cluster), 2);
    world.server.stop().await;
}

#[tokio::test]
async fn names_of_a_template_are_text() {
    let world = World::start(&[]).await;
    add_templates(&world.cluster);
    let alice = world.token("alice", &["user"], WRITE);
    let (url, state) = asked(&world.server, Some(&alice), "w1", "odd").await;
    let browser = Browser::of(&world, "alice").await;
    let (status, _, page) = browser.open(&url).await;
    assert_eq!(status, 200);
    assert!(page.contains(">&lt;b&gt;X&lt;/b&gt;</label>") && page.contains("name=\"&quot;Y\""), "{page}");
    assert!(!page.contains("<b>"), "{page}");
    let filled = form(&[("<b>X</b>", "x"), ("\"Y", "y")]);
    assert_eq!(browser.fill_in(&url, &[OWN_FORM], filled).await.0, 200);
    // No environment variable is called that.
    let (_, _, answer) = send(spawn(&world.server, "w1", "odd", Some(&state)).bearer_auth(&alice)).await;
    assert_eq!(answer["result"]["isError"], true, "{answer}");
    world.server.stop().await;
}

#[tokio::test]
async fn any_replica_serves_the_page_and_the_call() {
    let world = World::start(&[]).await;
    add_templates(&world.cluster);
    let (issuer, cookies) = (world.idp.issuer().to_owned(), super::SESSION_SECRET);
    let env = [
        ("AUTH_ENABLED", "true"),
        ("HOST", "127.0.0.1"),
        ("AUTH_ISSUER", &issuer[..]),
        ("OAUTH_CLIENT_ID", nocrd_testkit::idp::CLIENT_ID),
        ("PROXY_SESSION_SECRET", cookies),
    ];
    let other = Running::start(&world.cluster, &env).await;
    let alice = world.token("alice", &["user"], WRITE);
    let (url, state) = asked(&world.server, Some(&alice), "w1", "t").await;
    let elsewhere = url.replace(&world.server.base, &other.base);
    let browser = Browser::of(&world, "alice").await;
    let (status, _, page) = browser.open(&elsewhere).await;
    assert_eq!(status, 200, "{page}");
    assert_eq!(browser.fill_in(&elsewhere, &[OWN_FORM], good()).await.0, 200);
    assert_eq!(browser.open(&url).await.0, 404);
    asked(&other, Some(&alice), "unused", "t").await;
    let (_, _, answer) = send(spawn(&other, "w1", "t", Some(&state)).bearer_auth(&alice)).await;
    assert_eq!(answer["result"]["structuredContent"]["status"], "spawned", "{answer}");
    other.stop().await;
    world.server.stop().await;
}

#[tokio::test]
async fn without_authentication_the_address_is_what_counts() {
    let cluster = Cluster::start().await;
    add_templates(&cluster);
    let server = Running::start(&cluster, &[("BASE_URL", "/gw")]).await;
    let (url, state) = asked(&server, None, "w1", "t").await;
    assert!(url.starts_with(&format!("{}/context/", server.base)), "{url}");
    let browser = Browser { server: &server, cookie: String::new() };
    let (status, _, page) = browser.open(&url).await;
    assert_eq!(status, 200);
    assert!(page.contains("<dd>w1</dd>") && !page.contains("Signed in") && !page.contains("guest"), "{page}");
    for headers in [&[][..], &[("sec-fetch-site", "cross-site")], &[("origin", "http://localhost:1")]] {
        assert_eq!(browser.fill_in(&url, headers, good()).await.0, 403, "{headers:?}");
    }
    let rebound = server.client.get(&url).header("host", "evil.example");
    assert_eq!(send(rebound).await.0, 403);
    assert_eq!(browser.fill_in(&url, &[OWN_FORM], good()).await.0, 200);
    // Nothing of it is in the cluster before the call.
    assert_eq!(pending(&cluster), 0);
    let (_, _, answer) = send(spawn(&server, "w1", "t", Some(&state))).await;
    assert_eq!(answer["result"]["structuredContent"]["status"], "spawned", "{answer}");
    assert_eq!(context_of(&cluster, "w1")["TOKEN"], SECRET);
    assert_eq!(browser.open(&url).await.0, 404);
    server.stop().await;
}

#[tokio::test]
async fn where_nobody_knows_the_address_there_is_no_page() {
    let cluster = Cluster::start().await;
    add_templates(&cluster);
    let server = Running::start(&cluster, &[("HOST", "0.0.0.0")]).await;
    let refused = async {
        loop {
            let (_, _, answer) = send(spawn(&server, "w1", "t", None)).await;
            let code = answer["result"]["structuredContent"]["error"]["id"].as_str().unwrap().to_owned();
            if code != "NCR0201" {
                return code;
            }
            tokio::time::sleep(std::time::Duration::from_millis(10)).await;
        }
    };
    assert_eq!(tokio::time::timeout(crate::support::PATIENCE, refused).await.unwrap(), "NCR0208");
    let path = format!("/context/{}", "A".repeat(43));
    let request = server.client.request(Method::GET, format!("{}{path}", server.base));
    assert_eq!(send(request).await.0, 404);
    server.stop().await;
}
