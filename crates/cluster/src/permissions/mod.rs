//! What the server's own identity needs and has.

mod needs;
mod reference;
mod report;
mod review;
#[cfg(test)]
mod tests;

pub use needs::{NEEDS, OWN_NEEDS, OwnNeed, Permission, TOOLS};
pub use reference::reference_markdown;
pub use report::PermissionReport;

pub(crate) use review::Reviewer;
