//! Workspaces get new versions of their templates.

mod authors;
mod bulk;
mod failures;
mod fire;
mod kept;
mod stage;
mod stops;
mod wire;
