use nocrd_testkit::key::{self, SigningKey, unsigned};
use serde_json::{Value, json};
use wiremock::{Mock, MockServer, ResponseTemplate, matchers::method};

use super::*;
use crate::{http::HttpOptions, testing::TestClock};

/// When the tests take place.
const NOW: i64 = 1_700_000_000;
const AUDIENCE: &str = "no-crd";

fn http() -> Arc<Http> {
    Arc::new(Http::new(&HttpOptions::default()).unwrap())
}

fn verifier(config: VerifierConfig) -> (Verifier, TestClock) {
    let clock = TestClock::at(NOW);
    (Verifier::new(config, http(), clock.clock()).unwrap(), clock)
}

fn audience() -> Audience {
    Audience::These(vec![AUDIENCE.into()])
}

/// Checks tokens by that key, in PEM or as a secret.
fn by(key: &SigningKey) -> VerifierConfig {
    let is_secret = key.algorithm == key::Algorithm::HS256;
    VerifierConfig {
        secret: is_secret.then(|| SecretString::from(key.secret())),
        public_key_pem: (!is_secret).then(|| key.public_pem().to_owned()),
        audience: audience(),
        ..VerifierConfig::default()
    }
}

fn claims(changes: Value) -> Value {
    let mut claims = json!({ "sub": "alice", "aud": AUDIENCE, "exp": NOW + 300 });
    for (name, value) in changes.as_object().unwrap() {
        if value.is_null() {
            claims.as_object_mut().unwrap().remove(name);
        } else {
            claims[name] = value.clone();
        }
    }
    claims
}

async fn outcome(verifier: &Verifier, token: &str) -> Result<(), TokenError> {
    verifier.verify(token).await.map(|_| ())
}

#[tokio::test]
async fn every_algorithm_with_its_key() {
    use key::Algorithm::{ES256, ES384, EdDSA, HS256, PS256, PS384, PS512, RS256, RS384, RS512};
    for (key, algorithms) in [
        (key::hs256(), &[HS256][..]),
        (key::rs256(), &[RS256, RS384, RS512, PS256, PS384, PS512]),
        (key::es256(), &[ES256]),
        (key::es384(), &[ES384]),
        (key::eddsa(), &[EdDSA]),
    ] {
        let (verifier, _) = verifier(by(key));
        for algorithm in algorithms {
            let token = key.clone().with_algorithm(*algorithm).sign(&claims(json!({})));
            let verified = verifier.verify(&token).await.unwrap();
            assert_eq!(verified.claims().get("sub"), Some(&json!("alice")), "{algorithm:?}");
            assert_eq!(verified.expires(), UnixTime::new(NOW + 300));
        }
    }
}

#[tokio::test]
async fn t01_algorithm_none_in_any_spelling() {
    let (verifier, _) = verifier(by(key::rs256()));
    for algorithm in [
        "none", "None", "NoNe", "NONE", "", " none", "rs256", "RS256 ", "HS384", "HS512", "ES512", "ES256K",
        "RSA1_5", "dir",
    ] {
        for token in [
            unsigned(&json!({ "alg": algorithm }), &claims(json!({}))),
            key::rs256().sign_with(&json!({ "alg": algorithm }), &claims(json!({}))),
        ] {
            assert_eq!(
                outcome(&verifier, &token).await,
                Err(TokenError::UnsupportedAlgorithm),
                "{algorithm:?}"
            );
        }
    }
    for header in [json!({}), json!({ "alg": null }), json!({ "alg": ["RS256"] }), json!([]), json!("RS256")]
    {
        let token = key::rs256().sign_with(&header, &claims(json!({})));
        assert_eq!(outcome(&verifier, &token).await, Err(TokenError::Malformed), "{header}");
    }
    let token = unsigned(&json!({ "alg": "RS256" }), &claims(json!({})));
    assert_eq!(outcome(&verifier, &token).await, Err(TokenError::BadSignature));
}

#[tokio::test]
async fn t02_a_public_key_is_no_secret() {
    let rsa = key::rs256();
    for config in [by(rsa), VerifierConfig { secret: Some(key::hs256().secret().into()), ..by(rsa) }] {
        let has_secret = config.secret.is_some();
        let (verifier, _) = verifier(config);
        for guess in [rsa.public_pem(), rsa.public_pem().trim(), &rsa.jwk()["n"].to_string()] {
            let forged = SigningKey::of_secret(guess).sign(&claims(json!({})));
            let expected =
                if has_secret { TokenError::BadSignature } else { TokenError::UnsupportedAlgorithm };
            assert_eq!(outcome(&verifier, &forged).await, Err(expected));
        }
    }
}

#[tokio::test]
async fn t03_a_header_leads_to_no_key() {
    let (verifier, _) = verifier(by(key::rs256()));
    let evil = key::other_rs256();
    let address = "https://evil.example/keys";
    for header in [
        json!({ "alg": "RS256", "jwk": evil.jwk() }),
        json!({ "alg": "RS256", "jku": address }),
        json!({ "alg": "RS256", "x5u": address }),
        json!({ "alg": "RS256", "x5c": [evil.certificate_pem()] }),
        json!({ "alg": "RS256", "kid": "../../dev/null" }),
        json!({ "alg": "RS256", "kid": "' OR 1=1 --" }),
        json!({ "alg": "RS256", "kid": address }),
    ] {
        let token = evil.sign_with(&header, &claims(json!({})));
        assert_eq!(outcome(&verifier, &token).await, Err(TokenError::BadSignature), "{header}");
        // The same header does no harm to a good token, either.
        let token = key::rs256().sign_with(&header, &claims(json!({})));
        assert_eq!(outcome(&verifier, &token).await, Ok(()), "{header}");
    }
    let token =
        key::rs256().sign_with(&json!({ "alg": "RS256", "kid": "k".repeat(10_000) }), &claims(json!({})));
    assert_eq!(outcome(&verifier, &token).await, Err(TokenError::Malformed));
}

#[tokio::test]
async fn t06_d27_d28_times() {
    let (verifier, _) = verifier(by(key::hs256()));
    let expired = Err(TokenError::Expired);
    let early = Err(TokenError::NotYetValid);
    for (changes, expected) in [
        (json!({ "exp": null }), Err(TokenError::MissingClaim("exp"))),
        (json!({ "exp": (NOW + 300).to_string() }), Err(TokenError::InvalidClaim("exp"))),
        (json!({ "exp": true }), Err(TokenError::InvalidClaim("exp"))),
        (json!({ "exp": [NOW + 300] }), Err(TokenError::InvalidClaim("exp"))),
        (json!({ "exp": 0 }), expired),
        (json!({ "exp": -1 }), expired),
        (json!({ "exp": -1e300 }), expired),
        (json!({ "exp": NOW - 31 }), expired),
        (json!({ "exp": NOW - 30 }), expired),
        (json!({ "exp": NOW - 29 }), Ok(())),
        (json!({ "exp": f64::from(1_700_000_300) + 0.5 }), Ok(())),
        (json!({ "exp": u64::MAX }), Ok(())),
        (json!({ "nbf": NOW + 30 }), Ok(())),
        (json!({ "nbf": NOW + 31 }), early),
        (json!({ "nbf": "soon" }), Err(TokenError::InvalidClaim("nbf"))),
        (json!({ "iat": NOW + 330 }), Ok(())),
        (json!({ "iat": NOW + 331 }), early),
        (json!({ "iat": {} }), Err(TokenError::InvalidClaim("iat"))),
    ] {
        let token = key::hs256().sign(&claims(changes.clone()));
        assert_eq!(outcome(&verifier, &token).await, expected, "{changes}");
    }
}

#[tokio::test]
async fn t06_no_more_than_a_minute_of_leeway() {
    let (verifier, _) = verifier(VerifierConfig { leeway: Duration::from_secs(3600), ..by(key::hs256()) });
    let token = |exp| key::hs256().sign(&claims(json!({ "exp": exp })));
    assert_eq!(outcome(&verifier, &token(NOW - 59)).await, Ok(()));
    assert_eq!(outcome(&verifier, &token(NOW - 60)).await, Err(TokenError::Expired));
}

#[tokio::test]
async fn t06_d27_issuer() {
    let (checked, _) = verifier(VerifierConfig { issuer: Some("https://idp/a".into()), ..by(key::rs256()) });
    for (issuer, expected) in [
        (json!("https://idp/a"), Ok(())),
        (json!("https://idp/a/"), Ok(())),
        (json!("https://idp/A"), Err(TokenError::WrongIssuer)),
        (json!("https://idp/a/b"), Err(TokenError::WrongIssuer)),
        (json!(""), Err(TokenError::WrongIssuer)),
        (json!(["https://idp/a"]), Err(TokenError::WrongIssuer)),
        (json!(null), Err(TokenError::MissingClaim("iss"))),
    ] {
        let token = key::rs256().sign(&claims(json!({ "iss": issuer })));
        assert_eq!(outcome(&checked, &token).await, expected, "{issuer}");
    }
    let (unchecked, _) = verifier(by(key::rs256()));
    let token = key::rs256().sign(&claims(json!({ "iss": "anybody" })));
    assert_eq!(outcome(&unchecked, &token).await, Ok(()));
}

#[tokio::test]
async fn t06_extensions_that_are_not_understood() {
    let (verifier, _) = verifier(by(key::rs256()));
    for crit in [json!(["exp"]), json!(["b64"]), json!([]), json!("x")] {
        let token = key::rs256().sign_with(&json!({ "alg": "RS256", "crit": crit }), &claims(json!({})));
        assert_eq!(outcome(&verifier, &token).await, Err(TokenError::Malformed), "{crit}");
    }
}

#[tokio::test]
async fn t06_audience() {
    let wrong = Err(TokenError::WrongAudience);
    let missing = Err(TokenError::MissingClaim("aud"));
    for (configured, claim, expected) in [
        ("no-crd", json!("no-crd"), Ok(())),
        ("no-crd", json!(["other", "no-crd"]), Ok(())),
        ("no-crd", json!("No-Crd/"), Ok(())),
        ("no-crd", json!("no-crd-2"), wrong),
        ("no-crd", json!(["other"]), wrong),
        ("no-crd", json!(null), missing),
        ("no-crd", json!(""), missing),
        ("no-crd", json!([]), missing),
        ("no-crd", json!([7]), missing),
        ("no-crd", json!({ "a": "no-crd" }), Err(TokenError::InvalidClaim("aud"))),
        ("api://0-1", json!("api://0-1"), Ok(())),
        ("https://h/nocr", json!("https://h/nocr"), Ok(())),
        ("https://h/nocr", json!("HTTPS://H/nocr/"), Ok(())),
        ("https://h/nocr", json!("https://h:443/nocr"), Ok(())),
        ("https://h/nocr", json!("https://h/nocr/mcp"), Ok(())),
        ("https://h/nocr/mcp", json!("https://h/nocr"), Ok(())),
        ("https://h/nocr", json!("https://h"), Ok(())),
        ("https://h/nocr", json!("https://h/nocr2"), wrong),
        ("https://h/nocr", json!("https://h/no"), wrong),
        ("https://h/nocr", json!("https://h/other"), wrong),
        ("https://h/nocr", json!("https://h/nocr/../other"), wrong),
        ("https://h/nocr", json!("http://h/nocr"), wrong),
        ("https://h/nocr", json!("https://h:8443/nocr"), wrong),
        ("https://h/nocr", json!("https://h.evil/nocr"), wrong),
        ("https://h/nocr", json!("https://h@evil/nocr"), wrong),
        ("https://h/nocr", json!("https://evil/?https://h/nocr"), wrong),
        ("https://h/nocr", json!("https://h/nocr?x"), wrong),
        ("https://h/nocr", json!("h/nocr"), wrong),
    ] {
        let config =
            VerifierConfig { audience: Audience::These(vec![configured.into()]), ..by(key::rs256()) };
        let token = key::rs256().sign(&claims(json!({ "aud": claim })));
        assert_eq!(outcome(&verifier(config).0, &token).await, expected, "{configured} {claim}");
    }
}

#[tokio::test]
async fn several_audiences_or_any_or_none() {
    let several = Audience::These(vec!["client".into(), String::new(), "https://h/p".into()]);
    let (verifier_of_several, _) = verifier(VerifierConfig { audience: several, ..by(key::rs256()) });
    for aud in ["client", "https://h/p"] {
        assert_eq!(
            outcome(&verifier_of_several, &key::rs256().sign(&claims(json!({ "aud": aud })))).await,
            Ok(())
        );
    }
    let (any, _) = verifier(VerifierConfig { audience: Audience::Any, ..by(key::rs256()) });
    assert_eq!(outcome(&any, &key::rs256().sign(&claims(json!({ "aud": null })))).await, Ok(()));
    // Whoever knows a secret of ours means us.
    let (secret, _) = verifier(VerifierConfig { audience: Audience::These(vec![]), ..by(key::hs256()) });
    for aud in [json!(null), json!("anybody")] {
        assert_eq!(outcome(&secret, &key::hs256().sign(&claims(json!({ "aud": aud })))).await, Ok(()));
    }
}

#[tokio::test]
async fn t10_an_algorithm_belongs_to_its_key() {
    // Signed with one's own key, under the name of another algorithm.
    let kinds = [key::rs256(), key::es256(), key::es384(), key::eddsa()];
    for ours in kinds {
        let (verifier, _) = verifier(by(ours));
        for claimed in kinds {
            let forged = claimed.sign_with(&json!({ "alg": claimed.algorithm }), &claims(json!({})));
            let lying = ours.sign_with(&json!({ "alg": claimed.algorithm }), &claims(json!({})));
            if ours.kid == claimed.kid {
                assert_eq!(outcome(&verifier, &forged).await, Ok(()));
            } else {
                assert_eq!(outcome(&verifier, &forged).await, Err(TokenError::UnsupportedAlgorithm));
                assert_eq!(outcome(&verifier, &lying).await, Err(TokenError::UnsupportedAlgorithm));
            }
        }
        let same_kind =
            if ours.algorithm == key::Algorithm::RS256 { key::other_rs256() } else { key::other_es256() };
        if same_kind.algorithm == ours.algorithm {
            assert_eq!(
                outcome(&verifier, &same_kind.sign(&claims(json!({})))).await,
                Err(TokenError::BadSignature)
            );
        }
    }
}

#[test]
fn t11_what_is_refused_at_start() {
    let refused = |config| Verifier::new(config, http(), Clock::system()).unwrap_err();
    let secret = |text: &str| VerifierConfig { secret: Some(text.into()), ..VerifierConfig::default() };
    assert_eq!(refused(secret(&"x".repeat(31))), Error::WeakSecret { bytes: 31 });
    assert!(Verifier::new(secret(&"x".repeat(32)), http(), Clock::system()).is_ok());
    assert_eq!(refused(VerifierConfig::default()), Error::NoKeySource);
    let nobody = || Audience::These(vec![" ".into()]);
    let with_pem = VerifierConfig { audience: nobody(), ..by(key::rs256()) };
    assert_eq!(refused(with_pem.clone()), Error::AudienceRequired);
    assert_eq!(
        refused(VerifierConfig { secret: secret(&"x".repeat(32)).secret, ..with_pem }),
        Error::AudienceRequired
    );
    let url: url::Url = "https://idp/introspect".parse().unwrap();
    let introspection = Some(IntrospectionConfig { url: url.clone(), client_id: None, client_secret: None });
    assert_eq!(
        refused(VerifierConfig { introspection, audience: nobody(), ..VerifierConfig::default() }),
        Error::AudienceRequired
    );
    let jwks = Some(JwksSource::Url(url));
    assert_eq!(
        refused(VerifierConfig { jwks, audience: nobody(), ..VerifierConfig::default() }),
        Error::AudienceRequired
    );
    assert_eq!(refused(VerifierConfig::default()).code(), error::INVALID_SETTING);
}

#[tokio::test]
async fn t12_no_part_of_a_mac_is_enough() {
    let (verifier, _) = verifier(by(key::hs256()));
    let good = key::hs256().sign(&claims(json!({})));
    let (message, mac) = good.rsplit_once('.').unwrap();
    for at in 0..mac.len() {
        let other = if mac.as_bytes()[at] == b'A' { "B" } else { "A" };
        let forged = format!("{message}.{}{other}{}", &mac[..at], &mac[at + 1..]);
        assert_eq!(outcome(&verifier, &forged).await, Err(TokenError::BadSignature), "{at}");
        assert!(outcome(&verifier, &format!("{message}.{}", &mac[..at])).await.is_err(), "{at}");
    }
    assert_eq!(outcome(&verifier, &good).await, Ok(()));
}

#[tokio::test]
async fn texts_that_are_no_tokens() {
    let (verifier, _) = verifier(by(key::hs256()));
    let good = key::hs256().sign(&claims(json!({})));
    let parts: Vec<&str> = good.split('.').collect();
    for text in [
        String::new(),
        ".".into(),
        "..".into(),
        "...".into(),
        "opaque".into(),
        "a.b.c".into(),
        format!(" {good}"),
        format!("{good}\n"),
        format!("{good}."),
        format!("{good}.x.y"),
        format!("{}=.{}.{}", parts[0], parts[1], parts[2]),
        format!("{}.{}", parts[0], parts[1]),
        format!("{}..{}", parts[0], parts[2]),
        format!("{good}{}", "A".repeat(MAX_TOKEN)),
    ] {
        let refused = outcome(&verifier, &text).await;
        assert!(
            matches!(refused, Err(TokenError::Malformed | TokenError::BadSignature)),
            "{text} {refused:?}"
        );
    }
    let not_an_object = key::hs256().sign(&json!(["sub"]));
    assert_eq!(outcome(&verifier, &not_an_object).await, Err(TokenError::Malformed));
}

#[test]
fn headers_and_payloads_are_utf_8() {
    use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
    let token = |header: &[u8], payload: &[u8]| {
        format!("{}.{}.", URL_SAFE_NO_PAD.encode(header), URL_SAFE_NO_PAD.encode(payload))
    };
    let read = |token: &str| Jws::parse(token).and_then(|jws| jws.claims());
    assert!(read(&token(br#"{"alg":"HS256","x":"y"}"#, b"{}")).is_ok());
    let bad = b"{\"alg\":\"HS256\",\"x\":\"\x9f\"}";
    assert_eq!(read(&token(bad, b"{}")), Err(TokenError::Malformed));
    assert_eq!(read(&token(br#"{"alg":"HS256"}"#, bad)), Err(TokenError::Malformed));
}

#[tokio::test]
async fn tokens_for_other_purposes() {
    let (verifier, _) = verifier(by(key::rs256()));
    for (header, claim, expected) in [
        ("JWT", "Bearer", Ok(())),
        ("at+jwt", "JWT", Ok(())),
        ("application/at+jwt", "", Ok(())),
        ("JWT", "ID", Err(TokenError::WrongKind)),
        ("logout+jwt", "", Err(TokenError::WrongKind)),
        ("dpop+jwt", "", Err(TokenError::WrongKind)),
        ("application/secevent+jwt", "", Err(TokenError::WrongKind)),
        ("JWT", "Refresh", Err(TokenError::WrongKind)),
        ("JWT", "Offline", Err(TokenError::WrongKind)),
        ("JWT", "Logout", Err(TokenError::WrongKind)),
    ] {
        let token = key::rs256()
            .sign_with(&json!({ "alg": "RS256", "typ": header }), &claims(json!({ "typ": claim })));
        assert_eq!(outcome(&verifier, &token).await, expected, "{header} {claim}");
    }
}

#[tokio::test]
async fn an_id_token_is_not_for_access() {
    let (verifier, _) = verifier(VerifierConfig { issuer: Some("idp".into()), ..by(key::rs256()) });
    let wrong = Err(TokenError::WrongKind);
    for (changes, expected) in [
        (json!({ "typ": "ID" }), wrong),
        (json!({ "typ": "id", "scope": "nogoo9:read" }), wrong),
        (json!({ "nonce": "n" }), wrong),
        (json!({ "at_hash": "h" }), wrong),
        (json!({ "nonce": "n", "at_hash": "h", "scope": null }), wrong),
        (json!({ "nonce": "n", "scope": "openid" }), Ok(())),
        (json!({ "at_hash": "h", "scp": ["openid"] }), Ok(())),
        (json!({ "nonce": null }), Ok(())),
        (json!({}), Ok(())),
    ] {
        let mut all = claims(changes.clone());
        all["iss"] = json!("idp");
        let token = key::rs256().sign(&all);
        assert_eq!(outcome(&verifier, &token).await, expected, "{changes}");
        // Where an ID token is asked for, it is good.
        assert!(verifier.verify_id_token(&token, AUDIENCE, None).await.is_ok(), "{changes}");
    }
}

#[tokio::test]
async fn without_signatures_everything_else_counts() {
    let config = VerifierConfig {
        verify_signatures: false,
        issuer: Some("idp".into()),
        audience: audience(),
        ..VerifierConfig::default()
    };
    let (verifier, _) = verifier(config);
    let token = |changes| format!("{}x", unsigned(&json!({ "alg": "RS256" }), &claims(changes)));
    assert_eq!(outcome(&verifier, &token(json!({ "iss": "idp" }))).await, Ok(()));
    for changes in [json!({}), json!({ "iss": "idp", "exp": 1 }), json!({ "iss": "idp", "aud": "x" })] {
        assert!(outcome(&verifier, &token(changes)).await.is_err());
    }
}

#[tokio::test]
async fn a_kept_token_ends_when_it_ends() {
    let (verifier, clock) = verifier(by(key::hs256()));
    let token = key::hs256().sign(&claims(json!({ "exp": NOW + 100 })));
    let first = verifier.verify(&token).await.unwrap();
    assert!(Arc::ptr_eq(&first, &verifier.verify(&token).await.unwrap()), "kept");
    clock.set(NOW + 99);
    assert!(Arc::ptr_eq(&first, &verifier.verify(&token).await.unwrap()), "kept");
    // Beyond its end it is checked each time, and good for the leeway only.
    clock.set(NOW + 100);
    assert!(!Arc::ptr_eq(&first, &verifier.verify(&token).await.unwrap()));
    clock.set(NOW + 130);
    assert_eq!(outcome(&verifier, &token).await, Err(TokenError::Expired));
    // Nor is it kept for longer than five minutes.
    let long = key::hs256().sign(&claims(json!({ "exp": NOW + 10_000 })));
    let first = verifier.verify(&long).await.unwrap();
    clock.set(NOW + 130 + 300);
    assert!(!Arc::ptr_eq(&first, &verifier.verify(&long).await.unwrap()));
}

#[tokio::test]
async fn a_kept_token_vouches_for_no_other() {
    let (verifier, _) = verifier(by(key::hs256()));
    let token = key::hs256().sign(&claims(json!({})));
    assert_eq!(outcome(&verifier, &token).await, Ok(()));
    let (message, signature) = token.rsplit_once('.').unwrap();
    let (header, _) = message.split_once('.').unwrap();
    let stolen = unsigned(&json!({ "alg": "HS256" }), &claims(json!({ "sub": "root" })));
    let (other_message, _) = stolen.rsplit_once('.').unwrap();
    let (_, other_payload) = other_message.split_once('.').unwrap();
    for forged in [
        format!("{header}.{other_payload}.{signature}"),
        format!("{other_message}.{signature}"),
        format!("{message}."),
        format!("{message}.{signature}A"),
        token.to_uppercase(),
    ] {
        assert!(outcome(&verifier, &forged).await.is_err(), "{forged}");
    }
    let bob = key::hs256().sign(&claims(json!({ "sub": "bob" })));
    assert_eq!(verifier.verify(&bob).await.unwrap().claims().get("sub"), Some(&json!("bob")));
}

#[tokio::test]
async fn a_kept_token_ends_with_its_key() {
    let server = MockServer::start().await;
    let serve = async |keys: &[&SigningKey]| {
        server.reset().await;
        let answer = ResponseTemplate::new(200).set_body_json(key::jwks(keys.iter().copied()));
        Mock::given(method("GET")).respond_with(answer).mount(&server).await;
    };
    serve(&[key::rs256(), key::es256()]).await;
    let config = VerifierConfig {
        jwks: Some(JwksSource::Url(server.uri().parse().unwrap())),
        audience: audience(),
        ..VerifierConfig::default()
    };
    let (verifier, clock) = verifier(config);
    let (ours, other) = (key::rs256().sign(&claims(json!({}))), key::es256().sign(&claims(json!({}))));
    assert_eq!(outcome(&verifier, &ours).await, Ok(()));
    assert_eq!(outcome(&verifier, &other).await, Ok(()));
    // The key is taken back; a new one makes the set be loaded again.
    serve(&[key::es256(), key::other_es256()]).await;
    clock.set(NOW + 10);
    assert_eq!(outcome(&verifier, &key::other_es256().sign(&claims(json!({})))).await, Ok(()));
    assert_eq!(outcome(&verifier, &ours).await, Err(TokenError::UnknownKey));
    assert_eq!(outcome(&verifier, &other).await, Ok(()));
}

#[tokio::test]
async fn id_tokens_are_for_the_client() {
    let config = VerifierConfig { issuer: Some("idp".into()), ..by(key::rs256()) };
    let (verifier, _) = verifier(config);
    for (changes, issuer, expected) in [
        (json!({ "aud": "client", "iss": "idp" }), None, Ok(())),
        (json!({ "aud": ["client", "x"], "iss": "other" }), Some("other"), Ok(())),
        (json!({ "aud": "client", "iss": "idp" }), Some("other"), Err(TokenError::WrongIssuer)),
        (json!({ "aud": "client" }), None, Err(TokenError::MissingClaim("iss"))),
        (json!({ "aud": AUDIENCE, "iss": "idp" }), None, Err(TokenError::WrongAudience)),
        (json!({ "aud": "Client", "iss": "idp" }), None, Err(TokenError::WrongAudience)),
        (json!({ "aud": "client", "iss": "idp", "exp": 1 }), None, Err(TokenError::Expired)),
        (json!({ "aud": "client", "iss": "idp", "exp": null }), None, Err(TokenError::MissingClaim("exp"))),
    ] {
        let token = key::rs256().sign(&claims(changes.clone()));
        let checked = verifier.verify_id_token(&token, "client", issuer).await.map(|_| ());
        assert_eq!(checked, expected, "{changes}");
    }
    let forged = key::other_rs256().sign(&claims(json!({ "aud": "client", "iss": "idp" })));
    assert_eq!(verifier.verify_id_token(&forged, "client", None).await, Err(TokenError::BadSignature));
}

#[test]
fn texts_of_errors_are_stable_and_codes_tell_401_from_503() {
    let all = [
        (TokenError::Malformed, "the token is malformed"),
        (TokenError::UnsupportedAlgorithm, "the token's algorithm is not accepted"),
        (TokenError::UnknownKey, "the token's key is unknown"),
        (TokenError::BadSignature, "the token's signature is wrong"),
        (TokenError::Expired, "the token has expired"),
        (TokenError::NotYetValid, "the token is not valid yet"),
        (TokenError::WrongIssuer, "the token is another issuer's"),
        (TokenError::WrongAudience, "the token is meant for another audience"),
        (TokenError::WrongKind, "the token is of another kind"),
        (TokenError::MissingClaim("exp"), "the token's claim `exp` is missing"),
        (TokenError::InvalidClaim("exp"), "the token's claim `exp` is malformed"),
        (TokenError::Inactive, "the token is not active"),
        (TokenError::Unavailable, "the token can't be checked at the moment"),
    ];
    for (error, text) in all {
        assert_eq!(error.to_string(), text);
        let status = if error == TokenError::Unavailable { 503 } else { 401 };
        assert_eq!(error.code().kind.status(), status);
    }
}
