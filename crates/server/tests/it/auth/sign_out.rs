//! Signing out.

use nocrd_testkit::User;
use reqwest::Method;
use serde_json::json;

use super::{World, location, send, set_cookie, sign_in::Browser};

async fn signed_in(world: &World) -> Browser {
    world.idp.sign_in_as(User::new("alice").with("roles", json!(["user"])));
    let mut browser = Browser::default();
    browser.sign_in(world, "/").await;
    browser
}

async fn status(world: &World, cookies: &str) -> u16 {
    send(world.ask(Method::GET, "/auth/session", None).header("cookie", cookies)).await.0
}

#[tokio::test]
async fn t16_signing_out_ends_all_copies_of_the_session() {
    let world = World::start(&[]).await;
    for path in ["/logout", "/mcp/logout"] {
        let browser = signed_in(&world).await;
        let copy = browser.cookies();
        let request = world.ask(Method::POST, path, None).header("cookie", &copy);
        let (code, headers, body) = send(request.header("sec-fetch-site", "same-origin")).await;
        assert_eq!((code, body), (200, json!({ "message": "Logged out" })));
        for name in ["nocr_sess", "nocr_refresh"] {
            let cookie = set_cookie(&headers, name).unwrap();
            assert!(cookie.contains("Max-Age=0") && cookie.contains("Path=/;"), "{cookie}");
        }
        // Neither the session nor what would refresh it is good any more, wherever it was copied to.
        assert_eq!(status(&world, &copy).await, 401);
    }
    assert!(world.idp.counts().revocations >= 2);
    assert_eq!(world.idp.counts().refresh_grants, 0, "signing out refreshes nothing");
    world.server.stop().await;
}

#[tokio::test]
async fn a_browser_goes_on_to_the_provider() {
    let world = World::start(&[]).await;
    let browser = signed_in(&world).await;
    let request = world.ask(Method::POST, "/logout", None).header("cookie", browser.cookies());
    let request = request.header("accept", "text/html").header("origin", &world.server.base);
    let (code, headers, _) = send(request).await;
    assert_eq!(code, 303);
    assert!(location(&headers).starts_with(&world.idp.url("/end-session")), "{}", location(&headers));
    world.server.stop().await;
}

#[tokio::test]
async fn d23_t23_nobody_else_signs_anybody_out() {
    let world = World::start(&[]).await;
    let browser = signed_in(&world).await;
    let cookies = browser.cookies();
    let ask = async |method: Method, headers: &[(&str, &str)]| {
        let request = world.ask(method, "/logout", None);
        let request = headers.iter().fold(request, |request, (name, value)| request.header(*name, *value));
        send(request).await
    };
    let cross_site =
        [("sec-fetch-site", "cross-site"), ("sec-fetch-mode", "navigate"), ("accept", "text/html")];
    let with_cookies = [&cross_site[..], &[("cookie", &cookies)]].concat();
    for headers in [&cross_site[..], &with_cookies] {
        let (code, answer, _) = ask(Method::POST, headers).await;
        assert_eq!(code, 403);
        assert!(set_cookie(&answer, "nocr_sess").is_none());
    }
    let (code, answer, page) = ask(Method::GET, &with_cookies).await;
    assert_eq!(code, 200);
    assert!(set_cookie(&answer, "nocr_sess").is_none());
    assert!(page.as_str().unwrap().contains("<form method=\"post\">"), "{page}");
    // T27: nor by a click that the user does not see.
    assert_eq!(answer["x-frame-options"], "DENY");
    assert!(answer["content-security-policy"].to_str().unwrap().contains("frame-ancestors 'none'"));
    assert_eq!(status(&world, &cookies).await, 200, "still signed in");
    world.server.stop().await;
}
