use std::collections::BTreeSet;

use nocrd_model::{Subject, Visibility};

use crate::{claims::Identity, policy::Policy};

const OWNER: &str = "owner";

/// Any visibility, and any caller: who they are, their roles, their scopes, a line each. What is printed reads the same, and
/// the policy says what the guide does.
pub fn visibility(input: &[u8]) {
    let Ok(input) = std::str::from_utf8(input) else { return };
    let mut lines = input.splitn(4, '\n');
    let text = lines.next().unwrap_or_default();
    let parsed = Visibility::parse(text);
    let printed = String::from(parsed.clone());
    assert_eq!(Visibility::parse(&printed), parsed, "it is printed as another one");

    let subject = Subject::new(lines.next().unwrap_or(OWNER));
    let names = |line: &str| line.split(' ').filter(|name| !name.is_empty()).map(str::to_owned).collect();
    let roles: BTreeSet<String> = names(lines.next().unwrap_or_default());
    let scopes: Option<BTreeSet<String>> = lines.next().map(names);
    let identity = Identity { subject, roles, scopes };
    let policy = Policy::default();
    let caller = policy.caller(&identity);
    for write in [false, true] {
        let may = policy.may_reach(&caller, &OWNER.into(), &parsed, write);
        let should =
            may_at_all(&identity, write) && may_reach(&identity, caller.subject.as_str(), text.trim());
        assert_eq!(may, should, "{text:?} lets in whom it should not, or the other way");
    }
}

/// What a request of anybody needs.
fn may_at_all(identity: &Identity, write: bool) -> bool {
    let enough: &[&str] = if write {
        &["nogoo9:write", "nogoo9:admin"]
    } else {
        &["nogoo9:read", "nogoo9:write", "nogoo9:admin"]
    };
    let by_scope = match &identity.scopes {
        None => true,
        Some(scopes) => enough.iter().any(|scope| scopes.contains(*scope)),
    };
    let by_role = identity.roles.is_empty()
        || ["viewer", "user", "admin"].iter().any(|role| identity.roles.contains(*role));
    by_scope && by_role
}

/// The grammar once more, as the reference page tells it.
fn may_reach(identity: &Identity, subject: &str, text: &str) -> bool {
    if subject == OWNER {
        return true;
    }
    let holds = |scope: &str| identity.scopes.as_ref().is_some_and(|scopes| scopes.contains(scope));
    if let Some(scope) = text.strip_prefix("scope:") {
        return holds(scope.trim());
    }
    if let Some(role) = text.strip_prefix("role:") {
        return identity.roles.contains(role.trim());
    }
    match text {
        "" | "private" => false,
        "internal" => true,
        "admin" => identity.roles.contains("admin") && (identity.scopes.is_none() || holds("nogoo9:admin")),
        list => list.split(',').map(str::trim).any(|one| !one.is_empty() && one == subject),
    }
}
