//! Links to the next page of a list (RFC 8288).

use http::{HeaderMap, header::LINK};
use url::Url;

use crate::Reason;

/// The address of the page after that at `here`, by the answer's headers; `None` after the last. It differs from `here` in
/// the query alone: a list does not go on elsewhere, whatever path a registry behind a reverse proxy takes for its own.
pub(crate) fn next(headers: &HeaderMap, here: &Url) -> Result<Option<Url>, Reason> {
    let values = headers.get_all(LINK).iter().filter_map(|value| value.to_str().ok());
    let Some(target) = values.flat_map(targets).next() else { return Ok(None) };
    let target = here.join(target).map_err(|_| Reason::Malformed("its link to a next page is no address"))?;
    if target.origin() != here.origin() {
        return Err(Reason::Malformed("its link to a next page leads elsewhere"));
    }
    let mut next = here.clone();
    next.set_query(target.query());
    if next == *here {
        return Err(Reason::Malformed("its pages lead in a circle"));
    }
    Ok(Some(next))
}

/// The targets of the links in a header's value that have the relation `next`. What can't be read ends the value.
fn targets(value: &str) -> Vec<&str> {
    let mut found = Vec::new();
    let mut rest = value;
    while let Some((target, after)) =
        rest.trim_start_matches([' ', '\t', ',']).strip_prefix('<').and_then(|text| text.split_once('>'))
    {
        let (parameters, after) = parameters(after);
        let relations = parameters.iter().find(|(name, _)| name.eq_ignore_ascii_case("rel"));
        let is_next =
            |(_, relations): &(&str, &str)| relations.split(' ').any(|one| one.eq_ignore_ascii_case("next"));
        if relations.is_some_and(is_next) {
            found.push(target);
        }
        rest = after;
    }
    found
}

/// The parameters of a link, and what follows the link. Values are taken as they stand between quotes: no relation holds
/// an escape.
fn parameters(text: &str) -> (Vec<(&str, &str)>, &str) {
    let mut found = Vec::new();
    let mut rest = text.trim_start();
    while let Some(parameter) = rest.strip_prefix(';') {
        let parameter = parameter.trim_start();
        let end = parameter.find(['=', ';', ',']).unwrap_or(parameter.len());
        let (name, after) = parameter.split_at(end);
        let (value, after) = match after.strip_prefix('=').map(str::trim_start) {
            None => ("", after),
            Some(value) => match value.strip_prefix('"') {
                Some(quoted) => quoted.split_once('"').unwrap_or((quoted, "")),
                None => value.split_at(value.find([';', ',']).unwrap_or(value.len())),
            },
        };
        found.push((name.trim(), value.trim()));
        rest = after.trim_start();
    }
    (found, rest)
}

#[cfg(test)]
mod tests {
    use super::*;

    const HERE: &str = "https://r.example:5000/base/v2/_catalog?n=100";

    fn after(links: &[&str]) -> Result<Option<String>, Reason> {
        let mut headers = HeaderMap::new();
        for link in links {
            headers.append(LINK, link.parse().unwrap());
        }
        next(&headers, &HERE.parse().unwrap()).map(|url| url.map(String::from))
    }

    #[test]
    fn the_next_page_is_found() {
        let expected = Ok(Some("https://r.example:5000/base/v2/_catalog?last=b&n=100".to_owned()));
        for link in [
            "</base/v2/_catalog?last=b&n=100>; rel=\"next\"",
            "<https://r.example:5000/base/v2/_catalog?last=b&n=100>;rel=next",
            "<?last=b&n=100>; title=\"a, <b>; rel=x\"; Rel = \"prev NEXT\"",
            "</x>; rel=\"prev\", <_catalog?last=b&n=100>; foo; rel=\"next\"; bar",
            // What a registry takes for its path, behind a reverse proxy that adds to it.
            "</v2/_catalog?last=b&n=100>; rel=\"next\"",
        ] {
            assert_eq!(after(&[link]), expected, "{link}");
        }
        assert_eq!(after(&["<x>; rel=first", "<?last=b&n=100>; rel=next"]), expected);
    }

    #[test]
    fn the_last_page_has_none() {
        for link in
            ["", "<?x>", "<?x>; rel=prev", "?x; rel=next", "<?x; rel=next", "<?x>; title=\"; rel=next"]
        {
            assert_eq!(after(&[link]), Ok(None), "{link}");
        }
        assert_eq!(after(&[]), Ok(None));
    }

    #[test]
    fn t04_links_to_elsewhere_are_refused() {
        for target in [
            "https://evil.example/v2/_catalog?last=b",
            "//evil.example/?x",
            "http://r.example:5000/v2/_catalog?last=b",
            "https://r.example/v2/_catalog?last=b",
            "file:///etc/passwd",
            "https://[",
        ] {
            assert!(
                matches!(after(&[&format!("<{target}>; rel=next")]), Err(Reason::Malformed(_))),
                "{target}"
            );
        }
    }

    #[test]
    fn nobody_goes_in_a_circle() {
        assert!(matches!(after(&["</v2/_catalog?n=100>; rel=next"]), Err(Reason::Malformed(_))));
    }
}
