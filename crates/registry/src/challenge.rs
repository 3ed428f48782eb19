//! What a registry asks for when it answers 401 (RFC 9110 section 11.6.1, and the token specification of its API).

use http::{HeaderMap, header::WWW_AUTHENTICATE};

/// A challenge that can be met.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Challenge {
    /// A token, from the server at `realm`.
    Bearer { realm: String, service: Option<String>, scope: Option<String> },
    /// Name and password.
    Basic,
}

/// The challenge to meet: a token rather than a password. `None` when there is none that can be.
pub(crate) fn of(headers: &HeaderMap) -> Option<Challenge> {
    let values = headers.get_all(WWW_AUTHENTICATE).iter().filter_map(|value| value.to_str().ok());
    let schemes: Vec<Scheme<'_>> = values.flat_map(schemes).collect();
    let named = |name: &str| schemes.iter().find(|scheme| scheme.name.eq_ignore_ascii_case(name));
    let bearer = named("Bearer").and_then(|bearer| {
        let parameter = |name: &str| {
            let found = bearer.parameters.iter().find(|(known, _)| known.eq_ignore_ascii_case(name));
            found.map(|(_, value)| value.clone()).filter(|value| !value.is_empty())
        };
        Some(Challenge::Bearer {
            realm: parameter("realm")?,
            service: parameter("service"),
            scope: parameter("scope"),
        })
    });
    bearer.or_else(|| named("Basic").map(|_| Challenge::Basic))
}

struct Scheme<'a> {
    name: &'a str,
    parameters: Vec<(&'a str, String)>,
}

/// The challenges in a header's value. The commas between them and between their parameters are the same; a challenge begins
/// with a word that no `=` follows.
fn schemes(value: &str) -> Vec<Scheme<'_>> {
    let mut found: Vec<Scheme<'_>> = Vec::new();
    for item in items(value) {
        let end = item.find([' ', '\t', '=']).unwrap_or(item.len());
        let (word, rest) = item.split_at(end);
        let rest = rest.trim();
        let (name, value) = match rest.strip_prefix('=') {
            Some(value) => (word, value),
            None => {
                found.push(Scheme { name: word, parameters: Vec::new() });
                let Some(parameter) = rest.split_once('=') else { continue };
                parameter
            }
        };
        if let Some(scheme) = found.last_mut() {
            scheme.parameters.push((name.trim(), unquoted(value.trim())));
        }
    }
    found
}

/// The parts of a text between commas that are not quoted.
fn items(text: &str) -> impl Iterator<Item = &str> {
    let (mut quoted, mut escaped) = (false, false);
    let parts = text.split(move |c: char| {
        let literal = std::mem::take(&mut escaped);
        match c {
            '\\' if quoted && !literal => escaped = true,
            '"' if !literal => quoted = !quoted,
            _ => {}
        }
        c == ',' && !quoted
    });
    parts.map(str::trim).filter(|part| !part.is_empty())
}

fn unquoted(value: &str) -> String {
    let Some(inner) = value.strip_prefix('"').and_then(|value| value.strip_suffix('"')) else {
        return value.to_owned();
    };
    let mut escaped = false;
    inner
        .chars()
        .filter(|c| {
            escaped = *c == '\\' && !escaped;
            !escaped
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(values: &[&str]) -> Option<Challenge> {
        let mut headers = HeaderMap::new();
        for value in values {
            headers.append(WWW_AUTHENTICATE, value.parse().unwrap());
        }
        of(&headers)
    }

    fn bearer(realm: &str, service: Option<&str>, scope: Option<&str>) -> Option<Challenge> {
        let owned = |text: Option<&str>| text.map(str::to_owned);
        Some(Challenge::Bearer { realm: realm.to_owned(), service: owned(service), scope: owned(scope) })
    }

    #[test]
    fn challenges_are_read() {
        let full = r#"Bearer realm="https://a/t",service="s",scope="repository:a:pull,push""#;
        assert_eq!(read(&[full]), bearer("https://a/t", Some("s"), Some("repository:a:pull,push")));
        assert_eq!(read(&["bearer REALM = https://a/t , scope=\"\""]), bearer("https://a/t", None, None));
        assert_eq!(read(&[r#"Bearer realm="a\"b\\c""#]), bearer(r#"a"b\c"#, None, None));
        assert_eq!(read(&[r#"Basic realm="a, b""#]), Some(Challenge::Basic));
        assert_eq!(read(&["Basic"]), Some(Challenge::Basic));
    }

    #[test]
    fn a_token_is_better_than_a_password() {
        let expected = bearer("https://a/t", None, None);
        assert_eq!(read(&[r#"Basic realm="x", Bearer realm="https://a/t""#]), expected);
        assert_eq!(read(&[r#"Negotiate abc==, Bearer realm="https://a/t", Basic realm="x""#]), expected);
        assert_eq!(read(&[r#"Basic realm="x""#, r#"Bearer realm="https://a/t""#]), expected);
    }

    #[test]
    fn others_can_not_be_met() {
        for values in
            [&[][..], &[""], &["Bearer"], &["Bearer service=\"s\""], &["Digest realm=\"x\""], &["=,,\"", ","]]
        {
            assert_eq!(read(values), None, "{values:?}");
        }
    }
}
