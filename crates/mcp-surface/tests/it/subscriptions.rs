//! Who is told of what: in sessions, and on the streams of 2026-07-28.

use std::{collections::BTreeSet, time::Duration};

use futures::StreamExt;
use nocrd_mcp_surface::{HttpOptions, Options};
use nocrd_model::{Caller, Grants, Role};
use reqwest::StatusCode;
use rmcp::{
    ErrorData,
    model::{ServerNotification, SubscribeRequestParams, SubscriptionFilter, UnsubscribeRequestParams},
    service::Subscription,
};
use serde_json::{Value, json};
use tokio::time::Instant;

use crate::{
    api::{Api, pod, ready, template, waiting},
    http::{Server, initialize},
    world::{Client, Heard, World, refusal, until},
};

const HERS: &str = "workspace://nogoo9/hers";

fn user(name: &str) -> Caller {
    Caller::verified(name.into(), Role::User)
}

fn admin() -> Caller {
    Caller::verified("root".into(), Role::Admin)
}

fn updated(uri: &str) -> Heard {
    Heard::Updated(uri.to_owned())
}

#[expect(deprecated, reason = "of the sessions of older versions")]
async fn subscribe(client: &Client, uri: &str) -> Result<(), ErrorData> {
    client.mcp.subscribe(SubscribeRequestParams::new(uri)).await.map_err(refusal)
}

#[expect(deprecated, reason = "of the sessions of older versions")]
async fn unsubscribe(client: &Client, uri: &str) -> Result<(), ErrorData> {
    client.mcp.unsubscribe(UnsubscribeRequestParams::new(uri)).await.map_err(refusal)
}

/// Long enough for everything to have been told that will be.
async fn settle() {
    tokio::time::sleep(Duration::from_secs(10)).await;
}

/// What the client has heard about resources.
fn heard(client: &mut Client) -> Vec<Heard> {
    std::iter::from_fn(|| client.resources.try_recv().ok()).collect()
}

async fn world() -> World {
    let api = Api::default();
    api.put("pods", pod("hers", "alice"));
    api.put("pods", pod("his", "bob"));
    World::with(api, Options::default()).await.synced().await
}

#[tokio::test(start_paused = true)]
async fn t50_another_s_workspace_can_not_be_subscribed_to() {
    let world = world().await;
    let bob = world.client_of(user("bob")).await;
    let error = subscribe(&bob, HERS).await.unwrap_err();
    let absent = subscribe(&bob, "workspace://nogoo9/none").await.unwrap_err();
    assert_eq!((error.code.0, absent.code.0), (-32002, -32002));
    assert_eq!(error.message.replace("hers", "none"), absent.message);
    for odd in ["workspace://nogoo9/../nogoo9/his", "workspace://nogoo9/%68is", "file:///etc/passwd", ""] {
        assert_eq!(subscribe(&bob, odd).await.unwrap_err().code.0, -32002, "{odd}");
        assert_eq!(unsubscribe(&bob, odd).await.unwrap_err().code.0, -32002, "{odd}");
    }
    subscribe(&bob, "workspace://nogoo9/his").await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn t50_nobody_is_told_of_another_s_workspaces() {
    let world = world().await;
    let (mut alice, mut bob) = (world.client_of(user("alice")).await, world.client_of(user("bob")).await);
    let mut root = world.client_of(admin()).await;
    subscribe(&alice, HERS).await.unwrap();
    subscribe(&root, HERS).await.unwrap();
    subscribe(&bob, "workspace://nogoo9/his").await.unwrap();
    let _ = subscribe(&bob, HERS).await;

    world.api.set_status("ws-alice-hers", waiting("CrashLoopBackOff", "it crashed"));
    settle().await;
    world.api.put("pods", pod("more", "alice"));
    settle().await;
    assert!(!alice.call("stop_workspace", json!({"id": "hers"})).await.failed);
    settle().await;
    let expected = [updated(HERS), Heard::ResourcesChanged, Heard::ResourcesChanged, updated(HERS)];
    assert_eq!(heard(&mut alice), expected);
    assert_eq!(heard(&mut root), expected);
    assert_eq!(heard(&mut bob), []);
}

#[tokio::test(start_paused = true)]
async fn t50_an_id_that_goes_to_another_takes_no_subscription_with_it() {
    let world = world().await;
    let mut alice = world.client_of(user("alice")).await;
    subscribe(&alice, HERS).await.unwrap();
    assert!(!alice.call("stop_workspace", json!({"id": "hers"})).await.failed);
    settle().await;
    assert_eq!(heard(&mut alice), [Heard::ResourcesChanged, updated(HERS)]);
    // Now it is Bob's.
    world.api.put("pods", pod("hers", "bob"));
    settle().await;
    world.api.set_status("ws-bob-hers", waiting("CrashLoopBackOff", "it crashed"));
    settle().await;
    assert_eq!(heard(&mut alice), []);
}

#[tokio::test(start_paused = true)]
async fn a_flood_of_changes_is_told_at_intervals() {
    let world = world().await;
    let mut alice = world.client_of(user("alice")).await;
    subscribe(&alice, HERS).await.unwrap();
    for at in 0..20 {
        world.api.set_status("ws-alice-hers", waiting("CrashLoopBackOff", &format!("crash {at}")));
        world.api.put("pods", pod(&format!("more-{at}"), "alice"));
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    settle().await;
    let told = heard(&mut alice);
    let of_hers = told.iter().filter(|heard| **heard == updated(HERS)).count();
    let of_the_list = told.len() - of_hers;
    // Two seconds went by.
    assert!((2..=6).contains(&of_hers) && (1..=3).contains(&of_the_list), "{told:?}");
    assert!(alice.read(HERS).await.unwrap().contains("crash 19"));
}

#[tokio::test(start_paused = true)]
async fn what_reads_the_same_is_no_news() {
    let world = world().await;
    let mut alice = world.client_of(user("alice")).await;
    subscribe(&alice, HERS).await.unwrap();
    world.api.set_status("ws-alice-hers", ready());
    settle().await;
    assert_eq!(heard(&mut alice), []);
}

#[tokio::test(start_paused = true)]
async fn h01_templates_change_for_those_who_see_them() {
    let world = world().await;
    let ml = Grants { roles: ["ml".to_owned()].into(), ..Grants::default() };
    let mut holder = world.client_of(user("carol").with_grants(ml)).await;
    let mut bob = world.client_of(user("bob")).await;
    let restricted = json!({"nogoo9/allowed-roles": "ml"});
    world.api.put("configmaps", template("nogoo9", "gpu", &restricted));
    settle().await;
    assert_eq!((heard(&mut holder), heard(&mut bob)), (vec![Heard::ResourcesChanged], vec![]));

    let uri = "pod-template://nogoo9/gpu";
    assert_eq!(subscribe(&bob, uri).await.unwrap_err().code.0, -32002);
    subscribe(&holder, uri).await.unwrap();
    let mut other = template("nogoo9", "gpu", &restricted);
    other["data"]["spec"] = json!("containers: [{name: agent, image: other}]");
    world.api.put("configmaps", other);
    settle().await;
    assert_eq!((heard(&mut holder), heard(&mut bob)), (vec![updated(uri)], vec![]));

    world.api.put("configmaps", template("nogoo9", "gpu", &json!({})));
    settle().await;
    assert_eq!((heard(&mut holder), heard(&mut bob)), (vec![updated(uri)], vec![Heard::ResourcesChanged]));
}

#[tokio::test(start_paused = true)]
async fn t45_a_session_has_only_so_many_subscriptions() {
    let api = Api::default();
    for at in 0..=100 {
        api.put("pods", pod(&format!("w{at}"), "alice"));
    }
    let world = World::with(api, Options::default()).await.synced().await;
    let alice = world.client_of(user("alice")).await;
    let uri = |at: usize| format!("workspace://nogoo9/w{at}");
    for at in 0..100 {
        subscribe(&alice, &uri(at)).await.unwrap();
    }
    let error = subscribe(&alice, &uri(100)).await.unwrap_err();
    assert!(error.code.0 == -32600 && error.message.contains("100"), "{error:?}");
    subscribe(&alice, &uri(0)).await.unwrap();
    unsubscribe(&alice, "workspace://nogoo9/none").await.unwrap();
    unsubscribe(&alice, &uri(5)).await.unwrap();
    subscribe(&alice, &uri(100)).await.unwrap();
    // Others have their own.
    let again = world.client_of(user("alice")).await;
    subscribe(&again, &uri(5)).await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn what_is_no_longer_subscribed_to_is_not_told() {
    let world = world().await;
    let mut alice = world.client_of(user("alice")).await;
    subscribe(&alice, HERS).await.unwrap();
    unsubscribe(&alice, HERS).await.unwrap();
    world.api.set_status("ws-alice-hers", waiting("CrashLoopBackOff", "it crashed"));
    settle().await;
    assert_eq!(heard(&mut alice), []);
}

async fn listen(client: &Client, uris: &[&str], lists: bool) -> Subscription {
    let mut filter = SubscriptionFilter::builder().build();
    filter.resource_subscriptions = Some(uris.iter().map(|uri| (*uri).to_owned()).collect());
    filter.resources_list_changed = lists.then_some(true);
    client.mcp.listen(filter).await.unwrap()
}

async fn next(stream: &mut Subscription) -> Option<Heard> {
    match tokio::time::timeout(Duration::from_secs(60), stream.next()).await.ok()?.unwrap().unwrap() {
        ServerNotification::ResourceListChangedNotification(_) => Some(Heard::ResourcesChanged),
        ServerNotification::ResourceUpdatedNotification(note) => Some(Heard::Updated(note.params.uri)),
        other => panic!("{other:?}"),
    }
}

#[tokio::test(start_paused = true)]
async fn t50_streams_tell_of_what_is_the_caller_s() {
    let world = world().await;
    let (alice, bob) =
        (world.modern_client_of(user("alice")).await, world.modern_client_of(user("bob")).await);
    let wanted = [HERS, "workspace://nogoo9/his", "workspace://nogoo9/later"];
    let (mut of_alice, mut of_bob) =
        (listen(&alice, &wanted, false).await, listen(&bob, &wanted, true).await);
    world.api.set_status("ws-alice-hers", waiting("CrashLoopBackOff", "it crashed"));
    assert_eq!(next(&mut of_alice).await, Some(updated(HERS)));
    assert_eq!(next(&mut of_bob).await, None);
    world.api.put("pods", pod("later", "alice"));
    assert_eq!(next(&mut of_alice).await, Some(updated("workspace://nogoo9/later")));
    assert_eq!(next(&mut of_bob).await, None);
    world.api.set_status("ws-bob-his", waiting("CrashLoopBackOff", "it crashed"));
    assert_eq!(next(&mut of_bob).await, Some(updated("workspace://nogoo9/his")));
    assert_eq!(next(&mut of_alice).await, None);
    assert!(!bob.call("stop_workspace", json!({"id": "his"})).await.failed);
    let told =
        BTreeSet::from([format!("{:?}", next(&mut of_bob).await), format!("{:?}", next(&mut of_bob).await)]);
    let expected = [Heard::ResourcesChanged, updated("workspace://nogoo9/his")]
        .map(|heard| format!("{:?}", Some(heard)));
    assert_eq!(told, expected.into());
    of_bob.cancel().await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn t45_streams_grant_what_is_ours_and_not_too_much() {
    let world = world().await;
    let alice = world.modern_client_of(user("alice")).await;
    let odd = ["file:///etc/passwd", "workspace://nogoo9/../nogoo9/hers", "ui://nogoo9/app?x", HERS];
    let stream = listen(&alice, &odd, false).await;
    assert_eq!(stream.acknowledged().resource_subscriptions, Some(vec![HERS.to_owned()]));
    let many: Vec<String> = (0..101).map(|at| format!("workspace://nogoo9/w{at}")).collect();
    let stream = listen(&alice, &many.iter().map(String::as_str).collect::<Vec<_>>(), true).await;
    assert_eq!(stream.acknowledged().resource_subscriptions, None);
    assert_eq!(stream.acknowledged().resources_list_changed, Some(true));
}

#[tokio::test]
async fn a_server_without_sessions_refuses_subscriptions() {
    let server = Server::new(HttpOptions { stateless: true, ..HttpOptions::default() }).await;
    let uri = "pod-template://nogoo9/default-agent-workspace";
    let message = json!({"jsonrpc": "2.0", "id": 1, "method": "resources/subscribe", "params": {"uri": uri}});
    let reply: serde_json::Value = server.post(&message).send().await.unwrap().json().await.unwrap();
    assert_eq!(reply["error"]["code"], -32600, "{reply}");
}

#[tokio::test]
async fn t50_rights_that_are_lost_end_what_is_told() {
    // The header stands for the token of the moment.
    let server = Server::identified(world().await, HttpOptions::default(), |request| {
        let role = if request.headers().contains_key("x-test-admin") { Role::Admin } else { Role::User };
        request.extensions_mut().insert(Caller::verified("bob".into(), role));
    })
    .await;
    let begin = server.post(&initialize("2025-11-25")).header("x-test-admin", "yes");
    let begun = begin.send().await.unwrap();
    let session = begun.headers()["mcp-session-id"].to_str().unwrap().to_owned();
    let subscribe = async |uri: &str, admin: bool| {
        let message =
            json!({"jsonrpc": "2.0", "id": 2, "method": "resources/subscribe", "params": {"uri": uri}});
        let request = server.post(&message).header("mcp-session-id", &session);
        let request = if admin { request.header("x-test-admin", "yes") } else { request };
        let reply: Value = request.send().await.unwrap().json().await.unwrap();
        reply["error"]["code"].as_i64()
    };
    assert_eq!(subscribe(HERS, true).await, None);
    assert_eq!(subscribe("workspace://nogoo9/his", false).await, None);
    assert_eq!(subscribe(HERS, false).await, Some(-32002));
    let stream = server.http.get(&server.url).header("accept", "text/event-stream");
    let stream = stream.header("mcp-session-id", &session).send().await.unwrap();
    for (pod, owner) in [("ws-alice-hers", "alice"), ("ws-bob-his", "bob")] {
        server.world.api.set_status(pod, waiting("CrashLoopBackOff", "it crashed"));
        let is_known =
            || server.world.cluster.workspaces().by_owner(&owner.into()).iter().any(|pod| !pod.ready);
        until("the change is known", is_known).await;
    }
    let mut chunks = std::pin::pin!(stream.bytes_stream());
    let mut text = String::new();
    while !text.contains("workspace://nogoo9/his") {
        text += std::str::from_utf8(&chunks.next().await.unwrap().unwrap()).unwrap();
    }
    // Nor in the moment after.
    server.world.api.set_status("ws-bob-his", ready());
    while text.matches("workspace://nogoo9/his").count() < 2 {
        text += std::str::from_utf8(&chunks.next().await.unwrap().unwrap()).unwrap();
    }
    assert!(!text.contains("hers"), "{text}");
}

#[tokio::test]
async fn d34_a_session_is_not_kept_by_what_it_is_told() {
    let world = world().await;
    let idle = Duration::from_millis(700);
    let server = Server::over(world, HttpOptions { session_idle: idle, ..HttpOptions::default() }).await;
    let session = server.begin("2025-11-25").await;
    let ask = async |method: &str, params: Value| {
        let message = json!({"jsonrpc": "2.0", "id": 2, "method": method, "params": params});
        server.post(&message).header("mcp-session-id", &session).send().await.unwrap().status()
    };
    assert_eq!(ask("resources/subscribe", json!({"uri": HERS})).await, StatusCode::OK);
    let last = Instant::now();
    // It is told every half a second, as long as it is.
    for at in 0.. {
        server.world.api.set_status("ws-alice-hers", waiting("CrashLoopBackOff", &format!("crash {at}")));
        tokio::time::sleep(Duration::from_millis(50)).await;
        if last.elapsed() > 3 * idle + Duration::from_millis(600) {
            break;
        }
    }
    assert_eq!(ask("ping", json!({})).await, StatusCode::NOT_FOUND);
}
