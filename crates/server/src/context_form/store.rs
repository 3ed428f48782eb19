//! Where questions and answers wait for each other.

use std::{
    collections::HashMap,
    fmt,
    sync::{Mutex, MutexGuard, PoisonError},
};

use async_trait::async_trait;
use nocrd_authz::{clock::Clock, keys::SealError};

use super::LIFETIME;

/// Most pages that are open in one process.
const MAX_PAGES: usize = 1000;

/// Why something can't be kept, or looked for.
#[derive(Debug, thiserror::Error)]
pub(super) enum NotKept {
    #[error("too many pages are open")]
    Full,
    #[error("it can't be sealed")]
    Seal(#[source] SealError),
    #[error("the cluster can't keep it")]
    Cluster(#[source] nocrd_cluster::Error),
    #[error("what was kept can't be read again")]
    Unreadable,
}

/// Keeps for each page one question, and later one answer.
#[async_trait]
pub(super) trait Store: Send + Sync + fmt::Debug {
    async fn keep_question(&self, id: &str, question: &[u8]) -> Result<(), NotKept>;
    async fn question(&self, id: &str) -> Result<Option<Vec<u8>>, NotKept>;
    /// `false` when there is one already, or no question.
    async fn keep_answer(&self, id: &str, answer: &[u8]) -> Result<bool, NotKept>;
    async fn answer(&self, id: &str) -> Result<Option<Vec<u8>>, NotKept>;
    /// Forgets the question and the answer.
    async fn remove(&self, id: &str);
    /// Forgets all that are over.
    async fn sweep(&self);
}

/// In this process.
pub(super) struct Memory {
    pages: Mutex<HashMap<String, Page>>,
    clock: Clock,
}

// No `Debug`: it holds what users have given.
struct Page {
    question: Vec<u8>,
    answer: Option<Vec<u8>>,
    expires: i64,
}

impl fmt::Debug for Memory {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Memory").field("pages", &self.pages().len()).finish_non_exhaustive()
    }
}

impl Memory {
    pub(super) fn new(clock: Clock) -> Self {
        Self { pages: Mutex::default(), clock }
    }

    fn pages(&self) -> MutexGuard<'_, HashMap<String, Page>> {
        self.pages.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn forget_the_old(&self) {
        let now = self.clock.now().as_secs();
        self.pages().retain(|_, page| page.expires > now);
    }
}

#[async_trait]
impl Store for Memory {
    async fn keep_question(&self, id: &str, question: &[u8]) -> Result<(), NotKept> {
        self.forget_the_old();
        let expires = self.clock.now().plus(LIFETIME).as_secs();
        let mut pages = self.pages();
        if pages.len() >= MAX_PAGES {
            return Err(NotKept::Full);
        }
        pages.insert(id.to_owned(), Page { question: question.to_vec(), answer: None, expires });
        Ok(())
    }

    async fn question(&self, id: &str) -> Result<Option<Vec<u8>>, NotKept> {
        Ok(self.pages().get(id).map(|page| page.question.clone()))
    }

    async fn keep_answer(&self, id: &str, answer: &[u8]) -> Result<bool, NotKept> {
        match self.pages().get_mut(id) {
            Some(Page { answer: kept @ None, .. }) => {
                *kept = Some(answer.to_vec());
                Ok(true)
            }
            _ => Ok(false),
        }
    }

    async fn answer(&self, id: &str) -> Result<Option<Vec<u8>>, NotKept> {
        Ok(self.pages().get(id).and_then(|page| page.answer.clone()))
    }

    async fn remove(&self, id: &str) {
        self.pages().remove(id);
    }

    async fn sweep(&self) {
        self.forget_the_old();
    }
}
