//! Who is asking.

use serde::{Deserialize, Serialize};

use crate::Subject;

/// The one role ladder: each role may do what the ones below it may.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Role {
    /// Reads, and starts and stops workspaces of its own.
    Viewer,
    /// In addition: raw pods and templates of its own.
    User,
    /// Everything, for everybody.
    Admin,
}

/// Where the identity of a [`Caller`] comes from.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Trust {
    /// The server runs without authentication, or the caller is the local user behind stdio: all callers are one.
    Local,
    /// A transport verified the identity.
    Verified,
}

/// The identity behind a request. Only transports make one; nothing a client writes in a request body can.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Caller {
    /// Who it is.
    pub subject: Subject,
    /// What they may do.
    pub role: Role,
    /// How we know.
    pub trust: Trust,
}

impl Caller {
    /// The caller of a server without authentication: `guest`, who may do everything.
    #[must_use]
    pub fn local() -> Self {
        Self { subject: Subject::guest(), role: Role::Admin, trust: Trust::Local }
    }

    /// A caller whose identity a transport verified.
    #[must_use]
    pub fn verified(subject: Subject, role: Role) -> Self {
        Self { subject, role, trust: Trust::Verified }
    }

    /// Tells whether the caller may act for everybody.
    #[must_use]
    pub fn is_admin(&self) -> bool {
        self.role == Role::Admin
    }

    /// Tells whether the quota of workspaces per user does not apply: administrators are exempt, but the shared user
    /// of a server without authentication is not.
    #[must_use]
    pub fn is_quota_exempt(&self) -> bool {
        self.trust == Trust::Verified && self.is_admin()
    }

    /// The owner whose things this caller sees; `None` means everybody's.
    #[must_use]
    pub fn owner_filter(&self) -> Option<&Subject> {
        (!self.is_admin()).then_some(&self.subject)
    }
}
