//! One line for the operator at the start: what the settings came to.

use nocrd_config::Settings;

use super::build::{Facts, facts};
use crate::site::Site;

/// Tells how callers are recognised, and what they need.
pub(crate) fn tell(settings: &Settings, site: &Site) {
    let Facts { issuer, audience, signs_in } = facts(settings, site);
    let [read, write, admin] = rights(settings);
    tracing::info!(
        issuer = issuer.as_deref().unwrap_or("any"),
        tokens = checked_by(settings),
        audience,
        sign_in = signs_in,
        read,
        write,
        admin,
        "authentication is on"
    );
}

/// What decides whether a token is good.
fn checked_by(settings: &Settings) -> String {
    if !settings.jwt_verification_required {
        return "not checked here, but by the proxies before".to_owned();
    }
    if let Some(url) = &settings.introspection_endpoint {
        return format!("asked about at {url}");
    }
    let jwks = settings.jwks_uri.as_deref().filter(|_| settings.jwt_public_key.is_none());
    let keys: Vec<String> = [
        settings.jwt_secret.as_ref().map(|_| "JWT_SECRET".to_owned()),
        settings.jwt_public_key.as_ref().map(|_| "JWT_PUBLIC_KEY".to_owned()),
        jwks.map(|address| format!("the keys of {address}")),
    ]
    .into_iter()
    .flatten()
    .collect();
    if keys.is_empty() {
        return "checked by the keys that discovery names".to_owned();
    }
    format!("checked by {}", keys.join(" or "))
}

/// What reading, writing and administration take.
fn rights(settings: &Settings) -> [String; 3] {
    let admin = Some(&settings.auth_admin_role);
    [
        (settings.auth_required_read_role.as_ref(), &settings.auth_required_read_scope),
        (settings.auth_required_write_role.as_ref(), &settings.auth_required_write_scope),
        (admin, &settings.auth_required_admin_scope),
    ]
    .map(|(role, scope)| match (role, scope) {
        (None, None) => "nothing".to_owned(),
        (Some(role), None) => format!("role {role}"),
        (None, Some(scope)) => format!("scope {scope}"),
        (Some(role), Some(scope)) => format!("role {role}, scope {scope}"),
    })
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;

    fn settings(env: &[(&str, &str)]) -> Settings {
        let env = env.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned()));
        Settings::from_env(&env.collect::<BTreeMap<_, _>>()).unwrap()
    }

    #[test]
    fn what_checks_tokens_is_told_as_it_is() {
        const SECRET: (&str, &str) = ("JWT_SECRET", "0123456789abcdef0123456789abcdef");
        const PEM: (&str, &str) = ("JWT_PUBLIC_KEY", "x");
        const SET: (&str, &str) = ("JWKS_URI", "https://idp.example/k");
        for (env, told) in [
            (&[][..], "checked by the keys that discovery names"),
            (&[SECRET], "checked by JWT_SECRET"),
            (&[SECRET, SET], "checked by JWT_SECRET or the keys of https://idp.example/k"),
            (&[PEM, SET], "checked by JWT_PUBLIC_KEY"),
            (
                &[SECRET, ("INTROSPECTION_ENDPOINT", "https://idp.example/i")],
                "asked about at https://idp.example/i",
            ),
            (&[PEM, ("JWT_VERIFICATION_REQUIRED", "no")], "not checked here, but by the proxies before"),
        ] {
            assert_eq!(checked_by(&settings(env)), told);
        }
        assert!(!checked_by(&settings(&[SECRET])).contains(SECRET.1));
    }

    #[test]
    fn what_is_needed_is_told() {
        let env = [
            ("AUTH_REQUIRED_READ_ROLE", ""),
            ("AUTH_REQUIRED_READ_SCOPE", ""),
            ("AUTH_REQUIRED_WRITE_ROLE", ""),
        ];
        assert_eq!(
            rights(&settings(&env)),
            ["nothing", "scope nogoo9:write", "role admin, scope nogoo9:admin"]
        );
    }
}
