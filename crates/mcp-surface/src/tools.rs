//! The tools, by group.

pub(crate) mod diagnostics;
pub(crate) mod namespaces;
pub(crate) mod overrides;
pub(crate) mod page;
pub(crate) mod pods;
pub(crate) mod registry;
pub(crate) mod spawn;
pub(crate) mod templates;
pub(crate) mod upgrade;
pub(crate) mod workspaces;
