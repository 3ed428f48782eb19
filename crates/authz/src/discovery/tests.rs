use serde_json::{Value, json};
use wiremock::{
    Mock, MockServer, ResponseTemplate,
    matchers::{method, path},
};

use super::*;
use crate::{http::HttpOptions, testing::TestClock};

const PATH: &str = "/.well-known/openid-configuration";

async fn provider(document: Value) -> MockServer {
    let server = MockServer::start().await;
    answer(&server, ResponseTemplate::new(200).set_body_json(document)).await;
    server
}

async fn answer(server: &MockServer, answer: ResponseTemplate) {
    server.reset().await;
    Mock::given(method("GET")).and(path(PATH)).respond_with(answer).mount(server).await;
}

fn discovery(server: &MockServer, issuer: Option<&str>, clock: &TestClock) -> Discovery {
    let http = Arc::new(Http::new(&HttpOptions::default()).unwrap());
    Discovery::new(Discovery::url_of(&server.uri()).unwrap(), issuer.map(str::to_owned), http, clock.clock())
}

#[tokio::test]
async fn metadata_are_read_once() {
    let server = provider(json!({
        "issuer": "https://idp", "token_endpoint": "http://idp/token", "jwks_uri": "https://idp/keys", "more": [1]
    }))
    .await;
    let clock = TestClock::at(0);
    let discovery = discovery(&server, Some("https://idp/"), &clock);
    for _ in 0..3 {
        let metadata = discovery.metadata().await.unwrap();
        assert_eq!(metadata.issuer, "https://idp");
        assert_eq!(metadata.jwks_uri.as_deref(), Some("https://idp/keys"));
        assert_eq!(metadata.authorization_endpoint, None);
    }
    assert_eq!(server.received_requests().await.unwrap().len(), 1);
}

#[tokio::test]
async fn old_metadata_serve_while_the_provider_is_down() {
    let server = provider(json!({ "issuer": "i" })).await;
    let clock = TestClock::at(0);
    let discovery = discovery(&server, None, &clock);
    assert!(discovery.metadata().await.is_ok());
    answer(&server, ResponseTemplate::new(503)).await;
    clock.set(3600);
    assert_eq!(discovery.metadata().await.unwrap().issuer, "i");
    clock.set(25 * 3600);
    let error = discovery.metadata().await.unwrap_err();
    let at = Some(format!("{}{PATH}", server.uri()));
    assert_eq!(error, Error::Fetch { what: WHAT, at, source: FetchError::Status(503) });
    assert_eq!(error.code(), nocrd_model::error::IDENTITY_PROVIDER_UNAVAILABLE);
}

#[tokio::test]
async fn foreign_or_broken_metadata_are_refused() {
    for document in [
        json!({ "issuer": "https://evil" }),
        json!({ "issuer": "" }),
        json!({ "token_endpoint": "https://idp/token" }),
        json!({ "issuer": 7 }),
        json!([]),
        json!({ "issuer": "https://idp", "jwks_uri": "file:///etc/passwd" }),
        json!({ "issuer": "https://idp", "token_endpoint": "token" }),
    ] {
        let server = provider(document.clone()).await;
        let refused = discovery(&server, Some("https://idp"), &TestClock::at(0)).metadata().await;
        let expected =
            |source: &FetchError| matches!(source, FetchError::Malformed(_) | FetchError::Issuer { .. });
        assert!(matches!(refused, Err(Error::Fetch { source, .. }) if expected(&source)), "{document}");
    }
}

#[test]
fn t04_metadata_read_over_https_lead_to_https_only() {
    let https: Url = "https://idp/.well-known/openid-configuration".parse().unwrap();
    let http: Url = "http://idp/.well-known/openid-configuration".parse().unwrap();
    for member in [
        "jwks_uri",
        "token_endpoint",
        "authorization_endpoint",
        "introspection_endpoint",
        "end_session_endpoint",
    ] {
        let metadata: ProviderMetadata =
            serde_json::from_value(json!({ "issuer": "https://idp", member: "http://idp/x" })).unwrap();
        assert!(metadata.check(&https, None).is_err(), "{member}");
        assert!(metadata.check(&http, None).is_ok(), "{member}");
    }
}

#[test]
fn issuers_differ_by_every_letter_but_a_slash_at_the_end() {
    assert!(same_issuer("https://idp/a", "https://idp/a/") && same_issuer("https://idp/a/", "https://idp/a"));
    for other in ["https://idp/A", "https://idp/a//", "https://idp/a/b", "https://idp", "https://idp/a ", ""]
    {
        assert!(!same_issuer("https://idp/a", other), "{other}");
    }
    assert_eq!(
        Discovery::url_of("https://idp/realms/x/").unwrap().as_str(),
        "https://idp/realms/x/.well-known/openid-configuration"
    );
    assert!(Discovery::url_of("idp").is_err());
    for issuer in ["https://idp", "https://idp:8443/realms/x"] {
        let url = Discovery::url_of(issuer).unwrap();
        assert_eq!(Discovery::issuer_of(&url).as_deref(), Some(issuer));
    }
    for other in [
        "https://idp/d",
        "https://idp/.well-known/openid-configuration?p=x",
        "https://idp/.well-known/openid-configuration/x",
        "https://idp/.well-known/oauth-authorization-server",
    ] {
        assert_eq!(Discovery::issuer_of(&other.parse().unwrap()), None, "{other}");
    }
}

#[tokio::test]
async fn two_issuers_that_differ_are_both_told() {
    let server = provider(json!({ "issuer": "https://idp/realms/b" })).await;
    let refused = discovery(&server, Some("https://idp/realms/a"), &TestClock::at(0)).metadata().await;
    let text = crate::error::with_causes(&refused.unwrap_err());
    for part in ["https://idp/realms/b", "https://idp/realms/a", &server.uri(), PATH] {
        assert!(text.contains(part), "{part}: {text}");
    }
}
