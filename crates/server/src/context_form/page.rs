//! The page as HTML: without scripts, and without anything that was given on it.

use std::fmt::Write as _;

use ::http::{HeaderName, HeaderValue, StatusCode, header};
use axum::response::{Html, IntoResponse as _, Response};
use nocrd_model::Caller;
use nocrd_proxy_core::page::escaped;

use super::{fields::Problem, question::Question};
use crate::landing::fill_in;

const TEMPLATE: &str = include_str!("page.html");
/// The page loads nothing, and its form leads back to where it came from. Its style is allowed by its digest, which is that of
/// the text between the style tags.
const POLICY: &str = "default-src 'none'; style-src 'sha256-AGUH3Pqv8mnKu/be2NXH8L6hWE3RB+D75arKuJtkvSk='; base-uri 'none'; form-action 'self'; frame-ancestors 'none'";
/// What a browser sends with the form tells where it comes from only under such a policy: with `no-referrer` it would call its
/// origin `null`. No other site learns of the address either way.
const FORM_REFERRER: HeaderValue = HeaderValue::from_static("same-origin");
const REFERRER: HeaderValue = HeaderValue::from_static("no-referrer");

fn answer(status: StatusCode, referrer: HeaderValue, heading: &str, product: &str, body: String) -> Response {
    let fields: [(HeaderName, HeaderValue); 5] = [
        (header::CONTENT_SECURITY_POLICY, HeaderValue::from_static(POLICY)),
        (header::X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff")),
        (header::X_FRAME_OPTIONS, HeaderValue::from_static("DENY")),
        (header::REFERRER_POLICY, referrer),
        (header::CACHE_CONTROL, HeaderValue::from_static("no-store")),
    ];
    let values = [("{{heading}}", escaped(heading)), ("{{product}}", escaped(product)), ("{{body}}", body)];
    (status, fields, Html(fill_in(TEMPLATE, &values))).into_response()
}

/// The form, with what was wrong the last time. `visitor` is whoever has signed in.
pub(super) fn form(
    product: &str,
    question: &Question,
    visitor: Option<&Caller>,
    problems: &[Problem],
) -> Response {
    let mut body = summary(question, problems);
    let _ = writeln!(
        body,
        "<p>An MCP client called a tool of {} in your name. The template requires values that were not given with the \
         call, and that are not for the client or the model behind it to see. They become environment variables of \
         what is started, where whatever runs there can read them.</p>",
        escaped(product)
    );
    body.push_str("<dl>");
    let told = [
        ("What was asked for", Some(question.title.as_str())),
        ("Template", question.template.as_deref()),
        ("Name", question.name.as_deref()),
        ("Signed in as", visitor.map(|caller| caller.subject.as_str())),
    ];
    for (term, value) in told {
        if let Some(value) = value {
            let _ = write!(body, "<dt>{term}</dt><dd>{}</dd>", escaped(value));
        }
    }
    body.push_str("</dl>\n<p>If you did not ask for this, close the page: nothing is started.</p>\n");
    body.push_str("<form method=\"post\" autocomplete=\"off\">\n");
    for (n, name) in question.names.iter().enumerate() {
        let problem = problems.iter().find(|problem| problem.field == Some(n));
        let described = problem.map(|_| format!(" aria-invalid=\"true\" aria-describedby=\"p{n}\""));
        let name = escaped(name);
        let _ = write!(
            body,
            "<p><label for=\"v{n}\">{name}</label><input id=\"v{n}\" name=\"{name}\" type=\"password\" required \
             autocomplete=\"off\" autocapitalize=\"off\" spellcheck=\"false\"{}>",
            described.unwrap_or_default()
        );
        if let Some(problem) = problem {
            let _ = write!(body, "<span class=\"problem\" id=\"p{n}\">{}</span>", escaped(problem.text));
        }
        body.push_str("</p>\n");
    }
    body.push_str("<button>Give these values</button>\n</form>\n");
    let status = if problems.is_empty() { StatusCode::OK } else { StatusCode::UNPROCESSABLE_ENTITY };
    answer(status, FORM_REFERRER, "Values for your call", product, body)
}

/// What was wrong, before everything else.
fn summary(question: &Question, problems: &[Problem]) -> String {
    if problems.is_empty() {
        return String::new();
    }
    let mut list = String::from("<div class=\"errors\" role=\"alert\"><h2>Nothing was taken</h2><ul>");
    for problem in problems {
        let field = problem.field.and_then(|n| Some((n, question.names.get(n)?)));
        let _ = match field {
            Some((n, name)) => {
                write!(list, "<li><a href=\"#v{n}\">{}</a>: {}</li>", escaped(name), escaped(problem.text))
            }
            None => write!(list, "<li>{}</li>", escaped(problem.text)),
        };
    }
    list.push_str("</ul><p>Give all values again: the server shows none of them.</p></div>\n");
    list
}

/// What is left to say.
pub(super) fn taken(product: &str) -> Response {
    let body = "<p>The call goes on with them. You may close this page.</p>\n".to_owned();
    answer(StatusCode::OK, REFERRER, "The values were taken", product, body)
}

#[cfg(test)]
mod tests {
    use base64::{Engine as _, prelude::BASE64_STANDARD};
    use sha2::{Digest as _, Sha256};

    use super::*;

    #[test]
    fn the_policy_allows_the_style_that_is_sent() {
        let style = TEMPLATE.split_once("<style>").unwrap().1.split_once("</style>").unwrap().0;
        let digest = BASE64_STANDARD.encode(Sha256::digest(style.as_bytes()));
        assert!(POLICY.contains(&format!("'sha256-{digest}'")), "{digest}");
    }
}
