//! Who went last.

use std::{
    collections::VecDeque,
    sync::{Mutex, PoisonError},
};

/// Uids remembered of pods that are gone.
const KEPT: usize = 1024;

/// Uids of the pods that went last, for those who look for one they have just created.
#[derive(Default)]
pub(super) struct Gone(Mutex<VecDeque<Box<str>>>);

impl Gone {
    pub(super) fn contains(&self, uid: &str) -> bool {
        let gone = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        gone.iter().any(|gone| **gone == *uid)
    }

    pub(super) fn push(&self, uid: &str) {
        let mut gone = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if gone.len() == KEPT {
            gone.pop_front();
        }
        gone.push_back(uid.into());
    }
}
