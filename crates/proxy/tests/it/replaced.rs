//! Pods that are replaced while requests are under way to them.

use std::sync::Arc;

use nocrd_model::{AuthMode, Protocol, Subject};
use nocrd_proxy_core::{Lookup, NotReady, Pod, Target};
use tokio::{io::AsyncReadExt as _, net::TcpListener, sync::Notify};

use crate::support::{
    Gateway,
    client::{Answer, get, send, send_raw},
    pod::Program,
    pod_at, soon, until,
};

/// A workspace whose pod is on its way out.
fn terminating() -> Lookup {
    Lookup::NotReady {
        owner: Subject::guest(),
        apis: Vec::new(),
        auth: AuthMode::default(),
        why: NotReady {
            state: "Terminating".into(),
            message: String::new(),
            retry_after: std::time::Duration::from_secs(10),
            progress: None,
        },
    }
}

fn told(answer: &Answer) -> (u16, &str, Option<&str>) {
    let code = ["NCR0304", "NCR0301", "NCR0602"].into_iter().find(|code| answer.body.contains(code));
    (answer.status, code.unwrap_or_default(), answer.header("retry-after"))
}

#[tokio::test]
async fn a_refusal_is_told_as_what_it_turns_out_to_be() {
    let nobody = TcpListener::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap();
    for method in ["GET", "POST"] {
        let gateway = Gateway::to(nobody).await;
        let asking = tokio::spawn(async move {
            let answer = send(gateway.addr, &format!("{method} /route/w/"), &[], "").await;
            (answer, gateway)
        });
        // Nobody has told anything.
        let (answer, gateway) = soon(asking).await.unwrap();
        assert_eq!(told(&answer), (502, "NCR0602", Some("2")));

        let directory = Arc::clone(&gateway.directory);
        let late = async {
            tokio::time::sleep(std::time::Duration::from_millis(50)).await;
            directory.set("w", terminating());
        };
        let target = format!("{method} /route/w/");
        let (answer, ()) = tokio::join!(send(gateway.addr, &target, &[], ""), late);
        assert_eq!(told(&answer), (503, "NCR0304", Some("10")));

        gateway.directory.add("w", pod_at(nobody));
        let late = async {
            tokio::time::sleep(std::time::Duration::from_millis(50)).await;
            directory.set("w", Lookup::NotFound);
        };
        let (answer, ()) = tokio::join!(send(gateway.addr, &target, &[], ""), late);
        assert_eq!(told(&answer), (404, "NCR0301", None));
    }
}

#[tokio::test]
async fn t36_a_pod_that_gets_the_address_while_it_is_dialled_is_sent_nothing() {
    let (heard, mut hears) = tokio::sync::mpsc::unbounded_channel();
    let pod = Program::raw(move |mut wire, _| {
        let heard = heard.clone();
        async move {
            let mut some = [0; 1024];
            heard.send(wire.0.read(&mut some).await.unwrap_or_default()).unwrap();
        }
    })
    .await;
    for protocol in [Protocol::Http, Protocol::H2c] {
        let found = |uid: &str| {
            let pod = Pod { uid: uid.into(), protocol, ..pod_at(pod.addr) };
            Lookup::Found(Arc::new(Target::new(pod)))
        };
        for upgrade in ["", "Upgrade: websocket\r\nConnection: Upgrade\r\n"] {
            let gateway = Gateway::to(pod.addr).await;
            // To find it, before the connection, after it.
            gateway.directory.set_in_turn("w", [found("uid-1"), found("uid-1"), found("uid-2")]);
            let request = format!(
                "GET /route/w/ HTTP/1.1\r\nHost: a\r\nConnection: close\r\n{upgrade}Sec-WebSocket-Version: 13\r\n\
                 Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"
            );
            let answer = Answer::parse(&send_raw(gateway.addr, request).await);
            assert_eq!(soon(hears.recv()).await, Some(0), "{protocol:?} {upgrade}");
            assert_eq!(told(&answer), (503, "NCR0304", Some("1")), "{protocol:?} {upgrade}");
        }
    }
}

#[tokio::test]
async fn d04_what_becomes_of_somebody_else_s_workspace_is_not_told() {
    let nobody = TcpListener::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap();
    let theirs = Pod { uid: "uid-2".into(), owner: "mallory".into(), ..pod_at(nobody) };
    let Lookup::NotReady { apis, auth, why, .. } = terminating() else { unreachable!() };
    for after in [
        Lookup::Found(Arc::new(Target::new(theirs))),
        Lookup::NotReady { owner: "mallory".into(), apis, auth, why },
    ] {
        let gateway = Gateway::to(nobody).await;
        let ours = Lookup::Found(Arc::new(Target::new(pod_at(nobody))));
        // To find it, before the connection that is refused, to explain that.
        gateway.directory.set_in_turn("w", [ours.clone(), ours, after]);
        let answer = get(gateway.addr, "/route/w/", &[]).await;
        assert_eq!(told(&answer), (404, "NCR0301", None), "{answer:?}");
    }
}

#[tokio::test]
async fn t36_a_repetition_does_not_go_to_whoever_has_the_address_now() {
    // At the second request on a connection it waits, and breaks off when it is told.
    let (asked, end) = (Arc::new(Notify::new()), Arc::new(Notify::new()));
    let (tell, wait) = (Arc::clone(&asked), Arc::clone(&end));
    let pod = Program::raw(move |mut wire, _| {
        let (tell, wait) = (Arc::clone(&tell), Arc::clone(&wait));
        async move {
            wire.read_head().await;
            wire.write("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok").await;
            wire.read_head().await;
            tell.notify_one();
            wait.notified().await;
        }
    })
    .await;
    let gateway = Gateway::to(pod.addr).await;
    assert_eq!(get(gateway.addr, "/route/w/", &[]).await.status, 200);
    let address = gateway.addr;
    let asking = tokio::spawn(async move { get(address, "/route/w/", &[]).await });
    soon(asked.notified()).await;
    // Meanwhile the workspace has another pod elsewhere, and the address is another workspace's.
    let mut new = pod_at("127.0.0.1:1".parse().unwrap());
    new.uid = "uid-2".into();
    gateway.directory.add("w", new);
    let mut strange = pod_at(pod.addr);
    strange.uid = "uid-3".into();
    gateway.directory.add("stranger", strange);
    end.notify_one();
    let answer = soon(asking).await.unwrap();
    assert_eq!(told(&answer), (503, "NCR0304", Some("1")));
    assert_eq!(pod.connections(), 1, "it went to the stranger's pod");
    assert_eq!(get(gateway.addr, "/route/stranger/", &[]).await.status, 200);
    until(|| pod.connections() == 2).await;
}

#[tokio::test]
async fn what_may_not_be_sent_again_is_not_told_to_be() {
    let (asked, end) = (Arc::new(Notify::new()), Arc::new(Notify::new()));
    let (tell, wait) = (Arc::clone(&asked), Arc::clone(&end));
    let pod = Program::raw(move |mut wire, _| {
        let (tell, wait) = (Arc::clone(&tell), Arc::clone(&wait));
        async move {
            wire.read_head().await;
            tell.notify_one();
            wait.notified().await;
        }
    })
    .await;
    let gateway = Gateway::to(pod.addr).await;
    for (method, expected) in [("POST", (502, "NCR0602", None)), ("GET", (503, "NCR0304", Some("10")))] {
        gateway.directory.add("w", pod_at(pod.addr));
        let address = gateway.addr;
        let asking =
            tokio::spawn(async move { send(address, &format!("{method} /route/w/"), &[], "").await });
        soon(asked.notified()).await;
        gateway.directory.set("w", terminating());
        end.notify_one();
        assert_eq!(told(&soon(asking).await.unwrap()), expected, "{method}");
    }
}
