//! The registry: its catalogue, the tags of its repositories, and both in pages.

mod list;
#[cfg(test)]
mod tests;

use std::{
    fmt,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use futures::{StreamExt, stream};
use http::StatusCode;
use percent_encoding::percent_decode_str;
use tokio::time::Instant;
use url::Url;

use self::list::{List, Repositories, Tags};
use crate::{
    Credentials, Error, Reason,
    access::Access,
    http::{Answer, Http},
};

/// Most entries that a list is asked for at a time.
const AT_A_TIME: usize = 100;
/// Most tags of a repository that are looked at.
const MAX_TAGS: usize = 10_000;
/// Most problems of a page; a page with as many ends.
const MAX_PROBLEMS: usize = 20;
/// How long a page may go on with the catalogue that an earlier one has read.
const CATALOGUE_AGE: Duration = Duration::from_secs(60);
/// What the catalogue is called among the things that tokens are for; no repository is.
const CATALOGUE: &str = "";

/// Which registry, and the limits on its use.
// No `Debug`: the address may hold a password.
#[derive(Clone)]
pub struct Config {
    /// Its address: `/v2/` follows after the path. Query and fragment don't count.
    pub url: Url,
    /// Who reads it; without them, whom the address names before its host, else nobody.
    pub credentials: Option<Credentials>,
    /// How long a page may take, about.
    pub timeout: Duration,
    /// How long a request may take, of that.
    pub request_timeout: Duration,
    /// Most bytes of an answer.
    pub max_bytes: usize,
    /// Most repositories that are looked at, of those with the prefix that is asked for.
    pub max_repositories: usize,
    /// Most repositories whose tags are asked for at a time.
    pub at_once: usize,
}

impl Config {
    /// The registry at `url`, for everybody, with the usual limits.
    #[must_use]
    pub fn new(url: Url) -> Self {
        Self {
            url,
            credentials: None,
            timeout: Duration::from_secs(10),
            request_timeout: Duration::from_secs(5),
            max_bytes: 4 * 1024 * 1024,
            max_repositories: 10_000,
            at_once: 8,
        }
    }
}

/// A registry. Clones share connections and what was learned.
#[derive(Clone)]
pub struct Registry {
    shared: Arc<Shared>,
}

struct Shared {
    /// Address without credentials, query, fragment and a slash at its end.
    base: String,
    name: String,
    config: Config,
    http: Http,
    access: Access,
    recent: Mutex<Option<Recent>>,
}

/// The catalogue that was read last.
struct Recent {
    prefix: String,
    read: Instant,
    catalogue: Arc<List>,
}

impl fmt::Debug for Registry {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Registry").field("name", &self.shared.name).finish_non_exhaustive()
    }
}

/// An image. `Display` gives `repository:tag`.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Image {
    /// Name of its repository.
    pub repository: String,
    /// One of its tags.
    pub tag: String,
}

impl fmt::Display for Image {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.repository, self.tag)
    }
}

impl Image {
    /// The place right after it.
    #[must_use]
    pub fn place(&self) -> Place {
        Place { repository: self.repository.clone(), tag: Some(self.tag.clone()) }
    }
}

/// A place between two images, where a page ends: after a tag, or after a repository. `Display` gives a text that
/// [`Place::parse`] reads.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Place {
    repository: String,
    tag: Option<String>,
}

impl Place {
    /// Reads a place. Any text is one, be there such an image or not.
    #[must_use]
    pub fn parse(text: &str) -> Self {
        match text.split_once(':') {
            Some((repository, tag)) => Self { repository: repository.to_owned(), tag: Some(tag.to_owned()) },
            None => Self { repository: text.to_owned(), tag: None },
        }
    }

    fn after(repository: String) -> Self {
        Self { repository, tag: None }
    }

    /// Tells whether a repository lies before it altogether.
    fn is_past(&self, repository: &str) -> bool {
        repository < self.repository.as_str() || (repository == self.repository && self.tag.is_none())
    }
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.repository)?;
        self.tag.iter().try_for_each(|tag| write!(f, ":{tag}"))
    }
}

/// Something that keeps images from being listed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Problem {
    /// The repository; empty for the catalogue as a whole. A name that is none stands here as the registry has it, and is
    /// not to be shown as it is.
    pub repository: String,
    /// What is wrong, without anything that the registry has written.
    pub reason: String,
}

/// A page of the list of images.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Page {
    /// The images, by repository and tag.
    pub images: Vec<Image>,
    /// Repositories of which images may be missing.
    pub problems: Vec<Problem>,
    /// Where the next page begins; `None` after the last.
    pub next: Option<Place>,
}

impl Registry {
    /// Makes a client. Nothing is asked of the registry yet.
    ///
    /// # Errors
    /// [`Error::InvalidUrl`], [`Error::Client`].
    pub fn new(mut config: Config) -> Result<Self, Error> {
        let mut url = config.url.clone();
        if !matches!(url.scheme(), "http" | "https") || !url.has_host() {
            return Err(Error::InvalidUrl);
        }
        config.credentials = config.credentials.or_else(|| credentials_in(&url));
        url.set_username("").and_then(|()| url.set_password(None)).map_err(|()| Error::InvalidUrl)?;
        url.set_query(None);
        url.set_fragment(None);
        config.url = url.clone();
        let base = url.as_str().trim_end_matches('/').to_owned();
        let name = base.split_once("://").map_or("", |(_, name)| name).to_owned();
        let http = Http::new(config.request_timeout, config.max_bytes)?;
        let access = Access::new(url.origin(), config.credentials.as_ref());
        Ok(Self { shared: Arc::new(Shared { base, name, config, http, access, recent: Mutex::default() }) })
    }

    /// What images of this registry begin with: its address without a scheme, and without a slash at the end.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.shared.name
    }

    /// Lists images of the repositories whose names begin with `prefix`, from `after` on: at most `limit`, of which 0 is as
    /// good as 1.
    ///
    /// A page may end early, even without an image, when there are many problems or the time is up: the list is over where
    /// [`Page::next`] says so.
    ///
    /// # Errors
    /// [`Error::Unreachable`] and [`Error::Failed`], when not even the catalogue's beginning can be read.
    pub async fn page(&self, prefix: &str, after: Option<&Place>, limit: usize) -> Result<Page, Error> {
        let limit = limit.max(1);
        let deadline = Instant::now() + self.shared.config.timeout;
        let catalogue = self.catalogue(prefix, after).await?;
        let mut page = Page::default();
        if after.is_none() {
            page.problems.extend(catalogue.strange.problem("", "names"));
            page.problems.extend(catalogue.cut.as_ref().map(|reason| problem("", reason)));
        }
        let begin = after.map_or(0, |place| catalogue.entries.partition_point(|name| place.is_past(name)));
        let left = catalogue.entries.get(begin..).unwrap_or_default();
        let mut answers = stream::iter(left.iter().cloned())
            .map(|name| async move {
                let tags = self.tags(&name, deadline).await;
                (name, tags)
            })
            .buffered(self.shared.config.at_once.max(1));
        let mut done = None;
        while let Some((name, tags)) = answers.next().await {
            let seen = after.filter(|place| place.repository == name).and_then(|place| place.tag.as_deref());
            match tags {
                Err(reason) => page.problems.push(problem(&name, &reason)),
                Ok(tags) => {
                    if seen.is_none() {
                        page.problems.extend(tags.strange.problem(&name, "tags"));
                        page.problems.extend(tags.cut.as_ref().map(|reason| problem(&name, reason)));
                    }
                    let unseen = tags
                        .entries
                        .into_iter()
                        .skip_while(|tag| seen.is_some_and(|seen| tag.as_str() <= seen));
                    for tag in unseen {
                        if page.images.len() == limit {
                            page.next = page.images.last().map(Image::place);
                            return Ok(page);
                        }
                        page.images.push(Image { repository: name.clone(), tag });
                    }
                }
            }
            done = Some(name);
            let is_full = page.images.len() == limit || page.problems.len() >= MAX_PROBLEMS;
            if is_full || Instant::now() >= deadline {
                break;
            }
        }
        page.next = done.filter(|done| left.last() != Some(done)).map(Place::after);
        Ok(page)
    }

    /// The repositories whose names begin with `prefix`. A list that goes on does so with what it began with, for a while.
    async fn catalogue(&self, prefix: &str, after: Option<&Place>) -> Result<Arc<List>, Error> {
        let recent = after.and_then(|_| {
            let recent = self.shared.recent.lock().unwrap_or_else(PoisonError::into_inner);
            let fits = |recent: &&Recent| recent.prefix == prefix && recent.read.elapsed() < CATALOGUE_AGE;
            recent.as_ref().filter(fits).map(|recent| Arc::clone(&recent.catalogue))
        });
        if let Some(catalogue) = recent {
            return Ok(catalogue);
        }
        let config = &self.shared.config;
        // The other half is for tags.
        let deadline = Instant::now() + config.timeout / 2;
        let list =
            self.read::<Repositories>(CATALOGUE, "_catalog", prefix, config.max_repositories, deadline).await;
        let catalogue = Arc::new(list.map_err(|reason| Error::of(self.name(), reason))?);
        let recent =
            Recent { prefix: prefix.to_owned(), read: Instant::now(), catalogue: Arc::clone(&catalogue) };
        *self.shared.recent.lock().unwrap_or_else(PoisonError::into_inner) = Some(recent);
        Ok(catalogue)
    }

    async fn tags(&self, repository: &str, deadline: Instant) -> Result<List, Reason> {
        self.read::<Tags>(repository, &format!("{repository}/tags/list"), "", MAX_TAGS, deadline).await
    }

    /// Asks for a document about `resource`, with what the registry asks for in turn.
    async fn ask(&self, resource: &str, url: &Url) -> Result<Answer, Reason> {
        let Shared { http, access, .. } = &*self.shared;
        let known = access.known(resource);
        let answer = http.get(url, known.clone()).await?;
        if answer.status != StatusCode::UNAUTHORIZED {
            return Ok(answer);
        }
        access.forget(resource);
        let shown = access.obtain(http, resource, &answer).await?;
        if known.as_ref() == Some(&shown) {
            return Ok(answer);
        }
        http.get(url, Some(shown)).await
    }
}

fn problem(repository: &str, reason: &Reason) -> Problem {
    Problem { repository: repository.to_owned(), reason: reason.to_string() }
}

/// The credentials that stand before the host of an address.
fn credentials_in(url: &Url) -> Option<Credentials> {
    let decoded = |text: &str| percent_decode_str(text).decode_utf8_lossy().into_owned();
    let password = url.password()?;
    Some(Credentials { username: decoded(url.username()), password: decoded(password).into() })
}
