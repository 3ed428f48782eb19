//! The public keys that an identity provider publishes (RFC 7517), kept and reloaded.

use std::{fmt, path::PathBuf, sync::Arc, time::Duration};

use futures::{FutureExt as _, future::BoxFuture};
use jsonwebtoken::Algorithm;
use serde::Deserialize;
use serde_json::Value;
use tokio::io::AsyncReadExt as _;
use url::Url;

use super::{
    TokenError,
    key::{Fingerprint, Jwk, Key},
};
use crate::{
    cached::Cached,
    clock::Clock,
    discovery::Discovery,
    error::Error,
    http::{FetchError, Http, address, parse_url},
};

const WHAT: &str = "the key set";
/// How long a key set is good.
const FRESH: Duration = Duration::from_secs(5 * 60);
/// How old it may get while it can't be loaded: after that nobody gets in.
const STALE: Duration = Duration::from_secs(60 * 60);
/// Most keys of a set that are kept.
const MAX_KEYS: usize = 100;
/// Most keys that are tried for a token that does not name its key.
const MAX_TRIED: usize = 4;
/// Largest file.
const MAX_FILE: u64 = 1024 * 1024;

/// Where a key set is.
#[derive(Debug, Clone)]
pub enum JwksSource {
    /// At an http or https address.
    Url(Url),
    /// In a file, which is read again as an address is.
    File(PathBuf),
    /// Where the identity provider's metadata say.
    Discovered(Arc<Discovery>),
    /// Wherever the caller gets it from.
    Loaded(KeySetLoader),
}

type Loading = BoxFuture<'static, Result<Vec<u8>, FetchError>>;

/// Gives the JSON text of a key set, each time anew.
#[derive(Clone)]
pub struct KeySetLoader(Arc<dyn Fn() -> Loading + Send + Sync>);

impl KeySetLoader {
    /// A loader that calls `load`.
    pub fn new(load: impl Fn() -> Loading + Send + Sync + 'static) -> Self {
        Self(Arc::new(load))
    }
}

impl fmt::Debug for KeySetLoader {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("KeySetLoader")
    }
}

#[derive(Deserialize)]
struct Document {
    keys: Vec<Value>,
}

/// The usable keys of a set.
#[derive(Debug)]
struct KeySet(Vec<Arc<Key>>);

/// A key set that is kept for five minutes, and for an hour while it can't be loaded.
pub(super) struct Jwks {
    cached: Cached<KeySet>,
}

impl fmt::Debug for Jwks {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.cached.fmt(f)
    }
}

impl Jwks {
    pub(super) fn new(source: JwksSource, http: Arc<Http>, clock: Clock) -> Self {
        let cached = Cached::new(WHAT, FRESH, STALE, clock, move || {
            let (source, http) = (source.clone(), http.clone());
            async move { load(&source, &http).await }.boxed()
        });
        Self { cached }
    }

    /// The keys that may have signed a token of that algorithm and key id. For an id that is not there, the set is
    /// loaded again, at most every ten seconds whatever is asked.
    pub(super) async fn candidates(
        &self,
        algorithm: Algorithm,
        id: Option<&str>,
    ) -> Result<Vec<Arc<Key>>, TokenError> {
        let set = self.cached.get().await.map_err(|_| TokenError::Unavailable)?;
        if let Some(found) = set.find(algorithm, id)? {
            return Ok(found);
        }
        let set = self.cached.reload().await.map_err(|_| TokenError::Unavailable)?;
        match set.find(algorithm, id)? {
            Some(found) => Ok(found),
            // Whether the key is unknown, or only not known yet, nobody can tell while the set can't be loaded.
            None if self.cached.failure().is_some() => Err(TokenError::Unavailable),
            None => Err(TokenError::UnknownKey),
        }
    }

    /// Loads the set, unless it is there already.
    pub(super) async fn load(&self) -> Result<(), Error> {
        self.cached.get().await.map(drop)
    }

    /// Why it could not be loaded when it was last wanted, if so.
    pub(super) fn failure(&self) -> Option<Error> {
        self.cached.failure()
    }

    /// Tells whether a key is in the set at hand.
    pub(super) fn has(&self, fingerprint: &Fingerprint) -> bool {
        self.cached.peek().is_some_and(|set| set.0.iter().any(|key| key.fingerprint == *fingerprint))
    }
}

impl KeySet {
    /// The keys of that id that are used with that algorithm; `None` when the id is not there. A token without an id
    /// may be any key's.
    fn find(&self, algorithm: Algorithm, id: Option<&str>) -> Result<Option<Vec<Arc<Key>>>, TokenError> {
        let named: Vec<_> = self.0.iter().filter(|key| id.is_none() || key.id.as_deref() == id).collect();
        if named.is_empty() {
            return Ok(None);
        }
        let fitting: Vec<_> =
            named.into_iter().filter(|key| key.is_for(algorithm)).take(MAX_TRIED).cloned().collect();
        if fitting.is_empty() { Err(TokenError::UnsupportedAlgorithm) } else { Ok(Some(fitting)) }
    }
}

async fn load(source: &JwksSource, http: &Http) -> Result<KeySet, Error> {
    let failed = |at: Option<String>| move |source| Error::Fetch { what: WHAT, at, source };
    let (at, document): (Option<String>, Result<Document, FetchError>) = match source {
        JwksSource::Url(url) => (Some(address(url)), http.get_json(url).await),
        JwksSource::File(path) => (Some(path.display().to_string()), read(path).await),
        JwksSource::Loaded(loader) => (None, (loader.0)().await.and_then(|json| parse(&json))),
        JwksSource::Discovered(discovery) => {
            let metadata = discovery.metadata().await?;
            let none = || failed(None)(FetchError::Malformed("the metadata name no key set"));
            let url = parse_url(metadata.jwks_uri.as_deref().ok_or_else(none)?, WHAT)?;
            (Some(address(&url)), http.get_json(&url).await)
        }
    };
    let document = document.map_err(failed(at.clone()))?;
    let keys: Vec<Arc<Key>> = document
        .keys
        .into_iter()
        .filter_map(|key| serde_json::from_value::<Jwk>(key).ok())
        .filter_map(Key::from_jwk)
        .take(MAX_KEYS)
        .map(Arc::new)
        .collect();
    if keys.is_empty() {
        return Err(failed(at)(FetchError::Malformed("it has no key that signatures can be checked with")));
    }
    Ok(KeySet(keys))
}

async fn read(path: &std::path::Path) -> Result<Document, FetchError> {
    let failed = |error: std::io::Error| FetchError::File(error.to_string());
    let file = tokio::fs::File::open(path).await.map_err(failed)?;
    let mut json = Vec::new();
    file.take(MAX_FILE + 1).read_to_end(&mut json).await.map_err(failed)?;
    if json.len() as u64 > MAX_FILE {
        return Err(FetchError::TooLarge);
    }
    parse(&json)
}

fn parse(json: &[u8]) -> Result<Document, FetchError> {
    serde_json::from_slice(json).map_err(|_| FetchError::Malformed("it is no key set"))
}

#[cfg(test)]
mod tests;
