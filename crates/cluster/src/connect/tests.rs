use std::fs;

use super::*;

fn kubeconfig(server: &str) -> String {
    format!(
        "apiVersion: v1\nkind: Config\ncurrent-context: c\n\
         clusters: [{{name: k, cluster: {{server: '{server}'}}}}]\n\
         users: [{{name: u, user: {{token: secret-token}}}}]\n\
         contexts: [{{name: c, context: {{cluster: k, user: u, namespace: team}}}}, \
         {{name: other, context: {{cluster: k, user: u}}}}]\n"
    )
}

#[tokio::test]
async fn reads_the_kubeconfig_it_is_given() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("config");
    fs::write(&file, kubeconfig("http://user:pass@127.0.0.1:1/k8s/")).unwrap();
    // A file that is not there is no problem as long as another is.
    let options =
        ConnectOptions { kubeconfig: vec![dir.path().join("none"), file], ..ConnectOptions::default() };
    let connection = connect(&options).await.unwrap();
    assert_eq!(connection.server, "http://127.0.0.1:1/k8s");
    assert_eq!(connection.namespace, "team");
    assert!(connection.source.contains("config"), "{}", connection.source);

    let other = ConnectOptions { context: Some("other".into()), ..options.clone() };
    assert_eq!(connect(&other).await.unwrap().namespace, "default");
    let unknown = ConnectOptions { context: Some("nope".into()), ..options };
    assert!(connect(&unknown).await.is_err());
}

#[tokio::test]
async fn finds_the_one_in_the_home_directory() {
    let home = tempfile::tempdir().unwrap();
    fs::create_dir(home.path().join(".kube")).unwrap();
    fs::write(home.path().join(".kube/config"), kubeconfig("http://127.0.0.1:1")).unwrap();
    let options = ConnectOptions { home: Some(home.path().to_owned()), ..ConnectOptions::default() };
    assert_eq!(connect(&options).await.unwrap().server, "http://127.0.0.1:1");
}

#[tokio::test]
async fn a_service_account_is_used_when_there_is_no_kubeconfig() {
    let home = tempfile::tempdir().unwrap();
    let options = ConnectOptions { home: Some(home.path().to_owned()), ..ConnectOptions::default() };
    let in_pod = || Ok(kube::Config::new(http::Uri::from_static("http://10.96.0.1")));
    let connection = connect_or(&options, in_pod).await.unwrap();
    assert_eq!(
        (connection.server.as_str(), connection.source.as_str()),
        ("http://10.96.0.1", "service account")
    );
}

#[tokio::test]
async fn says_what_was_tried() {
    let home = tempfile::tempdir().unwrap();
    let options = ConnectOptions { home: Some(home.path().to_owned()), ..ConnectOptions::default() };
    let no_pod = || Err(InClusterError::ReadEnvironmentVariable(std::env::VarError::NotPresent));
    let error = connect_or(&options, no_pod).await.err().expect("no cluster");
    let text = error.to_string();
    for part in [".kube/config: no such file", "service account", "nocrd-all dev"] {
        assert!(text.contains(part), "{text}");
    }
    assert_eq!(error.kind(), ErrorKind::Unavailable);
}

#[tokio::test]
async fn a_named_kubeconfig_that_is_unusable_is_final() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("config");
    let options = ConnectOptions { kubeconfig: vec![file.clone()], ..ConnectOptions::default() };
    assert_eq!(connect(&options).await.err().expect("none").tried.len(), 1);
    fs::write(&file, "clusters: {").unwrap();
    let error = connect(&options).await.err().expect("unreadable");
    assert!(error.tried.iter().all(|tried| tried.starts_with("kubeconfig ")), "{error}");
}

#[tokio::test]
async fn a_probe_tells_who_does_not_answer_and_no_secrets() {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let server = format!("http://{}", listener.local_addr().unwrap());
    drop(listener);
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("config");
    fs::write(&file, kubeconfig(&server)).unwrap();
    let options = ConnectOptions { kubeconfig: vec![file], ..ConnectOptions::default() };
    let connection = connect(&options).await.unwrap();
    let text = connection.probe(Duration::from_secs(20)).await.unwrap_err().to_string();
    assert!(text.contains(&server) && text.contains("nocrd-all dev"), "{text}");
    assert!(!text.contains("secret-token"), "{text}");
}
