//! What the settings of authentication must say together.
//!
//! A server that is believed to be protected must be: whatever would leave a hole, or turn everybody away, ends the start.

use url::{Host, Url};

use super::{Circumstances, is_loopback};
use crate::{error::Error, resolve::Source, settings::Settings};

/// Where an operator reads more.
const GUIDE: &str = "the guide \"Authentication\" has a working example of each set-up";

/// Every problem; none when the server asks nobody.
pub(super) fn check(settings: &Settings, _: &Circumstances) -> Vec<Error> {
    let mut errors: Vec<Error> = peers(settings).into_iter().collect();
    if settings.auth_enabled {
        let checks = [
            keys,
            public_key,
            audience,
            unchecked_signatures,
            believed_proxies,
            default_role,
            introspection,
            issuer,
        ];
        errors.extend(checks.into_iter().filter_map(|check| check(settings)));
        errors.extend(in_clear(settings).iter().filter(|asked| !asked.is_confined).map(InClear::refused));
    }
    errors
}

/// Whether discovery can tell where keys and endpoints are.
fn discovers(settings: &Settings) -> bool {
    settings.oauth_server_discovery_url.is_some() || settings.auth_issuer.is_some()
}

/// Whether tokens may be signed with a key that only the identity provider has, and that it uses for other programs' tokens
/// as well.
fn accepts_shared_issuer(settings: &Settings) -> bool {
    settings.jwt_public_key.is_some()
        || settings.jwks_uri.is_some()
        || settings.introspection_endpoint.is_some()
        || settings.jwt_secret.is_none() && discovers(settings)
}

fn keys(settings: &Settings) -> Option<Error> {
    let known = accepts_shared_issuer(settings) || settings.jwt_secret.is_some();
    (!known && settings.jwt_verification_required).then(|| {
        Error::rule(
            "AUTH_ENABLED",
            format!(
                "AUTH_ENABLED is on, but nothing tells how tokens are checked: set AUTH_ISSUER (its discovery document names \
                 the keys), OAUTH_DISCOVERY_URL, JWKS_URI, JWT_PUBLIC_KEY, JWT_SECRET or INTROSPECTION_ENDPOINT; {GUIDE}"
            ),
        )
    })
}

/// Whoever mounts the key as a file thinks of its path first.
fn public_key(settings: &Settings) -> Option<Error> {
    const BEGINNINGS: [&str; 5] = ["/", "./", "../", "~/", "file:"];
    const ENDS: [&str; 4] = [".pem", ".pub", ".crt", ".key"];
    let text = settings.jwt_public_key.as_deref().filter(|text| !text.contains("-----BEGIN"))?.trim();
    let is_path = BEGINNINGS.iter().any(|beginning| text.starts_with(beginning))
        || ENDS.iter().any(|end| text.ends_with(end));
    is_path.then(|| {
        Error::rule(
            "JWT_PUBLIC_KEY",
            "JWT_PUBLIC_KEY is the path of a file: it must be the text of the key itself, in PEM \
             (`-----BEGIN PUBLIC KEY-----…`)",
        )
    })
}

fn audience(settings: &Settings) -> Option<Error> {
    let known = settings.jwt_audience.is_some()
        || settings.oauth_client_id.is_some()
        || settings.public_url.is_some();
    (accepts_shared_issuer(settings) && !known).then(|| {
        Error::rule(
            "JWT_AUDIENCE",
            "the identity provider's tokens for other programs would be accepted here too: set JWT_AUDIENCE to what tokens for \
             this server name in `aud`, or OAUTH_CLIENT_ID, or PUBLIC_URL; JWT_AUDIENCE=* accepts any on purpose",
        )
    })
}

fn unchecked_signatures(settings: &Settings) -> Option<Error> {
    let confined = settings.binds_loopback() || !settings.trusted_proxies.is_empty();
    (!settings.jwt_verification_required && !confined).then(|| {
        Error::rule(
            "JWT_VERIFICATION_REQUIRED",
            format!(
                "JWT_VERIFICATION_REQUIRED is off and HOST is {:?}: whoever reaches the server could be anybody. Set \
                 TRUSTED_PROXIES to the gateway that checks tokens, or HOST to a loopback address",
                settings.host
            ),
        )
    })
}

/// A range that holds half of all addresses names no gateway.
fn believed_proxies(settings: &Settings) -> Option<Error> {
    const SHORTEST: u8 = 8;
    let wide = settings.trusted_proxies.iter().find(|range| range.prefix_len() < SHORTEST)?;
    (!settings.jwt_verification_required).then(|| {
        Error::rule(
            "TRUSTED_PROXIES",
            format!(
                "JWT_VERIFICATION_REQUIRED is off and TRUSTED_PROXIES holds {wide}: nearly anybody could be anybody. Name the \
                 addresses of the gateway that checks tokens"
            ),
        )
    })
}

fn default_role(settings: &Settings) -> Option<Error> {
    (settings.auth_default_role == settings.auth_admin_role).then(|| {
        Error::rule(
            "AUTH_DEFAULT_ROLE",
            format!(
                "AUTH_DEFAULT_ROLE is AUTH_ADMIN_ROLE ({:?}): whoever has a token without roles would be an administrator. Name \
                 administrators in AUTH_ADMIN_USERS instead",
                settings.auth_admin_role
            ),
        )
    })
}

fn introspection(settings: &Settings) -> Option<Error> {
    (settings.introspection_endpoint.is_some() && !settings.jwt_verification_required).then(|| {
        Error::rule(
            "INTROSPECTION_ENDPOINT",
            "INTROSPECTION_ENDPOINT is set and JWT_VERIFICATION_REQUIRED is off: one asks for every token to be checked, the other \
             for none. Remove one of them",
        )
    })
}

/// Whose metadata are meant must be known: from AUTH_ISSUER, or from their address (OpenID Connect Discovery 1.0,
/// section 4.3).
fn issuer(settings: &Settings) -> Option<Error> {
    let address = settings.oauth_server_discovery_url.as_ref().filter(|_| settings.auth_issuer.is_none())?;
    let standard = |url: &Url| url.as_str().ends_with("/.well-known/openid-configuration");
    let known = standard(address) || settings.oauth_discovery_url.as_ref().is_some_and(standard);
    (!known).then(|| {
        let name = spelt(settings, "OAUTH_SERVER_DISCOVERY_URL");
        Error::rule(
            name,
            format!(
                "{name} does not end with `/.well-known/openid-configuration`, so it does not tell the issuer: set AUTH_ISSUER to \
                 what tokens name in `iss`"
            ),
        )
    })
}

/// An address of the identity provider that the server asks by plain http.
struct InClear {
    name: &'static str,
    host: String,
    /// Whether what is said there stays on this machine.
    is_local: bool,
    /// Whether it stays on this machine or in the cluster, as far as the name tells.
    is_confined: bool,
}

impl InClear {
    fn at(name: &'static str, url: &Url) -> Option<Self> {
        let host = url.host().filter(|_| url.scheme() == "http")?;
        let (is_local, is_internal) = match host {
            Host::Ipv4(ip) => (ip.is_loopback(), false),
            Host::Ipv6(ip) => (ip.is_loopback(), false),
            Host::Domain(name) => {
                let internal =
                    !name.contains('.') || name.ends_with(".svc") || name.ends_with(".svc.cluster.local");
                (is_loopback(name), internal)
            }
        };
        Some(Self { name, host: host.to_string(), is_local, is_confined: is_local || is_internal })
    }

    fn refused(&self) -> Error {
        let Self { name, host, .. } = self;
        Error::rule(
            name,
            format!(
                "{name} is http, and the way to {host} is not this cluster's: whoever is on it could sign in as anybody. Use https"
            ),
        )
    }

    fn warning(&self) -> String {
        let Self { name, host, .. } = self;
        format!(
            "{name} is http: whoever can listen or answer for {host} in the cluster's network can sign in as anybody"
        )
    }
}

/// The addresses that keys, tokens, passwords or secrets come from or go to, as far as they are http.
fn in_clear(settings: &Settings) -> Vec<InClear> {
    let text = |text: &Option<String>| text.as_deref().and_then(|text| Url::parse(text).ok());
    // Where there is a document elsewhere, the issuer is a name.
    let issuer =
        if settings.oauth_server_discovery_url.is_some() { None } else { text(&settings.auth_issuer) };
    [
        ("JWKS_URI", text(&settings.jwks_uri)),
        ("INTROSPECTION_ENDPOINT", settings.introspection_endpoint.clone()),
        ("AUTH_ISSUER", issuer),
        ("OAUTH_SERVER_DISCOVERY_URL", settings.oauth_server_discovery_url.clone()),
        ("OAUTH_SERVER_TOKEN_URL", settings.oauth_server_token_url.clone()),
        // What is typed there is worth most.
        ("OAUTH_AUTHORIZATION_URL", settings.oauth_authorization_url.clone()),
    ]
    .into_iter()
    .filter_map(|(name, url)| InClear::at(spelt(settings, name), &url?))
    .collect()
}

/// A setting as the operator spelt it.
fn spelt(settings: &Settings, name: &'static str) -> &'static str {
    match settings.source(name) {
        Source::Env(alias) => alias,
        _ => name,
    }
}

fn peers(settings: &Settings) -> Option<Error> {
    let port = settings.peer_port?;
    if settings.peer_token_file.is_none() {
        return Some(Error::rule(
            "PEER_PORT",
            "PEER_PORT is set without PEER_TOKEN_FILE: replicas could not prove to each other what they are",
        ));
    }
    (settings.transport.serves_http() && port.get() == settings.port).then(|| {
        Error::rule("PEER_PORT", "PEER_PORT is the port users reach: the session key needs a port of its own")
    })
}

/// What an operator should know.
pub(super) fn warnings(settings: &Settings) -> Vec<String> {
    let mut warnings = Vec::new();
    let mut warn = |when: bool, text: &str| {
        if when {
            warnings.push(text.to_owned());
        }
    };
    if !settings.auth_enabled {
        warn(
            settings.transport.serves_http()
                && (settings.jwt_secret.is_some() || accepts_shared_issuer(settings)),
            "AUTH_ENABLED is off, so what the settings say about tokens is not used",
        );
        return warnings;
    }
    warn(
        settings.jwt_audience.as_deref() == Some("*"),
        "JWT_AUDIENCE is `*`: tokens that were made for other programs are accepted",
    );
    warn(
        !settings.jwt_verification_required,
        "JWT_VERIFICATION_REQUIRED is off: what a token says is believed from whoever may send one here",
    );
    warn(
        settings.oauth_client_id.is_none() && settings.oauth_client_secret.is_some(),
        "OAUTH_CLIENT_SECRET counts only with OAUTH_CLIENT_ID",
    );
    warn(
        settings.oauth_client_id.is_some()
            && settings.oauth_authorization_url.is_some()
            && settings.oauth_server_token_url.is_none()
            && !discovers(settings),
        "OAUTH_AUTHORIZATION_URL is set, but no token endpoint: set OAUTH_TOKEN_URL, or nobody can sign in with a browser",
    );
    warn(
        settings.proxy_session_secret_previous.is_some()
            && settings.proxy_session_secret.is_none()
            && settings.jwt_secret.is_none(),
        "PROXY_SESSION_SECRET_PREVIOUS counts only beside PROXY_SESSION_SECRET, or JWT_SECRET in its place",
    );
    warn(
        settings.proxy_session_ttl > settings.session_max_age,
        "PROXY_SESSION_TTL is longer than SESSION_MAX_AGE: sessions end at SESSION_MAX_AGE, used or not",
    );
    warn(
        settings.source("AUTH_ADMIN_USERS") != Source::Default && settings.auth_admin_users.is_empty(),
        "AUTH_ADMIN_USERS is set and names nobody",
    );
    warn(
        asks_for_nothing(settings),
        "AUTH_REQUIRED_READ_ROLE, AUTH_REQUIRED_WRITE_ROLE, AUTH_REQUIRED_READ_SCOPE and AUTH_REQUIRED_WRITE_SCOPE are all \
         empty: whoever has a token for this server may start pods of their own",
    );
    warn(
        settings.public_url.as_ref().is_some_and(|url| url.scheme() == "http")
            && !settings.public_url.as_ref().and_then(url::Url::host_str).is_some_and(is_loopback),
        "PUBLIC_URL is not https: whoever is on the way can take over sessions",
    );
    warnings.extend(idle_keys(settings));
    warnings.extend(
        in_clear(settings).iter().filter(|asked| asked.is_confined && !asked.is_local).map(InClear::warning),
    );
    warnings
}

fn asks_for_nothing(settings: &Settings) -> bool {
    [
        &settings.auth_required_read_role,
        &settings.auth_required_write_role,
        &settings.auth_required_read_scope,
        &settings.auth_required_write_scope,
    ]
    .iter()
    .all(|required| required.is_none())
}

/// Keys that don't do what somebody who set them may expect, because of what else is set.
fn idle_keys(settings: &Settings) -> Option<String> {
    let set: Vec<&str> = [
        ("JWT_SECRET", settings.jwt_secret.is_some()),
        ("JWT_PUBLIC_KEY", settings.jwt_public_key.is_some()),
        ("JWKS_URI", settings.jwks_uri.is_some()),
    ]
    .into_iter()
    .filter_map(|(name, is_set)| is_set.then_some(name))
    .collect();
    let keys = set.join(" and ");
    if set.is_empty() {
        None
    } else if !settings.jwt_verification_required {
        Some(format!("JWT_VERIFICATION_REQUIRED is off, so no signature is checked with {keys}"))
    } else if settings.introspection_endpoint.is_some() {
        Some(format!(
            "INTROSPECTION_ENDPOINT alone decides about access tokens: {keys} can check ID tokens of a sign-in only"
        ))
    } else if set.contains(&"JWT_PUBLIC_KEY") && set.contains(&"JWKS_URI") {
        Some("JWKS_URI is not looked at beside JWT_PUBLIC_KEY".to_owned())
    } else if set.len() > 1 {
        Some(format!("{keys} both count: a token signed with either is accepted"))
    } else {
        None
    }
}
