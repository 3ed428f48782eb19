//! Who is asking.

use std::{collections::BTreeSet, sync::Arc};

use serde::{Deserialize, Serialize};

use crate::Subject;

/// The one role ladder: each role may do what the ones below it may.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Role {
    /// Nothing: known, and without any right.
    None,
    /// Reads, and starts and stops workspaces of its own.
    Viewer,
    /// In addition: raw pods and templates of its own.
    User,
    /// Everything, for everybody.
    Admin,
}

impl Role {
    /// The role in one word, as it is serialized.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::None => "none",
            Self::Viewer => "viewer",
            Self::User => "user",
            Self::Admin => "admin",
        }
    }
}

/// Where the identity of a [`Caller`] comes from.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Trust {
    /// The server runs without authentication, or the caller is the local user behind stdio: all callers are one.
    Local,
    /// A transport verified the identity.
    Verified,
}

/// What a verified token says its holder may do, beside the rung on the ladder that follows from it.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Grants {
    /// The roles that stand in the token.
    pub named_roles: BTreeSet<String>,
    /// These, and the ones they imply: those of the rungs below, and the default role when the token names none.
    pub roles: BTreeSet<String>,
    /// The scopes that stand in the token; `None` when it has no scope claim at all, so that its roles decide.
    pub scopes: Option<BTreeSet<String>>,
    /// Whether one of the scopes stands for all of them.
    pub all_scopes: bool,
}

/// The identity behind a request. Cheap to clone. Only transports make one; nothing a client writes in a request body can.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Caller {
    /// Who it is.
    pub subject: Subject,
    /// What they may do.
    pub role: Role,
    /// How we know.
    pub trust: Trust,
    /// What their token says.
    pub grants: Arc<Grants>,
}

impl Caller {
    /// The caller of a server without authentication: `guest`, who may do everything.
    #[must_use]
    pub fn local() -> Self {
        Self { subject: Subject::guest(), role: Role::Admin, trust: Trust::Local, grants: Arc::default() }
    }

    /// A caller whose identity a transport verified. Somebody whom the identity provider calls `guest` is not the user
    /// of a server without authentication, and owns nothing of theirs: see [`Subject::verified`].
    #[must_use]
    pub fn verified(subject: Subject, role: Role) -> Self {
        Self { subject: subject.verified(), role, trust: Trust::Verified, grants: Arc::default() }
    }

    /// The same caller with what their token says.
    #[must_use]
    pub fn with_grants(self, grants: Grants) -> Self {
        Self { grants: Arc::new(grants), ..self }
    }

    /// Tells whether the caller may act for everybody.
    #[must_use]
    pub fn is_admin(&self) -> bool {
        self.role == Role::Admin
    }

    /// Tells whether this is a signed-in user like any other, whose wishes the cluster is protected from: neither the
    /// local user nor an administrator.
    #[must_use]
    pub fn is_ordinary(&self) -> bool {
        self.trust == Trust::Verified && !self.is_admin()
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

    /// Whether this caller sees what belongs to `owner`. What belongs to nobody only administrators see.
    #[must_use]
    pub fn sees_things_of(&self, owner: Option<&Subject>) -> bool {
        self.owner_filter().is_none_or(|subject| owner == Some(subject))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn l10_whoever_signs_in_as_guest_is_not_the_local_user() {
        for role in [Role::None, Role::Viewer, Role::User] {
            let guest = Caller::verified(Subject::guest(), role);
            assert_ne!(guest.subject, Caller::local().subject);
            assert_ne!(guest.subject.label_value(), Subject::GUEST);
            assert_eq!(guest.owner_filter(), Some(&guest.subject));
            // The same person each time, and nobody else.
            assert_eq!(guest.subject, Caller::verified(guest.subject.clone(), role).subject);
            assert!(guest.subject.as_str().contains(char::is_control), "no provider's subject may hold one");
        }
        assert_eq!(Caller::verified("Guest".into(), Role::User).subject.as_str(), "Guest");
    }

    #[test]
    fn who_is_ordinary() {
        assert!(!Caller::local().is_ordinary());
        for (role, ordinary) in
            [(Role::None, true), (Role::Viewer, true), (Role::User, true), (Role::Admin, false)]
        {
            assert_eq!(Caller::verified("bob".into(), role).is_ordinary(), ordinary, "{role:?}");
        }
    }
}
