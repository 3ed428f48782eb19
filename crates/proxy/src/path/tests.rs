use proptest::prelude::*;

use super::*;

fn base(text: &str) -> BasePath {
    BasePath::parse(text).unwrap()
}

fn read(path: &str) -> Result<(String, &str), Error> {
    parse(&base(""), path).map(|route| (route.id.to_string(), route.rest))
}

#[test]
fn takes_routes_apart() {
    assert_eq!(read("/route/a").unwrap(), ("a".into(), ""));
    assert_eq!(read("/route/a/").unwrap(), ("a".into(), "/"));
    assert_eq!(read("/route/a/x/y.js").unwrap(), ("a".into(), "/x/y.js"));
    assert_eq!(read("/route/a//x").unwrap(), ("a".into(), "//x"));
    let gateway = base("/gw/x");
    assert_eq!(parse(&gateway, "/gw/x/route/a/b").unwrap().rest, "/b");
    for other in ["/route/a", "/gw/route/a", "/gw/xroute/a", "/gw/x/x/route/a"] {
        assert!(matches!(parse(&gateway, other), Err(Error::RouteNotFound)), "{other}");
    }
    for other in
        ["", "*", "/", "/route", "/route/", "/route//a", "/routes/a", "/Route/a", "//route/a", "/%72oute/a"]
    {
        assert!(matches!(read(other), Err(Error::RouteNotFound)), "{other}");
    }
}

#[test]
fn t34_the_id_is_taken_literally() {
    assert_eq!(read("/route/ab/x").unwrap().0, "ab");
    for (path, id) in
        [("/route/a%62/", "a%62"), ("/route/A/", "A"), ("/route/a.b/", "a.b"), ("/route/a;x/", "a;x")]
    {
        match read(path) {
            Err(Error::InvalidWorkspaceId(invalid)) => assert_eq!(invalid.value, id),
            other => panic!("{path}: {other:?}"),
        }
    }
    for dots in [
        "/route/..",
        "/route/../",
        "/route/./x",
        "/route/%2e%2e/x",
        "/route/..;x/",
        "/route/..%2fa",
        "/route/a\\b",
    ] {
        assert!(matches!(read(dots), Err(Error::InvalidPath(_))), "{dots}");
    }
}

#[test]
fn t33_d14_paths_that_can_be_read_in_two_ways_are_refused() {
    use Problem::{Backslash, BadEscape, Control, DotSegment, NotUtf8, TooDeep};
    for (rest, problem) in [
        ("/..", DotSegment),
        ("/../x", DotSegment),
        ("/x/..", DotSegment),
        ("/x/../y", DotSegment),
        ("/.", DotSegment),
        ("/./x", DotSegment),
        ("/%2e%2e/x", DotSegment),
        ("/%2E%2e", DotSegment),
        ("/.%2e/x", DotSegment),
        ("/%2e", DotSegment),
        ("/%252e%252e/x", DotSegment),
        ("/%25252e%25252E", DotSegment),
        ("/.%252e/x", DotSegment),
        ("/..%2fx", DotSegment),
        ("/x%2f..", DotSegment),
        ("/x%2f%2e%2e%2fy", DotSegment),
        ("/x%252f..%252fy", DotSegment),
        ("/..;/x", DotSegment),
        ("/..;a=b/x", DotSegment),
        ("/.;/x", DotSegment),
        ("/%2e%2e%3bx/y", DotSegment),
        ("/x\\y", Backslash),
        ("/x/\\..\\..\\y", Backslash),
        ("/x%5cy", Backslash),
        ("/x%5C..", Backslash),
        ("/x%255cy", Backslash),
        ("/x%00", Control),
        ("/x%0d%0aSet-Cookie:%20a", Control),
        ("/x%1f", Control),
        ("/x%7f", Control),
        ("/x%2500", Control),
        ("/x%", BadEscape),
        ("/x%2", BadEscape),
        ("/x%zz", BadEscape),
        ("/x%u002e", BadEscape),
        ("/x%+2e", BadEscape),
        ("/%c0%ae%c0%ae/x", NotUtf8),
        ("/%c0%af", NotUtf8),
        ("/%e0%80%ae", NotUtf8),
        ("/%ff", NotUtf8),
        ("/%ed%a0%80", NotUtf8),
        ("/%25c0%25ae", NotUtf8),
        ("/%25252525252525252525252541", TooDeep),
    ] {
        let path = format!("/route/a{rest}");
        match read(&path) {
            Err(Error::InvalidPath(found)) => assert_eq!(found, problem, "{rest}"),
            other => panic!("{rest}: {other:?}"),
        }
    }
}

#[test]
fn t33_what_means_nothing_but_to_the_program_behind_passes() {
    for rest in [
        "//",
        "//x",
        "/x//y",
        "/x/",
        "/...",
        "/.well-known/x",
        "/..x",
        "/x..",
        "/a.b/.c",
        "/x;v=1",
        "/x%20y",
        "/%E2%82%AC",
        "/€",
        "/x%2fy",
        "/@scope%2fpkg",
        "/100%25",
        "/%2561",
        "/a:b@c",
        "/~x",
        "/x%3fy",
        "/x%23y",
        "/*",
        "/:",
    ] {
        let path = format!("/route/a{rest}");
        assert_eq!(read(&path).unwrap_or_else(|e| panic!("{rest}: {e}")).1, rest);
    }
}

#[test]
fn the_most_lenient_reading() {
    for (path, reading) in [
        ("/x/y", None),
        ("/x/", None),
        ("", None),
        ("/x//y", Some("/x/y")),
        ("/%78", Some("/x")),
        ("/%2578;a/;b/y%2fz;c/", Some("/x/y/z")),
        ("//", Some("")),
        ("/.x", Some("/.x")),
    ] {
        assert_eq!(lenient(path).unwrap().as_deref(), reading, "{path}");
    }
}

proptest! {
    #[test]
    fn parsing_never_panics_and_never_changes_the_path(path in "(/route/)?[a-c/.%;\\\\250eEfF\\PC]{0,40}") {
        if let Ok(route) = parse(&base(""), &path) {
            prop_assert_eq!(format!("/route/{}{}", route.id, route.rest), path);
        }
    }

    /// The path that was matched is the path that is forwarded: cut off in front, else byte for byte.
    #[test]
    fn t33_what_is_forwarded_is_what_was_matched(
        base in prop::sample::select(vec!["", "/gw"]),
        rest in "(/(x|term|stats|%74|[a-c.;%2fE5]{0,4})){0,5}",
        query in "(\\?[a-z%/.?]{0,8})?",
    ) {
        let whole = format!("{base}/route/w{rest}{query}");
        let uri: http::Uri = whole.parse().unwrap();
        if let Ok(route) = parse(&BasePath::parse(base).unwrap(), uri.path()) {
            let target = two_apis();
            if let Ok(to) = target.resolve(&http::Method::GET, route.rest, route.alias.as_deref()) {
                let cut = uri.path().len() - route.rest.len() + to.stripped.len();
                let forwarded = forwarded(&whole, cut, "").unwrap();
                let slash = if route.rest.len() == to.stripped.len() { "/" } else { "" };
                let after = format!("{slash}{}", &rest[to.stripped.len()..]);
                prop_assert_eq!(forwarded.as_str(), format!("{after}{query}"));
                prop_assert!(rest.starts_with(to.stripped));
                // Every reading of it belongs to the same API.
                let lenient = lenient(&rest).unwrap().unwrap_or_else(|| rest.clone());
                let is_term = lenient == "/term" || lenient.starts_with("/term/");
                let is_stats = lenient == "/stats" || lenient.starts_with("/stats/");
                let name = to.api.map(|api| api.name.as_str());
                prop_assert_eq!(name, if is_term { Some("t") } else if is_stats { Some("s") } else { None });
            }
        }
    }

    /// What passes holds no dot segment however it is decoded.
    #[test]
    fn no_accepted_path_climbs(rest in "(/[.%25eE2fFa;]{0,8}){0,4}") {
        if lenient(&rest).is_ok() {
            let mut text = rest.clone();
            for _ in 0..20 {
                for segment in text.split(['/', '\\']) {
                    let bare = segment.split(';').next().unwrap();
                    prop_assert!(bare != "." && bare != "..", "{} as {}", rest, text);
                }
                text = decode_independently(&text);
            }
        }
    }
}

/// A pod with `/term` on a port of its own, and `/stats` on the workspace's.
fn two_apis() -> crate::Target {
    let key = |name: &str, field: &str| format!("{}{name}.{field}", nocrd_model::keys::API_PREFIX);
    let annotations = [("t", "7681", "/term"), ("s", "3000", "/stats")]
        .into_iter()
        .flat_map(|(name, port, path)| {
            [(key(name, "port"), port.to_owned()), (key(name, "path"), path.to_owned())]
        })
        .collect();
    crate::Target::new(crate::Pod {
        uid: "u".into(),
        ip: [10, 0, 0, 1].into(),
        port: 3000.try_into().unwrap(),
        apis: nocrd_model::Api::parse_all(&annotations).0,
        owner: nocrd_model::Subject::guest(),
        protocol: nocrd_model::Protocol::Http,
        subfolder: false,
        auth: nocrd_model::AuthMode::default(),
    })
}

/// Another decoder than the one under test.
fn decode_independently(text: &str) -> String {
    let mut parts = text.split('%');
    let mut out = parts.next().unwrap().to_owned();
    for part in parts {
        match part.get(..2).and_then(|hex| u8::from_str_radix(hex, 16).ok().filter(|_| !hex.starts_with('+')))
        {
            Some(byte) => {
                out.push(char::from(byte));
                out.push_str(&part[2..]);
            }
            None => {
                out.push('%');
                out.push_str(part);
            }
        }
    }
    out
}
