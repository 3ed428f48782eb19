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
