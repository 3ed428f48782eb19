//! The transport: what is let through to the protocol.

use std::time::Duration;

use axum::{extract::Request, middleware::Next};
use nocrd_mcp_surface::{HttpOptions, Options, Surface, http_service};
use nocrd_model::{Caller, Role};
use reqwest::{Response, StatusCode};
use serde_json::{Value, json};
use tokio_util::sync::CancellationToken;

use crate::{api::Api, world::World};

/// A server on a socket of its own. It stops when dropped.
pub(crate) struct Server<W = World> {
    pub(crate) world: W,
    pub(crate) url: String,
    pub(crate) http: reqwest::Client,
    shutdown: CancellationToken,
}

impl<W> Drop for Server<W> {
    fn drop(&mut self) {
        self.shutdown.cancel();
    }
}

impl Server {
    pub(crate) async fn new(options: HttpOptions) -> Self {
        Self::over(World::new().await.synced().await, options).await
    }

    /// Whoever calls with the header `x-test-user` is that user; others are nobody in particular.
    pub(crate) async fn over(world: World, options: HttpOptions) -> Self {
        Self::identified(world, options, |request| {
            let user = request.headers().get("x-test-user").map(|user| user.to_str().unwrap().to_owned());
            if let Some(user) = user {
                request.extensions_mut().insert(Caller::verified(user.as_str().into(), Role::User));
            }
        })
        .await
    }
}

impl<W: AsRef<Surface>> Server<W> {
    /// With what the layers before it put into requests.
    pub(crate) async fn identified(
        world: W,
        options: HttpOptions,
        identify: impl Fn(&mut Request) + Clone + Send + Sync + 'static,
    ) -> Self {
        let shutdown = options.shutdown.clone();
        let service = http_service(world.as_ref().clone(), options);
        let identify = axum::middleware::from_fn(move |mut request: Request, next: Next| {
            identify(&mut request);
            next.run(request)
        });
        let router = axum::Router::new().route_service("/mcp", service).layer(identify);
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}/mcp", listener.local_addr().unwrap());
        let stop = shutdown.clone();
        tokio::spawn(async move {
            axum::serve(listener, router).with_graceful_shutdown(stop.cancelled_owned()).await.unwrap();
        });
        Self { world, url, http: reqwest::Client::new(), shutdown }
    }

    pub(crate) fn post(&self, message: &Value) -> reqwest::RequestBuilder {
        self.http.post(&self.url).header("accept", "application/json, text/event-stream").json(message)
    }

    /// Begins a session as the reference's dashboard does, and gives its id.
    pub(crate) async fn begin(&self, version: &str) -> String {
        let response =
            self.post(&initialize(version)).header("mcp-protocol-version", version).send().await.unwrap();
        assert_eq!(response.status(), StatusCode::OK);
        let session = response.headers()["mcp-session-id"].to_str().unwrap().to_owned();
        assert_eq!(json_of(response).await["result"]["protocolVersion"], version);
        session
    }
}

pub(crate) fn initialize(version: &str) -> Value {
    json!({"jsonrpc": "2.0", "id": 1, "method": "initialize", "params": {"protocolVersion": version,
        "capabilities": {}, "clientInfo": {"name": "nogoo9-ui-fallback", "version": "0.8.1"}}})
}

pub(crate) fn call(id: i64, tool: &str, arguments: Value) -> Value {
    json!({"jsonrpc": "2.0", "id": id, "method": "tools/call", "params": {"name": tool, "arguments": arguments}})
}

pub(crate) fn kind(response: &Response) -> String {
    response.headers().get("content-type").map(|kind| kind.to_str().unwrap().to_owned()).unwrap_or_default()
}

/// The body of a plain answer.
pub(crate) async fn json_of(response: Response) -> Value {
    assert_eq!(kind(&response), "application/json");
    response.json().await.unwrap()
}

#[tokio::test]
async fn t22_d13_foreign_hosts_and_origins_are_refused() {
    let options = HttpOptions {
        allowed_hosts: Some(vec!["127.0.0.1".to_owned(), "mcp.example".to_owned()]),
        allowed_origins: Some(vec!["https://app.example:443".to_owned()]),
        ..HttpOptions::default()
    };
    let server = Server::new(options).await;
    for (header, value, allowed) in [
        ("host", "127.0.0.1:1234", true),
        ("host", "mcp.example", true),
        ("host", "evil.example", false),
        ("origin", "https://app.example", true),
        ("origin", "https://evil.example", false),
        ("origin", "http://app.example", false),
        ("origin", "null", false),
    ] {
        let response = server.post(&initialize("2025-06-18")).header(header, value).send().await.unwrap();
        let expected = if allowed { StatusCode::OK } else { StatusCode::FORBIDDEN };
        assert_eq!(response.status(), expected, "{header}: {value}");
    }
    // By default everything on this machine is served, and nothing else.
    let server = Server::new(HttpOptions::default()).await;
    for (host, origin, allowed) in [
        ("localhost:80", "http://localhost:5173", true),
        ("[::1]:3000", "http://[::1]:3000", true),
        ("127.0.0.1", "https://evil.example", false),
        ("127.0.0.1", "http://localhost.evil.example:3000", false),
        ("localhost.evil.example", "http://localhost:3000", false),
    ] {
        let request = server.post(&initialize("2025-06-18")).header("host", host).header("origin", origin);
        assert_eq!(request.send().await.unwrap().status().is_success(), allowed, "{host} {origin}");
    }
    let anywhere = HttpOptions { allowed_hosts: None, allowed_origins: None, ..HttpOptions::default() };
    let server = Server::new(anywhere).await;
    let request = server.post(&initialize("2025-06-18")).header("host", "any.example");
    assert_eq!(
        request.header("origin", "https://any.example").send().await.unwrap().status(),
        StatusCode::OK
    );
}

#[tokio::test]
async fn t45_messages_that_are_too_large_or_too_deep_are_refused() {
    let server = Server::new(HttpOptions { max_body_bytes: 10_000, ..HttpOptions::default() }).await;
    let send = async |body: String| {
        let request = server.post(&json!(0)).body(body);
        let response = request.send().await.unwrap();
        let status = response.status().as_u16();
        (status, json_of(response).await)
    };
    let (status, error) =
        send(call(1, "list_workspaces", json!({"cursor": "x".repeat(10_000)})).to_string()).await;
    assert_eq!((status, &error["error"]["code"]), (413, &json!(-32600)), "{error}");
    let deep = format!(
        "{{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"m\",\"params\":{}{}}}",
        "[".repeat(4_000),
        "]".repeat(4_000)
    );
    let (status, error) = send(deep).await;
    assert_eq!((status, &error["error"]["code"]), (400, &json!(-32600)), "{error}");
    let (status, error) = send("{\"jsonrpc\":".to_owned()).await;
    assert_eq!((status, &error["error"]["code"]), (400, &json!(-32700)), "{error}");
    for odd in
        [json!([initialize("2025-03-26")]), json!({"id": 1, "method": "tools/list"}), json!({}), json!("x")]
    {
        let (status, error) = send(odd.to_string()).await;
        assert_eq!((status, &error["error"]["code"]), (400, &json!(-32600)), "{error}");
    }

    // A body without an announced length is bounded as well.
    let chunks = futures::stream::repeat_with(|| Ok::<_, std::io::Error>("x".repeat(1_000)));
    let request = server.post(&json!(0)).body(reqwest::Body::wrap_stream(chunks));
    assert_eq!(request.send().await.unwrap().status(), StatusCode::PAYLOAD_TOO_LARGE);
}

#[tokio::test]
async fn headers_are_read_with_goodwill() {
    let server = Server::new(HttpOptions::default()).await;
    let post = |accept: Option<&str>, kind: &str| {
        let request = server.http.post(&server.url).header("content-type", kind);
        let request = accept.iter().fold(request, |request, accept| request.header("accept", *accept));
        request.body(initialize("2025-06-18").to_string()).send()
    };
    for accept in
        [None, Some("*/*"), Some("text/html, */*;q=0.1"), Some("text/event-stream,application/json;q=0.9")]
    {
        assert_eq!(
            post(accept, "application/json; charset=utf-8").await.unwrap().status(),
            StatusCode::OK,
            "{accept:?}"
        );
    }
    assert_eq!(
        post(Some("text/html"), "application/json").await.unwrap().status(),
        StatusCode::NOT_ACCEPTABLE
    );
    assert_eq!(post(None, "text/plain").await.unwrap().status(), StatusCode::UNSUPPORTED_MEDIA_TYPE);
    let put = server.http.put(&server.url).send().await.unwrap();
    assert_eq!(put.status(), StatusCode::METHOD_NOT_ALLOWED);
}

#[tokio::test]
async fn with_authentication_nobody_is_anybody() {
    let options = Options { auth_enabled: true, ..Options::default() };
    let world = World::with(Api::default(), options).await.synced().await;
    let server = Server::over(world, HttpOptions { stateless: true, ..HttpOptions::default() }).await;
    let whoami = call(1, "get_capabilities", json!({}));
    let reply = json_of(server.post(&whoami).send().await.unwrap()).await;
    assert_eq!(reply["result"]["structuredContent"]["error"]["id"], "NCR0404", "{reply}");
    assert_eq!(reply["result"]["structuredContent"]["error"]["code"], 401);
    let reply = json_of(server.post(&whoami).header("x-test-user", "bob").send().await.unwrap()).await;
    let me = &reply["result"]["structuredContent"];
    assert_eq!((&me["userSub"], &me["isAdmin"]), (&json!("bob"), &json!(false)));
}

#[tokio::test]
async fn a_slow_answer_becomes_a_stream() {
    let options = HttpOptions { keep_alive: Duration::from_millis(50), ..HttpOptions::default() };
    let server = Server::new(options).await;
    let session = server.begin("2025-06-18").await;
    let spec = json!({"containers": [{"name": "agent", "image": "i"}]});
    let arguments = json!({"id": "w1", "spec": spec, "wait": true, "timeoutSeconds": 1});
    let request = server.post(&call(2, "spawn_workspace", arguments)).header("mcp-session-id", session);
    let response = request.send().await.unwrap();
    assert_eq!(kind(&response), "text/event-stream");
    let body = response.text().await.unwrap();
    assert!(body.starts_with(":\n\n") && body.contains("NCR0306"), "{body}");
}
