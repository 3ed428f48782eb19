//! `exp`, `nbf` and `iat` (RFC 7519 section 4.1).

use std::time::Duration;

use serde_json::Value;

use super::TokenError;
use crate::{claims::Claims, clock::UnixTime};

/// How far in the future a token may have been issued, beyond the leeway: clocks of issuers run ahead, by minutes.
const AHEAD: Duration = Duration::from_secs(5 * 60);

/// How times are compared.
#[derive(Debug, Clone, Copy)]
pub(super) struct Times {
    /// How much clocks may differ.
    pub(super) leeway: Duration,
}

impl Times {
    /// Checks the times of a token, which must have an end; returns it.
    pub(super) fn check(&self, claims: &Claims, now: UnixTime) -> Result<UnixTime, TokenError> {
        self.check_present(claims, now)?.ok_or(TokenError::MissingClaim("exp"))
    }

    /// Checks the times that there are; returns the end.
    pub(super) fn check_present(
        &self,
        claims: &Claims,
        now: UnixTime,
    ) -> Result<Option<UnixTime>, TokenError> {
        let expires = time(claims, "exp")?;
        if expires.is_some_and(|expires| now >= expires.plus(self.leeway)) {
            return Err(TokenError::Expired);
        }
        if time(claims, "nbf")?.is_some_and(|begins| begins > now.plus(self.leeway)) {
            return Err(TokenError::NotYetValid);
        }
        if time(claims, "iat")?.is_some_and(|issued| issued > now.plus(self.leeway + AHEAD)) {
            return Err(TokenError::NotYetValid);
        }
        Ok(expires)
    }
}

/// A NumericDate, its fraction dropped. It must be a number: what reads as one is not enough.
fn time(claims: &Claims, name: &'static str) -> Result<Option<UnixTime>, TokenError> {
    let number = match claims.get(name) {
        None | Some(Value::Null) => return Ok(None),
        Some(Value::Number(number)) => number,
        Some(_) => return Err(TokenError::InvalidClaim(name)),
    };
    let seconds = match (number.as_i64(), number.as_f64()) {
        (Some(seconds), _) => seconds,
        #[expect(clippy::cast_possible_truncation, reason = "saturates, which is what a far future needs")]
        (None, Some(seconds)) if seconds.is_finite() => seconds as i64,
        _ => return Err(TokenError::InvalidClaim(name)),
    };
    Ok(Some(UnixTime::new(seconds)))
}
