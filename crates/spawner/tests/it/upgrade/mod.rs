//! Workspaces get new versions of their templates.

mod failures;
mod fire;
mod kept;
mod stage;
mod stops;
mod wire;
