//! What clients show to us stays with us.

use std::sync::{Arc, Mutex};

use axum::{Router, body::Body, extract::Request, response::Response, routing::any};
use reqwest::Method;
use serde_json::{Value, json};
use tokio::net::TcpListener;

use super::{World, send};
use crate::support::Cluster;

/// Stands before a cluster's API and keeps what it is asked.
struct Recorder {
    seen: Arc<Mutex<String>>,
    url: String,
}

impl Recorder {
    async fn before(cluster: &Cluster) -> Self {
        let seen = Arc::<Mutex<String>>::default();
        let client = reqwest::Client::builder().danger_accept_invalid_certs(true).no_proxy().build().unwrap();
        let (keeping, target) = (Arc::clone(&seen), cluster.dev.url());
        let forward = move |request: Request| {
            let (seen, client, target) = (Arc::clone(&keeping), client.clone(), target.clone());
            async move {
                let (parts, body) = request.into_parts();
                let body = axum::body::to_bytes(body, usize::MAX).await.unwrap();
                let text = format!("{parts:?}\n{}\n", String::from_utf8_lossy(&body));
                seen.lock().unwrap().push_str(&text);
                let request = client.request(parts.method, format!("{target}{}", parts.uri));
                let answer = request.headers(parts.headers).body(body).send().await.unwrap();
                let answer: ::http::Response<reqwest::Body> = answer.into();
                let (parts, body) = answer.into_parts();
                Response::from_parts(parts, Body::new(body))
            }
        };
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let router = Router::new().fallback(any(forward));
        tokio::spawn(async move { axum::serve(listener, router).await });
        Self { seen, url }
    }
}

#[tokio::test]
async fn t58_no_token_of_a_client_is_passed_on() {
    let cluster = Cluster::start().await;
    let recorder = Recorder::before(&cluster).await;
    cluster.reach_at(&recorder.url);
    let world = World::over(cluster, &[("STATELESS", "true")]).await;
    let token = world.token("alice", &["user"], "nogoo9:read nogoo9:write");
    let call = async |tool: &str, arguments: Value| {
        let params = json!({ "name": tool, "arguments": arguments });
        let message = json!({ "jsonrpc": "2.0", "id": 1, "method": "tools/call", "params": params });
        let request = world.server.post_mcp(&message).bearer_auth(&token);
        let (status, _, body) = send(request.header("mcp-protocol-version", "2025-11-25")).await;
        assert_eq!((status, body.pointer("/result/isError")), (200, Some(&json!(false))), "{tool}: {body}");
    };
    let spec = json!({ "containers": [{ "name": "agent", "image": "busybox" }] });
    call("spawn_workspace", json!({ "id": "w1", "spec": spec, "context": { "TASK": "x" } })).await;
    call("list_workspaces", json!({})).await;
    call("get_workspace", json!({ "id": "w1" })).await;
    assert_eq!(send(world.ask(Method::GET, "/permissions", Some(&token))).await.0, 200);
    assert_eq!(send(world.ask(Method::GET, "/route/w1/", Some(&token))).await.0, 503);
    call("stop_workspace", json!({ "id": "w1" })).await;

    let seen = recorder.seen.lock().unwrap().clone();
    assert!(seen.contains("ws-w1") && seen.contains("busybox"), "{seen}");
    // Nor a part of it that would do.
    let signature = token.rsplit('.').next().unwrap();
    assert!(!seen.contains(&token) && !seen.contains(signature));
    world.server.stop().await;
}

#[tokio::test]
async fn t24_an_owner_is_a_subject_and_nobody_who_calls_themselves_so() {
    let world = World::start(&[]).await;
    world.cluster.add_pod_of("w1", 3000, "alice@corp.example", &[]);
    let token = |claims: Value| {
        let mut all = json!({ "roles": ["user"], "scope": "nogoo9:read nogoo9:write" });
        all.as_object_mut().unwrap().extend(claims.as_object().unwrap().clone());
        world.idp.token(all)
    };
    let owner = token(json!({ "sub": "alice@corp.example" }));
    // The index knows the pod.
    world.server.until_as(&owner, "/route/w1/", |status, _| status == 503).await;
    for claims in [
        json!({ "sub": "alice", "email": "alice@corp.example", "preferred_username": "alice@corp.example" }),
        json!({ "sub": "ALICE@corp.example" }),
        json!({ "sub": "alice@corp.example " }),
        json!({ "sub": "alice-corp.example" }),
    ] {
        let other = token(claims.clone());
        assert_eq!(send(world.ask(Method::GET, "/route/w1/", Some(&other))).await.0, 404, "{claims}");
    }
    world.server.stop().await;
}
