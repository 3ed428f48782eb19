//! What the settings of authentication must say together.
//!
//! A server that is believed to be protected must be: whatever would leave a hole, or turn everybody away, ends the start.

use super::{Circumstances, is_loopback};
use crate::{error::Error, settings::Settings};

/// Where an operator reads more.
const GUIDE: &str = "the guide \"Authentication\" has a working example of each set-up";

/// Every problem; none when the server asks nobody.
pub(super) fn check(settings: &Settings, _: &Circumstances) -> Vec<Error> {
    let mut errors: Vec<Error> = peers(settings).into_iter().collect();
    if settings.auth_enabled {
        let checks = [keys, audience, unchecked_signatures, default_role, introspection];
        errors.extend(checks.into_iter().filter_map(|check| check(settings)));
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
    let confined = is_loopback(&settings.host) || !settings.trusted_proxies.is_empty();
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
        settings.proxy_session_secret_previous.is_some() && settings.proxy_session_secret.is_none(),
        "PROXY_SESSION_SECRET_PREVIOUS counts only with PROXY_SESSION_SECRET",
    );
    warn(
        settings.public_url.as_ref().is_some_and(|url| url.scheme() == "http")
            && !settings.public_url.as_ref().and_then(url::Url::host_str).is_some_and(is_loopback),
        "PUBLIC_URL is not https: whoever is on the way can take over sessions",
    );
    warnings
}
