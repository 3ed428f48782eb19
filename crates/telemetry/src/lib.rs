//! Logging of no-crd: one line an event, for people or for log collectors, with nothing secret in it.
//!
//! Libraries emit [`tracing`] events and spans; a binary's `main` calls [`init`] once. What must never be logged is wrapped
//! in [`Redacted`], headers are checked with [`is_sensitive_header`], and targets are cut with [`without_query`]. What somebody did that matters for security also
//! goes to the [`audit`] log.

pub mod audit;
mod destination;
mod error;
mod init;
mod redact;

pub use audit::AuditLog;
pub use destination::Destination;
pub use error::Error;
pub use init::{Format, Level, LogConfig, init};
pub use redact::{Redacted, SENSITIVE_HEADERS, is_sensitive_header, without_query};
