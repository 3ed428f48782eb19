use serde_json::json;
use wiremock::{
    Mock, MockServer, ResponseTemplate,
    matchers::{body_string_contains, method},
};

use crate::{
    http::{Http, HttpOptions},
    testing::TestClock,
    verify::{Audience, TokenError, Verifier, VerifierConfig},
};

use super::*;

const NOW: i64 = 1_700_000_000;

struct Fixture {
    server: MockServer,
    verifier: Arc<Verifier>,
    clock: TestClock,
}

async fn fixture() -> Fixture {
    let server = MockServer::start().await;
    let clock = TestClock::at(NOW);
    let config = VerifierConfig {
        introspection: Some(IntrospectionConfig {
            url: format!("{}/introspect", server.uri()).parse().unwrap(),
            client_id: Some("me".into()),
            client_secret: Some("it's & secret".into()),
        }),
        audience: Audience::These(vec!["no-crd".into()]),
        issuer: Some("idp".into()),
        ..VerifierConfig::default()
    };
    let http = Http::new(&HttpOptions { timeout: Duration::from_secs(2), ..HttpOptions::default() }).unwrap();
    Fixture {
        verifier: Arc::new(Verifier::new(config, Arc::new(http), clock.clock()).unwrap()),
        server,
        clock,
    }
}

impl Fixture {
    async fn answer(&self, answer: ResponseTemplate) {
        self.server.reset().await;
        Mock::given(method("POST")).respond_with(answer).mount(&self.server).await;
    }

    async fn tells(&self, document: Value) {
        self.answer(ResponseTemplate::new(200).set_body_json(document)).await;
    }

    async fn verify(&self, token: &str) -> Result<UnixTime, TokenError> {
        self.verifier.verify(token).await.map(|token| token.expires())
    }

    async fn asked(&self) -> usize {
        self.server.received_requests().await.unwrap().len()
    }
}

fn active(changes: Value) -> Value {
    let mut document = json!({ "active": true, "sub": "alice", "aud": "no-crd", "exp": NOW + 3600 });
    for (name, value) in changes.as_object().unwrap() {
        document[name] = value.clone();
    }
    document
}

#[tokio::test]
async fn the_client_names_itself_and_gets_the_claims() {
    let it = fixture().await;
    Mock::given(method("POST"))
        .and(body_string_contains("token=op%2Baque&"))
        .and(body_string_contains("client_id=me&client_secret=it%27s+%26+secret"))
        .respond_with(ResponseTemplate::new(200).set_body_json(active(json!({ "scope": "a b" }))))
        .mount(&it.server)
        .await;
    let token = it.verifier.verify("op+aque").await.unwrap();
    assert_eq!(token.claims().get("scope"), Some(&json!("a b")));
    assert_eq!(token.expires(), UnixTime::new(NOW + 3600));
}

#[tokio::test]
async fn t09_d29_only_the_word_true_is_active() {
    for document in [
        json!({}),
        json!({ "active": false }),
        json!({ "active": "true" }),
        json!({ "active": 1 }),
        json!({ "active": null }),
        json!({ "sub": "alice", "aud": "no-crd", "exp": NOW + 3600 }),
    ] {
        let it = fixture().await;
        it.tells(document.clone()).await;
        assert_eq!(it.verify("t").await, Err(TokenError::Inactive), "{document}");
    }
}

#[tokio::test]
async fn t09_what_the_document_says_is_checked() {
    for (changes, expected) in [
        (json!({ "exp": NOW - 30 }), TokenError::Expired),
        (json!({ "exp": "soon" }), TokenError::InvalidClaim("exp")),
        (json!({ "nbf": NOW + 31 }), TokenError::NotYetValid),
        (json!({ "iss": "other" }), TokenError::WrongIssuer),
        (json!({ "aud": "other" }), TokenError::WrongAudience),
        (json!({ "aud": null }), TokenError::MissingClaim("aud")),
        (json!({ "typ": "Refresh" }), TokenError::WrongKind),
        (json!({ "typ": "JWT", "token_type": "refresh_token" }), TokenError::WrongKind),
    ] {
        let it = fixture().await;
        it.tells(active(changes.clone())).await;
        assert_eq!(it.verify("t").await, Err(expected), "{changes}");
    }
    for changes in
        [json!({ "iss": "idp" }), json!({ "token_type": "Bearer" }), json!({ "aud": ["x", "no-crd"] })]
    {
        let it = fixture().await;
        it.tells(active(changes.clone())).await;
        assert!(it.verify("t").await.is_ok(), "{changes}");
    }
}

#[tokio::test]
async fn t09_failures_let_nobody_in_and_are_not_kept() {
    for answer in [
        ResponseTemplate::new(401).set_body_json(json!({ "error": "invalid_client" })),
        ResponseTemplate::new(500).set_body_json(active(json!({}))),
        ResponseTemplate::new(302).insert_header("location", "http://127.0.0.1:9/"),
        ResponseTemplate::new(200).set_body_string("<html>"),
        ResponseTemplate::new(200).set_body_json(json!([true])),
        ResponseTemplate::new(200).set_body_json(active(json!({ "x": "x".repeat(1024 * 1024) }))),
        ResponseTemplate::new(200).set_body_json(active(json!({}))).set_delay(Duration::from_secs(60)),
    ] {
        let it = fixture().await;
        it.answer(answer).await;
        assert_eq!(it.verify("t").await, Err(TokenError::Unavailable));
        it.tells(active(json!({}))).await;
        assert!(it.verify("t").await.is_ok());
    }
}

#[tokio::test]
async fn t09_answers_are_kept_briefly() {
    let it = fixture().await;
    it.tells(active(json!({}))).await;
    for _ in 0..3 {
        assert!(it.verify("good").await.is_ok());
    }
    it.clock.set(NOW + 29);
    assert!(it.verify("good").await.is_ok());
    assert_eq!(it.asked().await, 1);
    it.tells(json!({ "active": false })).await;
    it.clock.set(NOW + 30);
    for _ in 0..3 {
        assert_eq!(it.verify("good").await, Err(TokenError::Inactive));
    }
    it.clock.set(NOW + 34);
    assert_eq!(it.verify("good").await, Err(TokenError::Inactive));
    assert_eq!(it.asked().await, 1);
    it.tells(active(json!({}))).await;
    it.clock.set(NOW + 35);
    assert!(it.verify("good").await.is_ok());
}

#[tokio::test]
async fn an_answer_is_not_used_beyond_the_tokens_end() {
    let it = fixture().await;
    it.tells(active(json!({ "exp": NOW + 5 }))).await;
    assert_eq!(it.verify("t").await, Ok(UnixTime::new(NOW + 5)));
    it.clock.set(NOW + 5);
    it.tells(json!({ "active": false })).await;
    assert_eq!(it.verify("t").await, Err(TokenError::Inactive));
    // Without an end, the answer is good for as long as it is used.
    it.tells(json!({ "active": true, "sub": "a", "aud": "no-crd" })).await;
    assert_eq!(it.verify("endless").await, Ok(UnixTime::new(NOW + 5 + 30)));
}

#[tokio::test]
async fn the_same_token_is_asked_about_once_at_a_time() {
    let it = fixture().await;
    it.answer(
        ResponseTemplate::new(200).set_body_json(active(json!({}))).set_delay(Duration::from_millis(50)),
    )
    .await;
    let many: Vec<_> = (0..100)
        .map(|_| {
            let verifier = it.verifier.clone();
            tokio::spawn(async move { verifier.verify("t").await.is_ok() })
        })
        .collect();
    for one in many {
        assert!(one.await.unwrap());
    }
    assert_eq!(it.asked().await, 1);
    assert!(it.verify("another").await.is_ok());
    assert_eq!(it.asked().await, 2);
}

#[tokio::test]
async fn whether_there_are_answers_is_known_before_the_first_token() {
    let fixture = fixture().await;
    fixture.answer(ResponseTemplate::new(401)).await;
    let error = fixture.verifier.prepare().await.unwrap_err();
    let text = crate::error::with_causes(&error);
    assert!(text.contains("/introspect can't be read: the answer's status is 401"), "{text}");
    assert!(in_words(&FetchError::Status(401)).contains("OAUTH_CLIENT_SECRET"));
    assert_eq!(fixture.verifier.failure(), Some(error));
    fixture.tells(json!({ "active": false })).await;
    fixture.verifier.prepare().await.unwrap();
    assert_eq!(fixture.verifier.failure(), None);
}
