//! Who may visit what, and what a workspace learns of its visitors.

use std::{
    net::SocketAddr,
    sync::Arc,
    time::{Duration, SystemTime},
};

use bytes::Bytes;
use futures::StreamExt as _;
use http::{HeaderMap, Response, StatusCode, header, request::Parts};
use http_body_util::{BodyExt as _, StreamBody, combinators::BoxBody};
use hyper::body::{Frame, Incoming};
use nocrd_model::{Api, AuthMode, Caller, Grants, Role, Subject, Visibility, WorkspaceId};
use nocrd_proxy_core::{
    AuthEndpoint, Body, BoxFuture, Config, Ended, Guard, Lookup, Peer, Pod, Stay, Target, Unknown, Visitor,
};
use tokio_tungstenite::tungstenite::{Message, protocol::frame::coding::CloseCode};

use crate::{
    support::{
        Gateway, api,
        client::{Answer, Wire, get, send, send_raw},
        config,
        pod::{Program, hold, text, told},
        pod_at, soon, until,
    },
    websocket::{echo, handshake, next, open},
};

/// Believes everybody: `Authorization: Bearer <name>`, or the cookie `nocr_sess=<name>`.
#[derive(Default)]
pub(crate) struct Names {
    stay: Stay,
    /// They may look, and change nothing.
    reads_only: bool,
}

impl Names {
    /// Lets nobody stay for longer.
    pub(crate) fn staying(stay: Stay) -> Self {
        Self { stay, ..Self::default() }
    }
}

fn bobs(addr: SocketAddr) -> Pod {
    Pod { owner: "bob".into(), ..pod_at(addr) }
}

fn name(headers: &HeaderMap) -> Option<(String, bool)> {
    let value = |name| headers.get(name).and_then(|value: &http::HeaderValue| value.to_str().ok());
    if let Some(name) = value(header::AUTHORIZATION).and_then(|value| value.strip_prefix("Bearer ")) {
        return Some((name.to_owned(), false));
    }
    let cookie = value(header::COOKIE)?.split("; ").find_map(|pair| pair.strip_prefix("nocr_sess="))?;
    Some((cookie.to_owned(), true))
}

impl Guard for Names {
    fn authenticate<'a>(
        &'a self,
        request: &'a Parts,
        _: &'a Peer,
        _: bool,
    ) -> BoxFuture<'a, Result<Visitor, Unknown>> {
        Box::pin(async {
            let Some((name, via_cookie)) = name(&request.headers) else {
                let mut answer = Response::new(Body::empty());
                *answer.status_mut() = StatusCode::UNAUTHORIZED;
                let foreign_credentials = request.headers.contains_key("x-certainly-foreign");
                let is_final = request.headers.contains_key("x-final");
                return Err(Unknown { answer, foreign_credentials, is_final });
            };
            let grants = Grants { named_roles: ["viewer".to_owned()].into(), ..Grants::default() };
            Ok(Visitor {
                caller: Caller::verified(name.as_str().into(), Role::Viewer).with_grants(grants),
                cookies: vec![format!("nocr_sess={name}2; HttpOnly").parse().unwrap()],
                via_cookie,
                token: (!via_cookie).then(|| format!("token-of-{name}").into()),
                stay: self.stay.clone(),
            })
        })
    }

    /// Who brings the cookie `more` has a token to be had.
    fn fetch_token<'a>(
        &'a self,
        _: &'a Visitor,
        request: &'a Parts,
        peer: &'a Peer,
    ) -> BoxFuture<'a, Option<Visitor>> {
        Box::pin(async move {
            let more = request
                .headers
                .get_all(header::COOKIE)
                .iter()
                .any(|c| c.to_str().unwrap().contains("more=1"));
            let known = self.authenticate(request, peer, false).await.ok().filter(|_| more)?;
            let token = format!("fetched-{}", known.caller.subject);
            Some(Visitor {
                token: Some(token.into()),
                cookies: vec!["nocr_sess=fetched".parse().unwrap()],
                ..known
            })
        })
    }

    fn wants_token(&self, _: &Parts, _: &Peer) -> Response<Body> {
        let mut answer = Response::new(Body::empty());
        *answer.status_mut() = StatusCode::UNAUTHORIZED;
        answer.headers_mut().insert("x-why", "token".parse().unwrap());
        answer
    }

    fn auth_endpoint<'a>(
        &'a self,
        endpoint: AuthEndpoint,
        id: &'a WorkspaceId,
        _: &'a Subject,
        _: &'a Parts,
        _: &'a Peer,
    ) -> BoxFuture<'a, Response<Body>> {
        let text = format!("{endpoint:?} of {id}");
        Box::pin(async move { Response::new(Body::from(Bytes::from(text))) })
    }

    fn may_reach(&self, visitor: &Visitor, target: &Target, api: Option<&Api>, write: bool) -> bool {
        let open = api.is_some_and(|api| api.visibility == Visibility::Internal);
        (open || visitor.caller.subject == *target.owner()) && !(write && self.reads_only)
    }
}

async fn gateway(config: Config) -> Gateway {
    Gateway::guarded(config, Some(Arc::new(Names::default()))).await
}

fn not_ready(owner: &str) -> Lookup {
    Lookup::NotReady {
        owner: owner.into(),
        apis: vec![Api { visibility: Visibility::Internal, ..api("open", 9, "/open") }],
        auth: AuthMode::default(),
        why: nocrd_proxy_core::NotReady {
            state: "Pulling".into(),
            message: "pulls".into(),
            retry_after: Duration::from_secs(1),
            progress: None,
        },
    }
}

/// The whole answer, but for the date.
fn without_date(answer: Answer) -> (u16, Vec<(String, String)>, String) {
    let headers = answer.headers.into_iter().filter(|(name, _)| name != "date").collect();
    (answer.status, headers, answer.body)
}

#[tokio::test]
async fn t50_missing_foreign_and_unready_look_the_same() {
    let pod = Program::echo().await;
    for id in ["missing", "foreign", "unready", "elsewhere"] {
        // The same name in each world, so that the answers can be compared byte by byte.
        let gateway = gateway(config()).await;
        let mut described = pod_at(pod.addr);
        described.owner = "bob".into();
        described.apis = vec![api("a", 7, "/int"), api("b", 8, "/int/admin")];
        match id {
            "foreign" => gateway.directory.add("w", described),
            "unready" => gateway.directory.set("w", not_ready("bob")),
            // An address that is not dialled.
            "elsewhere" => gateway.directory.add("w", Pod { ip: [169, 254, 0, 1].into(), ..described }),
            _ => {}
        }
        for (line, path) in [
            ("GET", "/route/w/"),
            ("GET", "/route/w/int//admin"),
            ("HEAD", "/route/w/x"),
            ("POST", "/route/w/int"),
        ] {
            for accept in ["application/json", "text/html"] {
                let headers = ["Authorization: Bearer alice", &format!("Accept: {accept}")];
                let line = format!("{line} {path}");
                let answer = without_date(send(gateway.addr, &line, &headers, "").await);
                let reference =
                    without_date(send(self::gateway(config()).await.addr, &line, &headers, "").await);
                assert_eq!(answer, reference, "{id} {line}");
                assert_eq!(answer.0, 404);
            }
        }
        let upgrade = handshake("/route/w/", "Authorization: Bearer alice\r\n")
            .replace("Connection: Upgrade", "Connection: Upgrade, close");
        let answer = Answer::parse(&send_raw(gateway.addr, &upgrade).await);
        let reference = Answer::parse(&send_raw(self::gateway(config()).await.addr, &upgrade).await);
        assert_eq!(without_date(answer), without_date(reference), "{id}");
    }
    assert_eq!(pod.connections(), 0);
}

#[tokio::test]
async fn the_owner_is_told_what_keeps_a_workspace_and_who_may_reach_an_api_too() {
    let gateway = gateway(config()).await;
    gateway.directory.set("w", not_ready("bob"));
    for (who, path, status) in [
        ("bob", "/route/w/", 503),
        ("alice", "/route/w/open/x", 503),
        ("alice", "/route/w/opening", 404),
        ("alice", "/route/w/", 404),
    ] {
        let answer = get(gateway.addr, path, &[&format!("Authorization: Bearer {who}")]).await;
        assert_eq!(answer.status, status, "{who} {path}");
    }
}

#[tokio::test]
async fn t50_what_a_container_said_last_is_for_its_owner() {
    let gateway = gateway(config()).await;
    let pod = Program::echo().await;
    let Lookup::NotReady { owner, apis, mut why, .. } = not_ready("bob") else { unreachable!() };
    why.message = "exit code 1: password is hunter2".into();
    let auth = AuthMode { open: true, ..AuthMode::default() };
    let gone = Lookup::NotReady { owner, apis: apis.clone(), auth, why };
    // One that can't be reached any more when there is a connection to it.
    let found = Pod { owner: "bob".into(), apis, auth, ..pod_at(pod.addr) };
    let found = Lookup::Found(std::sync::Arc::new(Target::new(found)));
    for looks in [vec![gone.clone()], vec![found.clone(), gone.clone()], vec![found.clone(), found, gone]] {
        for (who, path, is_told) in [
            ("X-Nobody: 1", "/route/w/", false),
            ("Authorization: Bearer alice", "/route/w/", false),
            ("Authorization: Bearer alice", "/route/w/open/x", false),
            ("Authorization: Bearer bob", "/route/w/", true),
            ("Authorization: Bearer bob", "/route/w/open/x", true),
        ] {
            for accept in ["Accept: application/json", "Accept: text/html"] {
                gateway.directory.set_in_turn("w", looks.clone());
                let answer = get(gateway.addr, path, &[who, accept]).await;
                assert_eq!((answer.status, answer.header("retry-after")), (503, Some("1")), "{who} {path}");
                assert!(answer.body.contains("Pulling"), "{answer:?}");
                assert_eq!(answer.body.contains("hunter2"), is_told, "{who} {path}: {answer:?}");
            }
        }
    }
}

#[tokio::test]
async fn d37_nobody_unknown_gets_as_far_as_the_directory() {
    let gateway = gateway(config()).await;
    gateway.directory.set("late", Lookup::NotSynced);
    gateway.directory.set("w", not_ready("bob"));
    for path in ["/route/late/", "/route/w/", "/route/none/"] {
        assert_eq!(get(gateway.addr, path, &[]).await.status, 401, "{path}");
    }
}

#[tokio::test]
async fn t32_d07_d08_the_workspace_learns_who_but_gets_no_credentials() {
    let pod = Program::echo().await;
    let gateway = gateway(config()).await;
    let mut described = pod_at(pod.addr);
    described.owner = "bob".into();
    described.apis = vec![Api { visibility: Visibility::Internal, ..api("open", pod.addr.port(), "/open") }];
    gateway.directory.add("w", described);
    let path = "/route/w/open";
    let echo = get(gateway.addr, path, &["Authorization: Bearer alice", "X-User-Sub: bob"]).await.json();
    assert_eq!(
        (told(&echo, "x-user-sub"), told(&echo, "x-user-roles"), told(&echo, "authorization")),
        (vec!["alice"], vec!["viewer"], vec![])
    );
    let answer =
        get(gateway.addr, path, &["Cookie: nocr_sess=alice; a=1", "Authorization: Basic YTpi"]).await;
    assert_eq!(answer.header("set-cookie"), Some("nocr_sess=alice2; HttpOnly"));
    assert_eq!(answer.header("cache-control"), Some("no-store"));
    let echo = answer.json();
    assert_eq!(
        (told(&echo, "x-user-sub"), told(&echo, "cookie"), told(&echo, "authorization")),
        (vec!["alice"], vec!["a=1"], vec!["Basic YTpi"])
    );
}

#[tokio::test]
async fn t30_connection_takes_nothing_away_that_the_gateway_says_over_http_or_websockets() {
    let listed = "X-User-Sub, x-user-roles, X-Workspace-JWT, x-forwarded-for, x-forwarded-proto, X-Forwarded-Host, \
                  x-forwarded-prefix, host, authorization, cookie";
    let pod = Program::echo().await;
    let gateway = gateway(config()).await;
    gateway.directory.add("w", bobs(pod.addr));
    let (sockets, mut asked) = echo().await;
    gateway.directory.add("ws", bobs(sockets.addr));
    let bob = "Authorization: Bearer bob";
    let said = [
        ("x-user-sub", "bob"),
        ("x-user-roles", "viewer"),
        ("x-workspace-jwt", "token-of-bob"),
        ("x-forwarded-for", "127.0.0.1"),
        ("x-forwarded-proto", "http"),
        ("x-forwarded-host", "gw.example"),
    ];

    let echo = get(gateway.addr, "/route/w/", &[bob, &format!("Connection: {listed}")]).await.json();
    for (name, value) in said {
        assert_eq!(told(&echo, name), [value], "{name}");
    }
    assert_eq!(told(&echo, "x-forwarded-prefix"), ["/route/w"]);
    assert_eq!(told(&echo, "host"), [pod.addr.to_string()]);

    let mut wire = Wire::connect(gateway.addr).await;
    wire.write(handshake("/route/ws/", &format!("{bob}\r\nConnection: {listed}\r\n"))).await;
    assert_eq!(Answer::parse(wire.read_head().await.as_bytes()).status, 101);
    let (_, headers) = asked.recv().await.unwrap();
    for (name, value) in said.into_iter().chain([("x-forwarded-prefix", "/route/ws"), ("host", "gw.example")])
    {
        let found: Vec<_> = headers.get_all(name).iter().collect();
        assert_eq!(found, [value], "{name}");
    }
    assert_eq!(headers.get("authorization"), None);
}

#[tokio::test]
async fn d06_cookies_of_a_bearer_are_given_to_whoever_is_let_in() {
    let pod = Program::echo().await;
    let gateway = gateway(config()).await;
    let mut described = pod_at(pod.addr);
    described.owner = "bob".into();
    gateway.directory.add("w", described);
    for (header, status, cookie) in [
        ("Authorization: Bearer bob", 200, Some("nocr_sess=bob2; HttpOnly")),
        ("Authorization: Bearer alice", 404, None),
        ("Cookie: nocr_sess=alice", 404, Some("nocr_sess=alice2; HttpOnly")),
    ] {
        let answer = get(gateway.addr, "/route/w/", &[header]).await;
        assert_eq!((answer.status, answer.header("set-cookie")), (status, cookie), "{header}");
    }
}

#[tokio::test]
async fn t21_t23_cookies_change_nothing_for_other_sites() {
    let (pod, _) = echo().await;
    let gateway = gateway(config()).await;
    let mut described = pod_at(pod.addr);
    described.owner = "bob".into();
    gateway.directory.add("w", described);
    let http = Program::echo().await;
    gateway.directory.add("h", bobs(http.addr));

    for (credentials, from, upgrade, post) in [
        ("Cookie: nocr_sess=bob", "X-None: 1", 403, 403),
        ("Cookie: nocr_sess=bob", "Origin: http://evil.example", 403, 403),
        ("Cookie: nocr_sess=bob", "Origin: null", 403, 403),
        ("Cookie: nocr_sess=bob", "Sec-Fetch-Site: cross-site", 403, 403),
        ("Cookie: nocr_sess=bob", "Origin: http://gw.example", 101, 200),
        ("Cookie: nocr_sess=bob", "Sec-Fetch-Site: same-origin", 101, 200),
        ("Authorization: Bearer bob", "X-None: 1", 101, 200),
    ] {
        let answer = send(gateway.addr, "POST /route/h/x", &[credentials, from], "{}").await;
        assert_eq!(answer.status, post, "{credentials} {from}");
        let request = handshake("/route/w/", &format!("{credentials}\r\n{from}\r\n"));
        let mut wire = Wire::connect(gateway.addr).await;
        wire.write(&request).await;
        let head = wire.read_head().await;
        assert_eq!(Answer::parse(head.as_bytes()).status, upgrade, "{credentials} {from}");
    }
    // Reading needs no proof.
    assert_eq!(get(gateway.addr, "/route/h/", &["Cookie: nocr_sess=bob"]).await.status, 200);
}

#[tokio::test]
async fn t25_d38_pages_of_others_are_shut_in() {
    let pod = Program::http(|_| async {
        let mut answer = text("<script>");
        answer.headers_mut().insert("content-security-policy", "sandbox allow-same-origin".parse().unwrap());
        answer
    })
    .await;
    let gateway = gateway(config()).await;
    let mut described = pod_at(pod.addr);
    described.owner = "bob".into();
    described.apis = vec![Api { visibility: Visibility::Internal, ..api("open", pod.addr.port(), "/open") }];
    gateway.directory.add("w", described);
    for (who, shut_in) in [("bob", false), ("alice", true)] {
        let answer = get(gateway.addr, "/route/w/open", &[&format!("Authorization: Bearer {who}")]).await;
        let policies = answer.headers.iter().filter(|(name, _)| name == "content-security-policy");
        let found = policies
            .filter(|(_, policy)| policy.starts_with("sandbox") && !policy.contains("allow-same-origin"))
            .count();
        assert_eq!(found, usize::from(shut_in), "{who}: {answer:?}");
    }
}

#[tokio::test]
async fn the_answer_that_opens_a_websocket_carries_cookies() {
    let (pod, mut asked) = echo().await;
    let gateway = gateway(config()).await;
    gateway.directory.add("w", bobs(pod.addr));
    let mut wire = Wire::connect(gateway.addr).await;
    wire.write(handshake("/route/w/", "Authorization: Bearer bob\r\n")).await;
    let answer = Answer::parse(wire.read_head().await.as_bytes());
    assert_eq!((answer.status, answer.header("set-cookie")), (101, Some("nocr_sess=bob2; HttpOnly")));
    let (_, headers) = asked.recv().await.unwrap();
    assert_eq!((&headers["x-user-sub"], headers.get("authorization")), (&"bob".parse().unwrap(), None));
}

#[tokio::test]
async fn t42_one_user_s_tunnels_are_limited_and_others_are_not_kept_out() {
    let (pod, _) = echo().await;
    let gateway = gateway(Config { max_tunnels_per_user: 1, ..config() }).await;
    for user in ["alice", "bob"] {
        gateway.directory.add(user, Pod { owner: Subject::from(user), ..pod_at(pod.addr) });
    }
    let bearer = |user: &str| format!("Bearer {user}");
    let first = open(gateway.addr, "/route/alice/", &[("authorization", &bearer("alice"))]).await;
    let request = handshake("/route/alice/", "Authorization: Bearer alice\r\n")
        .replace("Connection: Upgrade", "Connection: Upgrade, close");
    let answer = Answer::parse(&send_raw(gateway.addr, request).await);
    assert_eq!((answer.status, &answer.json()["code"]), (503, &"NCR0612".into()));
    drop(open(gateway.addr, "/route/bob/", &[("authorization", &bearer("bob"))]).await);
    drop(first);
    until(|| gateway.drain.open_tunnels() == 0).await;
    drop(open(gateway.addr, "/route/alice/", &[("authorization", &bearer("alice"))]).await);
}

/// A tunnel of bob's to his workspace is closed for a reason of policy, and forgotten, once `act` has happened.
async fn is_cut_off(names: Names, act: impl FnOnce()) {
    let (pod, _) = echo().await;
    let gateway = Gateway::guarded(config(), Some(Arc::new(names))).await;
    gateway.directory.add("w", bobs(pod.addr));
    let mut socket = open(gateway.addr, "/route/w/", &[("authorization", "Bearer bob")]).await;
    act();
    let Message::Close(Some(close)) = next(&mut socket).await else { panic!("no close frame") };
    assert_eq!(close.code, CloseCode::Policy);
    drop(socket);
    until(|| gateway.drain.open_tunnels() == 0).await;
}

/// A stay that ends after a moment, and one that ends when it is told to.
fn stays() -> [(Stay, Box<dyn FnOnce()>); 2] {
    let soon = Stay { until: Some(SystemTime::now() + Duration::from_millis(300)), ended: None };
    let out = tokio_util::sync::CancellationToken::new();
    let signed_out = out.clone();
    let ended = Ended::new(move || signed_out.clone().cancelled_owned());
    [(soon, Box::new(|| ())), (Stay { until: None, ended: Some(ended) }, Box::new(move || out.cancel()))]
}

#[tokio::test]
async fn t16_t19_a_tunnel_ends_with_the_session_and_when_its_user_signs_out() {
    for (stay, act) in stays() {
        is_cut_off(Names { stay, ..Names::default() }, act).await;
    }
}

#[tokio::test]
async fn t16_t19_so_does_a_stream_of_events_and_no_other_answer() {
    for (kind, ends) in [("text/event-stream; charset=utf-8", true), ("text/plain", false)] {
        for (stay, act) in stays() {
            let pod = Program::raw(move |mut wire, _| async move {
                wire.read_head().await;
                wire.write(format!("HTTP/1.1 200 OK\r\nContent-Type: {kind}\r\n\r\ndata: 1\n\n")).await;
                hold(wire.0).await;
            })
            .await;
            let gateway =
                Gateway::guarded(config(), Some(Arc::new(Names { stay, ..Names::default() }))).await;
            gateway.directory.add("w", bobs(pod.addr));
            let mut wire = Wire::connect(gateway.addr).await;
            wire.write("GET /route/w/ HTTP/1.1\r\nHost: gw\r\nAuthorization: Bearer bob\r\n\r\n").await;
            wire.read_head().await;
            assert_eq!(wire.read_until(b"\n\n\r\n").await, b"9\r\ndata: 1\n\n\r\n");
            act();
            let end = tokio::time::timeout(Duration::from_secs(1), wire.read(5)).await;
            assert_eq!(end.ok().as_deref(), ends.then_some(&b"0\r\n\r\n"[..]), "{kind}");
        }
    }
}

#[tokio::test]
async fn t16_t19_and_a_call_of_grpc() {
    use crate::http2::{call, client, message, program};
    for (stay, act) in stays() {
        let pod = program(false, |_| async {
            let first = futures::stream::once(async { Ok(Frame::data(Bytes::from_static(b"1"))) });
            let endless = StreamBody::new(Box::pin(first.chain(futures::stream::pending())));
            let mut answer = Response::new(BoxBody::new(endless));
            answer.headers_mut().insert("content-type", "application/grpc".parse().unwrap());
            answer
        })
        .await;
        let gateway = Gateway::guarded(config(), Some(Arc::new(Names { stay, ..Names::default() }))).await;
        gateway.directory.add("w", bobs(pod.addr));
        let mut request = call(message("x"));
        request.headers_mut().insert("authorization", "Bearer bob".parse().unwrap());
        let mut body = soon(client(&gateway).await.send_request(request)).await.unwrap().into_body();
        assert_eq!(soon(body.frame()).await.unwrap().unwrap().into_data().unwrap(), "1");
        act();
        // Broken off: an end would look as if the pod had said everything.
        assert!(soon(body.frame()).await.unwrap().is_err());
    }
}

#[tokio::test]
async fn t42_guests_leave_room_for_the_owner() {
    let pod = Program::raw(|mut wire, _| async move {
        wire.read_head().await;
        wire.write("HTTP/1.1 200 OK\r\n\r\nx").await;
        hold(wire.0).await;
    })
    .await;
    let gateway = gateway(Config { max_requests_per_workspace: 4, ..config() }).await;
    let apis = vec![Api { visibility: Visibility::Internal, ..api("open", pod.addr.port(), "/open") }];
    gateway.directory.add("w", Pod { apis, ..bobs(pod.addr) });
    let begin = async |who: &str| {
        let mut wire = Wire::connect(gateway.addr).await;
        let request =
            format!("GET /route/w/open HTTP/1.1\r\nHost: gw\r\nAuthorization: Bearer {who}\r\n\r\n");
        wire.write(request).await;
        let head = wire.read_head().await;
        (Answer::parse(head.as_bytes()).status, wire)
    };
    let guests = [begin("alice").await, begin("alice").await, begin("carol").await];
    assert!(guests.iter().all(|(status, _)| *status == 200));
    assert_eq!(begin("carol").await.0, 503);
    let owner = begin("bob").await;
    assert_eq!((owner.0, begin("bob").await.0), (200, 503));
}

#[tokio::test]
async fn t42_requests_under_way_to_one_workspace_are_limited() {
    let pod = Program::raw(|mut wire, _| async move {
        wire.read_head().await;
        wire.write("HTTP/1.1 200 OK\r\n\r\nx").await;
        hold(wire.0).await;
    })
    .await;
    let gateway = gateway(Config { max_requests_per_workspace: 2, ..config() }).await;
    for id in ["w", "v"] {
        gateway.directory.add(id, bobs(pod.addr));
    }
    let begin = async |id: &str| {
        let mut wire = Wire::connect(gateway.addr).await;
        wire.write(format!("GET /route/{id}/ HTTP/1.1\r\nHost: gw\r\nAuthorization: Bearer bob\r\n\r\n"))
            .await;
        let head = wire.read_head().await;
        (Answer::parse(head.as_bytes()).status, wire)
    };
    let (first, second) = (begin("w").await, begin("w").await);
    assert_eq!((first.0, second.0, begin("w").await.0), (200, 200, 503));
    assert_eq!(begin("v").await.0, 200, "the other one has its own");
    drop(first);
    // As soon as the proxy knows that the client is gone.
    let again = async {
        while begin("w").await.0 != 200 {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    };
    tokio::time::timeout(Duration::from_secs(30), again).await.unwrap();
}

#[tokio::test]
async fn t42_tunnels_of_strangers_count_for_whose_workspaces_are_open_to_them() {
    let (pod, _) = echo().await;
    let gateway = gateway(Config { max_tunnels_per_user: 1, ..config() }).await;
    for (id, owner) in [("one", "bob"), ("two", "bob"), ("hers", "carol")] {
        gateway.directory.add(id, Pod { auth: OPEN, owner: owner.into(), ..pod_at(pod.addr) });
    }
    let page = [("origin", "http://gw.example")];
    let first = open(gateway.addr, "/route/one/", &page).await;
    let request = handshake("/route/two/", "Origin: http://gw.example\r\n")
        .replace("Connection: Upgrade", "Connection: Upgrade, close");
    let refused = Answer::parse(&send_raw(gateway.addr, request).await);
    assert_eq!((refused.status, &refused.json()["code"]), (503, &"NCR0612".into()));
    drop(open(gateway.addr, "/route/hers/", &page).await);
    drop(open(gateway.addr, "/route/two/", &[("authorization", "Bearer bob")]).await);
    drop(first);
}

#[tokio::test]
async fn a_websocket_counts_as_a_write() {
    let (pod, _) = echo().await;
    let names = Names { reads_only: true, ..Names::default() };
    let gateway = Gateway::guarded(config(), Some(Arc::new(names))).await;
    gateway.directory.add("w", bobs(pod.addr));
    let request = handshake("/route/w/", "Authorization: Bearer bob\r\n")
        .replace("Connection: Upgrade", "Connection: Upgrade, close");
    assert_eq!(Answer::parse(&send_raw(gateway.addr, request).await).status, 404);
}

const OPEN: AuthMode = AuthMode { open: true, token_api: false, inject_headers: false, require_token: false };

/// A request's headers, a line each.
fn told_headers(request: &http::Request<Incoming>) -> crate::support::pod::Answer {
    let lines =
        request.headers().iter().map(|(name, value)| format!("{name}: {}\n", value.to_str().unwrap()));
    text(lines.collect::<String>())
}

/// A workspace of bob's that tells the headers it is sent, with an API of its own and one for everybody who signs in.
async fn telling(auth: AuthMode) -> (Gateway, Program) {
    let pod = Program::http(|request| async move { told_headers(&request) }).await;
    let gateway = gateway(config()).await;
    let apis = vec![
        Api { methods: vec!["GET".to_owned()], ..api("own", pod.addr.port(), "/own") },
        Api { visibility: Visibility::Internal, ..api("shared", pod.addr.port(), "/shared") },
    ];
    gateway.directory.add("w", Pod { auth, apis, ..bobs(pod.addr) });
    (gateway, pod)
}

#[tokio::test]
async fn d08_d07_t33_an_open_workspace_is_for_everybody_and_is_told_nothing_of_anybody() {
    let (gateway, pod) = telling(OPEN).await;
    for credentials in [
        &[][..],
        &["Authorization: Bearer alice"],
        &["Authorization: Bearer bob"],
        &["Cookie: nocr_sess=alice; theme=dark"],
        &["Cookie: nocr_sess=bob; more=1"],
        &["X-User-Sub: root", "X-Workspace-JWT: forged"],
    ] {
        let answer = get(gateway.addr, "/route/w/x", credentials).await;
        assert_eq!(answer.status, 200, "{credentials:?}");
        let told = answer.body.to_ascii_lowercase();
        for secret in ["nocr_", "bearer", "x-user-", "x-workspace-jwt", "alice", "bob", "root", "forged"] {
            assert!(!told.contains(secret), "{credentials:?}: {told}");
        }
        // Anybody may have left a script there, which must act for nobody: not for who signs in later, nor its owner.
        let policies = answer.headers.iter().filter(|(name, _)| name == "content-security-policy");
        let shut_in = policies.filter(|(_, policy)| policy.starts_with("sandbox")).count();
        assert_eq!(shut_in, 1, "{credentials:?}");
    }
    // What is a program's own is passed on, and a token only where it is certain that it is none of ours: one that nobody
    // could look at, or that lacks a right, is still good.
    let told = async |headers: &[&str]| get(gateway.addr, "/route/w/x", headers).await.body;
    assert!(told(&["Authorization: Basic eA=="]).await.contains("authorization: Basic eA=="));
    let token = "authorization: bearer\tof-somebody";
    assert!(!told(&[token]).await.contains("of-somebody"));
    assert!(told(&[token, "X-Certainly-Foreign: 1"]).await.contains("of-somebody"));
    assert!(!told(&[token, "Cookie: nocr_sess=alice"]).await.contains("of-somebody"));
    // Additional ports keep their visibility, and their doors.
    for (path, credentials, status) in [
        ("/route/w/own", &[][..], 401),
        ("/route/w/shared", &[], 401),
        ("/route/w/own", &["Authorization: Bearer alice"], 404),
        ("/route/w/shared", &["Authorization: Bearer alice"], 200),
        ("/route/none/", &[], 401),
    ] {
        assert_eq!(get(gateway.addr, path, credentials).await.status, status, "{path} {credentials:?}");
    }
    // An API on the workspace's own port is not reached by another method, or another spelling.
    for line in [
        "DELETE /route/w/own",
        "HEAD /route/w/own/x",
        "PUT /route/w/OWN/x",
        "PUT /route/w/%6fwn/x",
        "PUT /route/w/%254Fwn",
        "PUT /route/w//own/x",
        "PUT /route/w/own;v=1/x",
        "PUT /route/w/own%2fx",
    ] {
        assert_eq!(send(gateway.addr, line, &[], "").await.status, 401, "{line}");
    }
    let before = pod.seen().len();
    // A page elsewhere may not use somebody's cookie, and may do what anybody may.
    let foreign = ["Cookie: nocr_sess=alice", "Origin: https://evil.example"];
    assert_eq!(send(gateway.addr, "POST /route/w/x", &foreign, "{}").await.status, 403);
    assert_eq!(send(gateway.addr, "POST /route/w/x", &foreign[1..], "{}").await.status, 200);
    assert_eq!(pod.seen().len(), before + 1);
}

#[tokio::test]
async fn d08_the_owner_s_token_is_for_the_owner_s_workspace_only() {
    let (gateway, _pod) = telling(AuthMode::default()).await;
    let jwt = async |path: &str, credentials: &[&str]| {
        let answer = get(gateway.addr, path, credentials).await;
        assert_eq!(answer.status, 200, "{path} {credentials:?}");
        let text = &answer.body;
        let line = text.lines().find_map(|line| line.strip_prefix("x-workspace-jwt: "));
        line.map(str::to_owned)
    };
    assert_eq!(jwt("/route/w/", &["Authorization: Bearer bob"]).await.as_deref(), Some("token-of-bob"));
    assert_eq!(jwt("/route/w/shared", &["Authorization: Bearer alice"]).await, None);
    // A session has no token with it, and is not exchanged for one unless the workspace asks.
    assert_eq!(jwt("/route/w/", &["Cookie: nocr_sess=bob; more=1"]).await, None);

    let (gateway, _pod) = telling(AuthMode { inject_headers: true, ..AuthMode::default() }).await;
    let owner = get(gateway.addr, "/route/w/", &["Cookie: nocr_sess=bob; more=1"]).await;
    assert!(owner.body.contains("x-workspace-jwt: fetched-bob"), "{}", owner.body);
    assert_eq!(owner.header("set-cookie"), Some("nocr_sess=fetched"));
    let without = get(gateway.addr, "/route/w/", &["Cookie: nocr_sess=bob"]).await;
    assert!(without.status == 200 && !without.body.contains("jwt"));
    let guest = get(gateway.addr, "/route/w/shared", &["Cookie: nocr_sess=alice; more=1"]).await;
    assert!(guest.status == 200 && !guest.body.contains("jwt") && guest.body.contains("x-user-sub: alice"));

    let switched_off = Config { inject_token: false, ..config() };
    let pod = Program::http(|request| async move { told_headers(&request) }).await;
    let gateway = self::gateway(switched_off).await;
    gateway
        .directory
        .add("w", Pod { auth: AuthMode { inject_headers: true, ..AuthMode::default() }, ..bobs(pod.addr) });
    for credentials in ["Authorization: Bearer bob", "Cookie: nocr_sess=bob; more=1"] {
        let told = get(gateway.addr, "/route/w/", &[credentials]).await;
        assert!(told.status == 200 && !told.body.contains("jwt"), "{credentials}");
    }
}

#[tokio::test]
async fn d52_a_workspace_that_takes_a_token_gets_one_or_no_request() {
    let (gateway, pod) = telling(AuthMode { require_token: true, ..AuthMode::default() }).await;
    let status = async |path: &str, credentials: &str| {
        let answer = get(gateway.addr, path, &[credentials]).await;
        (answer.status, answer.header("x-why").is_some())
    };
    assert_eq!(status("/route/w/", "Authorization: Bearer bob").await, (200, false));
    assert_eq!(status("/route/w/", "Cookie: nocr_sess=bob; more=1").await, (200, false));
    assert_eq!(status("/route/w/shared", "Cookie: nocr_sess=alice; more=1").await, (200, false));
    let before = pod.seen().len();
    assert_eq!(status("/route/w/", "Cookie: nocr_sess=bob").await, (401, true));
    assert_eq!(status("/route/w/shared", "Cookie: nocr_sess=alice").await, (401, true));
    // Who may not reach it learns nothing of what it takes.
    assert_eq!(status("/route/w/", "Cookie: nocr_sess=alice").await, (404, false));
    let request = handshake("/route/w/", "Cookie: nocr_sess=bob\r\nOrigin: http://gw.example\r\n")
        .replace("Connection: Upgrade", "Connection: Upgrade, close");
    assert_eq!(Answer::parse(&send_raw(gateway.addr, request).await).status, 401);
    assert_eq!(pod.seen().len(), before);
}

#[tokio::test]
async fn d17_d25_what_hands_out_tokens_is_the_owner_s_and_asked_for() {
    let token_api = AuthMode { token_api: true, ..AuthMode::default() };
    let (gateway, pod) = telling(token_api).await;
    let bob = "Authorization: Bearer bob";
    for (method, path, said) in [
        ("GET", "token", "Token of w"),
        ("GET", "authorize", "Authorize of w"),
        ("POST", "refresh", "Refresh of w"),
    ] {
        let line = format!("{method} /route/w/_auth/{path}");
        let own = send(gateway.addr, &line, &[bob], "").await;
        assert_eq!((own.status, own.body.as_str()), (200, said));
        assert_eq!(
            send(gateway.addr, &line, &["Authorization: Bearer alice"], "").await.status,
            404,
            "{line}"
        );
        assert_eq!(send(gateway.addr, &line, &[], "").await.status, 401, "{line}");
        let other = if method == "GET" { "DELETE" } else { "GET" };
        assert_eq!(send(gateway.addr, &line.replacen(method, other, 1), &[bob], "").await.status, 405);
    }
    assert_eq!(pod.seen().len(), 0);
    // Only these very paths are ours.
    for path in ["/route/w/_auth", "/route/w/_auth/", "/route/w/_auth/tokens", "/route/w/x/_auth/token"] {
        assert_eq!(get(gateway.addr, path, &[bob]).await.status, 200, "{path}");
    }
    for auth in [AuthMode::default(), OPEN] {
        let (gateway, pod) = telling(auth).await;
        let refused = get(gateway.addr, "/route/w/_auth/token", &[bob]).await;
        assert_eq!((refused.status, &refused.json()["code"]), (403, &"NCR0403".into()));
        assert_eq!(get(gateway.addr, "/route/w/_auth/token", &[]).await.status, 401);
        assert_eq!(pod.seen().len(), 0);
    }
}
