//! Lists of names that come in pages.

use std::collections::BTreeSet;

use serde::{Deserialize, de::DeserializeOwned};
use tokio::time::{Instant, timeout_at};
use url::Url;

use super::{AT_A_TIME, Problem, Registry};
use crate::{Reason, link, name};

/// Most characters that are kept of an entry that is no name.
const MAX_STRANGE: usize = 255;

/// Where the next part of a list is.
type Next = Result<Option<Url>, Reason>;

/// A list, as far as it was read.
#[derive(Debug, Default)]
pub(super) struct List {
    /// In the order of their bytes, each once.
    pub(super) entries: Vec<String>,
    /// What else was in it.
    pub(super) strange: Strange,
    /// Why the end of it was not read.
    pub(super) cut: Option<Reason>,
}

/// Entries that are no names.
#[derive(Debug, Default)]
pub(super) struct Strange {
    first: Option<String>,
    count: usize,
}

impl Strange {
    /// Notes one more.
    fn add(&mut self, entry: &str) {
        self.count += 1;
        self.first.get_or_insert_with(|| entry.chars().take(MAX_STRANGE).collect());
    }

    /// The problem with them, if there are any: of `repository`, else of the first.
    pub(super) fn problem(&self, repository: &str, what: &str) -> Option<Problem> {
        let first = self.first.as_deref()?;
        let repository = if repository.is_empty() { first } else { repository };
        let reason = format!("{} of its {what} can't be used in the name of an image", self.count);
        Some(Problem { repository: repository.to_owned(), reason })
    }
}

/// A document that holds a part of a list.
pub(super) trait Part: DeserializeOwned {
    /// What is in it. `null` is as good as an empty list.
    fn entries(self) -> Vec<String>;

    /// Tells whether a text can be an entry.
    fn is_name(text: &str) -> bool;
}

/// A part of the catalogue.
#[derive(Deserialize)]
pub(super) struct Repositories {
    // By this attribute the member has to be there.
    #[serde(deserialize_with = "Option::deserialize")]
    repositories: Option<Vec<String>>,
}

impl Part for Repositories {
    fn entries(self) -> Vec<String> {
        self.repositories.unwrap_or_default()
    }

    fn is_name(text: &str) -> bool {
        name::is_repository(text)
    }
}

/// A part of a repository's tags.
#[derive(Deserialize)]
pub(super) struct Tags {
    #[serde(deserialize_with = "Option::deserialize")]
    tags: Option<Vec<String>>,
}

impl Part for Tags {
    fn entries(self) -> Vec<String> {
        self.tags.unwrap_or_default()
    }

    fn is_name(text: &str) -> bool {
        name::is_tag(text)
    }
}

impl Registry {
    /// Reads the list at `path`, to its end, to `most` entries that begin with `prefix` or until the deadline. When a later
    /// part of it fails, the earlier ones count, and the list is cut.
    pub(super) async fn read<P: Part>(
        &self,
        resource: &str,
        path: &str,
        prefix: &str,
        most: usize,
        deadline: Instant,
    ) -> Result<List, Reason> {
        let first = format!("{}/v2/{path}?n={AT_A_TIME}", self.shared.base);
        let mut url = Url::parse(&first).map_err(|_| Reason::Malformed("its address is none"))?;
        let (mut list, mut entries, mut is_first) = (List::default(), BTreeSet::new(), true);
        loop {
            let part = timeout_at(deadline, self.part::<P>(resource, &url)).await;
            let (part, next) = match part.unwrap_or(Err(Reason::Timeout)) {
                Ok(part) => part,
                Err(reason) if is_first => return Err(reason),
                Err(reason) => (Vec::new(), Err(reason)),
            };
            is_first = false;
            for entry in part.into_iter().filter(|entry| entry.starts_with(prefix)) {
                if P::is_name(&entry) {
                    entries.insert(entry);
                } else {
                    list.strange.add(&entry);
                }
            }
            list.cut = match next {
                Ok(Some(next)) if entries.len() < most => {
                    url = next;
                    continue;
                }
                Ok(None) if entries.len() <= most => None,
                Ok(_) => Some(Reason::TooMany(most)),
                Err(reason) => Some(reason),
            };
            list.entries = entries.into_iter().take(most).collect();
            return Ok(list);
        }
    }

    /// A part of a list, and where the next one is, if that can be told.
    async fn part<P: Part>(&self, resource: &str, url: &Url) -> Result<(Vec<String>, Next), Reason> {
        let answer = self.ask(resource, url).await?;
        let part: P = answer.json()?;
        Ok((part.entries(), link::next(&answer.headers, url)))
    }
}
