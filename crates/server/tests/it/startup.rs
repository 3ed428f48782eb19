use std::{collections::BTreeMap, fs};

use nocrd_config::Settings;
use nocrd_server::{Components, Error, Server, Shutdown};

use crate::support::{Cluster, settings};

#[tokio::test]
async fn without_any_cluster_there_is_no_server() {
    let dir = tempfile::tempdir().unwrap();
    let missing = dir.path().join("kubeconfig");
    let env = BTreeMap::from([
        ("KUBECONFIG".to_owned(), missing.display().to_string()),
        ("PORT".to_owned(), "0".to_owned()),
    ]);
    let server = Server::bind(Settings::from_env(&env).unwrap(), Components::ALL).await.unwrap();
    let error = server.serve(Shutdown::new()).await.unwrap_err();
    assert!(matches!(error, Error::NoCluster(_)), "{error:?}");
    let text = error.to_string();
    assert!(text.contains(&missing.display().to_string()) && text.contains("nocrd-all dev"), "{text}");
}

#[tokio::test]
async fn bad_certificates_and_ports_in_use_end_the_start() {
    let cluster = Cluster::start().await;
    let dir = tempfile::tempdir().unwrap();
    let (cert, key) = (dir.path().join("c.pem"), dir.path().join("k.pem"));
    fs::write(&cert, "no certificate").unwrap();
    let (cert, key) = (cert.display().to_string(), key.display().to_string());
    let tls = settings(&cluster, &[("TLS_CERT", &cert), ("TLS_KEY", &key)]);
    let error = Server::bind(tls, Components::ALL).await.err().unwrap();
    assert_eq!(error.to_string(), format!("can't read TLS_KEY {key}"));

    let first = Server::bind(settings(&cluster, &[]), Components::ALL).await.unwrap();
    let url = first.urls().unwrap().local().to_owned();
    let port = url.rsplit_once(':').unwrap().1;
    let error = Server::bind(settings(&cluster, &[("PORT", port)]), Components::ALL).await.err().unwrap();
    assert!(matches!(error, Error::Listen { .. }) && error.to_string().contains(port), "{error}");
}
