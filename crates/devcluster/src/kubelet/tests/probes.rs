//! Probes and what they lead to.

use serde_json::{Value, json};
use tokio::net::TcpListener;

use super::world::*;
use crate::runtime::Exit;

fn often(mut probe: Value) -> Value {
    probe["periodSeconds"] = 1.into();
    probe["failureThreshold"] = 1.into();
    probe
}

#[tokio::test]
async fn readiness_comes_and_goes() {
    let world = World::new().await;
    let path = world.mount_path("v");
    let probe = often(json!({ "exec": { "command": ["test", "-e", format!("{path}/ready")] } }));
    world.run(
        "p",
        "sleep 1000",
        json!({
            "container": { "readinessProbe": probe, "volumeMounts": [{ "name": "v", "mountPath": path }] },
            "pod": { "volumes": [{ "name": "v", "emptyDir": {} }] },
        }),
    );
    let unready = |pod: &Value| container(pod)["started"] == true && condition(pod, "Ready") == "False";
    let pod = world.until("p", "unready", unready).await;
    assert_eq!(pod["status"]["phase"], "Running");
    world.until_event("p", "Unhealthy").await;
    assert_eq!(world.exec("p", &["touch", &format!("{path}/ready")], "").await.0, Exit::Code(0));
    world.until_ready("p").await;
    assert_eq!(world.exec("p", &["rm", &format!("{path}/ready")], "").await.0, Exit::Code(0));
    let pod = world.until("p", "unready again", unready).await;
    assert_eq!(container(&pod)["restartCount"], 0);
    world.kubelet.shutdown().await;
}

#[tokio::test]
async fn a_dead_container_is_restarted() {
    let world = World::new().await;
    let path = world.mount_path("v");
    let probe = often(json!({ "exec": { "command": ["test", "-e", format!("{path}/alive")] } }));
    world.run(
        "p",
        &format!("touch {path}/alive; sleep 1000"),
        json!({
            "container": {
                "livenessProbe": probe.clone(), "startupProbe": often(probe),
                "volumeMounts": [{ "name": "v", "mountPath": path }],
            },
            "pod": { "volumes": [{ "name": "v", "emptyDir": {} }], "terminationGracePeriodSeconds": 1 },
        }),
    );
    world.until_ready("p").await;
    assert_eq!(world.exec("p", &["rm", &format!("{path}/alive")], "").await.0, Exit::Code(0));
    world.until("p", "restarted", |pod| container(pod)["restartCount"].as_u64() >= Some(1)).await;
    let events = world.events("p");
    assert!(
        events.iter().any(|event| event.1 == "Container c failed liveness probe, will be restarted"),
        "{events:?}"
    );
    world.kubelet.shutdown().await;
}

/// Pods share the network: the test listens in the pod's place.
#[tokio::test]
async fn tcp_and_http_probes_go_to_the_pods_address() {
    let world = World::new().await;
    let free = TcpListener::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap().port();
    let (tcp, http) = (free, free ^ 1);
    for (name, port, action) in [
        ("tcp", tcp, json!({ "tcpSocket": { "port": tcp } })),
        (
            "http",
            http,
            json!({ "httpGet": { "path": "/health", "port": "web", "httpHeaders": [{ "name": "X-A", "value": "b" }] } }),
        ),
    ] {
        world.run(
            name,
            "sleep 1000",
            json!({ "container": {
                "readinessProbe": often(action), "ports": [{ "name": "web", "containerPort": port }],
            }}),
        );
    }
    let refused = world.until_event("tcp", "Unhealthy").await;
    assert!(
        refused.starts_with("Readiness probe failed: dial tcp 127.")
            && refused.ends_with("connection refused"),
        "{refused}"
    );
    let refused = world.until_event("http", "Unhealthy").await;
    assert!(refused.contains("Get \"http://127.") && refused.ends_with("connection refused"), "{refused}");
    let address = |name: &str| world.pod(name).unwrap()["status"]["podIP"].as_str().unwrap().to_owned();
    let listener = TcpListener::bind((address("tcp"), tcp)).await.unwrap();
    world.until_ready("tcp").await;
    drop(listener);

    let listener = TcpListener::bind((address("http"), http)).await.unwrap();
    let answer =
        |request: &str| match request.contains("GET /health ") && request.to_lowercase().contains("x-a: b") {
            true => "HTTP/1.1 200 OK\r\ncontent-length: 0\r\nconnection: close\r\n\r\n",
            false => "HTTP/1.1 500 No\r\ncontent-length: 0\r\nconnection: close\r\n\r\n",
        };
    let serving = async {
        loop {
            let (mut stream, _) = listener.accept().await.unwrap();
            let mut request = vec![0; 4096];
            let count = tokio::io::AsyncReadExt::read(&mut stream, &mut request).await.unwrap();
            let answer = answer(&String::from_utf8_lossy(&request[..count]));
            tokio::io::AsyncWriteExt::write_all(&mut stream, answer.as_bytes()).await.unwrap();
        }
    };
    tokio::select! {
        () = serving => {}
        _ = world.until_ready("http") => {}
    }
    world.kubelet.shutdown().await;
}
