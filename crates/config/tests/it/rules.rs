//! Rules that concern several settings, and warnings.

use std::collections::BTreeMap;

use nocrd_config::{Binary, Command, Effect, Settings, load, settings::TABLE};

use crate::{Env, report, settings};

const CLUSTER: (&str, &str) = ("KUBERNETES_SERVICE_HOST", "10.43.0.1");

fn dev(args: &[&str], env: &Env<'_>) -> Result<Settings, String> {
    let map: BTreeMap<_, _> =
        env.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
    match load(Binary::All, std::iter::once("dev").chain(args.iter().copied()), &map) {
        Ok(Command::Dev(settings, _)) => Ok(*settings),
        Ok(other) => panic!("{other:?}"),
        Err(errors) => Err(errors.to_string()),
    }
}

#[test]
fn an_open_server_keeps_to_its_machine_unless_told_otherwise() {
    assert_eq!(settings(&[], &[]).host, "127.0.0.1");
    let s = settings(&[], &[CLUSTER]);
    assert_eq!((s.host.as_str(), s.in_cluster), ("0.0.0.0", true));
    assert!(s.warnings().iter().any(|w| w.contains("no authentication")), "{:?}", s.warnings());
    let s = settings(&[], &[("HOST", "192.168.1.5")]);
    assert!(s.host == "192.168.1.5" && s.warnings().len() == 1, "{:?}", s.warnings());
    for host in ["::1", "localhost", "127.0.0.2"] {
        assert!(settings(&["-H", host], &[]).warnings().is_empty(), "{host}");
    }
    assert!(settings(&["-H", "0.0.0.0", "-t", "stdio"], &[]).warnings().is_empty());
}

#[test]
fn t31_proxies_among_the_workspaces_are_warned_of() {
    for (proxies, pods, warned) in [
        ("10.42.7.0/24", "10.42.0.0/16", true),
        ("10.0.0.0/8", "10.42.0.0/16", true),
        ("192.0.2.1/32,fd00:1::/64", "10.42.0.0/16,fd00::/16", true),
        ("10.43.0.0/16", "10.42.0.0/16", false),
        ("fd00::/16", "10.42.0.0/16", false),
        ("10.42.7.0/24", "", false),
    ] {
        let s = settings(&["-H", "127.0.0.1"], &[("TRUSTED_PROXIES", proxies), ("POD_CIDRS", pods)]);
        let found = s.warnings().iter().find(|warning| warning.starts_with("TRUSTED_PROXIES"));
        assert_eq!(found.is_some(), warned, "{proxies} {pods}: {:?}", s.warnings());
    }
}

#[test]
fn the_embedded_cluster_is_never_exposed() {
    let s = dev(&[], &[CLUSTER]).unwrap();
    assert_eq!((s.host.as_str(), s.pod_cidrs[0].to_string().as_str()), ("127.0.0.1", "127.0.0.0/8"));
    assert_eq!(dev(&["--pod-cidrs=10.0.0.0/8"], &[]).unwrap().pod_cidrs[0].to_string(), "10.0.0.0/8");
    for host in ["0.0.0.0", "::", "10.1.1.1", "example.com"] {
        assert!(dev(&["--host", host], &[]).unwrap_err().contains("loopback"), "{host}");
    }
    assert!(dev(&["--transport=stdio"], &[("HOST", "0.0.0.0")]).is_ok());
}

#[test]
fn tls_files_come_in_pairs() {
    assert!(report(&["--tls-cert=c"], &[]).contains("TLS_KEY is missing"));
    assert!(report(&[], &[("TLS_KEY", "k")]).contains("TLS_CERT is missing"));
    assert!(report(&[], &[("TLS_CA", "a")]).contains("both TLS_CERT and TLS_KEY"));
    settings(&["--tls-cert=c"], &[("TLS_KEY", "k")]);
}

#[test]
fn the_default_namespace_is_an_allowed_one() {
    assert!(report(&[], &[("ALLOWED_NAMESPACES", "a,b")]).contains("`nogoo9`"));
    assert!(report(&[], &[("ALLOWED_NAMESPACES", ",")]).contains("`nogoo9`"));
    settings(&["-n", "b"], &[("ALLOWED_NAMESPACES", "a,b")]);
    let s = settings(&["-m", "namespaced"], &[("ALLOWED_NAMESPACES", "a,b")]);
    assert!(s.warnings()[0].contains("counts only in mode"), "{:?}", s.warnings());
}

#[test]
fn nocrd_proxy_serves_http_only() {
    for word in ["stdio", "both"] {
        let errors = load(
            Binary::Proxy,
            ["--transport", word],
            &[("AUTH_ENABLED", "true")] as &dyn nocrd_config::Lookup,
        );
        assert!(errors.unwrap_err().to_string().contains("HTTP only"), "{word}");
    }
}

#[test]
fn t24_credentials_go_to_named_origins_only() {
    let s = settings(&["--cors-allow-credentials"], &[]);
    assert!(!s.cors_allow_credentials && s.warnings()[0].contains("named origins"), "{:?}", s.warnings());
    assert!(settings(&["--cors-allow-credentials"], &[("CORS_ORIGIN", "https://a")]).cors_allow_credentials);
    let s = settings(&["--cors-allow-credentials"], &[("CORS_ORIGIN", "https://a,null")]);
    assert!(!s.cors_allow_credentials && s.warnings()[0].contains("`null`"), "{:?}", s.warnings());
}

/// A value each kind of setting accepts.
fn sample(row: &nocrd_config::Setting) -> String {
    use nocrd_config::Kind::{Bool, Choice, JsonPath, Number, Secret, Url};
    match row.kind {
        Bool => "true".to_owned(),
        Choice(words) => words[0].to_owned(),
        Number { min, .. } => min.to_string(),
        JsonPath => "$.x".to_owned(),
        Secret { min_bytes } => "x".repeat(min_bytes.max(1)),
        Url => "https://example.com/".to_owned(),
        nocrd_config::Kind::List(nocrd_config::Kind::Cidr) => "10.0.0.0/8".to_owned(),
        nocrd_config::Kind::List(nocrd_config::Kind::Origin) => "https://example.com".to_owned(),
        _ => "x".to_owned(),
    }
}

#[test]
fn whoever_sets_what_has_no_effect_is_told() {
    for row in TABLE {
        let value = sample(row);
        let pair = [("TLS_CERT", "c"), ("TLS_KEY", "k")];
        for name in row.env {
            let mut env = vec![(*name, value.as_str())];
            if row.name() == "TLS_CA" {
                env.extend(pair);
            }
            let expected = format!("{} ", row.name());
            let told = |s: &Settings| {
                s.warnings().iter().any(|w| w.starts_with(&expected) && w.contains("is set, but"))
            };
            match row.effect {
                Effect::Later(_) | Effect::Gone(_) => assert!(told(&settings(&[], &env)), "{name}"),
                Effect::Now => {
                    let map: BTreeMap<_, _> =
                        env.iter().map(|(n, v)| ((*n).to_owned(), (*v).to_owned())).collect();
                    assert!(!Settings::from_env(&map).is_ok_and(|s| told(&s)), "{name}");
                }
            }
        }
    }
}

#[test]
fn misspelt_variables_are_pointed_out() {
    let s = settings(&[], &[("AUTH_ENABLE", "true")]);
    assert_eq!(s.warnings(), ["environment variable AUTH_ENABLE is not known: did you mean AUTH_ENABLED?"]);
}

#[test]
fn t24_opening_an_open_server_to_every_page_is_pointed_out() {
    let warned = |env: &[(&str, &str)]| {
        settings(&[], env).warnings().iter().any(|warning| warning.contains("every page in a browser"))
    };
    assert!(warned(&[("CORS_ORIGIN", "*")]));
    assert!(!warned(&[]) && !warned(&[("CORS_ORIGIN", "https://a.example")]));
}

#[test]
fn the_registry_has_an_address_and_a_reader() {
    let (url, name, password) =
        (("REGISTRY_URL", "https://r.example/"), ("REGISTRY_USERNAME", "reader"), ("REGISTRY_PASSWORD", "x"));
    for env in [&[url][..], &[url, name, password], &[("REGISTRY_URL", "http://[::1]:5000"), name, password]]
    {
        assert_eq!(settings(&[], env).warnings(), [""; 0], "{env:?}");
    }
    for env in [&[name][..], &[password], &[name, password], &[url, name], &[url, password]] {
        let s = settings(&[], env);
        assert!(s.warnings()[0].contains("count only together, and with REGISTRY_URL"), "{:?}", s.warnings());
    }
    let s = settings(&[], &[("REGISTRY_URL", "http://r.example:5000"), name, password]);
    assert!(s.warnings()[0].contains("on the way to r.example"), "{:?}", s.warnings());
    for bad in ["https://r.example/?n=1", "https://r.example/#x"] {
        assert!(report(&[], &[("REGISTRY_URL", bad)]).contains("neither a query nor a fragment"), "{bad}");
    }
    assert!(report(&[], &[("REGISTRY_USERNAME", "a:b")]).contains("must not hold"));
}

#[test]
fn the_metrics_have_a_port_of_their_own() {
    for env in [
        &[("METRICS_PORT", "3000")][..],
        &[("METRICS_PORT", "3000"), ("METRICS_HOST", "10.0.0.7"), ("HOST", "0.0.0.0")],
        &[("METRICS_PORT", "3000"), ("METRICS_HOST", "::"), ("HOST", "10.0.0.7")],
    ] {
        assert!(report(&[], env).contains("METRICS_PORT is PORT"), "{env:?}");
    }
    settings(&[], &[("METRICS_PORT", "3000"), ("METRICS_HOST", "10.0.0.7")]);
    settings(&[], &[("METRICS_PORT", "3001")]);
}
