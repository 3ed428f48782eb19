use serde_json::json;
use wiremock::{Mock, MockServer, ResponseTemplate};

use super::*;
use crate::http::HttpOptions;

const TOKEN_URL: &str = "https://idp.example/token";

/// A provider whose token endpoint answers this.
async fn answering(answer: ResponseTemplate) -> (MockServer, Provider) {
    let server = MockServer::start().await;
    Mock::given(wiremock::matchers::any()).respond_with(answer).mount(&server).await;
    let config = ProviderConfig {
        client_id: "c".into(),
        client_secret: None,
        issuer: None,
        token_url: Some(format!("{}/token", server.uri()).parse().unwrap()),
        authorization_url: None,
        end_session_url: None,
        scopes: Vec::new(),
        discovery: None,
    };
    (server, Provider::new(config, Arc::new(Http::new(&HttpOptions::default()).unwrap())))
}

async fn refresh(answer: ResponseTemplate) -> Result<TokenSet, ProviderError> {
    let (_server, provider) = answering(answer).await;
    provider.refresh(&"r".to_owned().into()).await
}

#[tokio::test]
async fn answers_that_are_no_tokens_are_no_refusals_either() {
    let json = |body: serde_json::Value| ResponseTemplate::new(200).set_body_json(body);
    for answer in [
        json(json!({})),
        json(json!([])),
        json(json!({"access_token": ""})),
        json(json!({"access_token": 5})),
        json(json!({"access_token": "t", "token_type": "DPoP"})),
        ResponseTemplate::new(200).set_body_string("<html>"),
    ] {
        let error = refresh(answer).await.unwrap_err();
        assert!(matches!(error, ProviderError::Misconfigured(_)), "{error}");
        assert_eq!(error.code().kind.status(), 503);
    }
    let elsewhere = ResponseTemplate::new(307).insert_header("location", "http://127.0.0.1:9/");
    assert!(matches!(refresh(elsewhere).await, Err(ProviderError::Unavailable(_))));
}

#[tokio::test]
async fn a_provider_without_metadata_works_by_its_configured_addresses() {
    let answer =
        json!({"access_token": "t", "token_type": "BEARER", "refresh_token": "", "refresh_expires_in": 0});
    let (_server, provider) = answering(ResponseTemplate::new(200).set_body_json(answer)).await;
    let tokens = provider.refresh(&"r".to_owned().into()).await.unwrap();
    assert_eq!(tokens.access_token.expose_secret(), "t");
    assert!(tokens.refresh_token.is_none() && tokens.refresh_expires_in.is_none());
    assert_eq!(provider.revoke(&"r".to_owned().into()).await, Ok(()), "there is nowhere to revoke it");
    assert_eq!(provider.end_session_url("https://gate.example/").await, None);
    let nowhere = provider.authorization_endpoint().await.unwrap_err();
    assert!(matches!(nowhere, ProviderError::Misconfigured(_)), "{nowhere}");
}

#[tokio::test]
async fn nobody_there_is_not_a_refusal() {
    let (_server, mut provider) = answering(ResponseTemplate::new(200)).await;
    let nobody = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    provider.config.token_url = Some(format!("http://{nobody}/token").parse().unwrap());
    let error = provider.refresh(&"r".to_owned().into()).await.unwrap_err();
    assert!(matches!(error, ProviderError::Unavailable(_)), "{error}");
}

#[test]
fn only_invalid_grant_is_a_refusal() {
    let kind = |status: u16, body: &str| {
        failure(&TOKEN_URL.parse().unwrap(), StatusCode::from_u16(status).unwrap(), body.as_bytes())
    };
    let refused = ProviderError::Refused("invalid_grant".into());
    assert_eq!(kind(400, r#"{"error":"invalid_grant","error_description":"reused"}"#), refused);
    assert_eq!(kind(401, r#"{"error":"invalid_grant"}"#), refused);
    for (status, body) in [
        (400, r#"{"error":"temporarily_unavailable"}"#),
        (400, "<html>"),
        (400, "{}"),
        (429, ""),
        (500, r#"{"error":"invalid_grant"}"#),
        (502, r#"{"error":"whatever"}"#),
        (302, ""),
        (400, r#"{"error":"<script>alert(1)</script>"}"#),
    ] {
        assert!(matches!(kind(status, body), ProviderError::Unavailable(_)), "{status} {body}");
    }
    assert_eq!(
        kind(401, r#"{"error":"invalid_client"}"#),
        ProviderError::Misconfigured("invalid_client".into())
    );
}

#[test]
fn d63_nothing_a_provider_writes_is_shown_but_error_codes() {
    let error =
        failure(&TOKEN_URL.parse().unwrap(), StatusCode::BAD_GATEWAY, b"{\"error\":\"internal host db-7\"}");
    assert!(!error.to_string().contains("db-7"), "{error}");
    for code in ["", "a b", "x\r\ny", "<b>", &"x".repeat(65)] {
        assert!(!is_refusal_code(code), "{code:?}");
    }
}

#[test]
fn lives_are_positive_numbers() {
    assert_eq!(seconds(&json!(1800)), Some(Duration::from_secs(1800)));
    assert_eq!(seconds(&json!("1800")), Some(Duration::from_secs(1800)));
    for odd in [json!(0), json!(-5), json!("x"), json!(null), json!([1]), json!(1.5)] {
        assert_eq!(seconds(&odd), None, "{odd}");
    }
}

#[test]
fn basic_credentials_are_form_encoded() {
    assert_eq!(encoded("a:b c%"), "a%3Ab+c%25");
}
