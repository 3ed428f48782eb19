//! What an operator is told of a token that was refused: whose it says it is and whom it is for, and what was expected.
//! Nothing of it was checked, and never is it enough to make the token again.

use std::fmt::Write as _;

use serde_json::Value;

use super::{MAX_TOKEN, Verifier, audience::Audiences, jws::Jws};
use crate::error::shortened;

impl Verifier {
    /// Issuer, audience and key that a token names.
    pub(crate) fn found_in(&self, token: &str) -> String {
        if token.len() > MAX_TOKEN {
            return "a text that is too long for a token".to_owned();
        }
        let Ok(jws) = Jws::parse(token) else { return "no JSON Web Token of a known algorithm".to_owned() };
        let mut text = format!("alg {:?}", jws.algorithm);
        if let Some(id) = &jws.key_id {
            let _ = write!(text, ", kid {:?}", shortened(id));
        }
        for name in ["iss", "aud"] {
            let claim = jws.claims().ok().and_then(|claims| claims.get(name).cloned());
            let _ = match claim {
                None => write!(text, ", no {name}"),
                Some(Value::String(claim)) => write!(text, ", {name} {:?}", shortened(&claim)),
                Some(claim) => write!(text, ", {name} {:?}", shortened(&claim.to_string())),
            };
        }
        text
    }

    /// The same as the configuration says it.
    pub(crate) fn expected(&self) -> String {
        let issuer =
            self.issuer.as_ref().map_or_else(|| "any iss".to_owned(), |issuer| format!("iss {issuer:?}"));
        match &self.audiences {
            Audiences::Any => format!("{issuer}, any aud"),
            these if these.is_empty() => format!("{issuer}, any aud"),
            Audiences::These(names) => {
                let names: Vec<String> = names.iter().map(|name| format!("{:?}", name.as_str())).collect();
                format!("{issuer}, aud {}", names.join(" or "))
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use nocrd_testkit::key;
    use serde_json::json;

    use crate::{
        clock::Clock,
        http::{Http, HttpOptions},
        verify::{Audience, Verifier, VerifierConfig},
    };

    fn verifier(audience: Audience) -> Verifier {
        let config = VerifierConfig {
            public_key_pem: Some(key::rs256().public_pem().to_owned()),
            audience,
            issuer: Some("https://idp.example".to_owned()),
            ..VerifierConfig::default()
        };
        let http = Arc::new(Http::new(&HttpOptions::default()).unwrap());
        Verifier::new(config, http, Clock::system()).unwrap()
    }

    #[test]
    fn what_was_found_and_what_was_expected_stand_side_by_side() {
        let verifier = verifier(Audience::These(vec!["no-crd".to_owned(), "https://gw.example".to_owned()]));
        assert_eq!(
            verifier.expected(),
            r#"iss "https://idp.example", aud "no-crd" or "https://gw.example/""#
        );
        let claims = json!({ "iss": "https://other\n", "aud": ["a", "b"], "sub": "alice" });
        let token = key::rs256().sign_with(&json!({ "alg": "RS256", "kid": "k1" }), &claims);
        let found = verifier.found_in(&token);
        assert_eq!(found, r#"alg RS256, kid "k1", iss "https://other\n", aud "[\"a\",\"b\"]""#);
        assert!(!found.contains("alice"));
    }

    #[test]
    fn nothing_of_a_text_that_is_no_token_is_told() {
        let verifier = verifier(Audience::Any);
        assert_eq!(verifier.expected(), r#"iss "https://idp.example", any aud"#);
        for text in ["hunter2", "a.b.c", &"x".repeat(20_000)] {
            assert!(!verifier.found_in(text).contains(text), "{}", verifier.found_in(text));
        }
        let huge = key::rs256().sign(&json!({ "iss": "x".repeat(5000) }));
        assert!(verifier.found_in(&huge).len() < 300);
    }
}
