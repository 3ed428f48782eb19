//! Which settings of authentication start a server.

use std::time::Duration;

use crate::{Env, report, settings};

const SECRET: &str = "0123456789abcdef0123456789abcdef";
const ON: (&str, &str) = ("AUTH_ENABLED", "true");

fn warned(env: &Env<'_>, part: &str) -> bool {
    settings(&[], env).warnings().iter().any(|warning| warning.contains(part))
}

#[test]
fn each_documented_set_up_starts_by_environment_variables_alone() {
    for env in [
        &[("JWT_SECRET", SECRET)][..],
        &[("JWT_PUBLIC_KEY", "-----BEGIN PUBLIC KEY-----\\nMF…"), ("JWT_AUDIENCE", "no-crd")],
        &[("JWKS_URI", "https://idp.example/keys"), ("OAUTH_CLIENT_ID", "no-crd")],
        &[
            ("OAUTH_DISCOVERY_URL", "https://idp.example/.well-known/openid-configuration"),
            ("OAUTH_CLIENT_ID", "no-crd"),
        ],
        &[("AUTH_ISSUER", "https://idp.example"), ("PUBLIC_URL", "https://no-crd.example")],
        &[
            ("INTROSPECTION_ENDPOINT", "https://idp.example/introspect"),
            ("OAUTH_CLIENT_ID", "no-crd"),
            ("OAUTH_CLIENT_SECRET", "s"),
        ],
        &[
            ("OAUTH_AUTHORIZATION_URL", "https://idp.example/authorize"),
            ("OAUTH_TOKEN_URL", "https://idp.example/token"),
            ("JWKS_URI", "/etc/no-crd/keys.json"),
            ("OAUTH_CLIENT_ID", "no-crd"),
        ],
        &[("JWT_SECRET", SECRET), ("AUTH_SUB_JSONPATH", "$.email"), ("AUTH_ADMIN_JSONPATH", "$.groups")],
        &[("JWT_SECRET", SECRET), ("AUTH_ADMIN_USERS", "root, ops@example.com")],
    ] {
        let s = settings(&[], &[&[ON], env].concat());
        assert!(
            s.auth_enabled && s.host == "0.0.0.0" && s.warnings().is_empty(),
            "{env:?} {:?}",
            s.warnings()
        );
    }
}

#[test]
fn a_server_that_could_not_check_tokens_does_not_start() {
    for transport in ["http", "both"] {
        assert!(report(&["-t", transport], &[ON]).contains("nothing tells how tokens are checked"));
    }
    // The browser's half alone checks nothing.
    let browser = [ON, ("OAUTH_AUTHORIZATION_URL", "https://idp.example/a"), ("OAUTH_CLIENT_ID", "no-crd")];
    assert!(report(&[], &browser).contains("nothing tells how tokens are checked"));
    assert!(report(&["dev", "--auth-enabled"], &[]).contains("nothing tells"));
}

#[test]
fn t07_tokens_of_a_shared_issuer_need_an_audience() {
    for (name, value) in [
        ("JWT_PUBLIC_KEY", "-----BEGIN PUBLIC KEY-----"),
        ("JWKS_URI", "https://idp.example/keys"),
        ("INTROSPECTION_ENDPOINT", "https://idp.example/introspect"),
        ("OAUTH_DISCOVERY_URL", "https://idp.example/.well-known/openid-configuration"),
        ("AUTH_ISSUER", "https://idp.example"),
    ] {
        assert!(report(&[], &[ON, (name, value)]).contains("set JWT_AUDIENCE"), "{name}");
        assert!(warned(&[ON, (name, value), ("JWT_AUDIENCE", "*")], "JWT_AUDIENCE is `*`"), "{name}");
    }
    // Nobody but us has that key; the discovery document then tells about signing in only.
    let discovery = ("OAUTH_DISCOVERY_URL", "https://idp.example/.well-known/openid-configuration");
    settings(&[], &[ON, ("JWT_SECRET", SECRET), discovery]);
}

#[test]
fn t06_an_issuer_is_known_beforehand() {
    let audience = ("JWT_AUDIENCE", "no-crd");
    let said = ("OAUTH_DISCOVERY_URL", "https://idp.example/d?p=x");
    let text = report(&[], &[ON, audience, said]);
    assert!(text.contains("OAUTH_DISCOVERY_URL does not end with") && text.contains("AUTH_ISSUER"), "{text}");
    settings(&[], &[ON, audience, said, ("AUTH_ISSUER", "https://idp.example")]);
    // Browsers' address tells it, where the server has a way of its own.
    let inside = ("OAUTH_SERVER_DISCOVERY_URL", "https://idp.internal/d");
    let outside = ("OAUTH_DISCOVERY_URL", "https://idp.example/.well-known/openid-configuration");
    settings(&[], &[ON, audience, inside, outside]);
    assert!(report(&[], &[ON, audience, inside]).contains("OAUTH_SERVER_DISCOVERY_URL does not end with"));
}

#[test]
fn t04_the_identity_provider_is_asked_by_https_unless_it_is_near() {
    const SETTINGS: [(&str, &str); 7] = [
        ("JWKS_URI", "/keys"),
        ("INTROSPECTION_ENDPOINT", "/introspect"),
        ("AUTH_ISSUER", ""),
        ("OAUTH_DISCOVERY_URL", "/.well-known/openid-configuration"),
        ("OAUTH_SERVER_DISCOVERY_URL", "/.well-known/openid-configuration"),
        ("OAUTH_TOKEN_URL", "/token"),
        ("OAUTH_AUTHORIZATION_URL", "/authorize"),
    ];
    for (name, path) in SETTINGS {
        let url = |host: &str, scheme: &str| format!("{scheme}://{host}{path}");
        let env = |url: &str| -> Vec<(String, String)> {
            [ON, ("JWT_SECRET", SECRET), ("JWT_AUDIENCE", "no-crd"), (name, url)]
                .map(|(name, value)| (name.to_owned(), value.to_owned()))
                .to_vec()
        };
        let warnings = |url: &str| {
            let env = env(url);
            let env: Vec<_> = env.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect();
            let about_http = |warning: &&String| warning.contains("is http");
            settings(&[], &env).warnings().iter().filter(about_http).cloned().collect::<Vec<_>>().join("\n")
        };
        let refused = |url: &str| {
            let env = env(url);
            let env: Vec<_> = env.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect();
            report(&[], &env)
        };
        for host in ["localhost:8080", "127.0.0.1", "127.8.8.8:1", "[::1]:8080"] {
            assert_eq!(warnings(&url(host, "http")), "", "{name} {host}");
        }
        for host in ["keycloak:8080", "idp.auth.svc", "IDP.auth.svc.cluster.local:8443"] {
            let text = warnings(&url(host, "http"));
            assert!(text.contains(&format!("{name} is http")), "{name} {host} {text}");
            assert_eq!(warnings(&url(host, "https")), "", "{name} {host}");
        }
        for host in [
            "idp.example",
            "10.0.0.7",
            "[fd00::1]",
            "169.254.169.254",
            "0.0.0.0",
            "localhost.example",
            "svc.example",
            "evilsvc.cluster.local",
            "idp.svc.example",
            "idp.svc.",
        ] {
            let text = refused(&url(host, "http"));
            assert!(
                text.contains(&format!("{name} is http")) && text.contains("https"),
                "{name} {host} {text}"
            );
            assert_eq!(warnings(&url(host, "https")), "", "{name} {host}");
        }
    }
    // A name that nobody is asked at may be anything, and a server that asks nobody for tokens asks nobody else.
    let name = ("AUTH_ISSUER", "http://idp.example");
    let discovery = ("OAUTH_SERVER_DISCOVERY_URL", "https://in.example/.well-known/openid-configuration");
    settings(&[], &[ON, name, discovery, ("JWT_AUDIENCE", "no-crd")]);
    settings(&[], &[name]);
}

#[test]
fn d26_unchecked_signatures_are_for_confined_servers() {
    let off = ("JWT_VERIFICATION_REQUIRED", "false");
    let s = settings(&[], &[ON, off]);
    assert_eq!(s.host, "127.0.0.1", "it keeps to its machine unless it is told otherwise");
    assert!(s.warnings()[0].contains("is off"), "{:?}", s.warnings());
    assert!(report(&["-H0.0.0.0"], &[ON, off]).contains("could be anybody"));
    assert!(report(&[], &[ON, off, ("KUBERNETES_SERVICE_HOST", "10.43.0.1")]).contains("could be anybody"));
    settings(&["-H0.0.0.0"], &[ON, off, ("TRUSTED_PROXIES", "10.0.0.7/32")]);
    let both = [ON, off, ("INTROSPECTION_ENDPOINT", "https://idp.example/i"), ("OAUTH_CLIENT_ID", "c")];
    assert!(report(&[], &both).contains("Remove one of them"));
}

#[test]
fn d32_nobody_is_an_administrator_by_default() {
    let text = report(&[], &[ON, ("JWT_SECRET", SECRET), ("AUTH_DEFAULT_ROLE", "admin")]);
    assert!(text.contains("AUTH_ADMIN_USERS"), "{text}");
    let env = [ON, ("JWT_SECRET", SECRET), ("AUTH_DEFAULT_ROLE", "admin"), ("AUTH_ADMIN_ROLE", "root")];
    settings(&[], &env);
}

#[test]
fn everything_that_is_wrong_is_told_at_once() {
    let env = [
        ON,
        ("JWKS_URI", "http://idp.example/keys"),
        ("OAUTH_TOKEN_URL", "http://idp.example/token"),
        ("OAUTH_DISCOVERY_URL", "https://idp.example/d"),
        ("JWT_VERIFICATION_REQUIRED", "no"),
        ("HOST", "0.0.0.0"),
        ("AUTH_DEFAULT_ROLE", "admin"),
        ("PEER_PORT", "3001"),
    ];
    let text = report(&[], &env);
    for part in [
        "set JWT_AUDIENCE",
        "could be anybody",
        "AUTH_ADMIN_USERS",
        "PEER_TOKEN_FILE",
        "JWKS_URI is http",
        "OAUTH_TOKEN_URL is http",
        "set AUTH_ISSUER",
    ] {
        assert!(text.contains(part), "{part}: {text}");
    }
}

#[test]
fn over_standard_input_and_output_nobody_is_asked() {
    let s = settings(&["-tstdio"], &[ON]);
    assert!(!s.auth_enabled);
    assert!(s.warnings()[0].starts_with("AUTH_ENABLED is set, but"), "{:?}", s.warnings());
    assert!(settings(&["-tboth"], &[ON, ("JWT_SECRET", SECRET)]).auth_enabled);
    assert!(settings(&[], &[("AUTH_ENABLED", "false")]).warnings().is_empty());
}

#[test]
fn who_forgets_to_turn_it_on_is_told() {
    assert!(warned(&[("JWT_SECRET", SECRET)], "AUTH_ENABLED is off"));
    assert!(!warned(&[("JWT_SECRET", SECRET), ("TRANSPORT", "stdio")], "AUTH_ENABLED is off"));
}

#[test]
fn a_session_may_rest_as_long_as_was_said() {
    let age = |env: &Env<'_>| settings(&[], env).session_max_age;
    assert_eq!(age(&[]), Duration::from_secs(43200));
    assert_eq!(age(&[("PROXY_SESSION_TTL", "86400")]), Duration::from_secs(86400));
    assert_eq!(age(&[("PROXY_SESSION_TTL", "86400"), ("SESSION_MAX_AGE", "60")]), Duration::from_secs(60));
}

#[test]
fn the_session_key_is_never_handed_out_on_the_public_port() {
    let token = ("PEER_TOKEN_FILE", "/var/run/secrets/peer/token");
    assert!(report(&[], &[("PEER_PORT", "3000"), token]).contains("port of its own"));
    assert!(settings(&[], &[("PEER_PORT", "3001"), token]).peer_port.is_some());
    assert!(settings(&[], &[("PEER_PORT", "0")]).peer_port.is_none());
}

#[test]
fn an_issuer_is_compared_as_it_is_spelled() {
    for issuer in ["https://idp.example", "https://idp.example/", "https://IDP.example/realms/a"] {
        assert_eq!(settings(&[], &[("JWT_ISSUER", issuer)]).auth_issuer.as_deref(), Some(issuer));
    }
}

#[test]
fn a_key_is_its_text_and_not_its_path() {
    for path in ["/etc/no-crd/key.pem", "./key", "key.pem", "file:///k"] {
        let text = report(&[], &[ON, ("JWT_PUBLIC_KEY", path), ("JWT_AUDIENCE", "no-crd")]);
        assert!(text.contains("JWT_PUBLIC_KEY is the path of a file"), "{path} {text}");
    }
}

#[test]
fn d26_a_gateway_is_no_half_of_all_addresses() {
    let off = ("JWT_VERIFICATION_REQUIRED", "false");
    for range in ["0.0.0.0/0", "::/0", "0.0.0.0/1, 10.0.0.7", "10.0.0.0/7"] {
        let text = report(&[], &[ON, off, ("HOST", "0.0.0.0"), ("TRUSTED_PROXIES", range)]);
        assert!(text.contains("anybody could be anybody"), "{range} {text}");
        settings(&[], &[ON, ("JWT_SECRET", SECRET), ("TRUSTED_PROXIES", range)]);
    }
    settings(&[], &[ON, off, ("HOST", "0.0.0.0"), ("TRUSTED_PROXIES", "10.0.0.0/8")]);
}

#[test]
fn keys_that_do_not_do_what_one_expects_are_told() {
    let secret = ("JWT_SECRET", SECRET);
    let pem = ("JWT_PUBLIC_KEY", "-----BEGIN PUBLIC KEY-----\\nMF…");
    let set = ("JWKS_URI", "https://idp.example/keys");
    let audience = ("JWT_AUDIENCE", "no-crd");
    let introspection = ("INTROSPECTION_ENDPOINT", "https://idp.example/i");
    let off = ("JWT_VERIFICATION_REQUIRED", "false");
    for (env, told) in [
        (&[secret, set][..], "JWT_SECRET and JWKS_URI both count"),
        (&[pem, set], "JWKS_URI is not looked at beside JWT_PUBLIC_KEY"),
        (&[set, introspection], "INTROSPECTION_ENDPOINT alone decides about access tokens: JWKS_URI"),
        (&[secret, off], "no signature is checked with JWT_SECRET"),
    ] {
        assert!(warned(&[&[ON, audience], env].concat(), told), "{told}");
    }
}

#[test]
fn what_lets_everybody_in_or_nobody_is_told() {
    let with = |env: &Env<'_>, part: &str| warned(&[&[ON, ("JWT_SECRET", SECRET)], env].concat(), part);
    const NOTHING: [(&str, &str); 4] = [
        ("AUTH_REQUIRED_READ_ROLE", ""),
        ("AUTH_REQUIRED_WRITE_ROLE", ""),
        ("AUTH_REQUIRED_READ_SCOPE", ""),
        ("AUTH_REQUIRED_WRITE_SCOPE", ""),
    ];
    assert!(with(&NOTHING, "are all empty"));
    assert!(!with(&NOTHING[1..], "are all empty"));
    assert!(with(&[("AUTH_ADMIN_USERS", " , ")], "names nobody"));
    assert!(!with(&[("AUTH_ADMIN_USERS", "root")], "names nobody"));
    let age = ("SESSION_MAX_AGE", "60");
    assert!(with(&[("PROXY_SESSION_TTL", "61"), age], "PROXY_SESSION_TTL is longer"));
    assert!(!with(&[("PROXY_SESSION_TTL", "61")], "PROXY_SESSION_TTL is longer"));
}

#[test]
fn the_session_key_before_counts_beside_each_that_is_set() {
    let previous = ("PROXY_SESSION_SECRET_PREVIOUS", SECRET);
    let issuer = [ON, ("AUTH_ISSUER", "https://idp.example"), ("JWT_AUDIENCE", "no-crd"), previous];
    let part = "PROXY_SESSION_SECRET_PREVIOUS counts only";
    assert!(warned(&issuer, part));
    assert!(!warned(&[&issuer[..], &[("PROXY_SESSION_SECRET", SECRET)]].concat(), part));
    assert!(!warned(&[ON, ("JWT_SECRET", SECRET), previous], part));
}

#[test]
fn a_secret_without_anything_in_it_is_told() {
    for value in ["", "''", " "] {
        let env = [
            ON,
            ("AUTH_ISSUER", "https://idp.example"),
            ("OAUTH_CLIENT_ID", "c"),
            ("OAUTH_CLIENT_SECRET", value),
        ];
        assert!(warned(&env, "OAUTH_CLIENT_SECRET is set, but there is no secret in it"), "{value:?}");
    }
    assert!(warned(&[("JWT_SECRET", "")], "JWT_SECRET is set, but"));
}
