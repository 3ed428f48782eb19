//! Tokens and sessions of the users who ask.

use std::{
    fmt::Write as _,
    fs,
    path::PathBuf,
    time::{SystemTime, UNIX_EPOCH},
};

use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD as BASE64};
use hmac::{Hmac, KeyInit as _, Mac as _};
use reqwest::header::SET_COOKIE;
use serde_json::json;
use sha2::Sha256;
use tempfile::TempDir;

use crate::Result;

/// The key that the server under measurement and these tokens share.
pub(super) const SECRET: &str = "the secret of a bench, which is no secret";
/// The cookie that holds a session.
const SESSION: &str = "nocr_sess";
/// How long tokens are good.
const SECONDS: u64 = 86_400;

/// Makes tokens, each another one.
pub(super) struct Mint {
    now: u64,
    made: u64,
}

impl Mint {
    pub(super) fn new() -> Result<Self> {
        Ok(Self { now: SystemTime::now().duration_since(UNIX_EPOCH)?.as_secs(), made: 0 })
    }

    /// A token of that user (RFC 7519, HS256).
    pub(super) fn token(&mut self, subject: &str) -> Result<String> {
        self.made += 1;
        let claims = json!({
            "sub": subject, "iat": self.now, "exp": self.now + SECONDS, "jti": format!("{}-{}", self.now, self.made),
        });
        let header = json!({ "alg": "HS256", "typ": "JWT" });
        let mut token =
            format!("{}.{}", BASE64.encode(header.to_string()), BASE64.encode(claims.to_string()));
        let mut signature = Hmac::<Sha256>::new_from_slice(SECRET.as_bytes())?;
        signature.update(token.as_bytes());
        write!(token, ".{}", BASE64.encode(signature.finalize().into_bytes()))?;
        Ok(token)
    }
}

/// The `Cookie` header of a session: the server gives one to a page that brings a token.
pub(super) async fn session(url: &str, token: &str) -> Result<String> {
    let request = reqwest::Client::builder().no_proxy().build()?.get(url).bearer_auth(token);
    let answer = request.header("sec-fetch-site", "same-origin").send().await?.error_for_status()?;
    let cookies = answer.headers().get_all(SET_COOKIE).iter().filter_map(|value| value.to_str().ok());
    let pairs = cookies.filter_map(|cookie| cookie.split(';').next());
    let session =
        pairs.into_iter().find(|pair| pair.strip_prefix(SESSION).is_some_and(|rest| rest.starts_with('=')));
    Ok(session.ok_or("the server gives no session for a token")?.to_owned())
}

/// A script for wrk that sends each of the tokens in a file in turn.
pub(super) struct Script {
    directory: TempDir,
}

const SCRIPT: &str = r#"
local requests, at = {}, 0
function init(args)
  for token in io.lines(args[1]) do
    requests[#requests + 1] = wrk.format("GET", nil, { Authorization = "Bearer " .. token })
  end
end
function request()
  at = at % #requests + 1
  return requests[at]
end
"#;

impl Script {
    pub(super) fn new() -> Result<Self> {
        let directory = tempfile::tempdir()?;
        fs::write(directory.path().join("tokens.lua"), SCRIPT)?;
        Ok(Self { directory })
    }

    pub(super) fn path(&self) -> PathBuf {
        self.directory.path().join("tokens.lua")
    }

    /// Writes that many new tokens of a user to the file, and tells which it is.
    pub(super) fn fill(&self, mint: &mut Mint, subject: &str, count: u64) -> Result<PathBuf> {
        let mut text = String::new();
        for _ in 0..count {
            writeln!(text, "{}", mint.token(subject)?)?;
        }
        let file = self.directory.path().join("tokens");
        fs::write(&file, text)?;
        Ok(file)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tokens_differ_and_are_signed() {
        let mut mint = Mint::new().unwrap();
        let (one, other) = (mint.token("alice").unwrap(), mint.token("alice").unwrap());
        assert_ne!(one, other);
        let (signed, signature) = one.rsplit_once('.').unwrap();
        let mut expected = Hmac::<Sha256>::new_from_slice(SECRET.as_bytes()).unwrap();
        expected.update(signed.as_bytes());
        expected.verify_slice(&BASE64.decode(signature).unwrap()).unwrap();
        let claims = BASE64.decode(signed.split_once('.').unwrap().1).unwrap();
        assert!(String::from_utf8(claims).unwrap().contains("\"sub\":\"alice\""));
    }

    #[test]
    fn the_file_has_a_token_on_each_line() {
        let script = Script::new().unwrap();
        let file = script.fill(&mut Mint::new().unwrap(), "alice", 3).unwrap();
        let text = fs::read_to_string(file).unwrap();
        assert!(text.lines().count() == 3 && text.lines().all(|line| line.split('.').count() == 3), "{text}");
        assert!(script.path().exists());
    }
}
