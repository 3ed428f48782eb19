use std::{collections::BTreeMap, fs};

use nocrd_config::Settings;
use nocrd_server::{Components, Error, Server, Shutdown};

use crate::support::{Cluster, Running, settings};

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

#[tokio::test]
async fn keys_that_can_not_be_used_end_the_start_before_anything_is_bound() {
    let cluster = Cluster::start().await;
    let dir = tempfile::tempdir().unwrap();
    let path = |name: &str| dir.path().join(name).display().to_string();
    fs::write(path("text.json"), "no keys").unwrap();
    let pem = "-----BEGIN PUBLIC KEY-----\nAAAA\n-----END PUBLIC KEY-----";
    for (name, value, cause) in [
        ("JWKS_URI", path("missing.json"), "No such file"),
        ("JWKS_URI", path("text.json"), "it is no key set"),
        ("JWKS_URI", format!("file://{}", path("missing.json")), "No such file"),
        ("JWT_PUBLIC_KEY", pem.to_owned(), "it is no RSA"),
    ] {
        let env = [("AUTH_ENABLED", "true"), ("JWT_AUDIENCE", "no-crd"), (name, &*value)];
        let error = Server::bind(settings(&cluster, &env), Components::ALL).await.err().unwrap();
        let text = nocrd_authz::error::with_causes(&error);
        assert!(text.contains(name) && text.contains(cause), "{name}={value}: {text}");
    }
}

#[tokio::test]
async fn a_port_of_the_metrics_that_is_taken_is_told_as_theirs() {
    let cluster = Cluster::start().await;
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let port = taken.local_addr().unwrap().port().to_string();
    let error =
        Server::bind(settings(&cluster, &[("METRICS_PORT", &port)]), Components::ALL).await.err().unwrap();
    let advice = error.advice().unwrap();
    assert!(advice.contains("METRICS_PORT") && !advice.contains("--port"), "{advice}");
}

#[tokio::test]
async fn with_authorities_only_their_clients_get_in() {
    let cluster = Cluster::start().await;
    let dir = tempfile::tempdir().unwrap();
    let file = |name: &str, text: &str| {
        let path = dir.path().join(name);
        fs::write(&path, text).unwrap();
        path.display().to_string()
    };
    let own =
        rcgen::generate_simple_self_signed(vec!["localhost".to_owned(), "127.0.0.1".to_owned()]).unwrap();
    let (cert, key) = (file("c.pem", &own.cert.pem()), file("k.pem", &own.signing_key.serialize_pem()));
    let authority_key = rcgen::KeyPair::generate().unwrap();
    let mut params = rcgen::CertificateParams::new(Vec::new()).unwrap();
    params.is_ca = rcgen::IsCa::Ca(rcgen::BasicConstraints::Unconstrained);
    let authority = params.self_signed(&authority_key).unwrap();
    let issuer = rcgen::Issuer::new(params, authority_key);
    let client_key = rcgen::KeyPair::generate().unwrap();
    let mut params = rcgen::CertificateParams::new(vec!["client".to_owned()]).unwrap();
    params.extended_key_usages = vec![rcgen::ExtendedKeyUsagePurpose::ClientAuth];
    let client = params.signed_by(&client_key, &issuer).unwrap();
    let ca = file("ca.pem", &authority.pem());

    let env = [("TLS_CERT", &*cert), ("TLS_KEY", &*key), ("TLS_CA", &*ca)];
    let running = Running::begin(&cluster, &env, Components::ALL).await;
    let trusting = || {
        let trusted = reqwest::Certificate::from_pem(own.cert.pem().as_bytes()).unwrap();
        reqwest::Client::builder().no_proxy().tls_certs_only([trusted])
    };
    let url = format!("{}/livez", running.base);
    let stranger = trusting().build().unwrap().get(&url).send().await;
    assert!(stranger.is_err(), "{stranger:?}");
    let identity = format!("{}{}", client.pem(), client_key.serialize_pem());
    let identity = reqwest::Identity::from_pem(identity.as_bytes()).unwrap();
    let known = trusting().identity(identity).build().unwrap().get(&url).send().await.unwrap();
    assert_eq!(known.status(), 200);
    running.stop().await;
}
