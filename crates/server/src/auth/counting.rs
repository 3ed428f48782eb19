//! Counts who is recognised and who is not, and makes those wait who send many bad tokens.

use std::{
    net::IpAddr,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use ::http::{HeaderMap, HeaderName, header};
use ipnet::IpNet;
use nocrd_authz::authenticator::{Authenticated, Reason, Unauthenticated, Via};
use nocrd_model::{Caller, Code, Subject, error as codes};

use super::{Refusal, known::Known};
use crate::{
    audit::{About, Act, Outcome, Who},
    metrics::{Checked, Metered},
    rate::{Failures, too_many},
    visit::Visit,
};

/// What the door tells of what it does.
pub(crate) struct Counting {
    failures: Arc<Failures>,
    metrics: Metered,
    /// Whether the identity provider is asked about each new token.
    introspects: bool,
    /// Tokens that were good when they were last looked at.
    known: Known,
    /// Whether no reverse proxy is known to us, so that all clients of one share its address.
    proxies_unknown: bool,
    warned: AtomicBool,
}

impl Counting {
    pub(crate) fn new(failures: Arc<Failures>, metrics: Metered, introspects: bool) -> Self {
        Self {
            failures,
            metrics,
            introspects,
            known: Known::default(),
            proxies_unknown: true,
            warned: AtomicBool::new(false),
        }
    }

    /// With the reverse proxies through which clients are told apart.
    pub(crate) fn behind(self, proxies: &[IpNet]) -> Self {
        Self { proxies_unknown: proxies.is_empty(), ..self }
    }

    /// Whether the identity provider is asked about tokens.
    pub(super) fn introspects(&self) -> bool {
        self.introspects
    }

    /// Somebody was recognised by their session, at a glance.
    pub(super) fn recognised(&self) {
        self.count(Checked::Good(Via::Session));
    }

    /// Whether a token from this address is looked at. Where a look costs a request to the identity provider, not after many
    /// bad ones; elsewhere it is always looked at, so that nobody suffers from a neighbour behind the same address. Nor does
    /// who has a token that was good before.
    pub(super) fn check(&self, client: IpAddr, headers: &HeaderMap) -> Result<(), Refusal> {
        let blocked = if self.introspects { self.blocked(client, headers) } else { None };
        let Some(wait) = blocked else { return Ok(()) };
        if self.known.contains(headers) { Ok(()) } else { Err(too_many(wait)) }
    }

    /// How long an address has to wait. A reverse proxy that we don't know as one has not: it would be everybody.
    fn blocked(&self, client: IpAddr, headers: &HeaderMap) -> Option<Duration> {
        let wait = self.failures.blocked(client)?;
        if !self.proxies_unknown || !is_forwarded(headers) {
            return Some(wait);
        }
        if !self.warned.swap(true, Ordering::Relaxed) {
            tracing::warn!(
                %client,
                "many refused tokens come from an address that forwards for others, and can't be told apart: if it is a reverse proxy of yours, add it to TRUSTED_PROXIES"
            );
        }
        None
    }

    /// Notes what came of a look. An answer is for who has sent too many bad tokens.
    pub(super) fn looked(
        &self,
        client: IpAddr,
        headers: &HeaderMap,
        outcome: &Result<Authenticated, Unauthenticated>,
    ) -> Option<Refusal> {
        let reason = match outcome {
            Ok(authenticated) => {
                self.count(Checked::Good(authenticated.via));
                if self.introspects && authenticated.via == Via::Bearer {
                    self.known.insert(headers);
                }
                return None;
            }
            Err(Unauthenticated { reason, .. }) => reason,
        };
        let with_token = matches!(reason, Reason::Token(_));
        self.count(match reason {
            Reason::NoCredentials => Checked::None,
            _ => Checked::Bad(reason.code(), with_token),
        });
        if !with_token || reason.code() != codes::UNAUTHENTICATED {
            return None;
        }
        if self.introspects {
            self.known.remove(headers);
        }
        let wait = self.blocked(client, headers);
        self.failures.note(client);
        wait.map(too_many)
    }

    /// A browser's sign-in came to an end.
    pub(super) fn signed_in(&self, visit: &Visit, outcome: Result<&Caller, Code>) {
        let (who, outcome) = match outcome {
            Ok(caller) => (Some(Who::from(caller)), Outcome::Done),
            Err(code) => (None, Outcome::of(code)),
        };
        if let Some(metrics) = &self.metrics {
            metrics.signed_in(outcome);
        }
        Act { action: "sign-in", outcome, who, visit: Some(visit), about: About::default() }.record();
    }

    /// Somebody has signed out.
    pub(super) fn signed_out(visit: &Visit, subject: &Subject) {
        let who = Who { subject, role: None };
        Act {
            action: "sign-out",
            outcome: Outcome::Done,
            who: Some(who),
            visit: Some(visit),
            about: About::default(),
        }
        .record();
    }

    fn count(&self, checked: Checked) {
        if let Some(metrics) = &self.metrics {
            metrics.checked(checked);
        }
    }
}

/// Whether the sender says that the request is another one's.
fn is_forwarded(headers: &HeaderMap) -> bool {
    headers.contains_key(HeaderName::from_static("x-forwarded-for"))
        || headers.contains_key(header::FORWARDED)
}
