//! Counts who is recognised and who is not, and makes those wait who send many bad tokens.

use std::{net::IpAddr, sync::Arc};

use nocrd_authz::authenticator::{Authenticated, Reason, Unauthenticated, Via};
use nocrd_model::{Caller, Code, Subject, error as codes};

use super::Refusal;
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
}

impl Counting {
    pub(crate) fn new(failures: Arc<Failures>, metrics: Metered, introspects: bool) -> Self {
        Self { failures, metrics, introspects }
    }

    /// Somebody was recognised by their session, at a glance.
    pub(super) fn recognised(&self) {
        self.count(Checked::Good(Via::Session));
    }

    /// Whether a token from this address is looked at. Where a look costs a request to the identity provider, not after many
    /// bad ones; elsewhere it is always looked at, so that nobody suffers from a neighbour behind the same address.
    pub(super) fn check(&self, client: IpAddr) -> Result<(), Refusal> {
        let blocked = if self.introspects { self.failures.blocked(client) } else { None };
        blocked.map_or(Ok(()), |wait| Err(too_many(wait)))
    }

    /// Notes what came of a look. An answer is for who has sent too many bad tokens.
    pub(super) fn looked(
        &self,
        client: IpAddr,
        outcome: &Result<Authenticated, Unauthenticated>,
    ) -> Option<Refusal> {
        let reason = match outcome {
            Ok(authenticated) => {
                self.count(Checked::Good(authenticated.via));
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
        let wait = self.failures.blocked(client);
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
