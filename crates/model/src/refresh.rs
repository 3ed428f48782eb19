//! How often a dashboard polls an API of a workspace: the value of `nogoo9/api.<name>.refresh`.

use std::{fmt, time::Duration};

/// A polling interval.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Refresh {
    /// Once, when the view opens: `init`.
    Once,
    /// Again and again: `10s`, `1m`.
    Every(Duration),
}

/// Why a text is not a [`Refresh`].
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0:?} is not a refresh interval: write seconds or minutes, as in '10s' or '1m', or 'init'")]
pub struct InvalidRefresh(pub String);

impl Refresh {
    /// Reads `<n>s`, `<n>m` (n from 1 to a day) or `init`.
    ///
    /// # Errors
    /// [`InvalidRefresh`] for every other text.
    pub fn parse(text: &str) -> Result<Self, InvalidRefresh> {
        let text = text.trim();
        let refuse = || InvalidRefresh(text.chars().take(40).collect());
        if text == "init" {
            return Ok(Self::Once);
        }
        let (digits, factor) = match (text.strip_suffix('s'), text.strip_suffix('m')) {
            (Some(digits), _) => (digits, 1),
            (_, Some(digits)) => (digits, 60),
            _ => return Err(refuse()),
        };
        if digits.is_empty() || digits.len() > 5 || !digits.bytes().all(|b| b.is_ascii_digit()) {
            return Err(refuse());
        }
        let seconds = digits.parse::<u64>().map_err(|_| refuse())? * factor;
        if seconds == 0 || seconds > 86_400 {
            return Err(refuse());
        }
        Ok(Self::Every(Duration::from_secs(seconds)))
    }
}

impl fmt::Display for Refresh {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Once => f.write_str("init"),
            Self::Every(period) => write!(f, "{}s", period.as_secs()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn grammar() {
        assert_eq!(Refresh::parse("10s"), Ok(Refresh::Every(Duration::from_secs(10))));
        assert_eq!(Refresh::parse("2m"), Ok(Refresh::Every(Duration::from_secs(120))));
        assert_eq!(Refresh::parse("init"), Ok(Refresh::Once));
        for bad in ["", "s", "0s", "-1s", "10", "10h", "99999999999999999999s", "1.5s", "86401s", "1 s"] {
            assert!(Refresh::parse(bad).is_err(), "{bad:?}");
        }
    }
}
