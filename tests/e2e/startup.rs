//! Starting, and not being able to.

use std::{fs, net::TcpListener};

use crate::{dev::Dev, program::Program};

#[test]
fn help_and_version_are_printed() {
    let help = Program::start(&["--help"], &[]).end();
    assert!(
        help.status.success() && help.stdout.contains("--port") && help.stderr.is_empty(),
        "{}",
        help.stderr
    );
    let version = Program::start(&["--version"], &[]).end();
    assert_eq!(version.stdout, format!("nocrd-all {}\n", env!("CARGO_PKG_VERSION")));
}

#[test]
fn all_wrong_settings_are_reported_at_once() {
    let env = [("LOG_LEVEL", "loud"), ("PROXY_TIMEOUT", "soon")];
    let ended = Program::start(&["--port=70000", "--no-such-flag"], &env).end();
    assert_eq!(ended.status.code(), Some(2), "{}", ended.stderr);
    for name in ["PORT", "LOG_LEVEL", "PROXY_TIMEOUT", "--no-such-flag"] {
        assert!(ended.stderr.contains(name), "{name} is not in\n{}", ended.stderr);
    }
    assert_eq!(ended.stdout, "");
}

#[test]
fn without_a_cluster_the_program_names_what_it_tried_and_the_way_out() {
    let ended = Program::start(&["--port=0"], &[]).end();
    assert_eq!(ended.status.code(), Some(1), "{}", ended.stderr);
    for part in [".kube/config", "service account", "nocrd-all dev"] {
        assert!(ended.stderr.contains(part), "{part} is not in\n{}", ended.stderr);
    }
}

#[test]
fn a_port_in_use_is_named_with_what_to_do() {
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = taken.local_addr().unwrap().port();
    for command in [&[][..], &["dev"]] {
        let ended = Program::start(&[command, &[&format!("--port={port}")]].concat(), &[]).end();
        assert_eq!(ended.status.code(), Some(1), "{}", ended.stderr);
        let expected = [&format!("127.0.0.1:{port}")[..], "--port"];
        assert!(expected.iter().all(|part| ended.stderr.contains(part)), "{}", ended.stderr);
    }
}

#[test]
fn bad_certificates_are_named() {
    let dir = tempfile::tempdir().unwrap();
    let path = |name: &str| dir.path().join(name).display().to_string();
    fs::write(path("empty.pem"), "").unwrap();
    for (cert, key, named) in [
        (path("missing.crt"), path("missing.key"), path("missing.crt")),
        (path("empty.pem"), path("missing.key"), path("missing.key")),
        (path("empty.pem"), path("empty.pem"), path("empty.pem")),
    ] {
        let ended = Program::start(&["--port=0", "--tls-cert", &cert, "--tls-key", &key], &[]).end();
        assert_eq!(ended.status.code(), Some(1), "{}", ended.stderr);
        assert!(ended.stderr.contains(&named), "{named} is not in\n{}", ended.stderr);
    }
    let ended = Program::start(&["--port=0", "--tls-cert", &path("empty.pem")], &[]).end();
    assert!(ended.status.code() == Some(2) && ended.stderr.contains("TLS_KEY"), "{}", ended.stderr);
}

#[test]
fn permissions_are_printed() {
    let dev = Dev::start();
    let kubeconfig = dev.kubeconfig();
    let env = [("KUBECONFIG", kubeconfig.to_str().unwrap())];
    let ended = Program::start(&["--check-permissions"], &env).end();
    assert!(ended.status.success(), "{}{}", ended.stdout, ended.stderr);
    assert!(ended.stdout.contains("[ALLOWED]") && !ended.stdout.contains("[DENIED]"), "{}", ended.stdout);
    assert!(ended.stdout.contains("spawn_workspace"), "{}", ended.stdout);
    dev.stop();
}

#[test]
fn a_proxy_for_the_internet_does_not_stand_before_this_machine() {
    let dir = tempfile::tempdir().unwrap();
    // The port of nobody.
    let env = [("HTTPS_PROXY", "http://127.0.0.1:9")];
    let dev = Program::dev(&dir.path().join("kubeconfig"), &[], &env);
    dev.says("ready");
    dev.stop();
}

#[test]
fn a_key_that_is_none_is_told_before_a_cluster_is_started() {
    let dir = tempfile::tempdir().unwrap();
    let kubeconfig = dir.path().join("kubeconfig");
    let env = [("AUTH_ENABLED", "true"), ("JWT_AUDIENCE", "no-crd"), ("JWT_PUBLIC_KEY", "no key")];
    let ended = Program::dev(&kubeconfig, &[], &env).end();
    assert_eq!(ended.status.code(), Some(1), "{}", ended.stderr);
    assert!(ended.stderr.contains("JWT_PUBLIC_KEY") && !kubeconfig.exists(), "{}", ended.stderr);
}

#[tokio::test]
async fn what_was_done_is_written_where_that_was_said() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("audit.log");
    let refused = async |target: &str| {
        let secret = "0123456789abcdef0123456789abcdef";
        let env = [("AUTH_ENABLED", "true"), ("JWT_SECRET", secret), ("AUDIT_LOG", target)];
        let program = Program::dev(&dir.path().join("kubeconfig"), &[], &env);
        let url = format!("{}/permissions", program.base());
        let client = reqwest::Client::builder().no_proxy().build().unwrap();
        assert_eq!(client.get(url).bearer_auth("hunter2").send().await.unwrap().status(), 401);
        program.stop().stderr
    };
    let is_act = |line: &str| {
        serde_json::from_str::<serde_json::Value>(line)
            .is_ok_and(|act| act["action"] == "access" && act["reason"] == "the token is malformed")
    };
    let stderr = refused(file.to_str().unwrap()).await;
    let written = std::fs::read_to_string(&file).unwrap();
    assert!(written.lines().any(is_act) && !written.contains("hunter2"), "{written}");
    assert!(!stderr.lines().any(is_act), "{stderr}");
    assert!(refused("-").await.lines().any(is_act));

    let ended = Program::dev(&dir.path().join("k"), &[], &[("AUDIT_LOG", "/no/such/directory/a")]).end();
    assert!(ended.status.code() == Some(1) && ended.stderr.contains("AUDIT_LOG"), "{}", ended.stderr);
}
