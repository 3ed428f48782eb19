use serde_json::json;

use super::*;

fn challenge() -> Challenge {
    let metadata = ResourceMetadata::location(&"https://h.example/p/mcp".parse().unwrap());
    Challenge::new(&metadata, ["nogoo9:read"])
}

#[test]
fn t59_metadata_are_where_rfc_9728_says() {
    for (resource, expected) in [
        ("https://h/p/mcp", "https://h/.well-known/oauth-protected-resource/p/mcp"),
        ("https://h/p/mcp/", "https://h/.well-known/oauth-protected-resource/p/mcp"),
        ("https://h:8443/mcp?x=1#y", "https://h:8443/.well-known/oauth-protected-resource/mcp"),
        ("https://h/", "https://h/.well-known/oauth-protected-resource"),
        ("https://h", "https://h/.well-known/oauth-protected-resource"),
    ] {
        assert_eq!(ResourceMetadata::location(&resource.parse().unwrap()).as_str(), expected);
    }
}

#[test]
fn t59_the_document_is_exact() {
    let resource = "https://h/p/mcp".parse().unwrap();
    let scopes = ["nogoo9:read", "nogoo9:write", "", "nogoo9:read"].map(str::to_owned);
    let document = ResourceMetadata::new(&resource, Some("https://idp/realm/"), scopes);
    assert_eq!(
        serde_json::to_value(&document).unwrap(),
        json!({
            "resource": "https://h/p/mcp",
            "authorization_servers": ["https://idp/realm/"],
            "scopes_supported": ["nogoo9:read", "nogoo9:write"],
            "bearer_methods_supported": ["header"],
            "resource_name": "no-crd",
        })
    );
    let bare = ResourceMetadata::new(&"https://h".parse().unwrap(), None, []);
    assert_eq!(
        serde_json::to_value(&bare).unwrap(),
        json!({
            "resource": "https://h",
            "authorization_servers": [],
            "bearer_methods_supported": ["header"],
            "resource_name": "no-crd",
        })
    );
}

#[test]
fn t59_from_the_challenge_to_the_document_and_back() {
    let resource: Url = "https://h/p/mcp".parse().unwrap();
    let header = Challenge::new(&ResourceMetadata::location(&resource), []).unauthorized(None);
    let text = header.to_str().unwrap();
    let location: Url =
        text.split("resource_metadata=\"").nth(1).unwrap().trim_end_matches('"').parse().unwrap();
    // What the client does (RFC 9728 section 3.3): the document's resource is the location without the well-known part.
    let derived = location.as_str().replace("/.well-known/oauth-protected-resource", "");
    assert_eq!(ResourceMetadata::new(&resource, None, []).resource, derived);
}

#[test]
fn challenges() {
    let metadata = "resource_metadata=\"https://h.example/.well-known/oauth-protected-resource/p/mcp\"";
    assert_eq!(challenge().unauthorized(None), format!("Bearer scope=\"nogoo9:read\", {metadata}"));
    assert_eq!(
        challenge().unauthorized(Some(&TokenError::MissingClaim("exp"))),
        format!(
            "Bearer error=\"invalid_token\", error_description=\"the token's claim `exp` is missing\", scope=\"nogoo9:read\", {metadata}"
        )
    );
    assert_eq!(challenge().unauthorized(Some(&TokenError::Unavailable)), challenge().unauthorized(None));
    assert_eq!(
        challenge().insufficient_scope("nogoo9:write"),
        format!("Bearer error=\"insufficient_scope\", scope=\"nogoo9:write\", {metadata}")
    );
    assert_eq!(
        challenge().link(),
        "<https://h.example/.well-known/oauth-protected-resource/p/mcp>; rel=\"oauth-protected-resource\""
    );
    let bare = Challenge::new(&"https://h/m".parse().unwrap(), []);
    assert_eq!(bare.unauthorized(None), "Bearer resource_metadata=\"https://h/m\"");
}

#[test]
fn nothing_breaks_out_of_a_quoted_string() {
    let challenge = Challenge::new(&"https://h/a\"b".parse().unwrap(), ["a\", error=\"x", "ä\r\nb"]);
    let text = challenge.unauthorized(None);
    assert_eq!(text, "Bearer scope=\"a,error=x b\", resource_metadata=\"https://h/a%22b\"");
    assert_eq!(
        challenge.insufficient_scope("x\\\"y z"),
        "Bearer error=\"insufficient_scope\", scope=\"xyz\", resource_metadata=\"https://h/a%22b\""
    );
}
