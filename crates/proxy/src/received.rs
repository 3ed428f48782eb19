//! How much of a request has arrived.

use std::sync::{
    Arc,
    atomic::{AtomicU8, Ordering::Relaxed},
};

/// Nobody says.
const UNKNOWN: u8 = 0;
/// Some of the body, and there may be more to read.
const PART: u8 = 1;
/// All that has come was read, and more is waited for.
const WANTED: u8 = 2;
/// Everything.
const WHOLE: u8 = 3;

/// How much of the request under way on a connection has arrived. A server that puts one into a request's extensions is
/// told by the proxy: it learns whether a client that ends its side of the connection has said all it had to say, or has
/// broken off.
#[derive(Debug, Clone, Default)]
pub struct Received(Arc<AtomicU8>);

impl Received {
    /// A new request has begun; `whole` tells that it has no body.
    pub fn begin(&self, whole: bool) {
        self.0.store(if whole { WHOLE } else { UNKNOWN }, Relaxed);
    }

    /// There is a body to be read.
    pub(crate) fn part(&self) {
        self.0.store(PART, Relaxed);
    }

    /// Whoever reads the body waits for more of it.
    pub(crate) fn wanted(&self) {
        self.0.store(WANTED, Relaxed);
    }

    /// All of the body was read.
    pub(crate) fn whole(&self) {
        self.0.store(WHOLE, Relaxed);
    }

    /// Whether the request may have arrived whole: not if more of it is waited for.
    #[must_use]
    pub fn may_be_whole(&self) -> bool {
        matches!(self.0.load(Relaxed), PART | WHOLE)
    }

    /// Whether the request has a body that is known not to have been read whole.
    #[must_use]
    pub fn is_unread(&self) -> bool {
        matches!(self.0.load(Relaxed), PART | WANTED)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_request_without_a_body_is_whole() {
        let received = Received::default();
        received.begin(true);
        assert!(received.may_be_whole() && !received.is_unread());
        received.begin(false);
        assert!(!received.may_be_whole() && !received.is_unread(), "nobody says yet");
    }

    #[test]
    fn a_body_is_whole_when_no_more_of_it_is_wanted() {
        let received = Received::default();
        received.begin(false);
        received.part();
        assert!(received.may_be_whole() && received.is_unread());
        received.wanted();
        assert!(!received.may_be_whole() && received.is_unread());
        received.whole();
        assert!(received.may_be_whole() && !received.is_unread());
    }
}
