//! What somebody is told whose sign-in failed: whose fault it is, and what to do about it. What the identity provider wrote
//! is no part of it, but for error codes.

use nocrd_authz::{login::LoginError, provider::ProviderError, verify::TokenError};

use crate::auth::{Refusal, door::in_words, refusal::Said};

const NOT_SIGNED_IN: &str = "You are not signed in";
const OPERATOR: &str =
    "Tell the operator of this server; its log says more. Trying again helps only once that is put right.";
const AGAIN: &str = "Sign in again. If this comes back, tell the operator of this server.";
const LATER: &str = "Try again in a moment.";

/// The answer to a sign-in that failed for that.
pub(super) fn told(error: &LoginError) -> Refusal {
    let (message, advice) = in_plain_words(error);
    Refusal::new(error.code(), sentence(&message)).saying(Said { title: NOT_SIGNED_IN, advice })
}

/// The text as people write it: errors begin small and end open, so that they can be joined.
fn sentence(text: &str) -> String {
    let mut rest = text.chars();
    rest.next().into_iter().flat_map(char::to_uppercase).chain(rest).chain(['.']).collect()
}

fn in_plain_words(error: &LoginError) -> (String, &'static str) {
    match error {
        LoginError::NotBegun => (
            error.to_string(),
            "Sign in again. If this comes back, let the browser keep cookies of this site, and use one address for it.",
        ),
        LoginError::Denied(code) => (
            format!("the identity provider did not let you in ({code})"),
            "You went back, or your account may not use this: try again, with another account if you have one, or ask who \
             looks after the accounts.",
        ),
        LoginError::Exchange(ProviderError::Unavailable(_)) | LoginError::Token(TokenError::Unavailable) => {
            ("the identity provider can't sign anybody in at the moment".to_owned(), LATER)
        }
        LoginError::Exchange(ProviderError::Misconfigured(what)) => {
            (format!("the identity provider and this server don't fit together: {what}"), OPERATOR)
        }
        LoginError::Exchange(ProviderError::Refused(_)) => {
            ("the identity provider does not know of this sign-in any more".to_owned(), AGAIN)
        }
        LoginError::Token(error) => (
            format!(
                "you have signed in, but this server can't use the token that says so: {}",
                in_words(*error)
            ),
            OPERATOR,
        ),
        LoginError::Session(_) if error.code().kind.status() == 503 => (error.to_string(), LATER),
        _ => (error.to_string(), AGAIN),
    }
}

#[cfg(test)]
mod tests {
    use ::http::{HeaderMap, header};

    use super::*;

    #[tokio::test]
    async fn each_failure_has_its_status_and_its_advice() {
        let provider = |error| LoginError::Exchange(error);
        let text = str::to_owned;
        for (error, status, parts) in [
            (LoginError::NotBegun, 400, ["not begun in this browser", "keep cookies"]),
            (LoginError::Malformed, 400, ["incomplete", "Sign in again"]),
            (LoginError::Denied(text("access_denied")), 403, ["(access_denied)", "another account"]),
            (provider(ProviderError::Unavailable(text("https://idp/token"))), 503, ["at the moment", LATER]),
            (provider(ProviderError::Misconfigured(text("invalid_scope"))), 503, ["invalid_scope", OPERATOR]),
            (provider(ProviderError::Refused(text("invalid_grant"))), 401, ["any more", AGAIN]),
            (LoginError::Token(TokenError::WrongAudience), 401, ["another audience", OPERATOR]),
            (LoginError::Token(TokenError::MissingClaim("sub")), 401, ["AUTH_SUB_JSONPATH", OPERATOR]),
            (LoginError::Token(TokenError::Unavailable), 503, ["at the moment", LATER]),
            (LoginError::IdToken("its nonce is another sign-in's"), 401, ["nonce", AGAIN]),
        ] {
            let html = HeaderMap::from_iter([(header::ACCEPT, "text/html".parse().unwrap())]);
            let answer = told(&error).leading(Some(("Try again", "/auth/login".to_owned()))).response(&html);
            assert_eq!(answer.status(), status, "{error:?}");
            assert!(!answer.headers().contains_key(header::REFRESH), "{error:?}");
            let page = axum::body::to_bytes(answer.into_body(), 10_000).await.unwrap();
            let page = std::str::from_utf8(&page).unwrap().replace("&#39;", "'");
            for part in parts.into_iter().chain(["<a href=\"/auth/login\">Try again</a>", NOT_SIGNED_IN]) {
                assert!(page.contains(part), "{part}: {page}");
            }
            assert!(!page.contains("https://idp"), "{page}");
        }
        assert_eq!(sentence("the token is malformed"), "The token is malformed.");
    }
}
