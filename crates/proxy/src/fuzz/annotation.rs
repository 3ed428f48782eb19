use std::{collections::BTreeMap, num::NonZeroU16};

use http::{HeaderMap, HeaderValue, Method, header};
use nocrd_model::{Api, AuthMode, Protocol, Subject, Visibility, api::parse_port, keys};

use super::assert_climbs_nowhere;
use crate::{
    Pod, Target,
    headers::{self, Outside},
    path,
};

/// Any annotations of a pod, a line each: `mode=`, `token=` and `port=` stand for the workspace's, `<api>.<field>=` for those
/// of an API. What can't be meant opens nothing, and an API that is served is reached by its own path only.
pub fn annotation(input: &[u8]) {
    let Ok(input) = std::str::from_utf8(input) else { return };
    let mut annotations = BTreeMap::new();
    for line in input.lines().take(100) {
        let Some((name, value)) = line.split_once('=') else { continue };
        let key = match name {
            "mode" => keys::WORKSPACE_AUTH_MODE.to_owned(),
            "token" => keys::AUTH_REQUIRE_TOKEN.to_owned(),
            "port" => keys::WORKSPACE_PORT.to_owned(),
            field => format!("{}{field}", keys::API_PREFIX),
        };
        annotations.insert(key, value.to_owned());
    }
    mode(&annotations);
    apis(&annotations);
}

fn mode(annotations: &BTreeMap<String, String>) {
    let (mode, problems) = AuthMode::parse(annotations);
    let text = |key: &str| annotations.get(key).map_or("", String::as_str).trim().to_ascii_lowercase();
    let words = text(keys::WORKSPACE_AUTH_MODE);
    let says = |word: &str| words.split(',').any(|one| one.trim() == word);
    let token = text(keys::AUTH_REQUIRE_TOKEN);
    assert_eq!(mode.require_token, !["", "false"].contains(&&*token), "asks for less than was said");
    assert_eq!(mode.open, says("no-auth") && !mode.require_token, "open without being told to");
    assert_eq!(mode.token_api, says("token-api") && !mode.open);
    assert_eq!(mode.inject_headers, says("inject-headers"));
    assert!(!(says("no-auth") && (mode.require_token || says("token-api")) && problems.is_empty()));
    // To ask for a token never opens anything.
    let mut stricter = annotations.clone();
    stricter.insert(keys::AUTH_REQUIRE_TOKEN.to_owned(), "true".to_owned());
    let (stricter, _) = AuthMode::parse(&stricter);
    assert!(stricter.require_token && !stricter.open);
}

fn apis(annotations: &BTreeMap<String, String>) {
    let main = annotations.get(keys::WORKSPACE_PORT).and_then(|text| {
        let port = parse_port(text);
        let plain = text.trim().bytes().all(|b| b.is_ascii_digit());
        assert!(port.is_none() || plain, "a port that is no number");
        port
    });
    let (apis, problems) = Api::parse_all(annotations);
    for problem in &problems {
        assert!(!apis.iter().any(|api| problem.key.starts_with(&format!(
            "{}{}.",
            keys::API_PREFIX,
            api.name
        ))));
    }
    for api in &apis {
        assert!(!api.name.contains('.') && api.path.starts_with('/'));
        assert_climbs_nowhere(api.path.as_bytes());
        let key = format!("{}{}.visibility", keys::API_PREFIX, api.name);
        let said = annotations.get(&key).map(|text| text.trim()).filter(|text| !text.is_empty());
        let wanted = said.map_or_else(|| Visibility::default_for(&api.name), Visibility::parse);
        assert_eq!(api.visibility, wanted);
    }
    let auth = AuthMode::parse(annotations).0;
    let target = Target::new(Pod {
        uid: "u".into(),
        ip: [10, 0, 0, 1].into(),
        port: main.unwrap_or(NonZeroU16::MIN),
        protocol: Protocol::default(),
        apis: apis.clone(),
        owner: Subject::guest(),
        subfolder: false,
        auth,
    });
    for api in &apis {
        reach(&target, api, &apis, main.unwrap_or(NonZeroU16::MIN));
    }
}

/// Asks for what is below an API's path.
fn reach(target: &Target, api: &Api, apis: &[Api], main: NonZeroU16) {
    let asked = format!("{}/x", own_path(api));
    let Ok(alias) = path::lenient(&asked) else { return };
    let method = api.methods.first().filter(|method| *method != "*").map_or("GET", String::as_str);
    let Ok(method) = Method::from_bytes(method.as_bytes()) else { return };
    let Ok(found) = target.resolve(&method, &asked, alias.as_deref()) else { return };
    match found.api {
        // At the root it can't be told from the workspace.
        None => assert!(api.path == "/", "{} is taken for the workspace itself", api.path),
        Some(other) => {
            assert!(own_path(other).len() >= own_path(api).len(), "a shorter path was taken");
            assert!(apis.contains(other) && other.allows(method.as_str()));
            assert_eq!(found.port.number, other.port);
            assert!(
                other.port != main || target.has_api_at(alias.as_deref().unwrap_or(&asked)),
                "an open workspace opens {}",
                other.path
            );
            assert_eq!(found.stripped.is_empty(), other.port == main);
        }
    }
    // Its cookies are for its own path, which is a header's value as it is.
    let outside = Outside { base: "", prefix: "/route/w", stripped: found.stripped, target };
    let mut cookies = HeaderMap::new();
    cookies.insert(header::SET_COOKIE, HeaderValue::from_static("a=1; Path=/; Domain=evil.example"));
    headers::clean_response(&mut cookies, &outside, false);
    let cookie = cookies.get(header::SET_COOKIE).map(HeaderValue::as_bytes);
    let wanted = format!("a=1; Path=/route/w{}/", found.stripped);
    assert_eq!(cookie, Some(wanted.as_bytes()), "a cookie beyond the API");
}

/// Without a slash at the end.
fn own_path(api: &Api) -> &str {
    api.path.strip_suffix('/').unwrap_or(&api.path)
}
