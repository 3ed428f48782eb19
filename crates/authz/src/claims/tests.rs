use proptest::prelude::*;
use serde_json::{Value, json};

use super::*;

fn claims(value: &Value) -> Claims {
    Claims::new(value.as_object().unwrap().clone())
}

fn read(paths: &ClaimPaths, value: &Value) -> Result<Identity, Error> {
    paths.identity(&claims(value))
}

fn names(text: &str) -> BTreeSet<String> {
    text.split_whitespace().map(str::to_owned).collect()
}

#[test]
fn the_usual_forms() {
    let paths = ClaimPaths::new(DEFAULT_SUBJECT, DEFAULT_SCOPE, DEFAULT_ROLES).unwrap();
    for paths in [&paths, &ClaimPaths::default()] {
        let identity = read(
            paths,
            &json!({ "sub": "alice", "scope": " a  b\tc ", "realm_access": { "roles": ["user", "a team"] } }),
        )
        .unwrap();
        assert_eq!(identity.subject.as_str(), "alice");
        assert_eq!(identity.scopes, Some(names("a b c")));
        assert_eq!(identity.roles, ["a team".to_owned(), "user".to_owned()].into());

        let identity =
            read(paths, &json!({ "sub": 42, "scp": ["a", "b c"], "roles": "user, viewer ops" })).unwrap();
        assert_eq!(identity.subject.as_str(), "42");
        assert_eq!(identity.scopes, Some(names("a b c")));
        assert_eq!(identity.roles, names("user viewer ops"));
    }
}

#[test]
fn nothing_there_is_no_claim() {
    let paths = ClaimPaths::default();
    let identity = read(&paths, &json!({ "sub": "a", "scope": null, "roles": null })).unwrap();
    assert_eq!((identity.scopes, identity.roles), (None, BTreeSet::new()));
    let identity = read(&paths, &json!({ "sub": "a" })).unwrap();
    assert_eq!((identity.scopes, identity.roles), (None, BTreeSet::new()));
}

#[test]
fn an_address_that_is_not_verified_names_nobody() {
    for path in ["$.email", "$['email']", "$..email"] {
        let paths = ClaimPaths::new(path, "$.scope", "$.roles").unwrap();
        let with = |verified: Value| {
            read(&paths, &json!({ "email": "boss@corp.example", "email_verified": verified }))
        };
        for verified in [json!(true), json!("true"), json!(null)] {
            assert_eq!(
                with(verified.clone()).unwrap().subject.as_str(),
                "boss@corp.example",
                "{path} {verified}"
            );
        }
        for verified in [json!(false), json!("false"), json!(""), json!(1), json!({})] {
            assert!(with(verified.clone()).is_err(), "{path} {verified}");
        }
        assert!(read(&paths, &json!({ "email": "boss@corp.example" })).is_ok());
    }
    let paths = ClaimPaths::default();
    assert!(read(&paths, &json!({ "sub": "a", "email": "b", "email_verified": false })).is_ok());
}

#[test]
fn what_cannot_be_read_is_not_nothing() {
    let paths = ClaimPaths::default();
    for scope in [
        json!(""),
        json!("  "),
        json!([]),
        json!(1),
        json!(true),
        json!({}),
        json!([1]),
        json!([{}]),
        json!("\u{1}"),
    ] {
        let identity = read(&paths, &json!({ "sub": "a", "scope": scope })).unwrap();
        assert_eq!(identity.scopes, Some(BTreeSet::new()), "{scope}");
    }
    for roles in [
        json!(1),
        json!(true),
        json!({}),
        json!([null]),
        json!([{}]),
        json!(["a\u{7}b"]),
        json!(["x".repeat(257)]),
    ] {
        let refused = read(&paths, &json!({ "sub": "a", "roles": roles }));
        assert!(matches!(refused, Err(Error::Claim { claim: "roles", .. })), "{roles}");
    }
    let many: Vec<_> = (0..=MAX_NAMES).map(|n| n.to_string()).collect();
    assert!(read(&paths, &json!({ "sub": "a", "roles": many })).is_err());
    assert_eq!(read(&paths, &json!({ "sub": "a", "scope": many })).unwrap().scopes.unwrap().len(), MAX_NAMES);
}

#[test]
fn d66_custom_paths_have_no_second_place() {
    let paths = ClaimPaths::new("$.email", "$.perm", "$.groups").unwrap();
    let identity = read(
        &paths,
        &json!({ "email": "a@b", "sub": "x", "roles": ["admin"], "realm_access": { "roles": ["admin"] }, "scope": "a", "scp": "b" }),
    )
    .unwrap();
    assert_eq!((identity.subject.as_str(), identity.roles, identity.scopes), ("a@b", BTreeSet::new(), None));
}

#[test]
fn paths_of_all_providers() {
    let document = json!({
        "sub": "a",
        "https://example.com/roles": ["url"],
        "resource_access": { "no-crd": { "roles": ["client"] }, "other": { "roles": ["foreign"] } },
        "groups": [{ "name": "one", "kind": "role" }, { "name": "two", "kind": "team" }],
        "permissions": { "a b": "quoted" },
    });
    for (path, expected) in [
        ("$['https://example.com/roles']", "url"),
        ("$[\"https://example.com/roles\"]", "url"),
        ("$.resource_access['no-crd'].roles", "client"),
        ("$.groups[*].name", "one two"),
        ("$.groups[?@.kind == 'role'].name", "one"),
        ("$.groups[?@.kind != 'role' && @.name].name", "two"),
        ("$.groups[0:1].name", "one"),
        ("$.groups[-1].name", "two"),
        ("$.permissions['a b']", "quoted"),
        ("$.resource_access['no-crd','other'].roles", "client foreign"),
        ("$.resource_access..roles", "client foreign"),
        (" $.nothing ", ""),
    ] {
        let paths = ClaimPaths::new("$.sub", "$.scope", path).unwrap();
        assert_eq!(read(&paths, &document).unwrap().roles, names(expected), "{path}");
    }
}

#[test]
fn t47_paths_that_could_be_slow_are_refused() {
    let long = format!("$.{}", "a".repeat(600));
    let deep = "$".to_owned() + &".a".repeat(17);
    let wide = "$['a','b','c']['a','b','c']['a','b','c']";
    for path in [
        "$[?match(@.a, '(a+)+$')]",
        "$[?search(@.a, $.pattern)]",
        "$[?length(@.a) > 3]",
        "$[?count(@..*) > 3]",
        "$[?value(@.a) == 1]",
        "$[?in(@.a, ['x'])]",
        "$[?@[?@.b]]",
        "$[?@..b]",
        "$[?$..b]",
        "$[?@.*]",
        "$[?@.a][?@.b][?@.c]",
        "$..a..b",
        wide,
        &long,
        &deep,
        "sub",
        "",
        "$.",
        "$[",
    ] {
        let refused = ClaimPaths::new("$.sub", "$.scope", path);
        assert!(matches!(refused, Err(Error::InvalidPath { claim: "roles", .. })), "{path}");
    }
    assert_eq!(
        ClaimPaths::new("$.sub", "$[?search(@, 'a')]", "$.roles").unwrap_err().to_string(),
        "the path of the scope claim can't be used: it calls a function"
    );
}

#[test]
fn t47_the_slowest_path_visits_each_node_a_bounded_number_of_times() {
    // As many nodes as a token of the largest size can have, and as deep as JSON is read.
    let mut nested = json!({ "a": "x" });
    for _ in 0..100 {
        nested = json!({ "a": nested });
    }
    let document = json!({ "sub": "a", "wide": vec![json!({ "a": 1 }); 4000], "deep": nested });
    let paths =
        ClaimPaths::new("$.sub", "$..[?@.a == 'x' || $.wide[0].a == @.a]", "$..['a','b','c','d']").unwrap();
    assert!(matches!(read(&paths, &document), Err(Error::Claim { claim: "roles", .. })));
}

#[test]
fn subjects_that_are_refused() {
    let paths = ClaimPaths::default();
    for subject in [
        json!(null),
        json!(""),
        json!(" "),
        json!(true),
        json!(["a"]),
        json!({}),
        json!("a\nb"),
        json!("x".repeat(1025)),
    ] {
        let refused = read(&paths, &json!({ "sub": subject }));
        assert!(matches!(refused, Err(Error::Claim { claim: "subject", .. })), "{subject}");
    }
    assert!(read(&paths, &json!({})).is_err());
    // Somebody who can write another claim must not become somebody else.
    let anywhere = ClaimPaths::new("$..sub", "$.scope", "$.roles").unwrap();
    assert!(read(&anywhere, &json!({ "sub": "a", "act": { "sub": "b" } })).is_err());
    assert!(read(&anywhere, &json!({ "sub": "a" })).is_ok());
    // Nothing is trimmed or folded: these are four people.
    let people: BTreeSet<_> = ["a", "A", " a", "a "]
        .into_iter()
        .map(|subject| read(&paths, &json!({ "sub": subject })).unwrap().subject)
        .collect();
    assert_eq!(people.len(), 4);
}

#[test]
fn debug_output_has_no_values() {
    let text = format!("{:?}", claims(&json!({ "email": "alice@example.com" })));
    assert!(text.contains("email") && !text.contains("alice"), "{text}");
}

fn any_json() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        any::<f64>().prop_map(Value::from),
        "\\PC{0,12}".prop_map(Value::from),
    ];
    leaf.prop_recursive(5, 64, 6, |inner| {
        let name =
            prop_oneof![Just("sub".to_owned()), Just("roles".to_owned()), Just("a".to_owned()), "\\PC{0,4}"];
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..6).prop_map(Value::from),
            prop::collection::btree_map(name, inner, 0..6)
                .prop_map(|map| Value::Object(map.into_iter().collect())),
        ]
    })
}

proptest! {
    #[test]
    fn t47_any_claims_are_read_or_refused(value in any_json()) {
        let document = json!({ "sub": value, "scope": value, "realm_access": value, "roles": value, "x": value });
        let custom = ClaimPaths::new("$.x[0].sub", "$..a", "$.x[?@.a > 3 || @.roles == 'b']").unwrap();
        for paths in [ClaimPaths::default(), custom] {
            if let Ok(identity) = read(&paths, &document) {
                let subject = identity.subject.as_str();
                prop_assert!(!subject.trim().is_empty() && subject.len() <= MAX_SUBJECT);
                for name in identity.roles.iter().chain(identity.scopes.iter().flatten()) {
                    prop_assert!(name.len() <= MAX_NAME && !name.chars().any(char::is_control));
                }
            }
        }
    }

    #[test]
    fn t47_any_text_is_a_path_or_refused(text in "[$@.\\[\\]*?'\"a-c0-2:,()&|!=<> -]{0,40}") {
        if let Ok(paths) = ClaimPaths::new("$.sub", "$.scope", &text) {
            let _ = read(&paths, &json!({ "sub": "a", "a": { "b": ["c", { "a": 1 }] }, "c": "b" }));
        }
    }
}
