//! What a browser keeps of cookies.

use std::collections::BTreeMap;

use axum::http::{
    HeaderMap, HeaderValue,
    header::{AUTHORIZATION, COOKIE},
};

/// One cookie of each name, whatever its path: enough for most tests.
#[derive(Default, Clone, Debug, PartialEq, Eq)]
pub struct Jar(pub BTreeMap<String, String>);

impl Jar {
    /// Takes what an answer's `Set-Cookie` headers say.
    pub fn take(&mut self, set: &[HeaderValue]) {
        for cookie in set {
            let cookie = cookie.to_str().unwrap();
            let (name, value) = cookie.split(';').next().unwrap().split_once('=').unwrap();
            if cookie.contains("Max-Age=0") {
                self.0.remove(name);
            } else {
                self.0.insert(name.to_owned(), value.to_owned());
            }
        }
    }

    /// The same without one of them.
    #[must_use]
    pub fn without(&self, name: &str) -> Self {
        let mut jar = self.clone();
        jar.0.remove(name);
        jar
    }

    /// The headers of a request.
    #[must_use]
    pub fn headers(&self) -> HeaderMap {
        self.0.iter().map(|(name, value)| (COOKIE, format!("{name}={value}").parse().unwrap())).collect()
    }

    /// The headers of a request that has a bearer token too.
    #[must_use]
    pub fn with_bearer(&self, token: &str) -> HeaderMap {
        let mut headers = self.headers();
        headers.insert(AUTHORIZATION, format!("Bearer {token}").parse().unwrap());
        headers
    }
}
