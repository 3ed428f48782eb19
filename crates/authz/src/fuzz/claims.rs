use crate::{
    claims::{ClaimPaths, Claims},
    policy::{Action, Policy},
};

/// Any three JSONPaths, one a line, over any JSON, in the lines that follow: refused, or evaluated in bounded time.
pub fn claims(input: &[u8]) {
    let Ok(input) = std::str::from_utf8(input) else { return };
    let mut lines = input.splitn(4, '\n');
    let mut line = || lines.next().unwrap_or_default();
    let (subject, scope, roles, json) = (line(), line(), line(), line());
    let Ok(members) = serde_json::from_str(json) else { return };
    let claims = Claims::new(members);
    let policy = Policy::default();
    for paths in [ClaimPaths::new(subject, scope, roles), Ok(ClaimPaths::default())].into_iter().flatten() {
        if let Ok(identity) = paths.identity(&claims) {
            assert!(!identity.subject.as_str().trim().is_empty());
            let caller = policy.caller(&identity);
            let admin = identity.roles.contains("admin");
            assert!(admin || policy.check(&caller, Action::Admin).is_err());
        }
    }
}
