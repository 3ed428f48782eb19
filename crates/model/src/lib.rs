//! The vocabulary of no-crd: identifiers, labels and annotations, the visibility grammar, error codes.
//!
//! Everything here is pure: no IO, no clock, no randomness, and nothing panics on any input. Every other
//! crate of the workspace may depend on this one; it depends on none of them.
//!
//! | module | what it names |
//! |---|---|
//! | [`keys`] | every `nogoo9/*` label and annotation, with its documentation |
//! | [`id`] | [`WorkspaceId`] and [`Namespace`]: checked DNS labels |
//! | [`names`] | what Kubernetes objects to in names, keys and values of labels |
//! | [`selector`] | [`LabelSelector`] and [`FieldSelector`]: which objects are meant |
//! | [`subject`] | [`Subject`]: who owns something, and its label form |
//! | [`caller`] | [`Caller`] and the [`Role`] ladder |
//! | [`auth_mode`] | how the gateway treats authentication for a workspace |
//! | [`api`] | the additional HTTP ports a workspace declares |
//! | [`protocol`] | which version of HTTP such a port speaks |
//! | [`visibility`] | who may reach such a port |
//! | [`refresh`] | how often a dashboard polls it |
//! | [`placeholder`] | `${{user}}` and friends, replaced in a parsed tree |
//! | [`layers`] | merging of layered sources by id |
//! | [`error`] | kinds and stable codes of every error the product reports |

pub mod api;
pub mod auth_mode;
pub mod caller;
pub mod error;
pub mod id;
pub mod keys;
pub mod layers;
pub mod names;
pub mod placeholder;
pub mod protocol;
pub mod refresh;
pub mod restriction;
pub mod selector;
pub mod subject;
pub mod visibility;

pub use api::Api;
pub use auth_mode::AuthMode;
pub use caller::{Caller, Grants, Role, Trust};
pub use error::{Code, ErrorKind};
pub use id::{InvalidName, Namespace, PodName, WorkspaceId};
pub use protocol::Protocol;
pub use refresh::Refresh;
pub use restriction::Restriction;
pub use selector::{FieldSelector, LabelSelector, SelectorError};
pub use subject::Subject;
pub use visibility::Visibility;

/// Image of the default workspace: this product's own binary, run as `nocrd-all workspace`. The embedded cluster knows
/// it and starts the program that is running already.
pub const DEFAULT_WORKSPACE_IMAGE: &str =
    concat!("ghcr.io/nogoo9/no-crd-workspace:", env!("CARGO_PKG_VERSION"));
