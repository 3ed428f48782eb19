//! One exchange with the registry or its token server: no redirects, bounded answers, bounded time.

use std::time::Duration;

use bytes::{Bytes, BytesMut};
use http::{HeaderMap, HeaderValue, StatusCode, header};
use reqwest::{Client, redirect};
use serde::de::DeserializeOwned;
use url::Url;

use crate::{Error, Reason};

/// Longest time that connecting may take, of that of an exchange.
const CONNECT: Duration = Duration::from_secs(3);

#[derive(Clone)]
pub(crate) struct Http {
    client: Client,
    max_bytes: usize,
}

/// An answer of any status. The body is that of a 200, and is not read otherwise.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) status: StatusCode,
    pub(crate) headers: HeaderMap,
    body: Bytes,
}

impl Answer {
    /// The document in it.
    pub(crate) fn json<T: DeserializeOwned>(&self) -> Result<T, Reason> {
        match self.status {
            StatusCode::OK => serde_json::from_slice(&self.body)
                .map_err(|_| Reason::Malformed("it is not the JSON document asked for")),
            status @ (StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN) => {
                Err(Reason::Denied(status.as_u16()))
            }
            status if status.is_redirection() => Err(Reason::Redirect),
            status => Err(Reason::Status(status.as_u16())),
        }
    }
}

impl Http {
    /// Makes the client; an exchange may take `timeout`, and a body may have `max_bytes`.
    pub(crate) fn new(timeout: Duration, max_bytes: usize) -> Result<Self, Error> {
        let builder = Client::builder()
            .redirect(redirect::Policy::none())
            .referer(false)
            .timeout(timeout)
            .connect_timeout(CONNECT.min(timeout))
            .pool_max_idle_per_host(4)
            .user_agent(concat!("no-crd/", env!("CARGO_PKG_VERSION")));
        let client = builder.build().map_err(|error| {
            tracing::error!(error = &error as &dyn std::error::Error, "no HTTP client");
            Error::Client
        })?;
        Ok(Self { client, max_bytes })
    }

    /// Asks for a document.
    pub(crate) async fn get(&self, url: &Url, authorization: Option<HeaderValue>) -> Result<Answer, Reason> {
        let mut request = self.client.get(url.clone()).header(header::ACCEPT, "application/json");
        if let Some(mut authorization) = authorization {
            authorization.set_sensitive(true);
            request = request.header(header::AUTHORIZATION, authorization);
        }
        let mut answer = request.send().await.map_err(failed)?;
        let (status, headers) = (answer.status(), answer.headers().clone());
        let mut body = BytesMut::new();
        if status == StatusCode::OK {
            if answer.content_length().is_some_and(|announced| announced > self.max_bytes as u64) {
                return Err(Reason::TooLarge);
            }
            while let Some(chunk) = answer.chunk().await.map_err(failed)? {
                if body.len() + chunk.len() > self.max_bytes {
                    return Err(Reason::TooLarge);
                }
                body.extend_from_slice(&chunk);
            }
        }
        Ok(Answer { status, headers, body: body.freeze() })
    }
}

fn failed(error: reqwest::Error) -> Reason {
    if error.is_timeout() {
        return Reason::Timeout;
    }
    let error = error.without_url();
    let innermost = std::iter::successors(Some(&error as &dyn std::error::Error), |error| error.source());
    Reason::Connection(innermost.last().map(ToString::to_string).unwrap_or_default())
}
