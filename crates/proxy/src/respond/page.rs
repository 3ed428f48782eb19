//! The error page. It loads nothing and runs nothing, so that it works, and is harmless, wherever a workspace's page
//! was expected.

use std::fmt::Write as _;

use super::{Failure, retry_seconds};

const STYLE: &str = "\
:root{color-scheme:light dark;font:100%/1.5 system-ui,sans-serif}\
body{margin:0;min-height:100vh;display:grid;place-items:center;background:Canvas;color:CanvasText}\
main{box-sizing:border-box;max-width:36rem;padding:2rem}\
h1{font-size:1.5rem;line-height:1.25;margin:0 0 1rem}\
p{margin:0 0 1rem;overflow-wrap:anywhere}\
small{opacity:.75}";

/// What the page may do: use the style above, by its digest.
pub(super) const POLICY: &str = "default-src 'none'; style-src 'sha256-k+I0N6rNPnE+5v4ySrt/QRaAe+sveoPuQWWp1uVAq4A='; \
     base-uri 'none'; form-action 'none'; frame-ancestors 'self'";

pub(super) fn render(failure: &Failure<'_>) -> String {
    let status = failure.status();
    let title = status.canonical_reason().unwrap_or("Error");
    let mut page = String::with_capacity(1500);
    let _ = write!(
        page,
        "<!doctype html>\n<html lang=\"en\"><head><meta charset=\"utf-8\">\
         <meta name=\"viewport\" content=\"width=device-width,initial-scale=1\">\
         <title>{title}</title><style>{STYLE}</style></head>\n<body><main><h1>{title}</h1>\n<p>"
    );
    escape(&mut page, failure.message);
    page.push_str("</p>\n<p>");
    escape(&mut page, failure.code.remedy);
    page.push_str("</p>\n");
    if let Some(wait) = failure.retry_after {
        let seconds = retry_seconds(wait);
        let unit = if seconds == 1 { "second" } else { "seconds" };
        let _ = writeln!(page, "<p role=\"status\">This page asks again in {seconds} {unit}.</p>");
    }
    let _ = writeln!(
        page,
        "<p><small>{} · {}</small></p></main></body></html>",
        status.as_u16(),
        failure.code.id
    );
    page
}

/// Writes text so that HTML reads it as that text, in elements and in quoted attributes.
fn escape(page: &mut String, text: &str) {
    for c in text.chars() {
        match c {
            '<' => page.push_str("&lt;"),
            '>' => page.push_str("&gt;"),
            '&' => page.push_str("&amp;"),
            '"' => page.push_str("&quot;"),
            '\'' => page.push_str("&#39;"),
            c => page.push(c),
        }
    }
}

#[cfg(test)]
mod tests {
    use base64::{Engine as _, prelude::BASE64_STANDARD};
    use sha2::{Digest as _, Sha256};

    use super::*;

    #[test]
    fn the_policy_names_the_style_that_is_sent() {
        let digest = BASE64_STANDARD.encode(Sha256::digest(STYLE.as_bytes()));
        assert!(POLICY.contains(&format!("'sha256-{digest}'")), "{digest}");
    }
}
