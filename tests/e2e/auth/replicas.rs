//! Two servers for one cluster, as processes of their own.

use nocrd_testkit::Idp;
use serde_json::{Value, json};

use super::{
    front::Front,
    server::{Replica, Server},
    session::{env, signed_in_at, until, user},
    visitor::Visitor,
};
use crate::kubectl::Kubectl;

const TEMPLATE: &str = "default-agent-workspace";
const OLD_KEY: &str = "a key of session cookies, before its rotation";
const NEW_KEY: &str = "a key of session cookies, after its rotation";

/// Two servers for one cluster behind one name, and Alice, who has signed in at the first.
struct Two {
    idp: Idp,
    front: Front,
    first: Server,
    second: Replica,
    alice: Visitor,
}

impl Two {
    async fn start() -> Self {
        let idp = Idp::start().await;
        // Nothing but the cluster tells them the key.
        let (front, first, alice) = signed_in_at(&idp).await;
        let second = Replica::start(&first.kubeconfig(), &env(&idp, &front));
        Self { idp, front, first, second, alice }
    }
}

#[tokio::test]
async fn a_cookie_of_one_is_good_at_the_other_and_signing_out_counts_at_both() {
    let Two { idp, front, first, second, alice } = Two::start().await;
    let arguments = json!({ "id": "w1", "templateRef": TEMPLATE, "wait": true });
    assert_eq!(alice.tool("spawn_workspace", arguments).await["status"], "running");
    let copy = alice.copy();

    front.to(second.base());
    assert_eq!(alice.session().await["sub"], "alice");
    until("the page of a workspace that the other started", async || alice.status("/route/w1/").await == 200)
        .await;
    // A sign-in may begin at one and end at the other.
    let bob = Visitor::of(front.origin());
    idp.sign_in_as(user("bob"));
    let back = bob.half_a_sign_in("/auth/login?redirect_uri=%2Fpermissions").await;
    front.to(first.base());
    let ended = bob.browse(&back).await;
    assert_eq!(ended.status(), 200, "{}", ended.text().await.unwrap());
    assert_eq!(bob.session().await["sub"], "bob");
    assert_eq!(bob.status("/route/w1/").await, 404);

    // She signs out here, and is signed out there.
    alice.sign_out().await;
    assert_eq!(copy.status("/auth/session").await, 401);
    front.to(second.base());
    until("signing out at the other", async || copy.status("/auth/session").await == 401).await;
    assert_eq!(bob.session().await["sub"], "bob");
    second.stop();
    first.stop();
}

#[tokio::test(flavor = "multi_thread")]
async fn requests_at_both_refresh_once() {
    let Two { idp, front, first, second, alice } = Two::start().await;
    alice.forget("nocr_sess");

    let cookie = format!("nocr_refresh={}", alice.cookie("nocr_refresh").unwrap());
    let host = front.origin().strip_prefix("http://").unwrap().to_owned();
    let asking: Vec<_> = (0..20)
        .map(|number| {
            let base = if number % 2 == 0 { first.base() } else { second.base() };
            let http = reqwest::Client::builder().no_proxy().build().unwrap();
            let request =
                http.get(format!("{base}/auth/session")).header("cookie", &cookie).header("host", &host);
            tokio::spawn(request.send())
        })
        .collect();
    for answer in asking {
        let answer = answer.await.unwrap().unwrap();
        assert_eq!(answer.status(), 200, "{}", answer.text().await.unwrap());
    }
    let counts = idp.counts();
    assert_eq!((counts.refresh_grants, counts.reuses), (1, 0), "{counts:?}");
    second.stop();
    first.stop();
}

#[tokio::test]
async fn t17_the_key_changes_without_anybody_signing_in_again() {
    let (idp, front) = (Idp::start().await, Front::open());
    idp.sign_in_as(user("alice"));
    let env = env(&idp, &front);
    let server = Server::start(&env.clone().with("PROXY_SESSION_SECRET", OLD_KEY));
    front.to(server.base());
    let alice = Visitor::of(front.origin());
    alice.sign_in("alice").await;
    let old = alice.cookie("nocr_sess").unwrap();

    // A replica that knows both keys takes over.
    let rotating =
        env.clone().with("PROXY_SESSION_SECRET", NEW_KEY).with("PROXY_SESSION_SECRET_PREVIOUS", OLD_KEY);
    let rotated = Replica::start(&server.kubeconfig(), &rotating);
    front.to(rotated.base());
    assert_eq!(alice.session().await["sub"], "alice");
    // By refreshing at the latest, the cookies are made with the new key.
    alice.forget("nocr_sess");
    assert_eq!(alice.session().await["sub"], "alice");
    assert_ne!(alice.cookie("nocr_sess").unwrap(), old);
    rotated.stop();

    // One that knows the new key alone accepts what was made with it, and nothing older.
    let last = Replica::start(&server.kubeconfig(), &env.with("PROXY_SESSION_SECRET", NEW_KEY));
    front.to(last.base());
    assert_eq!(alice.session().await["sub"], "alice");
    alice.forget("nocr_refresh");
    alice.keep("nocr_sess", &old);
    assert_eq!(alice.status("/auth/session").await, 401);
    last.stop();
    server.stop();
}

#[tokio::test(flavor = "multi_thread")]
async fn t17_the_key_in_the_cluster_changes_without_anybody_signing_in_again() {
    let Two { idp, front, first, second, alice } = Two::start().await;
    let key_id = |cookie: &str| cookie.split('.').nth(1).unwrap().to_owned();
    let old = key_id(&alice.cookie("nocr_sess").unwrap());

    let kubectl = Kubectl::at(first.kubeconfig());
    let get = kubectl.line("get secret/nogoo9-session-key --namespace=nogoo9 --output=json");
    let secret: Value = serde_json::from_str(&get).unwrap();
    // The new key is 33 times the letter n, in base64.
    let data = json!({ "key": "bm5u".repeat(11), "previous": secret["data"]["key"] });
    let patch = json!({ "data": data }).to_string();
    kubectl.run(&[
        "patch",
        "secret/nogoo9-session-key",
        "--namespace=nogoo9",
        "--type=merge",
        "--patch",
        &patch,
    ]);

    // Both learn of it in time, and meanwhile each accepts what the other makes.
    let mut made_with_new = [false; 2];
    until("cookies made with the new key", async || {
        for (base, done) in [first.base(), second.base()].into_iter().zip(&mut made_with_new) {
            front.to(base);
            assert_eq!(alice.session().await["sub"], "alice");
            alice.forget("nocr_sess");
            assert_eq!(alice.session().await["sub"], "alice");
            *done = key_id(&alice.cookie("nocr_sess").unwrap()) != old;
        }
        made_with_new == [true; 2]
    })
    .await;
    assert_eq!(idp.counts().code_grants, 1);
    assert_eq!(idp.counts().reuses, 0);
    second.stop();
    first.stop();
}
