//! An id for each request, to find it in the log.

use std::time::{SystemTime, UNIX_EPOCH};

use ::http::{HeaderMap, HeaderName, HeaderValue};
use uuid::{Builder, Uuid};

const HEADER: HeaderName = HeaderName::from_static("x-request-id");

/// The id. Always ours: one that a client sends could be another request's.
#[derive(Debug, Clone, Copy)]
pub(crate) struct RequestId(Uuid);

impl RequestId {
    pub(crate) fn new() -> Self {
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_millis();
        // Version 7 sorts by time (RFC 9562). Our own random numbers cost no system call.
        Self(
            Builder::from_unix_timestamp_millis(u64::try_from(now).unwrap_or(u64::MAX), &rand::random())
                .into_uuid(),
        )
    }

    /// Tells the client. The answer of a workspace keeps the id that the workspace gave it.
    pub(super) fn tell(self, headers: &mut HeaderMap) {
        let mut text = Uuid::encode_buffer();
        if let ::http::header::Entry::Vacant(entry) = headers.entry(HEADER)
            && let Ok(value) = HeaderValue::from_str(self.0.hyphenated().encode_lower(&mut text))
        {
            entry.insert(value);
        }
    }
}

impl std::fmt::Display for RequestId {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        self.0.fmt(f)
    }
}
