//! Names and defaults are a contract: manifests and client configurations written for 0.17 must work.

use std::collections::BTreeSet;

use nocrd_config::{Flag, Preset, settings::TABLE};

/// Variables (in order), flag, default of 0.17, where the default is a plain text.
const CONTRACT: &[(&str, &str, &str)] = &[
    ("TRANSPORT", "-t --transport", "http"),
    ("PORT", "-p --port", "3000"),
    ("HOST", "-H --host", "?"),
    ("BASE_URL", "--base-url", ""),
    ("STATELESS", "", "false"),
    ("LOG_LEVEL", "-l --log-level", "info"),
    ("LOG_FILE", "", ""),
    ("RATE_LIMIT_MAX", "", "100"),
    ("RATE_LIMIT_WINDOW", "", "60000"),
    ("PROXY_TIMEOUT", "--proxy-timeout", "120000"),
    ("PROXY_KEEP_ALIVE", "--proxy-keep-alive", "true"),
    ("TLS_CERT", "--tls-cert", ""),
    ("TLS_KEY", "--tls-key", ""),
    ("TLS_CA", "--tls-ca", ""),
    ("NODE_TLS_REJECT_UNAUTHORIZED", "", "true"),
    ("CORS_ALLOWED_ORIGIN CORS_ORIGIN", "--cors-origin", "*"),
    ("CORS_ALLOWED_METHODS CORS_METHODS", "--cors-methods", "GET, POST, OPTIONS"),
    (
        "CORS_ALLOWED_HEADERS CORS_HEADERS",
        "--cors-headers",
        "Content-Type, Authorization, mcp-protocol-version, mcp-session-id",
    ),
    ("CORS_ALLOW_CREDENTIALS CORS_CREDENTIALS", "--cors-allow-credentials", "false"),
    ("CORS_EXPOSED_HEADERS CORS_EXPOSED", "--cors-expose-headers", "mcp-session-id, x-refreshed-token"),
    ("CORS_MAX_AGE", "--cors-max-age", ""),
    ("MODE", "-m --mode", "cluster"),
    ("NAMESPACE DEFAULT_NAMESPACE", "-n --namespace", "nogoo9"),
    ("DISABLE_PERMISSION_CHECKS", "--disable-permission-checks", "false"),
    ("MANAGED_ONLY", "--managed-only", "true"),
    ("DEFAULT_WORKSPACE_PORT", "--default-workspace-port", ""),
    ("REGISTRY_URL", "", ""),
    ("TEMPLATES_DIR", "", ""),
    ("BUILTIN_TEMPLATES", "", "true"),
    ("AUTH_ENABLED", "--auth-enabled", "false"),
    ("JWT_VERIFICATION_REQUIRED", "", "true"),
    ("JWT_SECRET", "", ""),
    ("JWT_PUBLIC_KEY", "", ""),
    ("JWKS_URI", "", ""),
    ("INTROSPECTION_ENDPOINT JWT_INTROSPECTION_ENDPOINT", "", ""),
    ("OAUTH_CLIENT_ID", "", ""),
    ("OAUTH_CLIENT_SECRET", "", ""),
    ("JWT_AUDIENCE", "", "?"),
    ("AUTH_ISSUER JWT_ISSUER", "", ""),
    ("AUTH_SUB_JSONPATH", "", "$.sub"),
    ("AUTH_SCOPE_JSONPATH", "--auth-scope-jsonpath", "$.scope"),
    ("AUTH_ROLES_JSONPATH AUTH_ADMIN_JSONPATH", "--auth-roles-jsonpath", "$.realm_access.roles"),
    ("AUTH_ADMIN_ROLE", "", "admin"),
    ("AUTH_REQUIRED_READ_SCOPE", "--auth-required-read-scope", "nogoo9:read"),
    ("AUTH_REQUIRED_WRITE_SCOPE", "--auth-required-write-scope", "nogoo9:write"),
    ("AUTH_REQUIRED_ADMIN_SCOPE", "--auth-required-admin-scope", "nogoo9:admin"),
    ("AUTH_ADMIN_USERS", "", ""),
    ("AUTH_REQUIRED_READ_ROLE", "--auth-required-read-role", "viewer"),
    ("AUTH_REQUIRED_WRITE_ROLE", "--auth-required-write-role", "user"),
    ("PROXY_SESSION_TTL", "", "1800"),
    ("PROXY_REFRESH_COOKIE_TTL", "", "604800"),
    ("PROXY_TOKEN_COOKIE_TTL", "", "86400"),
    ("PROXY_SESSION_SECRET", "", "?"),
    ("OAUTH_SCOPES", "", "openid profile email offline_access"),
    ("OAUTH_AUTHORIZATION_URL", "", ""),
    ("OAUTH_SERVER_DISCOVERY_URL OAUTH_DISCOVERY_URL", "", ""),
    ("OAUTH_SERVER_TOKEN_URL OAUTH_TOKEN_URL", "", ""),
    ("OAUTH_END_SESSION_URL", "", ""),
    ("AUTH_INJECT_WORKSPACE_JWT", "--auth-inject-workspace-jwt", "true"),
    ("AUTH_DEFAULT_ROLE", "", "viewer"),
    ("MAX_WORKSPACES_PER_USER", "--max-workspaces-per-user", "0"),
    ("UI_ENABLED", "", "true"),
    ("THEMES_DIR", "", "themes"),
    ("THEMES_CONFIGMAP", "", ""),
    ("DOCS_DIR", "", ""),
    ("OAUTH_DISCOVERY_URL", "", ""),
    ("OAUTH_LOGIN_METHOD", "", "redirect"),
    ("UI_TITLE", "", "nogoo9 Pod Manager"),
    ("UI_SUBTITLE", "", "On-demand Kubernetes pod orchestration and agent-sandbox management without CRDs."),
    ("PEER_DISCOVERY_RETRIES", "", "30"),
    ("PEER_DISCOVERY_DELAY_MS", "", "500"),
    ("KUBECONFIG", "", "?"),
];

#[test]
fn every_setting_of_0_17_keeps_its_names_and_default() {
    for (env, flag, default) in CONTRACT {
        let names: Vec<_> = env.split(' ').collect();
        let row = TABLE.iter().find(|row| row.env == names).unwrap_or_else(|| panic!("{env} is gone"));
        let flags = match row.flag {
            None => String::new(),
            Some(Flag { short: Some(short), long }) => format!("-{short} --{long}"),
            Some(Flag { short: None, long }) => format!("--{long}"),
        };
        assert_eq!(&flags, flag, "{env}");
        match row.default {
            Preset::None => assert_eq!(*default, "", "{env}"),
            Preset::Text(text) => assert_eq!(text, *default, "{env}"),
            Preset::Computed(_) => assert_eq!(*default, "?", "{env}"),
        }
    }
}

#[test]
fn names_are_unique_and_follow_the_field() {
    let (mut env, mut flags) = (BTreeSet::new(), BTreeSet::new());
    for row in TABLE {
        assert_eq!(row.field.to_uppercase(), row.name());
        assert!(row.doc().ends_with(['.', ':']), "{}: {}", row.name(), row.doc());
        for name in row.env {
            // The server's own discovery URL falls back to the one browsers use.
            assert!(env.insert(*name) || *name == "OAUTH_DISCOVERY_URL", "{name} twice");
        }
        if let Some(flag) = row.flag {
            assert!(flags.insert(flag.long), "--{} twice", flag.long);
            assert!(
                flag.short.is_none_or(|short| flags.insert(Box::leak(short.to_string().into_boxed_str())))
            );
            assert!(!row.is_secret(), "{} would show up in the process list", row.name());
        }
    }
}
