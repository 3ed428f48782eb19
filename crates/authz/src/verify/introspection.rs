//! Asking the identity provider about tokens that say nothing themselves (RFC 7662).

use std::{fmt, sync::Arc, time::Duration};

use arc_swap::ArcSwap;
use moka::future::Cache;
use secrecy::{ExposeSecret as _, SecretString};
use serde_json::{Map, Value};
use tokio::sync::Semaphore;
use url::Url;

use super::{TokenError, VerifiedToken};
use crate::{
    claims::Claims,
    clock::{Clock, UnixTime},
    error::Error,
    http::{FetchError, Http, address},
};

/// How long a good answer is used.
const GOOD_FOR: Duration = Duration::from_secs(30);
/// How long a bad one is.
const BAD_FOR: Duration = Duration::from_secs(5);
/// Most answers that are kept.
const MAX_KEPT: u64 = 10_000;
/// Most questions at a time, whatever clients send.
const MAX_ASKED: usize = 64;
/// How long a question may wait for its turn.
const TURN: Duration = Duration::from_secs(5);

/// Whom to ask, and as whom.
#[derive(Debug, Clone)]
pub struct IntrospectionConfig {
    /// The identity provider's introspection endpoint.
    pub url: Url,
    /// This server's client id, if it must name itself.
    pub client_id: Option<String>,
    /// Its secret.
    pub client_secret: Option<SecretString>,
}

/// An answer, and until when it is used.
#[derive(Clone)]
struct Answer {
    token: Result<Arc<VerifiedToken>, TokenError>,
    until: UnixTime,
}

pub(super) struct Introspection {
    config: IntrospectionConfig,
    http: Arc<Http>,
    clock: Clock,
    kept: Cache<[u8; 32], Answer>,
    asking: Semaphore,
    failed: ArcSwap<Option<FetchError>>,
}

impl fmt::Debug for Introspection {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Introspection").field("url", &self.config.url.as_str()).finish_non_exhaustive()
    }
}

impl Introspection {
    pub(super) fn new(config: IntrospectionConfig, http: Arc<Http>, clock: Clock) -> Self {
        let kept = Cache::builder().max_capacity(MAX_KEPT).time_to_live(GOOD_FOR).build();
        Self { config, http, clock, kept, asking: Semaphore::new(MAX_ASKED), failed: ArcSwap::default() }
    }

    /// What the identity provider says about a token whose SHA-256 is `digest`; `check` checks the claims of a good
    /// answer and finds the token's end. Requests with the same token wait for the same answer.
    pub(super) async fn ask(
        &self,
        digest: [u8; 32],
        token: &str,
        check: impl Fn(&Claims, UnixTime) -> Result<Option<UnixTime>, TokenError>,
    ) -> Result<Arc<VerifiedToken>, TokenError> {
        if let Some(kept) = self.kept.get(&digest).await
            && kept.until <= self.clock.now()
        {
            self.kept.invalidate(&digest).await;
        }
        let answer = self.kept.try_get_with(digest, self.question(token, &check)).await;
        let answer = answer.map_err(|error: Arc<TokenError>| *error)?;
        // An answer that others wait for as well may be used up by now.
        match &answer.token {
            Ok(token) if token.expires() <= self.clock.now() => Err(TokenError::Expired),
            _ => answer.token,
        }
    }

    /// Asks. An error is for now, and not kept.
    async fn question(
        &self,
        token: &str,
        check: &impl Fn(&Claims, UnixTime) -> Result<Option<UnixTime>, TokenError>,
    ) -> Result<Answer, TokenError> {
        let members = self.post(token).await?;
        let now = self.clock.now();
        let bad = |error| Ok(Answer { token: Err(error), until: now.plus(BAD_FOR) });
        // Nothing but the word `true` will do.
        if members.get("active") != Some(&Value::Bool(true)) {
            return bad(TokenError::Inactive);
        }
        let claims = Claims::new(members);
        match check(&claims, now) {
            Err(error) => bad(error),
            Ok(expires) => {
                let until = now.plus(GOOD_FOR);
                let expires = expires.unwrap_or(until);
                let token = Arc::new(VerifiedToken { claims, expires });
                Ok(Answer { token: Ok(token), until: until.min(expires) })
            }
        }
    }

    async fn post(&self, token: &str) -> Result<Map<String, Value>, TokenError> {
        let _turn = tokio::time::timeout(TURN, self.asking.acquire())
            .await
            .map_err(|_| TokenError::Unavailable)?
            .map_err(|_| TokenError::Unavailable)?;
        let mut form = vec![("token", token), ("token_type_hint", "access_token")];
        form.extend(self.config.client_id.as_deref().map(|id| ("client_id", id)));
        form.extend(
            self.config.client_secret.as_ref().map(|secret| ("client_secret", secret.expose_secret())),
        );
        let answer = self.http.post_form(&self.config.url, &form, None).await;
        let answer = answer.and_then(|(status, body)| match status {
            http::StatusCode::OK => {
                serde_json::from_slice(&body).map_err(|_| FetchError::Malformed("it is no JSON object"))
            }
            status => Err(FetchError::Status(status.as_u16())),
        });
        let failed = answer.as_ref().err().cloned();
        if let Some(error) = &failed {
            tracing::warn!(
                url = address(&self.config.url),
                "tokens can't be asked about: {}",
                in_words(error)
            );
        }
        self.failed.store(Arc::new(failed));
        answer.map_err(|_| TokenError::Unavailable)
    }

    /// Asks about a token that nobody has issued, to see whether there are answers.
    pub(super) async fn try_out(&self) {
        drop(self.post("no token: the server asks whether it gets an answer").await);
    }

    /// Why the last question had no answer, if so.
    pub(super) fn failure(&self) -> Option<Error> {
        let source = self.failed.load().as_ref().clone()?;
        Some(Error::Fetch { what: "the introspection endpoint", at: Some(address(&self.config.url)), source })
    }
}

/// What an operator can do about it, where the answer tells.
fn in_words(error: &FetchError) -> String {
    match error {
        FetchError::Status(status @ (401 | 403)) => format!(
            "the identity provider refuses this server's own credentials ({status}): check OAUTH_CLIENT_ID and \
             OAUTH_CLIENT_SECRET, and whether the client may introspect"
        ),
        error => error.to_string(),
    }
}

#[cfg(test)]
mod tests;
