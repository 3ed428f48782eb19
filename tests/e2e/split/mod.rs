//! nocrd-mcp and nocrd-proxy apart, several of each, as one site behind an ingress.

mod keys;
mod manifests;
mod nginx;
mod one_site;

use std::path::PathBuf;

use nocrd_testkit::{Idp, idp};
use reqwest::{Method, StatusCode, header};
use tempfile::TempDir;

use self::nginx::Nginx;
use crate::{
    auth::{self, Env, Visitor},
    part::{Half, Part},
    program::Program,
};

const TEMPLATE: &str = "default-agent-workspace";

/// The ground on which the two halves work: a cluster, an identity provider, and what stands in front.
struct Ground {
    idp: Idp,
    cluster: Program,
    directory: TempDir,
    nginx: Nginx,
}

impl Ground {
    /// Somebody signs in at the provider as alice, without being asked.
    async fn prepare() -> Self {
        let idp = Idp::start().await;
        idp.sign_in_as(auth::user("alice"));
        let directory = tempfile::tempdir().unwrap();
        let kubeconfig = directory.path().join("kubeconfig");
        let cluster = Program::dev(&kubeconfig, &["--api-port=0"], &[]);
        cluster.says("ready");
        Self { idp, cluster, directory, nginx: Nginx::open() }
    }

    fn kubeconfig(&self) -> PathBuf {
        self.directory.path().join("kubeconfig")
    }

    /// Starts one of the halves, which knows besides what both must.
    fn start(&self, half: Half, more: &[(&str, &str)]) -> Part {
        let mut env = auth::defaults(&Env::new())
            .with("AUTH_ISSUER", self.idp.issuer())
            .with("OAUTH_CLIENT_ID", idp::CLIENT_ID)
            .with("OAUTH_CLIENT_SECRET", idp::SECRET)
            .with("PUBLIC_URL", self.nginx.origin())
            .with("TRUSTED_PROXIES", "127.0.0.1/32");
        for (name, value) in more {
            env = env.with(name, value);
        }
        Part::start(half, &self.kubeconfig(), &env)
    }

    /// Somebody who comes through the front.
    fn visitor(&self) -> Visitor {
        Visitor::behind(self.nginx.origin(), self.nginx.address(), self.nginx.certificate())
    }

    /// Asks one of the replicas, by whichever way the front would not take, for what a page of the site may ask for.
    async fn ask(&self, part: &Part, method: Method, path: &str, cookies: &str) -> StatusCode {
        let http = reqwest::Client::builder().no_proxy().redirect(reqwest::redirect::Policy::none());
        let request = http
            .build()
            .unwrap()
            .request(method, format!("{}{path}", part.base()))
            .header(header::HOST, self.nginx.host())
            .header(header::ORIGIN, self.nginx.origin())
            .header("x-forwarded-proto", "https")
            .header(header::COOKIE, cookies);
        request.send().await.unwrap().status()
    }
}
