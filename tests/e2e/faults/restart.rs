//! A replica is replaced while another serves.

use futures::future::join_all;

use super::{
    Cluster,
    load::{Clients, Load, Record, Socket},
    pod::Pod,
    wire::Client,
};
use crate::{
    auth::{Env, until},
    part::{Half, Part},
};

const SLOW: usize = 4;

#[tokio::test(flavor = "multi_thread")]
async fn a_replica_that_is_replaced_drops_nothing_and_the_other_goes_on() {
    let cluster = Cluster::start();
    let pod = Pod::listen(([127, 0, 0, 1], 0).into(), "the secret of w1").await;
    pod.appear(&cluster.kubectl(), "w1");
    let start = |port| Part::at(Half::Proxy, port, &cluster.kubeconfig(), &Env::new());
    let (first, second) = (start(0), start(0));
    let (one, two) = (first.address(), second.address());
    let clients = Clients { requests: 6, sockets: 2, methods: &["GET", "POST"] };
    let load = Load::start(&[one, two], "/route/w1/", "/route/w1/socket", clients);
    let answered = |seen: &Record, by| {
        let answers = seen.requests.iter().filter_map(|seen| seen.answer.as_ref().ok());
        answers.filter(|answer| answer.from == by).count()
    };
    load.until("answers of both", |seen| answered(seen, one) > 100 && answered(seen, two) > 100).await;

    // It is told to stop in the middle of long answers.
    let slow: Vec<_> = (0..SLOW)
        .map(|_| tokio::spawn(async move { Client::of(vec![one]).ask("GET", "/route/w1/slow").await }))
        .collect();
    until("the long answers", async || pod.slow() == SLOW).await;
    let ended = tokio::task::spawn_blocking(move || first.stop()).await.unwrap();
    assert!(!ended.stderr.contains("cutting off"), "{}", ended.stderr);
    for answer in join_all(slow).await {
        let answer = answer.unwrap().unwrap();
        assert_eq!((answer.status, answer.body), (200, pod.secret().repeat(2)));
    }
    load.more(100, 20).await;
    let told = load.look(|seen| {
        let answers = seen.requests.iter().filter_map(|seen| seen.answer.as_ref().ok());
        answers.filter(|answer| answer.from == one && answer.is_last).count()
    });
    assert_eq!(told, clients.requests, "each of its clients is told once that it goes");
    load.look(|seen| {
        let failures = seen.failures(pod.secret());
        assert!(failures.is_empty(), "{} of {}: {:?}", failures.len(), seen.requests.len(), failures.first());
        let endings = seen.endings();
        let closed = endings.iter().filter(|ending| ***ending == Socket::Closed(1001)).count();
        assert!(closed >= clients.sockets && closed == endings.len(), "{endings:?}");
    });

    // The next one has no time to say anything.
    let first = start(one.port());
    let before = load.look(|seen| answered(seen, one));
    second.kill();
    load.until("answers of the new one", |seen| answered(seen, one) > before + 200).await;
    let seen = load.stop().await;
    let failures = seen.failures(pod.secret());
    // What was under way is lost, and no more: one request for each of the clients, all of which had come to it.
    assert!(failures.len() <= 2 * clients.requests, "{failures:?}");
    first.stop();
    cluster.program.stop();
}
