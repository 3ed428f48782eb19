use http::{Method, Uri};
use nocrd_model::{Api, AuthMode, Protocol, Subject, WorkspaceId, keys};

use super::assert_climbs_nowhere;
use crate::{
    BasePath, Pod, Target,
    path::{self, Route},
};

/// An API of the pod that requests go to: name, port, path, methods.
type Declared = (&'static str, u16, &'static str, &'static str);

const MAIN: u16 = 3000;
const APIS: [Declared; 5] = [
    ("term", 7681, "/term", ""),
    ("log", 7682, "/term/log/", ""),
    ("stats", MAIN, "/stats", ""),
    ("admin", MAIN, "/stats/admin", ""),
    ("posts", 9000, "/posts", "POST"),
];

/// Any target of a request: refused, or what was matched is what is forwarded, byte for byte, and no reader of it ends up
/// elsewhere.
pub fn path(input: &[u8]) {
    let Ok(uri) = Uri::try_from(input) else { return };
    let target = pod();
    for base in ["", "/gw"] {
        let Ok(base) = BasePath::parse(base) else { return };
        let Ok(route) = path::parse(&base, uri.path()) else { continue };
        assert!(path::is_route(&base, uri.path()));
        assert!(WorkspaceId::parse(route.id.as_str()).is_ok());
        let prefix = format!("{}/route/{}", base.as_str(), route.id);
        assert_eq!(uri.path(), format!("{prefix}{}", route.rest), "parsing changed the path");
        assert_climbs_nowhere(route.rest.as_bytes());
        // An API on the workspace's own port is one by any method.
        let lenient = most_lenient(route.rest.as_bytes());
        if APIS.iter().any(|api| api.1 == MAIN && begins(&lenient, api)) {
            assert!(target.has_api_at(route.alias.as_deref().unwrap_or(route.rest)));
        }
        for method in [Method::GET, Method::POST] {
            check(&target, &uri, &route, &prefix, &method);
        }
    }
}

fn check(target: &Target, uri: &Uri, route: &Route<'_>, prefix: &str, method: &Method) {
    let Ok(found) = target.resolve(method, route.rest, route.alias.as_deref()) else { return };
    // Who decodes and merges all there is comes to the same API.
    let lenient = most_lenient(route.rest.as_bytes());
    let named = found.api.map(|api| api.name.as_str());
    assert_eq!(named, api_at(&lenient, method), "another reader ends up at another API");

    assert_eq!(
        route.rest.strip_prefix(found.stripped).map(|rest| rest.is_empty() || rest.starts_with('/')),
        Some(true)
    );
    let kept = route.rest.get(found.stripped.len()..).unwrap_or_default();
    let query = uri.query().map_or(String::new(), |query| format!("?{query}"));
    let whole = uri.path_and_query().map_or("", |whole| whole.as_str());
    for front in ["", "/route/w"] {
        let forwarded = path::forwarded(whole, prefix.len() + found.stripped.len(), front);
        assert!(forwarded.is_ok(), "what was let in can't be forwarded");
        let Ok(forwarded) = forwarded else { return };
        let slash = if kept.starts_with('/') { "" } else { "/" };
        assert_eq!(forwarded.as_str(), format!("{front}{slash}{kept}{query}"), "the path was changed");
        assert_climbs_nowhere(forwarded.path().as_bytes());
    }
}

/// Everything decoded, parameters cut off, empty segments left out.
fn most_lenient(path: &[u8]) -> Vec<u8> {
    let mut text = path.to_vec();
    loop {
        let next = super::decoded(&text);
        if next == text {
            break;
        }
        text = next;
    }
    let mut out = Vec::new();
    for segment in text.split(|b| *b == b'/') {
        let bare = segment.split(|b| *b == b';').next().unwrap_or_default();
        if !bare.is_empty() {
            out.push(b'/');
            out.extend_from_slice(bare);
        }
    }
    out
}

/// The API whose path is the longest that begins this one.
fn api_at(path: &[u8], method: &Method) -> Option<&'static str> {
    let fits = |api: &&Declared| api.3.is_empty() || api.3 == method.as_str();
    let found = APIS.iter().filter(|api| begins(path, api)).filter(fits);
    found.max_by_key(|api| api.2.trim_end_matches('/').len()).map(|api| api.0)
}

fn begins(path: &[u8], api: &Declared) -> bool {
    let own = api.2.trim_end_matches('/').as_bytes();
    path.strip_prefix(own).is_some_and(|rest| rest.is_empty() || rest.starts_with(b"/"))
}

fn pod() -> Target {
    let annotations = APIS
        .into_iter()
        .flat_map(|(name, port, path, methods)| {
            [("port", port.to_string()), ("path", path.to_owned()), ("method", methods.to_owned())]
                .map(|(field, value)| (format!("{}{name}.{field}", keys::API_PREFIX), value))
        })
        .collect();
    Target::new(Pod {
        uid: "u".into(),
        ip: [10, 0, 0, 1].into(),
        port: MAIN.try_into().unwrap_or(std::num::NonZeroU16::MIN),
        protocol: Protocol::default(),
        apis: Api::parse_all(&annotations).0,
        owner: Subject::guest(),
        subfolder: false,
        auth: AuthMode::default(),
    })
}
