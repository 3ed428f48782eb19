use serde_json::{Value, json};
use wiremock::{
    Mock, MockServer, Request, ResponseTemplate,
    matchers::{basic_auth, header, method, path, query_param, query_param_is_missing},
};

use super::*;

const SECRET: &str = "s3cret-v4lue";

fn config(server: &MockServer) -> Config {
    Config::new(server.uri().parse().unwrap())
}

fn registry(server: &MockServer) -> Registry {
    Registry::new(config(server)).unwrap()
}

fn credentials() -> Option<Credentials> {
    Some(Credentials { username: "reader".to_owned(), password: SECRET.into() })
}

fn catalogue(names: &[&str]) -> ResponseTemplate {
    ResponseTemplate::new(200).set_body_json(json!({ "repositories": names }))
}

fn tags(tags: &[&str]) -> ResponseTemplate {
    ResponseTemplate::new(200).set_body_json(json!({ "name": "x", "tags": tags }))
}

async fn answers(server: &MockServer, at: &str, answer: ResponseTemplate) {
    Mock::given(method("GET")).and(path(at)).respond_with(answer).mount(server).await;
}

/// A registry that gives everything to everybody.
async fn holding(repositories: &[(&str, &[&str])]) -> MockServer {
    let server = MockServer::start().await;
    let names: Vec<&str> = repositories.iter().map(|(name, _)| *name).collect();
    answers(&server, "/v2/_catalog", catalogue(&names)).await;
    for (name, all) in repositories {
        answers(&server, &format!("/v2/{name}/tags/list"), tags(all)).await;
    }
    server
}

async fn requests(server: &MockServer) -> Vec<Request> {
    server.received_requests().await.unwrap()
}

fn shown(page: &Page) -> Vec<String> {
    page.images.iter().map(ToString::to_string).collect()
}

fn problems(page: &Page) -> Vec<(&str, &str)> {
    page.problems.iter().map(|problem| (problem.repository.as_str(), problem.reason.as_str())).collect()
}

/// All pages, of `limit` images each.
async fn all(registry: &Registry, prefix: &str, limit: usize) -> (Vec<String>, Vec<Problem>) {
    let (mut images, mut problems, mut after) = (Vec::new(), Vec::new(), None);
    loop {
        let page = registry.page(prefix, after.as_ref(), limit).await.unwrap();
        assert!(page.images.len() <= limit);
        images.extend(shown(&page));
        problems.extend(page.problems);
        // As a client gives it back.
        after = page.next.map(|place| Place::parse(&place.to_string()));
        if after.is_none() {
            return (images, problems);
        }
    }
}

#[tokio::test]
async fn k44_images_are_listed_whatever_ends_the_address() {
    let server = holding(&[("team/app", &["2", "1"]), ("base", &["latest"]), ("empty", &[])]).await;
    for end in ["", "/", "//", "?x=1", "#x"] {
        let url = format!("{}{end}", server.uri()).parse().unwrap();
        let registry = Registry::new(Config::new(url)).unwrap();
        let page = registry.page("", None, 50).await.unwrap();
        assert_eq!(shown(&page), ["base:latest", "team/app:1", "team/app:2"], "{end}");
        assert!(page.problems.is_empty() && page.next.is_none(), "{page:?}");
        assert_eq!(format!("http://{}", registry.name()), server.uri());
    }
}

#[tokio::test]
async fn addresses_may_have_a_path() {
    let server = MockServer::start().await;
    answers(&server, "/images/v2/_catalog", catalogue(&["a"])).await;
    answers(&server, "/images/v2/a/tags/list", tags(&["1"])).await;
    let url = format!("{}/images/", server.uri()).parse().unwrap();
    let registry = Registry::new(Config::new(url)).unwrap();
    assert_eq!(shown(&registry.page("", None, 1).await.unwrap()), ["a:1"]);
    assert!(registry.name().ends_with("/images"), "{}", registry.name());
}

#[tokio::test]
async fn k44_lists_are_read_page_by_page() {
    let server = MockServer::start().await;
    for (at, member, first, second) in
        [("/v2/_catalog", "repositories", "a", "b"), ("/v2/a/tags/list", "tags", "1", "2")]
    {
        let link = format!("<{at}?n=100&last={first}>; rel=\"next\"");
        Mock::given(path(at))
            .and(query_param("n", "100"))
            .and(query_param_is_missing("last"))
            .respond_with(
                ResponseTemplate::new(200)
                    .set_body_json(json!({ member: [first] }))
                    .insert_header("link", link.as_str()),
            )
            .mount(&server)
            .await;
        Mock::given(path(at))
            .and(query_param("last", first))
            .respond_with(ResponseTemplate::new(200).set_body_json(json!({ member: [second] })))
            .mount(&server)
            .await;
    }
    answers(&server, "/v2/b/tags/list", tags(&["3"])).await;
    let page = registry(&server).page("", None, 50).await.unwrap();
    assert_eq!(shown(&page), ["a:1", "a:2", "b:3"]);
    assert_eq!(problems(&page), []);
}

#[tokio::test]
async fn pages_follow_each_other() {
    let server =
        holding(&[("a", &["1", "2", "3"]), ("b", &[]), ("c", &["1"]), ("c-d", &["x"]), ("c/e", &["1", "2"])])
            .await;
    let expected = ["a:1", "a:2", "a:3", "c:1", "c-d:x", "c/e:1", "c/e:2"];
    for limit in 1..9 {
        let registry = registry(&server);
        assert_eq!(
            all(&registry, "", limit).await,
            (expected.map(str::to_owned).to_vec(), vec![]),
            "{limit}"
        );
    }
    // The catalogue was read once for each list, though it was asked for page by page.
    let catalogues =
        requests(&server).await.iter().filter(|request| request.url.path() == "/v2/_catalog").count();
    assert_eq!(catalogues, 8);
}

#[tokio::test]
async fn pages_go_on_where_things_are_gone() {
    let server = holding(&[("a", &["1", "3"]), ("c", &["1"])]).await;
    let registry = registry(&server);
    for (after, expected) in [
        ("a:2", &["a:3", "c:1"][..]),
        ("a:9", &["c:1"]),
        ("b:1", &["c:1"]),
        ("b", &["c:1"]),
        ("", &["a:1", "a:3", "c:1"]),
    ] {
        let page = registry.page("", Some(&Place::parse(after)), 50).await.unwrap();
        assert_eq!(shown(&page), expected, "{after}");
    }
    for end in ["c", "c:1", "d", "zz/../x:y:z"] {
        let page = registry.page("", Some(&Place::parse(end)), 50).await.unwrap();
        assert_eq!(page, Page::default(), "{end}");
    }
}

#[tokio::test]
async fn a_prefix_narrows_the_list() {
    let server = holding(&[("team/a", &["1"]), ("team/b", &["1"]), ("other", &["1"])]).await;
    let page = registry(&server).page("team/", None, 50).await.unwrap();
    assert_eq!(shown(&page), ["team/a:1", "team/b:1"]);
    assert_eq!(requests(&server).await.len(), 3, "nothing is asked about others");
    for none in ["x", "../", "te\u{0}", &"a".repeat(10_000)] {
        assert_eq!(registry(&server).page(none, None, 50).await.unwrap(), Page::default());
    }
}

#[tokio::test]
async fn k44_what_one_repository_does_wrong_is_told_and_ends_nothing_else() {
    let (server, elsewhere) = (MockServer::start().await, MockServer::start().await);
    let names =
        ["a", "broken", "circle", "denied", "gone", "huge", "null", "page", "partly", "moved", "slow", "z"];
    answers(&server, "/v2/_catalog", catalogue(&names)).await;
    for good in ["a", "z"] {
        answers(&server, &format!("/v2/{good}/tags/list"), tags(&["1"])).await;
    }
    let null = json!({ "name": "null", "tags": null });
    let away = |status: u16| ResponseTemplate::new(status).insert_header("location", elsewhere.uri());
    let linked = |link: &str| tags(&["1"]).insert_header("link", link);
    for (name, answer) in [
        ("broken", ResponseTemplate::new(500).set_body_string(SECRET)),
        ("circle", linked("<?n=100>; rel=next")),
        ("denied", ResponseTemplate::new(403)),
        ("huge", ResponseTemplate::new(200).set_body_string("x".repeat(2_000))),
        ("null", ResponseTemplate::new(200).set_body_json(null)),
        ("page", ResponseTemplate::new(200).set_body_string("<html>")),
        ("partly", linked(&format!("<{}/v2/partly/tags/list?last=1>; rel=next", elsewhere.uri()))),
        ("moved", away(307)),
        ("slow", tags(&["1"]).set_delay(Duration::from_secs(3600))),
    ] {
        answers(&server, &format!("/v2/{name}/tags/list"), answer).await;
    }
    let config = Config { max_bytes: 1_000, request_timeout: Duration::from_millis(500), ..config(&server) };
    let page = Registry::new(config).unwrap().page("", None, 50).await.unwrap();
    assert_eq!(shown(&page), ["a:1", "circle:1", "partly:1", "z:1"]);
    assert_eq!(
        problems(&page),
        [
            ("broken", "the answer's status is 500"),
            ("circle", "the answer can't be used: its pages lead in a circle"),
            ("denied", "access is refused, with status 403"),
            ("gone", "the answer's status is 404"),
            ("huge", "the answer is too large"),
            ("moved", "the answer is a redirect, and those are not followed"),
            ("page", "the answer can't be used: it is not the JSON document asked for"),
            ("partly", "the answer can't be used: its link to a next page leads elsewhere"),
            ("slow", "no answer in time"),
        ]
    );
    assert!(page.next.is_none());
    assert!(requests(&elsewhere).await.is_empty(), "t04: nothing is asked of others");
}

#[tokio::test]
async fn t04_names_that_are_none_stand_in_no_path() {
    let bad = ["../secret", "a?b", "A", "a/", "evil\u{1b}[2J"];
    let server = MockServer::start().await;
    answers(&server, "/v2/_catalog", catalogue(&[&bad[..], &["a"]].concat())).await;
    answers(&server, "/v2/a/tags/list", tags(&["1", "-x", "..", "a b"])).await;
    let page = registry(&server).page("", None, 50).await.unwrap();
    assert_eq!(shown(&page), ["a:1"]);
    assert_eq!(
        problems(&page),
        [
            ("../secret", "5 of its names can't be used in the name of an image"),
            ("a", "3 of its tags can't be used in the name of an image"),
        ]
    );
    let asked: Vec<String> =
        requests(&server).await.iter().map(|request| request.url.path().to_owned()).collect();
    assert_eq!(asked, ["/v2/_catalog", "/v2/a/tags/list"]);
}

#[tokio::test]
async fn what_is_too_much_is_cut_and_told() {
    let server = holding(&[("a", &["1"]), ("b", &["1"]), ("c", &["1"])]).await;
    let registry = Registry::new(Config { max_repositories: 2, ..config(&server) }).unwrap();
    let (images, problems) = all(&registry, "", 1).await;
    assert_eq!(images, ["a:1", "b:1"]);
    assert_eq!(problems, [problem("", &Reason::TooMany(2))]);
    // A longer prefix finds the others.
    assert_eq!(all(&registry, "c", 1).await, (vec!["c:1".to_owned()], vec![]));
}

#[tokio::test]
async fn many_problems_end_a_page() {
    let names: Vec<String> = (10..60).map(|n| format!("r{n}")).collect();
    let names: Vec<&str> = names.iter().map(String::as_str).collect();
    let server = MockServer::start().await;
    answers(&server, "/v2/_catalog", catalogue(&names)).await;
    let registry = registry(&server);
    let first = registry.page("", None, 50).await.unwrap();
    assert_eq!((first.problems.len(), first.next.clone()), (MAX_PROBLEMS, Some(Place::parse("r29"))));
    let (images, problems) = all(&registry, "", 50).await;
    assert_eq!((images.len(), problems.len()), (0, names.len()));
}

#[tokio::test]
async fn a_page_ends_when_its_time_is_up() {
    let server = MockServer::start().await;
    let names: Vec<String> = (0..6).map(|n| format!("r{n}")).collect();
    let names: Vec<&str> = names.iter().map(String::as_str).collect();
    answers(&server, "/v2/_catalog", catalogue(&names)).await;
    for name in &names {
        let slow = tags(&["1"]).set_delay(Duration::from_secs(3600));
        answers(&server, &format!("/v2/{name}/tags/list"), slow).await;
    }
    let config = Config { timeout: Duration::from_millis(300), at_once: 2, ..config(&server) };
    let registry = Registry::new(config).unwrap();
    let page = registry.page("", None, 50).await.unwrap();
    assert_eq!(problems(&page)[0], ("r0", "no answer in time"));
    assert!(page.next.is_some(), "{page:?}");
    // Every page gets on.
    let (_, problems) = all(&registry, "", 50).await;
    assert_eq!(problems.len(), names.len());
}

#[tokio::test]
async fn k44_a_registry_that_is_not_there_is_told_apart_from_one_that_does_not_help() {
    let nobody = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let registry = Registry::new(Config::new(format!("http://{nobody}").parse().unwrap())).unwrap();
    let error = registry.page("", None, 50).await.unwrap_err();
    assert_eq!((error.code().id, error.kind().status()), ("NCR0801", 503));
    let text = error.to_string();
    assert!(
        text.contains(&nobody.to_string()) && text.contains("refused") && !text.contains("Kubernetes"),
        "{text}"
    );

    let slow = MockServer::start().await;
    answers(&slow, "/v2/_catalog", catalogue(&[]).set_delay(Duration::from_secs(3600))).await;
    let config = Config { timeout: Duration::from_millis(200), ..config(&slow) };
    let error = Registry::new(config).unwrap().page("", None, 50).await.unwrap_err();
    assert!(matches!(&error, Error::Unreachable { reason: Reason::Timeout, .. }), "{error:?}");

    for (answer, reason) in [
        (ResponseTemplate::new(404), Reason::Status(404)),
        (ResponseTemplate::new(401), Reason::Denied(401)),
        (ResponseTemplate::new(302).insert_header("location", "/v2/x"), Reason::Redirect),
        (
            ResponseTemplate::new(200).set_body_string("<html>"),
            Reason::Malformed("it is not the JSON document asked for"),
        ),
        (
            ResponseTemplate::new(200).set_body_json(json!({})),
            Reason::Malformed("it is not the JSON document asked for"),
        ),
        (ResponseTemplate::new(200).set_body_string("x".repeat(5 << 20)), Reason::TooLarge),
    ] {
        let server = MockServer::start().await;
        answers(&server, "/v2/_catalog", answer).await;
        let error = self::registry(&server).page("", None, 50).await.unwrap_err();
        assert_eq!((error.code().id, error.kind().status()), ("NCR0802", 502), "{error}");
        assert!(matches!(&error, Error::Failed { reason: found, .. } if *found == reason), "{error:?}");
        assert_eq!(requests(&server).await.len(), 1, "{error:?}");
    }
}

#[tokio::test]
async fn a_catalogue_without_entries_is_an_empty_one() {
    let server = MockServer::start().await;
    let null = ResponseTemplate::new(200).set_body_json(json!({ "repositories": null }));
    answers(&server, "/v2/_catalog", null).await;
    assert_eq!(registry(&server).page("", None, 50).await.unwrap(), Page::default());
}

#[tokio::test]
async fn k44_passwords_are_shown_to_registries_that_ask_for_them() {
    let server = MockServer::start().await;
    let letting = |at: &'static str, answer: ResponseTemplate| {
        Mock::given(path(at)).and(basic_auth("reader", SECRET)).respond_with(answer).with_priority(1)
    };
    letting("/v2/_catalog", catalogue(&["a"])).mount(&server).await;
    letting("/v2/a/tags/list", tags(&["1"])).mount(&server).await;
    let refusal = ResponseTemplate::new(401).insert_header("www-authenticate", "Basic realm=\"r\"");
    Mock::given(method("GET")).respond_with(refusal).mount(&server).await;

    let registry = Registry::new(Config { credentials: credentials(), ..config(&server) }).unwrap();
    assert_eq!(shown(&registry.page("", None, 50).await.unwrap()), ["a:1"]);
    assert_eq!(requests(&server).await.len(), 3, "what is asked for once is known after that");
    assert!(!requests(&server).await[0].headers.contains_key("authorization"));

    // The same, from before the host of the address.
    let url = server.uri().replace("http://", &format!("http://reader:{SECRET}@"));
    let registry = Registry::new(Config::new(url.parse().unwrap())).unwrap();
    assert_eq!(shown(&registry.page("", None, 50).await.unwrap()), ["a:1"]);
    assert!(!registry.name().contains(SECRET) && !format!("{registry:?}").contains(SECRET));

    // A wrong password is not tried again and again.
    let wrong = Credentials { username: "reader".to_owned(), password: "wrong".into() };
    let registry = Registry::new(Config { credentials: Some(wrong), ..config(&server) }).unwrap();
    for expected in [2, 1] {
        let before = requests(&server).await.len();
        let error = registry.page("", None, 50).await.unwrap_err();
        assert!(matches!(error, Error::Failed { reason: Reason::Denied(401), .. }), "{error:?}");
        assert_eq!(requests(&server).await.len() - before, expected);
    }
}

/// A registry that wants a token for each repository, and the server that it names for them, which is itself.
async fn with_tokens(answer: impl Fn(&str) -> Value + Send + Sync + 'static) -> MockServer {
    let server = MockServer::start().await;
    let realm = format!("{}/token?keep=1", server.uri());
    for (at, scope, token, answer) in [
        ("/v2/_catalog", "registry:catalog:*", "t-catalogue", catalogue(&["a"])),
        ("/v2/a/tags/list", "repository:a:pull", "t-a", tags(&["1"])),
    ] {
        Mock::given(path(at))
            .and(header("authorization", format!("Bearer {token}").as_str()))
            .respond_with(answer)
            .with_priority(1)
            .mount(&server)
            .await;
        let challenge = format!("Bearer realm=\"{realm}\",service=\"r.example\",scope=\"{scope}\"");
        answers(&server, at, ResponseTemplate::new(401).insert_header("www-authenticate", challenge)).await;
    }
    Mock::given(path("/token"))
        .and(query_param("service", "r.example"))
        .and(query_param("keep", "1"))
        .respond_with(move |request: &Request| {
            let scope = request.url.query_pairs().find(|(name, _)| name == "scope").unwrap().1.into_owned();
            ResponseTemplate::new(200).set_body_json(answer(&scope))
        })
        .mount(&server)
        .await;
    server
}

fn token_for(scope: &str) -> &'static str {
    if scope.starts_with("registry") { "t-catalogue" } else { "t-a" }
}

#[tokio::test]
async fn k44_tokens_are_fetched_and_kept() {
    let server = with_tokens(|scope| json!({ "token": token_for(scope), "expires_in": 300 })).await;
    for credentials in [None, credentials()] {
        let before = requests(&server).await.len();
        let has_password = credentials.is_some();
        let registry = Registry::new(Config { credentials, ..config(&server) }).unwrap();
        for expected in [6, 2] {
            let before = requests(&server).await.len();
            assert_eq!(shown(&registry.page("", None, 50).await.unwrap()), ["a:1"]);
            assert_eq!(requests(&server).await.len() - before, expected);
        }
        for request in &requests(&server).await[before..] {
            let sent = request.headers.get("authorization").map(|value| value.to_str().unwrap());
            if request.url.path() == "/token" {
                assert_eq!(sent.is_some_and(|sent| sent.starts_with("Basic ")), has_password);
            } else {
                assert!(sent.is_none_or(|sent| sent.starts_with("Bearer t-")), "{sent:?}");
            }
        }
    }
}

#[tokio::test]
async fn tokens_that_are_over_are_fetched_again() {
    let server = with_tokens(|scope| json!({ "access_token": token_for(scope), "expires_in": 1 })).await;
    let registry = registry(&server);
    for _ in 0..2 {
        let before = requests(&server).await.len();
        assert_eq!(shown(&registry.page("", None, 50).await.unwrap()), ["a:1"]);
        assert_eq!(requests(&server).await.len() - before, 6);
    }
}

#[tokio::test]
async fn tokens_that_do_not_help_are_not_fetched_for_ever() {
    let server = with_tokens(|_| json!({ "token": "useless" })).await;
    let error = registry(&server).page("", None, 50).await.unwrap_err();
    assert!(matches!(error, Error::Failed { reason: Reason::Denied(401), .. }), "{error:?}");
    assert_eq!(requests(&server).await.len(), 3);
    let server = with_tokens(|_| json!({ "no": "token" })).await;
    let error = registry(&server).page("", None, 50).await.unwrap_err();
    assert!(matches!(&error, Error::Failed { reason: Reason::Token(_), .. }), "{error:?}");
}

#[tokio::test]
async fn t04_nobody_else_is_asked_for_tokens() {
    let (server, elsewhere) = (MockServer::start().await, MockServer::start().await);
    let challenge = format!("Bearer realm=\"{}/token\",service=\"s\"", elsewhere.uri());
    let refusal = ResponseTemplate::new(401).insert_header("www-authenticate", challenge);
    Mock::given(method("GET")).respond_with(refusal).mount(&server).await;
    let registry = Registry::new(Config { credentials: credentials(), ..config(&server) }).unwrap();
    let error = registry.page("", None, 50).await.unwrap_err();
    assert!(matches!(error, Error::Failed { reason: Reason::TokenServer, .. }), "{error:?}");
    assert!(requests(&elsewhere).await.is_empty());
    assert!(requests(&server).await.iter().all(|request| !request.headers.contains_key("authorization")));

    // Nor does a token server lead on.
    let server = MockServer::start().await;
    let challenge = format!("Bearer realm=\"{}/token\"", server.uri());
    let away = ResponseTemplate::new(307).insert_header("location", elsewhere.uri());
    answers(&server, "/token", away).await;
    let refusal = ResponseTemplate::new(401).insert_header("www-authenticate", challenge);
    answers(&server, "/v2/_catalog", refusal).await;
    let registry = Registry::new(Config { credentials: credentials(), ..config(&server) }).unwrap();
    let error = registry.page("", None, 50).await.unwrap_err();
    assert!(error.to_string().contains("redirect"), "{error}");
    assert!(requests(&elsewhere).await.is_empty());
}

#[tokio::test]
async fn t54_credentials_are_in_no_text() {
    let nobody = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let url: Url = format!("http://reader:{SECRET}@{nobody}/?token={SECRET}").parse().unwrap();
    let given =
        Config { credentials: credentials(), ..Config::new(format!("http://{nobody}/").parse().unwrap()) };
    assert!(!format!("{:?}", given.credentials).contains(SECRET));
    for config in [Config::new(url), given] {
        let registry = Registry::new(config).unwrap();
        let error = registry.page("", None, 50).await.unwrap_err();
        assert!(!format!("{registry:?} {} {error} {error:?}", registry.name()).contains(SECRET));
    }
}

#[test]
fn only_http_addresses_are_taken() {
    for url in ["file:///etc/passwd", "ftp://h/", "data:,x", "unix:/run/x"] {
        let made = Registry::new(Config::new(url.parse().unwrap()));
        assert!(matches!(made, Err(Error::InvalidUrl)), "{url}");
    }
}
