//! A browser without scripts: it keeps cookies, follows redirects and fills in forms.

use std::{
    collections::BTreeMap,
    net::SocketAddr,
    sync::{Arc, Mutex},
};

use reqwest::{
    Certificate, ClientBuilder, Method, RequestBuilder, Response, StatusCode, Upgraded,
    header::{
        ACCEPT, CONNECTION, COOKIE, LOCATION, ORIGIN, SEC_WEBSOCKET_KEY, SEC_WEBSOCKET_VERSION, SET_COOKIE,
        UPGRADE,
    },
};
use serde_json::{Value, json};
use tokio_tungstenite::{
    WebSocketStream,
    tungstenite::{handshake::client::generate_key, protocol::Role},
};
use url::Url;

use super::server::call;

/// Redirects in a row that a browser follows.
const REDIRECTS: usize = 20;

type Socket = WebSocketStream<Upgraded>;

/// A cookie that is kept.
#[derive(Clone)]
struct Kept {
    value: String,
    /// In lower case.
    attributes: String,
}

/// A person's browser.
#[derive(Clone)]
pub(crate) struct Visitor {
    http: reqwest::Client,
    origin: String,
    /// What its page's scripts send.
    token: Option<String>,
    /// By origin and name. Paths don't matter here.
    cookies: Arc<Mutex<BTreeMap<(String, String), Kept>>>,
}

impl Visitor {
    /// One who will use the site at this origin.
    pub(crate) fn of(origin: &str) -> Self {
        Self::with(origin, reqwest::Client::builder())
    }

    /// One who will use the site at this https origin, which is at this address and has this certificate.
    pub(crate) fn behind(origin: &str, address: SocketAddr, certificate: &str) -> Self {
        let certificate = Certificate::from_pem(certificate.as_bytes()).unwrap();
        let name = Url::parse(origin).unwrap().domain().unwrap().to_owned();
        let http = reqwest::Client::builder().resolve(&name, address).tls_certs_only([certificate]);
        Self::with(origin, http)
    }

    fn with(origin: &str, http: ClientBuilder) -> Self {
        let redirect = reqwest::redirect::Policy::none();
        let http = http.no_proxy().redirect(redirect).pool_max_idle_per_host(0);
        Self { http: http.build().unwrap(), origin: origin.to_owned(), token: None, cookies: Arc::default() }
    }

    /// The same browser, with a page whose scripts have a token of their own.
    pub(crate) fn with_token(&self, token: &str) -> Self {
        Self { token: Some(token.to_owned()), ..self.clone() }
    }

    /// One with the same cookies of the site, and from now on with cookies of its own: a thief's copy.
    pub(crate) fn copy(&self) -> Self {
        let cookies = self.cookies.lock().unwrap().clone();
        Self { cookies: Arc::new(Mutex::new(cookies)), ..self.clone() }
    }

    /// Signs in at whichever provider the site sends to; a form there wants a name and a password.
    pub(crate) async fn sign_in(&self, name: &str) {
        let answer = self.browse("/auth/login?redirect_uri=%2Fpermissions").await;
        let answer = if answer.url().as_str().starts_with(&self.origin) {
            answer
        } else {
            let form = [("name", name), ("password", name)];
            let request = self.http.post(answer.url().clone()).form(&form);
            self.follow(request, answer.url().clone()).await
        };
        let (status, url) = (answer.status(), answer.url().clone());
        assert_eq!(status, 200, "{url}: {}", answer.text().await.unwrap());
        assert_eq!(url.as_str(), format!("{}/permissions", self.origin));
        let session = self.session().await;
        assert_eq!(session["sub"], name, "{session}");
    }

    /// Begins a sign-in, and gives the page of the site that the provider then sends back to.
    pub(crate) async fn half_a_sign_in(&self, path: &str) -> String {
        let begun = self.fetch(Method::GET, path, None).await;
        let there = begun.headers()[LOCATION].to_str().unwrap();
        let back = self.http.get(there).send().await.unwrap();
        let back = Url::parse(back.headers()[LOCATION].to_str().unwrap()).unwrap();
        format!("{}?{}", back.path(), back.query().unwrap())
    }

    /// Goes to a page of the site, and wherever it sends to; gives what comes in the end.
    pub(crate) async fn browse(&self, path: &str) -> Response {
        let url = Url::parse(&format!("{}{path}", self.origin)).unwrap();
        self.follow(self.http.get(url.clone()), url).await
    }

    async fn follow(&self, request: RequestBuilder, mut url: Url) -> Response {
        let mut answer = self.send(request.header(ACCEPT, "text/html"), &url).await;
        for _ in 0..REDIRECTS {
            if !answer.status().is_redirection() {
                return answer;
            }
            url = url.join(answer.headers()[LOCATION].to_str().unwrap()).unwrap();
            answer = self.send(self.http.get(url.clone()).header(ACCEPT, "text/html"), &url).await;
        }
        panic!("it never stops redirecting, now to {url}");
    }

    /// Asks as a script of a page of the site would.
    pub(crate) async fn fetch(&self, method: Method, path: &str, body: Option<Value>) -> Response {
        let url = Url::parse(&format!("{}{path}", self.origin)).unwrap();
        let mut request = self.http.request(method.clone(), url.clone());
        request = request.header(ACCEPT, "application/json, text/event-stream");
        request = request.header("sec-fetch-site", "same-origin").header("sec-fetch-mode", "cors");
        if method != Method::GET {
            request = request.header(ORIGIN, &self.origin);
        }
        if let Some(token) = &self.token {
            request = request.bearer_auth(token);
        }
        if let Some(body) = body {
            request = request.json(&body);
        }
        self.send(request, &url).await
    }

    pub(crate) async fn status(&self, path: &str) -> StatusCode {
        self.fetch(Method::GET, path, None).await.status()
    }

    /// What the site knows of the session.
    pub(crate) async fn session(&self) -> Value {
        let answer = self.fetch(Method::GET, "/auth/session", None).await;
        assert_eq!(answer.status(), 200, "{}", answer.text().await.unwrap());
        answer.json().await.unwrap()
    }

    /// The structured result of a tool, which may be an error.
    pub(crate) async fn tool(&self, tool: &str, arguments: Value) -> Value {
        let answer = self.fetch(Method::POST, "/mcp", Some(call(tool, arguments))).await;
        assert_eq!(answer.status(), 200, "{tool}: {}", answer.text().await.unwrap());
        let answer: Value = answer.json().await.unwrap();
        answer["result"]["structuredContent"].clone()
    }

    /// Signs out by a script of a page.
    pub(crate) async fn sign_out(&self) {
        let answer = self.fetch(Method::POST, "/logout", Some(json!({}))).await;
        assert_eq!(answer.status(), 200);
        assert!(self.cookie("nocr_sess").is_none() && self.cookie("nocr_refresh").is_none());
    }

    /// Opens a WebSocket as a page at `origin` would, or as no page does; gives the status of a refusal.
    pub(crate) async fn socket(&self, path: &str, origin: Option<&str>) -> Result<Socket, u16> {
        let mut request = self
            .http
            .get(format!("{}{path}", self.origin))
            .header(CONNECTION, "Upgrade")
            .header(UPGRADE, "websocket")
            .header(SEC_WEBSOCKET_VERSION, "13")
            .header(SEC_WEBSOCKET_KEY, generate_key());
        if let Some(origin) = origin {
            request = request.header(ORIGIN, origin);
        }
        let cookies = self.header(&self.origin);
        if !cookies.is_empty() {
            request = request.header(COOKIE, cookies);
        }
        let answer = request.send().await.unwrap();
        if answer.status() != StatusCode::SWITCHING_PROTOCOLS {
            return Err(answer.status().as_u16());
        }
        let stream = answer.upgrade().await.unwrap();
        Ok(WebSocketStream::from_raw_socket(stream, Role::Client, None).await)
    }

    /// The value of a cookie of the site.
    pub(crate) fn cookie(&self, name: &str) -> Option<String> {
        Some(self.kept(name)?.value)
    }

    /// With which attributes it was set, in lower case.
    pub(crate) fn attributes(&self, name: &str) -> Option<String> {
        Some(self.kept(name)?.attributes)
    }

    fn kept(&self, name: &str) -> Option<Kept> {
        self.cookies.lock().unwrap().get(&(self.origin.clone(), name.to_owned())).cloned()
    }

    pub(crate) fn forget(&self, name: &str) {
        self.cookies.lock().unwrap().remove(&(self.origin.clone(), name.to_owned()));
    }

    /// Puts a cookie of the site back.
    pub(crate) fn keep(&self, name: &str, value: &str) {
        let key = (self.origin.clone(), name.to_owned());
        let kept = Kept { value: value.to_owned(), attributes: String::new() };
        self.cookies.lock().unwrap().insert(key, kept);
    }

    /// The cookies that go to an origin.
    fn header(&self, origin: &str) -> String {
        let cookies = self.cookies.lock().unwrap();
        let own = cookies.iter().filter(|((of, _), _)| of == origin);
        own.map(|((_, name), kept)| format!("{name}={}", kept.value)).collect::<Vec<_>>().join("; ")
    }

    async fn send(&self, request: RequestBuilder, url: &Url) -> Response {
        let origin = url.origin().ascii_serialization();
        let cookies = self.header(&origin);
        let request = if cookies.is_empty() { request } else { request.header(COOKIE, cookies) };
        let answer = request.send().await.unwrap();
        for line in answer.headers().get_all(SET_COOKIE) {
            let line = line.to_str().unwrap();
            let (pair, attributes) = line.split_once(';').unwrap_or((line, ""));
            let (name, value) = pair.split_once('=').unwrap();
            let key = (origin.clone(), name.to_owned());
            let attributes = attributes.to_ascii_lowercase();
            let ended = value.is_empty() || attributes.contains("max-age=0") || attributes.contains("1970");
            let mut cookies = self.cookies.lock().unwrap();
            if ended {
                cookies.remove(&key);
            } else {
                cookies.insert(key, Kept { value: value.to_owned(), attributes });
            }
        }
        answer
    }
}
