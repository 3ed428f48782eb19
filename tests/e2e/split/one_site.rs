//! What people see of it: one site.

use futures::{SinkExt, StreamExt};
use reqwest::Method;
use serde_json::{Value, json};
use tokio_tungstenite::tungstenite::Message;

use super::{Ground, TEMPLATE};
use crate::{
    auth::{Visitor, until},
    part::Half,
};

const DEEP: &str = "/route/w1/echo/deep/a%20b?q=1&r=%2F";

/// A session as a cookie header.
fn session_of(visitor: &Visitor) -> String {
    format!("nocr_sess={}", visitor.cookie("nocr_sess").unwrap())
}

#[tokio::test(flavor = "multi_thread")]
async fn t13_t21_two_programs_behind_an_ingress_are_one_site() {
    let mut ground = Ground::prepare().await;
    // Nothing but the cluster tells them the key.
    let mcp = [ground.start(Half::Mcp, &[]), ground.start(Half::Mcp, &[])];
    let proxies = [ground.start(Half::Proxy, &[]), ground.start(Half::Proxy, &[])];
    ground.nginx.start(&mcp.each_ref(), &proxies.each_ref());
    let mut keys = Vec::new();
    for part in mcp.iter().chain(&proxies) {
        let (status, ready) = part.readiness().await;
        assert_eq!((status, &ready["checks"]["sessionKeyShared"]), (200, &json!(true)), "{ready}");
        keys.push(part.session_key());
    }
    assert!(keys.iter().all(|key| *key == keys[0]), "{keys:?}");
    let (alice, origin) = (ground.visitor(), ground.nginx.origin().to_owned());

    // The MCP server signs her in, and both proxies know her.
    alice.sign_in("alice").await;
    let attributes = alice.attributes("nocr_sess").unwrap();
    for attribute in ["secure", "httponly", "samesite=lax"] {
        assert!(attributes.contains(attribute), "{attributes}");
    }
    let arguments = json!({ "id": "w1", "templateRef": TEMPLATE, "wait": true });
    let spawned = alice.tool("spawn_workspace", arguments).await;
    assert_eq!(
        (&spawned["status"], &spawned["url"]),
        (&json!("running"), &json!(format!("{origin}/route/w1/")))
    );
    for proxy in &proxies {
        let cookies = session_of(&alice);
        until("the page at each proxy", async || {
            ground.ask(proxy, Method::GET, "/route/w1/", &cookies).await == 200
        })
        .await;
    }
    let echo = alice.fetch(Method::GET, "/route/w1/echo", None).await;
    let echo: Value = echo.json().await.unwrap();
    let header = |name: &str| echo["headers"][name].as_str();
    assert_eq!(header("x-forwarded-proto"), Some("https"), "{echo}");
    assert_eq!(header("x-forwarded-host"), Some(ground.nginx.host()), "{echo}");
    assert_eq!((header("x-user-sub"), header("cookie")), (Some("alice"), None), "{echo}");

    // Pages of the site open WebSockets, and of no other.
    let mut socket = alice.socket("/route/w1/echo", Some(&origin)).await.unwrap();
    socket.send(Message::text("hello")).await.unwrap();
    assert_eq!(socket.next().await.unwrap().unwrap(), Message::text("hello"));
    let inner = proxies[0].base().to_owned();
    for foreign in ["https://evil.test", "null", &origin.replace("https", "http"), &inner] {
        assert_eq!(alice.socket("/route/w1/echo", Some(foreign)).await.err(), Some(403), "t21 {foreign}");
    }
    assert_eq!(ground.visitor().socket("/route/w1/echo", Some(&origin)).await.err(), Some(401));

    // Who has a link to the depth of a workspace, and no session, gets one and comes to where it leads.
    let elsewhere = ground.visitor();
    let page = elsewhere.browse(DEEP).await;
    assert_eq!((page.status().as_u16(), page.url().as_str()), (200, &format!("{origin}{DEEP}")[..]));
    let page: Value = page.json().await.unwrap();
    assert_eq!((&page["path"], &page["query"]), (&json!("/echo/deep/a%20b"), &json!("q=1&r=%2F")), "{page}");

    // A proxy carries sessions on, too.
    elsewhere.forget("nocr_sess");
    assert_eq!(elsewhere.status("/route/w1/").await, 200);
    assert!(elsewhere.attributes("nocr_sess").unwrap().contains("secure"));

    // She signs out at the MCP server, with all she has open at the proxies; her other browser stays.
    let copy = session_of(&alice);
    alice.sign_out().await;
    for proxy in &proxies {
        until("signing out at each proxy", async || {
            ground.ask(proxy, Method::GET, "/route/w1/", &copy).await == 401
        })
        .await;
    }
    let end = tokio::time::timeout(crate::dev::PATIENCE, async {
        while let Some(Ok(message)) = socket.next().await {
            if message.is_close() {
                break;
            }
        }
    });
    end.await.expect("the WebSocket of a session that was ended goes on");
    assert_eq!(elsewhere.status("/route/w1/").await, 200);

    // The other way round.
    let copy = session_of(&elsewhere);
    assert_eq!(ground.ask(&proxies[0], Method::POST, "/logout", &copy).await, 200);
    for part in &mcp {
        until("signing out at each MCP server", async || {
            ground.ask(part, Method::GET, "/auth/session", &copy).await == 401
        })
        .await;
    }

    for part in mcp.into_iter().chain(proxies) {
        part.stop();
    }
    ground.cluster.stop();
}
