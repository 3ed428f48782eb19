//! Who a token speaks of, and with which roles and scopes: found by JSONPath (RFC 9535), so that every identity
//! provider's way of writing them can be read.

use std::{collections::BTreeSet, fmt};

use nocrd_model::Subject;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use crate::error::Error;

mod path;
use path::Path;

/// Where the subject is, unless configured.
pub const DEFAULT_SUBJECT: &str = "$.sub";
/// Where the scopes are, unless configured.
pub const DEFAULT_SCOPE: &str = "$.scope";
/// Where the roles are, unless configured.
pub const DEFAULT_ROLES: &str = "$.realm_access.roles";

/// Longest subject, in bytes.
const MAX_SUBJECT: usize = 1024;
/// Longest name of a role or scope, in bytes.
const MAX_NAME: usize = 256;
/// Most roles, and most scopes.
const MAX_NAMES: usize = 1024;

/// The claims of a token, as its issuer wrote them. Always a JSON object.
#[derive(Clone, PartialEq, Eq)]
pub struct Claims(Value);

impl Claims {
    /// Takes the members of a token's payload.
    #[must_use]
    pub fn new(members: Map<String, Value>) -> Self {
        Self(Value::Object(members))
    }

    /// A member of the topmost object.
    #[must_use]
    pub fn get(&self, name: &str) -> Option<&Value> {
        self.0.get(name)
    }

    /// All claims, as a JSON object.
    #[must_use]
    pub fn as_value(&self) -> &Value {
        &self.0
    }
}

impl fmt::Debug for Claims {
    /// Names only: the values are people's.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_set().entries(self.0.as_object().into_iter().flat_map(Map::keys)).finish()
    }
}

/// Whom a token speaks of.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Identity {
    /// Who it is.
    pub subject: Subject,
    /// The roles the token names; none when it has no claim of roles.
    pub roles: BTreeSet<String>,
    /// The scopes the token names; `None` when it has no claim of scopes.
    pub scopes: Option<BTreeSet<String>>,
}

/// Where in a token these things are.
#[derive(Debug)]
pub struct ClaimPaths {
    subject: Path,
    scope: Path,
    /// Where else to look, for default paths only: a custom path says exactly what is to be trusted.
    scope_else: Option<Path>,
    roles: Path,
    roles_else: Option<Path>,
}

impl ClaimPaths {
    /// Compiles three JSONPaths.
    ///
    /// # Errors
    /// When one is no JSONPath of RFC 9535, or uses what could make evaluation slow on some token: functions, nested
    /// filters, several descendant segments.
    pub fn new(subject: &str, scope: &str, roles: &str) -> Result<Self, Error> {
        let compile =
            |claim, text: &str| Path::parse(text).map_err(|reason| Error::InvalidPath { claim, reason });
        let when_default = |claim, text: &str, default: &str, other: &str| {
            if text.trim() == default { compile(claim, other).map(Some) } else { Ok(None) }
        };
        Ok(Self {
            subject: compile("subject", subject)?,
            scope: compile("scope", scope)?,
            scope_else: when_default("scope", scope, DEFAULT_SCOPE, "$.scp")?,
            roles: compile("roles", roles)?,
            roles_else: when_default("roles", roles, DEFAULT_ROLES, "$.roles")?,
        })
    }

    /// Reads who the claims speak of.
    ///
    /// # Errors
    /// When they name nobody, or their roles can't be read: a token must not gain the default role by that.
    pub fn identity(&self, claims: &Claims) -> Result<Identity, Error> {
        Ok(Identity {
            subject: self.subject(claims)?,
            roles: roles(self.roles.find_or(self.roles_else.as_ref(), claims.as_value()))?,
            scopes: scopes(self.scope.find_or(self.scope_else.as_ref(), claims.as_value())),
        })
    }

    fn subject(&self, claims: &Claims) -> Result<Subject, Error> {
        let wrong = |problem| Error::Claim { claim: "subject", problem };
        let text = match self.subject.find(claims.as_value()).as_slice() {
            [] => return Err(wrong("is missing")),
            [Value::String(text)] => text.clone(),
            [Value::Number(number)] => number.to_string(),
            [_] => return Err(wrong("is neither a text nor a number")),
            _ => return Err(wrong("is ambiguous: its path finds several")),
        };
        if text.trim().is_empty() {
            return Err(wrong("is empty"));
        }
        if self.subject.ends_in("email") && !is_verified(claims) {
            return Err(wrong("is an address that the identity provider has not verified"));
        }
        if text.len() > MAX_SUBJECT {
            return Err(wrong("is longer than 1024 bytes"));
        }
        if text.chars().any(char::is_control) {
            return Err(wrong("holds control characters"));
        }
        Ok(Subject::new(text))
    }
}

impl Default for ClaimPaths {
    /// The default paths.
    fn default() -> Self {
        let name = |names: &[&str]| Path::of_names(names);
        Self {
            subject: name(&["sub"]),
            scope: name(&["scope"]),
            scope_else: Some(name(&["scp"])),
            roles: name(&["realm_access", "roles"]),
            roles_else: Some(name(&["roles"])),
        }
    }
}

/// Whether the identity provider does not say that it has not verified the user's address (OpenID Connect Core 5.1): users
/// may write somebody else's there. Some providers write the claim as a text; one that never verifies has no such claim.
fn is_verified(claims: &Claims) -> bool {
    match claims.get("email_verified") {
        None | Some(Value::Null) => true,
        Some(claim) => claim.as_bool().or_else(|| claim.as_str()?.parse().ok()).unwrap_or(false),
    }
}

/// Roles: a list of texts and numbers, or a text with blanks or commas between. What is there but can't be read is an
/// error rather than nothing, because a token without roles has the default role.
fn roles(found: Vec<&Value>) -> Result<BTreeSet<String>, Error> {
    let wrong = |problem| Error::Claim { claim: "roles", problem };
    let mut names = BTreeSet::new();
    let add = |names: &mut BTreeSet<String>, name: &str| {
        if name.len() > MAX_NAME || name.chars().any(char::is_control) {
            return Err(wrong("holds a name that is too long, or has control characters"));
        }
        if !name.is_empty() {
            names.insert(name.to_owned());
        }
        if names.len() > MAX_NAMES { Err(wrong("names too many roles")) } else { Ok(()) }
    };
    for value in found {
        match value {
            Value::Null => {}
            Value::String(text) => {
                for name in text.split(|c: char| c.is_whitespace() || c == ',') {
                    add(&mut names, name)?;
                }
            }
            Value::Array(entries) => {
                for entry in entries {
                    match entry {
                        Value::String(name) => add(&mut names, name)?,
                        Value::Number(number) => add(&mut names, &number.to_string())?,
                        _ => return Err(wrong("holds something that is no name")),
                    }
                }
            }
            _ => return Err(wrong("is neither a list nor a text")),
        }
    }
    Ok(names)
}

/// Scopes: a text with blanks between (RFC 6749 section 3.3), or a list of texts. Nothing there is no claim; an empty one
/// is a claim of no scope, and so is what can't be read.
fn scopes(found: Vec<&Value>) -> Option<BTreeSet<String>> {
    let mut names = BTreeSet::new();
    let mut add = |text: &str| {
        for name in text.split_whitespace() {
            if name.len() <= MAX_NAME && names.len() < MAX_NAMES && !name.chars().any(char::is_control) {
                names.insert(name.to_owned());
            }
        }
    };
    let claims: Vec<&Value> = found.into_iter().filter(|value| !value.is_null()).collect();
    for value in &claims {
        match value {
            Value::String(text) => add(text),
            Value::Array(entries) => entries.iter().filter_map(Value::as_str).for_each(&mut add),
            _ => {}
        }
    }
    (!claims.is_empty()).then_some(names)
}

#[cfg(test)]
mod tests;
