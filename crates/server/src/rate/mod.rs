//! How often somebody may ask.

mod failures;
mod layer;
mod limiter;

use std::{net::IpAddr, num::NonZeroU32, sync::Arc, time::Duration};

use nocrd_config::Settings;
use nocrd_model::Caller;

pub(crate) use failures::Failures;
pub(crate) use layer::{Limited, limit, too_many};
use limiter::Limiter;

use crate::metrics::Metrics;

/// Most callers that a limit keeps apart. Beyond that, newcomers share.
const MAX_KEYS: usize = 100_000;

/// Who asks: of fixed size, whatever a client sends.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) enum Key {
    /// A verified subject, hashed.
    Subject([u8; 16]),
    /// An IPv4 address.
    V4([u8; 4]),
    /// The network of an IPv6 address: whoever has one address has 2⁶⁴ of them.
    V6([u8; 8]),
    /// One of the places that those share who came too late for one of their own.
    Shared(u8),
}

impl Key {
    /// The key of an address.
    pub(crate) fn of_address(ip: IpAddr) -> Self {
        match ip.to_canonical() {
            IpAddr::V4(ip) => Self::V4(ip.octets()),
            IpAddr::V6(ip) => {
                let [a, b, c, d, e, f, g, h, ..] = ip.octets();
                Self::V6([a, b, c, d, e, f, g, h])
            }
        }
    }

    /// The key of a caller whose identity was verified, else of the address.
    pub(crate) fn of_caller(caller: Option<&Caller>, ip: IpAddr) -> Self {
        let Some(caller) = caller else { return Self::of_address(ip) };
        let mut key = [0; 16];
        key.iter_mut().zip(caller.subject.digest()).for_each(|(to, from)| *to = from);
        Self::Subject(key)
    }

    fn shared(self) -> Self {
        let sum = match self {
            Self::Subject(bytes) => bytes.iter().fold(0, |sum: u8, byte| sum.wrapping_mul(31) ^ byte),
            Self::V4(bytes) => bytes.iter().fold(0, |sum: u8, byte| sum.wrapping_mul(31) ^ byte),
            Self::V6(bytes) => bytes.iter().fold(0, |sum: u8, byte| sum.wrapping_mul(31) ^ byte),
            Self::Shared(place) => place,
        };
        Self::Shared(sum)
    }
}

/// All limits of a server.
#[derive(Clone)]
pub(crate) struct Rates {
    /// Signing in and out, and tokens.
    pub(crate) sign_in: Limited,
    /// Pages on which users give what calls lack.
    pub(crate) pages: Limited,
    /// MCP, where that is limited.
    pub(crate) mcp: Option<Limited>,
    /// Tokens that were refused.
    pub(crate) failures: Arc<Failures>,
}

impl Rates {
    pub(crate) fn new(settings: &Settings, metrics: Option<&Arc<Metrics>>) -> Self {
        let window = settings.rate_limit_window;
        let limited = |name, max| Limited::new(name, Limiter::new(max, window), metrics.cloned());
        Self {
            sign_in: limited("sign-in", settings.rate_limit_max),
            pages: limited("page", settings.rate_limit_max),
            mcp: settings.mcp_rate_limit_max.map(|max| limited("mcp", max)),
            failures: Arc::new(Failures::new(settings.rate_limit_max, window, metrics.cloned())),
        }
    }

    /// Forgets who has not asked for so long that it makes no difference, for as long as it is polled.
    pub(crate) async fn tidy(self) {
        loop {
            tokio::time::sleep(TIDY).await;
            self.sign_in.tidy();
            self.pages.tidy();
            if let Some(mcp) = &self.mcp {
                mcp.tidy();
            }
            self.failures.tidy();
        }
    }
}

/// How often what is not needed any more is forgotten.
const TIDY: Duration = Duration::from_secs(30);

/// The time in which one request more becomes possible.
fn period(max: NonZeroU32, window: Duration) -> Duration {
    (window / max.get()).max(Duration::from_nanos(1))
}

#[cfg(test)]
mod tests {
    use nocrd_model::{Role, Subject};

    use super::*;

    #[test]
    fn t44_one_caller_is_one_key() {
        let key = |ip: &str| Key::of_address(ip.parse().unwrap());
        assert_eq!(key("192.0.2.1"), key("::ffff:192.0.2.1"));
        assert_ne!(key("192.0.2.1"), key("192.0.2.2"));
        assert_eq!(key("2001:db8:0:1::1"), key("2001:db8:0:1:ffff::2"));
        assert_ne!(key("2001:db8:0:1::1"), key("2001:db8:0:2::1"));
        let caller = |name: &str| Caller::verified(Subject::new(name), Role::User);
        let by = |name: &str, ip: &str| Key::of_caller(Some(&caller(name)), ip.parse().unwrap());
        assert_eq!(by("alice", "192.0.2.1"), by("alice", "192.0.2.2"));
        assert_ne!(by("alice", "192.0.2.1"), by("bob", "192.0.2.1"));
    }
}
