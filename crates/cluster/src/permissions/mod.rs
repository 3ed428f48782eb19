//! What the server's own identity needs and has.

mod elsewhere;
mod manifests;
mod needs;
mod reference;
mod report;
mod review;
#[cfg(test)]
mod tests;

pub use manifests::manifest;
pub use needs::{NEEDS, OWN_NEEDS, OwnNeed, Permission, TOOLS};
pub use reference::reference_markdown;
pub use report::{Granted, MOST_ELSEWHERE, PermissionReport};

pub(crate) use review::{Others, Reviewer};
