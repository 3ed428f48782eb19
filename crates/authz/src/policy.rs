//! The one policy: what a caller may do, by their roles and scopes. Pure, so that every combination is tested.
//!
//! Roles form one ladder; each [`Action`] asks for a rung and for a scope. A token without any claim of scopes is judged
//! by its roles alone, unless the configuration asks for one.

use std::collections::BTreeSet;

use nocrd_model::{
    Caller, Code, Role, Subject, Visibility,
    caller::{Grants, Trust},
    error,
};

use crate::claims::Identity;

/// What the configuration says. An absent scope or role is not asked for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Policy {
    /// The scope that reading needs.
    pub read_scope: Option<String>,
    /// The scope that changing needs. Who has it may read, too.
    pub write_scope: Option<String>,
    /// The scope that administration needs. It stands for all scopes.
    pub admin_scope: Option<String>,
    /// The role that makes a viewer.
    pub read_role: Option<String>,
    /// The role that makes a user. If absent, whoever may read is one.
    pub write_role: Option<String>,
    /// The role that makes an administrator. Empty: none does.
    pub admin_role: String,
    /// The role of a token that names none. It never makes an administrator.
    pub default_role: String,
    /// Who is an administrator whatever their token says.
    pub admin_users: BTreeSet<Subject>,
    /// Whether a token without a claim of scopes has no scope, rather than being judged by its roles.
    pub require_scope_claim: bool,
}

impl Default for Policy {
    fn default() -> Self {
        Self {
            read_scope: Some("nogoo9:read".into()),
            write_scope: Some("nogoo9:write".into()),
            admin_scope: Some("nogoo9:admin".into()),
            read_role: Some("viewer".into()),
            write_role: Some("user".into()),
            admin_role: "admin".into(),
            default_role: "viewer".into(),
            admin_users: BTreeSet::new(),
            require_scope_claim: false,
        }
    }
}

/// What is to be done.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Action {
    /// Looking at one's own workspaces, and at the templates.
    Read,
    /// Starting and stopping one's own workspaces, and using them.
    WorkspaceWrite,
    /// Raw pods.
    Write,
    /// Writing templates.
    TemplateWrite,
    /// Acting for everybody.
    Admin,
}

impl Action {
    /// Every action.
    pub const ALL: [Self; 5] =
        [Self::Read, Self::WorkspaceWrite, Self::Write, Self::TemplateWrite, Self::Admin];

    fn rung(self) -> Role {
        match self {
            Self::Read | Self::WorkspaceWrite => Role::Viewer,
            Self::Write | Self::TemplateWrite => Role::User,
            Self::Admin => Role::Admin,
        }
    }
}

/// What a caller lacks. The texts name what the configuration asks for, and nothing of the caller's.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Denied {
    /// A scope: a new token that has it would do.
    #[error("the scope `{0}` is missing")]
    Scope(String),
    /// A role: somebody must grant it.
    #[error("the role `{0}` is missing")]
    Role(String),
}

impl Denied {
    /// The stable code.
    #[must_use]
    pub fn code(&self) -> Code {
        match self {
            Self::Scope(_) => error::INSUFFICIENT_SCOPE,
            Self::Role(_) => error::FORBIDDEN,
        }
    }

    /// The scope to ask the identity provider for, if a scope is what lacks.
    #[must_use]
    pub fn scope(&self) -> Option<&str> {
        match self {
            Self::Scope(scope) => Some(scope),
            Self::Role(_) => None,
        }
    }
}

impl Policy {
    /// The caller that a verified identity is.
    #[must_use]
    pub fn caller(&self, identity: &Identity) -> Caller {
        let grants = self.grants(identity);
        let role = self.role(identity, &grants);
        Caller::verified(identity.subject.clone(), role).with_grants(grants)
    }

    fn grants(&self, identity: &Identity) -> Grants {
        let mut roles = identity.roles.clone();
        if roles.is_empty() && !self.default_role.is_empty() && self.default_role != self.admin_role {
            roles.insert(self.default_role.clone());
        }
        // Each rung's name implies those of the rungs below it.
        let names_admin = self.names_admin(&identity.roles);
        let names_user = names_admin || self.write_role.as_ref().is_some_and(|role| roles.contains(role));
        if names_user {
            roles.extend(self.read_role.clone());
        }
        if names_admin {
            roles.extend(self.write_role.clone());
        }
        let scopes = match &identity.scopes {
            None if self.require_scope_claim => Some(BTreeSet::new()),
            scopes => scopes.clone(),
        };
        let all_scopes = match (&scopes, &self.admin_scope) {
            (Some(scopes), Some(admin)) => scopes.contains(admin),
            _ => false,
        };
        Grants { named_roles: identity.roles.clone(), roles, scopes, all_scopes }
    }

    fn role(&self, identity: &Identity, grants: &Grants) -> Role {
        // An administrator's token without the scope for it is a user's: so people can hand out lesser tokens.
        let with_scope = grants.all_scopes || grants.scopes.is_none() || self.admin_scope.is_none();
        let reads = self.read_role.as_ref().is_none_or(|role| grants.roles.contains(role));
        // A write role that is not asked for does not let in whom the read role keeps out.
        let writes = self.write_role.as_ref().map_or(reads, |role| grants.roles.contains(role));
        if self.admin_users.contains(&identity.subject) || (self.names_admin(&identity.roles) && with_scope) {
            Role::Admin
        } else if writes {
            Role::User
        } else if reads {
            Role::Viewer
        } else {
            Role::None
        }
    }

    fn names_admin(&self, named: &BTreeSet<String>) -> bool {
        !self.admin_role.is_empty() && named.contains(&self.admin_role)
    }

    /// Tells whether nothing restricts a caller: the local user, and the administrators that the configuration names.
    fn is_unrestricted(&self, caller: &Caller) -> bool {
        caller.trust == Trust::Local || self.admin_users.contains(&caller.subject)
    }

    /// Tells whether a caller may do something.
    ///
    /// # Errors
    /// What lacks; the scope, if both do.
    pub fn check(&self, caller: &Caller, action: Action) -> Result<(), Denied> {
        if self.is_unrestricted(caller) {
            return Ok(());
        }
        if let Some(scope) = self.scope_of(action)
            && !self.holds(&caller.grants, scope)
        {
            return Err(Denied::Scope(scope.clone()));
        }
        if caller.role < action.rung() {
            let asked = match action.rung() {
                Role::Admin => Some(&self.admin_role),
                Role::User => self.write_role.as_ref().or(self.read_role.as_ref()),
                Role::Viewer | Role::None => self.read_role.as_ref(),
            };
            return Err(Denied::Role(asked.cloned().unwrap_or_default()));
        }
        Ok(())
    }

    /// The scopes without which a caller's roles are worth less than they say: a token that has them would do.
    #[must_use]
    pub fn missing_scopes(&self, caller: &Caller) -> Vec<&str> {
        if self.is_unrestricted(caller) {
            return Vec::new();
        }
        let by_role = |action: Action| match action.rung() {
            Role::Admin => self.names_admin(&caller.grants.named_roles),
            rung => caller.role >= rung,
        };
        let scopes = Action::ALL
            .into_iter()
            .filter(|action| by_role(*action))
            .filter_map(|action| self.scope_of(action).filter(|scope| !self.holds(&caller.grants, scope)));
        let mut missing: Vec<&str> = scopes.map(String::as_str).collect();
        missing.dedup();
        missing
    }

    fn scope_of(&self, action: Action) -> Option<&String> {
        match action {
            Action::Read => self.read_scope.as_ref(),
            Action::WorkspaceWrite | Action::Write | Action::TemplateWrite => self.write_scope.as_ref(),
            Action::Admin => self.admin_scope.as_ref(),
        }
    }

    fn holds(&self, grants: &Grants, scope: &str) -> bool {
        let Some(scopes) = &grants.scopes else { return true };
        let write_for_read = || {
            self.read_scope.as_deref() == Some(scope)
                && self.write_scope.as_ref().is_some_and(|write| scopes.contains(write))
        };
        grants.all_scopes || scopes.contains(scope) || write_for_read()
    }

    /// Tells whether a caller may reach a port of a workspace: with a request that changes something (`write`), or one
    /// that does not.
    ///
    /// The owner may by any visibility, and an administrator only by one that says so: what is private is not theirs.
    #[must_use]
    pub fn may_reach(&self, caller: &Caller, owner: &Subject, visibility: &Visibility, write: bool) -> bool {
        if caller.trust == Trust::Local {
            return true;
        }
        let action = if write { Action::WorkspaceWrite } else { Action::Read };
        if self.check(caller, action).is_err() {
            return false;
        }
        if caller.subject == *owner {
            return true;
        }
        match visibility {
            Visibility::Private => false,
            Visibility::Internal => caller.role >= Role::Viewer,
            Visibility::Admin => caller.role == Role::Admin,
            // What a visibility names must stand in the token; nothing implies it.
            Visibility::Scope(scope) => {
                caller.grants.scopes.as_ref().is_some_and(|scopes| scopes.contains(scope))
            }
            Visibility::Role(role) => caller.grants.named_roles.contains(role),
            Visibility::Subjects(subjects) => subjects.contains(&caller.subject),
        }
    }
}

#[cfg(test)]
mod tests;
