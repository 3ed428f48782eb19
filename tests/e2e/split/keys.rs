//! The key of sessions, given to both programs by their settings.

use reqwest::Method;
use serde_json::json;

use super::{Ground, TEMPLATE};
use crate::{
    auth::{Visitor, until},
    part::Half,
};

const OLD: (&str, &str) = ("PROXY_SESSION_SECRET", "a key of session cookies, before its rotation");
const NEW: (&str, &str) = ("PROXY_SESSION_SECRET", "a key of session cookies, after its rotation");
const BESIDE: &str = "PROXY_SESSION_SECRET_PREVIOUS";

/// The session that a visitor has now.
fn session(visitor: &Visitor) -> String {
    format!("nocr_sess={}", visitor.cookie("nocr_sess").unwrap())
}

#[tokio::test(flavor = "multi_thread")]
async fn t17_the_key_changes_one_replica_after_the_other() {
    let mut ground = Ground::prepare().await;
    // In the midst of it: some make cookies with the old key, some with the new one, and all accept both.
    let (before, after) = ([OLD, (BESIDE, NEW.1)], [NEW, (BESIDE, OLD.1)]);
    let mcp = [ground.start(Half::Mcp, &before), ground.start(Half::Mcp, &after)];
    let proxies = [ground.start(Half::Proxy, &before), ground.start(Half::Proxy, &after)];
    // Each sign-in begins at one of the MCP servers and ends at the other, which makes the cookie.
    let mut made = Vec::new();
    for (begins, ends) in [(&mcp[1], &mcp[0]), (&mcp[0], &mcp[1])] {
        ground.nginx.start(&[begins], &proxies.each_ref());
        let alice = ground.visitor();
        let back = alice.half_a_sign_in("/auth/login?redirect_uri=%2Fpermissions").await;
        ground.nginx.start(&[ends], &proxies.each_ref());
        let ended = alice.browse(&back).await;
        assert_eq!(ended.status(), 200, "{}", ended.text().await.unwrap());
        let key = session(&alice).split('.').nth(1).unwrap().to_owned();
        assert_eq!(key, ends.session_key());
        if made.is_empty() {
            let arguments = json!({ "id": "w1", "templateRef": TEMPLATE, "wait": true });
            alice.tool("spawn_workspace", arguments).await;
        }
        made.push(session(&alice));
    }
    let [old, new] = &made[..] else { panic!("{made:?}") };
    for cookies in [old, new] {
        for proxy in &proxies {
            until("the page", async || ground.ask(proxy, Method::GET, "/route/w1/", cookies).await == 200)
                .await;
        }
        for part in &mcp {
            assert_eq!(ground.ask(part, Method::GET, "/auth/session", cookies).await, 200);
        }
    }

    // In the end there is the new one alone.
    let last = [ground.start(Half::Mcp, &[NEW]), ground.start(Half::Proxy, &[NEW])];
    let paths = ["/auth/session", "/route/w1/"];
    for (part, path) in last.iter().zip(paths) {
        assert_eq!(ground.ask(part, Method::GET, path, new).await, 200, "{path}");
        assert_eq!(ground.ask(part, Method::GET, path, old).await, 401, "{path}");
    }
    for part in mcp.into_iter().chain(proxies).chain(last) {
        part.stop();
    }
    ground.cluster.stop();
}

#[tokio::test(flavor = "multi_thread")]
async fn programs_with_different_keys_say_so_and_send_nobody_in_circles() {
    let mut ground = Ground::prepare().await;
    let (mcp, proxy) = (ground.start(Half::Mcp, &[OLD]), ground.start(Half::Proxy, &[NEW]));
    ground.nginx.start(&[&mcp], &[&proxy]);
    let alice = ground.visitor();
    alice.sign_in("alice").await;
    // The provider knows her, and would let her through again and again.
    let page = alice.browse("/route/w1/deep?q=1").await;
    assert_eq!((page.status().as_u16(), page.headers().contains_key("retry-after")), (503, true));
    let text = page.text().await.unwrap();
    assert!(text.contains("NCR0408"), "{text}");
    let told = proxy.says("session key that is not known here");
    let (theirs, ours) = (mcp.session_key(), proxy.session_key());
    assert!(told.contains(&theirs) && theirs != ours, "{theirs} {ours}: {told}");
    // Operators are told, and nobody else.
    assert!(!text.contains(&theirs) && !text.contains(&ours), "{text}");
    mcp.stop();
    proxy.stop();
    ground.cluster.stop();
}
