//! Tests that are ignored by default: each says why, and the reason decides which task runs it.

use proc_macro2::{Delimiter, Group, Span, TokenStream, TokenTree};

use crate::{Result, tidy::files};

/// Why a test is ignored, by the words its reason begins with.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Reason {
    /// It needs a real cluster: `cargo xtask test --cluster` runs it.
    NeedsCluster,
    /// Nothing may run beside it, for it measures or goes by the clock: `cargo xtask test` runs it after the others.
    RunsAlone,
    /// None that is known.
    Other,
}

impl Reason {
    /// The words.
    pub(crate) const WORDS: [&str; 2] = ["needs cluster", "runs alone"];

    fn of(text: &str) -> Self {
        let [needs_cluster, runs_alone] = Self::WORDS;
        match text.trim_matches('"') {
            text if text.starts_with(needs_cluster) => Self::NeedsCluster,
            text if text.starts_with(runs_alone) => Self::RunsAlone,
            _ => Self::Other,
        }
    }
}

/// An ignored test.
pub(crate) struct Test {
    pub(crate) name: String,
    pub(crate) reason: Reason,
    pub(crate) span: Span,
}

/// The names of all tests of the workspace that are ignored for this reason.
pub(crate) fn names(reason: Reason) -> Result<Vec<String>> {
    let mut names = Vec::new();
    for file in files::rust_sources()? {
        let tokens: TokenStream = file.text.parse().map_err(|error| format!("{}: {error}", file.path))?;
        names.extend(tests(tokens).into_iter().filter(|test| test.reason == reason).map(|test| test.name));
    }
    Ok(names)
}

/// The ignored tests among the tokens of a file.
pub(super) fn tests(tokens: TokenStream) -> Vec<Test> {
    let mut found = Vec::new();
    collect(tokens, &mut found);
    found
}

fn collect(tokens: TokenStream, found: &mut Vec<Test>) {
    // The attribute that is waiting for its function.
    let mut waiting: Option<(Reason, Span)> = None;
    let mut tokens = tokens.into_iter().peekable();
    while let Some(token) = tokens.next() {
        match token {
            TokenTree::Group(group) if group.delimiter() == Delimiter::Bracket && is_ignore(&group) => {
                let text = group.stream().into_iter().find_map(|token| match token {
                    TokenTree::Literal(literal) => Some(literal.to_string()),
                    _ => None,
                });
                waiting = Some((Reason::of(&text.unwrap_or_default()), group.span_open()));
            }
            TokenTree::Ident(word) if word == "fn" => {
                if let (Some((reason, span)), Some(TokenTree::Ident(name))) = (waiting.take(), tokens.peek())
                {
                    found.push(Test { name: name.to_string(), reason, span });
                }
            }
            TokenTree::Group(group) => collect(group.stream(), found),
            _ => {}
        }
    }
}

fn is_ignore(attribute: &Group) -> bool {
    matches!(attribute.stream().into_iter().next(), Some(TokenTree::Ident(name)) if name == "ignore")
}

#[cfg(test)]
mod tests {
    #[test]
    fn ignored_tests_are_found_with_their_reason() {
        use super::Reason::{NeedsCluster, Other, RunsAlone};
        let text = r#"
            #[test] fn plain() {}
            #[test] #[ignore] fn a() { fn inner() {} }
            mod deep {
                #[tokio::test] #[ignore = "needs cluster (creates pods)"] #[cfg(x)] async fn b() {}
                #[test] #[ignore = "runs alone (measures memory)"] fn c() {}
            }
        "#;
        let found: Vec<_> =
            super::tests(text.parse().unwrap()).into_iter().map(|test| (test.name, test.reason)).collect();
        let expected =
            [("a", Other), ("b", NeedsCluster), ("c", RunsAlone)].map(|(name, why)| (name.to_owned(), why));
        assert_eq!(found, expected);
    }
}
