use std::{collections::BTreeMap, sync::LazyLock};

use proptest::prelude::*;
use serde_json::json;

use super::*;
use crate::claims::{ClaimPaths, Claims};

fn names(text: &str) -> BTreeSet<String> {
    text.split_whitespace().map(str::to_owned).collect()
}

fn identity(roles: &str, scopes: Option<&str>) -> Identity {
    Identity { subject: "alice".into(), roles: names(roles), scopes: scopes.map(names) }
}

/// What is allowed, as letters: Read, Start and stop, Write, Templates, Admin.
fn allowed(policy: &Policy, caller: &Caller) -> String {
    Action::ALL
        .into_iter()
        .zip("RSWTA".chars())
        .filter(|(action, _)| policy.check(caller, *action).is_ok())
        .map(|(_, letter)| letter)
        .collect()
}

const SCOPES: [(&str, Option<&str>); 8] = [
    ("no claim", None),
    ("nothing", Some("")),
    ("read", Some("nogoo9:read")),
    ("write", Some("nogoo9:write")),
    ("both", Some("nogoo9:read nogoo9:write")),
    ("admin", Some("nogoo9:admin")),
    ("other", Some("openid profile")),
    ("read+other", Some("nogoo9:read openid")),
];

#[test]
fn d32_every_combination_of_roles_and_scopes() {
    #[rustfmt::skip]
    let table: [(&str, [&str; 8]); 9] = [
        //                no claim  nothing read write   both    admin    other read+other
        ("",             ["RS",    "",     "R", "RS",   "RS",   "RS",    "",   "R"]),
        ("zzz",          ["",      "",     "",  "",     "",     "",      "",   ""]),
        ("viewer",       ["RS",    "",     "R", "RS",   "RS",   "RS",    "",   "R"]),
        ("viewer zzz",   ["RS",    "",     "R", "RS",   "RS",   "RS",    "",   "R"]),
        ("user",         ["RSWT",  "",     "R", "RSWT", "RSWT", "RSWT",  "",   "R"]),
        ("viewer user",  ["RSWT",  "",     "R", "RSWT", "RSWT", "RSWT",  "",   "R"]),
        ("admin",        ["RSWTA", "",     "R", "RSWT", "RSWT", "RSWTA", "",   "R"]),
        ("admin viewer", ["RSWTA", "",     "R", "RSWT", "RSWT", "RSWTA", "",   "R"]),
        ("Admin ADMIN",  ["",      "",     "",  "",     "",     "",      "",   ""]),
    ];
    let policy = Policy::default();
    let strict = Policy { require_scope_claim: true, ..Policy::default() };
    for (roles, row) in table {
        for ((name, scopes), expected) in SCOPES.into_iter().zip(row) {
            let identity = identity(roles, scopes);
            assert_eq!(
                allowed(&policy, &policy.caller(&identity)),
                expected,
                "roles {roles:?}, scopes {name}"
            );
            // With the stricter setting, no claim is the same as an empty one; nothing else changes.
            let expected = if scopes.is_none() { row[1] } else { expected };
            assert_eq!(allowed(&strict, &strict.caller(&identity)), expected, "strict: {roles:?}, {name}");
        }
    }
}

#[test]
fn roles_and_scopes_that_are_not_configured_are_not_asked_for() {
    let open = Policy { read_scope: None, write_scope: None, admin_scope: None, ..Policy::default() };
    for (_, scopes) in SCOPES {
        for (roles, expected) in [("zzz", ""), ("viewer", "RS"), ("user", "RSWT"), ("admin", "RSWTA")] {
            assert_eq!(
                allowed(&open, &open.caller(&identity(roles, scopes))),
                expected,
                "{roles} {scopes:?}"
            );
        }
    }
}

#[test]
fn every_combination_of_settings_that_are_not_set() {
    const ROLES: [&str; 5] = ["", "zzz", "viewer", "user", "admin"];
    #[rustfmt::skip]
    let table = [
        // read role, write role, default role: what the roles above may do
        (true,  true,  true,  ["RS",   "",     "RS",   "RSWT", "RSWTA"]),
        (true,  true,  false, ["",     "",     "RS",   "RSWT", "RSWTA"]),
        (false, true,  true,  ["RS",   "RS",   "RS",   "RSWT", "RSWTA"]),
        (false, true,  false, ["RS",   "RS",   "RS",   "RSWT", "RSWTA"]),
        // Without a write role the read role still keeps strangers out, and its holders may do what users may.
        (true,  false, true,  ["RSWT", "",     "RSWT", "",     "RSWTA"]),
        (true,  false, false, ["",     "",     "RSWT", "",     "RSWTA"]),
        (false, false, true,  ["RSWT", "RSWT", "RSWT", "RSWT", "RSWTA"]),
        (false, false, false, ["RSWT", "RSWT", "RSWT", "RSWT", "RSWTA"]),
    ];
    let set = |on: bool, name: &str| on.then(|| name.to_owned());
    for (read, write, default, row) in table {
        for scopes in 0..8 {
            let asked = |bit: u8, name| set(scopes & bit != 0, name);
            let policy = Policy {
                read_role: set(read, "viewer"),
                write_role: set(write, "user"),
                default_role: set(default, "viewer").unwrap_or_default(),
                read_scope: asked(1, "nogoo9:read"),
                write_scope: asked(2, "nogoo9:write"),
                admin_scope: asked(4, "nogoo9:admin"),
                ..Policy::default()
            };
            let holds_all = "nogoo9:read nogoo9:write nogoo9:admin";
            for (roles, expected) in ROLES.into_iter().zip(row) {
                for held in [None, Some(holds_all)] {
                    let caller = policy.caller(&identity(roles, held));
                    assert_eq!(allowed(&policy, &caller), expected, "{roles:?} {held:?} {policy:?}");
                }
                // Without a scope: what is not asked for is all that there is.
                let caller = policy.caller(&identity(roles, Some("")));
                let open = |letter| match letter {
                    'R' => policy.read_scope.is_none(),
                    'A' => policy.admin_scope.is_none(),
                    _ => policy.write_scope.is_none(),
                };
                let expected: String = expected.chars().filter(|letter| open(*letter)).collect();
                assert_eq!(allowed(&policy, &caller), expected, "no scope, {roles:?} {policy:?}");
            }
        }
    }
}

#[test]
fn without_a_write_role_the_read_role_is_the_one_that_lacks() {
    let policy = Policy { write_role: None, ..Policy::default() };
    let stranger = policy.caller(&identity("zzz", None));
    assert_eq!(stranger.role, Role::None);
    for action in [Action::Read, Action::Write, Action::TemplateWrite] {
        assert_eq!(policy.check(&stranger, action), Err(Denied::Role("viewer".into())));
    }
    assert!(!policy.may_reach(&stranger, &"bob".into(), &Visibility::Internal, false));
}

#[test]
fn an_empty_name_of_the_administrators_role_makes_nobody_one() {
    let policy = Policy { admin_role: String::new(), default_role: String::new(), ..Policy::default() };
    for roles in ["", "admin", "user"] {
        assert_ne!(policy.caller(&identity(roles, None)).role, Role::Admin);
    }
}

#[test]
fn d32_the_default_role_never_makes_an_administrator() {
    let policy = Policy { default_role: "admin".into(), ..Policy::default() };
    assert_eq!(policy.caller(&identity("", None)).role, Role::None);
    let policy = Policy { default_role: "user".into(), ..Policy::default() };
    assert_eq!(policy.caller(&identity("", None)).role, Role::User);
}

#[test]
fn d33_named_administrators_pass_everything() {
    for strict in [false, true] {
        let policy =
            Policy { admin_users: ["alice".into()].into(), require_scope_claim: strict, ..Policy::default() };
        for (_, scopes) in SCOPES {
            let caller = policy.caller(&identity("zzz", scopes));
            assert_eq!((caller.role, allowed(&policy, &caller)), (Role::Admin, "RSWTA".to_owned()));
        }
    }
}

#[test]
fn the_local_user_passes_everything() {
    let policy = Policy { require_scope_claim: true, ..Policy::default() };
    let local = Caller::local();
    assert_eq!(allowed(&policy, &local), "RSWTA");
    assert!(policy.may_reach(&local, &"bob".into(), &Visibility::Private, true));
}

#[test]
fn d75_k33_what_lacks_is_named_scope_first() {
    let policy = Policy::default();
    let denied =
        |roles, scopes, action| policy.check(&policy.caller(&identity(roles, scopes)), action).unwrap_err();
    assert_eq!(denied("zzz", Some(""), Action::Read), Denied::Scope("nogoo9:read".into()));
    assert_eq!(denied("zzz", None, Action::Read), Denied::Role("viewer".into()));
    assert_eq!(denied("viewer", None, Action::Write), Denied::Role("user".into()));
    assert_eq!(denied("viewer", None, Action::TemplateWrite), Denied::Role("user".into()));
    assert_eq!(denied("user", None, Action::Admin), Denied::Role("admin".into()));
    let step_up = denied("admin", Some("nogoo9:write"), Action::Admin);
    assert_eq!((step_up.scope(), step_up.code()), (Some("nogoo9:admin"), error::INSUFFICIENT_SCOPE));
    assert_eq!(denied("user", None, Action::Admin).code(), error::FORBIDDEN);
}

#[test]
fn grants_carry_what_the_token_names_and_what_that_implies() {
    let policy = Policy::default();
    let grants = |roles, scopes| policy.caller(&identity(roles, scopes)).grants;
    assert_eq!(grants("admin", None).roles, names("admin user viewer"));
    assert_eq!(grants("user zzz", None).roles, names("user viewer zzz"));
    assert_eq!(grants("zzz", None).roles, names("zzz"));
    let nobody = grants("", None);
    assert_eq!((&nobody.roles, &nobody.named_roles), (&names("viewer"), &names("")));
    assert!(grants("", Some("nogoo9:admin")).all_scopes && !grants("admin", None).all_scopes);
    // Changed names are the ones that count.
    let renamed =
        Policy { write_scope: Some("rw".into()), read_scope: Some("ro".into()), ..Policy::default() };
    assert_eq!(allowed(&renamed, &renamed.caller(&identity("user", Some("rw")))), "RSWT");
    assert_eq!(allowed(&renamed, &renamed.caller(&identity("user", Some("nogoo9:write")))), "");
}

#[test]
fn who_may_reach_a_port() {
    let policy = Policy { admin_users: ["root".into()].into(), ..Policy::default() };
    let caller = |subject: &str, roles: &str, scopes| {
        policy.caller(&Identity { subject: subject.into(), roles: names(roles), scopes })
    };
    let scope = |text: &str| Some(names(text));
    let callers: BTreeMap<&str, Caller> = [
        ("owner", caller("owner", "viewer", None)),
        ("owner without rights", caller("owner", "zzz", None)),
        ("viewer", caller("v", "viewer", None)),
        ("stranger", caller("s", "zzz ops", None)),
        ("admin", caller("a", "admin", None)),
        ("root", caller("root", "", None)),
        ("all scopes", caller("b", "admin", scope("nogoo9:admin"))),
        ("with scope", caller("c", "viewer", scope("nogoo9:write share"))),
        ("with role", caller("d", "viewer ops", None)),
        ("listed", caller("listed", "viewer", None)),
        ("reader", caller("listed", "viewer ops", scope("nogoo9:read share"))),
    ]
    .into();
    let visibilities = [
        (Visibility::Private, vec!["owner"]),
        (
            Visibility::Internal,
            vec![
                "admin",
                "all scopes",
                "listed",
                "owner",
                "reader",
                "root",
                "viewer",
                "with role",
                "with scope",
            ],
        ),
        (Visibility::Admin, vec!["admin", "all scopes", "owner", "root"]),
        (Visibility::Scope("share".into()), vec!["owner", "reader", "with scope"]),
        (Visibility::Scope("nogoo9:write".into()), vec!["owner", "with scope"]),
        (Visibility::Role("ops".into()), vec!["owner", "reader", "with role"]),
        // d43: a role that is implied is not one the token names, not even for administrators.
        (Visibility::Role("user".into()), vec!["owner"]),
        (Visibility::Subjects(vec!["listed".into(), "x".into()]), vec!["listed", "owner", "reader"]),
    ];
    for (visibility, expected) in visibilities {
        let reached = |write| -> Vec<&str> {
            let may = |c: &Caller| policy.may_reach(c, &"owner".into(), &visibility, write);
            callers.iter().filter(|(_, caller)| may(caller)).map(|(name, _)| *name).collect()
        };
        assert_eq!(reached(false), expected, "{visibility:?}");
        let writing: Vec<_> = expected.into_iter().filter(|name| *name != "reader").collect();
        assert_eq!(reached(true), writing, "writing, {visibility:?}");
    }
}

static PATHS: LazyLock<ClaimPaths> = LazyLock::new(ClaimPaths::default);

fn any_policy() -> impl Strategy<Value = Policy> {
    let role = prop::option::of(prop::sample::select(vec!["viewer", "user", "ops"]));
    let scope = prop::option::of(prop::sample::select(vec!["r", "w", "a"]));
    (scope.clone(), scope.clone(), scope, role.clone(), role, any::<bool>(), any::<bool>()).prop_map(
        |(read_scope, write_scope, admin_scope, read_role, write_role, strict, named)| {
            let owned = |name: Option<&str>| name.map(str::to_owned);
            Policy {
                read_scope: owned(read_scope),
                write_scope: owned(write_scope),
                admin_scope: owned(admin_scope),
                read_role: owned(read_role),
                write_role: owned(write_role),
                admin_role: "admin".into(),
                default_role: "viewer".into(),
                admin_users: if named { ["root".into()].into() } else { BTreeSet::new() },
                require_scope_claim: strict,
            }
        },
    )
}

fn some_of(pool: &'static [&'static str]) -> impl Strategy<Value = BTreeSet<String>> {
    prop::collection::btree_set(prop::sample::select(pool).prop_map(str::to_owned), 0..=pool.len())
}

const ROLES: &[&str] = &["viewer", "user", "admin", "ops", "zzz"];
const POOL: &[&str] = &["r", "w", "a", "x"];

/// Everything that a caller may do, as a list of answers.
fn answers(policy: &Policy, identity: &Identity) -> Vec<bool> {
    let caller = policy.caller(identity);
    let mut answers: Vec<bool> =
        Action::ALL.iter().map(|action| policy.check(&caller, *action).is_ok()).collect();
    for owner in ["alice", "bob"] {
        for visibility in
            ["private", "internal", "admin", "scope:x", "scope:w", "role:ops", "role:viewer", "alice"]
        {
            for write in [false, true] {
                let visibility = Visibility::parse(visibility);
                answers.push(policy.may_reach(&caller, &owner.into(), &visibility, write));
            }
        }
    }
    answers
}

fn gains(less: &[bool], more: &[bool]) -> bool {
    less.iter().zip(more).any(|(less, more)| *less && !*more)
}

proptest! {
    #[test]
    fn nobody_gains_by_losing_a_role(
        policy in any_policy(), roles in some_of(ROLES), scopes in prop::option::of(some_of(POOL)),
        lost in prop::sample::select(ROLES),
    ) {
        let more = Identity { subject: "alice".into(), roles, scopes };
        let mut less = more.clone();
        less.roles.remove(lost);
        if less.roles.is_empty() && !more.roles.is_empty() {
            // Without any role the default one counts, and nothing above it.
            prop_assert_eq!(
                policy.caller(&less).role,
                policy.caller(&Identity { roles: names("viewer"), ..less.clone() }).role
            );
            less.roles = names("viewer");
        }
        let more = Identity { roles: &more.roles | &less.roles, ..more };
        prop_assert!(!gains(&answers(&policy, &less), &answers(&policy, &more)));
    }

    #[test]
    fn nobody_gains_by_losing_a_scope(
        policy in any_policy(), roles in some_of(ROLES), scopes in some_of(POOL), lost in prop::sample::select(POOL),
    ) {
        let more = Identity { subject: "alice".into(), roles, scopes: Some(scopes) };
        let mut less = more.clone();
        less.scopes.as_mut().unwrap().remove(lost);
        prop_assert!(!gains(&answers(&policy, &less), &answers(&policy, &more)));
    }

    #[test]
    fn nobody_gains_by_a_malformed_claim(
        policy in any_policy(), roles in some_of(ROLES), scopes in some_of(POOL),
        garbage in prop::sample::select(vec![
            json!(true), json!(7), json!({"r": true}), json!([7]), json!([[]]), json!([{"w": 1}, "\u{7}a"]),
        ]),
    ) {
        let read = |roles: serde_json::Value, scope: serde_json::Value| {
            let claims = json!({ "sub": "alice", "scope": scope, "realm_access": { "roles": roles } });
            PATHS.identity(&Claims::new(claims.as_object().unwrap().clone()))
        };
        let good = Identity { subject: "alice".into(), roles: roles.clone(), scopes: Some(scopes.clone()) };
        let bad = read(json!(roles), garbage.clone()).unwrap();
        prop_assert!(!gains(&answers(&policy, &bad), &answers(&policy, &good)));
        // Roles that can't be read refuse the token, or are names of no meaning.
        if let Ok(bad) = read(garbage, json!(scopes)) {
            let stranger = Identity { roles: names("zzz"), scopes: bad.scopes.clone(), ..bad.clone() };
            prop_assert!(!gains(&answers(&policy, &bad), &answers(&policy, &stranger)));
        }
    }

    #[test]
    fn a_higher_rung_may_do_what_a_lower_one_may(
        policy in any_policy(), roles in some_of(ROLES), scopes in prop::option::of(some_of(POOL)),
    ) {
        let caller = policy.caller(&Identity { subject: "alice".into(), roles, scopes });
        let may = |action| policy.check(&caller, action).is_ok();
        prop_assert!(!may(Action::Write) || may(Action::WorkspaceWrite));
        prop_assert_eq!(may(Action::Write), may(Action::TemplateWrite));
        prop_assert!(policy.write_scope.is_none() || !may(Action::WorkspaceWrite) || may(Action::Read));
        prop_assert!(caller.role != Role::None || Action::ALL.into_iter().all(|action| !may(action)));
    }
}

#[test]
fn what_a_role_is_short_of_is_told_by_its_scopes() {
    let policy = Policy::default();
    let missing = |roles: &str, scopes: Option<&str>| -> Vec<String> {
        let caller = policy.caller(&identity(roles, scopes));
        policy.missing_scopes(&caller).into_iter().map(str::to_owned).collect()
    };
    assert_eq!(missing("admin", Some("nogoo9:read nogoo9:write")), ["nogoo9:admin"]);
    assert_eq!(missing("admin", Some("openid")), ["nogoo9:read", "nogoo9:write", "nogoo9:admin"]);
    assert_eq!(missing("user", Some("nogoo9:read")), ["nogoo9:write"]);
    assert_eq!(missing("zzz", Some("openid")), [""; 0], "no scope would help");
    for (roles, scopes) in [("admin", None), ("admin", Some("nogoo9:admin")), ("user", Some("nogoo9:write"))]
    {
        assert_eq!(missing(roles, scopes), [""; 0], "{roles} {scopes:?}");
    }
    let named = Policy { admin_users: ["alice".into()].into(), ..Policy::default() };
    assert!(named.missing_scopes(&named.caller(&identity("admin", Some("openid")))).is_empty());
}
