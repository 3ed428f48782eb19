use nocrd_testkit::key::{self, SigningKey};
use serde_json::json;
use wiremock::{
    Mock, MockServer, ResponseTemplate,
    matchers::{method, path},
};

use super::*;
use crate::{http::HttpOptions, testing::TestClock};

struct Fixture {
    server: MockServer,
    jwks: Arc<Jwks>,
    clock: TestClock,
}

async fn fixture(keys: Value) -> Fixture {
    let server = MockServer::start().await;
    let source = JwksSource::Url(format!("{}/jwks", server.uri()).parse().unwrap());
    let clock = TestClock::at(0);
    let http = Http::new(&HttpOptions { timeout: Duration::from_secs(2), ..HttpOptions::default() }).unwrap();
    let fixture = Fixture { jwks: Arc::new(Jwks::new(source, Arc::new(http), clock.clock())), server, clock };
    fixture.serve(ResponseTemplate::new(200).set_body_json(keys)).await;
    fixture
}

impl Fixture {
    async fn serve(&self, answer: ResponseTemplate) {
        self.server.reset().await;
        Mock::given(method("GET")).and(path("/jwks")).respond_with(answer).mount(&self.server).await;
    }

    async fn find(&self, key: &SigningKey) -> Result<usize, TokenError> {
        self.jwks.candidates(key.algorithm, Some(&key.kid)).await.map(|keys| keys.len())
    }

    /// Since the last change of what is served.
    async fn asked(&self) -> usize {
        self.server.received_requests().await.unwrap().len()
    }
}

fn keys(keys: &[&SigningKey]) -> Value {
    key::jwks(keys.iter().copied())
}

#[tokio::test]
async fn keys_are_found_by_id_and_loaded_once() {
    let it = fixture(keys(&[key::rs256(), key::es256(), key::es384(), key::eddsa()])).await;
    for key in [key::rs256(), key::es256(), key::es384(), key::eddsa()] {
        assert_eq!(it.find(key).await, Ok(1));
    }
    assert_eq!(it.jwks.candidates(Algorithm::ES256, None).await.unwrap().len(), 1);
    assert_eq!(it.asked().await, 1);
}

#[tokio::test]
async fn t10_the_key_sets_algorithm_counts() {
    let it = fixture(keys(&[key::rs256()])).await;
    let id = Some(&key::rs256().kid[..]);
    // `alg` of the entry is RS256, so it is no key for PS256, and never one for HS256.
    for algorithm in [Algorithm::PS256, Algorithm::RS512, Algorithm::ES256, Algorithm::HS256] {
        assert_eq!(it.jwks.candidates(algorithm, id).await.unwrap_err(), TokenError::UnsupportedAlgorithm);
    }
    assert_eq!(it.asked().await, 1);
}

#[tokio::test]
async fn entries_that_are_not_for_signatures_are_left_out() {
    let with = |changes: Value| {
        let mut jwk = key::rs256().jwk();
        for (name, value) in changes.as_object().unwrap() {
            jwk[name] = value.clone();
        }
        jwk
    };
    for entry in [
        with(json!({ "use": "enc" })),
        with(json!({ "key_ops": ["encrypt"] })),
        with(json!({ "alg": "RSA-OAEP" })),
        with(json!({ "alg": "HS256" })),
        with(json!({ "alg": "none" })),
        with(json!({ "alg": "ES256" })),
        with(json!({ "kty": "oct", "k": "c2VjcmV0LXNlY3JldC1zZWNyZXQtc2VjcmV0LXNlY3JldA" })),
        with(json!({ "n": null })),
        with(json!({ "n": "?" })),
        json!({ "kty": "EC", "crv": "P-256", "x": "AA", "y": "AA" }),
        json!({ "kty": "EC", "crv": "P-521", "x": "AA", "y": "AA" }),
        json!({ "kty": "OKP", "crv": "X25519", "x": "AA" }),
        json!({ "kty": "OKP", "crv": "Ed25519", "x": "AA" }),
        json!("x"),
        json!(null),
    ] {
        let alone = fixture(json!({ "keys": [entry] })).await;
        assert_eq!(alone.find(key::rs256()).await, Err(TokenError::Unavailable), "{entry}");
        // One bad entry spoils no other.
        let other = fixture(json!({ "keys": [entry, key::es256().jwk()] })).await;
        assert_eq!(other.find(key::es256()).await, Ok(1), "{entry}");
    }
    for entry in [with(json!({ "use": null, "alg": null })), with(json!({ "key_ops": ["verify"] }))] {
        assert_eq!(fixture(json!({ "keys": [entry] })).await.find(key::rs256()).await, Ok(1), "{entry}");
    }
}

#[tokio::test]
async fn d30_a_new_key_is_found() {
    let it = fixture(keys(&[key::rs256()])).await;
    assert_eq!(it.find(key::rs256()).await, Ok(1));
    it.serve(ResponseTemplate::new(200).set_body_json(keys(&[key::rs256(), key::es256()]))).await;
    assert_eq!(it.find(key::es256()).await, Err(TokenError::UnknownKey), "loaded just now");
    it.clock.set(10);
    assert_eq!(it.find(key::es256()).await, Ok(1));
    assert_eq!(it.asked().await, 1);
}

#[tokio::test]
async fn t04_d30_a_storm_of_unknown_keys_is_one_request() {
    let it = fixture(keys(&[key::rs256()])).await;
    assert_eq!(it.find(key::rs256()).await, Ok(1));
    it.serve(
        ResponseTemplate::new(200).set_body_json(keys(&[key::rs256()])).set_delay(Duration::from_millis(50)),
    )
    .await;
    it.clock.set(20);
    let storm: Vec<_> = (0..200)
        .map(|n| {
            let jwks = it.jwks.clone();
            tokio::spawn(async move {
                jwks.candidates(Algorithm::RS256, Some(&format!("unknown-{n}"))).await.map(|_| ())
            })
        })
        .collect();
    for unknown in storm {
        assert_eq!(unknown.await.unwrap(), Err(TokenError::UnknownKey));
    }
    assert_eq!(it.asked().await, 1);
}

#[tokio::test]
async fn t05_d30_down_for_a_while_and_down_for_long() {
    let it = fixture(keys(&[key::rs256()])).await;
    assert_eq!(it.find(key::rs256()).await, Ok(1));
    it.serve(ResponseTemplate::new(503)).await;
    it.clock.set(3599);
    assert_eq!(it.find(key::rs256()).await, Ok(1));
    // Whether this key is unknown nobody can say now.
    assert_eq!(it.find(key::es256()).await, Err(TokenError::Unavailable));
    it.clock.set(3600);
    assert_eq!(it.find(key::rs256()).await, Err(TokenError::Unavailable));
    let known = Jwk::deserialize(key::rs256().jwk()).ok().and_then(Key::from_jwk).unwrap();
    assert!(!it.jwks.has(&known.fingerprint));
}

#[tokio::test]
async fn t04_sets_that_are_not_taken() {
    let elsewhere = fixture(keys(&[key::rs256()])).await;
    let many = json!({ "keys": [], "x": "x".repeat(1024 * 1024) });
    for answer in [
        ResponseTemplate::new(302).insert_header("location", format!("{}/jwks", elsewhere.server.uri())),
        ResponseTemplate::new(200).set_body_json(many),
        ResponseTemplate::new(200).set_body_string("<html>"),
        ResponseTemplate::new(200).set_body_json(json!({ "keys": {} })),
        ResponseTemplate::new(200).set_body_json(json!({ "keys": [] })),
        ResponseTemplate::new(200).set_body_json(keys(&[key::rs256()])).set_delay(Duration::from_secs(60)),
    ] {
        let it = fixture(json!({})).await;
        it.serve(answer).await;
        assert_eq!(it.find(key::rs256()).await, Err(TokenError::Unavailable));
        assert_eq!(it.find(key::rs256()).await, Err(TokenError::Unavailable));
        assert_eq!(it.asked().await, 1, "no attempt follows at once");
    }
    assert_eq!(elsewhere.asked().await, 0);
}

#[tokio::test]
async fn sets_in_files_and_by_discovery() {
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("jwks.json");
    let http = Arc::new(Http::new(&HttpOptions::default()).unwrap());
    let clock = TestClock::at(0);
    let of = |source| Jwks::new(source, http.clone(), clock.clock());
    let find = async |jwks: &Jwks| {
        jwks.candidates(Algorithm::RS256, Some(&key::rs256().kid)).await.map(|keys| keys.len())
    };

    let from_file = of(JwksSource::File(file.clone()));
    assert_eq!(find(&from_file).await, Err(TokenError::Unavailable));
    std::fs::write(&file, keys(&[key::rs256()]).to_string()).unwrap();
    clock.set(10);
    assert_eq!(find(&from_file).await, Ok(1));

    let server = MockServer::start().await;
    let metadata = json!({ "issuer": server.uri(), "jwks_uri": format!("{}/keys", server.uri()) });
    for (at, document) in [("/.well-known/openid-configuration", metadata), ("/keys", keys(&[key::rs256()]))]
    {
        Mock::given(path(at))
            .respond_with(ResponseTemplate::new(200).set_body_json(document))
            .mount(&server)
            .await;
    }
    let url = Discovery::url_of(&server.uri()).unwrap();
    let discovery = Discovery::new(url, Some(server.uri()), http.clone(), clock.clock());
    assert_eq!(find(&of(JwksSource::Discovered(Arc::new(discovery)))).await, Ok(1));
}
