//! The end of sign-ins, for those who wait for it.

use std::sync::Arc;

use nocrd_authz::{revocation::Revocations, session::Session};
use tokio::sync::watch;

/// What the list of ended sign-ins says, now and later.
#[derive(Clone)]
pub(crate) struct Endings {
    list: Arc<dyn Revocations>,
    /// True once the list is known; marked as changed whenever it is another.
    changes: watch::Receiver<bool>,
}

impl Endings {
    pub(super) fn new(list: Arc<dyn Revocations>, changes: watch::Receiver<bool>) -> Self {
        Self { list, changes }
    }

    /// Whether it is known which sign-ins were ended before this replica started, as far as others can tell. Before, a
    /// session that looks good may be one that its user has ended.
    pub(crate) fn are_known(&self) -> bool {
        *self.changes.borrow()
    }

    /// Waits until the sign-in of a session is ended, for ever if it never is. Each change wakes all who wait; what they
    /// then do is a look into a map.
    pub(crate) async fn of(self, session: Arc<Session>) {
        let Self { list, mut changes } = self;
        loop {
            changes.mark_unchanged();
            if list.is_revoked(session.sign_in()) {
                return;
            }
            if changes.changed().await.is_err() {
                // The server ends, and its tunnels for that reason.
                return std::future::pending().await;
            }
        }
    }
}
