//! Headers on their way to a client.

use http::{HeaderMap, HeaderName, header};

use super::{Outside, cookies, csp, location, remove_hop_by_hop_and};

/// Headers that speak for the whole site, or to a reverse proxy in front of this one. A workspace is one path of a site
/// it shares with the dashboard and with other people's workspaces.
const NOT_FOR_A_WORKSPACE: [HeaderName; 11] = [
    // Deletes cookies, caches and storage of the whole site.
    HeaderName::from_static("clear-site-data"),
    // Lets a workspace's script answer for paths above its own.
    HeaderName::from_static("service-worker-allowed"),
    // Send the site's later visitors elsewhere, or keep them from http.
    header::ALT_SVC,
    header::STRICT_TRANSPORT_SECURITY,
    header::PUBLIC_KEY_PINS,
    // Report every request of the site to a collector.
    HeaderName::from_static("nel"),
    HeaderName::from_static("report-to"),
    // Orders to a web server in front: serve that file, ask that address instead.
    HeaderName::from_static("x-accel-redirect"),
    HeaderName::from_static("x-sendfile"),
    HeaderName::from_static("x-reproxy-url"),
    // The user's own token, which a program may echo.
    HeaderName::from_static("x-workspace-jwt"),
];

/// Narrows what a workspace says to what is its own.
/// `guest` tells that the workspace is not the visitor's own.
pub(crate) fn clean_response(headers: &mut HeaderMap, outside: &Outside<'_>, guest: bool) {
    remove_hop_by_hop_and(headers, |name| NOT_FOR_A_WORKSPACE.contains(name));
    cookies::narrow_response(headers, outside);
    location::rewrite(headers, outside);
    csp::own_frames(headers);
    if guest {
        csp::sandbox(headers);
    }
}

/// The same for trailers, where nothing is narrowed: what would have to be is dropped.
pub(crate) fn clean_response_trailers(trailers: &mut HeaderMap) {
    const TO_BE_NARROWED: [HeaderName; 3] = [header::SET_COOKIE, header::LOCATION, header::CONTENT_LENGTH];
    remove_hop_by_hop_and(trailers, |name| {
        NOT_FOR_A_WORKSPACE.contains(name) || TO_BE_NARROWED.contains(name)
    });
}

#[cfg(test)]
mod tests {
    use super::{super::location::tests::target, *};

    #[test]
    fn t28_a_workspace_cannot_speak_for_the_site() {
        let target = target(&[]);
        let outside = Outside { base: "", prefix: "/route/a", stripped: "", target: &target };
        let mut headers = HeaderMap::new();
        for name in
            NOT_FOR_A_WORKSPACE.iter().map(HeaderName::as_str).chain(["connection", "keep-alive", "upgrade"])
        {
            headers.append(HeaderName::try_from(name).unwrap(), "x-hop".parse().unwrap());
        }
        for kept in ["content-type", "etag", "x-accel-buffering", "access-control-allow-origin"] {
            headers.insert(kept, "v".parse().unwrap());
        }
        headers.insert("x-hop", "v".parse().unwrap());
        clean_response(&mut headers, &outside, false);
        let mut left: Vec<_> = headers.keys().map(HeaderName::as_str).collect();
        left.sort_unstable();
        assert_eq!(
            left,
            [
                "access-control-allow-origin",
                "content-security-policy",
                "content-type",
                "etag",
                "x-accel-buffering"
            ]
        );
    }

    #[test]
    fn trailers_pass_but_for_what_would_speak_for_the_site() {
        let mut trailers = HeaderMap::new();
        for name in ["x-checksum", "grpc-status", "set-cookie", "clear-site-data", "transfer-encoding"] {
            trailers.insert(name, "v".parse().unwrap());
        }
        clean_response_trailers(&mut trailers);
        let mut left: Vec<_> = trailers.keys().map(HeaderName::as_str).collect();
        left.sort_unstable();
        assert_eq!(left, ["grpc-status", "x-checksum"]);
    }
}
