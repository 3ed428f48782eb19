//! Precedence, and what each type accepts.

use std::{collections::BTreeSet, path::Path, time::Duration};

use nocrd_config::{LogLevel, Mode, PodSecurity, Source, Transport};
use secrecy::ExposeSecret;

use crate::{report, settings};

#[test]
fn defaults() {
    let s = settings(&[], &[("HOME", "/home/u")]);
    assert_eq!(
        (s.transport, s.port, s.host.as_str(), s.base_url.as_str()),
        (Transport::Http, 3000, "127.0.0.1", "")
    );
    assert_eq!(
        (s.mode, s.namespace.as_str(), s.pod_security),
        (Mode::Cluster, "nogoo9", PodSecurity::Baseline)
    );
    assert_eq!((s.spawn_timeout, s.drain_timeout), (Duration::from_secs(300), Duration::from_secs(30)));
    assert_eq!(s.proxy_timeout, Some(Duration::from_secs(120)));
    assert_eq!(
        (s.max_workspaces_per_user, s.log_file.clone(), s.allowed_namespaces.clone()),
        (None, None, None)
    );
    assert_eq!((s.kubeconfig.as_slice(), s.home.as_deref()), (&[][..], Some(Path::new("/home/u"))));
    assert_eq!(s.cors_allowed_methods, ["GET", "POST", "OPTIONS"]);
    assert_eq!(s.oauth_scopes, ["openid", "profile", "email", "offline_access"]);
    assert!(
        s.managed_only
            && s.builtin_templates
            && s.node_tls_reject_unauthorized
            && !s.in_cluster
            && !s.stateless
    );
    assert!(s.warnings().is_empty(), "{:?}", s.warnings());
    assert_eq!(s.source("PORT"), Source::Default);
}

#[test]
fn a_flag_beats_a_variable_beats_the_default() {
    let env = [("PORT", "1"), ("NAMESPACE", "a"), ("DEFAULT_NAMESPACE", "b")];
    let s = settings(&["--port", "2", "-p3"], &env);
    assert_eq!((s.port, s.source("PORT")), (3, Source::Flag("port")));
    assert_eq!((s.namespace.as_str(), s.source("NAMESPACE")), ("a", Source::Env("NAMESPACE")));
    assert_eq!(settings(&[], &env).port, 1);
}

#[test]
fn the_first_variable_that_is_not_empty_counts() {
    let s = settings(&[], &[("NAMESPACE", ""), ("DEFAULT_NAMESPACE", "b"), ("PORT", "")]);
    assert_eq!((s.namespace.as_str(), s.source("NAMESPACE")), ("b", Source::Env("DEFAULT_NAMESPACE")));
    assert_eq!(s.port, 3000);
    let split = [("OAUTH_SERVER_DISCOVERY_URL", "https://in/"), ("OAUTH_DISCOVERY_URL", "https://out/")];
    let s = settings(&[], &split);
    assert_eq!(s.oauth_server_discovery_url.unwrap().as_str(), "https://in/");
    assert_eq!(s.oauth_discovery_url.unwrap().as_str(), "https://out/");
    let s = settings(&[], &split[1..]);
    assert_eq!(s.oauth_server_discovery_url.unwrap().as_str(), "https://out/");
}

#[test]
fn an_empty_required_scope_or_role_means_no_check() {
    let s = settings(&["--auth-required-write-role="], &[("AUTH_REQUIRED_READ_SCOPE", "")]);
    assert_eq!((s.auth_required_read_scope, s.auth_required_write_role), (None, None));
    assert_eq!(s.auth_required_write_scope.as_deref(), Some("nogoo9:write"));
}

#[test]
fn booleans() {
    for word in ["true", "TRUE", "1", "yes", "On", " true "] {
        assert!(settings(&[], &[("STATELESS", word)]).stateless, "{word}");
    }
    for word in ["false", "False", "0", "no", "OFF"] {
        assert!(!settings(&[], &[("MANAGED_ONLY", word)]).managed_only, "{word}");
    }
    for word in ["2", "y", "tru", "enabled", "NaN", " "] {
        let report = report(&[], &[("STATELESS", word)]);
        assert!(
            report.contains("STATELESS (environment variable STATELESS)") && report.contains("`false`"),
            "{report}"
        );
    }
}

#[test]
fn numbers() {
    for good in ["0", "65535", " 80 ", "0080"] {
        settings(&[], &[("PORT", good)]);
    }
    for bad in
        ["65536", "-1", "1e3", "0x50", "3000.0", "NaN", "Infinity", "three", "９", "99999999999999999999999"]
    {
        let report = report(&[], &[("PORT", bad)]);
        assert!(report.contains("must be a whole number from 0 to 65535"), "{bad}: {report}");
    }
    assert!(report(&[], &[("DEFAULT_WORKSPACE_PORT", "0")]).contains("from 1 to 65535"));
    let s =
        settings(&[], &[("PROXY_TIMEOUT", "0"), ("MAX_WORKSPACES_PER_USER", "7"), ("SPAWN_TIMEOUT", "5")]);
    assert_eq!((s.proxy_timeout, s.spawn_timeout), (None, Duration::from_secs(5)));
    assert_eq!(s.max_workspaces_per_user.map(u32::from), Some(7));
    assert_eq!(settings(&[], &[("PROXY_TIMEOUT", "1500")]).proxy_timeout, Some(Duration::from_millis(1500)));
    assert!(report(&[], &[("SPAWN_TIMEOUT", "0")]).contains("a whole number of seconds from 1 to 3600"));
}

#[test]
fn words() {
    assert_eq!(settings(&["-l", "WARN"], &[]).log_level, LogLevel::Warning);
    assert_eq!(settings(&["-t", "Stdio"], &[]).transport, Transport::Stdio);
    let report = report(&["--mode", "all"], &[("POD_SECURITY", "strict")]);
    assert!(
        report.contains(r#"MODE (flag --mode) is "all": it must be one of `cluster`, `namespaced`"#),
        "{report}"
    );
    assert!(report.contains("POD_SECURITY (environment variable POD_SECURITY)"), "{report}");
    assert!(report.contains("2 errors [NCR0903]"), "{report}");
}

#[test]
fn base_url_gets_one_form() {
    for (given, normal) in [
        ("/gateway/no-crd", "/gateway/no-crd"),
        ("my-prefix/", "/my-prefix"),
        ("/a/b/", "/a/b"),
        ("/", ""),
        ("", ""),
        ("/~user/a.b_c-d", "/~user/a.b_c-d"),
    ] {
        assert_eq!(settings(&["--base-url", given], &[]).base_url, normal, "{given}");
    }
    for bad in [
        "https://host/x",
        "/a/../b",
        "/.",
        "/a//b",
        "//a",
        "/a%2fb",
        "/a?b",
        "/a#b",
        "/a;b",
        "/a\\b",
        "/a b",
        "/ä",
        "/a:b",
        "/a@b",
        "/a\"b",
        "/a\nb",
    ] {
        assert!(report(&["--base-url", bad], &[]).contains("BASE_URL"), "{bad}");
    }
    assert!(report(&[], &[("BASE_URL", "https://host/x")]).contains("PUBLIC_URL"));
}

#[test]
fn lists() {
    let s = settings(
        &[],
        &[
            ("ALLOWED_SERVICE_ACCOUNTS", " builder ,, reader,"),
            ("ALLOWED_SECRETS", "registry, team-a/tls.example"),
            ("ALLOWED_CONFIGMAPS", "team-a/ca"),
            ("ALLOWED_CLAIMS", "homes"),
            ("ALLOWED_METADATA_PREFIXES", "example.com/, team"),
            ("POD_CIDRS", "10.42.0.7/16, fd00::/8"),
            ("TRUSTED_PROXIES", "192.168.0.1/32"),
            ("ALLOWED_HOSTS", "pods.example.com, 10.0.0.1:8443,[::1]:3000,::1, localhost"),
            ("ALLOWED_NAMESPACES", "nogoo9,team-a"),
            ("KUBECONFIG", "/a:/b"),
            ("CORS_ORIGIN", "https://a.example/, http://b:8080"),
        ],
    );
    assert_eq!(s.allowed_service_accounts, BTreeSet::from(["builder".to_owned(), "reader".to_owned()]));
    assert_eq!(s.allowed_secrets, BTreeSet::from(["registry".to_owned(), "team-a/tls.example".to_owned()]));
    assert_eq!(s.allowed_configmaps, BTreeSet::from(["team-a/ca".to_owned()]));
    assert_eq!(s.allowed_metadata_prefixes, BTreeSet::from(["example.com".to_owned(), "team".to_owned()]));
    assert_eq!(s.allowed_claims, BTreeSet::from(["homes".to_owned()]));
    assert_eq!(s.pod_cidrs.iter().map(ToString::to_string).collect::<Vec<_>>(), ["10.42.0.0/16", "fd00::/8"]);
    assert_eq!(s.allowed_hosts.len(), 5);
    assert_eq!(s.allowed_namespaces.unwrap().len(), 2);
    assert_eq!(s.kubeconfig, [Path::new("/a"), Path::new("/b")]);
    assert_eq!(s.cors_allowed_origin, ["https://a.example", "http://b:8080"]);
    assert!(report(&[], &[("POD_CIDRS", "10.0.0.0/8,all")]).contains(r#""all" is not"#));
    for (name, bad) in [
        ("POD_CIDRS", "10.0.0.0/33"),
        ("POD_CIDRS", "10.0.0"),
        ("POD_CIDRS", "everything"),
        ("TRUSTED_PROXIES", "proxy.example"),
        ("ALLOWED_NAMESPACES", "nogoo9,Team"),
        ("ALLOWED_SERVICE_ACCOUNTS", "a b"),
        ("ALLOWED_SECRETS", "a/b/c"),
        ("ALLOWED_SECRETS", "/b"),
        ("ALLOWED_CONFIGMAPS", "A/b"),
        ("ALLOWED_CLAIMS", "*"),
        ("ALLOWED_METADATA_PREFIXES", "example.com/team"),
        ("ALLOWED_METADATA_PREFIXES", "*"),
        ("ALLOWED_HOSTS", "https://x"),
        ("ALLOWED_HOSTS", "x:0"),
        ("ALLOWED_HOSTS", "[::1"),
        ("CORS_ORIGIN", "https://a.example/path"),
    ] {
        assert!(report(&[], &[(name, bad)]).contains(name), "{name}={bad}");
    }
}

#[test]
fn urls_and_names() {
    for (name, bad) in [
        ("PUBLIC_URL", "pods.example.com"),
        ("PUBLIC_URL", "ftp://x"),
        ("PUBLIC_URL", "https://x/?a=b"),
        ("PUBLIC_URL", "https://x/#a"),
        ("REGISTRY_URL", "https://"),
        ("JWKS_URI", "gopher://x/y"),
        ("AUTH_SUB_JSONPATH", "sub"),
        ("NAMESPACE", "No_Good"),
        ("THEMES_CONFIGMAP", "a/b"),
        ("HOST", "0.0.0.0:80"),
        ("HOST", "http://x"),
        ("UI_TITLE", "a\0b"),
    ] {
        assert!(report(&[], &[(name, bad)]).contains(name), "{name}={bad}");
    }
    for good in ["https://idp/keys", "file:///etc/keys.json", "keys.json"] {
        assert_eq!(settings(&[], &[("JWKS_URI", good)]).jwks_uri.as_deref(), Some(good));
    }
}

#[test]
fn secrets_are_kept_as_they_are() {
    let key = format!("{} ", "k".repeat(31));
    let s = settings(&[], &[("JWT_SECRET", &key), ("OAUTH_CLIENT_SECRET", "short")]);
    assert_eq!(s.jwt_secret.unwrap().expose_secret(), key);
    assert_eq!(s.oauth_client_secret.unwrap().expose_secret(), "short");
}

#[test]
fn one_address_is_a_range() {
    let ranges = |text: &str| settings(&[], &[("TRUSTED_PROXIES", text)]).trusted_proxies;
    let told: Vec<_> = ranges("10.0.0.1, fd00::1, 10.1.2.3/16").iter().map(ToString::to_string).collect();
    assert_eq!(told, ["10.0.0.1/32", "fd00::1/128", "10.1.0.0/16"]);
    assert!(report(&[], &[("TRUSTED_PROXIES", "10.0.0")]).contains("or one address"));
}

#[test]
fn an_address_without_a_scheme_is_told_to_have_one() {
    for text in ["gw.example", "gw.example:8443", "gw.example/x", "localhost:3000"] {
        assert!(report(&[], &[("PUBLIC_URL", text)]).contains("begin it with `https://`"), "{text}");
    }
}
