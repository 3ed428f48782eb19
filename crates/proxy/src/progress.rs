//! How far a workspace is on its way to being ready.

use std::time::{Duration, SystemTime};

/// Why a workspace can't serve requests now.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NotReady {
    /// Its state in one word.
    pub state: String,
    /// What it is doing, for people.
    pub message: String,
    /// When asking again may help.
    pub retry_after: Duration,
    /// How far it is; `None` where it is not on its way.
    pub progress: Option<Progress>,
}

/// A place on a way of known steps.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Progress {
    /// The steps, as people call them.
    pub steps: &'static [&'static str],
    /// Which of them is under way, counted from 0.
    pub at: usize,
    /// When the first one began.
    pub since: SystemTime,
}

impl Progress {
    /// How long it has taken so far. Clocks of different machines differ a little: never less than nothing.
    pub(crate) fn elapsed(&self) -> Duration {
        self.since.elapsed().unwrap_or_default()
    }
}
