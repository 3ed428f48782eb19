//! The session key from the settings.

use nocrd_authz::keys::{SealError, SessionKeys};
use nocrd_config::Settings;
use secrecy::ExposeSecret as _;

/// The keys that the settings name: `PROXY_SESSION_SECRET` with the one before it, else one derived from `JWT_SECRET`.
/// `None` when they name neither.
pub(super) fn keys(settings: &Settings) -> Option<Result<SessionKeys, SealError>> {
    let previous =
        settings.proxy_session_secret_previous.as_ref().map(|secret| secret.expose_secret().as_bytes());
    if let Some(secret) = &settings.proxy_session_secret {
        return Some(SessionKeys::new(secret.expose_secret().as_bytes(), previous));
    }
    let jwt_secret = settings.jwt_secret.as_ref()?.expose_secret().as_bytes();
    let derived = SessionKeys::secret_from_jwt_secret(jwt_secret);
    Some(derived.and_then(|secret| SessionKeys::new(&secret, previous)))
}
