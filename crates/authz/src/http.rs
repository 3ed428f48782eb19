//! The one HTTP client for everything that is asked of the identity provider: no redirects, bounded answers, bounded
//! time.

use std::{fmt, time::Duration};

use bytes::{Bytes, BytesMut};
use http::{StatusCode, header::ACCEPT};
use reqwest::{Certificate, Client, RequestBuilder, redirect};
use serde::de::DeserializeOwned;
use url::Url;

use crate::error::Error;

/// How the client behaves.
#[derive(Debug, Clone)]
pub struct HttpOptions {
    /// How long a whole exchange may take.
    pub timeout: Duration,
    /// How long connecting may take, of that.
    pub connect_timeout: Duration,
    /// Most bytes of an answer's body.
    pub max_bytes: usize,
    /// Certificates in PEM that are trusted besides the system's.
    pub extra_ca: Option<Vec<u8>>,
}

impl Default for HttpOptions {
    fn default() -> Self {
        Self {
            timeout: Duration::from_secs(5),
            connect_timeout: Duration::from_secs(3),
            max_bytes: 1024 * 1024,
            extra_ca: None,
        }
    }
}

/// Why a document was not got. The texts are for operators: they hold what the system says, and no more of an answer than
/// the issuer it names.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum FetchError {
    /// No answer within the time.
    #[error("no answer in time")]
    Timeout,
    /// It is not there, or not for us; nothing more is known.
    #[error("not reachable")]
    Unreachable,
    /// No connection, or one that broke, by what the system says.
    #[error("not reachable: {0}")]
    Connection(String),
    /// A certificate that is not trusted.
    #[error(
        "{0}; if an authority of your own has issued it, let SSL_CERT_FILE name that authority's certificate"
    )]
    Certificate(String),
    /// A file that can't be read.
    #[error("the file can't be read: {0}")]
    File(String),
    /// Metadata of another issuer than the expected one.
    #[error("it names the issuer {found:?}, and not {expected:?}")]
    Issuer {
        /// What the settings say, or the address.
        expected: String,
        /// What it says.
        found: String,
    },
    /// An answer that sends elsewhere: nothing is asked of an address that was not configured.
    #[error("the answer is a redirect")]
    Redirect,
    /// Another status than 200.
    #[error("the answer's status is {0}")]
    Status(u16),
    /// An answer that is larger than any honest one.
    #[error("the answer is too large")]
    TooLarge,
    /// An answer that is not what was asked for.
    #[error("the answer can't be used: {0}")]
    Malformed(&'static str),
}

impl FetchError {
    /// The same in words of ours alone.
    pub(crate) fn outline(&self) -> String {
        match self {
            Self::Connection(_) => Self::Unreachable.to_string(),
            Self::Certificate(_) => "the certificate is not trusted".to_owned(),
            Self::File(_) => "the file can't be read".to_owned(),
            Self::Issuer { .. } => "it names another issuer".to_owned(),
            error => error.to_string(),
        }
    }
}

/// The client.
#[derive(Clone)]
pub struct Http {
    client: Client,
    max_bytes: usize,
}

impl fmt::Debug for Http {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Http").field("max_bytes", &self.max_bytes).finish_non_exhaustive()
    }
}

impl Http {
    /// Makes the client.
    ///
    /// # Errors
    /// When the additional certificates are no PEM, or the system's can't be read.
    pub fn new(options: &HttpOptions) -> Result<Self, Error> {
        let mut builder = Client::builder()
            .redirect(redirect::Policy::none())
            .referer(false)
            .timeout(options.timeout)
            .connect_timeout(options.connect_timeout)
            .pool_max_idle_per_host(4)
            .user_agent(concat!("no-crd/", env!("CARGO_PKG_VERSION")));
        if let Some(pem) = &options.extra_ca {
            let certificates = Certificate::from_pem_bundle(pem)
                .map_err(|_| Error::Client("the additional certificates are not in PEM"))?;
            builder = builder.tls_certs_merge(certificates);
        }
        let client = builder.build().map_err(|error| {
            tracing::error!(error = &error as &dyn std::error::Error, "no HTTP client");
            Error::Client("its TLS set-up fails")
        })?;
        Ok(Self { client, max_bytes: options.max_bytes })
    }

    /// Gets a JSON document.
    ///
    /// # Errors
    /// When it is not got, or is not of that form.
    pub async fn get_json<T: DeserializeOwned>(&self, url: &Url) -> Result<T, FetchError> {
        let (status, body) =
            self.send(self.client.get(url.clone()).header(ACCEPT, "application/json")).await?;
        if status.is_redirection() {
            return Err(FetchError::Redirect);
        }
        if status != StatusCode::OK {
            return Err(FetchError::Status(status.as_u16()));
        }
        serde_json::from_slice(&body)
            .map_err(|_| FetchError::Malformed("it is not the JSON document asked for"))
    }

    /// Sends a form, with Basic credentials (taken as they are) if given. Any answer is a result, whatever its status.
    ///
    /// # Errors
    /// When there is no answer, or a too large one.
    pub async fn post_form(
        &self,
        url: &Url,
        form: &[(&str, &str)],
        basic: Option<(&str, &str)>,
    ) -> Result<(StatusCode, Bytes), FetchError> {
        let mut request = self.client.post(url.clone()).header(ACCEPT, "application/json").form(form);
        if let Some((user, password)) = basic {
            request = request.basic_auth(user, Some(password));
        }
        self.send(request).await
    }

    async fn send(&self, request: RequestBuilder) -> Result<(StatusCode, Bytes), FetchError> {
        let mut answer = request.send().await.map_err(failed)?;
        let status = answer.status();
        let announced = answer.content_length().unwrap_or(0);
        if announced > self.max_bytes as u64 {
            return Err(FetchError::TooLarge);
        }
        let mut body = BytesMut::new();
        while let Some(chunk) = answer.chunk().await.map_err(failed)? {
            if body.len() + chunk.len() > self.max_bytes {
                return Err(FetchError::TooLarge);
            }
            body.extend_from_slice(&chunk);
        }
        Ok((status, body.freeze()))
    }
}

fn failed(error: reqwest::Error) -> FetchError {
    // Who logs the address leaves out what it may hold of secrets.
    let error = error.without_url();
    if error.is_timeout() {
        return FetchError::Timeout;
    }
    let innermost = std::iter::successors(Some(&error as &dyn std::error::Error), |error| error.source());
    let cause = innermost.last().map(ToString::to_string).unwrap_or_default();
    // As rustls begins it, whatever is wrong with the certificate.
    if cause.starts_with("invalid peer certificate") {
        FetchError::Certificate(cause)
    } else {
        FetchError::Connection(cause)
    }
}

/// An address for the log: without user, query and fragment, which may hold secrets.
pub(crate) fn address(url: &Url) -> String {
    let mut url = url.clone();
    // An address that can't have a password has none.
    let _ = url.set_username("").and_then(|()| url.set_password(None));
    url.set_query(None);
    url.set_fragment(None);
    url.into()
}

/// Reads an http or https address.
///
/// # Errors
/// When it is none; `what` says whose it is.
pub fn parse_url(text: &str, what: &'static str) -> Result<Url, Error> {
    Url::parse(text)
        .ok()
        .filter(|url| matches!(url.scheme(), "http" | "https") && url.has_host())
        .ok_or(Error::InvalidUrl { what })
}

#[cfg(test)]
mod tests;
