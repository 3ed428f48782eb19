//! A setting that the table says works is read by somebody.

use std::collections::BTreeSet;

use nocrd_config::{Effect, settings::TABLE};
use proc_macro2::{TokenStream, TokenTree};

use crate::{
    Result,
    tidy::{files::File, source},
};

/// Where settings are read: what is composed from them, and the rules among them.
const READERS: &[&str] = &["bins", "crates/server", "crates/config/src/rules.rs"];

pub(super) fn check(sources: &[File]) -> Result<Vec<String>> {
    let mut read = BTreeSet::new();
    for file in
        sources.iter().filter(|file| !file.is_test() && READERS.iter().any(|reader| file.is_in(reader)))
    {
        let tokens: TokenStream = file.text.parse().map_err(|error| format!("{}: {error}", file.path))?;
        read.extend(fields(&source::shipped(tokens)));
    }
    // The variable of a row may count for another one too.
    let read_elsewhere = |name: &str| {
        TABLE.iter().any(|row| row.name() != name && row.env.contains(&name) && read.contains(row.field))
    };
    Ok(TABLE
        .iter()
        .filter(|row| row.effect == Effect::Now && !read.contains(row.field) && !read_elsewhere(row.name()))
        .map(|row| format!("settings: {} is said to work, but nothing reads `{}`", row.name(), row.field))
        .collect())
}

/// The names that follow a dot.
fn fields(code: &[TokenTree]) -> impl Iterator<Item = String> {
    code.windows(2).filter_map(|window| match window {
        [TokenTree::Punct(dot), TokenTree::Ident(name)] if dot.as_char() == '.' => Some(name.to_string()),
        _ => None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fields_follow_dots() {
        let code: TokenStream =
            "fn f(s: &Settings) { let port = s.port; g(s.host.clone()); drain_timeout }".parse().unwrap();
        let found: Vec<_> = fields(&source::shipped(code)).collect();
        assert_eq!(found, ["port", "host", "clone"]);
    }

    #[test]
    fn unread_settings_are_found() {
        let file = |text: &str| File { path: "crates/server/src/lib.rs".to_owned(), text: text.to_owned() };
        let unread = |text: &str| check(&[file(text)]).unwrap();
        assert!(unread("fn f() {}").iter().any(|finding| finding.contains("PROXY_TIMEOUT")));
        assert!(
            !unread("fn f(s: S) { s.proxy_timeout }").iter().any(|finding| finding.contains("PROXY_TIMEOUT"))
        );
    }
}
