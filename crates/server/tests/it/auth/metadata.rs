//! RFC 9728: how a client without a token finds out where to get one.

use reqwest::Method;
use serde_json::json;

use super::{World, send};
use crate::support::initialize;

#[tokio::test]
async fn t59_a_client_finds_its_way_from_the_challenge() {
    let world = World::start(&[("BASE_URL", "/gw")]).await;
    let (status, headers, body) = send(world.server.post_mcp(&initialize())).await;
    assert_eq!((status, body["code"].as_str()), (401, Some("NCR0404")));
    let challenge = headers["www-authenticate"].to_str().unwrap();
    // RFC 6750, 3.1: a request without credentials gets no error code.
    assert!(challenge.starts_with("Bearer ") && !challenge.contains("error="), "{challenge}");
    let url = challenge.split_once("resource_metadata=\"").unwrap().1.split('"').next().unwrap();
    assert!(headers["link"].to_str().unwrap().contains(url));

    let (status, headers, document) = send(world.server.client.get(url)).await;
    assert_eq!(status, 200);
    assert_eq!(headers["access-control-allow-origin"], "*");
    assert_eq!(document["resource"], json!(format!("{}/mcp", world.server.base)));
    assert_eq!(document["authorization_servers"], json!([world.idp.issuer()]));
    assert_eq!(document["scopes_supported"], json!(["nogoo9:read", "nogoo9:write", "nogoo9:admin"]));
    // What an agent gets without being told otherwise are not the rights of administrators.
    assert!(challenge.contains("scope=\"nogoo9:read nogoo9:write\""), "{challenge}");
    assert_eq!(document["bearer_methods_supported"], json!(["header"]));

    // A page elsewhere may ask for it, with the headers of its protocol.
    let preflight = world.server.client.request(Method::OPTIONS, url).header("origin", "https://app.example");
    let (status, headers, _) = send(preflight.header("access-control-request-method", "GET")).await;
    assert_eq!((status, headers["access-control-allow-headers"].to_str().unwrap()), (204, "*"));

    let (_, headers, _) = send(world.ask(Method::GET, "/mcp", Some("not-a-token"))).await;
    let challenge = headers["www-authenticate"].to_str().unwrap();
    assert!(challenge.contains("error=\"invalid_token\""), "{challenge}");
    world.server.stop().await;
}

#[tokio::test]
async fn t59_the_document_is_where_the_standard_puts_it_and_says_nothing_else() {
    let world = World::start(&[("BASE_URL", "/gw"), ("PUBLIC_URL", "https://no-crd.example/front")]).await;
    let root = world.server.base.strip_suffix("/gw").unwrap().to_owned();
    const WELL_KNOWN: &str = "/.well-known/oauth-protected-resource";
    for (path, resource) in [
        (WELL_KNOWN.to_owned(), "https://no-crd.example/front"),
        (format!("{WELL_KNOWN}/gw"), "https://no-crd.example/front"),
        (format!("{WELL_KNOWN}/gw/mcp"), "https://no-crd.example/front/mcp"),
        (format!("/gw{WELL_KNOWN}"), "https://no-crd.example/front"),
        (format!("/gw{WELL_KNOWN}/mcp"), "https://no-crd.example/front/mcp"),
    ] {
        let request = world.server.client.get(format!("{root}{path}"));
        // Nothing of the request gets into it.
        let request =
            request.header("x-forwarded-host", "evil.example").header("x-forwarded-proto", "gopher");
        let (status, _, document) = send(request).await;
        assert_eq!((status, document["resource"].as_str()), (200, Some(resource)), "{path}");
    }
    for path in ["/evil", "/gw/evil", "/gw/mcp/x", "/mcp"] {
        let (status, ..) = send(world.server.client.get(format!("{root}{WELL_KNOWN}{path}"))).await;
        assert_eq!(status, 404, "{path}");
    }
    let foreign = world.server.client.get(format!("{root}{WELL_KNOWN}")).header("host", "evil.example");
    assert_eq!(send(foreign).await.0, 403);
    world.server.stop().await;
}

#[tokio::test]
async fn a_server_that_asks_nobody_has_no_metadata() {
    let cluster = crate::support::Cluster::start().await;
    let server = crate::support::Running::start(&cluster, &[]).await;
    assert_eq!(send(server.get("/.well-known/oauth-protected-resource")).await.0, 404);
    assert_eq!(send(server.get("/permissions")).await.0, 200);
    assert_eq!(send(server.get("/logout")).await.2["message"], "Logged out");
    server.stop().await;
}

#[tokio::test]
async fn t59_the_document_is_kept_by_nobody_where_a_request_s_host_is_in_it() {
    for (env, expected) in [(&[][..], "no-store"), (&[("PUBLIC_URL", "https://gw.example")], "max-age=60")] {
        let world = World::start(env).await;
        let url = "/.well-known/oauth-protected-resource";
        let (status, headers, _) = send(world.ask(Method::GET, url, None)).await;
        assert_eq!((status, headers["cache-control"].to_str().unwrap()), (200, expected));
        world.server.stop().await;
    }
}
