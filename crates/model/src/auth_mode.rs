//! How the gateway treats authentication for one workspace: `nogoo9/workspace-auth-mode` and `nogoo9/auth-require-token`.

use std::collections::BTreeMap;

use crate::keys;

/// What a workspace asks of the gateway. By default visitors sign in and the workspace is told who they are.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct AuthMode {
    /// `no-auth`: the workspace's own port is for everybody, known or not, and is told nothing of anybody. Additional ports
    /// keep their visibility.
    pub open: bool,
    /// `token-api`: its owner's pages may ask for the owner's access token, at `_auth/token`, `_auth/authorize` and
    /// `_auth/refresh`.
    pub token_api: bool,
    /// `inject-headers`: its owner's access token is fetched for it where the request brings none.
    pub inject_headers: bool,
    /// A session alone is not enough: the request brings an access token, or one can be fetched.
    pub require_token: bool,
}

impl AuthMode {
    /// Reads the annotations. What can't be meant is left out, and told in the second list.
    #[must_use]
    pub fn parse(annotations: &BTreeMap<String, String>) -> (Self, Vec<String>) {
        let (mut mode, mut problems) = (Self::default(), Vec::new());
        let words = annotations.get(keys::WORKSPACE_AUTH_MODE).map_or("", String::as_str);
        for word in words.split(',').map(str::trim).filter(|word| !word.is_empty()) {
            match word.to_ascii_lowercase().as_str() {
                "no-auth" => mode.open = true,
                "token-api" => mode.token_api = true,
                "inject-headers" => mode.inject_headers = true,
                _ => problems.push(format!(
                    "annotation {}: {word:?} is none of token-api, inject-headers and no-auth",
                    keys::WORKSPACE_AUTH_MODE
                )),
            }
        }
        match annotations
            .get(keys::AUTH_REQUIRE_TOKEN)
            .map(|text| text.trim().to_ascii_lowercase())
            .as_deref()
        {
            None | Some("" | "false") => {}
            Some("true") => mode.require_token = true,
            // Whoever meant to ask for more must not get less.
            Some(_) => {
                mode.require_token = true;
                problems.push(format!(
                    "annotation {} is neither true nor false, and counts as true",
                    keys::AUTH_REQUIRE_TOKEN
                ));
            }
        }
        if mode.open && mode.require_token {
            mode.open = false;
            problems.push(format!(
                "annotation {}: no-auth has no effect beside {}",
                keys::WORKSPACE_AUTH_MODE,
                keys::AUTH_REQUIRE_TOKEN
            ));
        }
        if mode.open && mode.token_api {
            // Anybody can leave a script at an open workspace that then asks in its owner's browser.
            mode.token_api = false;
            problems.push(format!(
                "annotation {}: token-api has no effect beside no-auth",
                keys::WORKSPACE_AUTH_MODE
            ));
        }
        (mode, problems)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(mode: &str, require_token: &str) -> (AuthMode, usize) {
        let pairs = [(keys::WORKSPACE_AUTH_MODE, mode), (keys::AUTH_REQUIRE_TOKEN, require_token)];
        let (mode, problems) =
            AuthMode::parse(&pairs.map(|(key, value)| (key.to_owned(), value.to_owned())).into());
        (mode, problems.len())
    }

    #[test]
    fn words_are_read_in_any_case_and_order() {
        let none = AuthMode::default();
        assert_eq!(AuthMode::parse(&BTreeMap::new()), (none, vec![]));
        assert_eq!(parse("", ""), (none, 0));
        assert_eq!(
            parse(" Token-API ,, inject-headers", "false"),
            (AuthMode { token_api: true, inject_headers: true, ..none }, 0)
        );
        assert_eq!(parse("no-auth", ""), (AuthMode { open: true, ..none }, 0));
        assert_eq!(parse("", " TRUE "), (AuthMode { require_token: true, ..none }, 0));
    }

    #[test]
    fn what_is_unclear_is_told_and_opens_nothing() {
        let none = AuthMode::default();
        assert_eq!(parse("noauth, same-origin", ""), (none, 2));
        assert_eq!(parse("", "yes"), (AuthMode { require_token: true, ..none }, 1));
        assert_eq!(parse("no-auth", "true"), (AuthMode { require_token: true, ..none }, 1));
        assert_eq!(parse("no-auth,token-api", ""), (AuthMode { open: true, ..none }, 1));
    }
}
