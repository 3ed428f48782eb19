//! Asking a container over HTTP.

use std::{error::Error, sync::OnceLock, time::Duration};

use reqwest::{Client, StatusCode, header, redirect::Policy};

use super::{Target, plain};
use crate::kubelet::spec::HttpGet;

/// How long a hook's request may take that names no limit.
const NO_LIMIT: Duration = Duration::from_secs(3600);

const MAX_REDIRECTS: usize = 10;

/// Sends requests to containers.
#[derive(Debug, Default)]
pub(in super::super) struct HttpProber {
    /// Made when it is first needed: reading the machine's certificates takes a while.
    client: OnceLock<Client>,
}

impl HttpProber {
    /// The status of the answer; redirects within the host are followed. An error is a sentence.
    pub(in super::super) async fn get(
        &self,
        target: &Target<'_>,
        get: &HttpGet,
        limit: Option<Duration>,
    ) -> Result<u16, String> {
        let (host, port) = target.resolve(&get.host, &get.port)?;
        let scheme = if get.scheme.eq_ignore_ascii_case("HTTPS") { "https" } else { "http" };
        let path = if get.path.starts_with('/') { get.path.clone() } else { format!("/{}", get.path) };
        let host = if host.contains(':') { format!("[{host}]") } else { host };
        let url = format!("{scheme}://{host}:{port}{path}");
        let mut request = self.client()?.get(&url).timeout(limit.unwrap_or(NO_LIMIT));
        let names =
            |wanted: header::HeaderName| get.http_headers.iter().any(|header| wanted == header.name.as_str());
        if !names(header::USER_AGENT) {
            request = request.header(header::USER_AGENT, concat!("kube-probe/", env!("CARGO_PKG_VERSION")));
        }
        if !names(header::ACCEPT) {
            request = request.header(header::ACCEPT, "*/*");
        }
        for header in get.http_headers.iter().filter(|header| !header.name.is_empty()) {
            request = request.header(&header.name, &header.value);
        }
        match request.send().await {
            Ok(answer) => Ok(status(answer.status())),
            Err(error) => Err(format!("Get {url:?}: {}", explain(&error, &format!("{host}:{port}")))),
        }
    }

    fn client(&self) -> Result<&Client, String> {
        if let Some(client) = self.client.get() {
            return Ok(client);
        }
        let within_the_host = Policy::custom(|attempt| {
            let first = attempt.previous().first().and_then(|url| url.host_str().map(str::to_owned));
            let stays = attempt.url().host_str().map(str::to_owned) == first;
            if stays && attempt.previous().len() <= MAX_REDIRECTS { attempt.follow() } else { attempt.stop() }
        });
        let client = Client::builder()
            .no_proxy()
            .redirect(within_the_host)
            .pool_max_idle_per_host(0)
            // A container's certificate is its own affair; a real kubelet does not look at it either.
            .tls_danger_accept_invalid_certs(true)
            .build()
            .map_err(|error| error.to_string())?;
        Ok(self.client.get_or_init(|| client))
    }
}

fn status(status: StatusCode) -> u16 {
    status.as_u16()
}

/// An error in the words of a real kubelet.
fn explain(error: &reqwest::Error, address: &str) -> String {
    if error.is_timeout() {
        return "context deadline exceeded (Client.Timeout exceeded while awaiting headers)".into();
    }
    let mut source = error.source();
    while let Some(cause) = source {
        if let Some(io) = cause.downcast_ref::<std::io::Error>() {
            return format!("dial tcp {address}: connect: {}", plain(io));
        }
        source = cause.source();
    }
    error.to_string()
}
