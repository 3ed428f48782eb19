//! From settings to the parts of [`nocrd_authz`].

use std::{collections::BTreeSet, path::PathBuf, sync::Arc, time::Duration};

use nocrd_authz::{
    authenticator::{self, Authenticator},
    claims::ClaimPaths,
    clock::Clock,
    cookies::CookiePath,
    discovery::Discovery,
    grants::GrantStore,
    http::{Http, HttpOptions},
    keys::KeyRing,
    mint::Lifetimes,
    policy::Policy,
    provider::{Provider, ProviderConfig},
    revocation::Revocations,
    verify::{Audience, IntrospectionConfig, JwksSource, Verifier, VerifierConfig},
};
use nocrd_config::Settings;
use nocrd_model::Subject;
use secrecy::ExposeSecret as _;
use url::Url;

use super::{Counting, Door, Upstream, door};
use crate::{Error, keys::Endings, site::Site};

/// How far our clock and the identity provider's may be apart.
const LEEWAY: Duration = Duration::from_secs(30);

/// What the settings came to, for the operator.
pub(super) struct Facts {
    pub(super) issuer: Option<String>,
    pub(super) audience: String,
    pub(super) signs_in: bool,
}

/// What the settings come to.
pub(super) fn facts(settings: &Settings, site: &Site) -> Facts {
    let audience = match audience(settings, site) {
        Audience::Any => "any".to_owned(),
        Audience::These(names) if names.is_empty() => "not checked: set JWT_AUDIENCE".to_owned(),
        Audience::These(names) => names.join(" or "),
    };
    let issuer = verifier(settings, site, None).issuer;
    Facts { issuer, audience, signs_in: lacking(settings).is_empty() }
}

/// What replicas share.
pub(crate) struct Shared {
    pub(crate) keys: Arc<KeyRing>,
    pub(crate) grants: Arc<dyn GrantStore>,
    pub(crate) revocations: Arc<dyn Revocations>,
    pub(crate) endings: Endings,
    pub(crate) counting: Counting,
}

/// What is asked of the identity provider, and what tokens are checked with.
struct Means {
    clock: Clock,
    http: Arc<Http>,
    discovery: Option<Arc<Discovery>>,
    verifier: Arc<Verifier>,
    paths: ClaimPaths,
}

impl Means {
    fn of(settings: &Settings, site: &Site) -> Result<Self, Error> {
        let clock = Clock::system();
        let http = Arc::new(Http::new(&HttpOptions::default()).map_err(refused)?);
        let discovery = discovery(settings)
            .map(|url| Arc::new(Discovery::new(url, issuer(settings), Arc::clone(&http), clock.clone())));
        let config = verifier(settings, site, discovery.clone());
        let verifier = Arc::new(Verifier::new(config, Arc::clone(&http), clock.clone()).map_err(refused)?);
        let (sub, scope, roles) =
            (&settings.auth_sub_jsonpath, &settings.auth_scope_jsonpath, &settings.auth_roles_jsonpath);
        let paths = ClaimPaths::new(sub, scope, roles).map_err(refused)?;
        Ok(Self { clock, http, discovery, verifier, paths })
    }
}

/// Looks at keys, files of keys and JSONPaths, before anything is started that could not go on with them.
///
/// # Errors
/// [`Error::Authentication`], naming the setting.
pub(crate) async fn check(settings: &Settings) -> Result<(), Error> {
    let means = Means::of(settings, &Site::new(settings))?;
    if let Some(JwksSource::File(_)) = settings.jwks_uri.as_deref().map(jwks_source) {
        let setting = "JWKS_URI";
        means.verifier.load_keys().await.map_err(|source| Error::Authentication { setting, source })?;
    }
    Ok(())
}

/// The door that the settings describe. Call it only where authentication is on.
///
/// # Errors
/// [`Error::Authentication`], when a key or a JSONPath is not usable.
pub(crate) fn build(settings: &Settings, site: &Arc<Site>, shared: Shared) -> Result<Door, Error> {
    let Means { clock, http, discovery, verifier, paths } = Means::of(settings, site)?;
    let policy = Arc::new(policy(settings));
    let provider = provider(settings, discovery.clone()).map(|config| Arc::new(Provider::new(config, http)));
    let upstream = Upstream::new(discovery.clone(), Arc::clone(&verifier));
    let cookies = CookiePath::new(site.outer_base())
        .map_err(|_| Error::BaseUrl("no cookie can be set for the path of PUBLIC_URL".to_owned()))?;
    let authenticator = Arc::new(Authenticator::new(authenticator::Parts {
        verifier,
        paths: Arc::new(paths),
        policy: Arc::clone(&policy),
        keys: shared.keys,
        provider,
        grants: shared.grants,
        revocations: shared.revocations,
        cookies,
        lifetimes: lifetimes(settings),
        clock,
    }));
    let lacking = lacking(settings);
    Ok(Door {
        login: authenticator.login().filter(|_| lacking.is_empty()),
        lacking,
        upstream,
        authenticator,
        policy,
        site: Arc::clone(site),
        discovery,
        issuer: settings.auth_issuer.clone(),
        scopes: scopes(settings),
        all_scopes: all_scopes(settings),
        name: settings.ui_title.clone(),
        session_ttl: settings.proxy_session_ttl,
        unchecked: !settings.jwt_verification_required,
        believes_all: door::believes_all(settings),
        endings: shared.endings,
        counting: shared.counting,
    })
}

/// The error with the setting that it is about.
fn refused(source: nocrd_authz::error::Error) -> Error {
    use nocrd_authz::error::Error as Cause;
    let setting = match &source {
        Cause::InvalidPath { claim: "subject", .. } => "AUTH_SUB_JSONPATH",
        Cause::InvalidPath { claim: "scope", .. } => "AUTH_SCOPE_JSONPATH",
        Cause::InvalidPath { .. } => "AUTH_ROLES_JSONPATH",
        Cause::InvalidKey(_) => "JWT_PUBLIC_KEY",
        Cause::WeakSecret { .. } => "JWT_SECRET",
        Cause::AudienceRequired => "JWT_AUDIENCE",
        _ => "AUTH_ENABLED",
    };
    Error::Authentication { setting, source }
}

/// The scopes that clients should ask for at first: those of users. An agent gets the rights of administrators only when
/// somebody asks for them.
fn scopes(settings: &Settings) -> Vec<String> {
    let required = [&settings.auth_required_read_scope, &settings.auth_required_write_scope];
    let mut scopes: Vec<String> = required.into_iter().flatten().cloned().collect();
    scopes.dedup();
    scopes
}

/// All scopes there are. The one of administrators makes nobody one who has not their role.
fn all_scopes(settings: &Settings) -> Vec<String> {
    let mut scopes = scopes(settings);
    scopes.extend(settings.auth_required_admin_scope.clone().filter(|scope| !scopes.contains(scope)));
    scopes
}

/// The settings without which no browser can sign in.
fn lacking(settings: &Settings) -> Vec<&'static str> {
    let discovers = discovery(settings).is_some();
    [
        ("OAUTH_CLIENT_ID", settings.oauth_client_id.is_some()),
        ("OAUTH_AUTHORIZATION_URL", discovers || settings.oauth_authorization_url.is_some()),
        ("OAUTH_TOKEN_URL", discovers || settings.oauth_server_token_url.is_some()),
    ]
    .into_iter()
    .filter_map(|(name, is_known)| (!is_known).then_some(name))
    .collect()
}

fn lifetimes(settings: &Settings) -> Lifetimes {
    Lifetimes {
        session: settings.proxy_session_ttl,
        sign_in: settings.session_max_age,
        refresh: settings.proxy_refresh_cookie_ttl,
    }
}

/// Where the identity provider's metadata is.
fn discovery(settings: &Settings) -> Option<Url> {
    let own = || Discovery::url_of(settings.auth_issuer.as_deref()?).ok();
    settings.oauth_server_discovery_url.clone().or_else(own)
}

/// Who issues tokens, as far as it is known before anybody is asked: it is what AUTH_ISSUER says, or else whom the address
/// of the metadata belongs to. Browsers' address goes first, because tokens are issued under that name.
fn issuer(settings: &Settings) -> Option<String> {
    let addresses = [&settings.oauth_discovery_url, &settings.oauth_server_discovery_url];
    settings.auth_issuer.clone().or_else(|| addresses.into_iter().flatten().find_map(Discovery::issuer_of))
}

fn verifier(settings: &Settings, site: &Site, discovery: Option<Arc<Discovery>>) -> VerifierConfig {
    let jwks = settings.jwks_uri.as_deref().map(jwks_source);
    // Whoever has a key has one; what discovery tells is for the rest. Who is asked about access tokens signs ID tokens.
    let is_asked = settings.introspection_endpoint.is_some();
    let needs_keys = (settings.jwt_secret.is_none() || is_asked) && settings.jwt_public_key.is_none();
    VerifierConfig {
        secret: settings.jwt_secret.clone(),
        public_key_pem: settings.jwt_public_key.clone(),
        jwks: jwks.or_else(|| discovery.filter(|_| needs_keys).map(JwksSource::Discovered)),
        introspection: settings.introspection_endpoint.clone().map(|url| IntrospectionConfig {
            url,
            client_id: settings.oauth_client_id.clone(),
            client_secret: settings.oauth_client_secret.clone(),
        }),
        audience: audience(settings, site),
        // Whoever signs with a secret of ours need not be the provider that browsers sign in at.
        issuer: if settings.jwt_secret.is_some() && !has_public_keys(settings) {
            settings.auth_issuer.clone()
        } else {
            issuer(settings)
        },
        verify_signatures: settings.jwt_verification_required,
        leeway: LEEWAY,
    }
}

/// Whether tokens are checked by the provider's own keys, or by itself, whatever discovery tells.
fn has_public_keys(settings: &Settings) -> bool {
    settings.jwks_uri.is_some()
        || settings.jwt_public_key.is_some()
        || settings.introspection_endpoint.is_some()
}

/// A URL, or the path of a file.
fn jwks_source(text: &str) -> JwksSource {
    match Url::parse(text) {
        Ok(url) if matches!(url.scheme(), "http" | "https") => JwksSource::Url(url),
        Ok(url) if url.scheme() == "file" => {
            JwksSource::File(url.to_file_path().unwrap_or_else(|()| PathBuf::from(url.path())))
        }
        _ => JwksSource::File(PathBuf::from(text)),
    }
}

/// What a token must be for. Nothing of a request has a say in it.
fn audience(settings: &Settings, site: &Site) -> Audience {
    match settings.jwt_audience.as_deref() {
        Some("*") => return Audience::Any,
        Some(audience) => return Audience::These(vec![audience.to_owned()]),
        None => {}
    }
    let ours: Vec<String> = settings.oauth_client_id.iter().cloned().chain(site.public_url()).collect();
    // None at all is for a secret of our own only: the rules of the settings see to that, and so does the verifier.
    Audience::These(ours)
}

/// What callers may do.
pub(crate) fn policy(settings: &Settings) -> Policy {
    Policy {
        read_scope: settings.auth_required_read_scope.clone(),
        write_scope: settings.auth_required_write_scope.clone(),
        admin_scope: settings.auth_required_admin_scope.clone(),
        read_role: settings.auth_required_read_role.clone(),
        write_role: settings.auth_required_write_role.clone(),
        admin_role: settings.auth_admin_role.clone(),
        default_role: settings.auth_default_role.clone(),
        admin_users: settings
            .auth_admin_users
            .iter()
            .map(|user| Subject::new(user.as_str()))
            .collect::<BTreeSet<_>>(),
        require_scope_claim: settings.auth_require_scope_claim,
    }
}

/// The server as a client of the identity provider; `None` when it can't exchange anything there.
fn provider(settings: &Settings, discovery: Option<Arc<Discovery>>) -> Option<ProviderConfig> {
    let client_id = settings.oauth_client_id.clone()?;
    if discovery.is_none() && settings.oauth_server_token_url.is_none() {
        return None;
    }
    let mut asked = settings.oauth_scopes.clone();
    asked.extend(all_scopes(settings).into_iter().filter(|scope| !settings.oauth_scopes.contains(scope)));
    Some(ProviderConfig {
        client_id,
        client_secret: settings
            .oauth_client_secret
            .clone()
            .filter(|secret| !secret.expose_secret().is_empty()),
        issuer: issuer(settings),
        token_url: settings.oauth_server_token_url.clone(),
        authorization_url: settings.oauth_authorization_url.clone(),
        end_session_url: settings.oauth_end_session_url.clone(),
        scopes: asked,
        discovery,
    })
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;

    fn settings(env: &[(&str, &str)]) -> Settings {
        let env: BTreeMap<_, _> =
            env.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
        Settings::from_env(&env).unwrap()
    }

    fn audiences(env: &[(&str, &str)]) -> Option<Vec<String>> {
        let settings = settings(env);
        match audience(&settings, &Site::new(&settings)) {
            Audience::Any => None,
            Audience::These(ours) => Some(ours),
        }
    }

    #[test]
    fn t07_d05_the_audience_comes_from_the_settings() {
        let these = |list: &[&str]| Some(list.iter().map(|text| (*text).to_owned()).collect::<Vec<_>>());
        let client = ("OAUTH_CLIENT_ID", "no-crd");
        let public = ("PUBLIC_URL", "https://gw.example/");
        assert_eq!(audiences(&[]), these(&[]));
        assert_eq!(audiences(&[client]), these(&["no-crd"]));
        assert_eq!(audiences(&[public, ("BASE_URL", "/p")]), these(&["https://gw.example/p"]));
        assert_eq!(audiences(&[client, public]), these(&["no-crd", "https://gw.example"]));
        assert_eq!(audiences(&[client, public, ("JWT_AUDIENCE", "x")]), these(&["x"]));
        assert_eq!(audiences(&[client, public, ("JWT_AUDIENCE", "*")]), None);
    }

    #[test]
    fn metadata_is_where_it_was_said_or_where_the_standard_puts_it() {
        let at = |env: &[(&str, &str)]| discovery(&settings(env)).map(|url| url.to_string());
        let issuer = |text| ("AUTH_ISSUER", text);
        let standard = Some("https://idp.example/realms/a/.well-known/openid-configuration".to_owned());
        assert_eq!(at(&[issuer("https://idp.example/realms/a")]), standard);
        assert_eq!(at(&[issuer("https://idp.example/realms/a/")]), standard);
        let said = ("OAUTH_DISCOVERY_URL", "https://idp.internal/d");
        assert_eq!(at(&[issuer("https://idp.example"), said]).as_deref(), Some("https://idp.internal/d"));
        assert_eq!(at(&[]), None);
    }

    #[test]
    fn t06_the_issuer_is_the_one_that_was_said_or_whose_metadata_are_asked_for() {
        const INSIDE: (&str, &str) =
            ("OAUTH_SERVER_DISCOVERY_URL", "http://idp:8080/r/.well-known/openid-configuration");
        const OUTSIDE: (&str, &str) =
            ("OAUTH_DISCOVERY_URL", "https://idp.example/r/.well-known/openid-configuration");
        const SAID: (&str, &str) = ("AUTH_ISSUER", "https://said.example/");
        const SECRET: (&str, &str) = ("JWT_SECRET", "0123456789abcdef0123456789abcdef");
        let of = |env: &[(&str, &str)]| {
            let settings = settings(env);
            (issuer(&settings), verifier(&settings, &Site::new(&settings), None).issuer)
        };
        let both = |text: &str| (Some(text.to_owned()), Some(text.to_owned()));
        assert_eq!(of(&[]), (None, None));
        assert_eq!(of(&[OUTSIDE]), both("https://idp.example/r"));
        assert_eq!(of(&[INSIDE]), both("http://idp:8080/r"));
        assert_eq!(of(&[INSIDE, OUTSIDE]), both("https://idp.example/r"));
        assert_eq!(of(&[INSIDE, OUTSIDE, SAID]), both("https://said.example/"));
        assert_eq!(of(&[OUTSIDE, ("JWT_PUBLIC_KEY", "x")]), both("https://idp.example/r"));
        // Tokens of our own secret are our own, and the metadata those of the place to sign in.
        assert_eq!(of(&[OUTSIDE, SECRET]), (Some("https://idp.example/r".to_owned()), None));
        assert_eq!(of(&[OUTSIDE, SECRET, SAID]), both("https://said.example/"));
        assert_eq!(of(&[OUTSIDE, SECRET, ("JWKS_URI", "/k")]), both("https://idp.example/r"));
    }

    #[test]
    fn without_an_audience_only_a_secret_of_our_own_will_do() {
        let verifier = |env: &[(&str, &str)]| {
            let settings = settings(env);
            let http = Arc::new(Http::new(&HttpOptions::default()).unwrap());
            Verifier::new(verifier(&settings, &Site::new(&settings), None), http, Clock::system())
        };
        assert!(verifier(&[("JWT_SECRET", "0123456789abcdef0123456789abcdef")]).is_ok());
        let refused = verifier(&[("JWKS_URI", "https://idp.example/keys")]).unwrap_err();
        assert_eq!(refused, nocrd_authz::error::Error::AudienceRequired);
        assert!(verifier(&[("JWKS_URI", "https://idp.example/keys"), ("JWT_AUDIENCE", "*")]).is_ok());
    }

    #[test]
    fn key_sets_are_urls_or_files() {
        let file = |text: &str| matches!(jwks_source(text), JwksSource::File(path) if path == std::path::Path::new("/etc/keys.json"));
        assert!(file("/etc/keys.json") && file("file:///etc/keys.json"));
        assert!(matches!(jwks_source("https://idp.example/keys"), JwksSource::Url(_)));
    }

    #[test]
    fn the_scopes_of_the_server_are_asked_for_once() {
        let env = [
            ("OAUTH_CLIENT_ID", "c"),
            ("OAUTH_TOKEN_URL", "https://idp.example/t"),
            ("OAUTH_SCOPES", "openid nogoo9:read"),
        ];
        let config = provider(&settings(&env), None).unwrap();
        assert_eq!(config.scopes, ["openid", "nogoo9:read", "nogoo9:write", "nogoo9:admin"]);
        let nothing = [("AUTH_REQUIRED_WRITE_SCOPE", ""), ("AUTH_REQUIRED_ADMIN_SCOPE", "")];
        let config = provider(&settings(&[&env[..], &nothing].concat()), None).unwrap();
        assert_eq!(config.scopes, ["openid", "nogoo9:read"]);
        assert!(provider(&settings(&env[..1]), None).is_none());
    }

    #[test]
    fn a_sign_in_that_is_not_set_up_says_what_it_lacks() {
        let lacks = |env: &[(&str, &str)]| lacking(&settings(env));
        let client = ("OAUTH_CLIENT_ID", "c");
        let authorization = ("OAUTH_AUTHORIZATION_URL", "https://idp.example/a");
        assert_eq!(lacks(&[]), ["OAUTH_CLIENT_ID", "OAUTH_AUTHORIZATION_URL", "OAUTH_TOKEN_URL"]);
        assert_eq!(lacks(&[client, authorization]), ["OAUTH_TOKEN_URL"]);
        assert_eq!(
            lacks(&[client, ("OAUTH_TOKEN_URL", "https://idp.example/t")]),
            ["OAUTH_AUTHORIZATION_URL"]
        );
        assert_eq!(lacks(&[client, ("AUTH_ISSUER", "https://idp.example")]), [""; 0]);
        assert_eq!(lacks(&[("AUTH_ISSUER", "https://idp.example")]), ["OAUTH_CLIENT_ID"]);
    }

    #[test]
    fn every_setting_of_the_policy_gets_where_it_counts() {
        let env = [
            ("AUTH_REQUIRED_READ_SCOPE", "s:read"),
            ("AUTH_REQUIRED_WRITE_SCOPE", "s:write"),
            ("AUTH_REQUIRED_ADMIN_SCOPE", "s:admin"),
            ("AUTH_REQUIRED_READ_ROLE", "r-read"),
            ("AUTH_REQUIRED_WRITE_ROLE", "r-write"),
            ("AUTH_ADMIN_ROLE", "r-admin"),
            ("AUTH_DEFAULT_ROLE", "r-default"),
            ("AUTH_ADMIN_USERS", "root, ops@example.com"),
            ("AUTH_REQUIRE_SCOPE_CLAIM", "true"),
        ];
        let some = |text: &str| Some(text.to_owned());
        let expected = Policy {
            read_scope: some("s:read"),
            write_scope: some("s:write"),
            admin_scope: some("s:admin"),
            read_role: some("r-read"),
            write_role: some("r-write"),
            admin_role: "r-admin".to_owned(),
            default_role: "r-default".to_owned(),
            admin_users: ["root".into(), "ops@example.com".into()].into(),
            require_scope_claim: true,
        };
        assert_eq!(policy(&settings(&env)), expected);
        assert_eq!(policy(&settings(&[])), Policy::default());
        let nothing: Vec<_> = env[..5].iter().map(|(name, _)| (*name, "")).collect();
        let open = policy(&settings(&nothing));
        let asked = [open.read_scope, open.write_scope, open.admin_scope, open.read_role, open.write_role];
        assert_eq!(asked, [const { None }; 5]);
    }

    #[test]
    fn sessions_live_as_long_as_was_said() {
        let env =
            [("PROXY_SESSION_TTL", "11"), ("SESSION_MAX_AGE", "22"), ("PROXY_REFRESH_COOKIE_TTL", "33")];
        let Lifetimes { session, sign_in, refresh } = lifetimes(&settings(&env));
        assert_eq!([session, sign_in, refresh].map(|life| life.as_secs()), [11, 22, 33]);
    }

    #[test]
    fn the_keys_of_id_tokens_are_found_beside_introspection() {
        let keys = |env: &[(&str, &str)]| {
            let issuer =
                [("AUTH_ISSUER", "https://idp.example"), ("INTROSPECTION_ENDPOINT", "https://idp.example/i")];
            let settings = settings(&[&issuer[..], env].concat());
            let http = Arc::new(Http::new(&HttpOptions::default()).unwrap());
            let url = discovery(&settings).unwrap();
            let found = Arc::new(Discovery::new(url, None, http, Clock::system()));
            verifier(&settings, &Site::new(&settings), Some(found)).jwks
        };
        assert!(matches!(keys(&[]), Some(JwksSource::Discovered(_))));
        let secret = ("JWT_SECRET", "0123456789abcdef0123456789abcdef");
        assert!(matches!(keys(&[secret]), Some(JwksSource::Discovered(_))), "it signs sessions only");
        assert!(matches!(keys(&[("JWKS_URI", "https://idp.example/k")]), Some(JwksSource::Url(_))));
        assert!(keys(&[("JWT_PUBLIC_KEY", "x")]).is_none());
    }
}
