//! Who may do what, over real sockets, with an identity provider.

mod browser;
mod context_form;
mod handover;
mod identity_provider;
mod matrix;
mod metadata;
mod passthrough;
mod reach;
mod rights;
mod session;
mod set_ups;
mod sign_in;
mod sign_out;
mod streams;
mod tunnels;
mod workspaces;

use nocrd_testkit::{Idp, idp};
use reqwest::{Method, RequestBuilder, Response, header::HeaderMap};
use serde_json::{Value, json};

use crate::support::{Cluster, Running};

/// What cookies are signed with.
pub(crate) const SESSION_SECRET: &str = "a secret of the tests, long enough";

/// A server that trusts an identity provider.
pub(crate) struct World {
    pub(crate) cluster: Cluster,
    pub(crate) idp: Idp,
    pub(crate) server: Running,
}

impl World {
    pub(crate) async fn start(env: &[(&str, &str)]) -> Self {
        Self::over(Cluster::start().await, env).await
    }

    /// The same over a cluster that is there.
    pub(crate) async fn over(cluster: Cluster, env: &[(&str, &str)]) -> Self {
        Self::with(cluster, Idp::start().await, env).await
    }

    /// The same, with a provider that is there.
    pub(crate) async fn with(cluster: Cluster, idp: Idp, env: &[(&str, &str)]) -> Self {
        let issuer = idp.issuer().to_owned();
        let fixed = [("AUTH_ENABLED", "true"), ("AUTH_ISSUER", &issuer), ("OAUTH_CLIENT_ID", idp::CLIENT_ID)];
        let local = [("HOST", "127.0.0.1"), ("PROXY_SESSION_SECRET", SESSION_SECRET)];
        let server = Running::start(&cluster, &[&fixed[..], &local, env].concat()).await;
        Self { cluster, idp, server }
    }

    /// A token for this server.
    pub(crate) fn token(&self, sub: &str, roles: &[&str], scope: &str) -> String {
        self.idp.token(json!({ "sub": sub, "roles": roles, "scope": scope }))
    }

    /// A request for `path`, with a token.
    pub(crate) fn ask(&self, method: Method, path: &str, token: Option<&str>) -> RequestBuilder {
        let request = self.server.client.request(method, format!("{}{path}", self.server.base));
        match token {
            Some(token) => request.bearer_auth(token),
            None => request,
        }
    }

    /// The session cookie that a page of ours gets for a token, as `nocr_sess=…`.
    pub(crate) async fn session(&self, token: &str) -> String {
        let answer = self
            .ask(Method::GET, "/auth/session", Some(token))
            .header("sec-fetch-site", "same-origin")
            .send()
            .await
            .unwrap();
        assert_eq!(answer.status(), 200);
        let cookie = set_cookie(answer.headers(), "nocr_sess").unwrap();
        cookie.split(';').next().unwrap().to_owned()
    }
}

/// Sends a request, and gives the status and the body, which may be no JSON.
pub(crate) async fn send(request: RequestBuilder) -> (u16, HeaderMap, Value) {
    let answer: Response = request.send().await.unwrap();
    let (status, headers) = (answer.status().as_u16(), answer.headers().clone());
    let text = answer.text().await.unwrap();
    (status, headers, serde_json::from_str(&text).unwrap_or(Value::String(text)))
}

/// The `Set-Cookie` header of a cookie.
pub(crate) fn set_cookie(headers: &HeaderMap, name: &str) -> Option<String> {
    let all: Vec<_> = headers.get_all("set-cookie").iter().map(|value| value.to_str().unwrap()).collect();
    let start = format!("{name}=");
    all.into_iter().rev().find(|cookie| cookie.starts_with(&start)).map(str::to_owned)
}

pub(crate) fn location(headers: &HeaderMap) -> &str {
    headers["location"].to_str().unwrap()
}
