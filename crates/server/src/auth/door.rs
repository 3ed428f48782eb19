//! From a request to whoever sent it.

use std::{borrow::Cow, sync::Arc, time::Duration};

use ::http::{HeaderValue, Method, Response, Uri, header, uri::PathAndQuery};
use bytes::Bytes;
use nocrd_authz::{
    authenticator::{Authenticated, Authenticator, Reason, SameOrigin, Unauthenticated},
    challenge::Challenge,
    cookies,
    discovery::Discovery,
    login::Login,
    policy::{Action, Policy},
    return_to,
    verify::TokenError,
};
use nocrd_config::Settings;
use nocrd_model::{Caller, error as codes};
use url::Url;

use super::{Counting, Refusal, Sender, Upstream, refusal::see_other, sender::wants_page};
use crate::{
    endpoints,
    keys::Endings,
    site::{Site, seen},
};

/// A challenge that says no more than that.
const BEARER: HeaderValue = HeaderValue::from_static("Bearer");

/// Recognises whoever asks, and says no in a way that helps.
pub(crate) struct Door {
    pub(super) authenticator: Arc<Authenticator>,
    /// Signs browsers in, where that is configured.
    pub(super) login: Option<Login>,
    /// The settings without which it is not.
    pub(super) lacking: Vec<&'static str>,
    pub(super) policy: Arc<Policy>,
    pub(super) site: Arc<Site>,
    pub(super) discovery: Option<Arc<Discovery>>,
    /// The issuer, where it was configured.
    pub(super) issuer: Option<String>,
    /// The scopes that clients should ask for at first.
    pub(super) scopes: Vec<String>,
    /// All scopes there are.
    pub(super) all_scopes: Vec<String>,
    /// What is known of the identity provider's state.
    pub(super) upstream: Arc<Upstream>,
    /// How the product calls itself here.
    pub(super) name: String,
    /// How long a session lasts unused.
    pub(super) session_ttl: Duration,
    /// Whether tokens come unchecked, from proxies that have checked them.
    pub(super) unchecked: bool,
    /// Whether such tokens are believed whoever brings them.
    pub(super) believes_all: bool,
    /// The sign-ins that were ended.
    pub(super) endings: Endings,
    pub(super) counting: Counting,
}

/// Who looks at a page that everybody may see.
#[derive(Debug, Default)]
pub(crate) struct Visitor {
    pub(crate) caller: Option<Caller>,
    /// What their browser is to keep.
    pub(crate) cookies: Vec<HeaderValue>,
}

impl Door {
    /// Who sent the request. `endpoint` is the path below the path prefix of what it asks for: `/mcp`, or empty for the
    /// server as a whole.
    pub(super) async fn who(
        &self,
        request: seen::Request<'_>,
        query: Option<&str>,
        endpoint: &str,
    ) -> Result<Authenticated, Refusal> {
        let context = self.site.context(request);
        if !self.endings.are_known() && cookies::has_credentials(request.headers) {
            // The session may be one that its user has ended, before this replica started.
            return Err(self.refuse(request, query, endpoint, Reason::NotReady.into()));
        }
        // What most requests need, without waiting for anything.
        if let Some(authenticated) = self.authenticator.recognise(request.headers, context) {
            self.counting.recognised();
            return Ok(authenticated);
        }
        let believed = !self.unchecked || self.believes_all || self.site.trusts(request.peer.addr().ip());
        if !believed && request.headers.contains_key(header::AUTHORIZATION) {
            tracing::warn!(peer = %request.peer.addr(), "a token came from elsewhere than TRUSTED_PROXIES");
            let message = "tokens are believed only from the proxies that check them";
            return Err(self.unauthenticated(request, endpoint, None, message));
        }
        let client = request.peer.client();
        if request.headers.contains_key(header::AUTHORIZATION) {
            self.counting.check(client, request.headers)?;
        }
        // Boxed: it is large, and most requests don't get here.
        let outcome = Box::pin(self.authenticator.authenticate(request.headers, context)).await;
        if let Some(refusal) = self.counting.looked(client, request.headers, &outcome) {
            return Err(refusal);
        }
        outcome.map_err(|unauthenticated| self.refuse(request, query, endpoint, unauthenticated))
    }

    /// Who looks at a page that everybody may see, by their cookies.
    pub(crate) async fn visitor(&self, sender: &Sender) -> Visitor {
        if !cookies::has_credentials(&sender.headers) {
            return Visitor::default();
        }
        match self.who(sender.request(), None, "").await {
            Ok(authenticated) => Visitor {
                cookies: authenticated.cookies_for(true).to_vec(),
                caller: Some(authenticated.caller),
            },
            Err(refusal) => Visitor { caller: None, cookies: refusal.cookies().to_vec() },
        }
    }

    /// Whether they may do that.
    pub(super) fn permit(
        &self,
        request: seen::Request<'_>,
        authenticated: &Authenticated,
        action: Action,
        endpoint: &str,
    ) -> Result<(), Refusal> {
        let Err(denied) = self.policy.check(&authenticated.caller, action) else { return Ok(()) };
        let refusal = Refusal::new(denied.code(), denied.to_string());
        // A client can ask for a scope, but not for a role.
        let challenge = denied
            .scope()
            .and_then(|scope| Some(self.challenge(request, endpoint)?.insufficient_scope(scope)));
        let refusal = refusal.challenging(challenge, None);
        Err(refusal.with_cookies(authenticated.cookies_for(false).to_vec()))
    }

    /// What somebody gets who is not recognised: people are sent to where they can sign in.
    pub(super) fn turn_away(
        &self,
        request: seen::Request<'_>,
        uri: &Uri,
        refusal: &Refusal,
    ) -> Response<Bytes> {
        let page = request.method == Method::GET && !request.upgrade && wants_page(request.headers);
        if page
            && refusal.is_unauthenticated()
            && let Some(refusal) = self.made_elsewhere(request)
        {
            return refusal.answer(request.headers);
        }
        let target = uri.path_and_query().map_or("/", PathAndQuery::as_str);
        let sign_in =
            (page && refusal.is_unauthenticated()).then(|| self.sign_in_url(request, target)).flatten();
        let Some(location) = sign_in.and_then(|url| HeaderValue::from_str(&url).ok()) else {
            return refusal.answer(request.headers);
        };
        see_other(location, refusal.cookies())
    }

    /// Where a browser goes to sign in and come back to the page it asked for; `None` when it can't.
    pub(super) fn sign_in_url(&self, request: seen::Request<'_>, path_and_query: &str) -> Option<String> {
        let page = self.site.seen(request).page(&self.site.outward(&without_token(path_and_query)));
        self.sign_in_at(page.as_deref())
    }

    /// What to tell somebody who has just signed in, at a replica with another session key. Sent to sign in once more, they
    /// would come back here without end.
    pub(super) fn made_elsewhere(&self, request: seen::Request<'_>) -> Option<Refusal> {
        self.authenticator.made_elsewhere(request.headers)?;
        // Which keys these are, the log tells: anybody can come with such a cookie.
        let message = "the session was made just now with a key that this server does not have";
        Some(Refusal::new(codes::SESSION_KEY_UNKNOWN, message))
    }

    /// Where a browser goes to sign in and come to this page of ours, or to the first one; `None` when it can't.
    pub(crate) fn sign_in_at(&self, page: Option<&str>) -> Option<String> {
        self.login.as_ref()?;
        let login = format!("{}{}", self.site.outer_base(), endpoints::LOGIN.path());
        let Some(page) = page else { return Some(login) };
        let target =
            url::form_urlencoded::Serializer::new(String::new()).append_pair("redirect_uri", page).finish();
        Some(format!("{login}?{target}"))
    }

    /// Where a browser goes to sign out.
    pub(crate) fn sign_out_at(&self) -> String {
        format!("{}{}", self.site.outer_base(), endpoints::LOGOUT.path())
    }

    /// What is known of the identity provider's state.
    pub(crate) fn upstream(&self) -> &Arc<Upstream> {
        &self.upstream
    }

    /// Whether clients learn from the server where they get tokens.
    pub(crate) fn leads_clients(&self) -> bool {
        self.issuer.is_some() || self.discovery.is_some()
    }

    /// The site as the sender sees it.
    pub(super) fn seen(&self, request: seen::Request<'_>) -> return_to::Site {
        self.site.seen(request)
    }

    /// The issuer whose tokens are accepted, as far as it is known.
    pub(super) async fn issuer(&self) -> Option<String> {
        match (&self.issuer, &self.discovery) {
            (Some(issuer), _) => Some(issuer.clone()),
            (None, Some(discovery)) => Some(discovery.metadata().await.ok()?.issuer.clone()),
            (None, None) => None,
        }
    }

    /// What leads a client to a token for this endpoint.
    pub(super) fn challenge(&self, request: seen::Request<'_>, endpoint: &str) -> Option<Challenge> {
        let metadata = Url::parse(&super::metadata::url(&self.site.seen(request), endpoint)).ok()?;
        Some(Challenge::new(&metadata, self.scopes.iter().map(String::as_str)))
    }

    pub(super) fn refuse(
        &self,
        request: seen::Request<'_>,
        query: Option<&str>,
        endpoint: &str,
        Unauthenticated { reason, cookies }: Unauthenticated,
    ) -> Refusal {
        let code = reason.code();
        if code != codes::UNAUTHENTICATED {
            // Nobody has said yet that the token is not good.
            let message = match &reason {
                Reason::Token(TokenError::Unavailable) => {
                    "the identity provider could not be asked about the token".to_owned()
                }
                reason => reason.to_string(),
            };
            return Refusal::new(code, message).with_cookies(cookies);
        }
        let token = match &reason {
            Reason::Token(error) => Some(error),
            _ => None,
        };
        let mut message: Cow<'static, str> = match token {
            Some(error) => format!("the bearer token is not accepted: {}", in_words(*error)).into(),
            None => reason.to_string().into(),
        };
        if token.is_none() && query.is_some_and(has_token) {
            message = "a token in the URL is not looked at here: send it in the Authorization header".into();
        }
        self.unauthenticated(request, endpoint, token, &message).with_cookies(cookies)
    }

    /// The answer to who has a session and no access token, where a workspace takes one.
    pub(super) fn wants_token(&self, request: seen::Request<'_>) -> Refusal {
        let message =
            "this workspace takes an access token, and your session has none: sign in again, or send one";
        self.unauthenticated(request, "", None, message)
    }

    fn unauthenticated(
        &self,
        request: seen::Request<'_>,
        endpoint: &str,
        error: Option<&TokenError>,
        message: &str,
    ) -> Refusal {
        let challenge = self.challenge(request, endpoint);
        let link = challenge.as_ref().map(Challenge::link);
        // RFC 9110, 11.6.1: a 401 always names a way in.
        let field = challenge.map_or(BEARER, |challenge| challenge.unauthorized(error));
        let refusal = Refusal::new(codes::UNAUTHENTICATED, message).challenging(Some(field), link);
        let refusal = refusal.leading(self.sign_in_at(None).map(|url| ("Sign in", url)));
        match error {
            Some(error) => refusal.because(*error),
            None => refusal,
        }
    }
}

/// What is wrong with a token, with the settings that say where its contents are looked for.
pub(super) fn in_words(error: TokenError) -> String {
    match error {
        // Nothing else than who somebody is is looked for there.
        TokenError::MissingClaim("sub") => {
            "it names nobody: there is nothing usable at AUTH_SUB_JSONPATH, or its roles at AUTH_ROLES_JSONPATH can't be read"
                .to_owned()
        }
        error => error.to_string(),
    }
}

/// Whether the query holds a parameter `token`.
fn has_token(query: &str) -> bool {
    url::form_urlencoded::parse(query.as_bytes()).any(|(name, _)| name == "token")
}

/// The target without its parameters `token`: they are no use where they are not looked at, and stay in histories and logs.
pub(super) fn without_token(path_and_query: &str) -> Cow<'_, str> {
    let Some((path, query)) = path_and_query.split_once('?') else { return path_and_query.into() };
    if !has_token(query) {
        return path_and_query.into();
    }
    let is_token = |pair: &&str| has_token(pair);
    let rest: Vec<&str> = query.split('&').filter(|pair| !is_token(pair)).collect();
    if rest.is_empty() { path.to_owned().into() } else { format!("{path}?{}", rest.join("&")).into() }
}

/// Whether tokens that nobody has checked are believed whoever brings them: those who can reach us are on this machine. Where
/// the proxies are named that check tokens, they decide alone; what else runs on this machine is none of them.
pub(super) fn believes_all(settings: &Settings) -> bool {
    settings.binds_loopback() && settings.trusted_proxies.is_empty()
}

/// Whether others than programs of this machine learn from their own requests where to sign in.
pub(crate) fn wants_public_url(settings: &Settings) -> bool {
    settings.auth_enabled && settings.public_url.is_none() && !settings.binds_loopback()
}

/// Whether a request proves that a page of ours sent it.
pub(super) fn is_proven(site: &Site, request: seen::Request<'_>) -> bool {
    site.context(request).same_origin == SameOrigin::Proven
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_listens_to_others_is_told_to_say_its_address() {
        let wants = |env: &[(&str, &str)]| {
            let fixed = [("AUTH_ENABLED", "true"), ("JWT_SECRET", "a secret that is long enough, for tests")];
            let env = fixed.iter().chain(env).map(|(name, value)| ((*name).to_owned(), (*value).to_owned()));
            wants_public_url(&Settings::from_env(&env.collect::<std::collections::BTreeMap<_, _>>()).unwrap())
        };
        let everywhere = ("HOST", "0.0.0.0");
        assert!(wants(&[everywhere]));
        assert!(!wants(&[everywhere, ("PUBLIC_URL", "https://gw.example")]));
        assert!(!wants(&[("HOST", "127.0.0.1")]) && !wants(&[everywhere, ("AUTH_ENABLED", "false")]));
    }

    #[test]
    fn d18_tokens_don_t_travel_on() {
        for (target, kept) in [
            ("/route/w1/", "/route/w1/"),
            ("/route/w1/?token=x", "/route/w1/"),
            ("/route/w1/?a=1&token=x&b=%20", "/route/w1/?a=1&b=%20"),
            ("/route/w1/?to%6ben=x&tokens=y", "/route/w1/?tokens=y"),
            ("/route/w1/?token", "/route/w1/"),
        ] {
            assert_eq!(without_token(target), kept, "{target}");
        }
    }
}
