//! Replicas that hand each other the key, over loopback addresses: each pod has its own.

use std::{
    net::IpAddr,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use base64::{Engine as _, engine::general_purpose::STANDARD};
use nocrd_authz::keys::{KeyRing, SessionKeys};
use nocrd_devcluster::access::Rule;
use nocrd_model::keys;
use serde_json::{Value, json};
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::{TcpListener, TcpSocket, TcpStream},
};
use tokio_util::task::AbortOnDropHandle;

use super::{
    super::{
        material::{Held, Material},
        tests::{ACCOUNT, World, eventually},
    },
    AUDIENCE, PATH, Peers,
    exchange::{Half, Parties},
    wire,
};

async fn world() -> World {
    let world = World::start().await;
    world.dev.access().set(vec![Rule::deny("*", "secrets")]);
    world
}

/// Sends a request from an address, and gives status and body.
async fn send(from: IpAddr, to: (IpAddr, u16), method: &str, path: &str, body: &str) -> (u16, String) {
    let socket = TcpSocket::new_v4().unwrap();
    socket.bind((from, 0).into()).unwrap();
    let mut stream = socket.connect(to.into()).await.unwrap();
    let request = format!(
        "{method} {path} HTTP/1.1\r\nhost: x\r\ncontent-length: {}\r\nconnection: close\r\n\r\n{body}",
        body.len()
    );
    stream.write_all(request.as_bytes()).await.unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await.unwrap();
    let (head, body) = answer.split_once("\r\n\r\n").unwrap();
    (head.split(' ').nth(1).unwrap().parse().unwrap(), body.to_owned())
}

fn question(token: &str) -> String {
    json!({ "token": token, "public": STANDARD.encode(Half::generate().unwrap().public) }).to_string()
}

#[tokio::test]
async fn d02_without_secrets_replicas_get_the_key_from_each_other() {
    let world = world().await;
    let first = world.peer("gateway-1", 11).await;
    let id = first.known().await;
    let (second, third) = (world.peer("gateway-2", 12).await, world.peer("gateway-3", 13).await);
    assert_eq!((second.known().await, third.known().await), (id.clone(), id.clone()));
    assert!(third.accepts(&first.sign()));
    // The younger ones hand it on when the oldest is gone.
    drop((first, second));
    let fourth = world.peer("gateway-4", 14).await;
    assert_eq!(fourth.known().await, id);
}

#[tokio::test]
async fn replicas_that_start_together_agree() {
    let world = world().await;
    for (name, last) in [("gateway-1", 11), ("gateway-2", 12), ("gateway-3", 13)] {
        world.pod(name, ACCOUNT, world.address(last), json!({})).await;
    }
    // The oldest comes last, so the others must wait for it.
    let third = world.peer_of("gateway-3", 13).await;
    let second = world.peer_of("gateway-2", 12).await;
    let first = world.peer_of("gateway-1", 11).await;
    let id = first.known().await;
    assert_eq!((second.known().await, third.known().await), (id.clone(), id));
}

#[tokio::test]
async fn t20_who_can_not_prove_to_be_a_replica_gets_nothing() {
    let world = world().await;
    let peer = world.peer("gateway-1", 11).await;
    peer.known().await;
    let held = peer.held.borrow().clone().unwrap();
    let to = (world.address(11), world.port);
    world.account("tenant").await;
    world.pod("gateway-2", ACCOUNT, world.address(12), json!({})).await;
    world.pod("tenant", "tenant", world.address(66), json!({ "app": "nogoo9-mcp" })).await;
    let mine = json!({ keys::TYPE: keys::TYPE_WORKSPACE, keys::MANAGED_BY: keys::MANAGED_BY_VALUE });
    world.pod("workspace", ACCOUNT, world.address(67), mine).await;
    let genuine = world.token(ACCOUNT, Some("gateway-2"), AUDIENCE).await;
    let tokens = [
        ("none", String::new(), 12),
        ("nonsense", "a.b.c".to_owned(), 12),
        ("changed", format!("{}AAAA", &genuine[..genuine.len() - 4]), 12),
        ("of another audience", world.token(ACCOUNT, Some("gateway-2"), "vault").await, 12),
        ("bound to no pod", world.token(ACCOUNT, None, AUDIENCE).await, 12),
        ("of another account", world.token("tenant", Some("tenant"), AUDIENCE).await, 66),
        ("of a workspace", world.token(ACCOUNT, Some("workspace"), AUDIENCE).await, 67),
        ("overheard", genuine.clone(), 66),
    ];
    for (what, token, last) in tokens {
        let (status, body) = send(world.address(last), to, "POST", PATH, &question(&token)).await;
        assert_eq!((status, body.as_str()), (403, ""), "{what}");
    }
    // What the reference took for a proof, and other ways to ask.
    for (method, path) in [("GET", "/internal/session-key"), ("GET", PATH), ("POST", "/"), ("PUT", PATH)] {
        assert_eq!(
            send(world.address(12), to, method, path, "").await,
            (404, String::new()),
            "{method} {path}"
        );
    }
    assert_eq!(send(world.address(12), to, "POST", PATH, "{}").await.0, 400);

    // The proof that is good gets the key, and not in plain text.
    let (status, body) = send(world.address(12), to, "POST", PATH, &question(&genuine)).await;
    assert_eq!(status, 200);
    let key = held.current.bytes();
    let sealed = STANDARD.decode(serde_json::from_str::<Value>(&body).unwrap()["sealed"].as_str().unwrap());
    let sealed = sealed.unwrap();
    assert!(
        !body.as_bytes().windows(key.len()).any(|part| part == key) && !body.contains(&STANDARD.encode(key))
    );
    assert!(!sealed.windows(key.len()).any(|part| part == key));

    // With the pod the proof ends.
    let none = nocrd_devcluster::store::Preconditions::none();
    world.dev.store().delete(nocrd_devcluster::kind::Kind::Pod, "nogoo9", "gateway-2", &none).unwrap();
    assert_eq!(send(world.address(12), to, "POST", PATH, &question(&genuine)).await.0, 403);
}

/// Somebody who listens at a pod's address, counts who comes, and says always the same.
async fn stranger(
    world: &World,
    last: u8,
    answer: Option<String>,
) -> (Arc<AtomicUsize>, AbortOnDropHandle<()>) {
    let listener = TcpListener::bind((world.address(last), world.port)).await.unwrap();
    let asked = Arc::new(AtomicUsize::new(0));
    let counter = Arc::clone(&asked);
    let task = tokio::spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            counter.fetch_add(1, Ordering::SeqCst);
            let body = answer.clone().unwrap_or_default();
            let mut head = [0; 16 * 1024];
            let _ = stream.read(&mut head).await;
            let text = format!("HTTP/1.1 200 OK\r\ncontent-length: {}\r\n\r\n{body}", body.len());
            let _ = stream.write_all(text.as_bytes()).await;
        }
    });
    (asked, AbortOnDropHandle::new(task))
}

#[tokio::test]
async fn d03_a_foreign_pod_with_our_labels_is_never_asked() {
    let world = world().await;
    let ours = json!({ "app": "no-crd", "app.kubernetes.io/name": "no-crd" });
    world.account("tenant").await;
    // All of them are older than the replica.
    world.pod("a-tenant", "tenant", world.address(66), ours.clone()).await;
    let workspace = json!({ "app": "no-crd", keys::TYPE: keys::TYPE_WORKSPACE });
    world.pod("b-workspace", ACCOUNT, world.address(67), workspace).await;
    let (tenant, _tenant) = stranger(&world, 66, None).await;
    let (workspace, _workspace) = stranger(&world, 67, None).await;
    world.pod("gateway-1", ACCOUNT, world.address(11), ours).await;
    let replica = world.peer_of("gateway-1", 11).await;
    replica.known().await;
    let peers = replica.peers.clone().unwrap();
    assert!(peers.ask().await.unwrap().answers.is_empty());
    assert_eq!((tenant.load(Ordering::SeqCst), workspace.load(Ordering::SeqCst)), (0, 0));
}

#[tokio::test]
async fn d03_a_key_from_somebody_at_a_replicas_address_is_not_taken() {
    let world = world().await;
    world.account("tenant").await;
    world.pod("gateway-0", ACCOUNT, world.address(10), json!({})).await;
    world.pod("tenant", "tenant", world.address(66), json!({})).await;
    world.pod("gateway-1", ACCOUNT, world.address(11), json!({})).await;
    let poison = Held::new(Material::parse(b"a key that the attacker knows, 32 bytes").unwrap());
    let poisoned = KeyRing::known(SessionKeys::new(poison.current.bytes(), []).unwrap()).current_id();
    // It has no token of the pod whose address it took; what it sealed would open.
    let half = Half::generate().unwrap();
    let public = STANDARD.encode(&half.public);
    let parties = Parties { asker: "x", peer: "y" };
    let sealed = half.seal(&Half::generate().unwrap().public, parties, &wire::to_json(&poison).unwrap());
    let answers = [
        world.token("tenant", Some("tenant"), AUDIENCE).await,
        world.token(ACCOUNT, Some("gateway-1"), AUDIENCE).await,
        "nonsense".to_owned(),
    ]
    .map(|token| json!({ "token": token, "public": public, "sealed": STANDARD.encode(sealed.clone().unwrap()) }));
    for answer in answers {
        let (asked, task) = stranger(&world, 10, Some(answer.to_string())).await;
        let (_, held) = tokio::sync::watch::channel(None);
        let peers = Peers::new(world.cluster().await, world.config("gateway-1").await, held);
        let round = peers.ask().await.unwrap();
        assert_eq!(asked.load(Ordering::SeqCst), 1);
        assert!(round.eldest().is_none() && !round.is_ours_to_make(), "{round:?}");
        // Its address is free again when it has ended.
        task.abort();
        let _ = task.await;
    }
    // In the end the replica makes a key of its own.
    let (_, _task) = stranger(&world, 10, None).await;
    let replica = world.peer_of("gateway-1", 11).await;
    replica.known().await;
    assert_ne!(replica.ring.current_id(), poisoned);
}

#[tokio::test]
async fn t17_replicas_that_parted_come_together_and_nobody_is_signed_out() {
    let world = world().await;
    world.pod("gateway-1", ACCOUNT, world.address(11), json!({})).await;
    world.pod("gateway-2", ACCOUNT, world.address(12), json!({})).await;
    let [older, younger] = [Material::random(), Material::random()].map(Held::new);
    let (_one, first) = tokio::sync::watch::channel(Some(older.clone()));
    let (_two, second) = tokio::sync::watch::channel(Some(younger.clone()));
    let first = Peers::new(world.cluster().await, world.config("gateway-1").await, first);
    let second = Peers::new(world.cluster().await, world.config("gateway-2").await, second);
    let mut tasks = Vec::new();
    for (peers, last) in [(&first, 11), (&second, 12)] {
        let listener = TcpListener::bind((world.address(last), world.port)).await.unwrap();
        tasks.push(super::super::spawn(Arc::clone(peers).serve(listener)));
    }
    let (of_second, is_ours) = second.ask().await.unwrap().combine(younger.clone());
    assert!(
        !is_ours && of_second.current == older.current && of_second.previous == [younger.current.clone()]
    );
    let (of_first, is_ours) = first.ask().await.unwrap().combine(older.clone());
    assert!(is_ours && of_first.current == older.current && of_first.previous == [younger.current]);
}

#[tokio::test]
async fn what_keeps_a_replica_from_asking_is_named() {
    let world = world().await;
    world.pod("gateway-1", ACCOUNT, world.address(11), json!({})).await;
    let mut config = world.config("gateway-1").await;
    config.retries = 1;
    let (_, held) = tokio::sync::watch::channel(None);
    let ask = async |config: &super::Config| {
        let peers = Peers::new(world.cluster().await, config.clone(), held.clone());
        peers.ask().await.unwrap_err().to_string()
    };
    let good = std::fs::read_to_string(&config.token_file).unwrap();
    std::fs::write(&config.token_file, "\n").unwrap();
    assert!(ask(&config).await.contains("the file is empty"));
    std::fs::write(&config.token_file, world.token(ACCOUNT, None, AUDIENCE).await).unwrap();
    assert!(ask(&config).await.contains("not bound to a pod"));
    world.pod("shared", "default", world.address(12), json!({})).await;
    std::fs::write(&config.token_file, world.token("default", Some("shared"), AUDIENCE).await).unwrap();
    assert!(ask(&config).await.contains("`default`"));
    std::fs::write(&config.token_file, good).unwrap();
    config.token_file = world.dir.path().join("nothing");
    assert!(ask(&config).await.contains("nothing"));
}

#[tokio::test]
async fn a_peer_that_is_silent_holds_up_nobody_for_ever() {
    let world = world().await;
    world.pod("gateway-0", ACCOUNT, world.address(10), json!({})).await;
    // It takes connections, and says nothing.
    let _silent = TcpListener::bind((world.address(10), world.port)).await.unwrap();
    world.pod("gateway-1", ACCOUNT, world.address(11), json!({})).await;
    let mut config = world.config("gateway-1").await;
    (config.retries, config.delay) = (0, Duration::from_millis(1));
    let (ring, held) = (Arc::new(KeyRing::default()), tokio::sync::watch::Sender::new(None));
    let peers = Peers::new(world.cluster().await, config, held.subscribe());
    let keeper = super::super::Keeper::new(
        world.cluster().await,
        Arc::clone(&ring),
        Some(peers),
        held,
        Arc::default(),
    );
    let _task = super::super::spawn(keeper.run());
    eventually("a key of its own", || ring.is_known()).await;
}

/// Connects, and says nothing.
async fn silent(from: IpAddr, to: (IpAddr, u16)) -> TcpStream {
    let socket = TcpSocket::new_v4().unwrap();
    socket.bind((from, 0).into()).unwrap();
    socket.connect(to.into()).await.unwrap()
}

#[tokio::test]
async fn t20_who_says_nothing_takes_few_places_and_not_for_long() {
    let world = world().await;
    let _peer = world.peer("gateway-1", 11).await;
    let to = (world.address(11), world.port);
    let mut held = Vec::new();
    for _ in 0..4 {
        held.push(silent(world.address(66), to).await);
    }
    let mut byte = [0; 1];
    let mut surplus = silent(world.address(66), to).await;
    assert!(!matches!(surplus.read(&mut byte).await, Ok(1..)));
    for stream in &held {
        let still_open = stream.try_read(&mut byte).unwrap_err();
        assert_eq!(still_open.kind(), std::io::ErrorKind::WouldBlock);
    }
    assert_eq!(send(world.address(12), to, "GET", "/", "").await.0, 404, "others have their places");
    // The head breaks off, or the body does.
    let head = format!("POST {PATH} HTTP/1.1\r\nhost: x\r\ncontent-length: 9\r\n\r\n{{");
    held[0].write_all(head.as_bytes()).await.unwrap();
    for stream in &mut held {
        let mut rest = Vec::new();
        let _ = stream.read_to_end(&mut rest).await;
    }
    assert_eq!(send(world.address(66), to, "GET", "/", "").await.0, 404, "the places are free again");
}
