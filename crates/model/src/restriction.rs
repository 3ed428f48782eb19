//! Who may start pods from a template: the values of `nogoo9/allowed-roles` and `nogoo9/allowed-scopes`.

use std::{collections::BTreeMap, fmt};

use crate::{Caller, Code, error as codes, keys};

/// The roles and scopes of which a caller needs one each. A list that names nothing, such as `","`, is met by nobody:
/// whoever wrote it wanted a restriction.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Restriction {
    roles: Option<Vec<String>>,
    scopes: Option<Vec<String>>,
}

impl Restriction {
    /// Reads it from a template's annotations. An absent or blank annotation restricts nothing.
    #[must_use]
    pub fn of(annotations: &BTreeMap<String, String>) -> Self {
        let list = |key: &str| {
            let text = annotations.get(key).filter(|text| !text.trim().is_empty())?;
            Some(text.split(',').map(str::trim).filter(|name| !name.is_empty()).map(str::to_owned).collect())
        };
        Self { roles: list(keys::ALLOWED_ROLES), scopes: list(keys::ALLOWED_SCOPES) }
    }

    /// The roles, one of which is needed; `None` means none is.
    #[must_use]
    pub fn roles(&self) -> Option<&[String]> {
        self.roles.as_deref()
    }

    /// Likewise the scopes.
    #[must_use]
    pub fn scopes(&self) -> Option<&[String]> {
        self.scopes.as_deref()
    }

    /// Tells whether a caller meets it. Administrators do. A token that says nothing of scopes has none of those that
    /// are asked for here: a template that asks for a scope trusts nothing else.
    ///
    /// # Errors
    /// What the caller lacks; the role, if both.
    pub fn check(&self, caller: &Caller) -> Result<(), Lacking> {
        if caller.is_admin() {
            return Ok(());
        }
        let grants = &caller.grants;
        if let Some(roles) = &self.roles
            && !roles.iter().any(|role| grants.roles.contains(role))
        {
            return Err(Lacking { what: "role", one_of: roles.clone() });
        }
        if let Some(scopes) = &self.scopes {
            let held = |scope| grants.scopes.as_ref().is_some_and(|held| held.contains(scope));
            // Even all scopes are not one of none.
            let holds = if grants.all_scopes { !scopes.is_empty() } else { scopes.iter().any(held) };
            if !holds {
                return Err(Lacking { what: "scope", one_of: scopes.clone() });
            }
        }
        Ok(())
    }
}

/// What a caller lacks to use a template.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub struct Lacking {
    /// `role` or `scope`.
    what: &'static str,
    one_of: Vec<String>,
}

impl fmt::Display for Lacking {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.one_of.as_slice() {
            [] => write!(f, "it names no {} that could be had", self.what),
            [only] => write!(f, "it needs the {} {only:?}", self.what),
            several => {
                let names: Vec<_> = several.iter().map(|name| format!("{name:?}")).collect();
                write!(f, "it needs one of the {}s {}", self.what, names.join(", "))
            }
        }
    }
}

impl Lacking {
    /// The stable code.
    #[must_use]
    pub fn code(&self) -> Code {
        codes::FORBIDDEN
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::{Grants, Role};

    fn restriction(roles: Option<&str>, scopes: Option<&str>) -> Restriction {
        let pairs = [(keys::ALLOWED_ROLES, roles), (keys::ALLOWED_SCOPES, scopes)];
        Restriction::of(&pairs.into_iter().filter_map(|(k, v)| Some((k.to_owned(), v?.to_owned()))).collect())
    }

    fn caller(role: Role, roles: &[&str], scopes: Option<&[&str]>) -> Caller {
        let set = |names: &[&str]| names.iter().map(|name| (*name).to_owned()).collect();
        Caller::verified("bob".into(), role).with_grants(Grants {
            roles: set(roles),
            scopes: scopes.map(set),
            ..Grants::default()
        })
    }

    #[test]
    fn one_role_and_one_scope_where_both_are_named() {
        let bob = caller(Role::Viewer, &["viewer", "ops"], Some(&["s1"]));
        for (roles, scopes, allowed) in [
            (None, None, true),
            (Some(""), Some(" "), true),
            (Some("ops"), None, true),
            (Some(" dev , ops"), None, true),
            (Some("dev"), None, false),
            (Some("OPS"), None, false),
            (None, Some("s1,s2"), true),
            (None, Some("s2"), false),
            (Some("ops"), Some("s2"), false),
            (Some("dev"), Some("s1"), false),
            (Some("ops"), Some("s1"), true),
        ] {
            let verdict = restriction(roles, scopes).check(&bob);
            assert_eq!(verdict.is_ok(), allowed, "{roles:?} {scopes:?}");
        }
        let error = restriction(Some("dev,admin"), None).check(&bob).unwrap_err();
        assert_eq!(error.to_string(), r#"it needs one of the roles "dev", "admin""#);
    }

    #[test]
    fn a_list_that_names_nobody_lets_nobody_in() {
        for (roles, scopes) in [(Some(","), None), (Some(" , ,"), None), (None, Some(","))] {
            let restriction = restriction(roles, scopes);
            let mut all = caller(Role::User, &["viewer", "user", ""], Some(&[""]));
            assert!(restriction.check(&all).is_err(), "{roles:?} {scopes:?}");
            Arc::make_mut(&mut all.grants).all_scopes = true;
            assert!(restriction.check(&all).is_err(), "{roles:?} {scopes:?}");
            assert_eq!(restriction.check(&caller(Role::Admin, &[], None)), Ok(()));
            assert_eq!(restriction.check(&Caller::local()), Ok(()));
        }
    }

    #[test]
    fn k15_a_token_without_scopes_has_none_of_those_asked_for() {
        let restriction = restriction(None, Some("s1"));
        assert!(restriction.check(&caller(Role::User, &["user"], None)).is_err());
        let mut all = caller(Role::User, &[], Some(&["nogoo9:admin"]));
        Arc::make_mut(&mut all.grants).all_scopes = true;
        assert_eq!(restriction.check(&all), Ok(()));
    }
}
