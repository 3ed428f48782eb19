//! What is known of one request, for the log and for the audit log. The layers it passes add to it.

use std::{net::IpAddr, sync::OnceLock};

use ::http::Extensions;
use nocrd_model::{Caller, Subject, caller::Trust};

use crate::http::RequestId;

/// One request. An `Arc` of it is in the extensions of every request that the router or the proxy's guard sees.
#[derive(Debug)]
pub(crate) struct Visit {
    pub(crate) id: RequestId,
    /// The client's address.
    pub(crate) client: IpAddr,
    caller: OnceLock<Caller>,
}

impl Visit {
    pub(crate) fn new(id: RequestId, client: IpAddr) -> Self {
        Self { id, client, caller: OnceLock::new() }
    }

    /// The visit that a request's extensions hold.
    pub(crate) fn of(extensions: &Extensions) -> Option<&std::sync::Arc<Self>> {
        extensions.get()
    }

    /// Notes who sent the request, once that was verified.
    pub(crate) fn note(&self, caller: &Caller) {
        if caller.trust == Trust::Verified {
            // The first one to find out was right.
            drop(self.caller.set(caller.clone()));
        }
    }

    /// Who sent it, if somebody has found out.
    pub(crate) fn caller(&self) -> Option<&Caller> {
        self.caller.get()
    }
}

/// Bytes of a subject's hash in the log.
const HASH_BYTES: usize = 8;

/// What stands for a subject in the log: enough to follow somebody through it, and for who knows a subject to find them.
/// `printf %s SUBJECT | sha256sum | cut -c1-16` gives it.
pub(crate) fn subject_hash(subject: &Subject) -> String {
    subject.hex_digest(HASH_BYTES)
}

#[cfg(test)]
mod tests {
    use nocrd_model::Role;

    use super::*;

    #[test]
    fn t54_a_subject_is_told_as_a_hash() {
        assert_eq!(subject_hash(&Subject::new("alice")), "2bd806c97f0e00af");
    }

    #[test]
    fn who_was_found_out_stays() {
        let visit = Visit::new(RequestId::new(), "192.0.2.1".parse().unwrap());
        visit.note(&Caller::local());
        assert!(visit.caller().is_none());
        visit.note(&Caller::verified(Subject::new("alice"), Role::User));
        visit.note(&Caller::verified(Subject::new("mallory"), Role::Admin));
        assert_eq!(visit.caller().unwrap().subject.as_str(), "alice");
    }
}
