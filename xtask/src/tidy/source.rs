//! Rules about single files: keys are spelt out in one place, one crate reads the environment, one file creates pods, routes
//! come from one table, ignored tests say why.

use proc_macro2::{Delimiter, Span, TokenStream, TokenTree};

use crate::{
    Result,
    tidy::{
        files::File,
        ignored::{self, Reason},
    },
};

/// The one file that spells out label and annotation keys.
const KEYS: &str = "crates/model/src/keys.rs";
/// Who may read the environment: the crate of settings, and whoever starts programs may look up where they are.
const ENVIRONMENT_READERS: &[&str] = &["crates/config", "crates/devcluster/src/kubelet/paths.rs"];

/// The one file that creates pods: what it is given was planned, and so checked.
const POD_CREATOR: &str = "crates/spawner/src/apply.rs";
/// Who speaks to the Kubernetes API, behind methods with names, and who is one.
const API_CLIENTS: &[&str] = &["crates/cluster", "crates/devcluster"];

/// Where routes are made from the table of endpoints, and where there are others: the listener for metrics.
const ROUTES: &str = "crates/server/src/http/router.rs";
const OTHER_ROUTES: &str = "crates/server/src/metrics/endpoint.rs";

pub(super) fn check(file: &File) -> Result<Vec<String>> {
    let tokens: TokenStream = file.text.parse().map_err(|error| format!("{}: {error}", file.path))?;
    let mut findings = Findings { path: &file.path, found: Vec::new() };
    for test in ignored::tests(tokens.clone()).into_iter().filter(|test| test.reason == Reason::Other) {
        findings.add(
            test.span,
            &format!("the reason why this test is ignored begins with none of {:?}", Reason::WORDS),
        );
    }
    // The rules about shipped code don't bind the tasks.
    if !file.is_test() && !file.is_in("xtask") {
        let code = shipped(tokens);
        if file.path != KEYS {
            keys(&mut findings, &code);
        }
        // An example is a program of its own.
        if !file.is_example() && !ENVIRONMENT_READERS.iter().any(|reader| file.is_in(reader)) {
            environment(&mut findings, &code);
        }
        if file.path != POD_CREATOR {
            pods(&mut findings, &code);
        }
        if file.is_in("crates/server") && file.path != OTHER_ROUTES {
            routes(&mut findings, &code, file.path == ROUTES);
        }
        if !API_CLIENTS.iter().any(|client| file.is_in(client)) {
            raw_api(&mut findings, &code);
        }
    }
    Ok(findings.found)
}

struct Findings<'a> {
    path: &'a str,
    found: Vec<String>,
}

impl Findings<'_> {
    fn add(&mut self, span: Span, message: &str) {
        self.found.push(format!("{}:{}: {message}", self.path, span.start().line));
    }
}

/// The tokens of a file in a row, without attributes (and with them documentation) and without what is compiled for tests
/// only.
pub(super) fn shipped(tokens: TokenStream) -> Vec<TokenTree> {
    let mut out = Vec::new();
    flatten(tokens, &mut out);
    out
}

fn flatten(tokens: TokenStream, out: &mut Vec<TokenTree>) {
    let mut tokens = tokens.into_iter().peekable();
    while let Some(token) = tokens.next() {
        match token {
            TokenTree::Punct(ref punct) if punct.as_char() == '#' => {
                tokens.next_if(|next| matches!(next, TokenTree::Punct(bang) if bang.as_char() == '!'));
                let attribute = tokens.next_if(|next| is_group(next, Delimiter::Bracket));
                if attribute.is_some_and(|attribute| is_cfg_test(&attribute)) {
                    // Leave out the item that follows: up to its body, or to its semicolon.
                    for token in tokens.by_ref() {
                        let ends = matches!(&token, TokenTree::Punct(punct) if punct.as_char() == ';');
                        if ends || is_group(&token, Delimiter::Brace) {
                            break;
                        }
                    }
                }
            }
            TokenTree::Group(group) => flatten(group.stream(), out),
            other => out.push(other),
        }
    }
}

fn is_group(token: &TokenTree, delimiter: Delimiter) -> bool {
    matches!(token, TokenTree::Group(group) if group.delimiter() == delimiter)
}

fn is_cfg_test(attribute: &TokenTree) -> bool {
    let text = attribute.to_string().replace(char::is_whitespace, "");
    text == "[cfg(test)]" || text.starts_with("[cfg(all(test,")
}

fn keys(findings: &mut Findings<'_>, code: &[TokenTree]) {
    for token in code {
        let TokenTree::Literal(literal) = token else { continue };
        if spells_out_a_key(&literal.to_string()) {
            findings.add(literal.span(), "a key is spelt out: use its constant of nocrd_model::keys");
        }
    }
}

/// Whether a literal holds the prefix of our keys, and not just as a part of an image name or URL.
fn spells_out_a_key(literal: &str) -> bool {
    let prefix = nocrd_model::keys::PREFIX;
    literal.match_indices(prefix).any(|(at, _)| {
        let before = literal.get(..at).and_then(|text| text.chars().next_back());
        !before.is_some_and(|c| c.is_alphanumeric() || matches!(c, '/' | '.' | '-' | '@'))
    })
}

fn environment(findings: &mut Findings<'_>, code: &[TokenTree]) {
    for window in code.windows(4) {
        let [TokenTree::Ident(module), TokenTree::Punct(_), TokenTree::Punct(_), TokenTree::Ident(function)] =
            window
        else {
            continue;
        };
        let reads = matches!(function.to_string().as_str(), "var" | "var_os" | "vars" | "vars_os");
        if module == "env" && reads {
            findings.add(function.span(), "the environment is read: only nocrd-config does that");
        }
    }
}

/// Whoever names the method, be it without calling it, could create a pod that nobody checked. Its definition is no use of
/// it.
fn pods(findings: &mut Findings<'_>, code: &[TokenTree]) {
    for window in code.windows(2) {
        let [before, TokenTree::Ident(name)] = window else { continue };
        let defines = matches!(before, TokenTree::Ident(word) if word == "fn");
        if name == "create_pod" && !defines {
            let message = format!("a pod is created: only {POD_CREATOR} does that, after all checks");
            findings.add(name.span(), &message);
        }
    }
}

/// A route that is not made from the table has no row that says who may use it. `from_table` is where they are made, and
/// where no path is written.
fn routes(findings: &mut Findings<'_>, code: &[TokenTree], from_table: bool) {
    for window in code.windows(4) {
        let [on, TokenTree::Punct(dot), TokenTree::Ident(name), argument] = window else { continue };
        let makes = ["route", "route_service", "nest", "nest_service"].iter().any(|method| name == method);
        let own = matches!(on, TokenTree::Ident(word) if word == "self");
        if dot.as_char() != '.' || !makes || own {
            continue;
        }
        if !from_table || matches!(argument, TokenTree::Literal(_)) {
            findings.add(name.span(), "a route is made past the table in crates/server/src/endpoints.rs");
        }
    }
}

/// With a client of the Kubernetes API anything can be created.
fn raw_api(findings: &mut Findings<'_>, code: &[TokenTree]) {
    let is = |token: Option<&TokenTree>, word: &str| token.is_some_and(|token| token.to_string() == word);
    for (at, token) in code.iter().enumerate() {
        let before = |back: usize| at.checked_sub(back).and_then(|at| code.get(at));
        let lent = is(Some(token), "client") && is(before(1), ".") && is(before(2), "cluster");
        if is(Some(token), "kube") || lent {
            findings
                .add(token.span(), "the Kubernetes API is called directly: use the methods of nocrd-cluster");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn findings(path: &str, text: &str) -> Vec<String> {
        check(&File { path: path.to_owned(), text: text.to_owned() }).unwrap()
    }

    #[test]
    fn keys_belong_to_the_model() {
        let text = r##"
            //! About `nogoo9/type`.
            /// Reads "nogoo9/type".
            fn f() { g("nogoo9/type", format!("label {{}} r nogoo9/x"), r#"nogoo9/y"#); }
            const IMAGE: &str = "ghcr.io/nogoo9/no-crd:1";
            const URL: &str = "pod-template://nogoo9/x";
            #[cfg(test)]
            mod tests { const T: &str = "nogoo9/type"; }
            #[cfg(test)]
            mod tests;
            const AFTER: &str = "nogoo9/z";
        "##;
        let found = findings("crates/x/src/lib.rs", text);
        assert_eq!(found.len(), 4, "{found:?}");
        assert!(found[0].starts_with("crates/x/src/lib.rs:4: a key is spelt out"), "{found:?}");
        assert!(found[3].starts_with("crates/x/src/lib.rs:11:"), "{found:?}");
        for exempt in [KEYS, "crates/x/tests/it/main.rs", "crates/x/src/plan/tests.rs", "xtask/src/main.rs"] {
            assert!(findings(exempt, text).is_empty(), "{exempt}");
        }
    }

    #[test]
    fn the_environment_belongs_to_config() {
        let text = r#"
            use std::env;
            fn f() { env::var("A"); std::env::vars(); println!("{:?}", std::env::var_os("B")); env!("C"); env::args(); }
            #[cfg(test)] mod tests { fn g() { std::env::var("D"); } }
        "#;
        assert_eq!(findings("bins/x/src/main.rs", text).len(), 3);
        for exempt in ["crates/config/src/lookup.rs", "crates/x/examples/y.rs"] {
            assert!(findings(exempt, text).is_empty(), "{exempt}");
        }
    }

    #[test]
    fn pods_are_created_after_all_checks() {
        let text = "
            fn create_pod() {}
            fn f(c: Cluster) { c.create_pod(n, p); Cluster::create_pod(&c, n, p); map(Cluster::create_pod) }
            /// See `create_pod`.
            fn g() { c.create_pods(); \"create_pod\" }
            #[cfg(test)] mod tests { fn h() { c.create_pod(n, p); } }
        ";
        for path in
            ["crates/mcp-surface/src/tools/spawn.rs", "crates/spawner/src/spawner.rs", "bins/x/src/main.rs"]
        {
            let found = findings(path, text);
            assert_eq!(found.len(), 3, "{found:?}");
            assert!(found.iter().all(|finding| finding.starts_with(&format!("{path}:3: a pod is created"))));
        }
        for exempt in [POD_CREATOR, "crates/cluster/tests/it/calls.rs", "crates/spawner/src/plan/tests.rs"] {
            assert!(findings(exempt, text).is_empty(), "{exempt}");
        }
    }

    #[test]
    fn routes_come_from_the_table() {
        let text = "
            fn f(r: Router, path: &str) {
                r.route(\"/x\", get(h));
                g().nest(\"/y\", r);
                r.route(path, m);
                self.route(request);
                route(\"/x\");
            }
        ";
        assert_eq!(findings("crates/server/src/landing.rs", text).len(), 3);
        assert_eq!(findings(ROUTES, text).len(), 2);
        for exempt in [OTHER_ROUTES, "crates/devcluster/src/server.rs", "crates/server/src/listener/tests.rs"]
        {
            assert!(findings(exempt, text).is_empty(), "{exempt}");
        }
    }

    #[test]
    fn nobody_goes_past_the_methods_of_the_cluster() {
        let text = "fn f() { let pods: kube::Api<Pod> = kube::Api::all(x.cluster().client().clone()); peer.client(); }";
        assert_eq!(findings("crates/server/src/x.rs", text).len(), 3);
        for exempt in
            ["crates/cluster/src/x.rs", "crates/devcluster/src/x.rs", "crates/spawner/tests/it/x.rs"]
        {
            assert!(findings(exempt, text).is_empty(), "{exempt}");
        }
    }

    #[test]
    fn ignored_tests_say_why() {
        let text = r#"
            #[test] #[ignore] fn a() {}
            #[test] #[ignore = "slow"] fn b() {}
            #[test] #[ignore = "needs cluster (creates pods)"] fn c() {}
        "#;
        assert_eq!(findings("crates/x/tests/it/main.rs", text).len(), 2);
    }
}
