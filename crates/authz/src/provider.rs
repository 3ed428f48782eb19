//! What the server asks of the identity provider on behalf of a browser: codes and refresh tokens exchanged
//! (RFC 6749), tokens revoked (RFC 7009), sessions ended.

use std::{fmt, sync::Arc, time::Duration};

use http::StatusCode;
use nocrd_model::{Code, error as codes};
use secrecy::{ExposeSecret as _, SecretString};
use serde::Deserialize;
use url::{Url, form_urlencoded};

use crate::{
    discovery::{Discovery, ProviderMetadata},
    error::{shortened, with_causes},
    http::{Http, address, parse_url},
};

/// The server as a client of the identity provider.
#[derive(Clone)]
pub struct ProviderConfig {
    /// The client's id.
    pub client_id: String,
    /// Its secret; a public client has none.
    pub client_secret: Option<SecretString>,
    /// The issuer that answers must come from, when it is known beforehand.
    pub issuer: Option<String>,
    /// Where codes and refresh tokens are exchanged, unless discovery tells.
    pub token_url: Option<Url>,
    /// Where browsers sign in, unless discovery tells.
    pub authorization_url: Option<Url>,
    /// Where browsers sign out, unless discovery tells.
    pub end_session_url: Option<Url>,
    /// The scopes that a sign-in asks for.
    pub scopes: Vec<String>,
    /// The provider's own metadata.
    pub discovery: Option<Arc<Discovery>>,
}

/// Why the identity provider did not give what it was asked for.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ProviderError {
    /// The code or token is used up, expired or revoked: sign in again. It holds an error code of RFC 6749.
    #[error("the identity provider refused: {0}")]
    Refused(String),
    /// The provider does not accept this server, or answers what no authorization server answers.
    #[error("the identity provider does not work with this server: {0}")]
    Misconfigured(String),
    /// The provider can't be reached, or can't answer now.
    #[error("the identity provider does not answer: {0}")]
    Unavailable(String),
}

impl ProviderError {
    /// The stable code.
    #[must_use]
    pub fn code(&self) -> Code {
        match self {
            Self::Refused(_) => codes::UNAUTHENTICATED,
            Self::Misconfigured(_) | Self::Unavailable(_) => codes::IDENTITY_PROVIDER_UNAVAILABLE,
        }
    }
}

/// The tokens of a successful answer (RFC 6749 section 5.1).
pub struct TokenSet {
    /// The access token.
    pub access_token: SecretString,
    /// The refresh token to use next time, if there is a new one.
    pub refresh_token: Option<SecretString>,
    /// How long that is good, if the provider tells.
    pub refresh_expires_in: Option<Duration>,
    /// The ID token of OpenID Connect.
    pub id_token: Option<SecretString>,
    /// The scopes that were granted, where the provider tells (RFC 6749 section 5.1).
    pub scope: Option<String>,
}

impl fmt::Debug for TokenSet {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TokenSet")
            .field("refresh_expires_in", &self.refresh_expires_in)
            .finish_non_exhaustive()
    }
}

/// What is known about the issuer of authorization responses.
pub(crate) struct AnsweringIssuer {
    pub(crate) issuer: Option<String>,
    /// Whether it names itself in each response (RFC 9207).
    pub(crate) always_told: bool,
}

#[derive(Deserialize)]
struct TokenAnswer {
    access_token: Option<String>,
    token_type: Option<String>,
    refresh_token: Option<String>,
    refresh_expires_in: Option<serde_json::Value>,
    #[serde(default)]
    scope: Option<String>,
    id_token: Option<String>,
}

/// An error of the token endpoint (RFC 6749 section 5.2).
#[derive(Default, Deserialize)]
struct ErrorAnswer {
    error: Option<String>,
    error_description: Option<String>,
}

/// The identity provider.
pub struct Provider {
    config: ProviderConfig,
    http: Arc<Http>,
}

impl fmt::Debug for Provider {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Provider").field("client_id", &self.config.client_id).finish_non_exhaustive()
    }
}

impl Provider {
    /// The provider of that configuration, asked through `http`.
    #[must_use]
    pub fn new(config: ProviderConfig, http: Arc<Http>) -> Self {
        Self { config, http }
    }

    /// The client's id.
    #[must_use]
    pub fn client_id(&self) -> &str {
        &self.config.client_id
    }

    /// The scopes that a sign-in asks for.
    #[must_use]
    pub fn scopes(&self) -> &[String] {
        &self.config.scopes
    }

    /// Where browsers sign in.
    pub(crate) async fn authorization_endpoint(&self) -> Result<Url, ProviderError> {
        self.endpoint(&self.config.authorization_url, "authorization_endpoint", |m| {
            m.authorization_endpoint.clone()
        })
        .await
    }

    /// Who answers, as far as it is known.
    pub(crate) async fn answering_issuer(&self) -> AnsweringIssuer {
        let metadata = self.metadata().await.ok().flatten();
        AnsweringIssuer {
            always_told: metadata
                .as_ref()
                .is_some_and(|m| m.authorization_response_iss_parameter_supported.unwrap_or_default()),
            issuer: metadata.map(|m| m.issuer.clone()).or_else(|| self.config.issuer.clone()),
        }
    }

    /// Exchanges an authorization code (RFC 6749 section 4.1.3, RFC 7636 section 4.5).
    pub(crate) async fn exchange(
        &self,
        code: &str,
        verifier: &str,
        redirect_uri: &str,
    ) -> Result<TokenSet, ProviderError> {
        self.grant(&[
            ("grant_type", "authorization_code"),
            ("code", code),
            ("redirect_uri", redirect_uri),
            ("code_verifier", verifier),
        ])
        .await
    }

    /// Exchanges a refresh token (RFC 6749 section 6).
    pub(crate) async fn refresh(&self, token: &SecretString) -> Result<TokenSet, ProviderError> {
        self.grant(&[("grant_type", "refresh_token"), ("refresh_token", token.expose_secret())]).await
    }

    /// Revokes a refresh token, where the provider has an endpoint for that (RFC 7009).
    pub(crate) async fn revoke(&self, token: &SecretString) -> Result<(), ProviderError> {
        let Some(endpoint) = self.metadata().await?.and_then(|m| m.revocation_endpoint.clone()) else {
            return Ok(());
        };
        let url = parse(&endpoint)?;
        let form = [("token", token.expose_secret()), ("token_type_hint", "refresh_token")];
        let (status, body) = self.post(&url, &form).await?;
        if status.is_success() { Ok(()) } else { Err(failure(&url, status, &body)) }
    }

    /// Where a browser ends its session at the provider, to come back to `back`.
    pub(crate) async fn end_session_url(&self, back: &str) -> Option<Url> {
        let endpoint = self.endpoint(&self.config.end_session_url, "", |m| m.end_session_endpoint.clone());
        let mut url = endpoint.await.ok()?;
        url.query_pairs_mut()
            .append_pair("client_id", &self.config.client_id)
            .append_pair("post_logout_redirect_uri", back);
        Some(url)
    }

    async fn metadata(&self) -> Result<Option<Arc<ProviderMetadata>>, ProviderError> {
        match &self.config.discovery {
            None => Ok(None),
            Some(discovery) => discovery
                .metadata()
                .await
                .map(Some)
                .map_err(|error| ProviderError::Unavailable(with_causes(&error))),
        }
    }

    /// A configured endpoint, or the discovered one.
    async fn endpoint(
        &self,
        configured: &Option<Url>,
        name: &str,
        discovered: impl FnOnce(&ProviderMetadata) -> Option<String>,
    ) -> Result<Url, ProviderError> {
        if let Some(url) = configured {
            return Ok(url.clone());
        }
        let found = self.metadata().await?.and_then(|metadata| discovered(&metadata));
        parse(&found.ok_or_else(|| ProviderError::Misconfigured(format!("it has no {name}")))?)
    }

    async fn grant(&self, form: &[(&str, &str)]) -> Result<TokenSet, ProviderError> {
        let url =
            self.endpoint(&self.config.token_url, "token_endpoint", |m| m.token_endpoint.clone()).await?;
        let (status, body) = self.post(&url, form).await?;
        if !status.is_success() {
            return Err(failure(&url, status, &body));
        }
        let garbled = |what: &str| ProviderError::Misconfigured(what.to_owned());
        let answer: TokenAnswer =
            serde_json::from_slice(&body).map_err(|_| garbled("its token answer is no JSON object"))?;
        if answer.token_type.is_some_and(|kind| !kind.eq_ignore_ascii_case("bearer")) {
            return Err(garbled("its access tokens are no bearer tokens"));
        }
        let filled = |text: Option<String>| text.filter(|text| !text.is_empty()).map(SecretString::from);
        Ok(TokenSet {
            access_token: filled(answer.access_token)
                .ok_or_else(|| garbled("its answer has no access token"))?,
            refresh_token: filled(answer.refresh_token),
            refresh_expires_in: answer.refresh_expires_in.as_ref().and_then(seconds),
            id_token: filled(answer.id_token),
            scope: answer.scope,
        })
    }

    /// Sends a form with the client's credentials: in the body, as all providers accept it, or as Basic credentials
    /// where the provider says that it accepts only these (RFC 6749 section 2.3.1).
    async fn post(
        &self,
        url: &Url,
        form: &[(&str, &str)],
    ) -> Result<(StatusCode, bytes::Bytes), ProviderError> {
        let mut form = form.to_vec();
        let secret = self.config.client_secret.as_ref().map(|secret| secret.expose_secret());
        let basic = match secret {
            Some(secret) if self.wants_basic().await => {
                Some((encoded(&self.config.client_id), encoded(secret)))
            }
            _ => None,
        };
        if basic.is_none() {
            form.push(("client_id", &self.config.client_id));
            form.extend(secret.map(|secret| ("client_secret", secret)));
        }
        let basic = basic.as_ref().map(|(id, secret)| (id.as_str(), secret.as_str()));
        self.http
            .post_form(url, &form, basic)
            .await
            .map_err(|error| ProviderError::Unavailable(format!("{}: {error}", address(url))))
    }

    async fn wants_basic(&self) -> bool {
        let metadata = self.metadata().await.ok().flatten();
        let methods =
            metadata.and_then(|m| m.token_endpoint_auth_methods_supported.clone()).unwrap_or_default();
        let offers = |method: &str| methods.iter().any(|offered| offered == method);
        offers("client_secret_basic") && !offers("client_secret_post")
    }
}

/// `application/x-www-form-urlencoded`, as Basic credentials of OAuth are.
fn encoded(text: &str) -> String {
    form_urlencoded::byte_serialize(text.as_bytes()).collect()
}

fn parse(url: &str) -> Result<Url, ProviderError> {
    parse_url(url, "an endpoint")
        .map_err(|_| ProviderError::Misconfigured("an endpoint of its metadata is no URL".into()))
}

/// A positive number of seconds. Zero means "no end" to the providers that send it.
fn seconds(value: &serde_json::Value) -> Option<Duration> {
    let seconds = value.as_u64().or_else(|| value.as_str()?.parse().ok())?;
    (seconds > 0).then(|| Duration::from_secs(seconds))
}

/// What an answer other than a success means. What the provider says about it is for the log only.
fn failure(url: &Url, status: StatusCode, body: &[u8]) -> ProviderError {
    let ErrorAnswer { error, error_description } = serde_json::from_slice(body).unwrap_or_default();
    let code = error.filter(|code| is_refusal_code(code));
    let hint = match code.as_deref() {
        Some("invalid_client" | "unauthorized_client") => "; check OAUTH_CLIENT_ID and OAUTH_CLIENT_SECRET",
        _ => "",
    };
    tracing::info!(
        url = address(url),
        status = status.as_u16(),
        error = code,
        error_description = error_description.as_deref().map(shortened),
        "the identity provider refused a request{hint}"
    );
    match code.as_deref() {
        Some("invalid_grant") if status.is_client_error() => ProviderError::Refused("invalid_grant".into()),
        Some(code @ ("temporarily_unavailable" | "server_error" | "slow_down")) => {
            ProviderError::Unavailable(code.to_owned())
        }
        Some(code) if status.is_client_error() => ProviderError::Misconfigured(code.to_owned()),
        _ => ProviderError::Unavailable(format!("status {}", status.as_u16())),
    }
}

/// What an error code that a browser brings from the provider means (RFC 6749 section 4.1.2.1); `None` when it is the
/// provider's, or the user's, own decision.
pub(crate) fn brought(code: &str) -> Option<ProviderError> {
    match code {
        "server_error" | "temporarily_unavailable" => Some(ProviderError::Unavailable(code.to_owned())),
        "invalid_request"
        | "invalid_client"
        | "invalid_scope"
        | "invalid_target"
        | "unauthorized_client"
        | "unsupported_response_type"
        | "request_not_supported" => Some(ProviderError::Misconfigured(code.to_owned())),
        _ => None,
    }
}

/// Tells whether a text can be an error code of RFC 6749: short, and harmless wherever it is shown.
pub(crate) fn is_refusal_code(text: &str) -> bool {
    !text.is_empty()
        && text.len() <= 64
        && text.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'_' | b'-' | b'.'))
}

#[cfg(test)]
mod tests;
