//! Pages that load nothing and run nothing, so that they work, and are harmless, wherever a workspace's page was expected:
//! the error page, and what else is told in the same form.

use std::{cmp::Ordering, fmt::Write as _};

use super::{Failure, retry_seconds};
use crate::Progress;

const STYLE: &str = "\
:root{color-scheme:light dark;font:100%/1.5 system-ui,sans-serif}\
body{margin:0;min-height:100vh;display:grid;place-items:center;background:Canvas;color:CanvasText}\
main{box-sizing:border-box;max-width:36rem;padding:2rem}\
h1{font-size:1.5rem;line-height:1.25;margin:0 0 1rem}\
p{margin:0 0 1rem;overflow-wrap:anywhere}\
small{opacity:.75}\
ol{margin:0 0 1rem;padding:0;list-style:none;border-left:2px solid}\
li{padding:.25rem 0 .25rem 1rem;opacity:.75}\
li[aria-current]{opacity:1;font-weight:600;border-left:.25rem solid;padding-left:.75rem}\
.ways{display:flex;flex-wrap:wrap;gap:.75rem;margin:1.5rem 0}\
.ways>*{font:inherit;color:inherit;background:none;border:1px solid;border-radius:.25rem;padding:.5rem 1rem;\
text-decoration:none;cursor:pointer}\
.ways>:first-child{background:CanvasText;border-color:CanvasText;color:Canvas}";

/// The source in a `Content-Security-Policy` that allows the style of these pages, by its digest.
pub const STYLE_SOURCE: &str = "'sha256-YgEjDnyrBDMRLx2/pUfouNDXE0+TLmtCX17R1EKdOac='";

/// What an error page may do: use the style above.
pub(super) const POLICY: &str = "default-src 'none'; style-src 'sha256-YgEjDnyrBDMRLx2/pUfouNDXE0+TLmtCX17R1EKdOac='; \
     base-uri 'none'; form-action 'none'; frame-ancestors 'self'";

/// What an error page offers besides what its code says.
#[derive(Debug, Clone, Copy, Default)]
pub struct Offer<'a> {
    /// Its heading, in place of the status' name.
    pub title: Option<&'a str>,
    /// What to do next, in place of the code's own advice.
    pub advice: Option<&'a str>,
    /// Where to go on: a text and an address. A page that offers a way does not ask again by itself.
    pub ways: &'a [(&'a str, &'a str)],
}

pub(super) fn render(failure: &Failure<'_>, offer: &Offer<'_>) -> String {
    let status = failure.status();
    let own = failure.progress.map(|_| "The workspace is starting");
    let title = offer.title.or(own).or(status.canonical_reason()).unwrap_or("Error");
    let mut body = format!("<p>{}</p>\n", escaped(failure.message));
    match failure.progress {
        Some(progress) => body.push_str(&steps(progress)),
        None => {
            let _ = writeln!(body, "<p>{}</p>", escaped(offer.advice.unwrap_or(failure.code.remedy)));
        }
    }
    if !offer.ways.is_empty() {
        body.push_str("<p class=\"ways\">");
        for (text, address) in offer.ways {
            let _ = write!(body, "<a href=\"{}\">{}</a>", escaped(address), escaped(text));
        }
        body.push_str("</p>\n");
    } else if let Some(wait) = failure.retry_after {
        let wait = in_words(retry_seconds(wait));
        let then =
            if failure.progress.is_some() { ", and shows the workspace as soon as it is ready" } else { "" };
        let _ = writeln!(body, "<p role=\"status\">This page asks again in {wait}{then}.</p>");
    }
    let _ = writeln!(body, "<p><small>{} · {}</small></p>", status.as_u16(), failure.code.id);
    framed(title, &body)
}

/// The steps of a start, those that are done, and the one under way.
fn steps(progress: &Progress) -> String {
    let mut list = String::from("<ol>");
    for (at, step) in progress.steps.iter().enumerate() {
        let (attribute, mark) = match at.cmp(&progress.at) {
            Ordering::Less => ("", "✓ "),
            Ordering::Equal => (" aria-current=\"step\"", ""),
            Ordering::Greater => ("", ""),
        };
        let _ = write!(list, "<li{attribute}>{mark}{}</li>", escaped(step));
    }
    let _ = writeln!(list, "</ol>\n<p>It began {} ago.</p>", in_words(progress.elapsed().as_secs()));
    list
}

/// A time for people.
fn in_words(seconds: u64) -> String {
    let (count, unit) = if seconds < 120 { (seconds, "second") } else { (seconds / 60, "minute") };
    format!("{count} {unit}{}", if count == 1 { "" } else { "s" })
}

/// A page with this heading, and `body` below it, which is HTML. [`STYLE_SOURCE`] lets browsers apply its style; in a
/// paragraph or form of the class `ways`, links and buttons are laid out as the page's actions, the first one as its main.
#[must_use]
pub fn framed(title: &str, body: &str) -> String {
    let title = escaped(title);
    format!(
        "<!doctype html>\n<html lang=\"en\"><head><meta charset=\"utf-8\">\
         <meta name=\"viewport\" content=\"width=device-width,initial-scale=1\">\
         <title>{title}</title><style>{STYLE}</style></head>\n<body><main><h1>{title}</h1>\n{body}</main></body></html>\n"
    )
}

/// Text so that HTML reads it as that text, in elements and in quoted attributes.
#[must_use]
pub fn escaped(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '&' => out.push_str("&amp;"),
            '"' => out.push_str("&quot;"),
            '\'' => out.push_str("&#39;"),
            c => out.push(c),
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use base64::{Engine as _, prelude::BASE64_STANDARD};
    use sha2::{Digest as _, Sha256};

    use super::*;

    #[test]
    fn the_policy_names_the_style_that_is_sent() {
        let digest = BASE64_STANDARD.encode(Sha256::digest(STYLE.as_bytes()));
        assert_eq!(STYLE_SOURCE, format!("'sha256-{digest}'"));
        assert!(POLICY.contains(STYLE_SOURCE), "{digest}");
    }

    #[test]
    fn a_page_offers_ways_on_and_stays_where_it_is() {
        let failure = Failure {
            code: nocrd_model::error::UNAUTHENTICATED,
            message: "<b>",
            retry_after: Some(std::time::Duration::from_secs(5)),
            progress: None,
        };
        let ways = [("Sign in", "/auth/login?a=1&b=\"x\"")];
        let offer = Offer { title: Some("Not <you>"), advice: Some("Do & don't"), ways: &ways };
        let page = render(&failure, &offer);
        for part in [
            "<h1>Not &lt;you&gt;</h1>",
            "<p>&lt;b&gt;</p>",
            "<p>Do &amp; don&#39;t</p>",
            "<a href=\"/auth/login?a=1&amp;b=&quot;x&quot;\">Sign in</a>",
        ] {
            assert!(page.contains(part), "{part}: {page}");
        }
        assert!(!page.contains("asks again") && !page.contains(failure.code.remedy), "{page}");
        let plain = render(&failure, &Offer::default());
        assert!(plain.contains("asks again in 5 seconds") && plain.contains(failure.code.remedy), "{plain}");
    }

    #[test]
    fn a_start_shows_how_far_it_is() {
        use std::time::{Duration, SystemTime};
        let since = SystemTime::now() - Duration::from_secs(200);
        let progress = Progress { steps: &["Find", "Fetch <it>", "Start"], at: 1, since };
        let failure = Failure {
            code: nocrd_model::error::WORKSPACE_NOT_READY,
            message: "it pulls",
            retry_after: Some(Duration::from_secs(1)),
            progress: Some(&progress),
        };
        let page = render(&failure, &Offer::default());
        for part in [
            "<h1>The workspace is starting</h1>",
            "<li>✓ Find</li><li aria-current=\"step\">Fetch &lt;it&gt;</li><li>Start</li>",
            "It began 3 minutes ago",
            "asks again in 1 second, and shows the workspace as soon as it is ready",
        ] {
            assert!(page.contains(part), "{part}: {page}");
        }
        assert!(!page.contains(failure.code.remedy), "{page}");
        // A clock ahead of ours is no failure.
        let early = Progress { since: SystemTime::now() + Duration::from_secs(60), ..progress };
        assert!(steps(&early).contains("0 seconds ago"));
    }
}
