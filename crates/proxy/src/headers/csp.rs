//! Who may show a workspace's pages in a frame: this site, for the dashboard's inline view, and nobody else.

use http::{HeaderMap, HeaderValue, header};

const DIRECTIVE: &[u8] = b"frame-ancestors";
const ONLY_THIS_SITE: &str = "frame-ancestors 'self'";

/// Replaces what the program says about frames, in `X-Frame-Options` or in the policies it sends; what else these
/// policies say stays. Policies that are only reported are left alone.
pub(super) fn own_frames(headers: &mut HeaderMap) {
    headers.remove(header::X_FRAME_OPTIONS);
    let mut said = false;
    if let header::Entry::Occupied(mut entry) = headers.entry(header::CONTENT_SECURITY_POLICY) {
        for value in entry.iter_mut() {
            if let Some(replaced) = replace(value.as_bytes()) {
                said = true;
                *value = replaced;
            }
        }
    }
    if !said {
        headers.append(header::CONTENT_SECURITY_POLICY, HeaderValue::from_static(ONLY_THIS_SITE));
    }
}

/// A list of policies with its `frame-ancestors` directives replaced; `None` when it has none.
fn replace(policies: &[u8]) -> Option<HeaderValue> {
    let mut found = false;
    let mut out = Vec::with_capacity(policies.len() + ONLY_THIS_SITE.len());
    for (at, policy) in policies.split(|b| *b == b',').enumerate() {
        if at > 0 {
            out.push(b',');
        }
        for (at, directive) in policy.split(|b| *b == b';').enumerate() {
            if at > 0 {
                out.push(b';');
            }
            let name = directive.trim_ascii().split(u8::is_ascii_whitespace).next().unwrap_or_default();
            if name.eq_ignore_ascii_case(DIRECTIVE) {
                found = true;
                if at > 0 {
                    out.push(b' ');
                }
                out.extend_from_slice(ONLY_THIS_SITE.as_bytes());
            } else {
                out.extend_from_slice(directive);
            }
        }
    }
    found.then(|| HeaderValue::from_bytes(&out).ok()).flatten()
}

/// What a page of somebody else's workspace may do: run, but not as a part of this site. Without `allow-same-origin` its
/// scripts reach neither the user's own workspaces nor the dashboard.
const SANDBOX: HeaderValue =
    HeaderValue::from_static("sandbox allow-downloads allow-forms allow-modals allow-popups allow-scripts");

/// Shuts the page in: policies add up, so that none of the program's own can widen this one.
pub(super) fn sandbox(headers: &mut HeaderMap) {
    headers.append(header::CONTENT_SECURITY_POLICY, SANDBOX);
}

#[cfg(test)]
mod tests {
    use super::*;

    fn policies(values: &[&str]) -> Vec<String> {
        let mut headers = HeaderMap::new();
        headers.insert(header::X_FRAME_OPTIONS, "DENY".parse().unwrap());
        for value in values {
            headers.append(header::CONTENT_SECURITY_POLICY, value.parse().unwrap());
        }
        own_frames(&mut headers);
        assert!(!headers.contains_key(header::X_FRAME_OPTIONS));
        headers
            .get_all(header::CONTENT_SECURITY_POLICY)
            .iter()
            .map(|v| v.to_str().unwrap().to_owned())
            .collect()
    }

    #[test]
    fn t27_frames_are_for_this_site_only() {
        assert_eq!(policies(&[]), [ONLY_THIS_SITE]);
        assert_eq!(policies(&["frame-ancestors 'none'"]), [ONLY_THIS_SITE]);
        assert_eq!(
            policies(&["default-src 'self'; Frame-Ancestors\thttps://evil.example *;img-src *"]),
            ["default-src 'self'; frame-ancestors 'self';img-src *"]
        );
        assert_eq!(policies(&["img-src *, frame-ancestors *"]), ["img-src *,frame-ancestors 'self'"]);
        assert_eq!(policies(&["default-src 'self'"]), ["default-src 'self'", ONLY_THIS_SITE]);
        assert_eq!(policies(&["a b", "frame-ancestors *"]), ["a b", ONLY_THIS_SITE]);
        assert_eq!(policies(&["frame-ancestorsx *"]), ["frame-ancestorsx *", ONLY_THIS_SITE]);
    }
}
