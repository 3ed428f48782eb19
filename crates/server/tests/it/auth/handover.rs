//! Links with a token.

use reqwest::{Method, RequestBuilder, header::HeaderMap};
use serde_json::{Value, json};

use super::{World, location, send, set_cookie};
use crate::proxying::upstream;

const BOTH: &str = "nogoo9:read nogoo9:write";

/// A world with a workspace of alice, one of bob, and an open one of mallory.
async fn world(env: &[(&str, &str)]) -> World {
    let world = World::start(env).await;
    let open = [(nocrd_model::keys::WORKSPACE_AUTH_MODE.to_owned(), "no-auth".to_owned())];
    for (id, owner, annotations) in [("w1", "alice", &[][..]), ("w2", "bob", &[]), ("w3", "mallory", &open)] {
        world.cluster.add_pod_of(id, upstream().await, owner, annotations);
        world.cluster.make_ready(id);
        let token = world.token(owner, &["user"], BOTH);
        world.server.until_as(&token, &format!("/route/{id}/"), |status, _| status == 200).await;
    }
    world
}

/// A browser that follows a link from elsewhere.
fn follow(world: &World, path: &str) -> RequestBuilder {
    let request = world.ask(Method::GET, path, None).header("accept", "text/html");
    request.header("sec-fetch-site", "cross-site").header("sec-fetch-mode", "navigate")
}

/// A browser that answers a question of ours, with these cookies.
fn answer(world: &World, question: &str, cookies: &str) -> RequestBuilder {
    let request = world.ask(Method::POST, question, None).header("accept", "text/html");
    let request = request.header("origin", &world.server.base).header("sec-fetch-site", "same-origin");
    request.header("cookie", cookies)
}

/// The cookies that an answer sets, as they are sent.
fn cookies(headers: &HeaderMap) -> String {
    let all = headers.get_all("set-cookie").iter().map(|value| value.to_str().unwrap());
    all.filter_map(|cookie| cookie.split(';').next()).collect::<Vec<_>>().join("; ")
}

fn session(headers: &HeaderMap) -> Option<String> {
    Some(set_cookie(headers, "nocr_sess")?.split(';').next()?.to_owned())
}

async fn with(world: &World, cookies: &str, path: &str) -> (u16, Value) {
    let request = world.ask(Method::GET, path, None).header("cookie", cookies);
    let (status, _, body) = send(request).await;
    (status, body)
}

#[tokio::test]
async fn d15_d18_t08_a_link_asks_once_and_then_signs_in_without_its_token() {
    for (env, base) in [(&[][..], ""), (&[("BASE_URL", "/gw")], "/gw")] {
        let world = world(env).await;
        let token = world.token("alice", &["user"], BOTH);
        let (status, headers, _) =
            send(follow(&world, &format!("/route/w1/a%20b?x=1&token={token}&y=%2F"))).await;
        let question = location(&headers).to_owned();
        assert_eq!(status, 303);
        assert!(question.starts_with(&format!("{base}/auth/link?code=")), "{question}");
        let question = question.strip_prefix(base).unwrap();
        assert_eq!((session(&headers), &headers["referrer-policy"]), (None, &"no-referrer".parse().unwrap()));
        let begun = cookies(&headers);
        for secret in [&token, "alice"] {
            assert!(!begun.contains(secret) && !question.contains(secret), "{begun} {question}");
        }
        let ticket = headers["set-cookie"].to_str().unwrap();
        assert!(
            ticket.contains(&format!("; Path={base}/auth; Max-Age=60; HttpOnly; SameSite=Lax")),
            "{ticket}"
        );

        let page =
            world.ask(Method::GET, question, None).header("cookie", &begun).header("accept", "text/html");
        let (status, headers, page) = send(page).await;
        let page = page.as_str().unwrap();
        assert_eq!((status, session(&headers)), (200, None));
        assert!(
            page.contains("alice") && page.contains(&format!("{base}/route/w1/a%20b?x=1&amp;y=%2F")),
            "{page}"
        );
        assert!(headers["content-security-policy"].to_str().unwrap().contains("frame-ancestors 'none'"));

        // Nobody answers for somebody else, and nobody without being asked.
        let code = question.split_once("code=").unwrap().1;
        assert_eq!(send(answer(&world, question, "")).await.0, 400);
        assert_eq!(send(answer(&world, "/auth/link?code=", &begun)).await.0, 400);
        let other = format!("/auth/link?code={code}x");
        assert_eq!(send(answer(&world, &other, &begun)).await.0, 400);
        let foreign = world.ask(Method::POST, question, None).header("cookie", &begun);
        let (status, headers, _) = send(foreign.header("origin", "https://evil.example")).await;
        assert_eq!((status, session(&headers)), (403, None));
        let unproven = world.ask(Method::POST, question, None).header("cookie", &begun);
        assert_eq!(send(unproven).await.0, 403);

        let (status, headers, _) = send(answer(&world, question, &begun)).await;
        assert_eq!((status, location(&headers)), (303, format!("{base}/route/w1/a%20b?x=1&y=%2F").as_str()));
        let cookie = session(&headers).unwrap();
        assert_eq!(with(&world, &cookie, "/route/w1/x").await, (200, json!("upstream saw /x")));
        assert_eq!(with(&world, &cookie, "/route/w2/").await.0, 404);
        // It is used up, whoever has kept the cookie.
        let (status, headers, _) = send(answer(&world, question, &begun)).await;
        assert_eq!((status, session(&headers)), (400, None));
        world.server.stop().await;
    }
}

#[tokio::test]
async fn d15_no_link_changes_a_session() {
    let world = world(&[]).await;
    let (alice, mallory) = (world.token("alice", &["user"], BOTH), world.token("mallory", &["user"], BOTH));
    let session_of_alice = world.session(&alice).await;
    let link = format!("/route/w1/?token={mallory}");
    let (status, headers, _) = send(follow(&world, &link).header("cookie", &session_of_alice)).await;
    assert_eq!((status, location(&headers), cookies(&headers)), (303, "/route/w1/", String::new()));

    // Nor does one that was followed before she signed in.
    let (_, headers, _) = send(follow(&world, &link)).await;
    let (question, begun) = (location(&headers), cookies(&headers));
    let both = format!("{begun}; {session_of_alice}");
    let (status, headers, _) = send(answer(&world, question, &both)).await;
    assert_eq!((status, location(&headers), session(&headers)), (303, "/route/w1/", None));
    world.server.stop().await;
}

#[tokio::test]
async fn t08_t32_only_links_that_browsers_follow_and_good_tokens_of_ours_count() {
    let world = world(&[]).await;
    let good = world.token("alice", &["user"], BOTH);
    let session_of_alice = world.session(&good).await;
    // What a page of ours links to may be a link of anybody's: pages that ask again by themselves count as such.
    let own =
        world.ask(Method::GET, &format!("/route/w1/?a&token={good}"), None).header("accept", "text/html");
    let (status, headers, _) = send(own.header("sec-fetch-site", "same-origin")).await;
    assert_eq!((status, session(&headers)), (303, None));
    assert!(location(&headers).starts_with("/auth/link?"), "{headers:?}");
    // Too long for a cookie: it leads to the first page, and to no workspace.
    let long = format!("/route/w3/?x={}&token={good}", "x".repeat(3000));
    let (_, headers, _) = send(follow(&world, &long)).await;
    let (_, headers, _) = send(answer(&world, location(&headers), &cookies(&headers))).await;
    assert_eq!(location(&headers), "/");
    // Scripts of other sites open no pages.
    let script = world.ask(Method::GET, &format!("/?token={good}"), None).header("accept", "text/html");
    let script = script.header("sec-fetch-site", "cross-site").header("sec-fetch-mode", "no-cors");
    assert_eq!(cookies(&send(script).await.1), "");

    // A program's own parameter of that name is none of ours.
    for token in ["secret", "a.b.c", "eyJ.eyJ.x", &world.idp.token(json!({ "sub": "alice", "exp": 1000 }))] {
        let link = format!("/route/w1/?token={token}");
        let (status, headers, seen) = send(follow(&world, &link).header("cookie", &session_of_alice)).await;
        assert_eq!((status, cookies(&headers)), (200, String::new()), "{token}");
        assert_eq!(seen, json!(format!("upstream saw /?token={token}")));
        // Without a session it leads to the sign-in, as any link does, and does not travel on.
        let (status, headers, _) = send(follow(&world, &link)).await;
        let to = location(&headers);
        assert!(status == 303 && to.contains("/auth/login") && !to.contains("token"), "{token}: {to}");
    }
    let twice = format!("/route/w1/?token={good}&token={good}");
    assert_eq!(session(&send(follow(&world, &twice)).await.1), None);
    // One of ours reaches no program, also where everybody is let in.
    let (status, headers, _) = send(follow(&world, &format!("/route/w3/?token={good}"))).await;
    assert!(status == 303 && location(&headers).starts_with("/auth/link?"), "{headers:?}");
    let open = send(follow(&world, "/route/w3/?token=its-own")).await;
    assert_eq!((open.0, open.2), (200, json!("upstream saw /?token=its-own")));

    // Scripts, and programs, send it in a header.
    let path = format!("/route/w1/?token={good}");
    for request in [
        world.ask(Method::GET, &path, None),
        world.ask(Method::POST, &path, None).header("accept", "text/html"),
        follow(&world, &path).header("authorization", "Bearer bad"),
    ] {
        let (status, headers, _) = send(request).await;
        assert!(matches!(status, 401 | 303) && cookies(&headers).is_empty(), "{status} {headers:?}");
    }
    for path in ["/auth/session?token=", "/mcp?token=", "/permissions?token=", "/healthz?token="] {
        let (_, headers, _) = send(follow(&world, &format!("{path}{good}"))).await;
        assert!(cookies(&headers).is_empty(), "{path}");
    }
    // The first page takes one, too.
    let (status, headers, _) = send(follow(&world, &format!("/?token={good}"))).await;
    assert_eq!(status, 303);
    let (_, headers, _) = send(answer(&world, location(&headers), &cookies(&headers))).await;
    assert_eq!((location(&headers), session(&headers).is_some()), ("/", true));
    world.server.stop().await;
}
