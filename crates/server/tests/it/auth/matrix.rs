//! Every endpoint with every kind of caller. An endpoint without a row here fails the test.

use std::collections::BTreeSet;

use nocrd_server::endpoints::{self, Access};
use reqwest::{Method, RequestBuilder};
use serde_json::json;

use super::{World, send};
use crate::{proxying::upstream, support::initialize};

/// Who asks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Who {
    Anonymous,
    /// A token with a changed payload.
    Tampered,
    Expired,
    /// Has every right, in a token for another program.
    WrongAudience,
    /// May do nothing.
    NoRole,
    /// May do everything, by scopes that mean nothing here.
    WrongScope,
    Viewer,
    OtherUser,
    /// Whose the workspace is.
    Owner,
    Admin,
    /// The owner, by the session cookie, on a page of ours.
    OwnerByCookie,
    /// The owner's browser, as a page elsewhere makes it ask.
    OwnerFromElsewhere,
}

const EVERYBODY: [Who; 12] = [
    Who::Anonymous,
    Who::Tampered,
    Who::Expired,
    Who::WrongAudience,
    Who::NoRole,
    Who::WrongScope,
    Who::Viewer,
    Who::OtherUser,
    Who::Owner,
    Who::Admin,
    Who::OwnerByCookie,
    Who::OwnerFromElsewhere,
];

impl Who {
    fn is_nobody(self) -> bool {
        matches!(self, Self::Anonymous | Self::Tampered | Self::Expired | Self::WrongAudience)
    }

    /// Known, and without the right to read.
    fn is_powerless(self) -> bool {
        matches!(self, Self::NoRole | Self::WrongScope)
    }

    fn is_owner(self) -> bool {
        matches!(self, Self::Owner | Self::OwnerByCookie)
    }

    async fn identify(self, world: &World, request: RequestBuilder) -> RequestBuilder {
        const ALL: &str = "nogoo9:read nogoo9:write nogoo9:admin";
        const WRITE: &str = "nogoo9:read nogoo9:write";
        let owner = || world.token("owner", &["user"], WRITE);
        match self {
            Self::Anonymous => request,
            Self::Tampered => {
                let (good, other) =
                    (world.token("admin", &["admin"], ALL), world.token("x", &["user"], WRITE));
                let (head, _) = good.rsplit_once('.').unwrap();
                request.bearer_auth(format!("{head}.{}", other.rsplit_once('.').unwrap().1))
            }
            Self::Expired => request.bearer_auth(
                world.idp.token(json!({ "sub": "owner", "roles": ["admin"], "scope": ALL, "exp": 1_000 })),
            ),
            Self::WrongAudience => request.bearer_auth(
                world
                    .idp
                    .token(json!({ "sub": "owner", "roles": ["admin"], "scope": ALL, "aud": "another" })),
            ),
            Self::NoRole => request.bearer_auth(world.token("norole", &["zzz"], ALL_BUT_ADMIN)),
            Self::WrongScope => request.bearer_auth(world.token("noscope", &["user"], "other:read")),
            Self::Viewer => request.bearer_auth(world.token("viewer", &["viewer"], "nogoo9:read")),
            Self::OtherUser => request.bearer_auth(world.token("other", &["user"], WRITE)),
            Self::Owner => request.bearer_auth(owner()),
            Self::Admin => request.bearer_auth(world.token("admin", &["admin"], ALL)),
            // A new one each time: signing out is one of the things that are asked for.
            Self::OwnerByCookie => request
                .header("cookie", world.session(&owner()).await)
                .header("sec-fetch-site", "same-origin"),
            Self::OwnerFromElsewhere => request
                .header("cookie", world.session(&owner()).await)
                .header("sec-fetch-site", "cross-site")
                .header("sec-fetch-mode", "no-cors"),
        }
    }
}

const ALL_BUT_ADMIN: &str = "nogoo9:read nogoo9:write";

/// What somebody gets.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Answer {
    Is(u16),
    /// They are let in; what comes of it depends on what they ask for.
    Served,
}

struct Row {
    method: &'static str,
    path: &'static str,
    expected: fn(Who) -> Answer,
}

use Answer::{Is, Served};

fn public(_: Who) -> Answer {
    Is(200)
}

fn reader(who: Who) -> Answer {
    match who {
        Who::OwnerFromElsewhere => Is(403),
        who if who.is_nobody() => Is(401),
        who if who.is_powerless() => Is(403),
        _ => Served,
    }
}

fn signed_in(who: Who) -> Answer {
    match who {
        Who::OwnerFromElsewhere => Is(403),
        who if who.is_nobody() => Is(401),
        _ => Is(200),
    }
}

/// Only a page of ours has a browser to keep it in.
fn set_refresh(who: Who) -> Answer {
    match who {
        Who::OwnerByCookie => Is(200),
        who if who.is_nobody() => Is(401),
        _ => Is(403),
    }
}

/// A page of nobody, which everybody is told who is known.
fn page_of_nobody(who: Who) -> Answer {
    match who {
        Who::OwnerFromElsewhere => Is(403),
        who if who.is_nobody() => Is(401),
        _ => Is(404),
    }
}

/// The same for a form, which only pages of ours send.
fn form_of_nobody(who: Who) -> Answer {
    match who {
        Who::OwnerByCookie => Is(404),
        who if who.is_nobody() => Is(401),
        _ => Is(403),
    }
}

fn logout(who: Who) -> Answer {
    Is(if who == Who::OwnerFromElsewhere { 403 } else { 200 })
}

/// To anybody else than its owner it is as if it were not there.
fn private(who: Who) -> Answer {
    match who {
        Who::OwnerFromElsewhere => Is(403),
        who if who.is_nobody() => Is(401),
        // They learn what they lack, whatever there is.
        who if who.is_powerless() => Is(403),
        who if who.is_owner() => Is(200),
        _ => Is(404),
    }
}

/// The same for what changes something.
fn private_write(who: Who) -> Answer {
    if who == Who::Viewer { Is(403) } else { private(who) }
}

fn internal(who: Who) -> Answer {
    match who {
        Who::OwnerFromElsewhere => Is(403),
        who if who.is_nobody() => Is(401),
        who if who.is_powerless() => Is(403),
        _ => Is(200),
    }
}

/// The same for what changes something.
fn internal_write(who: Who) -> Answer {
    if who == Who::Viewer { Is(403) } else { internal(who) }
}

/// An API that administrators may use.
fn admins(who: Who) -> Answer {
    if who == Who::Admin { Is(200) } else { private(who) }
}

/// The same for what changes something.
fn admins_write(who: Who) -> Answer {
    if who == Who::Admin { Is(200) } else { private_write(who) }
}

const METADATA: &str = "/.well-known/oauth-protected-resource";

const ROWS: &[Row] = &[
    Row { method: "GET", path: "/", expected: public },
    Row { method: "GET", path: "/healthz", expected: public },
    Row { method: "GET", path: "/mcp/healthz", expected: public },
    Row { method: "GET", path: "/livez", expected: public },
    Row { method: "GET", path: "/readyz", expected: public },
    Row { method: "POST", path: "/mcp", expected: reader },
    Row { method: "GET", path: "/mcp", expected: reader },
    Row { method: "DELETE", path: "/mcp", expected: reader },
    Row { method: "POST", path: "/mcp/", expected: reader },
    Row { method: "GET", path: "/mcp/", expected: reader },
    Row { method: "DELETE", path: "/mcp/", expected: reader },
    Row { method: "POST", path: "/mcp/mcp", expected: reader },
    Row { method: "GET", path: "/mcp/mcp", expected: reader },
    Row { method: "DELETE", path: "/mcp/mcp", expected: reader },
    Row { method: "GET", path: "/permissions", expected: reader },
    Row { method: "GET", path: "/mcp/permissions", expected: reader },
    Row { method: "GET", path: "/auth/login", expected: |_| Is(303) },
    Row { method: "GET", path: "/auth/callback", expected: |_| Is(400) },
    // Nobody was asked anything.
    Row { method: "GET", path: "/auth/link", expected: |_| Is(400) },
    Row {
        method: "POST",
        path: "/auth/link",
        expected: |who| Is(if who == Who::OwnerByCookie { 400 } else { 403 }),
    },
    Row { method: "GET", path: "/auth/session", expected: signed_in },
    Row { method: "POST", path: "/auth/set-refresh", expected: set_refresh },
    Row { method: "POST", path: "/mcp/auth/set-refresh", expected: set_refresh },
    Row { method: "GET", path: "/context/{handle}", expected: page_of_nobody },
    Row { method: "POST", path: "/context/{handle}", expected: form_of_nobody },
    Row { method: "GET", path: "/logout", expected: logout },
    Row { method: "POST", path: "/logout", expected: logout },
    Row { method: "GET", path: "/mcp/logout", expected: logout },
    Row { method: "POST", path: "/mcp/logout", expected: logout },
    Row { method: "GET", path: METADATA, expected: public },
    Row { method: "GET", path: "/.well-known/oauth-protected-resource/mcp", expected: public },
    // The proxy's.
    Row { method: "GET", path: "/route/w1/", expected: private },
    Row { method: "POST", path: "/route/w1/", expected: private_write },
    Row { method: "DELETE", path: "/route/w1/x", expected: private_write },
    Row { method: "UPGRADE", path: "/route/w1/", expected: private_write },
    Row { method: "GET", path: "/route/w1/shared/", expected: internal },
    Row { method: "PUT", path: "/route/w1/shared/", expected: internal_write },
    Row { method: "UPGRADE", path: "/route/w1/shared/", expected: internal_write },
    Row { method: "GET", path: "/route/w1/admins/", expected: admins },
    Row { method: "POST", path: "/route/w1/admins/", expected: admins_write },
    Row { method: "UPGRADE", path: "/route/w1/admins/", expected: admins_write },
    Row {
        method: "GET",
        path: "/route/nobodys/",
        expected: |who| if who.is_owner() { Is(404) } else { private(who) },
    },
    Row {
        method: "POST",
        path: "/route/nobodys/",
        expected: |who| if who.is_owner() { Is(404) } else { private_write(who) },
    },
];

/// The request of a row, with what it takes to be a good one.
fn request(world: &World, row: &Row, who: Who) -> RequestBuilder {
    let method = if row.method == "UPGRADE" { Method::GET } else { row.method.parse().unwrap() };
    let request = world.ask(method, row.path, None);
    match (row.method, row.path) {
        ("POST", path) if path.ends_with("set-refresh") => request.json(&json!({ "refresh_token": "rt" })),
        ("POST", path) if path.starts_with("/mcp") && !path.ends_with("logout") => {
            request.header("accept", "application/json, text/event-stream").json(&initialize())
        }
        ("UPGRADE", _) => request
            .header("connection", "upgrade")
            .header("upgrade", "websocket")
            .header("sec-websocket-version", "13")
            .header("sec-websocket-key", "dGhlIHNhbXBsZSBub25jZQ==")
            // A page elsewhere names itself when it opens a WebSocket.
            .header(
                "origin",
                if who == Who::OwnerFromElsewhere { "https://evil.example" } else { &world.server.base },
            ),
        _ => request,
    }
}

#[tokio::test]
async fn every_endpoint_with_every_caller() {
    let world = World::start(&[]).await;
    let port = upstream().await;
    let api = |name: &str, visibility: &str| {
        [("port", port.to_string()), ("path", format!("/{name}")), ("visibility", visibility.to_owned())]
            .map(|(field, value)| (format!("nogoo9/api.{name}.{field}"), value))
    };
    let apis: Vec<_> = api("shared", "internal").into_iter().chain(api("admins", "admin")).collect();
    world.cluster.add_pod_of("w1", port, "owner", &apis);
    world.cluster.make_ready("w1");
    let token = world.token("owner", &["user"], "nogoo9:read nogoo9:write");
    world.server.until_as(&token, "/route/w1/", |status, _| status == 200).await;

    let mut wrong = Vec::new();
    for row in ROWS {
        for who in EVERYBODY {
            let (status, headers, body) = send(who.identify(&world, request(&world, row, who)).await).await;
            let expected = (row.expected)(who);
            let fits = match expected {
                Is(code) => status == code,
                Served => status < 500 && !matches!(status, 401 | 403),
            };
            if !fits {
                wrong.push(format!(
                    "{} {} {who:?}: {status}, expected {expected:?}: {body}",
                    row.method, row.path
                ));
            }
            if status == 401 && !headers.contains_key("www-authenticate") {
                wrong.push(format!("{} {} {who:?}: no challenge", row.method, row.path));
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    world.server.stop().await;
}

#[tokio::test]
async fn no_endpoint_takes_other_methods_than_the_table_says() {
    let world = World::start(&[]).await;
    let token = world.token("admin", &["admin"], "nogoo9:read nogoo9:write nogoo9:admin");
    for endpoint in endpoints::TABLE {
        for method in ["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "TRACE", "PROPFIND", "OPTIONS"] {
            let as_get = if method == "HEAD" { "GET" } else { method };
            // Browsers ask for leave to read the metadata from anywhere.
            let preflight = method == "OPTIONS" && endpoint.path().starts_with(METADATA);
            if endpoint.methods().contains(&as_get) || preflight {
                continue;
            }
            let request = world.ask(method.parse().unwrap(), endpoint.path(), Some(&token));
            let (status, headers, _) = send(request).await;
            assert_eq!(status, 405, "{method} {}", endpoint.path());
            let allowed = headers["allow"].to_str().unwrap();
            for method in endpoint.methods() {
                assert!(allowed.contains(method), "{allowed}: {}", endpoint.path());
            }
        }
    }
    world.server.stop().await;
}

#[tokio::test]
async fn no_tool_is_called_by_those_whom_nobody_knows() {
    let world = World::start(&[("STATELESS", "true")]).await;
    let admin = world.token("admin", &["admin"], "nogoo9:read nogoo9:write nogoo9:admin");
    let message = |method: &str, params: serde_json::Value| {
        let message = json!({ "jsonrpc": "2.0", "id": 1, "method": method, "params": params });
        world.server.post_mcp(&message).header("mcp-protocol-version", "2025-11-25")
    };
    let (status, _, listed) = send(message("tools/list", json!({})).bearer_auth(&admin)).await;
    assert_eq!(status, 200);
    let tools: Vec<_> = listed.pointer("/result/tools").unwrap().as_array().unwrap().clone();
    assert!(tools.len() >= 9, "{listed}");
    for tool in &tools {
        for who in EVERYBODY {
            let expected = match reader(who) {
                Served => continue,
                Is(status) => status,
            };
            let params = json!({ "name": tool["name"], "arguments": { "id": "w1", "templateRef": "x" } });
            let (status, _, body) = send(who.identify(&world, message("tools/call", params)).await).await;
            assert_eq!(status, expected, "{} {who:?}: {body}", tool["name"]);
            assert!(body.get("result").is_none(), "{body}");
        }
    }
    world.server.stop().await;
}

#[test]
fn no_endpoint_is_without_a_row() {
    let rows: BTreeSet<_> = ROWS.iter().map(|row| (row.path, row.method)).collect();
    assert_eq!(rows.len(), ROWS.len(), "a row twice");
    for endpoint in endpoints::TABLE {
        for method in endpoint.methods() {
            assert!(rows.contains(&(endpoint.path(), *method)), "{method} {} has no row", endpoint.path());
        }
    }
    let served: BTreeSet<_> =
        endpoints::TABLE.iter().flat_map(|e| e.methods().iter().map(|method| (e.path(), *method))).collect();
    for (path, method) in rows {
        assert!(
            path.starts_with("/route/") || served.contains(&(path, method)),
            "{method} {path} is no endpoint"
        );
    }
}

#[test]
fn the_table_says_who_may_do_what() {
    for row in ROWS {
        let Some(endpoint) = endpoints::TABLE.iter().find(|endpoint| endpoint.path() == row.path) else {
            continue;
        };
        let anonymous = (row.expected)(Who::Anonymous);
        let powerless = (row.expected)(Who::NoRole);
        match endpoint.access() {
            Access::Public => assert_ne!(anonymous, Is(401), "{}", row.path),
            Access::SignedIn => assert_eq!(anonymous, Is(401), "{}", row.path),
            Access::Reader => assert_eq!((anonymous, powerless), (Is(401), Is(403)), "{}", row.path),
        }
    }
}
