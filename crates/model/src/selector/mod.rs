//! Which objects are meant: by label (`app=web,tier in (a,b),!legacy`) and by field (`status.phase!=Running`).
//!
//! A selector is parsed into terms, and whoever evaluates or sends it on does so with these: text that somebody gave is
//! never put beside other text. Grammar, leniency and sentences are those of Kubernetes' own parsers
//! (`apimachinery/pkg/labels` and `pkg/fields`).

mod field;
mod label;
mod tokens;

use std::fmt;

pub use field::{FieldSelector, FieldTerm};
pub use label::{LabelSelector, Operator, Requirement};

/// Longest text of a selector, in bytes.
pub const MAX_LEN: usize = 4096;
/// Most terms of a selector.
pub const MAX_TERMS: usize = 100;

/// What is wrong with a selector, and where.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub struct SelectorError {
    at: usize,
    message: String,
}

impl SelectorError {
    fn new(at: usize, message: impl Into<String>) -> Self {
        Self { at, message: message.into() }
    }

    /// Where in the text, counted in bytes from 0: the first byte of what does not fit.
    #[must_use]
    pub fn at(&self) -> usize {
        self.at
    }

    /// What is wrong, in the words of the API server.
    #[must_use]
    pub fn message(&self) -> &str {
        &self.message
    }
}

impl fmt::Display for SelectorError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "at byte {}: {}", self.at, self.message)
    }
}

/// Refuses what is longer than any selector that a person or program writes.
fn check_len(text: &str) -> Result<(), SelectorError> {
    if text.len() <= MAX_LEN {
        return Ok(());
    }
    Err(SelectorError::new(
        MAX_LEN,
        format!("the selector has {} bytes; at most {MAX_LEN} are read", text.len()),
    ))
}

/// Refuses more terms than any selector needs. `at` is where the first one too many begins.
fn check_terms(count: usize, at: usize) -> Result<(), SelectorError> {
    if count <= MAX_TERMS {
        return Ok(());
    }
    Err(SelectorError::new(at, format!("the selector has more than {MAX_TERMS} terms")))
}
